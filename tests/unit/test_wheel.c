/*
 * The timing wheel against a plain array of deadlines: random timers, random steps in time, callbacks that set and
 * stop others.
 */
#include <check.h>
#include <stdlib.h>

#include "base/wheel.h"

Suite *wheel_suite(void);

#define SECOND	UINT64_C(1000)
#define HOUR	(3600 * SECOND)

/* A timer with what a test wants to know about it. */
struct alarm {
	struct timer	 timer;
	unsigned	 fired;
	uint64_t	 at;		/* when it fired last */
	void		(*then)(struct alarm *);
	struct alarm	*other;
};

static struct wheel wheel;

static void
alarm_fire(struct timer *t, uint64_t now_ms)
{
	struct alarm *a = container_of(t, struct alarm, timer);

	ck_assert(!timer_is_set(t));
	a->fired++;
	a->at = now_ms;
	if (a->then != NULL)
		a->then(a);
}

#define ALARM ((struct alarm){ .timer.fire = alarm_fire })

static void
start(void)
{
	wheel_init(&wheel, 100 * SECOND);
}

/* Turns ms by ms until the alarm has fired, then says when. */
static uint64_t
fires_at(struct alarm *a, uint64_t now, uint64_t until)
{
	while (a->fired == 0 && now < until)
		wheel_turn(&wheel, now++);
	ck_assert_uint_eq(a->fired, 1);
	return a->at;
}

static const uint64_t delays[] = {
	1, 7, 8, 9, 100, 503, 504, 505, 511, 512, 513, 520, 4095, 4096, 32759, 32760, 32761, 32767, 32768, 32769, 60000
};

START_TEST(fires_within_a_tick)
{
	for (uint64_t from = 100 * SECOND; from < 100 * SECOND + 3 * 512; from += 131) {
		struct alarm a = ALARM;
		uint64_t     due = from + delays[_i], at;

		wheel_init(&wheel, from);
		timer_set(&wheel, &a.timer, due);
		at = fires_at(&a, from, due + 100);
		ck_assert_uint_ge(at, due);
		ck_assert_uint_lt(at, due + WHEEL_TICK_MS);
	}
}
END_TEST

START_TEST(stopping_is_always_harmless)
{
	struct alarm never_set = ALARM;
	struct alarm a = ALARM;
	struct timer zero = { .fire = NULL };

	ck_assert(!timer_is_set(&never_set.timer));
	timer_stop(&never_set.timer);
	timer_stop(&never_set.timer);
	timer_stop(&zero);
	ck_assert(!timer_is_set(&zero));
	timer_set(&wheel, &a.timer, 101 * SECOND);
	ck_assert(timer_is_set(&a.timer));
	timer_stop(&a.timer);
	timer_stop(&a.timer);
	ck_assert(!timer_is_set(&a.timer));
	ck_assert_int_eq(wheel_wait(&wheel, 100 * SECOND), -1);
	wheel_turn(&wheel, 200 * SECOND);
	ck_assert_uint_eq(a.fired, 0);
	timer_set(&wheel, &a.timer, 201 * SECOND);
	wheel_turn(&wheel, 201 * SECOND);
	ck_assert_uint_eq(a.fired, 1);
	timer_stop(&a.timer);
}
END_TEST

START_TEST(setting_again_moves)
{
	struct alarm a = ALARM;

	timer_set(&wheel, &a.timer, 101 * SECOND);
	timer_set(&wheel, &a.timer, 130 * SECOND);
	wheel_turn(&wheel, 102 * SECOND);
	ck_assert_uint_eq(a.fired, 0);
	timer_set(&wheel, &a.timer, 103 * SECOND);
	wheel_turn(&wheel, 103 * SECOND);
	ck_assert_uint_eq(a.fired, 1);
	wheel_turn(&wheel, 200 * SECOND);
	ck_assert_uint_eq(a.fired, 1);
}
END_TEST

