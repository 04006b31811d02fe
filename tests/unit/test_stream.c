/*
 * Streams over pairs of sockets: what is read and written when, and every way to end.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/stream.h"
#include "turned_by_hand.h"

Suite *stream_suite(void);

#define NOT_YET	1

/* A stream's user, who writes down what he is told. */
struct user {
	struct stream	*s;
	int		 peer;		/* the other end's descriptor */
	struct buf	 got;
	int		 end;		/* what on_end() said; NOT_YET */
	unsigned	 stuck;
	unsigned	 flushed;
	size_t		 takes;		/* bytes at a time; what is more, it puts back */
	void		(*then)(struct user *);	/* done at each call */
};

static struct loop *loop;
static struct user a, b;

static void
then(struct user *u)
{
	if (u->then != NULL)
		u->then(u);
}

static void
on_bytes(struct stream *s, char *p, size_t n)
{
	struct user *u = s->owner;
	size_t	     some = u->takes > 0 && u->takes < n ? u->takes : n;

	ck_assert_int_eq(u->end, NOT_YET);
	buf_add(&u->got, p, some);
	stream_put_back(s, p + some, n - some);
	then(u);
}

static void
on_end(struct stream *s, int error)
{
	struct user *u = s->owner;

	ck_assert_int_eq(u->end, NOT_YET);
	u->end = error;
	u->s = NULL;
	stream_free(s, false);
}

static void
on_stuck(struct stream *s)
{
	((struct user *)s->owner)->stuck++;
}

static void
on_flushed(struct stream *s)
{
	struct user *u = s->owner;

	u->flushed++;
	then(u);
}

static const struct stream_user user = {
	.on_bytes = on_bytes, .on_end = on_end, .on_stuck = on_stuck, .on_flushed = on_flushed,
};

static void
user_init(struct user *u, const int fds[2])
{
	int small = 4096;

	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	*u = (struct user){ .peer = fds[1], .end = NOT_YET };
	u->s = stream_new(loop, fds[0], &stream_plain, &user, u);
}

static void
user_done(struct user *u)
{
	stream_free(u->s, false);
	if (u->peer >= 0)
		close(u->peer);
	buf_done(&u->got);
}

