/*
 * History of two nodes with a real Redis between them, whose connections break and whose memory fails.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "history/history.h"
#include "net/redis.h"
#include "with_redis.h"

Suite *history_redis_suite(void);

#define WAIT_MS		5000
#define CHECK_MS	300
#define MAX_GOT		600
#define RESYNC		0
#define DELETED		999

/* A node with one subscriber of "t". */
struct side {
	struct redis	*redis;
	struct pubsub	 ps;
	struct history	*history;
	struct feed	*feed;
	struct catchup	*catchup;
	struct outq	 out;
	struct subscriber hearer;
	bool		 joined;
	bool		 recovered;
	unsigned	 ups;
	unsigned	 got[MAX_GOT];	/* numbers, or RESYNC */
	unsigned	 n;
};

#define HOUR		(3600 * UINT64_C(1000))

static struct history_limits limits;
static struct loop *loop;
static struct side sides[2];
static struct side *const a = &sides[0], *const b = &sides[1];
static unsigned n_said, n_stored;
static char ids[MAX_GOT][UUID_LEN + 1];

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
	struct side *s = arg;

	if (s->ups++ > 0)
		history_resync(s->history);
}

static const struct redis_user user = {
	.on_up = nothing, .on_down = nothing_why, .on_bus_up = on_bus_up, .on_bus_down = nothing_why, .on_refused = nothing_why,
};

static void
flush(struct outq *q)
{
	struct side *s = container_of(q, struct side, out);

	for (unsigned i = 0; i < q->n; i++) {
		struct frame *f = outq_at(q, i);
		const char   *n = memmem(frame_body(f), frame_body_len(f), "{\"n\":", 5);

		ck_assert_uint_lt(s->n, MAX_GOT);
		if (n == NULL && memmem(frame_body(f), frame_body_len(f), HISTORY_DELETED, strlen(HISTORY_DELETED)) != NULL)
			s->got[s->n++] = DELETED;
		else
			s->got[s->n++] = n != NULL ? (unsigned)strtoul(n + 5, NULL, 10) : RESYNC;
	}
	outq_clear_unsent(q);
}

static void
side_begin(struct side *s, const char *node)
{
	struct redis_options o = {
		.url = { .is_unix = true }, .name = node, .connect_ms = 2000, .ping_ms = 1000, .answer_ms = 2000, .backoff_ms = 20,
		.backoff_max_ms = 100, .max_queue = 1024 * 1024
	};

	*s = (struct side){ .hearer = { .out = &s->out, .codec = &codec_phoenix_v2 } };
	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	outq_init(&s->out, loop, flush);
	s->redis = redis_new(loop, &o, &user, s);
	pubsub_init(&s->ps, loop, broker_redis_new(loop, s->redis, "test:", node, 100));
	s->history = history_new(loop, &s->ps, store_redis_new(s->redis, "test:", node),
	    &(struct history_options){ .check_ms = CHECK_MS, .max_held = 1024 * 1024 });
}

static void
side_leave(struct side *s)
{
	if (s->feed == NULL)
		return;
	catchup_cancel(s->catchup);
	hub_unsubscribe(&s->ps.hub, &s->hearer);
	feed_forget(s->feed, &s->hearer);
	feed_close(s->feed);
	s->feed = NULL;
	s->catchup = NULL;
	s->joined = false;
}

static void
side_end(struct side *s)
{
	side_leave(s);
	history_free(s->history);
	pubsub_done(&s->ps);
	redis_free(s->redis);
	outq_done(&s->out);
}

static void
on_page(void *arg, const struct history_page *page)
{
	struct side    *s = arg;
	struct catchup *c = s->catchup;

	ck_assert_int_eq(page->error, 0);
	s->recovered = page->recovered;
	for (unsigned i = 0; i < page->n; i++)
		s->got[s->n++] = (unsigned)strtoul(page->messages[i].payload.p + 5, NULL, 10);
	s->catchup = NULL;
	s->joined = true;
	hub_subscribe(&s->ps.hub, &s->hearer, SLICE("t"));
	catchup_finish(c, &s->hearer);
}

static bool
is_joined(void *arg)
{
	return ((struct side *)arg)->joined;
}

