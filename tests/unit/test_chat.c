/*
 * The class chat: both dialects, who is told what, what is kept, who is not heard, and what it says to nonsense.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "channels/builtin.h"

Suite *chat_suite(void);

#define TOPIC			"chat:room:5"
#define SAY_TO(topic, ref, event, payload) "[\"1\",\"" ref "\",\"" topic "\",\"" event "\"," payload "]"
#define JOIN(payload)		SAY_TO(TOPIC, "1", "phx_join", payload)
#define PUSH(ref, event, payload) SAY_TO(TOPIC, ref, event, payload)
#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", TOPIC, payload)
#define R(response)		"{\"status\":\"ok\",\"response\":" response "}"
#define INVALID(field)		"{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"" field "\"}}"
#define HISTORY(list)		"[\"1\",null,\"" TOPIC "\",\"messages_history\",{\"messages\":[" list "]}]"
#define TOLD(event, payload)	"[null,null,\"" TOPIC "\",\"" event "\"," payload "]"
/* What goes through an intercept is this client's own. */
#define TOLD_ALONE(event, payload) "[\"1\",null,\"" TOPIC "\",\"" event "\"," payload "]"
#define TIME			"\"*:*:*.*\""
#define SAID(content, user, name) \
	"{\"content\":\"" content "\",\"user_id\":\"" user "\",\"username\":\"" name "\",\"room_id\":\"5\"," \
	"\"sender_type\":\"user\",\"timestamp\":" TIME ",\"created_at\":" TIME ",\"id\":\"*\"}"
#define MESSAGE(content, user)	SAID(content, user, user)
#define NAMED(user, name)	"{\"user_id\":\"" user "\",\"username\":\"" name "\",\"timestamp\":" TIME "}"
#define PERSON(user)		NAMED(user, user)
#define TYPIST(user, name, is)	"{\"user_id\":\"" user "\",\"username\":\"" name "\",\"room_id\":\"5\",\"is_typing\":" is "}"
#define TYPING(user, is)	TYPIST(user, user, is)
#define READ(user)		"{\"message_id\":\"*\",\"user_id\":\"" user "\",\"timestamp\":" TIME "}"
#define ID_LEN			36
#define NO_ID			"0198c0de-0000-7000-8000-000000000000"

static void
serve(struct route_setting *settings, unsigned n)
{
	bench_serve("chat:room:{room_id}", &chat_class, settings, n, NULL);
	bench_serve("chat:room_{room_id}", &chat_class, settings, n, NULL);
}

/* All windows are over. */
static void
settle(void)
{
	for (unsigned i = 0; i < 4; i++)
		pass(BENCH_WINDOW);
}

static struct client *
client_in_with(const char *user, const char *params)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);
	autofree char *text = xasprintf(JOIN("%s"), params);

	client_says(c, text);
	settle();
	return c;
}

static struct client *
client_in(const char *user)
{
	struct client *c = client_in_with(user, "{}");

	client_forgets(c);
	return c;
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

/* Says it, and lets everyone hear. */
static void
says(struct client *c, const char *content)
{
	autofree char *text = xasprintf(PUSH("9", "new_message", "{\"content\":\"%s\"}"), content);

	client_says(c, text);
	settle();
}

/* The same; the message's id is in out[ID_LEN + 1]. */
static void
says_for_id(struct client *c, const char *content, char *out)
{
	char text[1024];

	client_forgets(c);
	says(c, content);
	snprintf(out, ID_LEN + 1, "%s", strstr(client_heard(c, text, sizeof(text)), "\"id\":\"") + 6);
	client_forgets(c);
}

/* The push with that ref, and its answer. */
static void
asks(struct client *c, const char *event, const char *payload, const char *answer)
{
	autofree char *text = xasprintf(PUSH("7", "%s", "%s"), event, payload);
	autofree char *reply = xasprintf(ANSWER("7", "%s"), answer);

	client_says(c, text);
	settle();
	client_hears_like(c, reply);
}

/* The call that stands in a client's way is over, whatever it heard. */
static void
asks_quietly(struct client *c, const char *event, const char *payload)
{
	client_forgets(c);
	asks(c, event, payload, OK);
	client_forgets(c);
}

/* ---- joining ---- */

START_TEST(newcomers_are_greeted)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in_with("u1", "{}");
	client_hears(a, ANSWER("1", R("{\"messages\":[],\"has_more\":false,\"last_read_id\":null}")));
	client_hears(a, HISTORY(""));
	/* Nobody is told of himself. */
	client_hears_nothing(a);
}
END_TEST

START_TEST(newcomers_are_given_the_newest)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	says(a, "one");
	says(a, "two");
	b = client_in_with("u2", "{\"last_seen_id\":null}");
	client_hears_like(b, ANSWER("1", R("{\"messages\":[" MESSAGE("one", "u1") "," MESSAGE("two", "u1")
	    "],\"has_more\":false,\"last_read_id\":null}")));
	client_hears_like(b, HISTORY(MESSAGE("one", "u1") "," MESSAGE("two", "u1")));
	client_hears_nothing(b);
}
END_TEST

START_TEST(at_most_fifty)
{
	struct client *a, *b;
	char	       text[32768];

	serve(NULL, 0);
	a = client_in("u1");
	for (unsigned i = 1; i <= 51; i++) {
		autofree char *content = xasprintf("n%u.", i);

		says(a, content);
	}
	b = client_in_with("u2", "{}");
	client_heard(b, text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "n1."));
	ck_assert_ptr_nonnull(strstr(text, "n2."));
	ck_assert_ptr_nonnull(strstr(text, "n51."));
	ck_assert_ptr_nonnull(strstr(text, "\"has_more\":true"));
}
END_TEST

START_TEST(anonymous_clients_are_refused)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in_with("", "{}");
	client_hears(a, ANSWER("1", REASON("unauthorized")));
}
END_TEST

START_TEST(who_comes_back_is_given_what_it_missed)
{
	struct client *a, *b;
	char	       id[ID_LEN + 1];
	autofree char *params = NULL;

	serve(NULL, 0);
	a = client_in("u1");
	says(a, "one");
	says_for_id(a, "two", id);
	says(a, "three");
	params = xasprintf("{\"last_seen_id\":\"%s\"}", id);
	b = client_in_with("u2", params);
	client_hears_like(b, ANSWER("1", R("{\"messages\":[" MESSAGE("three", "u1")
	    "],\"has_more\":false,\"recovered\":true,\"last_read_id\":null}")));
	client_hears_like(b, HISTORY(MESSAGE("three", "u1")));
}
END_TEST

