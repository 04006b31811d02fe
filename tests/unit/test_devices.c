/*
 * The class devices: who gets a place, who keeps it, and who has to go, whatever becomes of nodes and of Redis.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "channels/builtin.h"

Suite *devices_suite(void);

#define SAID(what, text, ...)	&(struct broadcast){ .event = what, .payload = text, ##__VA_ARGS__ }

#define TOPIC			"presence:u1"
#define JOIN(payload)		"[\"1\",\"1\",\"" TOPIC "\",\"phx_join\"," payload "]"
#define LEAVE			"[\"1\",\"8\",\"" TOPIC "\",\"phx_leave\",{}]"
#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", TOPIC, payload)
#define INVALID(field)		REASON("invalid_payload\",\"field\":\"" field)
#define IN			ANSWER("1", OK)
#define REFUSED(reason)		ANSWER("1", REASON(reason))
#define SHOWN(device)		"[\"1\",null,\"" TOPIC "\",\"presence_state\",{\"" device "\":{\"metas\":[{\"online_at\":*," \
	"\"phx_ref\":\"*\"}]}}]"
#define EVICTED(why, device) \
	"[\"1\",null,\"" TOPIC "\",\"device_evicted\",{\"reason\":\"" why "\",\"device_id\":\"" device "\"}]"
#define CLOSED			"[\"1\",\"1\",\"" TOPIC "\",\"phx_close\",{}]"
#define HOLDER(id, node)	"\"*\":{\"id\":\"" id "\",\"node\":\"" node "\",\"epoch\":*,\"at\":*,\"seen\":*}"
/* As other nodes write it. */
#define OTHER(channel, id, node, at) OTHER_SEEN(channel, id, node, at, "9999999999999")
#define OTHER_SEEN(channel, id, node, at, seen) \
	"\"" channel "\":{\"id\":\"" id "\",\"node\":\"" node "\",\"epoch\":7,\"at\":" at ",\"seen\":" seen "}"
#define STATE(holders)		"{\"devices\":{" holders "}}"
#define RESYNC			"{\"status\":\"resync\",\"recovered\":false}"

#define TURN_MS			10	/* the store tells what it was asked */
#define LOOK_MS			200	/* who finds no place looks again */
#define LATER_MS		10000
#define SWEEP_MS		60000	/* of the store */
#define DAY_MS			(24 * 3600 * 1000)

static struct route_setting two[] = { { "device_limit", "2" } };
static struct route_setting evicting[] = { { "evict_oldest", "yes" } };
static struct route_setting two_evicting[] = { { "device_limit", "2" }, { "evict_oldest", "yes" } };

static void
serve(struct route_setting *settings, unsigned n)
{
	bench_serve("presence:{user_id}", &devices_class, settings, n, NULL);
}

/* What is under way comes to an end. */
static void
settle(void)
{
	for (unsigned i = 0; i < 4; i++)
		pass(TURN_MS);
}

static struct client *
client_of_u1(void)
{
	return client_new(&codec_phoenix_v2, "u1", 0);
}

static struct client *
client_asks(const char *device)
{
	struct client *c = client_of_u1();
	autofree char *join = xasprintf(JOIN("{\"device_id\":\"%s\"}"), device);

	client_says(c, join);
	return c;
}

/* It is in, and has heard all about it. */
static struct client *
client_in(const char *device)
{
	struct client *c = client_asks(device);

	settle();
	client_hears(c, IN);
	pass(BENCH_WINDOW + 10);
	client_forgets(c);
	return c;
}

static void
client_is_refused(struct client *c)
{
	settle();
	client_hears_nothing(c);
	pass(LOOK_MS);
	settle();
	client_hears(c, REFUSED("device_limit_reached"));
	client_hears_nothing(c);
}

static void
client_leaves(struct client *c)
{
	client_says(c, LEAVE);
	client_forgets(c);
	settle();
}

/* The newest message, and how often there was another one. */
static char *newest;
static char newest_id[40];
static unsigned changes;

