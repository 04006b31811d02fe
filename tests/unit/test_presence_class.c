/*
 * The class presence: whom it lets in, what it shows of them, and what they may tell of themselves.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "channels/builtin.h"

Suite *presence_class_suite(void);

#define TOPIC			"presence:room:7"
#define JOIN(payload)		"[\"1\",\"1\",\"" TOPIC "\",\"phx_join\"," payload "]"
#define UPDATE(ref, payload)	"[\"1\",\"" ref "\",\"" TOPIC "\",\"update_status\"," payload "]"
#define TYPING(ref, payload)	"[\"1\",\"" ref "\",\"" TOPIC "\",\"typing\"," payload "]"
#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", TOPIC, payload)
#define INVALID(field)		"{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"" field "\"}}"
#define STATE(key, meta)	"[\"1\",null,\"" TOPIC "\",\"presence_state\",{\"" key "\":{\"metas\":[" meta "]}}]"

static void
class_begin(void)
{
	bench_begin();
	bench_serve("presence:room:{room_id}", &presence_class, NULL, 0, NULL);
}

/* Who asks to join as whom, and what it is answered. */
static const struct {
	const char *user;
	const char *payload;
	const char *answer;
	const char *meta;
} joins[] = {
	{ "u1", "{}", OK, "\"status\":\"online\"" },
	{ "u1", "{\"user_id\":\"u1\"}", OK, "\"status\":\"online\"" },
	{ "u1", "{\"user_id\":\"\\u0075\\u0031\",\"status\":\"away\"}", OK, "\"status\":\"away\"" },
	{ "u1", "{\"user_id\":null,\"status\":\"\"}", OK, "\"status\":\"\"" },
	{ "42", "{\"user_id\":42}", OK, "\"status\":\"online\"" },
	{ "42", "{\"user_id\":\"42\"}", OK, "\"status\":\"online\"" },
	{ "-7", "{\"user_id\":-7}", OK, "\"status\":\"online\"" },
	{ "42", "{\"user_id\":42.0}", REASON("unauthorized"), NULL },
	{ "42", "{\"user_id\":43}", REASON("unauthorized"), NULL },
	{ "u1", "{\"user_id\":\"u2\"}", REASON("unauthorized"), NULL },
	{ "u1", "{\"user_id\":\"\"}", REASON("unauthorized"), NULL },
	{ "u1", "{\"user_id\":\"u1\\u0000\"}", REASON("unauthorized"), NULL },
	{ "u1", "{\"user_id\":\"u2\",\"status\":7}", REASON("unauthorized"), NULL },
	{ "", "{}", REASON("unauthorized"), NULL },
	{ "", "{\"user_id\":\"\"}", REASON("unauthorized"), NULL },
	{ "u1", "{\"user_id\":[]}", INVALID("user_id"), NULL },
	{ "u1", "{\"user_id\":true}", INVALID("user_id"), NULL },
	{ "u1", "{\"status\":7}", INVALID("status"), NULL },
	{ "u1", "{\"status\":null}", INVALID("status"), NULL },
	/* Others, too, as they may be told later; but for what belongs to the join. */
	{ "u1", "{\"typing\":false,\"mood\":{\"is\":[1]},\"user_id\":\"u1\"}", OK,
	  "\"status\":\"online\",\"typing\":false,\"mood\":{\"is\":[1]}" },
	{ "u1", "{\"x\":1,\"st\\u0061tus\":\"away\",\"x\":2}", OK, "\"status\":\"away\",\"x\":2" },
	{ "u1", "{\"t\\u006fken\":\"u1/1000\",\"x\":1}", OK, "\"status\":\"online\",\"x\":1" },
	{ "u1", "{\"typing\":\"yes\"}", INVALID("typing"), NULL },
	{ "u1", "{\"typing\":null}", INVALID("typing"), NULL },
	{ "u1", "{\"online_at\":0}", INVALID("online_at"), NULL },
	{ "u1", "{\"phx_ref\":\"x\"}", INVALID("phx_ref"), NULL },
	{ "u1", "{\"\":1}", INVALID(""), NULL },
	{ "u1", "{\"\\u0000\":1}", INVALID("payload"), NULL },
	{ "u1", "[]", INVALID("payload"), NULL },
};

