/*
 * HTTP connections over a socketpair; the loop is turned by hand and time is what we say.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stats.h"
#include "net/http_server.h"
#include "net/proxied.h"

Suite *http_server_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#define HOST	"Host: a.example\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static struct loop	 *loop;
static struct http_server server;
static struct http_conn	 *conn;
static struct stats	  before;
static int		  client;	/* our end */
static int		  gone;		/* times that on_gone was told */
static struct buf	  seen;		/* what the handler was given: "METHOD target body;" */
static struct buf	  taken;	/* what the stream's next user was given */
static struct http_conn	 *pending;
static struct stream	 *stream;

/* By the path: /later leaves it to the test, /take takes the stream, /big answers 100 KB, a number is a status. */
static void
handle(struct http_conn *c, const struct http_request *req, struct slice body, void *arg)
{
	static char    big[100000];
	autofree char *path = xstrndup(req->path.p, req->path.n);
	struct slice   rest;
	unsigned       status;

	ck_assert_ptr_eq(arg, &server);
	buf_addf(&seen, "%.*s %.*s %.*s;", SLICE_ARG(req->method), SLICE_ARG(req->target), SLICE_ARG(body));
	if (slice_is(req->path, "/later"))
		pending = c;
	else if (slice_is(req->path, "/take")) {
		stream = http_take_stream(c, &rest);
		buf_add_slice(&taken, rest);
	} else if (slice_is(req->path, "/big"))
		http_respond(c, 200, NULL, "text/plain", slice(big, sizeof(big)));
	else if (sscanf(path, "/%3u", &status) == 1)
		http_respond(c, status, status == 405 ? "Allow: PUT\r\n" : NULL, NULL, SLICE(""));
	else
		http_respond(c, 200, NULL, "text/plain", SLICE("ok\n"));
}

static int
on_head(struct http_conn *c, const struct http_request *req, struct http_refusal *how, void *arg)
{
	if (slice_is(req->method, "PUT"))
		how->extra = "Allow: GET, POST\r\n";
	if (slice_is(req->method, "DELETE"))
		*how = (struct http_refusal){ .type = "application/json", .body = "{\"no\":1}" };
	return slice_is(req->method, "PUT") ? 405 : slice_is(req->method, "DELETE") ? 403 : 0;
}

static void
on_gone(void *owner)
{
	ck_assert_ptr_eq(owner, &gone);
	gone++;
}

static void
start(const struct stream_ops *ops)
{
	static const struct addr peer = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };
	int			 fds[2], small = 4096;
	struct stream		*s;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	client = fds[0];
	gone = 0;
	pending = NULL;
	stream = NULL;
	before = *stats;
	loop = loop_new();
	http_server_init(&server, loop, handle, &server);
	server.on_head = on_head;
	s = stream_new(loop, fds[1], ops, NULL, NULL);
	if (ops == &stream_proxied)
		ck_assert_int_eq(proxied_accept(s, NULL), 0);
	conn = http_conn_new(&server, s, &peer, &gone, on_gone);
}

static void
set_up(void)
{
	start(&stream_plain);
}

static void
set_up_behind_proxy(void)
{
	start(&stream_proxied);
}

static void
tear_down(void)
{
	stream_free(stream, false);
	http_server_done(&server);
	ck_assert_uint_eq(server.n_conns, 0);
	ck_assert_int_eq(gone, stream == NULL);
	loop_free(loop);
	close(client);
	buf_done(&seen);
	buf_done(&taken);
}

