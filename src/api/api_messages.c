/*
 * /api/channels/NAME/messages, /api/broadcast and /history: what is said to topics, what was, and what is taken back.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stats.h"
#include "channels/common.h"
#include "history/history.h"
#include "net/utf8.h"
#include "api/api_call.h"
#include "wire/envelope.h"
#include "wire/json.h"

#define POSTS_MAX	100	/* topics of one broadcast */

/* What is said to one topic. In call->posts, which stays until the last of them is told. */
struct post {
	struct api_call			*call;
	struct slice			 topic;		/* in text */
	struct history_limits		 limits;
	bool				 kept;		/* by those */
	int				 error;
	unsigned			 delivered;
	char				 id[UUID_LEN];	/* where it is kept */
	char				 text[WIRE_MAX_TOPIC];
};

/* What is wrong with an event's name; NULL = nothing. */
static const char *
event_fault(struct slice event)
{
	if (event.n == 0 || event.n > WIRE_MAX_EVENT)
		return "event: expected 1 to 128 bytes";
	for (size_t i = 0; i < event.n; i++)
		if ((unsigned char)event.p[i] < ' ' || event.p[i] == 0x7f)
			return "event: expected no control characters";
	/* Clients would take it for the server's own. */
	return message_is_reserved(event) ? "event: this name is reserved" : NULL;
}

/* A JSON object and nothing else; false: answered with 400 or 422. */
static bool
take_object(struct api_call *call, struct slice body, struct slice *object)
{
	enum json_kind kind = JSON_NULL;
	int	       r = -EBADMSG;

	json_take_blanks(&body);
	if (utf8_valid(body))
		r = json_take_value(&body, object, &kind);
	if (r == -E2BIG)
		api_invalid(call, "the body: too deep, or too many members");
	else if (r < 0 || body.n > 0)
		api_error(call, 400, "INVALID_JSON", "the body is not JSON");
	else if (kind != JSON_OBJECT)
		api_invalid(call, "the body: expected an object with event and data");
	else
		return true;
	return false;
}

/* Any value; Phoenix clients need an object. */
static void
keep_data(struct api_call *call, struct slice data)
{
	call->value = data.p != NULL && data.p[0] != '{';
	buf_add_str(&call->data, call->value ? "{\"data\":" : "");
	buf_add_slice(&call->data, data.p != NULL ? data : SLICE("{}"));
	buf_add_str(&call->data, call->value ? "}" : "");
}

/* Event and data are copied into the call; false: answered. */
static bool
take_message(struct api_call *call, struct slice body, struct slice *object)
{
	char	     scratch[WIRE_MAX_EVENT];
	struct slice token, event = SLICE("");
	const char  *fault = NULL;

	if (!take_object(call, body, object))
		return false;
	token = json_member(*object, "event");
	if (token.p == NULL || token.p[0] != '"' || json_text(token, scratch, sizeof(scratch), &event) < 0)
		fault = "event: expected a text of 1 to 128 bytes";
	else
		fault = event_fault(event);
	if (fault != NULL) {
		api_invalid(call, fault);
		return false;
	}
	buf_add_slice(&call->event, event);
	keep_data(call, json_member(*object, "data"));
	return true;
}

static void
deliver_here(struct post *p)
{
	const struct broadcast b = {
		.event = buf_slice(&p->call->event), .payload = buf_slice(&p->call->data), .value = p->call->value,
	};

	stats->broadcasts_total++;
	p->delivered = pubsub_receive(&p->call->api->env->pubsub, p->topic, &b, NULL);
}

/* Their names, or numbers, of those that failed or did not. */
static unsigned
add_posts(struct buf *out, const struct api_call *call, bool failed)
{
	unsigned n = 0;

	for (unsigned i = 0; i < call->n_posts; i++) {
		const struct post *p = &call->posts[i];

		if ((p->error < 0) != failed)
			continue;
		buf_add_str(out, n++ > 0 ? "," : "");
		json_quote(out, p->topic);
		if (!failed)
			buf_addf(out, ":%u", p->delivered);
	}
	return n;
}