START_TEST(who_may_join)
{
	struct client *c = client_new(&codec_phoenix_v2, joins[_i].user, 0);
	autofree char *join = xasprintf(JOIN("%s"), joins[_i].payload);
	autofree char *answer = xasprintf(ANSWER("1", "%s"), joins[_i].answer);
	autofree char *state = xasprintf(STATE("%s", "{\"online_at\":*,%s,\"phx_ref\":\"*\"}"), joins[_i].user,
	    joins[_i].meta != NULL ? joins[_i].meta : "");

	client_says(c, join);
	client_hears(c, answer);
	pass(BENCH_WINDOW + 10);
	if (joins[_i].meta != NULL)
		client_hears_like(c, state);
	client_hears_nothing(c);
}
END_TEST

START_TEST(bytes_do_not_join)
{
	static const char join[] = "\x00\x01\x01\x0f\x08" "11" TOPIC "phx_join\x00\xff";
	struct client *c = client_v2();

	session_receive(&c->session, true, slice(join, sizeof(join) - 1));
	client_hears(c, ANSWER("1", INVALID("payload")));
}
END_TEST

/* Of what a client says of itself; a token is not that. */
START_TEST(a_first_meta_is_bounded)
{
	struct client *c = client_v2();
	char	       text[5000];
	autofree char *fine = NULL, *large = NULL;

	memset(text, 'x', sizeof(text));
	fine = xasprintf(JOIN("{\"token\":\"u1/1000%.*s\",\"x\":\"%.*s\"}"), 2000, text, 3900, text);
	large = xasprintf(JOIN("{\"x\":\"%.*s\"}"), 4000, text);
	client_says(c, large);
	client_hears(c, ANSWER("1", INVALID("payload")));
	client_says(c, fine);
	client_hears(c, ANSWER("1", OK));
	pass(BENCH_WINDOW + 10);
	ck_assert_uint_eq(c->out.n, 1);
	ck_assert_uint_gt(frame_body_len(outq_at(&c->out, 0)), 3900);
}
END_TEST

static struct client *
client_in(const char *user)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);

	client_says(c, JOIN("{\"status\":\"online\"}"));
	pass(BENCH_WINDOW + 10);
	client_forgets(c);
	return c;
}

/* One after the other; the meta then is that one. */
static const struct {
	const char *fields;
	const char *meta;
} updates[] = {
	{ "{\"status\":\"away\"}", "\"online_at\":*,\"status\":\"away\"" },
	{ "{\"typing\":true}", "\"online_at\":*,\"status\":\"away\",\"typing\":true" },
	{ "{\"st\\u0061tus\":\"back\",\"x\":{\"y\":[1,2.50]}}",
	  "\"online_at\":*,\"status\":\"back\",\"typing\":true,\"x\":{\"y\":[1,2.50]}" },
	{ "{\"typing\":false,\"z\":1,\"z\":2}", "\"online_at\":*,\"status\":\"back\",\"typing\":false,\"x\":{\"y\":[1,2.50]},\"z\":2" },
};

START_TEST(updates_replace_what_they_name)
{
	struct client *c = client_in("u1");

	for (unsigned i = 0; i < sizeof(updates) / sizeof(updates[0]); i++) {
		autofree char *push = xasprintf(UPDATE("2", "%s"), updates[i].fields);
		autofree char *before = xasprintf("{\"u1\":{\"metas\":[{%s,\"phx_ref\":\"*\"%s}]}}",
		    i > 0 ? updates[i - 1].meta : "\"online_at\":*,\"status\":\"online\"", i > 0 ? ",\"phx_ref_prev\":\"*\"" : "");
		autofree char *diff = xasprintf("[null,null,\"" TOPIC "\",\"presence_diff\",{\"joins\":{\"u1\":{\"metas\":[{%s,\"phx_ref\":\"*\","
		    "\"phx_ref_prev\":\"*\"}]}},\"leaves\":%s}]", updates[i].meta, before);

		client_says(c, push);
		client_hears(c, ANSWER("2", OK));
		pass(BENCH_WINDOW + 10);
		client_hears_like(c, diff);
		client_hears_nothing(c);
	}
}
END_TEST

/* As "Channels and Presence Reference" has it. */
START_TEST(typing_is_an_event_as_well)
{
	struct client *c = client_in("u1");

	client_says(c, TYPING("2", "{\"typing\":true,\"status\":7}"));
	client_hears(c, ANSWER("2", OK));
	pass(BENCH_WINDOW + 10);
	client_hears_like(c, "[null,null,\"" TOPIC "\",\"presence_diff\",{\"joins\":{\"u1\":{\"metas\":[{\"online_at\":*,"
	    "\"status\":\"online\",\"typing\":true,\"phx_ref\":\"*\",\"phx_ref_prev\":\"*\"}]}},\"leaves\":{\"u1\":"
	    "{\"metas\":[{\"online_at\":*,\"status\":\"online\",\"phx_ref\":\"*\"}]}}}]");
	client_says(c, TYPING("3", "{\"typing\":true}"));
	client_hears(c, ANSWER("3", OK));
	pass(BENCH_WINDOW + 10);
	client_hears_nothing(c);
	client_says(c, TYPING("4", "{\"typing\":false}"));
	client_hears(c, ANSWER("4", OK));
	pass(BENCH_WINDOW + 10);
	ck_assert_uint_eq(c->out.n, 1);
}
END_TEST

