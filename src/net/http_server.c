/*
 * HTTP connections. Each is in one state, and a state has one step that uses up bytes; the steps run until
 * one wants more. Bytes are read where the stream has them, and kept only while a request is incomplete or
 * has to wait.
 */
#include "net/http_server.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"

#define MAX_WAITING	(64 * 1024)	/* bytes kept behind a request that is not answered yet: more is not read */
#define MAX_UNSENT	(256 * 1024)	/* bytes of answers not written yet: beyond, the next request waits */
#define MAX_DISCARDED	(256 * 1024)	/* bytes read for nothing after the last answer */

enum http_state {
	HTTP_HEAD,
	HTTP_BODY,
	HTTP_PENDING,	/* the handler has the request */
	HTTP_LINGER,	/* the last answer is given */
	HTTP_OVER	/* ended or taken over: freed at the end of the turn */
};

/* `have` lies in `in` if that holds anything, else in the stream's bytes, and then only while the steps run. */
struct http_conn {
	struct http_server *server;
	struct stream	   *stream;
	struct list	    in_server;
	struct grave	    grave;
	struct timer	    timer;	/* the one deadline of the present state */
	enum http_state	    state;
	bool		    running : 1;
	bool		    keep_alive : 1;	/* of the request under way */
	bool		    head_only : 1;
	struct addr	    peer;
	struct slice	    have;	/* bytes that came and are not used up */
	struct buf	    in;
	size_t		    scanned;	/* of the head, for http_head_end() */
	size_t		    head_len;
	size_t		    request_len;	/* with the body */
	size_t		    discarded;
	void		   *owner;
	void		  (*on_gone)(void *owner);
	void		  (*on_abort)(void *arg);	/* while the handler has the request; NULL = it does not care */
	void		   *abort_arg;
};

static void
http_conn_set_deadline(struct http_conn *c, uint64_t ms)
{
	loop_timer(c->server->loop, &c->timer, c->server->loop->now + ms);
}

static void
http_conn_bury(struct grave *g)
{
	struct http_conn *c = container_of(g, struct http_conn, grave);

	buf_done(&c->in);
	free(c);
}

/* HTTP is over on this connection, whatever becomes of the stream. */
static void
http_conn_leave(struct http_conn *c)
{
	c->state = HTTP_OVER;
	timer_stop(&c->timer);
	list_remove(&c->in_server);
	c->server->n_conns--;
	loop_bury(c->server->loop, &c->grave);
}

static void
http_conn_end(struct http_conn *c, bool reset)
{
	if (c->state == HTTP_OVER)
		return;
	http_conn_leave(c);
	stream_free(c->stream, reset);
	if (c->on_abort != NULL)
		c->on_abort(c->abort_arg);
	if (c->on_gone != NULL)
		c->on_gone(c->owner);
}

/* Closing at once could reset the connection, and the peer would lose what it has not read: it may close first. */
static void
http_conn_linger(struct http_conn *c)
{
	c->state = HTTP_LINGER;
	stream_shutdown(c->stream);
	http_conn_set_deadline(c, c->server->options.linger_ms);
}

static void
http_conn_answer(struct http_conn *c, unsigned status, const char *extra, const char *type, struct slice body)
{
	bool		   keep_alive = c->keep_alive && status < 400 && !c->server->closing;
	autobuf struct buf out = { 0 };

	c->on_abort = NULL;
	if (status >= 400)
		stats->http_errors_total++;
	http_response(&out, status, keep_alive, extra, type, body, c->head_only);
	stream_send(c->stream, frame_raw_copy(buf_slice(&out)));
	if (!keep_alive) {
		http_conn_linger(c);
		return;
	}
	c->state = HTTP_HEAD;
	http_conn_set_deadline(c, c->server->options.handshake_ms);
}

static const struct http_refusal plainly;

/* Answers a request that no handler gets to see, and closes behind it. */
static void
http_conn_refuse(struct http_conn *c, unsigned status, const struct http_refusal *how)
{
	autobuf struct buf text = { 0 };

	stats->http_requests_total++;
	c->keep_alive = false;
	c->head_only = slice_starts(c->have, SLICE("HEAD "));
	buf_addf(&text, "%s\n", http_reason(status));
	http_conn_answer(c, status, how->extra, how->type != NULL ? how->type : "text/plain",
	    how->type != NULL ? slice_str(how->body) : buf_slice(&text));
}

/* Gives the handler the complete request at the front of what we have. */
static bool
http_conn_handle(struct http_conn *c, const struct http_request *req)
{
	struct slice body = slice(c->have.p + c->head_len, c->request_len - c->head_len);

	c->have = slice_from(c->have, c->request_len);
	c->scanned = 0;
	c->keep_alive = req->keep_alive;
	c->head_only = slice_is(req->method, "HEAD");
	c->state = HTTP_PENDING;
	timer_stop(&c->timer);
	stats->http_requests_total++;
	c->server->handler(c, req, body, c->server->arg);
	return true;
}

