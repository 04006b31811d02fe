/*
 * Our place among the nodes as others use it: made, kept by heartbeats, given up; and whether it is well.
 */
#include "cluster/cluster.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "cluster/cluster_internal.h"
#include "cluster/cluster_message.h"
#include "cluster/cluster_scripts.h"
#include "wire/json.h"

#define ECHO_SLACK_MS	500	/* beyond two beats: Redis is slow, or our subscription is dead */

static void cluster_tick(struct timer *, uint64_t now);
static void cluster_tell_left(struct timer *, uint64_t now);

struct cluster *
cluster_new(struct loop *loop, struct redis *redis, const struct cluster_options *o, const struct cluster_user *user,
    void *arg)
{
	struct cluster *c = xmalloc(sizeof(*c));

	assert(cluster_is_id(slice_str(o->node)));
	*c = (struct cluster){
		.loop = loop, .redis = redis, .user = user, .arg = arg, .beat_ms = o->beat_ms,
		.timeout_ms = o->timeout_ms,
		.node = xstrdup(o->node), .prefix = xstrdup(o->prefix), .host = xstrdup(o->host),
		.listen = xstrdup(o->listen), .version = xstrdup(o->version), .started = loop->now + loop->stood,
		.nodes_key = xasprintf("%snodes", o->prefix), .node_key = xasprintf("%snode:%s", o->prefix, o->node),
		.channel = xasprintf("%scluster", o->prefix),
		.tick.fire = cluster_tick, .left_timer.fire = cluster_tell_left,
	};
	id_new(c->boot);
	members_init(&c->members, c->timeout_ms);
	redis_add_script(redis, &cluster_register_script);
	redis_add_script(redis, &cluster_beat_script);
	redis_add_script(redis, &cluster_leave_script);
	redis_add_script(redis, &cluster_claim_script);
	redis_add_script(redis, &cluster_nodes_script);
	c->sub = redis_subscribe(redis, slice_str(c->channel), cluster_heard, NULL, c);
	loop_timer(loop, &c->tick, loop->now + c->beat_ms);
	return c;
}

static void
cluster_destroy(struct cluster *c)
{
	members_done(&c->members);
	free(c->node);
	free(c->prefix);
	free(c->host);
	free(c->listen);
	free(c->version);
	free(c->nodes_key);
	free(c->node_key);
	free(c->channel);
	free(c);
}

struct cluster *
cluster_free(struct cluster *c)
{
	if (c == NULL)
		return NULL;
	redis_unsubscribe(c->sub);
	timer_stop(&c->tick);
	timer_stop(&c->left_timer);
	c->gone = true;
	if (c->pending == 0)
		cluster_destroy(c);
	return NULL;
}

static int
cluster_asked(struct cluster *c, int r)
{
	if (r == 0)
		c->pending++;
	return r;
}

int
cluster_eval(struct cluster *c, const struct redis_script *script, redis_reply_fn *fn, const struct slice keys[2],
    const struct slice *args, unsigned n_args)
{
	return cluster_asked(c, redis_eval(c->redis, script, fn, c, keys, 2, args, n_args));
}

int
cluster_ask_nodes(struct cluster *c, redis_reply_fn *fn, void *arg)
{
	autofree char *before = xasprintf("%snode:", c->prefix);
	struct slice   key = slice_str(c->nodes_key), arg1 = slice_str(before);

	return cluster_asked(c, redis_eval(c->redis, &cluster_nodes_script, fn, arg, &key, 1, &arg1, 1));
}

bool
cluster_answered(struct cluster *c)
{
	c->pending--;
	if (!c->gone)
		return true;
	if (c->pending == 0)
		cluster_destroy(c);
	return false;
}

struct slice
cluster_reply_text(const struct redisReply *reply, size_t i)
{
	const struct redisReply *one;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
		return slice_str(NULL);
	one = reply->element[i];
	return one->type == REDIS_REPLY_STRING ? slice(one->str, one->len) : slice_str(NULL);
}

