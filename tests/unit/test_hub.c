/*
 * The hub: who hears what, in which format, and who comes and goes while it is said.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"
#include "pubsub/hub.h"

Suite *hub_suite(void);

#define MAX_HEARERS	300

struct hearer {
	struct outq		out;
	struct subscriber	sub;
	unsigned		asked;	/* of intercepted broadcasts */
};

static struct loop *loop;
static struct hub hub;
static struct hearer hearers[MAX_HEARERS];
static char topics_log[256];
static struct hearer *leaves_when_asked;

static void
flush(struct outq *q)
{
}

static void
on_topic(struct topic *t, bool exists, void *arg)
{
	size_t n = strlen(topics_log);

	ck_assert_ptr_eq(arg, &hub);
	snprintf(topics_log + n, sizeof(topics_log) - n, "%c%.*s", exists ? '+' : '-', SLICE_ARG(t->name));
}

static void
on_intercept(struct subscriber *who, struct slice event, const struct message *m)
{
	struct hearer *h = container_of(who, struct hearer, sub);

	h->asked++;
	ck_assert(slice_is(event, "secret"));
	ck_assert(slice_is(m->payload, "{\"a\":1}"));
	if (leaves_when_asked != NULL)
		hub_unsubscribe(&hub, &leaves_when_asked->sub);
}

static void
set_up(void)
{
	loop = loop_new();
	hub_init(&hub, loop);
	hub.on_topic = on_topic;
	hub.on_intercept = on_intercept;
	hub.arg = &hub;
	topics_log[0] = '\0';
	leaves_when_asked = NULL;
	for (int i = 0; i < MAX_HEARERS; i++) {
		hearers[i] = (struct hearer){ .sub = { .out = &hearers[i].out, .codec = &codec_phoenix_v2 } };
		outq_init(&hearers[i].out, loop, flush);
	}
}

static void
tear_down(void)
{
	for (int i = 0; i < MAX_HEARERS; i++) {
		hub_unsubscribe(&hub, &hearers[i].sub);
		outq_done(&hearers[i].out);
	}
	hub_done(&hub);
	loop_free(loop);
}

static struct hearer *
joins(int i, const char *topic)
{
	hub_subscribe(&hub, &hearers[i].sub, slice_str(topic));
	return &hearers[i];
}

static unsigned
say(const char *topic, const char *event, const struct hearer *except)
{
	struct topic  *t = hub_topic(&hub, slice_str(topic));
	struct message m = {
		.kind = MESSAGE_BROADCAST, .topic_token = t->token, .event = slice_str(event), .payload = SLICE("{\"a\":1}"),
	};
	unsigned       sent = hub_deliver(&hub, t, &m, except != NULL ? &except->sub : NULL);

	message_done(&m);
	return sent;
}

/* The frame that it has got, and no other; NULL = none. */
static struct frame *
got(const struct hearer *h)
{
	ck_assert_uint_le(h->out.n, 1);
	return h->out.n == 1 ? outq_at(&h->out, 0) : NULL;
}

static void
got_text(const struct hearer *h, const char *text)
{
	struct frame *f = got(h);

	ck_assert_ptr_nonnull(f);
	ck_assert(slice_is(slice(frame_body(f), frame_body_len(f)), text));
}

START_TEST(topics_come_and_go)
{
	uint64_t before = stats->topics;

	ck_assert_ptr_null(hub_topic(&hub, SLICE("a")));
	joins(0, "a");
	joins(1, "a\"b");
	joins(2, "a");
	ck_assert_uint_eq(stats->topics, before + 2);
	ck_assert(slice_is(hub_topic(&hub, SLICE("a\"b"))->token, "\"a\\\"b\""));
	ck_assert_uint_eq(hub_topic(&hub, SLICE("a"))->n, 2);
	hub_unsubscribe(&hub, &hearers[0].sub);
	hub_unsubscribe(&hub, &hearers[0].sub);
	ck_assert_uint_eq(hub_topic(&hub, SLICE("a"))->n, 1);
	hub_unsubscribe(&hub, &hearers[2].sub);
	ck_assert_ptr_null(hub_topic(&hub, SLICE("a")));
	joins(0, "a");
	ck_assert_str_eq(topics_log, "+a+a\"b-a+a");
	ck_assert_uint_eq(stats->topics, before + 2);
}
END_TEST

