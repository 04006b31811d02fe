/*
 * Transactions and lists of two nodes with a real Redis between them, whose connections break.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "history/history.h"
#include "history/userlists.h"
#include "net/redis.h"
#include "with_redis.h"

Suite *transact_suite(void);

#define WAIT_MS	10000
#define MAX_GOT	1000
#define EACH	20	/* transactions of a node */

/* A node with one subscriber of "t", and one who looks at u's list. */
struct side {
	struct redis	*redis;
	struct pubsub	 ps;
	struct history	*history;
	struct feed	*feed;
	struct outq	 out;
	struct subscriber hearer;
	unsigned long	 got[MAX_GOT];
	unsigned	 n;
	struct userlists *lists;
	struct userlist_view view;
	unsigned	 opened, changed;
};

static const struct history_limits limits = { .max = 1000, .age_ms = 3600 * 1000 };
static struct loop *loop;
static struct side sides[2];
static struct side *const a = &sides[0], *const b = &sides[1];
static unsigned n_decided, n_done, n_posted, n_failed;

static void
nothing(void *arg)
{
}

static void
nothing_why(void *arg, const char *why)
{
}

static void
on_bus_up(void *arg)
{
	history_resync(((struct side *)arg)->history);
}

static const struct redis_user user = {
	.on_up = nothing, .on_down = nothing_why, .on_bus_up = on_bus_up, .on_bus_down = nothing_why, .on_refused = nothing_why,
};

static unsigned long
number_of(struct slice payload)
{
	return strtoul(payload.p + 5, NULL, 10);
}

static void
flush(struct outq *q)
{
	struct side *s = container_of(q, struct side, out);

	for (unsigned i = 0; i < q->n; i++) {
		struct frame *f = outq_at(q, i);
		const char   *n = memmem(frame_body(f), frame_body_len(f), "{\"n\":", 5);

		ck_assert_uint_lt(s->n, MAX_GOT);
		if (n != NULL)
			s->got[s->n++] = strtoul(n + 5, NULL, 10);
	}
	outq_clear_unsent(q);
}

/* The other node is told. */
static void
say(void *arg, struct slice who, struct slice list)
{
	struct side *s = arg;

	userlists_on_changed(s == a ? b->lists : a->lists, who, list);
}

static void
side_begin(struct side *s, const char *node)
{
	struct redis_options o = {
		.url = { .is_unix = true }, .name = node, .connect_ms = 2000, .ping_ms = 1000, .answer_ms = 2000, .backoff_ms = 20,
		.backoff_max_ms = 100, .max_queue = 1024 * 1024
	};
	struct store *store;

	*s = (struct side){ .hearer = { .out = &s->out, .codec = &codec_phoenix_v2 } };
	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	outq_init(&s->out, loop, flush);
	s->redis = redis_new(loop, &o, &user, s);
	pubsub_init(&s->ps, loop, broker_redis_new(loop, s->redis, "test:", node, 100));
	store = store_redis_new(s->redis, "test:", node);
	s->lists = userlists_new(loop, store, say, s);
	s->history = history_new(loop, &s->ps, store, &(struct history_options){ .check_ms = 300, .max_held = 1024 * 1024 });
	s->feed = feed_open(s->history, SLICE("t"), &limits);
	hub_subscribe(&s->ps.hub, &s->hearer, SLICE("t"));
}

static void
side_end(struct side *s)
{
	hub_unsubscribe(&s->ps.hub, &s->hearer);
	userlist_close(&s->view);
	if (s->feed != NULL)
		feed_close(s->feed);
	history_free(s->history);
	userlists_free(s->lists);
	pubsub_done(&s->ps);
	redis_free(s->redis);
	outq_done(&s->out);
}

/* Both hear the topic, and know where its stream is. */
static bool
both_up(void *arg)
{
	for (unsigned i = 0; i < 2; i++) {
		struct broker *broker = sides[i].ps.broker;

		if (!redis_is_up(sides[i].redis) || !broker->ops->is_subscribed(broker, SLICE("t")))
			return false;
	}
	return true;
}

