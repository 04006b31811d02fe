/*
 * Those who join: a page of what was and then what comes, without a hole and without a repeat, whenever it comes.
 */
#include <check.h>
#include <errno.h>

#include "history/feed.h"
#include "history_bench.h"
#include "turned_by_hand.h"

Suite *catchup_suite(void);

#define SAID(what, text, ...)	&(struct broadcast){ .event = what, .payload = text, ##__VA_ARGS__ }

START_TEST(page_then_live)
{
	struct hearer *l = hearer_new();

	world_append(5);
	hearer_catch_up(l, 2, 10);
	world_answer_all();
	ck_assert(l->recovered);
	ck_assert(!l->more);
	world_append(2);
	world_bus_all();
	hearer_got(l, "3 4 5 6 7");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

START_TEST(the_newest)
{
	struct hearer *l = hearer_new();

	world_append(5);
	hearer_catch_up(l, 0, (unsigned)_i);
	world_answer_all();
	ck_assert(!l->recovered);
	ck_assert_uint_eq(l->n_page, (unsigned)_i < 5 ? (unsigned)_i : 5);
	ck_assert(l->more == (_i < 5));
	world_append(1);
	world_bus_all();
	hearer_got(l, _i == 0 ? "6" : _i == 2 ? "4 5 6" : "1 2 3 4 5 6");
	hearer_free(l);
}
END_TEST

/* What lies between the page and what comes is for the joiner to read. */
START_TEST(more_than_a_page)
{
	struct hearer *l = hearer_new();

	world_append(STORE_MAX_PAGE + 9);
	hearer_catch_up(l, 2, 10);
	world_answer_all();
	ck_assert(l->recovered);
	ck_assert(l->more);
	ck_assert_uint_eq(l->n, STORE_MAX_PAGE);
	ck_assert_uint_eq(l->got[STORE_MAX_PAGE - 1], STORE_MAX_PAGE + 2);
	world_append(1);
	world_bus_all();
	hearer_take(l);
	ck_assert_uint_eq(l->n, STORE_MAX_PAGE + 1);
	ck_assert_uint_eq(l->got[STORE_MAX_PAGE], STORE_MAX_PAGE + 10);
	hearer_free(l);
}
END_TEST

/* The id is not kept, malformed, or another topic's: the newest, and no word of recovery. */
START_TEST(last_seen_is_not_known)
{
	struct hearer *l = hearer_new();

	world_append(5);
	if (_i == 0)
		world_trim(4);
	if (_i == 1)
		world.salt++;
	hearer_catch_up(l, 2, 2);
	if (_i == 2)
		world.salt++;
	world_answer_all();
	ck_assert(l->recovered == (_i == 1));
	hearer_got(l, _i == 1 ? "3 4 5" : "4 5");
	hearer_free(l);
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
	struct feed	     *f = feed_open(world.history, WORLD_TOPIC, &limits);
	struct catchup	     *c;

	world_append(3);
	c = history_catch_up(f, NULL, slice_str(ids[_i]), 10, 2, SLICE(""), note_page, &page);
	world_answer_all();
	ck_assert_uint_eq(page.n, 2);
	ck_assert(!page.recovered);
	catchup_cancel(c);
	page = (struct history_page){ .n = 7, .recovered = true };
	ck_assert_int_eq(history_page(world.history, NULL, WORLD_TOPIC, &limits, true, slice_str(ids[_i]), 10, note_page, &page), 0);
	ck_assert_uint_eq(page.n, 7);
	turn_after(world.loop, 0);
	ck_assert_uint_eq(page.n, 0);
	ck_assert(!page.recovered);
	feed_close(f);
}
END_TEST

/* The reader's mark comes with the page, whether it is the first that was read (0), or another: the id is not known (1); a
 * message came meanwhile that could not be kept (2). Nobody has none (3). */
START_TEST(mark_of_the_reader)
{
	struct hearer *old = hearer_new(), *l = hearer_new();

	world_limits((struct history_limits){ .max = WORLD_MAX }, 1);
	world_append(5);
	hearer_join(old);
	world_answer_all();
	if (_i == 1)
		world_trim(4);
	l->reader = _i < 3 ? "u7" : NULL;
	hearer_catch_up(l, 2, 10);
	world_execute();
	if (_i == 2)
		world_append(1);
	world_bus_all();
	world_answer_all();
	ck_assert_uint_eq(l->n_page, _i == 1 ? 2 : _i == 2 ? 4 : 3);
	ck_assert_str_eq(l->mark, _i < 3 ? "mark of u7" : "");
	hearer_free(old);
	hearer_free(l);
}
END_TEST

/* The page has room for two: of what follows 3 (0), of the newest 50 (1), but not of all there can be (2). */
START_TEST(a_page_that_is_full)
{
	static const struct {
		unsigned    behind, newest, n;
		bool	    more, recovered;
		const char *got;
	} rows[] = {
		{ 3, 50, 2, true, true, "4 5 11 12" }, { 0, 50, 2, true, false, "9 10 11 12" },
		{ 0, STORE_MAX_PAGE, 10, false, false, "1 2 3 4 5 6 7 8 9 10 11 12" },
	};
	struct hearer *old = hearer_new(), *l = hearer_new();

	world_append(10);
	hearer_join(old);
	world_answer_all();
	world.fit = 2;
	hearer_catch_up(l, rows[_i].behind, rows[_i].newest);
	world_execute();
	world_append(1);
	world_bus_all();
	world_answer_all();
	world_append(1);
	world_bus_all();
	ck_assert_uint_eq(l->n_page, rows[_i].n);
	ck_assert_int_eq(l->more, rows[_i].more);
	ck_assert_int_eq(l->recovered, rows[_i].recovered);
	hearer_got(l, rows[_i].got);
	hearer_got(old, "11 12");
	hearer_free(old);
	hearer_free(l);
}
END_TEST

/* Message 6 comes before (0), during (1, 2: the page has it or not) or after (3) the read. */
START_TEST(a_message_comes_meanwhile)
{
	struct hearer *old = hearer_new(), *l = hearer_new();

	world_append(5);
	hearer_join(old);
	world_answer_all();
	if (_i == 0) {
		world_append(1);
		world_bus_all();
	}
	hearer_catch_up(l, 3, 10);
	if (_i == 1)
		world_append(1);
	world_execute();
	if (_i == 2)
		world_append(1);
	world_bus_all();
	world_answer_all();
	if (_i == 3) {
		world_append(1);
		world_bus_all();
	}
	hearer_got(old, "6");
	hearer_got(l, "4 5 6");
	world_append(1);
	world_bus_all();
	hearer_got(old, "6 7");
	hearer_got(l, "4 5 6 7");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
	hearer_free(old);
}
END_TEST

/* The page is ahead of what the others have: what they are still to hear is not for it. */
START_TEST(the_page_is_ahead)
{
	static const char *const all[] = { "m", "system", NULL };
	struct hearer *old = hearer_new(), *l = hearer_new();

	world_append(5);
	hearer_join(old);
	world_answer_all();
	world_append(3);
	if (_i == 1)
		l->sub.intercepts = all;
	hearer_catch_up(l, 5, 10);
	world_answer_all();
	hearer_got(l, "6 7 8");
	hearer_got(old, "");
	world_bus();
	hearer_got(old, "6");
	/* It hears all else. */
	pubsub_receive(&world.ps, WORLD_TOPIC, SAID(SLICE("x"), SLICE("{\"n\":99}")), NULL);
	/* One of them is lost, so they are read. */
	if (_i == 2) {
		world_lose_bus();
		world_settle();
	}
	world_append(1);
	world_bus_all();
	pubsub_receive(&world.ps, WORLD_TOPIC, SAID(SLICE("x"), SLICE("{\"n\":98}")), NULL);
	ck_assert_uint_eq(l->out.n, 3);
	outq_clear_unsent(&l->out);
	ck_assert_uint_eq(l->intercepted, _i == 1);
	ck_assert_uint_eq(old->out.n, 5);
	outq_clear_unsent(&old->out);
	hearer_free(l);
	hearer_free(old);
}
END_TEST

START_TEST(one_that_is_late_goes)
{
	struct hearer *old = hearer_new(), *l = hearer_new();

	hearer_join(old);
	world_answer_all();
	world_append(3);
	hearer_catch_up(l, 0, 10);
	world_answer_all();
	hearer_got(l, "1 2 3");
	hearer_free(l);
	world_bus_all();
	hearer_got(old, "1 2 3");
	hearer_free(old);
}
END_TEST

/* More is kept than may be: the page is read again. */
START_TEST(too_much_to_keep)
{
	struct hearer *old = hearer_new(), *l = hearer_new();

	world_limits((struct history_limits){ .max = WORLD_MAX }, 600);
	world_append(5);
	hearer_join(old);
	world_answer_all();
	hearer_catch_up(l, 3, 10);
	world_execute();
	world_append(50);
	world_bus_all();
	/* Now the page is read again; meanwhile more comes, within the bound. */
	ck_assert(world_answer());
	ck_assert_uint_eq(world.n_asked, 1);
	ck_assert(!l->joined);
	world_execute();
	world_append(2);
	world_bus_all();
	ck_assert(world_answer());
	ck_assert(l->joined);
	hearer_take(l);
	ck_assert_uint_eq(l->n, 54);
	for (unsigned i = 0; i < l->n; i++)
		ck_assert_uint_eq(l->got[i], 4 + i);
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
	hearer_free(old);
}
END_TEST

/* The stream went back while the page was read: the joiner does not wait for what will never be. */
START_TEST(emptied_meanwhile)
{
	struct hearer *l = hearer_new(), *old = hearer_new();

	world_append(5);
	hearer_join(old);
	world_answer_all();
	world_flush();
	hearer_catch_up(l, 3, 10);
	world_answer_all();
	ck_assert(l->joined);
	ck_assert(!l->recovered);
	world_append(2);
	world_bus_all();
	world_settle();
	hearer_got(old, "R 6 7");
	hearer_take(l);
	ck_assert_uint_eq(l->got[l->n - 1], 7);
	hearer_free(l);
	hearer_free(old);
}
END_TEST

START_TEST(the_store_is_away)
{
	struct hearer *l = hearer_new();

	world_append(3);
	world.store_down = _i == 0;
	hearer_catch_up(l, 1, 10);
	ck_assert(!l->joined);
	if (_i == 1)
		world_store_lost();
	turn_after(world.loop, 0);
	ck_assert(l->joined);
	ck_assert_int_eq(l->error, -EHOSTUNREACH);
	ck_assert_uint_eq(l->n, 0);
	world.store_down = false;
	world_settle();
	world_append(1);
	world_bus_all();
	hearer_got(l, "4");
	hearer_free(l);
}
END_TEST

/* They go before they are told; or with what they kept. */
START_TEST(cancelled)
{
	struct hearer *old = hearer_new(), *l = hearer_new();

	hearer_join(old);
	world_answer_all();
	hearer_catch_up(l, 0, 10);
	if (_i > 0)
		world_execute();
	world_append(2);
	world_bus_all();
	if (_i == 2)
		hearer_leave(old);
	hearer_leave(l);
	world_answer_all();
	ck_assert(!l->joined);
	catchup_cancel(NULL);
	hearer_free(l);
	hearer_free(old);
}
END_TEST

START_TEST(history_ends_with_everything_under_way)
{
	struct hearer	     *old = hearer_new(), *l = hearer_new();
	struct history_page   page = { .n = 7 };
	struct history_limits limits = { .max = 10 };

	world_append(3);
	hearer_join(old);
	world_answer_all();
	hearer_catch_up(l, 1, 10);
	ck_assert_int_eq(history_page(world.history, NULL, WORLD_TOPIC, &limits, false, (struct slice){ 0 }, 5, note_page, &page), 0);
	ck_assert_int_eq(history_page(world.history, NULL, WORLD_TOPIC, &limits, false, SLICE("x"), 5, note_page, &page), 0);
	world_append(1);
	world_lose_bus();
	world_append(1);
	world_bus_all();
	world_limits(limits, 100);
	ck_assert_uint_eq(page.n, 7);
	ck_assert(!l->joined);
	turn_a_few(world.loop);
	hub_unsubscribe(&world.ps.hub, &old->sub);
	old->feed = l->feed = NULL;
	hearer_free(l);
	hearer_free(old);
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
is_run(const struct hearer *l, bool losses)
{
	for (unsigned i = 1; i < l->n; i++) {
		unsigned before = l->got[i - 1], now = l->got[i];

		if (!losses)
			ck_assert_uint_ne(now, WORLD_RESYNC);
		if (now == WORLD_RESYNC)
			continue;
		if (before == WORLD_RESYNC)
			before = i > 1 ? l->got[i - 2] : 0;
		if (l->got[i - 1] == WORLD_RESYNC)
			ck_assert_uint_gt(now, before);
		else
			ck_assert_uint_eq(now, before + 1);
	}
}

static void
come_or_go(struct hearer *l, unsigned *seen)
{
	if (l->feed != NULL) {
		hearer_take(l);
		if (l->joined && l->n > 0 && l->got[l->n - 1] != WORLD_RESYNC)
			*seen = l->got[l->n - 1];
		hearer_leave(l);
		return;
	}
	l->n = 0;
	if (chance(5) == 0)
		hearer_join(l);
	else
		hearer_catch_up(l, *seen >= world.oldest ? *seen : 0, chance(6));
}

/* One thing happens. */
static void
random_step(struct hearer **party, unsigned *seen, bool losses)
{
	unsigned who = chance(PARTY);

	switch (chance(12)) {
	case 0:
	case 1:
		if (world.next < 250)
			world_append(1 + chance(3));
		break;
	case 2:
	case 3:
		world_execute();
		break;
	case 4:
	case 5:
		world_answer();
		break;
	case 6:
	case 7:
		world_bus();
		break;
	case 8:
		/* A repeat; or one is lost, or the whole connection. */
		if (chance(3) == 0 && world.next > world.oldest + 3 && world.subscribed)
			world_bring(world.next - 1, world.next - 2);
		else if (chance(4) == 0)
			world_lose_bus();
		else if (chance(8) == 0)
			world.subscribed = false;
		break;
	case 9:
		if (!world.subscribed)
			world_subscribed();
		break;
	case 10:
		come_or_go(party[who], &seen[who]);
		break;
	default:
		turn_after(world.loop, chance(20) == 0 ? WORLD_CHECK_MS : chance(50));
		if (losses && chance(8) == 0 && world.next > world.oldest + 3)
			world_trim(world.next - 1 - chance(3));
	}
	if (chance(200) == 0)
		world_store_lost();
}

static void
random_run(bool losses)
{
	struct hearer *party[PARTY];
	unsigned	 seen[PARTY] = { 0 };

	world.slow_subscribe = chance(2);
	world_limits((struct history_limits){ .max = WORLD_MAX }, chance(3) == 0 ? 500 : 1024 * 1024);
	for (int i = 0; i < PARTY; i++)
		party[i] = hearer_new();
	for (int step = 0; step < 3000; step++) {
		random_step(party, seen, losses);
		if (step % 50 == 0)
			for (int i = 0; i < PARTY; i++) {
				hearer_take(party[i]);
				is_run(party[i], losses);
			}
	}
	world_settle();
	for (int i = 0; i < PARTY; i++) {
		struct hearer *l = party[i];

		hearer_take(l);
		is_run(l, losses);
		if (l->joined && l->n > 0 && l->got[l->n - 1] != WORLD_RESYNC)
			ck_assert_uint_eq(l->got[l->n - 1], world.next - 1);
	}
	for (int i = 0; i < PARTY; i++) {
		ck_assert(party[i]->feed == NULL || list_empty(&party[i]->feed->lates));
		hearer_free(party[i]);
	}
	ck_assert_uint_eq(world.history->reading, 0);
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

	tcase_add_checked_fixture(t, world_start, world_end);
	tcase_add_test(t, page_then_live);
	tcase_add_loop_test(t, the_newest, 0, 1);
	tcase_add_loop_test(t, the_newest, 2, 3);
	tcase_add_loop_test(t, the_newest, 5, 6);
	tcase_add_test(t, more_than_a_page);
	tcase_add_loop_test(t, last_seen_is_not_known, 0, 3);
	tcase_add_loop_test(t, malformed_ids, 0, 4);
	tcase_add_loop_test(t, mark_of_the_reader, 0, 4);
	tcase_add_loop_test(t, a_page_that_is_full, 0, 3);
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
