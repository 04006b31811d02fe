/*
 * The tracker: windows and what clients see of them, lingering presences, and the replicas of other nodes.
 */
#include <errno.h>

#include "presence_model.h"
#include "turned_by_hand.h"

#include "base/stats.h"
#include "presence/tracker_internal.h"

Suite *tracker_suite(void);

#define N_VIEWERS	8
#define WINDOW		50
#define LOAD		1000
#define GRACE		2000
#define MANY		10000

static struct loop *loop;
static struct pubsub pubsub;
static struct tracker *tracker;
static struct viewer viewers[N_VIEWERS];
static char said[4096];		/* to Redis */
static char refs[64][17];	/* in the order in which they were written */
static unsigned n_refs;
static void (*when_told)(struct subscriber *speaker, const struct presence_news *);

static const struct tracker_options options = { .window_ms = WINDOW, .load_ms = LOAD, .max_metas = 3, .max_meta = 64 };

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
say(const char *fmt, ...)
{
	const size_t n = strlen(said);
	va_list	     ap;

	va_start(ap, fmt);
	vsnprintf(said + n, sizeof(said) - n, fmt, ap);
	va_end(ap);
}

/* Refs are random: they are told by the order in which they came. */
static unsigned
ref_number(struct slice ref)
{
	for (unsigned i = 0; i < n_refs; i++)
		if (slice_is(ref, refs[i]))
			return i + 1;
	if (n_refs < 64)
		snprintf(refs[n_refs++], sizeof(refs[0]), "%.*s", SLICE_ARG(ref));
	return n_refs;
}

static void
on_watch(void *arg, struct slice topic, bool on)
{
	say("%c%.*s;", on ? '+' : '-', SLICE_ARG(topic));
}

static void
on_write(void *arg, struct slice topic, const struct presence_delta *d)
{
	say("%.*s %u>%u", SLICE_ARG(topic), (unsigned)d->from, (unsigned)d->to);
	for (unsigned i = 0; i < d->n_put; i++)
		say(" +%.*s/%u%s", SLICE_ARG(d->put[i].key), ref_number(d->put[i].ref), d->put[i].lingers ? "~" : "");
	for (unsigned i = 0; i < d->n_gone; i++)
		say(" -%.*s/%u", SLICE_ARG(d->gone[i].key), ref_number(d->gone[i].ref));
	say("%s;", d->empty ? " empty" : "");
}

static void
on_read(void *arg, struct slice topic, struct slice node)
{
	say("?%.*s@%.*s;", SLICE_ARG(topic), SLICE_ARG(node));
}

static const struct tracker_sync log_sync = { .watch = on_watch, .write = on_write, .read = on_read };

static void
set_up_with(const struct tracker_sync *sync)
{
	loop = loop_new();
	pubsub_init(&pubsub, loop, broker_local_new());
	tracker = tracker_new(loop, &pubsub, "m", &options, sync, NULL);
	for (int i = 0; i < N_VIEWERS; i++)
		viewer_init(&viewers[i], loop);
	said[0] = '\0';
	n_refs = 0;
	when_told = NULL;
}

static void
set_up_alone(void)
{
	set_up_with(NULL);
}

static void
set_up(void)
{
	set_up_with(&log_sync);
}

static void
tear_down(void)
{
	for (int i = 0; i < N_VIEWERS; i++)
		viewer_done(&viewers[i], &pubsub);
	tracker_free(tracker);
	pubsub_done(&pubsub);
	loop_free(loop);
}

static struct viewer *
enters(int i)
{
	viewer_enter(&viewers[i], tracker, &pubsub, "t", "\"1\"");
	return &viewers[i];
}

static int
tracks(struct viewer *v, const char *key, const char *meta)
{
	return tracker_track(v->member, slice_str(key), slice_str(meta));
}

/* What every client shows, which is what the server does. */
static void
window(void)
{
	autobuf struct buf list = { 0 };
	bool		   exists;

	turn_after(loop, WINDOW + 2 * WHEEL_TICK_MS);
	exists = tracker_list(tracker, SLICE("t"), &list);
	for (int i = 0; i < N_VIEWERS; i++) {
		viewer_reads(&viewers[i]);
		if (viewers[i].member == NULL || viewers[i].model.states == 0)
			continue;
		ck_assert(exists);
		ck_assert_msg(model_equals(&viewers[i].model, buf_slice(&list)), "%.*s", SLICE_ARG(buf_slice(&list)));
	}
}

static void
has_said(const char *want)
{
	ck_assert_str_eq(said, want);
	said[0] = '\0';
}

/* The frames of a client, each as text, one after the other. */
static void
got(struct viewer *v, const char *want)
{
	autobuf struct buf all = { 0 };

	for (unsigned i = 0; i < v->out.n; i++)
		buf_add(&all, frame_body(outq_at(&v->out, i)), frame_body_len(outq_at(&v->out, i)));
	ck_assert_msg(slice_is(buf_slice(&all), want), "%.*s", SLICE_ARG(buf_slice(&all)));
}

START_TEST(an_empty_topic)
{
	struct viewer *v = enters(0);

	ck_assert_uint_eq(v->out.n, 0);
	turn_after(loop, WINDOW / 2);
	ck_assert_uint_eq(v->out.n, 0);
	turn_after(loop, WINDOW);
	got(v, "[\"1\",null,\"t\",\"presence_state\",{}]");
	turn_after(loop, 300);
	ck_assert_uint_eq(v->out.n, 1);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 0);
	ck_assert(!tracker_list(tracker, SLICE("u"), NULL));
}
END_TEST

START_TEST(state_then_diffs)
{
	struct viewer	  *a = enters(0), *b;
	struct slice	   meta;
	autobuf struct buf want = { 0 };

	ck_assert_int_eq(tracks(a, "u1", "{\"n\":\"A\"}"), 0);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 0);
	meta = tracker_meta(a->member, SLICE("u1"));
	turn_after(loop, WINDOW + 20);
	buf_addf(&want, "[\"1\",null,\"t\",\"presence_state\",{\"u1\":{\"metas\":[%.*s]}}]%c", SLICE_ARG(meta), 0);
	got(a, want.p);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 1);
	window();
	b = enters(1);
	ck_assert_int_eq(tracks(b, "u1", "{}"), 0);
	ck_assert_ptr_null(tracker_meta(b->member, SLICE("u2")).p);
	meta = tracker_meta(b->member, SLICE("u1"));
	turn_after(loop, WINDOW + 20);
	want.n = 0;
	buf_addf(&want, "[null,null,\"t\",\"presence_diff\",{\"joins\":{\"u1\":{\"metas\":[%.*s]}},\"leaves\":{}}]%c",
	    SLICE_ARG(meta), 0);
	got(a, want.p);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 1);
	window();
	ck_assert_uint_eq(b->model.n, 2);
	ck_assert_uint_eq(b->model.states, 1);
	ck_assert_uint_eq(b->model.diffs, 0);
	viewer_leave(a, &pubsub, 0);
	window();
	ck_assert_uint_eq(b->model.n, 1);
	ck_assert_uint_eq(b->model.diffs, 1);
	ck_assert_uint_eq(a->model.diffs, 1);
}
END_TEST

START_TEST(no_net_change_is_silent)
{
	struct viewer *a = enters(0), *b, *c;
	char	      *before;

	tracks(a, "u", "{\"x\":1}");
	window();
	b = enters(1);
	c = enters(2);
	tracks(b, "v", "{}");
	tracks(b, "w", "{}");
	tracker_untrack(b->member, SLICE("w"));
	viewer_leave(b, &pubsub, 0);
	before = xstrndup(tracker_meta(a->member, SLICE("u")).p, tracker_meta(a->member, SLICE("u")).n);
	ck_assert_int_eq(tracker_update(a->member, SLICE("u"), SLICE("{ \"x\":1, \"phx_ref\":3 }")), 0);
	ck_assert(slice_is(tracker_meta(a->member, SLICE("u")), before));
	free(before);
	window();
	ck_assert_uint_eq(a->model.diffs, 0);
	ck_assert_uint_eq(b->model.states, 0);
	ck_assert_uint_eq(c->model.states, 1);
	ck_assert_uint_eq(c->model.n, 1);
}
END_TEST

