/*
 * Transactions of channels: what is decided on the newest message, and who hears of it; and the nodes that classes are told of.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"

Suite *channel_transact_suite(void);

#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", "room:a", payload)
#define PUSH(ref, event)	"[\"1\",\"" ref "\",\"room:a\",\"" event "\",{}]"
#define COUNTED(n)		"[null,null,\"room:a\",\"counted\",{\"n\":" n ",\"id\":\"*\"}]"

static const struct history_limits limits = { .max = 1000 };

/* What the probe's transactions do, and what they noted. */
static struct channel_transaction counts;
static unsigned n_decided;

/* {"n":N}, with the number behind the newest one's. */
static bool
decides_next(struct channel *ch, void *arg, struct history_change *change)
{
	unsigned long n = change->newest != NULL ? strtoul(change->newest->payload.p + 5, NULL, 10) : 0;

	ck_assert_uint_eq(change->limits.max, limits.max);
	ck_assert_uint_eq(change->event.n + change->payload.n, 0);
	n_decided++;
	note("decide %lu%s;", n + 1, ch == NULL ? " alone" : "");
	buf_add_str(&change->event, "counted");
	buf_addf(&change->payload, "{\"n\":%lu}", n + 1);
	return true;
}

static bool
decides_nothing(struct channel *ch, void *arg, struct history_change *change)
{
	note("decide no;");
	buf_add_str(&change->event, "counted");
	return false;
}

/* No more than that number, which may be its own. */
static bool
decides_up_to_one(struct channel *ch, void *arg, struct history_change *change)
{
	if (change->newest == NULL)
		return decides_next(ch, arg, change);
	note("decide no more;");
	return false;
}

static bool
decides_nonsense(struct channel *ch, void *arg, struct history_change *change)
{
	buf_add_str(&change->event, "counted");
	buf_add_str(&change->payload, "[]");
	return true;
}

static bool
decides_nameless(struct channel *ch, void *arg, struct history_change *change)
{
	buf_add_str(&change->payload, "{}");
	return true;
}

/* What could be stored, and never be read. */
static bool
decides_too_deep(struct channel *ch, void *arg, struct history_change *change)
{
	buf_add_str(&change->event, "counted");
	buf_add_str(&change->payload, "{\"n\":");
	for (unsigned i = 0; i < JSON_MAX_DEPTH; i++)
		buf_add_char(&change->payload, '[');
	for (unsigned i = 0; i < JSON_MAX_DEPTH; i++)
		buf_add_char(&change->payload, ']');
	buf_add_char(&change->payload, '}');
	return true;
}

static bool
decides_no_json(struct channel *ch, void *arg, struct history_change *change)
{
	buf_add_str(&change->event, "counted");
	buf_add_str(&change->payload, "{n}");
	return true;
}

static bool
decides_to_stop(struct channel *ch, void *arg, struct history_change *change)
{
	channel_stop(ch);
	return decides_next(ch, arg, change);
}

static void
done(struct channel *ch, void *arg, int error, struct slice id)
{
	ck_assert_uint_eq(id.n, id.p != NULL ? UUID_LEN : 0);
	note("done%s %s%s;", ch == NULL ? " alone" : "", error != 0 ? strerror(-error) : "ok", id.p == NULL ? " nothing" : "");
}

static int
transacts(struct channel *ch, const struct channel_message *m)
{
	ck_assert_int_eq(channel_transact(ch, &counts), 0);
	if (slice_is(m->event, "twice"))
		ck_assert_int_eq(channel_transact(ch, &counts), 0);
	return 0;
}

static int
keeps_history(struct channel *ch, const struct channel_message *params)
{
	probe_channel = ch;
	channel_keep_history(ch, &limits);
	return CHANNEL_OK;
}

static void
begin(void)
{
	bench_begin();
	probe.join = keeps_history;
	probe.joined = NULL;
	probe.handle_in = transacts;
	counts = (struct channel_transaction){ .decide = decides_next, .done = done };
	n_decided = 0;
}

static struct client *
joined(void)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	return c;
}

/* What takes several answers of the store, but no time to speak of. */
static void
pass_some(void)
{
	for (unsigned i = 0; i < 20; i++)
		pass(10);
}