static const char *const unknown_ids[] = {
	"7", "\"\"", "\"nonsense\"", "{}", "\"\\u0000\"", "\"" NO_ID "\"", "\"" NO_ID "0\"",
	"\"0123456789012345678901234567890123456789012345678901234567890123456789\"",
};

START_TEST(who_saw_something_else_is_told_so)
{
	struct client *a, *b;
	autofree char *params = xasprintf("{\"last_seen_id\":%s}", unknown_ids[_i]);

	serve(NULL, 0);
	a = client_in("u1");
	says(a, "one");
	b = client_in_with("u2", params);
	client_hears_like(b, ANSWER("1", R("{\"messages\":[" MESSAGE("one", "u1")
	    "],\"has_more\":false,\"recovered\":false,\"last_read_id\":null}")));
	client_hears_like(b, HISTORY(MESSAGE("one", "u1")));
}
END_TEST

/* An id of another room is not known in this one. */
START_TEST(each_room_has_its_own_messages)
{
	struct client *a, *b;
	char	       id[ID_LEN + 1];
	autofree char *join = NULL;

	serve(NULL, 0);
	a = client_in("u1");
	says_for_id(a, "one", id);
	b = client_new(&codec_phoenix_v2, "u2", 0);
	join = xasprintf(SAY_TO("chat:room_5", "1", "phx_join", "{\"last_seen_id\":\"%s\"}"), id);
	client_says(b, join);
	settle();
	client_hears(b, REPLY("\"1\"", "\"1\"", "chat:room_5",
	    R("{\"messages\":[],\"has_more\":false,\"recovered\":false,\"last_read_id\":null}")));
	client_forgets(b);
	client_says(b, SAY_TO("chat:room_5", "2", "message", "{\"content\":\"hi\"}"));
	settle();
	client_hears_like(b, "[null,null,\"chat:room_5\",\"new_message\"," MESSAGE("hi", "u2") "]");
	client_hears_nothing(a);
}
END_TEST

/* A message that comes so many turns after the join is in the page, or behind the greeting. */
START_TEST(the_greeting_comes_first)
{
	struct client *a, *b;
	char	       text[1024];
	bool	       in_page;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_new(&codec_phoenix_v2, "u2", 0);
	client_says(b, JOIN("{}"));
	for (int i = 0; i < _i; i++)
		pass(1);
	client_says(a, PUSH("2", "message", "{\"content\":\"meanwhile\"}"));
	settle();
	in_page = strstr(client_heard(b, text, sizeof(text)), "meanwhile") != NULL;
	client_hears_like(b, in_page ? HISTORY(MESSAGE("meanwhile", "u1")) : HISTORY(""));
	if (!in_page)
		ck_assert_ptr_nonnull(strstr(client_heard(b, text, sizeof(text)), "\"new_message\",{\"content\":\"mean"));
	client_hears_nothing(b);
}
END_TEST

/* Also where the last one who was blocked is heard again while the page is read. */
START_TEST(the_greeting_comes_first_whatever_is_blocked)
{
	struct client *a, *b, *tab;
	char	       text[1024];

	serve(NULL, 0);
	a = client_in("u1");
	tab = client_in("u2");
	asks_quietly(tab, "block_user", "{\"user_id\":\"u3\"}");
	b = client_new(&codec_phoenix_v2, "u2", 0);
	client_says(b, JOIN("{}"));
	for (int i = 0; i < 6; i++) {
		if (i == _i / 6)
			client_says(tab, PUSH("2", "unblock_user", "{\"user_id\":\"u3\"}"));
		if (i == _i % 6)
			client_says(a, PUSH("2", "message", "{\"content\":\"meanwhile\"}"));
		pass(1);
	}
	settle();
	client_heard(b, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(client_heard(b, text, sizeof(text)), "messages_history"));
}
END_TEST

/* A page's text is bounded, from the right side. */
START_TEST(large_messages_come_in_small_pages)
{
	struct route_setting settings[] = { { "max_length", "30100" } };
	struct client	    *a, *b;
	autofree char	    *long_text = xcalloc(1, 30001), *params = NULL, *text = xcalloc(1, 400000);
	char		     first[ID_LEN + 1];

	memset(long_text, 'x', 30000);
	serve(settings, 1);
	a = client_in("u1");
	says_for_id(a, "zero", first);
	for (unsigned i = 1; i <= 10; i++) {
		autofree char *content = xasprintf("n%u.%s", i, long_text);

		says(a, content);
		client_forgets(a);
	}
	params = _i == 0 ? xstrdup("{}") : xasprintf("{\"last_seen_id\":\"%s\"}", first);
	b = client_in_with("u2", params);
	client_heard(b, text, 400000);
	ck_assert_uint_lt(strlen(text), 300000);
	ck_assert_ptr_nonnull(strstr(text, "\"has_more\":true"));
	ck_assert_ptr_nonnull(strstr(text, _i == 0 ? "n10." : "n1."));
	ck_assert_ptr_null(strstr(text, _i == 0 ? "n1." : "n10."));
}
END_TEST

/* ---- messages ---- */

static const char *const say_events[] = { "new_message", "message" };

START_TEST(everyone_hears_a_message)
{
	struct client *a, *b, *tab;

	serve(NULL, 0);
	a = client_in("u1");
	tab = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	client_forgets(tab);
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	client_forgets(tab);
	client_forgets(b);
	{
		autofree char *text = xasprintf(PUSH("7", "%s", "{\"content\":\"hi\"}"), say_events[_i]);

		client_says(a, text);
	}
	settle();
	client_hears_like(a, TOLD("new_message", MESSAGE("hi", "u1")));
	client_hears_like(a, ANSWER("7", R(MESSAGE("hi", "u1"))));
	client_hears_like(tab, TOLD("new_message", MESSAGE("hi", "u1")));
	client_hears_like(b, TOLD("new_message", MESSAGE("hi", "u1")));
	client_hears_nothing(b);
}
END_TEST

/* Two texts of one time. */
START_TEST(both_stamps_are_the_same)
{
	struct client *a;
	char	       text[1024];
	const char    *timestamp, *created;

	serve(NULL, 0);
	a = client_in("u1");
	says(a, "hi");
	client_heard(a, text, sizeof(text));
	timestamp = strstr(text, "\"timestamp\":\"") + 13;
	created = strstr(text, "\"created_at\":\"") + 14;
	ck_assert_int_eq(strncmp(timestamp, created, sizeof("2027-01-15T08:00:00.123Z")), 0);
	ck_assert_int_eq(timestamp[10], 'T');
	ck_assert_int_eq(timestamp[23], 'Z');
}
END_TEST

