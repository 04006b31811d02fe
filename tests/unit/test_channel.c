/*
 * Channels: what classes may do with them, in and out of turn, and what becomes of both when one of them fails.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/stats.h"
#include "base/uuid.h"

Suite *channel_suite(void);

#define SAID(what, text, ...)	&(struct broadcast){ .event = what, .payload = text, ##__VA_ARGS__ }

#define SAY(ref, event)	"[\"1\",\"" ref "\",\"room:a\",\"" event "\",{}]"
#define CRASH(ref)	"[\"" ref "\",\"" ref "\",\"room:a\",\"phx_error\",{\"reason\":\"channel_crash\"}]"
#define CLOSE(ref)	"[\"" ref "\",\"" ref "\",\"room:a\",\"phx_close\",{}]"

static struct client *
joined_client(void)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	noted("join room:a;joined;");
	return c;
}

/* Answers. */

static int
answers_twice(struct channel *ch, const struct channel_message *m)
{
	channel_reply_reason(ch, "a \"first\" answer");
	channel_reply_ok(ch, channel_empty());
	ck_assert_ptr_null(channel_defer(ch));
	return 0;
}

START_TEST(one_answer_counts)
{
	struct client *c = joined_client();

	probe.handle_in = answers_twice;
	client_says(c, SAY("2", "x"));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", "{\"status\":\"error\",\"response\":{\"reason\":\"a \\\"first\\\" answer\"}}"));
	client_hears_nothing(c);
}
END_TEST

static int
answers_badly(struct channel *ch, const struct channel_message *m)
{
	channel_reply_ok(ch, channel_json(SLICE("[1]")));
	ck_assert_int_eq(channel_push(ch, SLICE("x"), channel_json(SLICE("null"))), -EINVAL);
	ck_assert_int_eq(channel_broadcast(ch, SLICE("x"), channel_json(SLICE("5"))), -EINVAL);
	ck_assert_int_eq(channel_broadcast_from(ch, SLICE("x"), channel_json(SLICE(""))), -EINVAL);
	return 0;
}

START_TEST(clients_get_objects_alone)
{
	struct client *c = joined_client();

	probe.handle_in = answers_badly;
	client_says(c, SAY("2", "x"));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", OK));
	client_hears_nothing(c);
}
END_TEST

static int
answers_out_of_turn(struct channel *ch)
{
	channel_reply_error(ch, channel_empty());
	ck_assert_ptr_null(channel_defer(ch));
	channel_push(ch, SLICE("hello"), channel_empty());
	return 0;
}

static int
answers_a_timer(struct channel *ch, int timer)
{
	return answers_out_of_turn(ch);
}

START_TEST(only_messages_are_answered)
{
	struct client *c = client_v2();

	probe.joined = answers_out_of_turn;
	probe.handle_info = answers_a_timer;
	client_joins(c, "1", "room:a");
	client_hears(c, "[\"1\",null,\"room:a\",\"hello\",{}]");
	channel_set_timer(probe_channel, 0, 10);
	pass(100);
	client_hears(c, "[\"1\",null,\"room:a\",\"hello\",{}]");
	client_says(c, SAY("2", "silent"));
	channel_reply_ok(probe_channel, channel_empty());
	ck_assert_ptr_null(channel_defer(probe_channel));
	client_hears_nothing(c);
}
END_TEST

static int
joins_eagerly(struct channel *ch, const struct channel_message *params)
{
	ck_assert_int_eq(channel_push(ch, SLICE("x"), channel_empty()), -EINVAL);
	ck_assert_int_eq(channel_broadcast(ch, SLICE("x"), channel_empty()), -EINVAL);
	ck_assert_ptr_null(channel_defer(ch));
	channel_reply_ok(ch, channel_json(SLICE("{\"n\":1}")));
	channel_reply_ok(ch, channel_json(SLICE("{\"n\":2}")));
	return CHANNEL_OK;
}

