/*
 * Sessions: tokens that end, and clients that say too much.
 */
#include "session_bench.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/stats.h"

Suite *session_suite(void);

#define EXPIRED(ref)	"[\"" ref "\",\"" ref "\",\"room:a\",\"phx_error\",{\"reason\":\"token_expired\"}]"

/* Seconds go by for the token alone: nobody can turn the clock on the wall. */
static void
age(struct identity *who, int64_t seconds)
{
	who->expires -= seconds;
}

static struct identity *
own_identity(void)
{
	return channel_identity(probe_channel);
}

static uint64_t
tick(struct client *c)
{
	return session_tick(&c->session, bench.loop->now);
}

#define NEVER	INT64_MAX

/* The session wants to be looked at in so many seconds; tokens speak in whole ones, so it may be up to two less. */
static void
due_in_at(struct client *c, int64_t seconds, int line)
{
	uint64_t due = tick(c);
	int64_t	 in = due == UINT64_MAX ? NEVER : (int64_t)(due - bench.loop->now) / 1000;

	ck_assert_msg(in <= seconds && in >= seconds - 2, "line %d: due in %lld s, not %lld", line, (long long)in,
	    (long long)seconds);
}

#define due_in(c, seconds)	due_in_at(c, seconds, __LINE__)

static void
hears_warning_at(struct client *c, const struct identity *who, const char *join_ref, const char *topic, int line)
{
	autofree char *text = xasprintf("[\"%s\",null,\"%s\",\"token_expiring\",{\"expires_at\":%lld}]", join_ref, topic,
	    (long long)who->expires);

	client_hears_at(c, text, line);
}

#define hears_warning(c, who, join_ref, topic)	hears_warning_at(c, who, join_ref, topic, __LINE__)

START_TEST(a_token_that_never_ends)
{
	struct client *c = client_v2(), *anonymous = client_new(&codec_phoenix_v2, "", 0);

	client_joins(c, "1", "room:a");
	client_joins(anonymous, "1", "public:a");
	due_in(c, NEVER);
	due_in(anonymous, NEVER);
	client_hears_nothing(c);
}
END_TEST

START_TEST(warned_and_ended)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 3600);

	client_joins(c, "1", "room:a");
	due_in(c, 3600 - 60);
	client_hears_nothing(c);
	age(c->session.who, 3600 - 60);
	due_in(c, 60 + 30);
	hears_warning(c, c->session.who, "1", "room:a");
	tick(c);
	client_hears_nothing(c);

	/* The leeway is the client's. */
	age(c->session.who, 60 + 27);
	tick(c);
	client_hears_nothing(c);
	age(c->session.who, 4);
	due_in(c, NEVER);
	client_hears(c, EXPIRED("1"));
	noted("join room:a;joined;leave expired;");

	client_says(c, "[\"2\",\"2\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"2\"", "\"2\"", "room:a", REASON("unauthorized")));
	client_says(c, "[null,\"1\",\"phoenix\",\"heartbeat\",{}]");
	client_hears(c, REPLY("null", "\"1\"", "phoenix", OK));
	ck_assert_uint_eq(c->closed, 0);
}
END_TEST

START_TEST(warned_although_it_came_late)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 20);

	tick(c);
	client_joins(c, "1", "room:a");
	ck_assert_uint_eq(c->wakes, 1);
	tick(c);
	hears_warning(c, c->session.who, "1", "room:a");
	tick(c);
	client_hears_nothing(c);
}
END_TEST

START_TEST(no_warning_is_wanted)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 3600);

	bench.limits.expiry_warning_ms = 0;
	client_joins(c, "1", "room:a");
	due_in(c, 3600 + 30);
	age(c->session.who, 3600);
	due_in(c, 30);
	client_hears_nothing(c);
	age(c->session.who, 31);
	tick(c);
	client_hears(c, EXPIRED("1"));
}
END_TEST

