/*
 * History as channels use it: said, heard by all or by all but one, read in pages; in memory, and with a real Redis.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "history/feed.h"
#include "history_bench.h"
#include "turned_by_hand.h"

Suite *history_suite(void);

static const struct history_limits limits = { .max = 100 };

struct said {
	unsigned n;
	int	 error;
	uint64_t retry;
	char	 id[UUID_LEN + 1];
};

static void
on_said(void *arg, int error, struct slice id, uint64_t retry_ms)
{
	struct said *s = arg;

	s->n++;
	s->error = error;
	s->retry = retry_ms;
	snprintf(s->id, sizeof(s->id), "%.*s", SLICE_ARG(id));
}

static int
say_number(struct hearer *l, unsigned n, bool to_self, struct said *said)
{
	char text[32];

	snprintf(text, sizeof(text), "{\"n\":%u}", n);
	return history_say(l->feed, &(struct history_words){
		.event = SLICE("m"), .payload = slice_str(text), .user = SLICE("u"), .except = to_self ? NULL : &l->sub,
	}, on_said, said);
}

/* ---- against the scripted world ---- */

static bool
nothing_is_under_way(void)
{
	return list_empty(&world.history->appends);
}

/* The message by the bus comes before (0) or behind (1) the outcome; it is lost and read (2); the outcome is unknown (3). */
START_TEST(not_to_the_sender)
{
	struct hearer *a = hearer_new(), *b = hearer_new();
	struct said	 said = { 0 };

	world_append(2);
	hearer_join(a);
	hearer_join(b);
	world_answer_all();
	ck_assert_int_eq(say_number(a, 3, false, &said), 0);
	world_execute();
	if (_i == 0)
		world_bus_all();
	if (_i == 2)
		world_lose_bus();
	if (_i == 3)
		world_store_lost();
	world_answer_all();
	world_bus_all();
	ck_assert_uint_eq(said.n, 1);
	ck_assert_int_eq(said.error, _i == 3 ? -EHOSTUNREACH : 0);
	if (_i == 2) {
		world_settle();
		hearer_got(b, "3");
	}
	world_append(1);
	world_bus_all();
	hearer_got(a, _i == 3 ? "3 4" : "4");
	hearer_got(b, "3 4");
	ck_assert(nothing_is_under_way());
	hearer_free(a);
	hearer_free(b);
}
END_TEST

START_TEST(to_the_sender)
{
	struct hearer *a = hearer_new();
	struct said	 said = { 0 };

	hearer_join(a);
	world_answer_all();
	ck_assert_int_eq(say_number(a, 1, true, &said), 0);
	world_answer_all();
	world_bus_all();
	hearer_got(a, "1");
	ck_assert_uint_eq(said.n, 1);
	ck_assert_str_eq(said.id, "00000000-000a-7000-8000-000000000001");
	ck_assert(nothing_is_under_way());
	world.store_down = true;
	ck_assert_int_eq(say_number(a, 1, false, &said), -ENOTCONN);
	ck_assert(nothing_is_under_way());
	ck_assert_uint_eq(said.n, 1);
	hearer_free(a);
}
END_TEST

/* Said behind the tip, and then behind one that is the tip no more: nothing was stored, so nobody is left out of anything. */
START_TEST(said_too_late)
{
	const struct position tip = { .ms = 20 };
	struct hearer	     *a = hearer_new(), *b = hearer_new();
	struct said	      said[2] = { { 0 } };

	world_append(2);
	hearer_join(a);
	hearer_join(b);
	world_answer_all();
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(history_say(a->feed, &(struct history_words){
			.event = SLICE("m"), .payload = SLICE("{}"), .except = &a->sub, .after = &tip,
		}, on_said, &said[i]), 0);
	world_answer_all();
	ck_assert_int_eq(said[0].error, 0);
	ck_assert_int_eq(said[1].error, -ESTALE);
	ck_assert_uint_eq(said[0].n + said[1].n, 2);
	ck_assert_str_eq(said[1].id, "");
	world_bus_all();
	ck_assert(nothing_is_under_way());
	world_append(1);
	world_bus_all();
	hearer_got(a, "4");
	hearer_got(b, "3 4");
	ck_assert_uint_eq(world.next, 5);
	hearer_free(a);
	hearer_free(b);
}
END_TEST

static void
on_marked(void *arg, int error)
{
	struct said *s = arg;

	s->n++;
	s->error = error;
}

