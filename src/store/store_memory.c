/*
 * History in the memory of one node. A topic's messages stand in a ring, oldest first; the topics stand in a
 * list, the one that was longest without a message first: it pays when memory runs out.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "net/rates.h"
#include "store/name_lists.h"
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

/* Up to where a user has read. */
struct mark {
	struct slice	user;	/* in text */
	struct position	at;
	uint64_t	tail;
	char		text[];
};

#define MARK_PLACE	32	/* bytes that it takes in its map, about */

/* Exists as long as it has messages, and then until the next sweep. */
struct shelf {
	struct list	 in_store;
	struct slice	 name;		/* in text */
	struct position	 tip;
	struct history_limits limits;	/* of the last append */
	struct map	 marks;		/* struct mark, by user */
	struct kept	**ring;
	uint32_t	 cap;		/* a power of two */
	uint32_t	 first;		/* where the oldest is */
	uint32_t	 n;
	char		 text[];
};

/* What a caller is still to be told. */
struct told {
	struct list	   in_told;
	void		 (*tell)(struct told *);
	union {
		store_appended_fn *appended;
		store_page_fn	  *page;
		store_marked_fn	  *done;	/* of a mark, and of a list that was changed */
		store_list_fn	  *list;
	} fn;
	void		  *arg;
	int		   error;
	struct position	   at;
	uint64_t	   tail;
	uint64_t	   retry_ms;
	struct slice	  *names;	/* with their bytes */
	unsigned	   n_names;
	struct store_page  page;	/* without its entries */
	char		   mark[UUID_LEN + 1];
	struct kept	  *shown[];	/* page.n references */
};

struct store_memory {
	struct store	 store;
	struct loop	*loop;
	int64_t		(*wall)(void);
	size_t		 max_bytes;
	size_t		 bytes;		/* of topics, their messages and marks */
	struct position	 last;		/* the last one given in any topic */
	struct map	 shelves;
	struct list	 by_use;	/* all shelves, the last appended to at the end */
	struct list	 told;		/* first come, first told */
	struct timer	 tell;
	struct timer	 sweep;
	struct rates	 rates;
	struct name_lists lists;
};

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
	map_init(&shelf->marks, mark_key);
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

static size_t
mark_size(struct slice who)
{
	return sizeof(struct mark) + MARK_PLACE + who.n;
}

static void
shelf_drop_marks(struct store_memory *m, struct shelf *shelf)
{
	struct mark *mark;

	for (size_t at = 0; (mark = map_next(&shelf->marks, &at)) != NULL;) {
		m->bytes -= mark_size(mark->user);
		free(mark);
	}
	map_done(&shelf->marks);
}