static void
joins(struct side *s, const char *last_seen)
{
	s->n = 0;
	s->feed = feed_open(s->history, SLICE("t"), &limits);
	s->catchup = history_catch_up(s->feed, NULL, last_seen != NULL ? slice_str(last_seen) : (struct slice){ 0 }, 500, 50, SLICE(""), on_page, s);
	ck_assert(with_redis_turn_until(loop, is_joined, s, WAIT_MS));
}

static void
on_said(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	unsigned *n = arg;

	if (error == 0) {
		n_stored++;
		snprintf(ids[*n], sizeof(ids[*n]), "%.*s", SLICE_ARG(id));
	}
	free(n);
}

/* The next number. */
static int
say(struct side *s, bool to_self)
{
	unsigned *n = xmalloc(sizeof(*n));
	char	  text[32];
	int	  r;

	*n = ++n_said;
	snprintf(text, sizeof(text), "{\"n\":%u}", *n);
	r = history_say(s->feed, &(struct history_words){
		.event = SLICE("m"), .payload = slice_str(text), .user = SLICE("u"), .except = to_self ? NULL : &s->hearer,
	}, on_said, n);
	if (r < 0)
		free(n);
	return r;
}

static bool
both_up(void *arg)
{
	return redis_is_up(a->redis) && redis_is_up(b->redis) && redis_bus_is_up(a->redis) && redis_bus_is_up(b->redis);
}

static void
set_up(void)
{
	with_redis_start();
	loop = loop_new();
	limits = (struct history_limits){ .max = 1000, .age_ms = HOUR };
	n_said = n_stored = 0;
	side_begin(a, "n1");
	side_begin(b, "n2");
	ck_assert(with_redis_turn_until(loop, both_up, NULL, WAIT_MS));
}

static void
tear_down(void)
{
	side_end(a);
	side_end(b);
	loop_free(loop);
	with_redis_end();
}

/* The last one that was said has come to both. */
static bool
all_have_it(void *arg)
{
	return a->n > 0 && b->n > 0 && a->got[a->n - 1] == n_said && b->got[b->n - 1] == n_said;
}

static bool
never(void *arg)
{
	return false;
}

static void
got(const struct side *s, const char *numbers)
{
	autobuf struct buf text = { 0 };

	for (unsigned i = 0; i < s->n; i++)
		buf_addf(&text, "%s%u", i > 0 ? " " : "", s->got[i]);
	buf_add_char(&text, '\0');
	ck_assert_str_eq(text.p, numbers);
}

/* Whichever was the last. */
static bool
both_have_ten(void *arg)
{
	return a->n == 10 && b->n == 10;
}

static bool
twelve_are_stored(void *arg)
{
	return n_stored == 12;
}

START_TEST(everyone_in_one_order)
{
	joins(a, NULL);
	joins(b, NULL);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(say(a, true), 0);
		ck_assert_int_eq(say(b, true), 0);
	}
	ck_assert(with_redis_turn_until(loop, both_have_ten, NULL, WAIT_MS));
	/* Two connections: any order, but the same. */
	ck_assert_mem_eq(a->got, b->got, 10 * sizeof(a->got[0]));
	a->n = b->n = 0;
	ck_assert_int_eq(say(a, false), 0);
	n_said++;
	with_redis_turn_until(loop, never, NULL, 50);
	ck_assert_int_eq(say(a, true), 0);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	got(a, "13");
	got(b, "11 13");
	/* The bus may be faster than the answer. */
	ck_assert(with_redis_turn_until(loop, twelve_are_stored, NULL, WAIT_MS));
}
END_TEST

static bool
all_are_stored(void *arg)
{
	return n_stored == n_said;
}

START_TEST(who_comes_back)
{
	joins(a, NULL);
	joins(b, NULL);
	for (int i = 0; i < 4; i++)
		say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	side_leave(b);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_are_stored, NULL, WAIT_MS));
	/* In the midst of more. */
	for (int i = 0; i < 3; i++)
		say(a, true);
	joins(b, ids[2]);
	ck_assert(b->recovered);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	got(b, "3 4 5 6 7 8 9");
}
END_TEST

