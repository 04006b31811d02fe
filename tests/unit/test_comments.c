/*
 * The class comments: what is heard and kept, how often one may speak, and what it says to nonsense.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>

#include "channels/builtin.h"

Suite *comments_suite(void);

#define TOPIC			"comments:stream:5"
#define VIDEO			"comments:v7"
#define JOIN_IN(topic, payload)	"[\"1\",\"1\",\"" topic "\",\"phx_join\"," payload "]"
#define JOIN(payload)		JOIN_IN(TOPIC, payload)
#define PUSH_IN(topic, ref, event, payload) "[\"1\",\"" ref "\",\"" topic "\",\"" event "\"," payload "]"
#define PUSH(ref, event, payload) PUSH_IN(TOPIC, ref, event, payload)
#define COMMENT(ref, payload)	PUSH(ref, "new_comment", payload)
#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", TOPIC, payload)
#define R(response)		"{\"status\":\"ok\",\"response\":" response "}"
#define JOINED(response)	ANSWER("1", R(response))
#define FAIL(response)		"{\"status\":\"error\",\"response\":{\"reason\":" response "}}"
#define INVALID(field)		FAIL("\"invalid_payload\",\"field\":\"" field "\"")
#define LIMITED(reason, ms)	FAIL("\"" reason "\",\"retry_after_ms\":" ms)
#define BODY(content, user, stamp) \
	"{\"content\":" content ",\"user_id\":\"" user "\",\"stream_id\":\"5\",\"timestamp\":" stamp ",\"id\":\"*\"}"
#define HEARD(content, user, stamp) "[null,null,\"" TOPIC "\",\"new_comment\"," BODY(content, user, stamp) "]"

static void
serve_at(const char *pattern, struct route_setting *settings, unsigned n, const struct rate *rate, const char *reason)
{
	struct route_rate rates[] = { { "new_comment", rate != NULL ? *rate : (struct rate){ 0 } } };
	const char	 *why;
	char		 *fault;

	if (class_find("comments") == NULL)
		ck_assert_int_eq(class_add(&comments_class, &why), 0);
	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = pattern, .class = "comments", .settings = settings, .n_settings = n, .rates = rates,
		.n_rates = rate != NULL, .rate_reason = reason,
	}, &fault), 0);
}

static void
serve(void)
{
	serve_at("comments:stream:{stream_id}", NULL, 0, NULL, NULL);
}

static struct client *
client_in(const char *user)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);

	client_says(c, JOIN("{}"));
	pass(10);
	client_forgets(c);
	return c;
}

/* Comment number n, stamped n; its id, where it is wanted, in id[37]. */
static void
says(struct client *c, unsigned n, char *id)
{
	autofree char *text = xasprintf(COMMENT("9", "{\"content\":\"c%u\",\"timestamp\":%u}"), n, n);
	struct frame  *f;

	client_says(c, text);
	pass(10);
	ck_assert_uint_gt(c->out.n, 0);
	f = outq_at(&c->out, 0);
	if (id != NULL) {
		const char *at = memmem(frame_body(f), frame_body_len(f), "\"id\":\"", 6);

		ck_assert_ptr_nonnull(at);
		snprintf(id, 37, "%.36s", at + 6);
	}
	client_forgets(c);
}

#define C(n)	BODY("\"c" n "\"", "u1", n)

