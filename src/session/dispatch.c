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
	default:
		return in->topic.n > s->env->limits.max_topic ? "invalid topic" : NULL;
	}
}

static void
reply_invalid_payload(struct session *s, struct slice join_ref, const struct inbound *in)
{
	session_reply(s, join_ref, in->ref, in->topic_token, false,
	    channel_json(SLICE("{\"reason\":\"invalid_payload\",\"field\":\"payload\"}")));
}

static bool
payload_is_usable(const struct inbound *in)
{
	return in->fault != FAULT_PAYLOAD && (in->binary || in->payload_type == JSON_OBJECT);
}

/* The token in a join's payload or an access_token push, decoded into out. */
static int
payload_token(const struct inbound *in, const char *name, struct buf *scratch, struct slice *token)
{
	struct slice raw = in->binary ? slice(NULL, 0) : json_member(in->payload, name);

	*token = slice(NULL, 0);
	if (raw.p == NULL)
		return 0;
	if (raw.p[0] != '"')
		return -EINVAL;
	return json_text(raw, buf_room(scratch, raw.n), raw.n, token);
}

static int
verify(struct session *s, struct slice token, struct identity **who)
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

/*
 * Whom a join stands on: the token in its payload, or the connection's. Returns 0 with *who (a reference, or
 * NULL for the connection's), -EACCES if neither may.
 */
static int
join_identity(struct session *s, const struct channel_route *route, const struct inbound *in, struct identity **who)
{
	autobuf struct buf scratch = { 0 };
	struct slice	   token;

	*who = NULL;
	if (payload_token(in, "token", &scratch, &token) < 0)
		return -EACCES;
	if (token.p != NULL)
		return verify(s, token, who);
	if (s->expired || (s->who->user.n == 0 && !route->public))
		return -EACCES;
	return 0;
}

/* A join that the class will decide later: what its answer needs is kept. */
static void
join_wait(struct channel *ch, const struct inbound *in, timer_fn *timeout)
{
	struct loop	     *loop = ch->session->env->loop;
	struct channel_extra *x = channel_extra(ch);

	x->topic = xstrndup(in->topic.p, in->topic.n);
	x->ref = xstrndup(in->ref.p, in->ref.n);
	x->join_ref = xstrndup(in->join_ref.p, in->join_ref.n);
	x->join_timer.fire = timeout;
	loop_timer(loop, &x->join_timer, loop->now + ch->session->env->limits.join_ms);
}

static void
join_timeout(struct timer *t, uint64_t now)
{
	struct channel_extra *x = container_of(t, struct channel_extra, join_timer);

	channel_refuse_join(x->channel, channel_json(SLICE("{\"reason\":\"timeout\"}")), "timeout");
}

static void
join_finish(struct channel *ch, const struct inbound *in, struct dispatch *d, int result)
{
	struct session	      *s = ch->session;
	struct channel_payload said = { .bytes = buf_slice(&d->response), .binary = d->binary };
	bool		       answered = d->answered;

	/* What follows is not the join any more: there is nothing left to answer. */
	d->answered = true;
	if (result == CHANNEL_LATER && !ch->stopping) {
		join_wait(ch, in, join_timeout);
		return;
	}
	if (result == CHANNEL_OK && !ch->stopping) {
		channel_enter(ch, in->join_ref, in->ref, answered && d->ok ? said : channel_empty());
		return;
	}
	stats->join_errors_total++;
	if (result != CHANNEL_REFUSED)
		session_reply_reason(s, in->join_ref, in, "join crashed");
	else if (answered && !d->ok)
		session_reply(s, in->join_ref, in->ref, in->topic_token, false, said);
	else
		session_reply_reason(s, in->join_ref, in, "unauthorized");
	/* A class that let it in and stopped it at once has something to clear up. */
	if (result == CHANNEL_OK || result == CHANNEL_LATER)
		channel_end(ch, "stopped");
	else
		channel_drop(ch);
}

static void
join(struct session *s, const struct channel_route *route, const struct inbound *in, struct identity *who)
{
	struct channel	      *ch = channel_new(s, route, in, who);
	struct channel_message params = { .event = in->event, .payload = { in->payload, in->binary } };
	struct dispatch	       d = { .channel = ch, .in = in }, *outer = s->current;
	int		       r;

	s->current = &d;
	ch->depth++;
	r = route->class->join(ch, &params);
	ch->depth--;
	join_finish(ch, in, &d, r);
	s->current = outer;
	buf_done(&d.response);
}