static const char *const bad_typing[] = { "{}", "{\"typing\":null}", "{\"typing\":\"true\"}", "{\"typing\":1}" };

START_TEST(bad_typing_is_refused)
{
	struct client *c = client_in("u1");
	autofree char *push = xasprintf(TYPING("2", "%s"), bad_typing[_i]);

	client_says(c, push);
	client_hears(c, ANSWER("2", INVALID("typing")));
	pass(BENCH_WINDOW + 10);
	client_hears_nothing(c);
}
END_TEST

static const char *const same[] = { "{}", "{\"status\":\"online\"}" };

START_TEST(what_changes_nothing_is_not_told)
{
	struct client *c = client_in("u1");
	autofree char *push = xasprintf(UPDATE("2", "%s"), same[_i]);

	client_says(c, push);
	client_hears(c, ANSWER("2", OK));
	pass(BENCH_WINDOW + 10);
	client_hears_nothing(c);
}
END_TEST

static const struct {
	const char *fields;
	const char *field;
} bad_updates[] = {
	{ "{\"status\":7}", "status" },
	{ "{\"status\":null}", "status" },
	{ "{\"stat\\u0075s\":{}}", "status" },
	{ "{\"typing\":\"yes\"}", "typing" },
	{ "{\"typing\":null}", "typing" },
	{ "{\"online_at\":0}", "online_at" },
	{ "{\"phx_ref\":\"x\"}", "phx_ref" },
	{ "{\"ph\\u0078_ref_prev\":\"x\"}", "phx_ref_prev" },
	{ "{\"x\":1,\"phx_\":1}", "phx_" },
	{ "{\"\":1}", "" },
	{ "{\"\\u0000\":1}", "payload" },
};

START_TEST(bad_updates_are_refused)
{
	struct client *c = client_in("u1");
	autofree char *push = xasprintf(UPDATE("2", "%s"), bad_updates[_i].fields);
	autofree char *answer = xasprintf(ANSWER("2", INVALID("%s")), bad_updates[_i].field);

	client_says(c, push);
	client_hears(c, answer);
	pass(BENCH_WINDOW + 10);
	client_hears_nothing(c);
}
END_TEST

START_TEST(names_are_bounded)
{
	struct client *c = client_in("u1");

	for (int n = 256; n <= 257; n++) {
		autofree char *push = xasprintf(UPDATE("2", "{\"%0*d\":1}"), n, 7);

		client_says(c, push);
		client_hears(c, n == 256 ? ANSWER("2", OK) : ANSWER("2", INVALID("payload")));
	}
}
END_TEST

/* At once, or bit by bit. */
START_TEST(metas_are_bounded)
{
	struct client *c = client_in("u1");
	char	       text[5000];

	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 2; i++) {
		autofree char *large = xasprintf(UPDATE("2", "{\"x\":\"%.*s\"}"), 4095, text);
		autofree char *half = xasprintf(UPDATE("3", "{\"y%u\":\"%.*s\"}"), i, 2500, text);

		client_says(c, large);
		client_hears(c, ANSWER("2", INVALID("payload")));
		client_says(c, half);
		client_hears(c, i == 0 ? ANSWER("3", OK) : ANSWER("3", INVALID("payload")));
	}
}
END_TEST

/* As many fields as a meta has room for, all of them changed again and again: that is cheap for us, too. */
START_TEST(many_fields_are_no_burden)
{
	struct client	  *c = client_in("u1");
	autobuf struct buf fields = { 0 };
	clock_t		   since;

	for (unsigned i = 0; i < 550; i++)
		buf_addf(&fields, ",\"%c%c\":1", 'a' + i % 26, 'A' + i / 26);
	since = clock();
	for (unsigned i = 0; i < 100; i++) {
		autofree char *push = xasprintf(UPDATE("2", "{\"n\":%u%.*s}"), i, SLICE_ARG(buf_slice(&fields)));

		client_says(c, push);
		client_hears(c, ANSWER("2", OK));
	}
	ck_assert_msg(clock() - since < CLOCKS_PER_SEC, "%g s", (double)(clock() - since) / CLOCKS_PER_SEC);
}
END_TEST

