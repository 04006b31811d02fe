/*
 * Publish and subscribe: one hub for this node, one broker towards the others.
 */
#ifndef PUBSUB_PUBSUB_H
#define PUBSUB_PUBSUB_H

#include "pubsub/audience.h"
#include "pubsub/broker.h"
#include "pubsub/hub.h"

struct envelope;

/* What `system` says where messages of other nodes may have been missed. */
#define PUBSUB_RESYNC	"{\"status\":\"resync\"}"

/* Who looks after topics with history: see history/history.h. */
struct pubsub_keeper {
	/* A message of the topic's stream came over the bus. */
	void (*on_stored)(void *arg, struct slice topic, const struct envelope *);
	/* The broker's interest in the topic is in force now. */
	void (*on_subscribed)(void *arg, struct slice topic);
	/* Does this topic have history here? Then pubsub_resync() leaves it to the keeper. */
	bool (*keeps)(void *arg, struct slice topic);
};

struct pubsub {
	struct hub	hub;
	struct broker  *broker;		/* ours */
	struct audience audience;
	const struct pubsub_keeper *keeper;	/* NULL = nobody */
	void	       *keeper_arg;
	bool		resync_due;	/* pubsub_resync() follows: until then, what others say of gaps says the same */
};

/* Takes the broker. */
void pubsub_init(struct pubsub *, struct loop *, struct broker *);
void pubsub_done(struct pubsub *);
/*
 * To all subscribers of the topic on every node, but `except`. 0 or -errno of the broker; local delivery is done in either
 * case.
 */
int pubsub_broadcast(struct pubsub *, struct slice topic, const struct broadcast *, const struct subscriber *except);
/* The same for a topic that is known to have local subscribers: the name need not be looked up. */
int pubsub_broadcast_to(struct pubsub *, struct topic *, const struct broadcast *, const struct subscriber *except);
/* For local subscribers only: what another node published, or what concerns this node alone. Returns how many got it. */
unsigned pubsub_receive(struct pubsub *, struct slice topic, const struct broadcast *, const struct subscriber *except);
/*
 * For the broker: what another node published; hands a message of a stream to the keeper (where there is none, it is live
 * like any other); and tells it, and the audience, that an interest is in force.
 */
void pubsub_receive_live(struct pubsub *, struct slice topic, const struct envelope *);
void pubsub_receive_stored(struct pubsub *, struct slice topic, const struct envelope *);
void pubsub_subscribed(struct pubsub *, struct slice topic);
/* Does the topic have history here? */
bool pubsub_keeps(const struct pubsub *, struct slice topic);
/* Messages of other nodes may have been missed: `system` PUBSUB_RESYNC to every topic that the keeper does not keep. */
void pubsub_resync(struct pubsub *);

#endif
