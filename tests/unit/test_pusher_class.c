/*
 * The class pusher: clients of both protocols in the same channels, what they are told of each other, and what they may not
 * do.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "channels/builtin.h"
#include "wire/envelope.h"

Suite *pusher_class_suite(void);

#define ROOM		"presence-room-1"
#define TIME		"\"*:*:*.*\""
/* A member, `info` with a comma before each; and its presence. */
#define MEMBER(user, info) "{\"id\":\"" user "\",\"clientId\":\"*\"" info ",\"joinedAt\":" TIME "}"
#define META(info)	"{\"clientId\":\"*\"" info ",\"joinedAt\":" TIME ",\"phx_ref\":\"*\"}"
#define UPDATED(user, info) "{\"id\":\"" user "\",\"clientId\":\"*\",\"joinedAt\":" TIME info "}"

/* Phoenix V2, of join_ref 1. */
#define PHX_JOIN(topic, payload) "[\"1\",\"1\",\"" topic "\",\"phx_join\"," payload "]"
#define PHX_PUSH(ref, event, payload) "[\"1\",\"" ref "\",\"" ROOM "\",\"" event "\"," payload "]"
#define PHX_ANSWER(ref, payload) REPLY("\"1\"", "\"" ref "\"", ROOM, payload)
#define PHX_OK(ref, response) PHX_ANSWER(ref, "{\"status\":\"ok\",\"response\":" response "}")
#define PHX_INVALID(ref, field) \
	PHX_ANSWER(ref, "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"" field "\"}}")
#define PHX_HEARS(event, payload) "[null,null,\"" ROOM "\",\"" event "\"," payload "]"
#define PHX_STATE(payload) "[\"1\",null,\"" ROOM "\",\"presence_state\"," payload "]"
#define PHX_DIFF(joins, leaves) PHX_HEARS("presence_diff", "{\"joins\":" joins ",\"leaves\":" leaves "}")
#define ONE(user, meta)	"{\"" user "\":{\"metas\":[" meta "]}}"

/* The Pusher-style protocol. */
#define JOIN(topic, rest) "{\"type\":\"join\",\"requestId\":\"j\",\"channel\":\"" topic "\"" rest "}"
#define JOINED_AS(topic, kind, more) "{\"type\":\"channel:joined\",\"requestId\":\"j\",\"channel\":\"" topic "\"," \
	"\"channelType\":\"" kind "\"" more "}"
#define JOINED(members, me) JOINED_AS(ROOM, "presence", ",\"members\":[" members "],\"me\":" me)
#define SAY(rest)	"{\"type\":\"channel:message\",\"requestId\":7,\"channel\":\"" ROOM "\"" rest "}"
#define SENT(n)		"{\"type\":\"channel:sent\",\"requestId\":7,\"channel\":\"" ROOM "\",\"delivered\":" n "}"
#define UPDATE(info)	"{\"type\":\"channel:update\",\"requestId\":[8],\"channel\":\"" ROOM "\",\"userInfo\":" info "}"
#define UPDATE_OK(member) "{\"type\":\"channel:updated\",\"requestId\":[8],\"channel\":\"" ROOM "\",\"member\":" member "}"
#define ERROR_AT(topic, id, code, text) "{\"type\":\"error\"" id ",\"channel\":\"" topic "\"," \
	"\"code\":\"" code "\",\"message\":\"" text "\"}"
#define ERROR(id, code, text) ERROR_AT(ROOM, ",\"requestId\":" id, code, text)
#define TOLD(what, member) "{\"type\":\"presence:member_" what "\",\"channel\":\"" ROOM "\"," \
	"\"member\":" member ",\"timestamp\":" TIME "}"
#define HEARS_AT(topic, event, data, user) "{\"type\":\"channel:message\",\"channel\":\"" topic "\"," \
	"\"event\":\"" event "\",\"data\":" data ",\"from\":{\"clientId\":\"*\",\"userId\":" user "},\"timestamp\":" TIME "}"
#define HEARS(event, data, user) HEARS_AT(ROOM, event, data, "\"" user "\"")

static void
class_begin(void)
{
	bench_begin();
	bench_serve("public-*", &pusher_class, NULL, 0, NULL);
	bench_serve("private-*", &pusher_class, NULL, 0, NULL);
	bench_serve("presence-*", &pusher_class, NULL, 0, NULL);
	bench_serve("other-*", &pusher_class, NULL, 0, NULL);
}

/* What is told of changes is told. */
static void
window(void)
{
	pass(BENCH_WINDOW + 10);
}

static struct client *
phoenix(const char *user)
{
	return client_new(&codec_phoenix_v2, user, 0);
}

static struct client *
pusher(const char *user)
{
	return client_new(&codec_pusher, user, 0);
}

/* Joined, with its answer still to be heard. */
static struct client *
joining(struct client *c, const char *text)
{
	client_says(c, text);
	pass(0);
	return c;
}

/* Joined, and told all of that. */
static struct client *
in_room(struct client *c, const char *text)
{
	joining(c, text);
	window();
	client_forgets(c);
	return c;
}

static struct client *
phoenix_in(const char *user)
{
	return in_room(phoenix(user), PHX_JOIN(ROOM, "{}"));
}

static struct client *
pusher_in(const char *user)
{
	return in_room(pusher(user), JOIN(ROOM, ""));
}

/* Joining. */

#define REFUSED		"{\"status\":\"error\",\"response\":{\"reason\":\"unauthorized\"}}"
#define INVALID(field)	"{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"" field "\"}}"
#define KIND(kind)	"{\"status\":\"ok\",\"response\":{\"channelType\":\"" kind "\"}}"
#define X10		"xxxxxxxxxx"
#define X150		X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static const struct {
	const char *user;
	const char *topic, *payload;
	const char *answer;
} joins[] = {
	{ "", "public-a", "{}", KIND("public") },
	{ "u1", "public-a", "{}", KIND("public") },
	{ "u1", "private-a", "{}", KIND("private") },
	{ "", "private-a", "{}", REFUSED },
	{ "", "presence-a", "{}", REFUSED },
	{ "", "presence-a", "{\"userInfo\":7}", REFUSED },
	{ "u1", "public-AZaz09_-=@,.;:", "{}", KIND("public") },
	{ "u1", "public-" X150 "1234567", "{}", KIND("public") },
	{ "u1", "public-" X150 "12345678", "{}", INVALID("channel") },
	{ "", "private-" X150 "1234567", "{}", INVALID("channel") },
	{ "u1", "public-a b", "{}", INVALID("channel") },
	{ "u1", "public-a/b", "{}", INVALID("channel") },
	{ "u1", "presence-\u00e9", "{}", INVALID("channel") },
	{ "u1", "other-a", "{}", INVALID("channel") },
	{ "u1", "private-a", "{\"userInfo\":{\"x\":1},\"more\":[]}", KIND("private") },
	{ "u1", "private-a", "{\"userInfo\":null}", KIND("private") },
	{ "u1", "private-a", "{\"userInfo\":[]}", INVALID("userInfo") },
	{ "u1", "presence-a", "{\"userInfo\":\"me\"}", INVALID("userInfo") },
	{ "u1", "presence-a", "{\"userInfo\":{\"\\u0000\":1}}", INVALID("userInfo") },
	{ "u1", "presence-a", "[]", INVALID("payload") },
	{ "constructor", "presence-a", "{}",
	  "{\"status\":\"error\",\"response\":{\"reason\":\"join_failed\",\"message\":\"This user cannot be shown\"}}" },
};

