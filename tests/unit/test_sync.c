/*
 * Presence over a real Redis: whole nodes (membership, tracker, sync, clients) in one process and on one
 * loop. Whatever Redis or a stranger does, every client shows in the end what the nodes hold, and no more
 * leaves than there were.
 */
#include <errno.h>
#include <stdio.h>

#include "presence_model.h"
#include "with_redis.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cluster/cluster_internal.h"
#include "presence/sync_internal.h"

Suite *sync_suite(void);

#define BEAT_MS		20
#define TIMEOUT_MS	300
#define WINDOW_MS	5
#define PATIENCE_MS	20000
#define MAX_NODES	4
#define MAX_VIEWERS	8

struct node {
	const char		*name;
	struct redis		*redis;
	struct cluster		*cluster;
	struct presence_sync	*sync;
	struct tracker		*tracker;
	struct pubsub		 pubsub;
	struct viewer		 viewers[MAX_VIEWERS];
	unsigned		 n_viewers;
	unsigned		 places;
	bool			 mute;		/* its heartbeats tell of no topics */
	bool			 deaf;		/* it does not hear what others' tell */
	bool			 left;
};

static struct loop *loop;
static struct node nodes[MAX_NODES];
static unsigned n_nodes;
static size_t max_queue;

static void
on_up(void *arg)
{
	cluster_on_up(((struct node *)arg)->cluster);
}

static void
on_down(void *arg, const char *why)
{
	struct node *n = arg;

	presence_sync_on_down(n->sync);
	cluster_on_down(n->cluster);
}

static void
on_bus_up(void *arg)
{
	struct node *n = arg;

	cluster_on_bus_up(n->cluster);
	presence_sync_on_bus_up(n->sync);
}

static void
on_bus_down(void *arg, const char *why)
{
	cluster_on_bus_down(((struct node *)arg)->cluster);
}

static void
on_refused(void *arg, const char *why)
{
	ck_abort_msg("refused: %s", why);
}

static const struct redis_user redis_events = { on_up, on_down, on_bus_up, on_bus_down, on_refused };

static void
on_place(void *arg, uint64_t epoch)
{
	struct node *n = arg;

	n->places++;
	presence_sync_on_place(n->sync, epoch);
}

static void
on_change(void *arg, struct slice node, uint64_t epoch, enum cluster_change change)
{
	presence_sync_on_change(((struct node *)arg)->sync, node, epoch, change);
}

static void
on_clean(void *arg, struct slice node, uint64_t epoch)
{
	presence_sync_on_clean(((struct node *)arg)->sync, node, epoch);
}

static void
write_beat(void *arg, struct buf *out)
{
	struct node	  *n = arg;
	autobuf struct buf unsaid = { 0 };

	presence_sync_write_beat(n->sync, n->mute ? &unsaid : out);
}

static void
on_beat(void *arg, struct slice node, uint64_t epoch, struct slice beat)
{
	struct node *n = arg;

	if (!n->deaf)
		presence_sync_on_beat(n->sync, node, epoch, beat);
}

static void
on_message(void *arg, struct slice node, struct slice type, struct slice message)
{
}

static void
on_taken(void *arg, const char *why)
{
	ck_abort_msg("taken: %s", why);
}

static const struct cluster_user cluster_events = {
	.on_place = on_place, .on_change = on_change, .on_clean = on_clean, .write_beat = write_beat, .on_beat = on_beat,
	.on_message = on_message, .on_taken = on_taken,
};

static void
node_start(struct node *n, const char *name)
{
	static const struct tracker_options options = {
		.window_ms = WINDOW_MS, .load_ms = 200, .max_metas = 100, .max_meta = 4096,
	};
	struct redis_options o = {
		.name = name, .connect_ms = 2000, .ping_ms = 1000, .answer_ms = 2000, .backoff_ms = 10, .backoff_max_ms = 50,
		.max_queue = max_queue, .url.is_unix = true,
	};

	*n = (struct node){ .name = name };
	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	n->redis = redis_new(loop, &o, &redis_events, n);
	n->cluster = cluster_new(loop, n->redis, &(struct cluster_options){
		.node = name, .prefix = "roost:", .host = "here", .listen = "127.0.0.1:4000", .version = "1.0",
		.beat_ms = BEAT_MS, .timeout_ms = TIMEOUT_MS,
	}, &cluster_events, n);
	pubsub_init(&n->pubsub, loop, broker_local_new());
	n->sync = presence_sync_new(loop, n->redis, "roost:", name);
	n->tracker = tracker_new(loop, &n->pubsub, name, &options, &presence_sync_ops, n->sync);
	presence_sync_set(n->sync, n->tracker, n->cluster);
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		viewer_init(&n->viewers[i], loop);
}

/* Without a word: its clients are not told anything either. */
static void
node_dies(struct node *n)
{
	if (n->redis == NULL)
		return;
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		viewer_done(&n->viewers[i], &n->pubsub);
	tracker_free(n->tracker);
	presence_sync_free(n->sync);
	cluster_free(n->cluster);
	pubsub_done(&n->pubsub);
	n->redis = redis_free(n->redis);
}

