/*
 * How messages find their channel: protocol/phoenix.md section 3.1, and joins that wait (3.2).
 */
#include "session_bench.h"

#include <stdio.h>

#include "base/stats.h"

Suite *dispatch_suite(void);

static const char heartbeat_reply[] = REPLY("null", "\"1\"", "phoenix", OK);

/* One message to a client that has joined room:a as "1", and the answer to it. */
static const struct {
	const char *says, *hears;
} exchanges[] = {
	{ "[null,\"1\",\"phoenix\",\"heartbeat\",{}]", heartbeat_reply },
	{ "[\"9\",\"1\",\"phoenix\",\"heartbeat\",[]]", heartbeat_reply },
	{ "[\"9\",3,\"phoenix\",\"heartbeat\",{}]", REPLY("null", "3", "phoenix", OK) },
	{ "[null,\"1\",\"phoenix\",\"other\",{}]", REPLY("null", "\"1\"", "phoenix", REASON("unmatched topic")) },
	{ "[\"1\",\"1\",\"phoenix\",\"phx_join\",{}]", REPLY("null", "\"1\"", "phoenix", REASON("unmatched topic")) },
	{ "[\"1\",\"2\",\"phoenix\",\"phx_leave\",{}]", REPLY("\"1\"", "\"2\"", "phoenix", OK) },
	{ "[\"2\",\"2\",\"nope:x\",\"phx_join\",{}]", REPLY("null", "\"2\"", "nope:x", REASON("unmatched topic")) },
	{ "[\"2\",\"3\",\"room:b\",\"phx_leave\",{}]", REPLY("\"2\"", "\"3\"", "room:b", OK) },
	{ "[\"2\",\"3\",\"room:b\",\"echo\",{}]", REPLY("null", "\"3\"", "room:b", REASON("unmatched topic")) },
	{ "[\"2\",\"2\",null,\"phx_join\",{}]", "[null,\"2\",null,\"phx_reply\"," REASON("unmatched topic") "]" },
	{ "[\"2\",\"2\",\"room:\\n\",\"phx_join\",{}]", REPLY("null", "\"2\"", "room:\\n", REASON("invalid topic")) },
	{ "[\"2\",\"2\",\"room:b\",\"phx_join\",7]",
	    REPLY("\"2\"", "\"2\"", "room:b", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"payload\"}}") },
	{ "[\"1\",\"3\",\"room:a\",\"echo\",{\"a\":1.10}]", REPLY("\"1\"", "\"3\"", "room:a", "{\"status\":\"ok\",\"response\":{\"a\":1.10}}") },
	{ "[null,\"3\",\"room:a\",\"echo\",null]", REPLY("\"1\"", "\"3\"", "room:a", OK) },
	{ "[\"1\",null,\"room:a\",\"echo\",{}]", REPLY("\"1\"", "null", "room:a", OK) },
	{ "[\"1\",\"3\",\"room:a\",\"err\",{}]", REPLY("\"1\"", "\"3\"", "room:a", "{\"status\":\"error\",\"response\":{}}") },
	{ "[\"1\",\"3\",\"room:a\",\"silent\",{}]", NULL },
	{ "[\"2\",\"3\",\"room:a\",\"echo\",{}]", NULL },
	{ "[1,\"3\",\"room:a\",\"echo\",{}]", NULL },
	{ "[\"2\",\"3\",\"room:a\",\"phx_leave\",{}]", NULL },
	{ "[\"1\",\"3\",\"room:a\",\"phx_reply\",{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",\"presence_diff\",{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",\"presence_state\",{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",\"token_expiring\",{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",\"message_deleted\",{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",\"system\",{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",\"pusher_internal:x\",{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",5,{}]", REPLY("\"1\"", "\"3\"", "room:a", REASON("unknown_event")) },
	{ "[\"1\",\"3\",\"room:a\",\"echo\",\"x\"]",
	    REPLY("\"1\"", "\"3\"", "room:a", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"payload\"}}") },
};
#define N_EXCHANGES	(int)(sizeof(exchanges) / sizeof(exchanges[0]))

START_TEST(answers)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	client_says(c, exchanges[_i].says);
	client_hears(c, exchanges[_i].hears);
	client_hears_nothing(c);
	client_says(c, "[\"1\",\"9\",\"room:a\",\"echo\",{}]");
	client_hears(c, REPLY("\"1\"", "\"9\"", "room:a", OK));
}
END_TEST

