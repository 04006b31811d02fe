/*
 * Pages of a topic's messages, as channels see them.
 */
#include <errno.h>
#include <stdlib.h>

#include "history/feed.h"

/* A page that somebody asked for. */
struct asked_page {
	struct list	 in_history;
	struct loop_task answer;	/* where the store need not be asked */
	bool		 has_place;	/* it was asked from a message's place */
	bool		 must_exist;	/* the message itself, too: what follows one that is gone may have gaps */
	history_page_fn	*fn;
	void		*arg;
};

/* An id's text needs a place of its own. */
struct id_text {
	char text[UUID_LEN + 1];
};

static struct history_message
message_of(const struct store_entry *e, struct id_text *id)
{
	return (struct history_message){
		.id = slice_str(uuid_from_position(e->at, e->tail, id->text)), .event = e->event, .payload = e->payload,
		.user = e->user, .at = (int64_t)e->at.ms,
	};
}

void
page_show(history_page_fn *fn, void *arg, const struct store_page *page, unsigned most, bool recovered)
{
	unsigned n = page->n < most ? page->n : most, skip = page->n - n;
	autofree struct history_message *messages = xcalloc(n + 1, sizeof(*messages));
	autofree struct id_text *ids = xcalloc(n + 1, sizeof(*ids));
	struct history_page out = {
		.messages = messages, .n = n, .more = page->more || skip > 0, .recovered = recovered, .mark = page->mark
	};

	for (unsigned i = 0; i < n; i++)
		messages[i] = message_of(&page->entries[skip + i], &ids[i]);
	fn(arg, &out);
}

void
page_fail(history_page_fn *fn, void *arg, int error)
{
	fn(arg, &(struct history_page){ .error = error });
}

static void
asked_page_free(struct asked_page *a)
{
	list_remove(&a->in_history);
	loop_forget_task(&a->answer);
	free(a);
}

void
page_end_all(struct history *h)
{
	list_each(link, &h->pages)
		asked_page_free(list_entry(link, struct asked_page, in_history));
}

/* It is over before it is told: who is told may do anything. */
static void
asked_page_told(void *arg, int error, const struct store_page *page)
{
	static const struct store_page empty;
	struct asked_page *a = arg;
	history_page_fn	  *fn = a->fn;
	void		  *fn_arg = a->arg;
	bool		   has_place = a->has_place, must_exist = a->must_exist;

	asked_page_free(a);
	if (error < 0)
		page_fail(fn, fn_arg, error);
	else if (must_exist && !page->found)
		page_show(fn, fn_arg, &empty, 0, false);
	else
		page_show(fn, fn_arg, page, STORE_MAX_PAGE, has_place);
}

/* An id that is none. */
static void
asked_page_on_answer(struct loop_task *t)
{
	static const struct store_page empty;

	asked_page_told(container_of(t, struct asked_page, answer), 0, &empty);
}

int
history_page(struct history *h, const struct history_asker *who, struct slice topic, const struct history_limits *limits,
    bool forward, struct slice id, unsigned limit, history_page_fn *fn, void *arg)
{
	struct store_read  r = {
		.topic = topic, .forward = forward, .check = id.p != NULL && forward, .limits = *limits,
		.limit = limit < 1 ? 1 : limit > STORE_MAX_PAGE ? STORE_MAX_PAGE : limit,
	};
	struct asked_page *a;

	if (who != NULL && turns_are_full(who->turns))
		return -ENOBUFS;
	a = xmalloc(sizeof(*a));
	*a = (struct asked_page){ .answer.run = asked_page_on_answer, .fn = fn, .arg = arg };
	list_append(&h->pages, &a->in_history);
	if (id.p != NULL && uuid_to_position(id, &r.from, &r.tail) < 0) {
		loop_at_end(h->loop, &a->answer);
		return 0;
	}
	a->has_place = id.p != NULL;
	a->must_exist = r.check;
	if (turns_read(h, who, &r, asked_page_told, a) != NULL)
		return 0;
	asked_page_free(a);
	return -ENOTCONN;
}