START_TEST(one_frame_for_all_of_a_format)
{
	struct hearer *a = joins(0, "a"), *b = joins(1, "a"), *old, *stranger = joins(3, "b");
	uint64_t       frames = stats->frames_out_total;

	hearers[2].sub.codec = &codec_phoenix_v1;
	old = joins(2, "a");
	ck_assert_uint_eq(say("a", "x", NULL), 3);
	ck_assert_uint_eq(stats->frames_out_total, frames + 3);
	got_text(a, "[null,null,\"a\",\"x\",{\"a\":1}]");
	ck_assert_ptr_eq(got(a), got(b));
	ck_assert_uint_eq(got(a)->refs, 2);
	got_text(old, "{\"topic\":\"a\",\"event\":\"x\",\"payload\":{\"a\":1},\"ref\":null}");
	ck_assert_ptr_null(got(stranger));
}
END_TEST

START_TEST(not_the_sender)
{
	static const char *const secrets[] = { "secret", NULL };
	struct hearer *a = joins(0, "a"), *b = joins(1, "a"), *c;

	hearers[2].sub.intercepts = secrets;
	c = joins(2, "a");
	ck_assert_uint_eq(say("a", "x", a), 2);
	ck_assert_ptr_null(got(a));
	ck_assert_ptr_eq(got(b), got(c));
	outq_clear_unsent(&b->out);
	outq_clear_unsent(&c->out);
	ck_assert_uint_eq(say("a", "x", c), 2);
	ck_assert_ptr_null(got(c));
	ck_assert_uint_eq(say("a", "secret", c), 2);
	ck_assert_uint_eq(c->asked, 0);
}
END_TEST

START_TEST(a_format_that_cannot)
{
	struct hearer *old, *new = joins(1, "a");
	uint64_t       frames;
	struct topic  *t = hub_topic(&hub, SLICE("a"));
	struct message m = { .kind = MESSAGE_BROADCAST, .topic_token = t->token, .event = SLICE("x"), .payload = SLICE("\x05"), .binary = true };

	hearers[0].sub.codec = &codec_phoenix_v1;
	old = joins(0, "a");
	ck_assert_uint_eq(hub_deliver(&hub, t, &m, NULL), 1);
	ck_assert_ptr_null(got(old));
	ck_assert_ptr_nonnull(got(new));
	frames = stats->frames_out_total;
	ck_assert(!hub_send(&hub, &old->out, old->sub.codec, &m));
	ck_assert(hub_send(&hub, &old->out, &codec_phoenix_v2, &m));
	ck_assert_uint_eq(stats->frames_out_total, frames + 1);
	message_done(&m);
}
END_TEST

/* Who is not meant is neither sent it nor asked; what is sent is counted. */
START_TEST(for_some_formats_only)
{
	static const char *const secrets[] = { "secret", NULL };
	struct hearer *a = joins(0, "a"), *old, *asked;
	struct topic  *t = hub_topic(&hub, SLICE("a"));
	struct message m = {
		.kind = MESSAGE_BROADCAST, .topic_token = t->token, .event = SLICE("secret"), .payload = SLICE("{\"a\":1}"),
		.only = 1u << CODEC_PHOENIX_V1,
	};

	hearers[1].sub.codec = &codec_phoenix_v1;
	old = joins(1, "a");
	hearers[2].sub.intercepts = secrets;
	asked = joins(2, "a");
	hearers[3].sub.codec = &codec_phoenix_v2_text;
	joins(3, "a");
	ck_assert_uint_eq(hub_deliver(&hub, t, &m, NULL), 1);
	ck_assert_ptr_null(got(a));
	ck_assert_ptr_nonnull(got(old));
	ck_assert_ptr_null(got(asked));
	ck_assert_ptr_null(got(&hearers[3]));
	ck_assert_uint_eq(asked->asked, 0);
	ck_assert(!hub_send(&hub, &a->out, a->sub.codec, &m));
	message_done(&m);
	m.only = 1u << CODEC_PHOENIX_V2;
	ck_assert_uint_eq(hub_deliver(&hub, t, &m, NULL), 1);
	ck_assert_uint_eq(asked->asked, 1);
	ck_assert_ptr_null(got(&hearers[3]));
	message_done(&m);
}
END_TEST

