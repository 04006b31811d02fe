/*
 * Rate limits: a token bucket per connection, and sliding windows per user, topic and event.
 */
#ifndef NET_RATES_H
#define NET_RATES_H

#include "base/buf.h"
#include "base/map.h"
#include "base/units.h"
#include "base/wheel.h"
#include "net/loop.h"

/* Tokens come at `rate` a second, up to `burst`. */
struct bucket {
	uint32_t	tokens;		/* thousandths */
	uint64_t	at;		/* ms: when they were counted last; 0 = never: full */
};

/* Takes one token: 0, or the ms until there is one. rate 0 = no limit. */
uint64_t bucket_take(struct bucket *, uint64_t now, uint32_t rate, uint32_t burst);

/* Windows that are in use; an empty one is forgotten after its period. */
struct rates {
	struct loop	*loop;
	struct map	 windows;
	struct buf	 key;	/* the one that is looked up */
	struct timer	 sweep;
};

void rates_init(struct rates *, struct loop *);
void rates_done(struct rates *);
/* 0 if one more such event is within the limit, else the ms until it will be. Nothing is counted. */
uint64_t rates_wait(struct rates *, struct slice user, struct slice topic, struct slice event, const struct rate *);
/* Counts one that was taken. */
void rates_count(struct rates *, struct slice user, struct slice topic, struct slice event, const struct rate *);

#endif
