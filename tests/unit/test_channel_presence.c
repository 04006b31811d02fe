/*
 * Presence as classes use it: who is told what, and when what a channel tracked leaves.
 */
#include "session_bench.h"

#include <errno.h>

Suite *channel_presence_suite(void);

#define STATE(ref, payload)	"[\"" ref "\",null,\"room:a\",\"presence_state\"," payload "]"
#define DIFF(joins, leaves)	"[null,null,\"room:a\",\"presence_diff\",{\"joins\":" joins ",\"leaves\":" leaves "}]"
#define ONE(key, meta)		"{\"" key "\":{\"metas\":[" meta "]}}"
#define META(n)			"{\"n\":" n ",\"phx_ref\":\"*\"}"
#define CLOSE(ref)		"[\"" ref "\",\"" ref "\",\"room:a\",\"phx_close\",{}]"

static int
looks_on(struct channel *ch)
{
	channel_watch(ch);
	return 0;
}

/* Under its user's name. */
static int
is_present(struct channel *ch)
{
	probe_channel = ch;
	return channel_track(ch, channel_user(ch), SLICE("{\"n\":1}"));
}

static int
is_present_for_long(struct channel *ch)
{
	channel_set_leave_grace(ch, 5000);
	return is_present(ch);
}

/* Joined, with its first state heard and forgotten. */
static struct client *
client_in(int (*joined)(struct channel *), const char *user)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);

	probe.joined = joined;
	client_joins(c, "1", "room:a");
	pass(BENCH_WINDOW + 10);
	client_forgets(c);
	return c;
}

static void
all_forget(struct client *a, struct client *b)
{
	pass(BENCH_WINDOW + 10);
	client_forgets(a);
	client_forgets(b);
}

START_TEST(who_looks_on_is_told_a_state)
{
	struct client *c = client_v2();

	probe.joined = looks_on;
	client_joins(c, "1", "room:a");
	client_hears_nothing(c);
	pass(BENCH_WINDOW + 10);
	client_hears(c, STATE("1", "{}"));
	client_hears_nothing(c);
}
END_TEST

START_TEST(who_is_present_is_in_its_own_state)
{
	struct client *c = client_v2();

	probe.joined = is_present;
	client_joins(c, "1", "room:a");
	pass(BENCH_WINDOW + 10);
	client_hears_like(c, STATE("1", ONE("u1", META("1"))));
	client_hears_nothing(c);
	ck_assert_uint_eq(channel_presence_count(probe_channel), 1);
	ck_assert(slice_starts(channel_meta(probe_channel, SLICE("u1")), SLICE("{\"n\":1,\"phx_ref\":\"")));
}
END_TEST

START_TEST(changes_are_told)
{
	struct client  *a = client_in(looks_on, "u1"), *b = client_in(is_present, "u2");
	struct channel *ch = probe_channel;

	client_hears_like(a, DIFF(ONE("u2", META("1")), "{}"));
	ck_assert_int_eq(channel_update(ch, SLICE("u2"), SLICE("{\"n\":2}")), 0);
	pass(BENCH_WINDOW + 10);
	client_hears_like(a, DIFF(ONE("u2", "{\"n\":2,\"phx_ref\":\"*\",\"phx_ref_prev\":\"*\"}"), ONE("u2", META("1"))));
	client_forgets(b);
	ck_assert_int_eq(channel_untrack(ch, SLICE("u2")), 0);
	pass(BENCH_WINDOW + 10);
	client_hears_like(a, DIFF("{}", ONE("u2", "{\"n\":2,\"phx_ref\":\"*\",\"phx_ref_prev\":\"*\"}")));
	ck_assert_ptr_null(channel_meta(ch, SLICE("u2")).p);
}
END_TEST

/* Each of them; after it the others are told of one leave, and the leaver of nothing. */
static const struct ending {
	const char	*says;		/* the client, or NULL: it is gone */
	const char	*hears[2];
	const char	*why;
} endings[] = {
	{ "[\"1\",\"2\",\"room:a\",\"phx_leave\",{}]", { REPLY("\"1\"", "\"2\"", "room:a", OK), CLOSE("1") }, "leave" },
	{ "[\"1\",\"2\",\"room:a\",\"boom\",{}]",
	  { "[\"1\",\"1\",\"room:a\",\"phx_error\",{\"reason\":\"channel_crash\"}]", NULL }, "crashed" },
	{ "[\"1\",\"2\",\"room:a\",\"end\",{}]", { CLOSE("1"), NULL }, "stopped" },
	{ NULL, { NULL, NULL }, "closed" },
};

