/*
 * Those who join: a page of what was and then what comes, without a hole and without a repeat, whenever it comes.
 */
#include <check.h>
#include <errno.h>

#include "history/feed.h"
#include "history_bench.h"
#include "turned_by_hand.h"

Suite *catchup_suite(void);

START_TEST(page_then_live)
{
	struct listener *l = listener_new();

	bench_append(5);
	listener_catch_up(l, 2, 10);
	bench_answer_all();
	ck_assert(l->recovered);
	ck_assert(!l->more);
	bench_append(2);
	bench_bus_all();
	listener_got(l, "3 4 5 6 7");
	ck_assert_uint_eq(bench.n_asked, 0);
	listener_free(l);
}
END_TEST

START_TEST(the_newest)
{
	struct listener *l = listener_new();

	bench_append(5);
	listener_catch_up(l, 0, (unsigned)_i);
	bench_answer_all();
	ck_assert(!l->recovered);
	ck_assert_uint_eq(l->n_page, (unsigned)_i < 5 ? (unsigned)_i : 5);
	ck_assert(l->more == (_i < 5));
	bench_append(1);
	bench_bus_all();
	listener_got(l, _i == 0 ? "6" : _i == 2 ? "4 5 6" : "1 2 3 4 5 6");
	listener_free(l);
}
END_TEST

/* What lies between the page and what comes is for the joiner to read. */
START_TEST(more_than_a_page)
{
	struct listener *l = listener_new();

	bench_append(STORE_MAX_PAGE + 9);
	listener_catch_up(l, 2, 10);
	bench_answer_all();
	ck_assert(l->recovered);
	ck_assert(l->more);
	ck_assert_uint_eq(l->n, STORE_MAX_PAGE);
	ck_assert_uint_eq(l->got[STORE_MAX_PAGE - 1], STORE_MAX_PAGE + 2);
	bench_append(1);
	bench_bus_all();
	listener_take(l);
	ck_assert_uint_eq(l->n, STORE_MAX_PAGE + 1);
	ck_assert_uint_eq(l->got[STORE_MAX_PAGE], STORE_MAX_PAGE + 10);
	listener_free(l);
}
END_TEST

/* The id is not kept, malformed, or another topic's: the newest, and no word of recovery. */
START_TEST(last_seen_is_not_known)
{
	struct listener *l = listener_new();

	bench_append(5);
	if (_i == 0)
		bench_trim(4);
	if (_i == 1)
		bench.salt++;
	listener_catch_up(l, 2, 2);
	if (_i == 2)
		bench.salt++;
	bench_answer_all();
	ck_assert(l->recovered == (_i == 1));
	listener_got(l, _i == 1 ? "3 4 5" : "4 5");
	listener_free(l);
}
END_TEST

static void
note_page(void *arg, const struct history_page *page)
{
	*(struct history_page *)arg = *page;
}

START_TEST(malformed_ids)
{
	static const char *const ids[] = { "", "x", "0190b6a0-0000-1000-8000-000000000000", "0190b6a0-0000-7000-8000-0000000000000" };
	struct history_limits limits = { .max = 10 };
	struct history_page   page = { .recovered = true };
	struct feed	     *f = feed_open(bench.history, BENCH_TOPIC, &limits);
	struct catchup	     *c;

	bench_append(3);
	c = history_catch_up(f, slice_str(ids[_i]), 10, 2, note_page, &page);
	bench_answer_all();
	ck_assert_uint_eq(page.n, 2);
	ck_assert(!page.recovered);
	catchup_cancel(c);
	page = (struct history_page){ .n = 7, .recovered = true };
	ck_assert_int_eq(history_page(bench.history, BENCH_TOPIC, &limits, true, slice_str(ids[_i]), 10, note_page, &page), 0);
	ck_assert_uint_eq(page.n, 7);
	turn_after(bench.loop, 0);
	ck_assert_uint_eq(page.n, 0);
	ck_assert(!page.recovered);
	feed_close(f);
}
END_TEST

