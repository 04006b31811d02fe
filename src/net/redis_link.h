/*
 * One connection to Redis, kept up: finds the server, connects, logs in, and after each loss does so again.
 * What is said over it is its owner's business; it is written once at the end of a turn.
 */
#ifndef NET_REDIS_LINK_H
#define NET_REDIS_LINK_H

#include <event2/event_struct.h>
#include <hiredis/async.h>

#include "base/buf.h"
#include "net/redis.h"
#include "net/redis_resolve.h"

struct redis_link;

enum redis_state {
	REDIS_PAUSING,		/* until the next try */
	REDIS_RESOLVING,
	REDIS_CONNECTING,
	REDIS_LOGGING_IN,
	REDIS_SETTLING,		/* logged in: the owner says what must come first */
	REDIS_UP
};

/* Who uses the connection. */
struct redis_link_owner {
	/* Logged in; redis_link_up() must follow within connect_ms. */
	void (*on_login)(struct redis_link *);
	/* It is over, and its callbacks are no longer called; another try follows by itself. */
	void (*on_end)(struct redis_link *, const char *why);
	/* Before on_end: the server does not want us. */
	void (*on_refused)(struct redis_link *, const char *why);
};

/* `context` lives from CONNECTING on; it is freed at the end of a turn, never while hiredis is at work. */
struct redis_link {
	struct loop			*loop;
	const struct redis_options	*options;	/* borrowed */
	const struct redis_link_owner	*owner;
	enum redis_state		 state;
	unsigned			 step;		/* of logging in */
	unsigned			 tries;		/* since it was up */
	struct redis_lookup		*lookup;
	redisAsyncContext		*context;
	struct event			 readable;
	struct event			 writable;	/* armed while connecting, and when the kernel is full */
	bool				 writing;	/* inside of redisAsyncHandleWrite() */
	bool				 unsaid;	/* something waits for the end of the turn */
	bool				 doomed;	/* ends with this turn */
	bool				 gone;		/* hiredis has freed the context */
	bool				 refused;
	struct loop_task		 task;
	struct timer			 timer;		/* the end of the pause, the deadline of a try */
	struct redis_tls		*tls;		/* NULL = plain */
	char				 why[160];	/* the last end */
};

/* Connects at the loop's next turn. */
void redis_link_init(struct redis_link *, struct loop *, const struct redis_options *,
    const struct redis_link_owner *);
/* Ends it without a word to the owner. */
void redis_link_done(struct redis_link *);
/* The owner has said what must come first: the deadline is met. */
void redis_link_up(struct redis_link *);
/*
 * Ends the connection with this turn; until then nothing more is heard. Harmless without one. `why` is copied.
 */
void redis_link_doom(struct redis_link *, const char *why);
/* The same for an answer that nobody can expect; judges whether it means that we are not wanted. */
void redis_link_doom_by(struct redis_link *, const char *about, const struct redisReply *);
/* True if what is said now goes to the server. */
bool redis_link_takes(const struct redis_link *);
/* True if an answer is to be handed on: not if it tells that the connection is over, nor behind its doom. */
bool redis_link_hears(const struct redis_link *, const void *reply);
/*
 * Says a command in RESP; `fn` is hiredis' callback. What cannot be said dooms the connection, which is told then.
 */
void redis_link_say(struct redis_link *, struct buf *resp, redisCallbackFn *fn, void *arg);

#endif
