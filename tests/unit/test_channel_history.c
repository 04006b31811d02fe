/*
 * History as classes use it: what is posted is answered when it is stored, and who joins is given what it missed.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>

Suite *channel_history_suite(void);

#define SAY(ref, payload)	"[\"1\",\"" ref "\",\"room:a\",\"say\"," payload "]"
#define SAID(payload)		"[null,null,\"room:a\",\"said\"," payload "]"
#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", "room:a", payload)
#define R(payload)		"{\"status\":\"ok\",\"response\":" payload "}"
#define UNAVAILABLE		REASON("unavailable")

static const struct history_limits limits = { .max = 1000 };

/* The page in short: {"page":[N payloads…],"more":b,"recovered":b,"error":n} */
static void
add_page(struct buf *b, const struct history_page *page)
{
	buf_add_str(b, "{\"page\":[");
	for (unsigned i = 0; i < page->n; i++) {
		buf_add_str(b, i > 0 ? "," : "");
		buf_add_slice(b, page->messages[i].payload);
	}
	buf_addf(b, "],\"more\":%d,\"recovered\":%d,\"error\":%d}", page->more, page->recovered, page->error);
}

static void
accepts(struct channel *ch, const struct history_page *page)
{
	autobuf struct buf b = { 0 };

	probe_channel = ch;
	add_page(&b, page);
	channel_accept(ch, channel_json(buf_slice(&b)));
}

static void (*caught_up)(struct channel *, const struct history_page *);

static int
joins_with_history(struct channel *ch, const struct channel_message *params)
{
	char	     scratch[64];
	struct slice token = channel_json_member(params->payload.bytes, "since"), since = slice(NULL, 0);

	channel_keep_history(ch, &limits);
	/* Once counts. */
	channel_keep_history(ch, &limits);
	if (token.p != NULL)
		ck_assert_int_eq(channel_json_string(token, scratch, sizeof(scratch), &since), 0);
	return channel_catch_up(ch, since, 50, caught_up);
}

static int
keeps_history(struct channel *ch, const struct channel_message *params)
{
	probe_channel = ch;
	channel_keep_history(ch, &limits);
	return CHANNEL_OK;
}

static void
loaded(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	autobuf struct buf b = { 0 };

	add_page(&b, page);
	channel_ref_reply(ref, page->error == 0, channel_json(buf_slice(&b)));
}

/* say: everyone; others: all but itself; echo: with the payload as the answer; load: the newest two. */
static int
posts(struct channel *ch, const struct channel_message *m)
{
	int r = 0;

	if (slice_is(m->event, "say"))
		r = channel_post(ch, SLICE("said"), m->payload.bytes, SLICE("{}"), true);
	else if (slice_is(m->event, "others"))
		r = channel_post(ch, SLICE("said"), m->payload.bytes, SLICE("{\"a\":1}"), false);
	else if (slice_is(m->event, "echo"))
		r = channel_post(ch, SLICE("said"), m->payload.bytes, slice(NULL, 0), true);
	else if (slice_is(m->event, "load"))
		r = channel_load(ch, false, slice(NULL, 0), 2, loaded);
	ck_assert_int_eq(r, 0);
	return r;
}

static void
history_begin(void)
{
	bench_begin();
	probe.join = keeps_history;
	probe.joined = NULL;
	probe.handle_in = posts;
	probe.leave = NULL;
	caught_up = accepts;
}

/* Posting. */

