/*
 * Feeds: the order of one topic, its holes, and what is said where something is lost for good.
 */
#include <check.h>
#include <errno.h>

#include "history/feed.h"
#include "history_bench.h"
#include "turned_by_hand.h"

Suite *feed_suite(void);

/* The position is learnt with `n` messages in the stream. */
static struct hearer *
listens_behind(unsigned n)
{
	struct hearer *l = hearer_new();

	world_append(n);
	hearer_join(l);
	world_answer_all();
	return l;
}

START_TEST(in_order)
{
	struct hearer *l = listens_behind(3);

	world_append(3);
	world_bus_all();
	hearer_got(l, "4 5 6");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

START_TEST(repeats_are_dropped)
{
	struct hearer *l = listens_behind(3);

	world_bring(2, 1);
	world_bring(3, 2);
	world_append(2);
	world_bus_all();
	world_bring(4, 3);
	world_bring(5, 4);
	hearer_got(l, "4 5");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

START_TEST(nothing_is_known_before_the_subscription)
{
	struct hearer *l = hearer_new();

	world.slow_subscribe = true;
	world_append(2);
	hearer_join(l);
	ck_assert_uint_eq(world.n_asked, 0);
	turn_after(world.loop, WORLD_CHECK_MS + 100);
	ck_assert_uint_eq(world.n_asked, 0);
	world_subscribed();
	ck_assert_uint_eq(world.n_asked, 1);
	/* Published before the read is answered, with the read before or behind it. */
	if (_i == 0)
		world_execute();
	world_append(2);
	world_bus_all();
	hearer_got(l, "");
	world_answer_all();
	hearer_got(l, "3 4");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

START_TEST(the_first_of_all)
{
	struct hearer *l = listens_behind(0);

	world_append(2);
	world_bus_all();
	hearer_got(l, "1 2");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

/* The _i-th of those lost; the topic had messages or none. */
START_TEST(a_hole_is_read)
{
	struct hearer *l = listens_behind((unsigned)_i);

	world_append(1);
	world_lose_bus();
	world_append(2);
	world_bus_all();
	hearer_got(l, "");
	ck_assert_uint_eq(world.n_asked, 1);
	world_append(1);
	world_bus_all();
	world_execute();
	world_append(1);
	world_answer_all();
	world_bus_all();
	hearer_got(l, _i == 0 ? "1 2 3 4 5" : "4 5 6 7 8");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

START_TEST(a_hole_of_many_pages)
{
	struct hearer *l = listens_behind(1);

	world_append(2 * FEED_PAGE + 50);
	world_lose_bus();
	world_append(1);
	world_bus_all();
	world_answer_all();
	hearer_take(l);
	ck_assert_uint_eq(l->n, 2 * FEED_PAGE + 51);
	for (unsigned i = 0; i < l->n; i++)
		ck_assert_uint_eq(l->got[i], i + 2);
	hearer_free(l);
}
END_TEST

/* What a page has no room for is read behind it: nothing is missing. */
START_TEST(a_hole_of_large_messages)
{
	struct hearer *l = listens_behind(3);

	world.fit = 1 + (unsigned)_i;
	world_append(7);
	world_lose_bus();
	world_append(1);
	world_bus_all();
	world_answer_all();
	hearer_got(l, "4 5 6 7 8 9 10 11");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

START_TEST(held_are_bounded)
{
	struct hearer *l;

	world_limits((struct history_limits){ .max = WORLD_MAX }, 500);
	l = listens_behind(1);
	world_append(1);
	world_lose_bus();
	world_append(2);
	world_bus();
	world_execute();
	world_append(100);
	world_bus_all();
	world_answer_all();
	hearer_take(l);
	ck_assert_uint_eq(l->n, 103);
	ck_assert_uint_eq(l->got[102], 104);
	hearer_free(l);
}
END_TEST

START_TEST(what_the_bus_lost_is_found_by_a_check)
{
	struct hearer *l = listens_behind(3);

	world_append(2);
	world_lose_bus();
	turn_after(world.loop, WORLD_CHECK_MS + 100);
	world_answer_all();
	hearer_got(l, "4 5");
	hearer_free(l);
}
END_TEST

/* What comes while the check is under way does not wait for it. */
START_TEST(a_check_holds_nobody_up)
{
	struct hearer *l = listens_behind(3);

	turn_after(world.loop, WORLD_CHECK_MS + 100);
	ck_assert_uint_eq(world.n_asked, 1);
	world_execute();
	world_append(1);
	world_bus_all();
	hearer_got(l, "4");
	world_answer_all();
	hearer_got(l, "4");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

/* The stream no longer reaches back: what was lost for good is said once, in front of what is left. */
START_TEST(trimmed_away)
{
	struct hearer *l = listens_behind(3);

	world_append(5);
	world_lose_bus();
	world_trim(6);
	if (_i == 0) {
		world_append(1);
		world_bus_all();
	} else {
		turn_after(world.loop, WORLD_CHECK_MS + 100);
	}
	world_answer_all();
	hearer_got(l, _i == 0 ? "R 6 7 8 9" : "R 6 7 8");
	world_settle();
	hearer_got(l, _i == 0 ? "R 6 7 8 9" : "R 6 7 8");
	hearer_free(l);
}
END_TEST

/* Where all that the topic can have had is there, nothing was lost; but a full topic may have lost some. */
START_TEST(a_topic_that_was_empty)
{
	struct hearer *l;

	world_limits((struct history_limits){ .max = 4 }, 1000);
	l = listens_behind(0);
	world_append((unsigned)_i);
	world_lose_bus();
	turn_after(world.loop, WORLD_CHECK_MS + 100);
	world_answer_all();
	hearer_got(l, _i == 3 ? "1 2 3" : _i == 4 ? "R 1 2 3 4" : "R 2 3 4 5");
	hearer_free(l);
}
END_TEST

/* A topic so full that each message pushes out the one before it, while nothing is lost. */
START_TEST(a_topic_that_keeps_one)
{
	struct hearer *l;

	world_limits((struct history_limits){ .max = 1 }, 1000);
	l = listens_behind(1);
	for (int i = 0; i < 20; i++) {
		turn_after(world.loop, 500);
		world_append(1);
		world_execute();
		world_bus_all();
		while (world_answer())
			;
	}
	world_settle();
	hearer_got(l, "2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21");
	hearer_free(l);
}
END_TEST

/* The stream ended: of age, as the last look at it told, or before its time. */
START_TEST(ended)
{
	static const struct {
		uint64_t    ends_ms[2];		/* at the first look, and at the last */
		const char *got;
	} rows[] = {
		{ { 0, 0 }, "R" }, { { 1, 1 }, "" }, { { 4000, 4000 }, "" }, { { 8000, 8000 }, "R" },
		{ { 4000, 8000 }, "R" }, { { 8000, 4000 }, "" }, { { 4000, 0 }, "R" }, { { 0, 4000 }, "" },
	};
	struct hearer *l;

	world.ends_ms = rows[_i].ends_ms[0];
	l = listens_behind(3);
	world.ends_ms = rows[_i].ends_ms[1];
	turn_after(world.loop, WORLD_CHECK_MS + 100);
	world_answer_all();
	world_flush();
	turn_after(world.loop, WORLD_CHECK_MS + 100);
	/* The time that is turned by hand is not on the clock of history. */
	world.loop->now += 4000;
	world_answer_all();
	hearer_got(l, rows[_i].got);
	hearer_free(l);
}
END_TEST

/* The newest, kept beyond its age, is trimmed by the next, which the bus lost: nothing is missing. */
START_TEST(after_the_newest_that_lived_longer)
{
	struct hearer *l;

	world_limits((struct history_limits){ .max = 9, .age_ms = 60000, .last_ms = INT64_MAX }, 1000);
	l = listens_behind(3);
	world_trim(3);
	turn_after(world.loop, WORLD_CHECK_MS + 100);
	world_answer_all();
	world_append(2);
	world_lose_bus();
	world_trim(4);
	turn_after(world.loop, WORLD_CHECK_MS + 100);
	world_answer_all();
	hearer_got(l, "4 5");
	hearer_free(l);
}
END_TEST

/* Redis is empty, or went back: said once, and what is new is delivered. */
START_TEST(emptied)
{
	struct hearer *l = listens_behind(3);

	world_flush();
	if (_i == 0) {
		turn_after(world.loop, WORLD_CHECK_MS + 100);
		world_answer_all();
		hearer_got(l, "R");
	} else if (_i == 1) {
		history_resync(world.history);
		world_answer_all();
		hearer_got(l, "R");
	}
	world_append(2);
	world_bus_all();
	world_answer_all();
	hearer_got(l, "R 4 5");
	world_settle();
	hearer_got(l, "R 4 5");
	hearer_free(l);
}
END_TEST

START_TEST(an_older_copy)
{
	struct hearer *l = listens_behind(5);

	world.next = 4;
	world.tip = 3;
	world.salt++;
	if (_i == 0) {
		turn_after(world.loop, WORLD_CHECK_MS + 100);
		world_answer_all();
		hearer_got(l, "R");
		world_append(1);
		world_bus_all();
		hearer_got(l, "R 4");
	} else if (_i == 1) {
		/* Other messages in the places of old ones: the last tells itself apart, and so does what follows it. */
		world_append(3);
		world_bus_all();
		world_bring(5, 4);
		world_answer_all();
		hearer_got(l, "R 5 6");
	} else {
		world.next = 8;
		world_append(1);
		world_bus_all();
		world_answer_all();
		hearer_take(l);
		ck_assert_uint_eq(l->got[0], WORLD_RESYNC);
		ck_assert_uint_eq(l->got[l->n - 1], 8);
	}
	hearer_free(l);
}
END_TEST

/* The bus brought what the stream does not know: dropped, and said. */
START_TEST(never_in_the_stream)
{
	struct hearer *l = listens_behind(3);

	world_bring(9, 8);
	world_answer_all();
	hearer_got(l, "R");
	world_append(1);
	world_bus_all();
	hearer_got(l, "R 4");
	ck_assert_uint_eq(world.n_asked, 0);
	hearer_free(l);
}
END_TEST

START_TEST(resync_reads_on)
{
	struct hearer *l = listens_behind(3);

	world.subscribed = false;
	world_append(2);
	/* On the new connection; and once more when the bus is up. */
	world_subscribed();
	world_append(1);
	history_resync(world.history);
	world_answer_all();
	world_bus_all();
	hearer_got(l, "4 5 6");
	hearer_free(l);
}
END_TEST

START_TEST(the_store_is_away)
{
	struct hearer *l = listens_behind(3);

	world_append(1);
	world_lose_bus();
	world_append(1);
	world_bus_all();
	world.store_down = true;
	world_store_lost();
	history_resync(world.history);
	turn_after(world.loop, 10 * WORLD_CHECK_MS);
	hearer_got(l, "");
	world.store_down = false;
	/* Told that it is back, or not. */
	if (_i == 0)
		history_resync(world.history);
	else
		turn_after(world.loop, FEED_RETRY_MS + 100);
	world_answer_all();
	hearer_got(l, "4 5");
	hearer_free(l);
}
END_TEST

/* Many feeds: no more than so many reads at a time, and each has its turn. */
START_TEST(resync_is_paced)
{
	enum { N = 300 };
	struct feed *feeds[N];
	unsigned     most = 0;

	for (int i = 0; i < N; i++) {
		char name[20];

		snprintf(name, sizeof(name), "topic%d", i);
		feeds[i] = feed_open(world.history, slice_str(name), &(struct history_limits){ .max = 10 });
	}
	ck_assert_uint_eq(world.n_asked, FEED_READS);
	world_answer_all();
	for (int i = 0; i < N; i++)
		ck_assert(feeds[i]->known);
	history_resync(world.history);
	do {
		ck_assert_uint_le(world.n_asked, FEED_READS);
		most++;
	} while (world_answer());
	ck_assert_uint_eq(most, N + 1);
	/* The checks are spread. */
	for (int ms = 0; ms < WORLD_CHECK_MS + 200; ms += 100) {
		turn_after(world.loop, 100);
		ck_assert_uint_le(world.n_asked, N / 10);
		world_answer_all();
	}
	for (int i = 0; i < N; i++) {
		ck_assert_uint_ge(feeds[i]->round, 3);
		feed_close(feeds[i]);
	}
}
END_TEST

START_TEST(closed_with_a_read_under_way)
{
	struct hearer *l = listens_behind(3);

	history_resync(world.history);
	world_append(2);
	world_bus();
	ck_assert_uint_eq(world.n_asked, 1);
	hearer_free(l);
	ck_assert_int_eq(world.interest, 0);
	world_answer_all();
	ck_assert_uint_eq(world.history->reading, 0);
}
END_TEST

Suite *
feed_suite(void)
{
	Suite *s = suite_create("feed");
	TCase *t = tcase_create("feed");

	tcase_add_checked_fixture(t, world_start, world_end);
	tcase_add_test(t, in_order);
	tcase_add_test(t, repeats_are_dropped);
	tcase_add_loop_test(t, nothing_is_known_before_the_subscription, 0, 2);
	tcase_add_test(t, the_first_of_all);
	tcase_add_loop_test(t, a_hole_is_read, 0, 1);
	tcase_add_loop_test(t, a_hole_is_read, 3, 4);
	tcase_add_test(t, a_hole_of_many_pages);
	tcase_add_loop_test(t, a_hole_of_large_messages, 0, 4);
	tcase_add_test(t, held_are_bounded);
	tcase_add_test(t, what_the_bus_lost_is_found_by_a_check);
	tcase_add_test(t, a_check_holds_nobody_up);
	tcase_add_loop_test(t, trimmed_away, 0, 2);
	tcase_add_loop_test(t, a_topic_that_was_empty, 3, 6);
	tcase_add_test(t, a_topic_that_keeps_one);
	tcase_add_loop_test(t, ended, 0, 8);
	tcase_add_test(t, after_the_newest_that_lived_longer);
	tcase_add_loop_test(t, emptied, 0, 3);
	tcase_add_loop_test(t, an_older_copy, 0, 3);
	tcase_add_test(t, never_in_the_stream);
	tcase_add_test(t, resync_reads_on);
	tcase_add_loop_test(t, the_store_is_away, 0, 2);
	tcase_add_test(t, resync_is_paced);
	tcase_add_test(t, closed_with_a_read_under_way);
	suite_add_tcase(s, t);
	return s;
}