/* A client that asked whether its body is welcome is waiting for this. */
static void
http_conn_continue(struct http_conn *c, const struct http_request *req)
{
	if (req->minor > 0 && http_has_token(req, "Expect", "100-continue"))
		stream_send(c->stream, frame_raw_copy(SLICE("HTTP/1.1 100 Continue\r\n\r\n")));
}

/*
 * 0, or why a body cannot be taken. Behind an upgrade there are frames: whoever sends a body with it is not
 * understood.
 */
static int
refusal_of_body(const struct http_request *req)
{
	if (!req->has_body)
		return 0;
	if (http_field(req, "Upgrade", NULL).p != NULL)
		return 400;
	return req->content_length == 0 ? 411 : 0;
}

/* Takes or refuses a request by its head. */
static bool
http_conn_admit(struct http_conn *c, const struct http_request *req, size_t head_len)
{
	struct http_server *server = c->server;
	struct http_refusal how = { 0 };
	int		    status = server->on_head != NULL ? server->on_head(c, req, &how, server->arg) : 0;

	if (status == 0)
		status = refusal_of_body(req);
	if (status != 0) {
		http_conn_refuse(c, (unsigned)status, &how);
		return true;
	}
	c->head_len = head_len;
	c->request_len = head_len + req->content_length;
	if (c->have.n >= c->request_len)
		return http_conn_handle(c, req);
	c->state = HTTP_BODY;
	if (c->have.n == head_len)
		http_conn_continue(c, req);
	return false;
}

/* False while the peer does not read its answers: on_flushed() will be told. */
static bool
http_conn_may_answer(struct http_conn *c)
{
	if (c->stream->out.bytes > MAX_UNSENT)
		stream_flush(c->stream);
	return c->state == HTTP_HEAD && c->stream->out.bytes <= MAX_UNSENT;
}

static bool
step_head(struct http_conn *c)
{
	const struct http_limits *limits = &c->server->options.limits;
	struct http_request	  req;
	ssize_t			  n;
	int			  r;

	if (!http_conn_may_answer(c))
		return false;
	n = http_head_end(c->have, &c->scanned, limits);
	if (n == 0)
		return false;
	r = n < 0 ? (int)n : http_parse_head(slice(c->have.p, (size_t)n), limits, &req);
	if (r == 0)
		return http_conn_admit(c, &req, (size_t)n);
	http_conn_refuse(c, (unsigned)-r, &plainly);
	return true;
}

/* The head is parsed again, for the first parse's slices are gone. */
static bool
step_body(struct http_conn *c)
{
	struct http_request req;
	int		    r;

	if (c->have.n < c->request_len)
		return false;
	r = http_parse_head(slice(c->have.p, c->head_len), &c->server->options.limits, &req);
	if (r == 0)
		return http_conn_handle(c, &req);
	/* It was fine before: the limits have changed. */
	http_conn_refuse(c, (unsigned)-r, &plainly);
	return true;
}

static bool
step_wait(struct http_conn *c)
{
	return false;
}

static bool
step_discard(struct http_conn *c)
{
	c->discarded += c->have.n;
	c->have.n = 0;
	if (c->discarded > MAX_DISCARDED)
		http_conn_end(c, false);
	return false;
}

static bool (*const steps[])(struct http_conn *) = {
	[HTTP_HEAD] = step_head,
	[HTTP_BODY] = step_body,
	[HTTP_PENDING] = step_wait,
	[HTTP_LINGER] = step_discard,
	[HTTP_OVER] = step_wait,
};

/* Keeps what is left of the stream's bytes, and reads on unless enough of them wait. */
static void
http_conn_keep(struct http_conn *c)
{
	bool waits = c->state == HTTP_PENDING || c->stream->out.bytes > MAX_UNSENT;

	if (c->have.n == 0)
		buf_done(&c->in);
	else if (c->in.p == NULL) {
		buf_add_slice(&c->in, c->have);
		c->have = buf_slice(&c->in);
	}
	stream_set_reading(c->stream, !waits || c->have.n <= MAX_WAITING);
}

/* Runs the steps. A handler that answers at once is called from here again, not from within its answer. */
static void
http_conn_run(struct http_conn *c)
{
	if (c->running)
		return;
	c->running = true;
	while (c->have.n > 0 && steps[c->state](c))
		;
	c->running = false;
	if (c->state != HTTP_OVER)
		http_conn_keep(c);
}

/*
 * Puts new bytes behind those that were kept. What is used up goes when it is the greater part: no byte moves
 * often.
 */