/* Message 6 comes before (0), during (1, 2: the page has it or not) or after (3) the read. */
START_TEST(a_message_comes_meanwhile)
{
	struct listener *old = listener_new(), *l = listener_new();

	bench_append(5);
	listener_join(old);
	bench_answer_all();
	if (_i == 0) {
		bench_append(1);
		bench_bus_all();
	}
	listener_catch_up(l, 3, 10);
	if (_i == 1)
		bench_append(1);
	bench_execute();
	if (_i == 2)
		bench_append(1);
	bench_bus_all();
	bench_answer_all();
	if (_i == 3) {
		bench_append(1);
		bench_bus_all();
	}
	listener_got(old, "6");
	listener_got(l, "4 5 6");
	bench_append(1);
	bench_bus_all();
	listener_got(old, "6 7");
	listener_got(l, "4 5 6 7");
	ck_assert_uint_eq(bench.n_asked, 0);
	listener_free(l);
	listener_free(old);
}
END_TEST

/* The page is ahead of what the others have: what they are still to hear is not for it. */
START_TEST(the_page_is_ahead)
{
	static const char *const all[] = { "m", "system", NULL };
	struct listener *old = listener_new(), *l = listener_new();

	bench_append(5);
	listener_join(old);
	bench_answer_all();
	bench_append(3);
	if (_i == 1)
		l->sub.intercepts = all;
	listener_catch_up(l, 5, 10);
	bench_answer_all();
	listener_got(l, "6 7 8");
	listener_got(old, "");
	bench_bus();
	listener_got(old, "6");
	/* It hears all else. */
	pubsub_receive(&bench.ps, BENCH_TOPIC, SLICE("x"), SLICE("{\"n\":99}"), false, NULL);
	/* One of them is lost, so they are read. */
	if (_i == 2) {
		bench_lose_bus();
		bench_settle();
	}
	bench_append(1);
	bench_bus_all();
	pubsub_receive(&bench.ps, BENCH_TOPIC, SLICE("x"), SLICE("{\"n\":98}"), false, NULL);
	ck_assert_uint_eq(l->out.n, 3);
	outq_clear_unsent(&l->out);
	ck_assert_uint_eq(l->intercepted, _i == 1);
	ck_assert_uint_eq(old->out.n, 5);
	outq_clear_unsent(&old->out);
	listener_free(l);
	listener_free(old);
}
END_TEST

START_TEST(one_that_is_late_goes)
{
	struct listener *old = listener_new(), *l = listener_new();

	listener_join(old);
	bench_answer_all();
	bench_append(3);
	listener_catch_up(l, 0, 10);
	bench_answer_all();
	listener_got(l, "1 2 3");
	listener_free(l);
	bench_bus_all();
	listener_got(old, "1 2 3");
	listener_free(old);
}
END_TEST

/* More is kept than may be: the page is read again. */
START_TEST(too_much_to_keep)
{
	struct listener *old = listener_new(), *l = listener_new();

	bench_limits((struct history_limits){ .max = BENCH_MAX }, 600);
	bench_append(5);
	listener_join(old);
	bench_answer_all();
	listener_catch_up(l, 3, 10);
	bench_execute();
	bench_append(50);
	bench_bus_all();
	/* Now the page is read again; meanwhile more comes, within the bound. */
	ck_assert(bench_answer());
	ck_assert_uint_eq(bench.n_asked, 1);
	ck_assert(!l->joined);
	bench_execute();
	bench_append(2);
	bench_bus_all();
	ck_assert(bench_answer());
	ck_assert(l->joined);
	listener_take(l);
	ck_assert_uint_eq(l->n, 54);
	for (unsigned i = 0; i < l->n; i++)
		ck_assert_uint_eq(l->got[i], 4 + i);
	ck_assert_uint_eq(bench.n_asked, 0);
	listener_free(l);
	listener_free(old);
}
END_TEST

