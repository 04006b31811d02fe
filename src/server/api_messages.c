/*
 * /api/channels/NAME/messages and /history: what is said to a topic, and what was.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stats.h"
#include "channels/common.h"
#include "history/history.h"
#include "net/utf8.h"
#include "server/api_call.h"
#include "wire/envelope.h"
#include "wire/json.h"

/* Clients would take these for the server's own. */
static const char *const reserved[] = { "presence_state", "presence_diff", "system", "token_expiring" };

/* What is wrong with an event's name; NULL = nothing. */
static const char *
event_fault(struct slice event)
{
	if (event.n == 0 || event.n > WIRE_MAX_EVENT)
		return "event: expected 1 to 128 bytes";
	for (size_t i = 0; i < event.n; i++)
		if ((unsigned char)event.p[i] < ' ' || event.p[i] == 0x7f)
			return "event: expected no control characters";
	if (slice_starts(event, SLICE("phx_")))
		return "event: names that begin with phx_ are reserved";
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (slice_is(event, reserved[i]))
			return "event: this name is reserved";
	return NULL;
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

/* Event and data are copied into the call; false: answered. */
static bool
take_message(struct api_call *call, struct slice body)
{
	char	     scratch[WIRE_MAX_EVENT];
	struct slice object, token, event = SLICE(""), data;
	const char  *fault = NULL;

	if (!take_object(call, body, &object))
		return false;
	token = json_member(object, "event");
	data = json_member(object, "data");
	if (token.p == NULL || token.p[0] != '"' || json_text(token, scratch, sizeof(scratch), &event) < 0)
		fault = "event: expected a text of 1 to 128 bytes";
	else
		fault = event_fault(event);
	if (fault == NULL && data.p != NULL && data.p[0] != '{')
		fault = "data: expected an object";
	if (fault != NULL) {
		api_invalid(call, fault);
		return false;
	}
	buf_add_slice(&call->event, event);
	buf_add_slice(&call->data, data.p != NULL ? data : SLICE("{}"));
	return true;
}

static unsigned
deliver_here(struct api_call *call)
{
	const struct broadcast b = { .event = buf_slice(&call->event), .payload = buf_slice(&call->data) };

	stats->broadcasts_total++;
	return pubsub_receive(&call->api->env->pubsub, api_name(call), &b, NULL);
}

static void
answer_delivered(struct api_call *call, unsigned n, struct slice id)
{
	autobuf struct buf b = { 0 };

	buf_addf(&b, "{\"delivered\":%u", n);
	if (id.n > 0)
		buf_addf(&b, ",\"id\":\"%.*s\"", SLICE_ARG(id));
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

/* Redis has given it to the other nodes: only now is it sure that nobody is told twice by who tries again. */
static void
post_published(void *arg, const struct redisReply *reply)
{
	struct api_call *call = arg;

	if (!api_call_resume(call))
		return;
	if (reply == NULL || reply->type != REDIS_REPLY_INTEGER)
		api_unavailable(call, "Redis has not taken the message");
	else
		answer_delivered(call, deliver_here(call), SLICE(""));
}

static void
post_live(struct api_call *call)
{
	autobuf struct buf channel = { 0 }, envelope = { 0 };
	struct backplane  *b = call->api->backplane;

	if (b->cluster == NULL) {
		answer_delivered(call, deliver_here(call), SLICE(""));
		return;
	}
	api_add_channel(call->api, &channel, api_name(call));
	envelope_write(&envelope, &(struct envelope){
		.node = slice_str(call->api->node), .event = buf_slice(&call->event), .payload = buf_slice(&call->data),
	});
	api_call_ask(call);
	if (redis_command(b->redis, post_published, call,
	    (struct slice[]){ SLICE("PUBLISH"), buf_slice(&channel), buf_slice(&envelope) }, 3) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
}

static void
post_said(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	struct api_call	   *call = arg;
	const struct topic *t;

	if (!api_call_resume(call))
		return;
	t = hub_topic(&call->api->env->pubsub.hub, api_name(call));
	if (error == 0)
		answer_delivered(call, t != NULL ? t->n : 0, id);
	else
		api_unavailable(call, "the message could not be stored");
}

static void
post_kept(struct api_call *call, const struct history_limits *limits)
{
	api_call_ask(call);
	if (history_say_to(call->api->env->history, api_name(call), limits, buf_slice(&call->event), buf_slice(&call->data),
	    post_said, call) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
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

void
api_post(struct api_call *call, struct slice query, struct slice body)
{
	const struct channel_route *route;
	struct history_limits	    limits;

	if (!find_route(call, &route) || !take_message(call, body))
		return;
	if (route_history(route, &limits))
		post_kept(call, &limits);
	else
		post_live(call);
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
	if (history_page(h, api_name(call), limits, false, before, call->limit, history_told, call) == 0)
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
