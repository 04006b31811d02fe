/*
 * Audiences: several of them on one loop, whose time passes when a test says so, and on a bus that loses what it is told to.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "pubsub/pubsub.h"
#include "wire/envelope.h"

Suite *audience_suite(void);

#define NODES		3
#define TOPICS		2
#define HEARERS		40	/* of a node in a topic */
#define PACE		(AUDIENCE_PACE_MS + WHEEL_TICK_MS)
#define RETRY		(AUDIENCE_RETRY_MS + WHEEL_TICK_MS)

/* A node, and how the bus treats it. */
struct node {
	struct broker	  broker;
	struct pubsub	  ps;
	char		  name[3];
	unsigned	  interest[TOPICS];
	bool		  subscribed[TOPICS];
	bool		  deaf;			/* its subscriptions are not acknowledged */
	int		  answer;		/* to what it publishes */
	bool		  lost;			/* what it publishes is lost without a word */
	struct subscriber hearers[TOPICS][HEARERS];
	unsigned	  n[TOPICS];
};

/* Under way on the bus. */
struct word {
	unsigned	 topic;
	char		 text[512];
};

static const char *const names[TOPICS] = { "a", "b" };
static struct loop *loop;
static struct node nodes[NODES];
static struct word words[64];
static unsigned n_words;
static struct outq out;
static struct buf scratch;
static char told[2048];		/* what was published: NODE TOPIC NUMBER, and "?" where it asks */

static unsigned
topic_number(struct slice topic)
{
	return slice_is(topic, "b");
}

static void __attribute__((format(printf, 1, 2)))
tell(const char *fmt, ...)
{
	size_t	n = strlen(told);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(told + n, sizeof(told) - n, fmt, ap);
	va_end(ap);
}

static struct node *
node_of(const struct broker *b)
{
	return (struct node *)container_of(b, const struct node, broker);
}

static void
say(struct slice topic, struct slice text)
{
	struct word *w = &words[n_words++];

	ck_assert_uint_le(n_words, 64);
	w->topic = topic_number(topic);
	snprintf(w->text, sizeof(w->text), "%.*s", SLICE_ARG(text));
}

static int
bus_count(struct broker *b, struct slice topic, uint32_t n, bool ask)
{
	struct node	  *node = node_of(b);
	autobuf struct buf text = { 0 };

	if (node->answer < 0) {
		tell("-;");
		return node->answer;
	}
	tell("%s %.*s %u%s;", node->name, SLICE_ARG(topic), n, ask ? "?" : "");
	if (node->lost)
		return 0;
	envelope_write(&text, &(struct envelope){ .node = slice_str(node->name), .counts = true, .count = n, .ask = ask });
	say(topic, buf_slice(&text));
	return 0;
}

static int
bus_publish(struct broker *b, struct slice topic, const struct broadcast *said)
{
	return 0;
}

static void
bus_subscribe(struct broker *b, struct slice topic, bool on)
{
	node_of(b)->interest[topic_number(topic)] += on ? 1 : -1;
}

static bool
bus_is_subscribed(const struct broker *b, struct slice topic)
{
	const struct node *node = node_of(b);

	return node->interest[topic_number(topic)] > 0 && node->subscribed[topic_number(topic)];
}

static void
bus_own_up(struct broker *b)
{
}

static void
bus_free(struct broker *b)
{
}

static const struct broker_ops bus = {
	.name = "bus", .publish = bus_publish, .count = bus_count, .subscribe = bus_subscribe, .is_subscribed = bus_is_subscribed,
	.own_up = bus_own_up, .free = bus_free,
};

static void
node_hear(struct node *node, const struct word *w)
{
	struct envelope e;
	const char     *why;

	if (node->interest[w->topic] == 0 || !node->subscribed[w->topic])
		return;
	if (envelope_read(&e, slice_str(w->text), &scratch, &why) == 0 && !slice_is(e.node, node->name))
		audience_heard(&node->ps.audience, slice_str(names[w->topic]), &e);
}