START_TEST(a_post_is_heard_and_answered)
{
	struct client *a = client_v2(), *b = client_v2();

	client_joins(a, "1", "room:a");
	client_joins(b, "1", "room:a");
	client_says(a, SAY("2", "{\"n\":1}"));
	pass(10);
	client_hears_like(a, SAID("{\"n\":1,\"id\":\"*\"}"));
	client_hears_like(a, ANSWER("2", R("{\"id\":\"*\"}")));
	client_hears_like(b, SAID("{\"n\":1,\"id\":\"*\"}"));
	client_says(a, "[\"1\",\"3\",\"room:a\",\"others\",{}]");
	pass(10);
	client_hears_like(a, ANSWER("3", R("{\"a\":1,\"id\":\"*\"}")));
	client_hears_like(b, SAID("{\"id\":\"*\"}"));
	client_says(a, "[\"1\",\"4\",\"room:a\",\"echo\",{ \"x\": \"}\"}]");
	pass(10);
	client_hears_like(a, SAID("{ \"x\": \"}\",\"id\":\"*\"}"));
	client_hears_like(a, ANSWER("4", R("{ \"x\": \"}\",\"id\":\"*\"}")));
	client_hears_like(b, SAID("{ \"x\": \"}\",\"id\":\"*\"}"));
	client_says(a, "[\"1\",\"5\",\"room:a\",\"echo\",{ }]");
	pass(10);
	client_hears_like(a, SAID("{ \"id\":\"*\"}"));
	client_hears_like(a, ANSWER("5", R("{ \"id\":\"*\"}")));
	client_hears_like(b, SAID("{ \"id\":\"*\"}"));
	client_hears_nothing(a);
	client_hears_nothing(b);
}
END_TEST

START_TEST(the_answer_has_the_messages_id)
{
	struct client *a = client_v2();
	struct frame  *f;
	char	       heard[512], answer[512];
	const char    *id;

	client_joins(a, "1", "room:a");
	client_says(a, SAY("2", "{}"));
	pass(10);
	f = outq_at(&a->out, 0);
	snprintf(heard, sizeof(heard), "%.*s", (int)frame_body_len(f), frame_body(f));
	outq_drop(&a->out, f->len);
	id = strstr(heard, "\"id\":\"");
	ck_assert_ptr_nonnull(id);
	snprintf(answer, sizeof(answer), ANSWER("2", R("{%.43s}")), id);
	client_hears(a, answer);
}
END_TEST

static const struct {
	int	error;
	bool	later;
} failures[] = { { -ENOTCONN, false }, { -ENOBUFS, false }, { -EHOSTUNREACH, true } };

START_TEST(what_is_not_stored_is_not_said)
{
	struct client *a = client_v2(), *b = client_v2();

	client_joins(a, "1", "room:a");
	client_joins(b, "1", "room:a");
	bench_store_fails(failures[_i].error, failures[_i].later);
	client_says(a, SAY("2", "{}"));
	pass(10);
	client_hears(a, ANSWER("2", UNAVAILABLE));
	client_hears_nothing(b);
	bench_store_fails(0, false);
	client_says(a, SAY("3", "{}"));
	pass(10);
	client_hears_like(b, SAID("{\"id\":\"*\"}"));
	client_hears_nothing(b);
}
END_TEST

START_TEST(a_rate_is_counted_where_it_is_stored)
{
	struct client *a, *b;

	bench_serve("chat:*", &probe, NULL, 0, &(struct rate){ 2, 1000 });
	a = client_v2();
	b = client_v2();
	client_joins(a, "1", "chat:a");
	client_joins(b, "1", "chat:a");
	for (unsigned i = 0; i < 2; i++) {
		client_says(i == 0 ? a : b, "[\"1\",\"2\",\"chat:a\",\"say\",{}]");
		pass(10);
		client_forgets(a);
		client_forgets(b);
	}
	client_says(a, "[\"1\",\"3\",\"chat:a\",\"say\",{}]");
	pass(10);
	client_hears_like(a, "[\"1\",\"3\",\"chat:a\",\"phx_reply\",{\"status\":\"error\",\"response\":{\"reason\":\"rate_limit\",\"retry_after_ms\":*}}]");
	client_hears_nothing(b);
	/* Here nothing was counted, or it would have been refused before it came to the class. */
	ck_assert_uint_eq(bench.rates.windows.n, 0);
	bench_wall += 1000;
	pass(1000);
	client_says(a, "[\"1\",\"4\",\"chat:a\",\"say\",{}]");
	pass(10);
	client_hears_like(b, "[null,null,\"chat:a\",\"said\",{\"id\":\"*\"}]");
}
END_TEST