static void
setup(void)
{
	with_redis_start();
	loop = loop_new();
	n_nodes = 0;
	max_queue = 16 << 20;
	*stats = (struct stats){ 0 };
	ck_assert_int_eq(log_open(&(struct log_options){ .level = LOG_ERROR_ }), 0);
}

static void
teardown(void)
{
	for (unsigned i = 0; i < n_nodes; i++)
		node_dies(&nodes[i]);
	loop = loop_free(loop);
	with_redis_end();
}

static bool
never(void *arg)
{
	return false;
}

static void
let_pass(unsigned ms)
{
	with_redis_turn_until(loop, never, NULL, ms);
}

#define until(cond, arg)	ck_assert_msg(with_redis_turn_until(loop, cond, arg, PATIENCE_MS), "never: %s", #cond)

static bool
all_meet(void *arg)
{
	unsigned running = 0;

	for (unsigned i = 0; i < n_nodes; i++)
		running += nodes[i].redis != NULL && !nodes[i].left;
	for (unsigned i = 0; i < n_nodes; i++)
		if (nodes[i].redis != NULL && !nodes[i].left &&
		    (!cluster_is_well(nodes[i].cluster) || cluster_count(nodes[i].cluster) != running))
			return false;
	return true;
}

static void
start_nodes(unsigned n)
{
	static const char *const names[MAX_NODES] = { "a", "b", "c", "d" };

	for (; n_nodes < n; n_nodes++)
		node_start(&nodes[n_nodes], names[n_nodes]);
	until(all_meet, NULL);
}

static struct viewer *
look(struct node *n, const char *topic)
{
	struct viewer *v = &n->viewers[n->n_viewers++];

	ck_assert_uint_le(n->n_viewers, MAX_VIEWERS);
	viewer_enter(v, n->tracker, &n->pubsub, topic, "\"1\"");
	return v;
}

static void
track(struct viewer *v, const char *key)
{
	ck_assert_int_eq(tracker_track(v->member, slice_str(key), SLICE("{\"n\":1}")), 0);
}

static void
untrack(struct viewer *v, const char *key)
{
	ck_assert_int_eq(tracker_untrack(v->member, slice_str(key)), 0);
}

struct wanted {
	const char *topic;
	unsigned    n;		/* presences */
};

static bool
viewer_shows(struct node *n, struct viewer *v, const struct wanted *w)
{
	autobuf struct buf list = { 0 };

	viewer_reads(v);
	if (v->member == NULL || !slice_is(v->sub.topic->name, w->topic))
		return true;
	return v->model.states > 0 && v->model.n == w->n && tracker_list(n->tracker, slice_str(w->topic), &list) &&
	    model_equals(&v->model, buf_slice(&list));
}

static bool
all_show(void *arg)
{
	bool all = true;

	for (unsigned i = 0; i < n_nodes; i++)
		for (unsigned j = 0; nodes[i].redis != NULL && j < nodes[i].n_viewers; j++)
			all &= viewer_shows(&nodes[i], &nodes[i].viewers[j], arg);
	return all;
}

static void
until_shown(const char *topic, unsigned n)
{
	struct wanted w = { topic, n };

	if (with_redis_turn_until(loop, all_show, &w, PATIENCE_MS))
		return;
	for (unsigned i = 0; i < n_nodes; i++)
		for (unsigned j = 0; nodes[i].redis != NULL && j < nodes[i].n_viewers; j++)
			fprintf(stderr, "%s: viewer %u: %u states, shows %u\n", nodes[i].name, j, nodes[i].viewers[j].model.states,
			    nodes[i].viewers[j].model.n);
	ck_abort_msg("%s never shows %u everywhere", topic, n);
}

static unsigned
leaves(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n_nodes; i++)
		for (unsigned j = 0; j < nodes[i].n_viewers; j++)
			sum += nodes[i].viewers[j].model.leaves;
	return sum;
}

/* Two nodes with a client each in "t", which track "u0" and "u1". */
static void
start_pair(struct viewer *v[2])
{
	start_nodes(2);
	for (int i = 0; i < 2; i++) {
		v[i] = look(&nodes[i], "t");
		track(v[i], i == 0 ? "u0" : "u1");
	}
	until_shown("t", 2);
}

START_TEST(what_one_tracks_all_show)
{
	struct viewer *v[3];
	struct slice   meta;

	start_nodes(3);
	for (int i = 0; i < 3; i++)
		v[i] = look(&nodes[i], "t");
	until_shown("t", 0);
	track(v[0], "u");
	track(v[1], "u");
	track(v[2], "a \"key\"/{x}");
	until_shown("t", 3);
	ck_assert_int_eq(tracker_update(v[0]->member, SLICE("u"), SLICE("{\"n\":2}")), 0);
	meta = tracker_meta(v[0]->member, SLICE("u"));
	let_pass(50);
	until_shown("t", 3);
	ck_assert(model_find(&v[2]->model, json_member(meta, "phx_ref")) >= 0);
	ck_assert_uint_eq(leaves(), 3);
	untrack(v[1], "u");
	until_shown("t", 2);
	viewer_leave(v[2], &nodes[2].pubsub, 0);
	until_shown("t", 1);
	ck_assert_uint_eq(leaves(), 8);
	ck_assert_uint_eq(stats->bus_malformed_total, 0);
}
END_TEST