/* Why this session may not join anything more; NULL if it may. */
static const char *
join_limit(const struct session *s, const struct inbound *in)
{
	const struct session_limits *l = &s->env->limits;
	const struct hub	    *h = &s->env->pubsub.hub;

	if (s->n_channels >= l->max_channels)
		return "too many channels joined";
	if (l->max_topics > 0 && h->topics.n >= l->max_topics && hub_topic(h, in->topic) == NULL)
		return "too many topics";
	return NULL;
}

static void
dispatch_join(struct session *s, const struct inbound *in)
{
	const struct channel_route *route = routes_match(s->env->routes, in->topic);
	const char		   *limit = join_limit(s, in);
	struct identity		   *who;

	/* Whatever a final star matches: that topic is the protocol's own. */
	if (route == NULL || slice_is(in->topic, "phoenix")) {
		stats->join_errors_total++;
		session_reply_reason(s, null_token, in, "unmatched topic");
	} else if (limit != NULL) {
		stats->join_errors_total++;
		session_reply_reason(s, in->join_ref, in, limit);
	} else if (!payload_is_usable(in)) {
		stats->join_errors_total++;
		reply_invalid_payload(s, in->join_ref, in);
	} else if (join_identity(s, route, in, &who) < 0) {
		stats->join_errors_total++;
		session_reply_reason(s, in->join_ref, in, "unauthorized");
	} else
		join(s, route, in, who);
}

static void
dispatch_unjoined(struct session *s, const struct inbound *in)
{
	if (slice_is(in->event, "phx_join"))
		dispatch_join(s, in);
	else if (slice_is(in->event, "phx_leave"))
		session_reply(s, in->join_ref, in->ref, in->topic_token, true, channel_empty());
	else
		session_reply_reason(s, null_token, in, "unmatched topic");
}

/* Events that only servers say. */
static bool
event_is_reserved(struct slice event)
{
	static const char *const names[] = { "presence_state", "presence_diff", "token_expiring", "system" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_is(event, names[i]))
			return true;
	return slice_starts(event, SLICE("phx_")) || slice_starts(event, SLICE("pusher_internal:"));
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

	if (payload_token(in, "access_token", &scratch, &token) < 0 || token.p == NULL) {
		session_reply(s, ch->join_ref, in->ref, in->topic_token, false,
		    channel_json(SLICE("{\"reason\":\"invalid_payload\",\"field\":\"access_token\"}")));
		return;
	}
	if (verify(s, token, &fresh) < 0) {
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

static void
dispatch_event(struct channel *ch, const struct inbound *in)
{
	struct session	      *s = ch->session;
	struct rates	      *rates = &s->env->rates;
	const struct rate     *rate = dispatch_rate(ch, in->event);
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
	r = ch->route->class->handle_in(ch, &m);
	ch->depth--;
	/* What was refused does not count. */
	if (rate != NULL && r >= 0 && d.ok && !d.posted)
		rates_count(rates, owner, topic, in->event, rate);
	s->current = outer;
	channel_settle(ch, r);
}

static void
dispatch_joined(struct channel *ch, const struct inbound *in)
{
	struct session *s = ch->session;

	if (slice_is(in->event, "phx_join")) {
		channel_end(ch, "replaced");
		dispatch_join(s, in);
		return;
	}
	/* Of an instance that is no more. */
	if (!is_null(in->join_ref) && !slice_eq(in->join_ref, ch->join_ref))
		return;
	if (slice_is(in->event, "phx_leave")) {
		session_reply(s, ch->join_ref, in->ref, in->topic_token, true, channel_empty());
		channel_end(ch, "leave");
	} else if (in->fault == FAULT_EVENT || event_is_reserved(in->event))
		session_reply_reason(s, ch->join_ref, in, "unknown_event");
	else if (!payload_is_usable(in))
		reply_invalid_payload(s, ch->join_ref, in);
	else if (slice_is(in->event, "access_token"))
		dispatch_access_token(ch, in);
	else
		dispatch_event(ch, in);
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
		dispatch_unjoined(s, in);
	else if (ch->phase == CHANNEL_JOINED)
		dispatch_joined(ch, in);
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
