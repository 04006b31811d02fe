/*
 * What is said with history: appended to the store, which sees that everyone hears it; and who is not to hear it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/stats.h"
#include "history/feed.h"

static struct append *
feed_first_excepting(const struct feed *f)
{
	return list_empty(&f->excepting) ? NULL : list_entry(f->excepting.next, struct append, in_feed);
}

void
append_free(struct append *a)
{
	list_remove(&a->in_feed);
	list_remove(&a->in_history);
	free(a);
}

/* Its message has come, or never will: it is over as soon as its outcome is told. */
static void
append_leave_feed(struct append *a)
{
	list_remove(&a->in_feed);
	a->feed = NULL;
	a->except = NULL;
	if (a->stored)
		append_free(a);
}

const struct subscriber *
append_take_except(struct feed *f, const struct store_entry *e)
{
	list_each(link, &f->excepting) {
		struct append		*a = list_entry(link, struct append, in_feed);
		const struct subscriber *except = a->except;

		/* What was read, and not heard over the bus, bears no tag. */
		if (e->tag != a->tag && !(a->stored && position_compare(a->at, e->at) == 0))
			continue;
		append_leave_feed(a);
		return except;
	}
	return NULL;
}

/* Its message stands at the feed's position or before it; or a read that was asked later has not found it. */
static bool
append_is_past(const struct append *a)
{
	return a->stored && (position_compare(a->at, a->feed->at) <= 0 || a->round < a->feed->answered);
}

void
append_passed(struct feed *f)
{
	struct append *a;

	while ((a = feed_first_excepting(f)) != NULL && append_is_past(a))
		append_leave_feed(a);
}

void
append_forget_stored(struct feed *f)
{
	list_each(link, &f->excepting) {
		struct append *a = list_entry(link, struct append, in_feed);

		if (a->stored)
			append_leave_feed(a);
	}
}

void
append_forget_feed(struct feed *f)
{
	list_each(link, &f->excepting)
		append_leave_feed(list_entry(link, struct append, in_feed));
}

static void
append_told(void *arg, int error, struct position at, uint64_t tail, uint64_t retry_ms)
{
	struct append	*a = arg;
	history_said_fn *fn = a->fn;
	void		*fn_arg = a->arg;
	char		 id[UUID_LEN + 1];
	struct slice	 said = SLICE("");

	a->stored = true;
	a->at = at;
	a->round = a->feed != NULL ? a->feed->round : 0;
	if (error < 0 || a->feed == NULL)
		append_free(a);
	if (error == 0) {
		said = slice_str(uuid_from_position(at, tail, id));
		stats->broadcasts_total++;
	}
	fn(fn_arg, error, said, retry_ms);
}

/* One that no other append, here or on another node, has now. */
static uint64_t
new_tag(void)
{
	uint64_t tag;

	do
		tag = uuid_tail();
	while (tag == 0);
	return tag;
}

/* Hands it to the store: 0, or -errno and it is over. */
static int
append_send(struct append *a, struct history *h, const struct store_append *what)
{
	int r = h->store->ops->append(h->store, what, append_told, a);

	if (r < 0)
		append_free(a);
	return r;
}

static struct append *
append_new(struct history *h, const struct subscriber *except, history_said_fn *fn, void *arg)
{
	struct append *a = xmalloc(sizeof(*a));

	*a = (struct append){ .except = except, .fn = fn, .arg = arg };
	list_append(&h->appends, &a->in_history);
	return a;
}

int
history_say(struct feed *f, const struct history_words *w, history_said_fn *fn, void *arg)
{
	struct append	    *a = append_new(f->history, w->except, fn, arg);
	struct store_append what = {
		.topic = f->topic, .event = w->event, .payload = w->payload, .user = w->user,
		.limits = w->limits != NULL ? *w->limits : f->limits, .rate = w->rate, .after = w->after,
	};

	if (w->except != NULL) {
		a->tag = what.tag = new_tag();
		a->feed = f;
		list_append(&f->excepting, &a->in_feed);
	}
	return append_send(a, f->history, &what);
}

int
history_say_to(struct history *h, struct slice topic, const struct history_limits *limits, struct slice event,
    struct slice payload, history_said_fn *fn, void *arg)
{
	return append_send(append_new(h, NULL, fn, arg), h, &(struct store_append){
		.topic = topic, .event = event, .payload = payload, .user = SLICE(""), .limits = *limits,
	});
}

int
history_remove(struct history *h, struct slice topic, const struct history_limits *limits, struct slice id, history_said_fn *fn,
    void *arg)
{
	struct store_place place;
	autobuf struct buf payload = { 0 };
	char		   text[UUID_LEN + 1];

	if (uuid_to_position(id, &place.at, &place.tail) < 0)
		return -EINVAL;
	buf_addf(&payload, "{\"id\":\"%s\"}", uuid_from_position(place.at, place.tail, text));
	return append_send(append_new(h, NULL, fn, arg), h, &(struct store_append){
		.topic = topic, .event = SLICE(HISTORY_DELETED), .payload = buf_slice(&payload), .user = SLICE(""),
		.limits = *limits, .removes = &place,
	});
}
