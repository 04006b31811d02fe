/*
 * What a feed may have missed: reads of the stream behind its position, and what they prove. Its position is learnt
 * here, too.
 */
#include "base/clock.h"
#include "history/feed.h"

/* What a page behind the position tells about it. */
enum verdict {
	VERDICT_WHOLE,		/* the stream still reaches back to it: the page is all that follows */
	VERDICT_GAP,		/* what followed it may be gone */
	VERDICT_REWOUND,	/* the stream ends before it */
	VERDICT_UNSURE		/* the position has moved since: the next read will tell */
};

static const struct position start = { 0 };

static bool
is_start(struct position p)
{
	return position_compare(p, start) == 0;
}

void
feed_want(struct feed *f)
{
	f->wants = true;
	if (f->read != NULL || !list_empty(&f->in_queue))
		return;
	list_append(&f->history->queue, &f->in_queue);
	history_pump(f->history);
}

/* It is remembered, and tried again. */
static void
feed_failed(struct feed *f)
{
	struct history *h = f->history;

	f->wants = true;
	loop_timer(h->loop, &f->check, h->loop->now + FEED_RETRY_MS / 2 + hash_bytes(f->topic) % (FEED_RETRY_MS / 2));
}

/* Is what stood at the position, and is not the newest any more, gone for its age alone? */
static bool
feed_is_over_age(const struct feed *f, const struct store_page *page)
{
	uint64_t now = (uint64_t)wall_ms();

	return f->limits.age_ms > 0 && (page->tip.ms > now ? page->tip.ms : now) > f->read_from.ms + f->limits.age_ms;
}

/* From when it was asked: by then it ends, rather than later. */
static void
feed_learn_end(struct feed *f, const struct store_page *page, uint64_t asked_at)
{
	if (!is_start(page->tip))
		f->ends_at = page->ends_ms > 0 ? asked_at + page->ends_ms : 0;
}

static bool
feed_has_ended(const struct feed *f)
{
	return f->ends_at > 0 && history_clock(f->history) >= f->ends_at;
}

/*
 * Where nothing was kept at the position, nothing shows that the page follows it. But so few messages, none of which
 * can be over age, have not pushed any other out.
 */
static bool
feed_cannot_have_lost(const struct feed *f, const struct store_page *page)
{
	uint64_t age = f->limits.age_ms;

	if (!is_start(f->read_from) && !feed_is_over_age(f, page))
		return false;
	if (page->more || page->n >= f->limits.max)
		return false;
	return age == 0 || history_clock(f->history) - f->sure_at < age;
}

static enum verdict
feed_judge(const struct feed *f, const struct store_page *page)
{
	int tip = position_compare(page->tip, f->read_from);

	if (tip < 0)
		return VERDICT_REWOUND;
	if (tip == 0 || page->found)
		return VERDICT_WHOLE;
	if (position_compare(f->at, f->read_from) != 0)
		return VERDICT_UNSURE;
	return feed_cannot_have_lost(f, page) ? VERDICT_WHOLE : VERDICT_GAP;
}

static void
feed_rewind(struct feed *f, const struct store_page *page)
{
	feed_drop_lates(f, true);
	append_forget_stored(f);
	feed_move(f, page->tip);
	if (!is_start(page->tip) || !feed_has_ended(f))
		feed_announce(f);
}

/* What follows the position, and whether all of it is there. */
static void
feed_take(struct feed *f, const struct store_page *page)
{
	enum verdict	verdict = feed_judge(f, page);
	struct position before = f->at;
	uint64_t	round = f->round;

	feed_learn_end(f, page, f->read_at);
	if (verdict == VERDICT_UNSURE) {
		feed_want(f);
		return;
	}
	if (verdict == VERDICT_REWOUND)
		feed_rewind(f, page);
	if (verdict == VERDICT_GAP)
		feed_announce(f);
	if (verdict != VERDICT_WHOLE)
		f->said_round = round;
	for (unsigned i = 0; i < page->n && f->opens > 0; i++)
		if (position_compare(page->entries[i].at, f->at) > 0)
			feed_deliver(f, &page->entries[i]);
	if (f->opens == 0)
		return;
	if (page->more && position_compare(f->at, before) == 0) {
		feed_failed(f);
		return;
	}
	if (page->more) {
		feed_want(f);
		return;
	}
	/* The last ones may have been no messages. */
	if (position_compare(page->tip, f->at) > 0)
		feed_move(f, page->tip);
	f->answered = round;
	f->sure_at = f->read_at;
	append_passed(f);
	feed_settle(f);
}

void
feed_learn(struct feed *f, const struct store_page *page, uint64_t asked_at)
{
	const struct held *first = feed_first_held(f);
	const struct store_entry *last = page->n > 0 ? &page->entries[page->n - 1] : NULL;

	feed_learn_end(f, page, asked_at);
	if (f->known)
		return;
	f->known = true;
	f->sure_at = asked_at;
	f->at = page->tip;
	if (last != NULL && position_compare(last->at, f->at) == 0) {
		f->tail = last->tail;
		f->has_tail = true;
	}
	/* Whoever hears this topic already is to hear what came since. */
	if (first != NULL && position_compare(first->message->entry.prev, f->at) < 0)
		feed_move(f, first->message->entry.prev);
	catchup_learn(f);
	feed_settle(f);
}

static void
feed_on_page(void *arg, int error, const struct store_page *page)
{
	struct feed    *f = arg;
	struct history *h = f->history;

	f->read = NULL;
	h->reading--;
	if (error < 0)
		feed_failed(f);
	else if (!f->known)
		feed_learn(f, page, f->read_at);
	else if (!f->learning)
		feed_take(f, page);
	else if (position_compare(page->tip, f->at) != 0)
		feed_want(f);
	else
		feed_settle(f);
	history_pump(h);
}

void
feed_ask(struct feed *f)
{
	struct history	 *h = f->history;
	struct store_read r = { .topic = f->topic, .limit = 1, .limits = f->limits };

	if (f->known) {
		r.forward = true;
		r.from = f->at;
		r.limit = FEED_PAGE;
		r.check = f->has_tail;
		r.tail = f->tail;
	}
	f->wants = false;
	f->learning = !f->known;
	f->read_from = f->at;
	f->read_at = history_clock(h);
	f->round++;
	f->read = history_read(h, &r, feed_on_page, f);
	if (f->read != NULL)
		h->reading++;
	else
		feed_failed(f);
}