START_TEST(a_new_token)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 20);

	client_joins(c, "1", "room:a");
	client_joins(c, "2", "public:b");
	tick(c);
	client_forgets(c);
	client_says(c, "[\"2\",\"3\",\"public:b\",\"access_token\",{\"access_token\":\"u1/600\"}]");
	client_hears(c, REPLY("\"2\"", "\"3\"", "public:b", OK));
	ck_assert_uint_eq(c->wakes, 1);
	due_in(c, 540);
	client_hears_nothing(c);
	/* And it is warned of anew. */
	age(c->session.who, 550);
	tick(c);
	hears_warning(c, c->session.who, "2", "public:b");
	hears_warning(c, c->session.who, "1", "room:a");
	client_hears_nothing(c);
}
END_TEST

/* What an access_token push cannot be. */
static const struct {
	const char *payload, *answer;
} refused[] = {
	{ "{\"access_token\":\"bad\"}", REASON("unauthorized") },
	{ "{\"access_token\":\"u2/600\"}", REASON("unauthorized") },
	{ "{\"access_token\":\"/600\"}", REASON("unauthorized") },
	{ "{\"access_token\":7}", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"access_token\"}}" },
	{ "{\"access_token\":null}", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"access_token\"}}" },
	{ "{\"access_token\":\"\\u0000\"}", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"access_token\"}}" },
	{ "{}", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"access_token\"}}" },
	{ "[]", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"payload\"}}" },
};

START_TEST(a_new_token_is_refused)
{
	struct client	*c = client_new(&codec_phoenix_v2, "u1", 20);
	struct identity *before = c->session.who;
	autofree char	*push = xasprintf("[\"1\",\"2\",\"room:a\",\"access_token\",%s]", refused[_i].payload);
	autofree char	*answer = xasprintf(REPLY("\"1\"", "\"2\"", "room:a", "%s"), refused[_i].answer);

	client_joins(c, "1", "room:a");
	client_says(c, push);
	client_hears(c, answer);
	ck_assert_ptr_eq(c->session.who, before);
	client_says(c, "[\"1\",\"3\",\"room:a\",\"echo\",{}]");
	client_hears(c, REPLY("\"1\"", "\"3\"", "room:a", OK));
}
END_TEST

START_TEST(a_token_of_its_own)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 3600);

	client_joins(c, "1", "public:b");
	client_says(c, "[\"2\",\"2\",\"room:a\",\"phx_join\",{\"token\":\"u7/100\"}]");
	client_hears(c, REPLY("\"2\"", "\"2\"", "room:a", OK));
	ck_assert_uint_eq(c->wakes, 1);
	ck_assert(slice_is(channel_user(probe_channel), "u7"));
	due_in(c, 40);
	age(own_identity(), 50);
	due_in(c, 50 + 30);
	hears_warning(c, own_identity(), "2", "room:a");

	/* It is renewed by its own user, and for itself alone. */
	client_says(c, "[\"2\",\"3\",\"room:a\",\"access_token\",{\"access_token\":\"u1/600\"}]");
	client_hears(c, REPLY("\"2\"", "\"3\"", "room:a", REASON("unauthorized")));
	client_says(c, "[\"2\",\"4\",\"room:a\",\"access_token\",{\"access_token\":\"u7/600\"}]");
	client_hears(c, REPLY("\"2\"", "\"4\"", "room:a", OK));
	due_in(c, 540);
	client_hears_nothing(c);
	ck_assert(slice_is(session_user(&c->session), "u1"));
	age(own_identity(), 550);
	tick(c);
	hears_warning(c, own_identity(), "2", "room:a");

	age(own_identity(), 150);
	tick(c);
	client_hears(c, EXPIRED("2"));
	client_hears_nothing(c);
	client_says(c, "[\"1\",\"5\",\"public:b\",\"echo\",{}]");
	client_hears(c, REPLY("\"1\"", "\"5\"", "public:b", OK));
	client_joins(c, "6", "room:a");
}
END_TEST