/* The stream went back while the page was read: the joiner does not wait for what will never be. */
START_TEST(emptied_meanwhile)
{
	struct listener *l = listener_new(), *old = listener_new();

	bench_append(5);
	listener_join(old);
	bench_answer_all();
	bench_flush();
	listener_catch_up(l, 3, 10);
	bench_answer_all();
	ck_assert(l->joined);
	ck_assert(!l->recovered);
	bench_append(2);
	bench_bus_all();
	bench_settle();
	listener_got(old, "R 6 7");
	listener_take(l);
	ck_assert_uint_eq(l->got[l->n - 1], 7);
	listener_free(l);
	listener_free(old);
}
END_TEST

START_TEST(the_store_is_away)
{
	struct listener *l = listener_new();

	bench_append(3);
	bench.store_down = _i == 0;
	listener_catch_up(l, 1, 10);
	ck_assert(!l->joined);
	if (_i == 1)
		bench_store_lost();
	turn_after(bench.loop, 0);
	ck_assert(l->joined);
	ck_assert_int_eq(l->error, -EHOSTUNREACH);
	ck_assert_uint_eq(l->n, 0);
	bench.store_down = false;
	bench_settle();
	bench_append(1);
	bench_bus_all();
	listener_got(l, "4");
	listener_free(l);
}
END_TEST

/* They go before they are told; or with what they kept. */
START_TEST(cancelled)
{
	struct listener *old = listener_new(), *l = listener_new();

	listener_join(old);
	bench_answer_all();
	listener_catch_up(l, 0, 10);
	if (_i > 0)
		bench_execute();
	bench_append(2);
	bench_bus_all();
	if (_i == 2)
		listener_leave(old);
	listener_leave(l);
	bench_answer_all();
	ck_assert(!l->joined);
	catchup_cancel(NULL);
	listener_free(l);
	listener_free(old);
}
END_TEST

START_TEST(history_ends_with_everything_under_way)
{
	struct listener	     *old = listener_new(), *l = listener_new();
	struct history_page   page = { .n = 7 };
	struct history_limits limits = { .max = 10 };

	bench_append(3);
	listener_join(old);
	bench_answer_all();
	listener_catch_up(l, 1, 10);
	ck_assert_int_eq(history_page(bench.history, BENCH_TOPIC, &limits, false, (struct slice){ 0 }, 5, note_page, &page), 0);
	ck_assert_int_eq(history_page(bench.history, BENCH_TOPIC, &limits, false, SLICE("x"), 5, note_page, &page), 0);
	bench_append(1);
	bench_lose_bus();
	bench_append(1);
	bench_bus_all();
	bench_limits(limits, 100);
	ck_assert_uint_eq(page.n, 7);
	ck_assert(!l->joined);
	turn_a_few(bench.loop);
	hub_unsubscribe(&bench.ps.hub, &old->sub);
	old->feed = l->feed = NULL;
	listener_free(l);
	listener_free(old);
}
END_TEST

/* ---- at random ---- */

#define PARTY	12

static unsigned seed;

static unsigned
chance(unsigned of)
{
	seed = seed * 1103515245 + 12345;
	return seed / 65536 % of;
}

/* What it got is a run of the stream; with `losses`, one that is interrupted only where it was told so. */
static void
is_run(const struct listener *l, bool losses)
{
	for (unsigned i = 1; i < l->n; i++) {
		unsigned before = l->got[i - 1], now = l->got[i];

		if (!losses)
			ck_assert_uint_ne(now, BENCH_RESYNC);
		if (now == BENCH_RESYNC)
			continue;
		if (before == BENCH_RESYNC)
			before = i > 1 ? l->got[i - 2] : 0;
		if (l->got[i - 1] == BENCH_RESYNC)
			ck_assert_uint_gt(now, before);
		else
			ck_assert_uint_eq(now, before + 1);
	}
}

static void
come_or_go(struct listener *l, unsigned *seen)
{
	if (l->feed != NULL) {
		listener_take(l);
		if (l->joined && l->n > 0 && l->got[l->n - 1] != BENCH_RESYNC)
			*seen = l->got[l->n - 1];
		listener_leave(l);
		return;
	}
	l->n = 0;
	if (chance(5) == 0)
		listener_join(l);
	else
		listener_catch_up(l, *seen >= bench.oldest ? *seen : 0, chance(6));
}

