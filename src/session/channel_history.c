/*
 * The history part of <roost/channel.h>: messages that are stored before they are heard, and what newcomers are given
 * of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "history/history.h"
#include "session/channel.h"

static struct history *
history_of(const struct channel *ch)
{
	return ch->session->env->history;
}

/* Its client's reads are made one at a time. */
static struct history_asker
asker_of(const struct channel *ch)
{
	struct session *s = ch->session;

	if (s->turns == NULL)
		s->turns = turns_new(history_of(ch));
	return (struct history_asker){ .turns = s->turns, .owner = ch };
}

struct asked *
asked_new(struct channel *ch, struct channel_ref *ref, struct slice text)
{
	struct asked *a = xmalloc(sizeof(*a) + text.n);

	*a = (struct asked){ .ref = ref, .n = text.n };
	memcpy(a->text, text.p, text.n);
	list_append(&ch->session->env->asked, &a->in_env);
	return a;
}

void
asked_free(struct asked *a)
{
	list_remove(&a->in_env);
	free(a);
}

void
channel_history_drop(struct list *asked)
{
	list_each(link, asked) {
		struct asked *a = list_entry(link, struct asked, in_env);

		channel_ref_reply(a->ref, false, channel_empty());
		asked_free(a);
	}
}

void
channel_keep_history(struct channel *ch, const struct history_limits *limits)
{
	struct channel_history *h;

	if (ch->phase != CHANNEL_JOINING || ch->history != NULL || limits->max == 0)
		return;
	h = xmalloc(sizeof(*h));
	*h = (struct channel_history){
		.feed = feed_open(history_of(ch), channel_topic(ch), limits), .limits = *limits,
	};
	list_init(&h->changes);
	ch->history = h;
}

void
channel_history_end(struct channel *ch)
{
	struct channel_history *h = ch->history;

	if (h == NULL)
		return;
	ch->history = NULL;
	catchup_cancel(h->catchup);
	turns_forget(ch->session->turns, ch);
	channel_changes_end(h);
	feed_forget(h->feed, &ch->sub);
	feed_close(h->feed);
	free(h);
}

/* Posting. */

void
channel_ref_unavailable(struct channel_ref *ref)
{
	channel_ref_reply(ref, false, channel_json(SLICE("{\"reason\":\"unavailable\"}")));
}

static void
post_said(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	autobuf struct buf response = { 0 };
	char		   text[RATE_LIMIT_LEN];
	struct asked	  *a = arg;

	/* Nobody waits for the answer. */
	if (a == NULL)
		return;
	if (error == 0) {
		history_add_id(&response, slice(a->text, a->n), id);
		channel_ref_reply(a->ref, true, channel_json(buf_slice(&response)));
	} else if (error == -EAGAIN && a->ref->channel != NULL)
		channel_ref_reply(a->ref, false, dispatch_rate_limit(a->ref->channel->route, text, retry_ms));
	else
		channel_ref_unavailable(a->ref);
	asked_free(a);
}

/*
 * The limit on the event that the client pushed, whatever it is posted as; false if there is none. The key is composed
 * in `key`.
 */
static bool
post_rate(const struct channel *ch, const struct dispatch *d, struct buf *key, struct store_rate *out)
{
	const struct rate *rate = d != NULL ? dispatch_rate(ch, d->in->event) : NULL;
	char		   host[ADDR_LEN];

	if (rate == NULL || rate->count == 0)
		return false;
	buf_add_slice(key, d->in->event);
	buf_add_char(key, '/');
	buf_add_slice(key, dispatch_rate_owner(ch, host));
	*out = (struct store_rate){ .key = buf_slice(key), .rate = *rate };
	return true;
}

int
channel_post(struct channel *ch, struct slice event, struct slice payload, struct slice response, bool to_self)
{
	struct dispatch	  *d = channel_current(ch);
	struct slice	   answer = response.p != NULL ? response : payload;
	autobuf struct buf key = { 0 };
	struct history_words words;
	struct store_rate  rate;
	bool		   limited;
	struct channel_ref *ref;
	struct asked	  *a;

	if (ch->phase != CHANNEL_JOINED || ch->history == NULL || !payload_is_object(channel_json(payload)) ||
	    !payload_is_object(channel_json(answer)))
		return -EINVAL;
	limited = post_rate(ch, d, &key, &rate);
	ref = channel_defer(ch);
	a = ref != NULL ? asked_new(ch, ref, answer) : NULL;
	if (d != NULL)
		d->posted = true;
	words = (struct history_words){
		.event = event, .payload = payload, .user = channel_user(ch), .except = to_self ? NULL : &ch->sub,
		.rate = limited ? &rate : NULL,
	};
	if (history_say(ch->history->feed, &words, post_said, a) < 0 && a != NULL) {
		channel_ref_unavailable(a->ref);
		asked_free(a);
	}
	return 0;
}

/* What of a page the client is to see; *wanted holds it. */
static struct history_page
channel_wanted(const struct channel *ch, const struct history_page *page, struct buf *wanted)
{
	bool		  (*wants)(const struct channel *, const struct history_message *) = ch->route->class->wants;
	struct history_page out = *page;

	if (wants == NULL)
		return out;
	for (unsigned i = 0; i < page->n; i++)
		if (wants(ch, &page->messages[i]))
			buf_add(wanted, &page->messages[i], sizeof(page->messages[i]));
	out.messages = (const void *)wanted->p;
	out.n = (unsigned)(wanted->n / sizeof(*out.messages));
	return out;
}