START_TEST(the_past_fires_at_the_next_turn)
{
	struct alarm a = ALARM, b = ALARM;

	timer_set(&wheel, &a.timer, 0);
	timer_set(&wheel, &b.timer, 99 * SECOND);
	ck_assert_int_eq(wheel_wait(&wheel, 100 * SECOND), 0);
	wheel_turn(&wheel, 100 * SECOND);
	ck_assert_uint_eq(a.fired, 1);
	ck_assert_uint_eq(b.fired, 1);
}
END_TEST

START_TEST(time_that_goes_back_is_ignored)
{
	struct alarm a = ALARM;

	wheel_turn(&wheel, 110 * SECOND);
	timer_set(&wheel, &a.timer, 105 * SECOND);
	wheel_turn(&wheel, 104 * SECOND);
	wheel_turn(&wheel, 0);
	ck_assert_uint_eq(a.fired, 0);
	wheel_turn(&wheel, 110 * SECOND);
	ck_assert_uint_eq(a.fired, 1);
}
END_TEST

static void
set_self_now(struct alarm *a)
{
	timer_set(&wheel, &a->timer, a->at);
}

START_TEST(set_for_now_by_its_callback_is_for_a_later_turn)
{
	struct alarm a = ALARM;

	a.then = set_self_now;
	timer_set(&wheel, &a.timer, 100 * SECOND);
	for (unsigned turn = 1; turn <= 20; turn++) {
		wheel_turn(&wheel, 100 * SECOND + turn * HOUR);
		ck_assert_uint_eq(a.fired, turn);
		ck_assert(timer_is_set(&a.timer));
	}
	timer_stop(&a.timer);
}
END_TEST

static void
stop_other(struct alarm *a)
{
	timer_stop(&a->other->timer);
}

static void
postpone_other(struct alarm *a)
{
	timer_set(&wheel, &a->other->timer, a->at + 5 * SECOND);
}

static void
set_other_for_the_past(struct alarm *a)
{
	timer_set(&wheel, &a->other->timer, 1);
}

static const struct {
	void		(*then)(struct alarm *);
	uint64_t	 other_due;
	unsigned	 fired, fired_later;	/* the other: after this turn, and after one 5 s later */
} meddling[] = {
	/* in the same slot, in a later one of the same turn, in none that is due */
	{ stop_other, 101 * SECOND, 0, 0 },
	{ stop_other, 102 * SECOND, 0, 0 },
	{ stop_other, 500 * SECOND, 0, 0 },
	{ postpone_other, 101 * SECOND, 0, 1 },
	{ postpone_other, 102 * SECOND, 0, 1 },
	{ postpone_other, 500 * SECOND, 0, 1 },
	{ set_other_for_the_past, 101 * SECOND, 0, 1 },
	{ set_other_for_the_past, 102 * SECOND, 0, 1 },
	{ set_other_for_the_past, 500 * SECOND, 0, 1 },
};

START_TEST(callbacks_meddle)
{
	struct alarm a = ALARM, b = ALARM;

	a.then = meddling[_i].then;
	a.other = &b;
	timer_set(&wheel, &a.timer, 101 * SECOND);
	timer_set(&wheel, &b.timer, meddling[_i].other_due);
	wheel_turn(&wheel, 110 * SECOND);
	ck_assert_uint_eq(a.fired, 1);
	ck_assert_uint_eq(b.fired, meddling[_i].fired);
	wheel_turn(&wheel, 115 * SECOND);
	ck_assert_uint_eq(b.fired, meddling[_i].fired_later);
	timer_stop(&b.timer);
}
END_TEST

static void
alarm_free(struct timer *t, uint64_t now_ms)
{
	free(container_of(t, struct alarm, timer));
}

START_TEST(a_callback_may_free_its_timer)
{
	for (unsigned i = 0; i < 100; i++) {
		struct alarm *a = xcalloc(1, sizeof(*a));

		a->timer.fire = alarm_free;
		timer_set(&wheel, &a->timer, 101 * SECOND);
	}
	wheel_turn(&wheel, 102 * SECOND);
	ck_assert_int_eq(wheel_wait(&wheel, 102 * SECOND), -1);
}
END_TEST