static void
answer_broadcast(struct api_call *call)
{
	autobuf struct buf b = { 0 }, failed = { 0 };

	buf_add_str(&b, "{\"delivered\":{");
	if (add_posts(&b, call, false) == 0) {
		api_unavailable(call, "Redis has not taken the message");
		return;
	}
	buf_add_char(&b, '}');
	if (add_posts(&failed, call, true) > 0)
		buf_addf(&b, ",\"failed\":[%.*s]", SLICE_ARG(buf_slice(&failed)));
	api_add_silent(&b, call->silent);
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

static void
answer_post(struct api_call *call)
{
	const struct post *p = &call->posts[0];
	autobuf struct buf b = { 0 };

	if (p->error < 0) {
		api_unavailable(call, p->kept ? "the message could not be stored" : "Redis has not taken the message");
		return;
	}
	buf_addf(&b, "{\"delivered\":%u", p->delivered);
	if (p->kept)
		buf_addf(&b, ",\"id\":\"%.*s\"", (int)sizeof(p->id), p->id);
	api_add_silent(&b, call->silent);
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

static void
posts_answer(struct api_call *call)
{
	if (call->name.n > 0)
		answer_post(call);
	else
		answer_broadcast(call);
}

static void
posts_counted(void *arg, const struct headcount *counts, unsigned silent)
{
	struct api_call *call = arg;

	if (!api_call_resume(call))
		return;
	/* Our own answer may be among those that are missing. */
	for (unsigned i = 0; i < call->n_posts; i++)
		if (counts[i].clients > call->posts[i].delivered)
			call->posts[i].delivered = (unsigned)counts[i].clients;
	call->silent = silent != INQUIRY_NOBODY ? silent : cluster_count_asked(call->api->backplane->cluster);
	posts_answer(call);
}

/* Asks who else has got them; false if there is nobody else. */
static bool
posts_count(struct api_call *call)
{
	const struct cluster *cluster = call->api->backplane->cluster;
	struct slice	      topics[POSTS_MAX];

	if (cluster == NULL || cluster_count_asked(cluster) == 1)
		return false;
	for (unsigned i = 0; i < call->n_posts; i++)
		topics[i] = call->posts[i].topic;
	return api_headcount(call, topics, call->n_posts, posts_counted);
}

/* Answers, once all are told. What is said already was said, whether or not it can be counted. */
static void
posts_settle(struct api_call *call)
{
	if (call->asked == 0 && !posts_count(call))
		posts_answer(call);
}

/* Redis has given it to the other nodes: only now is it sure that nobody is told twice by who tries again. */
static void
post_published(void *arg, const struct redisReply *reply)
{
	struct post	*p = arg;
	struct api_call *call = p->call;

	if (!api_call_resume(call))
		return;
	if (reply == NULL || reply->type != REDIS_REPLY_INTEGER)
		p->error = -EHOSTUNREACH;
	else
		deliver_here(p);
	posts_settle(call);
}

static int
post_live(struct post *p)
{
	const struct api_call *call = p->call;
	autobuf struct buf     channel = { 0 }, envelope = { 0 };

	api_add_channel(call->api, &channel, p->topic);
	envelope_write(&envelope, &(struct envelope){
		.node = slice_str(call->api->node), .event = buf_slice(&call->event), .payload = buf_slice(&call->data),
		.value = call->value,
	});
	return redis_command(call->api->backplane->redis, post_published, p,
	    (struct slice[]){ SLICE("PUBLISH"), buf_slice(&channel), buf_slice(&envelope) }, 3);
}

static void
post_said(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	struct post	   *p = arg;
	struct api_call	   *call = p->call;
	const struct topic *t;

	if (!api_call_resume(call))
		return;
	t = hub_topic(&call->api->env->pubsub.hub, p->topic);
	p->error = error;
	p->delivered = t != NULL ? t->n : 0;
	if (error == 0)
		memcpy(p->id, id.p, sizeof(p->id));
	posts_settle(call);
}

static int
post_kept(struct post *p)
{
	return history_say_to(p->call->api->env->history, p->topic, &p->limits, buf_slice(&p->call->event),
	    buf_slice(&p->call->data), post_said, p);
}

static void
post_say(struct post *p)
{
	if (!p->kept && p->call->api->backplane->cluster == NULL) {
		deliver_here(p);
		return;
	}
	api_call_ask(p->call);
	p->error = p->kept ? post_kept(p) : post_live(p);
	if (p->error < 0)
		api_call_unask(p->call);
}

/* Says them all. It counts as asked meanwhile, so that the first of them to be told is not taken for the last. */
static void
posts_say(struct api_call *call)
{
	api_call_ask(call);
	for (unsigned i = 0; i < call->n_posts; i++)
		post_say(&call->posts[i]);
	if (api_call_resume(call))
		posts_settle(call);
}

/* False: answered, as no client could join it. */
static bool
find_route(struct api_call *call, const struct channel_route **route)
{
	*route = routes_match(call->api->env->routes, api_name(call));
	if (*route == NULL)
		api_error(call, 404, "NOT_FOUND", "no route serves this topic");
	return *route != NULL;
}

static void
add_post(struct api_call *call, struct slice topic, const struct channel_route *route)
{
	struct post *p = &call->posts[call->n_posts++];

	*p = (struct post){ .call = call, .topic = slice(p->text, topic.n) };
	memcpy(p->text, topic.p, topic.n);
	p->kept = route_history(route, &p->limits);
}

void
api_post(struct api_call *call, struct slice query, struct slice body)
{
	const struct channel_route *route;
	struct slice		    object;

	if (!find_route(call, &route) || !take_message(call, body, &object))
		return;
	call->posts = xmalloc(sizeof(*call->posts));
	add_post(call, api_name(call), route);
	posts_say(call);
}

static bool
has_post(const struct api_call *call, struct slice topic)
{
	for (unsigned i = 0; i < call->n_posts; i++)
		if (slice_eq(call->posts[i].topic, topic))
			return true;
	return false;
}

/* One element of "channels"; false: answered. */
static bool
take_channel(struct api_call *call, struct slice token, enum json_kind kind)
{
	char			    scratch[WIRE_MAX_TOPIC];
	const struct channel_route *route;
	struct slice		    name;

	if (kind != JSON_STRING || json_text(token, scratch, sizeof(scratch), &name) < 0 || !api_is_name(name)) {
		api_invalid(call, "channels: expected names of 1 to 256 bytes without control characters");
		return false;
	}
	if (has_post(call, name)) {
		api_invalid(call, "channels: a name is there twice");
		return false;
	}
	route = routes_match(call->api->env->routes, name);
	if (route == NULL)
		api_error(call, 404, "NOT_FOUND", "channels: no route serves number %u", call->n_posts + 1);
	else
		add_post(call, name, route);
	return route != NULL;
}

static bool
take_channels(struct api_call *call, struct slice list)
{
	struct slice   token;
	enum json_kind kind;

	call->posts = xmalloc(POSTS_MAX * sizeof(*call->posts));
	json_take(&list, '[');
	while (call->n_posts < POSTS_MAX && json_take_value(&list, &token, &kind) == 0) {
		if (!take_channel(call, token, kind))
			return false;
		json_take(&list, ',');
	}
	if (call->n_posts > 0 && json_take(&list, ']'))
		return true;
	api_invalid(call, "channels: expected a list of 1 to 100 names");
	return false;
}

void
api_broadcast(struct api_call *call, struct slice query, struct slice body)
{
	struct slice object;

	if (take_message(call, body, &object) && take_channels(call, json_member(object, "channels")))
		posts_say(call);
}

/* What was said. */

static void
add_message(struct buf *out, const struct history_message *m)
{
	char time[CLOCK_ISO_LEN];

	buf_addf(out, "{\"id\":\"%.*s\",\"event\":", SLICE_ARG(m->id));
	json_quote(out, m->event);
	buf_add_str(out, ",\"payload\":");
	buf_add_slice(out, m->payload);
	buf_add_str(out, ",\"user_id\":");
	if (m->user.n > 0)
		json_quote(out, m->user);
	else
		buf_add_str(out, "null");
	buf_addf(out, ",\"timestamp\":\"%s\"}", clock_iso(m->at, time));
}

static void
history_told(void *arg, const struct history_page *page)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 };
	unsigned	   from, to;
	bool		   cut;

	if (!api_call_resume(call))
		return;
	if (page->error != 0) {
		api_unavailable(call, "the history cannot be read now");
		return;
	}
	cut = common_page_fit(page, false, &from, &to);
	buf_add_str(&b, "{\"messages\":[");
	for (unsigned i = from; i < to; i++) {
		buf_add_str(&b, i > from ? "," : "");
		add_message(&b, &page->messages[i]);
	}
	buf_addf(&b, "],\"has_more\":%s}", cut || page->more ? "true" : "false");
	api_answer(call, buf_slice(&b));
}

