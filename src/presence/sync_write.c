/*
 * What we hold ourselves, written to Redis. A write that fails is not repeated as it was: the whole topic is
 * written anew, at once if Redis has something else than we thought, a second later if it takes nothing, with
 * our next place if the connection was lost.
 *
 * The versions that others see are counted here: one for each write that was sent, always beyond any that was
 * found in our hashes, even if a stranger wrote it there. Of the tracker's deltas it only matters whether
 * they start from 0.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "presence/delta.h"
#include "presence/sync_internal.h"

#define RETRY_MS	1000
#define BEATS		3	/* heartbeats that tell of a change */
#define BEAT_TOPICS	1000	/* in one heartbeat */
#define MAX_PUBLISHED	(256 * 1024)	/* bytes of a delta: longer ones hold up the heartbeats behind them */
#define STEP		2	/* from one version to the next: the number between them is nobody's */
#define MAX_SKIP	(UINT64_C(1) << 52)	/* a version beyond it is found by strangers alone: no room above it */
#define SPARE_ROOM	(1024 * 1024)	/* kept between writes, at most */

/* A topic where we hold presences, or did lately. */
struct own {
	struct list	 in_owns;
	struct list	 in_changed;	/* of sync->changed, or none */
	struct list	 in_retry;	/* of sync->to_retry, or none */
	uint64_t	 version;	/* of the last write that was sent at this place; 0 = none */
	uint64_t	 whole;		/* of the last one of these from 0 */
	unsigned	 beats;		/* that are still to tell of it */
	bool		 empty;		/* the tracker holds nothing there */
	bool		 listed;	/* its hash may be there, and with it its mention in our set of topics */
	bool		 stale;		/* something of an earlier place may be there */
	unsigned	 unanswered;	/* writes */
	struct slice	 topic;
	char		 text[];
};

static struct slice
own_topic(const void *item)
{
	const struct own *o = item;

	return o->topic;
}

static struct own *
own_get(struct presence_sync *s, struct slice topic)
{
	struct own *o = map_get(&s->own, topic);

	if (o != NULL)
		return o;
	o = xmalloc(sizeof(*o) + topic.n);
	*o = (struct own){ .topic = { o->text, topic.n } };
	memcpy(o->text, topic.p, topic.n);
	map_put(&s->own, o);
	list_append(&s->owns, &o->in_owns);
	return o;
}

static void
own_free(struct presence_sync *s, struct own *o)
{
	map_del(&s->own, o->topic);
	list_remove(&o->in_owns);
	list_remove(&o->in_changed);
	list_remove(&o->in_retry);
	free(o);
}

/* Forgets it if there is nothing left to do about it. */
static void
own_settle(struct presence_sync *s, struct own *o)
{
	if (!o->empty || o->listed || o->stale || o->unanswered > 0)
		return;
	if (list_empty(&o->in_changed) && list_empty(&o->in_retry))
		own_free(s, o);
}

static void
own_retry_later(struct presence_sync *s, struct own *o)
{
	if (!list_empty(&o->in_retry))
		return;
	list_append(&s->to_retry, &o->in_retry);
	if (!timer_is_set(&s->retry_timer))
		loop_timer(s->loop, &s->retry_timer, s->loop->now + RETRY_MS);
}

static void
own_announce(struct presence_sync *s, struct own *o)
{
	o->beats = BEATS;
	if (list_empty(&o->in_changed))
		list_append(&s->changed, &o->in_changed);
}

static void
words_add(struct words *w, struct slice word)
{
	if (w->n == w->cap) {
		w->cap = w->cap == 0 ? 64 : 2 * w->cap;
		w->v = xrealloc(w->v, w->cap * sizeof(*w->v));
	}
	w->v[w->n++] = word;
}

/* The word that was composed since `from`. */
static void
words_add_text(struct words *w, size_t from)
{
	words_add(w, slice(w->text.p + from, w->text.n - from));
}

static void
words_add_number(struct words *w, uint64_t number)
{
	const size_t from = w->text.n;

	buf_addf(&w->text, "%" PRIu64, number);
	words_add_text(w, from);
}

static void
words_add_field(struct words *w, const struct presence_item *item,
    void (*write)(struct buf *, const struct presence_item *))
{
	const size_t from = w->text.n;

	write(&w->text, item);
	words_add_text(w, from);
}

static void
words_shrink(struct presence_sync *s)
{
	if (s->words.text.cap > SPARE_ROOM || s->words.cap * sizeof(struct slice) > SPARE_ROOM) {
		buf_done(&s->words.text);
		free(s->words.v);
		s->words = (struct words){ 0 };
	}
	if (s->delta.cap > SPARE_ROOM)
		buf_done(&s->delta);
}

static unsigned
words_to_set(const struct presence_delta *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->n_put; i++)
		n += d->put[i].lingers ? 4 : 2;
	return n;
}