static void
on_page(void *arg, const struct history_page *page)
{
	const struct history_message *m = page->n > 0 ? &page->messages[page->n - 1] : NULL;

	free(newest);
	newest = m != NULL ? xasprintf("%.*s %.*s", SLICE_ARG(m->event), SLICE_ARG(m->payload)) : xstrdup("");
	if (m == NULL || slice_is(m->id, newest_id))
		return;
	snprintf(newest_id, sizeof(newest_id), "%.*s", SLICE_ARG(m->id));
	changes++;
}

static const char *
state(void)
{
	const struct history_limits limits = { .max = 1, .age_ms = 60000, .last_ms = 3 * (uint64_t)DAY_MS };

	ck_assert_int_eq(history_page(bench.history, NULL, SLICE(TOPIC), &limits, false, slice(NULL, 0), 1, on_page, NULL), 0);
	settle();
	return newest;
}

/* A client's frame, to be compared with what the state is like. */
static bool
state_is(const char *want)
{
	const char *got = state();

	for (; *want != '\0'; want++) {
		if (*want != '*') {
			if (*got++ != *want)
				return false;
			continue;
		}
		got += strspn(got, "0123456789abcdef-");
	}
	return *got == '\0';
}

#define ck_state(holders)	ck_assert_msg(state_is("devices " STATE(holders)), "%s", newest)

static void
class_begin(void)
{
	bench_begin();
	newest = NULL;
	newest_id[0] = '\0';
	changes = 0;
}

static void
class_end(void)
{
	bench_end();
	free(newest);
}

START_TEST(a_device_is_let_in_and_shown)
{
	struct client *a;

	serve(NULL, 0);
	a = client_asks("phone");
	settle();
	client_hears(a, IN);
	pass(BENCH_WINDOW + 10);
	client_hears_like(a, SHOWN("phone"));
	client_hears_nothing(a);
	ck_state(HOLDER("phone", "n1"));
	client_leaves(a);
	ck_state("");
}
END_TEST

START_TEST(one_is_enough)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("phone");
	b = client_asks("tablet");
	client_is_refused(b);
	pass(BENCH_WINDOW + 10);
	client_hears_nothing(a);
	ck_state(HOLDER("phone", "n1"));
	/* Another try, another answer. */
	client_leaves(a);
	client_says(b, JOIN("{\"device_id\":\"tablet\"}"));
	settle();
	client_hears(b, IN);
	ck_state(HOLDER("tablet", "n1"));
}
END_TEST

START_TEST(as_many_as_the_option_says)
{
	struct client *a;

	serve(two, 1);
	a = client_in("phone");
	client_in("\\u0074ablet");
	client_hears_like(a, "[null,null,\"" TOPIC "\",\"presence_diff\",{\"joins\":{\"tablet\":{\"metas\":["
	    "{\"online_at\":*,\"phx_ref\":\"*\"}]}},\"leaves\":{}}]");
	ck_state(HOLDER("phone", "n1") "," HOLDER("tablet", "n1"));
	client_is_refused(client_asks("watch"));
}
END_TEST

/* Whoever comes first, at any moment: it is the store that decides, as it does between nodes. */
START_TEST(of_two_at_once_one_wins)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_asks("phone");
	for (int i = 0; i < _i; i++)
		pass(TURN_MS);
	b = client_asks("tablet");
	settle();
	pass(LOOK_MS);
	settle();
	client_hears(a, IN);
	client_hears(b, REFUSED("device_limit_reached"));
	ck_state(HOLDER("phone", "n1"));
}
END_TEST

START_TEST(the_same_device_takes_over)
{
	struct client *a, *b;

	serve(NULL, 0);
	a = client_in("phone");
	b = client_asks("phone");
	settle();
	client_hears(b, IN);
	client_hears(a, EVICTED("replaced", "phone"));
	client_hears(a, CLOSED);
	ck_state(HOLDER("phone", "n1"));
	client_forgets(a);
	client_is_refused(client_asks("tablet"));
}
END_TEST