START_TEST(nothing_is_pushed_before_the_reply)
{
	struct client *c = client_v2();

	probe.join = joins_eagerly;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", "{\"status\":\"ok\",\"response\":{\"n\":1}}"));
	client_hears_nothing(c);
}
END_TEST

START_TEST(an_answer_for_later)
{
	struct client *c = joined_client();

	client_says(c, SAY("2", "defer"));
	client_says(c, SAY("3", "echo"));
	client_hears(c, REPLY("\"1\"", "\"3\"", "room:a", OK));
	channel_ref_reply(probe_ref, false, channel_json(SLICE("{\"late\":1}")));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", "{\"status\":\"error\",\"response\":{\"late\":1}}"));
}
END_TEST

static int
defers_and_answers(struct channel *ch, const struct channel_message *m)
{
	probe_ref = channel_defer(ch);
	channel_reply_error(ch, channel_empty());
	ck_assert_ptr_null(channel_defer(ch));
	channel_broadcast_from(ch, SLICE("said"), m->payload);
	return 0;
}

START_TEST(what_is_put_off_is_not_answered_now)
{
	struct client *a = joined_client(), *b = joined_client();

	probe.handle_in = defers_and_answers;
	client_says(a, SAY("2", "x"));
	client_hears_nothing(a);
	client_hears(b, "[null,null,\"room:a\",\"said\",{}]");
	channel_ref_reply(probe_ref, true, channel_json(SLICE("no object")));
	client_hears(a, REPLY("\"1\"", "\"2\"", "room:a", OK));
}
END_TEST

START_TEST(an_answer_outlives_its_channel)
{
	struct client	   *c = joined_client();
	struct channel_ref *left, *replaced, *gone;

	client_says(c, SAY("2", "defer"));
	left = probe_ref;
	client_says(c, SAY("3", "phx_leave"));
	client_forgets(c);
	client_joins(c, "1", "room:a");
	client_says(c, SAY("4", "defer"));
	replaced = probe_ref;
	client_says(c, "[\"5\",\"5\",\"room:a\",\"phx_join\",{}]");
	client_forgets(c);
	/* Within the turn, and when the channel is buried. */
	channel_ref_reply(left, true, channel_empty());
	pass(0);
	channel_ref_reply(replaced, true, channel_empty());
	client_hears_nothing(c);
	client_says(c, "[\"5\",\"6\",\"room:a\",\"defer\",{}]");
	gone = probe_ref;
	client_gone(c);
	pass(0);
	channel_ref_reply(gone, true, channel_empty());
	client_hears_nothing(c);
}
END_TEST

/* Failures. */

static int
fails(struct channel *ch, const struct channel_message *m)
{
	return -EIO;
}

static int
fails_to_enter(struct channel *ch)
{
	return -EIO;
}

static int
fails_in_time(struct channel *ch, int timer)
{
	return -EIO;
}

START_TEST(a_join_fails)
{
	struct client *c = client_v2();

	probe.join = fails;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("join crashed")));
	client_hears_nothing(c);
	noted("");
	ck_assert_uint_eq(c->session.n_channels, 0);
}
END_TEST

START_TEST(joined_fails)
{
	struct client *c = client_v2();

	probe.joined = fails_to_enter;
	client_joins(c, "1", "room:a");
	client_hears(c, CRASH("1"));
	noted("join room:a;leave crashed;");
}
END_TEST

START_TEST(an_event_fails)
{
	struct client *c = joined_client();

	client_says(c, SAY("2", "boom"));
	client_hears(c, CRASH("1"));
	noted("leave crashed;");
	client_says(c, SAY("3", "echo"));
	client_hears(c, REPLY("null", "\"3\"", "room:a", REASON("unmatched topic")));
	client_joins(c, "4", "room:a");
}
END_TEST

START_TEST(a_timer_fails)
{
	struct client *c = joined_client();

	probe.handle_info = fails_in_time;
	channel_set_timer(probe_channel, 0, 10);
	channel_set_timer(probe_channel, 1, 10);
	pass(100);
	client_hears(c, CRASH("1"));
	client_hears_nothing(c);
	noted("leave crashed;");
}
END_TEST