START_TEST(who_may_join)
{
	struct client *c = phoenix(joins[_i].user);
	autofree char *join = xasprintf(PHX_JOIN("%s", "%s"), joins[_i].topic, joins[_i].payload);
	autofree char *answer = xasprintf(REPLY("\"1\"", "\"1\"", "%s", "%s"), joins[_i].topic, joins[_i].answer);

	client_says(c, join);
	client_hears(c, answer);
	window();
	client_hears_nothing(c);
}
END_TEST

/* The same, where answers differ. */
static const struct {
	const char *user;
	const char *join;
	const char *answer;
} pusher_joins[] = {
	{ "", JOIN("public-a", ""), JOINED_AS("public-a", "public", "") },
	{ "u1", JOIN("private-a", ",\"userInfo\":{}"), JOINED_AS("private-a", "private", "") },
	{ "", JOIN("private-a", ""), ERROR_AT("private-a", ",\"requestId\":\"j\"", "FORBIDDEN", "Access denied") },
	{ "", JOIN(ROOM, ""), ERROR("\"j\"", "FORBIDDEN", "Access denied") },
	{ "u1", JOIN(ROOM, ",\"userInfo\":{\"\\u0000\":1}"), ERROR("\"j\"", "INVALID_REQUEST", "Invalid userInfo") },
	{ "u1", JOIN(ROOM, ",\"userInfo\":7"), ERROR("\"j\"", "INVALID_REQUEST", "Invalid userInfo") },
	{ "toString", JOIN(ROOM, ""), ERROR("\"j\"", "JOIN_FAILED", "This user cannot be shown") },
};

START_TEST(who_may_join_in_the_other_protocol)
{
	struct client *c = pusher(pusher_joins[_i].user);

	client_says(c, pusher_joins[_i].join);
	client_hears(c, pusher_joins[_i].answer);
	window();
	client_hears_nothing(c);
}
END_TEST

START_TEST(bytes_do_not_join)
{
	static const char join[] = "\x00\x01\x01\x08\x08" "11" "public-a" "phx_join\x00\xff";
	struct client *c = phoenix("u1");

	session_receive(&c->session, true, slice(join, sizeof(join) - 1));
	client_hears(c, REPLY("\"1\"", "\"1\"", "public-a", INVALID("payload")));
}
END_TEST

/* What a client says of itself, and what of that is shown. */
static const struct {
	const char *info;
	const char *shown;
} infos[] = {
	{ "{}", "" },
	{ "{\"name\":\"John\",\"avatar\":\"a.jpg\"}", ",\"name\":\"John\",\"avatar\":\"a.jpg\"" },
	{ "{ \"a\" : [ 1.50, null ] , \"b\" : { \"id\" : 7 } }", ",\"a\":[ 1.50, null ],\"b\":{ \"id\" : 7 }" },
	{ "{\"\\u0041\":1,\"\":null}", ",\"\\u0041\":1,\"\":null" },
	/* The server's own. */
	{ "{\"id\":\"u2\",\"clientId\":\"x\",\"joinedAt\":0,\"updatedAt\":0,\"phx_ref\":\"x\",\"phx_ref_prev\":1,"
	  "\"phx_\":2,\"x\":1}", ",\"x\":1" },
	{ "{\"\\u0069d\":\"u2\",\"cl\\u0069entId\":1,\"x\":1,\"joined\\u0041t\":1,\"ph\\u0078_ref\":1}", ",\"x\":1" },
	{ "{\"Id\":1,\"clientid\":2,\"phx\":3}", ",\"Id\":1,\"clientid\":2,\"phx\":3" },
	/* Of several of one name, the last. */
	{ "{\"x\":1,\"y\":2,\"\\u0078\":3}", ",\"x\":3,\"y\":2" },
};

START_TEST(what_members_tell_of_themselves)
{
	struct client *a = phoenix_in("u2"), *b = pusher_in("u3"), *c = pusher("u1");
	autofree char *join = xasprintf(JOIN(ROOM, ",\"userInfo\":%s"), infos[_i].info);
	autofree char *member = xasprintf(MEMBER("u1", "%s"), infos[_i].shown);
	autofree char *answer = xasprintf(JOINED(MEMBER("u2", "") "," MEMBER("u3", "") ",%s", "%s"), member, member);
	autofree char *told = xasprintf(TOLD("joined", "%s"), member);
	autofree char *diff = xasprintf(PHX_DIFF(ONE("u1", META("%s")), "{}"), infos[_i].shown);

	window();
	client_forgets(a);
	joining(c, join);
	client_hears_like(c, answer);
	client_hears_nothing(b);
	window();
	client_hears_like(a, diff);
	client_hears_nothing(a);
	client_hears_like(b, told);
	client_hears_nothing(b);
	client_hears_nothing(c);
}
END_TEST

