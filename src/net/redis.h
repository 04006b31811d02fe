/*
 * Redis, by hiredis' asynchronous interface (RESP2): one connection for commands and one for subscriptions, kept up
 * for as long as the process lives. Nothing here ever blocks; commands are pipelined, and written once at the end of
 * a turn.
 */
#ifndef NET_REDIS_H
#define NET_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "net/loop.h"

struct redis;
struct redis_sub;

#define REDIS_URL_TEXT	512	/* bytes of the longest URL */

/* Where a server is: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss://…, or unix:PATH[?db=DB]. */
struct redis_url {
	bool	 tls;
	bool	 is_unix;
	char	 host[256];	/* name or address; the path of a unix socket */
	uint16_t port;		/* 6379 */
	unsigned db;
	char	 user[64];	/* "" = the default user */
	char	 password[256];	/* "" = none; percent-encoding is undone */
};

/*
 * 0, or -EINVAL with *why = static text. A rediss:// URL is refused here where hiredis was built without TLS.
 */
int redis_url_parse(struct redis_url *, const char *text, const char **why);
/* Without the password, for the log: into out[REDIS_URL_TEXT]; returns out. */
char *redis_url_text(const struct redis_url *, char *out);

struct redis_options {
	struct redis_url url;
	const char	*name;		/* told by CLIENT SETNAME; copied */
	uint64_t	 connect_ms;	/* for connecting, logging in and loading the scripts: 2 s */
	uint64_t	 ping_ms;	/* a silent command connection is asked so often: 1 s */
	uint64_t	 answer_ms;	/* and given up when nothing came for so long though something is due: 2 s */
	uint64_t	 backoff_ms;	/* first pause before another try: 100 ms; doubled each time, with jitter */
	uint64_t	 backoff_max_ms;	/* 2 s */
	size_t		 max_queue;	/* bytes sent or waiting without an answer: 16 MiB; more are refused with -ENOBUFS */
};

/* What both connections tell. None may call redis_free(). */
struct redis_user {
	/* Commands are taken, from inside this call on; the scripts are loaded. */
	void (*on_up)(void *arg);
	/* Every command that was pending has been answered NULL by now. `why` is for the log. */
	void (*on_down)(void *arg, const char *why);
	/* Every subscription that is wanted has been acknowledged on this connection; told once per connection. */
	void (*on_bus_up)(void *arg);
	/* From here on messages may have been missed. */
	void (*on_bus_down)(void *arg, const char *why);
	/*
	 * The server does not want us: wrong password, unknown user, no permission, no such database. Another try
	 * follows all the same.
	 */
	void (*on_refused)(void *arg, const char *why);
};

/*
 * A Lua script, static in the module that uses it; sent by hash, and anew where the server has lost it.
 * Registered with redis_add_script() before the first connection.
 */
struct redis_script {
	const char		*name;		/* for the log */
	const char		*text;
	char			 sha[41];	/* filled by redis_add_script() */
	struct redis_script	*next;		/* in its redis */
};

/* Connects at the first turn of the loop. Copies the options. Never NULL. */
struct redis *redis_new(struct loop *, const struct redis_options *, const struct redis_user *, void *arg);
/* Drops both connections; what is pending is answered NULL, subscriptions are forgotten. NULL in, NULL out. */
struct redis *redis_free(struct redis *);
void redis_add_script(struct redis *, struct redis_script *);
bool redis_is_up(const struct redis *);
bool redis_bus_is_up(const struct redis *);
/* Why the last connection, or try to have one, ended; "" = none has. Borrowed until the next. */
const char *redis_trouble(const struct redis *);

/*
 * An answer, lent until the call returns; an error is a reply of type REDIS_REPLY_ERROR. NULL: the connection ended
 * first, and whether the command was executed is not known. READONLY, LOADING and MASTERDOWN errors also end the
 * connection (another server may answer the next time), and come here as NULL.
 *
 * Answers come in the order of the calls. Where the server has lost its scripts, calls that are already on their way may
 * overtake a script's; those made after that was noticed do not.
 */
typedef void redis_reply_fn(void *arg, const struct redisReply *);

/*
 * Queues a command. `fn` may be NULL; if this returns 0 it is told exactly once, never before this returns.
 * -ENOTCONN while there is no connection, -ENOBUFS when max_queue is reached. Copies everything.
 */
int redis_command(struct redis *, redis_reply_fn *fn, void *arg, const struct slice *argv, unsigned argc);
/* EVALSHA with the keys, then the arguments. The same results. */
int redis_eval(struct redis *, const struct redis_script *, redis_reply_fn *fn, void *arg, const struct slice *keys, unsigned n_keys,
    const struct slice *args, unsigned n_args);

/* A message on a subscribed channel, lent until the call returns. */
typedef void redis_message_fn(void *arg, struct slice message);
/* The subscription is acknowledged: now, or again after the connection was lost. May be NULL. */
typedef void redis_subscribed_fn(void *arg);

/*
 * Subscribes as soon as there is a connection, and again on each new one. The channel's name is copied; one
 * subscription per name (asserted). Exact names only, never patterns. Nothing is told before this returns.
 */
struct redis_sub *redis_subscribe(struct redis *, struct slice channel, redis_message_fn *, redis_subscribed_fn *, void *arg);
/* Is it acknowledged on the connection that is there now? */
bool redis_is_subscribed(const struct redis_sub *);
/* Nothing is told any more. NULL is fine. */
void redis_unsubscribe(struct redis_sub *);
/*
 * Ends the connection for subscriptions with this turn, and makes another: its messages are not to be trusted, and none
 * is told from here on.
 */
void redis_bounce_bus(struct redis *, const char *why);
/* Ends the command connection with this turn, and makes another; no command is taken from here on. */
void redis_bounce(struct redis *, const char *why);

#endif