static bool
node_acknowledge(struct node *node)
{
	bool any = false;

	for (unsigned t = 0; t < TOPICS; t++) {
		if (node->deaf || node->interest[t] == 0 || node->subscribed[t])
			continue;
		any = node->subscribed[t] = true;
		pubsub_subscribed(&node->ps, slice_str(names[t]));
	}
	return any;
}

/* Turns, in no time, until nobody has anything to say. */
static void
settle(void)
{
	bool any = true;

	while (any) {
		loop_end_turn(loop);
		any = n_words > 0;
		for (unsigned i = 0; i < NODES; i++)
			for (unsigned k = 0; k < n_words; k++)
				node_hear(&nodes[i], &words[k]);
		n_words = 0;
		for (unsigned i = 0; i < NODES; i++)
			any |= node_acknowledge(&nodes[i]);
	}
}

static void
pass(uint64_t ms)
{
	const uint64_t until = loop->now + ms;

	while (loop->now < until) {
		loop->now += until - loop->now < 10 ? until - loop->now : 10;
		settle();
	}
}

/* So many come, or go. */
static void
change(unsigned i, unsigned topic, int by)
{
	struct node *node = &nodes[i];

	for (; by > 0; by--) {
		struct subscriber *who = &node->hearers[topic][node->n[topic]++];

		ck_assert_uint_le(node->n[topic], HEARERS);
		*who = (struct subscriber){ .out = &out, .codec = &codec_phoenix_v2 };
		hub_subscribe(&node->ps.hub, who, slice_str(names[topic]));
		audience_changed(&node->ps.audience, slice_str(names[topic]));
	}
	for (; by < 0; by++) {
		hub_unsubscribe(&node->ps.hub, &node->hearers[topic][--node->n[topic]]);
		audience_changed(&node->ps.audience, slice_str(names[topic]));
	}
}

static unsigned
others(unsigned i, unsigned topic)
{
	return audience_others(&nodes[i].ps.audience, slice_str(names[topic]));
}

static void
ck_assert_told(const char *want)
{
	ck_assert_str_eq(told, want);
	told[0] = '\0';
}

/* All know of each other, and nothing is on its way. */
static void
meet(int first, int second, int third)
{
	change(0, 0, first);
	change(1, 0, second);
	change(2, 0, third);
	settle();
	pass(3 * PACE);
	told[0] = '\0';
}

/* Of topic a, on all nodes. */
static void
ck_assert_others(unsigned first, unsigned second, unsigned third)
{
	ck_assert_uint_eq(others(0, 0), first);
	ck_assert_uint_eq(others(1, 0), second);
	ck_assert_uint_eq(others(2, 0), third);
}

static void
flush(struct outq *q)
{
}

static void
set_up(void)
{
	loop = loop_new();
	outq_init(&out, loop, flush);
	for (unsigned i = 0; i < NODES; i++) {
		nodes[i] = (struct node){ .broker.ops = &bus };
		snprintf(nodes[i].name, sizeof(nodes[i].name), "n%u", i + 1);
		pubsub_init(&nodes[i].ps, loop, &nodes[i].broker);
	}
	n_words = 0;
	told[0] = '\0';
}

/* When all have left, nothing is remembered. */
static void
tear_down(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		nodes[i].answer = 0;
		for (unsigned t = 0; t < TOPICS; t++)
			change(i, t, -(int)nodes[i].n[t]);
	}
	settle();
	pass(RETRY);
	for (unsigned i = 0; i < NODES; i++) {
		ck_assert_uint_eq(nodes[i].ps.audience.crowds.n, 0);
		pubsub_done(&nodes[i].ps);
	}
	ck_assert_int_eq(wheel_wait(&loop->wheel, loop->now), -1);
	outq_done(&out);
	buf_done(&scratch);
	loop_free(loop);
}

START_TEST(newcomers_learn_and_are_learned_of)
{
	change(0, 0, 2);
	settle();
	ck_assert_told("n1 a 2?;");
	ck_assert_others(0, 0, 0);
	pass(PACE);
	change(1, 0, 1);
	settle();
	ck_assert_told("n2 a 1?;n1 a 2;");
	ck_assert_others(1, 2, 0);
	pass(PACE);
	change(2, 0, 3);
	settle();
	ck_assert_told("n3 a 3?;n1 a 2;n2 a 1;");
	ck_assert_others(4, 5, 3);
	pass(10 * PACE);
	ck_assert_told("");
}
END_TEST