START_TEST(an_update_is_one_diff)
{
	struct viewer	  *a = enters(0), *b = enters(1);
	autobuf struct buf old = { 0 }, want = { 0 };
	struct slice	   now;

	tracks(a, "u", "{\"x\":1}");
	window();
	buf_add_slice(&old, tracker_meta(a->member, SLICE("u")));
	ck_assert_int_eq(tracker_update(a->member, SLICE("u"), SLICE("{\"x\":2}")), 0);
	/* Its ref nobody has seen, so nobody hears of it as the one before. */
	ck_assert_int_eq(tracker_update(a->member, SLICE("u"), SLICE("{\"x\":3}")), 0);
	turn_after(loop, WINDOW + 20);
	now = tracker_meta(a->member, SLICE("u"));
	buf_addf(&want, "[null,null,\"t\",\"presence_diff\",{\"joins\":{\"u\":{\"metas\":[%.*s]}},"
	    "\"leaves\":{\"u\":{\"metas\":[%.*s]}}}]%c", SLICE_ARG(now), SLICE_ARG(buf_slice(&old)), 0);
	got(b, want.p);
	ck_assert(slice_eq(json_member(now, "phx_ref_prev"), json_member(buf_slice(&old), "phx_ref")));
	window();
	ck_assert_uint_eq(b->model.n, 1);
}
END_TEST

static char long_key[258], long_meta[80];

static const struct { const char *key, *meta; int want; } bad[] = {
	{ "k", "{}", 0 }, { "", "{}", -EINVAL }, { long_key, "{}", -EINVAL }, { long_key + 1, "{}", 0 },
	{ "__proto__", "{}", -EINVAL }, { "constructor", "{}", -EINVAL }, { "valueOf", "{}", -EINVAL },
	{ "@linger", "{}", -EINVAL }, { "\xff", "{}", -EINVAL }, { "k", "", -EINVAL }, { "k", "[]", -EINVAL },
	{ "k", "null", -EINVAL }, { "k", "{", -EINVAL }, { "k", "{}x", -EINVAL }, { "k", long_meta, -E2BIG },
	{ "k", " { } ", 0 }, { "5", "{}", 0 }, { "a/b\"\\", "{}", 0 }, { "é", "{}", 0 },
};

START_TEST(what_may_be_tracked)
{
	memset(long_key, 'k', sizeof(long_key) - 1);
	memset(long_meta, ' ', sizeof(long_meta) - 1);
	enters(0);
	ck_assert_int_eq(tracks(&viewers[0], bad[_i].key, bad[_i].meta), bad[_i].want);
	window();
	ck_assert_uint_eq(viewers[0].model.n, bad[_i].want == 0);
}
END_TEST

START_TEST(errors_of_members)
{
	struct viewer *v[4];

	for (int i = 0; i < 4; i++)
		v[i] = enters(i);
	ck_assert_int_eq(tracks(v[0], "k", "{}"), 0);
	ck_assert_int_eq(tracks(v[0], "k", "{}"), -EEXIST);
	ck_assert_int_eq(tracker_update(v[0]->member, SLICE("k"), SLICE("[]")), -EINVAL);
	ck_assert_int_eq(tracker_update(v[1]->member, SLICE("k"), SLICE("{}")), -ENOENT);
	ck_assert_int_eq(tracker_untrack(v[1]->member, SLICE("k")), 0);
	ck_assert_int_eq(tracks(v[1], "k", "{}"), 0);
	ck_assert_int_eq(tracks(v[2], "k", "{}"), 0);
	ck_assert_int_eq(tracks(v[3], "k", "{}"), -ENOSPC);
	ck_assert_int_eq(tracker_update(v[2]->member, SLICE("k"), SLICE("{\"a\":1}")), 0);
	window();
	ck_assert_uint_eq(v[3]->model.n, 3);
}
END_TEST

static const struct { const char *in, *want; } metas[] = {
	{ "{}", "{\"phx_ref\":" }, { "{\"a\": 1, \"b\":[ ]}", "{\"a\":1,\"b\":[ ],\"phx_ref\":" },
	{ "{\"phx_ref\":\"x\"}", "{\"phx_ref\":" }, { "{\"phx_ref_prev\":{},\"a\":1}", "{\"a\":1,\"phx_ref\":" },
	{ "{\"a\":1,\"phx_\\u0072ef\":1}", "{\"a\":1,\"phx_ref\":" },
	{ "{\"phx_refs\":1}", "{\"phx_refs\":1,\"phx_ref\":" },
};

START_TEST(the_servers_members)
{
	struct viewer *v = enters(0);
	struct slice   meta;

	ck_assert_int_eq(tracks(v, "k", metas[_i].in), 0);
	meta = tracker_meta(v->member, SLICE("k"));
	ck_assert(slice_starts(meta, slice_str(metas[_i].want)));
	ck_assert_uint_eq(meta.n, strlen(metas[_i].want) + 16 + 3);
	ck_assert_ptr_null(json_member(meta, "phx_ref_prev").p);
	window();
}
END_TEST

START_TEST(who_does_not_hear)
{
	struct viewer *a = enters(0), *b = enters(1), *c = enters(2);

	/* It goes while its state is owed; another hears nothing any more; a third is not subscribed any more. */
	viewer_leave(a, &pubsub, 0);
	hub_deafen(&b->sub);
	hub_unsubscribe(&pubsub.hub, &c->sub);
	enters(3);
	tracks(&viewers[3], "k", "{}");
	window();
	ck_assert_uint_eq(a->model.states + b->model.states + c->model.states, 0);
	ck_assert_uint_eq(viewers[3].model.n, 1);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 1);
}
END_TEST

static struct viewer *goes_when_asked;

/* A diff is passed on by a callback, in which the world changes. */
static void
on_intercept(struct subscriber *who, struct slice event, const struct message *m)
{
	struct viewer *goes = goes_when_asked;

	goes_when_asked = NULL;
	if (goes == NULL)
		return;
	viewer_leave(goes, &pubsub, 0);
	tracks(enters(5), "new", "{}");
}

START_TEST(callbacks_may_change_all)
{
	static const char *const events[] = { "presence_diff", NULL };

	pubsub.hub.on_intercept = on_intercept;
	viewers[0].sub.intercepts = events;
	enters(0);
	turn_after(loop, WINDOW + 20);
	tracks(enters(1), "k", "{}");
	enters(2);
	goes_when_asked = &viewers[_i];
	turn_after(loop, WINDOW + 20);
	ck_assert_ptr_null(viewers[_i].member);
	viewer_reads(&viewers[2]);
	ck_assert_uint_eq(viewers[2].model.n, 1);
	ck_assert_uint_eq(viewers[2].model.states, 1);
	ck_assert_uint_eq(viewers[5].out.n, 1);
	if (viewers[0].member != NULL)
		viewer_leave(&viewers[0], &pubsub, 0);
	window();
	ck_assert_uint_eq(viewers[2].model.n, _i == 0 ? 2 : 1);
}
END_TEST

START_TEST(a_join_ref_each)
{
	static const char *const join_refs[] = { "\"2\"", "\"1\"", "null", "7", "\"1\"", "\"2\"" };
	char			 want[128];
	struct frame		*frames[6];

	for (int i = 0; i < 6; i++)
		viewer_enter(&viewers[i], tracker, &pubsub, "t", join_refs[i]);
	turn_after(loop, WINDOW + 20);
	for (int i = 0; i < 6; i++) {
		snprintf(want, sizeof(want), "[%s,null,\"t\",\"presence_state\",{}]", join_refs[i]);
		got(&viewers[i], want);
		frames[i] = outq_at(&viewers[i].out, 0);
	}
	ck_assert_ptr_eq(frames[0], frames[5]);
	ck_assert_ptr_eq(frames[1], frames[4]);
}
END_TEST

