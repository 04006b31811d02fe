/*
 * Clusters of several nodes in one process and on one loop, over a real Redis: who is up, who dies and who cleans, and
 * what Redis can do to them.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "cluster/cluster_internal.h"
#include "with_redis.h"

Suite *cluster_suite(void);

#define BEAT_MS		20
#define TIMEOUT_MS	200
#define ANSWER_MS	2000
#define PATIENCE_MS	8000
#define MAX_PEERS	4
#define MAX_EVENTS	64

/* A node, and what it was told. */
struct peer {
	struct redis	*redis;
	struct cluster	*cluster;
	const char	*name;
	char		*events[MAX_EVENTS];	/* "up b", "down b", "renewed b", "clean b", "bus down", ... */
	unsigned	 n_events;
	unsigned	 places;
	uint64_t	 epoch;			/* of the last */
	uint64_t	 beats_before;		/* that were sent when it was told */
	unsigned	 beats;			/* that came with what write_beat adds */
	bool		 left;
	bool		 seen_written;		/* when another one came up, it had written */
	char		*nodes;			/* JSON */
};

static struct loop *loop;
static struct peer peers[MAX_PEERS];
static unsigned n_peers;

static void
note(struct peer *p, const char *fmt, ...)
{
	va_list ap;

	ck_assert_uint_lt(p->n_events, MAX_EVENTS);
	va_start(ap, fmt);
	ck_assert_int_ge(vasprintf(&p->events[p->n_events++], fmt, ap), 0);
	va_end(ap);
}

static unsigned
count(const struct peer *p, const char *event)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_events; i++)
		n += strcmp(p->events[i], event) == 0;
	return n;
}

static void
forget(struct peer *p)
{
	while (p->n_events > 0)
		free(p->events[--p->n_events]);
}

static void
on_up(void *arg)
{
	cluster_on_up(((struct peer *)arg)->cluster);
}

static void
on_down(void *arg, const char *why)
{
	cluster_on_down(((struct peer *)arg)->cluster);
}

static void
on_bus_up(void *arg)
{
	cluster_on_bus_up(((struct peer *)arg)->cluster);
}

static void
on_bus_down(void *arg, const char *why)
{
	note(arg, "bus down");
	cluster_on_bus_down(((struct peer *)arg)->cluster);
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
	struct peer *p = arg;
	char	     key[32];

	p->places++;
	p->epoch = epoch;
	p->beats_before = p->cluster->seq;
	ck_assert_uint_eq(cluster_epoch(p->cluster), epoch);
	snprintf(key, sizeof(key), "written:%s", p->name);
	ck_assert_int_eq(redis_command(p->redis, NULL, NULL, (struct slice[]){ SLICE("INCR"), slice_str(key) }, 2), 0);
}

static void
on_change(void *arg, struct slice node, uint64_t epoch, enum cluster_change change)
{
	static const char *const names[] = {
		[CLUSTER_UP] = "up", [CLUSTER_RENEWED] = "renewed", [CLUSTER_DOWN] = "down",
	};
	struct peer		*p = arg;
	char			 id[CLUSTER_MAX_NODE + 1];

	snprintf(id, sizeof(id), "%.*s", SLICE_ARG(node));
	note(p, "%s %s", names[change], id);
	ck_assert_int_eq(cluster_is_up(p->cluster, node), change != CLUSTER_DOWN);
	if (change == CLUSTER_UP)
		p->seen_written = with_redis_int("EXISTS written:%s", id) == 1;
}

static void
on_clean(void *arg, struct slice node, uint64_t epoch)
{
	note(arg, "clean %.*s", SLICE_ARG(node));
	ck_assert_uint_gt(epoch, 0);
}

static void
write_beat(void *arg, struct buf *out)
{
	buf_addf(out, ",\"mine\":\"%s\"", ((struct peer *)arg)->name);
}

static void
on_beat(void *arg, struct slice node, uint64_t epoch, struct slice beat)
{
	struct peer *p = arg;
	char	     want[64];

	snprintf(want, sizeof(want), ",\"mine\":\"%.*s\"}", SLICE_ARG(node));
	ck_assert(beat.n > strlen(want) && slice_is(slice_from(beat, beat.n - strlen(want)), want));
	p->beats++;
}

static void
on_message(void *arg, struct slice node, struct slice type, struct slice message)
{
	note(arg, "%.*s from %.*s: %.*s", SLICE_ARG(type), SLICE_ARG(node), SLICE_ARG(message));
}