/* All at once: each asks, and answers all who asked meanwhile in one. */
START_TEST(many_newcomers)
{
	meet(1, 2, 3);
	ck_assert_others(5, 4, 3);
	change(0, 1, 1);
	change(1, 1, 1);
	change(2, 1, 1);
	settle();
	pass(5 * PACE);
	ck_assert_told("n1 b 1?;n2 b 1?;n3 b 1?;n1 b 1;n2 b 1;n3 b 1;");
	ck_assert_uint_eq(others(0, 1), 2);
	ck_assert_uint_eq(others(2, 1), 2);
}
END_TEST

/* Who would not hear the answers does not ask. */
START_TEST(not_before_one_is_subscribed)
{
	meet(1, 0, 0);
	nodes[1].deaf = true;
	change(1, 0, 1);
	settle();
	pass(PACE);
	change(1, 0, 1);
	pass(PACE);
	ck_assert_told("");
	nodes[1].deaf = false;
	settle();
	ck_assert_told("n2 a 2?;n1 a 1;");
	ck_assert_others(2, 1, 0);
}
END_TEST

START_TEST(changes_are_told_at_once)
{
	meet(1, 1, 0);
	change(0, 0, 1);
	settle();
	ck_assert_told("n1 a 2;");
	ck_assert_others(1, 2, 0);
	pass(PACE);
	change(0, 0, -1);
	settle();
	ck_assert_told("n1 a 1;");
	ck_assert_others(1, 1, 0);
}
END_TEST

START_TEST(changes_are_told_at_a_pace)
{
	meet(1, 1, 0);
	for (unsigned i = 0; i < 30; i++) {
		change(0, 0, 1);
		settle();
		pass(3);
	}
	ck_assert_told("n1 a 2;");
	pass(PACE);
	ck_assert_told("n1 a 31;");
	ck_assert_others(1, 31, 0);
	pass(PACE);
	for (unsigned i = 0; i < 100; i++) {
		change(0, 0, i % 2 == 0 ? 1 : -1);
		settle();
		pass(1);
	}
	pass(PACE);
	ck_assert_told("n1 a 32;n1 a 31;");
}
END_TEST

START_TEST(what_is_as_it_was_is_not_told)
{
	meet(1, 1, 0);
	change(0, 0, 5);
	change(0, 0, -5);
	settle();
	change(2, 0, 1);
	change(2, 0, -1);
	settle();
	pass(PACE);
	ck_assert_told("");
	ck_assert_uint_eq(nodes[2].ps.audience.crowds.n, 0);
}
END_TEST

/* Who lingers hears what others say, but it is not for it any more. */
START_TEST(the_last_one_leaves)
{
	meet(1, 1, 1);
	change(0, 0, -1);
	settle();
	ck_assert_told("n1 a 0;");
	ck_assert_others(0, 1, 1);
	nodes[0].interest[0]++;
	change(1, 0, 1);
	settle();
	ck_assert_others(0, 1, 2);
	nodes[0].interest[0]--;
	pass(PACE);
	ck_assert_uint_eq(nodes[0].ps.audience.crowds.n, 0);
	ck_assert_told("n2 a 2;");
}
END_TEST

START_TEST(the_last_one_comes_back)
{
	meet(1, 1, 0);
	change(0, 0, -1);
	settle();
	change(0, 0, 1);
	settle();
	ck_assert_told("n1 a 0;");
	pass(PACE);
	ck_assert_told("n1 a 1?;n2 a 1;");
	ck_assert_others(1, 1, 0);
	pass(PACE);
	change(0, 0, -1);
	settle();
	pass(PACE);
	change(0, 0, 2);
	settle();
	ck_assert_told("n1 a 0;n1 a 2?;n2 a 1;");
	ck_assert_others(1, 2, 0);
}
END_TEST