static bool
never(void *arg)
{
	return false;
}

static void
set_up(void)
{
	with_redis_start();
	loop = loop_new();
	n_decided = n_done = n_posted = n_failed = 0;
	side_begin(a, "n1");
	side_begin(b, "n2");
	ck_assert(with_redis_turn_until(loop, both_up, NULL, WAIT_MS));
	with_redis_turn_until(loop, never, NULL, 50);
}

static void
tear_down(void)
{
	side_end(a);
	side_end(b);
	loop_free(loop);
	with_redis_end();
}

/* The number behind the newest one's. */
static bool
decides_next(void *arg, struct history_change *change)
{
	n_decided++;
	buf_add_str(&change->event, "m");
	buf_addf(&change->payload, "{\"n\":%lu}", change->newest != NULL ? number_of(change->newest->payload) + 1 : 1);
	return true;
}

static void
on_done(void *arg, int error, struct slice id)
{
	n_done++;
	n_posted += error == 0 && id.p != NULL;
	n_failed += error != 0;
}

static const struct transaction_user next = { .decide = decides_next, .done = on_done };

static bool
all_done(void *arg)
{
	return n_done == 2 * EACH;
}

/* Both have as many as stand in the stream. */
static bool
all_heard(void *arg)
{
	unsigned n = (unsigned)with_redis_int("XLEN test:history:{t}");

	return a->n == n && b->n == n;
}

static void
check_order(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(a->got[i], i + 1);
		ck_assert_uint_eq(b->got[i], i + 1);
	}
}

START_TEST(two_nodes_race)
{
	for (unsigned i = 0; i < EACH; i++) {
		history_transact(a->feed, &next, SLICE("u"), false);
		history_transact(b->feed, &next, SLICE(""), false);
	}
	ck_assert(with_redis_turn_until(loop, all_done, NULL, WAIT_MS));
	ck_assert_uint_eq(n_posted, 2 * EACH);
	ck_assert_uint_gt(n_decided, n_posted);
	ck_assert(with_redis_turn_until(loop, all_heard, NULL, WAIT_MS));
	ck_assert_uint_eq(a->n, 2 * EACH);
	check_order(2 * EACH);
	ck_assert(!history_is_transacting(a->history));
}
END_TEST

/* Whatever is lost, each message was decided on the one before it; and who insists is done. */
START_TEST(everything_breaks)
{
	for (unsigned i = 0; i < EACH; i++) {
		history_transact(a->feed, &next, SLICE("u"), _i == 1);
		history_transact(b->feed, &next, SLICE("u"), _i == 1);
		with_redis_turn_until(loop, never, NULL, 2);
		if (i % 4 == 1)
			with_redis_do("CLIENT KILL TYPE normal SKIPME yes");
	}
	ck_assert(with_redis_turn_until(loop, all_done, NULL, WAIT_MS));
	ck_assert_uint_eq(n_posted + n_failed, 2 * EACH);
	ck_assert_uint_gt(n_posted, 0);
	if (_i == 1)
		ck_assert_uint_eq(n_failed, 0);
	ck_assert(with_redis_turn_until(loop, all_heard, NULL, WAIT_MS));
	ck_assert_uint_ge(a->n, n_posted);
	check_order(a->n);
}
END_TEST