START_TEST(what_stands_in_redis)
{
	struct viewer *v;

	start_nodes(1);
	v = look(&nodes[0], "t");
	track(v, "u");
	track(v, "@epoch");
	until_shown("t", 2);
	let_pass(50);
	ck_assert_int_eq(with_redis_int("HLEN roost:presence:{t}:a"), 4);
	ck_assert_int_eq(with_redis_int("SISMEMBER roost:presence:{t} a"), 1);
	ck_assert_int_eq(with_redis_int("SISMEMBER roost:node:a:topics t"), 1);
	ck_assert_int_gt(with_redis_int("PTTL roost:presence:{t}:a"), 590000);
	ck_assert_int_gt(with_redis_int("PTTL roost:node:a:topics"), 590000);
	viewer_leave(v, &nodes[0].pubsub, 60000);
	let_pass(50);
	ck_assert_int_eq(with_redis_int("HLEN roost:presence:{t}:a"), 6);
	v = look(&nodes[0], "t");
	track(v, "u");
	track(v, "@epoch");
	until_shown("t", 2);
	let_pass(50);
	ck_assert_int_eq(with_redis_int("HLEN roost:presence:{t}:a"), 4);
	viewer_leave(v, &nodes[0].pubsub, 0);
	let_pass(50);
	ck_assert_int_eq(with_redis_int("EXISTS roost:presence:{t}:a roost:presence:{t} roost:node:a:topics"), 0);
}
END_TEST

START_TEST(a_newcomer_gets_all)
{
	struct viewer *v[2];

	start_pair(v);
	start_nodes(3);
	look(&nodes[2], "t");
	until_shown("t", 2);
	ck_assert_uint_eq(nodes[2].viewers[0].model.diffs, 0);
}
END_TEST

START_TEST(who_drops_out_is_taken_over_elsewhere)
{
	struct viewer *v[2];

	start_pair(v);
	look(&nodes[0], "t");
	until_shown("t", 2);
	viewer_leave(v[0], &nodes[0].pubsub, 60000);
	let_pass(100);
	track(look(&nodes[1], "t"), "u0");
	let_pass(200);
	until_shown("t", 2);
	ck_assert_uint_eq(leaves(), 0);
	ck_assert_int_eq(with_redis_int("EXISTS roost:presence:{t}:a"), 0);
}
END_TEST

START_TEST(killed_subscriptions)
{
	struct viewer *v[2];
	char	       key[16];

	start_pair(v);
	for (int i = 0; i < 30; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		track(v[i % 2], key);
		if (i >= 10) {
			snprintf(key, sizeof(key), "k%d", i - 10);
			untrack(v[i % 2], key);
		}
		let_pass(2);
		if (i % 3 == 0)
			with_redis_do("CLIENT KILL TYPE pubsub");
		let_pass(8);
	}
	until_shown("t", 2 + 10);
}
END_TEST

/* A delta that is taken for our own is lost without a word. */
static void
lose_a_delta(struct node *from, struct viewer *v, struct node *at, const char *key)
{
	const uint64_t out = stats->presence_deltas_out_total;

	at->sync->self = slice_str(from->name);
	track(v, key);
	while (stats->presence_deltas_out_total == out)
		let_pass(1);
	let_pass(10);
	at->sync->self = slice_str(at->name);
}

START_TEST(a_lost_delta_is_found_by_heartbeats)
{
	struct viewer *v[2];
	uint64_t       reads;

	start_pair(v);
	let_pass(5 * BEAT_MS);
	reads = stats->presence_reads_total;
	nodes[0].mute = true;
	lose_a_delta(&nodes[0], v[0], &nodes[1], "x");
	ck_assert_uint_eq(v[1]->model.n, 2);
	ck_assert_uint_eq(stats->presence_reads_total, reads);
	nodes[0].mute = false;
	/* The three that tell of it may be gone: another change is told, and the gap is seen. */
	track(v[0], "y");
	until_shown("t", 4);
	ck_assert_uint_gt(stats->presence_reads_total, reads);
}
END_TEST

START_TEST(a_lost_first_delta_is_found_by_heartbeats)
{
	struct viewer *v[2];

	start_nodes(2);
	v[0] = look(&nodes[0], "t");
	v[1] = look(&nodes[1], "t");
	until_shown("t", 0);
	lose_a_delta(&nodes[0], v[0], &nodes[1], "x");
	until_shown("t", 1);
	ck_assert_uint_gt(stats->presence_reads_total, 0);
}
END_TEST

