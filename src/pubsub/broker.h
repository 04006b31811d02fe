/*
 * How broadcasts reach the other nodes. The local broker has none to reach.
 */
#ifndef PUBSUB_BROKER_H
#define PUBSUB_BROKER_H

#include <stdbool.h>

#include "base/slice.h"

struct broker;

struct broker_ops {
	const char *name;
	/* To every other node that is interested. Returns 0 or -errno; never blocks. */
	int	(*publish)(struct broker *, struct slice topic, struct slice event, struct slice payload, bool binary);
	/* This node is, or is no more, interested in the topic. */
	void	(*subscribe)(struct broker *, struct slice topic, bool on);
	void	(*free)(struct broker *);
};

/* The head of every implementation's struct. */
struct broker {
	const struct broker_ops *ops;
};

/* A node that is alone. Never NULL. */
struct broker *broker_local_new(void);

#endif
