/*
 * Sessions: the way in for messages, the way out for replies, and the end.
 */
#include "session/session.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "net/ws.h"
#include "session/channel.h"

#define PAUSE_MIN_MS	100	/* who goes over the rate is not heard for so long: reading each message to refuse it is work, too */

void
session_env_init(struct session_env *env, struct loop *loop, struct broker *broker)
{
	*env = (struct session_env){ .loop = loop };
	pubsub_init(&env->pubsub, loop, broker);
	env->pubsub.hub.on_intercept = channel_intercept;
	rates_init(&env->rates, loop);
}

void
session_env_done(struct session_env *env)
{
	rates_done(&env->rates);
	pubsub_done(&env->pubsub);
	env->routes = routes_unref(env->routes);
}

void
session_init(struct session *s, struct session_env *env, const struct transport *transport, const struct codec *codec,
    struct outq *out, const struct addr *peer, struct identity *who)
{
	*s = (struct session){
		.env = env, .transport = transport, .codec = codec, .out = out, .peer = peer, .who = who,
		.tokens_changed = true,
	};
}

void
session_done(struct session *s)
{
	s->closed = true;
	while (s->channels != NULL)
		channel_end(s->channels, "closed");
	s->who = identity_unref(s->who);
}

struct slice
session_user(const struct session *s)
{
	return s->who->user;
}

void
session_close(struct session *s, unsigned code, const char *fmt, ...)
{
	char	peer[ADDR_LEN], why[256];
	va_list ap;

	if (s->closed)
		return;
	s->closed = true;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_peer(LOG_INFO_, addr_text(s->peer, peer), "closed with %u: %s (user \"%.*s\", %u channels)", code, why,
	    SLICE_ARG(session_user(s)), s->n_channels);
	s->transport->close(s, code, why);
}

void
session_reply(struct session *s, struct slice join_ref, struct slice ref, struct slice topic_token, bool ok,
    struct channel_payload response)
{
	struct message m = {
		.kind = MESSAGE_REPLY, .join_ref = join_ref, .ref = ref, .topic_token = topic_token,
		.status = ok ? SLICE("ok") : SLICE("error"), .payload = response.bytes, .binary = response.binary,
	};

	hub_send(&s->env->pubsub.hub, s->out, s->codec, &m);
	message_done(&m);
}

void
session_reply_reason(struct session *s, struct slice join_ref, const struct inbound *in, const char *reason)
{
	char	     text[128];
	int	     n = snprintf(text, sizeof(text), "{\"reason\":\"%s\"}", reason);

	session_reply(s, join_ref, in->ref, in->topic_token, false, channel_json(slice(text, (size_t)n)));
}

/* True if the message is within the connection's rate; else it is refused, and the client is not heard for a while. */
static bool
session_within_rate(struct session *s, const struct inbound *in)
{
	const struct session_limits *l = &s->env->limits;
	uint64_t		     wait = bucket_take(&s->bucket, s->env->loop->now, l->message_rate, l->message_burst);
	char			     text[80];
	int			     n;

	if (wait == 0)
		return true;
	stats->rate_limited_total++;
	n = snprintf(text, sizeof(text), "{\"reason\":\"rate_limited\",\"retry_after_ms\":%llu}", (unsigned long long)wait);
	session_reply(s, in->join_ref, in->ref, in->topic_token, false, channel_json(slice(text, (size_t)n)));
	s->transport->pause(s, wait > PAUSE_MIN_MS ? wait : PAUSE_MIN_MS);
	return false;
}

void
session_receive(struct session *s, bool binary, struct slice data)
{
	struct inbound in;

	if (s->closed)
		return;
	stats->messages_in_total++;
	if (s->codec->decode(&in, binary, data) < 0) {
		stats->protocol_errors_total++;
		session_close(s, WS_INTERNAL, "undecodable message of %zu bytes", data.n);
		return;
	}
	if (session_within_rate(s, &in))
		dispatch_message(s, &in, binary, data);
}

/* When that token is warned of, and when it is over: ms from now, never negative. */
static uint64_t
token_left(const struct session *s, const struct identity *who, uint64_t early)
{
	int64_t left = who->expires * 1000 + (int64_t)s->env->limits.leeway_ms - wall_ms() - (int64_t)early;

	return left > 0 ? (uint64_t)left : 0;
}

static bool
token_expires(const struct identity *who)
{
	return who->expires < INT64_MAX / 2000;
}

static void
channel_warn(struct channel *ch, const struct identity *who)
{
	char text[64];
	int  n = snprintf(text, sizeof(text), "{\"expires_at\":%lld}", (long long)who->expires);

	channel_push(ch, SLICE("token_expiring"), channel_json(slice(text, (size_t)n)));
}

/*
 * One token at its time: the warning, then the end of every channel that stood on it. Returns when it wants to be looked at again.
 */
static uint64_t
session_tick_token(struct session *s, const struct identity *who, struct channel *own, uint64_t now)
{
	uint64_t early = s->env->limits.expiry_warning_ms + s->env->limits.leeway_ms;
	bool	 warned = own != NULL ? own->warned : s->warned;
	uint64_t left;

	if (!token_expires(who))
		return UINT64_MAX;
	left = token_left(s, who, warned ? 0 : early);
	if (left > 0)
		return now + left;
	/* The list is walked by `next` alone: a channel that ends is unlinked, but stays in memory for this turn. */
	for (struct channel *ch = s->channels, *next; ch != NULL; ch = next) {
		next = ch->next;
		if (own != NULL ? ch != own : ch->who != NULL)
			continue;
		if (!warned)
			channel_warn(ch, who);
		else
			channel_fail(ch, "token_expired");
	}
	if (warned && own == NULL)
		s->expired = true;
	if (warned)
		return UINT64_MAX;
	if (own != NULL)
		own->warned = true;
	else
		s->warned = true;
	return now + token_left(s, who, 0);
}

uint64_t
session_tick(struct session *s, uint64_t now)
{
	uint64_t due = UINT64_MAX;

	s->tokens_changed = false;
	if (!s->expired)
		due = session_tick_token(s, s->who, NULL, now);
	for (struct channel *ch = s->channels, *next; ch != NULL; ch = next) {
		uint64_t its;

		next = ch->next;
		if (ch->who == NULL || ch->phase == CHANNEL_OVER)
			continue;
		its = session_tick_token(s, ch->who, ch, now);
		if (its < due)
			due = its;
	}
	return due;
}