/* It joins once more in the same connection, maybe as another device. */
START_TEST(a_channel_joined_anew)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	client_says(a, _i == 0 ? JOIN("{\"device_id\":\"phone\"}") : JOIN("{\"device_id\":\"tablet\"}"));
	client_hears(a, CLOSED);
	settle();
	pass(LOOK_MS);
	settle();
	client_hears(a, IN);
	pass(BENCH_WINDOW + 10);
	client_forgets(a);
	pass(LATER_MS);
	settle();
	client_hears_nothing(a);
	if (_i == 0)
		ck_state(HOLDER("phone", "n1"));
	else
		ck_state(HOLDER("tablet", "n1"));
}
END_TEST

START_TEST(who_has_left_frees_its_place)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	if (_i == 0)
		client_says(a, LEAVE);
	else
		client_gone(a);
	/* In the same breath. */
	a = client_asks("tablet");
	settle();
	pass(LOOK_MS);
	settle();
	client_hears(a, IN);
	ck_state(HOLDER("tablet", "n1"));
}
END_TEST

/* Its client goes at any moment: nothing is left of it. */
START_TEST(who_does_not_wait_leaves_nothing)
{
	struct client *a;

	serve(NULL, 0);
	a = client_asks("phone");
	for (int i = 0; i < _i; i++)
		pass(TURN_MS);
	client_gone(a);
	settle();
	ck_assert(strstr(state(), "phone") == NULL);
	client_in("tablet");
}
END_TEST

START_TEST(the_oldest_has_to_go)
{
	struct client *a, *b;

	serve(evicting, 1);
	a = client_in("phone");
	b = client_asks("tablet");
	settle();
	client_hears(b, IN);
	client_hears(a, EVICTED("device_limit_reached", "phone"));
	client_hears(a, CLOSED);
	pass(BENCH_WINDOW + 10);
	client_hears_like(b, SHOWN("tablet"));
	ck_state(HOLDER("tablet", "n1"));
	/* It has nothing to take back. */
	client_gone(a);
	settle();
	ck_state(HOLDER("tablet", "n1"));
}
END_TEST

/* The oldest by its time; and of more than there may be, all that are too many. */
START_TEST(the_oldest_of_several)
{
	serve(two_evicting, 2);
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "x", "n2", "3") "," OTHER("b", "y", "n2", "1") ","
	    OTHER("c", "z", "n2", "2")));
	client_in("phone");
	ck_state(HOLDER("x", "n2") "," HOLDER("phone", "n1"));
}
END_TEST

/* Nodes. */

START_TEST(a_dead_nodes_devices_free_their_places)
{
	serve(NULL, 0);
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "tablet", "n2", "1")));
	client_is_refused(client_asks("phone"));
	bench_node_is_down("n2");
	client_in("phone");
	ck_state(HOLDER("phone", "n1"));
}
END_TEST

/* Of our own node, but of its life before. */
START_TEST(a_node_begun_anew_holds_nothing)
{
	serve(NULL, 0);
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "tablet", BENCH_NODE, "1")));
	client_in("phone");
	ck_state(HOLDER("phone", "n1"));
}
END_TEST

/* The others counted us as down, and we cannot take our place again before our node has. */
START_TEST(a_node_that_was_cut_off_takes_its_places_again)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	bench_epoch = 0;
	bench_other_says(TOPIC, "devices", STATE(""));
	settle();
	ck_state("");
	pass(LATER_MS);
	settle();
	ck_state("");
	bench_epoch = 1;
	pass(LATER_MS);
	settle();
	ck_state(HOLDER("phone", "n1"));
	client_hears_nothing(a);
}
END_TEST

/* Meanwhile another one was let in there. */
START_TEST(whose_place_was_given_away_has_to_go)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "tablet", "n2", "1")));
	settle();
	client_hears(a, EVICTED("device_limit_reached", "phone"));
	client_hears(a, CLOSED);
	settle();
	ck_state(HOLDER("tablet", "n2"));
}
END_TEST

