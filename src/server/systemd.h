/*
 * The service manager's protocol (sd_notify(3)), where libsystemd is there.
 */
#ifndef SERVER_SYSTEMD_H
#define SERVER_SYSTEMD_H

/* READY=1. */
void systemd_ready(void);
/* STOPPING=1. */
void systemd_stopping(void);
/* WATCHDOG=1: called about once a second. */
void systemd_alive(void);

#endif
