/*
 * Who joins: a page of what was, then what came while it was read, then what comes, and nothing twice or left out.
 *
 * What is kept follows on to `since`, and the page ends at `upto`; where that is earlier, messages between the two are
 * in neither, and the page is read again.
 */
#include <errno.h>
#include <stdlib.h>

#include "history/feed.h"

#define ALL_BYTES	UINT32_MAX	/* no bound */

struct catchup {
	struct list	 in_feed;
	struct feed	*feed;		/* NULL = it is over */
	struct read	*read;
	struct history_asker who;	/* turns == NULL: nobody who needs to wait */
	struct loop_task fail;		/* tells that the store cannot be asked */
	bool		 has_id;	/* reads what follows `from`; else the newest */
	bool		 cut;		/* the next message follows on to nothing: it is not kept */
	bool		 again;		/* the page was too old once */
	bool		 told;
	bool		 missed;	/* something between the page and what is kept, known too late */
	struct position	 from;
	uint64_t	 tail;
	uint64_t	 asked_at;
	unsigned	 limit;
	unsigned	 newest;
	history_page_fn	*fn;
	void		*arg;
	struct position	 upto;
	struct position	 since;
	struct kept_message **kept;
	unsigned	 n_kept;
	size_t		 kept_bytes;
	struct grave	 grave;
	struct slice	 reader;	/* in text */
	char		 text[];
};

static void
catchup_drop_kept(struct catchup *c)
{
	for (unsigned i = 0; i < c->n_kept; i++)
		kept_message_unref(c->kept[i]);
	free(c->kept);
	c->kept = NULL;
	c->n_kept = 0;
	c->kept_bytes = 0;
	c->since = c->feed->at;
	c->missed |= c->told;
}

static void
catchup_bury(struct grave *g)
{
	free(container_of(g, struct catchup, grave));
}

/* Nothing is told any more. The feed may be closed behind it. */
static void
catchup_end(struct catchup *c)
{
	struct loop *loop = c->feed->history->loop;

	catchup_drop_kept(c);
	list_remove(&c->in_feed);
	loop_forget_task(&c->fail);
	read_cancel(c->read);
	c->read = NULL;
	c->feed = NULL;
	loop_bury(loop, &c->grave);
}

void
catchup_end_all(struct feed *f)
{
	list_each(link, &f->catchups)
		catchup_end(list_entry(link, struct catchup, in_feed));
}

/* ---- what comes meanwhile ---- */

static void
catchup_keep_one(struct catchup *c, struct kept_message *k)
{
	size_t size = kept_message_size(k);

	if (c->cut || c->kept_bytes + size > c->feed->history->options.max_held) {
		c->cut = false;
		catchup_drop_kept(c);
		return;
	}
	if ((c->n_kept & (c->n_kept - 1)) == 0)
		c->kept = xrealloc(c->kept, (c->n_kept > 0 ? 2 * c->n_kept : 1) * sizeof(struct kept_message *));
	c->kept[c->n_kept++] = kept_message_ref(k);
	c->kept_bytes += size;
}

void
catchup_keep(struct feed *f, const struct store_entry *e)
{
	struct kept_message *k;

	if (list_empty(&f->catchups))
		return;
	k = kept_message_new(e);
	list_each(link, &f->catchups)
		catchup_keep_one(list_entry(link, struct catchup, in_feed), k);
	kept_message_unref(k);
}

void
catchup_cut(struct feed *f)
{
	list_each(link, &f->catchups) {
		struct catchup *c = list_entry(link, struct catchup, in_feed);

		catchup_drop_kept(c);
		c->cut = true;
	}
}

void
catchup_learn(struct feed *f)
{
	list_each(link, &f->catchups)
		list_entry(link, struct catchup, in_feed)->since = f->at;
}

/* ---- the page ---- */

static void catchup_ask(struct catchup *);

static void
catchup_tell(struct catchup *c, const struct store_page *page)
{
	bool by_id = c->has_id;

	c->upto = page->tip;
	c->told = true;
	page_show(c->fn, c->arg, page, by_id ? c->limit : c->newest, by_id);
}

/* Does what is kept join on to the page? If a later page is no longer than this one, nothing is missing behind it. */
static bool
catchup_joins_on(const struct catchup *c, const struct store_page *page)
{
	if (position_compare(page->tip, c->since) >= 0)
		return true;
	return c->again && position_compare(page->tip, c->upto) == 0;
}