static int
mark(const char *id, struct said *said)
{
	return history_mark(world.history, WORLD_TOPIC, &limits, SLICE("u"), slice_str(id), on_marked, said);
}

#define AN_ID "00000000-000a-7000-8000-040000000005"

START_TEST(marks_and_errors)
{
	struct said said = { 0 };

	ck_assert_int_eq(mark(AN_ID, &said), 0);
	ck_assert_uint_eq(said.n, 0);
	world_store_lost();
	ck_assert_uint_eq(said.n, 1);
	ck_assert_int_eq(said.error, -EHOSTUNREACH);
	world.store_down = true;
	ck_assert_int_eq(mark(AN_ID, &said), -ENOTCONN);
	/* That no such message is kept is known without the store. */
	ck_assert_int_eq(mark("00000000-000a-1000-8000-040000000005", &said), 0);
	ck_assert_uint_eq(said.n, 1);
	turn_after(world.loop, 0);
	ck_assert_uint_eq(said.n, 2);
	ck_assert_int_eq(said.error, -ENOENT);
	world.store_down = false;
	ck_assert_int_eq(mark(AN_ID, &said), 0);
	ck_assert_int_eq(mark("", &said), 0);
	world_limits(limits, 100);
	turn_after(world.loop, 0);
	ck_assert_uint_eq(said.n, 2);
}
END_TEST

/* The sender goes while its append is under way: before (0) or behind (1) the outcome; the feed stays (2) or not. */
START_TEST(the_sender_goes)
{
	struct hearer *a = hearer_new(), *b = hearer_new();
	struct said	 said = { 0 };

	hearer_join(a);
	if (_i == 2)
		hearer_join(b);
	world_answer_all();
	ck_assert_int_eq(say_number(a, 1, false, &said), 0);
	world_execute();
	if (_i == 1)
		world_answer_all();
	hearer_free(a);
	world_answer_all();
	world_bus_all();
	ck_assert_uint_eq(said.n, 1);
	hearer_got(b, _i == 2 ? "1" : "");
	ck_assert(nothing_is_under_way());
	hearer_free(b);
}
END_TEST

/* Another node's tag is not taken for ours, and an append whose message never came is forgotten in time. */
START_TEST(excepting_ends)
{
	struct hearer *a = hearer_new(), *b = hearer_new();
	struct said	 said = { 0 };

	hearer_join(a);
	hearer_join(b);
	world_answer_all();
	ck_assert_int_eq(say_number(a, 1, false, &said), 0);
	world_answer_all();
	ck_assert(!nothing_is_under_way());
	world_lose_bus();
	if (_i == 0)
		world_append(1);
	else
		world_flush();
	world_bus_all();
	world_settle();
	ck_assert(nothing_is_under_way());
	hearer_got(a, _i == 0 ? "2" : "");
	hearer_got(b, _i == 0 ? "1 2" : "");
	hearer_free(a);
	hearer_free(b);
}
END_TEST

START_TEST(history_ends_meanwhile)
{
	struct hearer *a = hearer_new();
	struct said	 said = { 0 };

	hearer_join(a);
	world_answer_all();
	say_number(a, 1, true, &said);
	say_number(a, 2, false, &said);
	say_number(a, 3, false, &said);
	world_execute();
	world_execute();
	world_answer();
	world_answer();
	world_limits(limits, 100);
	ck_assert_uint_eq(said.n, 2);
	hub_unsubscribe(&world.ps.hub, &a->sub);
	a->feed = NULL;
	hearer_free(a);
}
END_TEST

/* Nobody keeps the topic's history here, but somebody listens. */
START_TEST(without_a_feed)
{
	struct hearer *a = hearer_new();

	hub_subscribe(&world.ps.hub, &a->sub, WORLD_TOPIC);
	world_bring(3, 2);
	hearer_got(a, "3");
	hub_unsubscribe(&world.ps.hub, &a->sub);
	world_bring(4, 3);
	ck_assert(!world.ps.keeper->keeps(world.ps.keeper_arg, WORLD_TOPIC));
	hearer_free(a);
}
END_TEST