/* The newest message outlives the others' age, and is decided on. */
START_TEST(the_newest_is_old)
{
	const struct history_limits state = { .max = 1000, .age_ms = 60 * 1000, .last_ms = 3600 * 1000 };

	for (unsigned i = 0; i < 2; i++) {
		feed_close(sides[i].feed);
		sides[i].feed = NULL;
	}
	with_redis_do("EVAL %s 1 test:history:{t}", "local t = redis.call('TIME')[1] - 600 "
	    "redis.call('XADD', KEYS[1], t .. '000-0', 'event', 'm', 'payload', '{\"n\":41}', 'tail', '7')");
	a->feed = feed_open(a->history, SLICE("t"), &state);
	history_transact(a->feed, &next, SLICE("u"), false);
	n_done = 2 * EACH - 1;
	ck_assert(with_redis_turn_until(loop, all_done, NULL, WAIT_MS));
	ck_assert_uint_eq(n_posted, 1);
	ck_assert_int_eq(with_redis_int("EVAL %s 1 test:history:{t}",
	    "local m = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][2] "
	    "for i = 1, #m, 2 do if m[i] == 'payload' then return m[i + 1] == '{\"n\":42}' and 1 or 0 end end"), 1);
}
END_TEST

static struct transaction *under_way;

static bool
decides_and_cancels(void *arg, struct history_change *change)
{
	transaction_cancel(under_way);
	return decides_next(arg, change);
}

/* Told nothing behind the end, whatever it was waiting for; or it ends as it decides. */
START_TEST(cancelled)
{
	const struct transaction_user cancels = { .decide = decides_and_cancels, .done = on_done };
	struct transaction *t = under_way = history_transact(a->feed, _i == 2 ? &cancels : &next, SLICE("u"), true);

	while (_i >= 1 && n_decided == 0)
		loop_turn(loop, true);
	if (_i < 2)
		transaction_cancel(t);
	transaction_cancel(NULL);
	with_redis_turn_until(loop, never, NULL, 100);
	ck_assert_uint_eq(n_done, 0);
	ck_assert_uint_eq(n_decided, _i >= 1);
	ck_assert_int_eq(with_redis_int("XLEN test:history:{t}"), _i == 1);
	ck_assert(!history_is_transacting(a->history));
	/* And the end comes in the midst of one. */
	history_transact(a->feed, &next, SLICE("u"), true);
}
END_TEST

static void
on_opened(struct userlist_view *view, int error)
{
	ck_assert_int_eq(error, 0);
	container_of(view, struct side, view)->opened++;
}

static void
on_changed(struct userlist_view *view)
{
	container_of(view, struct side, view)->changed++;
}

static void
on_listed(void *arg, int error)
{
	n_done++;
	n_failed += error != 0;
}

static bool
both_opened(void *arg)
{
	return a->opened == 1 && b->opened == 1;
}

static bool
both_changed(void *arg)
{
	return n_done == 2 && userlist_count(&a->view) == 2 && userlist_count(&b->view) == 2;
}

START_TEST(one_list_on_two_nodes)
{
	for (unsigned i = 0; i < 2; i++) {
		sides[i].view.opened = on_opened;
		sides[i].view.changed = on_changed;
		userlist_open(sides[i].lists, SLICE("u"), SLICE("blocks"), &sides[i].view);
	}
	ck_assert(with_redis_turn_until(loop, both_opened, NULL, WAIT_MS));
	ck_assert_int_eq(userlist_set(&a->view, SLICE("x"), true, on_listed, NULL), 0);
	ck_assert_int_eq(userlist_set(&b->view, SLICE("y"), true, on_listed, NULL), 0);
	ck_assert(with_redis_turn_until(loop, both_changed, NULL, WAIT_MS));
	ck_assert(userlist_has(&a->view, SLICE("y")) && userlist_has(&b->view, SLICE("x")));
	ck_assert_uint_eq(n_failed, 0);
	ck_assert_int_eq(with_redis_int("SCARD test:list:{u}:blocks"), 2);
}
END_TEST

Suite *
transact_suite(void)
{
	Suite *s = suite_create("transact");
	TCase *t = tcase_create("redis");

	suite_add_tcase(s, t);
	if (!with_redis_available())
		return s;
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, two_nodes_race);
	tcase_add_loop_test(t, everything_breaks, 0, 2);
	tcase_add_test(t, the_newest_is_old);
	tcase_add_loop_test(t, cancelled, 0, 3);
	tcase_add_test(t, one_list_on_two_nodes);
	return s;
}
