/*
 * The broker in Redis: two nodes in one process, a real server between them, and somebody who publishes by hand.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/stats.h"
#include "net/redis.h"
#include "pubsub/pubsub.h"
#include "wire/envelope.h"
#include "with_redis.h"

Suite *broker_redis_suite(void);

#define SAID(what, text, ...)	&(struct broadcast){ .event = what, .payload = text, ##__VA_ARGS__ }

#define WAIT_MS		5000
#define LINGER_MS	250

/* A node with one subscriber. */
struct side {
	struct redis	*redis;
	struct pubsub	 ps;
	struct outq	 out;
	struct subscriber hearer;
	bool		 bus_is_up;
	unsigned	 bus_downs;
	char		 told[512];	/* to its keeper */
};

static struct loop *loop;
static struct side sides[2];
static struct side *const a = &sides[0], *const b = &sides[1];

static void
flush(struct outq *q)
{
}

static void
on_up(void *arg)
{
}

static void
on_down(void *arg, const char *why)
{
}

static void
on_bus_up(void *arg)
{
	struct side *s = arg;

	s->bus_is_up = true;
}

static void
on_bus_down(void *arg, const char *why)
{
	struct side *s = arg;

	s->bus_is_up = false;
	s->bus_downs++;
}

static const struct redis_user user = {
	.on_up = on_up, .on_down = on_down, .on_bus_up = on_bus_up, .on_bus_down = on_bus_down, .on_refused = on_down,
};

static void __attribute__((format(printf, 2, 3)))
tell(struct side *s, const char *fmt, ...)
{
	size_t	n = strlen(s->told);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->told + n, sizeof(s->told) - n, fmt, ap);
	va_end(ap);
}

static void
keeper_on_stored(void *arg, struct slice topic, const struct envelope *e)
{
	char at[POSITION_LEN];

	tell(arg, "%.*s %.*s %s;", SLICE_ARG(topic), SLICE_ARG(e->event), position_text(e->at, at));
}

static void
keeper_on_subscribed(void *arg, struct slice topic)
{
	struct side *s = arg;

	ck_assert(s->ps.broker->ops->is_subscribed(s->ps.broker, topic));
	tell(s, "subscribed %.*s;", SLICE_ARG(topic));
}

static bool
keeper_keeps(void *arg, struct slice topic)
{
	return true;
}

static const struct pubsub_keeper keeper = { keeper_on_stored, keeper_on_subscribed, keeper_keeps };

static void
side_begin(struct side *s, const char *node)
{
	struct redis_options o = {
		.name = node, .connect_ms = 2000, .ping_ms = 1000, .answer_ms = 2000, .backoff_ms = 20, .backoff_max_ms = 50,
		.max_queue = 1 << 20, .url.is_unix = true,
	};

	*s = (struct side){ .bus_is_up = false };
	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	s->redis = redis_new(loop, &o, &user, s);
	pubsub_init(&s->ps, loop, broker_redis_new(loop, s->redis, "test:", node, LINGER_MS));
	outq_init(&s->out, loop, flush);
	s->hearer = (struct subscriber){ .out = &s->out, .codec = &codec_phoenix_v2 };
}

static void
side_end(struct side *s)
{
	hub_unsubscribe(&s->ps.hub, &s->hearer);
	outq_done(&s->out);
	pubsub_done(&s->ps);
	redis_free(s->redis);
}

static bool
both_are_up(void *arg)
{
	return redis_is_up(a->redis) && redis_is_up(b->redis) && a->bus_is_up && b->bus_is_up;
}

static void
wait_for(bool (*cond)(void *), void *arg)
{
	ck_assert(with_redis_turn_until(loop, cond, arg, WAIT_MS));
}

static void
begin_unconnected(void)
{
	with_redis_start();
	loop = loop_new();
	side_begin(a, "A");
	side_begin(b, "B");
}

static void
set_up(void)
{
	begin_unconnected();
	wait_for(both_are_up, NULL);
}

static void
tear_down(void)
{
	side_end(a);
	side_end(b);
	loop_free(loop);
	with_redis_end();
}

static bool
is_subscribed(const struct side *s, const char *topic)
{
	return s->ps.broker->ops->is_subscribed(s->ps.broker, slice_str(topic));
}

