/*
 * How many hear a topic on the other nodes: each says the number of its own subscribers by the topic's channel of the bus,
 * when it changes and when it is asked, and keeps what the others said last. Only for topics that want it.
 */
#ifndef PUBSUB_AUDIENCE_H
#define PUBSUB_AUDIENCE_H

#include "base/map.h"
#include "net/loop.h"

struct envelope;
struct pubsub;

#define AUDIENCE_PACE_MS	100	/* a topic's number is said once in that time at most */
#define AUDIENCE_RETRY_MS	1000	/* until the bus takes it */
#define AUDIENCE_DOUBT_MS	30000	/* what is that old is asked for again, when it is used */
#define AUDIENCE_MAX_NODES	1000	/* of a topic; more are not counted */

struct audience {
	struct pubsub	*pubsub;
	struct map	 crowds;	/* by topic: those that want it and have local subscribers, or had until just now */
	struct list	 due;		/* of them, those that have something to say at the end of this turn */
	struct loop_task task;
};

void audience_init(struct audience *, struct pubsub *);
void audience_done(struct audience *);
/*
 * The topic got, or lost, a local subscriber: from the first call on it is counted, until it has none, which need not be
 * told. Nothing happens where there are no other nodes.
 */
void audience_changed(struct audience *, struct slice topic);
/* All subscribers on other nodes, as far as these have told. 0 where the topic is not counted. */
unsigned audience_others(struct audience *, struct slice topic);
/* For the broker: another node's number; and our interest in the topic is in force, now or again. */
void audience_heard(struct audience *, struct slice topic, const struct envelope *);
void audience_subscribed(struct audience *, struct slice topic);
/* That node is gone; `anew`: and has come back, so what it has now is asked for. */
void audience_forget(struct audience *, struct slice node, bool anew);

#endif
