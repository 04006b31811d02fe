/*
 * Publish and subscribe: one hub for this node, one broker towards the others.
 */
#ifndef PUBSUB_PUBSUB_H
#define PUBSUB_PUBSUB_H

#include "pubsub/broker.h"
#include "pubsub/hub.h"

struct pubsub {
	struct hub	hub;
	struct broker  *broker;		/* ours */
};

/* Takes the broker. */
void pubsub_init(struct pubsub *, struct loop *, struct broker *);
void pubsub_done(struct pubsub *);
/*
 * To all subscribers of the topic on every node, but `except`. The payload is a JSON object's text, or bytes.
 * 0 or -errno of the broker; local delivery is done in either case.
 */
int pubsub_broadcast(struct pubsub *, struct slice topic, struct slice event, struct slice payload, bool binary, const struct subscriber *except);
/* The same for a topic that is known to have local subscribers: the name need not be looked up. */
int pubsub_broadcast_to(struct pubsub *, struct topic *, struct slice event, struct slice payload, bool binary, const struct subscriber *except);
/* What another node published: for local subscribers only. */
void pubsub_receive(struct pubsub *, struct slice topic, struct slice event, struct slice payload, bool binary);

#endif
