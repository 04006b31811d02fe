/*
 * The order of one topic's messages: what comes is delivered where it follows the position, and held where it does not,
 * until the stream was read (gap.c).
 */
#include <stdlib.h>

#include "base/log.h"
#include "history/feed.h"

static void
feed_bury(struct grave *g)
{
	free(container_of(g, struct feed, grave));
}

/* The next check: each feed has its own place in the interval. */
static void
feed_arm(struct feed *f)
{
	struct history *h = f->history;
	uint64_t	check = h->options.check_ms, now = h->loop->now;

	if (check > 0)
		loop_timer(h->loop, &f->check, now + check - (now + hash_bytes(f->topic) % check) % check);
}

static void
feed_on_check(struct timer *t, uint64_t now)
{
	struct feed    *f = container_of(t, struct feed, check);
	struct broker  *b = f->history->pubsub->broker;

	feed_arm(f);
	if (f->read == NULL && (f->known || b->ops->is_subscribed(b, f->topic)))
		feed_want(f);
}

struct feed *
feed_new(struct history *h, struct slice topic, const struct history_limits *limits)
{
	struct feed *f = xmalloc(sizeof(*f) + topic.n);

	*f = (struct feed){
		.history = h, .topic = { f->text, topic.n }, .limits = *limits,
		.check.fire = feed_on_check, .grave.bury = feed_bury,
	};
	memcpy(f->text, topic.p, topic.n);
	list_init(&f->held);
	list_init(&f->catchups);
	list_init(&f->lates);
	list_init(&f->excepting);
	feed_arm(f);
	return f;
}

/* ---- what is held ---- */

static void
held_free(struct feed *f, struct held *held)
{
	f->held_bytes -= kept_message_size(held->message);
	list_remove(&held->in_feed);
	kept_message_unref(held->message);
	free(held);
}

struct held *
feed_first_held(const struct feed *f)
{
	return list_empty(&f->held) ? NULL : list_entry(f->held.next, struct held, in_feed);
}

static void
feed_hold(struct feed *f, const struct store_entry *e)
{
	struct kept_message *k = kept_message_new(e);
	struct held	    *held;

	if (f->held_bytes + kept_message_size(k) > f->history->options.max_held && !list_empty(&f->held)) {
		f->wants = true;
		kept_message_unref(k);
		return;
	}
	held = xmalloc(sizeof(*held));
	*held = (struct held){ .message = k, .round = f->round };
	f->held_bytes += kept_message_size(k);
	list_append(&f->held, &held->in_feed);
}

void
late_free(struct late *late)
{
	list_remove(&late->in_feed);
	free(late);
}

void
feed_add_late(struct feed *f, struct subscriber *who, struct position upto)
{
	struct late *late = xmalloc(sizeof(*late));

	*late = (struct late){ .who = who, .upto = upto };
	list_append(&f->lates, &late->in_feed);
}

void
feed_drop_lates(struct feed *f, bool all)
{
	list_each(link, &f->lates) {
		struct late *late = list_entry(link, struct late, in_feed);

		if (all || position_compare(late->upto, f->at) <= 0)
			late_free(late);
	}
}

void
feed_end(struct feed *f)
{
	struct history *h = f->history;

	f->opens = 0;
	map_del(&h->feeds, f->topic);
	h->pubsub->broker->ops->subscribe(h->pubsub->broker, f->topic, false);
	timer_stop(&f->check);
	list_remove(&f->in_queue);
	catchup_end_all(f);
	append_forget_feed(f);
	feed_drop_lates(f, true);
	list_each(link, &f->held)
		held_free(f, list_entry(link, struct held, in_feed));
	if (f->read != NULL) {
		read_cancel(f->read);
		f->read = NULL;
		h->reading--;
	}
	loop_bury(h->loop, &f->grave);
	history_pump(h);
}

/* ---- delivery ---- */

/* Those who have it already, but for `except`: into out, which has room for all; returns how many. */
static unsigned
feed_spared(const struct feed *f, const struct topic *t, const struct store_entry *e, const struct subscriber *except,
    struct subscriber **out)
{
	unsigned n = 0;

	list_each(link, &f->lates) {
		const struct late *late = list_entry(link, struct late, in_feed);

		if (late->who != except && position_compare(late->upto, e->at) >= 0 && late->who->topic == t && !late->who->deaf)
			out[n++] = late->who;
	}
	return n;
}

