/*
 * Lists of channels' users: opened in joins, changed by pushes, and the same for all channels of a user.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>

Suite *channel_list_suite(void);

#define ANSWER(topic, ref, payload)	REPLY("\"1\"", "\"" ref "\"", topic, payload)
#define PUSH(topic, ref, event, name)	"[\"1\",\"" ref "\",\"" topic "\",\"" event "\",{\"name\":\"" name "\"}]"
#define JOIN(topic)			"[\"1\",\"1\",\"" topic "\",\"phx_join\",{}]"

static const struct history_limits limits = { .max = 1000 };
static const char *list_name;
static void (*opened)(struct channel *, int error);

static void
accepts(struct channel *ch, int error)
{
	note("opened %.*s %u%s;", SLICE_ARG(channel_topic(ch)), channel_list_count(ch), error != 0 ? " failed" : "");
	channel_accept(ch, channel_empty());
}

static int
opens_list(struct channel *ch, const struct channel_message *m)
{
	ck_assert_int_eq(channel_open_list(ch, list_name, opened), 0);
	ck_assert_int_eq(channel_open_list(ch, list_name, opened), -EINVAL);
	note("join;");
	return CHANNEL_LATER;
}

/* put, drop: the name; ask: is it there? */
static int
sets(struct channel *ch, const struct channel_message *m)
{
	char	     scratch[256];
	struct slice token = channel_json_member(m->payload.bytes, "name"), name;

	ck_assert_int_eq(channel_json_string(token, scratch, sizeof(scratch), &name), 0);
	if (slice_is(m->event, "ask")) {
		channel_reply_reason(ch, channel_list_has(ch, name) ? "yes" : "no");
		return 0;
	}
	note("set %d;", channel_list_set(ch, name, slice_is(m->event, "put")));
	return 0;
}

static int
hears_of_it(struct channel *ch)
{
	note("changed %.*s %u;", SLICE_ARG(channel_topic(ch)), channel_list_count(ch));
	channel_push(ch, SLICE("list"), channel_empty());
	return 0;
}

static void
begin(void)
{
	bench_begin();
	list_name = "blocks";
	opened = accepts;
	probe.join = opens_list;
	probe.joined = NULL;
	probe.handle_in = sets;
	probe.handle_list = hears_of_it;
	probe.leave = NULL;
}

static struct client *
joined(const char *user, const char *topic)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);
	autofree char *join = xasprintf(JOIN("%s"), topic), *reply = xasprintf(ANSWER("%s", "1", OK), topic);

	client_says(c, join);
	pass(10);
	client_hears(c, reply);
	return c;
}

START_TEST(one_list_for_all_channels)
{
	struct client *a = joined("u1", "room:a"), *b = joined("u1", "room:b"), *other = joined("u2", "room:a");

	noted("join;opened room:a 0;join;opened room:b 0;join;opened room:a 0;");
	client_says(a, PUSH("room:a", "2", "put", "bob"));
	client_hears_nothing(a);
	pass(10);
	noted("set 0;changed room:a 1;changed room:b 1;");
	client_hears(a, "[\"1\",null,\"room:a\",\"list\",{}]");
	client_hears(a, ANSWER("room:a", "2", OK));
	client_hears(b, "[\"1\",null,\"room:b\",\"list\",{}]");
	client_hears_nothing(b);
	client_hears_nothing(other);
	client_says(b, PUSH("room:b", "3", "ask", "bob"));
	client_hears(b, ANSWER("room:b", "3", REASON("yes")));
	client_says(other, PUSH("room:a", "3", "ask", "bob"));
	client_hears(other, ANSWER("room:a", "3", REASON("no")));
	client_says(b, PUSH("room:b", "4", "put", "bob"));
	pass(10);
	noted("set 0;");
	client_hears(b, ANSWER("room:b", "4", OK));
	client_says(b, PUSH("room:b", "5", "drop", "bob"));
	pass(10);
	noted("set 0;changed room:a 0;changed room:b 0;");
}
END_TEST

START_TEST(another_node_changes_it)
{
	struct client *a = joined("u1", "room:a"), *b;

	bench_other_lists("u1", "blocks", "bob", true);
	pass(10);
	pass(10);
	noted("join;opened room:a 0;changed room:a 1;");
	client_forgets(a);
	b = joined("u1", "room:b");
	noted("join;opened room:b 1;");
	client_says(b, PUSH("room:b", "3", "ask", "bob"));
	client_hears(b, ANSWER("room:b", "3", REASON("yes")));
}
END_TEST

/* Who joins meanwhile is told once. */
START_TEST(it_changes_while_somebody_joins)
{
	struct client *a = joined("u1", "room:a"), *b = client_v2();

	bench_other_lists("u1", "blocks", "bob", true);
	client_says(b, JOIN("room:b"));
	pass(10);
	noted("join;opened room:a 0;join;changed room:a 1;opened room:b 1;");
	client_forgets(a);
}
END_TEST

