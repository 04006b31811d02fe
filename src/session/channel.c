/*
 * Channels: their life, and what classes may do with them.
 */
#include "session/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "wire/message.h"

#define PENDING_BYTES	(1024 * 1024)	/* of messages that one client has waiting for joins */

static const struct slice null_token = { "null", 4 };

struct channel *
channel_find(struct session *s, struct slice topic)
{
	for (struct channel **at = &s->channels; *at != NULL; at = &(*at)->next) {
		struct channel *ch = *at;

		if (!slice_eq(channel_topic(ch), topic))
			continue;
		/* To the front: who speaks now speaks next, too. */
		*at = ch->next;
		ch->next = s->channels;
		s->channels = ch;
		return ch;
	}
	return NULL;
}

struct identity *
channel_identity(const struct channel *ch)
{
	return ch->who != NULL ? ch->who : ch->session->who;
}

static void
channel_free_extra(struct channel *ch)
{
	struct channel_extra *x = ch->extra;

	if (x == NULL)
		return;
	assert(x->join == NULL && x->peek == NULL);
	list_each(link, &x->pending)
		free(list_entry(link, struct pending_message, in_channel));
	list_each(link, &x->timers) {
		struct channel_timer *t = list_entry(link, struct channel_timer, in_channel);

		timer_stop(&t->timer);
		free(t);
	}
	list_each(link, &x->refs) {
		struct channel_ref *ref = list_entry(link, struct channel_ref, in_channel);

		list_remove(&ref->in_channel);
		ref->channel = NULL;
	}
	timer_stop(&x->join_timer);
	free(x->topic);
	free(x->ref);
	free(x->join_ref);
	free(x->fail_reason);
	buf_done(&x->refusal);
	free(x);
	ch->extra = NULL;
}

void
channel_trim(struct channel *ch)
{
	struct channel_extra *x = ch->extra;

	if (ch->phase != CHANNEL_JOINED || x == NULL || x->fail_reason != NULL)
		return;
	if (list_empty(&x->pending) && list_empty(&x->timers) && list_empty(&x->leases) && list_empty(&x->refs))
		channel_free_extra(ch);
}

static void
channel_bury(struct grave *g)
{
	struct channel *ch = container_of(g, struct channel, grave);

	channel_free_extra(ch);
	identity_unref(ch->who);
	routes_unref(ch->route->table);
	free(ch);
}