static int
ends_on_end(struct channel *ch, const struct channel_message *m)
{
	if (slice_is(m->event, "end"))
		channel_stop(ch);
	return slice_is(m->event, "boom") ? -EIO : 0;
}

START_TEST(it_leaves_with_its_channel)
{
	const struct ending *e = &endings[_i];
	struct client	    *a = client_in(looks_on, "u1"), *b = client_in(is_present, "u2");

	probe.handle_in = ends_on_end;
	ck_assert_int_eq(channel_track(probe_channel, SLICE("other"), SLICE("{\"n\":1}")), 0);
	all_forget(a, b);
	if (e->says != NULL)
		client_says(b, e->says);
	else
		client_gone(b);
	for (unsigned i = 0; i < 2 && e->hears[i] != NULL; i++)
		client_hears(b, e->hears[i]);
	pass(BENCH_WINDOW + 10);
	client_hears_like(a, DIFF("{}", "{\"*\":{\"metas\":[" META("1") "]},\"*\":{\"metas\":[" META("1") "]}}"));
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

/* With a grace, who says that it goes goes at once; who is lost stays. */
START_TEST(the_grace_is_for_the_lost)
{
	struct client *a = client_in(looks_on, "u1"), *b = client_in(is_present_for_long, "u2");
	bool	       lost = strcmp(endings[_i].why, "closed") == 0;

	probe.handle_in = ends_on_end;
	all_forget(a, b);
	if (lost)
		client_gone(b);
	else
		client_says(b, endings[_i].says);
	pass(BENCH_WINDOW + 10);
	if (lost)
		client_hears_nothing(a);
	else
		client_hears_like(a, DIFF("{}", ONE("u2", META("1"))));
	pass(5000);
	pass(BENCH_WINDOW + 10);
	if (lost)
		client_hears_like(a, DIFF("{}", ONE("u2", META("1"))));
	client_hears_nothing(a);
}
END_TEST

START_TEST(who_comes_back_in_time_was_never_gone)
{
	struct client *a = client_in(looks_on, "u1"), *b = client_in(is_present_for_long, "u2");

	client_forgets(a);
	client_gone(b);
	pass(1000);
	b = client_in(is_present_for_long, "u2");
	client_hears_nothing(a);
	pass(6000);
	pass(BENCH_WINDOW + 10);
	client_hears_nothing(a);
	ck_assert_uint_eq(channel_presence_count(probe_channel), 1);
}
END_TEST

/* The old instance is gone before the new one is there. */
START_TEST(a_join_anew_is_another_presence)
{
	struct client *a = client_in(looks_on, "u1"), *b = client_in(is_present_for_long, "u2");

	all_forget(a, b);
	client_says(b, "[\"5\",\"5\",\"room:a\",\"phx_join\",{}]");
	client_hears(b, CLOSE("1"));
	client_hears(b, REPLY("\"5\"", "\"5\"", "room:a", OK));
	pass(BENCH_WINDOW + 10);
	client_hears_like(b, STATE("5", ONE("u2", META("1"))));
	client_hears_like(a, DIFF(ONE("u2", META("1")), ONE("u2", META("1"))));
	ck_assert_uint_eq(channel_presence_count(probe_channel), 1);
}
END_TEST

static int
tries_in_join(struct channel *ch, const struct channel_message *m)
{
	channel_watch(ch);
	ck_assert_int_eq(channel_track(ch, SLICE("k"), SLICE("{}")), -EINVAL);
	ck_assert_int_eq(channel_update(ch, SLICE("k"), SLICE("{}")), -EINVAL);
	ck_assert_int_eq(channel_update_for(ch, SLICE("k"), SLICE("{}"), 10), -EINVAL);
	ck_assert_int_eq(channel_untrack(ch, SLICE("k")), -EINVAL);
	ck_assert_ptr_null(channel_meta(ch, SLICE("k")).p);
	return CHANNEL_OK;
}

static void
tries_in_leave(struct channel *ch, const char *why)
{
	ck_assert_int_eq(channel_track(ch, SLICE("k"), SLICE("{}")), -EINVAL);
	ck_assert_int_eq(channel_update(ch, SLICE("u2"), SLICE("{}")), -EINVAL);
	ck_assert_int_eq(channel_update_for(ch, SLICE("u2"), SLICE("{}"), 10), -EINVAL);
	note("leave %u;", channel_presence_count(ch));
}

START_TEST(only_the_joined_are_present)
{
	struct client *a = client_v2();

	probe.join = tries_in_join;
	probe.joined = NULL;
	probe.leave = tries_in_leave;
	client_joins(a, "1", "room:a");
	pass(BENCH_WINDOW + 10);
	client_hears_nothing(a);
	client_gone(a);
	noted("leave 0;");
}
END_TEST

START_TEST(errors)
{
	struct client  *c = client_in(looks_on, "u1");
	struct channel *ch = c->session.channels;

	ck_assert_int_eq(channel_update(ch, SLICE("k"), SLICE("{}")), -ENOENT);
	ck_assert_int_eq(channel_untrack(ch, SLICE("k")), 0);
	ck_assert_int_eq(channel_track(ch, SLICE("__proto__"), SLICE("{}")), -EINVAL);
	ck_assert_int_eq(channel_track(ch, SLICE(""), SLICE("{}")), -EINVAL);
	ck_assert_int_eq(channel_track(ch, SLICE("k"), SLICE("[]")), -EINVAL);
	ck_assert_int_eq(channel_track(ch, SLICE("k"), SLICE("{}")), 0);
	ck_assert_int_eq(channel_track(ch, SLICE("k"), SLICE("{}")), -EEXIST);
	ck_assert(channel_is_key(SLICE("k")));
	ck_assert(!channel_is_key(SLICE("__proto__")));
	ck_assert(!channel_is_key(SLICE("")));
}
END_TEST

static bool
stop_at_two(void *arg, struct slice key, struct slice meta)
{
	unsigned *n = arg;

	ck_assert(meta.p[0] == '{');
	return ++*n < 2;
}

START_TEST(presences_are_walked)
{
	unsigned n = 0;

	client_in(is_present, "u1");
	ck_assert_int_eq(channel_track(probe_channel, SLICE("k1"), SLICE("{}")), 0);
	ck_assert_int_eq(channel_track(probe_channel, SLICE("k2"), SLICE("{}")), 0);
	pass(BENCH_WINDOW + 10);
	ck_assert_uint_eq(channel_presence_count(probe_channel), 3);
	channel_presences(probe_channel, stop_at_two, &n);
	ck_assert_uint_eq(n, 2);
}
END_TEST

/* A class that is told what changed, and tells it itself. */

static void
note_metas(char sign, const struct slice *metas, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		note(" %c%.*s", sign, SLICE_ARG(channel_json_member(metas[i], "n")));
}

static int
tells_news(struct channel *ch, const struct channel_presence *p)
{
	autobuf struct buf text = { 0 };

	note("%.*s", SLICE_ARG(p->key));
	note_metas('=', p->metas, p->n - p->n_new);
	note_metas('+', p->metas + p->n - p->n_new, p->n_new);
	note_metas('-', p->gone, p->n_gone);
	note("%s;", p->by != NULL ? " by" : "");
	buf_addf(&text, "{\"n\":%u}", p->n);
	return channel_tell_here(ch, SLICE("changed"), channel_json(buf_slice(&text)), p->by);
}

#define CHANGED(n)	"[null,null,\"room:a\",\"changed\",{\"n\":" n "}]"

START_TEST(a_class_is_told_of_presences)
{
	struct client  *a, *b;
	struct channel *first;

	probe.handle_presence = tells_news;
	a = client_in(is_present, "u1");
	first = probe_channel;
	noted("join room:a;u1 +1 by;");
	b = client_v2();
	client_joins(b, "1", "room:a");
	pass(BENCH_WINDOW + 10);
	noted("join room:a;u1 =1 +1 by;");
	client_hears(a, CHANGED("2"));
	client_hears_nothing(a);
	client_hears_nothing(b);
	ck_assert_uint_eq(channel_presence_count(first), 1);
	ck_assert_int_eq(channel_update(first, SLICE("u1"), SLICE("{\"n\":2}")), 0);
	pass(BENCH_WINDOW + 10);
	noted("u1 =1 +2 -1 by;");
	client_hears_nothing(a);
	client_hears(b, CHANGED("2"));
	client_gone(a);
	pass(BENCH_WINDOW + 10);
	noted("leave closed;u1 =1 -2;");
	client_hears(b, CHANGED("1"));
	client_hears_nothing(b);
}
END_TEST

static int
fails_at_news(struct channel *ch, const struct channel_presence *p)
{
	note("news;");
	if (slice_is(p->key, "u2"))
		channel_stop(ch);
	return slice_is(p->key, "u2") ? 0 : -EIO;
}

/* Who fails or stops at one news ends before the next, which another one is told. */
START_TEST(news_may_end_a_channel)
{
	struct client *a, *b;

	probe.handle_presence = tells_news;
	a = client_in(is_present, "u1");
	b = client_in(is_present, "u2");
	client_forgets(a);
	noted("join room:a;u1 +1 by;join room:a;u2 +1 by;");
	probe.handle_presence = fails_at_news;
	ck_assert_int_eq(channel_track(probe_channel, SLICE("k"), SLICE("{\"n\":1}")), 0);
	ck_assert_int_eq(channel_untrack(probe_channel, SLICE("u2")), 0);
	pass(BENCH_WINDOW + 10);
	noted("news;leave crashed;news;leave stopped;");
	client_hears(a, "[\"1\",\"1\",\"room:a\",\"phx_error\",{\"reason\":\"channel_crash\"}]");
	client_hears(b, CLOSE("1"));
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

/* The same, and clients are shown what changed besides. */
START_TEST(told_and_shown)
{
	struct client *a, *b;

	probe.handle_presence = tells_news;
	probe.shows_presence = true;
	probe.joined = is_present;
	a = client_v2();
	client_joins(a, "1", "room:a");
	pass(BENCH_WINDOW + 10);
	noted("join room:a;u1 +1 by;");
	client_hears_like(a, STATE("1", ONE("u1", META("1"))));
	client_hears_nothing(a);
	b = client_new(&codec_phoenix_v2, "u2", 0);
	client_joins(b, "1", "room:a");
	pass(BENCH_WINDOW + 10);
	noted("join room:a;u2 +1 by;");
	/* Who is new is spared the diff, but not what the class tells. */
	client_hears(a, CHANGED("1"));
	client_hears_like(a, DIFF(ONE("u2", META("1")), "{}"));
	client_hears_nothing(a);
	client_hears_like(b, STATE("1", "{\"u1\":{\"metas\":[" META("1") "]},\"u2\":{\"metas\":[" META("1") "]}}"));
	client_hears_nothing(b);
	client_gone(b);
	pass(BENCH_WINDOW + 10);
	noted("leave closed;u2 -1;");
	client_hears(a, CHANGED("0"));
	client_hears_like(a, DIFF("{}", ONE("u2", META("1"))));
	client_hears_nothing(a);
}
END_TEST

/* A class that wants to know who is there before it accepts. */

static bool
note_key(void *arg, struct slice key, struct slice meta)
{
	note(" %.*s", SLICE_ARG(key));
	return true;
}

static void
accepts_knowing(struct channel *ch)
{
	note("known");
	channel_presences(ch, note_key, NULL);
	note(";");
	channel_accept(ch, channel_json(SLICE("{\"known\":true}")));
}

static void
refuses_knowing(struct channel *ch)
{
	note("known;");
	channel_refuse(ch, channel_json(SLICE("{\"reason\":\"full\"}")));
}

static void
decides_nothing(struct channel *ch)
{
	note("known;");
}

static void (*knowing)(struct channel *);

static int
awaits(struct channel *ch, const struct channel_message *m)
{
	int r = channel_await_presence(ch, knowing);

	probe_channel = ch;
	ck_assert_int_eq(channel_await_presence(ch, knowing), -EINVAL);
	return r;
}

#define KNOWN		REPLY("\"1\"", "\"1\"", "room:a", "{\"status\":\"ok\",\"response\":{\"known\":true}}")
#define JOIN		"[\"1\",\"1\",\"room:a\",\"phx_join\",{}]"

/* Joined, as soon as it is known who is there. */
static struct client *
client_knows(const char *user)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);

	knowing = accepts_knowing;
	probe.join = awaits;
	probe.joined = is_present;
	probe.handle_presence = tells_news;
	client_says(c, JOIN);
	client_hears_nothing(c);
	loop_end_turn(bench.loop);
	client_hears(c, KNOWN);
	return c;
}