/* The connection's token is over, the channel's own is not; and a join may bring one. */
START_TEST(its_own_token_lives_longer)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 10);

	client_joins(c, "1", "public:b");
	client_says(c, "[\"2\",\"2\",\"room:a\",\"phx_join\",{\"token\":\"u1/3600\"}]");
	client_hears(c, REPLY("\"2\"", "\"2\"", "room:a", OK));
	age(c->session.who, 60);
	due_in(c, 3600 - 60);
	client_hears(c, "[\"1\",\"1\",\"public:b\",\"phx_error\",{\"reason\":\"token_expired\"}]");
	client_hears_nothing(c);
	client_says(c, "[\"3\",\"3\",\"public:b\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"3\"", "\"3\"", "public:b", REASON("unauthorized")));
	client_says(c, "[\"3\",\"3\",\"public:b\",\"phx_join\",{\"token\":\"u1/3600\"}]");
	client_hears(c, REPLY("\"3\"", "\"3\"", "public:b", OK));
}
END_TEST

START_TEST(the_token_ends_while_a_join_waits)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 10);

	probe.join = probe_join_later;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	tick(c);
	age(c->session.who, 60);
	tick(c);
	client_hears_nothing(c);
	channel_accept(probe_channel, channel_empty());
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", OK));
	ck_assert_uint_eq(c->wakes, 1);
	tick(c);
	client_hears(c, EXPIRED("1"));
	noted("joined;leave expired;");
}
END_TEST

/* Clients that say too much. */

START_TEST(more_messages_than_the_rate)
{
	struct client *c = client_v2();

	bench.limits.message_rate = 10;
	bench.limits.message_burst = 3;
	client_joins(c, "1", "room:a");
	for (int i = 0; i < 2; i++) {
		client_says(c, "[\"1\",\"2\",\"room:a\",\"echo\",{}]");
		client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", OK));
	}
	ck_assert_uint_eq(c->paused, 0);
	client_says(c, "[\"1\",\"3\",\"room:a\",\"bcast\",{}]");
	client_hears(c, REPLY("\"1\"", "\"3\"", "room:a", "{\"status\":\"error\",\"response\":{\"reason\":\"rate_limited\",\"retry_after_ms\":100}}"));
	client_hears_nothing(c);
	ck_assert_uint_eq(c->paused, 100);
	/* A heartbeat is not refused, but it is no way to be heard either. */
	c->paused = 0;
	client_says(c, "[null,\"1\",\"phoenix\",\"heartbeat\",{}]");
	client_hears(c, REPLY("null", "\"1\"", "phoenix", OK));
	ck_assert_uint_eq(c->paused, 100);
	pass(100);
	client_says(c, "[\"1\",\"4\",\"room:a\",\"echo\",{}]");
	client_hears(c, REPLY("\"1\"", "\"4\"", "room:a", OK));
	client_says(c, "[\"1\",\"5\",\"room:a\",\"phx_leave\",{}]");
	client_hears(c, REPLY("\"1\"", "\"5\"", "room:a", "{\"status\":\"error\",\"response\":{\"reason\":\"rate_limited\",\"retry_after_ms\":100}}"));
}
END_TEST

static struct client *
limited(const char *pattern, const char *topic, const struct rate *rate)
{
	struct client *c = client_v2();

	bench_route(pattern, rate);
	client_joins(c, "1", topic);
	return c;
}

#define SAY(ref, event)	"[\"1\",\"" ref "\",\"limited:a\",\"" event "\",{}]"
#define TAKEN(ref)	REPLY("\"1\"", "\"" ref "\"", "limited:a", OK)
#define LATER(ref, ms)	REPLY("\"1\"", "\"" ref "\"", "limited:a", \
			"{\"status\":\"error\",\"response\":{\"reason\":\"rate_limit\",\"retry_after_ms\":" ms "}}")