START_TEST(text_stays_as_it_was_written)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("u1");
	client_says(a, PUSH("7", "message", "{\"content\":\"no\", \"content\" : \"a \\u0062\\/\\ud83d\\ude00 @help\"}"));
	settle();
	client_hears_like(a, TOLD("new_message", MESSAGE("a \\u0062\\/\\ud83d\\ude00 @help", "u1")));
}
END_TEST

#define ANN			"Ann \\\"A\\\""

START_TEST(names_are_those_of_the_token)
{
	struct client *a, *b;

	serve(NULL, 0);
	b = client_in("u2");
	a = client_new(&codec_phoenix_v2, "u1", 0);
	identity_unref(a->session.who);
	a->session.who = identity_new(SLICE("u1"), SLICE("Ann \"A\""), SLICE("{}"), INT64_MAX);
	client_says(a, JOIN("{}"));
	settle();
	client_hears_like(b, TOLD("user_joined", NAMED("u1", ANN)));
	client_says(a, PUSH("7", "typing_start", "{}"));
	settle();
	client_hears(b, TOLD("user_typing", TYPIST("u1", ANN, "true")));
	says(a, "hi");
	client_hears_like(b, TOLD("new_message", SAID("hi", "u1", ANN)));
}
END_TEST

static const struct {
	const char *pattern;
	const char *topic;
	const char *room_id;
} rooms[] = {
	{ "c:{room_id}", "c:a b", "a b" },
	{ "c:{name}:{room_id}", "c:x:y", "y" },
	{ "c:*", "c:x:y", "x:y" },
	{ "lobby", "lobby", "lobby" },
};

START_TEST(the_room_is_what_the_route_says)
{
	struct client *a = client_v2();
	autofree char *join = xasprintf(SAY_TO("%s", "1", "phx_join", "{}"), rooms[_i].topic);
	autofree char *push = xasprintf(SAY_TO("%s", "2", "message", "{\"content\":\"hi\"}"), rooms[_i].topic);
	autofree char *room_id = xasprintf("\"room_id\":\"%s\"", rooms[_i].room_id);
	char	       text[1024];

	bench_serve(rooms[_i].pattern, &chat_class, NULL, 0, NULL);
	client_says(a, join);
	settle();
	client_forgets(a);
	client_says(a, push);
	settle();
	ck_assert_ptr_nonnull(strstr(client_heard(a, text, sizeof(text)), room_id));
}
END_TEST

/* As many characters as are allowed, of four bytes each; and one more. */
START_TEST(a_message_has_a_length)
{
	struct route_setting settings[] = { { "max_length", "3" } };
	struct client	    *a;

	serve(settings, 1);
	a = client_in("u1");
	client_says(a, PUSH("7", "message", "{\"content\":\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"}"));
	settle();
	client_hears_like(a, TOLD("new_message", MESSAGE("\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "u1")));
	client_forgets(a);
	asks(a, "message", "{\"content\":\"four\"}", INVALID("content"));
}
END_TEST

START_TEST(a_message_has_at_most_4096_characters)
{
	struct client *a, *b;
	autofree char *text = xcalloc(1, 4096 + 1 + (size_t)_i);

	memset(text, 'x', 4096 + (size_t)_i);
	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	says(a, text);
	ck_assert_uint_eq(b->out.n, _i == 0);
}
END_TEST

/* Each event's own: what is refused is not counted. */
START_TEST(rates_are_the_configurations)
{
	struct route_rate rates[] = { { "new_message", { 1, 10000 } }, { "message", { 1, 10000 } } };
	struct client	 *a;
	char		 *why;

	serve(NULL, 0);
	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = "limited:{room_id}", .class = "chat", .public = true, .rates = rates, .n_rates = 2,
	}, &why), 0);
	a = client_v2();
	client_says(a, SAY_TO("limited:5", "1", "phx_join", "{}"));
	settle();
	client_forgets(a);
	client_says(a, SAY_TO("limited:5", "2", "new_message", "{\"content\":\" \"}"));
	client_hears(a, REPLY("\"1\"", "\"2\"", "limited:5", INVALID("content")));
	for (unsigned i = 0; i < 2; i++) {
		autofree char *first = xasprintf(SAY_TO("limited:5", "3", "%s", "{\"content\":\"a\"}"), say_events[i]);
		autofree char *second = xasprintf(SAY_TO("limited:5", "4", "%s", "{\"content\":\"b\"}"), say_events[i]);

		client_says(a, first);
		settle();
		client_hears_like(a, "[null,null,\"limited:5\",\"new_message\"," MESSAGE("a", "u1") "]");
		client_forgets(a);
		client_says(a, second);
		settle();
		client_hears_like(a, REPLY("\"1\"", "\"4\"", "limited:5",
		    "{\"status\":\"error\",\"response\":{\"reason\":\"rate_limit\",\"retry_after_ms\":*}}"));
	}
}
END_TEST

/* ---- who is there ---- */

START_TEST(people_come_and_go)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_hears_like(a, TOLD("user_joined", PERSON("u2")));
	if (_i == 0)
		client_says(b, PUSH("2", "phx_leave", "{}"));
	else
		client_gone(b);
	settle();
	client_hears_like(a, TOLD("user_left", PERSON("u2")));
	client_hears_nothing(a);
}
END_TEST

START_TEST(two_tabs_are_one_person)
{
	struct client *a, *b, *tab;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	tab = client_in("u2");
	client_hears_nothing(a);
	client_hears_nothing(b);
	client_gone(b);
	settle();
	client_hears_nothing(a);
	client_hears_nothing(tab);
	client_gone(tab);
	settle();
	client_hears_like(a, TOLD("user_left", PERSON("u2")));
	client_hears_nothing(a);
}
END_TEST

/* A page that is loaded again: it leaves and comes within a window. */
START_TEST(who_comes_back_at_once_never_left)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	client_gone(b);
	b = client_new(&codec_phoenix_v2, "u2", 0);
	client_says(b, JOIN("{}"));
	for (unsigned i = 0; i < 10; i++)
		pass(1);
	settle();
	client_hears_nothing(a);
	ck_assert_uint_eq(b->out.n, 2);
}
END_TEST

