/*
 * Drains: when clients are asked to go, how many at a time, and when it is over.
 */
#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/stats.h"
#include "server/drain.h"
#include "backplane/longpoll_relay.h"
#include "session_bench.h"
#include "turned_by_hand.h"

Suite *drain_suite(void);

#define MAX_CLIENTS	200

static struct stats fresh;
static struct stats *usual;
static struct websockets set;
static struct longpolls polls;
static struct longpoll_relay relay;
static struct endpoint endpoint;
static struct drain drain;
static int fds[MAX_CLIENTS];
static unsigned n_fds;

static void
setup(void)
{
	usual = stats;
	fresh = (struct stats){ 0 };
	stats = &fresh;
	bench_begin();
	websockets_init(&set, &bench, NULL);
	set.options = (struct websocket_options){
		.limits = { .max_message = 1000, .max_fragments = 4 }, .max_queue = 65536, .stall_ms = 10000,
		.idle_ms = 3600000, .close_ms = 5000,
	};
	longpolls_init(&polls, &bench, SLICE("n1"));
	polls.options = (struct longpoll_options){ .window_ms = 3600000, .max_queue = 65536 };
	longpoll_relay_init(&relay, bench.loop, &polls);
	endpoint_init(&endpoint, bench.loop, &set, &polls, &relay);
	drain_init(&drain, &endpoint);
	drain.options = (struct drain_options){ .time_ms = 12000, .delay_ms = 2000, .close_ms = 5000 };
	n_fds = 0;
}

static void
teardown(void)
{
	drain_done(&drain);
	websockets_done(&set);
	longpolls_done(&polls);
	endpoint_done(&endpoint);
	longpoll_relay_done(&relay);
	while (n_fds > 0)
		close(fds[--n_fds]);
	bench_end();
	stats = usual;
}

/* In steps that are shorter than the drain's own, by which it may be late. */
static void
turn(uint64_t ms)
{
	for (; ms > 50; ms -= 50)
		turn_after(bench.loop, 50);
	turn_after(bench.loop, ms);
}

#define SOON	250

static void
open_clients(unsigned n)
{
	static const struct addr from = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };

	for (unsigned i = 0; i < n; i++) {
		int pair[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		fds[n_fds++] = pair[1];
		stats->connections++;
		websocket_open(&set, &(struct websocket_open){
			.stream = stream_new(bench.loop, pair[0], &stream_plain, NULL, NULL), .peer = &from,
			.who = identity_ref(endpoint.anonymous),
		});
	}
}

static struct door *
open_door(void)
{
	struct addr_listen where, bound;
	const char	  *why;
	int		   fd;

	ck_assert_int_eq(addr_listen_parse(&where, "127.0.0.1:0", &why), 0);
	fd = listener_bind(&where, false, &bound);
	ck_assert_int_ge(fd, 0);
	endpoint_listen(&endpoint, fd, &bound, false);
	return list_entry(endpoint.doors.next, struct door, in_endpoint);
}

/* Everyone who was told to go goes, with the code for "come back". */
static void
clients_answer(void)
{
	static const char close_frame[] = { (char)0x88, (char)0x82, 0, 0, 0, 0, 0x03, (char)0xf4 };
	unsigned char	  in[4];

	for (unsigned i = 0; i < n_fds; i++) {
		if (recv(fds[i], in, sizeof(in), MSG_DONTWAIT) != 4)
			continue;
		ck_assert_int_eq(in[0], 0x88);
		ck_assert_int_eq(in[2] << 8 | in[3], 1012);
		ck_assert_int_eq(send(fds[i], close_frame, sizeof(close_frame), MSG_NOSIGNAL), sizeof(close_frame));
		shutdown(fds[i], SHUT_WR);
	}
	turn(0);
}

static void
open_polls(unsigned n)
{
	static const struct addr from = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };

	for (unsigned i = 0; i < n; i++)
		longpoll_open(&polls, &(struct longpoll_open){
			.peer = &from, .codec = &codec_phoenix_v2, .who = identity_ref(endpoint.anonymous),
		});
}

/* Long polls have no closing handshake: who is told is gone. */
START_TEST(long_polls_go_in_their_share)
{
	open_clients(100);
	open_polls(50);
	drain_begin(&drain);
	turn(2000 + SOON);
	for (unsigned s = 1; s <= 9; s++) {
		turn(1000);
		clients_answer();
		ck_assert_uint_ge(set.n, 100 - s * 10 - 6);
		ck_assert_uint_le(set.n, 100 - s * 10 + 6);
		ck_assert_uint_ge(polls.n, 50 - s * 5 - 4);
		ck_assert_uint_le(polls.n, 50 - s * 5 + 4);
		ck_assert(!bench.loop->stop);
	}
	turn(1000);
	clients_answer();
	turn(1000);
	ck_assert_uint_eq(set.n + polls.n, 0);
	ck_assert(bench.loop->stop);
}
END_TEST

