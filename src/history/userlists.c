/*
 * Users' lists: what the store has, kept here while somebody looks at it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "history/userlists.h"

#define LIST_READS	64	/* of lists that are read again, at a time */
#define RETRY_MS	1000

struct userlists {
	struct loop	*loop;
	struct store	*store;
	void		(*say)(void *arg, struct slice user, struct slice list);
	void		*arg;
	struct map	 lists;
	struct list	 queue;		/* of those that are to be read again */
	unsigned	 reading;
	struct list	 reads;		/* struct list_read */
	struct list	 changes;	/* struct list_change */
	struct timer	 retry;		/* set: nothing of the queue is read before */
};

/* A read under way. */
struct list_read {
	struct list	  in_all;
	struct userlists *all;
	struct userlist	 *list;		/* NULL: nobody wants to know any more */
};

/* A change under way; the list may end meanwhile. */
struct list_change {
	struct list	  in_all;
	struct userlists *all;
	struct slice	  key;		/* of the list, in text; so is the name */
	struct slice	  name;
	bool		  listed;
	store_listed_fn	 *fn;
	void		 *arg;
	char		  text[];
};

struct list_name {
	struct slice	name;
	char		text[];
};

/* In all->lists while it has views; then in memory until the end of the turn. */
struct userlist {
	struct userlists *all;
	struct slice	  key;		/* LIST:USER, in text; a list's name has no colon */
	struct list	  views;
	unsigned	  n_views;
	struct map	  names;
	bool		  known;
	bool		  old;		/* what is being read */
	struct list_read *read;		/* under way; always while it is not known */
	struct list	  in_queue;
	struct grave	  grave;
	char		  text[];
};

static struct slice
list_key(const void *item)
{
	const struct userlist *l = item;

	return l->key;
}

static struct slice
name_key(const void *item)
{
	const struct list_name *n = item;

	return n->name;
}

static struct slice
key_list(struct slice key)
{
	return slice(key.p, (size_t)((const char *)memchr(key.p, ':', key.n) - key.p));
}

static struct slice
key_user(struct slice key)
{
	size_t n = key_list(key).n + 1;

	return slice(key.p + n, key.n - n);
}

static void
key_write(struct buf *out, struct slice user, struct slice list)
{
	buf_add_slice(out, list);
	buf_add_char(out, ':');
	buf_add_slice(out, user);
}

static struct userlist *
list_find(const struct userlists *all, struct slice user, struct slice list)
{
	autobuf struct buf key = { 0 };

	key_write(&key, user, list);
	return map_get(&all->lists, buf_slice(&key));
}

static void
list_bury(struct grave *g)
{
	free(container_of(g, struct userlist, grave));
}

static struct userlist *
list_new(struct userlists *all, struct slice user, struct slice list)
{
	autobuf struct buf key = { 0 };
	struct userlist	  *l;

	key_write(&key, user, list);
	l = xmalloc(sizeof(*l) + key.n);
	*l = (struct userlist){ .all = all, .key = { l->text, key.n }, .grave.bury = list_bury };
	memcpy(l->text, key.p, key.n);
	list_init(&l->views);
	map_init(&l->names, name_key);
	map_put(&all->lists, l);
	return l;
}

/* ---- names ---- */

static bool
names_add(struct userlist *l, struct slice name)
{
	struct list_name *n;

	if (map_get(&l->names, name) != NULL)
		return false;
	n = xmalloc(sizeof(*n) + name.n);
	n->name = slice(n->text, name.n);
	memcpy(n->text, name.p, name.n);
	map_put(&l->names, n);
	return true;
}

static bool
names_remove(struct userlist *l, struct slice name)
{
	struct list_name *n = map_del(&l->names, name);

	free(n);
	return n != NULL;
}

static void
names_clear(struct userlist *l)
{
	struct list_name *n;
	size_t		  at = 0;

	while ((n = map_next(&l->names, &at)) != NULL)
		free(n);
	map_done(&l->names);
	map_init(&l->names, name_key);
}

/* These and no others. Returns whether that is news. */
static bool
names_replace(struct userlist *l, const struct slice *names, unsigned n)
{
	bool same = n == l->names.n;

	for (unsigned i = 0; same && i < n; i++)
		same = map_get(&l->names, names[i]) != NULL;
	if (same)
		return false;
	names_clear(l);
	for (unsigned i = 0; i < n; i++)
		names_add(l, names[i]);
	return true;
}