START_TEST(an_intercept_fails)
{
	struct client *a = joined_client(), *b = joined_client();

	probe.handle_out = fails;
	client_says(a, SAY("2", "shout"));
	client_hears(a, CRASH("1"));
	client_hears(b, CRASH("1"));
	noted("leave crashed;leave crashed;");
}
END_TEST

static int
replies_and_stops(struct channel *ch, const struct channel_message *m)
{
	channel_reply_ok(ch, channel_empty());
	channel_stop(ch);
	/* It goes when this returns. */
	channel_push(ch, SLICE("last"), channel_empty());
	return 0;
}

START_TEST(stops_after_a_reply)
{
	struct client *c = joined_client();

	probe.handle_in = replies_and_stops;
	client_says(c, SAY("2", "x"));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", OK));
	client_hears(c, "[\"1\",null,\"room:a\",\"last\",{}]");
	client_hears(c, CLOSE("1"));
	noted("leave stopped;");
}
END_TEST

START_TEST(stops_out_of_turn)
{
	struct client *c = joined_client();

	channel_stop(probe_channel);
	client_hears(c, CLOSE("1"));
	channel_stop(probe_channel);
	channel_fail(probe_channel, "too late");
	ck_assert_int_eq(channel_push(probe_channel, SLICE("x"), channel_empty()), -EINVAL);
	ck_assert_int_eq(channel_broadcast(probe_channel, SLICE("x"), channel_empty()), -EINVAL);
	channel_set_timer(probe_channel, 0, 10);
	channel_stop_timer(probe_channel, 0);
	client_hears_nothing(c);
	pass(100);
	noted("leave stopped;");
}
END_TEST

START_TEST(fails_with_a_reason)
{
	struct client *c = joined_client();

	channel_fail(probe_channel, "it is \"broken\"");
	client_hears(c, "[\"1\",\"1\",\"room:a\",\"phx_error\",{\"reason\":\"it is \\\"broken\\\"\"}]");
	noted("leave crashed;");
}
END_TEST

static int
joins_and_stops(struct channel *ch, const struct channel_message *params)
{
	channel_stop(ch);
	return CHANNEL_OK;
}

static int
waits_and_stops(struct channel *ch, const struct channel_message *params)
{
	channel_stop(ch);
	return CHANNEL_LATER;
}

START_TEST(stops_within_its_join)
{
	struct client *c = client_v2();

	probe.join = joins_and_stops;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("join crashed")));
	probe.join = waits_and_stops;
	client_says(c, "[\"2\",\"2\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"2\"", "\"2\"", "room:a", REASON("join crashed")));
	noted("leave stopped;leave stopped;");
	pass(20000);
	client_hears_nothing(c);
	ck_assert_uint_eq(c->session.n_channels, 0);
}
END_TEST

/* Leaving. */

static void
leaves_loudly(struct channel *ch, const char *why)
{
	ck_assert_int_eq(channel_push(ch, SLICE("bye"), channel_empty()), -EINVAL);
	ck_assert_int_eq(channel_broadcast(ch, SLICE("bye"), channel_empty()), 0);
	channel_stop(ch);
	channel_fail(ch, "never");
	note("left %.*s as %s;", SLICE_ARG(channel_topic(ch)), why);
}

START_TEST(the_others_hear_who_leaves)
{
	struct client *a = joined_client(), *b = joined_client();

	probe.leave = leaves_loudly;
	client_says(a, SAY("2", "phx_leave"));
	client_hears(a, REPLY("\"1\"", "\"2\"", "room:a", OK));
	client_hears(a, CLOSE("1"));
	client_hears_nothing(a);
	client_hears(b, "[null,null,\"room:a\",\"bye\",{}]");
	noted("left room:a as leave;");
	client_gone(b);
	noted("left room:a as closed;");
	client_hears_nothing(b);
}
END_TEST

static void
leaves_shouting(struct channel *ch, const char *why)
{
	channel_broadcast(ch, SLICE("shouted"), channel_empty());
	note("leave %s;", why);
}

