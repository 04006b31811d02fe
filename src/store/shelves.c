/*
 * Shelves: what is put there, found there, and goes from there.
 */
#include "store/shelves.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define RING_MIN	8
#define MARK_PLACE	32	/* bytes that a mark takes in its map, about */

static struct slice
shelf_key(const void *item)
{
	const struct shelf *shelf = item;

	return shelf->name;
}

static struct slice
mark_key(const void *item)
{
	const struct mark *mark = item;

	return mark->user;
}

struct kept *
kept_unref(struct kept *k)
{
	if (--k->refs == 0)
		free(k);
	return NULL;
}

/* Writes the text at *to, and moves on. */
static struct slice
text_copy(char **to, struct slice text)
{
	char *at = *to;

	if (text.n > 0)
		memcpy(at, text.p, text.n);
	*to += text.n;
	return slice(at, text.n);
}

static struct kept *
kept_new(const struct store_append *a, struct position at, uint64_t tail)
{
	size_t	     size = sizeof(struct kept) + a->event.n + a->payload.n + a->user.n;
	struct kept *k = xmalloc(size);
	char	    *to = k->text;

	*k = (struct kept){ .refs = 1, .at = at, .tail = tail, .size = size };
	k->event = text_copy(&to, a->event);
	k->payload = text_copy(&to, a->payload);
	k->user = text_copy(&to, a->user);
	return k;
}

static size_t
shelf_size(const struct shelf *shelf)
{
	return sizeof(*shelf) + shelf->name.n + shelf->cap * sizeof(struct kept *);
}

struct shelf *
shelves_get(const struct shelves *all, struct slice topic)
{
	return map_get(&all->by_name, topic);
}

static struct shelf *
shelf_open(struct shelves *all, struct slice topic)
{
	struct shelf *shelf = shelves_get(all, topic);
	char	   *to;

	if (shelf != NULL)
		return shelf;
	shelf = xmalloc(sizeof(*shelf) + topic.n);
	to = shelf->text;
	*shelf = (struct shelf){ 0 };
	shelf->name = text_copy(&to, topic);
	map_init(&shelf->marks, mark_key);
	map_put(&all->by_name, shelf);
	list_append(&all->by_use, &shelf->in_store);
	all->bytes += shelf_size(shelf);
	return shelf;
}

static void
shelf_drop_oldest(struct shelves *all, struct shelf *shelf)
{
	struct kept *k = *shelf_place(shelf, 0);

	assert(shelf->n > 0);
	shelf->first++;
	shelf->n--;
	all->bytes -= k->size;
	kept_unref(k);
}

static size_t
mark_size(struct slice who)
{
	return sizeof(struct mark) + MARK_PLACE + who.n;
}

static void
shelf_drop_marks(struct shelves *all, struct shelf *shelf)
{
	struct mark *mark;

	for (size_t at = 0; (mark = map_next(&shelf->marks, &at)) != NULL;) {
		all->bytes -= mark_size(mark->user);
		free(mark);
	}
	map_done(&shelf->marks);
}

static void
shelf_free(struct shelves *all, struct shelf *shelf)
{
	while (shelf->n > 0)
		shelf_drop_oldest(all, shelf);
	shelf_drop_marks(all, shelf);
	all->bytes -= shelf_size(shelf);
	map_del(&all->by_name, shelf->name);
	list_remove(&shelf->in_store);
	free(shelf->ring);
	free(shelf);
}

static void
shelf_grow(struct shelves *all, struct shelf *shelf)
{
	uint32_t      cap = shelf->cap > 0 ? shelf->cap * 2 : RING_MIN;
	struct kept **ring = xcalloc(cap, sizeof(*ring));

	for (uint32_t i = 0; i < shelf->n; i++)
		ring[i] = *shelf_place(shelf, i);
	all->bytes += (cap - shelf->cap) * sizeof(*ring);
	free(shelf->ring);
	shelf->ring = ring;
	shelf->cap = cap;
	shelf->first = 0;
}

