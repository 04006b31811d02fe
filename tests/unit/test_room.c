/*
 * The class room: echo, presence, history, and what it says to nonsense.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>

#include "channels/builtin.h"

Suite *room_suite(void);

#define JOIN(payload)		"[\"1\",\"1\",\"r:a\",\"phx_join\"," payload "]"
#define JOINED(response)	REPLY("\"1\"", "\"1\"", "r:a", "{\"status\":\"ok\",\"response\":" response "}")
#define PUSH(ref, event, payload) "[\"1\",\"" ref "\",\"r:a\",\"" event "\"," payload "]"
#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", "r:a", payload)
#define R(response)		"{\"status\":\"ok\",\"response\":" response "}"
#define INVALID(field)		"{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"" field "\"}}"
#define MESSAGE(n)		"{\"id\":\"*\",\"event\":\"say\",\"payload\":{\"n\":" n "},\"user_id\":\"u1\",\"timestamp\":\"" BENCH_TIME "\"}"
#define STATE(payload)		"[\"1\",null,\"r:a\",\"presence_state\"," payload "]"

static struct route_setting with_history[] = { { "history", "yes" } };
static struct route_setting with_presence[] = { { "presence", "yes" } };

static void
serve(struct route_setting *settings, unsigned n)
{
	bench_serve("r:*", &room_class, settings, n, NULL);
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

static void
says(struct client *c, unsigned n)
{
	autofree char *text = xasprintf(PUSH("9", "say", "{\"n\":%u}"), n);

	client_says(c, text);
	pass(10);
	client_forgets(c);
}

/* The next frame's text, in out. */
static const char *
client_heard(struct client *c, char *out, size_t size)
{
	struct frame *f;

	ck_assert_uint_gt(c->out.n, 0);
	f = outq_at(&c->out, 0);
	snprintf(out, size, "%.*s", (int)frame_body_len(f), frame_body(f));
	outq_drop(&c->out, f->len);
	return out;
}

START_TEST(everyone_hears)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_says(a, PUSH("2", "say", "{\"n\":1}"));
	client_hears(a, "[null,null,\"r:a\",\"say\",{\"n\":1}]");
	client_hears(a, ANSWER("2", OK));
	client_hears(b, "[null,null,\"r:a\",\"say\",{\"n\":1}]");
	/* Without history that is an event like others. */
	client_says(a, PUSH("3", "load_history", "{}"));
	client_hears(b, "[null,null,\"r:a\",\"load_history\",{}]");
	pass(100);
	client_hears_nothing(b);
}
END_TEST

/* Presence. */

START_TEST(users_are_shown)
{
	struct client *a, *b;
	char	       want[256];

	serve(with_presence, 1);
	a = client_new(&codec_phoenix_v2, "u1", 0);
	client_says(a, JOIN("{\"status\":\"a \\u0062\"}"));
	client_hears(a, JOINED("{}"));
	pass(BENCH_WINDOW + 10);
	snprintf(want, sizeof(want), STATE("{\"u1\":{\"metas\":[{\"online_at\":*,\"status\":\"a \\u0062\",\"phx_ref\":\"*\"}]}}"));
	client_hears_like(a, want);
	b = client_in("");
	pass(BENCH_WINDOW + 10);
	client_hears_like(b, want);
	client_hears_nothing(a);
	client_gone(a);
	pass(BENCH_WINDOW + 10);
	client_hears_like(b, "[null,null,\"r:a\",\"presence_diff\",{\"joins\":{},\"leaves\":{\"u1\":{\"metas\":[{\"online_at\":*,"
	    "\"status\":\"a \\u0062\",\"phx_ref\":\"*\"}]}}}]");
}
END_TEST