static int
answers_aloud(struct channel *ch, const struct channel_message *m)
{
	return channel_broadcast(ch, SLICE("farewell"), channel_empty());
}

/* Nothing comes behind phx_close, not even what others say because of it. */
START_TEST(who_has_left_hears_nothing)
{
	struct client *a = joined_client(), *b = joined_client();

	probe.leave = leaves_shouting;
	probe.handle_out = answers_aloud;
	client_says(a, SAY("2", "phx_leave"));
	client_hears(a, REPLY("\"1\"", "\"2\"", "room:a", OK));
	client_hears(a, CLOSE("1"));
	client_hears_nothing(a);
	client_hears(b, "[null,null,\"room:a\",\"farewell\",{}]");
	client_hears_nothing(b);
	noted("leave leave;");
}
END_TEST

/* Intercepted broadcasts. */

static struct channel *victim;

static int
stops_the_victim(struct channel *ch, const struct channel_message *m)
{
	if (victim != NULL) {
		struct channel *it = victim;

		victim = NULL;
		channel_stop(it);
	}
	return channel_push(ch, m->event, m->payload);
}

/* Of three who hear a broadcast, one (another, or itself) is stopped while the first one is asked. */
START_TEST(one_leaves_during_the_walk)
{
	struct client  *c[3];
	struct channel *ch[3];

	probe.handle_out = stops_the_victim;
	for (int i = 0; i < 3; i++) {
		c[i] = joined_client();
		ch[i] = probe_channel;
	}
	victim = ch[_i];
	client_says(c[0], "[\"1\",\"2\",\"room:a\",\"shout\",{\"m\":3}]");
	for (int i = 0; i < 3; i++) {
		if (i != _i || i == 0)
			client_hears(c[i], "[\"1\",null,\"room:a\",\"shouted\",{\"m\":3}]");
		if (i == _i)
			client_hears(c[i], CLOSE("1"));
		client_hears_nothing(c[i]);
	}
	noted("leave stopped;");
	pass(0);
	ck_assert_uint_eq(hub_topic(&bench.pubsub.hub, SLICE("room:a"))->n, 2);
}
END_TEST

static int
everybody_stops(struct channel *ch, const struct channel_message *m)
{
	channel_stop(ch);
	return 0;
}

/* The topic goes with the last of them, in the middle of its own broadcast. */
START_TEST(all_leave_during_the_walk)
{
	struct client *a = joined_client(), *b = joined_client();

	probe.handle_out = everybody_stops;
	client_says(a, SAY("2", "shout"));
	client_hears(a, CLOSE("1"));
	client_hears(b, CLOSE("1"));
	ck_assert_ptr_null(hub_topic(&bench.pubsub.hub, SLICE("room:a")));
	noted("leave stopped;leave stopped;");
}
END_TEST

static int
shouts_back(struct channel *ch, const struct channel_message *m)
{
	if (slice_is(m->payload.bytes, "{}"))
		channel_broadcast(ch, SLICE("shouted"), channel_json(SLICE("{\"again\":1}")));
	return channel_push(ch, m->event, m->payload);
}

START_TEST(a_broadcast_within_a_broadcast)
{
	struct client *c = joined_client();

	probe.handle_out = shouts_back;
	client_says(c, SAY("2", "shout"));
	client_hears(c, "[\"1\",null,\"room:a\",\"shouted\",{\"again\":1}]");
	client_hears(c, "[\"1\",null,\"room:a\",\"shouted\",{}]");
	client_hears_nothing(c);
}
END_TEST

START_TEST(what_is_not_intercepted_goes_through)
{
	struct client *a = joined_client(), *b = client_new(&codec_phoenix_v1, "u2", 0);

	client_says(b, "{\"topic\":\"room:a\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}");
	client_forgets(b);
	probe.handle_out = fails;
	client_says(a, "[\"1\",\"2\",\"room:a\",\"bcast\",{\"m\":1}]");
	client_hears(a, "[null,null,\"room:a\",\"bcast\",{\"m\":1}]");
	client_hears(b, "{\"topic\":\"room:a\",\"event\":\"bcast\",\"payload\":{\"m\":1},\"ref\":null}");
}
END_TEST

