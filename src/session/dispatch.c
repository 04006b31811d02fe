/*
 * A message finds its channel: protocol/phoenix.md section 3.1, in its order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "session/channel.h"
#include "wire/message.h"

static const struct slice null_token = { "null", 4 };

static bool
is_null(struct slice token)
{
	return slice_eq(token, null_token);
}

/* What a faulty message is told; NULL if it has no fault that matters to an unjoined topic. */
static const char *
fault_reason(const struct session *s, const struct inbound *in)
{
	switch (in->fault) {
	case FAULT_TOPIC:
		return "unmatched topic";
	case FAULT_TOPIC_TEXT:
		return "invalid topic";
	case FAULT_REF:
		return "invalid ref";
	case FAULT_MESSAGE:
		return in->why;
	default:
		return in->topic.n > s->env->limits.max_topic ? "invalid topic" : NULL;
	}
}

void
dispatch_invalid_payload(struct session *s, struct slice join_ref, const struct inbound *in)
{
	session_reply(s, join_ref, in->ref, in->topic_token, false,
	    channel_json(SLICE("{\"reason\":\"invalid_payload\",\"field\":\"payload\"}")));
}

bool
dispatch_is_usable(const struct inbound *in)
{
	return in->fault != FAULT_PAYLOAD && (in->binary || in->payload_type == JSON_OBJECT);
}

int
dispatch_token(const struct inbound *in, const char *name, struct buf *scratch, struct slice *token)
{
	struct slice raw = in->binary ? slice(NULL, 0) : json_member(in->payload, name);

	*token = slice(NULL, 0);
	if (raw.p == NULL)
		return 0;
	if (raw.p[0] != '"')
		return -EINVAL;
	return json_text(raw, buf_room(scratch, raw.n), raw.n, token);
}

int
dispatch_verify(struct session *s, struct slice token, struct identity **who)
{
	char	    peer[ADDR_LEN];
	const char *why = "malformed token";
	int	    r = s->env->verify(s->env->arg, token, who, &why);

	if (r == 0)
		return 0;
	stats->auth_failures_total++;
	log_peer(LOG_INFO_, addr_text(s->peer, peer), "token refused: %s", why);
	return r;
}

/* Who joins once knows where it is in, and is told where it is wrong. */
static void
dispatch_unjoined(struct session *s, const struct inbound *in, bool binary, struct slice data)
{
	if (slice_is(in->event, "phx_join"))
		join_dispatch(s, in, binary, data);
	else if (slice_is(in->event, "phx_leave") && !s->codec->joins_once)
		session_reply(s, in->join_ref, in->ref, in->topic_token, true, channel_empty());
	else
		session_reply_reason(s, null_token, in, "unmatched topic");
}

/* Who stood on the old token stands on the new one. */
static void
access_token_taken(struct channel *ch)
{
	struct session *s = ch->session;

	for (struct channel *each = s->channels; each != NULL; each = each->next)
		if (each == ch || (ch->who == NULL && each->who == NULL))
			each->warned = false;
	s->transport->wake(s);
}

/* A new token for the connection, or for this channel where it brought its own. It must be the same user's. */
static void
dispatch_access_token(struct channel *ch, const struct inbound *in)
{
	autobuf struct buf scratch = { 0 };
	struct session	  *s = ch->session;
	struct identity	 **place = ch->who != NULL ? &ch->who : &s->who, *fresh;
	struct slice	   token;

	if (dispatch_token(in, "access_token", &scratch, &token) < 0 || token.p == NULL) {
		session_reply(s, ch->join_ref, in->ref, in->topic_token, false,
		    channel_json(SLICE("{\"reason\":\"invalid_payload\",\"field\":\"access_token\"}")));
		return;
	}
	if (dispatch_verify(s, token, &fresh) < 0) {
		session_reply_reason(s, ch->join_ref, in, "unauthorized");
		return;
	}
	if (!slice_eq(fresh->user, (*place)->user)) {
		identity_unref(fresh);
		session_reply_reason(s, ch->join_ref, in, "unauthorized");
		return;
	}
	identity_unref(*place);
	*place = fresh;
	access_token_taken(ch);
	session_reply(s, ch->join_ref, in->ref, in->topic_token, true, channel_empty());
}

const struct rate *
dispatch_rate(const struct channel *ch, struct slice event)
{
	const struct session_env *env = ch->session->env;
	const struct rate	 *rate = route_rate(ch->route, event);

	for (unsigned i = 0; rate == NULL && i < env->n_event_rates; i++)
		if (slice_is(event, env->event_rates[i].event))
			rate = &env->event_rates[i].rate;
	return rate;
}

struct slice
dispatch_rate_owner(const struct channel *ch, char *host)
{
	struct slice user = channel_user(ch);

	return user.n > 0 ? user : slice_str(addr_host(ch->session->peer, host));
}