START_TEST(the_id_is_added)
{
	static const struct {
		const char *payload;
		const char *delivered;
	} rows[] = {
		{ "{}", "{ID" },
		{ "{ }", "{ ID" },
		{ "{\"a\":1}", "{\"a\":1,ID" },
		{ "{\"a\": {} }", "{\"a\": {} ,ID" },
		{ " {\"a\":\"}\"}\n ", " {\"a\":\"}\",ID" },
		{ "{\"id\":3}", "{\"id\":3,ID" },
	};
	const char	*id = strstr(rows[_i].delivered, "ID");
	size_t		 n = (size_t)(id - rows[_i].delivered);
	struct store_entry e = { .at = { 10, 1 }, .tail = 5, .payload = slice_str(rows[_i].payload) };
	autobuf struct buf out = { 0 };

	history_add_entry_id(&out, &e);
	ck_assert(slice_starts(buf_slice(&out), slice(rows[_i].delivered, n)));
	ck_assert(slice_is(slice_from(buf_slice(&out), n), "\"id\":\"00000000-000a-7000-8000-040000000005\"}"));
}
END_TEST

/* ---- in memory ---- */

static struct loop *loop;
static struct history *history;

static void
memory_start(void)
{
	world = (struct world){ .loop = loop_new() };
	loop = world.loop;
	turn_after(loop, 0);
	pubsub_init(&world.ps, loop, broker_local_new());
	world.history = history_new(loop, &world.ps, store_memory_new(loop, 4000, wall_ms), &(struct history_options){ .max_held = 100000 });
	history = world.history;
}

static void
memory_end(void)
{
	history_free(world.history);
	pubsub_done(&world.ps);
	loop_free(loop);
}

static void
memory_turns(void)
{
	for (int i = 0; i < 4; i++)
		turn_after(loop, 8);
}

static struct hearer *
joined(void)
{
	struct hearer *l = hearer_new();

	l->feed = feed_open(history, WORLD_TOPIC, &limits);
	hub_subscribe(&world.ps.hub, &l->sub, WORLD_TOPIC);
	l->joined = true;
	return l;
}

START_TEST(in_memory)
{
	struct hearer *a = joined(), *b = joined(), *late;
	struct said	 said = { 0 };

	/* Before the feed knows where it stands. */
	ck_assert_int_eq(say_number(a, 1, true, &said), 0);
	memory_turns();
	ck_assert_uint_eq(said.n, 1);
	hearer_got(a, "1");
	ck_assert_int_eq(say_number(a, 2, false, &said), 0);
	hearer_got(a, "1");
	hearer_got(b, "1 2");
	late = hearer_new();
	hearer_catch_up(late, 0, 10);
	ck_assert_int_eq(say_number(b, 3, true, &said), 0);
	memory_turns();
	ck_assert_int_eq(say_number(b, 4, true, &said), 0);
	hearer_got(late, "1 2 3 4");
	ck_assert_uint_eq(late->n_page, 2);
	hearer_free(a);
	hearer_free(b);
	hearer_free(late);
}
END_TEST

static void
copy_mark(void *arg, const struct history_page *page)
{
	char *mark = arg;

	snprintf(mark, UUID_LEN + 1, "%.*s", SLICE_ARG(page->mark));
}

static const char *
mark_of(const char *who)
{
	static char	mark_text[UUID_LEN + 1];
	struct feed    *f = feed_open(history, WORLD_TOPIC, &limits);
	struct catchup *c = history_catch_up(f, NULL, (struct slice){ 0 }, 10, 10, slice_str(who), copy_mark, mark_text);

	memory_turns();
	catchup_cancel(c);
	feed_close(f);
	return mark_text;
}

START_TEST(marks)
{
	struct hearer *a = joined();
	struct said    said[2] = { { 0 } }, marked = { 0 };

	memory_turns();
	ck_assert_str_eq(mark_of("u"), "");
	for (unsigned i = 0; i < 2; i++)
		say_number(a, i + 1, true, &said[i]);
	memory_turns();
	for (unsigned i = 2; i > 0; i--) {
		ck_assert_int_eq(mark(said[i - 1].id, &marked), 0);
		memory_turns();
		ck_assert_int_eq(marked.error, 0);
		ck_assert_str_eq(mark_of("u"), said[1].id);
	}
	ck_assert_int_eq(mark(AN_ID, &marked), 0);
	memory_turns();
	ck_assert_int_eq(marked.error, -ENOENT);
	ck_assert_uint_eq(marked.n, 3);
	ck_assert_str_eq(mark_of("u"), said[1].id);
	ck_assert_str_eq(mark_of("v"), "");
	ck_assert_str_eq(mark_of(""), "");
	hearer_free(a);
}
END_TEST

