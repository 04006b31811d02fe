/*
 * Rates: buckets that fill with time, and windows that slide and are forgotten.
 */
#include <check.h>
#include <stdio.h>

#include "net/rates.h"

Suite *rates_suite(void);

START_TEST(a_bucket)
{
	struct bucket b = { 0 };
	uint64_t      now = 1000000;

	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(bucket_take(&b, now, 10, 5), 0);
	ck_assert_uint_eq(bucket_take(&b, now, 10, 5), 100);
	ck_assert_uint_eq(bucket_take(&b, now + 60, 10, 5), 40);
	ck_assert_uint_eq(bucket_take(&b, now + 99, 10, 5), 1);
	ck_assert_uint_eq(bucket_take(&b, now + 100, 10, 5), 0);
	ck_assert_uint_eq(bucket_take(&b, now + 100, 10, 5), 100);
	/* It never holds more than the burst, however long nobody came. */
	now += 3600000;
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(bucket_take(&b, now, 10, 5), 0);
	ck_assert_uint_eq(bucket_take(&b, now, 10, 5), 100);
}
END_TEST

/* What is promised is kept: who waits as long as told is let in, whatever the rate. */
START_TEST(a_bucket_keeps_its_word)
{
	for (uint32_t rate = 1; rate < 3000; rate = rate * 3 + 1) {
		struct bucket b = { 0 };
		uint64_t      now = 5, wait;

		for (int i = 0; i < 20; i++) {
			wait = bucket_take(&b, now, rate, 2);
			if (wait == 0)
				continue;
			ck_assert_uint_le(wait, 1000);
			ck_assert_uint_gt(bucket_take(&b, now + wait - 1, rate, 2), 0);
			now += wait;
			ck_assert_uint_eq(bucket_take(&b, now, rate, 2), 0);
		}
	}
}
END_TEST

START_TEST(buckets_at_the_limits)
{
	struct bucket none = { 0 }, huge = { 0 }, burstless = { 0 };

	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(bucket_take(&none, 7, 0, 1), 0);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(bucket_take(&huge, (uint64_t)i * 100000000, 1000000, 1000000), 0);
	ck_assert_uint_eq(bucket_take(&burstless, 7, 1, 0), 0);
	ck_assert_uint_eq(bucket_take(&burstless, 7, 1, 0), 1000);
}
END_TEST

/* A slow bucket that is asked all the time must not lose the parts of a token that came meanwhile. */
START_TEST(a_bucket_fills_while_it_is_asked)
{
	struct bucket b = { 0 };
	uint64_t      now = 1000;
	unsigned      taken = 0;

	for (; now < 11000; now++)
		taken += bucket_take(&b, now, 3, 1) == 0;
	ck_assert_uint_ge(taken, 30);
	ck_assert_uint_le(taken, 31);
}
END_TEST

static struct loop *loop;
static struct rates rates;

static void
set_up(void)
{
	loop = loop_new();
	rates_init(&rates, loop);
}

static void
tear_down(void)
{
	rates_done(&rates);
	loop_free(loop);
}

static void
pass_time(uint64_t ms)
{
	loop->now += ms;
	wheel_turn(&loop->wheel, loop->now);
}

/* One event of u1 in room:a: 0 and it counts, or the wait. */
static uint64_t
take(const struct rate *rate)
{
	uint64_t wait = rates_wait(&rates, SLICE("u1"), SLICE("room:a"), SLICE("say"), rate);

	if (wait == 0)
		rates_count(&rates, SLICE("u1"), SLICE("room:a"), SLICE("say"), rate);
	return wait;
}

START_TEST(a_window_slides)
{
	static const struct rate three = { 3, 1000 };

	ck_assert_uint_eq(take(&three), 0);
	pass_time(300);
	ck_assert_uint_eq(take(&three), 0);
	pass_time(300);
	ck_assert_uint_eq(take(&three), 0);
	ck_assert_uint_eq(take(&three), 400);
	pass_time(399);
	ck_assert_uint_eq(take(&three), 1);
	pass_time(1);
	ck_assert_uint_eq(take(&three), 0);
	ck_assert_uint_eq(take(&three), 300);
	pass_time(1000);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(take(&three), 0);
	ck_assert_uint_eq(take(&three), 1000);
}
END_TEST

START_TEST(waiting_counts_nothing)
{
	static const struct rate one = { 1, 1000 };

	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(rates_wait(&rates, SLICE("u1"), SLICE("room:a"), SLICE("say"), &one), 0);
	ck_assert_uint_eq(rates.windows.n, 0);
}
END_TEST