struct channel *
channel_new(struct session *s, const struct channel_route *route, const struct inbound *join, struct identity *who)
{
	bool		bare = slice_eq(join->join_ref, null_token);
	struct slice	token = bare ? join->ref : join->join_ref;
	size_t		state = (route->class->state_size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	struct channel *ch = xcalloc(1, sizeof(*ch) + state + token.n);
	char	       *text = (char *)ch->state + state;

	memcpy(text, token.p, token.n);
	*ch = (struct channel){
		.session = s, .route = route, .who = who, .phase = CHANNEL_JOINING, .bare = bare,
		.join_ref = slice(text, token.n), .next = s->channels, .grave.bury = channel_bury,
		.sub = { .out = s->out, .codec = s->codec, .intercepts = route->class->intercepts },
	};
	routes_ref(route->table);
	s->channels = ch;
	s->n_channels++;
	return ch;
}

struct channel_extra *
channel_extra(struct channel *ch)
{
	struct channel_extra *x = ch->extra;

	if (x != NULL)
		return x;
	x = xcalloc(1, sizeof(*x));
	x->channel = ch;
	list_init(&x->pending);
	list_init(&x->timers);
	list_init(&x->leases);
	list_init(&x->refs);
	ch->extra = x;
	return x;
}

static void
channel_unlink(struct channel *ch)
{
	struct session	*s = ch->session;
	struct channel **at = &s->channels;

	while (*at != ch)
		at = &(*at)->next;
	*at = ch->next;
	s->n_channels--;
}

void
channel_drop(struct channel *ch)
{
	ch->phase = CHANNEL_OVER;
	join_forget(ch);
	channel_await_end(ch);
	channel_history_end(ch);
	channel_list_end(ch);
	channel_unlink(ch);
	loop_bury(ch->session->env->loop, &ch->grave);
}

/* phx_close or phx_error: ref and join_ref are both the channel's. */
static void
channel_say_end(struct channel *ch, const char *event, struct slice payload)
{
	/* A V1 client that joined without a join_ref is told null (protocol/phoenix.md 2.2). */
	bool	       nameless = ch->bare && ch->session->codec == &codec_phoenix_v1;
	struct message m = {
		.kind = MESSAGE_PUSH, .join_ref = ch->join_ref, .ref = nameless ? slice(NULL, 0) : ch->join_ref,
		.topic_token = ch->sub.topic->token, .event = slice_str(event), .payload = payload,
	};

	hub_send(&ch->session->env->pubsub.hub, ch->sub.out, ch->sub.codec, &m);
	message_done(&m);
}

static void
channel_say_error(struct channel *ch)
{
	autobuf struct buf payload = { 0 };
	const char	  *reason = ch->extra != NULL ? ch->extra->fail_reason : NULL;

	buf_add_str(&payload, "{\"reason\":");
	json_quote(&payload, slice_str(reason != NULL ? reason : "channel_crash"));
	buf_add_char(&payload, '}');
	channel_say_end(ch, "phx_error", buf_slice(&payload));
}

/* From here on nothing can be said to the client. */
static void
channel_tell_class(struct channel *ch, const char *why)
{
	ch->phase = CHANNEL_OVER;
	if (ch->route->class->leave != NULL && !ch->unasked)
		ch->route->class->leave(ch, why);
}

static void
channel_tell_watcher(const struct channel *ch, bool joined, const char *why)
{
	const struct session_env *env = ch->session->env;

	if (env->watcher != NULL)
		env->watcher->channel(env->watcher_arg, ch->session, channel_topic(ch), channel_user(ch), joined, why);
}

static void
channel_unsubscribe(struct channel *ch)
{
	struct pubsub	   *ps = &ch->session->env->pubsub;
	const struct topic *topic = ch->sub.topic;

	hub_unsubscribe(&ps->hub, &ch->sub);
	/* The topic may have ended, but is in memory until the turn's end. */
	if (ch->counted)
		audience_changed(&ps->audience, topic->name);
}

void
channel_end(struct channel *ch, const char *why)
{
	bool joined = ch->phase == CHANNEL_JOINED, lost = strcmp(why, "closed") == 0;
	/* Who has been told "left" need not be told that it is closed. */
	bool said = lost || (ch->session->codec->joins_once && strcmp(why, "leave") == 0);

	if (ch->phase == CHANNEL_OVER)
		return;
	channel_log(ch, LOG_DEBUG_, "left %.*s: %s", SLICE_ARG(channel_topic(ch)), why);
	if (joined && ch->failing)
		channel_say_error(ch);
	else if (joined && !said)
		channel_say_end(ch, "phx_close", SLICE("{}"));
	/* What its leaving causes is for the others, whatever they answer to it. */
	hub_deafen(&ch->sub);
	channel_tell_class(ch, why);
	if (joined)
		channel_tell_watcher(ch, false, why);
	channel_presence_end(ch, lost);
	channel_unsubscribe(ch);
	stats->channels -= joined;
	channel_drop(ch);
}

void
channel_set_failing(struct channel *ch, const char *reason)
{
	struct channel_extra *x = channel_extra(ch);

	free(x->fail_reason);
	x->fail_reason = xstrdup(reason);
	ch->failing = true;
}

void
channel_refuse_join(struct channel *ch, struct channel_payload response, const char *why)
{
	struct channel_extra *x = ch->extra;
	struct session	     *s = ch->session;
	autobuf struct buf    token = { 0 };
	struct list	      pending;

	if (ch->phase != CHANNEL_JOINING || x == NULL || x->ref == NULL)
		return;
	stats->join_errors_total++;
	json_quote(&token, slice_str(x->topic));
	session_reply(s, slice_str(x->join_ref), slice_str(x->ref), buf_slice(&token), false, response);
	list_init(&pending);
	list_append_all(&pending, &x->pending);
	channel_end(ch, why);
	dispatch_pending(s, &pending);
}

/* What the class said while it was at work, or that it failed. */
static void
channel_refuse_late(struct channel *ch)
{
	const struct buf *said = &ch->extra->refusal;

	if (said->n > 0)
		channel_refuse_join(ch, channel_json(buf_slice(said)), "refused");
	else
		channel_refuse_join(ch, channel_json(SLICE("{\"reason\":\"join crashed\"}")), "crashed");
}

void
channel_settle(struct channel *ch, int result)
{
	struct session *s = ch->session;
	struct list	pending;

	if (ch->phase == CHANNEL_JOINING) {
		if (ch->depth == 0 && (result < 0 || ch->stopping) && ch->extra != NULL)
			channel_refuse_late(ch);
		return;
	}
	if (result < 0 && ch->phase == CHANNEL_JOINED && !ch->failing) {
		channel_log(ch, LOG_WARN_, "class %s failed on %.*s: %s", ch->route->class->name,
		    SLICE_ARG(channel_topic(ch)), strerror(-result));
		ch->failing = ch->stopping = true;
	}
	if (ch->depth > 0)
		return;
	/* Only now, as callbacks of a channel do not run within each other. */
	list_init(&pending);
	if (ch->extra != NULL)
		list_append_all(&pending, &ch->extra->pending);
	if (ch->stopping)
		channel_end(ch, ch->failing ? "crashed" : "stopped");
	dispatch_pending(s, &pending);
}

void
channel_enter(struct channel *ch, struct slice join_ref, struct slice ref, struct channel_payload response)
{
	struct session	    *s = ch->session;
	struct channel_extra *x = ch->extra;
	struct slice	     topic = channel_topic(ch);
	autobuf struct buf   token = { 0 };
	int		     r = 0;

	json_quote(&token, topic);
	session_reply(s, join_ref, ref, buf_slice(&token), true, response);
	hub_subscribe(&s->env->pubsub.hub, &ch->sub, topic);
	ch->phase = CHANNEL_JOINED;
	stats->channels++;
	stats->joins_total++;
	channel_log(ch, LOG_DEBUG_, "joined %.*s (user \"%.*s\")", SLICE_ARG(topic), SLICE_ARG(channel_user(ch)));
	channel_tell_watcher(ch, true, NULL);
	if (x != NULL)
		timer_stop(&x->join_timer);
	if (ch->who != NULL || s->expiring)
		s->transport->wake(s);
	ch->depth++;
	/* Before anything that the class may post now. */
	channel_history_entered(ch);
	if (ch->route->class->joined != NULL && ch->phase == CHANNEL_JOINED)
		r = ch->route->class->joined(ch);
	ch->depth--;
	channel_await_end(ch);
	channel_settle(ch, r);
}

struct pending_message *
pending_new(struct session *s, bool binary, struct slice data)
{
	struct pending_message *m;

	if (s->pending_bytes + data.n > PENDING_BYTES)
		return NULL;
	m = xmalloc(sizeof(*m) + data.n);
	*m = (struct pending_message){ .binary = binary, .n = data.n };
	memcpy(m->data, data.p, data.n);
	s->pending_bytes += data.n;
	return m;
}

struct pending_message *
pending_free(struct session *s, struct pending_message *m)
{
	if (m == NULL)
		return NULL;
	s->pending_bytes -= m->n;
	free(m);
	return NULL;
}

int
channel_hold(struct channel *ch, bool binary, struct slice data)
{
	struct channel_extra   *x = channel_extra(ch);
	struct pending_message *m = NULL;

	if (x->n_pending < ch->session->env->limits.join_queue)
		m = pending_new(ch->session, binary, data);
	if (m == NULL)
		return -ENOBUFS;
	list_append(&x->pending, &m->in_channel);
	x->n_pending++;
	return 0;
}

void
channel_intercept(struct subscriber *who, struct slice event, const struct message *m)
{
	struct channel	      *ch = container_of(who, struct channel, sub);
	struct channel_message cm = { .event = event, .payload = { m->payload, m->binary } };
	struct session	      *s = ch->session;
	struct dispatch	      *outer = s->current;
	int		       r;

	/* A broadcast is nobody's question: there is nothing to answer, even while a push is being handled. */
	s->current = NULL;
	ch->depth++;
	r = ch->route->class->handle_out(ch, &cm);
	ch->depth--;
	s->current = outer;
	channel_settle(ch, r);
}

static void
channel_warn(struct channel *ch, const struct identity *who)
{
	char text[64];
	int  n = snprintf(text, sizeof(text), "{\"expires_at\":%lld}", (long long)who->expires);

	channel_push(ch, SLICE("token_expiring"), channel_json(slice(text, (size_t)n)));
	ch->warned = true;
}

uint64_t
channel_tick(struct channel *ch, uint64_t now)
{
	const struct identity *who = channel_identity(ch);
	uint64_t	       left = session_token_left(ch->session, who), early = session_token_early(ch->session);

	if (ch->phase != CHANNEL_JOINED || left == UINT64_MAX)
		return UINT64_MAX;
	if (left == 0) {
		channel_set_failing(ch, "token_expired");
		channel_end(ch, "expired");
		return UINT64_MAX;
	}
	if (left > early)
		return now + left - early;
	if (!ch->warned)
		channel_warn(ch, who);
	return now + left;
}
