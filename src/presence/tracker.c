/*
 * Topics, their members, and what these track.
 */
#include "presence/tracker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "presence/tracker_internal.h"

static struct slice
topic_name(const void *item)
{
	const struct presence_topic *t = item;

	return t->name;
}

static struct slice
node_name(const void *item)
{
	const struct presence_node *n = item;

	return n->name;
}

struct tracker *
tracker_new(struct loop *loop, struct pubsub *pubsub, const char *node, const struct tracker_options *options,
    const struct tracker_sync *sync, void *arg)
{
	const size_t	len = strlen(node);
	struct tracker *tr = xmalloc(sizeof(*tr) + len);

	*tr = (struct tracker){
		.loop = loop, .pubsub = pubsub, .options = *options, .sync = sync, .arg = arg, .node = { tr->text, len },
	};
	memcpy(tr->text, node, len);
	map_init(&tr->topics, topic_name);
	map_init(&tr->nodes_by_name, node_name);
	list_init(&tr->in_turn);
	list_init(&tr->nodes);
	return tr;
}

struct tracker *
tracker_free(struct tracker *tr)
{
	if (tr == NULL)
		return NULL;
	/* Redis is not told any more. */
	tr->sync = NULL;
	list_each(l, &tr->in_turn)
		topic_free(list_entry(l, struct presence_topic, in_tracker));
	list_each(l, &tr->nodes)
		free(list_entry(l, struct presence_node, in_tracker));
	map_done(&tr->topics);
	map_done(&tr->nodes_by_name);
	free(tr);
	return NULL;
}

void
tracker_set_options(struct tracker *tr, const struct tracker_options *options)
{
	tr->options = *options;
}

void
tracker_set_news(struct tracker *tr, presence_news_fn *news)
{
	tr->news = news;
}

struct presence_topic *
tracker_topic(const struct tracker *tr, struct slice name)
{
	return map_get(&tr->topics, name);
}

static void
topic_on_load(struct timer *timer, uint64_t now_ms)
{
	struct presence_topic *t = container_of(timer, struct presence_topic, load);

	t->loading = false;
	topic_hurry(t);
}

static struct presence_topic *
topic_new(struct tracker *tr, struct slice name, enum presence_ways ways)
{
	struct presence_topic *t = xmalloc(sizeof(*t) + name.n);

	*t = (struct presence_topic){
		.name = { t->text, name.n }, .tracker = tr, .whole = true, .ways = ways,
		.window.fire = topic_on_window, .load.fire = topic_on_load,
	};
	memcpy(t->text, name.p, name.n);
	list_init(&t->members);
	list_init(&t->newcomers);
	list_init(&t->peeks);
	list_init(&t->remotes);
	presence_view_init(&t->view);
	replica_init(&t->own, &t->view, true);
	map_put(&tr->topics, t);
	list_append(&tr->in_turn, &t->in_tracker);
	t->loading = tr->sync != NULL && tr->sync->watch != NULL;
	t->known = !t->loading;
	if (!t->loading)
		return t;
	loop_timer(tr->loop, &t->load, tr->loop->now + tr->options.load_ms);
	tr->sync->watch(tr->arg, t->name, true);
	return t;
}

void
topic_free(struct presence_topic *t)
{
	struct tracker	*tr = t->tracker;
	struct presence *p;
	size_t		 at = 0;

	assert(t->n_members == 0 && list_empty(&t->peeks));
	if (tr->sync != NULL && tr->sync->watch != NULL)
		tr->sync->watch(tr->arg, t->name, false);
	timer_stop(&t->window);
	timer_stop(&t->load);
	while ((p = map_next(&t->own.items, &at)) != NULL)
		linger_stop(p);
	for (unsigned i = 0; i < t->n_dirty; i++)
		presence_unref(&t->view, t->dirty[i]);
	free(t->dirty);
	list_each(l, &t->remotes)
		remote_free(list_entry(l, struct remote, in_topic));
	replica_done(&t->own);
	presence_view_done(&t->view);
	map_del(&tr->topics, t->name);
	list_remove(&t->in_tracker);
	free(t);
}