/* One turn at the loop's time as it stands. */
static void
turn(void)
{
	loop->awake = true;
	ck_assert_int_ge(event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
	loop_end_turn(loop);
}

static void
pass(uint64_t ms)
{
	loop->now += ms;
	turn();
}

static void
client_send(struct slice s)
{
	ck_assert_int_eq(send(client, s.p, s.n, MSG_NOSIGNAL), (ssize_t)s.n);
	turn();
}

#define say(literal) client_send(SLICE(literal))

/* Adds what can be read now; returns false at the end. */
static bool
client_read(struct buf *b)
{
	ssize_t n;

	while ((n = read(client, buf_room(b, 65536), 65536)) > 0)
		b->n += (size_t)n;
	ck_assert(n == 0 || errno == EAGAIN || errno == ECONNRESET);
	return n < 0 && errno == EAGAIN;
}

static unsigned
count(const struct buf *b, const char *what)
{
	unsigned     n = 0;
	struct slice all = buf_slice(b), wanted = slice_str(what);

	for (; all.n >= wanted.n; all = slice_from(all, 1))
		n += slice_starts(all, wanted);
	return n;
}

/* One answer: its status, the end of its body, and whether the server shut down behind it. */
static void
expect(int status, const char *with, bool open)
{
	autobuf struct buf b = { 0 };
	autofree char	  *line = xasprintf("HTTP/1.1 %d ", status);

	ck_assert_int_eq(client_read(&b), open);
	ck_assert_msg(slice_starts(buf_slice(&b), slice_str(line)), "%.*s", SLICE_ARG(buf_slice(&b)));
	ck_assert_uint_eq(count(&b, "HTTP/1.1 "), 1);
	ck_assert_uint_eq(count(&b, open ? "\r\nConnection: keep-alive\r\n" : "\r\nConnection: close\r\n"), 1);
	ck_assert_msg(count(&b, with) == 1, "%.*s", SLICE_ARG(buf_slice(&b)));
}

/* Sends the same again and again until nobody takes it any more; returns the bytes that went. */
static size_t
flood(struct slice with)
{
	size_t total = 0;

	for (int quiet = 0; quiet < 3; quiet++) {
		size_t	at = total % with.n;
		ssize_t n = send(client, with.p + at, with.n - at, MSG_NOSIGNAL);

		if (n > 0) {
			total += (size_t)n;
			quiet = 0;
		}
		turn();
	}
	return total;
}

static void
expect_nothing(bool open)
{
	autobuf struct buf b = { 0 };

	ck_assert_int_eq(client_read(&b), open);
	ck_assert_uint_eq(b.n, 0);
}

static void
expect_seen(const char *what)
{
	ck_assert_msg(slice_is(buf_slice(&seen), what), "%.*s", SLICE_ARG(buf_slice(&seen)));
}

START_TEST(request_is_answered)
{
	say(GET("/ok"));
	expect(200, "\r\n\r\nok\n", true);
	expect_seen("GET /ok ;");
	ck_assert_uint_eq(stats->http_requests_total, before.http_requests_total + 1);
	ck_assert_uint_eq(stats->http_errors_total, before.http_errors_total);
	ck_assert_int_eq(gone, 0);
}
END_TEST

START_TEST(request_may_come_in_pieces)
{
	static const char request[] = "POST /ok HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" GET("/2");

	for (size_t i = 0; i < sizeof(request) - 1; i++)
		client_send(slice(request + i, 1));
	expect_seen("POST /ok abc;GET /2 ;");
}
END_TEST

/* Cut once, at any place, a body and a request behind it included. */
START_TEST(request_may_be_cut)
{
	static const struct slice request = SLICE("POST /1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" GET("/2"));

	for (size_t i = 0; i <= request.n; i++) {
		seen.n = 0;
		ck_assert_int_eq(send(client, request.p, i, 0), (ssize_t)i);
		turn();
		client_send(slice_from(request, i));
		expect_seen("POST /1 abc;GET /2 ;");
	}
}
END_TEST

START_TEST(head_has_no_body)
{
	autobuf struct buf b = { 0 };

	say("HEAD /ok HTTP/1.1\r\n" HOST "\r\n");
	say("HEAD /ok HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	ck_assert(!client_read(&b));
	ck_assert_uint_eq(count(&b, "Content-Length: 3\r\nContent-Type: text/plain\r\n\r\nHTTP/1.1 411"), 1);
	ck_assert_uint_eq(count(&b, "Content-Length: 16\r\nContent-Type: text/plain\r\n\r\n"), 1);
	ck_assert_uint_eq(count(&b, "Length Required\n"), 0);
}
END_TEST

START_TEST(requests_are_answered_in_order)
{
	autobuf struct buf b = { 0 };

	say(GET("/1") GET("/ok") GET("/later") GET("/ok"));
	expect_seen("GET /1 ;GET /ok ;GET /later ;");
	ck_assert_ptr_eq(pending, conn);
	pass(60000);
	http_respond(pending, 202, NULL, NULL, SLICE(""));
	expect_seen("GET /1 ;GET /ok ;GET /later ;GET /ok ;");
	turn();
	ck_assert(client_read(&b));
	ck_assert_uint_eq(count(&b, "HTTP/1.1 1 "), 1);
	ck_assert_uint_eq(count(&b, "HTTP/1.1 200 "), 2);
	ck_assert_uint_eq(count(&b, "HTTP/1.1 202 "), 1);
}
END_TEST

static const struct {
	struct slice request;
	int	     status;
	const char  *with;
} errors[] = {
	{ SLICE("GET / HTTP/1.1\r\n\r\n"), 400, "\r\n\r\nBad Request\n" },
	{ SLICE("\x16\x03\x01\x00\xc4\x01"), 400, "\r\n\r\nBad Request\n" },
	{ SLICE("GET / HTTP/1.1\n"), 400, "\r\n\r\nBad Request\n" },
	{ SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, "\r\n\r\nHTTP Version Not Supported\n" },
	{ SLICE("PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"), 405, "\r\nAllow: GET, POST\r\n" },
	{ SLICE("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), 405, "\r\nAllow: GET, POST\r\n" },
	{ SLICE("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/")), 411,
	    "\r\n\r\nLength Required\n" },
	{ SLICE("DELETE / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"), 403,
	    "\r\nContent-Length: 8\r\nContent-Type: application/json\r\n\r\n{\"no\":1}" },
	{ SLICE("POST / HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n"), 413, "\r\n\r\nContent Too Large\n" },
	{ SLICE("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/")), 400,
	    "\r\n\r\nBad Request\n" },
	{ SLICE("GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nContent-Length: 5\r\n\r\n"), 400, "Bad Request\n" },
	{ SLICE("GET / HTTP/1.1\r\n" HOST "Upgrade: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "Bad Request\n" },
	{ SLICE(GET("/404") GET("/")), 404, "Content-Length: 0\r\n" },
	{ SLICE(GET("/405") GET("/")), 405, "\r\nAllow: PUT\r\n" },
	{ SLICE("GET /200 HTTP/1.0\r\n\r\n" GET("/")), 200, "Content-Length: 0\r\n" },
	{ SLICE("GET /200 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/")), 200, "Content-Length: 0\r\n" },
};

/* Nothing behind a last answer is a request; the peer closes first, and then we do. */
START_TEST(last_answer_closes)
{
	unsigned calls;

	client_send(errors[_i].request);
	calls = count(&seen, ";");
	ck_assert_uint_le(calls, 1);
	expect(errors[_i].status, errors[_i].with, false);
	ck_assert_uint_eq(stats->http_requests_total, before.http_requests_total + 1);
	ck_assert_uint_eq(stats->http_errors_total, before.http_errors_total + (errors[_i].status >= 400));
	say(GET("/"));
	pass(4900);
	ck_assert_int_eq(gone, 0);
	ck_assert_uint_eq(count(&seen, ";"), calls);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	turn();
	ck_assert_int_eq(gone, 1);
}
END_TEST

START_TEST(a_closing_server_answers_once)
{
	say(GET("/ok"));
	expect(200, "\r\n\r\nok\n", true);
	server.closing = true;
	say(GET("/ok"));
	expect(200, "\r\n\r\nok\n", false);
	ck_assert_uint_eq(stats->http_errors_total, before.http_errors_total);
}
END_TEST

START_TEST(linger_ends_by_time)
{
	say("x\n");
	expect(400, "Bad Request\n", false);
	pass(4900);
	ck_assert_int_eq(gone, 0);
	pass(200);
	ck_assert_int_eq(gone, 1);
	ck_assert_uint_eq(stats->timeouts_total, before.timeouts_total);
}
END_TEST

START_TEST(linger_ends_by_bytes)
{
	static char rubbish[32768];

	say("x\n");
	for (int i = 0; i < 7; i++)
		client_send(slice(rubbish, sizeof(rubbish)));
	ck_assert_int_eq(gone, 0);
	client_send(slice(rubbish, sizeof(rubbish)));
	ck_assert_int_eq(gone, 1);
	expect(400, "Bad Request\n", false);
}
END_TEST

START_TEST(head_may_be_too_long)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "GET / HTTP/1.1\r\n" HOST "a: ");
	while (b.n < 16 * 1024 - 1)
		buf_add_char(&b, 'x');
	client_send(buf_slice(&b));
	expect_nothing(true);
	say("x");
	expect(431, "Request Header Fields Too Large\n", false);
}
END_TEST

static const struct {
	struct slice sent;
	int	     status;	/* 0 = closed without an answer */
} slow[] = {
	{ SLICE(""), 0 },
	{ SLICE("G"), 408 },
	{ SLICE("GET / HTTP/1.1\r\n"), 408 },
	{ SLICE("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"), 408 },
	{ SLICE("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabc"), 408 },
};

static void
expect_timeout(int status)
{
	if (status == 0) {
		ck_assert_int_eq(gone, 1);
		expect_nothing(false);
	} else {
		ck_assert_int_eq(gone, 0);
		expect(status, "\r\n\r\nRequest Timeout\n", false);
	}
	ck_assert_uint_eq(stats->timeouts_total, before.timeouts_total + 1);
}

START_TEST(request_has_a_deadline)
{
	client_send(slow[_i].sent);
	pass(9900);
	expect_nothing(true);
	pass(200);
	expect_timeout(slow[_i].status);
	pass(5100);
	ck_assert_int_eq(gone, 1);
}
END_TEST

/* It is counted from the beginning, not from the last octet. */
START_TEST(dripping_does_not_help)
{
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(gone, 0);
		expect_nothing(true);
		say("G");
		pass(500);
	}
	pass(100);
	expect_timeout(408);
}
END_TEST

