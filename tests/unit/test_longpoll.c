/*
 * Long-poll sessions without HTTP: what polls get and when, how posts are taken apart, and what ends a session. Time passes
 * when it is told to.
 */
#include <check.h>
#include <stdlib.h>

#include "base/stats.h"
#include "session_bench.h"
#include "transport/longpoll.h"
#include "turned_by_hand.h"

Suite *longpoll_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#define WINDOW	10000
#define QUEUE	65536
#define BEAT(ref) "[null,\"" ref "\",\"phoenix\",\"heartbeat\",{}]"
#define BEAT_ANSWER(ref) "[null,\\\"" ref "\\\",\\\"phoenix\\\",\\\"phx_reply\\\",{\\\"status\\\":\\\"ok\\\",\\\"response\\\":{}}]"

/* Somebody who asks, and what was answered; "messages" as text. */
struct asker {
	struct longpoll_request	request;
	unsigned		status;		/* 0 = nothing yet */
	unsigned		times;
	char			messages[4096];
	size_t			n;		/* their length */
};

static struct stats fresh;
static struct stats *usual;
static struct longpolls set;
static struct longpoll *lp;
static unsigned gone;

static void
setup(void)
{
	usual = stats;
	fresh = (struct stats){ 0 };
	stats = &fresh;
	bench_begin();
	longpolls_init(&set, &bench, SLICE("n1"));
	set.options = (struct longpoll_options){ .window_ms = WINDOW, .max_queue = QUEUE, .max_message = 100000 };
	gone = 0;
}

static void
teardown(void)
{
	longpolls_done(&set);
	loop_end_turn(bench.loop);
	ck_assert_uint_eq(set.n, 0);
	ck_assert_uint_eq(stats->longpolls, 0);
	bench_end();
	stats = usual;
}

static void
on_gone(void *arg, const struct addr *peer, struct slice user)
{
	ck_assert(slice_is(user, "u1"));
	gone++;
}

static struct longpoll *
session_new(const struct codec *codec)
{
	static const struct addr from = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };

	return longpoll_open(&set, &(struct longpoll_open){
		.peer = &from, .codec = codec, .who = identity_new(SLICE("u1"), SLICE("u1"), SLICE("{}"), INT64_MAX), .on_gone = on_gone,
	});
}

static void
session_setup(void)
{
	setup();
	lp = session_new(&codec_phoenix_v2);
}

static void
on_answer(struct longpoll_request *r, enum longpoll_status status, struct slice messages)
{
	struct asker *a = container_of(r, struct asker, request);

	a->status = status;
	a->times++;
	a->n = messages.n;
	if (messages.n < sizeof(a->messages)) {
		memcpy(a->messages, messages.p, messages.n);
		a->messages[messages.n] = '\0';
	}
}

static void
turn(uint64_t ms)
{
	turn_after(bench.loop, ms);
}

static void
polls(struct asker *a)
{
	*a = (struct asker){ .request = { .answer = on_answer } };
	longpoll_poll(lp, &a->request);
	turn(0);
}

static void
posts_as(struct asker *a, bool ndjson, struct slice body)
{
	*a = (struct asker){ .request = { .answer = on_answer, .ndjson = ndjson } };
	buf_add_slice(&a->request.body, body);
	longpoll_post(lp, &a->request);
	turn(0);
}

/* What is told at once. */
static unsigned
posts(bool ndjson, struct slice body)
{
	struct asker a;

	posts_as(&a, ndjson, body);
	buf_done(&a.request.body);
	ck_assert_uint_eq(a.times, 1);
	return a.status;
}

static void
hears_at(const char *messages, int line)
{
	struct asker a;

	polls(&a);
	if (messages == NULL) {
		ck_assert_msg(a.times == 0, "line %d: %u %s", line, a.status, a.messages);
		longpoll_cancel(&a.request);
		return;
	}
	ck_assert_msg(a.times == 1 && a.status == LONGPOLL_OK, "line %d: no messages", line);
	ck_assert_msg(strcmp(a.messages, messages) == 0, "line %d: %s, not %s", line, a.messages, messages);
}
#define hears(messages)	hears_at(messages, __LINE__)