START_TEST(long_polls_alone_go_too)
{
	open_polls(3);
	drain_begin(&drain);
	turn(1900);
	ck_assert_uint_eq(polls.n, 3);
	turn(SOON + 300);
	ck_assert_uint_eq(polls.n, 0);
	ck_assert(bench.loop->stop);
}
END_TEST

START_TEST(spread_over_the_time)
{
	open_clients(200);
	drain_begin(&drain);
	ck_assert(endpoint.draining);
	turn(1900);
	ck_assert_uint_eq(set.n, 200);
	turn(SOON);
	for (unsigned s = 1; s <= 9; s++) {
		turn(1000);
		clients_answer();
		ck_assert_uint_ge(set.n, 200 - s * 20 - 8);
		ck_assert_uint_le(set.n, 200 - s * 20 + 8);
		ck_assert(!bench.loop->stop);
	}
	for (int i = 0; i < 6; i++) {
		turn(SOON);
		clients_answer();
	}
	ck_assert_uint_eq(set.n_all, 0);
	ck_assert(bench.loop->stop);
}
END_TEST

START_TEST(few_need_not_wait)
{
	open_clients(3);
	drain_begin(&drain);
	turn(2000);
	ck_assert_uint_ge(set.n, 2);
	turn(600);
	clients_answer();
	turn(SOON);
	ck_assert(bench.loop->stop);
}
END_TEST

START_TEST(nobody_is_there)
{
	drain_begin(&drain);
	turn(1900);
	ck_assert(!bench.loop->stop);
	turn(SOON);
	ck_assert(bench.loop->stop);
}
END_TEST

START_TEST(no_delay)
{
	struct door *d = open_door();

	drain.options.delay_ms = 0;
	drain_begin(&drain);
	ck_assert_ptr_null(d->listener);
	ck_assert(bench.loop->stop);
}
END_TEST

/* No time at all, or less than the delay, leaves what the delay needs, and the closing handshakes. */
START_TEST(less_time_than_delay)
{
	drain.options.time_ms = _i == 0 ? 0 : 1000;
	open_clients(100);
	drain_begin(&drain);
	turn(1900);
	ck_assert_uint_eq(set.n, 100);
	turn(2 * SOON);
	ck_assert_uint_eq(set.n, 0);
	clients_answer();
	turn(SOON);
	ck_assert(bench.loop->stop);
}
END_TEST

START_TEST(the_doors_stay_open_for_the_delay)
{
	struct door *d = open_door();

	open_clients(1);
	drain_begin(&drain);
	turn(1900);
	ck_assert_ptr_nonnull(d->listener);
	turn(SOON);
	ck_assert_ptr_null(d->listener);
}
END_TEST

/* Those who came within the delay are asked, too. */
START_TEST(late_comers)
{
	drain_begin(&drain);
	turn(1000);
	open_clients(1);
	turn(1500);
	clients_answer();
	turn(SOON);
	ck_assert(bench.loop->stop);
}
END_TEST

START_TEST(it_does_not_wait_for_ever)
{
	open_clients(10);
	/* Longer than the drain may take. */
	set.options.close_ms = 60000;
	drain_begin(&drain);
	turn(16000);
	ck_assert_uint_eq(set.n, 0);
	ck_assert_uint_eq(set.n_all, 10);
	ck_assert(!bench.loop->stop);
	turn(1000 + SOON);
	ck_assert(bench.loop->stop);
}
END_TEST

Suite *
drain_suite(void)
{
	Suite *s = suite_create("drain");
	TCase *tc = tcase_create("drain");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, spread_over_the_time);
	tcase_add_test(tc, long_polls_go_in_their_share);
	tcase_add_test(tc, long_polls_alone_go_too);
	tcase_add_test(tc, few_need_not_wait);
	tcase_add_test(tc, nobody_is_there);
	tcase_add_test(tc, no_delay);
	tcase_add_loop_test(tc, less_time_than_delay, 0, 2);
	tcase_add_test(tc, the_doors_stay_open_for_the_delay);
	tcase_add_test(tc, late_comers);
	tcase_add_test(tc, it_does_not_wait_for_ever);
	suite_add_tcase(s, tc);
	return s;
}