/* In all, with what the server adds. */
START_TEST(what_they_tell_is_bounded)
{
	struct client *c = phoenix("u1"), *d = pusher_in("u2");
	char	       text[4200];
	autofree char *fine = NULL, *large = NULL, *larger = NULL;

	memset(text, 'x', sizeof(text));
	fine = xasprintf(PHX_JOIN(ROOM, "{\"x\":\"%.*s\",\"userInfo\":{\"x\":\"%.*s\"}}"), 4200, text, 3980, text);
	large = xasprintf(PHX_JOIN(ROOM, "{\"userInfo\":{\"x\":\"%.*s\"}}"), 4080, text);
	larger = xasprintf(PHX_JOIN("public-a", "{\"userInfo\":{\"x\":\"%.*s\"}}"), 4100, text);
	client_says(c, large);
	client_hears(c, PHX_INVALID("1", "userInfo"));
	client_says(c, larger);
	client_hears(c, REPLY("\"1\"", "\"1\"", "public-a", INVALID("userInfo")));
	joining(c, fine);
	window();
	ck_assert_uint_eq(d->out.n, 1);
	ck_assert_uint_gt(frame_body_len(outq_at(&d->out, 0)), 3980);
}
END_TEST

/* Members. */

START_TEST(the_first_one)
{
	struct client *a = joining(pusher("u1"), JOIN(ROOM, ",\"userInfo\":{\"name\":\"John\"}"));

	client_hears_like(a, JOINED(MEMBER("u1", ",\"name\":\"John\""), MEMBER("u1", ",\"name\":\"John\"")));
	window();
	client_hears_nothing(a);
}
END_TEST

/* In both protocols; who has just come is seen by who comes next. */
START_TEST(come_and_go)
{
	struct client *a = joining(pusher("u1"), JOIN(ROOM, ""));
	struct client *b = joining(phoenix("u2"), PHX_JOIN(ROOM, "{\"userInfo\":{\"n\":2}}"));

	client_hears_like(a, JOINED(MEMBER("u1", ""), MEMBER("u1", "")));
	client_hears_like(b, PHX_OK("1", "{\"channelType\":\"presence\",\"members\":[" MEMBER("u1", "") ","
	    MEMBER("u2", ",\"n\":2") "],\"me\":" MEMBER("u2", ",\"n\":2") "}"));
	window();
	client_hears_like(a, TOLD("joined", MEMBER("u2", ",\"n\":2")));
	client_hears_nothing(a);
	client_hears_like(b, PHX_STATE("{\"u1\":{\"metas\":[" META("") "]},\"u2\":{\"metas\":[" META(",\"n\":2") "]}}"));
	client_hears_nothing(b);
	client_says(a, "{\"type\":\"leave\",\"requestId\":3,\"channel\":\"" ROOM "\"}");
	client_hears(a, "{\"type\":\"channel:left\",\"requestId\":3,\"channel\":\"" ROOM "\"}");
	window();
	client_hears_nothing(a);
	client_hears_like(b, PHX_DIFF("{}", ONE("u1", META(""))));
	client_hears_nothing(b);
	joining(a, JOIN(ROOM, ""));
	window();
	client_forgets(a);
	client_gone(b);
	window();
	client_hears_like(a, TOLD("left", MEMBER("u2", ",\"n\":2")));
	client_hears_nothing(a);
}
END_TEST

/* Several connections of one user: each comes, the last goes. */
START_TEST(several_tabs)
{
	struct client *a = pusher_in("u1"), *b = pusher_in("u2"), *c = pusher("u2"), *d;

	window();
	client_forgets(a);
	joining(c, JOIN(ROOM, ",\"userInfo\":{\"tab\":2}"));
	client_hears_like(c, JOINED(MEMBER("u1", "") "," MEMBER("u2", "") "," MEMBER("u2", ",\"tab\":2"),
	    MEMBER("u2", ",\"tab\":2")));
	window();
	client_hears_like(a, TOLD("joined", MEMBER("u2", ",\"tab\":2")));
	client_hears_like(b, TOLD("joined", MEMBER("u2", ",\"tab\":2")));
	client_hears_nothing(c);
	client_gone(b);
	window();
	client_hears_nothing(a);
	client_hears_nothing(c);
	client_gone(c);
	window();
	client_hears_like(a, TOLD("left", MEMBER("u2", ",\"tab\":2")));
	/* Comes and goes unseen. */
	d = joining(pusher("u3"), JOIN(ROOM, ""));
	client_gone(d);
	window();
	client_hears_nothing(a);
}
END_TEST

/* Within one window: each hears of all others, and none of itself. */
START_TEST(tabs_that_come_together)
{
	struct client *a = pusher_in("u1"), *b = pusher("u2"), *c = pusher("u2");

	client_says(b, JOIN(ROOM, ",\"userInfo\":{\"tab\":2}"));
	client_says(c, JOIN(ROOM, ",\"userInfo\":{\"tab\":3}"));
	pass(0);
	client_hears_like(b, JOINED(MEMBER("u1", "") "," MEMBER("u2", ",\"tab\":2"), MEMBER("u2", ",\"tab\":2")));
	client_hears_like(c, JOINED(MEMBER("u1", "") "," MEMBER("u2", ",\"tab\":3"), MEMBER("u2", ",\"tab\":3")));
	window();
	client_hears_like(a, TOLD("joined", MEMBER("u2", ",\"tab\":2")));
	client_hears_like(a, TOLD("joined", MEMBER("u2", ",\"tab\":3")));
	client_hears_like(b, TOLD("joined", MEMBER("u2", ",\"tab\":3")));
	client_hears_nothing(b);
	client_hears_like(c, TOLD("joined", MEMBER("u2", ",\"tab\":2")));
	client_hears_nothing(c);
}
END_TEST

/* One goes as another comes: that user has been there all the time. */
START_TEST(one_for_another)
{
	struct client *a = pusher_in("u1"), *b = pusher_in("u2"), *c = pusher_in("u2");

	window();
	client_forgets(a);
	client_forgets(b);
	client_says(c, UPDATE("{\"x\":1}"));
	client_gone(b);
	window();
	client_hears_like(a, TOLD("updated", UPDATED("u2", ",\"x\":1,\"updatedAt\":" TIME)));
	client_hears_nothing(a);
}
END_TEST

/* One after the other, in one window: that costs its frames by how many come, not by their square. */
START_TEST(a_storm_of_joins)
{
	struct client *a = phoenix_in("u0"), *b[20];

	window();
	client_forgets(a);
	for (unsigned i = 0; i < 20; i++) {
		autofree char *user = xasprintf("v%u", i);

		b[i] = joining(phoenix(user), PHX_JOIN(ROOM, "{}"));
	}
	ck_assert_uint_le(a->out.n, 1);
	for (unsigned i = 0; i < 4; i++)
		window();
	ck_assert_uint_le(a->out.n, 4);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_le(b[i]->out.n, 2 + 3);
	ck_assert_uint_eq(tracker_count(bench.tracker, SLICE(ROOM)), 21);
}
END_TEST