START_TEST(the_same_device_on_another_node)
{
	struct client *a;

	serve(two, 1);
	a = client_in("phone");
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "ph\\u006fne", "n2", "1")));
	settle();
	client_hears(a, EVICTED("replaced", "phone"));
	client_hears(a, CLOSED);
}
END_TEST

START_TEST(a_node_without_a_place_lets_nobody_in)
{
	struct client *a;

	serve(NULL, 0);
	bench_epoch = 0;
	a = client_asks("phone");
	settle();
	client_hears(a, REFUSED("unavailable"));
}
END_TEST

/* The store. */

START_TEST(without_the_store_nobody_is_let_in)
{
	struct client *a;

	serve(NULL, 0);
	bench_store_fails(-EHOSTUNREACH, _i == 0);
	a = client_asks("phone");
	settle();
	client_hears(a, REFUSED("unavailable"));
	bench_store_fails(0, false);
	client_in("tablet");
}
END_TEST

/* It was stored, and nobody knew: it is taken back. */
START_TEST(what_was_kept_without_a_word_is_taken_back)
{
	struct client *a;

	serve(NULL, 0);
	bench_store_loses_answers(true);
	a = client_asks("phone");
	settle();
	client_hears(a, REFUSED("unavailable"));
	bench_store_loses_answers(false);
	pass(1000);
	settle();
	client_in("tablet");
}
END_TEST

/* Who is in stays; and who leaves meanwhile frees its place as soon as that can be said. */
START_TEST(while_the_store_is_away)
{
	struct client *a, *b;

	serve(two, 1);
	a = client_in("phone");
	b = client_in("tablet");
	client_forgets(a);
	bench_store_fails(-EHOSTUNREACH, true);
	client_gone(b);
	pass(5000);
	settle();
	client_forgets(a);
	bench_store_fails(0, false);
	pass(1000);
	settle();
	client_hears_nothing(a);
	ck_state(HOLDER("phone", "n1"));
}
END_TEST

/* The state is gone: whoever comes first tells it anew, and the others add themselves. */
START_TEST(after_redis_lost_its_data)
{
	struct client *a, *b;

	serve(two, 1);
	a = client_in("phone");
	b = client_in("tablet");
	client_forgets(a);
	if (_i == 0)
		bench_other_says(TOPIC, "devices", STATE(""));
	else
		bench_other_says(TOPIC, "other", "{}");
	pubsub_receive(&bench.pubsub, SLICE(TOPIC), SAID(SLICE("system"), SLICE(RESYNC)), NULL);
	settle();
	settle();
	ck_assert(state_is("devices " STATE(HOLDER("phone", "n1") "," HOLDER("tablet", "n1"))) ||
	    state_is("devices " STATE(HOLDER("tablet", "n1") "," HOLDER("phone", "n1"))));
	if (_i == 1) {
		client_hears_like(a, "[null,null,\"" TOPIC "\",\"other\",{\"id\":\"*\"}]");
		client_hears_like(b, "[null,null,\"" TOPIC "\",\"other\",{\"id\":\"*\"}]");
	}
	client_hears(a, "[\"1\",null,\"" TOPIC "\",\"system\"," RESYNC "]");
	client_hears_nothing(a);
	client_hears(b, "[\"1\",null,\"" TOPIC "\",\"system\"," RESYNC "]");
	client_hears_nothing(b);
}
END_TEST

START_TEST(after_redis_lost_its_data_others_may_have_been_faster)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "tablet", "n2", "1")));
	pubsub_receive(&bench.pubsub, SLICE(TOPIC), SAID(SLICE("system"), SLICE(RESYNC)), NULL);
	client_hears(a, "[\"1\",null,\"" TOPIC "\",\"system\"," RESYNC "]");
	settle();
	client_hears(a, EVICTED("device_limit_reached", "phone"));
}
END_TEST

