/*
 * History in the memory of one node. A topic's messages stand in a ring, oldest first; the topics stand in a
 * list, the one that was longest without a message first: it pays when memory runs out.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "net/rates.h"
#include "store/store.h"

#define SWEEP_MS	(60 * 1000)	/* what nobody asks for is looked through so often for what is over age */
#define RING_MIN	8

/* A stored message. Counted: a page that is still to be told keeps those that it shows. */
struct kept {
	unsigned	refs;
	struct position	at;
	uint64_t	tail;
	size_t		size;	/* of it all */
	struct slice	event;	/* these lie in text */
	struct slice	payload;
	struct slice	user;
	char		text[];
};

/* Exists as long as it has messages, and then until the next sweep. */
struct shelf {
	struct list	 in_store;
	struct slice	 name;		/* in text */
	struct position	 tip;
	uint64_t	 age_ms;	/* of the last append: 0 = for ever */
	struct kept	**ring;
	uint32_t	 cap;		/* a power of two */
	uint32_t	 first;		/* where the oldest is */
	uint32_t	 n;
	char		 text[];
};

/* What a caller is still to be told: how his append went, or his page. */
struct told {
	struct list	   in_told;
	store_appended_fn *on_appended;	/* one of the two is set */
	store_page_fn	  *on_page;
	void		  *arg;
	int		   error;
	struct position	   at;
	uint64_t	   tail;
	uint64_t	   retry_ms;
	struct store_page  page;	/* without its entries */
	struct kept	  *shown[];	/* page.n references */
};

struct store_memory {
	struct store	 store;
	struct loop	*loop;
	int64_t		(*wall)(void);
	size_t		 max_bytes;
	size_t		 bytes;		/* of topics and the messages in them */
	struct position	 last;		/* the last one given in any topic */
	struct map	 shelves;
	struct list	 by_use;	/* all shelves, the last appended to at the end */
	struct list	 told;		/* first come, first told */
	struct timer	 tell;
	struct timer	 sweep;
	struct rates	 rates;
};

static struct slice
shelf_key(const void *item)
{
	const struct shelf *shelf = item;

	return shelf->name;
}

static struct kept *
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

static struct kept **
shelf_place(const struct shelf *shelf, uint32_t i)
{
	return &shelf->ring[(shelf->first + i) & (shelf->cap - 1)];
}

static size_t
shelf_size(const struct shelf *shelf)
{
	return sizeof(*shelf) + shelf->name.n + shelf->cap * sizeof(struct kept *);
}

static struct shelf *
shelf_open(struct store_memory *m, struct slice topic)
{
	struct shelf *shelf = map_get(&m->shelves, topic);
	char	   *to;

	if (shelf != NULL)
		return shelf;
	shelf = xmalloc(sizeof(*shelf) + topic.n);
	to = shelf->text;
	*shelf = (struct shelf){ 0 };
	shelf->name = text_copy(&to, topic);
	map_put(&m->shelves, shelf);
	list_append(&m->by_use, &shelf->in_store);
	m->bytes += shelf_size(shelf);
	return shelf;
}

static void
shelf_drop_oldest(struct store_memory *m, struct shelf *shelf)
{
	struct kept *k = *shelf_place(shelf, 0);

	assert(shelf->n > 0);
	shelf->first++;
	shelf->n--;
	m->bytes -= k->size;
	kept_unref(k);
}

static void
shelf_free(struct store_memory *m, struct shelf *shelf)
{
	while (shelf->n > 0)
		shelf_drop_oldest(m, shelf);
	m->bytes -= shelf_size(shelf);
	map_del(&m->shelves, shelf->name);
	list_remove(&shelf->in_store);
	free(shelf->ring);
	free(shelf);
}

static void
shelf_grow(struct store_memory *m, struct shelf *shelf)
{
	uint32_t      cap = shelf->cap > 0 ? shelf->cap * 2 : RING_MIN;
	struct kept **ring = xcalloc(cap, sizeof(*ring));

	for (uint32_t i = 0; i < shelf->n; i++)
		ring[i] = *shelf_place(shelf, i);
	m->bytes += (cap - shelf->cap) * sizeof(*ring);
	free(shelf->ring);
	shelf->ring = ring;
	shelf->cap = cap;
	shelf->first = 0;
}