/* Another node's client is a member as any other. */
static void
other_node_tells(uint64_t version, const char *key, const char *ref, const char *meta, const char *gone)
{
	const struct presence_item put = { .key = slice_str(key), .ref = slice_str(ref), .meta = slice_str(meta) };
	const struct presence_item out = { .key = slice_str(key), .ref = slice_str(gone) };
	const struct presence_delta d = {
		.from = version - 1, .to = version, .put = &put, .n_put = ref != NULL, .gone = &out, .n_gone = gone != NULL,
	};

	tracker_node(bench.tracker, SLICE("n2"), 10, true);
	tracker_delta(bench.tracker, SLICE(ROOM), SLICE("n2"), 10, &d);
}

#define FAR		"\"joinedAt\":\"2026-01-02T03:04:05.678Z\""

START_TEST(members_of_other_nodes)
{
	struct client *a = pusher_in("u1");

	other_node_tells(1, "u2", "r1", "{\"clientId\":\"c2\"," FAR ",\"phx_ref\":\"r1\"}", NULL);
	/* They are counted before they are told. */
	client_says(a, SAY(""));
	client_hears(a, SENT("1"));
	window();
	client_hears_like(a, TOLD("joined", "{\"id\":\"u2\",\"clientId\":\"c2\"," FAR "}"));
	other_node_tells(2, "u2", "r2", "{\"clientId\":\"c2\"," FAR ",\"x\":1,\"phx_ref\":\"r2\",\"phx_ref_prev\":\"r1\"}", "r1");
	window();
	client_hears_like(a, TOLD("updated", "{\"id\":\"u2\",\"clientId\":\"c2\"," FAR ",\"x\":1}"));
	other_node_tells(3, "u2", "r3", "{\"clientId\":\"c3\"," FAR ",\"phx_ref\":\"r3\"}", NULL);
	window();
	client_hears_like(a, TOLD("joined", "{\"id\":\"u2\",\"clientId\":\"c3\"," FAR "}"));
	client_says(a, SAY(""));
	client_hears(a, SENT("2"));
	client_says(a, JOIN(ROOM, ""));
	client_hears_like(a, JOINED("{\"id\":\"u2\",\"clientId\":\"c2\"," FAR ",\"x\":1},"
	    "{\"id\":\"u2\",\"clientId\":\"c3\"," FAR "}," MEMBER("u1", ""), MEMBER("u1", "")));
	other_node_tells(4, "u2", NULL, NULL, "r2");
	window();
	client_hears_nothing(a);
	/* It dies. */
	tracker_node(bench.tracker, SLICE("n2"), 10, false);
	window();
	client_hears_like(a, TOLD("left", "{\"id\":\"u2\",\"clientId\":\"c3\"," FAR "}"));
	client_hears_nothing(a);
	client_says(a, SAY(""));
	client_hears(a, SENT("0"));
}
END_TEST