static bool
has_subscribed(void *arg)
{
	struct side *s = arg;

	return s->ps.broker->ops->is_subscribed(s->ps.broker, s->hearer.topic->name);
}

static void
side_joins(struct side *s, const char *topic)
{
	hub_subscribe(&s->ps.hub, &s->hearer, slice_str(topic));
	wait_for(has_subscribed, s);
}

static bool
has_heard_one(void *arg)
{
	return ((struct side *)arg)->out.n >= 1;
}

static bool
has_heard_two(void *arg)
{
	return ((struct side *)arg)->out.n >= 2;
}

static bool heard(const struct side *s, unsigned i, const char *text);

static bool
has_heard_last(void *arg)
{
	const struct side *s = arg;

	return s->out.n > 0 && heard(s, s->out.n - 1U, "[null,null,\"t\",\"last\",{}]");
}

static bool
heard(const struct side *s, unsigned i, const char *text)
{
	struct frame *f = outq_at(&s->out, i);

	return slice_is(slice(frame_body(f), frame_body_len(f)), text);
}

/* By hand; returns how many nodes are subscribed. */
static long long
publish(const char *topic, const char *text)
{
	char channel[512];

	snprintf(channel, sizeof(channel), "test:t:{%s}", topic);
	return with_redis_int("PUBLISH %s %s", channel, text);
}

static long long
subscribed(const char *topic)
{
	char	    channel[512];
	redisReply *reply;
	long long   n;

	snprintf(channel, sizeof(channel), "test:t:{%s}", topic);
	reply = redisCommand(with_redis(), "PUBSUB NUMSUB %s", channel);
	ck_assert_ptr_nonnull(reply);
	ck_assert_uint_eq(reply->elements, 2);
	n = reply->element[1]->integer;
	freeReplyObject(reply);
	return n;
}

static const char *const topics[] = {
	"room:1", "{}", "}", "{", "a{b}c", "}{", "a b", "a\"b\\", "r\xc3\xa4um", "*?[a-z]", "%s%b", "t:{x}", "'",
};

/* Each hears it once: the sender's node directly, the other one over the bus, and nobody its echo. */
START_TEST(from_node_to_node)
{
	const uint64_t	   in = stats->bus_in_total, out = stats->bus_out_total;
	autobuf struct buf want = { 0 };

	side_joins(a, topics[_i]);
	side_joins(b, topics[_i]);
	ck_assert_int_eq(pubsub_broadcast(&a->ps, slice_str(topics[_i]), SAID(SLICE("x"), SLICE("{\"n\":1}")), NULL), 0);
	ck_assert_uint_eq(a->out.n, 1);
	ck_assert_uint_eq(b->out.n, 0);
	wait_for(has_heard_one, b);
	buf_add_str(&want, "[null,null,");
	json_quote(&want, slice_str(topics[_i]));
	buf_add_str(&want, ",\"x\",{\"n\":1}]");
	buf_add_char(&want, '\0');
	ck_assert(heard(a, 0, want.p));
	ck_assert(heard(b, 0, want.p));
	/* What is published now comes behind the echo. */
	ck_assert_int_eq(publish(topics[_i], "{\"event\":\"last\",\"payload\":{}}"), 2);
	wait_for(has_heard_two, a);
	wait_for(has_heard_two, b);
	ck_assert_uint_eq(a->out.n, 2);
	ck_assert_uint_eq(b->out.n, 2);
	ck_assert_uint_eq(stats->bus_in_total, in + 4);
	ck_assert_uint_eq(stats->bus_out_total, out + 1);
}
END_TEST

START_TEST(the_sender_travels_too)
{
	a->hearer.codec = b->hearer.codec = &codec_pusher;
	side_joins(a, "public-a");
	side_joins(b, "public-a");
	ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("public-a"), SAID(SLICE("x"), SLICE("{\"data\":null}"),
	    .from = SLICE("{\"clientId\":\"c\",\"userId\":null}"), .at = 1705314600123, .value = true), NULL), 0);
	wait_for(has_heard_one, b);
	for (struct side *s = a; s != NULL; s = s == a ? b : NULL)
		ck_assert(heard(s, 0, "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"event\":\"x\",\"data\":null,"
		    "\"from\":{\"clientId\":\"c\",\"userId\":null},\"timestamp\":\"2024-01-15T10:30:00.123Z\"}"));
}
END_TEST