START_TEST(ten_thousand)
{
	struct viewer	  *crowd = xcalloc(MANY, sizeof(*crowd));
	autobuf struct buf list = { 0 };
	char		   key[16];

	enters(0);
	window();
	for (int i = 0; i < MANY; i++) {
		viewer_init(&crowd[i], loop);
		viewer_enter(&crowd[i], tracker, &pubsub, "t", "\"1\"");
		snprintf(key, sizeof(key), "u%d", i);
		ck_assert_int_eq(tracks(&crowd[i], key, "{\"name\":\"x\"}"), 0);
	}
	turn_after(loop, WINDOW + 20);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), MANY);
	ck_assert_uint_eq(viewers[0].out.n, 1);
	for (int i = 0; i < MANY; i++) {
		ck_assert_uint_eq(crowd[i].out.n, 1);
		ck_assert_ptr_eq(outq_at(&crowd[i].out, 0), outq_at(&crowd[0].out, 0));
		outq_clear_unsent(&crowd[i].out);
	}
	/* The window has become longer, by as much as it may. */
	turn_after(loop, 0);
	tracker_untrack(crowd[7].member, SLICE("u7"));
	turn_after(loop, WINDOW + 20);
	ck_assert_uint_eq(viewers[0].out.n, 1);
	turn_after(loop, 300);
	ck_assert_uint_eq(viewers[0].out.n, 2);
	outq_clear_unsent(&viewers[0].out);
	for (int i = 0; i < MANY; i++) {
		outq_clear_unsent(&crowd[i].out);
		viewer_done(&crowd[i], &pubsub);
	}
	turn_after(loop, WINDOW + 320);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 0);
	outq_clear_unsent(&viewers[0].out);
	loop_end_turn(loop);
	free(crowd);
}
END_TEST

START_TEST(states_wait_for_the_others)
{
	struct viewer *a = enters(0);

	has_said("+t;");
	tracks(a, "k", "{}");
	window();
	has_said("t 0>1 +k/1;");
	enters(1);
	window();
	ck_assert_uint_eq(a->model.states, 0);
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 1);
	if (_i == 0)
		tracker_loaded(tracker, SLICE("t"), NULL, 0);
	else
		turn_after(loop, LOAD - 2 * WINDOW - 20);
	turn_after(loop, 0);
	window();
	ck_assert_uint_eq(a->model.states, 1);
	ck_assert_uint_eq(viewers[1].model.n, 1);
	enters(2);
	window();
	ck_assert_uint_eq(viewers[2].model.n, 1);
	tracker_loaded(tracker, SLICE("t"), NULL, 0);
	ck_assert_uint_eq(a->model.states, 1);
}
END_TEST

START_TEST(what_redis_is_told)
{
	struct viewer *a = enters(0), *b;

	tracks(a, "k", "{}");
	tracks(a, "l", "{}");
	tracker_untrack(a->member, SLICE("l"));
	window();
	has_said("+t;t 0>1 +k/1;");
	b = enters(1);
	tracks(b, "m", "{}");
	window();
	has_said("t 1>2 +m/2;");
	tracker_update(b->member, SLICE("m"), SLICE("{\"a\":1}"));
	window();
	has_said("t 2>3 +m/3 -m/2;");
	tracker_untrack(b->member, SLICE("m"));
	tracker_untrack(a->member, SLICE("k"));
	window();
	has_said("t 3>4 -m/3 -k/1 empty;");
	tracker_rewrite(tracker, 7);
	has_said("");
	tracks(a, "n", "{}");
	window();
	has_said("t 0>5 +n/4;");
	tracks(b, "o", "{}");
	tracker_rewrite(tracker, 8);
	ck_assert_ptr_nonnull(strstr(said, "t 0>6 "));
	ck_assert_ptr_nonnull(strstr(said, "+n/4"));
	ck_assert_ptr_nonnull(strstr(said, "+o/5"));
	said[0] = '\0';
	window();
	has_said("");
	tracker_untrack(b->member, SLICE("o"));
	tracker_rewrite_topic(tracker, SLICE("t"));
	has_said("t 0>7 +n/4;");
	window();
	viewer_leave(a, &pubsub, 0);
	viewer_leave(b, &pubsub, 0);
	window();
	has_said("t 7>8 -n/4 empty;-t;");
	tracker_rewrite_topic(tracker, SLICE("t"));
	has_said("t 0>9 empty;");
}
END_TEST

START_TEST(lingering_and_back)
{
	struct viewer *a = enters(0), *b = enters(1);

	tracks(a, "k", "{\"x\":1,\"online_at\":5}");
	tracks(b, "l", "{}");
	window();
	viewer_leave(a, &pubsub, GRACE);
	window();
	ck_assert_uint_eq(b->model.diffs, 0);
	a = enters(0);
	tracks(a, "k", _i == 0 ? "{\"x\":1,\"online_at\":9}" : "{\"x\":2,\"online_at\":5}");
	window();
	ck_assert_uint_eq(b->model.diffs, (unsigned)_i);
	ck_assert_uint_eq(b->model.n, 2);
	turn_after(loop, 2 * GRACE);
	window();
	ck_assert_uint_eq(b->model.n, 2);
	tracker_untrack(a->member, SLICE("k"));
	window();
	ck_assert_uint_eq(b->model.n, 1);
}
END_TEST

START_TEST(the_oldest_is_taken_over)
{
	struct viewer	  *a = enters(0), *b = enters(1), *c = enters(2);
	autobuf struct buf first = { 0 };

	tracks(a, "k", "{}");
	tracks(b, "k", "{}");
	buf_add_slice(&first, tracker_meta(a->member, SLICE("k")));
	window();
	viewer_leave(b, &pubsub, GRACE);
	viewer_leave(a, &pubsub, GRACE);
	tracks(c, "k", "{}");
	ck_assert(slice_eq(tracker_meta(c->member, SLICE("k")), buf_slice(&first)));
	ck_assert_int_eq(tracks(c, "k", "{}"), -EEXIST);
	window();
	ck_assert_uint_eq(c->model.n, 2);
	turn_after(loop, GRACE);
	window();
	ck_assert_uint_eq(c->model.n, 1);
}
END_TEST

START_TEST(a_topic_lives_for_what_lingers)
{
	struct viewer *a = enters(0);

	tracks(a, "k", "{}");
	window();
	has_said("+t;t 0>1 +k/1;");
	viewer_leave(a, &pubsub, GRACE);
	window();
	has_said("t 1>2 +k/1~;");
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 1);
	turn_after(loop, GRACE);
	window();
	has_said("t 2>3 -k/1 empty;-t;");
	/* And one that is taken over in time. */
	a = enters(0);
	tracks(a, "k", "{}");
	window();
	viewer_leave(a, &pubsub, GRACE);
	window();
	a = enters(0);
	tracks(a, "k", "{}");
	said[0] = '\0';
	window();
	has_said("t 5>6 +k/2;");
	viewer_leave(a, &pubsub, GRACE);
}
END_TEST

/* Another node's presence, as it comes over the bus. */
static struct presence_item
item(const char *key, const char *ref, bool lingers)
{
	static char meta[8][64];
	static int  at;

	at = (at + 1) % 8;
	snprintf(meta[at], sizeof(meta[at]), "{\"phx_ref\":\"%s\"}", ref);
	return (struct presence_item){
		.key = slice_str(key), .ref = slice_str(ref), .meta = slice_str(meta[at]), .lingers = lingers,
	};
}

static void
delta(const char *node, uint64_t epoch, uint64_t from, uint64_t to, const char *put, const char *gone)
{
	struct presence_item  in = item("r", put != NULL ? put : "", false);
	struct presence_item  out = { .key = SLICE("r"), .ref = slice_str(gone) };
	struct presence_delta d = {
		.from = from, .to = to, .put = &in, .n_put = put != NULL, .gone = &out, .n_gone = gone != NULL,
	};

	tracker_delta(tracker, SLICE("t"), slice_str(node), epoch, &d);
}

static void
reads(const char *node, uint64_t epoch, uint64_t version, const char *ref)
{
	struct presence_item in = item("r", ref != NULL ? ref : "", false);

	tracker_read(tracker, SLICE("t"), slice_str(node), epoch, version, &in, ref != NULL);
}

/* The refs that clients see, in alphabetical order. */
static void
sees(const char *want)
{
	char   text[64] = "";
	size_t n = 0;

	window();
	for (char c = 'a'; c <= 'z'; c++) {
		char token[] = { '"', c, '"', '\0' };

		if (model_find(&viewers[0].model, slice_str(token)) >= 0)
			text[n++] = c;
	}
	ck_assert_str_eq(text, want);
}

static void
look_on(void)
{
	enters(0);
	tracker_loaded(tracker, SLICE("t"), NULL, 0);
	tracker_node(tracker, SLICE("n"), 10, true);
	window();
	has_said("+t;");
}