START_TEST(a_change_is_heard_by_all)
{
	struct client *a = joined(), *b = joined();

	client_says(a, PUSH("2", "count"));
	noted("");
	pass_some();
	noted("decide 1;done ok;");
	client_hears_like(a, COUNTED("1"));
	client_hears_like(b, COUNTED("1"));
	client_says(b, PUSH("3", "count"));
	pass_some();
	noted("decide 2;done ok;");
	client_hears_like(a, COUNTED("2"));
	client_hears_like(b, COUNTED("2"));
	client_hears_nothing(a);
	client_hears_nothing(b);
	ck_assert(!history_is_transacting(bench.history));
}
END_TEST

/* Both decide on the same message: one of them does so again. */
START_TEST(who_comes_second_decides_again)
{
	struct client *a = joined(), *b = joined();

	client_says(a, PUSH("2", "count"));
	client_says(b, PUSH("2", "count"));
	pass_some();
	noted("decide 1;decide 1;done ok;decide 2;done ok;");
	for (unsigned i = 0; i < 2; i++) {
		client_hears_like(i == 0 ? a : b, COUNTED("1"));
		client_hears_like(i == 0 ? a : b, COUNTED("2"));
		client_hears_nothing(i == 0 ? a : b);
	}
}
END_TEST

/* Any message counts, of whatever kind. */
START_TEST(a_message_in_between_counts)
{
	struct client *a = joined();

	client_says(a, PUSH("2", "count"));
	bench_other_says("room:a", "other", "{\"n\":7}");
	pass_some();
	noted("decide 1;decide 8;done ok;");
	client_forgets(a);
}
END_TEST

START_TEST(many_at_once)
{
	struct client *a = joined();

	for (unsigned i = 0; i < 12; i++)
		client_says(a, PUSH("2", "twice"));
	for (unsigned i = 0; i < 10; i++)
		pass_some();
	for (unsigned i = 1; i <= 24; i++) {
		autofree char *text = xasprintf(COUNTED("%u"), i);

		client_hears_like(a, text);
	}
	client_hears_nothing(a);
}
END_TEST

START_TEST(nothing_is_posted)
{
	struct client *a = joined();

	counts.decide = decides_nothing;
	client_says(a, PUSH("2", "count"));
	pass_some();
	noted("decide no;done ok nothing;");
	client_hears_nothing(a);
}
END_TEST

static const struct {
	bool (*decide)(struct channel *, void *, struct history_change *);
} nonsense[] = { { decides_nonsense }, { decides_nameless }, { decides_too_deep }, { decides_no_json } };

START_TEST(nonsense_is_not_posted)
{
	struct client *a = joined();

	counts.decide = nonsense[_i].decide;
	client_says(a, PUSH("2", "count"));
	pass_some();
	noted("done Invalid argument nothing;");
	client_hears_nothing(a);
}
END_TEST

static int
transacts_in_vain(struct channel *ch, const struct channel_message *m)
{
	ck_assert_int_eq(channel_transact(ch, &counts), -EINVAL);
	return CHANNEL_OK;
}

START_TEST(without_history)
{
	probe.join = transacts_in_vain;
	probe.handle_in = transacts_in_vain;
	joined();
	client_says(joined(), PUSH("2", "count"));
	pass_some();
	noted("");
}
END_TEST

/* The store. */

static const struct {
	int	error;
	bool	later;
} failures[] = { { -ENOTCONN, false }, { -EHOSTUNREACH, true } };

START_TEST(the_store_is_away)
{
	struct client *a = joined();

	bench_store_fails(failures[_i].error, failures[_i].later);
	client_says(a, PUSH("2", "count"));
	noted("");
	pass_some();
	noted("done No route to host nothing;");
	client_hears_nothing(a);
}
END_TEST

START_TEST(who_insists_tries_on)
{
	struct client *a = joined();

	counts.insist = true;
	bench_store_fails(failures[_i].error, failures[_i].later);
	client_says(a, PUSH("2", "count"));
	for (unsigned i = 0; i < 3; i++)
		pass(1000);
	noted("");
	ck_assert(history_is_transacting(bench.history));
	bench_store_fails(0, false);
	for (unsigned i = 0; i < 2; i++)
		pass(1000);
	pass_some();
	noted("decide 1;done ok;");
	client_hears_like(a, COUNTED("1"));
	client_hears_nothing(a);
}
END_TEST