static void
list_end(struct userlist *l)
{
	struct userlists *all = l->all;

	map_del(&all->lists, l->key);
	list_remove(&l->in_queue);
	if (l->read != NULL)
		l->read->list = NULL;
	names_clear(l);
	loop_bury(all->loop, &l->grave);
}

/* ---- who looks on ---- */

/* Takes out those that are still to hear something: any view may come or go while one is told. */
static void
views_take(struct userlist *l, struct list *out)
{
	list_init(out);
	list_append_all(out, &l->views);
}

/* The next of them, which is back in its place. */
static struct userlist_view *
views_next(struct userlist *l, struct list *from)
{
	struct list *link = list_take_link(from);

	if (link == NULL)
		return NULL;
	list_append(&l->views, link);
	return list_entry(link, struct userlist_view, in_list);
}

/* The list is known: to some for the first time, to the others anew where it changed. */
static void
list_tell(struct userlist *l, bool changed)
{
	struct userlist_view *view;
	struct list	      views;

	views_take(l, &views);
	while ((view = views_next(l, &views)) != NULL) {
		if (view->told && changed) {
			view->changed(view);
		} else if (!view->told) {
			view->told = true;
			view->opened(view, 0);
		}
	}
}

/* It cannot be known now. */
static void
list_tell_failed(struct userlist *l)
{
	struct userlist_view *view;
	struct list	      views;

	views_take(l, &views);
	while ((view = views_next(l, &views)) != NULL) {
		userlist_close(view);
		view->opened(view, -EHOSTUNREACH);
	}
}

/* ---- reading ---- */

static void list_ask(struct userlist *);

static void
userlists_pump(struct userlists *all)
{
	while (all->reading < LIST_READS && !list_empty(&all->queue) && !timer_is_set(&all->retry))
		list_ask(list_entry(list_take_link(&all->queue), struct userlist, in_queue));
}

static void
userlists_on_retry(struct timer *t, uint64_t now)
{
	userlists_pump(container_of(t, struct userlists, retry));
}

/* It is to be read, asked from now on. */
static void
list_want(struct userlist *l)
{
	l->old = l->read != NULL;
	if (l->read == NULL && list_empty(&l->in_queue))
		list_append(&l->all->queue, &l->in_queue);
	userlists_pump(l->all);
}

static void
list_failed(struct userlist *l)
{
	struct userlists *all = l->all;

	if (!l->known) {
		list_tell_failed(l);
		return;
	}
	list_append(&all->queue, &l->in_queue);
	if (!timer_is_set(&all->retry))
		loop_timer(all->loop, &all->retry, all->loop->now + RETRY_MS);
}

static void
list_take(struct userlist *l, int error, const struct slice *names, unsigned n)
{
	bool changed;

	if (error < 0) {
		list_failed(l);
	} else if (l->old) {
		list_ask(l);
	} else {
		changed = names_replace(l, names, n);
		l->known = true;
		list_tell(l, changed);
	}
}

static void
list_on_read(void *arg, int error, const struct slice *names, unsigned n)
{
	struct list_read *read = arg;
	struct userlists *all = read->all;
	struct userlist	 *l = read->list;

	list_remove(&read->in_all);
	free(read);
	all->reading--;
	if (l != NULL) {
		l->read = NULL;
		list_take(l, error, names, n);
	}
	userlists_pump(all);
}

static void
list_ask(struct userlist *l)
{
	struct userlists *all = l->all;
	struct list_read *read = xmalloc(sizeof(*read));

	*read = (struct list_read){ .all = all, .list = l };
	l->old = false;
	if (all->store->ops->list(all->store, key_user(l->key), key_list(l->key), list_on_read, read) < 0) {
		free(read);
		list_failed(l);
		return;
	}
	l->read = read;
	list_append(&all->reads, &read->in_all);
	all->reading++;
}

void
userlists_on_changed(struct userlists *all, struct slice user, struct slice list)
{
	struct userlist *l = list_find(all, user, list);

	if (l != NULL)
		list_want(l);
}

void
userlists_resync(struct userlists *all)
{
	struct userlist *l;
	size_t		 at = 0;

	timer_stop(&all->retry);
	while ((l = map_next(&all->lists, &at)) != NULL)
		list_want(l);
}

