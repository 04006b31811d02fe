/*
 * Publish and subscribe: what a broker is told, and when.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/stats.h"
#include "pubsub/pubsub.h"
#include "wire/envelope.h"

Suite *pubsub_suite(void);

#define SAID(what, text, ...)	&(struct broadcast){ .event = what, .payload = text, ##__VA_ARGS__ }

/* A broker that writes down what it is told, and whether local hearers had it by then. */
static char told[512];
static struct outq out;
static int answer;
static bool freed;

static void __attribute__((format(printf, 1, 2)))
tell(const char *fmt, ...)
{
	size_t	n = strlen(told);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(told + n, sizeof(told) - n, fmt, ap);
	va_end(ap);
}

static int
fake_publish(struct broker *b, struct slice topic, const struct broadcast *said)
{
	tell("publish %.*s %.*s %.*s%s after %u", SLICE_ARG(topic), SLICE_ARG(said->event), SLICE_ARG(said->payload),
	    said->binary ? " binary" : "", out.n);
	if (said->from.n > 0)
		tell(" from %.*s at %lld%s", SLICE_ARG(said->from), (long long)said->at, said->value ? " value" : "");
	tell(";");
	return answer;
}

static void
fake_subscribe(struct broker *b, struct slice topic, bool on)
{
	tell("%s %.*s;", on ? "subscribe" : "unsubscribe", SLICE_ARG(topic));
}

static bool
fake_is_subscribed(const struct broker *b, struct slice topic)
{
	return true;
}

static void
fake_free(struct broker *b)
{
	freed = true;
}

static void
fake_own_up(struct broker *b)
{
}

static const struct broker_ops fake_ops = {
	.name = "fake", .publish = fake_publish, .subscribe = fake_subscribe, .is_subscribed = fake_is_subscribed,
	.own_up = fake_own_up, .free = fake_free,
};
static struct broker fake = { .ops = &fake_ops };

/* A keeper that writes down what it is told, and keeps what begins with "kept". */
static void
keeper_on_stored(void *arg, struct slice topic, const struct envelope *e)
{
	ck_assert_ptr_eq(arg, &fake);
	tell("stored %.*s %.*s %u;", SLICE_ARG(topic), SLICE_ARG(e->event), e->at.seq);
}

static void
keeper_on_subscribed(void *arg, struct slice topic)
{
	ck_assert_ptr_eq(arg, &fake);
	tell("subscribed %.*s;", SLICE_ARG(topic));
}

static bool
keeper_keeps(void *arg, struct slice topic)
{
	ck_assert_ptr_eq(arg, &fake);
	return slice_starts(topic, SLICE("kept"));
}

static const struct pubsub_keeper keeper = { keeper_on_stored, keeper_on_subscribed, keeper_keeps };
static struct loop *loop;
static struct pubsub ps;
static struct subscriber hearer;

/* The text of the i-th frame that the hearers were sent. */
static bool
heard(unsigned i, const char *text)
{
	struct frame *f = outq_at(&out, i);

	return slice_is(slice(frame_body(f), frame_body_len(f)), text);
}

static void
flush(struct outq *q)
{
}

static void
begin(struct broker *b)
{
	loop = loop_new();
	pubsub_init(&ps, loop, b);
	outq_init(&out, loop, flush);
	hearer = (struct subscriber){ .out = &out, .codec = &codec_phoenix_v2 };
	told[0] = '\0';
	answer = 0;
	freed = false;
}

static void
set_up(void)
{
	begin(&fake);
}

static void
set_up_kept(void)
{
	begin(&fake);
	ps.keeper = &keeper;
	ps.keeper_arg = &fake;
}

static void
tear_down(void)
{
	hub_unsubscribe(&ps.hub, &hearer);
	outq_done(&out);
	pubsub_done(&ps);
	loop_free(loop);
	ck_assert(freed);
}

START_TEST(interest_is_told)
{
	struct subscriber second = hearer;

	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	hub_subscribe(&ps.hub, &second, SLICE("a"));
	hub_unsubscribe(&ps.hub, &hearer);
	ck_assert_str_eq(told, "subscribe a;");
	hub_unsubscribe(&ps.hub, &second);
	ck_assert_str_eq(told, "subscribe a;unsubscribe a;");
}
END_TEST