START_TEST(a_lost_delta_is_found_by_the_audit)
{
	struct viewer *v[2];

	start_pair(v);
	let_pass(5 * BEAT_MS);
	nodes[0].mute = true;
	lose_a_delta(&nodes[0], v[0], &nodes[1], "x");
	until_shown("t", 3);
}
END_TEST

/* Nobody wrote that: what stands in Redis is believed in the end. */
START_TEST(what_a_stranger_said_is_found_by_the_audit)
{
	static const char *const changes[] = {
		"\"empty\":true", "\"joins\":{\"u9\":{\"metas\":[{\"phx_ref\":\"x\"}]},\"u8\":{\"metas\":[{\"phx_ref\":\"y\"}]}}",
	};
	struct viewer *v[2];

	start_pair(v);
	with_redis_do("PUBLISH roost:p:{t} {\"v\":1,\"node\":\"a\",\"epoch\":%llu,\"from\":0,\"to\":9999,%s}",
	    (unsigned long long)cluster_epoch(nodes[0].cluster) + (unsigned)_i % 2, changes[_i / 2]);
	let_pass(10 * BEAT_MS);
	viewer_reads(v[1]);
	ck_assert_uint_eq(v[1]->model.n, _i / 2 == 0 ? 1 : 3);
	until_shown("t", 2);
}
END_TEST

START_TEST(missing_heartbeats_are_noticed)
{
	struct viewer *v[2];

	start_nodes(2);
	v[0] = look(&nodes[0], "t");
	v[1] = look(&nodes[1], "t");
	until_shown("t", 0);
	nodes[1].deaf = true;
	lose_a_delta(&nodes[0], v[0], &nodes[1], "x");
	let_pass(6 * BEAT_MS);
	viewer_reads(v[1]);
	ck_assert_uint_eq(v[1]->model.n, 0);
	nodes[1].deaf = false;
	until_shown("t", 1);
}
END_TEST

static bool
is_written(void *arg)
{
	return with_redis_int("EXISTS %s", (const char *)arg) == 1;
}

START_TEST(an_emptied_redis)
{
	struct viewer *v[2];
	unsigned       places;

	start_pair(v);
	places = nodes[0].places;
	with_redis_do("FLUSHALL");
	until(is_written, "roost:presence:{t}:a");
	until(is_written, "roost:presence:{t}:b");
	until(is_written, "roost:node:a:topics");
	ck_assert_uint_gt(nodes[0].places, places);
	let_pass(3000);
	until_shown("t", 2);
	ck_assert_uint_eq(leaves(), 0);
	track(v[0], "x");
	until_shown("t", 3);
}
END_TEST

START_TEST(a_lost_hash_is_written_again)
{
	struct viewer *v[2];

	start_pair(v);
	with_redis_do("DEL roost:presence:{t}:a roost:presence:{t}");
	until(is_written, "roost:presence:{t}:a");
	until(is_written, "roost:presence:{t}");
	let_pass(3000);
	until_shown("t", 2);
	ck_assert_uint_eq(leaves(), 0);
}
END_TEST

/* By the audit. */
START_TEST(a_lost_set_of_topics_is_written_again)
{
	struct viewer *v[2];

	start_pair(v);
	with_redis_do("DEL roost:node:a:topics");
	until(is_written, "roost:node:a:topics");
	ck_assert_int_gt(with_redis_int("PTTL roost:node:a:topics"), 590000);
}
END_TEST

/* Without it nobody can clean up behind us; but presences are none the worse. */
START_TEST(a_set_of_topics_that_is_none)
{
	struct viewer *v[2];

	start_pair(v);
	with_redis_do("SET roost:node:a:topics x");
	track(v[0], "x");
	until_shown("t", 3);
	untrack(v[0], "x");
	untrack(v[0], "u0");
	until_shown("t", 1);
	let_pass(50);
	ck_assert_int_eq(with_redis_int("EXISTS roost:presence:{t}:a"), 0);
}
END_TEST

START_TEST(forgotten_scripts)
{
	struct viewer *v[2];

	start_pair(v);
	with_redis_do("SCRIPT FLUSH");
	track(v[0], "x");
	until_shown("t", 3);
}
END_TEST

/* A dead node's presences leave once, and its keys go; nobody else's do. */
START_TEST(a_death)
{
	struct viewer *v[2];
	long long      keys;

	start_pair(v);
	keys = with_redis_int("DBSIZE");
	start_nodes(3);
	track(look(&nodes[2], "t"), "u2");
	track(look(&nodes[2], "only c"), "u2");
	until_shown("t", 3);
	node_dies(&nodes[2]);
	until_shown("t", 2);
	ck_assert_uint_eq(leaves(), 2);
	for (int i = 0; with_redis_int("DBSIZE") != keys && i < 100; i++)
		let_pass(20);
	ck_assert_int_eq(with_redis_int("DBSIZE"), keys);
	ck_assert_int_eq(with_redis_int("SCARD roost:presence:{t}"), 2);
	ck_assert_int_eq(with_redis_int("HLEN roost:presence:{t}:a"), 3);
	ck_assert_int_eq(with_redis_int("EXISTS roost:presence:{only c} roost:presence:{only c}:c roost:node:c:topics"),
	    0);
}
END_TEST