START_TEST(a_second_join_changes_nothing)
{
	struct client *a = pusher_in("u1"), *b = phoenix_in("u2");

	client_forgets(a);
	client_says(a, JOIN(ROOM, ",\"userInfo\":{\"name\":\"other\"}"));
	client_hears_like(a, JOINED(MEMBER("u2", "") "," MEMBER("u1", ""), MEMBER("u1", "")));
	/* It knows itself better than it is known. */
	client_says(a, UPDATE("{\"x\":1}"));
	client_forgets(a);
	client_says(a, JOIN(ROOM, ""));
	client_hears_like(a, JOINED(MEMBER("u2", "") "," UPDATED("u1", ",\"x\":1,\"updatedAt\":" TIME),
	    UPDATED("u1", ",\"x\":1,\"updatedAt\":" TIME)));
	window();
	client_forgets(b);
	client_says(a, JOIN(ROOM, ""));
	client_forgets(a);
	client_says(a, JOIN("public-a", ""));
	client_says(a, JOIN("public-a", ""));
	for (unsigned i = 0; i < 2; i++)
		client_hears(a, JOINED_AS("public-a", "public", ""));
	window();
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

/* Where many are, who is there is not told again and again. */
START_TEST(second_joins_where_many_are)
{
	enum { N = 100 };
	struct presence_item put[N];
	char		     refs[N][8];
	struct client	    *a = pusher_in("u1");

	for (unsigned i = 0; i < N; i++) {
		snprintf(refs[i], sizeof(refs[i]), "r%u", i);
		put[i] = (struct presence_item){ .key = slice_str(refs[i]), .ref = slice_str(refs[i]), .meta = SLICE("{\"clientId\":\"c\"}") };
	}
	tracker_node(bench.tracker, SLICE("n2"), 10, true);
	tracker_delta(bench.tracker, SLICE(ROOM), SLICE("n2"), 10, &(struct presence_delta){ .to = 1, .put = put, .n_put = N });
	window();
	client_forgets(a);
	client_says(a, JOIN(ROOM, ""));
	ck_assert_uint_gt(frame_body_len(outq_at(&a->out, 0)), N * 30);
	client_forgets(a);
	pass(400);
	client_says(a, JOIN(ROOM, ""));
	client_hears(a, "{\"type\":\"error\",\"requestId\":\"j\",\"channel\":\"" ROOM "\",\"code\":\"RATE_LIMIT_EXCEEDED\","
	    "\"message\":\"Too many messages\",\"retryAfterMs\":600}");
	pass(600);
	client_says(a, JOIN(ROOM, ""));
	ck_assert_uint_gt(frame_body_len(outq_at(&a->out, 0)), N * 30);
}
END_TEST

/* A Phoenix client that joins anew is another channel: but the same member, or one that left and came. */
START_TEST(a_phoenix_client_joins_anew)
{
	struct client *a = pusher_in("u1"), *b = phoenix_in("u2");

	client_forgets(a);
	client_says(b, "[\"2\",\"2\",\"" ROOM "\",\"phx_join\",{}]");
	pass(0);
	window();
	client_hears_like(a, TOLD("left", MEMBER("u2", "")));
	client_hears_like(a, TOLD("joined", MEMBER("u2", "")));
	client_hears_nothing(a);
}
END_TEST

START_TEST(more_members_of_a_user_than_may_be)
{
	const struct tracker_options few = { .window_ms = BENCH_WINDOW, .load_ms = 1000, .max_metas = 1, .max_meta = 4096 };
	struct client *a = pusher_in("u1"), *b = pusher("u1"), *c = phoenix("u1");

	tracker_set_options(bench.tracker, &few);
	joining(b, JOIN(ROOM, ""));
	client_hears_like(b, JOINED(MEMBER("u1", "") "," MEMBER("u1", ""), MEMBER("u1", "")));
	client_hears(b, ERROR_AT(ROOM, "", "JOIN_FAILED", "This user has too many members here"));
	client_says(b, SAY(""));
	client_hears(b, ERROR("7", "NOT_IN_CHANNEL", "Not in this channel"));
	joining(c, PHX_JOIN(ROOM, "{}"));
	ck_assert_uint_eq(c->out.n, 2);
	outq_drop(&c->out, outq_at(&c->out, 0)->len);
	client_hears(c, "[\"1\",\"1\",\"" ROOM "\",\"phx_error\",{\"reason\":\"too_many_members\"}]");
	window();
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

/* Updates. */

/* One after the other; the member then is that one. */
static const struct {
	const char *info;
	const char *member;	/* behind its clientId */
} updates[] = {
	{ "{\"status\":\"away\"}", "\"name\":\"John\",\"joinedAt\":" TIME ",\"status\":\"away\",\"updatedAt\":" TIME },
	{ "{\"name\":null,\"cursor\":{\"x\":1,\"y\":2.50}}",
	  "\"name\":null,\"joinedAt\":" TIME ",\"status\":\"away\",\"updatedAt\":" TIME ",\"cursor\":{\"x\":1,\"y\":2.50}" },
	{ "{\"id\":\"u9\",\"clientId\":\"c\",\"joined\\u0041t\":0,\"updatedAt\":0,\"phx_ref\":0,\"n\\u0061me\":\"Jo\",\"cursor\":0,"
	  "\"cursor\":1}",
	  "\"name\":\"Jo\",\"joinedAt\":" TIME ",\"status\":\"away\",\"updatedAt\":" TIME ",\"cursor\":1" },
	/* That is one, too: it says when it was. */
	{ "{}", "\"name\":\"Jo\",\"joinedAt\":" TIME ",\"status\":\"away\",\"updatedAt\":" TIME ",\"cursor\":1" },
};

START_TEST(updates_replace_what_they_name)
{
	struct client *a = in_room(pusher("u1"), JOIN(ROOM, ",\"userInfo\":{\"name\":\"John\"}"));
	struct client *b = pusher_in("u2"), *c = phoenix_in("u3");

	window();
	client_forgets(a);
	client_forgets(b);
	for (unsigned i = 0; i < sizeof(updates) / sizeof(updates[0]); i++) {
		autofree char *push = xasprintf(UPDATE("%s"), updates[i].info);
		autofree char *member = xasprintf("{\"id\":\"u1\",\"clientId\":\"*\",%s}", updates[i].member);
		autofree char *answer = xasprintf(UPDATE_OK("%s"), member), *told = xasprintf(TOLD("updated", "%s"), member);
		autofree char *diff = xasprintf(PHX_DIFF(ONE("u1", "{\"clientId\":\"*\",%s,\"phx_ref\":\"*\",\"phx_ref_prev\":\"*\"}"),
		    ONE("u1", "{\"clientId\":\"*\",%s,\"phx_ref\":\"*\"%s}")), updates[i].member,
		    i > 0 ? updates[i - 1].member : "\"name\":\"John\",\"joinedAt\":" TIME, i > 0 ? ",\"phx_ref_prev\":\"*\"" : "");

		/* A time that is not the one before. */
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		client_says(a, push);
		client_hears_like(a, answer);
		window();
		client_hears_nothing(a);
		client_hears_like(b, told);
		client_hears_nothing(b);
		client_hears_like(c, diff);
		client_hears_nothing(c);
	}
}
END_TEST

START_TEST(a_phoenix_client_updates)
{
	struct client *a = pusher_in("u1"), *b = phoenix_in("u2");

	client_forgets(a);
	client_says(b, PHX_PUSH("2", "channel:update", "{\"userInfo\":{\"a\":1}}"));
	client_says(b, PHX_PUSH("3", "channel:update", "{\"userInfo\":{\"b\":2}}"));
	client_hears_like(b, PHX_OK("2", "{\"member\":" UPDATED("u2", ",\"a\":1,\"updatedAt\":" TIME) "}"));
	client_hears_like(b, PHX_OK("3", "{\"member\":" UPDATED("u2", ",\"a\":1,\"updatedAt\":" TIME ",\"b\":2") "}"));
	window();
	client_hears_like(a, TOLD("updated", UPDATED("u2", ",\"a\":1,\"updatedAt\":" TIME ",\"b\":2")));
	client_hears_nothing(a);
}
END_TEST

static const struct {
	const char *payload;
	const char *field;
} bad_updates[] = {
	{ "{}", "userInfo" },
	{ "{\"userInfo\":null}", "userInfo" },
	{ "{\"userInfo\":[]}", "userInfo" },
	{ "{\"userInfo\":\"x\"}", "userInfo" },
	{ "{\"userInfo\":{\"\\u0000\":1}}", "userInfo" },
	{ "[]", "payload" },
};

START_TEST(bad_updates_are_refused)
{
	struct client *c = phoenix_in("u1");
	autofree char *push = xasprintf(PHX_PUSH("2", "channel:update", "%s"), bad_updates[_i].payload);
	autofree char *answer = xasprintf(PHX_INVALID("2", "%s"), bad_updates[_i].field);

	client_says(c, push);
	client_hears(c, answer);
	window();
	client_hears_nothing(c);
}
END_TEST

START_TEST(updates_elsewhere)
{
	struct client *a = pusher("u1"), *b = phoenix("u1");

	client_says(a, JOIN("public-a", ""));
	client_forgets(a);
	client_says(a, "{\"type\":\"channel:update\",\"channel\":\"public-a\",\"userInfo\":{}}");
	client_hears(a, ERROR_AT("public-a", "", "UPDATE_FAILED", "Not a presence channel"));
	client_says(b, PHX_JOIN("private-a", "{}"));
	client_forgets(b);
	client_says(b, "[\"1\",\"2\",\"private-a\",\"channel:update\",{\"userInfo\":{}}]");
	client_hears(b, REPLY("\"1\"", "\"2\"", "private-a", "{\"status\":\"error\",\"response\":{\"reason\":\"update_failed\","
	    "\"message\":\"Not a presence channel\"}}"));
}
END_TEST

/* At once, or bit by bit; even where presences of other classes may be larger. */
START_TEST(updates_are_bounded)
{
	const struct tracker_options large_metas = {
		.window_ms = BENCH_WINDOW, .load_ms = 1000, .max_metas = 100, .max_meta = 65536,
	};
	struct client *c = pusher_in("u1");
	char	       text[5000];

	if (_i == 1)
		tracker_set_options(bench.tracker, &large_metas);
	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 2; i++) {
		autofree char *large = xasprintf(UPDATE("{\"x\":\"%.*s\"}"), 4095, text);
		autofree char *half = xasprintf(UPDATE("{\"y%u\":\"%.*s\"}"), i, 2500, text);

		client_says(c, large);
		client_hears(c, ERROR("[8]", "INVALID_REQUEST", "Invalid userInfo"));
		client_says(c, half);
		if (i == 0)
			client_forgets(c);
		else
			client_hears(c, ERROR("[8]", "INVALID_REQUEST", "Invalid userInfo"));
	}
	window();
	client_hears_nothing(c);
}
END_TEST

/* As many fields as there is room for, all of them changed again and again: that is cheap for us, too. */
START_TEST(many_fields_are_no_burden)
{
	struct client	  *c = pusher_in("u1");
	autobuf struct buf fields = { 0 };
	clock_t		   since;

	for (unsigned i = 0; i < 550; i++)
		buf_addf(&fields, ",\"%c%c\":1", 'a' + i % 26, 'A' + i / 26);
	since = clock();
	for (unsigned i = 0; i < 100; i++) {
		autofree char *push = xasprintf(UPDATE("{\"n\":%u%.*s}"), i, SLICE_ARG(buf_slice(&fields)));

		client_says(c, push);
		client_forgets(c);
	}
	ck_assert_msg(clock() - since < CLOCKS_PER_SEC, "%g s", (double)(clock() - since) / CLOCKS_PER_SEC);
}
END_TEST

/* Messages. */

/* What is said by `channel:message`, and heard in either protocol. */
static const struct {
	const char *members;
	const char *event, *data;	/* as the others of that protocol hear it */
	const char *payload;		/* as Phoenix clients do */
} messages[] = {
	{ "", "message", "null", "{\"data\":null}" },
	{ ",\"data\":{\"text\":\"hi\"}", "message", "{\"text\":\"hi\"}", "{\"text\":\"hi\"}" },
	{ ",\"event\":\"new-message\",\"data\":{\"a\":1.50, \"b\":\"\\u0041\"}", "new-message", "{\"a\":1.50, \"b\":\"\\u0041\"}",
	  "{\"a\":1.50, \"b\":\"\\u0041\"}" },
	{ ",\"event\":\"t\\u0079ping\",\"data\":[1,{}]", "typing", "[1,{}]", "{\"data\":[1,{}]}" },
	{ ",\"event\":\"e\",\"data\":\"x\"", "e", "\"x\"", "{\"data\":\"x\"}" },
	{ ",\"event\":\"e\",\"data\":-0.0", "e", "-0.0", "{\"data\":-0.0}" },
	{ ",\"event\":\"e\",\"data\":false", "e", "false", "{\"data\":false}" },
	{ ",\"event\":\"e\",\"data\":{\"data\":1}", "e", "{\"data\":1}", "{\"data\":1}" },
	{ ",\"event\":\"phx\",\"data\":{}", "phx", "{}", "{}" },
	{ ",\"event\":\"Presence:x\",\"data\":{}", "Presence:x", "{}", "{}" },
};

START_TEST(messages_reach_all_others)
{
	struct client *a = pusher_in("u1"), *b = pusher_in("u2"), *c = phoenix_in("u3");
	autofree char *say = xasprintf(SAY("%s"), messages[_i].members);
	autofree char *hears = xasprintf(HEARS("%s", "%s", "u1"), messages[_i].event, messages[_i].data);
	autofree char *phoenix_hears = xasprintf(PHX_HEARS("%s", "%s"), messages[_i].event, messages[_i].payload);

	window();
	client_forgets(a);
	client_forgets(b);
	client_says(a, say);
	client_hears(a, SENT("2"));
	client_hears_nothing(a);
	client_hears_like(b, hears);
	client_hears_nothing(b);
	client_hears(c, phoenix_hears);
	client_hears_nothing(c);
}
END_TEST

/* The same, said by a Phoenix client. */
START_TEST(phoenix_clients_may_say_it_so)
{
	struct client *a = phoenix_in("u1"), *b = pusher_in("u2"), *c = phoenix_in("u3");
	autofree char *say = xasprintf(PHX_PUSH("2", "channel:message", "{\"x\":1%s}"), messages[_i].members);
	autofree char *hears = xasprintf(HEARS("%s", "%s", "u1"), messages[_i].event, messages[_i].data);
	autofree char *phoenix_hears = xasprintf(PHX_HEARS("%s", "%s"), messages[_i].event, messages[_i].payload);

	window();
	client_forgets(a);
	client_forgets(b);
	client_says(a, say);
	client_hears(a, PHX_OK("2", "{\"delivered\":2}"));
	client_hears_nothing(a);
	client_hears_like(b, hears);
	client_hears_nothing(b);
	client_hears(c, phoenix_hears);
	client_hears_nothing(c);
}
END_TEST

/* Or by an event of its own. */
START_TEST(other_events_are_messages)
{
	struct client *a = phoenix_in("u\\\"1"), *b = pusher_in("u2"), *c = phoenix_in("u3");

	window();
	client_forgets(a);
	client_forgets(b);
	client_says(a, PHX_PUSH("2", "new_msg", "{\"event\":\"x\",\"data\":1}"));
	client_hears(a, PHX_OK("2", "{\"delivered\":2}"));
	client_hears_nothing(a);
	client_hears_like(b, HEARS("new_msg", "{\"event\":\"x\",\"data\":1}", "u\\\\\\\"1"));
	client_hears_nothing(b);
	client_hears(c, PHX_HEARS("new_msg", "{\"event\":\"x\",\"data\":1}"));
	client_hears_nothing(c);
}
END_TEST

#define X120		X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static const struct {
	const char *event, *payload;
	const char *answer;
} bad_messages[] = {
	{ "channel:message", "{\"event\":\"\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\" \"}", INVALID("event") },
	{ "channel:message", "{\"event\":7}", INVALID("event") },
	{ "channel:message", "{\"event\":\"a\\nb\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"a\\u007f\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"\\u0000\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"" X120 X10 "\"}", INVALID("event") },
	/* 125 characters, but 130 bytes. */
	{ "channel:message", "{\"event\":\"" X120 "\u00e9\u00e9\u00e9\u00e9\u00e9\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"phx_reply\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"presence_diff\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"presence:member_left\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"channel:left\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"pusher_internal:x\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"s\\u0079stem\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"token_expiring\"}", INVALID("event") },
	{ "channel:message", "{\"event\":\"access_token\"}", INVALID("event") },
	{ "channel:message", "[]", INVALID("payload") },
	{ "presence:member_left", "{}", REASON("unknown_event") },
	{ "presence_x", "{}", REASON("unknown_event") },
	{ "channel:joined", "{}", REASON("unknown_event") },
	{ "system", "{}", REASON("unknown_event") },
	{ "say", "7", INVALID("payload") },
};