START_TEST(deltas_in_order)
{
	look_on();
	delta("n", 10, 0, 5, "a", NULL);
	sees("a");
	delta("n", 10, 5, 6, "b", NULL);
	sees("ab");
	delta("n", 10, 6, 9, "c", "a");
	sees("bc");
	has_said("");
	/* Again, and older ones. */
	delta("n", 10, 0, 5, "a", NULL);
	delta("n", 10, 6, 9, "c", "a");
	delta("n", 9, 0, 99, "x", NULL);
	sees("bc");
	has_said("");
	/* All of it, under a newer version, and a newer epoch. */
	delta("n", 10, 0, 12, "c", NULL);
	sees("c");
	delta("n", 11, 0, 3, "c", NULL);
	ck_assert_uint_eq(viewers[0].model.diffs, 4);
	sees("c");
	ck_assert_uint_eq(viewers[0].model.diffs, 4);
	/* Ours are not for us; nor is a topic that nobody looks at. */
	delta("m", 11, 0, 3, "x", NULL);
	tracker_delta(tracker, SLICE("u"), SLICE("n"), 11, &(struct presence_delta){ .to = 4, .empty = true });
	sees("c");
	tracker_delta(tracker, SLICE("t"), SLICE("n"), 11, &(struct presence_delta){ .from = 8, .to = 9, .empty = true });
	sees("");
	has_said("");
}
END_TEST

START_TEST(gaps_are_read)
{
	look_on();
	delta("n", 10, 4, 5, "x", NULL);
	has_said("?t@n;");
	delta("n", 10, 5, 6, "x", NULL);
	has_said("");
	/* What was read is older than what was heard meanwhile. */
	reads("n", 10, 5, "a");
	has_said("?t@n;");
	reads("n", 10, 6, "b");
	sees("b");
	delta("n", 10, 7, 8, "x", NULL);
	has_said("?t@n;");
	/* Once more, then it is believed. */
	reads("n", 10, 7, "c");
	has_said("?t@n;");
	reads("n", 10, 7, "c");
	has_said("");
	sees("c");
	/* An answer that is older than what we have. */
	reads("n", 10, 6, "b");
	reads("n", 9, 60, "b");
	sees("c");
	tracker_heard(tracker, SLICE("t"), SLICE("n"), 10, 7);
	has_said("");
	tracker_heard(tracker, SLICE("t"), SLICE("n"), 10, 9);
	has_said("?t@n;");
	reads("n", 10, 9, "d");
	delta("n", 12, 3, 4, "x", NULL);
	has_said("?t@n;");
	reads("n", 12, 4, "e");
	sees("e");
	has_said("");
}
END_TEST

/* The first that a node had to tell was lost: its heartbeat tells that there is something. */
START_TEST(heard_of_alone)
{
	look_on();
	tracker_heard(tracker, SLICE("t"), SLICE("n"), 10, 1);
	has_said("?t@n;");
	tracker_heard(tracker, SLICE("t"), SLICE("n"), 10, 1);
	has_said("");
	reads("n", 10, 1, "a");
	sees("a");
	tracker_heard(tracker, SLICE("t"), SLICE("n"), 10, 1);
	has_said("");
}
END_TEST

START_TEST(no_hash)
{
	look_on();
	delta("n", 10, 0, 5, "a", NULL);
	window();
	reads("n", 0, 0, NULL);
	sees("a");
	turn_after(loop, 1000);
	reads("n", 0, 0, NULL);
	has_said("");
	turn_after(loop, 1500);
	has_said("?t@n;");
	if (_i == 0)
		reads("n", 0, 0, NULL);
	else if (_i == 1)
		reads("n", 10, 6, "a");
	else
		delta("n", 10, 0, 6, "a", NULL);
	sees(_i == 0 ? "" : "a");
	/* Under another epoch than that of what we have, it is believed at once. */
	delta("n", 10, 0, 7, "b", NULL);
	window();
	tracker_node(tracker, SLICE("n"), 11, true);
	has_said("?t@n;");
	reads("n", 0, 0, NULL);
	sees("");
	reads("o", 0, 0, NULL);
	tracker_loaded(tracker, SLICE("t"), NULL, 0);
	has_said("");
}
END_TEST

START_TEST(less_than_we_have)
{
	look_on();
	delta("n", 10, 0, 5, "a", NULL);
	/* Nobody wrote that. */
	delta("n", _i == 0 ? 10 : 77, 0, 99, "x", NULL);
	sees("x");
	reads("n", 10, 5, "a");
	reads("n", 10, 5, "a");
	sees("x");
	has_said("");
	turn_after(loop, 2500);
	has_said("?t@n;");
	reads("n", 10, 5, "a");
	sees("a");
	delta("n", 10, 5, 6, "b", NULL);
	sees("ab");
	has_said("");
	/* An answer that was overtaken. */
	reads("n", 10, 5, "a");
	delta("n", 10, 6, 7, "c", NULL);
	turn_after(loop, 3000);
	has_said("");
	reads("n", 10, 6, "a");
	sees("abc");
	reads("n", 10, 7, "c");
	turn_after(loop, 3000);
	sees("c");
	has_said("");
}
END_TEST

START_TEST(nodes_come_and_go)
{
	struct slice names[] = { SLICE("n") };

	look_on();
	/* Before the cluster knows it, it is not seen. */
	delta("o", 20, 0, 1, "o", NULL);
	delta("n", 10, 0, 1, "n", NULL);
	sees("n");
	tracker_node(tracker, SLICE("o"), 20, true);
	sees("no");
	has_said("");
	tracker_node(tracker, SLICE("n"), 10, false);
	sees("o");
	ck_assert_uint_eq(viewers[0].model.leaves, 1);
	/* What comes late of the dead. */
	delta("n", 10, 1, 2, "x", NULL);
	reads("n", 10, 1, "n");
	tracker_heard(tracker, SLICE("t"), SLICE("n"), 10, 7);
	sees("o");
	has_said("");
	/* It is back under the same epoch: read; under a newer one: it was heard already. */
	tracker_node(tracker, SLICE("n"), 10, true);
	has_said("?t@n;");
	reads("n", 10, 3, "n");
	sees("no");
	tracker_node(tracker, SLICE("n"), 10, false);
	sees("o");
	delta("n", 11, 0, 4, "n", NULL);
	sees("o");
	tracker_node(tracker, SLICE("n"), 11, true);
	sees("no");
	tracker_node(tracker, SLICE("n"), 10, false);
	sees("no");
	/* Renewed: the old is read again. */
	tracker_node(tracker, SLICE("n"), 12, true);
	has_said("?t@n;");
	reads("n", 12, 1, "p");
	sees("op");
	tracker_resync(tracker);
	ck_assert_uint_eq(strlen(said), strlen("?t@n;?t@o;"));
	/* Not named: it holds nothing, but that is looked at twice. */
	tracker_loaded(tracker, SLICE("t"), names, 1);
	sees("op");
	turn_after(loop, 3000);
	reads("o", 0, 0, NULL);
	sees("p");
	tracker_node(tracker, SLICE("m"), 5, false);
	sees("p");
}
END_TEST

static struct { char text[256]; } audited;

static void
on_audit(void *arg, struct slice topic, struct slice node, uint64_t epoch, uint64_t version)
{
	const size_t n = strlen(audited.text);

	snprintf(audited.text + n, sizeof(audited.text) - n, "%.*s@%.*s %u:%u;", SLICE_ARG(topic), SLICE_ARG(node),
	    (unsigned)epoch, (unsigned)version);
}

START_TEST(audits_go_round)
{
	look_on();
	tracker_rewrite(tracker, 5);
	delta("n", 10, 0, 5, "a", NULL);
	tracks(&viewers[0], "k", "{}");
	viewer_enter(&viewers[1], tracker, &pubsub, "u", "1");
	window();
	tracker_audit(tracker, 1, on_audit, NULL);
	ck_assert_str_eq(audited.text, "t@ 5:1;t@n 10:5;");
	audited.text[0] = '\0';
	tracker_audit(tracker, 100, on_audit, NULL);
	ck_assert_str_eq(audited.text, "u@ 5:0;t@ 5:1;t@n 10:5;");
	tracker_delta(tracker, SLICE("t"), SLICE("n"), 10, &(struct presence_delta){ .from = 5, .to = 6, .empty = true });
	audited.text[0] = '\0';
	tracker_audit(tracker, 2, on_audit, NULL);
	ck_assert_str_eq(audited.text, "u@ 5:0;t@ 5:1;t@n 10:0;");
}
END_TEST

static void
linger_at(const char *node, uint64_t from, uint64_t to, const char *ref, bool lingers)
{
	struct presence_item  in = item("r", ref, lingers);
	struct presence_delta d = { .from = from, .to = to, .put = &in, .n_put = 1 };

	tracker_delta(tracker, SLICE("t"), slice_str(node), 10, &d);
}