START_TEST(a_status_that_is_no_text_is_not_shown)
{
	struct client *a = client_v2();

	serve(with_presence, 1);
	client_says(a, JOIN("{\"status\":7}"));
	client_hears(a, JOINED("{}"));
	pass(BENCH_WINDOW + 10);
	client_hears_like(a, STATE("{\"u1\":{\"metas\":[{\"online_at\":*,\"phx_ref\":\"*\"}]}}"));
}
END_TEST

START_TEST(a_long_status_is_refused)
{
	struct client *a = client_v2();
	char	       status[1100];
	autofree char *text = NULL;

	memset(status, 'x', sizeof(status));
	serve(with_presence, 1);
	text = xasprintf(JOIN("{\"status\":\"%.*s\"}"), (int)sizeof(status), status);
	client_says(a, text);
	client_hears(a, ANSWER("1", INVALID("status")));
}
END_TEST

/* A user whose name no client could take looks on. */
START_TEST(an_impossible_name_is_not_shown)
{
	struct client *a = client_new(&codec_phoenix_v2, "__proto__", 0);

	serve(with_presence, 1);
	client_says(a, JOIN("{}"));
	client_hears(a, JOINED("{}"));
	pass(BENCH_WINDOW + 10);
	client_hears(a, STATE("{}"));
}
END_TEST

START_TEST(a_lost_client_stays_for_the_grace)
{
	struct route_setting settings[] = { { "presence", "yes" }, { "leave_grace", "5s" } };
	struct client	    *a, *b;

	serve(settings, 2);
	a = client_in("u1");
	b = client_in("u2");
	pass(BENCH_WINDOW + 10);
	client_forgets(b);
	client_gone(a);
	pass(4000);
	client_hears_nothing(b);
	pass(1100);
	pass(BENCH_WINDOW + 10);
	client_hears_like(b, "[null,null,\"r:a\",\"presence_diff\",{\"joins\":{},\"leaves\":{\"u1\":{\"metas\":[{\"online_at\":*,"
	    "\"phx_ref\":\"*\"}]}}}]");
}
END_TEST

/* History. */

START_TEST(newcomers_are_given_the_newest)
{
	struct client *a, *b = client_new(&codec_phoenix_v2, "", 0);

	serve(with_history, 1);
	client_says(b, JOIN("{\"last_seen_id\":null}"));
	pass(10);
	client_hears(b, JOINED("{\"messages\":[],\"has_more\":false}"));
	a = client_in("u1");
	says(a, 1);
	says(a, 2);
	client_forgets(b);
	/* Who has no name is nobody. */
	client_says(b, PUSH("2", "say", "{}"));
	pass(10);
	client_hears_like(b, "[null,null,\"r:a\",\"say\",{\"id\":\"*\"}]");
	client_hears_like(b, ANSWER("2", R("{\"id\":\"*\"}")));
	a = client_v2();
	client_says(a, JOIN("{}"));
	pass(10);
	client_hears_like(a, JOINED("{\"messages\":[" MESSAGE("1") "," MESSAGE("2") ",{\"id\":\"*\",\"event\":\"say\",\"payload\":{},"
	    "\"user_id\":null,\"timestamp\":\"" BENCH_TIME "\"}],\"has_more\":false}"));
}
END_TEST

START_TEST(at_most_fifty)
{
	struct client *a, *b = client_v2();
	char	       text[16384];

	serve(with_history, 1);
	a = client_in("u1");
	for (unsigned i = 1; i <= 51; i++)
		says(a, i);
	client_says(b, JOIN("{}"));
	pass(10);
	client_heard(b, text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "{\"n\":1}"));
	ck_assert_ptr_nonnull(strstr(text, "{\"n\":2}"));
	ck_assert_ptr_nonnull(strstr(text, "{\"n\":51}"));
	ck_assert_ptr_nonnull(strstr(text, "\"has_more\":true}"));
}
END_TEST