START_TEST(undecodable_ends_the_connection)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	noted("join room:a;joined;");
	client_says(c, "{oops");
	ck_assert_uint_eq(c->closed, 1011);
	noted("leave closed;");
	client_hears_nothing(c);
	client_says(c, "[null,\"1\",\"phoenix\",\"heartbeat\",{}]");
	client_hears_nothing(c);
}
END_TEST

START_TEST(a_join_replaces)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	client_says(c, "[\"5\",\"5\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	client_hears(c, REPLY("\"5\"", "\"5\"", "room:a", OK));
	noted("join room:a;joined;leave replaced;join room:a;joined;");
	ck_assert_uint_eq(c->session.n_channels, 1);
	ck_assert_uint_eq(hub_topic(&bench.pubsub.hub, SLICE("room:a"))->n, 1);
}
END_TEST

/* The old instance is gone, whatever becomes of the new one. */
START_TEST(a_join_replaces_even_when_it_is_refused)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	client_says(c, "[\"5\",\"5\",\"room:a\",\"phx_join\",[]]");
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	client_hears(c, REPLY("\"5\"", "\"5\"", "room:a", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"payload\"}}"));
	client_says(c, "[\"1\",\"6\",\"room:a\",\"echo\",{}]");
	client_hears(c, REPLY("null", "\"6\"", "room:a", REASON("unmatched topic")));
	ck_assert_uint_eq(c->session.n_channels, 0);
}
END_TEST

START_TEST(a_join_without_join_ref)
{
	struct client *c = client_v2(), *old = client_new(&codec_phoenix_v1, "u1", 0);

	client_says(c, "[null,\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("null", "\"1\"", "room:a", OK));
	client_says(c, "[\"1\",\"2\",\"room:a\",\"phx_leave\",{}]");
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", OK));
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");

	client_says(old, "{\"topic\":\"room:a\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}");
	client_hears(old, "{\"topic\":\"room:a\",\"event\":\"phx_reply\",\"payload\":" OK ",\"ref\":\"1\"}");
	client_says(old, "{\"topic\":\"room:a\",\"event\":\"boom\",\"payload\":{},\"ref\":\"2\"}");
	client_hears(old, "{\"topic\":\"room:a\",\"event\":\"phx_error\",\"payload\":{\"reason\":\"channel_crash\"},\"ref\":null}");
}
END_TEST

START_TEST(limits_of_channels)
{
	struct client *c = client_v2(), *d = client_v2();

	bench.limits.max_channels = 2;
	client_joins(c, "1", "room:a");
	client_joins(c, "2", "room:b");
	client_says(c, "[\"3\",\"3\",\"room:c\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"3\"", "\"3\"", "room:c", REASON("too many channels joined")));
	client_says(c, "[\"4\",\"4\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	client_hears(c, REPLY("\"4\"", "\"4\"", "room:a", OK));

	bench.limits.max_topics = 2;
	client_says(d, "[\"5\",\"5\",\"room:c\",\"phx_join\",{}]");
	client_hears(d, REPLY("\"5\"", "\"5\"", "room:c", REASON("too many topics")));
	client_joins(d, "6", "room:a");

	bench.limits.max_topic = 6;
	client_joins(d, "6", "room:b");
	client_says(d, "[\"7\",\"7\",\"room:long\",\"phx_join\",{}]");
	client_hears(d, REPLY("null", "\"7\"", "room:long", REASON("invalid topic")));
	client_says(d, "[null,\"1\",\"phoenix\",\"heartbeat\",{}]");
	client_hears(d, heartbeat_reply);
}
END_TEST

static enum channel_result refusal;
static void (*answer)(struct channel *, struct channel_payload);

static int
join_refuses(struct channel *ch, const struct channel_message *params)
{
	if (answer != NULL)
		answer(ch, channel_json(SLICE("{\"why\":1}")));
	channel_set_timer(ch, 0, 0);
	return refusal;
}