static bool
is_open(void)
{
	return set.n == 1 && gone == 0;
}

static void
has_ended(void)
{
	ck_assert_uint_eq(set.n, 0);
	ck_assert_uint_eq(gone, 1);
	ck_assert_uint_eq(stats->longpolls, 0);
}

START_TEST(tokens_find_their_session)
{
	struct longpoll	     *other = session_new(&codec_phoenix_v2);
	struct longpoll_token token;
	char		      text[LONGPOLL_MAX_TOKEN];
	struct slice	      t = longpoll_token(lp);

	ck_assert_int_eq(longpoll_token_read(&token, t), 0);
	ck_assert(slice_is(token.node, "n1"));
	ck_assert_ptr_eq(longpolls_find(&set, &token), lp);
	/* The other's secret is none of ours. */
	memcpy(text, t.p, t.n);
	memcpy(text + t.n - ID_LEN, longpoll_token(other).p + t.n - ID_LEN, ID_LEN);
	ck_assert_int_eq(longpoll_token_read(&token, slice(text, t.n)), 0);
	ck_assert_ptr_null(longpolls_find(&set, &token));
	text[t.n - 1] = text[t.n - 1] == 'A' ? 'Q' : 'A';
	ck_assert_int_eq(longpoll_token_read(&token, slice(text, t.n)), 0);
	ck_assert_ptr_null(longpolls_find(&set, &token));
	longpoll_drop(other, 1001, "test");
	gone = 0;
	ck_assert_int_eq(longpoll_token_read(&token, t), 0);
	ck_assert_ptr_eq(longpolls_find(&set, &token), lp);
}
END_TEST

START_TEST(what_waits_comes_at_once_and_in_order)
{
	ck_assert_uint_eq(posts(true, SLICE(BEAT("1") "\n" BEAT("2"))), LONGPOLL_OK);
	hears("[\"" BEAT_ANSWER("1") "\",\"" BEAT_ANSWER("2") "\"]");
	hears(NULL);
}
END_TEST

START_TEST(a_poll_waits_for_what_comes)
{
	struct asker a;

	polls(&a);
	turn(WINDOW - 1000);
	ck_assert_uint_eq(a.times, 0);
	ck_assert_uint_eq(posts(true, SLICE(BEAT("1"))), LONGPOLL_OK);
	ck_assert_uint_eq(a.times, 1);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	ck_assert_str_eq(a.messages, "[\"" BEAT_ANSWER("1") "\"]");
}
END_TEST

START_TEST(a_window_without_messages_ends_in_nothing)
{
	struct asker a;

	polls(&a);
	turn(WINDOW - 10);
	ck_assert_uint_eq(a.times, 0);
	turn(20);
	ck_assert_uint_eq(a.times, 1);
	ck_assert_uint_eq(a.status, LONGPOLL_NOTHING);
	ck_assert_uint_eq(a.n, 0);
	ck_assert(is_open());
}
END_TEST

START_TEST(a_later_poll_takes_the_place)
{
	struct asker first, second;

	polls(&first);
	polls(&second);
	ck_assert_uint_eq(first.status, LONGPOLL_NOTHING);
	ck_assert_uint_eq(second.times, 0);
	posts(true, SLICE(BEAT("1")));
	ck_assert_uint_eq(first.times, 1);
	ck_assert_uint_eq(second.status, LONGPOLL_OK);
}
END_TEST

START_TEST(a_poll_that_hung_up_gets_nothing)
{
	struct asker a;

	polls(&a);
	longpoll_cancel(&a.request);
	longpoll_cancel(&a.request);
	posts(true, SLICE(BEAT("1")));
	ck_assert_uint_eq(a.times, 0);
	hears("[\"" BEAT_ANSWER("1") "\"]");
}
END_TEST

START_TEST(an_answer_that_does_not_arrive_waits_for_the_next_poll)
{
	struct asker a = { .request = { .answer = on_answer, .unsure = true } }, b;

	posts(true, SLICE(BEAT("1")));
	longpoll_poll(lp, &a.request);
	turn(0);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	posts(true, SLICE(BEAT("2")));
	/* Who comes meanwhile gets neither it nor what is behind it. */
	polls(&b);
	ck_assert_uint_eq(b.times, 0);
	longpoll_settle(&a.request, false);
	turn(0);
	ck_assert_str_eq(b.messages, "[\"" BEAT_ANSWER("1") "\",\"" BEAT_ANSWER("2") "\"]");
}
END_TEST