/* Timers. */

static int
sets_itself_again(struct channel *ch, int timer)
{
	note("info %d;", timer);
	if (timer == 0)
		channel_set_timer(ch, 0, 100);
	return 0;
}

START_TEST(timers)
{
	joined_client();
	channel_set_timer(probe_channel, 1, 100);
	channel_set_timer(probe_channel, 2, 200);
	channel_set_timer(probe_channel, -3, 300);
	channel_set_timer(probe_channel, 4, 400);
	channel_stop_timer(probe_channel, 2);
	channel_stop_timer(probe_channel, 2);
	channel_stop_timer(probe_channel, 77);
	channel_set_timer(probe_channel, 1, 350);
	pass(120);
	noted("");
	pass(200);
	noted("info -3;");
	pass(100);
	noted("info 1;info 4;");
	pass(1000);
	noted("");
	probe.handle_info = sets_itself_again;
	channel_set_timer(probe_channel, 0, 10);
	for (int i = 0; i < 3; i++)
		pass(200);
	noted("info 0;info 0;info 0;");
}
END_TEST

START_TEST(timers_end_with_the_channel)
{
	struct client *c = joined_client();

	channel_set_timer(probe_channel, 1, 100);
	client_says(c, SAY("2", "phx_leave"));
	noted("leave leave;");
	pass(1000);
	noted("");
}
END_TEST

/* What a class is told. */

struct aligned {
	max_align_t	most;
	char		odd;
};

static int
looks_around(struct channel *ch, const struct channel_message *params)
{
	static const struct aligned zero;
	struct aligned *state = channel_state(ch);

	ck_assert_uint_eq((uintptr_t)state % _Alignof(max_align_t), 0);
	ck_assert_mem_eq(state, &zero, sizeof(zero));
	memset(state, 0xff, sizeof(*state));
	ck_assert(slice_is(channel_topic(ch), "chat:lobby:x"));
	ck_assert(slice_is(channel_capture(ch, "kind"), "chat"));
	ck_assert(slice_is(channel_capture(ch, "name"), "lobby"));
	ck_assert_ptr_null(channel_capture(ch, "*").p);
	ck_assert(slice_is(channel_user(ch), "u1"));
	ck_assert(slice_is(channel_user_name(ch), "u1"));
	ck_assert(slice_is(channel_claims(ch), "{\"sub\":\"u1\"}"));
	ck_assert_uint_eq(channel_now(ch), bench.loop->now);
	ck_assert_int_gt(channel_wall(ch), 1700000000000);
	ck_assert(slice_is(params->event, "phx_join"));
	ck_assert(slice_is(params->payload.bytes, "{\"p\":1}"));
	return CHANNEL_OK;
}

START_TEST(a_class_looks_around)
{
	struct client *c = client_v2();

	probe.state_size = sizeof(struct aligned);
	probe.join = looks_around;
	client_says(c, "[\"1\",\"1\",\"chat:lobby:x\",\"phx_join\",{\"p\":1}]");
	client_hears(c, REPLY("\"1\"", "\"1\"", "chat:lobby:x", OK));
	client_says(c, "[\"1\",\"2\",\"chat:lobby:x\",\"push\",{}]");
	client_hears(c, "[\"1\",null,\"chat:lobby:x\",\"pushed\",{}]");
}
END_TEST