/* What the class answered, and what it returned. */
static const struct {
	void		  (*answer)(struct channel *, struct channel_payload);
	enum channel_result result;
	const char	   *reply;
} refusals[] = {
	{ NULL, CHANNEL_REFUSED, REASON("unauthorized") },
	{ channel_reply_error, CHANNEL_REFUSED, "{\"status\":\"error\",\"response\":{\"why\":1}}" },
	{ channel_reply_ok, CHANNEL_REFUSED, REASON("unauthorized") },
	{ channel_reply_error, CHANNEL_OK, OK },
	{ channel_reply_ok, CHANNEL_OK, "{\"status\":\"ok\",\"response\":{\"why\":1}}" },
	{ channel_reply_error, (enum channel_result)7, REASON("join crashed") },
};

START_TEST(what_a_class_says_of_a_join)
{
	struct client *c = client_v2();
	autofree char *reply = xasprintf(REPLY("\"1\"", "\"1\"", "room:a", "%s"), refusals[_i].reply);
	uint64_t       joins = stats->joins_total, errors = stats->join_errors_total;
	bool	       ok = refusals[_i].result == CHANNEL_OK;

	probe.join = join_refuses;
	probe.joined = NULL;
	answer = refusals[_i].answer;
	refusal = refusals[_i].result;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, reply);
	client_hears_nothing(c);
	ck_assert_uint_eq(stats->joins_total, joins + ok);
	ck_assert_uint_eq(stats->join_errors_total, errors + !ok);
	/* The class is not told of the end of what it refused, nor of its timers. */
	pass(100);
	noted(ok ? "info 0;" : "");
}
END_TEST

START_TEST(refusals_are_counted)
{
	static const char *const refused[] = { "[\"1\",\"1\",\"nope\",\"phx_join\",{}]", "[\"1\",\"1\",\"room:a\",\"phx_join\",7]",
		"[\"1\",\"1\",\"room:a\",\"phx_join\",{\"token\":\"bad\"}]", "[\"1\",\"1\",\"room:b\",\"phx_join\",{}]" };
	struct client *c = client_v2();
	uint64_t       channels = stats->channels, errors = stats->join_errors_total, tokens = stats->auth_failures_total;

	bench.limits.max_channels = 1;
	for (size_t i = 0; i < 4; i++) {
		if (i == 3)
			client_joins(c, "2", "room:a");
		client_says(c, refused[i]);
		ck_assert_uint_eq(stats->join_errors_total, errors + i + 1);
		client_forgets(c);
	}
	ck_assert_uint_eq(stats->auth_failures_total, tokens + 1);
	ck_assert_uint_eq(stats->channels, channels + 1);
	client_gone(c);
	ck_assert_uint_eq(stats->channels, channels);
}
END_TEST

START_TEST(nobody_is_heard_who_is_gone)
{
	struct client *c = client_v2();

	client_gone(c);
	client_says(c, "[null,\"1\",\"phoenix\",\"heartbeat\",{}]");
	client_hears_nothing(c);
	session_close(&c->session, 1001, "too late");
	ck_assert_uint_eq(c->closed, 0);
}
END_TEST

START_TEST(anonymous_clients_join_public_routes)
{
	struct client *c = client_new(&codec_phoenix_v2, "", 0);

	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("unauthorized")));
	client_joins(c, "2", "public:a");
	client_says(c, "[\"3\",\"3\",\"room:a\",\"phx_join\",{\"token\":\"u7/0\"}]");
	client_hears(c, REPLY("\"3\"", "\"3\"", "room:a", OK));
	ck_assert(slice_is(channel_user(probe_channel), "u7"));
	for (const char *const *token = (const char *const []){ "\"bad\"", "7", "null", "\"\\u0000\"", NULL }; *token != NULL; token++) {
		autofree char *text = xasprintf("[\"4\",\"4\",\"public:b\",\"phx_join\",{\"token\":%s}]", *token);

		client_says(c, text);
		client_hears(c, REPLY("\"4\"", "\"4\"", "public:b", REASON("unauthorized")));
	}
}
END_TEST

/* Joins that wait. */

static struct client *
waiting(void)
{
	struct client *c = client_v2();

	probe.join = probe_join_later;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears_nothing(c);
	return c;
}