START_TEST(who_is_there_is_known_before)
{
	struct client *a = client_knows("u1"), *b;

	noted("known;");
	ck_assert_ptr_null(probe_channel->extra);
	/* The first one has not been told of to anybody: that is made up for. */
	b = client_knows("u2");
	noted("u1 +1 by;known u1;");
	pass(BENCH_WINDOW + 10);
	noted("u2 +1 by;");
	client_hears(a, CHANGED("1"));
	client_hears_nothing(a);
	client_hears_nothing(b);
	ck_assert_int_eq(channel_await_presence(probe_channel, knowing), -EINVAL);
}
END_TEST

/* What happens behind that, before its own first window is over, it is told of. */
START_TEST(and_nothing_is_lost_behind)
{
	struct client *a = client_knows("u1"), *b;

	pass(BENCH_WINDOW + 10);
	noted("known;u1 +1 by;");
	b = client_knows("u2");
	noted("known u1;");
	client_gone(a);
	pass(BENCH_WINDOW + 10);
	noted("leave closed;u2 +1 by;u1 -1;");
	client_hears(b, CHANGED("0"));
	client_hears_nothing(b);
}
END_TEST

START_TEST(refused_knowing_who_is_there)
{
	struct client *c = client_v2();

	knowing = _i == 0 ? refuses_knowing : decides_nothing;
	probe.join = awaits;
	client_says(c, JOIN);
	client_says(c, "[\"1\",\"2\",\"room:a\",\"echo\",{}]");
	loop_end_turn(bench.loop);
	if (_i == 0)
		client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("full")));
	else
		client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", REASON("join crashed")));
	client_hears(c, REPLY("null", "\"2\"", "room:a", REASON("unmatched topic")));
	client_hears_nothing(c);
	noted(_i == 0 ? "known;leave refused;" : "known;leave crashed;");
	pass(BENCH_WINDOW + 10);
	ck_assert_uint_eq(c->session.n_channels, 0);
}
END_TEST

