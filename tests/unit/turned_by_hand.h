/*
 * A loop whose time passes when a test says so.
 */
#ifndef TURNED_BY_HAND_H
#define TURNED_BY_HAND_H

#include "net/loop.h"

/* One turn, up to 500 ms later: a loop that is a second late would not let that time count. */
static inline void
turn_step(struct loop *l, uint64_t ms)
{
	l->stood -= ms;
	/* The event that would wake it knows nothing of our time. */
	l->wake_at = UINT64_MAX;
	loop_turn(l, false);
}

/* Lets so much time pass: one turn, or more if it is long. */
static inline void
turn_after(struct loop *l, uint64_t ms)
{
	for (; ms > 500; ms -= 500)
		turn_step(l, 500);
	turn_step(l, ms);
}

/* Turns at which whatever came is read, and whatever was said is written. */
static inline void
turn_a_few(struct loop *l)
{
	for (int i = 0; i < 5; i++)
		turn_after(l, 0);
}

#endif