/* Many come and go in no order: each that is there hears it once. */
START_TEST(many_come_and_go)
{
	bool	 there[MAX_HEARERS] = { false };
	unsigned seed = 1, n = 0;

	joins(0, "a");
	there[0] = true;
	for (int step = 0; step < 5000; step++) {
		int i;

		seed = seed * 1103515245 + 12345;
		i = 1 + (int)(seed / 65536 % (MAX_HEARERS - 1));
		/* In waves: mostly in, then mostly out. */
		if (!there[i] && (step / 1000 % 2 == 0 || step % 7 == 0))
			joins(i, "a");
		else if (there[i] && (step / 1000 % 2 == 1 || step % 7 == 0))
			hub_unsubscribe(&hub, &hearers[i].sub);
		there[i] = hearers[i].sub.topic != NULL;
		if (step % 250 != 249)
			continue;
		n = 0;
		for (i = 0; i < MAX_HEARERS; i++)
			n += there[i];
		ck_assert_uint_eq(say("a", "x", NULL), n);
		for (i = 0; i < MAX_HEARERS; i++) {
			ck_assert((got(&hearers[i]) != NULL) == there[i]);
			outq_clear_unsent(&hearers[i].out);
		}
	}
	for (int i = 1; i < MAX_HEARERS; i++)
		hub_unsubscribe(&hub, &hearers[i].sub);
	ck_assert_uint_eq(say("a", "x", NULL), 1);
	/* A topic that was big once does not stay so. */
	ck_assert_uint_lt(hub_topic(&hub, SLICE("a"))->lanes[CODEC_PHOENIX_V2].cap, 64);
}
END_TEST

/* Three who intercept; the one in place _i leaves when the first is asked. */
START_TEST(one_leaves_while_asked)
{
	static const char *const secrets[] = { "other", "secret", NULL };

	for (int i = 0; i < 3; i++) {
		hearers[i].sub.intercepts = secrets;
		joins(i, "a");
	}
	joins(3, "a");
	leaves_when_asked = &hearers[_i];
	ck_assert_uint_eq(say("a", "secret", NULL), 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(hearers[i].asked, i == 0 || i != _i);
		ck_assert_ptr_null(got(&hearers[i]));
	}
	got_text(&hearers[3], "[null,null,\"a\",\"secret\",{\"a\":1}]");
	ck_assert_uint_eq(hub_topic(&hub, SLICE("a"))->n, 3);
}
END_TEST

static const char *const all_secrets[] = { "secret", NULL };

START_TEST(intercepts_change)
{
	struct hearer *a = joins(0, "a"), *b = joins(1, "a");

	hub_set_intercepts(&hub, &a->sub, all_secrets);
	ck_assert_uint_eq(say("a", "secret", NULL), 1);
	ck_assert_uint_eq(a->asked, 1);
	ck_assert_ptr_null(got(a));
	ck_assert_ptr_nonnull(got(b));
	outq_clear_unsent(&b->out);
	hub_set_intercepts(&hub, &a->sub, NULL);
	ck_assert_uint_eq(say("a", "secret", NULL), 2);
	ck_assert_uint_eq(a->asked, 1);
	got_text(a, "[null,null,\"a\",\"secret\",{\"a\":1}]");
	ck_assert_uint_eq(hub_topic(&hub, SLICE("a"))->n, 2);
	/* The deaf stay deaf; who has no topic yet intercepts when he has one. */
	hub_deafen(&b->sub);
	hub_set_intercepts(&hub, &b->sub, all_secrets);
	hub_unsubscribe(&hub, &b->sub);
	hub_set_intercepts(&hub, &hearers[2].sub, all_secrets);
	joins(2, "a");
	ck_assert_uint_eq(say("a", "secret", a), 0);
	ck_assert_uint_eq(hearers[2].asked, 1);
	ck_assert_uint_eq(b->asked, 0);
}
END_TEST

