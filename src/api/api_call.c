/*
 * Calls: kept while somebody is asked, answered once.
 */
#include "api/api_call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/units.h"
#include "net/url.h"
#include "wire/json.h"

static void
api_call_free(struct api_call *call)
{
	list_remove(&call->in_api);
	timer_stop(&call->deadline);
	call->api->n_calls--;
	buf_done(&call->name);
	buf_done(&call->id);
	buf_done(&call->event);
	buf_done(&call->data);
	buf_done(&call->cursor);
	buf_done(&call->type);
	buf_done(&call->names);
	free(call->posts);
	free(call);
}

void
api_call_drop_all(struct api *api)
{
	list_each(link, &api->calls)
		api_call_free(list_entry(link, struct api_call, in_api));
}

/* Nobody waits for an answer. */
static void
api_call_leave(struct api_call *call)
{
	call->conn = NULL;
	timer_stop(&call->deadline);
	if (call->asked == 0)
		api_call_free(call);
}

static void
api_call_on_abort(void *arg)
{
	api_call_leave(arg);
}

static void
api_call_expire(struct timer *t, uint64_t now)
{
	api_error(container_of(t, struct api_call, deadline), 504, "TIMEOUT", "Redis does not answer");
}

struct api_call *
api_call_new(struct api *api, struct http_conn *conn)
{
	struct api_call *call;

	if (api->n_calls >= API_MAX_CALLS)
		return NULL;
	call = xmalloc(sizeof(*call));
	*call = (struct api_call){ .api = api, .conn = conn, .deadline.fire = api_call_expire };
	list_append(&api->calls, &call->in_api);
	api->n_calls++;
	http_conn_await(conn, api_call_on_abort, call);
	return call;
}

void
api_call_ask(struct api_call *call)
{
	call->asked++;
	if (!timer_is_set(&call->deadline))
		loop_timer(call->api->loop, &call->deadline, call->api->loop->now + call->api->options.timeout_ms);
}

void
api_call_unask(struct api_call *call)
{
	call->asked--;
}

bool
api_call_resume(struct api_call *call)
{
	call->asked--;
	if (call->conn != NULL)
		return true;
	if (call->asked == 0)
		api_call_free(call);
	return false;
}

static void
api_respond(struct api_call *call, unsigned status, const char *extra, struct slice json)
{
	struct http_conn *conn = call->conn;

	/* First of all it is over: the next request may be handled from within the answer. */
	api_call_leave(call);
	http_respond(conn, status, extra, "application/json", json);
}

void
api_answer(struct api_call *call, struct slice json)
{
	api_respond(call, 200, "Cache-Control: no-store\r\n", json);
}

static void
api_respond_error(struct api_call *call, unsigned status, const char *extra, const char *code, struct slice why)
{
	autobuf struct buf b = { 0 };

	buf_addf(&b, "{\"error\":{\"code\":\"%s\",\"message\":", code);
	json_quote(&b, why);
	buf_add_str(&b, "}}");
	api_respond(call, status, extra, buf_slice(&b));
}

void
api_error(struct api_call *call, unsigned status, const char *code, const char *fmt, ...)
{
	char	why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	api_respond_error(call, status, NULL, code, slice_str(why));
}

void
api_unavailable(struct api_call *call, const char *why)
{
	api_respond_error(call, 503, "Retry-After: 1\r\n", "UNAVAILABLE", slice_str(why));
}

void
api_invalid(struct api_call *call, const char *what)
{
	api_error(call, 422, "INVALID", "%s", what);
}

bool
api_text(struct api_call *call, struct slice query, const char *name, struct buf *out)
{
	if (url_param(query, name, out) >= 0)
		return true;
	api_error(call, 422, "INVALID", "%s: expected UTF-8", name);
	return false;
}

bool
api_limit(struct api_call *call, struct slice query, unsigned fallback, unsigned max)
{
	autobuf struct buf text = { 0 };
	uint64_t	   n = fallback;
	int		   found = url_param(query, "limit", &text);

	buf_add_char(&text, '\0');
	if (found < 0 || (found > 0 && (strlen(text.p) + 1 != text.n || units_number(text.p, &n) < 0)) || n < 1 || n > max) {
		api_error(call, 422, "INVALID", "limit: expected a number from 1 to %u", max);
		return false;
	}
	call->limit = (unsigned)n;
	return true;
}

void
api_add_channel(const struct api *api, struct buf *out, struct slice topic)
{
	buf_add_str(out, cluster_prefix(api->backplane->cluster));
	buf_add_str(out, "t:{");
	buf_add_slice(out, topic);
	buf_add_char(out, '}');
}

bool
api_headcount(struct api_call *call, const struct slice *topics, unsigned n, headcount_fn *fn)
{
	api_call_ask(call);
	if (headcount(call->api->headcounts, topics, n, fn, call) == 0)
		return true;
	api_call_unask(call);
	return false;
}

bool
api_unanswered(struct api_call *call, unsigned silent)
{
	if (silent != INQUIRY_NOBODY)
		return false;
	api_unavailable(call, "no node has answered");
	return true;
}

void
api_add_silent(struct buf *out, unsigned silent)
{
	if (silent > 0)
		buf_addf(out, ",\"silent\":%u", silent);
}