/* It goes before that is known; and one whose class says at once that it is in has no use for it. */
START_TEST(who_is_there_is_of_no_interest)
{
	struct client *c = client_v2();

	knowing = accepts_knowing;
	probe.join = awaits;
	client_says(c, JOIN);
	if (_i == 0) {
		client_gone(c);
		noted("leave closed;");
	} else {
		channel_accept(probe_channel, channel_empty());
		client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", OK));
		noted("joined;");
	}
	pass(BENCH_WINDOW + 10);
	noted("");
	client_hears_nothing(c);
}
END_TEST

/* Leases. */

#define LEASE		3000

#define UPDATED(n)	"{\"n\":" n ",\"phx_ref\":\"*\",\"phx_ref_prev\":\"*\"}"

/* One diff, for u2, from one meta to another. */
#define hears_change(a, b, is, was)	(pass(BENCH_WINDOW + 10), client_hears_like(a, DIFF(ONE("u2", is), ONE("u2", was))), \
    client_hears_nothing(a), client_forgets(b))

/* Is that what the channel tracks under the user's name, but for the server's members? */
static bool
stands(const struct channel *ch, const char *meta)
{
	autofree char *start = xasprintf("{\"n\":%s,", meta);

	return slice_starts(channel_meta(ch, SLICE("u2")), slice_str(start));
}

