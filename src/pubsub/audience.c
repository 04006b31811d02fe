/*
 * Audiences: what the other nodes said, and what we say, and when.
 */
#include "pubsub/audience.h"

#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pubsub/pubsub.h"
#include "wire/envelope.h"

_Static_assert((uint64_t)ENVELOPE_MAX_COUNT * AUDIENCE_MAX_NODES < UINT_MAX - ENVELOPE_MAX_COUNT, "all of them can be counted");

/* Another node's number, which is not 0. */
struct other {
	struct list	in_crowd;
	uint64_t	heard;		/* when it was said last: ms of the loop's clock */
	uint32_t	n;
	uint8_t		node_len;
	char		node[];
};

/*
 * A topic that is counted. It is freed once it has no subscribers here, the others know that, and its timer is not set.
 */
struct crowd {
	struct audience	*audience;
	struct slice	 topic;
	struct list	 others;	/* struct other; none unless we have subscribers */
	unsigned	 n_others;
	uint32_t	 total;		/* of theirs */
	uint32_t	 said;		/* our number, as the others know it: 0 = they do not count on us */
	bool		 answer;	/* it is to be said, even if it is the same */
	bool		 ask;		/* and the others are to say theirs */
	uint64_t	 asked;		/* when that was said last, by whomever */
	struct list	 in_due;
	struct timer	 timer;		/* set: nothing is said before */
	char		 text[];	/* the topic */
};

_Static_assert(ENVELOPE_MAX_NODE <= UINT8_MAX, "a node's length fits");

static struct slice
crowd_key(const void *item)
{
	const struct crowd *c = item;

	return c->topic;
}

/* How many are here. A topic that has just lost its last one may still be there. */
static uint32_t
audience_here(const struct audience *a, struct slice topic)
{
	const struct topic *t = hub_topic(&a->pubsub->hub, topic);

	if (t == NULL)
		return 0;
	return t->n < ENVELOPE_MAX_COUNT ? t->n : ENVELOPE_MAX_COUNT;
}

static void
other_free(struct crowd *c, struct other *o)
{
	c->total -= o->n;
	c->n_others--;
	list_remove(&o->in_crowd);
	free(o);
}

/* Forgets those who have not said anything since then. */
static void
crowd_forget(struct crowd *c, uint64_t since)
{
	list_each(link, &c->others) {
		struct other *o = list_entry(link, struct other, in_crowd);

		if (o->heard < since)
			other_free(c, o);
	}
}

/* The same, and all are to say theirs. */
static void
crowd_doubt(struct crowd *c, uint64_t since)
{
	crowd_forget(c, since);
	c->ask = true;
}

static struct other *
crowd_other(const struct crowd *c, struct slice node)
{
	list_each(link, &c->others) {
		struct other *o = list_entry(link, struct other, in_crowd);

		if (slice_eq(slice(o->node, o->node_len), node))
			return o;
	}
	return NULL;
}

static struct other *
other_new(struct crowd *c, struct slice node)
{
	struct other *o;

	if (c->n_others == AUDIENCE_MAX_NODES)
		return NULL;
	o = xmalloc(sizeof(*o) + node.n);
	*o = (struct other){ .node_len = (uint8_t)node.n };
	memcpy(o->node, node.p, node.n);
	list_append(&c->others, &o->in_crowd);
	c->n_others++;
	return o;
}

static void
crowd_note(struct crowd *c, struct slice node, uint32_t n)
{
	struct other *o = crowd_other(c, node);

	if (n == 0) {
		if (o != NULL)
			other_free(c, o);
		return;
	}
	if (o == NULL)
		o = other_new(c, node);
	if (o == NULL)
		return;
	c->total += n - o->n;
	o->n = n;
	o->heard = c->audience->pubsub->hub.loop->now;
}

/* It is in the map no more. */
static void
crowd_free(struct crowd *c)
{
	crowd_forget(c, UINT64_MAX);
	list_remove(&c->in_due);
	timer_stop(&c->timer);
	free(c);
}

static void
crowd_end(struct crowd *c)
{
	map_del(&c->audience->crowds, c->topic);
	crowd_free(c);
}

/* It has something to say, if not at the end of this turn, then when its time comes. */
static void
crowd_wake(struct crowd *c)
{
	struct audience *a = c->audience;

	if (timer_is_set(&c->timer) || !list_empty(&c->in_due))
		return;
	list_append(&a->due, &c->in_due);
	loop_at_end(a->pubsub->hub.loop, &a->task);
}