/* It was decided, but cannot be stored. */
START_TEST(the_store_goes_away_meanwhile)
{
	struct client *a = joined();
	unsigned       was = 0;

	counts.insist = _i == 1;
	client_says(a, PUSH("2", "count"));
	bench_store_fails(-ENOTCONN, false);
	pass_some();
	was = n_decided;
	bench_store_fails(0, false);
	pass(1000);
	pass_some();
	ck_assert_uint_eq(was, 1);
	noted(_i == 1 ? "decide 1;decide 1;done ok;" : "decide 1;done No route to host nothing;");
	client_forgets(a);
}
END_TEST

/* What may be its own message is looked at by who insists. */
START_TEST(an_outcome_that_is_not_known)
{
	struct client *a = joined();

	counts.insist = _i == 1;
	counts.decide = decides_up_to_one;
	bench_store_loses_answers(true);
	client_says(a, PUSH("2", "count"));
	pass_some();
	bench_store_loses_answers(false);
	pass(1000);
	pass_some();
	noted(_i == 1 ? "decide 1;decide no more;done ok nothing;" : "decide 1;done No route to host nothing;");
	client_hears_like(a, COUNTED("1"));
	client_hears_nothing(a);
}
END_TEST

static unsigned n_ahead;

/* Somebody else is always faster. */
static bool
decides_too_late(struct channel *ch, void *arg, struct history_change *change)
{
	n_decided++;
	if (n_ahead > 0) {
		n_ahead--;
		bench_other_says("room:a", "other", "{\"n\":0}");
	}
	buf_add_str(&change->event, "counted");
	buf_add_str(&change->payload, "{\"n\":1}");
	return true;
}

/* There is an end to it, but for those who insist. */
START_TEST(always_too_late)
{
	struct client *a = joined();

	counts.insist = _i == 1;
	counts.decide = decides_too_late;
	n_ahead = 150;
	client_says(a, PUSH("2", "count"));
	for (unsigned i = 0; i < 40; i++)
		pass_some();
	noted(_i == 1 ? "done ok;" : "done No route to host nothing;");
	ck_assert_uint_eq(n_decided, _i == 1 ? 151 : 100);
}
END_TEST

/* Channels that end. */

#define GIVEN_UP	"done alone No route to host nothing;"

static const char *const endings[] = { "closed", "leave", "replaced" };

static void
end(struct client *c, unsigned how)
{
	if (how == 0)
		client_gone(c);
	else
		client_says(c, how == 1 ? PUSH("7", "phx_leave") : "[\"8\",\"8\",\"room:a\",\"phx_join\",{}]");
}

/* Nothing is decided any more. */
START_TEST(the_channel_ends)
{
	autofree char *told = xasprintf("leave %s;" GIVEN_UP GIVEN_UP, endings[_i]);
	struct client *a = joined();

	client_says(a, PUSH("2", "twice"));
	end(a, (unsigned)_i);
	pass_some();
	noted(told);
	ck_assert(!history_is_transacting(bench.history));
}
END_TEST

/* The message is on its way to the store. */
START_TEST(the_channel_ends_behind_its_decision)
{
	struct client *a = joined(), *b = joined();

	client_says(a, PUSH("2", "count"));
	for (unsigned i = 0; i < 20 && n_decided == 0; i++)
		pass(1);
	ck_assert_uint_eq(n_decided, 1);
	end(a, (unsigned)_i);
	client_forgets(a);
	pass_some();
	ck_assert(!history_is_transacting(bench.history));
	client_hears_like(b, COUNTED("1"));
	client_hears_nothing(b);
}
END_TEST