/* An upper bound of what is composed, as slices of it must not move. */
static size_t
words_room(const struct presence_sync *s, const struct own *o, const struct presence_delta *d)
{
	size_t n = strlen(s->prefix) + o->topic.n + sizeof("p:{}") + 4 * sizeof("18446744073709551615");

	for (unsigned i = 0; i < d->n_put; i++)
		n += 2 * FIELD_ROOM(&d->put[i]);
	for (unsigned i = 0; i < d->n_gone; i++)
		n += 2 * FIELD_ROOM(&d->gone[i]);
	return n;
}

static void
words_add_put(struct words *w, const struct presence_delta *d)
{
	for (unsigned i = 0; i < d->n_put; i++) {
		words_add_field(w, &d->put[i], field_write);
		words_add(w, d->put[i].meta);
		if (!d->put[i].lingers)
			continue;
		words_add_field(w, &d->put[i], field_write_linger);
		words_add(w, SLICE("1"));
	}
}

/* Whoever was put without lingering may have lingered before. */
static void
words_add_gone(struct words *w, const struct presence_delta *d)
{
	for (unsigned i = 0; i < d->n_gone; i++) {
		words_add_field(w, &d->gone[i], field_write);
		words_add_field(w, &d->gone[i], field_write_linger);
	}
	for (unsigned i = 0; i < d->n_put; i++)
		if (!d->put[i].lingers && d->from != 0)
			words_add_field(w, &d->put[i], field_write_linger);
}

/* A long change is not published as such: from a version that nobody has, it makes everybody read the hash. */
static void
own_compose_delta(struct presence_sync *s, const struct presence_delta *d)
{
	s->delta.n = 0;
	delta_write(&s->delta, s->self, s->epoch, d);
	if (s->delta.n <= MAX_PUBLISHED)
		return;
	s->delta.n = 0;
	delta_write(&s->delta, s->self, s->epoch, &(struct presence_delta){ .from = d->to - 1, .to = d->to });
}

/* The arguments of presence_write_script, in s->words. */
static void
own_compose(struct presence_sync *s, const struct own *o, const struct presence_delta *d)
{
	struct words *w = &s->words;
	char	     *room;

	w->text.n = 0;
	w->n = 0;
	own_compose_delta(s, d);
	room = buf_room(&w->text, words_room(s, o, d));
	key_channel(s, &w->text, o->topic);
	words_add_text(w, 0);
	words_add(w, buf_slice(&s->delta));
	words_add(w, s->self);
	words_add(w, o->topic);
	words_add_number(w, s->epoch);
	words_add_number(w, d->from);
	words_add_number(w, d->to);
	words_add(w, SLICE(SYNC_TTL));
	words_add(w, d->empty ? SLICE("1") : SLICE("0"));
	words_add_number(w, words_to_set(d));
	words_add_put(w, d);
	words_add_gone(w, d);
	assert(room == w->text.p);
}

/* The tracker writes all that it holds there, be it nothing. The topic may be forgotten after that. */
static void
own_rewrite(struct presence_sync *s, const struct own *o)
{
	tracker_rewrite_topic(s->tracker, o->topic);
}

/* What others may have read there is to be older than what we write next. */
static void
sync_skip(struct presence_sync *s, uint64_t version)
{
	if (version > s->version && version < MAX_SKIP)
		s->version = version;
}

/*
 * {"again", version}: there is something else than what we built on. Later writes from 0 have mended that
 * already.
 */
static void
own_is_else(struct presence_sync *s, struct own *o, uint64_t version, const struct redisReply *reply)
{
	uint64_t found;

	if (reply->elements != 2 || presence_number(redis_text(reply->element[1]), &found) < 0)
		return;
	sync_skip(s, found);
	if (o->whole <= version)
		own_rewrite(s, o);
}

static void
own_take_answer(struct presence_sync *s, struct own *o, const struct ask *a, const struct redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR) {
		sync_log_error("writing the presences", a->topic, reply);
		own_retry_later(s, o);
	} else if (redis_is_array(reply)) {
		own_is_else(s, o, a->version, reply);
	}
}

/* Without an answer it is not known what is there now. */
static void
own_answered(struct ask *a, const struct redisReply *reply)
{
	struct presence_sync *s = a->sync;
	struct own	     *o = a->item;

	if (reply == NULL)
		o->stale = true;
	else if (a->epoch == s->epoch)
		own_take_answer(s, o, a, reply);
	o->unanswered--;
	own_settle(s, o);
}

static int
own_send(struct presence_sync *s, struct own *o, const struct presence_delta *d)
{
	struct ask	  *a;
	autobuf struct buf hash = { 0 }, set = { 0 }, topics = { 0 };
	struct slice	   keys[3];

	key_hash(s, &hash, o->topic, s->self);
	key_set(s, &set, o->topic);
	key_topics(s, &topics, s->self);
	keys[0] = buf_slice(&hash);
	keys[1] = buf_slice(&set);
	keys[2] = buf_slice(&topics);
	own_compose(s, o, d);
	a = ask_new(s, own_answered, o->topic, SLICE(""));
	a->item = o;
	a->version = d->to;
	a->epoch = s->epoch;
	return ask_eval(s, a, &presence_write_script, keys, 3, s->words.v, s->words.n);
}

