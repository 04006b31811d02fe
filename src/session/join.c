/*
 * Joins: who may, by token, guard and authorizer; then what the class says of it, at once or later.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"
#include "session/channel.h"
#include "session/guard.h"
#include "wire/message.h"

static const struct slice null_token = { "null", 4 };

static void
join_refuse(struct session *s, struct slice join_ref, const struct inbound *in, const char *reason)
{
	stats->join_errors_total++;
	session_reply_reason(s, join_ref, in, reason);
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
	if (dispatch_token(in, "token", &scratch, &token) < 0)
		return -EACCES;
	if (token.p != NULL)
		return dispatch_verify(s, token, who);
	if (s->expired || (s->who->user.n == 0 && !route->public))
		return -EACCES;
	return 0;
}

/* Does the route let them in? */
static bool
join_is_allowed(const struct channel_route *route, const struct inbound *in, const struct identity *who)
{
	const struct guard_case c = {
		.pattern = route->pattern, .topic = in->topic, .user = who->user, .claims = who->claims,
	};

	return route->guard == NULL || guard_allows(route->guard, &c);
}

static void
join_timeout(struct timer *t, uint64_t now)
{
	struct channel_extra *x = container_of(t, struct channel_extra, join_timer);

	channel_refuse_join(x->channel, channel_json(SLICE("{\"reason\":\"timeout\"}")), "timeout");
}

/* It is decided later: what the answer needs is kept. All that is waited for has one time limit. */
static void
join_wait(struct channel *ch, const struct inbound *in)
{
	struct loop	     *loop = ch->session->env->loop;
	struct channel_extra *x = channel_extra(ch);

	x->topic = xstrndup(in->topic.p, in->topic.n);
	x->ref = xstrndup(in->ref.p, in->ref.n);
	x->join_ref = xstrndup(in->join_ref.p, in->join_ref.n);
	if (timer_is_set(&x->join_timer))
		return;
	x->join_timer.fire = join_timeout;
	loop_timer(loop, &x->join_timer, loop->now + ch->session->env->limits.join_ms);
}

/* It is decided now after all; but the time runs on. */
static void
join_resume(struct channel_extra *x)
{
	free(x->topic);
	free(x->ref);
	free(x->join_ref);
	x->topic = x->ref = x->join_ref = NULL;
}

/* `said` is the class' own word, NULL = none. */
static void
join_say_no(struct session *s, const struct inbound *in, int result, const struct channel_payload *said)
{
	if (result != CHANNEL_REFUSED) {
		join_refuse(s, in->join_ref, in, "join crashed");
	} else if (said == NULL) {
		join_refuse(s, in->join_ref, in, "unauthorized");
	} else {
		stats->join_errors_total++;
		session_reply(s, in->join_ref, in->ref, in->topic_token, false, *said);
	}
}

static void
join_finish(struct channel *ch, const struct inbound *in, struct dispatch *d, int result)
{
	struct session	      *s = ch->session;
	struct channel_payload said = { .bytes = buf_slice(&d->response), .binary = d->binary };
	const bool	       answered = d->answered;
	struct list	       pending;

	/* What follows is not the join any more: there is nothing left to answer. */
	d->answered = true;
	if (result == CHANNEL_LATER && !ch->stopping) {
		join_wait(ch, in);
		return;
	}
	if (result == CHANNEL_OK && !ch->stopping) {
		channel_enter(ch, in->join_ref, in->ref, answered && d->ok ? said : channel_empty());
		channel_trim(ch);
		return;
	}
	join_say_no(s, in, result, answered && !d->ok ? &said : NULL);
	list_init(&pending);
	if (ch->extra != NULL)
		list_append_all(&pending, &ch->extra->pending);
	/* A class that let it in and stopped it at once has something to clear up. */
	if (result == CHANNEL_OK || result == CHANNEL_LATER)
		channel_end(ch, "stopped");
	else
		channel_drop(ch);
	dispatch_pending(s, &pending);
}

/* The class is asked. */
static void
join_class(struct channel *ch, const struct inbound *in)
{
	struct session	      *s = ch->session;
	struct channel_message params = { .event = in->event, .payload = { in->payload, in->binary } };
	struct dispatch	       d = { .channel = ch, .in = in }, *outer = s->current;
	int		       r;

	s->current = &d;
	ch->depth++;
	r = ch->route->class->join(ch, &params);
	ch->depth--;
	join_finish(ch, in, &d, r);
	s->current = outer;
	buf_done(&d.response);
}

