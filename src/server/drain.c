/*
 * The drain: a timer that fires ten times a second until nobody is left.
 */
#include "server/drain.h"

#include "base/log.h"
#include "base/mem.h"
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

static void
drain_evict(struct drain *d, uint64_t now)
{
	struct websockets *set = d->endpoint->websockets;

	if (d->evicting == 0) {
		d->evicting = now;
		d->total = set->n;
		endpoint_close_doors(d->endpoint, false);
		log_info("draining: %u clients to go", set->n);
	}
	d->closed += websockets_close_some(set, (unsigned)(drain_target(d, now) - d->closed), WS_RESTART, "draining");
}

static void
drain_tick(struct timer *t, uint64_t now)
{
	struct drain	  *d = container_of(t, struct drain, timer);
	struct websockets *set = d->endpoint->websockets;
	uint64_t	   end = d->began + d->options.time_ms + d->options.close_ms;

	if (now >= d->began + d->options.delay_ms)
		drain_evict(d, now);
	if (now >= end || (d->evicting != 0 && set->n_all == 0)) {
		log_info("drained: %u clients are left", set->n_all);
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