/* Takes the reference. */
static void
shelf_add(struct store_memory *m, struct shelf *shelf, struct kept *k)
{
	if (shelf->n == shelf->cap)
		shelf_grow(m, shelf);
	*shelf_place(shelf, shelf->n) = k;
	shelf->n++;
	shelf->tip = k->at;
	m->bytes += k->size;
	list_remove(&shelf->in_store);
	list_append(&m->by_use, &shelf->in_store);
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

/* Where that begins which is not over age. */
static struct position
age_floor(const struct store_memory *m, uint64_t age_ms)
{
	uint64_t now = (uint64_t)m->wall();

	return (struct position){ .ms = age_ms == 0 || age_ms > now ? 0 : now - age_ms };
}

static void
shelf_trim(struct store_memory *m, struct shelf *shelf, uint32_t max, uint64_t age_ms)
{
	struct position floor = age_floor(m, age_ms);

	while (shelf->n > max)
		shelf_drop_oldest(m, shelf);
	while (shelf->n > 0 && position_compare((*shelf_place(shelf, 0))->at, floor) < 0)
		shelf_drop_oldest(m, shelf);
}

/* Makes room: the topic that was longest without a message gives its oldest first. */
static void
memory_evict(struct store_memory *m)
{
	while (m->bytes > m->max_bytes && !list_empty(&m->by_use)) {
		struct shelf *shelf = list_entry(m->by_use.next, struct shelf, in_store);

		if (shelf->n > 0)
			shelf_drop_oldest(m, shelf);
		if (shelf->n == 0)
			shelf_free(m, shelf);
	}
}

static void
memory_sweep(struct timer *t, uint64_t now)
{
	struct store_memory *m = container_of(t, struct store_memory, sweep);

	list_each(link, &m->by_use) {
		struct shelf *shelf = list_entry(link, struct shelf, in_store);

		shelf_trim(m, shelf, UINT32_MAX, shelf->age_ms);
		if (shelf->n == 0)
			shelf_free(m, shelf);
	}
	if (!list_empty(&m->by_use))
		loop_timer(m->loop, t, now + SWEEP_MS);
}

/* The next position, as XADD makes it: where the clock stood still or went back, seq counts on. */
static struct position
memory_position(struct store_memory *m)
{
	struct position now = { .ms = (uint64_t)m->wall() };

	if (position_compare(now, m->last) > 0)
		m->last = now;
	else if (m->last.seq < UINT32_MAX)
		m->last.seq++;
	else
		m->last = (struct position){ .ms = m->last.ms + 1 };
	return m->last;
}

static void
told_tell(struct told *t)
{
	autofree struct store_entry *entries = NULL;

	if (t->on_appended != NULL) {
		t->on_appended(t->arg, t->error, t->at, t->tail, t->retry_ms);
		return;
	}
	entries = xcalloc(t->page.n + 1, sizeof(*entries));
	for (unsigned i = 0; i < t->page.n; i++) {
		const struct kept *k = t->shown[i];

		entries[i] = (struct store_entry){
			.at = k->at, .tail = k->tail, .event = k->event, .payload = k->payload, .user = k->user
		};
	}
	t->page.entries = entries;
	t->on_page(t->arg, 0, &t->page);
}

static void
told_free(struct told *t)
{
	for (unsigned i = 0; i < t->page.n; i++)
		kept_unref(t->shown[i]);
	free(t);
}

static void
memory_tell(struct timer *timer, uint64_t now)
{
	struct store_memory *m = container_of(timer, struct store_memory, tell);
	struct list	     due, *link;

	/* What is asked for meanwhile is told at the next turn. */
	list_init(&due);
	list_append_all(&due, &m->told);
	while ((link = list_take_link(&due)) != NULL) {
		struct told *t = list_entry(link, struct told, in_told);

		told_tell(t);
		told_free(t);
	}
}

static void
memory_will_tell(struct store_memory *m, struct told *t)
{
	list_append(&m->told, &t->in_told);
	if (!timer_is_set(&m->tell))
		loop_timer(m->loop, &m->tell, m->loop->now);
}

/* 0 and it is counted, or how long it has to wait. */
static uint64_t
memory_rate(struct store_memory *m, const struct store_append *a)
{
	uint64_t wait;

	if (a->rate == NULL)
		return 0;
	wait = rates_wait(&m->rates, SLICE(""), a->topic, a->rate->key, &a->rate->rate);
	if (wait == 0)
		rates_count(&m->rates, SLICE(""), a->topic, a->rate->key, &a->rate->rate);
	return wait;
}

static void
memory_fresh(struct store_memory *m, const struct store_append *a, const struct store_entry *entry)
{
	if (m->store.user != NULL && m->store.user->on_fresh != NULL)
		m->store.user->on_fresh(m->store.arg, a->topic, entry);
}

/* Stores it and makes room; returns it as those see it who are to hear of it. */
static struct store_entry
memory_put(struct store_memory *m, const struct store_append *a)
{
	struct shelf	  *shelf = shelf_open(m, a->topic);
	struct store_entry entry = {
		.at = memory_position(m), .prev = shelf->tip, .tail = uuid_tail(), .tag = a->tag,
		.event = a->event, .payload = a->payload, .user = a->user
	};

	shelf->age_ms = a->limits.age_ms;
	shelf_add(m, shelf, kept_new(a, entry.at, entry.tail));
	shelf_trim(m, shelf, a->limits.max, a->limits.age_ms);
	memory_evict(m);
	if (!timer_is_set(&m->sweep))
		loop_timer(m->loop, &m->sweep, m->loop->now + SWEEP_MS);
	return entry;
}

static int
memory_append(struct store *s, const struct store_append *a, store_appended_fn *fn, void *arg)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	struct told	    *t = xmalloc(sizeof(*t));
	struct store_entry   entry;

	*t = (struct told){ .on_appended = fn, .arg = arg, .retry_ms = memory_rate(m, a) };
	memory_will_tell(m, t);
	if (t->retry_ms > 0) {
		t->error = -EAGAIN;
		return 0;
	}
	entry = memory_put(m, a);
	t->at = entry.at;
	t->tail = entry.tail;
	memory_fresh(m, a, &entry);
	return 0;
}