static bool
past_is_gone(void *arg)
{
	return with_redis_int("EXISTS roost:presence:{t}:c roost:presence:{gone}:c roost:presence:{gone} "
	    "roost:node:c:topics") == 0;
}

static bool
nothing_is_left_of_c(void *arg)
{
	return with_redis_int("EXISTS roost:presence:{t}:c roost:node:c:topics") == 0 &&
	    with_redis_int("SISMEMBER roost:presence:{t} c") == 0;
}

/*
 * Redis was emptied, and c has not noticed, when a change is written, which makes it write the whole topic: then it dies,
 * and without a place in the registry.
 */
START_TEST(a_death_behind_a_flush)
{
	struct viewer *v[2], *w;

	start_pair(v);
	start_nodes(3);
	w = look(&nodes[2], "t");
	track(w, "u2");
	until_shown("t", 3);
	timer_stop(&nodes[2].cluster->tick);
	with_redis_do("FLUSHALL");
	track(w, "x");
	until(is_written, "roost:presence:{t}:c");
	ck_assert_int_eq(with_redis_int("SISMEMBER roost:node:c:topics t"), 1);
	node_dies(&nodes[2]);
	until(nothing_is_left_of_c, NULL);
	until_shown("t", 2);
	ck_assert_int_eq(with_redis_int("SCARD roost:presence:{t}"), 2);
}
END_TEST

START_TEST(a_restart_under_the_same_id)
{
	struct viewer *v[2];

	start_pair(v);
	start_nodes(3);
	track(look(&nodes[2], "t"), "old");
	track(look(&nodes[2], "gone"), "old");
	until_shown("t", 3);
	node_dies(&nodes[2]);
	node_start(&nodes[2], "c");
	until(all_meet, NULL);
	until(past_is_gone, NULL);
	until_shown("t", 2);
	track(look(&nodes[2], "t"), "new");
	until_shown("t", 3);
}
END_TEST

static bool
keys_are_gone(void *arg)
{
	return with_redis_int("EXISTS roost:presence:{t}:a roost:node:a:topics roost:presence:{u}:a "
	    "roost:presence:{u}") == 0;
}

static void
on_left(void *arg)
{
	((struct node *)arg)->left = true;
}

START_TEST(an_orderly_leave)
{
	struct viewer *v[2];

	start_pair(v);
	track(look(&nodes[0], "u"), "x");
	until_shown("u", 1);
	let_pass(50);
	/* What nobody remembers is cleaned, too. */
	with_redis_do("SADD roost:node:a:topics forgotten");
	with_redis_do("HSET roost:presence:{forgotten}:a @epoch 1 @version 1");
	presence_sync_leave(nodes[0].sync);
	let_pass(20);
	cluster_leave(nodes[0].cluster, on_left, &nodes[0]);
	until(keys_are_gone, NULL);
	ck_assert_int_eq(with_redis_int("EXISTS roost:presence:{forgotten}:a"), 0);
	node_dies(&nodes[0]);
	until_shown("t", 1);
}
END_TEST

START_TEST(a_killed_redis)
{
	struct viewer *v[2], *w;

	start_pair(v);
	w = look(&nodes[0], "emptied");
	track(w, "x");
	track(look(&nodes[1], "emptied"), "y");
	until_shown("emptied", 2);
	with_redis_kill();
	let_pass(50);
	track(v[0], "while away");
	untrack(w, "x");
	track(look(&nodes[0], "new"), "z");
	let_pass(300);
	viewer_reads(v[0]);
	ck_assert_uint_eq(v[0]->model.n, 3);
	viewer_reads(&nodes[0].viewers[2]);
	ck_assert_uint_eq(nodes[0].viewers[2].model.states, 1);
	with_redis_restart();
	until_shown("t", 3);
	until_shown("emptied", 1);
	look(&nodes[1], "new");
	until_shown("new", 1);
	let_pass(3000);
	until_shown("t", 3);
	until_shown("emptied", 1);
	ck_assert_uint_eq(leaves(), 2);
}
END_TEST

/*
 * The same Redis, but our commands were cut off: what was emptied meanwhile is told, with nothing else
 * happening there.
 */
START_TEST(emptied_while_cut_off)
{
	struct viewer *v[2];

	start_pair(v);
	with_redis_do("CLIENT KILL TYPE normal SKIPME yes");
	let_pass(1);
	redis_bounce(nodes[0].redis, "test");
	viewer_leave(v[0], &nodes[0].pubsub, 0);
	until_shown("t", 1);
	let_pass(100);
	ck_assert_int_eq(with_redis_int("EXISTS roost:presence:{t}:a roost:node:a:topics"), 0);
}
END_TEST

static bool
ghost_is_gone(void *arg)
{
	return with_redis_int("EXISTS roost:presence:{ghost}:a roost:presence:{ghost} roost:node:a:topics") == 0;
}