/* Joining. */

static void
channel_caught_up(void *arg, const struct history_page *page)
{
	struct channel	   *ch = arg;
	autobuf struct buf  wanted = { 0 };
	struct history_page shown = channel_wanted(ch, page, &wanted);

	ch->depth++;
	ch->history->caught_up(ch, &shown);
	ch->depth--;
	/* A join that is not decided now would be given the page, but not what follows it. */
	channel_settle(ch, ch->phase == CHANNEL_JOINING ? -EPROTO : 0);
}

int
channel_catch_up(struct channel *ch, struct slice last_seen, unsigned newest,
    void (*fn)(struct channel *, const struct history_page *page))
{
	struct channel_history *h = ch->history;
	struct history_asker	who;

	if (ch->phase != CHANNEL_JOINING || h == NULL || h->catchup != NULL)
		return -EINVAL;
	who = asker_of(ch);
	h->caught_up = fn;
	h->catchup = history_catch_up(h->feed, &who, last_seen, STORE_MAX_PAGE,
	    newest < STORE_MAX_PAGE ? newest : STORE_MAX_PAGE, channel_user(ch), channel_caught_up, ch);
	return CHANNEL_LATER;
}

void
channel_history_entered(struct channel *ch)
{
	struct catchup *catchup = ch->history != NULL ? ch->history->catchup : NULL;

	if (catchup == NULL)
		return;
	ch->history->catchup = NULL;
	catchup_finish(catchup, &ch->sub);
}

/* Pages. */

static void page_loaded(void *arg, const struct history_page *);

static void
page_ask(struct asked *a, struct slice id, unsigned limit)
{
	struct channel	    *ch = a->ref->channel;
	struct history_asker who = asker_of(ch);
	int		     r;

	r = history_page(history_of(ch), &who, channel_topic(ch), &ch->history->limits, a->forward, id,
	    limit < STORE_MAX_PAGE ? limit : STORE_MAX_PAGE, page_loaded, a);
	if (r < 0)
		page_loaded(a, &(struct history_page){ .error = r });
}

static void
page_tell(struct asked *a, struct channel *ch, struct history_page *page)
{
	struct channel_ref *ref = a->ref;
	void		  (*loaded)(struct channel *, struct channel_ref *, const struct history_page *) = a->loaded;

	if (page->n > a->limit) {
		page->messages += a->forward ? 0 : page->n - a->limit;
		page->n = a->limit;
		page->more = true;
	}
	asked_free(a);
	ch->depth++;
	loaded(ch, ref, page);
	ch->depth--;
	channel_settle(ch, 0);
}

/* An empty page would give the client nothing to go on from: so it is read on until it has something to see. */
static void
page_loaded(void *arg, const struct history_page *page)
{
	struct asked	   *a = arg;
	struct channel	   *ch = a->ref->channel;
	autobuf struct buf  wanted = { 0 };
	struct history_page shown;

	if (ch == NULL || ch->phase != CHANNEL_JOINED) {
		channel_ref_reply(a->ref, false, channel_empty());
		asked_free(a);
		return;
	}
	shown = channel_wanted(ch, page, &wanted);
	if (shown.n == 0 && page->n > 0 && page->more)
		page_ask(a, page->messages[a->forward ? page->n - 1 : 0].id, STORE_MAX_PAGE);
	else
		page_tell(a, ch, &shown);
}

int
channel_load(struct channel *ch, bool forward, struct slice id, unsigned limit,
    void (*fn)(struct channel *, struct channel_ref *, const struct history_page *page))
{
	struct channel_ref *ref;
	struct asked	   *a;

	if (ch->phase != CHANNEL_JOINED || ch->history == NULL || limit == 0)
		return -EINVAL;
	ref = channel_defer(ch);
	if (ref == NULL)
		return -EINVAL;
	a = asked_new(ch, ref, SLICE(""));
	a->loaded = fn;
	a->forward = forward;
	a->limit = limit;
	page_ask(a, id, limit);
	return 0;
}

/* Marks. */

static void
mark_told(void *arg, int error)
{
	struct asked	   *a = arg;
	struct channel_ref *ref = a->ref;
	struct channel	   *ch = ref->channel;

	if (ch == NULL || ch->phase != CHANNEL_JOINED) {
		channel_ref_reply(ref, false, channel_empty());
	} else {
		ch->depth++;
		a->marked(ch, ref, error, slice(a->text, a->n));
		ch->depth--;
		channel_settle(ch, 0);
	}
	asked_free(a);
}

int
channel_mark(struct channel *ch, struct slice id,
    void (*fn)(struct channel *, struct channel_ref *, int error, struct slice id))
{
	struct slice	    user = channel_user(ch);
	struct channel_ref *ref;
	struct asked	   *a;

	if (ch->phase != CHANNEL_JOINED || ch->history == NULL || user.n == 0 || id.p == NULL)
		return -EINVAL;
	ref = channel_defer(ch);
	if (ref == NULL)
		return -EINVAL;
	a = asked_new(ch, ref, id);
	a->marked = fn;
	if (history_mark(history_of(ch), channel_topic(ch), &ch->history->limits, user, id, mark_told, a) < 0)
		mark_told(a, -EHOSTUNREACH);
	return 0;
}