void
cluster_reply_fault(const struct redisReply *reply, const char *what)
{
	if (reply != NULL)
		log_peer(LOG_WARN_, NULL, "Redis does not %s: %s", what,
		    reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer of another kind");
}

void
cluster_open_message(const struct cluster *c, struct buf *out, const char *type)
{
	buf_addf(out, "{\"v\":%d,\"node\":\"%s\",\"type\":\"%s\"", CLUSTER_VERSION, c->node, type);
}

void
cluster_lose_place(struct cluster *c)
{
	c->epoch = 0;
	if (c->well_until > c->loop->now)
		c->well_until = c->loop->now;
}

void
cluster_count_well(struct cluster *c)
{
	if (c->epoch != 0 && c->echo_at != 0)
		c->well_until = c->echo_at + c->timeout_ms;
}

/* What Redis has must come back soon; if it does not, others' messages do not come either. */
static void
cluster_beat_taken(struct cluster *c, uint64_t seq)
{
	if (seq <= c->echo_seq || !redis_bus_is_up(c->redis))
		return;
	if (c->unheard_at == 0)
		c->unheard_at = c->loop->now;
	if (c->loop->now - c->unheard_at <= 2 * c->beat_ms + ECHO_SLACK_MS)
		return;
	c->unheard_at = 0;
	redis_bounce_bus(c->redis, "our own heartbeats do not come back");
}

static void
on_beat_answer(void *arg, const struct redisReply *reply)
{
	struct cluster *c = arg;

	if (!cluster_answered(c))
		return;
	if (reply == NULL || reply->type != REDIS_REPLY_INTEGER)
		return cluster_reply_fault(reply, "take our heartbeat");
	if (reply->integer > 0)
		return cluster_beat_taken(c, (uint64_t)reply->integer);
	if (c->registering > 0 || c->closed)
		return;
	log_warn("our place in the cluster is lost: registering anew");
	cluster_lose_place(c);
	cluster_register(c);
}

static void
cluster_compose_beat(struct cluster *c, struct buf *out)
{
	cluster_open_message(c, out, "beat");
	buf_addf(out, ",\"epoch\":%llu,\"since\":%llu,\"seq\":%llu", (unsigned long long)c->epoch, (unsigned long long)c->since,
	    (unsigned long long)c->seq);
	if (c->user->write_beat != NULL)
		c->user->write_beat(c->arg, out);
	buf_add_char(out, '}');
}

void
cluster_beat(struct cluster *c)
{
	const struct cluster_load *l = &c->load;
	autobuf struct buf	   message = { 0 };
	struct slice		   keys[] = { slice_str(c->nodes_key), slice_str(c->node_key) };
	struct redis_number		   n[9];

	if (c->epoch == 0 || c->registering > 0 || c->closed || !redis_is_up(c->redis))
		return;
	c->seq++;
	cluster_compose_beat(c, &message);
	struct slice args[] = {
		slice_str(c->node), redis_number(&n[0], c->epoch), slice_str(c->boot), redis_number(&n[1], c->seq),
		redis_number(&n[2], 2 * c->timeout_ms), slice_str(c->channel), buf_slice(&message),
		redis_number(&n[3], l->connections), redis_number(&n[4], l->clients), redis_number(&n[5], l->channels),
		redis_number(&n[6], l->topics), redis_number(&n[7], l->messages_in), redis_number(&n[8], l->frames_out),
	};
	cluster_eval(c, &cluster_beat_script, on_beat_answer, keys, args, sizeof(args) / sizeof(args[0]));
}

/* Without a place, another try is due. */
static void
cluster_tick(struct timer *t, uint64_t now)
{
	struct cluster *c = container_of(t, struct cluster, tick);

	loop_timer(c->loop, t, now + c->beat_ms);
	if (c->epoch == 0 && c->registering == 0)
		cluster_register(c);
	cluster_beat(c);
	cluster_watch(c);
}

void
cluster_on_up(struct cluster *c)
{
	cluster_register(c);
}

void
cluster_on_down(struct cluster *c)
{
	c->unheard_at = 0;
}

/* A beat at once, lest the whole cluster wait for one to know that it hears itself. */
void
cluster_on_bus_up(struct cluster *c)
{
	members_bus(&c->members, true, c->loop->now);
	cluster_look(c);
	cluster_beat(c);
}

void
cluster_on_bus_down(struct cluster *c)
{
	c->unheard_at = 0;
	members_bus(&c->members, false, c->loop->now);
}

void
cluster_on_stood(struct cluster *c, uint64_t ms)
{
	if (ms < c->timeout_ms || c->closed)
		return;
	cluster_lose_place(c);
	cluster_register(c);
	redis_bounce_bus(c->redis, "this process stood still");
}

void
cluster_set_load(struct cluster *c, const struct cluster_load *load)
{
	c->load = *load;
}

static void
cluster_tell_left(struct timer *t, uint64_t now)
{
	struct cluster *c = container_of(t, struct cluster, left_timer);
	void	      (*left)(void *) = c->left;

	c->left = NULL;
	if (left != NULL)
		left(c->left_arg);
}

static void
on_left(void *arg, const struct redisReply *reply)
{
	struct cluster *c = arg;

	if (cluster_answered(c))
		cluster_tell_left(&c->left_timer, c->loop->now);
}

void
cluster_leave(struct cluster *c, void (*done)(void *arg), void *arg)
{
	autobuf struct buf message = { 0 };
	struct slice	   keys[] = { slice_str(c->nodes_key), slice_str(c->node_key) };

	cluster_open_message(c, &message, "leave");
	buf_add_str(&message, ",\"epoch\":");
	struct slice args[] = { slice_str(c->node), slice_str(c->boot), slice_str(c->channel), buf_slice(&message) };
	cluster_lose_place(c);
	c->closed = true;
	c->left = done;
	c->left_arg = arg;
	if (cluster_eval(c, &cluster_leave_script, on_left, keys, args, 4) < 0)
		loop_timer(c->loop, &c->left_timer, c->loop->now);
}

const char *
cluster_node(const struct cluster *c)
{
	return c->node;
}

const char *
cluster_prefix(const struct cluster *c)
{
	return c->prefix;
}

uint64_t
cluster_epoch(const struct cluster *c)
{
	return c->epoch;
}

uint64_t
cluster_since(const struct cluster *c)
{
	return c->since;
}

bool
cluster_is_well(const struct cluster *c)
{
	return c->epoch != 0 && c->loop->now < c->well_until;
}

uint64_t
cluster_unwell_ms(const struct cluster *c)
{
	if (cluster_is_well(c))
		return 0;
	return c->well_until == 0 ? UINT64_MAX : c->loop->now - c->well_until;
}

bool
cluster_is_up(const struct cluster *c, struct slice node)
{
	const struct member *m = members_get(&c->members, node);

	return slice_is(node, c->node) || (m != NULL && m->state == MEMBER_UP);
}

bool
cluster_is_up_since(const struct cluster *c, struct slice node, uint64_t epoch)
{
	const struct member *m = members_get(&c->members, node);

	if (slice_is(node, c->node))
		return epoch != 0 && epoch == c->since;
	if (m == NULL)
		return !c->looked;
	/* Of a newer life than we know we will hear soon. */
	return (m->state == MEMBER_UP || m->state == MEMBER_EXPECTED) && epoch >= m->since;
}

unsigned
cluster_count(const struct cluster *c)
{
	return 1 + c->members.n_up;
}

unsigned
cluster_count_asked(const struct cluster *c)
{
	return c->looked && c->members.bus ? 1 + c->members.n_up + c->members.n_expected : 0;
}

void
cluster_add_asked(const struct cluster *c, struct buf *out)
{
	const struct member *m;
	size_t		     at = 0;

	buf_add_str(out, c->node);
	buf_add_char(out, '\0');
	while ((m = map_next(&c->members.by_node, &at)) != NULL) {
		if (m->state != MEMBER_UP && m->state != MEMBER_EXPECTED)
			continue;
		buf_add_slice(out, m->node);
		buf_add_char(out, '\0');
	}
}

int
cluster_say(struct cluster *c, const char *type, struct slice members)
{
	autobuf struct buf message = { 0 };

	cluster_open_message(c, &message, type);
	buf_add_slice(&message, members);
	buf_add_char(&message, '}');
	struct slice argv[] = { SLICE("PUBLISH"), slice_str(c->channel), buf_slice(&message) };
	return redis_command(c->redis, NULL, NULL, argv, 3);
}