/* A write that was on its way when the connection ended, of a topic that nobody here knows any more. */
START_TEST(emptied_without_an_answer)
{
	const struct presence_item item = { SLICE("u"), SLICE("r"), SLICE("{\"phx_ref\":\"r\"}"), false };
	struct node		  *n = &nodes[0];
	uint64_t		   epoch;

	start_nodes(1);
	epoch = cluster_epoch(n->cluster);
	presence_sync_ops.write(n->sync, SLICE("ghost"), &(struct presence_delta){ .to = 1, .put = &item, .n_put = 1 });
	until(is_written, "roost:presence:{ghost}:a");
	presence_sync_ops.write(n->sync, SLICE("ghost"),
	    &(struct presence_delta){ .from = 1, .to = 2, .gone = &item, .n_gone = 1, .empty = true });
	redis_bounce(n->redis, "test");
	until(ghost_is_gone, NULL);
	ck_assert_uint_eq(cluster_epoch(n->cluster), epoch);
}
END_TEST

static void
do_words(int n, const char **words)
{
	redisReply *reply = redisCommandArgv(with_redis(), n, words, NULL);

	ck_assert_ptr_nonnull(reply);
	ck_assert_int_ne(reply->type, REDIS_REPLY_ERROR);
	freeReplyObject(reply);
}

#define HASH "roost:presence:{t}:a"

static const struct {
	int	    n;
	const char *words[8];
} strange[] = {
	{ 6, { "HSET", HASH, "@version", "500", "x/y", "z" } },
	{ 6, { "HSET", HASH, "@version", "500", "s/r", "{\"phx_ref\":\"r\"}" } },
	{ 4, { "HSET", HASH, "@version", "no" } },
	{ 4, { "HSET", HASH, "@epoch", "3" } },
	{ 4, { "HSET", HASH, "@version", "9007199254740993" } },
	{ 3, { "HDEL", HASH, "@epoch" } },
	{ 3, { "HDEL", HASH, "@version" } },
	{ 2, { "DEL", HASH } },
};

START_TEST(a_hash_that_a_stranger_changed)
{
	struct viewer *v[2];

	start_pair(v);
	do_words(strange[_i].n, (const char **)strange[_i].words);
	/* The other one reads it before its owner notices; then there is an audit on each side. */
	tracker_resync(nodes[1].tracker);
	let_pass(1100);
	until_shown("t", 2);
	track(v[0], "x");
	until_shown("t", 3);
	untrack(v[0], "u0");
	until_shown("t", 2);
}
END_TEST

START_TEST(a_hash_that_is_none)
{
	struct viewer *v[2];

	start_pair(v);
	with_redis_do("SET roost:presence:{t}:a x");
	track(v[0], "x");
	until_shown("t", 3);
	look(&nodes[1], "t");
	until_shown("t", 3);
	let_pass(50);
	ck_assert_int_eq(with_redis_int("HLEN roost:presence:{t}:a"), 4);
}
END_TEST

/* A change that is too long for the bus: the others are told that there is one, and read it. */
START_TEST(a_long_change)
{
	struct viewer *v[2];
	char	       key[16], meta[640];
	uint64_t       reads;

	start_pair(v);
	memset(meta, 'x', sizeof(meta));
	memcpy(meta, "{\"n\":\"", 6);
	memcpy(meta + sizeof(meta) - 3, "\"}", 3);
	reads = stats->presence_reads_total;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(tracker_track(v[0]->member, slice_str(key), slice_str(meta)), 0);
	}
	until_shown("t", 2 + 1000);
	ck_assert_uint_eq(stats->presence_reads_total, reads + 1);
	untrack(v[0], "k0");
	until_shown("t", 2 + 999);
	ck_assert_uint_eq(stats->presence_reads_total, reads + 1);
}
END_TEST

/* A stranger's hash, in b's name, of which b has no idea. */
START_TEST(a_huge_hash)
{
	struct viewer *v;
	uint64_t       before;

	start_nodes(2);
	do_words(3, (const char *[]){ "EVAL",
	    "local function put(i, x)\n"
	    "	local meta = '{\"phx_ref\":\"r' .. i .. '\",\"x\":\"' .. x .. '\"}'\n"
	    "	redis.call('HSET', 'roost:presence:{big}:b', 'k' .. i .. '/r' .. i, meta)\n"
	    "end\n"
	    "for i = 1, 100000 do put(i, '') end\n"
	    "put(0, string.rep('x', 10000000))\n"
	    "redis.call('SADD', 'roost:presence:{big}', 'b')\n", "0" });
	let_pass(TIMEOUT_MS);
	until(all_meet, NULL);
	with_redis_do("HSET roost:presence:{big}:b @version 3 @epoch %llu",
	    (unsigned long long)cluster_epoch(nodes[1].cluster));
	before = clock_ms();
	v = look(&nodes[0], "big");
	for (int i = 0; tracker_count(nodes[0].tracker, SLICE("big")) == 0 && i < 500; i++)
		let_pass(10);
	ck_assert_uint_eq(tracker_count(nodes[0].tracker, SLICE("big")), 100000);
	ck_assert_uint_lt(clock_ms() - before, 5000);
	/* Too much for the model. */
	outq_clear_unsent(&v->out);
}
END_TEST