/* The one who asked is gone, or another instance of it is there; at last, history itself is gone before it told. */
START_TEST(who_is_gone_is_not_answered)
{
	struct client *a = client_v2();

	client_joins(a, "1", "room:a");
	client_says(a, SAY("2", "{}"));
	client_says(a, "[\"1\",\"3\",\"room:a\",\"load\",{}]");
	if (_i == 0 || _i == 3)
		client_gone(a);
	else
		client_says(a, _i == 1 ? "[\"1\",\"4\",\"room:a\",\"phx_leave\",{}]" : "[\"5\",\"5\",\"room:a\",\"phx_join\",{}]");
	client_forgets(a);
	if (_i < 3) {
		pass(10);
		ck_assert(list_empty(&bench.asked));
	}
	client_hears_nothing(a);
}
END_TEST

static void
posts_in_leave(struct channel *ch, const char *why)
{
	ck_assert_int_eq(channel_post(ch, SLICE("said"), SLICE("{}"), SLICE("{}"), true), -EINVAL);
	note("leave %s;", why);
}

static int
posts_in_join(struct channel *ch, const struct channel_message *m)
{
	channel_keep_history(ch, &limits);
	ck_assert_int_eq(channel_post(ch, SLICE("said"), SLICE("{}"), SLICE("{}"), true), -EINVAL);
	return CHANNEL_OK;
}

static int
posts_nonsense(struct channel *ch, const struct channel_message *m)
{
	ck_assert_int_eq(channel_post(ch, SLICE("said"), SLICE("[]"), SLICE("{}"), true), -EINVAL);
	ck_assert_int_eq(channel_post(ch, SLICE("said"), SLICE("{}"), SLICE("5"), true), -EINVAL);
	ck_assert_int_eq(channel_load(ch, false, slice(NULL, 0), 0, loaded), -EINVAL);
	ck_assert_int_eq(channel_catch_up(ch, slice(NULL, 0), 1, accepts), -EINVAL);
	channel_reply_ok(ch, channel_empty());
	/* It was answered: the one cannot be without, the other can. */
	ck_assert_int_eq(channel_load(ch, false, slice(NULL, 0), 1, loaded), -EINVAL);
	ck_assert_int_eq(channel_post(ch, SLICE("said"), SLICE("{}"), SLICE("{}"), true), 0);
	return 0;
}

START_TEST(errors)
{
	struct client *a = client_v2();

	probe.join = posts_in_join;
	probe.handle_in = posts_nonsense;
	probe.leave = posts_in_leave;
	client_joins(a, "1", "room:a");
	client_says(a, SAY("2", "{}"));
	client_hears(a, ANSWER("2", OK));
	pass(10);
	client_hears_like(a, SAID("{\"id\":\"*\"}"));
	client_hears_nothing(a);
	client_gone(a);
	noted("leave closed;");
}
END_TEST

static int
posts_without_history(struct channel *ch, const struct channel_message *m)
{
	ck_assert_int_eq(channel_post(ch, SLICE("said"), SLICE("{}"), SLICE("{}"), true), -EINVAL);
	ck_assert_int_eq(channel_load(ch, false, slice(NULL, 0), 1, loaded), -EINVAL);
	return 0;
}

static int
catches_up_without_history(struct channel *ch, const struct channel_message *m)
{
	return channel_catch_up(ch, slice(NULL, 0), 1, accepts);
}