static void
catchup_on_page(void *arg, int error, const struct store_page *page)
{
	struct catchup *c = arg;

	c->read = NULL;
	if (error < 0) {
		c->told = true;
		page_fail(c->fn, c->arg, error);
		return;
	}
	if (c->has_id && !page->found) {
		c->has_id = false;
		catchup_ask(c);
		return;
	}
	/* Others are told what they waited for, and so may end this one. */
	feed_learn(c->feed, page, c->asked_at);
	if (c->feed == NULL)
		return;
	if (catchup_joins_on(c, page)) {
		catchup_tell(c, page);
		return;
	}
	c->again = true;
	c->upto = page->tip;
	catchup_drop_kept(c);
	catchup_ask(c);
}

static void
catchup_on_fail(struct loop_task *t)
{
	catchup_on_page(container_of(t, struct catchup, fail), -EHOSTUNREACH, NULL);
}

static void
catchup_ask(struct catchup *c)
{
	struct feed	 *f = c->feed;
	struct store_read r = {
		.topic = f->topic, .limit = c->newest > 0 ? c->newest : 1, .limits = f->limits, .reader = c->reader
	};

	if (c->has_id) {
		r.forward = r.check = true;
		r.from = c->from;
		r.tail = c->tail;
		r.limit = c->limit;
	}
	/* Who wants as much as there can be reads a state from all of it, and bounds what is kept. */
	if (!c->has_id && c->newest == STORE_MAX_PAGE)
		r.max_bytes = ALL_BYTES;
	c->asked_at = history_clock(f->history);
	c->read = turns_read(f->history, &c->who, &r, catchup_on_page, c);
	if (c->read == NULL)
		loop_at_end(f->history->loop, &c->fail);
}

static unsigned
page_limit(unsigned limit, unsigned least)
{
	return limit < least ? least : limit > STORE_MAX_PAGE ? STORE_MAX_PAGE : limit;
}

struct catchup *
history_catch_up(struct feed *f, const struct history_asker *who, struct slice last_seen, unsigned limit, unsigned newest,
    struct slice reader, history_page_fn *fn, void *arg)
{
	struct catchup *c = xmalloc(sizeof(*c) + reader.n);

	*c = (struct catchup){
		.feed = f, .fail.run = catchup_on_fail, .limit = page_limit(limit, 1), .newest = page_limit(newest, 0),
		.fn = fn, .arg = arg, .since = f->at, .grave.bury = catchup_bury, .reader = { c->text, reader.n },
	};
	if (reader.n > 0)
		memcpy(c->text, reader.p, reader.n);
	if (who != NULL)
		c->who.turns = who->turns;
	c->has_id = last_seen.p != NULL && uuid_to_position(last_seen, &c->from, &c->tail) == 0;
	f->opens++;
	list_append(&f->catchups, &c->in_feed);
	catchup_ask(c);
	return c;
}

/* ---- the end ---- */

static void
catchup_give(struct hub *hub, struct subscriber *who, struct slice event, struct slice payload)
{
	struct message m;

	if (who->topic == NULL)
		return;
	m = (struct message){
		.kind = MESSAGE_BROADCAST, .topic_token = who->topic->token, .event = event, .payload = payload,
	};
	hub_deliver_to(hub, who, &m);
	message_done(&m);
}

static void
catchup_give_kept(struct hub *hub, struct subscriber *who, const struct store_entry *e)
{
	autobuf struct buf payload = { 0 };

	history_add_entry_id(&payload, e);
	catchup_give(hub, who, e->event, buf_slice(&payload));
}

void
catchup_finish(struct catchup *c, struct subscriber *who)
{
	struct feed *f = c->feed;
	struct hub  *hub = &f->history->pubsub->hub;
	bool	     was_delivering = f->delivering;

	list_remove(&c->in_feed);
	/* What classes say when they are asked comes behind. */
	f->delivering = true;
	if (c->missed)
		catchup_give(hub, who, SLICE("system"), SLICE(HISTORY_RESYNC));
	for (unsigned i = 0; i < c->n_kept; i++)
		if (position_compare(c->kept[i]->entry.at, c->upto) > 0)
			catchup_give_kept(hub, who, &c->kept[i]->entry);
	if (who->topic != NULL && f->known && position_compare(f->at, c->upto) < 0)
		feed_add_late(f, who, c->upto);
	f->delivering = was_delivering;
	catchup_end(c);
	if (!was_delivering)
		feed_settle(f);
	feed_close(f);
}

void
catchup_cancel(struct catchup *c)
{
	struct feed *f = c != NULL ? c->feed : NULL;

	if (f == NULL)
		return;
	catchup_end(c);
	feed_close(f);
}