START_TEST(an_answer_that_arrives_is_gone)
{
	struct asker a = { .request = { .answer = on_answer, .unsure = true } }, b;

	posts(true, SLICE(BEAT("1")));
	longpoll_poll(lp, &a.request);
	turn(0);
	posts(true, SLICE(BEAT("2")));
	polls(&b);
	longpoll_settle(&a.request, true);
	longpoll_settle(&a.request, false);
	turn(0);
	ck_assert_str_eq(b.messages, "[\"" BEAT_ANSWER("2") "\"]");
}
END_TEST

START_TEST(a_client_that_hangs_up_before_it_is_settled_leaves_the_messages)
{
	struct asker a = { .request = { .answer = on_answer, .unsure = true } };

	posts(true, SLICE(BEAT("1")));
	longpoll_poll(lp, &a.request);
	turn(0);
	longpoll_cancel(&a.request);
	hears("[\"" BEAT_ANSWER("1") "\"]");
}
END_TEST

START_TEST(a_session_that_ends_settles_nothing)
{
	struct asker a = { .request = { .answer = on_answer, .unsure = true } }, b;

	posts(true, SLICE(BEAT("1")));
	longpoll_poll(lp, &a.request);
	turn(0);
	polls(&b);
	longpoll_drop(lp, 1001, "test");
	turn(0);
	longpoll_settle(&a.request, false);
	ck_assert_uint_eq(b.status, LONGPOLL_ENDED);
	has_ended();
}
END_TEST

START_TEST(a_session_lives_for_one_and_a_half_windows_without_polls)
{
	struct asker a;

	turn(WINDOW);
	polls(&a);
	turn(WINDOW + 10);
	ck_assert_uint_eq(a.status, LONGPOLL_NOTHING);
	turn(WINDOW * 3 / 2 - 100);
	/* What it says does not count. */
	ck_assert_uint_eq(posts(true, SLICE(BEAT("1"))), LONGPOLL_OK);
	ck_assert(is_open());
	turn(200);
	has_ended();
	ck_assert_uint_eq(stats->timeouts_total, 1);
}
END_TEST

START_TEST(channels_end_with_it)
{
	posts(true, SLICE("[\"1\",\"1\",\"room:a\",\"phx_join\",{}]"));
	noted("join room:a;joined;");
	turn(WINDOW * 3 / 2 + 100);
	has_ended();
	noted("leave closed;");
}
END_TEST

START_TEST(whoever_waits_is_told_of_the_end)
{
	struct asker a;

	polls(&a);
	ck_assert_uint_eq(longpolls_close_user(&set, SLICE("u2"), 1001, "test"), 0);
	ck_assert(!longpolls_close_id(&set, SLICE("u1"), 1001, "test"));
	ck_assert(!longpolls_close_id(&set, SLICE(""), 1001, "test"));
	ck_assert_uint_eq(longpolls_close_user(&set, SLICE("u1"), 1001, "test"), 1);
	ck_assert_uint_eq(a.status, LONGPOLL_ENDED);
	has_ended();
}
END_TEST

START_TEST(what_was_said_before_the_end_is_handed_over)
{
	struct asker a;

	polls(&a);
	ck_assert_uint_eq(posts(true, SLICE(BEAT("1") "\nx")), LONGPOLL_GONE);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	ck_assert_str_eq(a.messages, "[\"" BEAT_ANSWER("1") "\"]");
	has_ended();
}
END_TEST

START_TEST(the_longest_open_go_first)
{
	struct longpoll	     *second = session_new(&codec_phoenix_v2), *third = session_new(&codec_phoenix_v2);
	struct longpoll_token token;

	ck_assert_uint_eq(longpolls_close_some(&set, 2, 1012, "test"), 2);
	ck_assert_uint_eq(set.n, 1);
	longpoll_token_read(&token, longpoll_token(third));
	ck_assert_ptr_eq(longpolls_find(&set, &token), third);
	longpoll_token_read(&token, longpoll_token(second));
	ck_assert_ptr_null(longpolls_find(&set, &token));
	ck_assert_uint_eq(longpolls_close_some(&set, 2, 1012, "test"), 1);
}
END_TEST