static unsigned
feed_count_lates(const struct feed *f)
{
	unsigned n = 0;

	list_each(link, &f->lates)
		n++;
	return n;
}

static void
feed_tell(struct feed *f, const struct store_entry *e, const struct subscriber *except)
{
	struct hub	     *hub = &f->history->pubsub->hub;
	struct topic	     *t = hub_topic(hub, f->topic);
	autobuf struct buf    payload = { 0 };
	autofree struct subscriber **spared = NULL;
	struct message	      m;
	unsigned	      n;

	if (t == NULL)
		return;
	history_add_entry_id(&payload, e);
	m = (struct message){
		.kind = MESSAGE_BROADCAST, .topic_token = t->token, .event = e->event, .payload = buf_slice(&payload),
	};
	if (list_empty(&f->lates)) {
		hub_deliver(hub, t, &m, except);
	} else {
		spared = xcalloc(feed_count_lates(f) + 1, sizeof(struct subscriber *));
		n = feed_spared(f, t, e, except, spared);
		if (except != NULL && except->topic == t && !except->deaf)
			spared[n++] = (struct subscriber *)except;
		hub_deliver_sparing(hub, t, &m, spared, n);
	}
	message_done(&m);
}

void
feed_deliver(struct feed *f, const struct store_entry *e)
{
	const struct subscriber *except;

	f->at = e->at;
	f->tail = e->tail;
	f->has_tail = true;
	catchup_keep(f, e);
	except = append_take_except(f, e);
	f->delivering = true;
	feed_tell(f, e, except);
	f->delivering = false;
	feed_drop_lates(f, false);
	append_passed(f);
}

void
feed_announce(struct feed *f)
{
	const struct broadcast resync = { .event = SLICE("system"), .payload = SLICE(HISTORY_RESYNC) };

	log_peer(LOG_INFO_, NULL, "history of %.*s: messages may have been missed", SLICE_ARG(f->topic));
	catchup_cut(f);
	f->delivering = true;
	pubsub_receive(f->history->pubsub, f->topic, &resync, NULL);
	f->delivering = false;
}

void
feed_move(struct feed *f, struct position to)
{
	f->at = to;
	f->has_tail = false;	/* it is known of what was delivered alone */
	feed_drop_lates(f, false);
	append_passed(f);
}

void
feed_settle(struct feed *f)
{
	struct held *held;

	if (!f->known)
		return;
	while (f->opens > 0 && (held = feed_first_held(f)) != NULL) {
		const struct store_entry *e = &held->message->entry;
		struct kept_message	 *k;

		if (position_compare(e->at, f->at) <= 0) {
			held_free(f, held);
		} else if (position_compare(e->prev, f->at) == 0) {
			k = kept_message_ref(held->message);
			held_free(f, held);
			feed_deliver(f, &k->entry);
			kept_message_unref(k);
		} else if (held->round < f->answered) {
			/* A read that was asked later does not know of it: it is gone from the stream. */
			held_free(f, held);
			if (f->said_round != f->answered)
				feed_announce(f);
			f->said_round = f->answered;
		} else {
			break;
		}
	}
	if (f->opens > 0 && f->read == NULL && (f->wants || !list_empty(&f->held)))
		feed_want(f);
}

void
feed_fresh(struct feed *f, const struct store_entry *e)
{
	int order = f->known ? position_compare(e->at, f->at) : 1;

	/* Another message in the place of the last one: it is the first of another stream. */
	if (order == 0 && f->has_tail && e->tail != f->tail && !f->delivering) {
		feed_announce(f);
		if (f->opens > 0)
			feed_deliver(f, e);
		feed_settle(f);
	}
	if (order <= 0)
		return;
	if (f->known && !f->delivering && list_empty(&f->held) && position_compare(e->prev, f->at) == 0)
		feed_deliver(f, e);
	else
		feed_hold(f, e);
	if (f->known && !f->delivering)
		feed_settle(f);
}

void
feed_next(struct feed *f, const struct store_entry *e)
{
	struct store_entry next = *e;

	if (!list_empty(&f->held))
		next.prev = list_entry(f->held.prev, struct held, in_feed)->message->entry.at;
	else if (f->known)
		next.prev = f->at;
	feed_fresh(f, &next);
}
