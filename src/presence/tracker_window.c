/*
 * The window of a topic: at its end Redis gets what changed in our replica, clients get one diff, newcomers the state.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "presence/tracker_internal.h"

/*
 * Each local subscriber makes the window longer: who joins a topic of many does so among many, and all of them hear of
 * each window. So a storm of joins costs frames by their number, not by its square. But a change is to be seen everywhere
 * within a second, and waits for a window twice, here and there.
 */
#define STRETCH_US	500
#define STRETCH_MAX_MS	300
#define WAIT_MAX_MS	500	/* who joins does not wait longer for the end of a window */

void
topic_touch(struct presence_topic *t)
{
	struct loop   *loop = t->tracker->loop;
	const uint64_t stretch = (uint64_t)t->n_members * STRETCH_US / 1000;

	if (timer_is_set(&t->window))
		return;
	loop_timer(loop, &t->window, loop->now + t->tracker->options.window_ms + (stretch < STRETCH_MAX_MS ? stretch : STRETCH_MAX_MS));
}

void
topic_hurry(struct presence_topic *t)
{
	const bool news = (t->ways & PRESENCE_NEWS) && !list_empty(&t->view.touched);

	if (news || t->n_newcomers > 0 || !list_empty(&t->peeks))
		loop_timer(t->tracker->loop, &t->window, t->tracker->loop->now);
}

void
topic_wait(struct presence_topic *t)
{
	const uint64_t due = t->tracker->loop->now + WAIT_MAX_MS;

	if (!timer_is_set(&t->window) || t->window.due > due)
		loop_timer(t->tracker->loop, &t->window, due);
}

bool
topic_is_idle(const struct presence_topic *t)
{
	return t->n_members == 0 && t->own.items.n == 0 && list_empty(&t->peeks);
}

static struct presence_item
item_of(const struct presence *p, bool lingers)
{
	return (struct presence_item){
		.key = p->key->name, .ref = presence_ref_text(p), .meta = presence_meta(p), .lingers = lingers,
	};
}

/* What changed twice since the last write has not changed. */
static void
delta_changes(const struct presence_topic *t, struct presence_delta *d, struct presence_item *put,
    struct presence_item *gone)
{
	for (unsigned i = 0; i < t->n_dirty; i++) {
		const struct presence *p = t->dirty[i];

		if (p->own)
			put[d->n_put++] = item_of(p, replica_lingers(&t->own, p));
		else if (p->written)
			gone[d->n_gone++] = item_of(p, false);
	}
}

static void
delta_all(const struct presence_topic *t, struct presence_delta *d, struct presence_item *put)
{
	const struct presence *p;
	size_t		       at = 0;

	while ((p = map_next(&t->own.items, &at)) != NULL)
		put[d->n_put++] = item_of(p, replica_lingers(&t->own, p));
}

/* Sends it, under the next version. */
static void
topic_send(struct presence_topic *t, struct presence_delta *d)
{
	struct tracker *tr = t->tracker;

	d->to = ++tr->version;
	d->empty = t->own.items.n == 0;
	t->own.version = d->to;
	t->whole = d->empty;
	if (tr->sync != NULL && tr->sync->write != NULL)
		tr->sync->write(tr->arg, t->name, d);
}

static void
topic_clean(struct presence_topic *t)
{
	for (unsigned i = 0; i < t->n_dirty; i++) {
		struct presence *p = t->dirty[i];

		p->written = p->own;
		p->dirty = false;
		presence_unref(&t->view, p);
	}
	free(t->dirty);
	t->dirty = NULL;
	t->n_dirty = t->cap_dirty = 0;
}

void
topic_write_whole(struct presence_topic *t)
{
	autofree struct presence_item *put = xmalloc((t->own.items.n + 1) * sizeof(*put));
	struct presence_delta	       d = { .put = put };

	delta_all(t, &d, put);
	topic_send(t, &d);
	topic_clean(t);
}

/* What changed in our own replica, or all of it. */
static void
topic_write(struct presence_topic *t)
{
	autofree struct presence_item *put = NULL, *gone = NULL;
	struct presence_delta	       d = { .from = t->own.version };

	if (t->n_dirty == 0)
		return;
	if (t->whole && t->own.items.n > 0) {
		topic_write_whole(t);
		return;
	}
	put = xmalloc(t->n_dirty * sizeof(*put));
	gone = xmalloc(t->n_dirty * sizeof(*gone));
	d.put = put;
	d.gone = gone;
	delta_changes(t, &d, put, gone);
	if (d.n_put > 0 || d.n_gone > 0)
		topic_send(t, &d);
	topic_clean(t);
}

/* Does this member hear its topic still? */
static bool
member_hears(const struct presence_member *m)
{
	return m->sub->topic != NULL && !m->sub->deaf;
}

/* Those that have not had their state, in an array, if that is not NULL; returns how many. */
static unsigned
newcomers_who_hear(const struct presence_topic *t, struct subscriber **subs)
{
	unsigned n = 0;

	list_each(l, &t->newcomers) {
		const struct presence_member *m = list_entry(l, const struct presence_member, in_newcomers);

		if (!member_hears(m))
			continue;
		if (subs != NULL)
			subs[n] = m->sub;
		n++;
	}
	return n;
}

/* Are there clients who have had their state? */
static bool
topic_is_viewed(const struct presence_topic *t)
{
	const struct topic *to = hub_topic(&t->tracker->pubsub->hub, t->name);

	return (t->ways & PRESENCE_SHOWN) && to != NULL && to->n > newcomers_who_hear(t, NULL);
}