START_TEST(a_meta_on_lease)
{
	struct client  *c = client_in(is_present, "u2");
	struct channel *ch = probe_channel;
	struct slice	key = SLICE("u2");

	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":2}"), LEASE), 0);
	ck_assert(stands(ch, "2"));
	pass(LEASE / 2);
	ck_assert(stands(ch, "2"));
	/* Said anew; and said otherwise. */
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":2}"), LEASE), 0);
	pass(LEASE - 100);
	ck_assert(stands(ch, "2"));
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":3}"), LEASE), 0);
	pass(LEASE - 100);
	ck_assert(stands(ch, "3"));
	pass(200);
	ck_assert(stands(ch, "1"));
	ck_assert_ptr_null(ch->extra);
	/* Each key has its own. */
	ck_assert_int_eq(channel_track(ch, SLICE("k"), SLICE("{ \"k\" : 1 }")), 0);
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":4}"), 2 * LEASE), 0);
	ck_assert_int_eq(channel_update_for(ch, SLICE("k"), SLICE("{}"), LEASE), 0);
	pass(LEASE + 100);
	ck_assert(slice_starts(channel_meta(ch, SLICE("k")), SLICE("{\"k\":1,\"phx_ref\":")));
	ck_assert(stands(ch, "4"));
	pass(LEASE);
	ck_assert(stands(ch, "1"));
	client_forgets(c);
}
END_TEST

START_TEST(a_lease_is_told_twice)
{
	struct client *a = client_in(looks_on, "u1"), *b = client_in(is_present, "u2");

	client_forgets(a);
	ck_assert_int_eq(channel_update_for(probe_channel, SLICE("u2"), SLICE("{\"n\":2}"), LEASE), 0);
	hears_change(a, b, UPDATED("2"), META("1"));
	ck_assert_int_eq(channel_update_for(probe_channel, SLICE("u2"), SLICE("{\"n\":2}"), LEASE), 0);
	pass(LEASE - 100);
	client_hears_nothing(a);
	pass(200);
	hears_change(a, b, UPDATED("1"), UPDATED("2"));
	pass(2 * LEASE);
	client_hears_nothing(a);
}
END_TEST

