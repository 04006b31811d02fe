/*
 * The presence part of <roost/channel.h>: a channel's place in its topic's presences.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "presence/tracker.h"
#include "session/channel.h"

static struct tracker *
tracker_of(const struct channel *ch)
{
	return ch->session->env->tracker;
}

static enum presence_ways
class_ways(const struct channel_class *class)
{
	if (class->handle_presence == NULL)
		return PRESENCE_SHOWN;
	return class->shows_presence ? PRESENCE_BOTH : PRESENCE_NEWS;
}

static struct presence_member *
channel_member(struct channel *ch)
{
	if (ch->member == NULL)
		ch->member = tracker_enter(tracker_of(ch), &ch->sub, ch->join_ref, class_ways(ch->route->class));
	return ch->member;
}

static struct channel *
channel_of(struct subscriber *sub)
{
	return sub != NULL ? container_of(sub, struct channel, sub) : NULL;
}

/* What changed in one key: for the class to tell. */
static void
channel_on_news(struct subscriber *speaker, const struct presence_news *news)
{
	autofree struct channel	    **owners = xmalloc((news->n_new + 1) * sizeof(*owners));
	struct channel		     *ch = container_of(speaker, struct channel, sub);
	const struct channel_presence p = {
		.key = news->key, .metas = news->metas, .n = news->n, .n_new = news->n_new,
		.gone = news->gone, .n_gone = news->n_gone,
		.by = channel_of(news->by), .owners = owners,
	};
	int r;

	for (unsigned i = 0; i < news->n_new; i++)
		owners[i] = channel_of(news->owners[i]);
	ch->depth++;
	r = ch->route->class->handle_presence(ch, &p);
	ch->depth--;
	channel_settle(ch, r);
}

void
session_env_set_tracker(struct session_env *env, struct tracker *tracker)
{
	env->tracker = tracker;
	tracker_set_news(tracker, channel_on_news);
}

static void
lease_free(struct channel_lease *l)
{
	timer_stop(&l->timer);
	list_remove(&l->in_channel);
	free(l);
}

/* What stood before it stands again. */
static void
lease_fire(struct timer *timer, uint64_t now)
{
	struct channel_lease *l = container_of(timer, struct channel_lease, timer);
	struct channel	     *ch = l->channel;

	tracker_update(ch->member, l->key, l->meta);
	lease_free(l);
	channel_trim(ch);
}

static struct channel_lease *
lease_find(const struct channel *ch, struct slice key)
{
	if (ch->extra == NULL)
		return NULL;
	list_each(link, &ch->extra->leases) {
		struct channel_lease *l = list_entry(link, struct channel_lease, in_channel);

		if (slice_eq(l->key, key))
			return l;
	}
	return NULL;
}

static struct channel_lease *
lease_new(struct channel *ch, struct slice key, struct slice meta)
{
	struct channel_lease *l = xmalloc(sizeof(*l) + key.n + meta.n);

	*l = (struct channel_lease){
		.channel = ch, .timer.fire = lease_fire, .key = { l->text, key.n }, .meta = { l->text + key.n, meta.n },
	};
	memcpy(l->text, key.p, key.n);
	memcpy(l->text + key.n, meta.p, meta.n);
	list_append(&channel_extra(ch)->leases, &l->in_channel);
	return l;
}

/* What the class has said since stands for good. */
static void
lease_end(struct channel *ch, struct slice key)
{
	struct channel_lease *l = lease_find(ch, key);

	if (l != NULL)
		lease_free(l);
}

/* They end with their channel; and do not outlive it in what lingers. */
static void
leases_end(struct channel *ch, bool lingers)
{
	if (ch->extra == NULL)
		return;
	list_each(link, &ch->extra->leases) {
		struct channel_lease *l = list_entry(link, struct channel_lease, in_channel);

		if (lingers)
			tracker_update(ch->member, l->key, l->meta);
		lease_free(l);
	}
}

