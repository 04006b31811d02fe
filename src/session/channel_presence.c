/*
 * The presence part of <roost/channel.h>: a channel's place in its topic's presences.
 */
#include <errno.h>

#include "presence/tracker.h"
#include "session/channel.h"

static struct tracker *
tracker_of(const struct channel *ch)
{
	return ch->session->env->tracker;
}

static struct presence_member *
channel_member(struct channel *ch)
{
	if (ch->member == NULL)
		ch->member = tracker_enter(tracker_of(ch), &ch->sub, ch->join_ref, ch->route->class->handle_presence != NULL);
	return ch->member;
}

/* What changed in a topic of which clients are told nothing: for the class to tell. */
static void
channel_on_news(struct subscriber *speaker, const struct presence_news *news)
{
	struct channel		     *ch = container_of(speaker, struct channel, sub);
	const struct channel_presence p = {
		.key = news->key, .metas = news->metas, .n = news->n, .n_new = news->n_new,
		.gone = news->gone, .n_gone = news->n_gone,
		.by = news->by != NULL ? container_of(news->by, struct channel, sub) : NULL,
	};
	int r;

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

void
channel_presence_end(struct channel *ch, bool lost)
{
	struct presence_member *member = ch->member;

	ch->member = NULL;
	if (member != NULL)
		tracker_leave(member, lost ? ch->leave_grace : 0);
}

void
channel_watch(struct channel *ch)
{
	if (ch->phase == CHANNEL_JOINED)
		channel_member(ch);
}

int
channel_track(struct channel *ch, struct slice key, struct slice meta)
{
	return ch->phase == CHANNEL_JOINED ? tracker_track(channel_member(ch), key, meta) : -EINVAL;
}

int
channel_update(struct channel *ch, struct slice key, struct slice meta)
{
	if (ch->phase != CHANNEL_JOINED)
		return -EINVAL;
	return ch->member != NULL ? tracker_update(ch->member, key, meta) : -ENOENT;
}

int
channel_untrack(struct channel *ch, struct slice key)
{
	if (ch->phase != CHANNEL_JOINED)
		return -EINVAL;
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

void
channel_presences(const struct channel *ch, bool (*fn)(void *arg, struct slice key, struct slice meta), void *arg)
{
	tracker_each(tracker_of(ch), channel_topic(ch), fn, arg);
}
