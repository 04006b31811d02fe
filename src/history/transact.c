/*
 * Transactions: a message that is decided on the topic's newest one, and stored only while that still is the newest;
 * else it is decided again.
 */
#include <errno.h>
#include <stdlib.h>

#include "history/feed.h"

#define TRIES		100	/* in a row, on messages that others were faster to follow */
#define RETRY_MS	1000

struct transaction {
	struct list	 in_history;
	struct feed	*feed;		/* opened; NULL = it is over */
	struct transaction_user user;
	struct slice	 who;		/* in text */
	bool		 insist;
	bool		 posting;	/* the store is to tell what became of the message, even if it is over */
	unsigned	 tries;
	struct read	*read;
	struct position	 tip;		/* what was read last ends there */
	struct timer	 again;
	struct loop_task fail;		/* tells that the store cannot be asked */
	struct grave	 grave;
	char		 text[];
};

static void transaction_ask(struct transaction *);

static void
transaction_bury(struct grave *g)
{
	free(container_of(g, struct transaction, grave));
}

/* Nothing is told any more. The feed may be over behind it. */
static void
transaction_end(struct transaction *t)
{
	struct feed *f = t->feed;

	t->feed = NULL;
	timer_stop(&t->again);
	loop_forget_task(&t->fail);
	read_cancel(t->read);
	t->read = NULL;
	if (!t->posting) {
		list_remove(&t->in_history);
		loop_bury(f->history->loop, &t->grave);
	}
	feed_close(f);
}

void
transaction_cancel(struct transaction *t)
{
	if (t != NULL && t->feed != NULL)
		transaction_end(t);
}

void
transaction_end_all(struct history *h)
{
	list_each(link, &h->transactions) {
		struct transaction *t = list_entry(link, struct transaction, in_history);

		list_remove(&t->in_history);
		timer_stop(&t->again);
		loop_forget_task(&t->fail);
		free(t);
	}
}

/* It is over before it is told: who is told may do anything. */
static void
transaction_done(struct transaction *t, int error, struct slice id)
{
	struct transaction_user user = t->user;

	transaction_end(t);
	user.done(user.arg, error, id);
}

static void
transaction_on_again(struct timer *timer, uint64_t now)
{
	transaction_ask(container_of(timer, struct transaction, again));
}

static void
transaction_on_fail(struct loop_task *task)
{
	transaction_done(container_of(task, struct transaction, fail), -EHOSTUNREACH, slice(NULL, 0));
}

/* Not now: later, or never. Nobody is told before who asked has returned. */
static void
transaction_failed(struct transaction *t)
{
	struct loop *loop = t->feed->history->loop;

	t->tries = 0;
	if (t->insist)
		loop_timer(loop, &t->again, loop->now + RETRY_MS);
	else
		loop_at_end(loop, &t->fail);
}

/* Where it is not known whether the message was stored, the next decision sees it, or not. */
static void
transaction_said(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	struct transaction *t = arg;

	t->posting = false;
	if (t->feed == NULL) {
		list_remove(&t->in_history);
		free(t);
	} else if (error == 0) {
		transaction_done(t, 0, id);
	} else if (error == -ESTALE && ++t->tries < TRIES) {
		transaction_ask(t);
	} else {
		transaction_failed(t);
	}
}

static void
transaction_post(struct transaction *t, const struct history_change *change)
{
	const struct history_words words = {
		.event = buf_slice(&change->event), .payload = buf_slice(&change->payload), .user = t->who,
		.limits = &change->limits, .after = &t->tip,
	};

	t->posting = true;
	if (history_say(t->feed, &words, transaction_said, t) == 0)
		return;
	t->posting = false;
	transaction_failed(t);
}

static void
transaction_decide(void *arg, const struct history_page *page)
{
	struct transaction   *t = arg;
	struct history_change change = {
		.newest = page->n > 0 ? &page->messages[page->n - 1] : NULL, .limits = t->feed->limits,
	};
	bool		      post;

	post = t->user.decide(t->user.arg, &change);
	if (t->feed != NULL && post)
		transaction_post(t, &change);
	else if (t->feed != NULL)
		transaction_done(t, 0, slice(NULL, 0));
	buf_done(&change.event);
	buf_done(&change.payload);
}

static void
transaction_on_page(void *arg, int error, const struct store_page *page)
{
	struct transaction *t = arg;

	t->read = NULL;
	if (error < 0) {
		transaction_failed(t);
		return;
	}
	t->tip = page->tip;
	page_show(transaction_decide, t, page, 1, false);
}

static void
transaction_ask(struct transaction *t)
{
	struct feed	 *f = t->feed;
	struct store_read r = { .topic = f->topic, .limit = 1, .limits = f->limits };

	t->read = history_read(f->history, &r, transaction_on_page, t);
	if (t->read == NULL)
		transaction_failed(t);
}

struct transaction *
history_transact(struct feed *f, const struct transaction_user *user, struct slice who, bool insist)
{
	struct transaction *t = xmalloc(sizeof(*t) + who.n);

	*t = (struct transaction){
		.feed = f, .user = *user, .who = { t->text, who.n }, .insist = insist, .again.fire = transaction_on_again,
		.fail.run = transaction_on_fail, .grave.bury = transaction_bury,
	};
	if (who.n > 0)
		memcpy(t->text, who.p, who.n);
	f->opens++;
	list_append(&f->history->transactions, &t->in_history);
	transaction_ask(t);
	return t;
}

bool
history_is_transacting(const struct history *h)
{
	return !list_empty(&h->transactions);
}