/* 0 or -errno. Who is new to the others has to learn of them, too. */
static int
crowd_publish(struct crowd *c, uint32_t n)
{
	struct pubsub *ps = c->audience->pubsub;
	const bool     ask = n > 0 && (c->ask || c->said == 0);
	int	       r = ps->broker->ops->count(ps->broker, c->topic, n, ask);

	loop_timer(ps->hub.loop, &c->timer, ps->hub.loop->now + (r < 0 ? AUDIENCE_RETRY_MS : AUDIENCE_PACE_MS));
	if (r < 0)
		return r;
	c->said = n;
	c->answer = c->ask = false;
	if (ask)
		c->asked = ps->hub.loop->now;
	return 0;
}

/* Says what there is to say. */
static void
crowd_say(struct crowd *c)
{
	struct broker *b = c->audience->pubsub->broker;
	const uint32_t n = audience_here(c->audience, c->topic);

	if (n == 0) {
		/* If the bus does not take it now, the others find out when they ask next. */
		if (c->said == 0 || crowd_publish(c, 0) < 0)
			crowd_end(c);
	} else if ((n != c->said || c->answer || c->ask) && b->ops->is_subscribed(b, c->topic)) {
		/* Who is not subscribed would not hear the answers: audience_subscribed() comes back to it. */
		crowd_publish(c, n);
	}
}

static void
crowd_on_timer(struct timer *t, uint64_t now)
{
	crowd_say(container_of(t, struct crowd, timer));
}

static struct crowd *
crowd_new(struct audience *a, struct slice topic)
{
	struct crowd *c = xmalloc(sizeof(*c) + topic.n);

	*c = (struct crowd){
		.audience = a, .topic = { c->text, topic.n }, .asked = a->pubsub->hub.loop->now, .timer.fire = crowd_on_timer,
	};
	memcpy(c->text, topic.p, topic.n);
	list_init(&c->others);
	map_put(&a->crowds, c);
	return c;
}

static void
audience_run(struct loop_task *task)
{
	struct audience *a = container_of(task, struct audience, task);
	struct list	*link;

	while ((link = list_take_link(&a->due)) != NULL)
		crowd_say(list_entry(link, struct crowd, in_due));
}

void
audience_init(struct audience *a, struct pubsub *ps)
{
	*a = (struct audience){ .pubsub = ps, .task.run = audience_run };
	map_init(&a->crowds, crowd_key);
	list_init(&a->due);
}

void
audience_done(struct audience *a)
{
	struct crowd *c;
	size_t	      at = 0;

	loop_forget_task(&a->task);
	while ((c = map_next(&a->crowds, &at)) != NULL)
		crowd_free(c);
	map_done(&a->crowds);
}

void
audience_changed(struct audience *a, struct slice topic)
{
	struct crowd  *c = map_get(&a->crowds, topic);
	const uint32_t n = audience_here(a, topic);

	if (a->pubsub->broker->ops->count == NULL)
		return;
	if (c == NULL && n > 0)
		c = crowd_new(a, topic);
	if (c == NULL)
		return;
	/* From here on we hear nothing, for however short a time. */
	if (n == 0)
		crowd_doubt(c, UINT64_MAX);
	crowd_wake(c);
}

unsigned
audience_others(struct audience *a, struct slice topic)
{
	struct crowd *c = map_get(&a->crowds, topic);

	if (c == NULL)
		return 0;
	/* Words may get lost. Whoever has not answered the question before has nobody left. */
	if (!c->ask && a->pubsub->hub.loop->now - c->asked >= AUDIENCE_DOUBT_MS) {
		crowd_doubt(c, c->asked);
		crowd_wake(c);
	}
	return c->total;
}

void
audience_heard(struct audience *a, struct slice topic, const struct envelope *e)
{
	struct crowd *c = map_get(&a->crowds, topic);

	if (c == NULL || audience_here(a, topic) == 0)
		return;
	crowd_note(c, e->node, e->count);
	if (!e->ask)
		return;
	c->asked = a->pubsub->hub.loop->now;
	c->answer = true;
	crowd_wake(c);
}

void
audience_subscribed(struct audience *a, struct slice topic)
{
	struct crowd *c = map_get(&a->crowds, topic);

	if (c == NULL)
		return;
	/* Anything may have been said meanwhile. */
	crowd_doubt(c, UINT64_MAX);
	crowd_wake(c);
}

void
audience_forget(struct audience *a, struct slice node, bool anew)
{
	struct crowd *c;
	struct other *o;
	size_t	      at = 0;

	while ((c = map_next(&a->crowds, &at)) != NULL) {
		o = crowd_other(c, node);
		if (o == NULL)
			continue;
		other_free(c, o);
		c->ask |= anew;
		if (anew)
			crowd_wake(c);
	}
}