static void
on_taken(void *arg, const char *why)
{
	note(arg, "taken");
	note(arg, "%s", why);
}

static const struct cluster_user events = {
	.on_place = on_place, .on_change = on_change, .on_clean = on_clean, .write_beat = write_beat, .on_beat = on_beat,
	.on_message = on_message, .on_taken = on_taken,
};

static struct peer *
start(const char *name)
{
	struct redis_options o = {
		.name = name, .connect_ms = 2000, .ping_ms = 1000, .answer_ms = ANSWER_MS, .backoff_ms = 10, .backoff_max_ms = 50,
		.max_queue = 1 << 20, .url.is_unix = true,
	};
	struct peer *p = &peers[n_peers++];

	ck_assert_uint_le(n_peers, MAX_PEERS);
	*p = (struct peer){ .name = name };
	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	p->redis = redis_new(loop, &o, &redis_events, p);
	p->cluster = cluster_new(loop, p->redis, &(struct cluster_options){
		.node = name, .prefix = "roost:", .host = "here", .listen = "127.0.0.1:4000", .version = "1.0",
		.beat_ms = BEAT_MS, .timeout_ms = TIMEOUT_MS,
	}, &events, p);
	return p;
}

/* A silent death: nothing is said to anybody. */
static void
stop(struct peer *p)
{
	p->cluster = cluster_free(p->cluster);
	p->redis = redis_free(p->redis);
}

static void
setup(void)
{
	with_redis_start();
	loop = loop_new();
	n_peers = 0;
	*stats = (struct stats){ 0 };
	ck_assert_int_eq(log_open(&(struct log_options){ .level = LOG_ERROR_ }), 0);
}