static bool
presence_has_members(const struct presence *p, struct slice members)
{
	autobuf struct buf its = { 0 };

	presence_meta_members(presence_meta(p), &its);
	return slice_eq(buf_slice(&its), members);
}

static struct presence *
member_find(const struct presence_member *m, const struct presence_key *k)
{
	if (k == NULL)
		return NULL;
	list_each(l, &k->metas) {
		struct presence *p = list_entry(l, struct presence, in_key);

		if (p->owner == m)
			return p;
	}
	return NULL;
}

/* Its client is back: since when it was there is what it was, too. */
static void
member_adopt(struct presence_member *m, struct presence *p, struct slice meta, struct slice members)
{
	if (!presence_meta_is_return(presence_meta(p), meta)) {
		member_replace(m, p, members);
		return;
	}
	linger_stop(p);
	member_own(m, p);
	own_put(m->topic, p, false);
}

static struct presence_topic *
topic_get(struct tracker *tr, struct slice name, enum presence_ways ways)
{
	struct presence_topic *t = tracker_topic(tr, name);

	return t != NULL ? t : topic_new(tr, name, ways);
}

struct presence_member *
tracker_enter(struct tracker *tr, struct subscriber *sub, struct slice join_ref, enum presence_ways ways)
{
	struct presence_topic  *t = topic_get(tr, sub->topic->name, ways);
	struct presence_member *m = xmalloc(sizeof(*m));

	*m = (struct presence_member){ .topic = t, .sub = sub, .join_ref = join_ref, .ways = ways };
	list_init(&m->owned);
	list_init(&m->in_newcomers);
	list_append(&t->members, &m->in_topic);
	t->n_members++;
	if (!(t->ways & PRESENCE_SHOWN))
		return m;
	list_append(&t->newcomers, &m->in_newcomers);
	t->n_newcomers++;
	topic_touch(t);
	return m;
}

void
tracker_leave(struct presence_member *m, uint64_t grace_ms)
{
	struct presence_topic *t = m->topic;

	list_each(l, &m->owned) {
		struct presence *p = list_entry(l, struct presence, in_owned);

		if (grace_ms > 0)
			linger_start(t, p, grace_ms);
		else
			own_del(t, p);
	}
	t->n_newcomers -= !list_empty(&m->in_newcomers);
	list_remove(&m->in_newcomers);
	list_remove(&m->in_topic);
	t->n_members--;
	/* With its last member, the topic ends as the window does. */
	topic_touch(t);
	free(m);
}

/*
 * From here on somebody has seen what there is: so the others are told of it now, and what comes later is news to all. But once
 * in a window, or a storm of peeks would cost frames by its square: the rest is told at its end.
 */
static void
peek_tell(struct loop_task *task)
{
	struct presence_peek  *peek = container_of(task, struct presence_peek, tell);
	struct presence_topic *t = peek->topic;

	if (!peek->told) {
		const bool changed = !list_empty(&t->view.touched);

		if (changed && t->hurried) {
			topic_wait(t);
			return;
		}
		t->hurried = t->hurried || changed;
		peek->told = true;
		/* Asked for before, as what the others make of the news may end the peek. */
		loop_at_end(t->tracker->loop, task);
		topic_tell(t);
		return;
	}
	presence_view_seen(&t->view);
	peek->known(peek->arg);
}

struct presence_peek *
tracker_peek(struct tracker *tr, struct slice topic, enum presence_ways ways, void (*known)(void *arg), void *arg)
{
	struct presence_topic *t = topic_get(tr, topic, ways);
	struct presence_peek  *peek = xmalloc(sizeof(*peek));

	*peek = (struct presence_peek){ .topic = t, .tell.run = peek_tell, .known = known, .arg = arg };
	list_append(&t->peeks, &peek->in_topic);
	if (t->known)
		loop_at_end(tr->loop, &peek->tell);
	else if (!t->loading)
		topic_touch(t);
	return peek;
}