/* Says one more message, and returns its id in out[37]. */
static void
says_for_id(struct client *c, unsigned n, char *out)
{
	autofree char *text = xasprintf(PUSH("9", "say", "{\"n\":%u}"), n);
	char	       heard[512];

	client_says(c, text);
	pass(10);
	snprintf(out, 37, "%s", strstr(client_heard(c, heard, sizeof(heard)), "\"id\":\"") + 6);
	client_forgets(c);
}

START_TEST(who_comes_back_is_given_what_it_missed)
{
	struct client *a, *b = client_v2();
	char	       id[37];
	autofree char *join = NULL;

	serve(with_history, 1);
	a = client_in("u1");
	says(a, 1);
	says_for_id(a, 2, id);
	says(a, 3);
	says(a, 4);
	join = xasprintf(JOIN("{\"last_seen_id\":\"%s\"}"), id);
	client_says(b, join);
	pass(10);
	client_hears_like(b, JOINED("{\"messages\":[" MESSAGE("3") "," MESSAGE("4") "],\"has_more\":false,\"recovered\":true}"));
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

	serve(with_history, 1);
	a = client_in("u1");
	says(a, 1);
	client_says(b, join);
	pass(10);
	/* An id that could be one is looked for first. */
	pass(10);
	client_hears_like(b, JOINED("{\"messages\":[" MESSAGE("1") "],\"has_more\":false,\"recovered\":false}"));
}
END_TEST

START_TEST(without_the_store_it_is_in_nevertheless)
{
	struct client *a = client_v2();

	serve(with_history, 1);
	bench_store_fails(-EHOSTUNREACH, true);
	client_says(a, JOIN("{}"));
	pass(10);
	client_hears(a, JOINED("{\"messages\":[],\"has_more\":false,\"recovered\":false}"));
	client_says(a, PUSH("2", "say", "{}"));
	client_says(a, PUSH("3", "load_history", "{}"));
	pass(10);
	client_hears(a, ANSWER("2", REASON("unavailable")));
	client_hears(a, ANSWER("3", REASON("unavailable")));
}
END_TEST

/* A page's text is bounded, from the right side. */
START_TEST(large_messages_come_in_small_pages)
{
	struct client *a, *b = client_v2();
	autofree char *long_text = xcalloc(1, 30001), *join = NULL, *text = xcalloc(1, 400000);
	char	       first[37];

	memset(long_text, 'x', 30000);
	serve(with_history, 1);
	a = client_in("u1");
	says_for_id(a, 0, first);
	for (unsigned i = 1; i <= 10; i++) {
		autofree char *push = xasprintf(PUSH("9", "say", "{\"n\":%u,\"x\":\"%s\"}"), i, long_text);

		client_says(a, push);
		pass(10);
		client_forgets(a);
	}
	join = _i == 0 ? xstrdup(JOIN("{}")) : xasprintf(JOIN("{\"last_seen_id\":\"%s\"}"), first);
	client_says(b, join);
	pass(10);
	client_heard(b, text, 400000);
	ck_assert_uint_lt(strlen(text), 300000);
	ck_assert_ptr_nonnull(strstr(text, "\"has_more\":true"));
	ck_assert_ptr_nonnull(strstr(text, _i == 0 ? "{\"n\":10," : "{\"n\":1,"));
	ck_assert_ptr_null(strstr(text, _i == 0 ? "{\"n\":1," : "{\"n\":10,"));
}
END_TEST