START_TEST(taken_over_from_another)
{
	look_on();
	linger_at("n", 0, 1, "a", false);
	window();
	linger_at("n", 1, 2, "a", true);
	sees("a");
	ck_assert_int_eq(tracks(&viewers[0], "r", "{}"), 0);
	ck_assert(slice_is(tracker_meta(viewers[0].member, SLICE("r")), "{\"phx_ref\":\"a\"}"));
	sees("a");
	has_said("t 0>1 +r/1;");
	/* It lets go, or dies before that. */
	if (_i == 0)
		delta("n", 10, 2, 3, NULL, "a");
	else
		tracker_node(tracker, SLICE("n"), 10, false);
	sees("a");
	ck_assert_uint_eq(viewers[0].model.diffs, 1);
	tracker_untrack(viewers[0].member, SLICE("r"));
	sees("");
	has_said("t 1>2 -r/1 empty;");
}
END_TEST

START_TEST(taken_over_and_changed)
{
	look_on();
	linger_at("n", 0, 1, "a", true);
	sees("a");
	ck_assert_int_eq(tracks(&viewers[0], "r", "{\"x\":1}"), 0);
	ck_assert(slice_is(json_member(tracker_meta(viewers[0].member, SLICE("r")), "phx_ref_prev"), "\"a\""));
	sees("");
	ck_assert_uint_eq(viewers[0].model.n, 1);
	ck_assert_uint_eq(viewers[0].model.diffs, 2);
	delta("n", 10, 1, 2, NULL, "a");
	sees("");
	ck_assert_uint_eq(viewers[0].model.diffs, 2);
}
END_TEST

/* Another node takes over what lingers here: as it is, or changed. */
START_TEST(taken_over_by_another)
{
	char		      ref[17], meta[128];
	struct presence_item  in = { .key = SLICE("k") };
	struct presence_delta d = { .to = 1, .put = &in, .n_put = 1 };

	look_on();
	enters(1);
	tracks(&viewers[1], "k", "{}");
	snprintf(ref, sizeof(ref), "%.*s", 16, tracker_meta(viewers[1].member, SLICE("k")).p + strlen("{\"phx_ref\":\""));
	window();
	viewer_leave(&viewers[1], &pubsub, GRACE);
	window();
	said[0] = '\0';
	snprintf(meta, sizeof(meta), _i == 0 ? "{\"phx_ref\":\"%s\"}" : "{\"phx_ref\":\"z\",\"phx_ref_prev\":\"%s\"}", ref);
	in.ref = _i == 0 ? slice_str(ref) : SLICE("z");
	in.meta = slice_str(meta);
	tracker_delta(tracker, SLICE("t"), SLICE("n"), 10, &d);
	sees(_i == 0 ? "" : "z");
	has_said("t 2>3 -k/1 empty;");
	ck_assert_uint_eq(viewers[0].model.n, 1);
	ck_assert_uint_eq(viewers[0].model.diffs, _i == 0 ? 1 : 2);
	turn_after(loop, GRACE);
	window();
	ck_assert_uint_eq(viewers[0].model.n, 1);
}
END_TEST

/* Two nodes took over the same ref at once: the one whose name is greater gives way. */
START_TEST(taken_over_twice)
{
	const char *other = _i == 0 ? "a" : "z";

	look_on();
	tracker_node(tracker, slice_str(other), 10, true);
	linger_at("n", 0, 1, "a", true);
	tracks(&viewers[0], "r", "{}");
	sees("a");
	linger_at(other, 0, 1, "a", false);
	delta("n", 10, 1, 2, NULL, "a");
	sees("a");
	ck_assert_uint_eq(viewers[0].model.n, _i == 0 ? 2 : 1);
	viewer_leave(&viewers[0], &pubsub, 0);
	enters(0);
	window();
	ck_assert_uint_eq(viewers[0].model.n, 1);
}
END_TEST

/* Whoever came and went makes room; who is up, or holds something, stays known. */
START_TEST(nodes_are_forgotten)
{
	char name[16];

	look_on();
	delta("n", 10, 0, 1, "n", NULL);
	delta("o", 20, 0, 1, "o", NULL);
	tracker_node(tracker, SLICE("p"), 5, true);
	for (unsigned i = 0; i < 2 * PRESENCE_MAX_NODES; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		tracker_node(tracker, slice_str(name), 1, true);
		tracker_node(tracker, slice_str(name), 1, false);
	}
	ck_assert_uint_eq(tracker->nodes_by_name.n, PRESENCE_MAX_NODES);
	sees("n");
	tracker_node(tracker, SLICE("o"), 20, true);
	sees("no");
	delta("p", 5, 0, 1, "p", NULL);
	sees("nop");
}
END_TEST

START_TEST(freed_with_what_lingers)
{
	struct viewer *v = enters(0);

	tracks(v, "a", "{}");
	window();
	viewer_leave(v, &pubsub, GRACE);
	delta("n", 10, 0, 5, "a", NULL);
	tracker_free(tracker);
	tracker = NULL;
	turn_after(loop, 2 * GRACE);
}
END_TEST

static bool
count_to(void *arg, struct slice key, struct slice meta)
{
	unsigned *left = arg;

	ck_assert_uint_eq(key.n, 1);
	ck_assert(slice_starts(meta, SLICE("{\"phx_ref\":")));
	return --*left > 0;
}

START_TEST(each)
{
	struct viewer *v = enters(0);
	unsigned       left = 10;

	tracks(v, "a", "{}");
	tracks(v, "b", "{}");
	tracker_each(tracker, SLICE("t"), count_to, &left);
	ck_assert_uint_eq(left, 10);
	window();
	tracker_each(tracker, SLICE("t"), count_to, &left);
	ck_assert_uint_eq(left, 8);
	left = 1;
	tracker_each(tracker, SLICE("t"), count_to, &left);
	ck_assert_uint_eq(left, 0);
	tracker_each(tracker, SLICE("u"), count_to, &left);
}
END_TEST

/* Quiet topics. What is news is said as "!KEY =WAS +NEW -GONE @VIEWER;", metas by their "n", or their ref. */

static void
say_metas(char sign, const struct slice *meta, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct slice number = json_member(meta[i], "n"), ref = json_member(meta[i], "phx_ref");

		ck_assert_uint_gt(ref.n, 2);
		if (number.p == NULL)
			say(" %c%.*s", sign, (int)ref.n - 2, ref.p + 1);
		else
			say(" %c%.*s", sign, SLICE_ARG(number));
	}
}

/* Whoever tracks the new ones is known, if it is here; the newest of them is named apart. */
static void
check_owners(const struct presence_news *news)
{
	struct subscriber *by = NULL;

	for (unsigned i = 0; i < news->n_new; i++)
		by = news->owners[i] != NULL ? news->owners[i] : by;
	ck_assert_ptr_eq(by, news->by);
}

static void
on_news(struct subscriber *speaker, const struct presence_news *news)
{
	check_owners(news);
	ck_assert(speaker->topic != NULL && !speaker->deaf);
	ck_assert_uint_gt(news->n_new + news->n_gone, 0);
	say("!%.*s", SLICE_ARG(news->key));
	say_metas('=', news->metas, news->n - news->n_new);
	say_metas('+', news->metas + news->n - news->n_new, news->n_new);
	say_metas('-', news->gone, news->n_gone);
	if (news->by != NULL)
		say(" @%d", (int)(container_of(news->by, struct viewer, sub) - viewers));
	say(";");
	if (when_told != NULL)
		when_told(speaker, news);
}

static struct viewer *
enters_as(int i, enum presence_ways ways)
{
	viewer_enter_as(&viewers[i], tracker, &pubsub, "t", "\"1\"", ways);
	tracker_set_news(tracker, on_news);
	return &viewers[i];
}

static struct viewer *
enters_quietly(int i)
{
	return enters_as(i, PRESENCE_NEWS);
}

/* After a window that is what was told to the owner; and nobody else. */
static void
hears_news(const char *want)
{
	turn_after(loop, WINDOW + 2 * WHEEL_TICK_MS);
	has_said(want);
	for (int i = 0; i < N_VIEWERS; i++)
		ck_assert_uint_eq(viewers[i].out.n, 0);
}