START_TEST(more_events_than_the_rate)
{
	static const struct rate two = { 2, 1000 };
	struct client *c = limited("limited:*", "limited:a", &two), *other = client_new(&codec_phoenix_v2, "u2", 0);

	client_says(c, SAY("2", "echo"));
	client_hears(c, TAKEN("2"));
	pass(400);
	client_says(c, SAY("3", "echo"));
	client_hears(c, TAKEN("3"));
	client_says(c, SAY("4", "echo"));
	client_hears(c, LATER("4", "600"));
	/* Of this event, by this user, here. */
	client_says(c, SAY("5", "push"));
	client_hears(c, "[\"1\",null,\"limited:a\",\"pushed\",{}]");
	client_joins(other, "1", "limited:a");
	client_says(other, SAY("6", "echo"));
	client_hears(other, TAKEN("6"));
	client_joins(c, "7", "limited:b");
	client_says(c, "[\"7\",\"8\",\"limited:b\",\"echo\",{}]");
	client_hears(c, REPLY("\"7\"", "\"8\"", "limited:b", OK));
	/* The window slides: the first one leaves it, and what was refused was never in it. */
	pass(599);
	client_says(c, SAY("9", "echo"));
	client_hears(c, LATER("9", "1"));
	pass(1);
	client_says(c, SAY("10", "echo"));
	client_hears(c, TAKEN("10"));
	client_says(c, SAY("11", "echo"));
	client_hears(c, LATER("11", "400"));
}
END_TEST

START_TEST(one_rate_for_all_connections_of_a_user)
{
	static const struct rate one = { 1, 1000 };
	struct client *a = limited("limited:*", "limited:a", &one), *b = client_v2();

	client_joins(b, "1", "limited:a");
	client_says(a, SAY("2", "echo"));
	client_hears(a, TAKEN("2"));
	client_says(b, SAY("3", "echo"));
	client_hears(b, LATER("3", "1000"));
}
END_TEST

/* Who has no name is told by the address; a port is no address. */
START_TEST(rates_of_the_nameless)
{
	static const struct rate one = { 1, 1000 };
	struct client *c[3];

	bench_route("limited:*", &one);
	bench.routes->items[bench.routes->n - 1]->public = true;
	for (int i = 0; i < 3; i++) {
		c[i] = client_new(&codec_phoenix_v2, "", 0);
		c[i]->peer = (struct addr){ .family = AF_INET, .port = (uint16_t)(1000 + i), .ip = { 10, 0, 0, i == 2 } };
		client_joins(c[i], "1", "limited:a");
	}
	client_says(c[0], SAY("2", "echo"));
	client_hears(c[0], TAKEN("2"));
	client_says(c[1], SAY("3", "echo"));
	client_hears(c[1], LATER("3", "1000"));
	client_says(c[2], SAY("4", "echo"));
	client_hears(c[2], TAKEN("4"));
}
END_TEST

static int
refuses_once(struct channel *ch, const struct channel_message *m)
{
	static bool done;

	if (done)
		channel_reply_ok(ch, channel_empty());
	else
		channel_reply_reason(ch, "not now");
	done = true;
	return 0;
}

START_TEST(what_the_class_refuses_does_not_count)
{
	static const struct rate one = { 1, 1000 };
	struct client *c = limited("limited:*", "limited:a", &one);

	probe.handle_in = refuses_once;
	client_says(c, SAY("2", "echo"));
	client_hears(c, REPLY("\"1\"", "\"2\"", "limited:a", REASON("not now")));
	client_says(c, "[\"1\",\"3\",\"limited:a\",\"echo\",7]");
	client_forgets(c);
	client_says(c, SAY("4", "echo"));
	client_hears(c, TAKEN("4"));
	client_says(c, SAY("5", "echo"));
	client_hears(c, LATER("5", "1000"));
}
END_TEST

