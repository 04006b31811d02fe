/*
 * The connection for subscriptions: what is wanted is told to the server at the end of a turn, and again on each
 * new connection.
 */
#ifndef NET_REDIS_BUS_H
#define NET_REDIS_BUS_H

#include "base/map.h"
#include "net/redis_link.h"

struct redis_bus {
	struct redis_link	 link;
	void			(*on_up)(struct redis_bus *);
	void			(*on_down)(struct redis_bus *, const char *why);
	void			(*on_refused)(struct redis_bus *, const char *why);
	struct map		 subs;		/* owned; unwanted ones until the server has let them go */
	struct list		 changed;	/* those of which the server may have to be told */
	struct loop_task	 task;
	size_t			 due;		/* acknowledgements that are to come */
	size_t			 due_first;	/* of them, those that we are not up without */
	uint64_t		 heard_at;	/* ms, loop clock: the last acknowledgement */
	struct timer		 watch;
};

/* The three callbacks are set by the owner behind it. */
void redis_bus_init(struct redis_bus *, struct loop *, const struct redis_options *);
/* Forgets all subscriptions. */
void redis_bus_done(struct redis_bus *);
/* As redis_subscribe(). */
struct redis_sub *redis_bus_subscribe(struct redis_bus *, struct slice channel, redis_message_fn *,
    redis_subscribed_fn *, void *arg);

#endif