START_TEST(beyond_the_range)
{
	static const uint64_t hours[] = { 30, 37, 38, 74, 75, 1000, 100000 };

	for (unsigned i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
		struct alarm a = ALARM;
		uint64_t     due = 100 * SECOND + hours[i] * HOUR + 1, now = 100 * SECOND;
		unsigned     turns = 0;

		wheel_init(&wheel, now);
		timer_set(&wheel, &a.timer, due);
		while (a.fired == 0) {
			int64_t wait = wheel_wait(&wheel, now);

			ck_assert_int_gt(wait, 0);
			now += (uint64_t)wait;
			wheel_turn(&wheel, now);
			turns++;
		}
		ck_assert_uint_ge(now, due);
		ck_assert_uint_lt(now, due + WHEEL_TICK_MS);
		ck_assert_uint_le(turns, 4 + hours[i] / 36);
	}
}
END_TEST

/* Ten years in one turn, with a timer that never fires. */
START_TEST(forever)
{
	const uint64_t decade = 10 * 365 * 24 * HOUR;
	struct alarm   never = ALARM, late = ALARM;

	timer_set(&wheel, &never.timer, UINT64_MAX);
	timer_set(&wheel, &late.timer, decade);
	wheel_turn(&wheel, decade - 1);
	ck_assert_uint_eq(late.fired, 0);
	wheel_turn(&wheel, decade + WHEEL_TICK_MS);
	ck_assert_uint_eq(late.fired, 1);
	ck_assert_uint_eq(never.fired, 0);
	ck_assert(timer_is_set(&never.timer));
	timer_stop(&never.timer);
}
END_TEST

#define N_ALARMS 200

static struct alarm alarms[N_ALARMS];
static struct {
	uint64_t	now;
	bool		turning;
	uint64_t	last;				/* the tick of the alarm that fired last in this turn */
	bool		due[N_ALARMS];			/* must fire in this turn, unless a callback meddles */
	uint64_t	placed[N_ALARMS];		/* when it was set, tick */
	uint64_t	random;
} model;

static uint64_t
draw(uint64_t below)
{
	model.random ^= model.random << 13;
	model.random ^= model.random >> 7;
	model.random ^= model.random << 17;
	return (model.random >> 11) % below;
}

static uint64_t
draw_delay(void)
{
	static const uint64_t ranges[] = { 10, 600, 40 * SECOND, HOUR, 40 * HOUR, 400 * HOUR };

	return draw(ranges[draw(sizeof(ranges) / sizeof(ranges[0]))]);
}