START_TEST(bad_messages_are_refused)
{
	struct client *a = phoenix_in("u1"), *b = pusher_in("u2");
	autofree char *push = xasprintf(PHX_PUSH("2", "%s", "%s"), bad_messages[_i].event, bad_messages[_i].payload);
	autofree char *answer = xasprintf(PHX_ANSWER("2", "%s"), bad_messages[_i].answer);

	window();
	client_forgets(a);
	client_says(a, push);
	client_hears(a, answer);
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

START_TEST(bytes_are_no_messages)
{
	static const char *const pushes[] = {
		"\x00\x01\x01\x0f\x03" "12" ROOM "say\xff", "\x00\x01\x01\x0f\x0f" "12" ROOM "channel:message\xff",
		"\x00\x01\x01\x0f\x0e" "12" ROOM "channel:update\xff",
	};
	static const size_t sizes[] = { 5 + 2 + 15 + 3 + 1, 5 + 2 + 15 + 15 + 1, 5 + 2 + 15 + 14 + 1 };
	struct client *a = phoenix_in("u1"), *b = phoenix_in("u2");

	window();
	client_forgets(a);
	for (unsigned i = 0; i < 3; i++) {
		session_receive(&a->session, true, slice(pushes[i], sizes[i]));
		client_hears(a, PHX_INVALID("2", "payload"));
	}
	client_hears_nothing(b);
}
END_TEST

/* Who is not in hears nothing, and says nothing. */
START_TEST(not_in_the_channel)
{
	struct client *a = pusher("u1"), *b = pusher_in("u2");

	client_says(a, SAY(""));
	client_hears(a, ERROR("7", "NOT_IN_CHANNEL", "Not in this channel"));
	client_says(a, UPDATE("{}"));
	client_hears(a, ERROR("[8]", "NOT_MEMBER", "Not a member of this channel"));
	client_says(b, SAY(""));
	client_hears(b, SENT("0"));
	client_hears_nothing(a);
}
END_TEST

/* Of anonymous clients, too. */
START_TEST(public_channels)
{
	struct client *a = pusher(""), *b = phoenix(""), *c = pusher("u1");

	client_says(a, JOIN("public-a", ""));
	client_says(b, PHX_JOIN("public-a", "{}"));
	client_says(c, JOIN("public-a", ""));
	client_forgets(a);
	client_forgets(b);
	client_forgets(c);
	client_says(a, "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"event\":\"e\",\"data\":1}");
	client_hears(a, "{\"type\":\"channel:sent\",\"channel\":\"public-a\",\"delivered\":2}");
	client_hears(b, "[null,null,\"public-a\",\"e\",{\"data\":1}]");
	client_hears_like(c, HEARS_AT("public-a", "e", "1", "null"));
	client_gone(b);
	client_says(c, "{\"type\":\"channel:message\",\"channel\":\"public-a\"}");
	client_hears(c, "{\"type\":\"channel:sent\",\"channel\":\"public-a\",\"delivered\":1}");
	window();
	client_forgets(a);
	client_hears_nothing(c);
}
END_TEST

/* Where there are other nodes. */
static struct broker_ops bench_bus;
static unsigned bus_said;	/* the number that it was told last */

static int
bus_count(struct broker *b, struct slice topic, uint32_t n, bool ask)
{
	bus_said = n;
	return 0;
}

static void
bus_brings(const char *topic, const char *node, uint32_t n)
{
	audience_heard(&bench.pubsub.audience, slice_str(topic),
	    &(struct envelope){ .node = slice_str(node), .counts = true, .count = n });
}

/* For clients of both protocols; who leaves is told on the bus. */
START_TEST(what_was_said_is_counted_on_all_nodes)
{
	const char *topic = _i == 0 ? "public-a" : "private-a";
	autofree char *join = xasprintf(JOIN("%s", ""), topic), *phx_join = xasprintf(PHX_JOIN("%s", "{}"), topic);
	autofree char *say = xasprintf("{\"type\":\"channel:message\",\"channel\":\"%s\"}", topic);
	autofree char *push = xasprintf("[\"1\",\"2\",\"%s\",\"e\",{}]", topic);
	autofree char *sent = xasprintf("{\"type\":\"channel:sent\",\"channel\":\"%s\",\"delivered\":31}", topic);
	autofree char *answer = xasprintf(REPLY("\"1\"", "\"2\"", "%s", "{\"status\":\"ok\",\"response\":{\"delivered\":30}}"),
	    topic);
	struct client *a = pusher("u1"), *b = phoenix("u2");

	bench_bus = *bench.pubsub.broker->ops;
	bench_bus.count = bus_count;
	bench.pubsub.broker->ops = &bench_bus;
	joining(a, join);
	joining(b, phx_join);
	pass(2 * AUDIENCE_PACE_MS);
	client_forgets(a);
	client_forgets(b);
	ck_assert_uint_eq(bus_said, 2);
	bus_brings(topic, "n2", 10);
	bus_brings(topic, "n3", 20);
	client_says(a, say);
	client_hears(a, sent);
	client_forgets(b);
	client_gone(a);
	pass(2 * AUDIENCE_PACE_MS);
	ck_assert_uint_eq(bus_said, 1);
	client_says(b, push);
	client_hears(b, answer);
	client_gone(b);
	pass(2 * AUDIENCE_PACE_MS);
	ck_assert_uint_eq(bus_said, 0);
}
END_TEST

/* Members are known anyway. */
START_TEST(members_are_not_told_on_the_bus)
{
	struct client *a;

	bench_bus = *bench.pubsub.broker->ops;
	bench_bus.count = bus_count;
	bench.pubsub.broker->ops = &bench_bus;
	bus_said = 7;
	a = pusher_in("u1");
	bus_brings(ROOM, "n2", 10);
	client_says(a, SAY(""));
	client_hears(a, SENT("0"));
	client_gone(a);
	window();
	ck_assert_uint_eq(bus_said, 7);
}
END_TEST

/* Options. */

START_TEST(a_lost_client_stays_for_the_grace)
{
	struct route_setting grace = { "leave_grace", "5s" };
	struct client	    *a, *b;

	bench.routes = routes_unref(bench.routes);
	bench.routes = routes_new();
	bench_serve("presence-*", &pusher_class, &grace, 1, NULL);
	a = pusher_in("u1");
	b = pusher_in("u2");
	window();
	client_forgets(a);
	client_gone(b);
	window();
	client_hears_nothing(a);
	/* It is shown still; but nobody hears there. */
	client_says(a, SAY(""));
	client_hears(a, SENT("0"));
	pass(5000);
	window();
	client_hears_like(a, TOLD("left", MEMBER("u2", "")));
	/* Who comes back is another connection of that user, who has not been away. */
	b = pusher_in("u2");
	client_hears_like(a, TOLD("joined", MEMBER("u2", "")));
	client_gone(b);
	b = pusher_in("u2");
	client_hears_like(a, TOLD("joined", MEMBER("u2", "")));
	client_says(a, SAY(""));
	client_hears(a, SENT("1"));
	pass(6000);
	client_says(b, "{\"type\":\"leave\",\"channel\":\"" ROOM "\"}");
	window();
	client_hears_like(a, TOLD("left", MEMBER("u2", "")));
	client_hears_nothing(a);
}
END_TEST

/* An event has its rate, however it is said; what is refused does not count. */
START_TEST(rates_are_of_events)
{
	const struct rate twice = { .count = 2, .period_ms = 60000 };
	struct client	 *a, *b, *c;

	bench.routes = routes_unref(bench.routes);
	bench.routes = routes_new();
	bench_serve("presence-*", &pusher_class, NULL, 0, &twice);
	a = pusher_in("u1");
	b = phoenix_in("u1");
	c = pusher_in("u2");
	window();
	client_forgets(a);
	client_forgets(b);
	client_says(a, SAY(",\"event\":\"say\""));
	client_hears(a, SENT("2"));
	client_says(b, PHX_PUSH("2", "say", "{}"));
	client_forgets(a);
	client_forgets(b);
	client_forgets(c);
	client_says(a, SAY(",\"event\":\"say\""));
	client_hears(a, "{\"type\":\"error\",\"requestId\":7,\"channel\":\"" ROOM "\",\"code\":\"RATE_LIMIT_EXCEEDED\","
	    "\"message\":\"Too many messages\",\"retryAfterMs\":60000}");
	client_says(b, PHX_PUSH("3", "channel:message", "{\"event\":\"say\"}"));
	client_hears(b, PHX_ANSWER("3", "{\"status\":\"error\",\"response\":{\"reason\":\"rate_limit\",\"retry_after_ms\":60000}}"));
	client_hears_nothing(c);
	client_says(a, SAY(",\"event\":\"other\""));
	client_hears(a, SENT("2"));
	pass(60000);
	client_forgets(a);
	client_says(a, SAY(",\"event\":\"say\""));
	client_hears(a, SENT("2"));
}
END_TEST

START_TEST(a_bad_option_is_refused)
{
	struct route_setting setting = { "leave_grace", "a while" };
	autofree char	    *why = NULL;

	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = "x-*", .class = "pusher", .settings = &setting, .n_settings = 1,
	}, &why), -EINVAL);
	ck_assert_msg(strstr(why, "leave_grace: expected a time such as 10s") != NULL, "%s", why);
}
END_TEST