START_TEST(other_events_are_unknown)
{
	static const char push[] = "\x00\x01\x01\x0f\x0d" "13" TOPIC "update_status\x00\xff";
	static const char typing[] = "\x00\x01\x01\x0f\x06" "14" TOPIC "typing\x00\xff";
	struct client *c = client_in("u1");

	client_says(c, "[\"1\",\"2\",\"" TOPIC "\",\"say\",{}]");
	client_hears(c, ANSWER("2", REASON("unknown_event")));
	session_receive(&c->session, true, slice(push, sizeof(push) - 1));
	client_hears(c, ANSWER("3", INVALID("payload")));
	session_receive(&c->session, true, slice(typing, sizeof(typing) - 1));
	client_hears(c, ANSWER("4", INVALID("payload")));
	client_says(c, UPDATE("5", "\"away\""));
	client_hears(c, ANSWER("5", INVALID("payload")));
}
END_TEST

/* Its name cannot be shown: it looks on, and has nothing to change. */
START_TEST(an_impossible_name)
{
	struct client *c = client_in("constructor");

	client_says(c, UPDATE("2", "{\"status\":\"away\"}"));
	client_hears(c, ANSWER("2", REASON("invalid_state")));
	client_says(c, TYPING("3", "{\"typing\":true}"));
	client_hears(c, ANSWER("3", REASON("invalid_state")));
}
END_TEST

START_TEST(a_lost_client_stays_for_the_grace)
{
	struct route_setting grace = { "leave_grace", "5s" };
	struct client	    *a, *b;

	bench_serve("presence:{x}:y:{z}", &presence_class, &grace, 1, NULL);
	a = client_new(&codec_phoenix_v2, "u1", 0);
	client_says(a, "[\"1\",\"1\",\"presence:a:y:b\",\"phx_join\",{}]");
	b = client_new(&codec_phoenix_v2, "u2", 0);
	client_says(b, "[\"1\",\"1\",\"presence:a:y:b\",\"phx_join\",{}]");
	pass(BENCH_WINDOW + 10);
	client_forgets(b);
	client_gone(a);
	pass(4000);
	client_hears_nothing(b);
	pass(1100);
	pass(BENCH_WINDOW + 10);
	client_hears_like(b, "[null,null,\"presence:a:y:b\",\"presence_diff\",{\"joins\":{},\"leaves\":{\"u1\":{\"metas\":[{\"online_at\":*,"
	    "\"status\":\"online\",\"phx_ref\":\"*\"}]}}}]");
}
END_TEST

START_TEST(a_bad_option_is_refused)
{
	struct route_setting setting = { "leave_grace", "a while" };
	autofree char	    *why = NULL;

	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = "s:*", .class = "presence", .settings = &setting, .n_settings = 1,
	}, &why), -EINVAL);
	ck_assert_msg(strstr(why, "leave_grace: expected a time such as 10s") != NULL, "%s", why);
}
END_TEST

Suite *
presence_class_suite(void)
{
	Suite *s = suite_create("presence_class");
	TCase *t = tcase_create("presence_class");

	tcase_add_checked_fixture(t, class_begin, bench_end);
	tcase_add_loop_test(t, who_may_join, 0, sizeof(joins) / sizeof(joins[0]));
	tcase_add_test(t, bytes_do_not_join);
	tcase_add_test(t, a_first_meta_is_bounded);
	tcase_add_test(t, updates_replace_what_they_name);
	tcase_add_test(t, typing_is_an_event_as_well);
	tcase_add_loop_test(t, bad_typing_is_refused, 0, sizeof(bad_typing) / sizeof(bad_typing[0]));
	tcase_add_loop_test(t, what_changes_nothing_is_not_told, 0, 2);
	tcase_add_loop_test(t, bad_updates_are_refused, 0, sizeof(bad_updates) / sizeof(bad_updates[0]));
	tcase_add_test(t, names_are_bounded);
	tcase_add_test(t, metas_are_bounded);
	tcase_add_test(t, many_fields_are_no_burden);
	tcase_add_test(t, other_events_are_unknown);
	tcase_add_test(t, an_impossible_name);
	tcase_add_test(t, a_lost_client_stays_for_the_grace);
	tcase_add_test(t, a_bad_option_is_refused);
	suite_add_tcase(s, t);
	return s;
}
