/*
 * A hierarchical timing wheel (Varghese and Lauck): setting and stopping a timer is O(1) and allocates
 * nothing, so a connection can have its deadlines without an event of its own. Time is a parameter; nothing
 * here reads a clock.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_TICK_MS	8	/* timers fire up to one tick late, never early */
#define WHEEL_SLOTS	64
#define WHEEL_LEVELS	4	/* 8 ms x 64^4: about 37 hours; later deadlines are clamped and set again inside */

struct timer;
typedef void timer_fn(struct timer *, uint64_t now_ms);

/* In one slot of one wheel, or in none. Embedded; all zero with `fire` set is a stopped timer. */
struct timer {
	struct list	 in_slot;
	uint64_t	 due;		/* ms, the clock of wheel_turn() */
	timer_fn	*fire;
};

struct wheel {
	uint64_t	 tick;				/* ticks since 0 that have been run */
	uint64_t	 busy[WHEEL_LEVELS];		/* bit i: slot i is not empty (may be stale: set but empty) */
	struct list	 slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *, uint64_t now_ms);
/*
 * Sets (or moves) a timer. A time before the tick of the last turn fires at the next turn, even within the
 * same tick.
 */
void timer_set(struct wheel *, struct timer *, uint64_t due_ms);
void timer_stop(struct timer *);
bool timer_is_set(const struct timer *);
/*
 * Fires what is due at now_ms, earliest slot first. A callback may set and stop any timer, its own too; one
 * that it sets for now or earlier fires at the next turn. Time that goes backwards is ignored.
 */
void wheel_turn(struct wheel *, uint64_t now_ms);
/*
 * ms from now_ms until the wheel wants to be turned again (at the latest when the next timer is due); -1 = no
 * timer.
 */
int64_t wheel_wait(const struct wheel *, uint64_t now_ms);

#endif