static const struct {
	int	error;
	bool	later;
} failures[] = { { -ENOTCONN, false }, { -EHOSTUNREACH, true } };

/* The class may let it in without. */
START_TEST(the_store_is_away_at_the_join)
{
	struct client *a;

	bench_store_fails(failures[_i].error, failures[_i].later);
	a = joined("u1", "room:a");
	noted("join;opened room:a 0 failed;");
	bench_store_fails(0, false);
	client_says(a, PUSH("room:a", "2", "put", "bob"));
	pass(10);
	client_hears(a, ANSWER("room:a", "2", REASON("unavailable")));
	client_says(a, PUSH("room:a", "3", "ask", "bob"));
	client_hears(a, ANSWER("room:a", "3", REASON("no")));
	noted("set 0;");
}
END_TEST

START_TEST(the_store_is_away_later)
{
	struct client *a = joined("u1", "room:a");

	bench_store_fails(failures[_i].error, failures[_i].later);
	client_says(a, PUSH("room:a", "2", "put", "bob"));
	pass(10);
	client_hears(a, ANSWER("room:a", "2", REASON("unavailable")));
	noted("join;opened room:a 0;set 0;");
}
END_TEST

START_TEST(too_many)
{
	struct client *a = joined("u1", "room:a");

	for (unsigned i = 0; i < STORE_MAX_LIST; i++) {
		autofree char *name = xasprintf("n%u", i);

		bench_other_lists("u1", "blocks", name, true);
	}
	pass(10);
	pass(10);
	noted("join;opened room:a 0;changed room:a 1000;");
	client_forgets(a);
	client_says(a, PUSH("room:a", "2", "put", "bob"));
	pass(10);
	noted("set 0;");
	client_hears(a, ANSWER("room:a", "2", REASON("too_many")));
	client_says(a, PUSH("room:a", "3", "put", "n7"));
	pass(10);
	client_hears(a, ANSWER("room:a", "3", OK));
}
END_TEST

#define TEN	"0123456789"
#define LONG	TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "12345678"

static int
answers_and_sets(struct channel *ch, const struct channel_message *m)
{
	channel_reply_ok(ch, channel_empty());
	note("set %d;", channel_list_set(ch, SLICE("bob"), true));
	return 0;
}

START_TEST(what_cannot_be_set)
{
	struct client *a = joined("u1", "room:a");
	autofree char *in_vain = xasprintf("set %d;set %d;", -EINVAL, -EINVAL);

	client_says(a, PUSH("room:a", "2", "put", LONG));
	pass(10);
	client_hears(a, "[\"1\",null,\"room:a\",\"list\",{}]");
	client_hears(a, ANSWER("room:a", "2", OK));
	noted("join;opened room:a 0;set 0;changed room:a 1;");
	client_says(a, PUSH("room:a", "3", "put", LONG "9"));
	client_says(a, PUSH("room:a", "4", "put", ""));
	noted(in_vain);
	probe.handle_in = answers_and_sets;
	client_says(a, PUSH("room:a", "5", "put", "bob"));
	in_vain[strlen(in_vain) / 2] = '\0';
	noted(in_vain);
	client_hears(a, ANSWER("room:a", "5", OK));
	client_hears_nothing(a);
}
END_TEST

static const char *const list_names[] = { "", "Blocks", "a:b", "block_s", "abcdefghijklmnopqrstuvwxyzabcdefg" };
#define N_LIST_NAMES	5

static int
opens_in_vain(struct channel *ch, const struct channel_message *m)
{
	note("%d;", channel_open_list(ch, list_name, opened) == -EINVAL);
	note("%d;", channel_list_set(ch, SLICE("bob"), true) == -EINVAL);
	return CHANNEL_OK;
}

/* A list's name that is none; then an anonymous client, and a channel that has joined. */
START_TEST(what_cannot_be_opened)
{
	struct client *a = client_new(&codec_phoenix_v2, _i == N_LIST_NAMES ? "" : "u1", 0);

	list_name = _i < N_LIST_NAMES ? list_names[_i] : "blocks";
	probe.join = _i <= N_LIST_NAMES ? opens_in_vain : opens_list;
	probe.handle_in = opens_in_vain;
	client_says(a, JOIN("public:a"));
	pass(10);
	if (_i <= N_LIST_NAMES) {
		noted("1;1;");
		return;
	}
	noted("join;opened public:a 0;");
	client_says(a, "[\"1\",\"2\",\"public:a\",\"open\",{}]");
	noted("1;0;");
}
END_TEST