START_TEST(a_lost_client_stays_for_the_grace)
{
	struct route_setting settings[] = { { "leave_grace", "5s" } };
	struct client	    *a, *b;

	serve(settings, 1);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	client_gone(b);
	pass(4000);
	client_hears_nothing(a);
	pass(1100);
	settle();
	client_hears_like(a, TOLD("user_left", PERSON("u2")));
}
END_TEST

/* A user whose name is no key is heard, but not seen. */
START_TEST(an_impossible_name_is_not_seen)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("__proto__");
	client_hears_nothing(a);
	asks(b, "typing_start", "{}", OK);
	client_hears_nothing(a);
	says(b, "hi");
	client_hears_like(a, TOLD("new_message", MESSAGE("hi", "__proto__")));
}
END_TEST

/* ---- who types ---- */

static const struct {
	const char *start, *on;
	const char *stop, *off;
} typing_signs[] = {
	{ "typing_start", "{}", "typing_stop", "{}" },
	{ "typing", "{\"is_typing\":true}", "typing", "{\"is_typing\":false}" },
	{ "typing_start", "{\"is_typing\":7}", "typing", "{\"is_typing\":false}" },
};

START_TEST(changes_of_typing_are_told)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	/* To stop what was not begun is no change. */
	asks(b, typing_signs[_i].stop, typing_signs[_i].off, OK);
	client_hears_nothing(a);
	asks(b, typing_signs[_i].start, typing_signs[_i].on, OK);
	client_hears(a, TOLD("user_typing", TYPING("u2", "true")));
	asks(b, typing_signs[_i].start, typing_signs[_i].on, OK);
	client_hears_nothing(a);
	asks(b, typing_signs[_i].stop, typing_signs[_i].off, OK);
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
	asks(b, typing_signs[_i].stop, typing_signs[_i].off, OK);
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

START_TEST(typing_stops_by_itself)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	pass(2000);
	/* A sign more. */
	asks(b, "typing_start", "{}", OK);
	pass(2700);
	pass(1);
	client_hears_nothing(a);
	pass(200);
	settle();
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
	client_hears_nothing(b);
}
END_TEST

START_TEST(the_typing_timeout_is_the_routes)
{
	struct route_setting settings[] = { { "typing_timeout", "10s" } };
	struct client	    *a, *b;

	serve(settings, 1);
	a = client_in("u1");
	b = client_in("u2");
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	pass(9000);
	client_hears_nothing(a);
	pass(1001);
	settle();
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
}
END_TEST

START_TEST(who_has_said_it_types_no_more)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	says(b, "hi");
	client_hears_like(a, TOLD("new_message", MESSAGE("hi", "u2")));
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
	/* The timer of the last sign is over, too. */
	pass(3100);
	settle();
	client_hears_nothing(a);
}
END_TEST

/* Said within a window: nobody saw it type. */
START_TEST(who_is_quick_never_typed)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	client_says(b, PUSH("2", "typing_start", "{}"));
	says(b, "hi");
	client_hears_like(a, TOLD("new_message", MESSAGE("hi", "u2")));
	client_hears_nothing(a);
}
END_TEST

/* What is refused is not sent: the writer is at it still. */
START_TEST(who_is_refused_types_on)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	asks(b, "message", "{\"content\":\"\"}", INVALID("content"));
	client_hears_nothing(a);
}
END_TEST

START_TEST(who_leaves_types_no_more)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	if (_i == 0)
		client_says(b, PUSH("2", "phx_leave", "{}"));
	else
		client_gone(b);
	settle();
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
	client_hears_like(a, TOLD("user_left", PERSON("u2")));
	client_hears_nothing(a);
}
END_TEST

START_TEST(a_tab_that_types_leaves_another)
{
	struct client *a, *b, *tab;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	tab = client_in("u2");
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	client_hears(tab, TOLD("user_typing", TYPING("u2", "true")));
	client_gone(b);
	settle();
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
	client_hears(tab, TOLD("user_typing", TYPING("u2", "false")));
	client_hears_nothing(a);
}
END_TEST

START_TEST(a_user_types_while_any_tab_does)
{
	struct client *a, *b, *tab;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	tab = client_in("u2");
	asks(b, "typing_start", "{}", OK);
	client_forgets(a);
	client_forgets(tab);
	asks(tab, "typing_start", "{}", OK);
	client_hears_nothing(a);
	asks(b, "typing_stop", "{}", OK);
	client_hears_nothing(a);
	client_hears_nothing(tab);
	asks(tab, "typing_stop", "{}", OK);
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
	client_hears(b, TOLD("user_typing", TYPING("u2", "false")));
	client_hears_nothing(tab);
}
END_TEST

/* ---- marks ---- */

START_TEST(what_was_read_is_told_and_kept)
{
	struct client *a, *b;
	char	       first[ID_LEN + 1], second[ID_LEN + 1];
	autofree char *payload = NULL, *told = NULL, *again = NULL;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	says_for_id(a, "one", first);
	says_for_id(a, "two", second);
	client_forgets(b);
	payload = xasprintf("{\"message_id\":\"%s\"}", first);
	told = xasprintf(TOLD("message_read", "{\"message_id\":\"%s\",\"user_id\":\"u2\",\"timestamp\":" TIME "}"), first);
	asks(b, "mark_read", payload, OK);
	client_hears_like(a, told);
	client_hears_like(b, told);
	b = client_in_with("u2", "{}");
	again = xasprintf(ANSWER("1", R("{\"messages\":[" MESSAGE("one", "u1") "," MESSAGE("two", "u1")
	    "],\"has_more\":false,\"last_read_id\":\"%s\"}")), first);
	client_hears_like(b, again);
	/* Others have their own. */
	b = client_in_with("u1", "{}");
	client_hears_like(b, ANSWER("1", R("{\"messages\":[" MESSAGE("one", "u1") "," MESSAGE("two", "u1")
	    "],\"has_more\":false,\"last_read_id\":null}")));
}
END_TEST

static const char *const unknown_messages[] = {
	"{\"message_id\":\"\"}", "{\"message_id\":\"msg_123\"}", "{\"message_id\":\"" NO_ID "\"}",
	"{\"message_id\":\"" NO_ID NO_ID NO_ID "\"}",
};

START_TEST(what_is_not_there_cannot_be_read)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("u1");
	says(a, "one");
	client_forgets(a);
	asks(a, "mark_read", unknown_messages[_i], REASON("not_found"));
	client_hears_nothing(a);
}
END_TEST

