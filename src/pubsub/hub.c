/*
 * The hub: who hears a topic here, and the walk that tells them.
 */
#include "pubsub/hub.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stats.h"

#define PREFETCH_AHEAD	4

static struct slice
topic_key(const void *item)
{
	const struct topic *t = item;

	return t->name;
}

void
hub_init(struct hub *h, struct loop *loop)
{
	*h = (struct hub){ .loop = loop };
	map_init(&h->topics, topic_key);
}

void
hub_done(struct hub *h)
{
	assert(h->topics.n == 0);
	map_done(&h->topics);
}

struct topic *
hub_topic(const struct hub *h, struct slice name)
{
	return map_get(&h->topics, name);
}

static void
topic_bury(struct grave *g)
{
	struct topic *t = container_of(g, struct topic, grave);

	for (unsigned i = 0; i < HUB_LANES; i++)
		free(t->lanes[i].entries);
	free(t);
}

static struct topic *
topic_new(struct slice name)
{
	size_t	      token_len = json_quoted_len(name);
	struct topic *t = xmalloc(sizeof(*t) + name.n + token_len);

	*t = (struct topic){
		.name = { t->text, name.n }, .token = { t->text + name.n, token_len }, .since = wall_ms(),
		.grave.bury = topic_bury,
	};
	memcpy(t->text, name.p, name.n);
	json_quote_to(t->text + name.n, name);
	return t;
}

static struct hub_lane *
hub_lane_of(const struct subscriber *who)
{
	return &who->topic->lanes[who->intercepts != NULL ? HUB_INTERCEPT : who->codec->id];
}

static void
lane_add(struct hub_lane *lane, struct subscriber *who)
{
	if (lane->n == lane->cap) {
		lane->cap = lane->cap > 0 ? lane->cap + (lane->cap + 1) / 2 : 1;
		lane->entries = xrealloc(lane->entries, lane->cap * sizeof(*lane->entries));
	}
	who->place = lane->n;
	lane->entries[lane->n++] = (struct hub_entry){ .out = who->out, .who = who };
}

/* The last one takes the place that becomes free. */
static void
lane_remove(struct hub_lane *lane, struct subscriber *who)
{
	struct hub_entry *last = &lane->entries[--lane->n];

	assert(lane->entries[who->place].who == who);
	lane->entries[who->place] = *last;
	last->who->place = who->place;
	if (lane->cap >= 64 && lane->n < lane->cap / 4) {
		lane->cap /= 2;
		lane->entries = xrealloc(lane->entries, lane->cap * sizeof(*lane->entries));
	}
}

void
hub_subscribe(struct hub *h, struct subscriber *who, struct slice name)
{
	struct topic *t = hub_topic(h, name);
	bool	      is_new = t == NULL;

	assert(who->topic == NULL);
	if (is_new) {
		t = topic_new(name);
		map_put(&h->topics, t);
		stats->topics++;
	}
	who->topic = t;
	who->deaf = false;
	t->n++;
	lane_add(hub_lane_of(who), who);
	if (is_new && h->on_topic != NULL)
		h->on_topic(t, true, h->arg);
}

void
hub_set_intercepts(struct hub *h, struct subscriber *who, const char *const *intercepts)
{
	const bool placed = who->topic != NULL && !who->deaf;

	if (placed)
		lane_remove(hub_lane_of(who), who);
	who->intercepts = intercepts;
	if (placed)
		lane_add(hub_lane_of(who), who);
}

void
hub_deafen(struct subscriber *who)
{
	if (who->topic == NULL || who->deaf)
		return;
	lane_remove(hub_lane_of(who), who);
	who->deaf = true;
}

void
hub_unsubscribe(struct hub *h, struct subscriber *who)
{
	struct topic *t = who->topic;

	if (t == NULL)
		return;
	hub_deafen(who);
	who->topic = NULL;
	if (--t->n > 0)
		return;
	if (h->on_topic != NULL)
		h->on_topic(t, false, h->arg);
	map_del(&h->topics, t->name);
	stats->topics--;
	loop_bury(h->loop, &t->grave);
}

/* Queues a frame, in the deflated form where the receiver agreed to one and it pays. */
static inline void
hub_queue(struct hub *h, struct outq *out, struct frame *f)
{
	if (out->window != 0 && h->options.deflate != NULL && frame_body_len(f) >= h->options.deflate_min)
		f = deflate_frame(h->options.deflate, f, out->window);
	outq_push(out, frame_ref(f));
}