START_TEST(without_history)
{
	struct client *a = client_v2();

	probe.join = probe_join_later;
	client_says(a, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	channel_accept(probe_channel, channel_empty());
	client_hears(a, ANSWER("1", OK));
	probe.handle_in = posts_without_history;
	client_says(a, SAY("2", "{}"));
	client_hears_nothing(a);
	probe.join = catches_up_without_history;
	client_says(a, "[\"1\",\"3\",\"room:b\",\"phx_join\",{}]");
	client_hears(a, REPLY("\"1\"", "\"3\"", "room:b", REASON("join crashed")));
}
END_TEST

/* Joining. */

/* A client that said 1 to n, of which all heard nothing. */
static struct client *
talker(unsigned n)
{
	struct client *a = client_v2();

	client_joins(a, "1", "room:a");
	for (unsigned i = 1; i <= n; i++) {
		autofree char *text = xasprintf(SAY("9", "{\"n\":%u}"), i);

		client_says(a, text);
		pass(10);
	}
	client_forgets(a);
	return a;
}

START_TEST(a_newcomer_is_given_the_newest)
{
	struct client *a = talker(2), *b = client_v2();

	probe.join = joins_with_history;
	client_says(b, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_hears_nothing(b);
	pass(10);
	client_hears_like(b, ANSWER("1", R("{\"page\":[{\"n\":1},{\"n\":2}],\"more\":0,\"recovered\":*,\"error\":0}")) );
	/* What its join needed is freed. */
	ck_assert_ptr_null(probe_channel->extra);
	client_says(a, SAY("3", "{\"n\":3}"));
	pass(10);
	client_hears_like(b, SAID("{\"n\":3,\"id\":\"*\"}"));
	client_hears_nothing(b);
}
END_TEST

/* What is said between the question and the answer comes once: in the page or behind it. */
START_TEST(no_hole_and_nothing_twice)
{
	struct client *a = talker(1), *b = client_v2();
	struct frame  *f;
	unsigned       in_page;

	probe.join = joins_with_history;
	client_says(b, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	client_says(a, SAY("2", "{\"n\":2}"));
	pass(10);
	f = outq_at(&b->out, 0);
	in_page = memmem(frame_body(f), frame_body_len(f), "{\"n\":2}", 7) != NULL;
	outq_drop(&b->out, f->len);
	if (!in_page)
		client_hears_like(b, SAID("{\"n\":2,\"id\":\"*\"}"));
	client_hears_nothing(b);
}
END_TEST

static int
greets_all(struct channel *ch)
{
	return channel_post(ch, SLICE("said"), SLICE("{\"n\":3}"), SLICE("{}"), true);
}

static struct client *interrupts;

/* The page is there, and so is one more message. */
static void
accepts_late(struct channel *ch, const struct history_page *page)
{
	client_says(interrupts, SAY("2", "{\"n\":2}"));
	accepts(ch, page);
}

/* What is posted as soon as it is in comes behind what was kept for it. */
START_TEST(posts_of_the_newcomer_come_last)
{
	struct client *b;

	interrupts = talker(1);
	b = client_v2();
	probe.join = joins_with_history;
	probe.joined = greets_all;
	caught_up = accepts_late;
	client_says(b, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	pass(10);
	client_hears_like(b, ANSWER("1", R("{\"page\":[{\"n\":1}],\"more\":0,\"recovered\":*,\"error\":0}")));
	client_hears_like(b, SAID("{\"n\":2,\"id\":\"*\"}"));
	client_hears_like(b, SAID("{\"n\":3,\"id\":\"*\"}"));
	client_hears_nothing(b);
}
END_TEST

static void
refuses(struct channel *ch, const struct history_page *page)
{
	channel_refuse(ch, channel_json(SLICE("{\"reason\":\"no\"}")));
}

static void
says_nothing(struct channel *ch, const struct history_page *page)
{
}

static void
stops(struct channel *ch, const struct history_page *page)
{
	channel_stop(ch);
}

static void
accepts_and_stops(struct channel *ch, const struct history_page *page)
{
	channel_accept(ch, channel_empty());
	channel_stop(ch);
}

static const struct {
	void	  (*fn)(struct channel *, const struct history_page *);
	const char *hears[2];
} decisions[] = {
	{ refuses, { ANSWER("1", REASON("no")) } },
	{ says_nothing, { ANSWER("1", REASON("join crashed")) } },
	{ stops, { ANSWER("1", REASON("join crashed")) } },
	{ accepts_and_stops, { ANSWER("1", OK), "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]" } },
};

START_TEST(joins_that_come_to_nothing)
{
	struct client *a = talker(1), *b = client_v2();

	probe.join = joins_with_history;
	caught_up = decisions[_i].fn;
	client_says(b, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	pass(10);
	for (unsigned i = 0; i < 2 && decisions[_i].hears[i] != NULL; i++)
		client_hears(b, decisions[_i].hears[i]);
	client_says(a, SAY("2", "{}"));
	pass(10);
	client_hears_nothing(b);
}
END_TEST

/* It ends while its page is being read: the connection goes, the client leaves it behind, the time is up. */
START_TEST(joins_that_end_before_their_page)
{
	struct client *b = client_v2();

	probe.join = joins_with_history;
	client_says(b, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	if (_i == 0)
		client_gone(b);
	else
		channel_refuse(b->session.channels, channel_empty());
	client_forgets(b);
	pass(10);
	client_hears_nothing(b);
	ck_assert_ptr_null(b->session.channels);
}
END_TEST

START_TEST(the_store_cannot_be_read)
{
	struct client *a = talker(1), *b = client_v2();

	probe.join = joins_with_history;
	bench_store_fails(failures[_i].error, failures[_i].later);
	client_says(b, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	pass(10);
	pass(10);
	client_hears_like(b, ANSWER("1", R("{\"page\":[],\"more\":0,\"recovered\":0,\"error\":*}")));
	bench_store_fails(0, false);
	client_says(a, SAY("2", "{\"n\":2}"));
	pass(10);
	client_hears_like(b, SAID("{\"n\":2,\"id\":\"*\"}"));
}
END_TEST

/* Pages. */

START_TEST(pages_are_loaded)
{
	struct client *a = talker(3);

	client_says(a, "[\"1\",\"2\",\"room:a\",\"load\",{}]");
	pass(10);
	client_hears_like(a, ANSWER("2", R("{\"page\":[{\"n\":2},{\"n\":3}],\"more\":1,\"recovered\":*,\"error\":0}")));
	client_hears_nothing(a);
}
END_TEST

START_TEST(pages_that_cannot_be_read)
{
	struct client *a = talker(1);

	bench_store_fails(failures[_i].error, failures[_i].later);
	client_says(a, "[\"1\",\"2\",\"room:a\",\"load\",{}]");
	pass(10);
	client_hears_like(a, ANSWER("2", "{\"status\":\"error\",\"response\":{\"page\":[],\"more\":0,\"recovered\":0,\"error\":*}}"));
	client_hears_nothing(a);
}
END_TEST

/* One at a time for each client. */

static struct client *
loader(void)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	client_forgets(c);
	return c;
}

static void
loads(struct client *c, const char *ref)
{
	char text[64];

	snprintf(text, sizeof(text), "[\"1\",\"%s\",\"room:a\",\"load\",{}]", ref);
	client_says(c, text);
}

#define LOADED(ref)	ANSWER(ref, R("{\"page\":[{\"n\":1}],\"more\":0,\"recovered\":*,\"error\":0}"))

START_TEST(pages_come_one_at_a_time)
{
	struct client *a = talker(1), *b = loader();

	bench_store_holds();
	loads(a, "2");
	loads(a, "3");
	loads(a, "4");
	loads(b, "2");
	ck_assert_uint_eq(bench_store_held(), 2);
	ck_assert(bench_store_reads());
	client_hears_like(a, LOADED("2"));
	ck_assert(bench_store_reads());
	client_hears_like(b, LOADED("2"));
	client_hears_nothing(a);
	ck_assert_uint_eq(bench_store_held(), 1);
	ck_assert(bench_store_reads());
	client_hears_like(a, LOADED("3"));
	ck_assert(bench_store_reads());
	client_hears_like(a, LOADED("4"));
	ck_assert(!bench_store_reads());
}
END_TEST

/* So many may be read at a time; then who waits is served in turn, however much another asks for. */
START_TEST(clients_take_turns)
{
	struct client *a = talker(1), *b = loader(), *others[16];

	for (unsigned i = 0; i < 16; i++)
		others[i] = loader();
	bench_store_holds();
	for (unsigned i = 0; i < 16; i++)
		loads(others[i], "2");
	loads(a, "2");
	loads(a, "3");
	loads(a, "4");
	loads(b, "2");
	loads(others[0], "3");
	ck_assert_uint_eq(bench_store_held(), 16);
	for (unsigned i = 0; i < 16; i++) {
		ck_assert(bench_store_reads());
		ck_assert_uint_eq(bench_store_held(), i < 3 ? 16 : 18 - i);
	}
	ck_assert(bench_store_reads());
	client_hears_like(a, LOADED("2"));
	ck_assert(bench_store_reads());
	client_hears_like(b, LOADED("2"));
	ck_assert(bench_store_reads());
	client_hears_like(others[0], LOADED("2"));
	client_hears_like(others[0], LOADED("3"));
	ck_assert(bench_store_reads());
	client_hears_like(a, LOADED("3"));
	ck_assert(bench_store_reads());
	client_hears_like(a, LOADED("4"));
	ck_assert(!bench_store_reads());
}
END_TEST

/* Its channel ends, or its connection: what waits is never asked, and what is under way has its place until it is told. */
START_TEST(who_ends_waits_no_more)
{
	struct client *a = talker(1), *b = loader();

	bench_store_holds();
	loads(a, "2");
	loads(a, "3");
	loads(a, "4");
	if (_i == 0)
		client_gone(a);
	else
		client_says(a, "[\"1\",\"5\",\"room:a\",\"phx_leave\",{}]");
	client_forgets(a);
	if (_i == 2) {
		client_says(a, "[\"6\",\"6\",\"room:a\",\"phx_join\",{}]");
		client_says(a, "[\"6\",\"7\",\"room:a\",\"load\",{}]");
		client_forgets(a);
	}
	ck_assert_uint_eq(bench_store_held(), 1);
	loads(b, "2");
	ck_assert(bench_store_reads());
	client_hears_nothing(a);
	ck_assert_uint_eq(bench_store_held(), _i == 2 ? 2 : 1);
	while (bench_store_reads())
		;
	client_hears_like(b, LOADED("2"));
	if (_i == 2)
		client_hears_like(a, REPLY("\"6\"", "\"7\"", "room:a",
		    R("{\"page\":[{\"n\":1}],\"more\":0,\"recovered\":*,\"error\":0}")));
	client_hears_nothing(a);
}
END_TEST

/* A join waits behind the page of another channel; its time passes, or its page comes. */
START_TEST(joins_wait_their_turn)
{
	struct client *a = talker(1);

	probe.join = joins_with_history;
	bench_store_holds();
	loads(a, "2");
	client_says(a, "[\"3\",\"3\",\"room:b\",\"phx_join\",{}]");
	/* The other is the topic's own. */
	ck_assert_uint_eq(bench_store_held(), 2);
	if (_i == 0) {
		pass(bench.limits.join_ms + 100);
		client_hears_like(a, REPLY("\"3\"", "\"3\"", "room:b", REASON("timeout")));
	}
	while (bench_store_reads())
		;
	client_hears_like(a, LOADED("2"));
	if (_i == 1)
		client_hears_like(a, REPLY("\"3\"", "\"3\"", "room:b", R("{\"page\":[],\"more\":0,\"recovered\":0,\"error\":0}")));
	client_hears_nothing(a);
}
END_TEST

/* When its turn has come the store is away: it is told so, and the next one has its turn. */
START_TEST(the_store_is_away_by_then)
{
	struct client *a = talker(1);

	bench_store_holds();
	loads(a, "2");
	loads(a, "3");
	loads(a, "4");
	bench_store_fails(failures[_i].error, failures[_i].later);
	ck_assert(bench_store_reads());
	for (unsigned i = 0; i < 5; i++)
		pass(10);
	client_hears_like(a, LOADED("2"));
	client_hears_like(a, ANSWER("3", "{\"status\":\"error\",\"response\":{\"page\":[],\"more\":0,\"recovered\":0,\"error\":*}}"));
	client_hears_like(a, ANSWER("4", "{\"status\":\"error\",\"response\":{\"page\":[],\"more\":0,\"recovered\":0,\"error\":*}}"));
	bench_store_fails(0, false);
	loads(a, "5");
	ck_assert(bench_store_reads());
	client_hears_like(a, LOADED("5"));
}
END_TEST

/* Who asks without end is told that it cannot be; the node ends while all that waits. */
START_TEST(so_many_pages_wait)
{
	struct client *a = talker(1);

	bench_store_holds();
	for (unsigned i = 0; i < 258; i++) {
		client_hears_nothing(a);
		loads(a, "2");
	}
	client_hears_like(a, ANSWER("2", "{\"status\":\"error\",\"response\":{\"page\":[],\"more\":0,\"recovered\":0,\"error\":*}}"));
	if (_i == 1)
		while (bench_store_reads())
			client_hears_like(a, LOADED("2"));
}
END_TEST

/* Marks. */

static char ids[4][UUID_LEN + 1];	/* of what was said first, second… */
static unsigned n_ids;

static void
accepts_and_tells_mark(struct channel *ch, const struct history_page *page)
{
	autobuf struct buf b = { 0 };

	for (n_ids = 0; n_ids < page->n && n_ids < 4; n_ids++)
		snprintf(ids[n_ids], sizeof(ids[0]), "%.*s", SLICE_ARG(page->messages[n_ids].id));
	buf_addf(&b, "{\"mark\":\"%.*s\"}", SLICE_ARG(page->mark));
	channel_accept(ch, channel_json(buf_slice(&b)));
}

static void
marked(struct channel *ch, struct channel_ref *ref, int error, struct slice id)
{
	autobuf struct buf b = { 0 };

	buf_addf(&b, "{\"id\":\"%.*s\",\"why\":\"%s\"}", SLICE_ARG(id), error != 0 ? strerror(-error) : "");
	channel_ref_reply(ref, error == 0, channel_json(buf_slice(&b)));
}

static void
marks_and_stops(struct channel *ch, struct channel_ref *ref, int error, struct slice id)
{
	channel_ref_reply(ref, true, channel_empty());
	channel_stop(ch);
}

static void (*mark_fn)(struct channel *, struct channel_ref *, int, struct slice);

/* The event is the id. */
static int
marks(struct channel *ch, const struct channel_message *m)
{
	note("mark %d;", channel_mark(ch, m->event, mark_fn));
	return 0;
}

/* Joins, and reads the ids of what was said; its mark is that one. */
static struct client *
reader(const char *user, const char *mark)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);
	autofree char *answer = xasprintf(ANSWER("1", R("{\"mark\":\"%s\"}")), mark);

	probe.join = joins_with_history;
	probe.handle_in = marks;
	caught_up = accepts_and_tells_mark;
	mark_fn = marked;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{}]");
	pass(10);
	client_hears(c, answer);
	return c;
}

#define MARK(id)	"[\"1\",\"2\",\"room:a\",\"" id "\",{}]"

static void
client_marks(struct client *c, const char *id)
{
	autofree char *text = xasprintf(MARK("%s"), id);

	client_says(c, text);
	pass(10);
}

/* A mark never goes back, and is each user's own. */
START_TEST(marks_go_on)
{
	struct client *a = talker(3), *b = reader("u2", "");
	autofree char *second = xasprintf(ANSWER("2", R("{\"id\":\"%s\",\"why\":\"\"}")), ids[1]);
	autofree char *first = xasprintf(ANSWER("2", R("{\"id\":\"%s\",\"why\":\"\"}")), ids[0]);

	client_gone(a);
	client_marks(b, ids[1]);
	client_hears(b, second);
	client_marks(b, ids[0]);
	client_hears(b, first);
	noted("mark 0;mark 0;");
	reader("u2", ids[1]);
	reader("u3", "");
}
END_TEST

START_TEST(marks_that_are_none)
{
	static const char *const texts[] = { "m1", "01941f29-7c00-7000-8000-000000000001" };
	struct client *a = talker(1), *b = reader("u2", "");
	autofree char *answer = xasprintf(ANSWER("2",
	    "{\"status\":\"error\",\"response\":{\"id\":\"%s\",\"why\":\"No such file or directory\"}}"), texts[_i]);

	client_gone(a);
	client_marks(b, texts[_i]);
	client_hears(b, answer);
	reader("u2", "");
}
END_TEST

START_TEST(marks_that_cannot_be_kept)
{
	struct client *a = talker(1), *b = reader("u2", "");

	client_gone(a);
	bench_store_fails(failures[_i].error, failures[_i].later);
	client_marks(b, ids[0]);
	client_hears_like(b, ANSWER("2", "{\"status\":\"error\",\"response\":{\"id\":\"*\",\"why\":\"No route to host\"}}"));
	client_hears_nothing(b);
}
END_TEST

static int
marks_answered(struct channel *ch, const struct channel_message *m)
{
	channel_reply_ok(ch, channel_empty());
	return marks(ch, m);
}

START_TEST(marks_of_nobody)
{
	struct client *a;

	probe.join = joins_with_history;
	probe.handle_in = marks;
	mark_fn = marked;
	a = client_new(&codec_phoenix_v2, "", 0);
	client_says(a, "[\"1\",\"1\",\"public:a\",\"phx_join\",{}]");
	pass(10);
	client_forgets(a);
	client_says(a, "[\"1\",\"2\",\"public:a\",\"m1\",{}]");
	noted("mark -22;");
	a = reader("u2", "");
	probe.handle_in = marks_answered;
	client_marks(a, "m1");
	noted("mark -22;");
	client_hears(a, ANSWER("2", OK));
	client_hears_nothing(a);
}
END_TEST

/* It ends before it is told, or when. */
START_TEST(who_marked_is_gone)
{
	struct client *a = talker(1), *b = reader("u2", "");

	client_gone(a);
	if (_i == 1)
		mark_fn = marks_and_stops;
	client_says(b, MARK("01941f29-7c00-7000-8000-000000000001"));
	if (_i == 0)
		client_gone(b);
	pass(10);
	if (_i == 1) {
		client_hears(b, ANSWER("2", OK));
		client_hears(b, "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]");
	}
	client_hears_nothing(b);
	ck_assert(list_empty(&bench.asked));
	ck_assert_ptr_null(b->session.channels);
}
END_TEST

Suite *
channel_history_suite(void)
{
	Suite *s = suite_create("channel_history");
	TCase *t = tcase_create("history");
	int    n_failures = sizeof(failures) / sizeof(failures[0]);

	tcase_add_checked_fixture(t, history_begin, bench_end);
	tcase_add_test(t, a_post_is_heard_and_answered);
	tcase_add_test(t, the_answer_has_the_messages_id);
	tcase_add_loop_test(t, what_is_not_stored_is_not_said, 0, n_failures);
	tcase_add_test(t, a_rate_is_counted_where_it_is_stored);
	tcase_add_loop_test(t, who_is_gone_is_not_answered, 0, 4);
	tcase_add_test(t, errors);
	tcase_add_test(t, without_history);
	tcase_add_test(t, a_newcomer_is_given_the_newest);
	tcase_add_test(t, no_hole_and_nothing_twice);
	tcase_add_test(t, posts_of_the_newcomer_come_last);
	tcase_add_loop_test(t, joins_that_come_to_nothing, 0, sizeof(decisions) / sizeof(decisions[0]));
	tcase_add_loop_test(t, joins_that_end_before_their_page, 0, 2);
	tcase_add_loop_test(t, the_store_cannot_be_read, 0, n_failures);
	tcase_add_test(t, pages_are_loaded);
	tcase_add_loop_test(t, pages_that_cannot_be_read, 0, n_failures);
	tcase_add_test(t, pages_come_one_at_a_time);
	tcase_add_test(t, clients_take_turns);
	tcase_add_loop_test(t, who_ends_waits_no_more, 0, 3);
	tcase_add_loop_test(t, joins_wait_their_turn, 0, 2);
	tcase_add_loop_test(t, the_store_is_away_by_then, 0, (int)(sizeof(failures) / sizeof(failures[0])));
	tcase_add_loop_test(t, so_many_pages_wait, 0, 2);
	tcase_add_test(t, marks_go_on);
	tcase_add_loop_test(t, marks_that_are_none, 0, 2);
	tcase_add_loop_test(t, marks_that_cannot_be_kept, 0, n_failures);
	tcase_add_test(t, marks_of_nobody);
	tcase_add_loop_test(t, who_marked_is_gone, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
