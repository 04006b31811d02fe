/*
 * Up to where users have read.
 */
#include <errno.h>
#include <stdlib.h>

#include "history/feed.h"

/* A mark that is being set. */
struct asked_mark {
	struct list	 in_history;
	struct loop_task answer;	/* where the id is none */
	store_marked_fn	*fn;
	void		*arg;
};

static void
asked_mark_free(struct asked_mark *a)
{
	list_remove(&a->in_history);
	loop_forget_task(&a->answer);
	free(a);
}

void
mark_end_all(struct history *h)
{
	list_each(link, &h->marks)
		asked_mark_free(list_entry(link, struct asked_mark, in_history));
}

/* It is over before it is told: who is told may do anything. */
static void
asked_mark_told(void *arg, int error)
{
	struct asked_mark *a = arg;
	store_marked_fn	  *fn = a->fn;
	void		  *fn_arg = a->arg;

	asked_mark_free(a);
	fn(fn_arg, error);
}

static void
asked_mark_on_answer(struct loop_task *t)
{
	asked_mark_told(container_of(t, struct asked_mark, answer), -ENOENT);
}

int
history_mark(struct history *h, struct slice topic, const struct history_limits *limits, struct slice user, struct slice id,
    store_marked_fn *fn, void *arg)
{
	const struct store_mark mark = { .topic = topic, .user = user, .id = id, .limits = *limits };
	struct asked_mark      *a = xmalloc(sizeof(*a));
	struct position		at;
	uint64_t		tail;
	int			r;

	*a = (struct asked_mark){ .answer.run = asked_mark_on_answer, .fn = fn, .arg = arg };
	list_append(&h->marks, &a->in_history);
	if (uuid_to_position(id, &at, &tail) < 0) {
		loop_at_end(h->loop, &a->answer);
		return 0;
	}
	r = h->store->ops->mark(h->store, &mark, asked_mark_told, a);
	if (r < 0)
		asked_mark_free(a);
	return r;
}
