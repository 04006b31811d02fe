/*
 * The drain: a timer that fires ten times a second until nobody is left.
 */
#include "server/drain.h"

#include "base/log.h"
#include "base/mem.h"
#include "backplane/longpoll_relay.h"
#include "server/systemd.h"

#define DRAIN_TICK_MS	100

/*
 * How many clients should be closed by now. At least one more each time: few clients need not wait for the
 * whole time.
 */
static uint64_t
drain_target(const struct drain *d, uint64_t now)
{
	uint64_t whole = d->options.time_ms > d->options.delay_ms ? d->options.time_ms - d->options.delay_ms : 1;
	uint64_t part = d->total * (now - d->evicting) / whole;

	return part > d->closed ? part : d->closed + 1;
}

/* Clients that are there; with `all`, those too that were told to go. */
static unsigned
drain_left(const struct drain *d, bool all)
{
	const struct endpoint *e = d->endpoint;

	return (all ? e->websockets->n_all : e->websockets->n) + e->longpolls->n;
}

/* Of which kind there are more left, by what there was of it. */
static bool
drain_is_polls_turn(const struct drain *d)
{
	const struct endpoint *e = d->endpoint;

	return e->websockets->n == 0 || e->longpolls->n * (d->total - d->polls) > e->websockets->n * d->polls;
}

/* So many, of each kind its share. Returns how many went. */
static uint64_t
drain_close(struct drain *d, uint64_t n)
{
	static const char why[] = "draining";
	struct endpoint	 *e = d->endpoint;
	uint64_t	  closed = 0;

	while (closed < n && drain_left(d, false) > 0) {
		if (drain_is_polls_turn(d))
			longpolls_close_some(e->longpolls, 1, WS_RESTART, why);
		else
			websockets_close_some(e->websockets, 1, WS_RESTART, why);
		closed++;
	}
	return closed;
}

static void
drain_evict(struct drain *d, uint64_t now)
{
	if (d->evicting == 0) {
		d->evicting = now;
		d->total = drain_left(d, false);
		d->polls = d->endpoint->longpolls->n;
		endpoint_close_doors(d->endpoint, false);
		/* Whoever polls here for another node's session may as well do so elsewhere. */
		d->endpoint->http.closing = true;
		longpoll_relay_release(d->endpoint->relay);
		log_info("draining: %llu clients to go", (unsigned long long)d->total);
	}
	d->closed += drain_close(d, drain_target(d, now) - d->closed);
}

static void
drain_tick(struct timer *t, uint64_t now)
{
	struct drain *d = container_of(t, struct drain, timer);
	uint64_t      end = d->began + d->options.time_ms + d->options.close_ms;

	if (now >= d->began + d->options.delay_ms)
		drain_evict(d, now);
	if (now >= end || (d->evicting != 0 && drain_left(d, true) == 0)) {
		log_info("drained: %u clients are left", drain_left(d, true));
		longpoll_relay_release(d->endpoint->relay);
		loop_stop(d->endpoint->loop);
		return;
	}
	loop_timer(d->endpoint->loop, t, now + DRAIN_TICK_MS);
}

void
drain_init(struct drain *d, struct endpoint *e)
{
	*d = (struct drain){ .endpoint = e, .timer.fire = drain_tick };
}

void
drain_done(struct drain *d)
{
	timer_stop(&d->timer);
}

void
drain_begin(struct drain *d)
{
	d->endpoint->draining = true;
	d->began = d->endpoint->loop->now;
	systemd_stopping();
	log_info("draining for up to %llu ms", (unsigned long long)d->options.time_ms);
	drain_tick(&d->timer, d->began);
}
