/*
 * History on this node: the feeds by topic, who tells them what, and the reads that they and others make.
 */
#include <errno.h>
#include <stdlib.h>

#include "history/feed.h"

static struct slice
feed_key(const void *item)
{
	const struct feed *f = item;

	return f->topic;
}

uint64_t
history_clock(const struct history *h)
{
	return h->loop->now + h->loop->stood;
}

/* ---- what is told from outside ---- */

/* Nobody here keeps the topic's history, but somebody listens: to him it is a broadcast like others. */
static void
history_deliver_loose(struct history *h, struct slice topic, const struct store_entry *e)
{
	autobuf struct buf payload = { 0 };

	if (hub_topic(&h->pubsub->hub, topic) == NULL)
		return;
	history_add_entry_id(&payload, e);
	pubsub_receive(h->pubsub, topic, &(struct broadcast){ .event = e->event, .payload = buf_slice(&payload) }, NULL);
}

static void
history_on_stored(void *arg, struct slice topic, const struct envelope *e)
{
	struct history		*h = arg;
	struct feed		*f = map_get(&h->feeds, topic);
	const struct store_entry entry = {
		.at = e->at, .prev = e->prev, .tail = e->tail, .tag = e->tag, .node = e->node,
		.event = e->event, .payload = e->payload, .user = SLICE(""),
	};

	if (e->binary)
		return;
	if (f != NULL)
		feed_fresh(f, &entry);
	else
		history_deliver_loose(h, topic, &entry);
}

static void
history_on_subscribed(void *arg, struct slice topic)
{
	struct history *h = arg;
	struct feed    *f = map_get(&h->feeds, topic);

	if (f != NULL)
		feed_want(f);
}

static bool
history_keeps(void *arg, struct slice topic)
{
	struct history *h = arg;

	return map_get(&h->feeds, topic) != NULL;
}

static const struct pubsub_keeper history_keeper = {
	.on_stored = history_on_stored,
	.on_subscribed = history_on_subscribed,
	.keeps = history_keeps,
};

static void
history_on_fresh(void *arg, struct slice topic, const struct store_entry *e)
{
	struct history *h = arg;
	struct feed    *f = map_get(&h->feeds, topic);

	if (f != NULL)
		feed_next(f, e);
	else
		history_deliver_loose(h, topic, e);
}

static const struct store_user history_store_user = {
	.on_fresh = history_on_fresh,
};

/* ---- life ---- */

struct history *
history_new(struct loop *loop, struct pubsub *ps, struct store *store, const struct history_options *options)
{
	struct history *h = xmalloc(sizeof(*h));

	*h = (struct history){ .loop = loop, .pubsub = ps, .store = store, .options = *options };
	map_init(&h->feeds, feed_key);
	list_init(&h->queue);
	list_init(&h->reads);
	list_init(&h->turns);
	list_init(&h->appends);
	list_init(&h->pages);
	list_init(&h->marks);
	list_init(&h->transactions);
	store->user = &history_store_user;
	store->arg = h;
	ps->keeper = &history_keeper;
	ps->keeper_arg = h;
	return h;
}

/* Its turns may be over, and end with it. */
static void
read_free(struct read *read)
{
	loop_forget_task(&read->fail);
	turns_told(read->turns);
	list_remove(&read->in_history);
	free(read);
}

/* All feeds, for a walk in which they may come and go; the ended are in memory until the end of the turn. */
static struct feed **
history_all_feeds(const struct history *h)
{
	struct feed **all = xcalloc(h->feeds.n + 1, sizeof(struct feed *));
	size_t	      at = 0;

	for (size_t i = 0; i < h->feeds.n; i++)
		all[i] = map_next(&h->feeds, &at);
	return all;
}

struct history *
history_free(struct history *h)
{
	autofree struct feed **feeds = NULL;

	if (h == NULL)
		return NULL;
	feeds = history_all_feeds(h);
	for (size_t i = 0; feeds[i] != NULL; i++)
		feed_end(feeds[i]);
	list_each(link, &h->reads)
		read_cancel(list_entry(link, struct read, in_history));
	h->pubsub->keeper = NULL;
	h->store->user = NULL;
	h->store->ops->free(h->store);
	list_each(link, &h->reads)
		read_free(list_entry(link, struct read, in_history));
	turns_end_all(h);
	list_each(link, &h->appends)
		append_free(list_entry(link, struct append, in_history));
	page_end_all(h);
	mark_end_all(h);
	transaction_end_all(h);
	map_done(&h->feeds);
	free(h);
	return NULL;
}

struct feed *
feed_open(struct history *h, struct slice topic, const struct history_limits *limits)
{
	struct feed *f = map_get(&h->feeds, topic);

	if (f == NULL) {
		f = feed_new(h, topic, limits);
		map_put(&h->feeds, f);
		h->pubsub->broker->ops->subscribe(h->pubsub->broker, f->topic, true);
		if (h->pubsub->broker->ops->is_subscribed(h->pubsub->broker, f->topic))
			feed_want(f);
	}
	f->opens++;
	return f;
}

void
feed_close(struct feed *f)
{
	if (f->opens > 0 && --f->opens == 0)
		feed_end(f);
}