/* The places [*from, *to) that are asked for. Returns whether there are more beyond. */
static bool
shelf_range(const struct shelf *shelf, const struct store_read *r, struct position floor,
    uint32_t *from, uint32_t *to)
{
	bool	 is_open = r->from.ms == 0 && r->from.seq == 0;
	uint32_t old = shelf_find(shelf, floor), at = shelf_find(shelf, r->from);

	*from = old;
	*to = shelf->n;
	if (!r->forward && !is_open)
		*to = at > old ? at : old;
	if (r->forward && at < shelf->n && position_compare((*shelf_place(shelf, at))->at, r->from) == 0)
		at++;
	if (r->forward && at > old)
		*from = at;
	if (*to - *from <= r->limit)
		return false;
	if (r->forward)
		*to = *from + r->limit;
	else
		*from = *to - r->limit;
	return true;
}

static bool
shelf_has(const struct shelf *shelf, struct position at, uint64_t tail, struct position floor)
{
	uint32_t     i = shelf_find(shelf, at);
	struct kept *k;

	if (i == shelf->n || position_compare(at, floor) < 0)
		return false;
	k = *shelf_place(shelf, i);
	return position_compare(k->at, at) == 0 && k->tail == tail;
}

/* The page as of now. */
static struct told *
shelf_page(const struct shelf *shelf, const struct store_read *r, struct position floor)
{
	uint32_t     from, to;
	bool	     more = shelf_range(shelf, r, floor, &from, &to);
	struct told *t = xmalloc(sizeof(*t) + (to - from) * sizeof(t->shown[0]));

	*t = (struct told){ .page = { .n = to - from, .more = more, .tip = shelf->tip } };
	t->page.found = r->check && shelf_has(shelf, r->from, r->tail, floor);
	for (uint32_t i = from; i < to; i++) {
		t->shown[i - from] = *shelf_place(shelf, i);
		t->shown[i - from]->refs++;
	}
	return t;
}

static int
memory_read(struct store *s, const struct store_read *r, store_page_fn *fn, void *arg)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	const struct shelf    *shelf = map_get(&m->shelves, r->topic);
	static const struct shelf none;
	struct told	    *t = shelf_page(shelf != NULL ? shelf : &none, r, age_floor(m, r->limits.age_ms));

	t->on_page = fn;
	t->arg = arg;
	memory_will_tell(m, t);
	return 0;
}

static void
memory_free(struct store *s)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	struct list	    *link;

	while ((link = list_take_link(&m->told)) != NULL)
		told_free(list_entry(link, struct told, in_told));
	while (!list_empty(&m->by_use))
		shelf_free(m, list_entry(m->by_use.next, struct shelf, in_store));
	map_done(&m->shelves);
	rates_done(&m->rates);
	timer_stop(&m->tell);
	timer_stop(&m->sweep);
	free(m);
}

static const struct store_ops store_memory = {
	.name = "memory",
	.append = memory_append,
	.read = memory_read,
	.free = memory_free,
};

struct store *
store_memory_new(struct loop *loop, size_t bytes, int64_t (*wall)(void))
{
	struct store_memory *m = xmalloc(sizeof(*m));

	*m = (struct store_memory){
		.store.ops = &store_memory, .loop = loop, .wall = wall, .max_bytes = bytes,
		.tell.fire = memory_tell, .sweep.fire = memory_sweep
	};
	map_init(&m->shelves, shelf_key);
	list_init(&m->by_use);
	list_init(&m->told);
	rates_init(&m->rates, loop);
	return &m->store;
}
