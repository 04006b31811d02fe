/*
 * The stub: our own server side of HTTP, with odd habits.
 */
#include "http_stub.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

static void
note(struct http_stub *s, const struct http_request *req, struct slice body)
{
	s->n_requests++;
	s->seen.n = 0;
	buf_addf(&s->seen, "%.*s %.*s\n", SLICE_ARG(req->method), SLICE_ARG(req->target));
	for (unsigned i = 0; i < req->n_fields; i++)
		buf_addf(&s->seen, "%.*s: %.*s\n", SLICE_ARG(req->fields[i].name), SLICE_ARG(req->fields[i].value));
	buf_add_char(&s->seen, '\n');
	buf_add_slice(&s->seen, body);
	buf_add_char(&s->seen, '\0');
	s->seen.n--;
}

static void
respond_with_head(struct http_conn *c)
{
	autobuf struct buf extra = { 0 };

	for (int i = 0; i < 1000; i++)
		buf_addf(&extra, "X-Field-%03d: %066d\r\n", i, 0);
	buf_add_char(&extra, '\0');
	http_respond(c, 200, extra.p, "text/plain", SLICE("ok"));
}

/* Those who went were pending, at a place that only a search finds. */
static void
on_abort(void *arg)
{
	*(struct http_conn **)arg = NULL;
}

static void
keep(struct http_stub *s, struct http_conn *c)
{
	ck_assert_uint_lt(s->n_pending, STUB_MAX_PENDING);
	s->pending[s->n_pending] = c;
	http_conn_await(c, on_abort, &s->pending[s->n_pending]);
	s->n_pending++;
}

static void
handle(struct http_conn *c, const struct http_request *req, struct slice body, void *arg)
{
	static char	  huge[20000];
	struct http_stub *s = arg;
	autofree char	 *path = xstrndup(req->path.p, req->path.n);
	struct slice	  rest;
	unsigned	  status;

	note(s, req, body);
	if (strcmp(path, "/later") == 0)
		keep(s, c);
	else if (strcmp(path, "/hangup") == 0)
		stream_free(http_take_stream(c, &rest), true);
	else if (strcmp(path, "/huge") == 0)
		http_respond(c, 200, NULL, "text/plain", slice(huge, sizeof(huge)));
	else if (strcmp(path, "/head") == 0)
		respond_with_head(c);
	else if (sscanf(path, "/%3u", &status) == 1)
		http_respond(c, status, status == 302 ? "Location: /elsewhere\r\n" : NULL, "text/plain", slice_str(s->answer));
	else
		http_respond(c, 200, NULL, "application/json", slice_str(s->answer));
}

static void
on_gone(void *owner)
{
}

static void
on_accept(struct listener *l, int fd, const struct addr *peer, void *arg)
{
	struct http_stub *s = arg;

	s->n_connections++;
	http_conn_new(&s->http, stream_new(s->loop, fd, &stream_plain, NULL, NULL), peer, NULL, on_gone);
}

void
http_stub_init(struct http_stub *s, struct loop *loop)
{
	struct addr_listen at, bound;
	const char	  *why;
	int		   fd;

	*s = (struct http_stub){ .loop = loop, .answer = "ok" };
	ck_assert_int_eq(addr_listen_parse(&at, "127.0.0.1:0", &why), 0);
	fd = listener_bind(&at, false, &bound);
	ck_assert_int_ge(fd, 0);
	http_server_init(&s->http, loop, handle, s);
	s->listener = listener_new(loop, fd, &bound, on_accept, s);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", addr_listen_port(&bound));
}

void
http_stub_done(struct http_stub *s)
{
	listener_free(s->listener, false);
	http_server_done(&s->http);
	loop_end_turn(s->loop);
	buf_done(&s->seen);
}

void
http_stub_answer(struct http_stub *s, const char *answer)
{
	const unsigned n = s->n_pending;

	s->n_pending = 0;
	for (unsigned i = 0; i < n; i++)
		if (s->pending[i] != NULL)
			http_respond(s->pending[i], 200, NULL, "application/json", slice_str(answer));
	loop_end_turn(s->loop);
}

void
turn_until(struct loop *l, const unsigned *n, unsigned is)
{
	const uint64_t end = clock_ms() + 10000;

	while (*n < is) {
		loop_turn(l, true);
		ck_assert_msg(clock_ms() < end, "%u of %u", *n, is);
	}
}
