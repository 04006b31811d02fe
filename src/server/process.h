/*
 * What a daemon does to its process: limits, identity, signals, pid file.
 */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

/*
 * As many descriptors as we may have; SIGPIPE and SIGXFSZ are ignored; files we make are ours alone (umask
 * 077); libevent and OpenSSL allocate as base/mem.h does. To be called first of all.
 */
void process_prepare(void);
/* The log becomes the file of the user that we are to become. 0; -ENOENT = there is no such user; or -errno. */
int process_give_log(const char *user);
/* Becomes that user (its groups too) and gives up the way back. 0, or -errno; NULL or "" changes nothing. */
int process_become(const char *user);
/* No new privileges for us or what we start, and no core dumps with keys in them. */
void process_harden(void);
/*
 * Writes our pid. The file is locked as long as we live: another process of the same file is refused. Returns its
 * descriptor, or -errno (-EWOULDBLOCK = taken).
 */
int process_pid_file(const char *path);

#endif