/* ---- pages ---- */

START_TEST(pages)
{
	struct client *a;
	char	       second[ID_LEN + 1];
	autofree char *before = NULL, *after = NULL;

	serve(NULL, 0);
	a = client_in("u1");
	says(a, "one");
	says_for_id(a, "two", second);
	says(a, "three");
	says(a, "four");
	client_forgets(a);
	asks(a, "load_history", "{\"limit\":2}",
	    R("{\"messages\":[" MESSAGE("three", "u1") "," MESSAGE("four", "u1") "],\"has_more\":true}"));
	before = xasprintf("{\"before\":\"%s\",\"limit\":100}", second);
	asks(a, "load_history", before, R("{\"messages\":[" MESSAGE("one", "u1") "],\"has_more\":false}"));
	after = xasprintf("{\"after\":\"%s\",\"limit\":1}", second);
	asks(a, "load_history", after, R("{\"messages\":[" MESSAGE("three", "u1") "],\"has_more\":true}"));
	asks(a, "load_history", "{\"after\":\"" NO_ID "\"}", R("{\"messages\":[],\"has_more\":false,\"recovered\":false}"));
	asks(a, "load_history", "{\"before\":\"" NO_ID "\"}", R("{\"messages\":[],\"has_more\":false}"));
}
END_TEST

static void
posted(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	ck_assert_int_eq(error, 0);
}

/* As the HTTP API does. */
static void
post(const char *event, const char *payload)
{
	struct history_limits limits;

	ck_assert(route_history(routes_match(bench.routes, SLICE(TOPIC)), &limits));
	ck_assert_int_eq(history_say_to(bench.history, SLICE(TOPIC), &limits, slice_str(event), slice_str(payload), posted,
	    NULL), 0);
	settle();
}

/* Messages that back ends post are messages; other events are none. */
START_TEST(back_ends_may_post)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("u1");
	post("new_message", "{\"content\":\"hello\" } ");
	post("announcement", "{}");
	post("new_message", "{ }");
	client_hears_like(a, TOLD("new_message", "{\"content\":\"hello\" ,\"id\":\"*\"}"));
	client_forgets(a);
	asks(a, "load_history", "{}",
	    R("{\"messages\":[{\"content\":\"hello\",\"id\":\"*\"},{\"id\":\"*\"}],\"has_more\":false}"));
}
END_TEST

START_TEST(the_kept_are_bounded)
{
	struct route_setting settings[] = { { "history_max", "2" }, { "history_age", "1s" } };
	struct client	    *a;

	serve(settings, 2);
	a = client_in("u1");
	says(a, "one");
	says(a, "two");
	says(a, "three");
	client_forgets(a);
	asks(a, "load_history", "{}",
	    R("{\"messages\":[" MESSAGE("two", "u1") "," MESSAGE("three", "u1") "],\"has_more\":false}"));
	bench_wall += 2000;
	asks(a, "load_history", "{}", R("{\"messages\":[],\"has_more\":false}"));
}
END_TEST

/* ---- blocks ---- */

/* All that u2 may do; a and b are in. */
static void
makes_noise(struct client *b)
{
	char	       id[ID_LEN + 1];
	autofree char *payload = NULL;
	struct client *tab;

	asks(b, "typing_start", "{}", OK);
	says_for_id(b, "noise", id);
	payload = xasprintf("{\"message_id\":\"%s\"}", id);
	asks(b, "mark_read", payload, OK);
	client_gone(b);
	settle();
	tab = client_in("u2");
	client_gone(tab);
	settle();
}

START_TEST(noise_is_heard)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	makes_noise(b);
	client_hears(a, TOLD("user_typing", TYPING("u2", "true")));
	client_hears_like(a, TOLD("new_message", MESSAGE("noise", "u2")));
	client_hears(a, TOLD("user_typing", TYPING("u2", "false")));
	client_hears_like(a, TOLD("message_read", READ("u2")));
	client_hears_like(a, TOLD("user_left", PERSON("u2")));
	client_hears_like(a, TOLD("user_joined", PERSON("u2")));
	client_hears_like(a, TOLD("user_left", PERSON("u2")));
	client_hears_nothing(a);
}
END_TEST

START_TEST(who_is_blocked_is_not_heard)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	asks(a, "block_user", "{\"user_id\":\"u2\"}", OK);
	makes_noise(b);
	client_hears_nothing(a);
	/* Others are, and oneself. */
	b = client_in("u3");
	client_hears_like(a, TOLD_ALONE("user_joined", PERSON("u3")));
	says(b, "hi");
	client_hears_like(a, TOLD_ALONE("new_message", MESSAGE("hi", "u3")));
	says(a, "ho");
	client_hears_like(a, TOLD_ALONE("new_message", MESSAGE("ho", "u1")));
}
END_TEST

/* The other side hears as before. */
START_TEST(who_is_blocked_is_not_deaf)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	client_forgets(b);
	says(a, "hi");
	client_hears_like(b, TOLD("new_message", MESSAGE("hi", "u1")));
}
END_TEST

START_TEST(what_the_blocked_said_is_not_shown)
{
	struct client *a, *b;
	char	       first[ID_LEN + 1];
	autofree char *since = NULL, *after = NULL;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	says_for_id(a, "one", first);
	says(b, "two");
	says(a, "three");
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	asks(a, "load_history", "{}",
	    R("{\"messages\":[" MESSAGE("one", "u1") "," MESSAGE("three", "u1") "],\"has_more\":false}"));
	after = xasprintf("{\"after\":\"%s\"}", first);
	asks(a, "load_history", after, R("{\"messages\":[" MESSAGE("three", "u1") "],\"has_more\":false}"));
	a = client_in_with("u1", "{}");
	client_hears_like(a, ANSWER("1", R("{\"messages\":[" MESSAGE("one", "u1") "," MESSAGE("three", "u1")
	    "],\"has_more\":false,\"last_read_id\":null}")));
	client_hears_like(a, HISTORY(MESSAGE("one", "u1") "," MESSAGE("three", "u1")));
	since = xasprintf("{\"last_seen_id\":\"%s\"}", first);
	a = client_in_with("u1", since);
	client_hears_like(a, ANSWER("1", R("{\"messages\":[" MESSAGE("three", "u1")
	    "],\"has_more\":false,\"recovered\":true,\"last_read_id\":null}")));
	client_hears_like(a, HISTORY(MESSAGE("three", "u1")));
	/* And again, when it is heard again. */
	client_forgets(a);
	asks_quietly(a, "unblock_user", "{\"user_id\":\"u2\"}");
	asks(a, "load_history", after,
	    R("{\"messages\":[" MESSAGE("two", "u2") "," MESSAGE("three", "u1") "],\"has_more\":false}"));
}
END_TEST