static bool
is_dropped(void *arg)
{
	return stats->bus_malformed_total >= *(uint64_t *)arg;
}

START_TEST(garbage_on_the_bus)
{
	static const char *const garbage[] = { "", "x", "{}", "{\"v\":1}", "{\"v\":2,\"node\":\"a\"}", "[1]", "\xff" };
	struct viewer	  *v[2];
	autobuf struct buf big = { 0 };
	/* The big one may hold up our own heartbeats for so long that the subscriptions are made anew. */
	uint64_t	   dropped = 2 * 7;

	start_pair(v);
	for (unsigned i = 0; i < 7; i++)
		with_redis_do("PUBLISH roost:p:{t} %s", garbage[i]);
	memset(buf_room(&big, (20 << 20) + 1), '{', 20 << 20);
	big.p[20 << 20] = '\0';
	do_words(3, (const char *[]){ "PUBLISH", "roost:p:{t}", big.p });
	with_redis_do("PUBLISH roost:p:{t} %s", "{\"v\":1,\"node\":\"stranger\",\"epoch\":5,\"from\":0,\"to\":1,"
	    "\"joins\":{\"s\":{\"metas\":[{\"phx_ref\":\"s\"}]}}}");
	track(v[0], "x");
	until_shown("t", 3);
	until(is_dropped, &dropped);
	ck_assert_uint_eq(leaves(), 0);
}
END_TEST

START_TEST(many_topics)
{
	enum { TOPICS = 400 };
	static struct viewer many[2][TOPICS];
	char		     topic[16];
	unsigned	     right = 0;

	start_nodes(2);
	for (int i = 0; i < TOPICS; i++)
		for (int n = 0; n < 2; n++) {
			snprintf(topic, sizeof(topic), "t%d", i);
			viewer_init(&many[n][i], loop);
			viewer_enter(&many[n][i], nodes[n].tracker, &nodes[n].pubsub, topic, "\"1\"");
			track(&many[n][i], n == 0 ? "u0" : "u1");
			if (i % 50 == 49)
				with_redis_do(n == 0 ? "CLIENT KILL TYPE pubsub" : "PING");
		}
	for (int wait = 0; right != 2 * TOPICS && wait < 100; wait++) {
		let_pass(50);
		right = 0;
		for (int i = 0; i < TOPICS; i++)
			for (int n = 0; n < 2; n++) {
				viewer_reads(&many[n][i]);
				right += many[n][i].model.n == 2;
			}
	}
	ck_assert_uint_eq(right, 2 * TOPICS);
	ck_assert_int_eq(with_redis_int("SCARD roost:node:a:topics"), TOPICS);
	for (int i = 0; i < TOPICS; i++)
		for (int n = 0; n < 2; n++)
			viewer_done(&many[n][i], &nodes[n].pubsub);
	let_pass(300);
	ck_assert_int_eq(with_redis_int("EXISTS roost:node:a:topics roost:node:b:topics"), 0);
	/* What is left: the two nodes, and who they are. */
	ck_assert_int_eq(with_redis_int("DBSIZE"), 3);
}
END_TEST

/* More than may be queued: the rest is written a second later. */
START_TEST(a_queue_that_is_full)
{
	enum { TOPICS = 300 };
	static struct viewer many[TOPICS];
	char		     topic[16];
	long long	     held = 0;

	max_queue = 32 << 10;
	start_nodes(1);
	for (int i = 0; i < TOPICS; i++) {
		snprintf(topic, sizeof(topic), "t%d", i);
		viewer_init(&many[i], loop);
		viewer_enter(&many[i], nodes[0].tracker, &nodes[0].pubsub, topic, "\"1\"");
		track(&many[i], "u");
	}
	for (int i = 0; held < TOPICS && i < 100; i++) {
		let_pass(100);
		held = with_redis_int("SCARD roost:node:a:topics");
	}
	ck_assert_int_eq(held, TOPICS);
	for (int i = 0; i < 100 && with_redis_int("EXISTS roost:presence:{t%d}:a", TOPICS - 1) == 0; i++)
		let_pass(100);
	for (int i = 0; i < TOPICS; i++)
		ck_assert_int_eq(with_redis_int("HLEN roost:presence:{t%d}:a", i), 3);
	for (int i = 0; i < TOPICS; i++)
		viewer_done(&many[i], &nodes[0].pubsub);
	for (int i = 0; i < 100 && with_redis_int("DBSIZE") > 2; i++)
		let_pass(100);
	ck_assert_int_eq(with_redis_int("DBSIZE"), 2);
}
END_TEST

START_TEST(emptied_and_filled_again)
{
	struct viewer *v[2];

	start_pair(v);
	for (int i = 0; i < 5; i++) {
		untrack(v[0], "u0");
		until_shown("t", 1);
		track(v[0], "u0");
		until_shown("t", 2);
	}
	ck_assert_uint_eq(leaves(), 10);
}
END_TEST

