/*
 * Publish and subscribe: local subscribers first, then the broker.
 */
#include "pubsub/pubsub.h"

#include "base/mem.h"
#include "base/stats.h"
#include "wire/envelope.h"

static void
pubsub_on_topic(struct topic *t, bool exists, void *arg)
{
	struct pubsub *ps = arg;

	ps->broker->ops->subscribe(ps->broker, t->name, exists);
	if (!exists)
		audience_changed(&ps->audience, t->name);
}

void
pubsub_init(struct pubsub *ps, struct loop *loop, struct broker *broker)
{
	*ps = (struct pubsub){ .broker = broker };
	hub_init(&ps->hub, loop);
	ps->hub.on_topic = pubsub_on_topic;
	ps->hub.arg = ps;
	broker->pubsub = ps;
	audience_init(&ps->audience, ps);
}

void
pubsub_done(struct pubsub *ps)
{
	audience_done(&ps->audience);
	hub_done(&ps->hub);
	ps->broker->ops->free(ps->broker);
}

static unsigned
pubsub_deliver(struct pubsub *ps, struct topic *t, const struct broadcast *b, const struct subscriber *except)
{
	struct message m = {
		.kind = MESSAGE_BROADCAST, .topic_token = t->token, .event = b->event, .payload = b->payload, .binary = b->binary,
		.from = b->from, .at = b->at, .value = b->value,
	};
	unsigned sent = hub_deliver(&ps->hub, t, &m, except);

	message_done(&m);
	return sent;
}

int
pubsub_broadcast_to(struct pubsub *ps, struct topic *t, const struct broadcast *b, const struct subscriber *except)
{
	stats->broadcasts_total++;
	pubsub_deliver(ps, t, b, except);
	return ps->broker->ops->publish(ps->broker, t->name, b);
}

int
pubsub_broadcast(struct pubsub *ps, struct slice topic, const struct broadcast *b, const struct subscriber *except)
{
	struct topic *t = hub_topic(&ps->hub, topic);

	if (t != NULL)
		return pubsub_broadcast_to(ps, t, b, except);
	stats->broadcasts_total++;
	return ps->broker->ops->publish(ps->broker, topic, b);
}

unsigned
pubsub_receive(struct pubsub *ps, struct slice topic, const struct broadcast *b, const struct subscriber *except)
{
	struct topic *t = hub_topic(&ps->hub, topic);

	return t != NULL ? pubsub_deliver(ps, t, b, except) : 0;
}

void
pubsub_receive_live(struct pubsub *ps, struct slice topic, const struct envelope *e)
{
	const struct broadcast b = {
		.event = e->event, .payload = e->payload, .binary = e->binary, .from = e->from, .at = e->said, .value = e->value,
	};

	pubsub_receive(ps, topic, &b, NULL);
}

void
pubsub_receive_stored(struct pubsub *ps, struct slice topic, const struct envelope *e)
{
	if (ps->keeper != NULL)
		ps->keeper->on_stored(ps->keeper_arg, topic, e);
	else
		pubsub_receive_live(ps, topic, e);
}

void
pubsub_subscribed(struct pubsub *ps, struct slice topic)
{
	if (ps->keeper != NULL)
		ps->keeper->on_subscribed(ps->keeper_arg, topic);
	audience_subscribed(&ps->audience, topic);
}

bool
pubsub_keeps(const struct pubsub *ps, struct slice topic)
{
	return ps->keeper != NULL && ps->keeper->keeps(ps->keeper_arg, topic);
}

/* Who intercepts it may make and end topics, so the walk goes over a copy; the ended are in memory until the turn's end. */
void
pubsub_resync(struct pubsub *ps)
{
	const struct broadcast resync = { .event = SLICE("system"), .payload = SLICE(PUBSUB_RESYNC) };
	const size_t	      n = ps->hub.topics.n;
	autofree struct topic **topics = xmalloc((n + 1) * sizeof(struct topic *));
	size_t		      at = 0;

	ps->resync_due = false;
	for (size_t i = 0; i < n; i++)
		topics[i] = map_next(&ps->hub.topics, &at);
	for (size_t i = 0; i < n; i++)
		if (!pubsub_keeps(ps, topics[i]->name))
			pubsub_deliver(ps, topics[i], &resync, NULL);
}