static void
setup(void)
{
	int fds[2];

	loop = loop_new();
	ck_assert_int_eq(log_open(&(struct log_options){ .level = LOG_ERROR_ }), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	user_init(&a, fds);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	user_init(&b, fds);
}

static void
teardown(void)
{
	user_done(&a);
	user_done(&b);
	loop_free(loop);
}

/* Another a, over TCP, which knows resets. */
static void
use_tcp(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t	   len = sizeof(in);
	int		   fds[2], door = socket(AF_INET, SOCK_STREAM, 0);

	user_done(&a);
	ck_assert_int_eq(bind(door, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(door, 1), 0);
	ck_assert_int_eq(getsockname(door, (struct sockaddr *)&in, &len), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&in, sizeof(in)), 0);
	fds[0] = accept4(door, NULL, NULL, SOCK_NONBLOCK);
	ck_assert_int_ge(fds[0], 0);
	close(door);
	user_init(&a, fds);
}

static void
peer_says(struct user *u, const char *text)
{
	ck_assert_int_eq(send(u->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void
assert_got(struct user *u, const char *text)
{
	struct slice got = buf_slice(&u->got);

	ck_assert_msg(slice_is(got, text), "got \"%.*s\", not \"%s\"", SLICE_ARG(got), text);
	u->got.n = 0;
}

/* Reads what is there; 0 = the end, -errno. */
static ssize_t
peer_reads(struct user *u, struct buf *out)
{
	ssize_t n = recv(u->peer, buf_room(out, 65536), 65536, MSG_DONTWAIT);

	out->n += n > 0 ? (size_t)n : 0;
	return n < 0 ? -errno : n;
}

static void
assert_peer_got(struct user *u, const char *text)
{
	autobuf struct buf got = { 0 };

	peer_reads(u, &got);
	ck_assert_msg(slice_is(buf_slice(&got), text), "the peer got \"%.*s\"", SLICE_ARG(buf_slice(&got)));
}

static void
say(struct user *u, const char *text)
{
	stream_send(u->s, frame_raw_copy(slice_str(text)));
}

START_TEST(bytes_come)
{
	peer_says(&a, "one");
	turn_after(loop, 0);
	assert_got(&a, "one");
	assert_got(&b, "");
	peer_says(&a, "two");
	peer_says(&b, "three");
	turn_after(loop, 0);
	assert_got(&a, "two");
	assert_got(&b, "three");
}
END_TEST

START_TEST(frames_go_at_the_end_of_the_turn)
{
	say(&a, "one ");
	assert_peer_got(&a, "");
	loop_end_turn(loop);
	assert_peer_got(&a, "one ");
	say(&a, "two ");
	say(&a, "three");
	loop_end_turn(loop);
	assert_peer_got(&a, "two three");
	ck_assert_uint_eq(a.stuck + a.flushed, 0);
}
END_TEST

/* Sizes of frames: alone, gathered in a batch, and too much for one. */
static const struct { unsigned n, each; } loads[] = {
	{ 1, 1000000 }, { 3000, 333 }, { 40, 20000 }, { 30000, 10 }, { 65, 1 }, { 5, 200000 },
};

START_TEST(more_than_the_kernel_takes)
{
	size_t		   all = (size_t)loads[_i].n * loads[_i].each;
	autobuf struct buf got = { 0 };
	bool		   fits = all < 4096;

	for (size_t i = 0, at = 0; i < loads[_i].n; i++) {
		struct frame *f = frame_raw(loads[_i].each);

		for (uint32_t k = 0; k < f->len; k++, at++)
			f->wire[k] = (char)(at * 7 + at / 251);
		stream_send(a.s, f);
	}
	turn_after(loop, 0);
	ck_assert_uint_eq(a.stuck, !fits);
	ck_assert_int_eq(a.s->writing, !fits);
	for (int i = 0; i < 20000 && got.n < all; i++) {
		peer_reads(&a, &got);
		turn_after(loop, 0);
	}
	ck_assert_uint_eq(got.n, all);
	for (size_t at = 0; at < all; at++)
		ck_assert_int_eq(got.p[at], (char)(at * 7 + at / 251));
	ck_assert_uint_eq(a.flushed, !fits);
	ck_assert(!a.s->writing && !a.s->stuck);
}
END_TEST

static void
stick(struct user *u)
{
	stream_send(u->s, frame_raw(1000000));
	memset(outq_at(&u->s->out, u->s->out.n - 1u)->wire, 'x', 1000000);
	turn_after(loop, 0);
	ck_assert(u->s->stuck);
}

START_TEST(stuck_is_told_whenever_there_is_more)
{
	autobuf struct buf got = { 0 };
	uint64_t	   since;

	turn_after(loop, 0);
	stick(&a);
	since = a.s->progress;
	ck_assert_uint_eq(since, loop->now);
	ck_assert_uint_eq(a.stuck, 1);
	turn_after(loop, 1000);
	ck_assert_uint_eq(a.stuck, 1);
	say(&a, "more");
	turn_after(loop, 1000);
	ck_assert_uint_eq(a.stuck, 2);
	/* Nothing was taken: there is no progress. */
	ck_assert_uint_eq(a.s->progress, since);
	peer_reads(&a, &got);
	turn_after(loop, 1000);
	ck_assert_uint_ge(a.s->progress, since + 2500);
	ck_assert_uint_eq(a.flushed, 0);
}
END_TEST

START_TEST(a_queue_that_was_full_is_told_though_all_is_written)
{
	for (unsigned i = 0; i <= OUTQ_MAX_FRAMES; i++)
		stream_send(a.s, frame_raw(0));
	turn_after(loop, 0);
	ck_assert_uint_eq(a.s->out.n, 0);
	ck_assert(!a.s->stuck);
	ck_assert_uint_eq(a.stuck, 1);
}
END_TEST

START_TEST(reading_rests)
{
	stream_set_reading(a.s, false);
	peer_says(&a, "one");
	turn_a_few(loop);
	assert_got(&a, "");
	say(&a, "still here");
	turn_after(loop, 0);
	assert_peer_got(&a, "still here");
	stream_set_reading(a.s, true);
	turn_after(loop, 0);
	assert_got(&a, "one");
	/* The end is not read either. */
	stream_set_reading(a.s, false);
	shutdown(a.peer, SHUT_WR);
	turn_a_few(loop);
	ck_assert_int_eq(a.end, NOT_YET);
	stream_set_reading(a.s, true);
	turn_after(loop, 0);
	ck_assert_int_eq(a.end, 0);
}
END_TEST

START_TEST(what_is_put_back_comes_again)
{
	a.takes = 4;
	peer_says(&a, "one two three");
	turn_after(loop, 0);
	assert_got(&a, "one ");
	/* Before what comes now. */
	peer_says(&a, " four");
	turn_after(loop, 0);
	assert_got(&a, "two ");
	turn_after(loop, 0);
	assert_got(&a, "thre");
	turn_after(loop, 0);
	assert_got(&a, "e");
	turn_after(loop, 0);
	assert_got(&a, " fou");
	shutdown(a.peer, SHUT_WR);
	turn_after(loop, 0);
	assert_got(&a, "r");
	turn_after(loop, 0);
	ck_assert_int_eq(a.end, 0);
}
END_TEST

START_TEST(others_are_heard_meanwhile)
{
	a.takes = 1;
	peer_says(&a, "aaaa");
	turn_after(loop, 0);
	peer_says(&b, "b");
	turn_after(loop, 0);
	turn_after(loop, 0);
	assert_got(&b, "b");
	ck_assert_uint_eq(a.got.n, 3);
}
END_TEST

START_TEST(what_is_put_back_waits_for_reading)
{
	a.takes = 4;
	peer_says(&a, "one two ");
	turn_after(loop, 0);
	stream_set_reading(a.s, false);
	turn_a_few(loop);
	say(&a, "still here");
	turn_a_few(loop);
	assert_peer_got(&a, "still here");
	assert_got(&a, "one ");
	stream_set_reading(a.s, true);
	turn_after(loop, 0);
	assert_got(&a, "two ");
}
END_TEST

static void
stop_reading(struct user *u)
{
	stream_set_reading(u->s, false);
}

START_TEST(putting_back_and_resting_in_one)
{
	a.takes = 4;
	a.then = stop_reading;
	peer_says(&a, "one two ");
	turn_a_few(loop);
	assert_got(&a, "one ");
	stream_set_reading(a.s, true);
	turn_a_few(loop);
	assert_got(&a, "two ");
}
END_TEST

START_TEST(what_is_put_back_goes_with_the_stream)
{
	a.takes = 1;
	peer_says(&a, "aaaa");
	turn_after(loop, 0);
	stream_free(a.s, false);
	a.s = NULL;
	turn_a_few(loop);
	assert_got(&a, "a");
}
END_TEST

START_TEST(shutdown_follows_the_last_byte)
{
	autobuf struct buf got = { 0 };
	ssize_t		   n = -EAGAIN;

	stick(&a);
	stream_shutdown(a.s);
	stream_shutdown(a.s);
	say(&a, "the end");
	for (int i = 0; i < 20000 && n != 0; i++) {
		n = peer_reads(&a, &got);
		turn_after(loop, 0);
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(got.n, 1000007);
	ck_assert_uint_eq(a.flushed, 1);
	/* It can still be told something. */
	peer_says(&a, "thanks");
	turn_after(loop, 0);
	assert_got(&a, "thanks");
}
END_TEST

START_TEST(shutdown_of_nothing)
{
	autobuf struct buf got = { 0 };

	stream_shutdown(a.s);
	ck_assert_int_eq(peer_reads(&a, &got), 0);
	ck_assert_uint_eq(a.flushed, 0);
}
END_TEST

START_TEST(the_peer_ends_it)
{
	close(a.peer);
	a.peer = -1;
	turn_after(loop, 0);
	ck_assert_int_eq(a.end, 0);
}
END_TEST

START_TEST(the_peer_is_gone_when_we_write)
{
	stream_set_reading(a.s, false);
	close(a.peer);
	a.peer = -1;
	say(&a, "hello?");
	turn_after(loop, 0);
	ck_assert_int_eq(a.end, -EPIPE);
}
END_TEST

START_TEST(the_peer_resets)
{
	struct linger abort_now = { .l_onoff = 1 };

	use_tcp();
	setsockopt(a.peer, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
	close(a.peer);
	a.peer = -1;
	turn_after(loop, 0);
	ck_assert_int_eq(a.end, -ECONNRESET);
}
END_TEST

START_TEST(freed_with_a_reset_or_without)
{
	autobuf struct buf got = { 0 };

	use_tcp();
	stream_free(a.s, _i == 1);
	a.s = NULL;
	ck_assert_int_eq(peer_reads(&a, &got), _i == 1 ? -ECONNRESET : 0);
	ck_assert_int_eq(a.end, NOT_YET);
}
END_TEST

static void
free_stream(struct user *u)
{
	stream_free(u->s, false);
	stream_free(u->s, false);
	u->s = NULL;
}

START_TEST(freed_while_it_tells)
{
	a.then = free_stream;
	peer_says(&a, "one");
	say(&a, "never said");
	turn_a_few(loop);
	assert_got(&a, "one");
	assert_peer_got(&a, "");
	stream_free(NULL, true);
}
END_TEST

/* Its event cannot be had: told at the end of the turn, and not to whoever asked for it. */
START_TEST(deaf_from_the_start)
{
	int fds[2] = { open("/proc/self/exe", O_RDONLY | O_CLOEXEC), -1 };

	user_done(&a);
	a = (struct user){ .peer = -1, .end = NOT_YET };
	a.s = stream_new(loop, fds[0], &stream_plain, &user, &a);
	ck_assert_int_eq(a.end, NOT_YET);
	turn_after(loop, 0);
	ck_assert_int_eq(a.end, -ENOMEM);
}
END_TEST

START_TEST(deaf_later)
{
	stream_set_reading(a.s, false);
	/* A file is nothing that one could wait for. */
	close(a.s->fd);
	ck_assert_int_eq(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), a.s->fd);
	stream_set_reading(a.s, true);
	say(&a, "never said");
	ck_assert_int_eq(a.end, NOT_YET);
	turn_after(loop, 0);
	ck_assert_int_eq(a.end, -ENOMEM);
}
END_TEST

START_TEST(handed_to_another)
{
	a.then = NULL;
	peer_says(&a, "one");
	turn_after(loop, 0);
	stream_set_user(a.s, &user, &b);
	peer_says(&a, "two");
	turn_after(loop, 0);
	assert_got(&a, "one");
	assert_got(&b, "two");
	stream_set_user(a.s, &user, &a);
}
END_TEST

Suite *
stream_suite(void)
{
	Suite *s = suite_create("stream");
	TCase *tc = tcase_create("stream");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bytes_come);
	tcase_add_test(tc, frames_go_at_the_end_of_the_turn);
	tcase_add_loop_test(tc, more_than_the_kernel_takes, 0, (int)(sizeof(loads) / sizeof(loads[0])));
	tcase_add_test(tc, stuck_is_told_whenever_there_is_more);
	tcase_add_test(tc, a_queue_that_was_full_is_told_though_all_is_written);
	tcase_add_test(tc, reading_rests);
	tcase_add_test(tc, what_is_put_back_comes_again);
	tcase_add_test(tc, others_are_heard_meanwhile);
	tcase_add_test(tc, what_is_put_back_waits_for_reading);
	tcase_add_test(tc, putting_back_and_resting_in_one);
	tcase_add_test(tc, what_is_put_back_goes_with_the_stream);
	tcase_add_test(tc, shutdown_follows_the_last_byte);
	tcase_add_test(tc, shutdown_of_nothing);
	tcase_add_test(tc, the_peer_ends_it);
	tcase_add_test(tc, the_peer_is_gone_when_we_write);
	tcase_add_test(tc, the_peer_resets);
	tcase_add_loop_test(tc, freed_with_a_reset_or_without, 0, 2);
	tcase_add_test(tc, freed_while_it_tells);
	tcase_add_test(tc, deaf_from_the_start);
	tcase_add_test(tc, deaf_later);
	tcase_add_test(tc, handed_to_another);
	suite_add_tcase(s, tc);
	return s;
}
