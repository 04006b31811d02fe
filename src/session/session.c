/*
 * Sessions: the way in for messages, the way out for replies, and the end.
 */
#include "session/session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/stats.h"
#include "history/history.h"
#include "net/ws.h"
#include "session/channel.h"
#include "wire/message.h"

#define PAUSE_MIN_MS	100	/* who goes over the rate is not heard for so long: reading each message to refuse it is work, too */

void
session_env_init(struct session_env *env, struct loop *loop, struct broker *broker)
{
	*env = (struct session_env){ .loop = loop };
	id_random(&env->run, sizeof(env->run));
	list_init(&env->asked);
	list_init(&env->changes);
	pubsub_init(&env->pubsub, loop, broker);
	env->pubsub.hub.on_intercept = channel_intercept;
	rates_init(&env->rates, loop);
}

void
session_env_done(struct session_env *env)
{
	channel_history_drop(&env->asked);
	channel_changes_drop(&env->changes);
	rates_done(&env->rates);
	pubsub_done(&env->pubsub);
	env->routes = routes_unref(env->routes);
}

/* "RUN-N": another process has another RUN. */
static void
session_name(struct session *s)
{
	const unsigned long long n = s->env->n_begun++;

	_Static_assert(SESSION_ID_LEN >= 8 + 1 + 16, "an id has room for its halves");
	snprintf(s->id, sizeof(s->id), "%08" PRIx32 "-%llx", s->env->run, n);
}

/* A connection without a codec is nobody's. */
static void
session_tell_watcher(const struct session *s, bool connected, const char *why)
{
	const struct session_watcher *w = s->env->watcher;

	if (w != NULL && s->codec != NULL)
		w->client(s->env->watcher_arg, s, connected, why);
}

void
session_init(struct session *s, struct session_env *env, const struct transport *transport, const struct codec *codec,
    struct outq *out, const struct addr *peer, struct identity *who)
{
	*s = (struct session){
		.env = env, .transport = transport, .codec = codec, .out = out, .peer = peer, .who = who,
	};
	session_name(s);
	session_tell_watcher(s, true, NULL);
}

/* {"id","name"}, the name if the token has one; null for nobody. */
static void
add_user(struct buf *out, const struct identity *who)
{
	if (who->user.n == 0) {
		buf_add_str(out, "null");
		return;
	}
	buf_add_str(out, "{\"id\":");
	json_quote(out, who->user);
	if (json_member(who->claims, "username").p != NULL || json_member(who->claims, "name").p != NULL) {
		buf_add_str(out, ",\"name\":");
		json_quote(out, who->name);
	}
	buf_add_char(out, '}');
}

void
session_greet(struct session *s)
{
	struct message	   m = { .kind = MESSAGE_PUSH, .event = SLICE("connected"), .typed = true };
	autobuf struct buf b = { 0 };
	char		   time[CLOCK_ISO_LEN];

	if (s->codec == NULL || !s->codec->greets)
		return;
	buf_addf(&b, "{\"clientId\":\"%s\",\"user\":", s->id);
	add_user(&b, s->who);
	buf_addf(&b, ",\"timestamp\":\"%s\"}", clock_iso(wall_ms(), time));
	m.payload = buf_slice(&b);
	hub_send(&s->env->pubsub.hub, s->out, s->codec, &m);
	message_done(&m);
}

void
session_done(struct session *s)
{
	s->closed = true;
	while (s->channels != NULL)
		channel_end(s->channels, "closed");
	turns_end(s->turns);
	s->turns = NULL;
	if (s->who != NULL)
		session_tell_watcher(s, false, s->closing != NULL ? s->closing : "closed");
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
	s->closing = why;
	s->transport->close(s, code, why);
	s->closing = NULL;
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

/*
 * True if the message is within the connection's rate; else it is refused, and the client is not heard for a
 * while.
 */
static bool
session_within_rate(struct session *s, const struct inbound *in)
{
	const struct session_limits *l = &s->env->limits;
	uint64_t		     wait = bucket_take(&s->bucket, s->env->loop->now, l->message_rate, l->message_burst);
	char			     text[80];
	int			     n;

	if (wait == 0)
		return true;
	s->transport->pause(s, wait > PAUSE_MIN_MS ? wait : PAUSE_MIN_MS);
	/* A heartbeat is answered ok, or the client would give the connection up. */
	if (dispatch_is_heartbeat(in))
		return true;
	stats->rate_limited_total++;
	n = snprintf(text, sizeof(text), "{\"reason\":\"rate_limited\",\"retry_after_ms\":%llu}", (unsigned long long)wait);
	session_reply(s, in->join_ref, in->ref, in->topic_token, false, channel_json(slice(text, (size_t)n)));
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

uint64_t
session_token_left(const struct session *s, const struct identity *who)
{
	int64_t left;

	/* Far enough away to count in ms is as good as never. */
	if (who->expires >= INT64_MAX / 2000)
		return UINT64_MAX;
	left = who->expires * 1000 + (int64_t)s->env->limits.leeway_ms - wall_ms();
	return left > 0 ? (uint64_t)left : 0;
}

uint64_t
session_token_early(const struct session *s)
{
	const struct session_limits *l = &s->env->limits;

	return l->expiry_warning_ms > 0 ? l->expiry_warning_ms + l->leeway_ms : 0;
}

/* The connection's own token, whatever stands on it. */
static uint64_t
session_tick_token(struct session *s, uint64_t now)
{
	uint64_t left = session_token_left(s, s->who), early = session_token_early(s);

	s->expiring = left <= early;
	s->expired = left == 0;
	if (left == UINT64_MAX || left == 0)
		return UINT64_MAX;
	return now + (left > early ? left - early : left);
}

uint64_t
session_tick(struct session *s, uint64_t now)
{
	uint64_t due = session_tick_token(s, now);

	/* A channel that ends is unlinked, but stays in memory for this turn. */
	for (struct channel *ch = s->channels, *next; ch != NULL; ch = next) {
		uint64_t its;

		next = ch->next;
		its = channel_tick(ch, now);
		if (its < due)
			due = its;
	}
	return due;
}