/* One diff to all of them: the others will find it in the state. */
static void
topic_tell_diff(struct presence_topic *t, struct slice diff)
{
	struct hub		   *hub = &t->tracker->pubsub->hub;
	struct topic		   *to = hub_topic(hub, t->name);
	autofree struct subscriber **spared = xmalloc((t->n_newcomers + 1) * sizeof(struct subscriber *));
	struct message		    m = { .kind = MESSAGE_BROADCAST, .event = SLICE("presence_diff"), .payload = diff };

	if (to == NULL)
		return;
	m.topic_token = to->token;
	hub_deliver_sparing(hub, to, &m, spared, newcomers_who_hear(t, spared));
	message_done(&m);
}

/* Any one of those for whom it is that what changed is told. */
static struct subscriber *
topic_speaker(const struct presence_topic *t)
{
	list_each(l, &t->members) {
		const struct presence_member *m = list_entry(l, const struct presence_member, in_topic);

		if ((m->ways & PRESENCE_NEWS) && member_hears(m))
			return m->sub;
	}
	return NULL;
}

/* Whose the new ones are, each; and of those that are of this node, whose is the newest? */
static struct subscriber *
change_owners(const struct presence_change *c, struct subscriber **owners)
{
	struct subscriber *by = NULL;

	for (unsigned i = 0; i < c->n_new; i++) {
		const struct presence *p = c->now[c->n - c->n_new + i];

		owners[i] = p->owner != NULL ? p->owner->sub : NULL;
		if (owners[i] != NULL)
			by = owners[i];
	}
	return by;
}

static void
topic_tell_change(void *arg, const struct presence_key *k, const struct presence_change *c)
{
	const struct presence_topic *t = arg;
	autofree struct slice	    *metas = xmalloc((c->n + c->n_gone) * sizeof(*metas));
	autofree struct subscriber **owners = xmalloc((c->n_new + 1) * sizeof(*owners));
	struct subscriber	    *speaker = topic_speaker(t);
	struct presence_news	     news = {
		.key = k->name, .metas = metas, .n = c->n, .n_new = c->n_new, .gone = metas + c->n, .n_gone = c->n_gone,
		.by = change_owners(c, owners), .owners = owners,
	};

	if (speaker == NULL || t->tracker->news == NULL)
		return;
	for (unsigned i = 0; i < c->n; i++)
		metas[i] = presence_meta(c->now[i]);
	for (unsigned i = 0; i < c->n_gone; i++)
		metas[c->n + i] = presence_meta(c->gone[i]);
	t->tracker->news(speaker, &news);
}

/* What became of the view: first as news, as whoever comes and goes by these is then counted right. */
void
topic_tell(struct presence_topic *t)
{
	autobuf struct buf diff = { 0 };
	struct buf	  *out = topic_is_viewed(t) ? &diff : NULL;
	bool		   changed;

	if (!(t->ways & PRESENCE_NEWS))
		changed = presence_view_settle(&t->view, out);
	else
		changed = presence_view_settle_each(&t->view, out, topic_tell_change, t);
	if (changed && out != NULL)
		topic_tell_diff(t, buf_slice(&diff));
}

/* What was loaded is in the view: who waits for that is told behind this. */
static void
topic_make_known(struct presence_topic *t)
{
	t->known = true;
	if (t->ways & PRESENCE_SHOWN)
		presence_view_seen(&t->view);
	list_each(l, &t->peeks) {
		struct presence_peek *peek = list_entry(l, struct presence_peek, in_topic);

		if (!peek->told)
			loop_at_end(t->tracker->loop, &peek->tell);
	}
}

static int
by_join_ref(const void *a, const void *b)
{
	const struct presence_member *const *x = a, *const *y = b;

	return slice_compare((*x)->join_ref, (*y)->join_ref);
}

/* Takes them off the list, ordered so that those who get the same frame follow each other. */
static unsigned
take_newcomers(struct presence_topic *t, struct presence_member **members)
{
	struct list *l;
	unsigned     n = 0;

	while ((l = list_take_link(&t->newcomers)) != NULL)
		members[n++] = list_entry(l, struct presence_member, in_newcomers);
	t->n_newcomers = 0;
	qsort(members, n, sizeof(struct presence_member *), by_join_ref);
	return n;
}

/* The state to those who wait for it: composed once, and encoded once for all of one join_ref. */
static void
topic_welcome(struct presence_topic *t)
{
	struct hub			*hub = &t->tracker->pubsub->hub;
	autofree struct presence_member **members = NULL;
	autobuf struct buf		 state = { 0 };
	struct message			 m = { .kind = MESSAGE_PUSH, .event = SLICE("presence_state") };
	unsigned			 n;

	if (t->n_newcomers == 0)
		return;
	presence_view_state(&t->view, &state);
	m.payload = buf_slice(&state);
	members = xmalloc(t->n_newcomers * sizeof(struct presence_member *));
	n = take_newcomers(t, members);
	for (unsigned i = 0; i < n; i++) {
		if (!member_hears(members[i]))
			continue;
		if (!slice_eq(m.join_ref, members[i]->join_ref))
			message_done(&m);
		m.join_ref = members[i]->join_ref;
		m.topic_token = members[i]->sub->topic->token;
		hub_send(hub, members[i]->sub->out, members[i]->sub->codec, &m);
	}
	loop_worked(t->tracker->loop, n);
	message_done(&m);
}

void
topic_on_window(struct timer *timer, uint64_t now_ms)
{
	struct presence_topic *t = container_of(timer, struct presence_topic, window);

	t->hurried = false;
	topic_write(t);
	/* What is there before everything is known is no news, and known to clients who have seen nothing. */
	if (!t->loading || !(t->ways & PRESENCE_NEWS))
		topic_tell(t);
	if (!t->loading) {
		topic_make_known(t);
		topic_welcome(t);
	}
	if (topic_is_idle(t) && !timer_is_set(&t->window))
		topic_free(t);
}