START_TEST(the_rates_of_all_routes)
{
	static const struct route_rate everywhere[] = { { "echo", { 1, 1000 } }, { "push", { 1, 2000 } } };
	static const struct rate two = { 2, 1000 };
	struct client *c = limited("limited:*", "limited:a", &two);
	uint64_t       refused_before = stats->rate_limited_total;

	bench.event_rates = everywhere;
	bench.n_event_rates = 2;
	client_says(c, SAY("2", "push"));
	client_hears(c, "[\"1\",null,\"limited:a\",\"pushed\",{}]");
	client_says(c, SAY("3", "push"));
	client_hears(c, LATER("3", "2000"));
	for (int i = 0; i < 5; i++) {
		client_says(c, SAY("3", "bcast"));
		client_hears(c, "[null,null,\"limited:a\",\"bcast\",{}]");
	}
	/* The route's own goes before. */
	for (int i = 0; i < 2; i++) {
		client_says(c, SAY("4", "echo"));
		client_hears(c, TAKEN("4"));
	}
	client_says(c, SAY("5", "echo"));
	client_hears(c, LATER("5", "1000"));
	ck_assert_uint_eq(stats->rate_limited_total, refused_before + 2);
}
END_TEST

/* Watchers: what they are told is in the journal, among what the class is. */

static void
watch_client(void *arg, const struct session *s, bool connected, const char *why)
{
	ck_assert_ptr_eq(arg, &bench);
	ck_assert_uint_gt(strlen(s->id), 0);
	note("%s %.*s%s%s;", connected ? "hello" : "goodbye", SLICE_ARG(session_user(s)), why != NULL ? ": " : "", why != NULL ? why : "");
}

static void
watch_channel(void *arg, const struct session *s, struct slice topic, struct slice user, bool joined, const char *why)
{
	ck_assert_ptr_eq(arg, &bench);
	note("%s %.*s %.*s%s%s;", joined ? "in" : "out of", SLICE_ARG(topic), SLICE_ARG(user), why != NULL ? ": " : "", why != NULL ? why : "");
}

static const struct session_watcher watcher = { .client = watch_client, .channel = watch_channel };

static void
begin_watched(void)
{
	bench_begin();
	bench.watcher = &watcher;
	bench.watcher_arg = &bench;
}

START_TEST(clients_are_watched)
{
	struct client *c = client_v2();

	noted("hello u1;");
	client_joins(c, "1", "room:a");
	noted("join room:a;in room:a u1;joined;");
	client_says(c, "[\"2\",\"2\",\"room:b\",\"phx_join\",{\"token\":\"u2/60\"}]");
	client_forgets(c);
	noted("join room:b;in room:b u2;joined;");
	client_gone(c);
	noted("leave closed;out of room:b u2: closed;leave closed;out of room:a u1: closed;goodbye u1: closed;");
}
END_TEST

START_TEST(the_reason_is_told)
{
	struct client *c = client_new(&codec_phoenix_v2, "", 0);

	client_joins(c, "1", "public:a");
	noted("hello ;join public:a;in public:a ;joined;");
	session_close(&c->session, 1000, "as %d said", 1);
	noted("leave closed;out of public:a : closed;goodbye : as 1 said;");
	session_close(&c->session, 1000, "again");
	client_gone(c);
	noted("");
}
END_TEST

/* How it ends, and what is told of it. */
static const struct {
	const char *says, *notes;
} watched_ends[] = {
	{ "[\"1\",\"2\",\"room:a\",\"phx_leave\",{}]", "leave leave;out of room:a u1: leave;" },
	{ "[\"1\",\"2\",\"room:a\",\"boom\",{}]", "leave crashed;out of room:a u1: crashed;" },
	{ "[\"3\",\"3\",\"room:a\",\"phx_join\",{}]",
	  "leave replaced;out of room:a u1: replaced;join room:a;in room:a u1;joined;" },
};

START_TEST(channels_are_watched)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	noted("hello u1;join room:a;in room:a u1;joined;");
	client_says(c, watched_ends[_i].says);
	noted(watched_ends[_i].notes);
}
END_TEST

static int
joined_stops(struct channel *ch)
{
	channel_stop(ch);
	return 0;
}