/* Whoever can publish can say so: that alone puts nobody out. */
START_TEST(what_was_not_stored_decides_nothing)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	pubsub_receive(&bench.pubsub, SLICE(TOPIC), SAID(SLICE("devices"), SLICE("{}")), NULL);
	pubsub_receive(&bench.pubsub, SLICE(TOPIC), SAID(SLICE("devices"), SLICE("\x00\xff"), .binary = true), NULL);
	settle();
	client_hears_nothing(a);
	ck_state(HOLDER("phone", "n1"));
}
END_TEST

/* A state that somebody put there by hand. */
static const char *const odd_states[] = {
	"{}", "{\"devices\":7}", "{\"devices\":[]}", "{\"devices\":{\"x\":7,\"y\":{},\"z\":{\"id\":7,\"node\":\"n2\"}}}",
	"{\"devices\":{\"x\":{\"id\":\"\\u0000\",\"node\":\"n2\",\"epoch\":7,\"seen\":9999999999999}}}",
	"{\"devices\":{\"\\ud800\":{\"id\":\"x\",\"node\":\"n2\",\"epoch\":7,\"seen\":9999999999999}}}",
	"{\"devices\":{\"x\":{\"id\":\"x\",\"node\":\"n1\",\"epoch\":99999999999999999999,\"seen\":9999999999999}}}",
	"{\"devices\":{\"x\":{\"id\":\"x\",\"node\":\"n1\",\"epoch\":-1,\"at\":\"now\",\"seen\":9999999999999}}}",
	"{\"devices\":{\"x\":{\"id\":\"x\",\"node\":\"n2\",\"epoch\":7,\"seen\":99999999999999999999}}}",
};

START_TEST(odd_states_hold_no_place)
{
	serve(NULL, 0);
	bench_other_says(TOPIC, "devices", odd_states[_i]);
	client_in("phone");
	ck_state(HOLDER("phone", "n1"));
}
END_TEST

/* Each says once a day that it is there. */
START_TEST(places_are_renewed)
{
	struct client *a, *b;
	unsigned       before;

	serve(two, 1);
	a = client_in("phone");
	b = client_in("tablet");
	state();
	before = changes;
	pass(DAY_MS - 2000);
	state();
	ck_assert_uint_eq(changes, before);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 30; k++) {
			pass(100);
			state();
		}
		ck_assert_uint_eq(changes, before + 2 * (i + 1));
		pass(DAY_MS - 3000);
	}
	ck_state(HOLDER("phone", "n1") "," HOLDER("tablet", "n1"));
	client_forgets(a);
	client_hears_nothing(b);
}
END_TEST

/* Its leave was lost with a Redis. */
START_TEST(who_was_not_seen_for_days_has_no_place)
{
	serve(NULL, 0);
	bench_other_says(TOPIC, "devices", STATE(OTHER_SEEN("a", "tablet", "n2", "1", "1600000000000")));
	client_in("phone");
	ck_state(HOLDER("phone", "n1"));
}
END_TEST

/* Nobody is there: that is soon forgotten. */
START_TEST(what_is_empty_does_not_last)
{
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	bench_wall += 2 * (int64_t)DAY_MS;
	pass(SWEEP_MS);
	ck_state(HOLDER("phone", "n1"));
	client_leaves(a);
	ck_state("");
	bench_wall += 70000;
	pass(SWEEP_MS);
	ck_assert_str_eq(state(), "");
}
END_TEST

/* It is missing once, and before it is sure of its place, once more: now there is none. */
START_TEST(who_is_put_out_while_it_asks)
{
	struct client *a;

	serve(two, 1);
	a = client_in("phone");
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "tablet", "n2", "1")));
	for (int i = 0; i < _i; i++)
		pass(TURN_MS);
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "tablet", "n2", "1") "," OTHER("b", "watch", "n3", "2")));
	settle();
	settle();
	client_hears(a, EVICTED("device_limit_reached", "phone"));
	client_hears(a, CLOSED);
	ck_state(HOLDER("tablet", "n2") "," HOLDER("watch", "n3"));
}
END_TEST