START_TEST(the_channel_ends_in_its_decision)
{
	struct client *a = joined(), *b = joined();

	counts.decide = decides_to_stop;
	client_says(a, PUSH("2", "count"));
	pass_some();
	noted("decide 1;leave stopped;" GIVEN_UP);
	client_hears(a, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	client_hears_nothing(b);
	ck_assert(!history_is_transacting(bench.history));
}
END_TEST

static bool
decides_to_hang_up(struct channel *ch, void *arg, struct history_change *change)
{
	client_gone(container_of(ch->session, struct client, session));
	return decides_next(ch, arg, change);
}

START_TEST(the_connection_ends_in_its_decision)
{
	struct client *a = joined(), *b = joined();

	counts.decide = decides_to_hang_up;
	client_says(a, PUSH("2", "twice"));
	pass_some();
	noted("leave closed;" GIVEN_UP GIVEN_UP "decide 1;");
	client_hears_nothing(b);
}
END_TEST

static void
leaves_with_one(struct channel *ch, const char *why)
{
	counts.insist = true;
	ck_assert_int_eq(channel_transact(ch, &counts), 0);
	note("leave %s;", why);
}

/* It goes on without its channel, whatever the store has to say. */
START_TEST(begun_in_leave)
{
	autofree char *told = xasprintf("leave %s;decide 1 alone;done alone ok;", endings[_i % 3]);
	struct client *a = joined(), *b = joined();

	probe.leave = leaves_with_one;
	if (_i == 3)
		bench_store_fails(-ENOTCONN, false);
	end(a, (unsigned)_i % 3);
	pass(2000);
	bench_store_fails(0, false);
	pass(1000);
	pass_some();
	noted(told);
	client_hears_like(b, COUNTED("1"));
	client_hears_nothing(b);
	probe.leave = NULL;
}
END_TEST

static void *kept;

static void
frees(struct channel *ch, void *arg, int error, struct slice id)
{
	ck_assert_ptr_null(ch);
	ck_assert_ptr_eq(arg, kept);
	free(arg);
	kept = NULL;
}

static void
check_kept(void)
{
	bench_end();
	ck_assert_ptr_null(kept);
}

/* The node ends before it is done: that is the end of what it was to do, but not of what is to be freed. */
START_TEST(the_node_ends)
{
	struct client *a = joined();

	counts.done = frees;
	counts.arg = kept = xmalloc(1);
	probe.handle_in = NULL;
	probe.leave = leaves_with_one;
	end(a, 0);
	probe.leave = NULL;
}
END_TEST

/* In joins. */

static void
accepts(struct channel *ch, const struct history_page *page)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "{\"page\":[");
	for (unsigned i = 0; i < page->n; i++)
		buf_addf(&b, "%s%.*s", i > 0 ? "," : "", SLICE_ARG(page->messages[i].payload));
	buf_add_str(&b, "]}");
	channel_accept(ch, channel_json(buf_slice(&b)));
}

static void
catches_up(struct channel *ch, void *arg, int error, struct slice id)
{
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(channel_catch_up(ch, slice(NULL, 0), 50, accepts), CHANNEL_LATER);
}

static void
refuses(struct channel *ch, void *arg, int error, struct slice id)
{
	channel_refuse(ch, channel_json(SLICE("{\"reason\":\"no\"}")));
}

static void
accepts_at_once(struct channel *ch, void *arg, int error, struct slice id)
{
	channel_accept(ch, channel_empty());
}

static int
joins_with_one(struct channel *ch, const struct channel_message *params)
{
	channel_keep_history(ch, &limits);
	ck_assert_int_eq(channel_transact(ch, &counts), 0);
	return CHANNEL_LATER;
}