START_TEST(pages)
{
	struct client *a;
	char	       second[37];
	autofree char *before = NULL, *after = NULL;

	serve(with_history, 1);
	a = client_in("u1");
	says(a, 1);
	says_for_id(a, 2, second);
	says(a, 3);
	says(a, 4);
	client_says(a, PUSH("2", "load_history", "{\"limit\":2}"));
	pass(10);
	client_hears_like(a, ANSWER("2", R("{\"messages\":[" MESSAGE("3") "," MESSAGE("4") "],\"has_more\":true}")));
	before = xasprintf(PUSH("3", "load_history", "{\"before\":\"%s\",\"after\":null,\"limit\":100}"), second);
	client_says(a, before);
	pass(10);
	client_hears_like(a, ANSWER("3", R("{\"messages\":[" MESSAGE("1") "],\"has_more\":false}")));
	after = xasprintf(PUSH("4", "load_history", "{\"after\":\"%s\",\"before\":null,\"limit\":1}"), second);
	client_says(a, after);
	pass(10);
	client_hears_like(a, ANSWER("4", R("{\"messages\":[" MESSAGE("3") "],\"has_more\":true}")));
	client_says(a, PUSH("5", "load_history", "{\"after\":\"0198c0de-0000-7000-8000-000000000000\"}"));
	pass(10);
	client_hears(a, ANSWER("5", R("{\"messages\":[],\"has_more\":false,\"recovered\":false}")));
}
END_TEST

static const struct {
	const char *payload;
	const char *field;
} bad_pages[] = {
	{ "{\"before\":7}", "before" },
	{ "{\"before\":{}}", "before" },
	{ "{\"after\":[]}", "after" },
	{ "{\"before\":\"a\",\"after\":\"b\"}", "after" },
	{ "{\"limit\":0}", "limit" },
	{ "{\"limit\":101}", "limit" },
	{ "{\"limit\":-1}", "limit" },
	{ "{\"limit\":1.5}", "limit" },
	{ "{\"limit\":\"5\"}", "limit" },
	{ "{\"limit\":99999999999999999999}", "limit" },
};

START_TEST(bad_pages_are_refused)
{
	struct client *a;
	autofree char *push = xasprintf(PUSH("2", "load_history", "%s"), bad_pages[_i].payload);
	autofree char *answer = xasprintf(ANSWER("2", INVALID("%s")), bad_pages[_i].field);

	serve(with_history, 1);
	a = client_in("u1");
	client_says(a, push);
	client_hears(a, answer);
}
END_TEST

START_TEST(bytes_are_not_kept)
{
	/* A push of two bytes. */
	static const char push[] = "\x00\x01\x01\x03\x03" "12r:asay\x00\xff";
	static const char load[] = "\x00\x01\x01\x03\x0c" "13r:aload_history\x00\xff";
	struct client *a;

	serve(with_history, 1);
	a = client_in("u1");
	session_receive(&a->session, true, slice(push, sizeof(push) - 1));
	client_hears(a, ANSWER("2", INVALID("payload")));
	session_receive(&a->session, true, slice(load, sizeof(load) - 1));
	client_hears(a, ANSWER("3", INVALID("payload")));
}
END_TEST

START_TEST(without_echo)
{
	struct route_setting settings[] = { { "history", "yes" }, { "echo", "no" }, { "events", "say" } };
	struct client	    *a, *b;

	serve(settings, 3);
	a = client_in("u1");
	b = client_in("u2");
	client_says(a, PUSH("2", "say", "{\"n\":1}"));
	pass(10);
	client_hears_like(a, ANSWER("2", R("{\"id\":\"*\"}")));
	client_hears_nothing(a);
	client_hears_like(b, "[null,null,\"r:a\",\"say\",{\"n\":1,\"id\":\"*\"}]");
	client_says(a, PUSH("3", "shout", "{\"n\":1}"));
	client_hears(a, ANSWER("3", REASON("unauthorized")));
	client_says(a, PUSH("4", "load_history", "{}"));
	pass(10);
	client_hears_like(a, ANSWER("4", R("{\"messages\":[" MESSAGE("1") "],\"has_more\":false}")));
}
END_TEST