/* So soon that nothing was told of it; but meanwhile nothing was heard either. */
START_TEST(the_last_one_was_away_for_a_moment)
{
	meet(1, 0, 3);
	change(0, 0, 1);
	settle();
	change(0, 0, -2);
	settle();
	pass(20);
	change(1, 0, 1);
	change(2, 0, 1);
	settle();
	pass(20);
	ck_assert_told("n1 a 2;n3 a 4;n2 a 1?;");
	change(0, 0, 2);
	settle();
	ck_assert_told("");
	pass(2 * PACE);
	ck_assert_told("n1 a 2?;n3 a 4;n2 a 1;");
	ck_assert_others(5, 6, 3);
}
END_TEST

/* Though it was none of those that are counted. */
START_TEST(the_last_one_leaves_without_a_word)
{
	struct subscriber who = { .out = &out, .codec = &codec_phoenix_v2 };

	meet(1, 1, 0);
	hub_subscribe(&nodes[0].ps.hub, &who, SLICE("a"));
	change(0, 0, -1);
	settle();
	hub_unsubscribe(&nodes[0].ps.hub, &who);
	settle();
	ck_assert_told("n1 a 0;");
	ck_assert_others(0, 0, 0);
	pass(PACE);
	ck_assert_uint_eq(nodes[0].ps.audience.crowds.n, 0);
}
END_TEST

START_TEST(a_node_dies)
{
	meet(1, 2, 4);
	change(0, 1, 1);
	change(1, 1, 1);
	pass(3 * PACE);
	told[0] = '\0';
	audience_forget(&nodes[0].ps.audience, SLICE("n2"), false);
	settle();
	ck_assert_told("");
	ck_assert_uint_eq(others(0, 0), 4);
	ck_assert_uint_eq(others(0, 1), 0);
	/* It lives. */
	change(1, 0, 1);
	settle();
	ck_assert_uint_eq(others(0, 0), 7);
	audience_forget(&nodes[0].ps.audience, SLICE("nobody"), false);
	audience_forget(&nodes[0].ps.audience, SLICE("nobody"), true);
	ck_assert_uint_eq(others(0, 0), 7);
}
END_TEST

START_TEST(a_node_begins_anew)
{
	meet(1, 2, 4);
	audience_forget(&nodes[0].ps.audience, SLICE("n2"), true);
	ck_assert_uint_eq(others(0, 0), 4);
	settle();
	ck_assert_told("n1 a 1?;n2 a 2;n3 a 4;");
	ck_assert_others(6, 5, 3);
}
END_TEST

/* What was said meanwhile is asked for. */
START_TEST(the_bus_is_back)
{
	meet(1, 2, 4);
	nodes[0].deaf = true;
	nodes[0].subscribed[0] = false;
	change(1, 0, 3);
	change(2, 0, -4);
	settle();
	pass(PACE);
	change(0, 0, 1);
	pass(PACE);
	ck_assert_others(6, 1, 0);
	ck_assert_told("n2 a 5;n3 a 0;");
	nodes[0].deaf = false;
	settle();
	ck_assert_others(5, 2, 0);
	ck_assert_told("n1 a 2?;n2 a 5;");
}
END_TEST

/* For all, at the same time. */
START_TEST(the_bus_is_back_for_all)
{
	meet(1, 2, 4);
	for (unsigned i = 0; i < NODES; i++)
		nodes[i].subscribed[0] = false;
	pass(PACE);
	pass(PACE);
	ck_assert_others(6, 5, 3);
	pass(10 * PACE);
	ck_assert_told("n1 a 1?;n2 a 2?;n3 a 4?;n1 a 1;n2 a 2;n3 a 4;");
}
END_TEST

START_TEST(what_is_not_taken_is_said_again)
{
	meet(1, 2, 0);
	nodes[0].answer = -ENOTCONN;
	change(0, 0, 1);
	settle();
	change(0, 0, 1);
	pass(AUDIENCE_RETRY_MS - 10);
	ck_assert_told("-;");
	pass(2 * PACE);
	ck_assert_told("-;");
	nodes[0].answer = 0;
	pass(RETRY);
	ck_assert_told("n1 a 3;");
	ck_assert_others(2, 3, 0);
}
END_TEST