START_TEST(bytes_from_node_to_node)
{
	static const char bytes[] = "\0\r\n\xff";

	side_joins(b, "bin");
	ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("bin"), SAID(SLICE("x"), slice(bytes, 4), .binary = true), NULL), 0);
	wait_for(has_heard_one, b);
	ck_assert(slice_eq(slice_from(slice(frame_body(outq_at(&b->out, 0)), frame_body_len(outq_at(&b->out, 0))), 3 + 3 + 1),
	    slice(bytes, 4)));
}
END_TEST

START_TEST(a_great_message)
{
	autobuf struct buf payload = { 0 };

	side_joins(b, "big");
	buf_add_str(&payload, "{\"a\":\"");
	memset(buf_room(&payload, 500000), 'x', 500000);
	payload.n += 500000;
	buf_add_str(&payload, "\"}");
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("big"), SAID(SLICE("x"), buf_slice(&payload)), NULL), 0);
	wait_for(has_heard_two, b);
	ck_assert_uint_gt(frame_body_len(outq_at(&b->out, 1)), 500000);
	/* More than may be under way. */
	for (unsigned i = 0; i < 2; i++)
		pubsub_broadcast(&a->ps, SLICE("big"), SAID(SLICE("x"), buf_slice(&payload)), NULL);
	ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("big"), SAID(SLICE("x"), buf_slice(&payload)), NULL), -ENOBUFS);
}
END_TEST

START_TEST(other_topics_are_not_heard)
{
	side_joins(b, "one");
	pubsub_broadcast(&a->ps, SLICE("two"), SAID(SLICE("x"), SLICE("{}")), NULL);
	pubsub_broadcast(&a->ps, SLICE("on"), SAID(SLICE("x"), SLICE("{}")), NULL);
	pubsub_broadcast(&a->ps, SLICE("one"), SAID(SLICE("y"), SLICE("{}")), NULL);
	wait_for(has_heard_one, b);
	ck_assert_uint_eq(b->out.n, 1);
	ck_assert(heard(b, 0, "[null,null,\"one\",\"y\",{}]"));
}
END_TEST

static const char *const dropped[] = {
	"", "hello", "{}", "{\"event\":\"x\"}", "{\"event\":\"phx_close\",\"payload\":{}}",
	"{\"event\":\"x\",\"payload\":{\"a\":\"\xff\"}}", "{\"v\":2,\"event\":\"x\",\"payload\":{}}",
};

START_TEST(what_is_dropped)
{
	const uint64_t in = stats->bus_in_total, malformed = stats->bus_malformed_total;

	side_joins(a, "t");
	publish("t", dropped[_i]);
	publish("t", "{\"event\":\"last\",\"payload\":{}}");
	wait_for(has_heard_one, a);
	ck_assert(heard(a, 0, "[null,null,\"t\",\"last\",{}]"));
	ck_assert_uint_eq(stats->bus_in_total, in + 2);
	ck_assert_uint_eq(stats->bus_malformed_total, malformed + 1);
}
END_TEST

static bool
was_told(void *arg)
{
	return strchr(((struct side *)arg)->told, '-') != NULL;
}

/* It comes to the sender's node, too, and only from there. */
START_TEST(streams_go_to_the_keeper)
{
	a->ps.keeper = b->ps.keeper = &keeper;
	a->ps.keeper_arg = a;
	b->ps.keeper_arg = b;
	side_joins(a, "h");
	side_joins(b, "h");
	publish("h", "{\"v\":1,\"node\":\"A\",\"event\":\"x\",\"payload\":{},"
	    "\"at\":\"5-2\",\"prev\":\"5-1\",\"tail\":\"7\",\"tag\":\"9\"}");
	wait_for(was_told, a);
	wait_for(was_told, b);
	ck_assert_str_eq(a->told, "subscribed h;h x 5-2;");
	ck_assert_str_eq(b->told, "subscribed h;h x 5-2;");
	ck_assert_uint_eq(a->out.n + b->out.n, 0);
	/* A bare one has no place in the stream. */
	publish("h", "{\"event\":\"x\",\"payload\":{}}");
	wait_for(has_heard_one, a);
}
END_TEST