/* The channel ends while its list is read, or before it is told; or while a name is put in. */
START_TEST(the_channel_ends)
{
	struct client *a = client_v2(), *b;

	if (_i == 1)
		joined("u1", "room:b");
	noted(_i == 1 ? "join;opened room:b 0;" : "");
	client_says(a, JOIN("room:a"));
	if (_i == 2) {
		pass(10);
		client_says(a, PUSH("room:a", "2", "put", "bob"));
	}
	client_gone(a);
	pass(10);
	noted(_i < 2 ? "join;" : "join;opened room:a 0;set 0;");
	ck_assert(list_empty(&bench.asked));
	b = joined("u1", "room:c");
	noted(_i < 2 ? "join;opened room:c 0;" : "join;opened room:c 1;");
	client_hears_nothing(b);
}
END_TEST

static void
refuses(struct channel *ch, int error)
{
	channel_refuse(ch, channel_json(SLICE("{\"reason\":\"no\"}")));
}

static void
stops(struct channel *ch, int error)
{
	channel_stop(ch);
}

static void
caught_up(struct channel *ch, const struct history_page *page)
{
	autobuf struct buf b = { 0 };

	buf_addf(&b, "{\"n\":%u,\"listed\":%u}", page->n, channel_list_count(ch));
	channel_accept(ch, channel_json(buf_slice(&b)));
}

static void
catches_up(struct channel *ch, int error)
{
	ck_assert_int_eq(channel_catch_up(ch, slice(NULL, 0), 50, caught_up), CHANNEL_LATER);
}

static int
keeps_and_opens(struct channel *ch, const struct channel_message *m)
{
	channel_keep_history(ch, &limits);
	return opens_list(ch, m);
}

static const struct {
	void	  (*opened)(struct channel *, int);
	const char *hears;
} joins[] = {
	{ refuses, ANSWER("room:a", "1", REASON("no")) },
	{ stops, ANSWER("room:a", "1", REASON("join crashed")) },
	{ catches_up, ANSWER("room:a", "1", "{\"status\":\"ok\",\"response\":{\"n\":1,\"listed\":1}}") },
};

START_TEST(joins_go_on)
{
	struct client *a = client_v2();

	bench_other_says("room:a", "said", "{}");
	bench_other_lists("u1", "blocks", "bob", true);
	pass(10);
	probe.join = keeps_and_opens;
	opened = joins[_i].opened;
	client_says(a, JOIN("room:a"));
	client_hears_nothing(a);
	pass(10);
	pass(10);
	client_hears(a, joins[_i].hears);
	client_hears_nothing(a);
	/* Even where the list is known already. */
	client_gone(a);
	opened = accepts;
	joined("u1", "room:b");
	opened = joins[_i].opened;
	a = client_v2();
	client_says(a, JOIN("room:a"));
	client_hears_nothing(a);
	pass(10);
	pass(10);
	client_hears(a, joins[_i].hears);
}
END_TEST

static int
hangs_up(struct channel *ch)
{
	note("changed;");
	client_gone(container_of(ch->session, struct client, session));
	return 0;
}

static int
crashes(struct channel *ch)
{
	return -EIO;
}

START_TEST(channels_end_when_it_changes)
{
	struct client *a = joined("u1", "room:a"), *b = joined("u1", "room:a");

	noted("join;opened room:a 0;join;opened room:a 0;");
	probe.handle_list = hangs_up;
	client_says(a, PUSH("room:a", "2", "put", "bob"));
	pass(10);
	noted("set 0;changed;changed;");
	client_hears_nothing(b);
	a = joined("u1", "room:a");
	probe.handle_list = crashes;
	client_says(a, PUSH("room:a", "2", "drop", "bob"));
	pass(10);
	client_hears(a, "[\"1\",\"1\",\"room:a\",\"phx_error\",{\"reason\":\"channel_crash\"}]");
	client_hears_nothing(a);
	probe.handle_list = NULL;
	a = joined("u1", "room:a");
	client_says(a, PUSH("room:a", "2", "put", "bob"));
	pass(10);
	client_hears(a, ANSWER("room:a", "2", OK));
}
END_TEST

Suite *
channel_list_suite(void)
{
	Suite *s = suite_create("channel_list");
	TCase *t = tcase_create("list");

	tcase_add_checked_fixture(t, begin, bench_end);
	tcase_add_test(t, one_list_for_all_channels);
	tcase_add_test(t, another_node_changes_it);
	tcase_add_test(t, it_changes_while_somebody_joins);
	tcase_add_loop_test(t, the_store_is_away_at_the_join, 0, sizeof(failures) / sizeof(failures[0]));
	tcase_add_loop_test(t, the_store_is_away_later, 0, sizeof(failures) / sizeof(failures[0]));
	tcase_add_test(t, too_many);
	tcase_add_test(t, what_cannot_be_set);
	tcase_add_loop_test(t, what_cannot_be_opened, 0, N_LIST_NAMES + 2);
	tcase_add_loop_test(t, the_channel_ends, 0, 3);
	tcase_add_loop_test(t, joins_go_on, 0, sizeof(joins) / sizeof(joins[0]));
	tcase_add_test(t, channels_end_when_it_changes);
	suite_add_tcase(s, t);
	return s;
}