struct channel_payload
dispatch_rate_limit(const struct channel_route *route, char text[RATE_LIMIT_LEN], uint64_t wait)
{
	int n = snprintf(text, RATE_LIMIT_LEN, "{\"reason\":\"%.64s\",\"retry_after_ms\":%llu}", route->rate_reason,
	    (unsigned long long)wait);

	stats->rate_limited_total++;
	return channel_json(slice(text, (size_t)n));
}

/* The class is asked by that callback. `rate` NULL = none. */
static void
dispatch_event(struct channel *ch, const struct inbound *in, const struct rate *rate,
    int (*handle)(struct channel *, const struct channel_message *))
{
	struct session	      *s = ch->session;
	struct rates	      *rates = &s->env->rates;
	struct channel_message m = { .event = in->event, .payload = { in->payload, in->binary } };
	struct dispatch	       d = { .channel = ch, .in = in, .ok = true }, *outer = s->current;
	char		       host[ADDR_LEN], text[RATE_LIMIT_LEN];
	struct slice	       topic = ch->sub.topic->name;
	struct slice	       owner = rate != NULL ? dispatch_rate_owner(ch, host) : slice(NULL, 0);
	uint64_t	       wait = rate != NULL ? rates_wait(rates, owner, topic, in->event, rate) : 0;
	int		       r;

	if (wait > 0) {
		session_reply(s, ch->join_ref, in->ref, in->topic_token, false, dispatch_rate_limit(ch->route, text, wait));
		return;
	}
	s->current = &d;
	ch->depth++;
	r = handle(ch, &m);
	ch->depth--;
	/* What was refused does not count. */
	if (rate != NULL && r >= 0 && d.ok && !d.posted)
		rates_count(rates, owner, topic, in->event, rate);
	s->current = outer;
	channel_settle(ch, r);
}

/* In place of the channel, or for it. */
static void
dispatch_rejoin(struct channel *ch, const struct inbound *in, bool binary, struct slice data)
{
	const struct channel_class *class = ch->route->class;
	struct session		   *s = ch->session;

	if (!s->codec->joins_once) {
		channel_end(ch, "replaced");
		join_dispatch(s, in, binary, data);
	} else if (!dispatch_is_usable(in))
		dispatch_invalid_payload(s, ch->join_ref, in);
	else if (class->rejoin != NULL)
		dispatch_event(ch, in, NULL, class->rejoin);
	else
		session_reply(s, ch->join_ref, in->ref, in->topic_token, true, channel_empty());
}

static void
dispatch_joined(struct channel *ch, const struct inbound *in, bool binary, struct slice data)
{
	struct session *s = ch->session;

	if (slice_is(in->event, "phx_join")) {
		dispatch_rejoin(ch, in, binary, data);
		return;
	}
	/* Of an instance that is no more. */
	if (!is_null(in->join_ref) && !slice_eq(in->join_ref, ch->join_ref))
		return;
	if (slice_is(in->event, "phx_leave")) {
		session_reply(s, ch->join_ref, in->ref, in->topic_token, true, channel_empty());
		channel_end(ch, "leave");
	} else if (in->fault == FAULT_EVENT || message_is_reserved(in->event))
		session_reply_reason(s, ch->join_ref, in, "unknown_event");
	else if (!dispatch_is_usable(in))
		dispatch_invalid_payload(s, ch->join_ref, in);
	else if (slice_is(in->event, "access_token"))
		dispatch_access_token(ch, in);
	else
		dispatch_event(ch, in, dispatch_rate(ch, in->event), ch->route->class->handle_in);
}

bool
dispatch_is_heartbeat(const struct inbound *in)
{
	return slice_is(in->topic, "phoenix") && slice_is(in->event, "heartbeat") && in->fault != FAULT_REF;
}

void
dispatch_message(struct session *s, const struct inbound *in, bool binary, struct slice data)
{
	const char     *reason = fault_reason(s, in);
	struct channel *ch;

	if (dispatch_is_heartbeat(in)) {
		session_reply(s, null_token, in->ref, in->topic_token, true, channel_empty());
		return;
	}
	if (reason != NULL) {
		session_reply_reason(s, null_token, in, reason);
		return;
	}
	ch = channel_find(s, in->topic);
	if (ch == NULL)
		dispatch_unjoined(s, in, binary, data);
	else if (ch->phase == CHANNEL_JOINED)
		dispatch_joined(ch, in, binary, data);
	else if (channel_hold(ch, binary, data) < 0)
		session_reply_reason(s, in->join_ref, in, "join_pending");
}

void
dispatch_pending(struct session *s, struct list *pending)
{
	struct list *link;

	while ((link = list_take_link(pending)) != NULL) {
		struct pending_message *m = list_entry(link, struct pending_message, in_channel);
		struct inbound		in;

		s->pending_bytes -= m->n;
		/* It was decoded when it came: it will be again. */
		if (!s->closed && s->codec->decode(&in, m->binary, slice(m->data, m->n)) == 0)
			dispatch_message(s, &in, m->binary, slice(m->data, m->n));
		free(m);
	}
}
