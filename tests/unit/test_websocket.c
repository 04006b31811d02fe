/*
 * WebSockets over pairs of sockets: deadlines, clients that do not read, and how a connection closes. Time passes when it
 * is told to.
 */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/stats.h"
#include "session_bench.h"
#include "transport/websocket.h"
#include "turned_by_hand.h"

Suite *websocket_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#define MAX_PEERS	3
#define QUEUE		((size_t)64 * 1024)
#define HEARTBEAT	"[null,\"1\",\"phoenix\",\"heartbeat\",{}]"
#define BEAT_REPLY	"[null,\"1\",\"phoenix\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]"

/* A client, by hand. */
struct peer {
	int		fd;	/* -1 = closed */
	struct stream  *s;	/* the server's end */
	struct buf	in;	/* what came and was not looked at */
	bool		ended;	/* and that was all: in order, or not */
	unsigned	gone;	/* times that on_gone was told */
};

static struct stats fresh;
static struct stats *usual;
static struct websockets set;
static struct peer peers[MAX_PEERS];
static unsigned n_peers;
static struct deflate *pmd;

static void
setup(void)
{
	usual = stats;
	fresh = (struct stats){ 0 };
	stats = &fresh;
	bench_begin();
	pmd = deflate_new(1);
	websockets_init(&set, &bench, pmd);
	set.options = (struct websocket_options){
		.limits = { .max_message = 2000000, .max_fragments = 4 }, .max_queue = QUEUE, .stall_ms = 10000,
		.idle_ms = 60000, .ping_ms = 25000, .pong_ms = 20000, .close_ms = 5000,
	};
	n_peers = 0;
}

static void
teardown(void)
{
	websockets_done(&set);
	loop_end_turn(bench.loop);
	ck_assert_uint_eq(set.n + set.n_all, 0);
	ck_assert_uint_eq(stats->websockets, 0);
	for (unsigned i = 0; i < n_peers; i++) {
		if (peers[i].fd >= 0)
			close(peers[i].fd);
		buf_done(&peers[i].in);
	}
	bench_end();
	deflate_free(pmd);
	stats = usual;
}

static void
on_gone(void *arg, const struct addr *peer, struct slice user)
{
	ck_assert(slice_is(user, "u1"));
	((struct peer *)arg)->gone++;
}

static void
turn(uint64_t ms)
{
	turn_after(bench.loop, ms);
}

/* Opens one for `codec` (NULL = echo), with that window, and `rest` behind the request. */
static struct peer *
open_with(const struct codec *codec, unsigned window, struct slice rest)
{
	static const struct addr from = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };
	struct peer	  *p = &peers[n_peers++];
	int		   fds[2], small = 4096;
	autobuf struct buf copy = { 0 };

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	*p = (struct peer){ .fd = fds[1], .s = stream_new(bench.loop, fds[0], &stream_plain, NULL, NULL) };
	buf_add_slice(&copy, rest);
	/* As the endpoint has done it. */
	stats->connections++;
	websocket_open(&set, &(struct websocket_open){
		.stream = p->s, .peer = &from, .codec = codec,
		.who = identity_new(SLICE("u1"), SLICE("u1"), SLICE("{}"), INT64_MAX),
		.deflate = { .server_bits = (uint8_t)window }, .rest = buf_slice(&copy), .on_gone = on_gone, .arg = p,
	});
	return p;
}

static struct peer *
open_echo(void)
{
	return open_with(NULL, 0, SLICE(""));
}

static struct peer *
open_phoenix(void)
{
	return open_with(&codec_phoenix_v2, 0, SLICE(""));
}

/* A client's frame, masked with zeros: `first` is its first byte. */
static void
add_frame(struct buf *out, unsigned first, struct slice body)
{
	uint64_t    len = htobe64(body.n);
	const char *last = (const char *)&len + sizeof(len);
	char	    mask[4] = { 0 };

	buf_add_char(out, (char)first);
	if (body.n < 126)
		buf_add_char(out, (char)(0x80 | body.n));
	else if (body.n <= UINT16_MAX) {
		buf_add_char(out, (char)(0x80 | 126));
		buf_add(out, last - 2, 2);
	} else {
		buf_add_char(out, (char)(0x80 | 127));
		buf_add(out, last - 8, 8);
	}
	buf_add(out, mask, sizeof(mask));
	buf_add_slice(out, body);
}

