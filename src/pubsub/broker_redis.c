/*
 * The broker that meets the other nodes in Redis: a channel per topic, subscribed while somebody here is interested,
 * and a while longer, since who leaves a topic often comes back.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/stats.h"
#include "net/redis.h"
#include "pubsub/pubsub.h"
#include "wire/envelope.h"

#define SCRATCH_MAX	(256 * 1024)	/* bytes: what was needed for a message beyond that is given back */
#define MAX_GAPS	10000		/* topics that are remembered for their gap alone */
#define GAP_MS		1000		/* so often they are looked at */

/* Publications, counted. Outlives its broker for as long as answers are due. */
struct ledger {
	struct broker_redis *broker;	/* NULL = gone */
	uint64_t	 sent;		/* handed to Redis */
	uint64_t	 answered;	/* of them, those whose end is known */
	uint64_t	 searched;	/* up to there, what was lost has been looked for */
};

struct broker_redis {
	struct broker	 broker;
	struct loop	*loop;
	struct redis	*redis;
	char		*prefix;
	char		*node;
	uint64_t	 linger_ms;
	struct map	 interests;	/* by topic */
	struct ledger	*ledger;
	unsigned	 gaps;		/* interests with a gap */
	struct buf	 out;		/* a publication's channel and text */
	struct buf	 in;		/* for envelope_read() */
};

/* A subscribed channel; lingers while count is 0. In its broker's map. */
struct interest {
	struct broker_redis *broker;
	struct slice	 topic;
	struct redis_sub *sub;
	unsigned	 count;
	uint64_t	 sent;		/* the last publication there: ledger->sent as it was then */
	bool		 gap;		/* other nodes do not have all that was published */
	struct timer	 linger;	/* set iff count is 0 */
	char		 text[];	/* the topic */
};

static inline struct broker_redis *
broker_redis(struct broker *b)
{
	return container_of(b, struct broker_redis, broker);
}

static struct slice
interest_key(const void *item)
{
	const struct interest *i = item;

	return i->topic;
}

/* Any byte may stand in a topic, braces too: nobody takes the name of a channel apart. */
static void
add_channel(const struct broker_redis *b, struct buf *out, struct slice topic)
{
	buf_add_str(out, b->prefix);
	buf_add_str(out, "t:{");
	buf_add_slice(out, topic);
	buf_add_char(out, '}');
}

/* Empties it for the next message. */
static void
scratch_done(struct buf *scratch)
{
	if (scratch->cap > SCRATCH_MAX)
		buf_done(scratch);
	scratch->n = 0;
}

static void
interest_set_gap(struct interest *i, bool gap)
{
	i->broker->gaps += gap - i->gap;
	i->gap = gap;
}

/* Answers come in order: this one is to the oldest publication without one. */
static void
ledger_on_published(void *arg, const struct redisReply *reply)
{
	struct ledger	    *l = arg;
	struct broker_redis *b = l->broker;
	struct interest	    *i;
	size_t		     at = 0;

	l->answered++;
	if (b == NULL && l->answered == l->sent)
		free(l);
	if (b == NULL || (reply != NULL && reply->type != REDIS_REPLY_ERROR) || l->searched >= l->answered)
		return;
	/* All that is under way counts as lost, too, which it mostly is: so once through the topics is enough for all of it. */
	l->searched = l->sent;
	while ((i = map_next(&b->interests, &at)) != NULL)
		if (i->sent >= l->answered)
			interest_set_gap(i, true);
}

/* 0 or -errno. */
static int
send_envelope(struct broker_redis *b, struct slice topic, const struct envelope *e, redis_reply_fn *fn, void *arg)
{
	struct slice all, argv[3] = { SLICE("PUBLISH") };
	size_t	     channel_len;
	int	     r;

	add_channel(b, &b->out, topic);
	channel_len = b->out.n;
	envelope_write(&b->out, e);
	all = buf_slice(&b->out);
	argv[1] = slice(all.p, channel_len);
	argv[2] = slice_from(all, channel_len);
	r = redis_command(b->redis, fn, arg, argv, 3);
	scratch_done(&b->out);
	stats->bus_out_total += r == 0;
	return r;
}

static int
bus_publish(struct broker *broker, struct slice topic, const struct broadcast *said)
{
	struct broker_redis  *b = broker_redis(broker);
	const struct envelope e = {
		.node = slice_str(b->node), .event = said->event, .payload = said->payload, .binary = said->binary,
		.from = said->from, .said = said->at, .value = said->value,
	};
	struct interest	     *i = map_get(&b->interests, topic);
	int		      r = send_envelope(b, topic, &e, ledger_on_published, b->ledger);

	if (r < 0) {
		if (i != NULL)
			interest_set_gap(i, true);
		return r;
	}
	b->ledger->sent++;
	if (i != NULL)
		i->sent = b->ledger->sent;
	return 0;
}

static int
bus_count(struct broker *broker, struct slice topic, uint32_t n, bool ask)
{
	struct broker_redis  *b = broker_redis(broker);
	const struct envelope e = { .node = slice_str(b->node), .counts = true, .count = n, .ask = ask };

	return send_envelope(b, topic, &e, NULL, NULL);
}