START_TEST(news_of_all_that_members_do)
{
	struct viewer	  *a = enters_quietly(0), *b = enters_quietly(1);
	autobuf struct buf list = { 0 };

	hears_news("");
	tracks(a, "u", "{\"n\":1}");
	has_said("");
	hears_news("!u +1 @0;");
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 1);
	ck_assert(tracker_list(tracker, SLICE("t"), &list));
	ck_assert(slice_starts(buf_slice(&list), SLICE("{\"u\":{\"metas\":[{\"n\":1,\"phx_ref\":")));
	tracker_update(a->member, SLICE("u"), SLICE("{\"n\":2}"));
	hears_news("!u +2 -1 @0;");
	tracker_update(a->member, SLICE("u"), SLICE("{\"n\":2}"));
	hears_news("");
	tracks(b, "u", "{\"n\":3}");
	hears_news("!u =2 +3 @1;");
	tracker_update(a->member, SLICE("u"), SLICE("{\"n\":4}"));
	hears_news("!u =3 +4 -2 @0;");
	tracker_untrack(b->member, SLICE("u"));
	hears_news("!u =4 -3;");
	tracks(a, "v", "{\"n\":5}");
	tracks(b, "v", "{\"n\":6}");
	hears_news("!v +5 +6 @1;");
	viewer_leave(a, &pubsub, 0);
	hears_news("!u -4;!v =6 -5;");
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 1);
	/* Nobody is here to hear of it. */
	viewer_leave(b, &pubsub, 0);
	hears_news("");
	ck_assert_ptr_null(tracker_topic(tracker, SLICE("t")));
}
END_TEST

START_TEST(no_news_within_a_window)
{
	struct viewer *a = enters_quietly(0), *b = enters_quietly(1);

	tracks(a, "u", "{\"n\":1}");
	tracker_untrack(a->member, SLICE("u"));
	tracks(b, "v", "{\"n\":2}");
	viewer_leave(b, &pubsub, 0);
	hears_news("");
	ck_assert_uint_eq(tracker_topic(tracker, SLICE("t"))->view.keys.n, 0);
	tracks(a, "u", "{\"n\":3}");
	tracker_update(a->member, SLICE("u"), SLICE("{\"n\":4}"));
	hears_news("!u +4 @0;");
	tracker_untrack(a->member, SLICE("u"));
	tracks(a, "u", "{\"n\":5}");
	hears_news("!u +5 -4 @0;");
	/* What lingers is there; who comes back was. */
	enters_quietly(1);
	viewer_leave(a, &pubsub, GRACE);
	hears_news("");
	enters_quietly(0);
	tracks(a, "u", "{\"n\":5}");
	hears_news("");
	viewer_leave(a, &pubsub, GRACE);
	tracks(&viewers[1], "u", "{\"n\":6}");
	hears_news("!u +6 -5 @1;");
	viewer_leave(&viewers[1], &pubsub, GRACE);
	enters_quietly(0);
	turn_after(loop, 2 * GRACE);
	hears_news("!u -6;");
}
END_TEST

/* Whoever is told goes; what else there is to tell is told another one, until there is none. */
static void
speaker_leaves(struct subscriber *speaker, const struct presence_news *news)
{
	viewer_leave(container_of(speaker, struct viewer, sub), &pubsub, 0);
}

/* What is told again and again, a window each. */
static void
tracks_another(struct subscriber *speaker, const struct presence_news *news)
{
	struct presence_member *m = container_of(speaker, struct viewer, sub)->member;

	tracker_untrack(m, news->key);
	tracker_track(m, SLICE("w"), SLICE("{\"n\":7}"));
	tracker_update(m, SLICE("v"), SLICE("{\"n\":8}"));
}

START_TEST(news_that_change_all)
{
	struct viewer *a = enters_quietly(0), *b = enters_quietly(1);

	if (_i == 0) {
		tracks(a, "u", "{\"n\":1}");
		tracks(b, "v", "{\"n\":2}");
		when_told = speaker_leaves;
		hears_news("!u +1 @0;!v +2 @1;");
		ck_assert_ptr_null(a->member);
		ck_assert_ptr_null(b->member);
		hears_news("");
		ck_assert_ptr_null(tracker_topic(tracker, SLICE("t")));
		return;
	}
	tracks(a, "u", "{\"n\":1}");
	tracks(a, "v", "{\"n\":2}");
	when_told = tracks_another;
	hears_news("!u +1 @0;!v +8 @0;");
	hears_news("!u -1;!w +7 @0;!v -8;");
	when_told = NULL;
	tracker_untrack(a->member, SLICE("w"));
	hears_news("!w -7;");
	ck_assert_uint_eq(tracker_topic(tracker, SLICE("t"))->view.keys.n, 0);
}
END_TEST

/* What the others hold when it is looked at first; told by Redis (0), or only after we have waited for that. */
START_TEST(news_are_not_what_was_there)
{
	struct viewer	    *a = enters_quietly(0);
	struct slice	     names[] = { SLICE("n"), SLICE("o") };
	struct presence_item in[] = { item("k", "x", false), item("l", "y", false) };

	has_said("+t;");
	tracker_node(tracker, SLICE("n"), 10, true);
	tracks(a, "k", "{\"n\":1}");
	tracks(a, "m", "{\"n\":2}");
	window();
	said[0] = '\0';
	delta("n", 10, 0, 1, "a", NULL);
	delta("o", 20, 0, 1, "o", NULL);
	hears_news("");
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 0);
	if (_i == 0) {
		tracker_read(tracker, SLICE("t"), SLICE("n"), 10, 2, in, 2);
		tracker_loaded(tracker, SLICE("t"), names, 2);
		hears_news("!k =x +1 @0;!m +2 @0;");
		ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 3);
		/* The same, had its node not been known then. */
		tracker_node(tracker, SLICE("o"), 20, true);
		hears_news("");
		ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 4);
	} else {
		/* Redis does not answer: at last we tell what we know. */
		turn_after(loop, LOAD);
		hears_news("!k +1 @0;!m +2 @0;");
		ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 3);
		tracker_read(tracker, SLICE("t"), SLICE("n"), 10, 2, in, 2);
		hears_news("!k =1 +x;!l +y;!r -a;");
	}
	delta("n", 10, 2, 3, "b", "x");
	hears_news(_i == 0 ? "!r =o +b;!k =1 -x;" : "!r +b;!k =1 -x;");
}
END_TEST

START_TEST(news_of_other_nodes)
{
	struct viewer *a = enters_quietly(0);

	tracker_loaded(tracker, SLICE("t"), NULL, 0);
	tracker_node(tracker, SLICE("n"), 10, true);
	hears_news("+t;");
	delta("n", 10, 0, 1, "a", NULL);
	hears_news("!r +a;");
	delta("n", 10, 1, 2, "b", NULL);
	tracks(a, "r", "{\"n\":1}");
	hears_news("t 0>1 +r/1;!r =a +b +1 @0;");
	delta("n", 10, 2, 3, "c", "a");
	hears_news("!r =b =1 +c -a;");
	/* It dies, and is back with what it had, or something else. */
	tracker_node(tracker, SLICE("n"), 10, false);
	hears_news("!r =1 -b -c;");
	tracker_node(tracker, SLICE("n"), 11, true);
	reads("n", 11, 4, "b");
	hears_news("?t@n;!r =1 +b;");
	/* Between two windows it was never gone. */
	tracker_node(tracker, SLICE("n"), 11, false);
	tracker_node(tracker, SLICE("n"), 12, true);
	reads("n", 12, 1, "b");
	hears_news("?t@n;");
	/* Read again: what was missed. */
	tracker_resync(tracker);
	reads("n", 12, 3, "d");
	hears_news("?t@n;!r =1 +d -b;");
	delta("n", 12, 3, 4, NULL, "d");
	hears_news("!r =1 -d;");
}
END_TEST