static unsigned
hub_deliver_lane(struct hub *h, const struct hub_lane *lane, struct frame *f, const struct subscriber *except)
{
	const struct hub_entry *e = lane->entries, *end = e + lane->n;
	unsigned		sent = 0;

	for (; e < end; e++) {
		if (e + PREFETCH_AHEAD < end)
			__builtin_prefetch(e[PREFETCH_AHEAD].out, 1);
		if (e->who == except)
			continue;
		hub_queue(h, e->out, f);
		sent++;
	}
	stats->frames_out_total += sent;
	loop_worked(h->loop, sent);
	return sent;
}

static bool
hub_intercepts(const struct subscriber *who, const struct message *m)
{
	if (who->intercepts == NULL || m->typed || !message_is_for(m, who->codec))
		return false;
	for (const char *const *name = who->intercepts; *name != NULL; name++)
		if (slice_is(m->event, *name))
			return true;
	return false;
}

static struct hub_entry *
lane_copy(const struct hub_lane *lane)
{
	struct hub_entry *copy;

	if (lane->n == 0)
		return NULL;
	copy = xmalloc(lane->n * sizeof(*copy));
	memcpy(copy, lane->entries, lane->n * sizeof(*copy));
	return copy;
}

/*
 * Those who intercept are asked one by one. What they do in answer may change the lane, so the walk goes over
 * a copy; whoever left meanwhile is still in memory until the end of the turn. The other lanes have been walked: who
 * begins to intercept now has had this message, who ceases to has it from here.
 */
static unsigned
hub_deliver_intercepting(struct hub *h, struct topic *t, struct message *m, const struct subscriber *except,
    const struct hub_entry *copy, uint32_t n)
{
	unsigned sent = 0;

	loop_worked(h->loop, n);
	for (uint32_t i = 0; i < n; i++) {
		struct subscriber *who = copy[i].who;

		if (who == except || who->topic != t || who->deaf)
			continue;
		if (hub_intercepts(who, m))
			h->on_intercept(who, m->event, m);
		else
			sent += hub_send(h, who->out, who->codec, m);
	}
	return sent;
}

static unsigned
hub_deliver_lanes(struct hub *h, struct topic *t, struct message *m, const struct subscriber *except)
{
	unsigned sent = 0;

	for (const struct codec *const *codec = codecs; *codec != NULL; codec++) {
		const struct hub_lane *lane = &t->lanes[(*codec)->id];
		struct frame	      *f;

		if (lane->n == 0 || (f = message_frame(m, *codec)) == NULL)
			continue;
		sent += hub_deliver_lane(h, lane, f, except);
	}
	return sent;
}

unsigned
hub_deliver(struct hub *h, struct topic *t, struct message *m, const struct subscriber *except)
{
	unsigned		   sent = hub_deliver_lanes(h, t, m, except);
	const uint32_t		   n = t->lanes[HUB_INTERCEPT].n;
	autofree struct hub_entry *copy = lane_copy(&t->lanes[HUB_INTERCEPT]);

	return sent + hub_deliver_intercepting(h, t, m, except, copy, n);
}

/*
 * The spared leave their lanes, so that these are walked without a look at each subscriber; and are back before
 * anybody is called, so that nothing else is kept from them.
 */
unsigned
hub_deliver_sparing(struct hub *h, struct topic *t, struct message *m, struct subscriber *const *spared, unsigned n)
{
	autofree struct hub_entry *copy = NULL;
	unsigned		   sent;
	uint32_t		   n_copy;

	for (unsigned i = 0; i < n; i++) {
		assert(spared[i]->topic == t && !spared[i]->deaf);
		lane_remove(hub_lane_of(spared[i]), spared[i]);
	}
	sent = hub_deliver_lanes(h, t, m, NULL);
	n_copy = t->lanes[HUB_INTERCEPT].n;
	copy = lane_copy(&t->lanes[HUB_INTERCEPT]);
	for (unsigned i = 0; i < n; i++)
		lane_add(hub_lane_of(spared[i]), spared[i]);
	return sent + hub_deliver_intercepting(h, t, m, NULL, copy, n_copy);
}

bool
hub_send(struct hub *h, struct outq *out, const struct codec *codec, struct message *m)
{
	struct frame *f = message_frame(m, codec);

	if (f == NULL)
		return false;
	stats->frames_out_total++;
	hub_queue(h, out, f);
	return true;
}

void
hub_deliver_to(struct hub *h, struct subscriber *who, struct message *m)
{
	if (hub_intercepts(who, m))
		h->on_intercept(who, m->event, m);
	else
		hub_send(h, who->out, who->codec, m);
}