/* Subscriptions die again and again while something is said: nobody sees a hole, or anything twice. */
START_TEST(the_bus_breaks)
{
	joins(a, NULL);
	joins(b, NULL);
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 5; k++)
			ck_assert_int_eq(say(a, true), 0);
		with_redis_do("CLIENT KILL TYPE pubsub");
		with_redis_turn_until(loop, never, NULL, 20);
		for (int k = 0; k < 5; k++)
			ck_assert_int_eq(say(a, true), 0);
	}
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	ck_assert_uint_eq(a->n, 200);
	ck_assert_uint_eq(b->n, 200);
	for (unsigned i = 0; i < 200; i++) {
		ck_assert_uint_eq(a->got[i], i + 1);
		ck_assert_uint_eq(b->got[i], i + 1);
	}
	ck_assert_uint_gt(a->ups, 5);
}
END_TEST

/* The commands' connections die, too: what was not stored, or not known to be, is no hole in what is. */
START_TEST(everything_breaks)
{
	joins(a, NULL);
	joins(b, NULL);
	for (int i = 0; i < 10; i++) {
		for (int k = 0; k < 5; k++)
			say(a, true);
		with_redis_turn_until(loop, never, NULL, 5);
		with_redis_do("CLIENT KILL TYPE normal SKIPME yes");
		with_redis_turn_until(loop, never, NULL, 30);
	}
	ck_assert(with_redis_turn_until(loop, both_up, NULL, WAIT_MS));
	ck_assert_int_eq(say(a, true), 0);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_uint_ge(a->n, n_stored);
	ck_assert_uint_eq(with_redis_int("XLEN test:history:{t}"), a->n);
	for (unsigned i = 1; i < a->n; i++)
		ck_assert_uint_gt(a->got[i], a->got[i - 1]);
	ck_assert_mem_eq(a->got, b->got, a->n * sizeof(a->got[0]));
}
END_TEST

/* Written into the stream by hand, published to nobody: the position check finds it. */
START_TEST(by_hand)
{
	joins(a, NULL);
	joins(b, NULL);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	with_redis_do("XADD test:history:{t} * event m payload %s", "{\"n\":2}");
	with_redis_do("XADD test:history:{t} * event m payload %s", "[1]");
	n_said = 2;
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, 2 * CHECK_MS + 200));
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	got(a, "1 2 3");
	got(b, "1 2 3");
}
END_TEST

/* The newest message is over the others' age: it is shown, missed by nobody, and then trimmed, which is no gap. */
START_TEST(the_newest_lives_longer)
{
	uint64_t now = (uint64_t)wall_ms();

	limits.last_ms = 24 * HOUR;
	n_said = 1;
	with_redis_do("XADD test:history:{t} %" PRIu64 "-0 event m payload %s", now - 3 * HOUR, "{\"n\":7}");
	with_redis_do("XADD test:history:{t} %" PRIu64 "-0 event m payload %s", now - 2 * HOUR, "{\"n\":1}");
	joins(a, NULL);
	joins(b, NULL);
	with_redis_turn_until(loop, never, NULL, 2 * CHECK_MS + 100);
	if (_i == 0) {
		ck_assert_int_eq(say(a, true), 0);
	} else {
		with_redis_do("XADD test:history:{t} MINID %" PRIu64 " * event m payload %s", now - HOUR, "{\"n\":2}");
		n_said = 2;
	}
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, 2 * CHECK_MS + 200));
	ck_assert_int_eq(with_redis_int("XLEN test:history:{t}"), 1);
	ck_assert_int_eq(say(a, true), 0);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	got(a, "1 2 3");
	got(b, "1 2 3");
}
END_TEST

static bool
is_gone(void *arg)
{
	return with_redis_int("EXISTS test:history:{t}") == 0;
}

/* Nothing was said for so long that the stream is gone: nobody has missed anything. */
START_TEST(ends_of_age)
{
	joins(a, NULL);
	joins(b, NULL);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	with_redis_do("PEXPIRE test:history:{t} %u", 3 * CHECK_MS);
	ck_assert(with_redis_turn_until(loop, is_gone, NULL, WAIT_MS));
	with_redis_turn_until(loop, never, NULL, 2 * CHECK_MS);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	got(a, "1 2");
	got(b, "1 2");
}
END_TEST

