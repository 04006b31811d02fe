/*
 * The loop's turns: what happens in them and in which order, and which time it is.
 */
#include <check.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stats.h"
#include "net/loop.h"
#include "net/outq.h"
#include "turned_by_hand.h"

Suite *loop_suite(void);

#define LATE_MS	1000	/* from there on it was no traffic that kept us */

/* Something with a queue, a timer, an event and an end, that writes down what happens to it. */
struct thing {
	char		 name;
	struct outq	 out;
	struct timer	 timer;
	struct loop_task task;
	struct grave	 grave;
	struct event	 event;
	void		(*then)(struct thing *);	/* done at what happens next, once */
};

static struct loop *loop;
static struct buf journal;
static struct stats fresh;
static struct stats *usual;
static struct thing a, b, c;

static void
happens(struct thing *t, const char *what)
{
	void (*then)(struct thing *) = t->then;

	buf_addf(&journal, "%s %c;", what, t->name);
	t->then = NULL;
	if (then != NULL)
		then(t);
}

static void
on_flush(struct outq *q)
{
	happens(container_of(q, struct thing, out), "flush");
	outq_drop(q, q->bytes);
}

static void
on_timer(struct timer *t, uint64_t now)
{
	ck_assert_uint_eq(now, loop->now);
	happens(container_of(t, struct thing, timer), "timer");
}

static void
on_task(struct loop_task *t)
{
	happens(container_of(t, struct thing, task), "task");
}

static void
on_bury(struct grave *g)
{
	happens(container_of(g, struct thing, grave), "bury");
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	loop_awake(loop);
	happens(arg, "event");
}

static void
thing_init(struct thing *t, char name)
{
	*t = (struct thing){ .name = name, .timer.fire = on_timer, .task.run = on_task, .grave.bury = on_bury };
	outq_init(&t->out, loop, on_flush);
	event_assign(&t->event, loop->base, -1, 0, on_event, t);
}

static void
setup(void)
{
	usual = stats;
	fresh = (struct stats){ 0 };
	stats = &fresh;
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	thing_init(&a, 'a');
	thing_init(&b, 'b');
	thing_init(&c, 'c');
}

static void
teardown(void)
{
	outq_done(&a.out);
	outq_done(&b.out);
	outq_done(&c.out);
	loop = loop_free(loop);
	buf_done(&journal);
	stats = usual;
}

static void
journal_is(const char *text)
{
	buf_add_char(&journal, '\0');
	ck_assert_str_eq(journal.p, text);
	journal.n = 0;
}

static void
say(struct thing *t)
{
	outq_push(&t->out, frame_raw_copy(SLICE("x")));
}

static void
fire_event(struct thing *t)
{
	event_active(&t->event, EV_READ, 1);
}

static void
bury(struct thing *t)
{
	loop_bury(loop, &t->grave);
}

START_TEST(a_queue_is_flushed_once_a_turn)
{
	say(&a);
	say(&b);
	say(&a);
	turn_after(loop, 0);
	journal_is("flush b;flush a;");
	turn_after(loop, 0);
	journal_is("");
	ck_assert_uint_eq(stats->loop_turns_total, 2);
}
END_TEST

static void
say_b_and_a(struct thing *t)
{
	say(&b);
	say(&a);
}

START_TEST(what_is_said_in_a_flush_is_flushed_too)
{
	a.then = say_b_and_a;
	say(&a);
	turn_after(loop, 0);
	journal_is("flush a;flush a;flush b;");
}
END_TEST

static void
close_b(struct thing *t)
{
	outq_done(&b.out);
}

START_TEST(a_queue_that_was_closed_is_not)
{
	say(&b);
	say(&a);
	a.then = close_b;
	turn_after(loop, 0);
	journal_is("flush a;");
}
END_TEST

static void
bury_c(struct thing *t)
{
	bury(&c);
}

START_TEST(the_order_in_a_turn)
{
	loop_timer(loop, &a.timer, loop->now);
	a.then = say;
	fire_event(&b);
	b.then = bury;
	say(&c);
	turn_after(loop, WHEEL_TICK_MS);
	journal_is("event b;timer a;flush a;flush c;bury b;");
	bury(&a);
	a.then = bury_c;
	turn_after(loop, 0);
	journal_is("bury a;bury c;");
}
END_TEST

static void
ask(struct thing *t)
{
	loop_at_end(loop, &t->task);
}