START_TEST(windows_are_apart)
{
	static const struct rate one = { 1, 1000 };
	static const struct {
		struct slice user, topic, event;
	} others[] = {
		{ { "u2", 2 }, { "room:a", 6 }, { "say", 3 } },
		{ { "u1", 2 }, { "room:b", 6 }, { "say", 3 } },
		{ { "u1", 2 }, { "room:a", 6 }, { "cry", 3 } },
		/* The same text, cut elsewhere. */
		{ { "u1r", 3 }, { "oom:a", 5 }, { "say", 3 } },
		{ { "u1", 2 }, { "room:as", 7 }, { "ay", 2 } },
		{ { "", 0 }, { "room:a", 6 }, { "say", 3 } },
	};

	ck_assert_uint_eq(take(&one), 0);
	ck_assert_uint_gt(take(&one), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ck_assert_uint_eq(rates_wait(&rates, others[i].user, others[i].topic, others[i].event, &one), 0);
		rates_count(&rates, others[i].user, others[i].topic, others[i].event, &one);
		ck_assert_uint_eq(rates_wait(&rates, others[i].user, others[i].topic, others[i].event, &one), 1000);
	}
}
END_TEST

START_TEST(no_limit)
{
	static const struct rate none = { 0, 1000 };

	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(take(&none), 0);
	ck_assert_uint_eq(rates.windows.n, 0);
}
END_TEST

/* A reload may bring another count while the window is in use. */
START_TEST(another_rate)
{
	static const struct rate one = { 1, 1000 }, three = { 3, 1000 };

	ck_assert_uint_eq(take(&one), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(take(&three), 0);
	ck_assert_uint_eq(take(&three), 1000);
	ck_assert_uint_eq(take(&one), 0);
	ck_assert_uint_eq(take(&one), 1000);
}
END_TEST

START_TEST(idle_windows_are_forgotten)
{
	static const struct rate short_one = { 1, 1000 }, long_one = { 1, 60000 };
	char			 user[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		rates_count(&rates, slice_str(user), SLICE("room:a"), SLICE("say"), i % 10 == 0 ? &long_one : &short_one);
	}
	ck_assert_uint_eq(rates.windows.n, 1000);
	for (int i = 0; i < 300; i++)
		pass_time(10);
	ck_assert_uint_eq(rates.windows.n, 100);
	ck_assert_uint_gt(rates_wait(&rates, SLICE("u10"), SLICE("room:a"), SLICE("say"), &long_one), 0);
	for (int i = 0; i < 70; i++)
		pass_time(1000);
	ck_assert_uint_eq(rates.windows.n, 0);
	ck_assert(!timer_is_set(&rates.sweep));
	ck_assert_uint_eq(take(&short_one), 0);
	ck_assert(timer_is_set(&rates.sweep));
}
END_TEST

/* The longest names that a message can have, and longer ones than any token can: none is cut. */
START_TEST(long_names)
{
	static const struct rate one = { 1, 1000 };
	char			 x[1024];

	memset(x, 'x', sizeof(x));
	for (size_t user = 120; user < sizeof(x); user += 1) {
		struct slice who = slice(x, user), topic = slice(x, 256), event = slice(x, 128);

		rates_wait(&rates, who, topic, event, &one);
		rates_count(&rates, who, topic, event, &one);
		ck_assert_uint_eq(rates_wait(&rates, who, topic, event, &one), 1000);
		event.n--;
		ck_assert_uint_eq(rates_wait(&rates, who, topic, event, &one), 0);
	}
}
END_TEST

Suite *
rates_suite(void)
{
	Suite *s = suite_create("rates");
	TCase *b = tcase_create("buckets"), *w = tcase_create("windows");

	tcase_add_test(b, a_bucket);
	tcase_add_test(b, a_bucket_keeps_its_word);
	tcase_add_test(b, buckets_at_the_limits);
	tcase_add_test(b, a_bucket_fills_while_it_is_asked);
	suite_add_tcase(s, b);
	tcase_add_checked_fixture(w, set_up, tear_down);
	tcase_add_test(w, a_window_slides);
	tcase_add_test(w, waiting_counts_nothing);
	tcase_add_test(w, windows_are_apart);
	tcase_add_test(w, no_limit);
	tcase_add_test(w, another_rate);
	tcase_add_test(w, idle_windows_are_forgotten);
	tcase_add_test(w, long_names);
	suite_add_tcase(s, w);
	return s;
}