/* What it changed is in the page, what is said meanwhile there or behind, and nothing is in both. */
START_TEST(a_page_behind_a_change)
{
	struct client *a = joined(), *b = client_v2();
	struct frame  *f;

	client_says(a, PUSH("2", "count"));
	pass_some();
	client_forgets(a);
	probe.join = joins_with_one;
	probe.handle_in = transacts;
	counts.done = catches_up;
	client_says(b, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	counts.done = done;
	for (int i = 0; i < _i; i++)
		pass(1);
	client_says(a, PUSH("3", "count"));
	pass_some();
	f = outq_at(&b->out, 0);
	ck_assert_ptr_nonnull(memmem(frame_body(f), frame_body_len(f), "{\"n\":1},{\"n\":2}", 15));
	if (memmem(frame_body(f), frame_body_len(f), "{\"n\":3}", 7) == NULL) {
		outq_drop(&b->out, f->len);
		client_hears_like(b, COUNTED("3"));
	} else {
		outq_drop(&b->out, f->len);
	}
	client_hears_nothing(b);
	client_hears_like(a, COUNTED("2"));
	client_hears_like(a, COUNTED("3"));
}
END_TEST

static const struct {
	void	  (*done)(struct channel *, void *, int, struct slice);
	const char *hears;
} joins[] = {
	{ refuses, ANSWER("1", REASON("no")) },
	{ accepts_at_once, ANSWER("1", OK) },
};

/* What the client said meanwhile is handled when the join is decided. */
START_TEST(a_join_that_a_change_decides)
{
	struct client *a = client_v2();

	probe.join = joins_with_one;
	probe.handle_in = NULL;
	probe.leave = NULL;
	counts.done = joins[_i].done;
	client_says(a, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_says(a, PUSH("2", "phx_leave"));
	pass_some();
	client_hears(a, joins[_i].hears);
	client_hears(a, ANSWER("2", OK));
	ck_assert_ptr_null(a->session.channels);
}
END_TEST

START_TEST(a_join_that_ends_first)
{
	struct client *a = client_v2();

	probe.join = joins_with_one;
	client_says(a, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_gone(a);
	pass_some();
	noted("leave closed;" GIVEN_UP);
}
END_TEST

/* Nodes. */

static int
asks_for_nodes(struct channel *ch, const struct channel_message *m)
{
	uint64_t     epoch;
	struct slice node = channel_node(ch, &epoch);

	note("%.*s/%u %d%d %d%d;", SLICE_ARG(node), (unsigned)epoch, channel_node_is_up(ch, node, epoch),
	    channel_node_is_up(ch, node, 7), channel_node_is_up(ch, SLICE("n2"), 3), channel_node_is_up(ch, SLICE("n3"), 3));
	return 0;
}

START_TEST(nodes)
{
	struct client *a = joined();

	probe.handle_in = asks_for_nodes;
	bench_node_is_down("n3");
	client_says(a, PUSH("2", "nodes"));
	noted("n1/1 10 10;");
	bench_epoch = 0;
	client_says(a, PUSH("3", "nodes"));
	noted("n1/0 00 10;");
}
END_TEST

Suite *
channel_transact_suite(void)
{
	Suite *s = suite_create("channel_transact");
	TCase *t = tcase_create("transact"), *last = tcase_create("last");
	int    n_failures = sizeof(failures) / sizeof(failures[0]);

	tcase_add_checked_fixture(t, begin, bench_end);
	tcase_add_test(t, a_change_is_heard_by_all);
	tcase_add_test(t, who_comes_second_decides_again);
	tcase_add_test(t, a_message_in_between_counts);
	tcase_add_test(t, many_at_once);
	tcase_add_test(t, nothing_is_posted);
	tcase_add_loop_test(t, nonsense_is_not_posted, 0, sizeof(nonsense) / sizeof(nonsense[0]));
	tcase_add_test(t, without_history);
	tcase_add_loop_test(t, the_store_is_away, 0, n_failures);
	tcase_add_loop_test(t, who_insists_tries_on, 0, n_failures);
	tcase_add_loop_test(t, the_store_goes_away_meanwhile, 0, 2);
	tcase_add_loop_test(t, an_outcome_that_is_not_known, 0, 2);
	tcase_add_loop_test(t, always_too_late, 0, 2);
	tcase_add_loop_test(t, the_channel_ends, 0, 3);
	tcase_add_loop_test(t, the_channel_ends_behind_its_decision, 0, 3);
	tcase_add_test(t, the_channel_ends_in_its_decision);
	tcase_add_test(t, the_connection_ends_in_its_decision);
	tcase_add_loop_test(t, begun_in_leave, 0, 4);
	tcase_add_loop_test(t, a_page_behind_a_change, 0, 6);
	tcase_add_loop_test(t, a_join_that_a_change_decides, 0, sizeof(joins) / sizeof(joins[0]));
	tcase_add_test(t, a_join_that_ends_first);
	tcase_add_test(t, nodes);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(last, begin, check_kept);
	tcase_add_test(last, the_node_ends);
	suite_add_tcase(s, last);
	return s;
}