/* Who never joined is not told of, and who joined for a moment is. */
START_TEST(only_the_joined_are_watched)
{
	struct client *c = client_v2();

	probe.join = probe_join_later;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	noted("hello u1;");
	channel_refuse(probe_channel, channel_empty());
	noted("leave refused;");
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	probe.joined = joined_stops;
	channel_accept(probe_channel, channel_empty());
	noted("in room:a u1;leave stopped;out of room:a u1: stopped;");
	/* What has no codec is nobody's connection. */
	client_new(NULL, "u3", 0);
	noted("");
}
END_TEST

/* The first message, where that is the server's. */

static const struct {
	const char *user, *name, *claims;
	const char *told;
} greetings[] = {
	{ "", "", "{}", "null" },
	{ "u1", "u1", "{\"sub\":\"u1\"}", "{\"id\":\"u1\"}" },
	{ "u1", "Ann \"A\"", "{\"username\":\"Ann \\\"A\\\"\"}", "{\"id\":\"u1\",\"name\":\"Ann \\\"A\\\"\"}" },
	{ "u\"1", "u\"1", "{\"name\":7}", "{\"id\":\"u\\\"1\",\"name\":\"u\\\"1\"}" },
};

START_TEST(clients_are_greeted)
{
	struct client *c = client_new(&codec_pusher, "", 0);
	autofree char *told = xasprintf("{\"type\":\"connected\",\"clientId\":\"%s\",\"user\":%s,\"timestamp\":\"*:*:*.*\"}",
	    c->session.id, greetings[_i].told);

	identity_unref(c->session.who);
	c->session.who = identity_new(slice_str(greetings[_i].user), slice_str(greetings[_i].name),
	    slice_str(greetings[_i].claims), INT64_MAX);
	session_greet(&c->session);
	client_hears_like(c, told);
	client_hears_nothing(c);
}
END_TEST

START_TEST(not_all_are_greeted)
{
	struct client *phoenix = client_v2(), *echo = client_new(NULL, "", 0);

	session_greet(&phoenix->session);
	client_hears_nothing(phoenix);
	session_greet(&echo->session);
	client_hears_nothing(echo);
}
END_TEST

Suite *
session_suite(void)
{
	Suite *s = suite_create("session");
	TCase *t = tcase_create("tokens"), *r = tcase_create("rates"), *w = tcase_create("watchers"),
	      *g = tcase_create("greetings");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	tcase_add_test(t, a_token_that_never_ends);
	tcase_add_test(t, warned_and_ended);
	tcase_add_test(t, warned_although_it_came_late);
	tcase_add_test(t, no_warning_is_wanted);
	tcase_add_test(t, a_new_token);
	tcase_add_loop_test(t, a_new_token_is_refused, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(t, a_token_of_its_own);
	tcase_add_test(t, its_own_token_lives_longer);
	tcase_add_test(t, the_token_ends_while_a_join_waits);
	suite_add_tcase(s, t);

	tcase_add_checked_fixture(r, bench_begin, bench_end);
	tcase_add_test(r, more_messages_than_the_rate);
	tcase_add_test(r, more_events_than_the_rate);
	tcase_add_test(r, one_rate_for_all_connections_of_a_user);
	tcase_add_test(r, rates_of_the_nameless);
	tcase_add_test(r, what_the_class_refuses_does_not_count);
	tcase_add_test(r, the_rates_of_all_routes);
	suite_add_tcase(s, r);

	tcase_add_checked_fixture(w, begin_watched, bench_end);
	tcase_add_test(w, clients_are_watched);
	tcase_add_test(w, the_reason_is_told);
	tcase_add_loop_test(w, channels_are_watched, 0, sizeof(watched_ends) / sizeof(watched_ends[0]));
	tcase_add_test(w, only_the_joined_are_watched);
	suite_add_tcase(s, w);

	tcase_add_checked_fixture(g, bench_begin, bench_end);
	tcase_add_loop_test(g, clients_are_greeted, 0, sizeof(greetings) / sizeof(greetings[0]));
	tcase_add_test(g, not_all_are_greeted);
	suite_add_tcase(s, g);
	return s;
}