static void
ask_b_and_say(struct thing *t)
{
	ask(&b);
	ask(t);
	say(t);
}

static void
forget_c(struct thing *t)
{
	loop_forget_task(&c.task);
}

START_TEST(tasks_run_once_between_timers_and_flush)
{
	say(&c);
	ask(&b);
	ask(&a);
	ask(&b);
	loop_timer(loop, &c.timer, loop->now);
	turn_after(loop, WHEEL_TICK_MS);
	journal_is("timer c;task b;task a;flush c;");
	turn_after(loop, 0);
	journal_is("");
}
END_TEST

START_TEST(tasks_ask_for_tasks)
{
	ask(&a);
	a.then = ask_b_and_say;
	turn_after(loop, 0);
	journal_is("task a;task b;task a;flush a;");
	ask(&a);
	ask(&c);
	a.then = forget_c;
	turn_after(loop, 0);
	journal_is("task a;");
	loop_forget_task(&a.task);
}
END_TEST

/* The loop never waits while something is left to do. */
START_TEST(tasks_that_come_late)
{
	say(&a);
	a.then = ask;
	turn_after(loop, 0);
	journal_is("flush a;task a;");
	bury(&b);
	b.then = ask_b_and_say;
	turn_after(loop, 0);
	journal_is("bury b;task b;flush b;");
	ask(&a);
	loop_turn(loop, true);
	journal_is("task a;");
}
END_TEST

START_TEST(the_dead_are_buried_with_the_loop)
{
	bury(&a);
	loop = loop_free(loop);
	journal_is("bury a;");
	ck_assert_ptr_null(loop_free(NULL));
}
END_TEST

static void
set_again(struct thing *t)
{
	loop_timer(loop, &t->timer, loop->now);
}

START_TEST(timers)
{
	loop_timer(loop, &a.timer, loop->now + 1000);
	loop_timer(loop, &b.timer, loop->now + 3000);
	turn_after(loop, 900);
	journal_is("");
	turn_after(loop, 200);
	journal_is("timer a;");
	b.then = set_again;
	turn_after(loop, 1910);
	journal_is("timer b;");
	turn_after(loop, WHEEL_TICK_MS);
	journal_is("timer b;");
}
END_TEST

START_TEST(it_wakes_for_a_timer)
{
	uint64_t before = clock_ms();

	loop_timer(loop, &a.timer, loop->now + 400);
	loop_turn(loop, false);
	ck_assert_uint_gt(loop->wake_at, before + 100);
	/* An earlier one moves the wake-up. */
	loop_timer(loop, &b.timer, loop->now + 20);
	for (int i = 0; i < 10 && journal.n == 0; i++)
		loop_turn(loop, true);
	journal_is("timer b;");
	ck_assert_uint_ge(clock_ms(), before + 20);
}
END_TEST

static void
be_slow(struct thing *t)
{
	uint64_t now = loop->now;

	while (clock_ms() < now + 5)
		;
	loop_awake(loop);
	ck_assert_uint_eq(loop->now, now);
}

START_TEST(time_stands_in_a_turn)
{
	uint64_t before = loop->now;

	fire_event(&a);
	a.then = be_slow;
	turn_after(loop, 500);
	ck_assert_uint_ge(loop->now, before + 500);
	before = loop->now;
	turn_after(loop, 0);
	ck_assert_uint_ge(loop->now, before + 5);
}
END_TEST

/* The wake-up comes so many ms late. */
static void
wake_late(uint64_t ms)
{
	loop->wake_at = clock_ms() - loop->stood - ms;
	loop_turn(loop, false);
}

START_TEST(a_little_late)
{
	uint64_t now = loop->now;

	loop_timer(loop, &a.timer, now + LATE_MS - 200);
	loop->stood -= LATE_MS - 100;
	loop->wake_at = now;
	loop_turn(loop, false);
	journal_is("timer a;");
	ck_assert_uint_ge(loop->now, now + LATE_MS - 100);
	ck_assert_uint_ge(stats->loop_lag_ms, LATE_MS - 100);
}
END_TEST

START_TEST(stopped_while_it_waited)
{
	uint64_t now = loop->now;

	loop_timer(loop, &a.timer, now + 2000);
	loop->stood -= 60000;
	loop->wake_at = now + 1000;
	loop_turn(loop, false);
	journal_is("");
	ck_assert_uint_ge(loop->now, now + 1000);
	ck_assert_uint_lt(loop->now, now + 2000);
	ck_assert_uint_ge(stats->loop_lag_ms, 59000);
	ck_assert_uint_lt(stats->loop_lag_ms, 60000);
	turn_after(loop, 1000 + WHEEL_TICK_MS);
	journal_is("timer a;");
}
END_TEST