static void
teardown(void)
{
	for (unsigned i = 0; i < n_peers; i++) {
		stop(&peers[i]);
		forget(&peers[i]);
		free(peers[i].nodes);
	}
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

/* All that run are well and know each other. */
static bool
all_meet(void *arg)
{
	unsigned running = 0;

	for (unsigned i = 0; i < n_peers; i++)
		running += peers[i].cluster != NULL;
	for (unsigned i = 0; i < n_peers; i++) {
		struct cluster *c = peers[i].cluster;

		if (c != NULL && (!cluster_is_well(c) || cluster_count(c) != running))
			return false;
	}
	return true;
}

static void
start_and_meet(unsigned n)
{
	static const char *const names[MAX_PEERS] = { "a", "b", "c", "d" };

	for (unsigned i = 0; i < n; i++)
		start(names[i]);
	until(all_meet, NULL);
	for (unsigned i = 0; i < n; i++)
		forget(&peers[i]);
}

struct wanted {
	const struct peer *peer;
	const char	  *event;
	unsigned	   n;
};

static bool
is_told(void *arg)
{
	const struct wanted *w = arg;

	return count(w->peer, w->event) >= w->n;
}

static void
until_told(const struct peer *p, const char *event, unsigned n)
{
	struct wanted w = { p, event, n };

	ck_assert_msg(with_redis_turn_until(loop, is_told, &w, PATIENCE_MS), "%s was not told: %s", p->name, event);
}

static bool
is_placed_again(void *arg)
{
	struct peer *p = arg;

	return p->places > 1 && cluster_is_well(p->cluster);
}

static bool
nobody_is_down(void)
{
	for (unsigned i = 0; i < n_peers; i++)
		for (unsigned k = 0; k < peers[i].n_events; k++)
			if (strncmp(peers[i].events[k], "down ", 5) == 0 || strncmp(peers[i].events[k], "clean ", 6) == 0)
				return false;
	return true;
}

static long long
has_place(const char *node)
{
	redisReply *r = redisCommand(with_redis(), "ZSCORE roost:nodes %s", node);
	bool	    there = r != NULL && r->type == REDIS_REPLY_STRING;

	freeReplyObject(r);
	return there && with_redis_int("EXISTS roost:node:%s", node);
}

START_TEST(one_has_a_place)
{
	struct peer *p = start("a");

	ck_assert(!cluster_is_well(p->cluster));
	ck_assert_uint_eq(cluster_unwell_ms(p->cluster), UINT64_MAX);
	ck_assert_uint_eq(cluster_epoch(p->cluster), 0);
	until(all_meet, NULL);
	ck_assert_uint_eq(cluster_unwell_ms(p->cluster), 0);
	ck_assert_uint_eq(p->places, 1);
	ck_assert_uint_gt(p->epoch, UINT64_C(1600000000000));
	ck_assert(has_place("a"));
	ck_assert_int_le(with_redis_int("PTTL roost:node:a"), 2 * TIMEOUT_MS);
	ck_assert(cluster_is_up(p->cluster, SLICE("a")));
	ck_assert(!cluster_is_up(p->cluster, SLICE("b")));
	ck_assert_str_eq(cluster_node(p->cluster), "a");
	ck_assert_str_eq(cluster_prefix(p->cluster), "roost:");
	ck_assert_uint_eq(p->n_events, 0);
}
END_TEST

/* Whoever hears of a node finds what it has written. */
START_TEST(two_meet)
{
	struct peer *a = start("a"), *b = start("b");

	until(all_meet, NULL);
	ck_assert_uint_eq(count(a, "up b"), 1);
	ck_assert_uint_eq(count(b, "up a"), 1);
	ck_assert_uint_eq(a->beats_before, 0);
	ck_assert_uint_eq(b->beats_before, 0);
	ck_assert(a->seen_written);
	ck_assert(b->seen_written);
	ck_assert_uint_gt(a->beats, 0);
	let_pass(3 * TIMEOUT_MS);
	ck_assert_uint_eq(a->n_events, 1);
	ck_assert_uint_eq(b->n_events, 1);
}
END_TEST

static void
on_left(void *arg)
{
	((struct peer *)arg)->left = true;
}

static bool
has_left(void *arg)
{
	return ((struct peer *)arg)->left;
}

START_TEST(one_leaves)
{
	start_and_meet(2);
	ck_assert(cluster_is_up_since(peers[0].cluster, SLICE("b"), peers[1].epoch));
	cluster_leave(peers[1].cluster, on_left, &peers[1]);
	ck_assert(!peers[1].left);
	until(has_left, &peers[1]);
	ck_assert(!has_place("b"));
	until_told(&peers[0], "down b", 1);
	ck_assert(!cluster_is_up_since(peers[0].cluster, SLICE("b"), peers[1].epoch));
	let_pass(3 * TIMEOUT_MS);
	ck_assert_uint_eq(peers[0].n_events, 1);
	ck_assert(!has_place("b"));
	ck_assert(!cluster_is_well(peers[1].cluster));
}
END_TEST

START_TEST(one_leaves_without_redis)
{
	start_and_meet(1);
	with_redis_kill();
	cluster_leave(peers[0].cluster, on_left, &peers[0]);
	until(has_left, &peers[0]);
	with_redis_restart();
	let_pass(TIMEOUT_MS);
	ck_assert(!has_place("a"));
}
END_TEST

/* As far as all were told of a death: each once. One cleans; two may, where both claim in the same moment. */
static void
check_death(const char *name, unsigned survivors)
{
	char	 down[16], clean[16];
	unsigned cleans = 0;

	snprintf(down, sizeof(down), "down %s", name);
	snprintf(clean, sizeof(clean), "clean %s", name);
	for (unsigned i = 0; i < survivors; i++)
		until_told(&peers[i], down, 1);
	let_pass(2 * TIMEOUT_MS);
	for (unsigned i = 0; i < survivors; i++) {
		ck_assert_uint_eq(count(&peers[i], down), 1);
		ck_assert_uint_le(count(&peers[i], clean), 1);
		cleans += count(&peers[i], clean);
	}
	ck_assert_uint_ge(cleans, 1);
	ck_assert(!has_place(name));
}

START_TEST(one_dies)
{
	uint64_t from;

	start_and_meet(4);
	stop(&peers[3]);
	from = loop->now;
	ck_assert(cluster_is_up_since(peers[0].cluster, SLICE("d"), peers[3].epoch));
	until_told(&peers[0], "down d", 1);
	ck_assert(!cluster_is_up_since(peers[0].cluster, SLICE("d"), peers[3].epoch));
	ck_assert_uint_ge(loop->now - from, TIMEOUT_MS - BEAT_MS - WHEEL_TICK_MS);
	check_death("d", 3);
}
END_TEST

START_TEST(two_die)
{
	start_and_meet(4);
	stop(&peers[3]);
	stop(&peers[2]);
	check_death("d", 2);
	check_death("c", 2);
}
END_TEST

/* Before it could notice that Redis has lost its place. */
START_TEST(one_dies_behind_a_flush)
{
	start_and_meet(3);
	with_redis_do("FLUSHALL");
	stop(&peers[2]);
	check_death("c", 2);
}
END_TEST

/* Our claim was executed, and its word came back; but who is to clean was said by the answer alone. */
START_TEST(a_claim_without_an_answer)
{
	start_and_meet(2);
	stop(&peers[1]);
	with_redis_do("ZREM roost:nodes b");
	with_redis_do("DEL roost:node:b");
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"a\",\"type\":\"down\",\"dead\":\"b\",\"epoch\":%llu}",
	    (unsigned long long)peers[1].epoch);
	check_death("b", 1);
}
END_TEST