START_TEST(what_waits_is_handled_in_order)
{
	struct client *c = waiting();

	client_says(c, "[\"1\",\"2\",\"room:a\",\"echo\",{\"n\":1}]");
	client_says(c, "[null,\"3\",\"room:a\",\"push\",{}]");
	client_says(c, "[\"0\",\"4\",\"room:a\",\"echo\",{}]");
	client_hears_nothing(c);
	client_says(c, "[null,\"1\",\"phoenix\",\"heartbeat\",{}]");
	client_hears(c, heartbeat_reply);
	channel_accept(probe_channel, channel_json(SLICE("{\"in\":true}")));
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", "{\"status\":\"ok\",\"response\":{\"in\":true}}"));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", "{\"status\":\"ok\",\"response\":{\"n\":1}}"));
	client_hears(c, "[\"1\",null,\"room:a\",\"pushed\",{}]");
	client_hears_nothing(c);
	channel_accept(probe_channel, channel_empty());
	channel_refuse(probe_channel, channel_empty());
	client_hears_nothing(c);
	pass(20000);
	client_hears_nothing(c);
	noted("joined;");
}
END_TEST

START_TEST(what_waits_is_unmatched_when_refused)
{
	struct client *c = waiting();

	client_says(c, "[\"1\",\"2\",\"room:a\",\"echo\",{}]");
	client_says(c, "[\"1\",\"3\",\"room:a\",\"phx_leave\",{}]");
	channel_refuse(probe_channel, channel_json(SLICE("{\"reason\":\"no\"}")));
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("no")));
	client_hears(c, REPLY("null", "\"2\"", "room:a", REASON("unmatched topic")));
	client_hears(c, REPLY("\"1\"", "\"3\"", "room:a", OK));
	client_hears_nothing(c);
	noted("leave refused;");
	ck_assert_uint_eq(c->session.n_channels, 0);
	pass(20000);
	client_hears_nothing(c);
}
END_TEST

START_TEST(a_join_waits_only_so_long)
{
	struct client *c = waiting();
	uint64_t       errors = stats->join_errors_total;

	pass(9900);
	client_says(c, "[\"1\",\"2\",\"room:a\",\"echo\",{}]");
	client_hears_nothing(c);
	pass(200);
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("timeout")));
	client_hears(c, REPLY("null", "\"2\"", "room:a", REASON("unmatched topic")));
	noted("leave timeout;");
	ck_assert_uint_eq(stats->join_errors_total, errors + 1);
}
END_TEST

START_TEST(only_so_much_waits)
{
	struct client *c = waiting();
	autofree char *big = xasprintf("[\"1\",\"10\",\"room:a\",\"echo\",{\"x\":\"%0*d\"}]", 600 * 1024, 0);

	for (int n = 2; n < 10; n++) {
		autofree char *text = xasprintf("[\"1\",\"%d\",\"room:a\",\"echo\",{}]", n);

		client_says(c, text);
	}
	client_hears_nothing(c);
	client_says(c, "[\"1\",\"10\",\"room:a\",\"echo\",{}]");
	client_hears(c, REPLY("\"1\"", "\"10\"", "room:a", REASON("join_pending")));
	channel_accept(probe_channel, channel_empty());
	client_forgets(c);

	/* A client has so many bytes in all: what is handled makes room. */
	client_says(c, "[\"20\",\"20\",\"room:b\",\"phx_join\",{}]");
	client_says(c, "[\"21\",\"21\",\"room:a\",\"phx_join\",{}]");
	client_forgets(c);
	client_says(c, big);
	client_hears_nothing(c);
	big[strcspn(big, "a")] = 'b';
	client_says(c, big);
	client_hears(c, REPLY("\"1\"", "\"10\"", "room:b", REASON("join_pending")));
	channel_refuse(probe_channel, channel_empty());
	client_forgets(c);
	client_says(c, big);
	client_hears_nothing(c);
}
END_TEST

START_TEST(left_while_it_waits)
{
	struct client *c = waiting();

	client_says(c, "[\"1\",\"2\",\"room:a\",\"phx_leave\",{}]");
	client_says(c, "[\"1\",\"3\",\"room:a\",\"echo\",{}]");
	channel_accept(probe_channel, channel_empty());
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", OK));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", OK));
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	client_hears(c, REPLY("null", "\"3\"", "room:a", REASON("unmatched topic")));
	noted("joined;leave leave;");
}
END_TEST

