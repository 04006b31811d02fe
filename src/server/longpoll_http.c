/*
 * Long poll over HTTP (protocol/phoenix.md section 4.1): which session a request is about, where that is, and the answer.
 * The status that counts is the one in the JSON.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"
#include "net/url.h"
#include "net/utf8.h"
#include "server/entry.h"
#include "backplane/longpoll_relay.h"

#define PLAIN_FIELDS	"Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\n"

/* A request that waits for its session, here or at another node. Lives until it is answered or the client is gone. */
struct longpoll_call {
	struct longpoll_request	 request;
	struct longpoll_ask	 ask;
	struct endpoint		*endpoint;
	struct http_conn	*conn;
	struct buf		 token;		/* the session's */
	struct buf		 head;		/* of a poll that another node is asked: a new session may have to be made of it */
};

/* What a request says of its session and of its client. */
struct credentials {
	struct buf	session;
	bool		has_session;
	struct buf	jwt;		/* a parameter */
	bool		has_jwt;
};

static void
respond(struct http_conn *conn, struct slice body)
{
	http_respond(conn, 200, PLAIN_FIELDS, "application/json; charset=utf-8", body);
}

static void
respond_status(struct http_conn *conn, unsigned status)
{
	autobuf struct buf out = { 0 };

	buf_addf(&out, "{\"status\":%u}", status);
	respond(conn, buf_slice(&out));
}

static void
respond_poll(struct http_conn *conn, unsigned status, struct slice token, struct slice messages)
{
	autobuf struct buf out = { 0 };

	buf_add_str(&out, "{\"messages\":");
	buf_add_slice(&out, messages.n > 0 ? messages : SLICE("[]"));
	buf_addf(&out, ",\"status\":%u,\"token\":\"%.*s\"}", status, SLICE_ARG(token));
	respond(conn, buf_slice(&out));
}

/* Clients know 403 from the JSON; all else is for whoever stands between, and makes them try again. */
static void
answer_refusal(struct entry *en, unsigned status, const char *extra)
{
	autobuf struct buf fields = { 0 };

	if (status == 403) {
		respond_status(en->conn, 403);
		return;
	}
	buf_add_str(&fields, PLAIN_FIELDS);
	buf_add_str(&fields, extra != NULL ? extra : "");
	buf_add_char(&fields, '\0');
	http_respond(en->conn, status, fields.p, NULL, slice("", 0));
}

static void
respond_options(struct http_conn *conn, const struct http_request *req)
{
	autobuf struct buf extra = { 0 };
	struct slice	   asked = http_field(req, "access-control-request-headers", NULL);

	buf_add_str(&extra, PLAIN_FIELDS);
	if (asked.p != NULL)
		buf_addf(&extra, "Access-Control-Allow-Headers: %.*s\r\n", SLICE_ARG(asked));
	buf_add_str(&extra, "Access-Control-Allow-Methods: get, post, options\r\nAccess-Control-Max-Age: 3600\r\n");
	buf_add_char(&extra, '\0');
	http_respond(conn, 200, extra.p, NULL, slice("", 0));
}

/* A JWT has dots, and is no session's token. */
static bool
may_be_jwt(struct slice text)
{
	struct longpoll_token token;

	return memchr(text.p, '.', text.n) != NULL && longpoll_token_read(&token, text) < 0;
}

static void
buf_set(struct buf *b, struct slice s)
{
	b->n = 0;
	buf_add_slice(b, s);
}

/*
 * Of several `token` parameters the last is the session's, as the client adds it behind those of the application; a single
 * one that may be a JWT is that. -EILSEQ.
 */
static int
find_parameters(struct credentials *c, struct slice query)
{
	autobuf struct buf name = { 0 }, value = { 0 }, last = { 0 };
	bool		   many = false, any = false;
	size_t		   at = 0;
	int		   r;

	while ((r = url_next_param(query, &at, &name, &value)) == 1) {
		if (!slice_is(buf_slice(&name), "token"))
			continue;
		many = any;
		if (many && may_be_jwt(buf_slice(&last))) {
			buf_set(&c->jwt, buf_slice(&last));
			c->has_jwt = true;
		}
		buf_set(&last, buf_slice(&value));
		any = true;
	}
	if (r < 0 || !any)
		return r;
	if (may_be_jwt(buf_slice(&last)) && (!many || c->has_session)) {
		buf_set(&c->jwt, buf_slice(&last));
		c->has_jwt = true;
	} else if (!c->has_session) {
		buf_set(&c->session, buf_slice(&last));
		c->has_session = true;
	}
	return 0;
}