/* What lingers there is taken over here, and what lingers here there: as it is, or changed. */
START_TEST(no_news_of_a_return)
{
	struct viewer *a = enters_quietly(0);

	tracker_loaded(tracker, SLICE("t"), NULL, 0);
	tracker_node(tracker, SLICE("n"), 10, true);
	linger_at("n", 0, 1, "a", false);
	hears_news("+t;!r +a;");
	linger_at("n", 1, 2, "a", true);
	hears_news("");
	tracks(a, "r", _i == 0 ? "{}" : "{\"n\":1}");
	hears_news(_i == 0 ? "t 0>1 +r/1;" : "t 0>1 +r/1;!r +1 -a @0;");
	delta("n", 10, 2, 3, NULL, "a");
	hears_news("");
	viewer_leave(a, &pubsub, GRACE);
	enters_quietly(1);
	hears_news("t 1>2 +r/1~;");
	if (_i == 0) {
		linger_at("n", 3, 4, "a", false);
		hears_news("t 2>3 -r/1 empty;");
		delta("n", 10, 4, 5, NULL, "a");
		hears_news("!r -a;");
	} else {
		linger_at("n", 3, 4, "b", false);
		hears_news("!r =1 +b;");
		turn_after(loop, GRACE);
		hears_news("t 2>3 -r/1 empty;!r =b -1;");
	}
}
END_TEST

/* Where a class was changed for another, a topic may have members of both kinds: it stays what it was. */
START_TEST(loud_and_quiet)
{
	struct viewer *a = _i == 0 ? enters(0) : enters_quietly(0), *b = _i == 0 ? enters_quietly(1) : enters(1);

	tracker_set_news(tracker, _i == 2 ? NULL : on_news);
	tracks(a, "u", "{\"n\":1}");
	tracks(b, "v", "{\"n\":2}");
	if (_i > 0) {
		hears_news(_i == 1 ? "!u +1 @0;!v +2 @1;" : "");
		/* A loud one is not told news. */
		viewer_leave(a, &pubsub, 0);
		hears_news("");
		return;
	}
	window();
	has_said("");
	ck_assert_uint_eq(a->model.n, 2);
	viewer_leave(a, &pubsub, 0);
	window();
	has_said("");
}
END_TEST

/* Topics that are shown, and told, too. */

START_TEST(shown_and_told)
{
	struct viewer *a = enters_as(0, PRESENCE_BOTH), *b;

	tracks(a, "u", "{\"n\":1}");
	window();
	has_said("!u +1 @0;");
	ck_assert_uint_eq(a->model.n, 1);
	/* Who is new is spared the diff, and has it in the state; but not the news. */
	b = enters_as(1, PRESENCE_BOTH);
	tracks(b, "v", "{\"n\":2}");
	tracker_update(a->member, SLICE("u"), SLICE("{\"n\":3}"));
	window();
	has_said("!v +2 @1;!u +3 -1 @0;");
	ck_assert_uint_eq(a->model.diffs, 1);
	ck_assert_uint_eq(a->model.n, 2);
	ck_assert_uint_eq(b->model.diffs, 0);
	ck_assert_uint_eq(b->model.n, 2);
	/* Nothing is told twice, and nothing that has not changed. */
	tracks(a, "w", "{\"n\":4}");
	tracker_untrack(a->member, SLICE("w"));
	window();
	has_said("");
	ck_assert_uint_eq(a->model.diffs, 1);
	viewer_leave(b, &pubsub, 0);
	window();
	has_said("!v -2;");
	ck_assert_uint_eq(a->model.diffs, 2);
	ck_assert_uint_eq(a->model.n, 1);
	viewer_leave(a, &pubsub, 0);
	window();
	has_said("");
	ck_assert_ptr_null(tracker_topic(tracker, SLICE("t")));
}
END_TEST

/* One more comes as the news are told: it has the state, and not the diff that is behind them. */
static void
another_enters(struct subscriber *speaker, const struct presence_news *news)
{
	if (viewers[2].member == NULL)
		enters_as(2, PRESENCE_BOTH);
}

START_TEST(news_before_the_diff)
{
	struct viewer *a = enters_as(0, PRESENCE_BOTH), *b = enters_as(1, PRESENCE_BOTH);

	window();
	when_told = _i == 0 ? another_enters : speaker_leaves;
	tracks(a, "u", "{\"n\":1}");
	tracks(b, "v", "{\"n\":2}");
	window();
	has_said("!u +1 @0;!v +2 @1;");
	when_told = NULL;
	if (_i == 0) {
		ck_assert_uint_eq(viewers[2].model.states, 1);
		ck_assert_uint_eq(viewers[2].model.n, 2);
		ck_assert_uint_eq(viewers[2].model.diffs, 0);
		ck_assert_uint_eq(a->model.n, 2);
		return;
	}
	ck_assert_ptr_null(a->member);
	ck_assert_ptr_null(b->member);
	ck_assert_uint_eq(a->out.n + b->out.n, 0);
	window();
	has_said("");
	ck_assert_ptr_null(tracker_topic(tracker, SLICE("t")));
}
END_TEST

/* A look before there is a member. What is known then is said as "knows N;", N keys. */

static struct presence_peek *peek;

static void
on_known(void *arg)
{
	ck_assert_ptr_eq(arg, &peek);
	say("knows %u;", tracker_count(tracker, SLICE("t")));
}

static void
peeks(enum presence_ways ways)
{
	peek = tracker_peek(tracker, SLICE("t"), ways, on_known, &peek);
	has_said("");
}

static const enum presence_ways all_ways[] = { PRESENCE_SHOWN, PRESENCE_NEWS, PRESENCE_BOTH };

START_TEST(a_look_at_nothing)
{
	peeks(all_ways[_i]);
	turn_after(loop, 0);
	has_said("knows 0;");
	turn_after(loop, 2000);
	has_said("");
	ck_assert_ptr_nonnull(tracker_topic(tracker, SLICE("t")));
	peek = tracker_unpeek(peek);
	window();
	ck_assert_ptr_null(tracker_topic(tracker, SLICE("t")));
	/* Gone before it was told, and without a turn between. */
	peeks(all_ways[_i]);
	peek = tracker_unpeek(peek);
	window();
	has_said("");
	ck_assert_ptr_null(tracker_topic(tracker, SLICE("t")));
	ck_assert_ptr_null(tracker_unpeek(NULL));
}
END_TEST

/* What is not shown yet is told before; what follows, to who has looked, too. */
START_TEST(a_look_and_what_follows)
{
	struct viewer *a = enters_as(0, all_ways[_i]);
	const bool     told = (all_ways[_i] & PRESENCE_NEWS) != 0;

	tracks(a, "u", "{\"n\":1}");
	window();
	has_said(told ? "!u +1 @0;" : "");
	tracks(a, "v", "{\"n\":2}");
	peeks(all_ways[_i]);
	loop_end_turn(loop);
	has_said(told ? "!v +2 @0;knows 2;" : "knows 2;");
	tracks(a, "w", "{\"n\":3}");
	enters_as(1, all_ways[_i]);
	peek = tracker_unpeek(peek);
	tracker_untrack(a->member, SLICE("v"));
	window();
	has_said(told ? "!w +3 @0;!v -2;" : "");
	viewer_leave(a, &pubsub, 0);
	window();
	has_said(told ? "!u -1;!w -3;" : "");
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 0);
}
END_TEST

/* Many who come to look: what is new is told early to the first, and to the others at the end of the window. */
START_TEST(looks_are_told_by_windows)
{
	struct viewer *a = enters_as(0, PRESENCE_BOTH);
	struct presence_peek *first, *other;

	tracks(a, "u", "{\"n\":1}");
	first = tracker_peek(tracker, SLICE("t"), PRESENCE_BOTH, on_known, &peek);
	turn_after(loop, 0);
	has_said("!u +1 @0;knows 1;");
	other = tracker_peek(tracker, SLICE("t"), PRESENCE_BOTH, on_known, &peek);
	turn_after(loop, 0);
	has_said("knows 1;");
	tracks(a, "v", "{\"n\":2}");
	first = tracker_unpeek(first);
	first = tracker_peek(tracker, SLICE("t"), PRESENCE_BOTH, on_known, &peek);
	turn_after(loop, 0);
	has_said("");
	window();
	has_said("!v +2 @0;knows 2;");
	/* Which is near, however long it is to be. */
	tracks(a, "w", "{\"n\":3}");
	loop_timer(loop, &tracker_topic(tracker, SLICE("t"))->window, loop->now + 60000);
	tracker_unpeek(first);
	first = tracker_peek(tracker, SLICE("t"), PRESENCE_BOTH, on_known, &peek);
	turn_after(loop, 0);
	has_said("!w +3 @0;knows 3;");
	tracks(a, "x", "{\"n\":4}");
	peeks(PRESENCE_BOTH);
	turn_after(loop, 0);
	has_said("");
	turn_after(loop, 520);
	has_said("!x +4 @0;knows 4;");
	tracker_unpeek(first);
	tracker_unpeek(other);
	peek = tracker_unpeek(peek);
}
END_TEST

