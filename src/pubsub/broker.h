/*
 * How broadcasts reach the other nodes. The local broker has none to reach; the other one meets them in Redis.
 */
#ifndef PUBSUB_BROKER_H
#define PUBSUB_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct broker;
struct loop;
struct pubsub;
struct redis;

/* A live broadcast. Borrowed for the length of the call. */
struct broadcast {
	struct slice	event;
	struct slice	payload;	/* JSON object's text, or bytes */
	bool		binary;
	struct slice	from;		/* these three as in struct message */
	int64_t		at;
	bool		value;
};

struct broker_ops {
	const char *name;
	/*
	 * To every other node that is interested. Returns 0 or -errno (-ENOTCONN, -ENOBUFS: the others do not get it);
	 * never blocks.
	 */
	int	(*publish)(struct broker *, struct slice topic, const struct broadcast *);
	/*
	 * To the same: so many subscribers are here; `ask`: the others are to say how many they have. The same results. NULL =
	 * there are no others.
	 */
	int	(*count)(struct broker *, struct slice topic, uint32_t n, bool ask);
	/* This node is, or is no more, interested in the topic. Counted: each `on` has its `off`. */
	void	(*subscribe)(struct broker *, struct slice topic, bool on);
	/* Is the interest in that topic in force? From then on nothing published is missed without on_bus_down. */
	bool	(*is_subscribed)(const struct broker *, struct slice topic);
	/*
	 * The others can be reached again: where they did not get, or may not have got, what was published, they are
	 * told so. Cheap where there is nothing to tell.
	 */
	void	(*own_up)(struct broker *);
	void	(*free)(struct broker *);
};

/* The head of every implementation's struct. */
struct broker {
	const struct broker_ops *ops;
	struct pubsub		*pubsub;	/* who is told what others published: set by pubsub_init() */
};

/* A node that is alone. Never NULL. */
struct broker *broker_local_new(void);
/*
 * Channels PREFIXt:{TOPIC} in Redis, which is borrowed. `node` is our id: our own messages are not told again, but for
 * those from a stream. A topic without interest stays subscribed for linger_ms, against churn. Copies the texts. Never
 * NULL.
 */
struct broker *broker_redis_new(struct loop *, struct redis *, const char *prefix, const char *node, uint64_t linger_ms);

#endif