START_TEST(looking_into_json)
{
	struct slice object = SLICE("{\"a\":{\"b\":[1,2]},\"\\u0061\":\"x\\ny\",\"n\":5}"), text;
	char	     out[16];

	ck_assert(slice_is(channel_json_member(object, "a"), "\"x\\ny\""));
	ck_assert(slice_is(channel_json_member(object, "n"), "5"));
	ck_assert_ptr_null(channel_json_member(object, "b").p);
	ck_assert_int_eq(channel_json_string(SLICE("\"x\\ny\""), out, sizeof(out), &text), 0);
	ck_assert(slice_is(text, "x\ny"));
	ck_assert_int_eq(channel_json_string(SLICE("5"), out, sizeof(out), &text), -EINVAL);
	ck_assert_int_eq(channel_json_string(slice(NULL, 0), out, sizeof(out), &text), -EINVAL);
	ck_assert_int_eq(channel_json_string(SLICE("\"01234567890123456\\n\""), out, sizeof(out), &text), -ENAMETOOLONG);
	ck_assert_int_eq(channel_json_string(SLICE("\"\\u0000\""), out, sizeof(out), &text), -EILSEQ);
	ck_assert_int_eq(channel_json_quote(SLICE("a\"b"), out, sizeof(out)), 6);
	ck_assert(slice_eq(slice(out, 6), SLICE("\"a\\\"b\"")));
	ck_assert_int_eq(channel_json_quote(SLICE("a\"b"), out, 5), -ENAMETOOLONG);
}
END_TEST

/* To this node's channels alone; and who intercepts it is asked. */
static int
tells_here(struct channel *ch, const struct channel_message *m)
{
	const bool but_me = slice_is(m->event, "but me");

	ck_assert_int_eq(channel_tell_here(ch, SLICE("shouted"), channel_json(SLICE("{\"a\":1}")), but_me ? ch : NULL), 0);
	ck_assert_int_eq(channel_tell_here(ch, SLICE("shouted"), channel_json(SLICE("[]")), NULL), -EINVAL);
	return 0;
}

static int
answers_shouts(struct channel *ch, const struct channel_message *m)
{
	note("out %.*s;", SLICE_ARG(m->event));
	return channel_push(ch, SLICE("heard"), m->payload);
}

static void
tells_at_the_end(struct channel *ch, const char *why)
{
	ck_assert_int_eq(channel_tell_here(ch, SLICE("gone"), channel_empty(), NULL), 0);
	note("leave %s;", why);
}

static int
join_tells_here(struct channel *ch, const struct channel_message *params)
{
	ck_assert_int_eq(channel_tell_here(ch, SLICE("early"), channel_empty(), NULL), -EINVAL);
	return CHANNEL_OK;
}

START_TEST(told_here)
{
	struct client *a = joined_client(), *b = joined_client();
	const uint64_t broadcasts = stats->broadcasts_total;

	probe.handle_in = tells_here;
	probe.handle_out = answers_shouts;
	client_says(a, SAY("2", "x"));
	client_hears(a, "[\"1\",null,\"room:a\",\"heard\",{\"a\":1}]");
	client_hears(b, "[\"1\",null,\"room:a\",\"heard\",{\"a\":1}]");
	noted("out shouted;out shouted;");
	client_says(a, SAY("3", "but me"));
	client_hears_nothing(a);
	client_hears(b, "[\"1\",null,\"room:a\",\"heard\",{\"a\":1}]");
	noted("out shouted;");
	ck_assert_uint_eq(stats->broadcasts_total, broadcasts);
	probe.leave = tells_at_the_end;
	client_gone(a);
	client_hears(b, "[null,null,\"room:a\",\"gone\",{}]");
	probe.join = join_tells_here;
	client_says(b, "[\"5\",\"5\",\"room:b\",\"phx_join\",{}]");
	client_hears(b, REPLY("\"5\"", "\"5\"", "room:b", OK));
	client_hears_nothing(b);
	noted("leave closed;joined;");
}
END_TEST

static int
switches(struct channel *ch, const struct channel_message *m)
{
	channel_set_intercepting(ch, slice_is(m->event, "on"));
	return 0;
}

/* Hears one of them, and then no more. */
static int
hears_the_last(struct channel *ch, const struct channel_message *m)
{
	channel_set_intercepting(ch, false);
	note("last;");
	return 0;
}

static int
join_switches_off(struct channel *ch, const struct channel_message *params)
{
	channel_set_intercepting(ch, false);
	return CHANNEL_OK;
}

