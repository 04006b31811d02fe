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

Suite *pubsub_suite(void);

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
fake_publish(struct broker *b, struct slice topic, struct slice event, struct slice payload, bool binary)
{
	tell("publish %.*s %.*s %.*s%s after %u;", SLICE_ARG(topic), SLICE_ARG(event), SLICE_ARG(payload), binary ? " binary" : "",
	    out.n);
	return answer;
}

static void
fake_subscribe(struct broker *b, struct slice topic, bool on)
{
	tell("%s %.*s;", on ? "subscribe" : "unsubscribe", SLICE_ARG(topic));
}

static void
fake_free(struct broker *b)
{
	freed = true;
}

static const struct broker_ops fake_ops = { "fake", fake_publish, fake_subscribe, fake_free };
static struct broker fake = { .ops = &fake_ops };
static struct loop *loop;
static struct pubsub ps;
static struct subscriber hearer;

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
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SLICE("x"), SLICE("{}"), false, NULL), 0);
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SLICE("x"), SLICE("\x05"), true, &hearer), 0);
	ck_assert_str_eq(told, "publish a x {} after 1;publish a x \x05 binary after 1;");
	ck_assert_uint_eq(stats->broadcasts_total, broadcasts + 2);
}
END_TEST

START_TEST(others_may_hear_what_nobody_here_does)
{
	uint64_t broadcasts = stats->broadcasts_total;

	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("b"), SLICE("x"), SLICE("{}"), false, NULL), 0);
	ck_assert_str_eq(told, "publish b x {} after 0;");
	ck_assert_uint_eq(stats->broadcasts_total, broadcasts + 1);
}
END_TEST

START_TEST(a_broker_that_cannot)
{
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	answer = -ENOTCONN;
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SLICE("x"), SLICE("{}"), false, NULL), -ENOTCONN);
	ck_assert_uint_eq(out.n, 1);
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("b"), SLICE("x"), SLICE("{}"), false, NULL), -ENOTCONN);
}
END_TEST

START_TEST(what_comes_from_others_stays_here)
{
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	told[0] = '\0';
	pubsub_receive(&ps, SLICE("a"), SLICE("x"), SLICE("{\"n\":1}"), false);
	pubsub_receive(&ps, SLICE("b"), SLICE("x"), SLICE("{}"), false);
	ck_assert_uint_eq(out.n, 1);
	ck_assert(slice_is(slice(frame_body(outq_at(&out, 0)), frame_body_len(outq_at(&out, 0))), "[null,null,\"a\",\"x\",{\"n\":1}]"));
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(a_node_that_is_alone)
{
	begin(broker_local_new());
	hub_subscribe(&ps.hub, &hearer, SLICE("a"));
	ck_assert_str_eq(ps.broker->ops->name, "local");
	ck_assert_int_eq(pubsub_broadcast(&ps, SLICE("a"), SLICE("x"), SLICE("{}"), false, NULL), 0);
	ck_assert_uint_eq(out.n, 1);
	freed = true;
	tear_down();
}
END_TEST

Suite *
pubsub_suite(void)
{
	Suite *s = suite_create("pubsub");
	TCase *t = tcase_create("broker"), *l = tcase_create("local");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, interest_is_told);
	tcase_add_test(t, local_hearers_come_first);
	tcase_add_test(t, others_may_hear_what_nobody_here_does);
	tcase_add_test(t, a_broker_that_cannot);
	tcase_add_test(t, what_comes_from_others_stays_here);
	suite_add_tcase(s, t);
	tcase_add_test(l, a_node_that_is_alone);
	suite_add_tcase(s, l);
	return s;
}