static void
on_removed(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	*(int *)arg = error;
}

static bool
is_outcome(void *arg)
{
	return *(int *)arg <= 0;
}

static int
remove_message(struct side *s, const char *id)
{
	int outcome = 1;

	ck_assert_int_eq(history_remove(s->history, SLICE("t"), &limits, slice_str(id), on_removed, &outcome), 0);
	ck_assert(with_redis_turn_until(loop, is_outcome, &outcome, WAIT_MS));
	return outcome;
}

/* The newest, and an older one, are deleted by us: all are told, and nobody has missed anything. */
START_TEST(removed_by_us)
{
	joins(a, NULL);
	joins(b, NULL);
	for (int i = 0; i < 3; i++)
		say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	with_redis_turn_until(loop, all_are_stored, NULL, WAIT_MS);
	ck_assert_int_eq(remove_message(b, ids[3]), 0);
	ck_assert_int_eq(remove_message(b, ids[3]), -ENOENT);
	ck_assert_int_eq(remove_message(a, ids[1]), 0);
	with_redis_turn_until(loop, never, NULL, 2 * CHECK_MS + 100);
	history_resync(a->history);
	history_resync(b->history);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	ck_assert(with_redis_turn_until(loop, all_are_stored, NULL, WAIT_MS));
	got(a, "1 2 3 999 999 4");
	got(b, "1 2 3 999 999 4");
}
END_TEST

/* The newest is deleted by hand: what comes next is heard all the same, once. */
START_TEST(the_newest_is_deleted)
{
	joins(a, NULL);
	joins(b, NULL);
	say(a, true);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	with_redis_do("EVAL %s 0", "local e = redis.call('XREVRANGE', 'test:history:{t}', '+', '-', 'COUNT', 1) "
	    "return redis.call('XDEL', 'test:history:{t}', e[1][1])");
	with_redis_turn_until(loop, never, NULL, 2 * CHECK_MS + 100);
	got(a, "1 2");
	say(a, true);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	/* Nothing tells that from a stream that lost its end. */
	got(a, "1 2 0 3 4");
	got(b, "1 2 0 3 4");
}
END_TEST

static bool
all_were_told(void *arg)
{
	return a->n == 2 && b->n == 2;
}

START_TEST(flushed)
{
	joins(a, NULL);
	joins(b, NULL);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	with_redis_do("FLUSHALL");
	if (_i == 0)
		ck_assert(with_redis_turn_until(loop, all_were_told, NULL, 2 * CHECK_MS + 200));
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	got(a, "1 0 2");
	got(b, "1 0 2");
}
END_TEST

START_TEST(redis_dies_and_comes_back_empty)
{
	joins(a, NULL);
	joins(b, NULL);
	say(a, true);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	with_redis_kill();
	with_redis_turn_until(loop, never, NULL, 100);
	ck_assert_int_eq(say(a, true), -ENOTCONN);
	with_redis_restart();
	ck_assert(with_redis_turn_until(loop, both_up, NULL, WAIT_MS));
	ck_assert_int_eq(say(a, true), 0);
	ck_assert(with_redis_turn_until(loop, all_have_it, NULL, WAIT_MS));
	got(a, "1 0 3");
	got(b, "1 0 3");
}
END_TEST

Suite *
history_redis_suite(void)
{
	Suite *s = suite_create("history_redis");
	TCase *t = tcase_create("history_redis");

	if (!with_redis_available())
		return s;
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, everyone_in_one_order);
	tcase_add_test(t, who_comes_back);
	tcase_add_test(t, the_bus_breaks);
	tcase_add_test(t, everything_breaks);
	tcase_add_test(t, by_hand);
	tcase_add_loop_test(t, the_newest_lives_longer, 0, 2);
	tcase_add_test(t, ends_of_age);
	tcase_add_test(t, removed_by_us);
	tcase_add_test(t, the_newest_is_deleted);
	tcase_add_loop_test(t, flushed, 0, 2);
	tcase_add_test(t, redis_dies_and_comes_back_empty);
	suite_add_tcase(s, t);
	return s;
}