START_TEST(intercepting_is_switched)
{
	struct client *c = client_v2();

	probe.join = join_switches_off;
	client_joins(c, "1", "room:a");
	probe.handle_out = answers_shouts;
	client_says(c, SAY("2", "shout"));
	client_hears(c, "[null,null,\"room:a\",\"shouted\",{}]");
	noted("joined;");
	probe.handle_in = switches;
	client_says(c, SAY("3", "on"));
	pubsub_receive(&bench.pubsub, SLICE("room:a"), SAID(SLICE("shouted"), SLICE("{}")), NULL);
	client_hears(c, "[\"1\",null,\"room:a\",\"heard\",{}]");
	noted("out shouted;");
	probe.handle_out = hears_the_last;
	pubsub_receive(&bench.pubsub, SLICE("room:a"), SAID(SLICE("shouted"), SLICE("{}")), NULL);
	client_hears_nothing(c);
	noted("last;");
	pubsub_receive(&bench.pubsub, SLICE("room:a"), SAID(SLICE("shouted"), SLICE("{}")), NULL);
	client_hears(c, "[null,null,\"room:a\",\"shouted\",{}]");
	client_hears_nothing(c);
}
END_TEST

START_TEST(new_ids)
{
	struct client  *c = joined_client();
	char		id[CHANNEL_ID_LEN + 1], other[CHANNEL_ID_LEN + 1];
	struct position at;
	uint64_t	tail;

	ck_assert_ptr_eq(channel_new_id(probe_channel, id), id);
	channel_new_id(probe_channel, other);
	ck_assert_str_ne(id, other);
	ck_assert_uint_eq(strlen(id), CHANNEL_ID_LEN);
	ck_assert_int_eq(uuid_to_position(slice_str(id), &at, &tail), 0);
	ck_assert_int_le((int64_t)at.ms, wall_ms());
	ck_assert_int_gt((int64_t)at.ms, wall_ms() - 60000);
	client_hears_nothing(c);
}
END_TEST

Suite *
channel_suite(void)
{
	Suite *s = suite_create("channel");
	TCase *t = tcase_create("answers"), *f = tcase_create("ends"), *i = tcase_create("intercepts and timers");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	tcase_add_test(t, one_answer_counts);
	tcase_add_test(t, clients_get_objects_alone);
	tcase_add_test(t, only_messages_are_answered);
	tcase_add_test(t, nothing_is_pushed_before_the_reply);
	tcase_add_test(t, an_answer_for_later);
	tcase_add_test(t, what_is_put_off_is_not_answered_now);
	tcase_add_test(t, an_answer_outlives_its_channel);
	tcase_add_test(t, a_class_looks_around);
	tcase_add_test(t, looking_into_json);
	tcase_add_test(t, told_here);
	tcase_add_test(t, intercepting_is_switched);
	tcase_add_test(t, new_ids);
	suite_add_tcase(s, t);

	tcase_add_checked_fixture(f, bench_begin, bench_end);
	tcase_add_test(f, a_join_fails);
	tcase_add_test(f, joined_fails);
	tcase_add_test(f, an_event_fails);
	tcase_add_test(f, a_timer_fails);
	tcase_add_test(f, an_intercept_fails);
	tcase_add_test(f, stops_after_a_reply);
	tcase_add_test(f, stops_out_of_turn);
	tcase_add_test(f, fails_with_a_reason);
	tcase_add_test(f, stops_within_its_join);
	tcase_add_test(f, the_others_hear_who_leaves);
	tcase_add_test(f, who_has_left_hears_nothing);
	suite_add_tcase(s, f);

	tcase_add_checked_fixture(i, bench_begin, bench_end);
	tcase_add_loop_test(i, one_leaves_during_the_walk, 0, 3);
	tcase_add_test(i, all_leave_during_the_walk);
	tcase_add_test(i, a_broadcast_within_a_broadcast);
	tcase_add_test(i, what_is_not_intercepted_goes_through);
	tcase_add_test(i, timers);
	tcase_add_test(i, timers_end_with_the_channel);
	suite_add_tcase(s, i);
	return s;
}