/* From outside: with a feed, and without one. */
START_TEST(said_by_nobody)
{
	struct hearer *a = joined(), *b = hearer_new();
	struct said	 said = { 0 };

	hub_subscribe(&world.ps.hub, &b->sub, SLICE("other"));
	memory_turns();
	ck_assert_int_eq(history_say_to(history, WORLD_TOPIC, &limits, SLICE("m"), SLICE("{\"n\":1}"), on_said, &said), 0);
	ck_assert_int_eq(history_say_to(history, SLICE("other"), &limits, SLICE("m"), SLICE("{\"n\":2}"), on_said, &said), 0);
	memory_turns();
	ck_assert_uint_eq(said.n, 2);
	hearer_got(a, "1");
	hearer_got(b, "2");
	hub_unsubscribe(&world.ps.hub, &b->sub);
	hearer_free(a);
	hearer_free(b);
}
END_TEST

/* Once; and the id that is told is that of what is gone. */
START_TEST(removed)
{
	struct hearer	    *a = joined();
	struct said	     said = { 0 }, gone = { 0 };
	autobuf struct buf   payload = { 0 }, body = { 0 };

	memory_turns();
	ck_assert_int_eq(say_number(a, 1, true, &said), 0);
	memory_turns();
	hearer_free(a);
	ck_assert_int_eq(history_remove(history, WORLD_TOPIC, &limits, SLICE("x"), on_said, &gone), -EINVAL);
	ck_assert_int_eq(history_remove(history, WORLD_TOPIC, &limits, slice_str(said.id), on_said, &gone), 0);
	memory_turns();
	ck_assert_int_eq(gone.error, 0);
	ck_assert_str_ne(gone.id, said.id);
	ck_assert_int_eq(history_remove(history, WORLD_TOPIC, &limits, slice_str(said.id), on_said, &gone), 0);
	memory_turns();
	ck_assert_int_eq(gone.error, -ENOENT);
	buf_addf(&payload, "{\"id\":\"%s\"}", said.id);
	history_add_entry_id(&body, &(struct store_entry){ .event = SLICE(HISTORY_DELETED), .payload = buf_slice(&payload) });
	ck_assert(slice_eq(buf_slice(&body), buf_slice(&payload)));
}
END_TEST

/* The store is too small for its messages, and forgets topics with their positions: nobody is alarmed. */
START_TEST(memory_runs_out)
{
	struct hearer	    *a = joined();
	struct said	     said = { 0 };
	autobuf struct buf   big = { 0 };
	struct feed	    *other = feed_open(history, SLICE("other"), &limits);

	memory_turns();
	ck_assert_int_eq(say_number(a, 1, true, &said), 0);
	buf_addf(&big, "{\"x\":\"%03500d\"}", 0);
	ck_assert_int_eq(history_say(other, &(struct history_words){ .event = SLICE("m"), .payload = buf_slice(&big) }, on_said, &said), 0);
	memory_turns();
	ck_assert_int_eq(say_number(a, 2, true, &said), 0);
	ck_assert_int_eq(say_number(a, 3, true, &said), 0);
	memory_turns();
	hearer_got(a, "1 2 3");
	feed_close(other);
	hearer_free(a);
}
END_TEST

static unsigned echoes;

/* Who is asked says something else: it comes behind for everyone. */
static void
answer_back(struct subscriber *who, struct slice event, const struct message *m)
{
	struct hearer *l = container_of(who, struct hearer, sub);
	static struct said said;

	hub_send(&world.ps.hub, &l->out, l->sub.codec, (struct message *)m);
	if (echoes > 0) {
		echoes--;
		say_number(l, 10 + echoes, true, &said);
	}
}

START_TEST(said_while_it_is_told)
{
	static const char *const all[] = { "m", NULL };
	struct hearer *a, *b, *c;
	struct said	 said = { 0 };

	world.ps.hub.on_intercept = answer_back;
	a = hearer_new();
	b = hearer_new();
	a->sub.intercepts = b->sub.intercepts = all;
	c = joined();
	hearer_catch_up(a, 0, 10);
	hearer_catch_up(b, 0, 10);
	echoes = 2;
	memory_turns();
	say_number(c, 1, true, &said);
	memory_turns();
	hearer_got(a, "1 11 10");
	hearer_got(b, "1 11 10");
	hearer_got(c, "1 11 10");
	hearer_free(a);
	hearer_free(b);
	hearer_free(c);
}
END_TEST

