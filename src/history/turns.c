/*
 * Who asks for pages takes turns: one read at a time is under way for each client, so many for all of them, and who waits
 * comes after those who waited before. So one client's reads never stand before another's, neither here nor in Redis.
 */
#include <errno.h>
#include <stdlib.h>

#include "history/feed.h"

#define TURNS_READS	16	/* under way at a time, of all clients */
#define TURNS_WAITING	256	/* pages that wait, of one client */

struct turns {
	struct list	in_history;	/* while it waits for its turn */
	struct history *history;
	struct list	waiting;	/* struct read, in the order they were asked for */
	unsigned	n_waiting;
	bool		reading;
	bool		over;		/* whose it was is gone: freed with the read under way */
};

struct turns *
turns_new(struct history *h)
{
	struct turns *t = xmalloc(sizeof(*t));

	*t = (struct turns){ .history = h };
	list_init(&t->waiting);
	return t;
}

bool
turns_are_full(const struct turns *t)
{
	return t != NULL && t->n_waiting >= TURNS_WAITING;
}

/* It stands in line as long as it has something to ask and nothing under way. */
static void
turns_line_up(struct turns *t)
{
	if (!t->reading && !list_empty(&t->waiting) && list_empty(&t->in_history))
		list_append(&t->history->turns, &t->in_history);
}

static void
turns_unwait(struct read *read)
{
	struct turns *t = read->turns;

	list_remove(&read->in_history);
	t->n_waiting--;
	if (list_empty(&t->waiting))
		list_remove(&t->in_history);
}

/* What waits is forgotten without a read. */
static void
turns_refuse(struct read *read)
{
	store_page_fn *fn = read->fn;
	void	      *arg = read->arg;

	turns_unwait(read);
	free(read);
	fn(arg, -EHOSTUNREACH, NULL);
}

void
turns_forget(struct turns *t, const void *owner)
{
	if (t == NULL)
		return;
	list_each(link, &t->waiting) {
		struct read *read = list_entry(link, struct read, in_history);

		if (read->owner == owner)
			turns_refuse(read);
	}
}

void
turns_end(struct turns *t)
{
	if (t == NULL)
		return;
	list_each(link, &t->waiting)
		turns_refuse(list_entry(link, struct read, in_history));
	if (t->reading)
		t->over = true;
	else
		free(t);
}

void
turns_begin(struct read *read)
{
	if (read->turns == NULL)
		return;
	read->turns->reading = true;
	read->history->turning++;
}

void
turns_told(struct turns *t)
{
	if (t == NULL)
		return;
	t->history->turning--;
	t->reading = false;
	if (t->over)
		free(t);
	else
		turns_line_up(t);
}

static void
turns_next(struct turns *t)
{
	struct read *read = list_entry(t->waiting.next, struct read, in_history);

	turns_unwait(read);
	read->waits = false;
	read_begin(read);
}

void
turns_pump(struct history *h)
{
	struct list *link;

	while (h->turning < TURNS_READS && (link = list_take_link(&h->turns)) != NULL)
		turns_next(list_entry(link, struct turns, in_history));
}

/* Nobody waits whom it would stand before. */
static bool
turns_is_free(const struct turns *t)
{
	const struct history *h = t->history;

	return !t->reading && list_empty(&t->waiting) && list_empty(&h->turns) && h->turning < TURNS_READS;
}

struct read *
turns_read(struct history *h, const struct history_asker *who, const struct store_read *what, store_page_fn *fn, void *arg)
{
	struct turns *t = who != NULL ? who->turns : NULL;
	struct read  *read;

	if (t == NULL)
		return history_read(h, what, fn, arg);
	read = read_new(h, what, fn, arg);
	read->turns = t;
	if (turns_is_free(t))
		return read_ask(read);
	read->waits = true;
	read->owner = who->owner;
	list_append(&t->waiting, &read->in_history);
	t->n_waiting++;
	turns_line_up(t);
	return read;
}

void
turns_cancel(struct read *read)
{
	turns_unwait(read);
	free(read);
}

void
turns_end_all(struct history *h)
{
	struct list *link;

	while ((link = list_take_link(&h->turns)) != NULL) {
		struct turns *t = list_entry(link, struct turns, in_history);

		list_each(of, &t->waiting)
			turns_cancel(list_entry(of, struct read, in_history));
	}
}
