/*
 * The broker of a node that is alone: there is nobody else to tell.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "pubsub/broker.h"

static int
local_publish(struct broker *b, struct slice topic, const struct broadcast *said)
{
	return 0;
}

static void
local_subscribe(struct broker *b, struct slice topic, bool on)
{
}

static bool
local_is_subscribed(const struct broker *b, struct slice topic)
{
	return true;
}

static void
local_own_up(struct broker *b)
{
}

static void
local_free(struct broker *b)
{
	free(b);
}

static const struct broker_ops broker_local = {
	.name = "local",
	.publish = local_publish,
	.subscribe = local_subscribe,
	.is_subscribed = local_is_subscribed,
	.own_up = local_own_up,
	.free = local_free,
};

struct broker *
broker_local_new(void)
{
	struct broker *b = xmalloc(sizeof(*b));

	*b = (struct broker){ .ops = &broker_local };
	return b;
}