/* Two intercept, two do not; the first to be asked turns them all round, and once more round. */
static void
turns_round(struct subscriber *who, struct slice event, const struct message *m)
{
	on_intercept(who, event, m);
	for (int i = 0; i < 4; i++)
		hub_set_intercepts(&hub, &hearers[i].sub, hearers[i].sub.intercepts == NULL ? all_secrets : NULL);
}

START_TEST(intercepts_change_while_asked)
{
	for (int i = 0; i < 4; i++) {
		hearers[i].sub.intercepts = i < 2 ? all_secrets : NULL;
		joins(i, "a");
	}
	hub.on_intercept = turns_round;
	/* Each has it once: 0 was asked, 1 intercepts no more when it is its turn, 2 and 3 had it before. */
	ck_assert_uint_eq(say("a", "secret", NULL), 3);
	ck_assert_uint_eq(hearers[0].asked, 1);
	for (int i = 1; i < 4; i++) {
		ck_assert_uint_eq(hearers[i].asked, 0);
		ck_assert_ptr_nonnull(got(&hearers[i]));
		outq_clear_unsent(&hearers[i].out);
	}
	ck_assert_uint_eq(hub_topic(&hub, SLICE("a"))->lanes[HUB_INTERCEPT].n, 2);
	ck_assert_uint_eq(say("a", "secret", NULL), 3);
	ck_assert_uint_eq(hearers[2].asked + hearers[3].asked, 1);
}
END_TEST

START_TEST(to_one_alone)
{
	static const char *const secrets[] = { "secret", NULL };
	struct hearer *a = joins(0, "a"), *b, *c = joins(2, "a");
	struct message plain = { .topic_token = SLICE("\"a\""), .event = SLICE("x"), .payload = SLICE("{\"a\":1}") };
	struct message secret = { .topic_token = SLICE("\"a\""), .event = SLICE("secret"), .payload = SLICE("{\"a\":1}") };

	hearers[1].sub.intercepts = secrets;
	b = joins(1, "a");
	hub_deliver_to(&hub, &a->sub, &plain);
	got_text(a, "[null,null,\"a\",\"x\",{\"a\":1}]");
	hub_deliver_to(&hub, &b->sub, &secret);
	ck_assert_uint_eq(b->asked, 1);
	ck_assert_ptr_null(got(b));
	hub_deliver_to(&hub, &b->sub, &plain);
	ck_assert_ptr_nonnull(got(b));
	ck_assert_ptr_null(got(c));
	message_done(&plain);
	message_done(&secret);
}
END_TEST

/* The last one leaves: the topic is gone, but its broadcast is not over. */
START_TEST(the_topic_goes_while_asked)
{
	static const char *const secrets[] = { "secret", NULL };

	hearers[0].sub.intercepts = secrets;
	leaves_when_asked = joins(0, "a");
	ck_assert_uint_eq(say("a", "secret", NULL), 0);
	ck_assert_ptr_null(hub_topic(&hub, SLICE("a")));
	ck_assert_str_eq(topics_log, "+a-a");
	joins(0, "a");
	loop_end_turn(loop);
	leaves_when_asked = NULL;
	say("a", "secret", NULL);
	ck_assert_uint_eq(hearers[0].asked, 2);
}
END_TEST

START_TEST(the_deaf_hold_their_topic)
{
	static const char *const secrets[] = { "secret", NULL };

	joins(0, "a");
	hearers[1].sub.intercepts = secrets;
	joins(1, "a");
	joins(2, "a");
	for (int i = 0; i < 2; i++) {
		hub_deafen(&hearers[i].sub);
		hub_deafen(&hearers[i].sub);
	}
	ck_assert_uint_eq(hub_topic(&hub, SLICE("a"))->n, 3);
	ck_assert_uint_eq(say("a", "secret", NULL), 1);
	ck_assert_uint_eq(hearers[1].asked, 0);
	ck_assert_ptr_null(got(&hearers[0]));
	hub_unsubscribe(&hub, &hearers[2].sub);
	hub_unsubscribe(&hub, &hearers[1].sub);
	ck_assert_str_eq(topics_log, "+a");
	hub_unsubscribe(&hub, &hearers[0].sub);
	ck_assert_str_eq(topics_log, "+a-a");
	hub_deafen(&hearers[0].sub);
	/* And may come back. */
	joins(0, "a");
	ck_assert_uint_eq(say("a", "x", NULL), 1);
}
END_TEST