static void
page_numbers(void *arg, const struct history_page *page)
{
	struct buf *out = arg;

	for (unsigned i = 0; i < page->n; i++)
		buf_addf(out, "%.*s ", SLICE_ARG(page->messages[i].payload));
	buf_addf(out, "%s%s", page->more ? "more " : "", page->recovered ? "recovered" : "");
	buf_add_char(out, '\0');
}

START_TEST(pages)
{
	static const struct {
		bool	    forward;
		int	    id;		/* of that message, 0 = none, -1 = of none that is kept */
		unsigned    limit;
		const char *page;
	} rows[] = {
		{ false, 0, 2, "{\"n\":4} {\"n\":5} more " },
		{ true, 0, 2, "{\"n\":1} {\"n\":2} more " },
		{ false, 3, 10, "{\"n\":1} {\"n\":2} recovered" },
		{ true, 3, 1, "{\"n\":4} more recovered" },
		{ true, 5, 10, "recovered" },
		{ false, -1, 10, "recovered" },
		{ true, -1, 10, "" },
		{ false, 0, 0, "{\"n\":5} more " },
		{ false, 0, 100000, "{\"n\":1} {\"n\":2} {\"n\":3} {\"n\":4} {\"n\":5} " },
	};
	struct hearer	  *a = joined();
	struct said	   said[6] = { 0 };
	autobuf struct buf got = { 0 };
	struct slice	   id = { 0 };

	memory_turns();
	for (unsigned n = 1; n <= 5; n++)
		say_number(a, n, true, &said[n]);
	memory_turns();
	if (rows[_i].id > 0)
		id = slice_str(said[rows[_i].id].id);
	else if (rows[_i].id < 0)
		id = SLICE("00000000-000a-7000-8000-040000000005");
	ck_assert_int_eq(history_page(history, NULL, WORLD_TOPIC, &limits, rows[_i].forward, id, rows[_i].limit, page_numbers, &got), 0);
	ck_assert_uint_eq(got.n, 0);
	memory_turns();
	ck_assert_str_eq(got.p, rows[_i].page);
	hearer_free(a);
}
END_TEST

/* Who scrolls back from there goes on; who asks what followed is told that there may be a gap. */
START_TEST(pages_around_what_is_gone)
{
	struct hearer	  *a = joined();
	struct said	   said[4] = { 0 }, gone = { 0 };
	autobuf struct buf before = { 0 }, after = { 0 };

	memory_turns();
	for (unsigned n = 1; n <= 3; n++)
		say_number(a, n, true, &said[n]);
	memory_turns();
	hearer_free(a);
	ck_assert_int_eq(history_remove(history, WORLD_TOPIC, &limits, slice_str(said[2].id), on_said, &gone), 0);
	memory_turns();
	ck_assert_int_eq(history_page(history, NULL, WORLD_TOPIC, &limits, false, slice_str(said[2].id), 5, page_numbers, &before), 0);
	ck_assert_int_eq(history_page(history, NULL, WORLD_TOPIC, &limits, true, slice_str(said[2].id), 5, page_numbers, &after), 0);
	memory_turns();
	ck_assert_str_eq(before.p, "{\"n\":1} recovered");
	ck_assert_str_eq(after.p, "");
}
END_TEST



Suite *
history_suite(void)
{
	Suite *s = suite_create("history");
	TCase *t = tcase_create("scripted");

	tcase_add_checked_fixture(t, world_start, world_end);
	tcase_add_loop_test(t, not_to_the_sender, 0, 4);
	tcase_add_test(t, to_the_sender);
	tcase_add_test(t, said_too_late);
	tcase_add_test(t, marks_and_errors);
	tcase_add_loop_test(t, the_sender_goes, 0, 3);
	tcase_add_loop_test(t, excepting_ends, 0, 2);
	tcase_add_test(t, history_ends_meanwhile);
	tcase_add_test(t, without_a_feed);
	tcase_add_loop_test(t, the_id_is_added, 0, 6);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_checked_fixture(t, memory_start, memory_end);
	tcase_add_test(t, in_memory);
	tcase_add_test(t, marks);
	tcase_add_test(t, said_by_nobody);
	tcase_add_test(t, removed);
	tcase_add_test(t, pages_around_what_is_gone);
	tcase_add_test(t, memory_runs_out);
	tcase_add_test(t, said_while_it_is_told);
	tcase_add_loop_test(t, pages, 0, 9);
	suite_add_tcase(s, t);
	return s;
}