/* It died before we came: only the registry knows of it. */
START_TEST(the_dead_from_before_are_cleaned)
{
	with_redis_do("ZADD roost:nodes 1600000000000 ghost");
	start("a");
	start("b");
	until(all_meet, NULL);
	check_death("ghost", 2);
}
END_TEST

/* The clock of Redis went back an hour; who has beaten since has a score of the new time. */
START_TEST(a_score_from_the_future_is_nobodys_life)
{
	with_redis_do("ZADD roost:nodes 9999999999999 ghost");
	start_and_meet(2);
	check_death("ghost", 2);
}
END_TEST

static bool
keeps_ghost_fresh(void *arg)
{
	with_redis_do("EVAL %s 1 roost:nodes ghost", "local t = redis.call('TIME') "
	    "redis.call('ZADD', KEYS[1], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[1])");
	return false;
}

START_TEST(who_is_fresh_in_redis_is_not_called_down)
{
	keeps_ghost_fresh(NULL);
	start_and_meet(1);
	with_redis_turn_until(loop, keeps_ghost_fresh, NULL, 3 * TIMEOUT_MS);
	ck_assert(nobody_is_down());
	check_death("ghost", 1);
}
END_TEST

/* Same host and a living process: it must wait until it knows better. */
START_TEST(a_restart_under_the_same_id)
{
	struct peer *again;
	uint64_t     before;

	start_and_meet(2);
	before = peers[1].epoch;
	stop(&peers[1]);
	again = start("b");
	until(all_meet, NULL);
	ck_assert_uint_gt(again->epoch, before);
	ck_assert_uint_eq(count(again, "taken"), 0);
	ck_assert_uint_eq(count(&peers[0], "renewed b") + count(&peers[0], "up b"), 1);
	ck_assert(!cluster_is_up_since(peers[0].cluster, SLICE("b"), before));
	ck_assert(cluster_is_up_since(peers[0].cluster, SLICE("b"), again->epoch));
	ck_assert(cluster_is_up_since(again->cluster, SLICE("b"), again->epoch));
	ck_assert(!cluster_is_up_since(again->cluster, SLICE("b"), before));
	/* It is heard of soon. */
	ck_assert(cluster_is_up_since(peers[0].cluster, SLICE("b"), again->epoch + 1));
}
END_TEST

static bool
has_looked(void *arg)
{
	return ((struct peer *)arg)->cluster->looked;
}

/* Before the registry was read nobody is held to be dead; then whoever does not stand there, or is silent for too long. */
START_TEST(who_is_up_at_the_start)
{
	struct peer *a;

	with_redis_do("ZADD roost:nodes 1600000000000 ghost");
	with_redis_do("HSET roost:node:ghost epoch 7 boot x");
	a = start("a");
	ck_assert(!cluster_is_up_since(a->cluster, SLICE("a"), 0));
	ck_assert(cluster_is_up_since(a->cluster, SLICE("b"), 1));
	until(has_looked, a);
	ck_assert(!cluster_is_up_since(a->cluster, SLICE("b"), 1));
	ck_assert(cluster_is_up_since(a->cluster, SLICE("ghost"), 7));
	until_told(a, "down ghost", 1);
	ck_assert(!cluster_is_up_since(a->cluster, SLICE("ghost"), 7));
}
END_TEST

/* Puts another process in b's place, fresh for a minute to come. */
static void
pretend(const char *host, long pid)
{
	with_redis_do("HSET roost:node:b epoch 1700000000000 boot another host %s pid %ld", host, pid);
	with_redis_do("EVAL %s 1 roost:nodes b", "local t = redis.call('TIME') "
	    "redis.call('ZADD', KEYS[1], t[1] * 1000 + math.floor(t[2] / 1000) + 100, ARGV[1])");
}

static long
dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_gt(pid, 0);
	waitpid(pid, NULL, 0);
	return pid;
}

START_TEST(a_dead_process_of_this_host_does_not_keep_us_waiting)
{
	pretend("here", dead_pid());
	start("b");
	until(all_meet, NULL);
	ck_assert_uint_lt(loop->now - peers[0].cluster->started, TIMEOUT_MS);
	ck_assert_uint_gt(peers[0].epoch, UINT64_C(1700000000000));
}
END_TEST