/* Those who are there, whether it was told or not; who went without a word is not. */
START_TEST(how_many_are_here)
{
	struct viewer *a = enters(0), *b = enters(1);

	tracks(a, "u", "{}");
	tracks(b, "u", "{}");
	tracks(b, "v", "{}");
	ck_assert_uint_eq(tracker_count_here(tracker, SLICE("t")), 3);
	ck_assert_uint_eq(tracker_count_here(tracker, SLICE("none")), 0);
	tracker_untrack(b->member, SLICE("v"));
	ck_assert_uint_eq(tracker_count_here(tracker, SLICE("t")), 2);
	viewer_leave(a, &pubsub, GRACE);
	ck_assert_uint_eq(tracker_count_here(tracker, SLICE("t")), 1);
	window();
	ck_assert_uint_eq(b->model.n, 2);
	tracks(enters(2), "u", "{}");
	ck_assert_uint_eq(tracker_count_here(tracker, SLICE("t")), 2);
	tracker_update(b->member, SLICE("u"), SLICE("{\"n\":1}"));
	ck_assert_uint_eq(tracker_count_here(tracker, SLICE("t")), 2);
	viewer_leave(b, &pubsub, 0);
	ck_assert_uint_eq(tracker_count_here(tracker, SLICE("t")), 1);
	window();
}
END_TEST

/* Who is told the news ends the peek that they are told for. */
static void
nobody_looks(struct subscriber *speaker, const struct presence_news *news)
{
	peek = tracker_unpeek(peek);
}

START_TEST(a_look_that_ends_as_others_are_told)
{
	struct viewer *a = enters_quietly(0);

	when_told = nobody_looks;
	tracks(a, "v", "{\"n\":2}");
	peeks(PRESENCE_NEWS);
	window();
	has_said("!v +2 @0;");
	ck_assert_ptr_null(peek);
}
END_TEST

/* The others' presences are waited for; what is not seen by then is news, whenever it was read. */
START_TEST(a_look_waits_for_the_others)
{
	struct slice	     names[] = { SLICE("n"), SLICE("o") };
	struct presence_item in[] = { item("k", "x", false), item("l", "y", false) };

	tracker_node(tracker, SLICE("n"), 10, true);
	tracker_set_news(tracker, on_news);
	peek = tracker_peek(tracker, SLICE("t"), all_ways[_i], on_known, &peek);
	has_said("+t;");
	turn_after(loop, LOAD / 2);
	has_said("");
	tracker_read(tracker, SLICE("t"), SLICE("n"), 10, 2, in, 2);
	delta("o", 20, 0, 1, "o", NULL);
	tracker_loaded(tracker, SLICE("t"), names, 2);
	turn_after(loop, WINDOW + 2 * WHEEL_TICK_MS);
	has_said("knows 2;");
	enters_as(0, all_ways[_i]);
	peek = tracker_unpeek(peek);
	window();
	has_said("");
	/* Of its node we hear only now. */
	tracker_node(tracker, SLICE("o"), 20, true);
	window();
	has_said(all_ways[_i] & PRESENCE_NEWS ? "!r +o;" : "");
	ck_assert_uint_eq(tracker_count(tracker, SLICE("t")), 3);
	if (all_ways[_i] & PRESENCE_SHOWN)
		ck_assert_uint_eq(viewers[0].model.n, 3);
	viewer_leave(&viewers[0], &pubsub, 0);
	window();
	has_said("-t;");
}
END_TEST

/* Redis does not answer. */
START_TEST(a_look_waits_only_so_long)
{
	peek = tracker_peek(tracker, SLICE("t"), all_ways[_i], on_known, &peek);
	has_said("+t;");
	turn_after(loop, LOAD - 20);
	has_said("");
	turn_after(loop, 20 + 2 * WHEEL_TICK_MS);
	turn_after(loop, WINDOW);
	has_said("knows 0;");
	/* One who is there from before that is told at once. */
	enters_as(0, all_ways[_i]);
	peek = tracker_unpeek(peek);
	peeks(all_ways[_i]);
	turn_after(loop, 0);
	has_said("knows 0;");
	peek = tracker_unpeek(peek);
}
END_TEST

/* Loaded, but not shown yet: there is nothing to be seen before the window ends. */
START_TEST(a_look_in_between)
{
	struct slice	     names[] = { SLICE("n") };
	struct presence_item in[] = { item("k", "x", false) };

	tracker_node(tracker, SLICE("n"), 10, true);
	enters_as(0, all_ways[_i]);
	has_said("+t;");
	tracker_read(tracker, SLICE("t"), SLICE("n"), 10, 2, in, 1);
	tracker_loaded(tracker, SLICE("t"), names, 1);
	peeks(all_ways[_i]);
	loop_end_turn(loop);
	has_said("");
	window();
	has_said("knows 1;");
	peek = tracker_unpeek(peek);
}
END_TEST

#define COUNT(table)	(sizeof(table) / sizeof((table)[0]))

static TCase *
alone_case(void)
{
	TCase *t = tcase_create("alone");

	tcase_add_checked_fixture(t, set_up_alone, tear_down);
	tcase_add_test(t, an_empty_topic);
	tcase_add_test(t, state_then_diffs);
	tcase_add_test(t, no_net_change_is_silent);
	tcase_add_test(t, an_update_is_one_diff);
	tcase_add_loop_test(t, what_may_be_tracked, 0, COUNT(bad));
	tcase_add_test(t, errors_of_members);
	tcase_add_loop_test(t, the_servers_members, 0, COUNT(metas));
	tcase_add_test(t, who_does_not_hear);
	tcase_add_loop_test(t, callbacks_may_change_all, 0, 2);
	tcase_add_test(t, a_join_ref_each);
	tcase_add_test(t, ten_thousand);
	tcase_add_loop_test(t, lingering_and_back, 0, 2);
	tcase_add_test(t, the_oldest_is_taken_over);
	tcase_add_test(t, each);
	tcase_add_test(t, news_of_all_that_members_do);
	tcase_add_test(t, no_news_within_a_window);
	tcase_add_loop_test(t, news_that_change_all, 0, 2);
	tcase_add_loop_test(t, loud_and_quiet, 0, 3);
	tcase_add_test(t, shown_and_told);
	tcase_add_loop_test(t, news_before_the_diff, 0, 2);
	tcase_add_loop_test(t, a_look_at_nothing, 0, 3);
	tcase_add_loop_test(t, a_look_and_what_follows, 0, 3);
	tcase_add_test(t, a_look_that_ends_as_others_are_told);
	tcase_add_test(t, how_many_are_here);
	tcase_add_test(t, looks_are_told_by_windows);
	return t;
}

static TCase *
cluster_case(void)
{
	TCase *t = tcase_create("cluster");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, states_wait_for_the_others, 0, 2);
	tcase_add_test(t, what_redis_is_told);
	tcase_add_test(t, a_topic_lives_for_what_lingers);
	tcase_add_test(t, deltas_in_order);
	tcase_add_test(t, gaps_are_read);
	tcase_add_test(t, heard_of_alone);
	tcase_add_loop_test(t, no_hash, 0, 3);
	tcase_add_loop_test(t, less_than_we_have, 0, 2);
	tcase_add_test(t, nodes_come_and_go);
	tcase_add_test(t, audits_go_round);
	tcase_add_loop_test(t, taken_over_from_another, 0, 2);
	tcase_add_test(t, taken_over_and_changed);
	tcase_add_loop_test(t, taken_over_by_another, 0, 2);
	tcase_add_loop_test(t, taken_over_twice, 0, 2);
	tcase_add_test(t, nodes_are_forgotten);
	tcase_add_test(t, freed_with_what_lingers);
	tcase_add_loop_test(t, news_are_not_what_was_there, 0, 2);
	tcase_add_test(t, news_of_other_nodes);
	tcase_add_loop_test(t, no_news_of_a_return, 0, 2);
	tcase_add_loop_test(t, a_look_waits_for_the_others, 0, 3);
	tcase_add_loop_test(t, a_look_waits_only_so_long, 0, 3);
	tcase_add_loop_test(t, a_look_in_between, 0, 3);
	return t;
}

Suite *
tracker_suite(void)
{
	Suite *s = suite_create("tracker");

	suite_add_tcase(s, alone_case());
	suite_add_tcase(s, cluster_case());
	return s;
}