/* One thing happens. */
static void
random_step(struct listener **party, unsigned *seen, bool losses)
{
	unsigned who = chance(PARTY);

	switch (chance(12)) {
	case 0:
	case 1:
		if (bench.next < 250)
			bench_append(1 + chance(3));
		break;
	case 2:
	case 3:
		bench_execute();
		break;
	case 4:
	case 5:
		bench_answer();
		break;
	case 6:
	case 7:
		bench_bus();
		break;
	case 8:
		/* A repeat; or one is lost, or the whole connection. */
		if (chance(3) == 0 && bench.next > bench.oldest + 3 && bench.subscribed)
			bench_bring(bench.next - 1, bench.next - 2);
		else if (chance(4) == 0)
			bench_lose_bus();
		else if (chance(8) == 0)
			bench.subscribed = false;
		break;
	case 9:
		if (!bench.subscribed)
			bench_subscribed();
		break;
	case 10:
		come_or_go(party[who], &seen[who]);
		break;
	default:
		turn_after(bench.loop, chance(20) == 0 ? BENCH_CHECK_MS : chance(50));
		if (losses && chance(8) == 0 && bench.next > bench.oldest + 3)
			bench_trim(bench.next - 1 - chance(3));
	}
	if (chance(200) == 0)
		bench_store_lost();
}

static void
random_run(bool losses)
{
	struct listener *party[PARTY];
	unsigned	 seen[PARTY] = { 0 };

	bench.slow_subscribe = chance(2);
	bench_limits((struct history_limits){ .max = BENCH_MAX }, chance(3) == 0 ? 500 : 1024 * 1024);
	for (int i = 0; i < PARTY; i++)
		party[i] = listener_new();
	for (int step = 0; step < 3000; step++) {
		random_step(party, seen, losses);
		if (step % 50 == 0)
			for (int i = 0; i < PARTY; i++) {
				listener_take(party[i]);
				is_run(party[i], losses);
			}
	}
	bench_settle();
	for (int i = 0; i < PARTY; i++) {
		struct listener *l = party[i];

		listener_take(l);
		is_run(l, losses);
		if (l->joined && l->n > 0 && l->got[l->n - 1] != BENCH_RESYNC)
			ck_assert_uint_eq(l->got[l->n - 1], bench.next - 1);
	}
	for (int i = 0; i < PARTY; i++)
		listener_free(party[i]);
	ck_assert_uint_eq(bench.history->reading, 0);
	ck_assert(list_empty(&bench.history->lates));
}

START_TEST(at_random)
{
	seed = (unsigned)_i;
	random_run(false);
}
END_TEST

START_TEST(at_random_with_losses)
{
	seed = (unsigned)_i + 1000;
	random_run(true);
}
END_TEST

Suite *
catchup_suite(void)
{
	Suite *s = suite_create("catchup");
	TCase *t = tcase_create("catchup");

	tcase_add_checked_fixture(t, bench_start, bench_end);
	tcase_add_test(t, page_then_live);
	tcase_add_loop_test(t, the_newest, 0, 1);
	tcase_add_loop_test(t, the_newest, 2, 3);
	tcase_add_loop_test(t, the_newest, 5, 6);
	tcase_add_test(t, more_than_a_page);
	tcase_add_loop_test(t, last_seen_is_not_known, 0, 3);
	tcase_add_loop_test(t, malformed_ids, 0, 4);
	tcase_add_loop_test(t, a_message_comes_meanwhile, 0, 4);
	tcase_add_loop_test(t, the_page_is_ahead, 0, 3);
	tcase_add_test(t, one_that_is_late_goes);
	tcase_add_test(t, too_much_to_keep);
	tcase_add_test(t, emptied_meanwhile);
	tcase_add_loop_test(t, the_store_is_away, 0, 2);
	tcase_add_loop_test(t, cancelled, 0, 3);
	tcase_add_test(t, history_ends_with_everything_under_way);
	tcase_add_loop_test(t, at_random, 0, 40);
	tcase_add_loop_test(t, at_random_with_losses, 0, 20);
	suite_add_tcase(s, t);
	return s;
}