static uint64_t
ticks_up(uint64_t ms)
{
	return (ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

static void
model_meddle(void)
{
	unsigned i = (unsigned)draw(N_ALARMS);

	model.due[i] = false;
	if (draw(4) == 0) {
		timer_stop(&alarms[i].timer);
		ck_assert(!timer_is_set(&alarms[i].timer));
		return;
	}
	timer_set(&wheel, &alarms[i].timer, draw(8) == 0 ? model.now - draw(5 * SECOND) : model.now + draw_delay());
	model.placed[i] = model.now / WHEEL_TICK_MS;
	ck_assert(timer_is_set(&alarms[i].timer));
}

static void
model_fire(struct timer *t, uint64_t now_ms)
{
	unsigned i = (unsigned)(container_of(t, struct alarm, timer) - alarms);
	uint64_t tick = ticks_up(t->due);

	ck_assert(model.turning);
	ck_assert(model.due[i]);
	ck_assert(!timer_is_set(t));
	ck_assert_uint_eq(now_ms, model.now);
	ck_assert_uint_ge(now_ms, t->due);
	model.due[i] = false;
	if (tick < model.placed[i])
		tick = model.placed[i];
	ck_assert_uint_ge(tick, model.last);
	model.last = tick;
	for (uint64_t n = draw(3); n > 0; n--)
		model_meddle();
}

/* The wheel must not want to sleep longer than until the nearest timer can fire. */
static void
model_check_wait(void)
{
	int64_t  wait = wheel_wait(&wheel, model.now);
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < N_ALARMS; i++)
		if (timer_is_set(&alarms[i].timer) && ticks_up(alarms[i].timer.due) < next)
			next = ticks_up(alarms[i].timer.due);
	if (next == UINT64_MAX)
		ck_assert_int_eq(wait, -1);
	else if (next * WHEEL_TICK_MS <= model.now)
		ck_assert_int_eq(wait, 0);
	else
		ck_assert(wait > 0 && (uint64_t)wait <= next * WHEEL_TICK_MS - model.now);
}

static void
model_turn(void)
{
	int64_t wait = wheel_wait(&wheel, model.now);

	if (draw(3) > 0 && wait >= 0)
		model.now += (uint64_t)wait;
	else
		model.now += draw_delay();
	for (unsigned i = 0; i < N_ALARMS; i++)
		model.due[i] = timer_is_set(&alarms[i].timer) &&
		    ticks_up(alarms[i].timer.due) <= model.now / WHEEL_TICK_MS;
	model.last = 0;
	model.turning = true;
	wheel_turn(&wheel, model.now);
	model.turning = false;
	for (unsigned i = 0; i < N_ALARMS; i++)
		ck_assert_msg(!model.due[i], "alarm %u was due and did not fire", i);
}

START_TEST(agrees_with_a_plain_array)
{
	model.now = 123456789;
	model.random = 88172645463325252 + (uint64_t)_i;
	wheel_init(&wheel, model.now);
	for (unsigned i = 0; i < N_ALARMS; i++)
		alarms[i] = (struct alarm){ .timer.fire = model_fire };
	for (unsigned step = 0; step < 1500; step++) {
		for (uint64_t n = draw(6); n > 0; n--)
			model_meddle();
		model_check_wait();
		model_turn();
		model_check_wait();
	}
}
END_TEST

/* As deadlines do that are put off again and again: the slots they leave must not keep the wheel awake. */
START_TEST(left_slots_are_forgotten)
{
	struct alarm a = ALARM;
	uint64_t     now = 100 * SECOND;

	for (unsigned i = 0; i < 20000; i++, now += 3)
		timer_set(&wheel, &a.timer, now + 30 * SECOND);
	ck_assert_int_gt(wheel_wait(&wheel, now), 0);
	wheel_turn(&wheel, now);
	ck_assert_uint_eq(a.fired, 0);
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		ck_assert_int_le(__builtin_popcountll(wheel.busy[level]), 1);
	timer_stop(&a.timer);
	ck_assert_int_eq(wheel_wait(&wheel, now), -1);
}
END_TEST

Suite *
wheel_suite(void)
{
	Suite *s = suite_create("wheel");
	TCase *tc = tcase_create("wheel");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, start, NULL);
	tcase_add_loop_test(tc, fires_within_a_tick, 0, sizeof(delays) / sizeof(delays[0]));
	tcase_add_test(tc, stopping_is_always_harmless);
	tcase_add_test(tc, setting_again_moves);
	tcase_add_test(tc, the_past_fires_at_the_next_turn);
	tcase_add_test(tc, time_that_goes_back_is_ignored);
	tcase_add_test(tc, set_for_now_by_its_callback_is_for_a_later_turn);
	tcase_add_loop_test(tc, callbacks_meddle, 0, sizeof(meddling) / sizeof(meddling[0]));
	tcase_add_test(tc, a_callback_may_free_its_timer);
	tcase_add_test(tc, beyond_the_range);
	tcase_add_test(tc, forever);
	tcase_add_loop_test(tc, agrees_with_a_plain_array, 0, 6);
	tcase_add_test(tc, left_slots_are_forgotten);
	suite_add_tcase(s, tc);
	return s;
}