static void
shelf_free(struct store_memory *m, struct shelf *shelf)
{
	while (shelf->n > 0)
		shelf_drop_oldest(m, shelf);
	shelf_drop_marks(m, shelf);
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

/* The i-th goes from between the others. */
static void
shelf_remove(struct store_memory *m, struct shelf *shelf, uint32_t i)
{
	struct kept *k = *shelf_place(shelf, i);

	for (; i + 1 < shelf->n; i++)
		*shelf_place(shelf, i) = *shelf_place(shelf, i + 1);
	shelf->n--;
	m->bytes -= k->size;
	kept_unref(k);
}

/* Where that begins which is not over age. */
static struct position
age_floor(const struct store_memory *m, uint64_t age_ms)
{
	uint64_t now = (uint64_t)m->wall();

	return (struct position){ .ms = age_ms == 0 || age_ms > now ? 0 : now - age_ms };
}

/* The same, where the newest may be older than others. */
static struct position
shelf_floor(const struct store_memory *m, const struct shelf *shelf, const struct history_limits *limits)
{
	struct position floor = age_floor(m, limits->age_ms), newest;

	if (shelf->n == 0 || limits->last_ms <= limits->age_ms)
		return floor;
	newest = (*shelf_place(shelf, shelf->n - 1))->at;
	if (position_compare(newest, floor) < 0 && position_compare(newest, age_floor(m, limits->last_ms)) >= 0)
		return newest;
	return floor;
}

static void
shelf_trim(struct store_memory *m, struct shelf *shelf)
{
	struct position floor = shelf_floor(m, shelf, &shelf->limits);

	while (shelf->n > shelf->limits.max)
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

		shelf_trim(m, shelf);
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

static struct told *
told_new(void (*tell)(struct told *), void *arg, unsigned n_shown)
{
	struct told *t = xmalloc(sizeof(*t) + n_shown * sizeof(t->shown[0]));

	*t = (struct told){ .tell = tell, .arg = arg, .page.n = n_shown };
	return t;
}

static void
told_free(struct told *t)
{
	for (unsigned i = 0; i < t->page.n; i++)
		kept_unref(t->shown[i]);
	free(t->names);
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

		t->tell(t);
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

/* ---- append ---- */

/* May the message that it removes go? Then it stands at *place. */
static bool
memory_may_remove(const struct store_memory *m, const struct shelf *shelf, const struct store_append *a, uint32_t *place)
{
	const struct kept *k;

	if (shelf == NULL)
		return false;
	*place = shelf_find(shelf, a->removes->at);
	if (*place == shelf->n)
		return false;
	k = *shelf_place(shelf, *place);
	return position_compare(k->at, a->removes->at) == 0 && k->tail == a->removes->tail && !slice_eq(k->event, a->event) &&
	    position_compare(k->at, shelf_floor(m, shelf, &a->limits)) >= 0;
}

/* Why it is not stored; else 0, and it is counted. */
static int
memory_refuses(struct store_memory *m, const struct store_append *a, uint64_t *retry_ms)
{
	const struct shelf *shelf = map_get(&m->shelves, a->topic);
	struct position	    tip = shelf != NULL ? shelf->tip : (struct position){ 0 };
	uint32_t	    place;

	if (a->rate != NULL)
		*retry_ms = rates_wait(&m->rates, SLICE(""), a->topic, a->rate->key, &a->rate->rate);
	if (*retry_ms > 0)
		return -EAGAIN;
	if (a->after != NULL && position_compare(tip, *a->after) != 0)
		return -ESTALE;
	if (a->removes != NULL && !memory_may_remove(m, shelf, a, &place))
		return -ENOENT;
	if (a->rate != NULL)
		rates_count(&m->rates, SLICE(""), a->topic, a->rate->key, &a->rate->rate);
	return 0;
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

	if (a->removes != NULL)
		shelf_remove(m, shelf, shelf_find(shelf, a->removes->at));
	shelf->limits = a->limits;
	shelf_add(m, shelf, kept_new(a, entry.at, entry.tail));
	shelf_trim(m, shelf);
	memory_evict(m);
	if (!timer_is_set(&m->sweep))
		loop_timer(m->loop, &m->sweep, m->loop->now + SWEEP_MS);
	return entry;
}

static void
tell_appended(struct told *t)
{
	t->fn.appended(t->arg, t->error, t->at, t->tail, t->retry_ms);
}

static int
memory_append(struct store *s, const struct store_append *a, store_appended_fn *fn, void *arg)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	struct told	    *t = told_new(tell_appended, arg, 0);
	struct store_entry   entry;

	t->fn.appended = fn;
	t->error = memory_refuses(m, a, &t->retry_ms);
	memory_will_tell(m, t);
	if (t->error < 0)
		return 0;
	entry = memory_put(m, a);
	t->at = entry.at;
	t->tail = entry.tail;
	memory_fresh(m, a, &entry);
	return 0;
}

/* ---- read ---- */

static void
tell_page(struct told *t)
{
	autofree struct store_entry *entries = xcalloc(t->page.n + 1, sizeof(*entries));

	for (unsigned i = 0; i < t->page.n; i++) {
		const struct kept *k = t->shown[i];

		entries[i] = (struct store_entry){
			.at = k->at, .tail = k->tail, .event = k->event, .payload = k->payload, .user = k->user
		};
	}
	t->page.entries = entries;
	t->fn.page(t->arg, 0, &t->page);
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

/* The places [*from, *to) that are asked for. Returns whether there are more beyond. */
static bool
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

static void
shelf_show_mark(const struct shelf *shelf, struct slice reader, struct told *t)
{
	const struct mark *mark = reader.n > 0 && shelf->marks.n > 0 ? map_get(&shelf->marks, reader) : NULL;

	if (mark != NULL)
		t->page.mark = slice_str(uuid_from_position(mark->at, mark->tail, t->mark));
}

/* The page as of now. */
static struct told *
shelf_page(const struct shelf *shelf, const struct store_read *r, struct position floor, void *arg)
{
	uint32_t     from, to;
	bool	     more = shelf_range(shelf, r, floor, &from, &to);
	struct told *t = told_new(tell_page, arg, to - from);

	t->page.more = more;
	t->page.tip = shelf->tip;
	t->page.found = r->check && shelf_has(shelf, r->from, r->tail, floor);
	for (uint32_t i = from; i < to; i++) {
		t->shown[i - from] = *shelf_place(shelf, i);
		t->shown[i - from]->refs++;
	}
	shelf_show_mark(shelf, r->reader, t);
	return t;
}

static int
memory_read(struct store *s, const struct store_read *r, store_page_fn *fn, void *arg)
{
	static const struct shelf none;
	struct store_memory *m = container_of(s, struct store_memory, store);
	const struct shelf  *shelf = map_get(&m->shelves, r->topic);
	struct told	    *t;

	shelf = shelf != NULL ? shelf : &none;
	t = shelf_page(shelf, r, shelf_floor(m, shelf, &r->limits), arg);
	t->fn.page = fn;
	memory_will_tell(m, t);
	return 0;
}

/* ---- marks ---- */

static struct mark *
mark_new(struct slice who)
{
	struct mark *mark = xmalloc(sizeof(*mark) + who.n);
	char	    *to = mark->text;

	*mark = (struct mark){ 0 };
	mark->user = text_copy(&to, who);
	return mark;
}

/* Never back. */
static void
shelf_mark(struct store_memory *m, struct shelf *shelf, struct slice who, struct position at, uint64_t tail)
{
	struct mark *mark = map_get(&shelf->marks, who);

	if (mark == NULL) {
		mark = mark_new(who);
		map_put(&shelf->marks, mark);
		m->bytes += mark_size(who);
	}
	if (position_compare(mark->at, at) >= 0)
		return;
	mark->at = at;
	mark->tail = tail;
}

static void
tell_done(struct told *t)
{
	t->fn.done(t->arg, t->error);
}

static int
memory_mark(struct store *s, const struct store_mark *mark, store_marked_fn *fn, void *arg)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	struct shelf	    *shelf = map_get(&m->shelves, mark->topic);
	struct told	    *t;
	struct position	     at;
	uint64_t	     tail;

	if (uuid_to_position(mark->id, &at, &tail) < 0)
		return -EINVAL;
	t = told_new(tell_done, arg, 0);
	t->fn.done = fn;
	memory_will_tell(m, t);
	if (shelf == NULL || !shelf_has(shelf, at, tail, shelf_floor(m, shelf, &mark->limits))) {
		t->error = -ENOENT;
		return 0;
	}
	shelf_mark(m, shelf, mark->user, at, tail);
	memory_evict(m);
	return 0;
}

/* ---- lists ---- */

static void
tell_list(struct told *t)
{
	t->fn.list(t->arg, 0, t->names, t->n_names);
}

static int
memory_list(struct store *s, struct slice who, struct slice list, store_list_fn *fn, void *arg)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	struct told	    *t = told_new(tell_list, arg, 0);

	t->fn.list = fn;
	t->names = name_lists_copy(&m->lists, who, list, &t->n_names);
	memory_will_tell(m, t);
	return 0;
}

static int
memory_enlist(struct store *s, struct slice who, struct slice list, struct slice name, bool listed,
    store_listed_fn *fn, void *arg)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	struct told	    *t = told_new(tell_done, arg, 0);

	t->fn.done = fn;
	t->error = name_lists_set(&m->lists, who, list, name, listed);
	memory_will_tell(m, t);
	return 0;
}

/* ---- life ---- */

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
	name_lists_done(&m->lists);
	timer_stop(&m->tell);
	timer_stop(&m->sweep);
	free(m);
}

static const struct store_ops store_memory = {
	.name = "memory",
	.append = memory_append,
	.read = memory_read,
	.mark = memory_mark,
	.list = memory_list,
	.enlist = memory_enlist,
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
	name_lists_init(&m->lists);
	return &m->store;
}
