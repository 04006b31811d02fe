/*
 * What is heard on the cluster's channel, and what becomes of who is not heard.
 */
#include <errno.h>

#include "base/log.h"
#include "base/stats.h"
#include "cluster/cluster_internal.h"
#include "cluster/cluster_message.h"
#include "cluster/cluster_scripts.h"

static void
cluster_tell_change(struct cluster *c, struct slice node, uint64_t epoch, enum cluster_change change)
{
	c->user->on_change(c->arg, node, epoch, change);
}

static void
cluster_own_beat(struct cluster *c, const struct cluster_message *m)
{
	if (m->epoch != c->epoch)
		return;
	c->echo_seq = m->seq;
	c->echo_at = c->loop->now;
	c->unheard_at = 0;
	cluster_count_well(c);
	members_echo(&c->members, c->loop->now);
}

static void
cluster_full(struct slice node)
{
	log_peer(LOG_WARN_, NULL, "more than %d nodes: %.*s is left out", MEMBERS_MAX, SLICE_ARG(node));
}

/*
 * It was started anew while Redis' clock was behind what it had been, or a stranger spoke for it: to us it is dead up to
 * an epoch beyond its own. Hearing that, it takes one that we believe.
 */
static void
cluster_tell_behind(struct cluster *c, struct slice node)
{
	const struct member *one = members_get(&c->members, node);
	autobuf struct buf   members = { 0 };

	log_peer(LOG_WARN_, NULL, "node %.*s beats under an epoch older than its last one", SLICE_ARG(node));
	buf_addf(&members, ",\"dead\":\"%.*s\",\"epoch\":%llu", SLICE_ARG(node), (unsigned long long)one->epoch);
	if (cluster_say(c, "down", buf_slice(&members)) == 0 && members_dead(&c->members, node, one->epoch))
		cluster_tell_change(c, node, one->epoch, CLUSTER_DOWN);
}

static void
cluster_other_beat(struct cluster *c, const struct cluster_message *m, struct slice message)
{
	enum members_news news = members_beat(&c->members, m->node, m->epoch, m->seq, c->loop->now);

	if (news == MEMBERS_FULL)
		cluster_full(m->node);
	if (news == MEMBERS_BEHIND)
		cluster_tell_behind(c, m->node);
	if (news == MEMBERS_FULL || news == MEMBERS_STALE || news == MEMBERS_BEHIND)
		return;
	members_get(&c->members, m->node)->since = m->since;
	if (news != MEMBERS_SAME)
		cluster_tell_change(c, m->node, m->epoch, news == MEMBERS_UP ? CLUSTER_UP : CLUSTER_RENEWED);
	if (c->user->on_beat != NULL)
		c->user->on_beat(c->arg, m->node, m->epoch, message);
}

static void
cluster_beat_heard(struct cluster *c, const struct cluster_message *m, struct slice message)
{
	if (slice_is(m->node, c->node))
		cluster_own_beat(c, m);
	else
		cluster_other_beat(c, m, message);
}

static void
cluster_leave_heard(struct cluster *c, const struct cluster_message *m, struct slice message)
{
	if (!slice_is(m->node, c->node) && members_left(&c->members, m->node, m->epoch, c->loop->now))
		cluster_tell_change(c, m->node, m->epoch, CLUSTER_DOWN);
}

/* Others have given us up: the sooner they learn better, the fewer will believe it. */
static void
cluster_we_are_dead(struct cluster *c, uint64_t epoch)
{
	if (c->epoch == 0 || epoch < c->epoch || c->registering > 0)
		return;
	log_warn("other nodes have given us up: registering anew");
	if (epoch > c->last_epoch && epoch + 1 < CLUSTER_MAX_EPOCH)
		c->last_epoch = epoch;
	cluster_lose_place(c);
	cluster_register(c);
}

/* What we said ourselves is no news: our claim's answer tells it, or if that is lost the next claim's, and who cleans. */
static void
cluster_dead_heard(struct cluster *c, const struct cluster_message *m, struct slice message)
{
	if (slice_is(m->dead, c->node))
		cluster_we_are_dead(c, m->epoch);
	else if (!slice_is(m->node, c->node) && members_dead(&c->members, m->dead, m->epoch))
		cluster_tell_change(c, m->dead, m->epoch, CLUSTER_DOWN);
}

static void
cluster_other_heard(struct cluster *c, const struct cluster_message *m, struct slice message)
{
	c->user->on_message(c->arg, m->node, m->name, message);
}