static void
ask_history(struct api_call *call, const struct history_limits *limits, struct slice before)
{
	struct history *h = call->api->env->history;

	api_call_ask(call);
	if (history_page(h, NULL, api_name(call), limits, false, before, call->limit, history_told, call) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
}

void
api_history(struct api_call *call, struct slice query, struct slice body)
{
	autobuf struct buf	    before = { 0 };
	const struct channel_route *route;
	struct history_limits	    limits;
	struct position		    at;
	uint64_t		    tail;

	if (!find_route(call, &route) || !api_limit(call, query, COMMON_NEWEST, COMMON_MAX_LOAD) ||
	    !api_text(call, query, "before", &before))
		return;
	if (!route_history(route, &limits))
		api_error(call, 404, "NOT_FOUND", "this topic keeps no history");
	else if (before.n > 0 && uuid_to_position(buf_slice(&before), &at, &tail) < 0)
		api_invalid(call, "before: expected a message's id");
	else
		ask_history(call, &limits, before.n > 0 ? buf_slice(&before) : slice(NULL, 0));
}

/* What is taken back. */

static void
no_such_message(struct api_call *call)
{
	api_error(call, 404, "NOT_FOUND", "no such message is kept");
}

static void
deleted(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	struct api_call *call = arg;

	if (!api_call_resume(call))
		return;
	if (error == -ENOENT)
		no_such_message(call);
	else if (error < 0)
		api_unavailable(call, "whether the message was deleted is not known");
	else
		api_answer(call, SLICE("{\"deleted\":true}"));
}

void
api_delete(struct api_call *call, struct slice query, struct slice body)
{
	const struct channel_route *route;
	struct history_limits	    limits;
	int			    r;

	if (!find_route(call, &route))
		return;
	if (!route_history(route, &limits)) {
		api_error(call, 404, "NOT_FOUND", "this topic keeps no history");
		return;
	}
	api_call_ask(call);
	r = history_remove(call->api->env->history, api_name(call), &limits, buf_slice(&call->id), deleted, call);
	if (r == 0)
		return;
	api_call_unask(call);
	if (r == -EINVAL)
		no_such_message(call);
	else
		api_unavailable(call, "Redis is away");
}