static struct buf listed;
static int list_error;
static bool list_told;

static void
on_list(void *arg, int error, struct slice json)
{
	list_error = error;
	listed.n = 0;
	buf_add_slice(&listed, json);
	list_told = true;
}

static bool
is_list_told(void *arg)
{
	return list_told;
}

static void
list(struct node *n, const char *topic)
{
	list_told = false;
	ck_assert_int_eq(presence_sync_list(n->sync, slice_str(topic), on_list, NULL), 0);
	ck_assert(!list_told);
	until(is_list_told, NULL);
}

START_TEST(a_list_for_who_does_not_look)
{
	struct viewer *v[2];
	struct model   m = { 0 };

	start_pair(v);
	start_nodes(3);
	track(v[1], "u0");
	until_shown("t", 3);
	list(&nodes[2], "t");
	ck_assert_int_eq(list_error, 0);
	model_state(&m, buf_slice(&listed));
	ck_assert_uint_eq(m.n, 3);
	ck_assert(model_equals(&v[0]->model, buf_slice(&listed)));
	model_clear(&m);
	/* Of nodes that are not up, nothing; and of nobody's topic, too. */
	with_redis_do("HSET roost:presence:{t}:dead @epoch 1 @version 1 x/r {\"phx_ref\":\"r\"}");
	with_redis_do("SADD roost:presence:{t} dead");
	list(&nodes[0], "t");
	ck_assert(model_equals(&v[0]->model, buf_slice(&listed)));
	list(&nodes[0], "nowhere");
	ck_assert(slice_is(buf_slice(&listed), "{}"));
	list_told = false;
	ck_assert_int_eq(presence_sync_list(nodes[2].sync, SLICE("t"), on_list, NULL), 0);
	node_dies(&nodes[2]);
	ck_assert(list_told);
	ck_assert_int_eq(list_error, -ECANCELED);
	with_redis_kill();
	let_pass(50);
	ck_assert_int_eq(presence_sync_list(nodes[0].sync, SLICE("t"), on_list, NULL), -ENOTCONN);
	buf_done(&listed);
}
END_TEST

/* Our place is another's by now: what we write is of no effect. */
START_TEST(an_outdated_owner_is_fenced)
{
	struct viewer *v;

	start_nodes(1);
	v = look(&nodes[0], "t");
	track(v, "u");
	until_shown("t", 1);
	let_pass(20);
	with_redis_do("HSET roost:presence:{t}:a @epoch %llu @version 1",
	    (unsigned long long)cluster_epoch(nodes[0].cluster) + 1);
	track(v, "x");
	until_shown("t", 2);
	let_pass(20);
	ck_assert_int_eq(with_redis_int("HLEN roost:presence:{t}:a"), 3);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
sync_suite(void)
{
	Suite *s = suite_create("sync");
	TCase *tc = tcase_create("sync");

	if (!with_redis_available())
		return s;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_one_tracks_all_show);
	tcase_add_test(tc, what_stands_in_redis);
	tcase_add_test(tc, a_newcomer_gets_all);
	tcase_add_test(tc, who_drops_out_is_taken_over_elsewhere);
	tcase_add_test(tc, killed_subscriptions);
	tcase_add_test(tc, a_lost_delta_is_found_by_heartbeats);
	tcase_add_test(tc, a_lost_first_delta_is_found_by_heartbeats);
	tcase_add_test(tc, a_lost_delta_is_found_by_the_audit);
	tcase_add_loop_test(tc, what_a_stranger_said_is_found_by_the_audit, 0, 4);
	tcase_add_test(tc, missing_heartbeats_are_noticed);
	tcase_add_test(tc, an_emptied_redis);
	tcase_add_test(tc, a_lost_hash_is_written_again);
	tcase_add_test(tc, a_lost_set_of_topics_is_written_again);
	tcase_add_test(tc, a_set_of_topics_that_is_none);
	tcase_add_test(tc, forgotten_scripts);
	tcase_add_test(tc, a_death);
	tcase_add_test(tc, a_death_behind_a_flush);
	tcase_add_test(tc, a_restart_under_the_same_id);
	tcase_add_test(tc, an_orderly_leave);
	tcase_add_test(tc, a_killed_redis);
	tcase_add_test(tc, emptied_while_cut_off);
	tcase_add_test(tc, emptied_without_an_answer);
	tcase_add_loop_test(tc, a_hash_that_a_stranger_changed, 0, N(strange));
	tcase_add_test(tc, a_hash_that_is_none);
	tcase_add_test(tc, a_long_change);
	tcase_add_test(tc, a_huge_hash);
	tcase_add_test(tc, garbage_on_the_bus);
	tcase_add_test(tc, many_topics);
	tcase_add_test(tc, a_queue_that_is_full);
	tcase_add_test(tc, emptied_and_filled_again);
	tcase_add_test(tc, a_list_for_who_does_not_look);
	tcase_add_test(tc, an_outdated_owner_is_fenced);
	suite_add_tcase(s, tc);
	return s;
}