/* Not for ever where nobody is left: the others find out by asking. */
START_TEST(nobody_left_and_nobody_told)
{
	meet(1, 2, 4);
	nodes[0].answer = -ENOTCONN;
	change(0, 0, -1);
	settle();
	ck_assert_told("-;");
	ck_assert_uint_eq(nodes[0].ps.audience.crowds.n, 0);
	pass(AUDIENCE_DOUBT_MS - 1000);
	ck_assert_others(0, 5, 3);
	ck_assert_told("");
	pass(1000);
	ck_assert_others(0, 5, 3);
	settle();
	/* The one asks, and so has the other's answer. */
	ck_assert_others(0, 5, 3);
	ck_assert_told("n2 a 2?;n3 a 4?;");
	pass(PACE);
	ck_assert_told("n2 a 2;n3 a 4;");
	pass(AUDIENCE_DOUBT_MS);
	ck_assert_others(0, 4, 2);
	settle();
	pass(PACE);
	ck_assert_others(0, 4, 2);
}
END_TEST

/* Who leaves does not care any more. */
START_TEST(nobody_left_to_ask)
{
	meet(1, 2, 4);
	pass(AUDIENCE_DOUBT_MS);
	ck_assert_uint_eq(others(0, 0), 6);
	change(0, 0, -1);
	settle();
	pass(PACE);
	ck_assert_told("n1 a 0;");
}
END_TEST

/* What nobody uses is not asked for. */
START_TEST(words_get_lost)
{
	meet(1, 2, 4);
	nodes[1].lost = true;
	change(1, 0, 5);
	settle();
	nodes[1].lost = false;
	pass(10 * AUDIENCE_DOUBT_MS);
	ck_assert_told("n2 a 7;");
	ck_assert_uint_eq(others(0, 0), 6);
	settle();
	ck_assert_told("n1 a 1?;n2 a 7;n3 a 4;");
	ck_assert_others(11, 5, 8);
	pass(AUDIENCE_DOUBT_MS - 1000);
	ck_assert_others(11, 5, 8);
	ck_assert_told("");
	/* Who asked has told, too. */
	pass(1000);
	ck_assert_others(11, 5, 8);
	settle();
	pass(PACE);
	ck_assert_others(11, 5, 8);
}
END_TEST

/* The number of a node that nobody has heard of, as the bus brings it to n1. */
static void
forge(const char *node, uint64_t n, const char *more)
{
	autobuf struct buf text = { 0 };

	buf_addf(&text, "{\"node\":\"%s\",\"count\":%llu%s}", node, (unsigned long long)n, more);
	say(SLICE("a"), buf_slice(&text));
	settle();
}

START_TEST(forged_numbers)
{
	meet(1, 2, 0);
	forge("x", 7, "");
	ck_assert_uint_eq(others(0, 0), 9);
	forge("x", ENVELOPE_MAX_COUNT, "");
	ck_assert_uint_eq(others(0, 0), 2 + ENVELOPE_MAX_COUNT);
	forge("x", ENVELOPE_MAX_COUNT + 1, "");
	ck_assert_uint_eq(others(0, 0), 2 + ENVELOPE_MAX_COUNT);
	forge("x", 5, ",\"ask\":1");
	ck_assert_uint_eq(others(0, 0), 2 + ENVELOPE_MAX_COUNT);
	forge("n1", 100, "");
	forge("", 100, "");
	forge("y", 0, "");
	ck_assert_uint_eq(others(0, 0), 2 + ENVELOPE_MAX_COUNT);
	forge("x", 0, "");
	ck_assert_uint_eq(others(0, 0), 2);
	/* Where nobody is. */
	ck_assert_uint_eq(others(2, 0), 0);
	ck_assert_uint_eq(nodes[2].ps.audience.crowds.n, 0);
	pass(PACE);
	ck_assert_told("");
}
END_TEST

START_TEST(forged_questions)
{
	meet(1, 0, 0);
	for (unsigned i = 0; i < 50; i++) {
		forge("x", 1, ",\"ask\":true");
		pass(2);
	}
	pass(PACE);
	ck_assert_told("n1 a 1;n1 a 1;");
}
END_TEST