void
feed_forget(struct feed *f, const struct subscriber *who)
{
	list_each(link, &f->lates) {
		struct late *late = list_entry(link, struct late, in_feed);

		if (late->who == who)
			late_free(late);
	}
	list_each(link, &f->excepting) {
		struct append *a = list_entry(link, struct append, in_feed);

		if (a->except == who)
			a->except = NULL;
	}
}

void
history_resync(struct history *h)
{
	autofree struct feed **feeds = history_all_feeds(h);

	for (size_t i = 0; feeds[i] != NULL; i++)
		if (feeds[i]->opens > 0)
			feed_want(feeds[i]);
}

/* ---- reads ---- */

/* Copies the text to *to and moves on. */
static struct slice
text_keep(char **to, struct slice text)
{
	char *at = *to;

	if (text.n > 0)
		memcpy(at, text.p, text.n);
	*to += text.n;
	return slice(at, text.n);
}

static void
read_told(void *arg, int error, const struct store_page *page)
{
	struct read    *read = arg;
	struct history *h = read->history;
	store_page_fn  *fn = read->fn;
	void	       *fn_arg = read->arg;

	list_remove(&read->in_history);
	loop_forget_task(&read->fail);
	turns_told(read->turns);
	free(read);
	if (fn != NULL)
		fn(fn_arg, error, page);
	turns_pump(h);
}

static void
read_on_fail(struct loop_task *t)
{
	read_told(container_of(t, struct read, fail), -EHOSTUNREACH, NULL);
}

struct read *
read_new(struct history *h, const struct store_read *what, store_page_fn *fn, void *arg)
{
	struct read *read = xmalloc(sizeof(*read) + what->topic.n + what->reader.n);
	char	    *to = read->text;

	*read = (struct read){ .history = h, .fn = fn, .arg = arg, .fail.run = read_on_fail, .what = *what };
	read->what.topic = text_keep(&to, what->topic);
	read->what.reader = text_keep(&to, what->reader);
	return read;
}

struct read *
read_ask(struct read *read)
{
	struct history *h = read->history;

	if (h->store->ops->read(h->store, &read->what, read_told, read) < 0) {
		free(read);
		return NULL;
	}
	turns_begin(read);
	list_append(&h->reads, &read->in_history);
	return read;
}

void
read_begin(struct read *read)
{
	struct history *h = read->history;

	turns_begin(read);
	list_append(&h->reads, &read->in_history);
	if (h->store->ops->read(h->store, &read->what, read_told, read) < 0)
		loop_at_end(h->loop, &read->fail);
}

struct read *
history_read(struct history *h, const struct store_read *what, store_page_fn *fn, void *arg)
{
	return read_ask(read_new(h, what, fn, arg));
}

void
read_cancel(struct read *read)
{
	if (read != NULL && read->waits)
		turns_cancel(read);
	else if (read != NULL)
		read->fn = NULL;
}

void
history_pump(struct history *h)
{
	struct list *link;

	while (h->reading < FEED_READS && (link = list_take_link(&h->queue)) != NULL)
		feed_ask(list_entry(link, struct feed, in_queue));
}

/* ---- messages ---- */

struct kept_message *
kept_message_new(const struct store_entry *e)
{
	struct kept_message *k = xmalloc(sizeof(*k) + e->node.n + e->event.n + e->payload.n + e->user.n);
	char		    *to = k->text;

	k->refs = 1;
	k->entry = *e;
	k->entry.node = text_keep(&to, e->node);
	k->entry.event = text_keep(&to, e->event);
	k->entry.payload = text_keep(&to, e->payload);
	k->entry.user = text_keep(&to, e->user);
	return k;
}

struct kept_message *
kept_message_ref(struct kept_message *k)
{
	k->refs++;
	return k;
}

struct kept_message *
kept_message_unref(struct kept_message *k)
{
	if (k != NULL && --k->refs == 0)
		free(k);
	return NULL;
}

size_t
kept_message_size(const struct kept_message *k)
{
	const struct store_entry *e = &k->entry;

	return sizeof(*k) + e->node.n + e->event.n + e->payload.n + e->user.n;
}

void
history_add_id(struct buf *out, struct slice object, struct slice id)
{
	size_t brace = object.n, last;

	while (brace > 0 && object.p[brace - 1] != '}')
		brace--;
	last = brace > 0 ? brace - 1 : 0;
	while (last > 0 && strchr(" \t\r\n", object.p[last - 1]) != NULL)
		last--;
	buf_add(out, object.p, brace > 0 ? brace - 1 : 0);
	buf_addf(out, "%s\"id\":\"%.*s\"}", last == 0 || object.p[last - 1] == '{' ? "" : ",", SLICE_ARG(id));
}

void
history_add_entry_id(struct buf *out, const struct store_entry *e)
{
	char id[UUID_LEN + 1];

	/* Its id is that of the message that is gone. */
	if (slice_is(e->event, HISTORY_DELETED) && json_member(e->payload, "id").p != NULL)
		buf_add_slice(out, e->payload);
	else
		history_add_id(out, e->payload, slice_str(uuid_from_position(e->at, e->tail, id)));
}