#define J(x)	"[\"" x "\"]"

static const struct {
	const char *body;
	const char *messages;	/* NULL = none */
} bodies[] = {
	{ BEAT("1"), J(BEAT_ANSWER("1")) },
	{ BEAT("1") "\n", J(BEAT_ANSWER("1")) },
	{ BEAT("1") "\r", J(BEAT_ANSWER("1")) },
	{ BEAT("1") "\r\n" BEAT("2"), J(BEAT_ANSWER("1") "\",\"" BEAT_ANSWER("2")) },
	{ "\n\r\n\n" BEAT("1") "\n\n\n" BEAT("2") "\r\n\r\n", J(BEAT_ANSWER("1") "\",\"" BEAT_ANSWER("2")) },
	{ "", NULL },
	{ "\n", NULL },
	{ "\r\n", NULL },
	/* 00 01 01 06 04 | 1 1 room:a echo | xy, of a topic that is not joined */
	{ "AAEBBgQxMXJvb206YWVjaG94eQ==", J("[null,\\\"1\\\",\\\"room:a\\\",\\\"phx_reply\\\","
	  "{\\\"status\\\":\\\"error\\\",\\\"response\\\":{\\\"reason\\\":\\\"unmatched topic\\\"}}]") },
	{ "AAEBBgQxMXJvb206YWVjaG94eQ==\r\n" BEAT("2"), J("[null,\\\"1\\\",\\\"room:a\\\",\\\"phx_reply\\\","
	  "{\\\"status\\\":\\\"error\\\",\\\"response\\\":{\\\"reason\\\":\\\"unmatched topic\\\"}}]\",\"" BEAT_ANSWER("2")) },
};

START_TEST(lines_are_messages)
{
	ck_assert_uint_eq(posts(true, slice_str(bodies[_i].body)), LONGPOLL_OK);
	ck_assert(is_open());
	hears(bodies[_i].messages);
}
END_TEST

static const struct {
	const char *body;
	bool	    ndjson;
} bad_bodies[] = {
	{ "x", true },
	{ "AAEBBgQxMXJvb206YWVjaG94eQ", true },	/* no padding */
	{ "AAEBBgQxMXJvb206YWVjaG94eQ-_", true },
	{ " " BEAT("1"), true },
	{ "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":\"1\"}", true },
	{ "AAEB", true },				/* base64 of no message */
	{ "[", true },
	{ "[\"\xff\"]", true },
	{ BEAT("1") "\n" BEAT("2") "\nx\n" BEAT("3"), true },
	{ "", false },
	{ "\xff", false },
	{ BEAT("1") "\n" BEAT("2"), false },
	{ "5", false },
};

START_TEST(bad_messages_end_the_session)
{
	ck_assert_uint_eq(posts(bad_bodies[_i].ndjson, slice_str(bad_bodies[_i].body)), LONGPOLL_GONE);
	has_ended();
	ck_assert_uint_eq(stats->protocol_errors_total, 1);
}
END_TEST

START_TEST(a_body_of_another_type_is_one_message)
{
	ck_assert_uint_eq(posts(false, SLICE(BEAT("1"))), LONGPOLL_OK);
	hears(J(BEAT_ANSWER("1")));
}
END_TEST

START_TEST(version_1_speaks_objects)
{
	longpoll_drop(lp, 1001, "test");
	lp = session_new(&codec_phoenix_v1);
	ck_assert_uint_eq(posts(false, SLICE("{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":\"1\"}")),
	    LONGPOLL_OK);
	hears("[\"{\\\"topic\\\":\\\"phoenix\\\",\\\"event\\\":\\\"phx_reply\\\",\\\"payload\\\":"
	    "{\\\"status\\\":\\\"ok\\\",\\\"response\\\":{}},\\\"ref\\\":\\\"1\\\"}\"]");
}
END_TEST

