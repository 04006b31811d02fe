/*
 * The event loop. libevent waits and calls back; the wheel, the flush and the burial belong to the end of
 * each turn.
 */
#include "net/loop.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "net/batch.h"
#include "net/outq.h"

#define LAG_WINDOW_MS	10000
#define STOOD_MS	1000	/* who is that late was stopped: no traffic does that */
#define NEVER		UINT64_MAX

static void
loop_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	loop_awake(l);
	l->wake_at = NEVER;
}

/* libevent would write to standard error, and might have to wait for it. */
static void
loop_log(int severity, const char *text)
{
	log_line(severity >= EVENT_LOG_ERR ? LOG_ERROR_ : LOG_WARN_, NULL, "libevent: %s", text);
}

struct loop *
loop_new(void)
{
	struct loop *l = xmalloc(sizeof(*l));

	event_set_log_callback(loop_log);
	*l = (struct loop){ .base = event_base_new(), .wake_at = NEVER, .now = clock_ms() };
	list_init(&l->tasks);
	list_init(&l->dead);
	wheel_init(&l->wheel, l->now);
	if (l->base == NULL)
		return loop_free(l);
	l->wake = evtimer_new(l->base, loop_wake, l);
	if (l->wake == NULL)
		return loop_free(l);
	l->read_buf = xmalloc(LOOP_READ_SIZE);
	l->batch = batch_new();
	return l;
}

static void
loop_bury_dead(struct loop *l)
{
	struct list *link;

	while ((link = list_take_link(&l->dead)) != NULL) {
		struct grave *g = list_entry(link, struct grave, in_dead);

		g->bury(g);
	}
}

static void
loop_free_rings(struct loop *l)
{
	while (l->free_rings != NULL) {
		void *ring = l->free_rings;

		l->free_rings = *(struct outq_ring **)ring;
		free(ring);
	}
}

struct loop *
loop_free(struct loop *l)
{
	if (l == NULL)
		return NULL;
	if (l->wake != NULL)
		event_free(l->wake);
	/* A look-up that was cancelled is told so by the base, and goes then. */
	if (l->base != NULL)
		event_base_loop(l->base, EVLOOP_NONBLOCK);
	loop_bury_dead(l);
	loop_free_rings(l);
	batch_free(l->batch);
	if (l->base != NULL)
		event_base_free(l->base);
	free(l->read_buf);
	free(l);
	return NULL;
}

void
loop_bury(struct loop *l, struct grave *g)
{
	list_append(&l->dead, &g->in_dead);
}

void
loop_at_end(struct loop *l, struct loop_task *t)
{
	if (list_empty(&t->in_tasks))
		list_append(&l->tasks, &t->in_tasks);
}

void
loop_forget_task(struct loop_task *t)
{
	list_remove(&t->in_tasks);
}

static uint64_t
loop_clock(const struct loop *l)
{
	return clock_ms() - l->stood;
}

/*
 * Time in which we stood still does not count, or all who spoke to us meanwhile would be found silent before
 * they are heard.
 */
void
loop_awake(struct loop *l)
{
	if (l->awake)
		return;
	l->awake = true;
	l->now = loop_clock(l);
	l->late = l->now > l->wake_at ? l->now - l->wake_at : 0;
	if (l->late < STOOD_MS)
		return;
	l->stood += l->late;
	l->now -= l->late;
	if (l->on_stood != NULL)
		l->on_stood(l->stood_arg);
}

/* The longest that anyone had to wait for us lately: a long turn, or a wake-up that came late. */
static void
loop_note_lag(struct loop *l, uint64_t now, uint64_t lag)
{
	if (now >= l->lag_until) {
		l->lag_before = now < l->lag_until + LAG_WINDOW_MS ? l->lag : 0;
		l->lag = 0;
		l->lag_until = now + LAG_WINDOW_MS;
	}
	if (lag > l->lag)
		l->lag = lag;
	stats->loop_lag_ms = l->lag > l->lag_before ? l->lag : l->lag_before;
}

/* Sets the wake-up for the wheel, unless one that is early enough stands. */
static void
loop_set_wake(struct loop *l)
{
	int64_t	       wait = wheel_wait(&l->wheel, l->now);
	struct timeval tv = { .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };

	if (wait < 0 || l->now + (uint64_t)wait >= l->wake_at)
		return;
	if (evtimer_add(l->wake, &tv) == 0)
		l->wake_at = l->now + (uint64_t)wait;
}

static void
loop_run_tasks(struct loop *l)
{
	struct list *link;

	while ((link = list_take_link(&l->tasks)) != NULL) {
		struct loop_task *t = list_entry(link, struct loop_task, in_tasks);

		t->run(t);
	}
}

static void
loop_flush(struct loop *l)
{
	struct outq *q;

	while ((q = l->dirty) != NULL) {
		l->dirty = q->next_dirty;
		q->dirty = false;
		if (!q->closed)
			q->flush(q);
	}
	batch_forget(l->batch);
}

/* Whatever a flush or a burial leaves to do is done before the loop waits. */
void
loop_end_turn(struct loop *l)
{
	wheel_turn(&l->wheel, l->now);
	do {
		loop_run_tasks(l);
		loop_flush(l);
		loop_bury_dead(l);
	} while (!list_empty(&l->tasks) || l->dirty != NULL);
}

void
loop_turn(struct loop *l, bool wait)
{
	uint64_t took;

	loop_set_wake(l);
	l->awake = false;
	l->work = 0;
	/* Who asked outside of a turn is not kept waiting. */
	wait = wait && list_empty(&l->tasks);
	event_base_loop(l->base, EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK));
	loop_awake(l);
	loop_end_turn(l);
	took = loop_clock(l) - l->now;
	stats->loop_turns_total++;
	loop_note_lag(l, l->now, took > l->late ? took : l->late);
}

void
loop_run(struct loop *l)
{
	while (!l->stop)
		loop_turn(l, true);
}

void
loop_break(struct loop *l)
{
	event_base_loopbreak(l->base);
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
	loop_break(l);
}