/* What ends a lease before its time; and what is there when that would have come. */
START_TEST(leases_end)
{
	struct client  *c = client_in(is_present, "u2");
	struct channel *ch = probe_channel;
	struct slice	key = SLICE("u2");

	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":2}"), LEASE), 0);
	/* The same meta, but for good. */
	ck_assert_int_eq(channel_update(ch, key, SLICE("{\"n\":2}")), 0);
	pass(2 * LEASE);
	ck_assert(stands(ch, "2"));
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":3}"), LEASE), 0);
	ck_assert_int_eq(channel_update(ch, key, SLICE("{\"n\":4}")), 0);
	pass(2 * LEASE);
	ck_assert(stands(ch, "4"));
	/* What fails ends nothing. */
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":5}"), LEASE), 0);
	ck_assert_int_eq(channel_update(ch, key, SLICE("[]")), -EINVAL);
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("5"), LEASE), -EINVAL);
	ck_assert_int_eq(channel_track(ch, key, SLICE("{}")), -EEXIST);
	ck_assert(stands(ch, "5"));
	pass(LEASE + 100);
	ck_assert(stands(ch, "4"));
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":6}"), LEASE), 0);
	ck_assert_int_eq(channel_untrack(ch, key), 0);
	ck_assert_int_eq(channel_track(ch, key, SLICE("{\"n\":7}")), 0);
	pass(2 * LEASE);
	ck_assert(stands(ch, "7"));
	ck_assert_int_eq(channel_update_for(ch, SLICE("none"), SLICE("{}"), LEASE), -ENOENT);
	ck_assert_int_eq(channel_update_for(ch, key, SLICE("{\"n\":8}"), LEASE), 0);
	client_gone(c);
	pass(2 * LEASE);
}
END_TEST

/* A connection is lost: what stays of it is what it has said for good. */
START_TEST(leases_do_not_linger)
{
	struct client *a = client_in(looks_on, "u1"), *b = client_in(is_present_for_long, "u2");

	client_forgets(a);
	ck_assert_int_eq(channel_update_for(probe_channel, SLICE("u2"), SLICE("{\"n\":2}"), LEASE), 0);
	hears_change(a, b, UPDATED("2"), META("1"));
	client_gone(b);
	hears_change(a, b, UPDATED("1"), UPDATED("2"));
	b = client_in(is_present_for_long, "u2");
	client_hears_nothing(a);
	pass(2 * LEASE);
	client_hears_nothing(a);
	ck_assert(stands(probe_channel, "1"));
}
END_TEST

Suite *
channel_presence_suite(void)
{
	Suite *s = suite_create("channel_presence");
	TCase *t = tcase_create("presence");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	tcase_add_test(t, who_looks_on_is_told_a_state);
	tcase_add_test(t, who_is_present_is_in_its_own_state);
	tcase_add_test(t, changes_are_told);
	tcase_add_loop_test(t, it_leaves_with_its_channel, 0, sizeof(endings) / sizeof(endings[0]));
	tcase_add_loop_test(t, the_grace_is_for_the_lost, 0, sizeof(endings) / sizeof(endings[0]));
	tcase_add_test(t, who_comes_back_in_time_was_never_gone);
	tcase_add_test(t, a_join_anew_is_another_presence);
	tcase_add_test(t, only_the_joined_are_present);
	tcase_add_test(t, errors);
	tcase_add_test(t, presences_are_walked);
	tcase_add_test(t, a_class_is_told_of_presences);
	tcase_add_test(t, news_may_end_a_channel);
	tcase_add_test(t, told_and_shown);
	tcase_add_test(t, who_is_there_is_known_before);
	tcase_add_test(t, and_nothing_is_lost_behind);
	tcase_add_loop_test(t, refused_knowing_who_is_there, 0, 2);
	tcase_add_loop_test(t, who_is_there_is_of_no_interest, 0, 2);
	tcase_add_test(t, a_meta_on_lease);
	tcase_add_test(t, a_lease_is_told_twice);
	tcase_add_test(t, leases_end);
	tcase_add_test(t, leases_do_not_linger);
	suite_add_tcase(s, t);
	return s;
}