/* Authorizers. */

/* {"reason":"unauthorized"}, with what the authorizer says of it. */
static void
join_forbid(struct channel *ch, struct slice reason)
{
	autobuf struct buf response = { 0 };

	buf_add_str(&response, "{\"reason\":\"unauthorized\"");
	if (reason.n > 0) {
		buf_add_str(&response, ",\"message\":");
		json_quote(&response, reason);
	}
	buf_add_char(&response, '}');
	channel_refuse_join(ch, channel_json(buf_slice(&response)), "refused");
}

/* The join is taken up again as it came. */
static void
join_authorized(void *arg, bool yes, struct slice reason)
{
	struct channel	       *ch = arg;
	struct session	       *s = ch->session;
	struct pending_message *m = ch->extra->join;
	struct inbound		in;

	ch->extra->asking = NULL;
	if (!yes || s->codec->decode(&in, m->binary, slice(m->data, m->n)) < 0) {
		join_forbid(ch, reason);
		return;
	}
	ch->extra->join = NULL;
	ch->unasked = false;
	join_resume(ch->extra);
	join_class(ch, &in);
	pending_free(s, m);
}

static void
join_ask(struct channel *ch, const struct inbound *in)
{
	const struct session_env      *env = ch->session->env;
	const struct identity	      *who = channel_identity(ch);
	const struct authorize_request request = {
		.url = ch->route->authorize_url, .user = who->user, .claims = who->claims, .channel = in->topic,
		.info = in->binary ? slice(NULL, 0) : json_member(in->payload, "userInfo"),
		.connection = slice_str(ch->session->id),
	};
	struct authorization *asking = env->authorizer->ask(env->authorizer_arg, &request, join_authorized, ch);

	/* Where it is NULL, all may be over. */
	if (asking != NULL)
		ch->extra->asking = asking;
}

void
join_forget(struct channel *ch)
{
	struct channel_extra *x = ch->extra;

	if (x == NULL)
		return;
	if (x->asking != NULL)
		ch->session->env->authorizer->cancel(x->asking);
	x->asking = NULL;
	x->join = pending_free(ch->session, x->join);
}

/* Until it is known whether they may, the channel is there, and its class knows nothing of it. Takes `who`. */
static void
join_by_authorizer(struct session *s, const struct channel_route *route, const struct inbound *in, struct identity *who,
    struct pending_message *m)
{
	struct channel *ch = channel_new(s, route, in, who);

	ch->unasked = true;
	join_wait(ch, in);
	ch->extra->join = m;
	join_ask(ch, in);
}

/* Token and route are right; takes `who`. */
static void
join_go(struct session *s, const struct channel_route *route, const struct inbound *in, struct identity *who, bool binary,
    struct slice data)
{
	const bool		nobody_to_ask = route->authorize_url != NULL && s->env->authorizer == NULL;
	struct pending_message *m;

	if (!join_is_allowed(route, in, who != NULL ? who : s->who) || nobody_to_ask) {
		identity_unref(who);
		join_refuse(s, in->join_ref, in, "unauthorized");
		return;
	}
	if (route->authorize_url == NULL) {
		join_class(channel_new(s, route, in, who), in);
		return;
	}
	m = pending_new(s, binary, data);
	if (m == NULL) {
		identity_unref(who);
		join_refuse(s, in->join_ref, in, "join_pending");
		return;
	}
	join_by_authorizer(s, route, in, who, m);
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

void
join_dispatch(struct session *s, const struct inbound *in, bool binary, struct slice data)
{
	const struct channel_route *route = routes_match(s->env->routes, in->topic);
	const char		   *limit = join_limit(s, in);
	struct identity		   *who;

	/* Whatever a final star matches: that topic is the protocol's own. */
	if (route == NULL || slice_is(in->topic, "phoenix")) {
		join_refuse(s, null_token, in, "unmatched topic");
	} else if (limit != NULL) {
		join_refuse(s, in->join_ref, in, limit);
	} else if (!dispatch_is_usable(in)) {
		stats->join_errors_total++;
		dispatch_invalid_payload(s, in->join_ref, in);
	} else if (join_identity(s, route, in, &who) < 0) {
		join_refuse(s, in->join_ref, in, "unauthorized");
	} else
		join_go(s, route, in, who, binary, data);
}
