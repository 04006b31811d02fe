/*
 * The command connection: calls in the order they were made, each answered exactly once; scripts; and a server
 * that stopped answering is noticed.
 */
#ifndef NET_REDIS_CALLS_H
#define NET_REDIS_CALLS_H

#include "net/redis_link.h"

/*
 * A call is in one of three lists; those in `again` were made before those in `sent`, and those before the ones in
 * `held`. The outer two are empty unless a script was found missing: then nothing is sent before all that was is
 * answered, so that the order stays.
 */
struct redis_calls {
	struct redis_link	 link;
	void			(*on_up)(struct redis_calls *);
	/* Everything that was pending has been answered NULL. */
	void			(*on_down)(struct redis_calls *, const char *why);
	void			(*on_refused)(struct redis_calls *, const char *why);
	struct redis_script	*scripts;	/* borrowed, newest first */
	unsigned		 loading;	/* scripts that are not acknowledged */
	struct list		 again;		/* to be sent with the script's text */
	struct list		 sent;		/* in the order of the answers */
	struct list		 held;		/* made meanwhile */
	size_t			 bytes;		/* of the user's calls in all three */
	uint64_t		 heard_at;	/* ms, loop clock: the last answer */
	struct timer		 watch;
};

/* The three callbacks are set by the owner behind it. */
void redis_calls_init(struct redis_calls *, struct loop *, const struct redis_options *);
/* Answers everything NULL. */
void redis_calls_done(struct redis_calls *);
/* True while commands are accepted. */
bool redis_calls_are_taken(const struct redis_calls *);
/* As redis_command(). */
int redis_calls_command(struct redis_calls *, redis_reply_fn *, void *arg, const struct slice *argv, unsigned argc);
/* As redis_eval(). */
int redis_calls_eval(struct redis_calls *, const struct redis_script *, redis_reply_fn *, void *arg,
    const struct slice *keys, unsigned n_keys, const struct slice *args, unsigned n_args);

#endif