START_TEST(local_hearers_come_first)
{
	uint64_t broadcasts = stats->broadcasts_total;

	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	told[0] = '\0';
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SAID(SLICE("x"), SLICE("{}")), NULL), 0);
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SAID(SLICE("x"), SLICE("\x05"), .binary = true), &hearer), 0);
	ck_assert_str_eq(told, "publish a x {} after 1;publish a x \x05 binary after 1;");
	ck_assert_uint_eq(stats->broadcasts_total, broadcasts + 2);
}
END_TEST

START_TEST(others_may_hear_what_nobody_here_does)
{
	uint64_t broadcasts = stats->broadcasts_total;

	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("b"), SAID(SLICE("x"), SLICE("{}")), NULL), 0);
	ck_assert_str_eq(told, "publish b x {} after 0;");
	ck_assert_uint_eq(stats->broadcasts_total, broadcasts + 1);
}
END_TEST

START_TEST(a_broker_that_cannot)
{
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	answer = -ENOTCONN;
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SAID(SLICE("x"), SLICE("{}")), NULL), -ENOTCONN);
	ck_assert_uint_eq(out.n, 1);
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("b"), SAID(SLICE("x"), SLICE("{}")), NULL), -ENOTCONN);
}
END_TEST

START_TEST(what_comes_from_others_stays_here)
{
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	told[0] = '\0';
	ck_assert_uint_eq(pubsub_receive(&ps, SLICE("a"), SAID(SLICE("x"), SLICE("{\"n\":1}")), NULL), 1);
	ck_assert_uint_eq(pubsub_receive(&ps, SLICE("b"), SAID(SLICE("x"), SLICE("{}")), NULL), 0);
	ck_assert_uint_eq(pubsub_receive(&ps, SLICE("a"), SAID(SLICE("x"), SLICE("{}")), &hearer), 0);
	ck_assert_uint_eq(out.n, 1);
	ck_assert(heard(0, "[null,null,\"a\",\"x\",{\"n\":1}]"));
	ck_assert_str_eq(told, "");
}
END_TEST

#define SENDER	.from = SLICE("{\"userId\":\"u\"}"), .at = 1705314600123, .value = true
#define AS_TOLD	"{\"type\":\"channel:message\",\"channel\":\"a\",\"event\":\"x\",\"data\":7," \
	"\"from\":{\"userId\":\"u\"},\"timestamp\":\"2024-01-15T10:30:00.123Z\"}"

/* Who says it, and when, is told here and to the broker; and so where it comes from another node. */
START_TEST(senders_are_told)
{
	const struct envelope e = {
		.node = SLICE("n"), .event = SLICE("x"), .payload = SLICE("{\"data\":7}"), .from = SLICE("{\"userId\":\"u\"}"),
		.said = 1705314600123, .value = true,
	};

	hearer.codec = &codec_pusher;
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	told[0] = '\0';
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SAID(SLICE("x"), SLICE("{\"data\":7}"), SENDER), NULL), 0);
	ck_assert_str_eq(told, "publish a x {\"data\":7} after 1 from {\"userId\":\"u\"} at 1705314600123 value;");
	pubsub_receive_live(&ps, SLICE("a"), &e);
	pubsub_receive_stored(&ps, SLICE("a"), &e);
	ck_assert_uint_eq(out.n, 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(heard(i, AS_TOLD));
}
END_TEST

static const struct envelope stored = {
	.node = { "n", 1 }, .event = { "x", 1 }, .payload = { "{}", 2 }, .stored = true, .at = { 1, 2 }, .prev = { 1, 1 },
};

START_TEST(the_stream_is_the_keepers)
{
	hub_subscribe(&ps.hub, &hearer, SLICE("kept"));
	told[0] = '\0';
	pubsub_receive_stored(&ps, SLICE("kept"), &stored);
	pubsub_subscribed(&ps, SLICE("kept"));
	ck_assert_str_eq(told, "stored kept x 2;subscribed kept;");
	ck_assert_uint_eq(out.n, 0);
}
END_TEST

