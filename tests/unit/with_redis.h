/*
 * A real Redis for tests: a server of our own on a unix socket in a temporary folder, which keeps nothing on disk.
 *
 * As checked fixture each test has its own server (15 ms); as unchecked fixture a suite shares one, and its tests must
 * leave it as they found it (with_redis_do("FLUSHALL") at their start), so those that kill it want their own:
 *
 *	suite_add_tcase(s, tc);
 *	if (!with_redis_available())
 *		return s;
 *	tcase_add_checked_fixture(tc, with_redis_start, with_redis_end);
 *
 * Nothing of it outlives the process that started it.
 */
#ifndef WITH_REDIS_H
#define WITH_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "net/loop.h"

/* False, said once on standard output, where redis-server is not installed. */
bool with_redis_available(void);
/* Starts the server and waits until it answers; fails the test if it does not. */
void with_redis_start(void);
/* Ends the server, frees the context, removes the folder. Harmless if nothing was started. */
void with_redis_end(void);

/* Path of the unix socket; the same after a restart. */
const char *with_redis_path(void);
/* The port of 127.0.0.1 where it listens, too: restarted for that at the first call, and so from then on. */
unsigned with_redis_port(void);

/*
 * A synchronous connection of this process, to look and to meddle; made anew when it broke. Fails the test if the
 * server does not answer within 5 s.
 */
redisContext *with_redis(void);
/* A command over it (format of redisCommand), whose answer must be no error. */
void with_redis_do(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, for a command that answers a number. */
long long with_redis_int(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The server stands still (SIGSTOP), and goes on. */
void with_redis_pause(void);
void with_redis_continue(void);
/* Ends it at once; everything it knew is lost. */
void with_redis_kill(void);
/* Starts it again, at the same place. */
void with_redis_restart(void);

/* Turns the loop in real time until cond(arg), for `ms` at most; returns whether it came true. */
bool with_redis_turn_until(struct loop *, bool (*cond)(void *), void *arg, unsigned ms);

#endif