START_TEST(many_lines_are_taken)
{
	autobuf struct buf body = { 0 };

	for (unsigned i = 0; i < 500; i++)
		buf_addf(&body, "[null,\"%u\",\"phoenix\",\"heartbeat\",{}]\n", i);
	ck_assert_uint_eq(posts(true, buf_slice(&body)), LONGPOLL_OK);
	ck_assert_uint_eq(stats->messages_in_total, 500);
}
END_TEST

START_TEST(raw_bytes_do_not_come_back)
{
	posts(true, SLICE("[\"1\",\"1\",\"room:a\",\"phx_join\",{}]"));
	hears("[\"[\\\"1\\\",\\\"1\\\",\\\"room:a\\\",\\\"phx_reply\\\",{\\\"status\\\":\\\"ok\\\",\\\"response\\\":{}}]\"]");
	/* An echo and a broadcast of raw bytes; then one of text. */
	ck_assert_uint_eq(posts(true, SLICE("AAEBBgQxMXJvb206YWVjaG94eQ==\nAAEBBgUxMnJvb206YWJjYXN0eHk=")), LONGPOLL_OK);
	hears(NULL);
	posts(true, SLICE("[\"1\",\"3\",\"room:a\",\"bcast\",{\"x\":1}]"));
	hears("[\"[null,null,\\\"room:a\\\",\\\"bcast\\\",{\\\"x\\\":1}]\"]");
}
END_TEST

START_TEST(above_the_rate_posts_are_answered_late)
{
	struct asker a, b;

	bench.limits.message_rate = 10;
	bench.limits.message_burst = 2;
	posts_as(&a, true, SLICE(BEAT("1") "\n" BEAT("2") "\n" BEAT("3") "\n" BEAT("4")));
	ck_assert_uint_eq(a.times, 0);
	ck_assert_uint_eq(stats->messages_in_total, 3);
	/* And another one waits behind it. */
	posts_as(&b, true, SLICE(BEAT("5")));
	ck_assert_uint_eq(stats->messages_in_total, 3);
	turn(120);
	ck_assert_uint_eq(a.times, 1);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	turn(250);
	ck_assert_uint_eq(b.status, LONGPOLL_OK);
	ck_assert_uint_eq(stats->messages_in_total, 5);
	buf_done(&a.request.body);
	buf_done(&b.request.body);
}
END_TEST

START_TEST(no_post_is_put_off_for_ever)
{
	autobuf struct buf body = { 0 };
	struct asker	   a;

	bench.limits.message_rate = 10;
	bench.limits.message_burst = 1;
	for (unsigned i = 0; i < 200; i++)
		buf_addf(&body, "[null,\"%u\",\"room:a\",\"x\",{}]\n", i);
	posts_as(&a, true, buf_slice(&body));
	turn(3900);
	ck_assert_uint_eq(a.times, 0);
	turn(300);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	ck_assert_uint_eq(stats->messages_in_total, 200);
	ck_assert_uint_gt(stats->rate_limited_total, 100);
	buf_done(&a.request.body);
}
END_TEST

START_TEST(posts_without_end_end_the_session)
{
	autobuf struct buf body = { 0 };
	struct asker	   a, b, c;

	bench.limits.message_rate = 1;
	bench.limits.message_burst = 1;
	buf_addf(&body, "%s\n%s\n%*s", BEAT("1"), BEAT("2"), 40000, "");
	for (size_t i = body.n - 40000; i < body.n; i++)
		body.p[i] = '\n';
	posts_as(&a, true, buf_slice(&body));
	posts_as(&b, true, SLICE(BEAT("3")));
	ck_assert_uint_eq(a.times + b.times, 0);
	posts_as(&c, true, buf_slice(&body));
	ck_assert_uint_eq(a.status, LONGPOLL_GONE);
	ck_assert_uint_eq(b.status, LONGPOLL_GONE);
	ck_assert_uint_eq(c.status, LONGPOLL_GONE);
	has_ended();
	buf_done(&a.request.body);
	buf_done(&b.request.body);
	buf_done(&c.request.body);
}
END_TEST