static int
credentials_find(struct credentials *c, const struct http_request *req)
{
	struct slice field = http_field(req, "x-phoenix-longpoll-token", NULL);

	*c = (struct credentials){ .has_session = field.p != NULL };
	if (field.p != NULL)
		buf_set(&c->session, field);
	return find_parameters(c, req->query);
}

static void
credentials_done(struct credentials *c)
{
	buf_done(&c->session);
	buf_done(&c->jwt);
}

/* The client's own field, a bearer, a parameter. */
static void
find_jwt(struct entry *en, const struct credentials *c)
{
	struct slice field = http_field(en->req, "x-phoenix-authtoken", NULL);

	en->has_token = true;
	if (field.p != NULL)
		buf_add_slice(&en->token, field);
	else if (!entry_find_bearer(en)) {
		en->has_token = c->has_jwt;
		buf_add_slice(&en->token, buf_slice(&c->jwt));
	}
}

/* Sessions hold no descriptor, but there are as many places for them as for connections. */
static bool
check_places(struct entry *en)
{
	if (en->endpoint->longpolls->n < en->endpoint->options.max_connections)
		return true;
	stats->refused_total++;
	return entry_refuse(en, 503, "Retry-After: 1\r\n", "too many long-poll sessions");
}

/* A new session, if the client may have one. */
static void
begin_session(struct entry *en, const struct credentials *c)
{
	struct endpoint *e = en->endpoint;
	struct longpoll *lp;

	if (!entry_check_room(en) || !check_places(en) || !entry_check_version(en))
		return;
	find_jwt(en, c);
	if (!entry_check_token(en) || !entry_count(en))
		return;
	lp = longpoll_open(e->longpolls, &(struct longpoll_open){
		.peer = &en->client, .codec = en->codec, .who = identity_ref(en->who), .on_gone = entry_on_gone, .arg = e,
	});
	respond_poll(en->conn, LONGPOLL_GONE, longpoll_token(lp), SLICE(""));
}

/* A request without a session: a poll begins one. */
static void
handle_without(struct entry *en, const struct credentials *c)
{
	if (slice_is(en->req->method, "GET"))
		begin_session(en, c);
	else
		respond_status(en->conn, LONGPOLL_GONE);
}

static void
call_free(struct longpoll_call *call)
{
	buf_done(&call->request.body);
	buf_done(&call->token);
	buf_done(&call->head);
	free(call);
}

static void
call_aborted(void *arg)
{
	struct longpoll_call *call = arg;

	longpoll_cancel(&call->request);
	longpoll_relay_cancel(&call->ask);
	call_free(call);
}

/* The session is no more: the request is looked at again as one without. */
static void
call_begin_anew(struct longpoll_call *call)
{
	struct http_request req;
	struct entry	    en = { .endpoint = call->endpoint, .conn = call->conn, .req = &req, .refuse = answer_refusal };
	struct credentials  c = { 0 };

	if (call->head.n == 0)
		respond_status(call->conn, LONGPOLL_GONE);
	else if (http_parse_head(buf_slice(&call->head), &call->endpoint->http.options.limits, &req) < 0 ||
	    credentials_find(&c, &req) < 0)
		respond_status(call->conn, LONGPOLL_ENDED);
	else {
		entry_init(&en);
		begin_session(&en, &c);
	}
	entry_done(&en);
	credentials_done(&c);
}

static void
call_answer(struct longpoll_call *call, bool post, enum longpoll_status status, struct slice messages)
{
	if (post || status == LONGPOLL_ENDED)
		respond_status(call->conn, status);
	else
		respond_poll(call->conn, status, buf_slice(&call->token), messages);
	call_free(call);
}

static void
call_on_poll(struct longpoll_request *r, enum longpoll_status status, struct slice messages)
{
	call_answer(container_of(r, struct longpoll_call, request), false, status, messages);
}