START_TEST(joined_again_while_it_waits)
{
	struct client  *c = waiting();
	struct channel *first = probe_channel;

	client_says(c, "[\"3\",\"3\",\"room:a\",\"phx_join\",{}]");
	client_says(c, "[\"3\",\"4\",\"room:a\",\"echo\",{}]");
	channel_accept(first, channel_empty());
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", OK));
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	client_hears_nothing(c);
	ck_assert_ptr_ne(probe_channel, first);
	channel_accept(probe_channel, channel_empty());
	client_hears(c, REPLY("\"3\"", "\"3\"", "room:a", OK));
	client_hears(c, REPLY("\"3\"", "\"4\"", "room:a", OK));
	noted("joined;leave replaced;joined;");
}
END_TEST

START_TEST(the_connection_goes_while_it_waits)
{
	struct client *c = waiting();

	client_says(c, "[\"1\",\"2\",\"room:a\",\"echo\",{}]");
	client_gone(c);
	client_hears_nothing(c);
	noted("leave closed;");
	/* Too late, and harmless as long as the turn goes on. */
	channel_accept(probe_channel, channel_empty());
	channel_refuse(probe_channel, channel_empty());
	pass(20000);
	client_hears_nothing(c);
	noted("");
}
END_TEST

START_TEST(waiting_joins_count)
{
	struct client *c = waiting();

	bench.limits.max_channels = 1;
	client_says(c, "[\"2\",\"2\",\"room:b\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"2\"", "\"2\"", "room:b", REASON("too many channels joined")));
}
END_TEST

static int
timer_accepts(struct channel *ch, int timer)
{
	note("topic %.*s;", SLICE_ARG(channel_topic(ch)));
	channel_accept(ch, channel_empty());
	/* What waited was handled meanwhile; this one may be over. */
	channel_set_timer(ch, 1, 10);
	return 0;
}

START_TEST(accepted_and_left_within_a_timer)
{
	struct client *c = waiting();

	probe.handle_info = timer_accepts;
	client_says(c, "[\"1\",\"2\",\"room:a\",\"phx_leave\",{}]");
	channel_set_timer(probe_channel, 0, 100);
	pass(200);
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", OK));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", OK));
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	pass(200);
	noted("topic room:a;joined;leave leave;");
}
END_TEST

static int
timer_fails(struct channel *ch, int timer)
{
	return -1;
}

static int
timer_refuses(struct channel *ch, int timer)
{
	channel_refuse(ch, channel_json(SLICE("{\"reason\":\"no\"}")));
	note("still here;");
	return 0;
}

/* The class goes on as if nothing were: the channel is over when its callback is. */
START_TEST(refused_within_a_timer)
{
	struct client *c = waiting();

	probe.handle_info = timer_refuses;
	client_says(c, "[\"1\",\"2\",\"room:a\",\"echo\",{}]");
	channel_set_timer(probe_channel, 0, 100);
	pass(200);
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("no")));
	client_hears(c, REPLY("null", "\"2\"", "room:a", REASON("unmatched topic")));
	noted("still here;leave refused;");
}
END_TEST

START_TEST(the_protocols_own_topic)
{
	struct client *c = client_v2();

	bench_route("*", NULL);
	client_joins(c, "1", "anything");
	client_says(c, "[\"2\",\"2\",\"phoenix\",\"phx_join\",{}]");
	client_hears(c, REPLY("null", "\"2\"", "phoenix", REASON("unmatched topic")));
}
END_TEST

START_TEST(a_timer_fails_while_it_waits)
{
	struct client *c = waiting();

	probe.handle_info = timer_fails;
	channel_set_timer(probe_channel, 0, 100);
	pass(200);
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("join crashed")));
	client_hears_nothing(c);
	noted("leave crashed;");
}
END_TEST

static int
join_hasty(struct channel *ch, const struct channel_message *params)
{
	probe_channel = ch;
	channel_accept(ch, channel_empty());
	channel_refuse(ch, channel_empty());
	return CHANNEL_LATER;
}

START_TEST(later_is_not_now)
{
	struct client *c = client_v2();

	probe.join = join_hasty;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears_nothing(c);
	channel_accept(probe_channel, channel_json(SLICE("no object")));
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", OK));
}
END_TEST

/* Clients of the Pusher-style protocol, which join once. */