/* Put out at any moment of its join, it is told so; before that it is let in, and puts out the other. */
START_TEST(who_is_put_out_while_it_joins)
{
	struct client *a;

	serve(evicting, 1);
	a = client_asks("phone");
	for (int i = 0; i < _i; i++)
		pass(TURN_MS);
	bench_other_says(TOPIC, "devices", STATE(OTHER("a", "tablet", "n2", "1")));
	settle();
	settle();
	client_hears(a, IN);
	pass(BENCH_WINDOW + 10);
	settle();
	if (strstr(state(), "phone") != NULL) {
		client_hears_like(a, SHOWN("phone"));
		client_hears_nothing(a);
		return;
	}
	ck_assert_int_gt(_i, 0);
	if (a->out.n == 3)
		client_hears_like(a, SHOWN("phone"));
	client_hears(a, EVICTED("device_limit_reached", "phone"));
	client_hears(a, CLOSED);
	ck_state(HOLDER("tablet", "n2"));
}
END_TEST

/* Bad input: the table of roost-protocol(7). */

#define X10(x)	x x x x x x x x x x
#define X128	X10(X10("x")) X10("x") X10("x") "xxxxxxxx"

static const struct {
	const char *user;
	const char *payload;
	const char *answer;
} joins[] = {
	{ "u1", "{\"device_id\":\"phone\",\"x\":1}", OK },
	{ "u1", "{\"device_id\":\"" X128 "\"}", OK },
	{ "u1", "{}", INVALID("device_id") },
	{ "u1", "{\"device_id\":null}", INVALID("device_id") },
	{ "u1", "{\"device_id\":7}", INVALID("device_id") },
	{ "u1", "{\"device_id\":[\"phone\"]}", INVALID("device_id") },
	{ "u1", "{\"device_id\":\"\"}", INVALID("device_id") },
	{ "u1", "{\"device_id\":\" \"}", INVALID("device_id") },
	{ "u1", "{\"device_id\":\"a\\u0000\"}", INVALID("device_id") },
	{ "u1", "{\"device_id\":\"" X128 "x\"}", INVALID("device_id") },
	/* As a presence's key it has 256 bytes at most. */
	{ "u1", "{\"device_id\":\"" X10("\xe2\x82\xac") X10(X10("\xe2\x82\xac")) "\"}", INVALID("device_id") },
	{ "u1", "{\"device_id\":\"__proto__\"}", INVALID("device_id") },
	{ "u1", "{\"device_id\":\"constr\\u0075ctor\"}", INVALID("device_id") },
	{ "u1", "[]", INVALID("payload") },
	{ "u2", "{\"device_id\":\"phone\"}", REASON("unauthorized") },
	{ "u2", "{}", REASON("unauthorized") },
	{ "u", "{\"device_id\":\"phone\"}", REASON("unauthorized") },
	{ "", "{\"device_id\":\"phone\"}", REASON("unauthorized") },
};

START_TEST(who_may_join)
{
	struct client *a = client_new(&codec_phoenix_v2, joins[_i].user, 0);
	autofree char *join = xasprintf(JOIN("%s"), joins[_i].payload);
	autofree char *answer = xasprintf(ANSWER("1", "%s"), joins[_i].answer);

	serve(NULL, 0);
	client_says(a, join);
	settle();
	client_hears(a, answer);
	client_hears_nothing(a);
	ck_assert_str_eq(strcmp(joins[_i].answer, OK) == 0 ? "" : state(), "");
}
END_TEST

START_TEST(all_events_are_unknown)
{
	static const char push[] = "\x00\x01\x01\x0b\x03" "13" TOPIC "say\x00\xff";
	static const char *const events[] = { "devices", "device_evicted", "system", "update_status", "presence_state" };
	struct client *a;

	serve(NULL, 0);
	a = client_in("phone");
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		autofree char *text = xasprintf("[\"1\",\"2\",\"" TOPIC "\",\"%s\",{}]", events[i]);

		client_says(a, text);
		client_hears(a, ANSWER("2", REASON("unknown_event")));
	}
	session_receive(&a->session, true, slice(push, sizeof(push) - 1));
	client_hears(a, ANSWER("3", REASON("unknown_event")));
	settle();
	client_hears_nothing(a);
}
END_TEST