static void
call_on_post(struct longpoll_request *r, enum longpoll_status status, struct slice messages)
{
	call_answer(container_of(r, struct longpoll_call, request), true, status, messages);
}

static void
call_on_answer(struct longpoll_ask *a, enum longpoll_status status, struct slice messages)
{
	struct longpoll_call *call = container_of(a, struct longpoll_call, ask);

	if (status != LONGPOLL_GONE) {
		call_answer(call, a->post, status, messages);
		return;
	}
	call_begin_anew(call);
	call_free(call);
}

static struct longpoll_call *
call_new(struct entry *en, const struct credentials *c)
{
	struct longpoll_call *call = xcalloc(1, sizeof(*call));

	call->endpoint = en->endpoint;
	call->conn = en->conn;
	buf_add_slice(&call->token, buf_slice(&c->session));
	http_conn_await(en->conn, call_aborted, call);
	return call;
}

/* The exact text, as the reference has it: with a parameter behind it, it is another. */
static bool
is_ndjson(const struct http_request *req)
{
	return slice_is(http_field(req, "content-type", NULL), "application/x-ndjson");
}

static void
call_here(struct longpoll *lp, struct entry *en, const struct credentials *c, struct slice body)
{
	struct longpoll_call *call = call_new(en, c);

	if (slice_is(en->req->method, "GET")) {
		call->request.answer = call_on_poll;
		longpoll_poll(lp, &call->request);
		return;
	}
	call->request.answer = call_on_post;
	call->request.ndjson = is_ndjson(en->req);
	buf_add_slice(&call->request.body, body);
	longpoll_post(lp, &call->request);
}

/* What cannot be written as JSON cannot be a message, either: the session learns that it came. */
static bool
is_text(struct slice body)
{
	return memchr(body.p, '\0', body.n) == NULL && utf8_valid(body);
}

static void
call_there(const struct longpoll_token *token, struct entry *en, const struct credentials *c, struct slice body)
{
	struct longpoll_call  *call = call_new(en, c);
	bool		       post = !slice_is(en->req->method, "GET"), text = is_text(body);
	const struct slice     said = text ? body : SLICE("");
	int		       r;

	call->ask.answer = call_on_answer;
	if (!post)
		buf_add_slice(&call->head, slice(en->req->method.p, (size_t)(body.p - en->req->method.p)));
	r = longpoll_relay_ask(en->endpoint->relay, &call->ask, token, buf_slice(&call->token), text && is_ndjson(en->req),
	    post ? &said : NULL);
	if (r == 0)
		return;
	/* A fresh start finds a node that holds its session itself. */
	respond_status(call->conn, LONGPOLL_ENDED);
	call_free(call);
}

static void
handle_request(struct entry *en, const struct credentials *c, struct slice body)
{
	struct endpoint	     *e = en->endpoint;
	struct longpoll_token token;
	struct longpoll	     *lp;

	if (!c->has_session || longpoll_token_read(&token, buf_slice(&c->session)) < 0) {
		handle_without(en, c);
		return;
	}
	if (!slice_eq(token.node, e->longpolls->node) && e->relay->redis != NULL) {
		call_there(&token, en, c, body);
		return;
	}
	lp = longpolls_find(e->longpolls, &token);
	if (lp != NULL)
		call_here(lp, en, c, body);
	else
		handle_without(en, c);
}

int
endpoint_longpoll_refusal(const struct endpoint *e, const struct http_request *req)
{
	if (!slice_is(req->method, "GET") && !slice_is(req->method, "POST") && !slice_is(req->method, "OPTIONS"))
		return 400;
	return req->content_length > e->longpolls->options.max_message ? 413 : 0;
}

void
endpoint_longpoll(struct endpoint *e, struct http_conn *conn, const struct http_request *req, struct slice body)
{
	struct entry	   en = { .endpoint = e, .conn = conn, .req = req, .refuse = answer_refusal };
	struct credentials c = { 0 };

	if (slice_is(req->method, "OPTIONS")) {
		respond_options(conn, req);
		return;
	}
	entry_init(&en);
	if (entry_check_origin(&en)) {
		if (credentials_find(&c, req) < 0)
			entry_refuse(&en, 400, NULL, "parameters are not UTF-8");
		else
			handle_request(&en, &c, body);
	}
	credentials_done(&c);
	entry_done(&en);
}
