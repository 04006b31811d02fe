/*
 * Level 0 has a slot for each of the next 64 ticks, level 1 one for each of the next 64 times 64 ticks, and
 * so on. When time comes to a slot of a higher level, its timers are placed again, nearer. A turn goes from
 * one busy slot to the next, so what it costs depends on the timers and not on the time that has passed.
 */
#include "base/wheel.h"

#include <assert.h>

#define LEVEL_BITS	6
#define RANGE		(UINT64_C(1) << (LEVEL_BITS * WHEEL_LEVELS))	/* ticks */
#define NEVER		UINT64_MAX

static_assert(WHEEL_SLOTS == 1 << LEVEL_BITS, "a level's slots are one bitmap word and one digit of the tick");

void
wheel_init(struct wheel *w, uint64_t now_ms)
{
	*w = (struct wheel){ .tick = now_ms / WHEEL_TICK_MS };
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
}

static void
wheel_place(struct wheel *w, struct timer *t)
{
	/* Rounded up: never early. */
	uint64_t at = t->due / WHEEL_TICK_MS + (t->due % WHEEL_TICK_MS != 0);
	uint64_t ahead = at > w->tick ? at - w->tick : 0;
	unsigned level = 0, slot;

	if (ahead >= RANGE)
		ahead = RANGE - 1;
	while (ahead >> (LEVEL_BITS * (level + 1)) != 0)
		level++;
	slot = ((w->tick + ahead) >> (LEVEL_BITS * level)) % WHEEL_SLOTS;
	list_append(&w->slots[level][slot], &t->in_slot);
	w->busy[level] |= UINT64_C(1) << slot;
}

void
timer_set(struct wheel *w, struct timer *t, uint64_t due_ms)
{
	assert(t->fire != NULL);
	list_remove(&t->in_slot);
	t->due = due_ms;
	wheel_place(w, t);
}

void
timer_stop(struct timer *t)
{
	list_remove(&t->in_slot);
}

bool
timer_is_set(const struct timer *t)
{
	return !list_empty(&t->in_slot);
}

/* The tick at which a level has its next slot to empty. */
static uint64_t
level_next(const struct wheel *w, unsigned level)
{
	const unsigned shift = LEVEL_BITS * level;
	/* Above level 0 our own slot was emptied as we came to it: what is in it now is a whole round away. */
	const uint64_t first = (w->tick >> shift) + (level > 0);
	const unsigned turn = first % WHEEL_SLOTS;
	uint64_t       busy = w->busy[level] >> turn | w->busy[level] << (-turn % WHEEL_SLOTS);

	for (; busy != 0; busy &= busy - 1) {
		uint64_t at = first + (unsigned)__builtin_ctzll(busy);

		if (!list_empty(&w->slots[level][at % WHEEL_SLOTS]))
			return at << shift;
	}
	return NEVER;
}

static uint64_t
wheel_next(const struct wheel *w)
{
	uint64_t next = NEVER;

	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		uint64_t at = level_next(w, level);

		if (at < next)
			next = at;
	}
	return next;
}

static void
slot_take(struct wheel *w, unsigned level, struct list *to)
{
	unsigned slot = (w->tick >> (LEVEL_BITS * level)) % WHEEL_SLOTS;

	list_append_all(to, &w->slots[level][slot]);
	w->busy[level] &= ~(UINT64_C(1) << slot);
}

/* Places again what is in the higher slots that begin with this tick. */
static void
wheel_cascade(struct wheel *w)
{
	struct list  nearer;
	struct list *l;

	list_init(&nearer);
	for (unsigned level = 1; level < WHEEL_LEVELS && w->tick % (UINT64_C(1) << (LEVEL_BITS * level)) == 0; level++)
		slot_take(w, level, &nearer);
	while ((l = list_take_link(&nearer)) != NULL)
		wheel_place(w, list_entry(l, struct timer, in_slot));
}

/* Clears the bits of slots whose timers were all stopped or moved. */
static void
wheel_forget_stale(struct wheel *w)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		for (uint64_t left = w->busy[level]; left != 0; left &= left - 1)
			if (list_empty(&w->slots[level][__builtin_ctzll(left)]))
				w->busy[level] &= ~(left & -left);
}

void
wheel_turn(struct wheel *w, uint64_t now_ms)
{
	const uint64_t now = now_ms / WHEEL_TICK_MS;
	struct list    due;
	struct list   *l;
	uint64_t       next;

	if (now < w->tick)
		return;
	/* All that is due is taken before the first callback runs: what they set is for a later turn. */
	list_init(&due);
	while ((next = wheel_next(w)) <= now) {
		w->tick = next;
		wheel_cascade(w);
		slot_take(w, 0, &due);
	}
	if (w->tick < now)
		wheel_forget_stale(w);
	w->tick = now;
	while ((l = list_take_link(&due)) != NULL) {
		struct timer *t = list_entry(l, struct timer, in_slot);

		t->fire(t, now_ms);
	}
}

int64_t
wheel_wait(const struct wheel *w, uint64_t now_ms)
{
	uint64_t next = wheel_next(w);

	if (next == NEVER)
		return -1;
	return next * WHEEL_TICK_MS > now_ms ? (int64_t)(next * WHEEL_TICK_MS - now_ms) : 0;
}