START_TEST(bytes_do_not_join)
{
	static const char join[] = "\x00\x01\x01\x0b\x08" "11" TOPIC "phx_join\x00\xff";
	struct client *a = client_of_u1();

	serve(NULL, 0);
	session_receive(&a->session, true, slice(join, sizeof(join) - 1));
	client_hears(a, ANSWER("1", INVALID("payload")));
}
END_TEST

static const struct {
	struct route_setting setting;
	const char	    *why;
} bad_options[] = {
	{ { "device_limit", "0" }, "device_limit: expected a number from 1 to 1000" },
	{ { "device_limit", "1001" }, "device_limit: expected a number from 1 to 1000" },
	{ { "device_limit", "few" }, "device_limit: expected a number from 1 to 1000" },
	{ { "evict_oldest", "perhaps" }, "evict_oldest: expected yes or no" },
};

START_TEST(bad_options_are_refused)
{
	bench_refuses(&devices_class, bad_options[_i].setting, bad_options[_i].why);
}
END_TEST

Suite *
devices_suite(void)
{
	Suite *s = suite_create("devices");
	TCase *t = tcase_create("devices");

	tcase_add_checked_fixture(t, class_begin, class_end);
	tcase_add_test(t, a_device_is_let_in_and_shown);
	tcase_add_test(t, one_is_enough);
	tcase_add_test(t, as_many_as_the_option_says);
	tcase_add_loop_test(t, of_two_at_once_one_wins, 0, 6);
	tcase_add_test(t, the_same_device_takes_over);
	tcase_add_loop_test(t, a_channel_joined_anew, 0, 2);
	tcase_add_loop_test(t, who_has_left_frees_its_place, 0, 2);
	tcase_add_loop_test(t, who_does_not_wait_leaves_nothing, 0, 8);
	tcase_add_test(t, the_oldest_has_to_go);
	tcase_add_test(t, the_oldest_of_several);
	tcase_add_test(t, a_dead_nodes_devices_free_their_places);
	tcase_add_test(t, a_node_begun_anew_holds_nothing);
	tcase_add_test(t, a_node_that_was_cut_off_takes_its_places_again);
	tcase_add_test(t, whose_place_was_given_away_has_to_go);
	tcase_add_test(t, the_same_device_on_another_node);
	tcase_add_test(t, a_node_without_a_place_lets_nobody_in);
	tcase_add_loop_test(t, without_the_store_nobody_is_let_in, 0, 2);
	tcase_add_test(t, what_was_kept_without_a_word_is_taken_back);
	tcase_add_test(t, while_the_store_is_away);
	tcase_add_loop_test(t, after_redis_lost_its_data, 0, 2);
	tcase_add_test(t, after_redis_lost_its_data_others_may_have_been_faster);
	tcase_add_test(t, what_was_not_stored_decides_nothing);
	tcase_add_loop_test(t, odd_states_hold_no_place, 0, sizeof(odd_states) / sizeof(odd_states[0]));
	tcase_add_test(t, places_are_renewed);
	tcase_add_test(t, who_was_not_seen_for_days_has_no_place);
	tcase_add_test(t, what_is_empty_does_not_last);
	tcase_add_loop_test(t, who_is_put_out_while_it_asks, 0, 5);
	tcase_add_loop_test(t, who_is_put_out_while_it_joins, 0, 8);
	tcase_add_loop_test(t, who_may_join, 0, sizeof(joins) / sizeof(joins[0]));
	tcase_add_test(t, all_events_are_unknown);
	tcase_add_test(t, bytes_do_not_join);
	tcase_add_loop_test(t, bad_options_are_refused, 0, sizeof(bad_options) / sizeof(bad_options[0]));
	suite_add_tcase(s, t);
	return s;
}
