/*
 * Publish and subscribe: local subscribers first, then the broker.
 */
#include "pubsub/pubsub.h"

#include "base/stats.h"

static void
pubsub_on_topic(struct topic *t, bool exists, void *arg)
{
	struct pubsub *ps = arg;

	ps->broker->ops->subscribe(ps->broker, t->name, exists);
}

void
pubsub_init(struct pubsub *ps, struct loop *loop, struct broker *broker)
{
	hub_init(&ps->hub, loop);
	ps->hub.on_topic = pubsub_on_topic;
	ps->hub.arg = ps;
	ps->broker = broker;
}

void
pubsub_done(struct pubsub *ps)
{
	hub_done(&ps->hub);
	ps->broker->ops->free(ps->broker);
}

static void
pubsub_deliver(struct pubsub *ps, struct topic *t, struct slice event, struct slice payload, bool binary,
    const struct subscriber *except)
{
	struct message m = {
		.kind = MESSAGE_BROADCAST, .topic_token = t->token, .event = event, .payload = payload, .binary = binary,
	};

	hub_deliver(&ps->hub, t, &m, except);
	message_done(&m);
}

int
pubsub_broadcast_to(struct pubsub *ps, struct topic *t, struct slice event, struct slice payload, bool binary,
    const struct subscriber *except)
{
	stats->broadcasts_total++;
	pubsub_deliver(ps, t, event, payload, binary, except);
	return ps->broker->ops->publish(ps->broker, t->name, event, payload, binary);
}

int
pubsub_broadcast(struct pubsub *ps, struct slice topic, struct slice event, struct slice payload, bool binary,
    const struct subscriber *except)
{
	struct topic *t = hub_topic(&ps->hub, topic);

	if (t != NULL)
		return pubsub_broadcast_to(ps, t, event, payload, binary, except);
	stats->broadcasts_total++;
	return ps->broker->ops->publish(ps->broker, topic, event, payload, binary);
}

void
pubsub_receive(struct pubsub *ps, struct slice topic, struct slice event, struct slice payload, bool binary)
{
	struct topic *t = hub_topic(&ps->hub, topic);

	if (t != NULL)
		pubsub_deliver(ps, t, event, payload, binary, NULL);
}