static bool
nobody_is_subscribed(void *arg)
{
	return subscribed(arg) == 0;
}

START_TEST(interest_is_counted)
{
	struct broker *broker = a->ps.broker;

	for (unsigned i = 0; i < 2; i++)
		broker->ops->subscribe(broker, SLICE("c"), true);
	ck_assert(!is_subscribed(a, "c"));
	side_joins(a, "c");
	for (unsigned i = 0; i < 2; i++)
		broker->ops->subscribe(broker, SLICE("c"), false);
	ck_assert(is_subscribed(a, "c"));
	/* The subscription stays when the interest is gone. */
	hub_unsubscribe(&a->ps.hub, &a->hearer);
	ck_assert(!is_subscribed(a, "c"));
	ck_assert_int_eq(subscribed("c"), 1);
	wait_for(nobody_is_subscribed, (void *)"c");
	ck_assert(!is_subscribed(a, "c"));
	side_joins(a, "c");
	ck_assert_int_eq(subscribed("c"), 1);
}
END_TEST

static bool
has_come_in(void *arg)
{
	return stats->bus_in_total > *(uint64_t *)arg;
}

START_TEST(who_comes_back_is_subscribed)
{
	struct broker *broker = a->ps.broker;
	uint64_t       in = stats->bus_in_total;

	side_joins(a, "other");
	hub_unsubscribe(&a->ps.hub, &a->hearer);
	broker->ops->subscribe(broker, SLICE("other"), true);
	side_joins(a, "c");
	hub_unsubscribe(&a->ps.hub, &a->hearer);
	/* In the meantime nobody hears; what comes of another topic comes behind it. */
	ck_assert_int_eq(publish("c", "{\"event\":\"x\",\"payload\":{}}"), 1);
	ck_assert_int_eq(publish("other", "{\"event\":\"x\",\"payload\":{}}"), 1);
	wait_for(has_come_in, &in);
	ck_assert_uint_eq(stats->bus_in_total, in + 1);
	hub_subscribe(&a->ps.hub, &a->hearer, SLICE("c"));
	ck_assert(is_subscribed(a, "c"));
	/* And the end of the wait is off. */
	ck_assert(!with_redis_turn_until(loop, nobody_is_subscribed, (void *)"c", 2 * LINGER_MS));
	ck_assert(is_subscribed(a, "c"));
	publish("c", "{\"event\":\"x\",\"payload\":{}}");
	wait_for(has_heard_one, a);
}
END_TEST

static bool
bus_is_down(void *arg)
{
	return !((struct side *)arg)->bus_is_up;
}

START_TEST(the_connection_is_lost_and_found)
{
	a->ps.keeper = &keeper;
	a->ps.keeper_arg = a;
	side_joins(a, "t");
	with_redis_kill();
	wait_for(bus_is_down, a);
	ck_assert(!is_subscribed(a, "t"));
	with_redis_restart();
	wait_for(both_are_up, NULL);
	ck_assert(is_subscribed(a, "t"));
	ck_assert_str_eq(a->told, "subscribed t;subscribed t;");
	ck_assert_int_eq(publish("t", "{\"event\":\"x\",\"payload\":{}}"), 1);
	wait_for(has_heard_one, a);
}
END_TEST

static bool
commands_are_back(void *arg)
{
	return redis_is_up(a->redis);
}

static const char RESYNC[] = "[null,null,\"t\",\"system\",{\"status\":\"resync\"}]";

