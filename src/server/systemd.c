/*
 * Messages to the service manager; without libsystemd they go nowhere.
 */
#include "server/systemd.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#else
#define sd_notify(unset, state) ((void)(unset), (void)(state))
#endif

void
systemd_ready(void)
{
	sd_notify(0, "READY=1");
}

void
systemd_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void
systemd_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}