static void
be_stopped(struct thing *t)
{
	loop->stood -= 60000;
}

START_TEST(stopped_in_a_turn)
{
	uint64_t now = loop->now;

	fire_event(&a);
	a.then = be_stopped;
	loop_timer(loop, &b.timer, now + 2000);
	turn_after(loop, 0);
	turn_after(loop, 0);
	journal_is("event a;");
	ck_assert_uint_lt(loop->now, now + 2000);
	ck_assert_uint_ge(stats->loop_lag_ms, 60000);
	turn_after(loop, 2000 + WHEEL_TICK_MS);
	journal_is("timer b;");
}
END_TEST

/* It is the maximum of the present window and of the one before. */
START_TEST(lag_is_remembered_for_a_while)
{
	wake_late(300);
	ck_assert_uint_ge(stats->loop_lag_ms, 300);
	wake_late(100);
	ck_assert_uint_ge(stats->loop_lag_ms, 300);
	turn_after(loop, 9000);
	ck_assert_uint_ge(stats->loop_lag_ms, 300);
	turn_after(loop, 2000);
	ck_assert_uint_ge(stats->loop_lag_ms, 300);
	wake_late(200);
	turn_after(loop, 10000);
	ck_assert_uint_ge(stats->loop_lag_ms, 200);
	ck_assert_uint_lt(stats->loop_lag_ms, 300);
	turn_after(loop, 25000);
	ck_assert_uint_lt(stats->loop_lag_ms, 200);
}
END_TEST

static void
break_turn(struct thing *t)
{
	loop_break(loop);
	say(t);
}

START_TEST(a_turn_is_broken_off)
{
	fire_event(&a);
	fire_event(&b);
	a.then = break_turn;
	turn_after(loop, 0);
	journal_is("event a;flush a;");
	turn_after(loop, 0);
	journal_is("event b;");
}
END_TEST

START_TEST(it_gets_tired_in_a_turn)
{
	ck_assert(!loop_is_tired(loop));
	loop_worked(loop, LOOP_WORK - 1);
	ck_assert(!loop_is_tired(loop));
	loop_worked(loop, 1);
	ck_assert(loop_is_tired(loop));
	turn_after(loop, 0);
	ck_assert(!loop_is_tired(loop));
	/* No amount of work makes it fresh. */
	loop_worked(loop, UINT32_MAX);
	loop_worked(loop, UINT32_MAX);
	ck_assert(loop_is_tired(loop));
}
END_TEST

static void
stop(struct thing *t)
{
	loop_stop(loop);
	say(t);
}

START_TEST(it_stops_behind_its_turn)
{
	loop_timer(loop, &a.timer, loop->now + 10);
	a.then = stop;
	loop_run(loop);
	journal_is("timer a;flush a;");
}
END_TEST

Suite *
loop_suite(void)
{
	Suite *s = suite_create("loop");
	TCase *tc = tcase_create("loop");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_queue_is_flushed_once_a_turn);
	tcase_add_test(tc, what_is_said_in_a_flush_is_flushed_too);
	tcase_add_test(tc, a_queue_that_was_closed_is_not);
	tcase_add_test(tc, the_order_in_a_turn);
	tcase_add_test(tc, tasks_run_once_between_timers_and_flush);
	tcase_add_test(tc, tasks_ask_for_tasks);
	tcase_add_test(tc, tasks_that_come_late);
	tcase_add_test(tc, the_dead_are_buried_with_the_loop);
	tcase_add_test(tc, timers);
	tcase_add_test(tc, it_wakes_for_a_timer);
	tcase_add_test(tc, time_stands_in_a_turn);
	tcase_add_test(tc, a_little_late);
	tcase_add_test(tc, stopped_while_it_waited);
	tcase_add_test(tc, stopped_in_a_turn);
	tcase_add_test(tc, lag_is_remembered_for_a_while);
	tcase_add_test(tc, a_turn_is_broken_off);
	tcase_add_test(tc, it_gets_tired_in_a_turn);
	tcase_add_test(tc, it_stops_behind_its_turn);
	suite_add_tcase(s, tc);
	return s;
}