static void
loads(struct client *c, const char *side, const char *id, unsigned limit, const char *answer)
{
	autofree char *payload = xasprintf("{\"%s\":\"%s\",\"limit\":%u}", side, id, limit);

	client_forgets(c);
	asks(c, "load_history", payload, answer);
}

/* So many of the blocked lie between that a page of the limit, and the next one, holds nobody else. */
START_TEST(pages_go_on_behind_the_blocked)
{
	struct client *a, *b;
	char	       second[ID_LEN + 1], third[ID_LEN + 1], noise[ID_LEN + 1];

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	says(a, "first");
	says_for_id(a, "second", second);
	for (unsigned i = 0; i < 600; i++) {
		says(b, "noise");
		client_forgets(b);
	}
	says_for_id(a, "third", third);
	says(a, "fourth");
	says_for_id(b, "noise", noise);
	/* No more than are asked for, and none is left out, from either side. */
	loads(a, "before", third, 1, R("{\"messages\":[" MESSAGE("second", "u1") "],\"has_more\":true}"));
	loads(a, "before", third, 5,
	    R("{\"messages\":[" MESSAGE("first", "u1") "," MESSAGE("second", "u1") "],\"has_more\":false}"));
	loads(a, "after", second, 1, R("{\"messages\":[" MESSAGE("third", "u1") "],\"has_more\":true}"));
	loads(a, "after", second, 2,
	    R("{\"messages\":[" MESSAGE("third", "u1") "," MESSAGE("fourth", "u1") "],\"has_more\":false}"));
	/* What is there is told, be it less. */
	loads(a, "before", noise, 100,
	    R("{\"messages\":[" MESSAGE("third", "u1") "," MESSAGE("fourth", "u1") "],\"has_more\":true}"));
	loads(a, "after", noise, 100, R("{\"messages\":[],\"has_more\":false}"));
}
END_TEST

/* Who leaves meanwhile is told nothing. */
START_TEST(pages_go_on_for_nobody)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	for (unsigned i = 0; i < 3; i++)
		says(b, "noise");
	client_says(a, PUSH("7", "load_history", "{\"limit\":1}"));
	for (int i = 0; i < _i; i++)
		pass(1);
	client_gone(a);
	settle();
}
END_TEST

START_TEST(pages_go_on_while_the_store_is_there)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	for (unsigned i = 0; i < 3; i++)
		says(b, "noise");
	client_says(a, PUSH("7", "load_history", "{\"limit\":1}"));
	bench_store_fails(-EHOSTUNREACH, _i == 0);
	settle();
	client_hears(a, ANSWER("7", REASON("unavailable")));
}
END_TEST

/* In all tabs, in all rooms, at once. */
START_TEST(blocks_are_the_users)
{
	struct client *a, *tab, *b, *other;

	serve(NULL, 0);
	a = client_in("u1");
	tab = client_in("u1");
	b = client_in("u2");
	other = client_new(&codec_phoenix_v2, "u1", 0);
	client_says(other, SAY_TO("chat:room_9", "1", "phx_join", "{}"));
	client_says(b, SAY_TO("chat:room_9", "1", "phx_join", "{}"));
	settle();
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	client_forgets(tab);
	client_forgets(other);
	says(b, "hi");
	client_says(b, SAY_TO("chat:room_9", "2", "message", "{\"content\":\"hi\"}"));
	settle();
	client_hears_nothing(a);
	client_hears_nothing(tab);
	client_hears_nothing(other);
	asks_quietly(tab, "unblock_user", "{\"user_id\":\"u2\"}");
	says(b, "ho");
	client_hears_like(a, TOLD("new_message", MESSAGE("ho", "u2")));
	client_hears_like(tab, TOLD("new_message", MESSAGE("ho", "u2")));
	client_says(b, SAY_TO("chat:room_9", "3", "message", "{\"content\":\"ho\"}"));
	settle();
	ck_assert_uint_eq(other->out.n, 1);
}
END_TEST

/* A block that was said before the join holds from the first message on. */
START_TEST(blocks_hold_in_rooms_to_come)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	asks_quietly(a, "block_user", "{\"user_id\":\"u\\u0032\"}");
	client_gone(a);
	b = client_in("u2");
	a = client_in("u1");
	client_forgets(b);
	says(b, "hi");
	client_hears_nothing(a);
	client_hears_like(b, TOLD("new_message", MESSAGE("hi", "u2")));
}
END_TEST

START_TEST(a_user_blocks_at_most_a_thousand)
{
	struct client *a;

	serve(NULL, 0);
	for (unsigned i = 0; i < 1000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "v%u", i);
		bench_other_lists("u1", "blocks", name, true);
	}
	settle();
	a = client_in("u1");
	asks(a, "block_user", "{\"user_id\":\"u2\"}", REASON("too_many"));
}
END_TEST

/* Another node was told so. */
START_TEST(blocks_hold_wherever_they_are_said)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	bench_other_lists("u1", "blocks", "u2", true);
	settle();
	says(b, "hi");
	client_hears_nothing(a);
	bench_other_lists("u1", "blocks", "u2", false);
	settle();
	says(b, "ho");
	client_hears_like(a, TOLD("new_message", MESSAGE("ho", "u2")));
}
END_TEST

/* Whoever is not in the list is asked nothing of: the broadcast goes out as it is. */
START_TEST(who_blocks_nobody_is_not_asked)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("u1");
	says(a, "one");
	client_hears_like(a, TOLD("new_message", MESSAGE("one", "u1")));
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	says(a, "two");
	client_hears_like(a, TOLD_ALONE("new_message", MESSAGE("two", "u1")));
	asks_quietly(a, "unblock_user", "{\"user_id\":\"u2\"}");
	says(a, "three");
	client_hears_like(a, TOLD("new_message", MESSAGE("three", "u1")));
}
END_TEST

START_TEST(what_back_ends_post_for_somebody_is_of_him)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("u1");
	asks_quietly(a, "block_user", "{\"user_id\":\"u2\"}");
	post("new_message", "{\"content\":\"a\",\"user_id\":\"u2\"}");
	post("new_message", "{\"content\":\"b\",\"user_id\":7}");
	client_hears_like(a, TOLD_ALONE("new_message", "{\"content\":\"b\",\"user_id\":7,\"id\":\"*\"}"));
	asks(a, "load_history", "{}", R("{\"messages\":[{\"content\":\"b\",\"user_id\":7,\"id\":\"*\"}],\"has_more\":false}"));
}
END_TEST