START_TEST(a_post_whose_client_hung_up_goes_no_further)
{
	struct asker a;

	bench.limits.message_rate = 10;
	bench.limits.message_burst = 1;
	posts_as(&a, true, SLICE(BEAT("1") "\n" BEAT("2") "\n" BEAT("3")));
	ck_assert_uint_eq(a.times, 0);
	longpoll_cancel(&a.request);
	buf_done(&a.request.body);
	turn(5000);
	ck_assert_uint_eq(a.times, 0);
	ck_assert_uint_eq(stats->messages_in_total, 2);
	ck_assert_uint_eq(posts(true, SLICE(BEAT("4"))), LONGPOLL_OK);
}
END_TEST

/* So many broadcasts of so many bytes. */
static void
is_told(unsigned n, size_t size)
{
	autofree char	  *text = xasprintf("{\"x\":\"%0*u\"}", (int)size, 0);
	struct message	   m = {
		.kind = MESSAGE_BROADCAST, .topic_token = SLICE("\"room:a\""), .event = SLICE("e"), .payload = slice_str(text),
	};

	for (unsigned i = 0; i < n; i++)
		hub_deliver(&bench.pubsub.hub, hub_topic(&bench.pubsub.hub, SLICE("room:a")), &m, NULL);
	message_done(&m);
	turn(0);
}

START_TEST(what_waits_is_bounded)
{
	posts(true, SLICE("[\"1\",\"1\",\"room:a\",\"phx_join\",{}]"));
	is_told(60, 1000);
	ck_assert(is_open());
	is_told(10, 1000);
	has_ended();
	ck_assert_uint_eq(stats->slow_consumer_total, 1);
}
END_TEST

START_TEST(one_great_message_may_wait)
{
	struct asker a;

	posts(true, SLICE("[\"1\",\"1\",\"room:a\",\"phx_join\",{}]"));
	is_told(1, (size_t)QUEUE * 2);
	ck_assert(is_open());
	polls(&a);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	ck_assert_uint_gt(a.n, (size_t)QUEUE * 2);
	hears(NULL);
}
END_TEST

START_TEST(a_poll_that_waits_takes_a_burst)
{
	struct asker a;

	posts(true, SLICE("[\"1\",\"1\",\"room:a\",\"phx_join\",{}]"));
	polls(&a);
	polls(&a);
	is_told(200, 1000);
	ck_assert(is_open());
	ck_assert_uint_gt(a.n, 200000);
}
END_TEST

START_TEST(one_answer_has_4096_messages)
{
	struct asker a;

	set.options.max_queue = 10000000;
	posts(true, SLICE("[\"1\",\"1\",\"room:a\",\"phx_join\",{}]"));
	is_told(5000, 10);
	polls(&a);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	polls(&a);
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	hears(NULL);
}
END_TEST

/* Asks again from inside the answer, as a client does whose next request is there already. */
static struct asker again;
static struct longpoll *again_at;

static void
on_answer_ask(struct longpoll_request *r, enum longpoll_status status, struct slice messages)
{
	on_answer(r, status, messages);
	again = (struct asker){ .request = { .answer = on_answer } };
	longpoll_poll(again_at, &again.request);
}

START_TEST(the_next_poll_may_come_from_inside_the_answer)
{
	struct asker a = { .request = { .answer = on_answer_ask } };

	again_at = lp;
	longpoll_poll(lp, &a.request);
	turn(WINDOW + 10);
	ck_assert_uint_eq(a.status, LONGPOLL_NOTHING);
	ck_assert_uint_eq(again.times, 0);
	posts(true, SLICE(BEAT("1")));
	ck_assert_uint_eq(again.status, LONGPOLL_OK);
	a.times = 0;
	longpoll_poll(lp, &a.request);
	posts(true, SLICE(BEAT("2")));
	ck_assert_uint_eq(a.status, LONGPOLL_OK);
	ck_assert_uint_eq(again.times, 0);
	turn(WINDOW + 10);
	ck_assert_uint_eq(again.status, LONGPOLL_NOTHING);
}
END_TEST

START_TEST(of_polls_that_come_from_inside_an_answer_the_last_one_waits)
{
	struct asker first = { .request = { .answer = on_answer_ask } }, second;

	again_at = lp;
	longpoll_poll(lp, &first.request);
	polls(&second);
	ck_assert_uint_eq(first.times, 1);
	ck_assert_uint_eq(second.times, 1);
	ck_assert_uint_eq(second.status, LONGPOLL_NOTHING);
	ck_assert_uint_eq(again.times, 0);
	posts(true, SLICE(BEAT("1")));
	ck_assert_uint_eq(again.status, LONGPOLL_OK);
	ck_assert_uint_eq(second.times, 1);
}
END_TEST