START_TEST(deflated_where_agreed)
{
	struct deflate *deflate = deflate_new(1);
	struct hearer  *plain = joins(0, "a"), *small = joins(1, "a"), *twin = joins(2, "a");

	hub.options = (struct hub_options){ .deflate = deflate, .deflate_min = 20 };
	small->out.window = twin->out.window = 15;
	ck_assert_uint_eq(say("a", "x", NULL), 3);
	ck_assert_uint_eq(got(plain)->window, 0);
	ck_assert_uint_eq(got(small)->window, 15);
	ck_assert_ptr_eq(got(small), got(twin));
	for (int i = 0; i < 3; i++)
		outq_clear_unsent(&hearers[i].out);
	/* Not where it does not pay. */
	hub.options.deflate_min = 1000;
	say("a", "x", NULL);
	ck_assert_ptr_eq(got(plain), got(small));
	for (int i = 0; i < 3; i++)
		outq_clear_unsent(&hearers[i].out);
	hub.options.deflate = NULL;
	deflate_free(deflate);
}
END_TEST

/* Whoever intercepts says something else in answer: that is for the spared, too. */
static void
answers(struct subscriber *who, struct slice event, const struct message *m)
{
	say("a", "answer", container_of(who, struct hearer, sub));
}

START_TEST(spared)
{
	static const char *const secrets[] = { "secret", NULL };
	struct hearer *a = joins(0, "a"), *b = joins(1, "a"), *c = joins(2, "a"), *d, *e;
	struct subscriber *newcomers[] = { &a->sub, &c->sub, NULL };
	struct message m = {
		.kind = MESSAGE_BROADCAST, .topic_token = b->sub.topic->token, .event = SLICE("secret"), .payload = SLICE("{}"),
	};

	hearers[3].sub.intercepts = hearers[4].sub.intercepts = secrets;
	d = joins(3, "a");
	e = joins(4, "a");
	newcomers[2] = &e->sub;
	hub.on_intercept = answers;
	ck_assert_uint_eq(hub_deliver_sparing(&hub, b->sub.topic, &m, newcomers, 3), 1);
	message_done(&m);
	ck_assert_uint_eq(b->out.n, 2);
	got_text(a, "[null,null,\"a\",\"answer\",{\"a\":1}]");
	got_text(c, "[null,null,\"a\",\"answer\",{\"a\":1}]");
	got_text(e, "[null,null,\"a\",\"answer\",{\"a\":1}]");
	ck_assert_ptr_null(got(d));
	ck_assert_uint_eq(say("a", "x", NULL), 5);
}
END_TEST

Suite *
hub_suite(void)
{
	Suite *s = suite_create("hub");
	TCase *t = tcase_create("hub");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, topics_come_and_go);
	tcase_add_test(t, one_frame_for_all_of_a_format);
	tcase_add_test(t, not_the_sender);
	tcase_add_test(t, a_format_that_cannot);
	tcase_add_test(t, for_some_formats_only);
	tcase_add_test(t, many_come_and_go);
	tcase_add_loop_test(t, one_leaves_while_asked, 0, 3);
	tcase_add_test(t, intercepts_change);
	tcase_add_test(t, intercepts_change_while_asked);
	tcase_add_test(t, to_one_alone);
	tcase_add_test(t, the_topic_goes_while_asked);
	tcase_add_test(t, the_deaf_hold_their_topic);
	tcase_add_test(t, deflated_where_agreed);
	tcase_add_test(t, spared);
	suite_add_tcase(s, t);
	return s;
}