static int
own_try(struct presence_sync *s, struct own *o, const struct presence_delta *d)
{
	struct presence_delta numbered = *d;
	int		      r;

	numbered.from = d->from != 0 ? o->version : 0;
	numbered.to = s->version + STEP;
	r = own_send(s, o, &numbered);
	words_shrink(s);
	if (r < 0)
		return r;
	o->unanswered++;
	o->listed = !d->empty;
	o->version = s->version = numbered.to;
	if (d->from == 0)
		o->whole = o->version;
	stats->presence_deltas_out_total++;
	own_announce(s, o);
	return 0;
}

/*
 * A change of what could not be written, or not yet, waits until the whole is written. Without a connection
 * there is nothing to repeat: our next place has everything written.
 */
static void
own_write(struct presence_sync *s, struct own *o, const struct presence_delta *d)
{
	int r = -EAGAIN;

	if (d->from == 0 || (o->version != 0 && list_empty(&o->in_retry)))
		r = own_try(s, o, d);
	if (r == -ENOBUFS)
		log_peer(LOG_WARN_, NULL, "the presences of %.*s do not fit into what may wait for Redis; trying on",
		    SLICE_ARG(o->topic));
	if (r < 0 && r != -ENOTCONN)
		own_retry_later(s, o);
	else if (d->from == 0)
		list_remove(&o->in_retry);
}

static void
retry_fire(struct timer *t, uint64_t now)
{
	struct presence_sync *s = container_of(t, struct presence_sync, retry_timer);
	struct list	      due, *l;

	list_init(&due);
	list_append_all(&due, &s->to_retry);
	while ((l = list_take_link(&due)) != NULL)
		if (s->epoch != 0 && !s->left)
			own_rewrite(s, list_entry(l, struct own, in_retry));
}

void
sync_write(struct presence_sync *s, struct slice topic, const struct presence_delta *d)
{
	struct own *o = own_get(s, topic);

	o->empty = d->empty;
	if (s->epoch != 0 && !s->left)
		own_write(s, o, d);
	own_settle(s, o);
}

/* What had been emptied while we were away is told after the tracker has written all that it holds. */
void
sync_write_all(struct presence_sync *s)
{
	list_each (l, &s->owns) {
		struct own *o = list_entry(l, struct own, in_owns);

		o->stale |= o->listed;
		o->listed = false;
		o->version = o->whole = 0;
		list_remove(&o->in_retry);
	}
	tracker_rewrite(s->tracker, s->epoch);
	list_each (l, &s->owns) {
		struct own *o = list_entry(l, struct own, in_owns);
		const bool  emptied = o->stale && o->empty;

		o->stale = false;
		if (emptied)
			own_rewrite(s, o);
		else
			own_settle(s, o);
	}
}

void
sync_write_nothing(struct presence_sync *s)
{
	list_each (l, &s->owns) {
		struct own *o = list_entry(l, struct own, in_owns);

		if (o->listed)
			own_write(s, o, &(struct presence_delta){ .empty = true });
	}
}

uint64_t
sync_held(const struct presence_sync *s, struct slice topic)
{
	const struct own *o = map_get(&s->own, topic);

	return o != NULL && o->listed && !o->empty && list_empty(&o->in_retry) ? o->version : 0;
}

void
sync_repair(struct presence_sync *s, struct slice topic, uint64_t version, uint64_t found)
{
	sync_skip(s, found);
	if (sync_held(s, topic) == version)
		own_rewrite(s, map_get(&s->own, topic));
}

void
presence_sync_write_beat(struct presence_sync *s, struct buf *out)
{
	struct list  told, *l;
	unsigned     n = 0;

	list_init(&told);
	while (n < BEAT_TOPICS && (l = list_take_link(&s->changed)) != NULL) {
		struct own *o = list_entry(l, struct own, in_changed);

		buf_add_str(out, n++ == 0 ? ",\"topics\":[[" : ",[");
		json_quote(out, o->topic);
		buf_addf(out, ",%" PRIu64 "]", o->version);
		if (--o->beats > 0)
			list_append(&told, &o->in_changed);
		else
			own_settle(s, o);
	}
	if (n > 0)
		buf_add_char(out, ']');
	list_append_all(&s->changed, &told);
}

void
sync_write_init(struct presence_sync *s)
{
	map_init(&s->own, own_topic);
	list_init(&s->owns);
	list_init(&s->changed);
	list_init(&s->to_retry);
	s->retry_timer.fire = retry_fire;
}

void
sync_write_done(struct presence_sync *s)
{
	list_each (l, &s->owns)
		own_free(s, list_entry(l, struct own, in_owns));
	map_done(&s->own);
	timer_stop(&s->retry_timer);
	free(s->words.v);
	buf_done(&s->words.text);
	buf_done(&s->delta);
}