START_TEST(a_dead_process_elsewhere_keeps_us_waiting)
{
	pretend("there", dead_pid());
	start("b");
	let_pass(TIMEOUT_MS / 2);
	ck_assert_uint_eq(peers[0].places, 0);
	until(all_meet, NULL);
	ck_assert_uint_eq(count(&peers[0], "taken"), 0);
}
END_TEST

START_TEST(a_taken_id_is_refused)
{
	struct peer *second;
	char	     why[128];

	start_and_meet(1);
	second = start("a");
	until_told(second, "taken", 1);
	snprintf(why, sizeof(why), "node id a is taken by process %ld on here", (long)getpid());
	ck_assert_uint_eq(count(second, why), 1);
	let_pass(2 * TIMEOUT_MS);
	ck_assert_uint_eq(second->places, 0);
	ck_assert_uint_eq(count(second, "taken"), 1);
	ck_assert(cluster_is_well(peers[0].cluster));
	ck_assert_uint_eq(peers[0].places, 1);
}
END_TEST

/* Somebody took our place while we could not know; as long as it lives, we are not its owner. */
START_TEST(who_was_taken_over_gives_way)
{
	start("b");
	until(all_meet, NULL);
	pretend("there", 7);
	while (count(&peers[0], "taken") == 0 && loop->now < peers[0].cluster->started + PATIENCE_MS) {
		pretend("there", 7);
		let_pass(BEAT_MS);
	}
	ck_assert_uint_eq(count(&peers[0], "node id b is taken by process 7 on there"), 1);
	ck_assert_uint_eq(peers[0].places, 1);
	ck_assert_uint_eq(cluster_epoch(peers[0].cluster), 0);
	ck_assert(!cluster_is_well(peers[0].cluster));
	ck_assert_uint_lt(cluster_unwell_ms(peers[0].cluster), PATIENCE_MS);
}
END_TEST

/* All that run have had a second place, and are well. */
static bool
all_have_a_new_place(void *arg)
{
	for (unsigned i = 0; i < n_peers; i++)
		if (!is_placed_again(&peers[i]))
			return false;
	return all_meet(arg);
}

START_TEST(flushed)
{
	uint64_t before[2];

	start_and_meet(2);
	for (int i = 0; i < 2; i++)
		before[i] = peers[i].epoch;
	with_redis_do("FLUSHALL");
	until(all_have_a_new_place, NULL);
	until_told(&peers[0], "renewed b", 1);
	until_told(&peers[1], "renewed a", 1);
	let_pass(2 * TIMEOUT_MS);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_gt(peers[i].epoch, before[i]);
		ck_assert_uint_eq(peers[i].places, 2);
		ck_assert_uint_eq(peers[i].n_events, 1);
		/* It is the same process all the time. */
		ck_assert_uint_eq(cluster_since(peers[i].cluster), before[i]);
		ck_assert(cluster_is_up_since(peers[0].cluster, slice_str(cluster_node(peers[i].cluster)), before[i]));
		ck_assert(!cluster_is_up_since(peers[0].cluster, slice_str(cluster_node(peers[i].cluster)), before[i] - 1));
	}
	ck_assert(has_place("a") && has_place("b"));
}
END_TEST

/* Longer than the timeout, and longer than a connection waits for an answer. */
static const unsigned pauses[] = { 3 * TIMEOUT_MS, ANSWER_MS + 2 * TIMEOUT_MS };

START_TEST(redis_paused_longer_than_the_timeout)
{
	start_and_meet(3);
	with_redis_pause();
	let_pass(pauses[_i]);
	ck_assert(!cluster_is_well(peers[0].cluster));
	ck_assert_uint_gt(cluster_unwell_ms(peers[0].cluster), TIMEOUT_MS);
	with_redis_continue();
	until(all_meet, NULL);
	let_pass(3 * TIMEOUT_MS);
	ck_assert(nobody_is_down());
	stop(&peers[2]);
	check_death("c", 2);
}
END_TEST

START_TEST(redis_killed_and_empty)
{
	uint64_t before;

	start_and_meet(2);
	before = peers[0].epoch;
	with_redis_kill();
	let_pass(2 * TIMEOUT_MS);
	ck_assert(!cluster_is_well(peers[0].cluster));
	ck_assert_int_eq(cluster_say(peers[0].cluster, "kick", SLICE("")), -ENOTCONN);
	with_redis_restart();
	until(all_have_a_new_place, NULL);
	let_pass(2 * TIMEOUT_MS);
	ck_assert_uint_gt(peers[0].epoch, before);
	ck_assert(nobody_is_down());
	ck_assert(all_meet(NULL));
}
END_TEST