#define COUNT(table)	(int)(sizeof(table) / sizeof((table)[0]))

Suite *
pusher_class_suite(void)
{
	Suite *s = suite_create("pusher_class");
	TCase *t = tcase_create("pusher_class");

	tcase_add_checked_fixture(t, class_begin, bench_end);
	tcase_add_loop_test(t, who_may_join, 0, COUNT(joins));
	tcase_add_loop_test(t, who_may_join_in_the_other_protocol, 0, COUNT(pusher_joins));
	tcase_add_test(t, bytes_do_not_join);
	tcase_add_loop_test(t, what_members_tell_of_themselves, 0, COUNT(infos));
	tcase_add_test(t, what_they_tell_is_bounded);
	tcase_add_test(t, the_first_one);
	tcase_add_test(t, come_and_go);
	tcase_add_test(t, several_tabs);
	tcase_add_test(t, tabs_that_come_together);
	tcase_add_test(t, one_for_another);
	tcase_add_test(t, a_storm_of_joins);
	tcase_add_test(t, members_of_other_nodes);
	tcase_add_test(t, a_second_join_changes_nothing);
	tcase_add_test(t, second_joins_where_many_are);
	tcase_add_test(t, a_phoenix_client_joins_anew);
	tcase_add_test(t, more_members_of_a_user_than_may_be);
	tcase_add_test(t, updates_replace_what_they_name);
	tcase_add_test(t, a_phoenix_client_updates);
	tcase_add_loop_test(t, bad_updates_are_refused, 0, COUNT(bad_updates));
	tcase_add_test(t, updates_elsewhere);
	tcase_add_loop_test(t, updates_are_bounded, 0, 2);
	tcase_add_test(t, many_fields_are_no_burden);
	tcase_add_loop_test(t, messages_reach_all_others, 0, COUNT(messages));
	tcase_add_loop_test(t, phoenix_clients_may_say_it_so, 0, COUNT(messages));
	tcase_add_test(t, other_events_are_messages);
	tcase_add_loop_test(t, bad_messages_are_refused, 0, COUNT(bad_messages));
	tcase_add_test(t, bytes_are_no_messages);
	tcase_add_test(t, not_in_the_channel);
	tcase_add_test(t, public_channels);
	tcase_add_loop_test(t, what_was_said_is_counted_on_all_nodes, 0, 2);
	tcase_add_test(t, members_are_not_told_on_the_bus);
	tcase_add_test(t, a_lost_client_stays_for_the_grace);
	tcase_add_test(t, rates_are_of_events);
	tcase_add_test(t, a_bad_option_is_refused);
	suite_add_tcase(s, t);
	return s;
}