START_TEST(everyone_hears_a_comment)
{
	struct client *a, *b;

	serve();
	a = client_in("u1");
	b = client_in("u2");
	client_says(a, COMMENT("2", "{\"content\":\"Great \\u0073tream! \\u2764\",\"timestamp\":1234567890,\"x\":1}"));
	pass(10);
	client_hears_like(a, HEARD("\"Great \\u0073tream! \\u2764\"", "u1", "1234567890"));
	client_hears_like(a, ANSWER("2", R(BODY("\"Great \\u0073tream! \\u2764\"", "u1", "1234567890"))));
	client_hears_like(b, HEARD("\"Great \\u0073tream! \\u2764\"", "u1", "1234567890"));
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

START_TEST(without_a_stamp_it_has_the_servers)
{
	struct client *a;

	serve();
	a = client_in("u1");
	client_says(a, COMMENT("2", "{\"content\":\"x\",\"timestamp\":null}"));
	pass(10);
	client_hears_like(a, HEARD("\"x\"", "u1", "*"));
	client_hears_like(a, ANSWER("2", R(BODY("\"x\"", "u1", "*"))));
}
END_TEST

/* Named as the route names it; a route that names nothing adds nothing. */
static const struct {
	const char *pattern;
	const char *place;
} places[] = {
	{ "comments:{video_id}", ",\"video_id\":\"v7\"" },
	{ "comments:{stream_id}", ",\"stream_id\":\"v7\"" },
	{ "comments:*", "" },
};

START_TEST(the_place_is_named)
{
	struct client *a = client_v2();
	autofree char *heard = xasprintf("[null,null,\"" VIDEO "\",\"new_comment\",{\"content\":\"Great video!\","
	    "\"user_id\":\"u1\"%s,\"timestamp\":*,\"id\":\"*\"}]", places[_i].place);

	serve_at(places[_i].pattern, NULL, 0, NULL, NULL);
	client_says(a, JOIN_IN(VIDEO, "{}"));
	pass(10);
	client_forgets(a);
	client_says(a, PUSH_IN(VIDEO, "2", "new_comment", "{\"content\":\"Great video!\"}"));
	pass(10);
	client_hears_like(a, heard);
}
END_TEST

START_TEST(who_has_no_name_stays_out)
{
	struct client *a = client_new(&codec_phoenix_v2, "", 0);

	bench_serve("comments:stream:{stream_id}", &comments_class, NULL, 0, NULL);
	client_says(a, JOIN("{}"));
	client_hears(a, ANSWER("1", REASON("unauthorized")));
}
END_TEST

START_TEST(newcomers_are_given_the_newest)
{
	struct client *a, *b = client_new(&codec_phoenix_v2, "u2", 0);

	serve();
	client_says(b, JOIN("{\"last_seen_id\":null}"));
	pass(10);
	client_hears(b, JOINED("{\"comments\":[],\"has_more\":false}"));
	a = client_in("u1");
	says(a, 1, NULL);
	says(a, 2, NULL);
	a = client_v2();
	client_says(a, JOIN("{}"));
	pass(10);
	client_hears_like(a, JOINED("{\"comments\":[" C("1") "," C("2") "],\"has_more\":false}"));
}
END_TEST

START_TEST(at_most_fifty)
{
	struct client *a, *b = client_v2();
	struct frame  *f;
	struct slice   text;

	serve();
	a = client_in("u1");
	for (unsigned i = 1; i <= 51; i++)
		says(a, i, NULL);
	client_says(b, JOIN("{}"));
	pass(10);
	f = outq_at(&b->out, 0);
	text = slice(frame_body(f), frame_body_len(f));
	ck_assert_ptr_null(memmem(text.p, text.n, "\"c1\"", 4));
	ck_assert_ptr_nonnull(memmem(text.p, text.n, "{\"comments\":[{\"content\":\"c2\"", 28));
	ck_assert_ptr_nonnull(memmem(text.p, text.n, "\"c51\"", 5));
	ck_assert_ptr_nonnull(memmem(text.p, text.n, "\"has_more\":true}", 16));
}
END_TEST

START_TEST(who_comes_back_is_given_what_it_missed)
{
	struct client *a, *b = client_v2();
	char	       id[37];
	autofree char *join = NULL;

	serve();
	a = client_in("u1");
	says(a, 1, NULL);
	says(a, 2, id);
	says(a, 3, NULL);
	join = xasprintf(JOIN("{\"last_seen_id\":\"%s\"}"), id);
	client_says(b, join);
	pass(10);
	client_hears_like(b, JOINED("{\"comments\":[" C("3") "],\"has_more\":false,\"recovered\":true}"));
}
END_TEST

static const char *const unknown_ids[] = {
	"7", "\"\"", "\"nonsense\"", "{}", "\"\\u0000\"", "\"0198c0de-0000-7000-8000-000000000000\"",
	"\"0123456789012345678901234567890123456789012345678901234567890123456789\"",
};

START_TEST(who_saw_something_else_is_told_so)
{
	struct client *a, *b = client_v2();
	autofree char *join = xasprintf(JOIN("{\"last_seen_id\":%s}"), unknown_ids[_i]);

	serve();
	a = client_in("u1");
	says(a, 1, NULL);
	client_says(b, join);
	pass(10);
	/* An id that could be one is looked for first. */
	pass(10);
	client_hears_like(b, JOINED("{\"comments\":[" C("1") "],\"has_more\":false,\"recovered\":false}"));
}
END_TEST

START_TEST(without_the_store_it_is_in_nevertheless)
{
	struct client *a = client_v2();

	serve();
	bench_store_fails(-EHOSTUNREACH, true);
	client_says(a, JOIN("{}"));
	pass(10);
	client_hears(a, JOINED("{\"comments\":[],\"has_more\":false,\"recovered\":false}"));
	client_says(a, COMMENT("2", "{\"content\":\"x\"}"));
	client_says(a, PUSH("3", "load_comments", "{}"));
	pass(10);
	client_hears(a, ANSWER("2", REASON("unavailable")));
	client_hears(a, ANSWER("3", REASON("unavailable")));
	client_hears_nothing(a);
}
END_TEST

START_TEST(pages)
{
	struct client *a;
	char	       second[37];
	autofree char *before = NULL, *after = NULL;

	serve();
	a = client_in("u1");
	says(a, 1, NULL);
	says(a, 2, second);
	says(a, 3, NULL);
	says(a, 4, NULL);
	client_says(a, PUSH("2", "load_comments", "{\"limit\":2}"));
	pass(10);
	client_hears_like(a, ANSWER("2", R("{\"comments\":[" C("3") "," C("4") "],\"has_more\":true}")));
	before = xasprintf(PUSH("3", "load_comments", "{\"before\":\"%s\",\"limit\":100}"), second);
	client_says(a, before);
	pass(10);
	client_hears_like(a, ANSWER("3", R("{\"comments\":[" C("1") "],\"has_more\":false}")));
	after = xasprintf(PUSH("4", "load_comments", "{\"after\":\"%s\",\"before\":null,\"limit\":1}"), second);
	client_says(a, after);
	pass(10);
	client_hears_like(a, ANSWER("4", R("{\"comments\":[" C("3") "],\"has_more\":true}")));
	client_says(a, PUSH("5", "load_comments", "{\"after\":\"0198c0de-0000-7000-8000-000000000000\"}"));
	pass(10);
	client_hears(a, ANSWER("5", R("{\"comments\":[],\"has_more\":false,\"recovered\":false}")));
}
END_TEST

/* A page's text is bounded, from the right side. */
START_TEST(large_comments_come_in_small_pages)
{
	struct route_setting long_ones = { "max_length", "40000" };
	struct client	    *a, *b = client_v2();
	autofree char	    *long_text = xcalloc(1, 30001), *join = NULL;
	char		     first[37];
	struct frame	    *f;
	struct slice	     text;

	memset(long_text, 'x', 30000);
	serve_at("comments:stream:{stream_id}", &long_ones, 1, NULL, NULL);
	a = client_in("u1");
	says(a, 0, first);
	for (unsigned i = 1; i <= 10; i++) {
		autofree char *push = xasprintf(COMMENT("9", "{\"content\":\"%s\",\"timestamp\":%u}"), long_text, i);

		client_says(a, push);
		pass(10);
		client_forgets(a);
	}
	join = _i == 0 ? xstrdup(JOIN("{}")) : xasprintf(JOIN("{\"last_seen_id\":\"%s\"}"), first);
	client_says(b, join);
	pass(10);
	f = outq_at(&b->out, 0);
	text = slice(frame_body(f), frame_body_len(f));
	ck_assert_uint_lt(text.n, 300000);
	ck_assert_ptr_nonnull(memmem(text.p, text.n, "\"has_more\":true", 15));
	ck_assert_ptr_nonnull(memmem(text.p, text.n, _i == 0 ? "\"timestamp\":10," : "\"timestamp\":1,", _i == 0 ? 15 : 14));
	ck_assert_ptr_null(memmem(text.p, text.n, _i == 0 ? "\"timestamp\":1," : "\"timestamp\":10,", _i == 0 ? 14 : 15));
}
END_TEST

/* Rates. */

START_TEST(one_a_second)
{
	struct client *a, *b;

	serve_at("comments:stream:{stream_id}", NULL, 0, &(struct rate){ 1, 1000 }, NULL);
	a = client_in("u1");
	b = client_in("u2");
	/* What is no comment does not count, nor does what is refused. */
	client_says(a, COMMENT("2", "{\"content\":\"\"}"));
	client_hears(a, ANSWER("2", INVALID("content")));
	client_says(a, COMMENT("3", "{\"content\":\"one\",\"timestamp\":1}"));
	pass(10);
	client_hears_like(a, HEARD("\"one\"", "u1", "1"));
	client_hears_like(a, ANSWER("3", R(BODY("\"one\"", "u1", "1"))));
	/* The window lasts a second from there, however often one asks. */
	for (unsigned left = 990; left >= 970; left -= 10) {
		autofree char *answer = xasprintf(ANSWER("4", LIMITED("rate_limit", "%u")), left);

		client_says(a, COMMENT("4", "{\"content\":\"two\"}"));
		pass(10);
		client_hears(a, answer);
	}
	/* Another user's budget is another one. */
	client_says(b, COMMENT("2", "{\"content\":\"mine\",\"timestamp\":2}"));
	pass(10);
	client_hears_like(a, HEARD("\"mine\"", "u2", "2"));
	pass(1000);
	client_says(a, COMMENT("5", "{\"content\":\"two\",\"timestamp\":3}"));
	pass(10);
	client_hears_like(a, HEARD("\"two\"", "u1", "3"));
	client_hears_like(a, ANSWER("5", R(BODY("\"two\"", "u1", "3"))));
}
END_TEST

START_TEST(thirty_a_minute)
{
	struct client *a;

	serve_at("comments:stream:{stream_id}", NULL, 0, &(struct rate){ 30, 60000 }, "rate_limit_exceeded");
	a = client_in("u1");
	for (unsigned i = 1; i <= 30; i++)
		says(a, i, NULL);
	client_says(a, COMMENT("2", "{\"content\":\"more\"}"));
	pass(10);
	client_hears_like(a, ANSWER("2", LIMITED("rate_limit_exceeded", "59700")));
	/* Pages are no comments. */
	client_says(a, PUSH("3", "load_comments", "{\"limit\":1}"));
	pass(10);
	client_hears_like(a, ANSWER("3", R("{\"comments\":[" C("30") "],\"has_more\":true}")));
}
END_TEST

/* Two tabs, two nodes: the store counts them as one. */
START_TEST(tabs_share_a_budget)
{
	struct client *a, *b;

	serve_at("comments:stream:{stream_id}", NULL, 0, &(struct rate){ 1, 1000 }, NULL);
	a = client_in("u1");
	b = client_in("u1");
	says(a, 1, NULL);
	client_forgets(b);
	client_says(b, COMMENT("2", "{\"content\":\"x\"}"));
	pass(10);
	client_hears_like(b, ANSWER("2", LIMITED("rate_limit", "990")));
}
END_TEST

/* Bad input: the table of roost-protocol(7). */
static const struct {
	const char *event;
	const char *payload;
	const char *answer;
} bad[] = {
	{ "new_comment", "{}", INVALID("content") },
	{ "new_comment", "{\"content\":null}", INVALID("content") },
	{ "new_comment", "{\"content\":\"\"}", INVALID("content") },
	{ "new_comment", "{\"content\":\" \\t\\u00a0\"}", INVALID("content") },
	{ "new_comment", "{\"content\":7}", INVALID("content") },
	{ "new_comment", "{\"content\":{}}", INVALID("content") },
	{ "new_comment", "{\"content\":\"a\\u0000\"}", INVALID("content") },
	{ "new_comment", "{\"content\":\"\\ud800\"}", INVALID("content") },
	{ "new_comment", "{\"content\":\"x\",\"content\":\"\"}", INVALID("content") },
	{ "new_comment", "{\"content\":\"x\",\"timestamp\":\"7\"}", INVALID("timestamp") },
	{ "new_comment", "{\"content\":\"x\",\"timestamp\":7.5}", INVALID("timestamp") },
	{ "new_comment", "{\"content\":\"x\",\"timestamp\":1e3}", INVALID("timestamp") },
	{ "new_comment", "{\"content\":\"x\",\"timestamp\":9007199254740992}", INVALID("timestamp") },
	{ "new_comment", "{\"content\":\"x\",\"timestamp\":99999999999999999999}", INVALID("timestamp") },
	{ "new_comment", "{\"content\":\"x\",\"timestamp\":true}", INVALID("timestamp") },
	{ "new_comment", "[]", INVALID("payload") },
	{ "load_comments", "{\"before\":7}", INVALID("before") },
	{ "load_comments", "{\"after\":[]}", INVALID("after") },
	{ "load_comments", "{\"before\":\"a\",\"after\":\"b\"}", INVALID("after") },
	{ "load_comments", "{\"limit\":0}", INVALID("limit") },
	{ "load_comments", "{\"limit\":101}", INVALID("limit") },
	{ "load_comments", "{\"limit\":\"5\"}", INVALID("limit") },
	{ "load_comments", "\"all\"", INVALID("payload") },
	{ "say", "{}", REASON("unknown_event") },
	{ "new_message", "{\"content\":\"x\"}", REASON("unknown_event") },
	{ "presence_state", "{}", REASON("unknown_event") },
};

START_TEST(bad_input_is_refused)
{
	struct client *a;
	autofree char *push = xasprintf(PUSH("2", "%s", "%s"), bad[_i].event, bad[_i].payload);
	autofree char *answer = xasprintf(ANSWER("2", "%s"), bad[_i].answer);

	serve();
	a = client_in("u1");
	client_says(a, push);
	client_hears(a, answer);
	pass(10);
	client_hears_nothing(a);
	client_says(a, PUSH("3", "load_comments", "{}"));
	pass(10);
	client_hears(a, ANSWER("3", R("{\"comments\":[],\"has_more\":false}")));
}
END_TEST

START_TEST(bytes_are_refused)
{
	static const char join[] = "\x00\x01\x01\x11\x08" "11" TOPIC "phx_join\x00\xff";
	static const char push[] = "\x00\x01\x01\x11\x0b" "12" TOPIC "new_comment\x00\xff";
	static const char load[] = "\x00\x01\x01\x11\x0d" "13" TOPIC "load_comments\x00\xff";
	struct client *a, *b = client_v2();

	serve();
	session_receive(&b->session, true, slice(join, sizeof(join) - 1));
	client_hears(b, ANSWER("1", INVALID("payload")));
	a = client_in("u1");
	session_receive(&a->session, true, slice(push, sizeof(push) - 1));
	client_hears(a, ANSWER("2", INVALID("payload")));
	session_receive(&a->session, true, slice(load, sizeof(load) - 1));
	client_hears(a, ANSWER("3", INVALID("payload")));
}
END_TEST

/* Counted as characters. */
static const struct {
	const char *unit;
	unsigned    n;
	bool	    fine;
} lengths[] = {
	{ "x", 1024, true }, { "x", 1025, false },
	{ "\xf0\x9f\x98\x80", 1024, true }, { "\xf0\x9f\x98\x80", 1025, false },
	{ "\\u00e9", 1024, true }, { "\\u00e9", 1025, false },
};

START_TEST(content_has_a_length)
{
	autobuf struct buf push = { 0 };
	struct client	  *a;

	serve();
	a = client_in("u1");
	buf_add_str(&push, "[\"1\",\"2\",\"" TOPIC "\",\"new_comment\",{\"timestamp\":1,\"content\":\"");
	for (unsigned i = 0; i < lengths[_i].n; i++)
		buf_add_str(&push, lengths[_i].unit);
	buf_add_str(&push, "\"}]");
	buf_add_char(&push, '\0');
	client_says(a, push.p);
	if (!lengths[_i].fine) {
		client_hears(a, ANSWER("2", INVALID("content")));
		return;
	}
	pass(10);
	ck_assert_uint_eq(a->out.n, 2);
}
END_TEST

static const struct {
	struct route_setting setting;
	const char	    *why;
} bad_options[] = {
	{ { "history_max", "0" }, "history_max: expected a number from 1 to 1000000" },
	{ { "history_age", "long" }, "history_age: expected a time such as 7d" },
	{ { "max_length", "0" }, "max_length: expected a number from 1 to 65536" },
	{ { "max_length", "65537" }, "max_length: expected a number from 1 to 65536" },
	{ { "max_length", "short" }, "max_length: expected a number from 1 to 65536" },
};

START_TEST(bad_options_are_refused)
{
	bench_refuses(&comments_class, bad_options[_i].setting, bad_options[_i].why);
}
END_TEST

START_TEST(options_hold)
{
	struct route_setting  settings[] = { { "history_max", "2" }, { "history_age", "1s" }, { "max_length", "3" } };
	struct history_limits limits = { 0 };
	struct client	     *a;

	serve_at("comments:stream:{stream_id}", settings, 3, NULL, NULL);
	ck_assert(route_history(routes_match(bench.routes, SLICE(TOPIC)), &limits));
	ck_assert_uint_eq(limits.max, 2);
	ck_assert_uint_eq(limits.age_ms, 1000);
	a = client_in("u1");
	client_says(a, COMMENT("2", "{\"content\":\"four\"}"));
	client_hears(a, ANSWER("2", INVALID("content")));
	for (unsigned i = 1; i <= 3; i++)
		says(a, i, NULL);
	client_says(a, PUSH("3", "load_comments", "{}"));
	pass(10);
	client_hears_like(a, ANSWER("3", R("{\"comments\":[" C("2") "," C("3") "],\"has_more\":false}")));
}
END_TEST

Suite *
comments_suite(void)
{
	Suite *s = suite_create("comments");
	TCase *t = tcase_create("comments");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	tcase_add_test(t, everyone_hears_a_comment);
	tcase_add_test(t, without_a_stamp_it_has_the_servers);
	tcase_add_loop_test(t, the_place_is_named, 0, sizeof(places) / sizeof(places[0]));
	tcase_add_test(t, who_has_no_name_stays_out);
	tcase_add_test(t, newcomers_are_given_the_newest);
	tcase_add_test(t, at_most_fifty);
	tcase_add_test(t, who_comes_back_is_given_what_it_missed);
	tcase_add_loop_test(t, who_saw_something_else_is_told_so, 0, sizeof(unknown_ids) / sizeof(unknown_ids[0]));
	tcase_add_test(t, without_the_store_it_is_in_nevertheless);
	tcase_add_test(t, pages);
	tcase_add_loop_test(t, large_comments_come_in_small_pages, 0, 2);
	tcase_add_test(t, one_a_second);
	tcase_add_test(t, thirty_a_minute);
	tcase_add_test(t, tabs_share_a_budget);
	tcase_add_loop_test(t, bad_input_is_refused, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(t, bytes_are_refused);
	tcase_add_loop_test(t, content_has_a_length, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_loop_test(t, bad_options_are_refused, 0, sizeof(bad_options) / sizeof(bad_options[0]));
	tcase_add_test(t, options_hold);
	suite_add_tcase(s, t);
	return s;
}