/* Also: a node that starts before its Redis. */
START_TEST(redis_comes_late)
{
	with_redis_kill();
	start("a");
	let_pass(TIMEOUT_MS);
	ck_assert_uint_eq(cluster_unwell_ms(peers[0].cluster), UINT64_MAX);
	with_redis_restart();
	until(all_meet, NULL);
}
END_TEST

START_TEST(subscribers_killed)
{
	start_and_meet(2);
	with_redis_do("CLIENT KILL TYPE pubsub");
	until_told(&peers[0], "bus down", 1);
	until_told(&peers[1], "bus down", 1);
	let_pass(2 * TIMEOUT_MS);
	until(all_meet, NULL);
	ck_assert(nobody_is_down());
	ck_assert_uint_eq(peers[0].n_events, 1);
	stop(&peers[1]);
	check_death("b", 1);
}
END_TEST

/* The connection comes back and finds the place as it was. */
START_TEST(commands_killed)
{
	uint64_t before;

	start_and_meet(2);
	before = peers[0].epoch;
	with_redis_do("CLIENT KILL TYPE normal SKIPME yes");
	until(all_have_a_new_place, NULL);
	ck_assert_uint_eq(peers[0].epoch, before);
	ck_assert_uint_eq(peers[0].n_events, 0);
}
END_TEST

START_TEST(our_beats_do_not_come_back)
{
	start_and_meet(1);
	redis_unsubscribe(peers[0].cluster->sub);
	peers[0].cluster->sub = NULL;
	until_told(&peers[0], "bus down", 1);
	ck_assert(!cluster_is_well(peers[0].cluster));
}
END_TEST

START_TEST(stood_still)
{
	uint64_t before;

	start_and_meet(2);
	before = peers[0].epoch;
	cluster_on_stood(peers[0].cluster, TIMEOUT_MS - 1);
	ck_assert(cluster_is_well(peers[0].cluster));
	cluster_on_stood(peers[0].cluster, TIMEOUT_MS);
	ck_assert(!cluster_is_well(peers[0].cluster));
	ck_assert_uint_eq(cluster_epoch(peers[0].cluster), 0);
	until(is_placed_again, &peers[0]);
	until(all_meet, NULL);
	ck_assert_uint_eq(peers[0].epoch, before);
	ck_assert_uint_eq(count(&peers[0], "bus down"), 1);
	ck_assert(nobody_is_down());
}
END_TEST

/* Meanwhile others have given it up. */
START_TEST(stood_still_and_given_up)
{
	uint64_t before;

	start_and_meet(2);
	before = peers[0].epoch;
	with_redis_do("ZREM roost:nodes a");
	with_redis_do("DEL roost:node:a");
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"c\",\"type\":\"down\",\"dead\":\"a\",\"epoch\":%llu}",
	    (unsigned long long)before);
	cluster_on_stood(peers[0].cluster, TIMEOUT_MS);
	until(is_placed_again, &peers[0]);
	until(all_meet, NULL);
	ck_assert_uint_gt(peers[0].epoch, before);
	ck_assert_uint_eq(count(&peers[1], "down a"), 1);
	ck_assert_uint_eq(count(&peers[1], "up a"), 1);
	ck_assert_uint_eq(count(&peers[1], "clean a"), 0);
}
END_TEST

START_TEST(called_dead)
{
	start_and_meet(2);
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"c\",\"type\":\"down\",\"dead\":\"a\",\"epoch\":%llu}",
	    (unsigned long long)peers[0].epoch - 1);
	let_pass(2 * BEAT_MS);
	ck_assert_uint_eq(peers[0].places, 1);
	ck_assert(nobody_is_down());
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"c\",\"type\":\"down\",\"dead\":\"a\",\"epoch\":%llu}",
	    (unsigned long long)peers[0].epoch);
	until(is_placed_again, &peers[0]);
	until_told(&peers[1], "up a", 1);
	ck_assert_uint_eq(count(&peers[1], "down a"), 1);
}
END_TEST

static bool
is_beyond(void *arg)
{
	const uint64_t *epoch = arg;

	return peers[1].epoch > *epoch && cluster_is_up(peers[0].cluster, SLICE("b"));
}