void
cluster_heard(void *arg, struct slice message)
{
	static void (*const by_type[])(struct cluster *, const struct cluster_message *, struct slice) = {
		[CLUSTER_BEAT] = cluster_beat_heard,
		[CLUSTER_LEAVE] = cluster_leave_heard,
		[CLUSTER_DEAD] = cluster_dead_heard,
		[CLUSTER_OTHER] = cluster_other_heard,
	};
	struct cluster_message m;
	int		       r;

	r = cluster_message_read(&m, message);
	if (r == 0)
		return by_type[m.type](arg, &m, message);
	stats->bus_malformed_total++;
	log_peer(LOG_WARN_, NULL, "a message on the cluster's channel is %s: dropped",
	    r == -EPROTONOSUPPORT ? "of a newer version" : "malformed");
}

static enum members_answer
claim_answer(const struct redisReply *reply, uint64_t *epoch)
{
	struct slice what = cluster_reply_text(reply, 0);

	if (slice_is(what, "gone"))
		return MEMBERS_GONE;
	if (slice_is(what, "alive"))
		return MEMBERS_ALIVE;
	if (slice_is(what, "ours") && cluster_number(cluster_reply_text(reply, 1), epoch) == 0)
		return MEMBERS_OURS;
	return MEMBERS_REFUSED;
}

static void
on_claimed(void *arg, const struct redisReply *reply)
{
	struct cluster	      *c = arg;
	uint64_t	       epoch = 0;
	enum members_answer    answer;
	struct members_verdict v;
	struct slice	       node;

	if (!cluster_answered(c))
		return;
	answer = claim_answer(reply, &epoch);
	if (answer == MEMBERS_REFUSED)
		cluster_reply_fault(reply, "take a claim");
	v = members_answered(&c->members, answer, epoch, c->loop->now, &node);
	if (v.down)
		cluster_tell_change(c, node, v.epoch, CLUSTER_DOWN);
	if (v.clean)
		c->user->on_clean(c->arg, node, v.epoch);
	if (answer != MEMBERS_REFUSED)
		cluster_watch(c);
}

static int
cluster_claim(struct cluster *c, const struct member *m)
{
	autobuf struct buf key = { 0 }, message = { 0 };
	struct redis_number	   timeout, epoch;

	buf_addf(&key, "%snode:%.*s", c->prefix, SLICE_ARG(m->node));
	cluster_open_message(c, &message, "down");
	buf_addf(&message, ",\"dead\":\"%.*s\",\"epoch\":", SLICE_ARG(m->node));
	struct slice keys[] = { slice_str(c->nodes_key), buf_slice(&key) };
	struct slice args[] = {
		m->node, redis_number(&timeout, c->timeout_ms), redis_number(&epoch, m->epoch), slice_str(c->channel),
		buf_slice(&message),
	};
	return cluster_eval(c, &cluster_claim_script, on_claimed, keys, args, 5);
}

void
cluster_watch(struct cluster *c)
{
	const struct member *m;
	struct slice	     node;

	if (c->epoch == 0 || !redis_is_up(c->redis))
		return;
	m = members_claim(&c->members, c->loop->now);
	if (m != NULL && cluster_claim(c, m) < 0)
		members_answered(&c->members, MEMBERS_REFUSED, 0, c->loop->now, &node);
}

/* Where the field stands in a row of the registry; empty if it does not. */
static struct slice
row_field(const struct redisReply *row, const char *field)
{
	for (size_t i = 2; i + 1 < row->elements; i += 2)
		if (slice_is(cluster_reply_text(row, i), field))
			return cluster_reply_text(row, i + 1);
	return slice_str(NULL);
}

static void
cluster_expect(struct cluster *c, const struct redisReply *row)
{
	struct slice node = cluster_reply_text(row, 0);
	uint64_t     epoch = 0;

	if (!cluster_is_id(node) || slice_is(node, c->node))
		return;
	/* 0 if it cannot be known. */
	if (cluster_number(row_field(row, "epoch"), &epoch) < 0 || epoch >= CLUSTER_MAX_EPOCH)
		epoch = 0;
	if (!members_expect(&c->members, node, epoch, c->loop->now))
		cluster_full(node);
}

static void
on_looked(void *arg, const struct redisReply *reply)
{
	struct cluster *c = arg;

	if (!cluster_answered(c) || reply == NULL)
		return;
	if (reply->type != REDIS_REPLY_ARRAY)
		return cluster_reply_fault(reply, "show us the nodes");
	for (size_t i = 0; i < reply->elements; i++)
		cluster_expect(c, reply->element[i]);
	c->looked = true;
}

void
cluster_look(struct cluster *c)
{
	if (redis_bus_is_up(c->redis))
		cluster_ask_nodes(c, on_looked, c);
}