#define ERROR(id, code, message) "{\"type\":\"error\"" id ",\"code\":\"" code "\",\"message\":\"" message "\"}"
#define REQUEST(n)	",\"requestId\":" n
#define CHANNEL(name)	",\"channel\":\"" name "\""

/* One message to a client that has joined public-a, and the answer to it. */
static const struct {
	const char *says, *hears;
} requests[] = {
	{ "{\"type\":\"ping\",\"requestId\":1}", "{\"type\":\"pong\",\"requestId\":1}" },
	{ "{\"type\":\"join\",\"requestId\":1", ERROR("", "INVALID_JSON", "Invalid JSON") },
	{ "[1]", ERROR("", "INVALID_REQUEST", "Invalid request") },
	{ "{\"type\":\"sing\",\"requestId\":1}", ERROR(REQUEST("1"), "UNKNOWN_MESSAGE_TYPE", "Unknown message type") },
	{ "{\"type\":\"join\",\"requestId\":1}", ERROR(REQUEST("1"), "INVALID_REQUEST", "Invalid channel") },
	{ "{\"type\":\"join\",\"requestId\":1,\"channel\":\"room:a\"}",
	  ERROR(REQUEST("1") CHANNEL("room:a"), "INVALID_REQUEST", "Invalid channel") },
	{ "{\"type\":\"leave\",\"requestId\":1,\"channel\":\"public-b\"}",
	  ERROR(REQUEST("1") CHANNEL("public-b"), "NOT_IN_CHANNEL", "Not in this channel") },
	{ "{\"type\":\"channel:message\",\"requestId\":1,\"channel\":\"public-b\"}",
	  ERROR(REQUEST("1") CHANNEL("public-b"), "NOT_IN_CHANNEL", "Not in this channel") },
	{ "{\"type\":\"join\",\"requestId\":1,\"channel\":\"private-b\"}",
	  ERROR(REQUEST("1") CHANNEL("private-b"), "NOT_FOUND", "Not found") },
	{ "{\"type\":\"leave\",\"requestId\":1,\"channel\":\"public-a\"}",
	  "{\"type\":\"channel:left\",\"requestId\":1,\"channel\":\"public-a\"}" },
	/* It is in already: that is for the class to answer, which here says the whole of it back. */
	{ "{\"type\":\"join\",\"requestId\":1,\"channel\":\"public-a\"}",
	  "{\"type\":\"channel:joined\",\"requestId\":1,\"channel\":\"public-a\",\"again\":true}" },
};

static int
answers_again(struct channel *ch, const struct channel_message *m)
{
	note("%.*s;", SLICE_ARG(m->event));
	channel_reply_ok(ch, channel_json(SLICE("{\"again\":true}")));
	return 0;
}

static struct client *
joins_once(void)
{
	struct client *c = client_new(&codec_pusher, "u1", 0);

	bench_route("public-*", NULL);
	probe.rejoin = answers_again;
	client_says(c, "{\"type\":\"join\",\"channel\":\"public-a\"}");
	client_hears(c, "{\"type\":\"channel:joined\",\"channel\":\"public-a\"}");
	noted("join public-a;joined;");
	return c;
}

START_TEST(requests_are_answered)
{
	struct client *c = joins_once();

	client_says(c, requests[_i].says);
	client_hears(c, requests[_i].hears);
	client_hears_nothing(c);
	ck_assert_uint_eq(c->closed, 0);
}
END_TEST

/* However often: no rate of events holds for it, and nothing ends. */
START_TEST(joined_already)
{
	const struct route_rate	rates[] = { { "phx_join", { .count = 1, .period_ms = 60000 } } };
	struct client	       *c = joins_once();
	struct channel	       *ch = probe_channel;

	bench.event_rates = rates;
	bench.n_event_rates = 1;
	for (int i = 0; i < 3; i++) {
		client_says(c, "{\"type\":\"join\",\"channel\":\"public-a\"}");
		client_hears(c, "{\"type\":\"channel:joined\",\"channel\":\"public-a\",\"again\":true}");
		noted("phx_join;");
	}
	ck_assert_ptr_eq(c->session.channels, ch);
	ck_assert_uint_eq(c->session.n_channels, 1);
	client_says(c, "{\"type\":\"leave\",\"channel\":\"public-a\"}");
	client_hears(c, "{\"type\":\"channel:left\",\"channel\":\"public-a\"}");
	noted("leave leave;");
	client_says(c, "{\"type\":\"join\",\"channel\":\"public-a\"}");
	client_hears(c, "{\"type\":\"channel:joined\",\"channel\":\"public-a\"}");
	/* What the server ends is said. */
	channel_stop(probe_channel);
	client_hears(c, "{\"type\":\"channel:left\",\"channel\":\"public-a\"}");
	client_hears_nothing(c);
	bench.n_event_rates = 0;
}
END_TEST