START_TEST(the_kept_are_bounded)
{
	struct route_setting settings[] = { { "history", "yes" }, { "history_max", "2" }, { "history_age", "1s" } };
	struct client	    *a;

	serve(settings, 3);
	a = client_in("u1");
	for (unsigned i = 1; i <= 3; i++)
		says(a, i);
	client_says(a, PUSH("2", "load_history", "{}"));
	pass(10);
	client_hears_like(a, ANSWER("2", R("{\"messages\":[" MESSAGE("2") "," MESSAGE("3") "],\"has_more\":false}")));
	bench_wall += 2000;
	client_says(a, PUSH("3", "load_history", "{}"));
	pass(10);
	client_hears(a, ANSWER("3", R("{\"messages\":[],\"has_more\":false}")));
}
END_TEST

static const struct {
	struct route_setting setting;
	const char	    *why;
} bad_options[] = {
	{ { "presence", "perhaps" }, "presence: expected yes or no" },
	{ { "history", "some" }, "history: expected yes or no" },
	{ { "history_max", "0" }, "history_max: expected a number from 1 to 1000000" },
	{ { "history_max", "1000001" }, "history_max: expected a number from 1 to 1000000" },
	{ { "history_max", "many" }, "history_max: expected a number from 1 to 1000000" },
	{ { "history_age", "long" }, "history_age: expected a time such as 7d" },
	{ { "leave_grace", "-1" }, "leave_grace: expected a time such as 10s" },
};

START_TEST(bad_options_are_refused)
{
	struct route_setting setting = bad_options[_i].setting;
	autofree char	    *why = NULL;

	serve(NULL, 0);
	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = "s:*", .class = "room", .settings = &setting, .n_settings = 1,
	}, &why), -EINVAL);
	ck_assert_msg(strstr(why, bad_options[_i].why) != NULL, "%s", why);
}
END_TEST

/* For who posts without a channel. */
START_TEST(a_route_says_what_it_keeps)
{
	struct route_setting  settings[] = { { "history", "yes" }, { "history_max", "2" }, { "history_age", "1s" } };
	struct history_limits limits = { 0 };

	serve(settings, 3);
	ck_assert(route_history(routes_match(bench.routes, SLICE("r:a")), &limits));
	ck_assert_uint_eq(limits.max, 2);
	ck_assert_uint_eq(limits.age_ms, 1000);
}
END_TEST

START_TEST(a_route_may_keep_nothing)
{
	struct history_limits limits;

	serve(with_presence, 1);
	ck_assert(!route_history(routes_match(bench.routes, SLICE("r:a")), &limits));
}
END_TEST

Suite *
room_suite(void)
{
	Suite *s = suite_create("room");
	TCase *t = tcase_create("room");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	tcase_add_test(t, everyone_hears);
	tcase_add_test(t, users_are_shown);
	tcase_add_test(t, a_status_that_is_no_text_is_not_shown);
	tcase_add_test(t, a_long_status_is_refused);
	tcase_add_test(t, an_impossible_name_is_not_shown);
	tcase_add_test(t, a_lost_client_stays_for_the_grace);
	tcase_add_test(t, newcomers_are_given_the_newest);
	tcase_add_test(t, at_most_fifty);
	tcase_add_test(t, who_comes_back_is_given_what_it_missed);
	tcase_add_loop_test(t, who_saw_something_else_is_told_so, 0, sizeof(unknown_ids) / sizeof(unknown_ids[0]));
	tcase_add_test(t, without_the_store_it_is_in_nevertheless);
	tcase_add_loop_test(t, large_messages_come_in_small_pages, 0, 2);
	tcase_add_test(t, pages);
	tcase_add_loop_test(t, bad_pages_are_refused, 0, sizeof(bad_pages) / sizeof(bad_pages[0]));
	tcase_add_test(t, bytes_are_not_kept);
	tcase_add_test(t, without_echo);
	tcase_add_test(t, the_kept_are_bounded);
	tcase_add_test(t, a_route_says_what_it_keeps);
	tcase_add_test(t, a_route_may_keep_nothing);
	tcase_add_loop_test(t, bad_options_are_refused, 0, sizeof(bad_options) / sizeof(bad_options[0]));
	suite_add_tcase(s, t);
	return s;
}
