/*
 * History, marks and lists in the memory of one node, told as Redis would tell: later.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/rates.h"
#include "store/name_lists.h"
#include "store/shelves.h"

#define SWEEP_MS	(60 * 1000)	/* what nobody asks for is looked through so often for what is over age */

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
	struct shelves	 shelves;
	struct list	 told;		/* first come, first told */
	struct timer	 tell;
	struct timer	 sweep;
	struct rates	 rates;
	struct name_lists lists;
};

static void
memory_sweep(struct timer *t, uint64_t now)
{
	struct store_memory *m = container_of(t, struct store_memory, sweep);

	if (shelves_sweep(&m->shelves))
		loop_timer(m->loop, t, now + SWEEP_MS);
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

/* Why it is not stored; else 0, and it is counted. */
static int
memory_refuses(struct store_memory *m, const struct store_append *a, uint64_t *retry_ms)
{
	const struct shelf *shelf = shelves_get(&m->shelves, a->topic);
	struct position	    tip = shelf != NULL ? shelf->tip : (struct position){ 0 };

	if (a->rate != NULL)
		*retry_ms = rates_wait(&m->rates, SLICE(""), a->topic, a->rate->key, &a->rate->rate);
	if (*retry_ms > 0)
		return -EAGAIN;
	if (a->after != NULL && position_compare(tip, *a->after) != 0)
		return -ESTALE;
	if (a->removes != NULL && !shelf_may_remove(&m->shelves, shelf, a))
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
	entry = shelves_put(&m->shelves, a);
	if (!timer_is_set(&m->sweep))
		loop_timer(m->loop, &m->sweep, m->loop->now + SWEEP_MS);
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

static void
shelf_show_mark(const struct shelf *shelf, struct slice reader, struct told *t)
{
	const struct mark *mark = reader.n > 0 ? shelf_get_mark(shelf, reader) : NULL;

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
	const struct shelf  *shelf = shelves_get(&m->shelves, r->topic);
	struct told	    *t;

	shelf = shelf != NULL ? shelf : &none;
	t = shelf_page(shelf, r, shelf_floor(&m->shelves, shelf, &r->limits), arg);
	t->fn.page = fn;
	memory_will_tell(m, t);
	return 0;
}

/* ---- marks ---- */

static void
tell_done(struct told *t)
{
	t->fn.done(t->arg, t->error);
}

static int
memory_mark(struct store *s, const struct store_mark *mark, store_marked_fn *fn, void *arg)
{
	struct store_memory *m = container_of(s, struct store_memory, store);
	struct shelf	    *shelf = shelves_get(&m->shelves, mark->topic);
	struct told	    *t;
	struct position	     at;
	uint64_t	     tail;

	if (uuid_to_position(mark->id, &at, &tail) < 0)
		return -EINVAL;
	t = told_new(tell_done, arg, 0);
	t->fn.done = fn;
	memory_will_tell(m, t);
	if (shelf == NULL || !shelf_has(shelf, at, tail, shelf_floor(&m->shelves, shelf, &mark->limits))) {
		t->error = -ENOENT;
		return 0;
	}
	shelf_set_mark(&m->shelves, shelf, mark->user, at, tail);
	shelves_evict(&m->shelves);
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
	shelves_done(&m->shelves);
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
		.store.ops = &store_memory, .loop = loop, .tell.fire = memory_tell, .sweep.fire = memory_sweep
	};
	shelves_init(&m->shelves, bytes, wall);
	list_init(&m->told);
	rates_init(&m->rates, loop);
	name_lists_init(&m->lists);
	return &m->store;
}