struct presence_peek *
tracker_unpeek(struct presence_peek *peek)
{
	if (peek == NULL)
		return NULL;
	loop_forget_task(&peek->tell);
	list_remove(&peek->in_topic);
	if (topic_is_idle(peek->topic))
		topic_touch(peek->topic);
	free(peek);
	return NULL;
}

/* The meta's inside, if it may be one. */
static int
tracker_take_meta(const struct tracker *tr, struct slice meta, struct buf *members)
{
	if (meta.n > tr->options.max_meta)
		return -E2BIG;
	return presence_meta_members(meta, members);
}

int
tracker_track(struct presence_member *m, struct slice key, struct slice meta)
{
	const struct tracker	  *tr = m->topic->tracker;
	const struct presence_key *k = presence_view_key(&m->topic->view, key);
	autobuf struct buf	   members = { 0 };
	struct presence		  *lingering;
	int			   r;

	r = presence_check_key(key);
	if (r < 0)
		return r;
	if (member_find(m, k) != NULL)
		return -EEXIST;
	r = tracker_take_meta(tr, meta, &members);
	if (r < 0)
		return r;
	lingering = k != NULL ? presence_lingering(k) : NULL;
	if (lingering != NULL)
		member_adopt(m, lingering, meta, buf_slice(&members));
	else if (k != NULL && k->n >= tr->options.max_metas)
		return -ENOSPC;
	else
		member_add(m, key, buf_slice(&members), SLICE(""));
	return 0;
}

int
tracker_update(struct presence_member *m, struct slice key, struct slice meta)
{
	struct presence	  *p = member_find(m, presence_view_key(&m->topic->view, key));
	autobuf struct buf members = { 0 };
	int		   r;

	if (p == NULL)
		return -ENOENT;
	r = tracker_take_meta(m->topic->tracker, meta, &members);
	if (r < 0)
		return r;
	if (!presence_has_members(p, buf_slice(&members)))
		member_replace(m, p, buf_slice(&members));
	return 0;
}

int
tracker_untrack(struct presence_member *m, struct slice key)
{
	struct presence *p = member_find(m, presence_view_key(&m->topic->view, key));

	if (p != NULL)
		own_del(m->topic, p);
	return 0;
}

struct slice
tracker_meta(const struct presence_member *m, struct slice key)
{
	const struct presence *p = member_find(m, presence_view_key(&m->topic->view, key));

	return p != NULL ? presence_meta(p) : (struct slice){ NULL, 0 };
}

int
tracker_meta_given(const struct presence_member *m, struct slice key, struct buf *out)
{
	const struct presence *p = member_find(m, presence_view_key(&m->topic->view, key));

	if (p == NULL)
		return -ENOENT;
	buf_add_char(out, '{');
	presence_meta_members(presence_meta(p), out);
	buf_add_char(out, '}');
	return 0;
}

unsigned
tracker_count(const struct tracker *tr, struct slice topic)
{
	const struct presence_topic *t = tracker_topic(tr, topic);

	return t != NULL ? t->view.n_shown : 0;
}

unsigned
tracker_count_here(const struct tracker *tr, struct slice topic)
{
	const struct presence_topic *t = tracker_topic(tr, topic);

	return t != NULL ? t->view.n_here : 0;
}

bool
tracker_list(const struct tracker *tr, struct slice topic, struct buf *out)
{
	const struct presence_topic *t = tracker_topic(tr, topic);

	if (t == NULL)
		return false;
	presence_view_state(&t->view, out);
	return true;
}

static bool
key_each(const struct presence_key *k, presence_each_fn *fn, void *arg)
{
	list_each(l, &k->metas) {
		const struct presence *p = list_entry(l, const struct presence, in_key);

		if (p->shown && !fn(arg, k->name, presence_meta(p)))
			return false;
	}
	return true;
}

void
tracker_each(const struct tracker *tr, struct slice topic, presence_each_fn *fn, void *arg)
{
	const struct presence_topic *t = tracker_topic(tr, topic);

	if (t == NULL)
		return;
	list_each(l, &t->view.in_order)
		if (!key_each(list_entry(l, const struct presence_key, in_keys), fn, arg))
			return;
}