/* From the last answer on, it is the same deadline again. */
START_TEST(idle_connection_is_closed)
{
	pass(5000);
	say(GET("/ok"));
	expect(200, "ok\n", true);
	pass(9900);
	client_send(slow[_i].sent);
	expect_nothing(true);
	pass(200);
	expect_timeout(slow[_i].status);
}
END_TEST

START_TEST(handler_has_no_deadline)
{
	say(GET("/later"));
	pass(3600000);
	ck_assert_int_eq(gone, 0);
	http_respond(pending, 200, NULL, "text/plain", SLICE("late\n"));
	turn();
	expect(200, "late\n", true);
	pass(9900);
	ck_assert_int_eq(gone, 0);
	pass(200);
	ck_assert_int_eq(gone, 1);
}
END_TEST

START_TEST(body_is_invited)
{
	autobuf struct buf b = { 0 };

	say("POST /ok HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n");
	ck_assert(client_read(&b));
	ck_assert(slice_is(buf_slice(&b), "HTTP/1.1 100 Continue\r\n\r\n"));
	say("abc");
	expect(200, "ok\n", true);
	say("POST /ok HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
	expect(200, "ok\n", true);
	say("POST /ok HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nab");
	say("c");
	expect(200, "ok\n", true);
	say("PUT /ok HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	expect(405, "Allow: GET", false);
}
END_TEST

START_TEST(long_body_is_collected)
{
	autobuf struct buf body = { 0 };
	static char	   piece[10000];

	memset(piece, 'x', sizeof(piece));
	say("POST /ok HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
	for (int i = 0; i < 100; i++) {
		expect_nothing(true);
		client_send(slice(piece, sizeof(piece)));
	}
	expect(200, "ok\n", true);
	ck_assert_uint_eq(count(&seen, "x"), 1000000);
}
END_TEST

START_TEST(limits_may_change_meanwhile)
{
	say("POST /ok HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
	server.options.limits.body = 2;
	say("abc");
	expect(413, "Content Too Large\n", false);
	expect_seen("");
}
END_TEST

START_TEST(stream_is_taken)
{
	say(GET("/ok") GET("/take") "frames");
	ck_assert_ptr_nonnull(stream);
	ck_assert(slice_is(buf_slice(&taken), "frames"));
	ck_assert_int_eq(gone, 0);
	ck_assert_uint_eq(server.n_conns, 0);
}
END_TEST

/* The head came before, so what follows it is in our own buffer. */
START_TEST(stream_is_taken_from_pieces)
{
	say("GET /take HTTP/1.1\r\nHost: ");
	say("a\r\n\r\nframes");
	ck_assert(slice_is(buf_slice(&taken), "frames"));
}
END_TEST

START_TEST(stream_is_taken_later)
{
	struct slice rest;

	say(GET("/later"));
	say("frames");
	stream = http_take_stream(pending, &rest);
	ck_assert(slice_is(rest, "frames"));
	turn();
	pass(60000);
	ck_assert_int_eq(gone, 0);
}
END_TEST

/* Whoever takes it later finds it reading, however much came meanwhile. */
START_TEST(stream_is_taken_full)
{
	struct slice rest;
	size_t	     sent;

	say(GET("/later"));
	sent = flood(SLICE("0123456789abcdef"));
	stream = http_take_stream(pending, &rest);
	ck_assert_uint_le(rest.n, sent);
	ck_assert_uint_gt(rest.n, 65536);
	ck_assert(stream->reading);
	stream_set_reading(stream, false);
	turn();
}
END_TEST

static void
on_abort(void *arg)
{
	ck_assert_ptr_eq(arg, &pending);
	pending = NULL;
}

/* Who answers later hears of an end before that, and only then. */
START_TEST(a_late_answer_may_be_awaited)
{
	say(GET("/later"));
	http_conn_await(pending, on_abort, &pending);
	http_respond(pending, 200, NULL, "text/plain", SLICE("late\n"));
	ck_assert_ptr_nonnull(pending);
	say(GET("/later"));
	ck_assert_int_eq(shutdown(client, SHUT_RDWR), 0);
	turn();
	ck_assert_ptr_nonnull(pending);
	ck_assert_int_eq(gone, 1);
}
END_TEST

START_TEST(nobody_awaits_an_answer)
{
	say(GET("/later"));
	http_conn_await(pending, on_abort, &pending);
	ck_assert_int_eq(shutdown(client, SHUT_RDWR), 0);
	turn();
	ck_assert_ptr_null(pending);
	ck_assert_int_eq(gone, 1);
}
END_TEST

START_TEST(peer_goes_while_we_think)
{
	say(GET("/later") "more");
	close(client);
	ck_assert_int_eq(event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
	ck_assert_int_eq(gone, 1);
	http_respond(pending, 200, NULL, "text/plain", SLICE("too late\n"));
	turn();
	ck_assert_int_eq(gone, 1);
	ck_assert_uint_eq(server.n_conns, 0);
	client = -1;
}
END_TEST

START_TEST(peer_goes_before_its_request)
{
	say("GET / HT");
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	turn();
	ck_assert_int_eq(gone, 1);
	expect_nothing(false);
}
END_TEST

START_TEST(waiting_requests_are_bounded)
{
	autobuf struct buf b = { 0 }, requests = { 0 };
	size_t		   sent;

	while (requests.n < 32768)
		buf_add_str(&requests, GET("/200"));
	say(GET("/later"));
	sent = flood(buf_slice(&requests));
	ck_assert_uint_lt(sent, 1024 * 1024);
	expect_seen("GET /later ;");
	http_respond(pending, 200, NULL, NULL, SLICE(""));
	for (size_t i = 0; i < 200; i++) {
		turn();
		ck_assert(client_read(&b));
	}
	/* The last one may have been cut. */
	ck_assert_uint_eq(count(&b, "HTTP/1.1 200 "), 1 + sent / (sizeof(GET("/200")) - 1));
}
END_TEST

/* A peer that asks and does not read is not answered for ever, and closed when it makes no progress. */
START_TEST(unread_answers_are_bounded)
{
	size_t sent = flood(SLICE(GET("/big") GET("/big") GET("/big") GET("/big")));

	ck_assert_uint_lt(count(&seen, ";"), 10);
	ck_assert_uint_lt(sent, 1024 * 1024);
	pass(9900);
	ck_assert_int_eq(gone, 0);
	pass(10100);
	ck_assert_int_eq(gone, 1);
	ck_assert_uint_eq(stats->timeouts_total, before.timeouts_total + 1);
}
END_TEST

START_TEST(slow_reader_gets_all)
{
	autobuf struct buf b = { 0 };

	say(GET("/big") GET("/big") GET("/big") GET("/big") GET("/big") "GET /big HTTP/1.0\r\n\r\n");
	ck_assert_uint_lt(count(&seen, ";"), 6);
	for (int i = 0; i < 1000 && b.n < 600000; i++) {
		ssize_t n = read(client, buf_room(&b, 2000), 2000);

		b.n += n > 0 ? (size_t)n : 0;
		pass(1000);
		ck_assert_int_eq(gone, 0);
	}
	ck_assert_uint_ge(b.n, 600000);
	ck_assert_uint_eq(count(&b, "HTTP/1.1 200 "), 6);
	ck_assert_uint_eq(count(&seen, ";"), 6);
	pass(5100);
	ck_assert_int_eq(gone, 1);
}
END_TEST

/* The time to ask again begins when the answer is out. */
START_TEST(slow_reader_may_ask_again)
{
	autobuf struct buf b = { 0 };

	say(GET("/big"));
	for (int i = 0; i < 90 && b.n < 100000; i++) {
		ck_assert(client_read(&b));
		pass(100);
	}
	ck_assert_uint_ge(b.n, 100000);
	pass(9000);
	ck_assert_int_eq(gone, 0);
	pass(1100);
	ck_assert_int_eq(gone, 1);
}
END_TEST

START_TEST(done_closes_all)
{
	say(GET("/later"));
	http_server_done(&server);
	ck_assert_int_eq(gone, 1);
	turn();
	expect_nothing(false);
}
END_TEST

static const struct {
	const char *header, *peer;
} proxied[] = {
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 8080 80\r\n", "1.2.3.4:8080" },
	{ "PROXY UNKNOWN\r\n", "9.9.9.9:9" },
};

START_TEST(proxy_tells_the_peer)
{
	char text[ADDR_LEN];

	client_send(slice(proxied[_i].header, 10));
	client_send(slice_str(proxied[_i].header + 10));
	say(GET("/ok"));
	expect(200, "ok\n", true);
	ck_assert_str_eq(addr_text(http_conn_peer(conn), text), proxied[_i].peer);
}
END_TEST

START_TEST(proxy_header_and_request_together)
{
	say("PROXY TCP4 1.2.3.4 5.6.7.8 8080 80\r\n" GET("/ok"));
	expect(200, "ok\n", true);
}
END_TEST

START_TEST(proxy_is_demanded)
{
	say(GET("/ok"));
	ck_assert_int_eq(gone, 1);
	expect_nothing(false);
	expect_seen("");
}
END_TEST

/* No part of a PROXY header is a request that could be answered. */
START_TEST(proxy_header_has_the_deadline_too)
{
	say("PROXY TCP4 1.2.3.4");
	pass(9900);
	ck_assert_int_eq(gone, 0);
	pass(200);
	expect_timeout(0);
}
END_TEST

START_TEST(conn_tells_of_itself)
{
	ck_assert_ptr_eq(http_conn_owner(conn), &gone);
	ck_assert_uint_eq(server.n_conns, 1);
}
END_TEST

static TCase *
proxy_case(void)
{
	TCase *tc = tcase_create("proxy");

	tcase_add_checked_fixture(tc, set_up_behind_proxy, tear_down);
	LOOP(tc, proxy_tells_the_peer, proxied);
	tcase_add_test(tc, proxy_header_and_request_together);
	tcase_add_test(tc, proxy_is_demanded);
	tcase_add_test(tc, proxy_header_has_the_deadline_too);
	return tc;
}

Suite *
http_server_suite(void)
{
	Suite *s = suite_create("http_server");
	TCase *tc = tcase_create("http_server");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, request_is_answered);
	tcase_add_test(tc, request_may_come_in_pieces);
	tcase_add_test(tc, request_may_be_cut);
	tcase_add_test(tc, head_has_no_body);
	tcase_add_test(tc, a_late_answer_may_be_awaited);
	tcase_add_test(tc, nobody_awaits_an_answer);
	tcase_add_test(tc, requests_are_answered_in_order);
	LOOP(tc, last_answer_closes, errors);
	tcase_add_test(tc, a_closing_server_answers_once);
	tcase_add_test(tc, linger_ends_by_time);
	tcase_add_test(tc, linger_ends_by_bytes);
	tcase_add_test(tc, head_may_be_too_long);
	LOOP(tc, request_has_a_deadline, slow);
	tcase_add_test(tc, dripping_does_not_help);
	LOOP(tc, idle_connection_is_closed, slow);
	tcase_add_test(tc, handler_has_no_deadline);
	tcase_add_test(tc, body_is_invited);
	tcase_add_test(tc, long_body_is_collected);
	tcase_add_test(tc, limits_may_change_meanwhile);
	tcase_add_test(tc, stream_is_taken);
	tcase_add_test(tc, stream_is_taken_from_pieces);
	tcase_add_test(tc, stream_is_taken_later);
	tcase_add_test(tc, stream_is_taken_full);
	tcase_add_test(tc, peer_goes_while_we_think);
	tcase_add_test(tc, peer_goes_before_its_request);
	tcase_add_test(tc, waiting_requests_are_bounded);
	tcase_add_test(tc, unread_answers_are_bounded);
	tcase_add_test(tc, slow_reader_gets_all);
	tcase_add_test(tc, slow_reader_may_ask_again);
	tcase_add_test(tc, done_closes_all);
	tcase_add_test(tc, conn_tells_of_itself);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, proxy_case());
	return s;
}