/* What could not be published (0), or may have been lost under way (1), is owned up to: once, and there alone. */
START_TEST(what_others_missed_is_owned_up_to)
{
	struct subscriber other = { .out = &a->out, .codec = &codec_phoenix_v2 };
	int		  r;

	side_joins(a, "t");
	side_joins(b, "t");
	hub_subscribe(&a->ps.hub, &other, SLICE("quiet"));
	if (_i == 0)
		redis_bounce(a->redis, "test");
	r = pubsub_broadcast(&a->ps, SLICE("t"), SAID(SLICE("x"), SLICE("{}")), NULL);
	ck_assert_int_eq(r, _i == 0 ? -ENOTCONN : 0);
	if (_i == 1)
		redis_bounce(a->redis, "test");
	a->ps.broker->ops->own_up(a->ps.broker);
	loop_turn(loop, false);
	wait_for(commands_are_back, NULL);
	a->ps.broker->ops->own_up(a->ps.broker);
	a->ps.broker->ops->own_up(a->ps.broker);
	wait_for(has_heard_one, b);
	ck_assert_int_eq(publish("t", "{\"event\":\"last\",\"payload\":{}}"), 2);
	wait_for(has_heard_last, b);
	ck_assert(heard(b, b->out.n - 2, RESYNC));
	ck_assert(heard(b, b->out.n - 1, "[null,null,\"t\",\"last\",{}]"));
	hub_unsubscribe(&a->ps.hub, &other);
}
END_TEST

/* Who is about to say it himself needs not be told; nor are those whose topic has a stream. */
START_TEST(who_owns_up_in_vain)
{
	side_joins(a, "t");
	side_joins(b, "t");
	b->ps.resync_due = true;
	if (_i == 1) {
		a->ps.keeper = &keeper;
		a->ps.keeper_arg = a;
		b->ps.resync_due = false;
	}
	redis_bounce(a->redis, "test");
	ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("t"), SAID(SLICE("x"), SLICE("{}")), NULL), -ENOTCONN);
	wait_for(commands_are_back, NULL);
	a->ps.broker->ops->own_up(a->ps.broker);
	ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("t"), SAID(SLICE("y"), SLICE("{}")), NULL), 0);
	wait_for(has_heard_one, b);
	ck_assert(heard(b, 0, "[null,null,\"t\",\"y\",{}]"));
}
END_TEST

/* Only that one word is taken for granted: others under the same name are not. */
START_TEST(other_words_of_the_system_are_heard)
{
	side_joins(b, "t");
	b->ps.resync_due = true;
	publish("t", "{\"event\":\"system\",\"payload\":{\"status\":\"resync\"}}");
	publish("t", "{\"event\":\"system\",\"payload\":{\"status\":\"closing\"}}");
	wait_for(has_heard_one, b);
	ck_assert(heard(b, 0, "[null,null,\"t\",\"system\",{\"status\":\"closing\"}]"));
}
END_TEST

static bool
owns_up_until_heard(void *arg)
{
	a->ps.broker->ops->own_up(a->ps.broker);
	return has_heard_one(b);
}

static void
on_answer(void *arg, const struct redisReply *reply)
{
	*(bool *)arg = true;
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

/* Redis answers, but with an error. */
START_TEST(what_was_refused_is_owned_up_to)
{
	struct slice ping = SLICE("PING");
	bool	     answered = false;

	side_joins(a, "t");
	side_joins(b, "t");
	with_redis_do("ACL SETUSER default -publish");
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("t"), SAID(SLICE("x"), SLICE("{}")), NULL), 0);
	redis_command(a->redis, on_answer, &answered, &ping, 1);
	wait_for(is_true, &answered);
	with_redis_do("ACL SETUSER default +publish");
	wait_for(owns_up_until_heard, NULL);
	ck_assert(heard(b, b->out.n - 1U, RESYNC));
}
END_TEST

static bool
time_is_over(void *arg)
{
	return loop->now >= *(uint64_t *)arg;
}

/* The topic's last client here has gone before the others can be told. */
START_TEST(who_has_gone_is_owned_up_for)
{
	uint64_t end;

	side_joins(a, "t");
	side_joins(b, "t");
	with_redis_kill();
	wait_for(bus_is_down, a);
	ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("t"), SAID(SLICE("x"), SLICE("{}")), NULL), -ENOTCONN);
	hub_unsubscribe(&a->ps.hub, &a->hearer);
	end = loop->now + 2 * LINGER_MS;
	wait_for(time_is_over, &end);
	with_redis_restart();
	wait_for(both_are_up, NULL);
	wait_for(has_subscribed, b);
	wait_for(owns_up_until_heard, NULL);
	ck_assert(heard(b, 0, RESYNC));
}
END_TEST