/* ---- the store is away ---- */

START_TEST(without_the_store_it_is_in_nevertheless)
{
	struct client *a;

	serve(NULL, 0);
	bench_store_fails(-EHOSTUNREACH, _i == 0);
	a = client_in_with("u1", "{}");
	client_hears(a, ANSWER("1", R("{\"messages\":[],\"has_more\":false,\"recovered\":false,\"last_read_id\":null}")));
	client_hears(a, HISTORY(""));
	asks(a, "message", "{\"content\":\"hi\"}", REASON("unavailable"));
	asks(a, "load_history", "{}", REASON("unavailable"));
	asks(a, "mark_read", "{\"message_id\":\"" NO_ID "\"}", REASON("unavailable"));
	asks(a, "block_user", "{\"user_id\":\"u2\"}", REASON("unavailable"));
	asks(a, "typing_start", "{}", OK);
	client_hears_nothing(a);
}
END_TEST

/* Whom it does not want to hear is known when it has joined anew. */
START_TEST(who_came_without_the_store_comes_again)
{
	struct client *a, *b;

	serve(NULL, 0);
	b = client_in("u2");
	bench_store_fails(-EHOSTUNREACH, true);
	a = client_in("u1");
	bench_store_fails(0, false);
	says(b, "hi");
	client_hears(a, "[\"1\",\"1\",\"" TOPIC "\",\"phx_error\",{\"reason\":\"unavailable\"}]");
	client_hears_nothing(a);
}
END_TEST

/* ---- nonsense ---- */

#define LONG_16		"0123456789abcdef"
#define LONG_129	LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 "x"
/* 64 and one more, of two bytes each */
#define E_8		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define E_65		E_8 E_8 E_8 E_8 E_8 E_8 E_8 E_8 "\xc3\xa9"

static const struct {
	const char *event;
	const char *payload;
	const char *field;
} bad_pushes[] = {
	{ "new_message", "{}", "content" },
	{ "message", "{}", "content" },
	{ "message", "{\"content\":null}", "content" },
	{ "message", "{\"content\":\"\"}", "content" },
	{ "message", "{\"content\":\" \\t\\n\\u3000\"}", "content" },
	{ "message", "{\"content\":7}", "content" },
	{ "message", "{\"content\":{\"text\":\"a\"}}", "content" },
	{ "message", "{\"content\":[\"a\"]}", "content" },
	{ "message", "{\"content\":true}", "content" },
	{ "message", "{\"content\":\"a\\u0000b\"}", "content" },
	{ "message", "{\"text\":\"a\"}", "content" },
	{ "message", "[\"a\"]", "payload" },
	{ "typing_start", "7", "payload" },
	{ "typing", "{}", "is_typing" },
	{ "typing", "{\"is_typing\":null}", "is_typing" },
	{ "typing", "{\"is_typing\":\"true\"}", "is_typing" },
	{ "typing", "{\"is_typing\":1}", "is_typing" },
	{ "mark_read", "{}", "message_id" },
	{ "mark_read", "{\"message_id\":null}", "message_id" },
	{ "mark_read", "{\"message_id\":7}", "message_id" },
	{ "mark_read", "{\"message_id\":{}}", "message_id" },
	{ "block_user", "{}", "user_id" },
	{ "block_user", "{\"user_id\":\"\"}", "user_id" },
	{ "block_user", "{\"user_id\":7}", "user_id" },
	{ "block_user", "{\"user_id\":\"u1\"}", "user_id" },
	{ "block_user", "{\"user_id\":\"" LONG_129 "\"}", "user_id" },
	{ "block_user", "{\"user_id\":\"" E_65 "\"}", "user_id" },
	{ "unblock_user", "{}", "user_id" },
	{ "unblock_user", "{\"user_id\":[]}", "user_id" },
	{ "unblock_user", "{\"user_id\":\"u1\"}", "user_id" },
	{ "load_history", "{\"before\":7}", "before" },
	{ "load_history", "{\"after\":[]}", "after" },
	{ "load_history", "{\"before\":\"a\",\"after\":\"b\"}", "after" },
	{ "load_history", "{\"limit\":0}", "limit" },
	{ "load_history", "{\"limit\":101}", "limit" },
	{ "load_history", "{\"limit\":\"5\"}", "limit" },
};

START_TEST(bad_pushes_are_refused)
{
	struct client *a, *b;
	autofree char *answer = xasprintf(INVALID("%s"), bad_pushes[_i].field);

	serve(NULL, 0);
	a = client_in("u1");
	b = client_in("u2");
	client_forgets(a);
	asks(a, bad_pushes[_i].event, bad_pushes[_i].payload, answer);
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

static const char *const unknown_events[] = {
	"shout", "user_joined", "user_left", "user_typing", "message_read", "messages_history", "NEW_MESSAGE",
	"presence_state", "",
};

START_TEST(unknown_events_are_refused)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("u1");
	asks(a, unknown_events[_i], "{}", REASON("unknown_event"));
}
END_TEST

static const char *const byte_events[] = {
	"new_message", "message", "typing_start", "typing_stop", "typing", "mark_read", "load_history", "block_user",
	"unblock_user",
};

START_TEST(bytes_are_refused)
{
	struct client	  *a;
	autobuf struct buf push = { 0 };

	serve(NULL, 0);
	a = client_in("u1");
	buf_add(&push, "\x00\x01\x01", 3);
	buf_add_char(&push, (char)strlen(TOPIC));
	buf_add_char(&push, (char)strlen(byte_events[_i]));
	buf_add_str(&push, "17" TOPIC);
	buf_add_str(&push, byte_events[_i]);
	buf_add(&push, "\x00\xff", 2);
	session_receive(&a->session, true, buf_slice(&push));
	client_hears(a, ANSWER("7", INVALID("payload")));
}
END_TEST

START_TEST(a_join_with_bytes_is_refused)
{
	static const char join[] = "\x00\x01\x01\x0b\x08" "11" TOPIC "phx_join\x00\xff";
	struct client	 *a = client_v2();

	serve(NULL, 0);
	session_receive(&a->session, true, slice(join, sizeof(join) - 1));
	settle();
	client_hears(a, ANSWER("1", INVALID("payload")));
}
END_TEST