/* Takes the reference. */
static void
shelf_add(struct shelves *all, struct shelf *shelf, struct kept *k)
{
	if (shelf->n == shelf->cap)
		shelf_grow(all, shelf);
	*shelf_place(shelf, shelf->n) = k;
	shelf->n++;
	shelf->tip = k->at;
	all->bytes += k->size;
	list_remove(&shelf->in_store);
	list_append(&all->by_use, &shelf->in_store);
}

/* Which is the first that does not stand before `at`? shelf->n = none. */
static uint32_t
shelf_find(const struct shelf *shelf, struct position at)
{
	uint32_t from = 0, to = shelf->n;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (position_compare((*shelf_place(shelf, mid))->at, at) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* The i-th goes from between the others. */
static void
shelf_remove(struct shelves *all, struct shelf *shelf, uint32_t i)
{
	struct kept *k = *shelf_place(shelf, i);

	for (; i + 1 < shelf->n; i++)
		*shelf_place(shelf, i) = *shelf_place(shelf, i + 1);
	shelf->n--;
	all->bytes -= k->size;
	kept_unref(k);
}

/* Where that begins which is not over age. */
static struct position
age_floor(const struct shelves *all, uint64_t age_ms)
{
	uint64_t now = (uint64_t)all->wall();

	return (struct position){ .ms = age_ms == 0 || age_ms > now ? 0 : now - age_ms };
}

struct position
shelf_floor(const struct shelves *all, const struct shelf *shelf, const struct history_limits *limits)
{
	struct position floor = age_floor(all, limits->age_ms), newest;

	if (shelf->n == 0 || limits->last_ms <= limits->age_ms)
		return floor;
	newest = (*shelf_place(shelf, shelf->n - 1))->at;
	if (position_compare(newest, floor) < 0 && position_compare(newest, age_floor(all, limits->last_ms)) >= 0)
		return newest;
	return floor;
}

static void
shelf_trim(struct shelves *all, struct shelf *shelf)
{
	struct position floor = shelf_floor(all, shelf, &shelf->limits);

	while (shelf->n > shelf->limits.max)
		shelf_drop_oldest(all, shelf);
	while (shelf->n > 0 && position_compare((*shelf_place(shelf, 0))->at, floor) < 0)
		shelf_drop_oldest(all, shelf);
}

void
shelves_evict(struct shelves *all)
{
	while (all->bytes > all->max_bytes && !list_empty(&all->by_use)) {
		struct shelf *shelf = list_entry(all->by_use.next, struct shelf, in_store);

		if (shelf->n > 0)
			shelf_drop_oldest(all, shelf);
		if (shelf->n == 0)
			shelf_free(all, shelf);
	}
}

bool
shelves_sweep(struct shelves *all)
{
	list_each(link, &all->by_use) {
		struct shelf *shelf = list_entry(link, struct shelf, in_store);

		shelf_trim(all, shelf);
		if (shelf->n == 0)
			shelf_free(all, shelf);
	}
	return !list_empty(&all->by_use);
}

/* The next position, as XADD makes it: where the clock stood still or went back, seq counts on. */
static struct position
shelves_position(struct shelves *all)
{
	struct position now = { .ms = (uint64_t)all->wall() };

	if (position_compare(now, all->last) > 0)
		all->last = now;
	else if (all->last.seq < UINT32_MAX)
		all->last.seq++;
	else
		all->last = (struct position){ .ms = all->last.ms + 1 };
	return all->last;
}

struct store_entry
shelves_put(struct shelves *all, const struct store_append *a)
{
	struct shelf	  *shelf = shelf_open(all, a->topic);
	struct store_entry entry = {
		.at = shelves_position(all), .prev = shelf->tip, .tail = uuid_tail(), .tag = a->tag,
		.event = a->event, .payload = a->payload, .user = a->user
	};

	if (a->removes != NULL)
		shelf_remove(all, shelf, shelf_find(shelf, a->removes->at));
	shelf->limits = a->limits;
	shelf_add(all, shelf, kept_new(a, entry.at, entry.tail));
	shelf_trim(all, shelf);
	shelves_evict(all);
	return entry;
}

/* How many of the places [from, to), in the order of reading, are asked for. */
static uint32_t
shelf_fit(const struct shelf *shelf, const struct store_read *r, uint32_t from, uint32_t to)
{
	size_t	 room = r->max_bytes > 0 ? r->max_bytes : STORE_PAGE_BYTES, bytes = 0;
	uint32_t n = 0;

	while (n < to - from && n < r->limit) {
		const struct kept *k = *shelf_place(shelf, r->forward ? from + n : to - 1 - n);

		bytes += k->event.n + k->payload.n + k->user.n;
		if (n > 0 && bytes > room)
			break;
		n++;
	}
	return n;
}

bool
shelf_range(const struct shelf *shelf, const struct store_read *r, struct position floor,
    uint32_t *from, uint32_t *to)
{
	bool	 is_open = r->from.ms == 0 && r->from.seq == 0;
	uint32_t old = shelf_find(shelf, floor), at = shelf_find(shelf, r->from), n;

	*from = old;
	*to = shelf->n;
	if (!r->forward && !is_open)
		*to = at > old ? at : old;
	if (r->forward && at < shelf->n && position_compare((*shelf_place(shelf, at))->at, r->from) == 0)
		at++;
	if (r->forward && at > old)
		*from = at;
	n = shelf_fit(shelf, r, *from, *to);
	if (n == *to - *from)
		return false;
	if (r->forward)
		*to = *from + n;
	else
		*from = *to - n;
	return true;
}

bool
shelf_has(const struct shelf *shelf, struct position at, uint64_t tail, struct position floor)
{
	uint32_t     i = shelf_find(shelf, at);
	struct kept *k;

	if (i == shelf->n || position_compare(at, floor) < 0)
		return false;
	k = *shelf_place(shelf, i);
	return position_compare(k->at, at) == 0 && k->tail == tail;
}

bool
shelf_may_remove(const struct shelves *all, const struct shelf *shelf, const struct store_append *a)
{
	const struct store_place *id = a->removes;

	if (shelf == NULL || !shelf_has(shelf, id->at, id->tail, shelf_floor(all, shelf, &a->limits)))
		return false;
	return !slice_eq((*shelf_place(shelf, shelf_find(shelf, id->at)))->event, a->event);
}

static struct mark *
mark_new(struct slice who)
{
	struct mark *mark = xmalloc(sizeof(*mark) + who.n);
	char	    *to = mark->text;

	*mark = (struct mark){ 0 };
	mark->user = text_copy(&to, who);
	return mark;
}

void
shelf_set_mark(struct shelves *all, struct shelf *shelf, struct slice who, struct position at, uint64_t tail)
{
	struct mark *mark = map_get(&shelf->marks, who);

	if (mark == NULL) {
		mark = mark_new(who);
		map_put(&shelf->marks, mark);
		all->bytes += mark_size(who);
	}
	if (position_compare(mark->at, at) >= 0)
		return;
	mark->at = at;
	mark->tail = tail;
}

const struct mark *
shelf_get_mark(const struct shelf *shelf, struct slice user)
{
	return shelf->marks.n > 0 ? map_get(&shelf->marks, user) : NULL;
}

void
shelves_init(struct shelves *all, size_t max_bytes, int64_t (*wall)(void))
{
	*all = (struct shelves){ .wall = wall, .max_bytes = max_bytes };
	map_init(&all->by_name, shelf_key);
	list_init(&all->by_use);
}

void
shelves_done(struct shelves *all)
{
	while (!list_empty(&all->by_use))
		shelf_free(all, list_entry(all->by_use.next, struct shelf, in_store));
	map_done(&all->by_name);
}