static bool
they_count(unsigned of_a, unsigned of_b)
{
	return audience_others(&a->ps.audience, SLICE("t")) == of_a && audience_others(&b->ps.audience, SLICE("t")) == of_b;
}

static bool
they_count_each_other(void *arg)
{
	return they_count(1, 1);
}

static bool
b_alone_is_left(void *arg)
{
	return they_count(0, 0);
}

static bool
one_more_is_counted(void *arg)
{
	return they_count(1, 2);
}

/* To audiences, not to clients; what could not be told then is told later, and is no gap. */
START_TEST(numbers_from_node_to_node)
{
	struct subscriber second = a->hearer;

	side_joins(a, "t");
	audience_changed(&a->ps.audience, SLICE("t"));
	side_joins(b, "t");
	audience_changed(&b->ps.audience, SLICE("t"));
	wait_for(they_count_each_other, NULL);
	hub_unsubscribe(&a->ps.hub, &a->hearer);
	audience_changed(&a->ps.audience, SLICE("t"));
	wait_for(b_alone_is_left, NULL);
	/* While it lingers. */
	hub_subscribe(&a->ps.hub, &a->hearer, SLICE("t"));
	audience_changed(&a->ps.audience, SLICE("t"));
	wait_for(they_count_each_other, NULL);
	with_redis_kill();
	wait_for(bus_is_down, a);
	hub_subscribe(&a->ps.hub, &second, SLICE("t"));
	audience_changed(&a->ps.audience, SLICE("t"));
	with_redis_restart();
	wait_for(one_more_is_counted, NULL);
	a->ps.broker->ops->own_up(a->ps.broker);
	pubsub_broadcast(&a->ps, SLICE("t"), SAID(SLICE("last"), SLICE("{}")), NULL);
	wait_for(has_heard_last, b);
	ck_assert_uint_eq(b->out.n, 1);
	hub_unsubscribe(&a->ps.hub, &second);
}
END_TEST

START_TEST(no_connection_yet)
{
	const uint64_t out = stats->bus_out_total;

	hub_subscribe(&a->ps.hub, &a->hearer, SLICE("t"));
	ck_assert(!is_subscribed(a, "t"));
	ck_assert_int_eq(pubsub_broadcast(&a->ps, SLICE("t"), SAID(SLICE("x"), SLICE("{}")), NULL), -ENOTCONN);
	ck_assert_uint_eq(a->out.n, 1);
	ck_assert_uint_eq(stats->bus_out_total, out);
	wait_for(both_are_up, NULL);
	ck_assert(is_subscribed(a, "t"));
}
END_TEST

Suite *
broker_redis_suite(void)
{
	Suite *s = suite_create("broker_redis");
	TCase *t = tcase_create("bus"), *u = tcase_create("not connected");

	if (!with_redis_available())
		return s;
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, from_node_to_node, 0, sizeof(topics) / sizeof(topics[0]));
	tcase_add_test(t, the_sender_travels_too);
	tcase_add_test(t, bytes_from_node_to_node);
	tcase_add_test(t, a_great_message);
	tcase_add_test(t, other_topics_are_not_heard);
	tcase_add_loop_test(t, what_is_dropped, 0, sizeof(dropped) / sizeof(dropped[0]));
	tcase_add_test(t, streams_go_to_the_keeper);
	tcase_add_test(t, interest_is_counted);
	tcase_add_test(t, who_comes_back_is_subscribed);
	tcase_add_test(t, the_connection_is_lost_and_found);
	tcase_add_loop_test(t, what_others_missed_is_owned_up_to, 0, 2);
	tcase_add_loop_test(t, who_owns_up_in_vain, 0, 2);
	tcase_add_test(t, other_words_of_the_system_are_heard);
	tcase_add_test(t, what_was_refused_is_owned_up_to);
	tcase_add_test(t, who_has_gone_is_owned_up_for);
	tcase_add_test(t, numbers_from_node_to_node);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(u, begin_unconnected, tear_down);
	tcase_add_test(u, no_connection_yet);
	suite_add_tcase(s, u);
	return s;
}