/* As after a start while Redis' clock was behind: what the others remember of b is from the future. */
START_TEST(an_epoch_behind_what_others_know)
{
	uint64_t future;

	start_and_meet(2);
	future = peers[1].epoch + 3600000;
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"b\",\"type\":\"beat\",\"epoch\":%llu,\"seq\":1,\"mine\":\"b\"}",
	    (unsigned long long)future);
	until_told(&peers[0], "renewed b", 1);
	until(is_beyond, &future);
	ck_assert_uint_eq(peers[1].places, 2);
	ck_assert_uint_eq(count(&peers[0], "clean b"), 0);
	until(all_meet, NULL);
}
END_TEST

/* What no node could follow is not believed, of whomever it is said. */
START_TEST(an_epoch_beyond_all)
{
	const uint64_t malformed = stats->bus_malformed_total;

	start_and_meet(2);
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"c\",\"type\":\"down\",\"dead\":\"a\",\"epoch\":%llu}",
	    (unsigned long long)1 << 53);
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"b\",\"type\":\"beat\",\"epoch\":%llu,\"seq\":1,\"mine\":\"b\"}",
	    (unsigned long long)1 << 53);
	let_pass(5 * BEAT_MS);
	ck_assert_uint_eq(stats->bus_malformed_total, malformed + 4);
	ck_assert_uint_eq(peers[0].places, 1);
	ck_assert_uint_eq(count(&peers[0], "renewed b"), 0);
	ck_assert(cluster_is_up(peers[0].cluster, SLICE("b")));
}
END_TEST

/* The same where the registry has it of old: under the own id, and under another. */
START_TEST(an_epoch_beyond_all_in_the_registry)
{
	with_redis_do("HSET roost:node:a epoch %llu", (unsigned long long)1 << 53);
	with_redis_do("HSET roost:node:b epoch %llu", (unsigned long long)1 << 53);
	with_redis_do("ZADD roost:nodes 1 b");
	start_and_meet(2);
	ck_assert_uint_lt(peers[0].epoch, (uint64_t)1 << 52);
	ck_assert_uint_lt(peers[1].epoch, (uint64_t)1 << 52);
}
END_TEST

START_TEST(beats_are_missed)
{
	start_and_meet(2);
	peers[1].cluster->seq += 3;
	until_told(&peers[0], "renewed b", 1);
	let_pass(5 * BEAT_MS);
	ck_assert_uint_eq(peers[0].n_events, 1);
}
END_TEST

START_TEST(all_hear_what_one_says)
{
	const char *want = "kick from a: {\"v\":1,\"node\":\"a\",\"type\":\"kick\",\"user\":\"7\"}";

	start_and_meet(2);
	ck_assert_int_eq(cluster_say(peers[0].cluster, "kick", SLICE(",\"user\":\"7\"")), 0);
	until_told(&peers[0], want, 1);
	until_told(&peers[1], want, 1);
}
END_TEST

START_TEST(nonsense_is_dropped)
{
	start_and_meet(1);
	with_redis_do("PUBLISH roost:cluster nonsense");
	with_redis_do("PUBLISH roost:cluster {\"v\":2}");
	with_redis_do("PUBLISH roost:cluster {\"v\":1,\"node\":\"x/y\",\"type\":\"beat\",\"epoch\":1,\"seq\":1}");
	let_pass(2 * BEAT_MS);
	ck_assert_uint_eq(stats->bus_malformed_total, 3);
	ck_assert_uint_eq(peers[0].n_events, 0);
	ck_assert(cluster_is_well(peers[0].cluster));
}
END_TEST

static void
on_nodes(void *arg, int error, struct slice json)
{
	struct peer *p = arg;

	p->nodes = error == 0 ? xstrndup(json.p, json.n) : xasprintf("%d", error);
}

static bool
has_nodes(void *arg)
{
	return ((struct peer *)arg)->nodes != NULL;
}