static void
http_conn_append(struct http_conn *c, const char *p, size_t n)
{
	size_t used = (size_t)(c->have.p - c->in.p);

	if (used >= c->have.n) {
		memmove(c->in.p, c->have.p, c->have.n);
		c->in.n = c->have.n;
		used = 0;
	}
	buf_add(&c->in, p, n);
	c->have = slice_from(buf_slice(&c->in), used);
}

static void
http_conn_on_peer(struct stream *s, const struct addr *peer)
{
	struct http_conn *c = s->owner;

	c->peer = *peer;
}

static void
http_conn_on_bytes(struct stream *s, char *p, size_t n)
{
	struct http_conn *c = s->owner;

	if (c->have.n == 0)
		c->have = slice(p, n);
	else
		http_conn_append(c, p, n);
	http_conn_run(c);
}

static void
http_conn_on_end(struct stream *s, int error)
{
	http_conn_end(s->owner, false);
}

/* The answer's end counts, not its beginning: a slow reader has its whole time again. */
static void
http_conn_on_flushed(struct stream *s)
{
	struct http_conn		 *c = s->owner;
	const struct http_server_options *options = &c->server->options;

	if (c->state == HTTP_LINGER)
		http_conn_set_deadline(c, options->linger_ms);
	else if (c->state != HTTP_PENDING)
		http_conn_set_deadline(c, options->handshake_ms);
	http_conn_run(c);
}

static const struct stream_user http_user = {
	.on_peer = http_conn_on_peer,
	.on_bytes = http_conn_on_bytes,
	.on_end = http_conn_on_end,
	.on_flushed = http_conn_on_flushed,
};

static void
http_conn_expire(struct timer *t, uint64_t now)
{
	struct http_conn		 *c = container_of(t, struct http_conn, timer);
	const struct http_server_options *options = &c->server->options;
	const struct stream		 *s = c->stream;
	uint64_t patience = c->state == HTTP_LINGER ? options->linger_ms : options->handshake_ms;

	/* Whoever is reading our answer has until it stops. */
	if (s->out.bytes > 0 && now < s->progress + patience) {
		loop_timer(c->server->loop, t, s->progress + patience);
		return;
	}
	if (c->state != HTTP_LINGER)
		stats->timeouts_total++;
	if (c->have.n > 0 && s->out.bytes == 0 && (c->state == HTTP_HEAD || c->state == HTTP_BODY)) {
		http_conn_refuse(c, 408, &plainly);
		http_conn_run(c);
	} else
		http_conn_end(c, s->out.bytes > 0);
}

void
http_server_init(struct http_server *server, struct loop *loop, http_handler *handler, void *arg)
{
	*server = (struct http_server){
		.loop = loop,
		.handler = handler,
		.arg = arg,
		.options = {
			.limits = { .head = 16 * 1024, .target = 8 * 1024, .fields = HTTP_MAX_FIELDS, .body = 1024 * 1024 },
			.handshake_ms = 10000,
			.linger_ms = 5000,
		},
	};
	list_init(&server->conns);
}

void
http_server_done(struct http_server *server)
{
	while (!list_empty(&server->conns))
		http_conn_end(list_entry(server->conns.next, struct http_conn, in_server), false);
}

struct http_conn *
http_conn_new(struct http_server *server, struct stream *s, const struct addr *peer, void *owner,
    void (*on_gone)(void *owner))
{
	struct http_conn *c = xmalloc(sizeof(*c));

	*c = (struct http_conn){
		.server = server,
		.stream = s,
		.grave.bury = http_conn_bury,
		.timer.fire = http_conn_expire,
		.state = HTTP_HEAD,
		.peer = *peer,
		.owner = owner,
		.on_gone = on_gone,
	};
	stream_set_user(s, &http_user, c);
	list_append(&server->conns, &c->in_server);
	server->n_conns++;
	http_conn_set_deadline(c, server->options.handshake_ms);
	return c;
}

const struct addr *
http_conn_peer(const struct http_conn *c)
{
	return &c->peer;
}

void *
http_conn_owner(const struct http_conn *c)
{
	return c->owner;
}

void
http_conn_await(struct http_conn *c, void (*on_abort)(void *arg), void *arg)
{
	assert(c->state == HTTP_PENDING);
	c->on_abort = on_abort;
	c->abort_arg = arg;
}

void
http_respond(struct http_conn *c, unsigned status, const char *extra, const char *type, struct slice body)
{
	if (c->state == HTTP_OVER)
		return;
	assert(c->state == HTTP_PENDING);
	http_conn_answer(c, status, extra, type, body);
	http_conn_run(c);
}

struct stream *
http_take_stream(struct http_conn *c, struct slice *rest)
{
	assert(c->state == HTTP_PENDING);
	*rest = c->have;
	c->on_abort = NULL;
	http_conn_leave(c);
	stream_set_reading(c->stream, true);
	return c->stream;
}