static const struct {
	struct route_setting setting;
	const char	    *why;
} bad_options[] = {
	{ { "history_max", "0" }, "history_max: expected a number from 1 to 1000000" },
	{ { "history_max", "1000001" }, "history_max: expected a number from 1 to 1000000" },
	{ { "history_age", "long" }, "history_age: expected a time such as 7d" },
	{ { "leave_grace", "-1" }, "leave_grace: expected a time such as 10s" },
	{ { "typing_timeout", "0" }, "typing_timeout: expected a time such as 3s" },
	{ { "typing_timeout", "soon" }, "typing_timeout: expected a time such as 3s" },
	{ { "max_length", "0" }, "max_length: expected a number from 1 to 65536" },
	{ { "max_length", "65537" }, "max_length: expected a number from 1 to 65536" },
};

START_TEST(bad_options_are_refused)
{
	struct route_setting setting = bad_options[_i].setting;
	autofree char	    *why = NULL;

	serve(NULL, 0);
	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = "s:*", .class = "chat", .settings = &setting, .n_settings = 1,
	}, &why), -EINVAL);
	ck_assert_msg(strstr(why, bad_options[_i].why) != NULL, "%s", why);
}
END_TEST

/* For who posts without a channel. */
START_TEST(a_route_says_what_it_keeps)
{
	struct history_limits limits = { 0 };

	serve(NULL, 0);
	ck_assert(route_history(routes_match(bench.routes, SLICE(TOPIC)), &limits));
	ck_assert_uint_eq(limits.max, 1000);
	ck_assert_uint_eq(limits.age_ms, UINT64_C(7) * 86400 * 1000);
}
END_TEST

#define N(table)	(int)(sizeof(table) / sizeof((table)[0]))

static void
add_conversation(TCase *t)
{
	tcase_add_test(t, newcomers_are_greeted);
	tcase_add_test(t, newcomers_are_given_the_newest);
	tcase_add_test(t, at_most_fifty);
	tcase_add_test(t, anonymous_clients_are_refused);
	tcase_add_test(t, who_comes_back_is_given_what_it_missed);
	tcase_add_loop_test(t, who_saw_something_else_is_told_so, 0, N(unknown_ids));
	tcase_add_test(t, each_room_has_its_own_messages);
	tcase_add_loop_test(t, the_greeting_comes_first, 0, 6);
	tcase_add_loop_test(t, the_greeting_comes_first_whatever_is_blocked, 0, 36);
	tcase_add_loop_test(t, large_messages_come_in_small_pages, 0, 2);
	tcase_add_loop_test(t, everyone_hears_a_message, 0, N(say_events));
	tcase_add_test(t, both_stamps_are_the_same);
	tcase_add_test(t, text_stays_as_it_was_written);
	tcase_add_test(t, names_are_those_of_the_token);
	tcase_add_loop_test(t, the_room_is_what_the_route_says, 0, N(rooms));
	tcase_add_test(t, a_message_has_a_length);
	tcase_add_loop_test(t, a_message_has_at_most_4096_characters, 0, 2);
	tcase_add_test(t, rates_are_the_configurations);
	tcase_add_test(t, what_was_read_is_told_and_kept);
	tcase_add_loop_test(t, what_is_not_there_cannot_be_read, 0, N(unknown_messages));
	tcase_add_test(t, pages);
	tcase_add_test(t, back_ends_may_post);
	tcase_add_test(t, the_kept_are_bounded);
}

static void
add_people(TCase *t)
{
	tcase_add_loop_test(t, people_come_and_go, 0, 2);
	tcase_add_test(t, two_tabs_are_one_person);
	tcase_add_test(t, who_comes_back_at_once_never_left);
	tcase_add_test(t, a_lost_client_stays_for_the_grace);
	tcase_add_test(t, an_impossible_name_is_not_seen);
	tcase_add_loop_test(t, changes_of_typing_are_told, 0, N(typing_signs));
	tcase_add_test(t, typing_stops_by_itself);
	tcase_add_test(t, the_typing_timeout_is_the_routes);
	tcase_add_test(t, who_has_said_it_types_no_more);
	tcase_add_test(t, who_is_quick_never_typed);
	tcase_add_test(t, who_is_refused_types_on);
	tcase_add_loop_test(t, who_leaves_types_no_more, 0, 2);
	tcase_add_test(t, a_tab_that_types_leaves_another);
	tcase_add_test(t, a_user_types_while_any_tab_does);
}

static void
add_blocks(TCase *t)
{
	tcase_add_test(t, noise_is_heard);
	tcase_add_test(t, who_is_blocked_is_not_heard);
	tcase_add_test(t, who_is_blocked_is_not_deaf);
	tcase_add_test(t, what_the_blocked_said_is_not_shown);
	tcase_add_test(t, pages_go_on_behind_the_blocked);
	tcase_add_loop_test(t, pages_go_on_for_nobody, 0, 4);
	tcase_add_loop_test(t, pages_go_on_while_the_store_is_there, 0, 2);
	tcase_add_test(t, blocks_are_the_users);
	tcase_add_test(t, blocks_hold_in_rooms_to_come);
	tcase_add_test(t, a_user_blocks_at_most_a_thousand);
	tcase_add_test(t, blocks_hold_wherever_they_are_said);
	tcase_add_test(t, who_blocks_nobody_is_not_asked);
	tcase_add_test(t, what_back_ends_post_for_somebody_is_of_him);
	tcase_add_loop_test(t, without_the_store_it_is_in_nevertheless, 0, 2);
	tcase_add_test(t, who_came_without_the_store_comes_again);
}

static void
add_nonsense(TCase *t)
{
	tcase_add_loop_test(t, bad_pushes_are_refused, 0, N(bad_pushes));
	tcase_add_loop_test(t, unknown_events_are_refused, 0, N(unknown_events));
	tcase_add_loop_test(t, bytes_are_refused, 0, N(byte_events));
	tcase_add_test(t, a_join_with_bytes_is_refused);
	tcase_add_loop_test(t, bad_options_are_refused, 0, N(bad_options));
	tcase_add_test(t, a_route_says_what_it_keeps);
}

Suite *
chat_suite(void)
{
	Suite *s = suite_create("chat");
	TCase *t = tcase_create("chat");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	add_conversation(t);
	add_people(t);
	add_blocks(t);
	add_nonsense(t);
	suite_add_tcase(s, t);
	return s;
}