/* A class that has nothing to say of it hears nothing of it, either. */
START_TEST(joined_already_of_a_class_that_does_not_mind)
{
	struct client *c = joins_once();

	probe.rejoin = NULL;
	client_says(c, "{\"type\":\"join\",\"requestId\":2,\"channel\":\"public-a\"}");
	client_hears(c, "{\"type\":\"channel:joined\",\"requestId\":2,\"channel\":\"public-a\"}");
	client_hears_nothing(c);
	noted("");
}
END_TEST

START_TEST(joined_already_while_it_waits)
{
	struct client *c = client_new(&codec_pusher, "u1", 0);

	bench_route("public-*", NULL);
	probe.join = probe_join_later;
	probe.rejoin = answers_again;
	client_says(c, "{\"type\":\"join\",\"requestId\":1,\"channel\":\"public-a\"}");
	client_says(c, "{\"type\":\"join\",\"requestId\":2,\"channel\":\"public-a\"}");
	client_hears_nothing(c);
	channel_accept(probe_channel, channel_empty());
	client_hears(c, "{\"type\":\"channel:joined\",\"requestId\":1,\"channel\":\"public-a\"}");
	client_hears(c, "{\"type\":\"channel:joined\",\"requestId\":2,\"channel\":\"public-a\",\"again\":true}");
	client_hears_nothing(c);
	noted("joined;phx_join;");
}
END_TEST

Suite *
dispatch_suite(void)
{
	Suite *s = suite_create("dispatch");
	TCase *t = tcase_create("routing"), *w = tcase_create("joins that wait"), *o = tcase_create("who joins once");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	tcase_add_loop_test(t, answers, 0, N_EXCHANGES);
	tcase_add_test(t, undecodable_ends_the_connection);
	tcase_add_test(t, a_join_replaces);
	tcase_add_test(t, a_join_replaces_even_when_it_is_refused);
	tcase_add_test(t, a_join_without_join_ref);
	tcase_add_test(t, limits_of_channels);
	tcase_add_test(t, anonymous_clients_join_public_routes);
	tcase_add_loop_test(t, what_a_class_says_of_a_join, 0, (int)(sizeof(refusals) / sizeof(refusals[0])));
	tcase_add_test(t, refusals_are_counted);
	tcase_add_test(t, nobody_is_heard_who_is_gone);
	suite_add_tcase(s, t);

	tcase_add_checked_fixture(w, bench_begin, bench_end);
	tcase_add_test(w, what_waits_is_handled_in_order);
	tcase_add_test(w, what_waits_is_unmatched_when_refused);
	tcase_add_test(w, a_join_waits_only_so_long);
	tcase_add_test(w, only_so_much_waits);
	tcase_add_test(w, left_while_it_waits);
	tcase_add_test(w, joined_again_while_it_waits);
	tcase_add_test(w, the_connection_goes_while_it_waits);
	tcase_add_test(w, waiting_joins_count);
	tcase_add_test(w, accepted_and_left_within_a_timer);
	tcase_add_test(w, refused_within_a_timer);
	tcase_add_test(w, the_protocols_own_topic);
	tcase_add_test(w, a_timer_fails_while_it_waits);
	tcase_add_test(w, later_is_not_now);
	suite_add_tcase(s, w);

	tcase_add_checked_fixture(o, bench_begin, bench_end);
	tcase_add_loop_test(o, requests_are_answered, 0, (int)(sizeof(requests) / sizeof(requests[0])));
	tcase_add_test(o, joined_already);
	tcase_add_test(o, joined_already_of_a_class_that_does_not_mind);
	tcase_add_test(o, joined_already_while_it_waits);
	suite_add_tcase(s, o);
	return s;
}