/* All of it, though it may take some turns. */
static void
write_all(struct peer *p, struct slice bytes)
{
	for (int i = 0; i < 1000 && bytes.n > 0; i++) {
		ssize_t n = send(p->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
		if (bytes.n > 0)
			turn(0);
	}
	ck_assert_uint_eq(bytes.n, 0);
}

static void
says(struct peer *p, unsigned first, const char *text)
{
	autobuf struct buf b = { 0 };

	add_frame(&b, first, slice_str(text));
	write_all(p, buf_slice(&b));
	turn(0);
}

#define FIN(opcode)	(0x80u | (opcode))

static void
says_close(struct peer *p, struct slice payload)
{
	autobuf struct buf b = { 0 };

	add_frame(&b, FIN(WS_CLOSE), payload);
	write_all(p, buf_slice(&b));
	turn(0);
}

/* Takes what the kernel has; true if anything was there. */
static bool
takes(struct peer *p)
{
	ssize_t n = recv(p->fd, buf_room(&p->in, 65536), 65536, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		p->ended = true;
	p->in.n += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* The next frame, its first byte in *first; false if there is none. */
static bool
next_frame(struct peer *p, unsigned *first, struct buf *body)
{
	const unsigned char *b;
	size_t		     len, head = 2;

	takes(p);
	b = (const unsigned char *)p->in.p;
	if (p->in.n < 2)
		return false;
	len = b[1];
	if (len == 126) {
		len = (size_t)b[2] << 8 | b[3];
		head = 4;
	} else if (len == 127) {
		len = (size_t)b[6] << 24 | (size_t)b[7] << 16 | (size_t)b[8] << 8 | b[9];
		head = 10;
	}
	if (p->in.n < head + len)
		return false;
	*first = b[0];
	body->n = 0;
	buf_add(body, b + head, len);
	memmove(p->in.p, p->in.p + head + len, p->in.n - head - len);
	p->in.n -= head + len;
	return true;
}

static void
hears_at(struct peer *p, unsigned first, const char *text, int line)
{
	autobuf struct buf body = { 0 };
	unsigned	   got = 0;

	ck_assert_msg(next_frame(p, &got, &body), "line %d: nothing came", line);
	ck_assert_msg(got == first && slice_is(buf_slice(&body), text), "line %d: heard %02x \"%.*s\"", line, got,
	    SLICE_ARG(buf_slice(&body)));
}

#define hears(p, first, text)	hears_at(p, first, text, __LINE__)

static void
hears_nothing_at(struct peer *p, int line)
{
	takes(p);
	ck_assert_msg(p->in.n == 0 && !p->ended, "line %d: heard %zu bytes, ended %d", line, p->in.n, p->ended);
}

#define hears_nothing(p)	hears_nothing_at(p, __LINE__)

/* The next frame is a close with this code. */
static void
hears_close_at(struct peer *p, unsigned code, int line)
{
	autobuf struct buf body = { 0 };
	unsigned	   first = 0, got;

	ck_assert_msg(next_frame(p, &first, &body) && first == FIN(WS_CLOSE) && body.n == 2, "line %d: no close", line);
	got = (unsigned)(unsigned char)body.p[0] << 8 | (unsigned char)body.p[1];
	ck_assert_msg(got == code, "line %d: closed with %u", line, got);
}

#define hears_close(p, code)	hears_close_at(p, code, __LINE__)

static void
hears_the_end(struct peer *p)
{
	takes(p);
	ck_assert(p->ended);
	ck_assert_uint_eq(p->in.n, 0);
}

/* Both are through with closing, and nothing is left of it. */
static void
is_gone(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	turn(0);
	ck_assert_uint_eq(p->gone, 1);
	ck_assert_uint_eq(set.n_all, 0);
	ck_assert_uint_eq(stats->connections, 0);
	ck_assert_uint_eq(stats->websockets, 0);
}

START_TEST(messages_come_back)
{
	struct peer *p = open_echo();

	says(p, FIN(WS_TEXT), "one");
	hears(p, FIN(WS_TEXT), "one");
	says(p, FIN(WS_BINARY), "two");
	hears(p, FIN(WS_BINARY), "two");
	says(p, WS_TEXT, "a");
	says(p, WS_CONT, "b");
	says(p, FIN(WS_PING), "?");
	hears(p, FIN(WS_PONG), "?");
	says(p, FIN(WS_CONT), "c");
	hears(p, FIN(WS_TEXT), "abc");
	says(p, FIN(WS_PONG), "unasked");
	hears_nothing(p);
	ck_assert_uint_eq(stats->handshakes_total, 1);
}
END_TEST

START_TEST(behind_the_request)
{
	autobuf struct buf b = { 0 };
	struct peer	  *p;

	add_frame(&b, FIN(WS_TEXT), SLICE("early"));
	add_frame(&b, FIN(WS_TEXT), SLICE("split"));
	p = open_with(NULL, 0, slice(b.p, b.n - 3));
	write_all(p, SLICE("lit"));
	turn(0);
	hears(p, FIN(WS_TEXT), "early");
	hears(p, FIN(WS_TEXT), "split");
}
END_TEST

START_TEST(pings_are_answered_once)
{
	struct peer	  *p = open_echo();
	autobuf struct buf b = { 0 };

	for (unsigned i = 0; i < 1000; i++)
		add_frame(&b, FIN(WS_PING), i < 999 ? SLICE("early") : SLICE("last"));
	write_all(p, buf_slice(&b));
	turn(0);
	hears(p, FIN(WS_PONG), "last");
	hears_nothing(p);
}
END_TEST

/* More than the client and the kernel take: `bytes` wait for it. */
static void
clogs(struct peer *p, size_t bytes)
{
	autofree char	  *text = xmalloc(bytes + 1);
	autobuf struct buf b = { 0 };

	memset(text, 'x', bytes);
	text[bytes] = '\0';
	add_frame(&b, FIN(WS_TEXT), slice(text, bytes));
	write_all(p, buf_slice(&b));
	turn(0);
}

/* What others said: the client need not have asked for it. */
static void
is_sent(struct peer *p, size_t bytes)
{
	struct frame *f = frame_new(WS_TEXT, bytes);

	memset(frame_body(f), 'x', bytes);
	stream_send(p->s, f);
	turn(0);
}

static size_t
drain_all(struct peer *p)
{
	size_t n = 0;

	for (int idle = 0; idle < 3; idle++)
		while (takes(p)) {
			n += p->in.n;
			p->in.n = 0;
			idle = 0;
			turn(0);
		}
	return n;
}

START_TEST(pings_of_who_does_not_read_are_answered_once)
{
	struct peer	  *p = open_echo();
	autobuf struct buf body = { 0 };
	unsigned	   first = 0;

	clogs(p, 20000);
	for (int i = 0; i < 100; i++)
		says(p, FIN(WS_PING), i < 99 ? "early" : "last");
	for (int i = 0; i < 100 && !next_frame(p, &first, &body); i++)
		turn(0);
	ck_assert_uint_eq(body.n, 20000);
	turn(0);
	hears(p, FIN(WS_PONG), "last");
	hears_nothing(p);
}
END_TEST

START_TEST(the_silent_are_asked)
{
	struct peer *p = open_echo();

	turn(24000);
	hears_nothing(p);
	turn(1100);
	hears(p, FIN(WS_PING), "");
	says(p, FIN(WS_PONG), "");
	turn(24000);
	hears_nothing(p);
	turn(1100);
	hears(p, FIN(WS_PING), "");
	/* Anything will do. */
	says(p, FIN(WS_TEXT), "here");
	hears(p, FIN(WS_TEXT), "here");
	turn(24000);
	hears_nothing(p);
	turn(1100);
	hears(p, FIN(WS_PING), "");
	turn(19500);
	hears_nothing(p);
	turn(600);
	hears_close(p, WS_AWAY);
	ck_assert_uint_eq(stats->timeouts_total, 1);
	is_gone(p);
}
END_TEST

START_TEST(the_idle_are_closed)
{
	struct peer *p;

	set.options.ping_ms = 0;
	p = open_echo();
	turn(59000);
	says(p, FIN(WS_TEXT), "here");
	hears(p, FIN(WS_TEXT), "here");
	turn(59500);
	hears_nothing(p);
	turn(600);
	hears_close(p, WS_AWAY);
	is_gone(p);
}
END_TEST

/* What does not end is no sign of life for ever: half a frame is one, nothing after it is none. */
START_TEST(half_a_frame_is_heard)
{
	struct peer	  *p;
	autobuf struct buf b = { 0 };

	set.options.ping_ms = 0;
	p = open_echo();
	add_frame(&b, FIN(WS_TEXT), SLICE("never ends"));
	turn(59000);
	write_all(p, slice(b.p, 8));
	turn(59000);
	hears_nothing(p);
	turn(1600);
	hears_close(p, WS_AWAY);
}
END_TEST

START_TEST(who_says_too_much_is_not_heard)
{
	struct peer	  *p;
	autobuf struct buf body = { 0 };
	unsigned	   first;

	bench.limits.message_rate = 1;
	bench.limits.message_burst = 1;
	set.options.idle_ms = 400;
	p = open_phoenix();
	says(p, FIN(WS_TEXT), HEARTBEAT);
	hears(p, FIN(WS_TEXT), BEAT_REPLY);
	says(p, FIN(WS_TEXT), "[null,\"1\",\"phoenix\",\"other\",{}]");
	ck_assert(next_frame(p, &first, &body));
	ck_assert_ptr_nonnull(memmem(body.p, body.n, "rate_limited", 12));
	says(p, FIN(WS_TEXT), HEARTBEAT);
	turn(450);
	/* Nor is it blamed for silence. */
	hears_nothing(p);
	turn(600);
	turn(0);
	hears(p, FIN(WS_TEXT), BEAT_REPLY);
}
END_TEST

START_TEST(half_a_queue_stops_reading)
{
	struct peer *p = open_echo();

	clogs(p, QUEUE / 2 + 20000);
	says(p, FIN(WS_TEXT), "unread");
	turn(100);
	ck_assert_uint_gt(drain_all(p), QUEUE / 2);
	says(p, FIN(WS_TEXT), "read");
	drain_all(p);
	says(p, FIN(WS_TEXT), "again");
	hears(p, FIN(WS_TEXT), "again");
	ck_assert_uint_eq(stats->slow_consumer_total, 0);
}
END_TEST

/* It gets what was begun with, and then the reason. */
static void
assert_frame_and_close(struct peer *p, size_t len)
{
	autobuf struct buf body = { 0 };
	unsigned	   first = 0;

	for (int i = 0; i < 1000 && !next_frame(p, &first, &body); i++)
		turn(0);
	ck_assert_uint_eq(first, FIN(WS_TEXT));
	ck_assert_uint_eq(body.n, len);
	turn(0);
	hears_close(p, WS_TRY_LATER);
	hears_nothing(p);
	ck_assert_uint_eq(stats->slow_consumer_total, 1);
}

START_TEST(a_whole_queue_is_the_end)
{
	struct peer *p = open_echo();

	clogs(p, 30000);
	is_sent(p, QUEUE);
	is_sent(p, QUEUE);
	assert_frame_and_close(p, 30000);
	is_gone(p);
}
END_TEST

/* Nobody can help it who is sent one. */
START_TEST(one_great_message_may_wait)
{
	struct peer *p = open_echo();

	is_sent(p, 3 * QUEUE);
	ck_assert_uint_gt(drain_all(p), 3 * QUEUE);
	is_sent(p, 3 * QUEUE);
	is_sent(p, QUEUE - 1000);
	ck_assert_uint_eq(stats->slow_consumer_total, 0);
	is_sent(p, QUEUE);
	ck_assert_uint_eq(stats->slow_consumer_total, 1);
}
END_TEST

/* All that had a place is written at once, but there was not one for everything. */
START_TEST(a_lost_frame_is_the_end)
{
	struct peer *p = open_echo();

	for (unsigned i = 0; i < OUTQ_MAX_FRAMES; i++)
		stream_send(p->s, frame_raw(0));
	turn(0);
	hears_nothing(p);
	for (unsigned i = 0; i <= OUTQ_MAX_FRAMES; i++)
		stream_send(p->s, frame_raw(0));
	turn(0);
	hears_close(p, WS_TRY_LATER);
	ck_assert_uint_eq(stats->slow_consumer_total, 1);
	is_gone(p);
}
END_TEST

START_TEST(a_stall_is_the_end)
{
	struct peer *p = open_echo();

	clogs(p, 20000);
	clogs(p, 10000);
	turn(9500);
	ck_assert_uint_eq(stats->slow_consumer_total, 0);
	turn(600);
	assert_frame_and_close(p, 20000);
	is_gone(p);
}
END_TEST

START_TEST(who_reads_slowly_stays)
{
	struct peer *p = open_echo();
	char	     some[9000];

	clogs(p, 50000);
	for (int i = 0; i < 5; i++) {
		turn(8000);
		says(p, FIN(WS_PONG), "");
		ck_assert_int_gt(recv(p->fd, some, sizeof(some), MSG_DONTWAIT), 0);
	}
	ck_assert_uint_eq(stats->slow_consumer_total, 0);
	ck_assert_uint_eq(set.n, 1);
}
END_TEST

/* A client that takes nothing, not even the close. */
START_TEST(it_does_not_wait_for_the_deaf)
{
	struct peer *p = open_echo();

	clogs(p, 20000);
	turn(10100);
	ck_assert_uint_eq(p->gone, 1);
	ck_assert_uint_eq(set.n, 0);
	ck_assert_uint_eq(set.n_all, 1);
	ck_assert_uint_eq(stats->connections, 1);
	turn(4500);
	ck_assert_uint_eq(set.n_all, 1);
	turn(600);
	ck_assert_uint_eq(set.n_all, 0);
	is_gone(p);
}
END_TEST

/* The client's close payload, and the code of our answer. */
static const struct {
	const char *payload;
	size_t	    n;
	unsigned    code;
} closes[] = {
	{ "", 0, WS_NORMAL }, { "\x03\xe8", 2, 1000 }, { "\x03\xe9gone", 6, 1001 }, { "\x0f\xa0", 2, 4000 },
	{ "\x03", 1, WS_PROTOCOL }, { "\x03\xed", 2, WS_PROTOCOL }, { "\x03\xe8\xff", 3, WS_BAD_DATA },
};

START_TEST(the_client_closes)
{
	struct peer	  *p = open_echo();
	autobuf struct buf b = { 0 };

	add_frame(&b, FIN(WS_TEXT), SLICE("before"));
	add_frame(&b, FIN(WS_CLOSE), slice(closes[_i].payload, closes[_i].n));
	add_frame(&b, FIN(WS_TEXT), SLICE("behind"));
	write_all(p, buf_slice(&b));
	turn(0);
	hears(p, FIN(WS_TEXT), "before");
	hears_close(p, closes[_i].code);
	hears_the_end(p);
	is_gone(p);
}
END_TEST

START_TEST(a_client_that_closes_and_stays)
{
	struct peer *p = open_echo();

	says_close(p, SLICE(""));
	hears_close(p, WS_NORMAL);
	ck_assert_uint_eq(p->gone, 1);
	turn(4900);
	ck_assert_uint_eq(set.n_all, 1);
	turn(200);
	ck_assert_uint_eq(set.n_all, 0);
}
END_TEST

START_TEST(we_close)
{
	struct peer *p = open_phoenix();

	says(p, FIN(WS_TEXT), "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	ck_assert_uint_eq(websockets_close_some(&set, 5, WS_RESTART, "test"), 1);
	turn(0);
	noted("join room:a;joined;leave closed;");
	ck_assert_uint_eq(p->gone, 1);
	hears(p, FIN(WS_TEXT), "[\"1\",\"1\",\"room:a\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]");
	hears_close(p, WS_RESTART);
	/* Only its close counts now. */
	says(p, FIN(WS_TEXT), HEARTBEAT);
	says(p, FIN(WS_PING), "?");
	hears_nothing(p);
	says_close(p, SLICE("\x03\xf4"));
	hears_the_end(p);
	is_gone(p);
}
END_TEST

START_TEST(we_close_and_hear_nothing)
{
	struct peer *p = open_echo();

	websockets_close_some(&set, 1, WS_RESTART, "test");
	turn(0);
	hears_close(p, WS_RESTART);
	says(p, FIN(WS_TEXT), "too late");
	turn(4800);
	hears_nothing(p);
	turn(300);
	hears_the_end(p);
	is_gone(p);
}
END_TEST

START_TEST(we_close_a_client_that_flushes_late)
{
	struct peer *p = open_echo();

	/* So much that it is not heard any more. */
	clogs(p, QUEUE / 2 + 20000);
	websockets_close_some(&set, 1, WS_RESTART, "test");
	turn(3000);
	ck_assert_uint_gt(drain_all(p), QUEUE / 2);
	says_close(p, SLICE(""));
	hears_the_end(p);
	is_gone(p);
}
END_TEST

START_TEST(the_longest_open_go_first)
{
	struct peer *p[] = { open_echo(), open_echo(), open_echo() };

	ck_assert_uint_eq(websockets_close_some(&set, 2, WS_RESTART, "test"), 2);
	turn(0);
	ck_assert_uint_eq(set.n, 1);
	ck_assert_uint_eq(set.n_all, 3);
	hears_close(p[0], WS_RESTART);
	hears_close(p[1], WS_RESTART);
	hears_nothing(p[2]);
	ck_assert_uint_eq(websockets_close_some(&set, 2, WS_RESTART, "test"), 1);
	ck_assert_uint_eq(websockets_close_some(&set, 2, WS_RESTART, "test"), 0);
}
END_TEST

START_TEST(the_client_is_gone)
{
	struct peer *p = open_phoenix();

	says(p, FIN(WS_TEXT), "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	if (_i == 0)
		close(p->fd);
	else
		shutdown(p->fd, SHUT_WR);
	p->fd = _i == 0 ? -1 : p->fd;
	turn(0);
	noted("join room:a;joined;leave closed;");
	is_gone(p);
}
END_TEST

/* Bytes as they come, and what becomes of them. */
static const struct {
	const char *bytes;
	size_t	    n;
	unsigned    code;
} faults[] = {
	{ "\x81\x03" "abc", 5, WS_PROTOCOL },			/* unmasked */
	{ "\x83\x80\0\0\0\0", 6, WS_PROTOCOL },			/* an opcode of nobody's */
	{ "\x80\x80\0\0\0\0", 6, WS_PROTOCOL },			/* it goes on with nothing */
	{ "\xc1\x80\0\0\0\0", 6, WS_PROTOCOL },			/* compressed, which was not agreed */
	{ "\x81\x81\0\0\0\0\xff", 7, WS_BAD_DATA },
	{ "\x81\xff\0\0\0\0\0\xff\0\0\0\0\0\0", 14, WS_TOO_BIG },
	{ "\x01\x80\0\0\0\0\0\x80\0\0\0\0\0\x80\0\0\0\0\0\x80\0\0\0\0\0\x80\0\0\0\0", 30, WS_POLICY },
};

START_TEST(a_broken_protocol)
{
	struct peer *p = open_echo();

	says(p, FIN(WS_TEXT), "fine");
	hears(p, FIN(WS_TEXT), "fine");
	write_all(p, slice(faults[_i].bytes, faults[_i].n));
	turn(0);
	hears_close(p, faults[_i].code);
	ck_assert_uint_eq(stats->protocol_errors_total, 1);
	/* Nothing behind it means anything. */
	says(p, FIN(WS_TEXT), "still there?");
	hears_the_end(p);
	is_gone(p);
}
END_TEST

START_TEST(an_undecodable_message)
{
	struct peer *p = open_phoenix();

	says(p, FIN(WS_TEXT), "{");
	hears_close(p, WS_INTERNAL);
	is_gone(p);
}
END_TEST

/* A message as a client deflates it. */
static void
add_deflated(struct buf *out, struct slice text)
{
	z_stream       z = { 0 };
	size_t	       room = text.n + 100;
	autofree char *to = xmalloc(room);

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)text.p;
	z.avail_in = (uInt)text.n;
	z.next_out = (Bytef *)to;
	z.avail_out = (uInt)room;
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	add_frame(out, FIN(WS_TEXT) | 0x40, slice(to, room - z.avail_out - 4));
	deflateEnd(&z);
}

START_TEST(compressed_messages)
{
	struct peer	  *p = open_with(NULL, 15, SLICE(""));
	autobuf struct buf b = { 0 }, body = { 0 };
	unsigned	   first = 0;

	add_deflated(&b, SLICE("hello hello hello hello hello hello"));
	write_all(p, buf_slice(&b));
	turn(0);
	ck_assert(next_frame(p, &first, &body));
	ck_assert_uint_eq(first, FIN(WS_TEXT) | 0x40);
	ck_assert_uint_lt(body.n, 30);
	/* What does not gain by it goes as it is. */
	says(p, FIN(WS_TEXT), "x");
	hears(p, FIN(WS_TEXT), "x");
}
END_TEST

static void
fill(struct buf *b, size_t n, char c)
{
	memset(buf_room(b, n), c, n);
	b->n = n;
}

START_TEST(compressed_messages_that_are_not_taken)
{
	struct peer	  *p = open_with(NULL, 15, SLICE(""));
	autobuf struct buf b = { 0 }, text = { 0 };

	switch (_i) {
	case 0:
		fill(&text, 2000001, 'x');
		add_deflated(&b, buf_slice(&text));
		break;
	case 1:
		add_frame(&b, FIN(WS_TEXT) | 0x40, SLICE("\xff\xff\xff"));
		break;
	case 2:
		add_deflated(&b, SLICE("\xff\xff\xff"));
		break;
	}
	write_all(p, buf_slice(&b));
	turn(0);
	hears_close(p, _i == 0 ? WS_TOO_BIG : WS_BAD_DATA);
	is_gone(p);
}
END_TEST

/* A megabyte of them is enough for a turn: others are served, then it goes on, in order. */
START_TEST(a_few_bytes_of_much_work)
{
	struct peer	  *p = open_with(&codec_phoenix_v2, 15, SLICE("")), *other = open_echo();
	autobuf struct buf b = { 0 }, text = { 0 };
	char		   reply[] = "[null,\"1\",\"phoenix\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]";

	for (char ref = '1'; ref <= '4'; ref++) {
		text.n = 0;
		buf_addf(&text, "[null,\"%c\",\"phoenix\",\"heartbeat\",{\"pad\":\"%01048576d\"}]", ref, 0);
		add_deflated(&b, buf_slice(&text));
	}
	ck_assert_uint_lt(b.n, 8192);
	write_all(p, buf_slice(&b));
	says(other, FIN(WS_TEXT), "x");
	turn(0);
	hears(other, FIN(WS_TEXT), "x");
	hears(p, FIN(WS_TEXT), reply);
	reply[7] = '2';
	hears(p, FIN(WS_TEXT), reply);
	hears_nothing(p);
	for (char ref = '3'; ref <= '4'; ref++) {
		turn(0);
		reply[7] = ref;
		hears(p, FIN(WS_TEXT), reply);
	}
	hears_nothing(p);
}
END_TEST

START_TEST(all_are_dropped)
{
	struct peer *p[] = { open_phoenix(), open_echo(), open_echo() };

	says(p[0], FIN(WS_TEXT), "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	clogs(p[1], 20000);
	says_close(p[1], SLICE(""));
	says_close(p[2], SLICE(""));
	ck_assert_uint_eq(set.n, 1);
	ck_assert_uint_eq(set.n_all, 3);
	websockets_done(&set);
	loop_end_turn(bench.loop);
	noted("join room:a;joined;leave closed;");
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(p[i]->gone, 1);
	ck_assert_uint_eq(stats->connections + stats->channels + stats->topics, 0);
	/* What was said to those who closed has been said. */
	hears_close(p[2], WS_NORMAL);
	hears_the_end(p[2]);
	websockets_init(&set, &bench, pmd);
}
END_TEST

Suite *
websocket_suite(void)
{
	Suite *s = suite_create("websocket");
	TCase *tc = tcase_create("websocket");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, messages_come_back);
	tcase_add_test(tc, behind_the_request);
	tcase_add_test(tc, pings_are_answered_once);
	tcase_add_test(tc, pings_of_who_does_not_read_are_answered_once);
	tcase_add_test(tc, the_silent_are_asked);
	tcase_add_test(tc, the_idle_are_closed);
	tcase_add_test(tc, half_a_frame_is_heard);
	tcase_add_test(tc, who_says_too_much_is_not_heard);
	tcase_add_test(tc, half_a_queue_stops_reading);
	tcase_add_test(tc, a_whole_queue_is_the_end);
	tcase_add_test(tc, one_great_message_may_wait);
	tcase_add_test(tc, a_lost_frame_is_the_end);
	tcase_add_test(tc, a_stall_is_the_end);
	tcase_add_test(tc, who_reads_slowly_stays);
	tcase_add_test(tc, it_does_not_wait_for_the_deaf);
	LOOP(tc, the_client_closes, closes);
	tcase_add_test(tc, a_client_that_closes_and_stays);
	tcase_add_test(tc, we_close);
	tcase_add_test(tc, we_close_and_hear_nothing);
	tcase_add_test(tc, we_close_a_client_that_flushes_late);
	tcase_add_test(tc, the_longest_open_go_first);
	tcase_add_loop_test(tc, the_client_is_gone, 0, 2);
	LOOP(tc, a_broken_protocol, faults);
	tcase_add_test(tc, an_undecodable_message);
	tcase_add_test(tc, compressed_messages);
	tcase_add_loop_test(tc, compressed_messages_that_are_not_taken, 0, 3);
	tcase_add_test(tc, a_few_bytes_of_much_work);
	tcase_add_test(tc, all_are_dropped);
	suite_add_tcase(s, tc);
	return s;
}