static void
on_answer_end(struct longpoll_request *r, enum longpoll_status status, struct slice messages)
{
	on_answer(r, status, messages);
	longpoll_drop(again_at, 1000, "it shall");
}

START_TEST(the_session_may_end_from_inside_the_answer)
{
	struct asker first = { .request = { .answer = on_answer_end } }, second;

	again_at = lp;
	longpoll_poll(lp, &first.request);
	polls(&second);
	ck_assert_uint_eq(first.status, LONGPOLL_NOTHING);
	ck_assert_uint_eq(second.times, 1);
	ck_assert_uint_eq(second.status, LONGPOLL_ENDED);
	turn(2 * WINDOW);
	ck_assert_uint_eq(gone, 1);
}
END_TEST

static TCase *
poll_case(void)
{
	TCase *tc = tcase_create("poll");

	tcase_add_checked_fixture(tc, session_setup, teardown);
	tcase_add_test(tc, tokens_find_their_session);
	tcase_add_test(tc, what_waits_comes_at_once_and_in_order);
	tcase_add_test(tc, a_poll_waits_for_what_comes);
	tcase_add_test(tc, a_window_without_messages_ends_in_nothing);
	tcase_add_test(tc, a_later_poll_takes_the_place);
	tcase_add_test(tc, a_poll_that_hung_up_gets_nothing);
	tcase_add_test(tc, an_answer_that_does_not_arrive_waits_for_the_next_poll);
	tcase_add_test(tc, an_answer_that_arrives_is_gone);
	tcase_add_test(tc, a_client_that_hangs_up_before_it_is_settled_leaves_the_messages);
	tcase_add_test(tc, what_waits_is_bounded);
	tcase_add_test(tc, one_great_message_may_wait);
	tcase_add_test(tc, a_poll_that_waits_takes_a_burst);
	tcase_add_test(tc, one_answer_has_4096_messages);
	tcase_add_test(tc, the_next_poll_may_come_from_inside_the_answer);
	tcase_add_test(tc, of_polls_that_come_from_inside_an_answer_the_last_one_waits);
	tcase_add_test(tc, raw_bytes_do_not_come_back);
	return tc;
}

static TCase *
end_case(void)
{
	TCase *tc = tcase_create("end");

	tcase_add_checked_fixture(tc, session_setup, teardown);
	tcase_add_test(tc, a_session_that_ends_settles_nothing);
	tcase_add_test(tc, a_session_lives_for_one_and_a_half_windows_without_polls);
	tcase_add_test(tc, channels_end_with_it);
	tcase_add_test(tc, whoever_waits_is_told_of_the_end);
	tcase_add_test(tc, what_was_said_before_the_end_is_handed_over);
	tcase_add_test(tc, the_longest_open_go_first);
	tcase_add_test(tc, the_session_may_end_from_inside_the_answer);
	return tc;
}

static TCase *
post_case(void)
{
	TCase *tc = tcase_create("post");

	tcase_add_checked_fixture(tc, session_setup, teardown);
	LOOP(tc, lines_are_messages, bodies);
	LOOP(tc, bad_messages_end_the_session, bad_bodies);
	tcase_add_test(tc, a_body_of_another_type_is_one_message);
	tcase_add_test(tc, version_1_speaks_objects);
	tcase_add_test(tc, many_lines_are_taken);
	tcase_add_test(tc, above_the_rate_posts_are_answered_late);
	tcase_add_test(tc, no_post_is_put_off_for_ever);
	tcase_add_test(tc, posts_without_end_end_the_session);
	tcase_add_test(tc, a_post_whose_client_hung_up_goes_no_further);
	return tc;
}

Suite *
longpoll_suite(void)
{
	Suite *s = suite_create("longpoll");

	suite_add_tcase(s, poll_case());
	suite_add_tcase(s, end_case());
	suite_add_tcase(s, post_case());
	return s;
}
