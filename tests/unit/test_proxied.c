/*
 * PROXY headers in front of plain streams, over a socketpair; the loop is turned by hand.
 */
#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/frame.h"
#include "net/proxied.h"

Suite *proxied_suite(void);

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))
#define NOT_YET		1

#define V1	"PROXY TCP4 192.0.2.1 198.51.100.1 5000 443\r\n"
#define V2	"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x13\x88\x01\xbb"
#define LOCAL	"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

static struct loop   *loop;
static struct stream *stream;
static int	      client;
static struct buf     got;	/* what the stream told: "peer ADDRESS;" and then bytes */
static int	      end;	/* and how it ended */

static void
on_peer(struct stream *s, const struct addr *peer)
{
	char text[ADDR_LEN];

	buf_addf(&got, "peer %s;", addr_text(peer, text));
}

static void
on_bytes(struct stream *s, char *p, size_t n)
{
	buf_add(&got, p, n);
}

static void
on_end(struct stream *s, int error)
{
	end = error;
	stream_free(s, false);
	stream = NULL;
}

static const struct stream_user user = { .on_peer = on_peer, .on_bytes = on_bytes, .on_end = on_end };

static void
set_up(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	client = fds[0];
	end = NOT_YET;
	loop = loop_new();
	stream = stream_new(loop, fds[1], &stream_proxied, &user, NULL);
	ck_assert_int_eq(proxied_accept(stream, NULL), 0);
}

static void
tear_down(void)
{
	stream_free(stream, false);
	loop_free(loop);
	close(client);
	buf_done(&got);
}

static void
say(const char *p, size_t n)
{
	ck_assert_int_eq(send(client, p, n, 0), (ssize_t)n);
	loop_turn(loop, false);
}

static void
expect(const char *told)
{
	ck_assert_uint_eq(got.n, strlen(told));
	ck_assert_mem_eq(got.p != NULL ? got.p : "", told, got.n);
}

static const struct {
	const char *header;
	size_t	    n;
	const char *told;
} headers[] = {
	{ V1, sizeof(V1) - 1, "peer 192.0.2.1:5000;" },
	{ V2, sizeof(V2) - 1, "peer 192.0.2.1:5000;" },
	{ LOCAL, sizeof(LOCAL) - 1, "" },
	{ "PROXY UNKNOWN\r\n", 15, "" },
};

START_TEST(what_follows_is_the_users)
{
	say(headers[_i].header, headers[_i].n);
	expect(headers[_i].told);
	say("hello", 5);
	ck_assert_uint_eq(got.n, strlen(headers[_i].told) + 5);
	ck_assert_ptr_eq(stream->ops, &stream_plain);
	ck_assert_ptr_null(stream->tls);
	ck_assert_int_eq(end, NOT_YET);
}
END_TEST

START_TEST(header_may_be_cut_anywhere)
{
	autobuf struct buf all = { 0 };

	buf_add(&all, headers[_i].header, headers[_i].n);
	buf_add_str(&all, "hello");
	for (size_t cut = 1; cut < all.n; cut++) {
		say(all.p, cut);
		say(all.p + cut, all.n - cut);
		ck_assert_uint_eq(got.n, strlen(headers[_i].told) + 5);
		ck_assert_mem_eq(got.p + got.n - 5, "hello", 5);
		got.n = 0;
		tear_down();
		set_up();
	}
}
END_TEST

START_TEST(header_may_come_in_octets)
{
	for (size_t i = 0; i < headers[_i].n; i++) {
		ck_assert_ptr_eq(stream->ops, &stream_proxied);
		say(headers[_i].header + i, 1);
	}
	ck_assert_ptr_eq(stream->ops, &stream_plain);
	expect(headers[_i].told);
}
END_TEST

/* Whoever comes next reads the descriptor itself: nothing of it may be gone. */
START_TEST(nothing_behind_the_header_is_taken)
{
	char rest[8];

	stream_set_reading(stream, false);
	ck_assert_int_eq(send(client, V1 "hello", sizeof(V1) - 1 + 5, 0), sizeof(V1) - 1 + 5);
	ck_assert_int_eq(stream_proxied.read(stream, rest, 0), 0);
	ck_assert_int_eq(recv(stream->fd, rest, sizeof(rest), MSG_DONTWAIT), 5);
	ck_assert_mem_eq(rest, "hello", 5);
}
END_TEST

static const struct {
	const char *bytes;
	size_t	    n;
} others[] = {
	{ "GET / HTTP/1.1\r\n\r\n", 18 },
	{ "\x16\x03\x01\x02\x00", 5 },
	{ "PROXY TCP4 192.0.2.999 198.51.100.1 5000 443\r\n", 46 },
	{ "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", 16 },
};

START_TEST(anything_else_ends_it)
{
	say(others[_i].bytes, others[_i].n);
	ck_assert_int_eq(end, -EPROTO);
	expect("");
}
END_TEST

START_TEST(peer_may_go_before)
{
	say(V1, 10);
	ck_assert_int_eq(end, NOT_YET);
	shutdown(client, SHUT_WR);
	loop_turn(loop, false);
	ck_assert_int_eq(end, 0);
	expect("");
}
END_TEST

/* An answer is for whoever the header names; before it, there is nobody. */
START_TEST(what_is_said_waits_for_the_header)
{
	char text[16];

	stream_send(stream, frame_raw_copy(SLICE("welcome")));
	loop_turn(loop, false);
	ck_assert_int_eq(recv(client, text, sizeof(text), MSG_DONTWAIT), -1);
	say(V1, sizeof(V1) - 1);
	loop_turn(loop, false);
	ck_assert_int_eq(recv(client, text, sizeof(text), MSG_DONTWAIT), 7);
}
END_TEST

Suite *
proxied_suite(void)
{
	Suite *s = suite_create("proxied");
	TCase *tc = tcase_create("proxied");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, what_follows_is_the_users, 0, COUNT(headers));
	tcase_add_loop_test(tc, header_may_be_cut_anywhere, 0, COUNT(headers));
	tcase_add_loop_test(tc, header_may_come_in_octets, 0, COUNT(headers));
	tcase_add_test(tc, nothing_behind_the_header_is_taken);
	tcase_add_loop_test(tc, anything_else_ends_it, 0, COUNT(others));
	tcase_add_test(tc, peer_may_go_before);
	tcase_add_test(tc, what_is_said_waits_for_the_header);
	suite_add_tcase(s, tc);
	return s;
}