START_TEST(the_registry)
{
	struct peer   *p;
	autofree char *want = NULL;
	const char    *want_load;

	start_and_meet(2);
	p = &peers[0];
	cluster_set_load(peers[1].cluster, &(struct cluster_load){ 1, 6, 2, 3, 4, 5 });
	let_pass(3 * BEAT_MS);
	with_redis_do("HSET roost:node:b host %s listen %s version %s", "\"\\", "\xff", "");
	ck_assert_int_eq(cluster_nodes(p->cluster, on_nodes, p), 0);
	until(has_nodes, p);
	ck_assert_ptr_nonnull(strstr(p->nodes, "{\"node\":\"a\",\"up\":true,\"beat_ms\":"));
	ck_assert_ptr_nonnull(strstr(p->nodes, "{\"node\":\"b\",\"up\":true,\"beat_ms\":"));
	want = xasprintf("\"epoch\":%llu,", (unsigned long long)peers[1].epoch);
	ck_assert_ptr_nonnull(strstr(p->nodes, want));
	want_load = "\"connections\":1,\"clients\":6,\"channels\":2,\"topics\":3,\"messages_in\":4,\"frames_out\":5";
	ck_assert_ptr_nonnull(strstr(p->nodes, want_load));
	ck_assert_ptr_nonnull(strstr(p->nodes, "\"listen\":\"127.0.0.1:4000\""));
	ck_assert_ptr_nonnull(strstr(p->nodes, "\"host\":\"\\\"\\\\\""));
	ck_assert_ptr_null(strstr(p->nodes, "boot"));
	ck_assert_ptr_null(strstr(p->nodes, "\xff"));
	ck_assert_int_eq(p->nodes[strlen(p->nodes) - 1], ']');
}
END_TEST

START_TEST(the_registry_is_away)
{
	start_and_meet(1);
	ck_assert_int_eq(cluster_nodes(peers[0].cluster, on_nodes, &peers[0]), 0);
	with_redis_kill();
	until(has_nodes, &peers[0]);
	if (peers[0].nodes[0] != '[')
		ck_assert_int_eq(atol(peers[0].nodes), -ENOTCONN);
	let_pass(BEAT_MS);
	ck_assert_int_eq(cluster_nodes(peers[0].cluster, on_nodes, &peers[0]), -ENOTCONN);
}
END_TEST

/* Answers that come for one that is freed reach nobody. */
START_TEST(freed_while_answers_are_due)
{
	start_and_meet(1);
	ck_assert_int_eq(cluster_nodes(peers[0].cluster, on_nodes, &peers[0]), 0);
	cluster_leave(peers[0].cluster, on_left, &peers[0]);
	peers[0].cluster = cluster_free(peers[0].cluster);
	stop(&peers[0]);
	ck_assert_ptr_null(peers[0].nodes);
	ck_assert(!peers[0].left);
	ck_assert_ptr_null(cluster_free(NULL));
}
END_TEST

Suite *
cluster_suite(void)
{
	Suite *s = suite_create("cluster");
	TCase *t = tcase_create("cluster");

	suite_add_tcase(s, t);
	if (!with_redis_available())
		return s;
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_has_a_place);
	tcase_add_test(t, two_meet);
	tcase_add_test(t, one_leaves);
	tcase_add_test(t, one_leaves_without_redis);
	tcase_add_test(t, one_dies);
	tcase_add_test(t, two_die);
	tcase_add_test(t, one_dies_behind_a_flush);
	tcase_add_test(t, a_claim_without_an_answer);
	tcase_add_test(t, the_dead_from_before_are_cleaned);
	tcase_add_test(t, a_score_from_the_future_is_nobodys_life);
	tcase_add_test(t, who_is_fresh_in_redis_is_not_called_down);
	tcase_add_test(t, a_restart_under_the_same_id);
	tcase_add_test(t, who_is_up_at_the_start);
	tcase_add_test(t, a_dead_process_of_this_host_does_not_keep_us_waiting);
	tcase_add_test(t, a_dead_process_elsewhere_keeps_us_waiting);
	tcase_add_test(t, a_taken_id_is_refused);
	tcase_add_test(t, who_was_taken_over_gives_way);
	tcase_add_test(t, flushed);
	tcase_add_loop_test(t, redis_paused_longer_than_the_timeout, 0, (int)(sizeof(pauses) / sizeof(pauses[0])));
	tcase_add_test(t, redis_killed_and_empty);
	tcase_add_test(t, redis_comes_late);
	tcase_add_test(t, subscribers_killed);
	tcase_add_test(t, commands_killed);
	tcase_add_test(t, our_beats_do_not_come_back);
	tcase_add_test(t, stood_still);
	tcase_add_test(t, stood_still_and_given_up);
	tcase_add_test(t, called_dead);
	tcase_add_test(t, an_epoch_behind_what_others_know);
	tcase_add_test(t, an_epoch_beyond_all);
	tcase_add_test(t, an_epoch_beyond_all_in_the_registry);
	tcase_add_test(t, beats_are_missed);
	tcase_add_test(t, all_hear_what_one_says);
	tcase_add_test(t, nonsense_is_dropped);
	tcase_add_test(t, the_registry);
	tcase_add_test(t, the_registry_is_away);
	tcase_add_test(t, freed_while_answers_are_due);
	return s;
}