START_TEST(forged_nodes)
{
	char	 name[16];
	uint64_t since;

	meet(1, 2, 0);
	for (unsigned i = 0; i < 2 * AUDIENCE_MAX_NODES; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		forge(name, ENVELOPE_MAX_COUNT, "");
	}
	/* With the one that was there. */
	ck_assert_uint_eq(others(0, 0), 2u + (AUDIENCE_MAX_NODES - 1) * (unsigned)ENVELOPE_MAX_COUNT);
	forge("n2", 3, "");
	ck_assert_uint_eq(others(0, 0), 3u + (AUDIENCE_MAX_NODES - 1) * (unsigned)ENVELOPE_MAX_COUNT);
	/* They do not answer. */
	since = loop->now;
	while (others(0, 0) != 2 && loop->now - since < 3 * AUDIENCE_DOUBT_MS)
		pass(1000);
	ck_assert_uint_eq(others(0, 0), 2);
	forge("x0", 1, "");
	ck_assert_uint_eq(others(0, 0), 3);
}
END_TEST

/* A node alone, and topics that nobody wants to be counted. */
START_TEST(no_cost_where_it_is_not_wanted)
{
	static const struct broker_ops alone = { .name = "alone", .subscribe = bus_subscribe, .is_subscribed = bus_is_subscribed,
		.free = bus_free };
	struct subscriber who = { .out = &out, .codec = &codec_phoenix_v2 };

	hub_subscribe(&nodes[0].ps.hub, &who, SLICE("a"));
	settle();
	forge("x", 5, ",\"ask\":true");
	ck_assert_uint_eq(others(0, 0), 0);
	ck_assert_uint_eq(nodes[0].ps.audience.crowds.n, 0);
	hub_unsubscribe(&nodes[0].ps.hub, &who);
	ck_assert_uint_eq(nodes[0].ps.audience.crowds.n, 0);
	nodes[1].broker.ops = &alone;
	change(1, 0, 2);
	settle();
	ck_assert_uint_eq(others(1, 0), 0);
	ck_assert_uint_eq(nodes[1].ps.audience.crowds.n, 0);
	ck_assert_told("");
}
END_TEST

/* With whatever is under way. */
START_TEST(the_end_comes_when_it_comes)
{
	struct pubsub *ps = &nodes[0].ps;

	meet(1, 2, 4);
	change(0, 0, 1);
	settle();
	change(0, 0, -2);
	change(0, 1, 1);
	change(0, 1, -1);
	ck_assert_uint_eq(ps->audience.crowds.n, 2);
	pubsub_done(ps);
	settle();
	pass(RETRY);
	ck_assert_told("n1 a 2;");
	pubsub_init(ps, loop, &nodes[0].broker);
}
END_TEST

Suite *
audience_suite(void)
{
	Suite *s = suite_create("audience");
	TCase *t = tcase_create("audience");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, newcomers_learn_and_are_learned_of);
	tcase_add_test(t, many_newcomers);
	tcase_add_test(t, not_before_one_is_subscribed);
	tcase_add_test(t, changes_are_told_at_once);
	tcase_add_test(t, changes_are_told_at_a_pace);
	tcase_add_test(t, what_is_as_it_was_is_not_told);
	tcase_add_test(t, the_last_one_leaves);
	tcase_add_test(t, the_last_one_comes_back);
	tcase_add_test(t, the_last_one_was_away_for_a_moment);
	tcase_add_test(t, the_last_one_leaves_without_a_word);
	tcase_add_test(t, a_node_dies);
	tcase_add_test(t, a_node_begins_anew);
	tcase_add_test(t, the_bus_is_back);
	tcase_add_test(t, the_bus_is_back_for_all);
	tcase_add_test(t, what_is_not_taken_is_said_again);
	tcase_add_test(t, nobody_left_and_nobody_told);
	tcase_add_test(t, nobody_left_to_ask);
	tcase_add_test(t, words_get_lost);
	tcase_add_test(t, forged_numbers);
	tcase_add_test(t, forged_questions);
	tcase_add_test(t, forged_nodes);
	tcase_add_test(t, no_cost_where_it_is_not_wanted);
	tcase_add_test(t, the_end_comes_when_it_comes);
	suite_add_tcase(s, t);
	return s;
}