START_TEST(a_stream_without_keeper)
{
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	pubsub_receive_stored(&ps, SLICE("a"), &stored);
	pubsub_subscribed(&ps, SLICE("a"));
	ck_assert_uint_eq(out.n, 1);
	ck_assert(heard(0, "[null,null,\"a\",\"x\",{}]"));
}
END_TEST

START_TEST(what_was_missed_is_announced)
{
	struct subscriber second = hearer, third = hearer;

	hub_subscribe(&ps.hub, &hearer, SLICE("kept:1"));
	hub_subscribe(&ps.hub, &second, SLICE("a"));
	hub_subscribe(&ps.hub, &third, SLICE("a"));
	told[0] = '\0';
	pubsub_resync(&ps);
	ck_assert_uint_eq(out.n, 2);
	for (unsigned i = 0; i < 2; i++)
		ck_assert(heard(i, "[null,null,\"a\",\"system\",{\"status\":\"resync\"}]"));
	/* It concerns this node alone. */
	ck_assert_str_eq(told, "");
	hub_unsubscribe(&ps.hub, &second);
	hub_unsubscribe(&ps.hub, &third);
	pubsub_resync(&ps);
	ck_assert_uint_eq(out.n, 2);
}
END_TEST

/* Without a keeper, all topics; the one who intercepts ends one topic and makes another meanwhile. */
static struct subscriber leaver, comer;

static void
intercept(struct subscriber *who, struct slice event, const struct message *m)
{
	if (leaver.topic != NULL)
		hub_unsubscribe(&ps.hub, &leaver);
	if (comer.topic == NULL)
		hub_subscribe(&ps.hub, &comer, SLICE("new"));
}

START_TEST(topics_come_and_go_meanwhile)
{
	static const char *const systems[] = { "system", NULL };
	struct subscriber many[64];

	ps.hub.on_intercept = intercept;
	leaver = comer = hearer;
	for (size_t i = 0; i < 64; i++) {
		char topic[] = { 't', (char)('0' + i), '\0' };

		many[i] = hearer;
		many[i].intercepts = i % 2 == 0 ? systems : NULL;
		hub_subscribe(&ps.hub, &many[i], slice_str(topic));
	}
	hub_subscribe(&ps.hub, &leaver, SLICE("old"));
	pubsub_resync(&ps);
	ck_assert_uint_ge(out.n, 32);
	ck_assert_uint_le(out.n, 33);
	ck_assert_ptr_null(leaver.topic);
	for (size_t i = 0; i < 64; i++)
		hub_unsubscribe(&ps.hub, &many[i]);
	hub_unsubscribe(&ps.hub, &comer);
}
END_TEST

START_TEST(nobody_to_resync)
{
	pubsub_resync(&ps);
	ck_assert_uint_eq(out.n, 0);
}
END_TEST

START_TEST(a_node_that_is_alone)
{
	begin(broker_local_new());
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	ck_assert_str_eq(ps.broker->ops->name, "local");
	ck_assert_ptr_eq(ps.broker->pubsub, &ps);
	ck_assert(ps.broker->ops->is_subscribed(ps.broker, SLICE("a")));
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SAID(SLICE("x"), SLICE("{}")), NULL), 0);
	ck_assert_uint_eq(out.n, 1);
	freed = true;
	tear_down();
}
END_TEST

Suite *
pubsub_suite(void)
{
	Suite *s = suite_create("pubsub");
	TCase *t = tcase_create("broker"), *k = tcase_create("keeper"), *l = tcase_create("local");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, interest_is_told);
	tcase_add_test(t, local_hearers_come_first);
	tcase_add_test(t, others_may_hear_what_nobody_here_does);
	tcase_add_test(t, a_broker_that_cannot);
	tcase_add_test(t, what_comes_from_others_stays_here);
	tcase_add_test(t, senders_are_told);
	tcase_add_test(t, a_stream_without_keeper);
	tcase_add_test(t, topics_come_and_go_meanwhile);
	tcase_add_test(t, nobody_to_resync);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(k, set_up_kept, tear_down);
	tcase_add_test(k, the_stream_is_the_keepers);
	tcase_add_test(k, what_was_missed_is_announced);
	suite_add_tcase(s, k);
	tcase_add_test(l, a_node_that_is_alone);
	suite_add_tcase(s, l);
	return s;
}