void
channel_presence_end(struct channel *ch, bool lost)
{
	struct presence_member *member = ch->member;

	leases_end(ch, lost && ch->leave_grace > 0);
	ch->member = NULL;
	if (member != NULL)
		tracker_leave(member, lost ? ch->leave_grace : 0);
}

/* Joining. */

static void
channel_presence_known(void *arg)
{
	struct channel *ch = arg;

	ch->depth++;
	ch->extra->known(ch);
	ch->depth--;
	/* A join that is not decided now would not be told what changes. */
	channel_settle(ch, ch->phase == CHANNEL_JOINING ? -EPROTO : 0);
}

int
channel_await_presence(struct channel *ch, void (*fn)(struct channel *))
{
	struct channel_extra *x;

	if (ch->phase != CHANNEL_JOINING || (ch->extra != NULL && ch->extra->peek != NULL))
		return -EINVAL;
	x = channel_extra(ch);
	x->known = fn;
	x->peek = tracker_peek(tracker_of(ch), channel_topic(ch), class_ways(ch->route->class), channel_presence_known, ch);
	return CHANNEL_LATER;
}

void
channel_await_end(struct channel *ch)
{
	if (ch->extra != NULL)
		ch->extra->peek = tracker_unpeek(ch->extra->peek);
}

void
channel_watch(struct channel *ch)
{
	if (ch->phase == CHANNEL_JOINED)
		channel_member(ch);
}

bool
channel_is_key(struct slice key)
{
	return tracker_takes_key(key);
}

int
channel_track(struct channel *ch, struct slice key, struct slice meta)
{
	return ch->phase == CHANNEL_JOINED ? tracker_track(channel_member(ch), key, meta) : -EINVAL;
}

static int
channel_replace_meta(struct channel *ch, struct slice key, struct slice meta)
{
	if (ch->phase != CHANNEL_JOINED)
		return -EINVAL;
	return ch->member != NULL ? tracker_update(ch->member, key, meta) : -ENOENT;
}

int
channel_update(struct channel *ch, struct slice key, struct slice meta)
{
	int r;

	r = channel_replace_meta(ch, key, meta);
	if (r == 0)
		lease_end(ch, key);
	return r;
}

int
channel_update_for(struct channel *ch, struct slice key, struct slice meta, uint64_t ms)
{
	struct loop	     *loop = ch->session->env->loop;
	struct channel_lease *l = lease_find(ch, key);
	autobuf struct buf    before = { 0 };
	int		      r;

	if (l == NULL && ch->member != NULL)
		tracker_meta_given(ch->member, key, &before);
	r = channel_replace_meta(ch, key, meta);
	if (r < 0)
		return r;
	if (l == NULL)
		l = lease_new(ch, key, buf_slice(&before));
	loop_timer(loop, &l->timer, loop->now + ms);
	return 0;
}

int
channel_untrack(struct channel *ch, struct slice key)
{
	if (ch->phase != CHANNEL_JOINED)
		return -EINVAL;
	lease_end(ch, key);
	return ch->member != NULL ? tracker_untrack(ch->member, key) : 0;
}

struct slice
channel_meta(const struct channel *ch, struct slice key)
{
	return ch->member != NULL ? tracker_meta(ch->member, key) : slice(NULL, 0);
}

void
channel_set_leave_grace(struct channel *ch, uint64_t ms)
{
	ch->leave_grace = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

unsigned
channel_presence_count(const struct channel *ch)
{
	return tracker_count(tracker_of(ch), channel_topic(ch));
}

unsigned
channel_count_present(const struct channel *ch)
{
	return tracker_count_here(tracker_of(ch), channel_topic(ch));
}

void
channel_presences(const struct channel *ch, bool (*fn)(void *arg, struct slice key, struct slice meta), void *arg)
{
	tracker_each(tracker_of(ch), channel_topic(ch), fn, arg);
}