/* Of a topic with history nothing is said: what counts there is in its stream. */
static void
bus_own_up(struct broker *broker)
{
	const struct broadcast resync = { .event = SLICE("system"), .payload = SLICE(PUBSUB_RESYNC) };
	struct broker_redis *b = broker_redis(broker);
	struct interest	    *i;
	size_t		     at = 0;

	if (b->gaps == 0 || !redis_is_up(b->redis))
		return;
	while ((i = map_next(&b->interests, &at)) != NULL) {
		if (!i->gap)
			continue;
		interest_set_gap(i, false);
		if (!pubsub_keeps(b->broker.pubsub, i->topic))
			bus_publish(broker, i->topic, &resync);
	}
}

/* Another node owns up to what our own clients are about to be told anyway. */
static bool
is_told_soon(const struct pubsub *ps, const struct envelope *e)
{
	return ps->resync_due && slice_is(e->event, "system") && slice_is(e->payload, PUBSUB_RESYNC);
}

/* What we published ourselves was delivered before it went out; but what we stored comes to us only here. */
static void
interest_deliver(const struct interest *i, const struct envelope *e)
{
	const struct broker_redis *b = i->broker;
	struct pubsub		  *ps = b->broker.pubsub;

	if (e->stored)
		pubsub_receive_stored(ps, i->topic, e);
	else if (slice_is(e->node, b->node))
		return;
	else if (e->counts)
		audience_heard(&ps->audience, i->topic, e);
	else if (!is_told_soon(ps, e))
		pubsub_receive_live(ps, i->topic, e);
}

static void
interest_on_message(void *arg, struct slice message)
{
	const struct interest *i = arg;
	struct broker_redis   *b = i->broker;
	struct envelope	       e;
	const char	      *why;

	if (i->count == 0)
		return;
	stats->bus_in_total++;
	if (envelope_read(&e, message, &b->in, &why) < 0) {
		stats->bus_malformed_total++;
		log_peer(LOG_WARN_, NULL, "message on the bus' channel %st:{%.*s} dropped: %s", b->prefix, SLICE_ARG(i->topic), why);
	} else {
		interest_deliver(i, &e);
	}
	scratch_done(&b->in);
}

static void
interest_on_subscribed(void *arg)
{
	const struct interest *i = arg;

	if (i->count > 0)
		pubsub_subscribed(i->broker->broker.pubsub, i->topic);
}

static void
interest_free(struct interest *i)
{
	interest_set_gap(i, false);
	timer_stop(&i->linger);
	redis_unsubscribe(i->sub);
	free(i);
}

static void
interest_on_linger(struct timer *t, uint64_t now)
{
	struct interest *i = container_of(t, struct interest, linger);

	/* Nobody is left here, but the others are still to be told. */
	if (i->gap && i->broker->gaps <= MAX_GAPS) {
		loop_timer(i->broker->loop, t, now + GAP_MS);
		return;
	}
	map_del(&i->broker->interests, i->topic);
	interest_free(i);
}

static struct interest *
interest_new(struct broker_redis *b, struct slice topic)
{
	autobuf struct buf channel = { 0 };
	struct interest	  *i = xmalloc(sizeof(*i) + topic.n);

	*i = (struct interest){ .broker = b, .topic = { i->text, topic.n }, .linger.fire = interest_on_linger };
	memcpy(i->text, topic.p, topic.n);
	map_put(&b->interests, i);
	add_channel(b, &channel, topic);
	i->sub = redis_subscribe(b->redis, buf_slice(&channel), interest_on_message, interest_on_subscribed, i);
	return i;
}

static void
bus_subscribe(struct broker *broker, struct slice topic, bool on)
{
	struct broker_redis *b = broker_redis(broker);
	struct interest	    *i = map_get(&b->interests, topic);

	if (!on) {
		assert(i != NULL && i->count > 0);
		if (--i->count == 0)
			loop_timer(b->loop, &i->linger, b->loop->now + b->linger_ms);
		return;
	}
	if (i == NULL)
		i = interest_new(b, topic);
	timer_stop(&i->linger);
	i->count++;
}

static bool
bus_is_subscribed(const struct broker *broker, struct slice topic)
{
	const struct broker_redis *b = container_of(broker, const struct broker_redis, broker);
	const struct interest	  *i = map_get(&b->interests, topic);

	return i != NULL && i->count > 0 && redis_is_subscribed(i->sub);
}

static void
bus_free(struct broker *broker)
{
	struct broker_redis *b = broker_redis(broker);
	struct interest	    *i;
	size_t		     at = 0;

	while ((i = map_next(&b->interests, &at)) != NULL)
		interest_free(i);
	map_done(&b->interests);
	b->ledger->broker = NULL;
	if (b->ledger->answered == b->ledger->sent)
		free(b->ledger);
	buf_done(&b->out);
	buf_done(&b->in);
	free(b->prefix);
	free(b->node);
	free(b);
}

static const struct broker_ops broker_bus = {
	.name = "redis",
	.publish = bus_publish,
	.count = bus_count,
	.subscribe = bus_subscribe,
	.is_subscribed = bus_is_subscribed,
	.own_up = bus_own_up,
	.free = bus_free,
};

struct broker *
broker_redis_new(struct loop *loop, struct redis *redis, const char *prefix, const char *node, uint64_t linger_ms)
{
	struct broker_redis *b = xmalloc(sizeof(*b));

	*b = (struct broker_redis){
		.broker.ops = &broker_bus, .loop = loop, .redis = redis, .prefix = xstrdup(prefix), .node = xstrdup(node),
		.linger_ms = linger_ms, .ledger = xcalloc(1, sizeof(*b->ledger)),
	};
	b->ledger->broker = b;
	map_init(&b->interests, interest_key);
	return &b->broker;
}