/* ---- changes ---- */

static struct list_change *
change_new(const struct userlist *l, struct slice name, bool listed, store_listed_fn *fn, void *arg)
{
	struct list_change *c = xmalloc(sizeof(*c) + l->key.n + name.n);

	*c = (struct list_change){
		.all = l->all, .key = { c->text, l->key.n }, .name = { c->text + l->key.n, name.n }, .listed = listed,
		.fn = fn, .arg = arg,
	};
	memcpy(c->text, l->key.p, l->key.n);
	memcpy(c->text + l->key.n, name.p, name.n);
	return c;
}

/* What is being read may have been read before it. */
static void
list_changed(struct userlist *l, struct slice name, bool listed)
{
	l->old = l->read != NULL;
	if (l->known && (listed ? names_add(l, name) : names_remove(l, name)))
		list_tell(l, true);
}

/* What may or may not have been done is to be looked at by all, ourselves included. */
static void
change_told(void *arg, int error)
{
	struct list_change *c = arg;
	struct userlists   *all = c->all;
	struct userlist	   *l = map_get(&all->lists, c->key);

	list_remove(&c->in_all);
	if (error == 0 && l != NULL)
		list_changed(l, c->name, c->listed);
	if (error == -EHOSTUNREACH && l != NULL)
		list_want(l);
	if ((error == 0 || error == -EHOSTUNREACH) && all->say != NULL)
		all->say(all->arg, key_user(c->key), key_list(c->key));
	c->fn(c->arg, error);
	free(c);
}

int
userlist_set(struct userlist_view *view, struct slice name, bool listed, store_listed_fn *fn, void *arg)
{
	struct userlist	   *l = view->list;
	struct userlists   *all = l->all;
	struct list_change *c = change_new(l, name, listed, fn, arg);
	int		    r;

	r = all->store->ops->enlist(all->store, key_user(l->key), key_list(l->key), name, listed, change_told, c);
	if (r < 0)
		free(c);
	else
		list_append(&all->changes, &c->in_all);
	return r;
}

/* ---- life ---- */

struct userlists *
userlists_new(struct loop *loop, struct store *store, void (*say)(void *arg, struct slice user, struct slice list),
    void *arg)
{
	struct userlists *all = xmalloc(sizeof(*all));

	*all = (struct userlists){ .loop = loop, .store = store, .say = say, .arg = arg, .retry.fire = userlists_on_retry };
	map_init(&all->lists, list_key);
	list_init(&all->queue);
	list_init(&all->reads);
	list_init(&all->changes);
	return all;
}

static void
list_drop(struct userlist *l)
{
	list_each(link, &l->views)
		list_entry(link, struct userlist_view, in_list)->list = NULL;
	names_clear(l);
	free(l);
}

struct userlists *
userlists_free(struct userlists *all)
{
	struct userlist *l;
	size_t		 at = 0;

	if (all == NULL)
		return NULL;
	while ((l = map_next(&all->lists, &at)) != NULL)
		list_drop(l);
	list_each(link, &all->reads)
		free(list_entry(link, struct list_read, in_all));
	list_each(link, &all->changes)
		free(list_entry(link, struct list_change, in_all));
	map_done(&all->lists);
	timer_stop(&all->retry);
	free(all);
	return NULL;
}

void
userlist_open(struct userlists *all, struct slice user, struct slice list, struct userlist_view *view)
{
	struct userlist *l = list_find(all, user, list);

	if (l == NULL)
		l = list_new(all, user, list);
	view->list = l;
	l->n_views++;
	list_append(&l->views, &view->in_list);
	if (l->known) {
		view->told = true;
		view->opened(view, 0);
	} else if (l->read == NULL) {
		list_ask(l);
	}
}

void
userlist_close(struct userlist_view *view)
{
	struct userlist *l = view->list;

	if (l == NULL)
		return;
	view->list = NULL;
	list_remove(&view->in_list);
	if (--l->n_views == 0)
		list_end(l);
}

bool
userlist_has(const struct userlist_view *view, struct slice name)
{
	return view->list != NULL && map_get(&view->list->names, name) != NULL;
}

unsigned
userlist_count(const struct userlist_view *view)
{
	return view->list != NULL ? (unsigned)view->list->names.n : 0;
}
