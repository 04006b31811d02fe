/*
 * Stores: the same cases against memory and against a real Redis; then what each has alone.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/redis.h"
#include "store/name_lists.h"
#include "store/store.h"
#include "turned_by_hand.h"
#include "wire/envelope.h"
#include "with_redis.h"

Suite *store_suite(void);

#define WAIT_MS		5000
#define QUEUE		((size_t)16 * 1024 * 1024)
#define MINUTE		(60 * UINT64_C(1000))
#define HOUR		(60 * MINUTE)
#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* How an append went. */
struct outcome {
	unsigned	told;
	unsigned	order;		/* among all that was told */
	int		error;
	struct position	at;
	uint64_t	tail;
	uint64_t	retry_ms;
};

/* A copy of one entry, or of a fresh message. */
struct seen {
	struct position	at;
	struct position	prev;
	uint64_t	tail;
	uint64_t	tag;
	struct buf	node;
	struct buf	event;
	struct buf	payload;
	struct buf	user;
};

struct page {
	unsigned	told;
	unsigned	order;
	int		error;
	unsigned	n;
	bool		more;
	bool		found;
	struct position	tip;
	uint64_t	ends_ms;
	bool		has_mark;
	char		mark[UUID_LEN + 1];
	struct seen	entries[64];
};

/* How something went that is told by an error alone; or a list. */
struct done {
	unsigned	told;
	int		error;
	unsigned	n;
	struct buf	names;	/* each ends in '|', in the order of the bytes */
};

static struct loop  *loop;
static struct store *store;
static struct redis *redis;	/* NULL: the store is in memory */
static unsigned	     told;
static int64_t	     wall;	/* of the store in memory */
static struct seen   fresh[64];
static unsigned	     n_fresh;

static const struct history_limits many = { .max = 1000 }, an_hour = { .max = 1000, .age_ms = HOUR };

/* ---- what is told ---- */

static void
note_appended(void *arg, int error, struct position at, uint64_t tail, uint64_t retry_ms)
{
	struct outcome *o = arg;

	*o = (struct outcome){ .told = o->told + 1, .order = told++, .error = error, .at = at, .tail = tail, .retry_ms = retry_ms };
}

static struct seen
seen_copy(const struct store_entry *e)
{
	struct seen s = { .at = e->at, .prev = e->prev, .tail = e->tail, .tag = e->tag };

	buf_add_slice(&s.node, e->node);
	buf_add_slice(&s.event, e->event);
	buf_add_slice(&s.payload, e->payload);
	buf_add_slice(&s.user, e->user);
	return s;
}

static void
seen_done(struct seen *s)
{
	buf_done(&s->node);
	buf_done(&s->event);
	buf_done(&s->payload);
	buf_done(&s->user);
}

static void
page_done(struct page *p)
{
	for (unsigned i = 0; i < p->n; i++)
		seen_done(&p->entries[i]);
}

static void
note_page(void *arg, int error, const struct store_page *page)
{
	struct page *p = arg;

	*p = (struct page){ .told = p->told + 1, .order = told++, .error = error };
	ck_assert(error == 0 || page == NULL);
	if (error != 0)
		return;
	ck_assert_uint_le(page->n, N(p->entries));
	p->n = page->n;
	p->more = page->more;
	p->found = page->found;
	p->tip = page->tip;
	p->ends_ms = page->ends_ms;
	p->has_mark = page->mark.p != NULL;
	snprintf(p->mark, sizeof(p->mark), "%.*s", SLICE_ARG(page->mark));
	for (unsigned i = 0; i < p->n; i++)
		p->entries[i] = seen_copy(&page->entries[i]);
}

static void
note_done(void *arg, int error)
{
	struct done *d = arg;

	d->told++;
	d->error = error;
	told++;
}

static int
by_bytes(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	int		    r = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return r != 0 ? r : (x->n > y->n) - (x->n < y->n);
}

static void
note_list(void *arg, int error, const struct slice *names, unsigned n)
{
	autofree struct slice *sorted = xcalloc(n + 1, sizeof(*sorted));
	struct done	      *d = arg;

	note_done(d, error);
	d->n = n;
	ck_assert(error == 0 || n == 0);
	if (n > 0)
		memcpy(sorted, names, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_bytes);
	for (unsigned i = 0; i < n; i++) {
		buf_add_slice(&d->names, sorted[i]);
		buf_add_char(&d->names, '|');
	}
}

static void
note_fresh(void *arg, struct slice topic, const struct store_entry *e)
{
	ck_assert_uint_lt(n_fresh, N(fresh));
	fresh[n_fresh++] = seen_copy(e);
}

/* What the broker would hear. */
static void
note_message(void *arg, struct slice message)
{
	autobuf struct buf scratch = { 0 };
	struct envelope	   e;
	const char	  *why = "";

	ck_assert_msg(envelope_read(&e, message, &scratch, &why) == 0, "%.*s: %s", SLICE_ARG(message), why);
	ck_assert(e.stored);
	note_fresh(NULL, SLICE(""), &(struct store_entry){ .at = e.at, .prev = e.prev, .tail = e.tail, .tag = e.tag, .node = e.node,
	    .event = e.event, .payload = e.payload, .user = SLICE("") });
}

/* ---- the stores ---- */

static const struct store_user user = { .on_fresh = note_fresh };

static int64_t
test_wall(void)
{
	return wall;
}

static struct store *
memory_of(size_t bytes)
{
	struct store *s = store_memory_new(loop, bytes, test_wall);

	s->user = &user;
	return s;
}

static void
set_up_memory(void)
{
	loop = loop_new();
	wall = wall_ms();
	store = memory_of((size_t)64 * 1024 * 1024);
}

static void
nothing(void *arg)
{
}

static void
nothing_down(void *arg, const char *why)
{
}

static const struct redis_user redis_user = {
	.on_up = nothing, .on_down = nothing_down, .on_bus_up = nothing, .on_bus_down = nothing_down, .on_refused = nothing_down
};

static bool
is_up(void *arg)
{
	return redis_is_up(arg) && redis_bus_is_up(arg);
}

static struct redis *
redis_to_server(size_t max_queue)
{
	struct redis_options o = {
		.url.is_unix = true, .name = "test", .connect_ms = 2000, .ping_ms = 1000, .answer_ms = 4000,
		.backoff_ms = 20, .backoff_max_ms = 100, .max_queue = max_queue
	};

	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	return redis_new(loop, &o, &redis_user, NULL);
}

static void
set_up_redis(void)
{
	with_redis_start();
	loop = loop_new();
	redis = redis_to_server(QUEUE);
	store = store_redis_new(redis, "roost:", "n1");
	redis_subscribe(redis, SLICE("roost:t:{room:a}"), note_message, NULL, NULL);
	ck_assert(with_redis_turn_until(loop, is_up, redis, WAIT_MS));
}

static void
tear_down(void)
{
	if (store != NULL)
		store->ops->free(store);
	for (unsigned i = 0; i < n_fresh; i++)
		seen_done(&fresh[i]);
	redis_free(redis);
	loop_free(loop);
	with_redis_end();
}

/* ---- to say and to read ---- */

static struct store_append
message(const char *topic, const char *payload)
{
	return (struct store_append){
		.topic = slice_str(topic), .event = SLICE("say"), .payload = slice_str(payload), .user = SLICE("u1"), .limits = many
	};
}

static bool
outcome_is_told(void *arg)
{
	const struct outcome *o = arg;

	return o->told > 0;
}

static bool
page_is_told(void *arg)
{
	const struct page *p = arg;

	return p->told > 0;
}

static struct outcome
append_to(struct store *s, const struct store_append *a)
{
	struct outcome o = { 0 };

	ck_assert_int_eq(s->ops->append(s, a, note_appended, &o), 0);
	ck_assert_uint_eq(o.told, 0);
	ck_assert(with_redis_turn_until(loop, outcome_is_told, &o, WAIT_MS));
	ck_assert_uint_eq(o.told, 1);
	return o;
}

static struct outcome
append(const struct store_append *a)
{
	return append_to(store, a);
}

static struct outcome
say(const char *topic, const char *payload)
{
	struct store_append a = message(topic, payload);
	struct outcome	    o = append(&a);

	ck_assert_int_eq(o.error, 0);
	return o;
}

static struct page
fetch(const struct store_read *r)
{
	struct page p = { 0 };

	ck_assert_int_eq(store->ops->read(store, r, note_page, &p), 0);
	ck_assert_uint_eq(p.told, 0);
	ck_assert(with_redis_turn_until(loop, page_is_told, &p, WAIT_MS));
	ck_assert_uint_eq(p.told, 1);
	return p;
}

/* All that is kept, forward. */
static struct page
fetch_all(const char *topic, struct history_limits limits)
{
	struct page p = fetch(&(struct store_read){ .topic = slice_str(topic), .forward = true, .limit = 60, .limits = limits });

	ck_assert_int_eq(p.error, 0);
	ck_assert(!p.more);
	return p;
}

/* As a message that was said so long ago. */
static void
say_ago(uint64_t ago_ms, const char *topic, const char *payload)
{
	if (redis != NULL) {
		with_redis_do("XADD roost:history:{%s} %" PRIu64 "-0 event say payload %s tail 7 node n1 user u1", topic,
		    (uint64_t)wall_ms() - ago_ms, payload);
		return;
	}
	wall -= (int64_t)ago_ms;
	say(topic, payload);
	wall += (int64_t)ago_ms;
}

/* What rate windows remember is so much older now. */
static void
pass_time(uint64_t ms)
{
	static const char shift[] =
		"for _, key in ipairs(redis.call('KEYS', 'roost:rate:*')) do "
		"local all = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') "
		"for i = 1, #all, 2 do redis.call('ZADD', key, string.format('%.0f', all[i + 1] - ARGV[1]), all[i]) end end";

	wall += (int64_t)ms;
	if (redis == NULL)
		turn_after(loop, ms);
	else
		with_redis_do("EVAL %s 0 %" PRIu64, shift, ms);
}

static void
assert_same(struct position a, struct position b)
{
	ck_assert_uint_eq(a.ms, b.ms);
	ck_assert_uint_eq(a.seq, b.seq);
}

static void
assert_text(struct buf *b, struct slice want)
{
	ck_assert_uint_eq(b->n, want.n);
	ck_assert(slice_eq(buf_slice(b), want));
}

static const char *
numbered(unsigned i)
{
	static char text[64][24];

	snprintf(text[i], sizeof(text[i]), "{\"n\":%u}", i);
	return text[i];
}

/* The page shows n messages: those with numbers from `first` on. */
static void
assert_numbers(struct page *p, unsigned first, unsigned n)
{
	ck_assert_uint_eq(p->n, n);
	for (unsigned i = 0; i < n; i++)
		assert_text(&p->entries[i].payload, slice_str(numbered(first + i)));
}

static bool
fresh_has_come(void *arg)
{
	const unsigned *n = arg;

	return n_fresh >= *n;
}

static void
await_fresh(unsigned n)
{
	ck_assert(with_redis_turn_until(loop, fresh_has_come, &n, WAIT_MS));
}

/* ---- the same for both ---- */

START_TEST(positions_grow)
{
	struct outcome o[20] = { 0 };

	for (unsigned i = 0; i < N(o); i++) {
		struct store_append a = message("room:a", numbered(i));

		ck_assert_int_eq(store->ops->append(store, &a, note_appended, &o[i]), 0);
	}
	ck_assert(with_redis_turn_until(loop, outcome_is_told, &o[N(o) - 1], WAIT_MS));
	await_fresh(N(o));
	for (unsigned i = 0; i < N(o); i++) {
		ck_assert_uint_eq(o[i].told, 1);
		ck_assert_uint_eq(o[i].order, i);
		ck_assert_int_eq(o[i].error, 0);
		ck_assert_uint_eq(o[i].tail >> UUID_TAIL_BITS, 0);
		assert_same(fresh[i].at, o[i].at);
		ck_assert_uint_eq(fresh[i].tail, o[i].tail);
		assert_text(&fresh[i].payload, slice_str(numbered(i)));
		assert_text(&fresh[i].event, SLICE("say"));
		ck_assert_uint_eq(fresh[i].tag, 0);
		assert_same(fresh[i].prev, i > 0 ? o[i - 1].at : (struct position){ 0 });
		if (i > 0) {
			ck_assert_int_lt(position_compare(o[i - 1].at, o[i].at), 0);
			ck_assert_uint_ne(o[i - 1].tail, o[i].tail);
		}
	}
	ck_assert_uint_lt((uint64_t)wall_ms() - o[0].at.ms, 10000);
}
END_TEST

START_TEST(tags_come_back)
{
	struct store_append a = message("room:a", "{}");

	a.tag = UINT64_MAX;
	append(&a);
	await_fresh(1);
	ck_assert_uint_eq(fresh[0].tag, UINT64_MAX);
}
END_TEST

#define NONE	-1
#define FUTURE	100
START_TEST(pages)
{
	static const struct {
		bool	 forward;
		int	 from;
		unsigned limit, first, n;
		bool	 more;
	} cases[] = {
		{ true, NONE, 60, 0, 10, false }, { true, NONE, 10, 0, 10, false }, { true, NONE, 9, 0, 9, true },
		{ true, NONE, 1, 0, 1, true }, { true, NONE, 0, 0, 0, true }, { true, 0, 60, 1, 9, false },
		{ true, 4, 3, 5, 3, true }, { true, 6, 3, 7, 3, false }, { true, 8, 60, 9, 1, false }, { true, 9, 60, 0, 0, false },
		{ true, FUTURE, 60, 0, 0, false },
		{ false, NONE, 60, 0, 10, false }, { false, NONE, 10, 0, 10, false }, { false, NONE, 9, 1, 9, true },
		{ false, NONE, 1, 9, 1, true }, { false, NONE, 0, 0, 0, true }, { false, 9, 60, 0, 9, false },
		{ false, 5, 3, 2, 3, true }, { false, 3, 3, 0, 3, false }, { false, 1, 60, 0, 1, false }, { false, 0, 60, 0, 0, false },
		{ false, FUTURE, 2, 8, 2, true },
	};
	struct position at[10];

	for (unsigned i = 0; i < N(at); i++)
		at[i] = say("room:a", numbered(i)).at;
	for (unsigned i = 0; i < N(cases); i++) {
		struct store_read r = {
			.topic = SLICE("room:a"), .forward = cases[i].forward, .limit = cases[i].limit, .limits = i % 2 == 0 ? many : an_hour
		};
		struct page p;

		if (cases[i].from == FUTURE)
			r.from = (struct position){ .ms = at[9].ms + HOUR };
		else if (cases[i].from != NONE)
			r.from = at[cases[i].from];
		p = fetch(&r);
		ck_assert_int_eq(p.error, 0);
		assert_numbers(&p, cases[i].first, cases[i].n);
		ck_assert_int_eq(p.more, cases[i].more);
		ck_assert(!p.found);
		assert_same(p.tip, at[9]);
		page_done(&p);
	}
}
END_TEST

/* Who asks from a place where no message is gets what lies around it. */
START_TEST(pages_from_between)
{
	struct position	  at[3];
	struct store_read r = { .topic = SLICE("room:a"), .limit = 60, .limits = many };
	struct page	  p;

	for (unsigned i = 0; i < N(at); i++) {
		at[i] = say("room:a", numbered(i)).at;
		wall += 10;
		with_redis_turn_until(loop, page_is_told, &(struct page){ 0 }, 10);
	}
	r.from = (struct position){ .ms = at[1].ms - 1 };
	p = fetch(&r);
	assert_numbers(&p, 0, 1);
	page_done(&p);
	r.forward = true;
	p = fetch(&r);
	assert_numbers(&p, 1, 2);
	page_done(&p);
}
END_TEST

static bool
is_found(const char *topic, struct position at, uint64_t tail, struct history_limits limits)
{
	struct page p = fetch(&(struct store_read){
	    .topic = slice_str(topic), .forward = true, .from = at, .check = true, .tail = tail, .limits = limits });

	ck_assert_int_eq(p.error, 0);
	ck_assert_uint_eq(p.n, 0);
	return p.found;
}

START_TEST(checks)
{
	struct outcome	    a = say("room:a", "{}"), b = say("room:b", "{}");
	struct store_append last = message("room:a", "{}");

	ck_assert(is_found("room:a", a.at, a.tail, many));
	ck_assert(is_found("room:a", a.at, a.tail, an_hour));
	ck_assert(!is_found("room:a", a.at, b.tail, many));
	ck_assert(!is_found("room:b", a.at, a.tail, many));
	ck_assert(!is_found("room:none", a.at, a.tail, many));
	ck_assert(!is_found("room:a", (struct position){ .ms = a.at.ms + HOUR }, a.tail, many));
	ck_assert(!is_found("room:a", (struct position){ .ms = 1 }, a.tail, many));
	ck_assert(!is_found("room:a", (struct position){ 0 }, 0, many));
	last.limits.max = 1;
	append(&last);
	ck_assert(!is_found("room:a", a.at, a.tail, many));
}
END_TEST

/* What says that a message is gone; it may keep two. */
static struct outcome
remove_from(const char *topic, const struct store_place *place, struct history_limits limits)
{
	struct store_append a = message(topic, numbered(9));

	a.event = SLICE("gone");
	a.limits = limits;
	a.removes = place;
	return append(&a);
}

/* From anywhere, also where nothing more fits in; the next message follows its announcement. */
START_TEST(removed)
{
	const struct history_limits three = { .max = 3, .age_ms = HOUR };
	struct store_place	    places[3];
	struct outcome		    o;
	struct page		    p;

	for (unsigned i = 0; i < 3; i++) {
		o = say("room:a", numbered(i));
		places[i] = (struct store_place){ o.at, o.tail };
	}
	o = remove_from("room:a", &places[_i], three);
	ck_assert_int_eq(o.error, 0);
	await_fresh(4);
	assert_same(fresh[3].at, o.at);
	assert_same(fresh[3].prev, places[2].at);
	assert_text(&fresh[3].event, SLICE("gone"));
	p = fetch_all("room:a", three);
	ck_assert_uint_eq(p.n, 3);
	for (int i = 0; i < 2; i++)
		assert_text(&p.entries[i].payload, slice_str(numbered((unsigned)(i < _i ? i : i + 1))));
	assert_same(p.entries[2].at, o.at);
	assert_same(p.tip, o.at);
	page_done(&p);
	ck_assert(!is_found("room:a", places[_i].at, places[_i].tail, many));
	/* Not twice, and not the announcement. */
	ck_assert_int_eq(remove_from("room:a", &places[_i], three).error, -ENOENT);
	ck_assert_int_eq(remove_from("room:a", &(struct store_place){ o.at, o.tail }, three).error, -ENOENT);
	say("room:a", numbered(4));
	await_fresh(5);
	assert_same(fresh[4].prev, o.at);
}
END_TEST

START_TEST(not_removed)
{
	struct outcome	  o;
	struct store_place place;
	struct page	  p;

	ck_assert_int_eq(remove_from("room:a", &(struct store_place){ { 1, 0 }, 1 }, many).error, -ENOENT);
	say_ago(2 * HOUR, "room:a", numbered(0));
	o = say("room:a", numbered(1));
	place = (struct store_place){ o.at, o.tail ^ 1 };
	ck_assert_int_eq(remove_from("room:a", &place, many).error, -ENOENT);
	place = (struct store_place){ { o.at.ms, o.at.seq + 1 }, o.tail };
	ck_assert_int_eq(remove_from("room:a", &place, many).error, -ENOENT);
	place = (struct store_place){ { o.at.ms - 1, 0 }, o.tail };
	ck_assert_int_eq(remove_from("room:a", &place, many).error, -ENOENT);
	place = (struct store_place){ o.at, o.tail };
	ck_assert_int_eq(remove_from("room:b", &place, many).error, -ENOENT);
	p = fetch_all("room:a", many);
	assert_numbers(&p, 0, 2);
	place = (struct store_place){ p.entries[0].at, p.entries[0].tail };
	page_done(&p);
	/* Over age, though it is still there. */
	ck_assert_int_eq(remove_from("room:a", &place, an_hour).error, -ENOENT);
	ck_assert_int_eq(remove_from("room:a", &place, many).error, 0);
}
END_TEST

/* The last one of all. */
START_TEST(removed_alone)
{
	struct outcome	   o = say("room:a", numbered(0));
	struct store_place place = { o.at, o.tail };
	struct page	   p;

	ck_assert_int_eq(remove_from("room:a", &place, (struct history_limits){ .max = 1 }).error, 0);
	p = fetch_all("room:a", many);
	assert_numbers(&p, 9, 1);
	page_done(&p);
}
END_TEST

/* Found, and the page behind it, in one answer. */
START_TEST(checks_with_page)
{
	struct outcome	  o = say("room:a", numbered(0));
	struct store_read r = {
		.topic = SLICE("room:a"), .forward = true, .from = o.at, .check = true, .tail = o.tail, .limit = 2, .limits = many
	};
	struct page p;

	for (unsigned i = 1; i < 5; i++)
		o = say("room:a", numbered(i));
	p = fetch(&r);
	ck_assert(p.found);
	ck_assert(p.more);
	assert_numbers(&p, 1, 2);
	assert_same(p.tip, o.at);
	page_done(&p);
}
END_TEST

START_TEST(no_more_than_max)
{
	struct store_append a;
	struct outcome	    o = { 0 };
	struct page	    p;

	for (unsigned i = 0; i < 25; i++) {
		a = message("room:a", numbered(i));
		a.limits.max = 5;
		o = append(&a);
		p = fetch_all("room:a", many);
		assert_numbers(&p, i < 5 ? 0 : i - 4, i < 5 ? i + 1 : 5);
		assert_same(p.tip, o.at);
		page_done(&p);
	}
	/* A smaller maximum takes effect with the next message. */
	a = message("room:a", numbered(25));
	a.limits.max = 2;
	append(&a);
	p = fetch_all("room:a", many);
	assert_numbers(&p, 24, 2);
	page_done(&p);
	await_fresh(26);
	assert_same(fresh[25].prev, o.at);
}
END_TEST

START_TEST(over_age)
{
	struct store_append a = message("room:a", numbered(4));
	struct store_read   r = { .topic = SLICE("room:a"), .limit = 1, .limits = an_hour };
	struct page	    p;
	struct position	    old;

	for (unsigned i = 0; i < 4; i++)
		say_ago(i < 2 ? 2 * HOUR - i : HOUR / 2 - i, "room:a", numbered(i));
	p = fetch_all("room:a", many);
	assert_numbers(&p, 0, 4);
	old = p.entries[0].at;
	ck_assert(is_found("room:a", old, p.entries[0].tail, many));
	ck_assert(!is_found("room:a", old, p.entries[0].tail, an_hour));
	page_done(&p);
	/* Not trimmed yet, yet not given: in neither direction, from nowhere. */
	p = fetch_all("room:a", an_hour);
	assert_numbers(&p, 2, 2);
	page_done(&p);
	p = fetch(&r);
	assert_numbers(&p, 3, 1);
	ck_assert(p.more);
	r.from = p.entries[0].at;
	page_done(&p);
	p = fetch(&r);
	assert_numbers(&p, 2, 1);
	ck_assert(!p.more);
	page_done(&p);
	r.from = old;
	p = fetch(&r);
	ck_assert_uint_eq(p.n, 0);
	ck_assert(!p.more);
	r.forward = true;
	p = fetch(&r);
	assert_numbers(&p, 2, 1);
	ck_assert(p.more);
	page_done(&p);
	/* And now it is trimmed. */
	a.limits = an_hour;
	append(&a);
	p = fetch_all("room:a", many);
	assert_numbers(&p, 2, 3);
	page_done(&p);
}
END_TEST

START_TEST(tips)
{
	struct page	    p = fetch_all("room:none", many);
	struct position	    last;

	ck_assert_uint_eq(p.n, 0);
	assert_same(p.tip, (struct position){ 0 });
	say_ago(2 * HOUR, "room:a", "{}");
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, 1);
	last = p.entries[0].at;
	page_done(&p);
	/* All that there was is over age, the place remains. */
	p = fetch_all("room:a", an_hour);
	ck_assert_uint_eq(p.n, 0);
	assert_same(p.tip, last);
}
END_TEST

START_TEST(payloads_untouched)
{
	static const char *const payloads[] = {
		"{}", "{ \"a\" : [ ] }", "{\"n\":[1,1.0,1e400,-0,12345678901234567890,0.1000]}",
		"{\"s\":\"\\u00e9\\/\\n\\\"\\\\\\ud83d\\ude00\"}",
		"{\"\xc3\xa9\":\"\xf0\x9f\x98\x80 \xe2\x82\xac\"}", "{\"a\":1,\"a\":2,\"\":null}", "{\"$1\":\"%s {0} ]] ' \"}",
	};
	autofree char *big = xmalloc(200 * 1024 + 1);
	struct page    p;

	memset(big, 'x', 200 * 1024);
	memcpy(big, "{\"a\":\"", 6);
	memcpy(big + 200 * 1024 - 2, "\"}", 3);
	for (unsigned i = 0; i < N(payloads); i++)
		say("room:a", payloads[i]);
	say("room:a", big);
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, N(payloads) + 1);
	await_fresh(N(payloads) + 1);
	for (unsigned i = 0; i < p.n; i++) {
		struct slice want = slice_str(i < N(payloads) ? payloads[i] : big);

		assert_text(&p.entries[i].payload, want);
		assert_text(&fresh[i].payload, want);
	}
	page_done(&p);
}
END_TEST

START_TEST(any_user_and_event)
{
	static const struct slice users[] = {
		{ "", 0 }, { "u 1", 3 }, { "\"\\\n", 3 }, { "\xff\xfe", 2 }, { "a\0b", 3 }, { "\xc3\xa9", 2 }
	};
	static const struct slice events[] = {
		{ "say", 3 }, { "\"hi\"", 4 }, { "a\\b/", 4 }, { "\xe2\x82\xac", 3 }, { "payload", 7 }, { "' .. x", 6 }
	};
	struct page p;

	for (unsigned i = 0; i < N(users); i++) {
		struct store_append a = message("room:a", numbered(i));

		a.user = users[i];
		a.event = events[i];
		ck_assert_int_eq(append(&a).error, 0);
	}
	p = fetch_all("room:a", many);
	await_fresh(N(users));
	assert_numbers(&p, 0, N(users));
	for (unsigned i = 0; i < N(users); i++) {
		assert_text(&p.entries[i].user, users[i]);
		assert_text(&p.entries[i].event, events[i]);
		assert_text(&fresh[i].event, events[i]);
	}
	page_done(&p);
}
END_TEST

START_TEST(any_topic)
{
	static const char *const topics[] = {
		"room:a", "room:A", "room:{a}", "{room:a}", "a}b{c",
		"}", "{", "room: a b", "room:\"a\"\r\n", "\xe2\x82\xac", "room:a:n1", "*"
	};
	static const struct rate   one = { 1, MINUTE };
	const struct store_rate	   rate = { .key = SLICE("say/u1"), .rate = one };
	struct page		   p;

	for (unsigned i = 0; i < N(topics); i++) {
		struct store_append a = message(topics[i], numbered(i));

		a.rate = &rate;
		ck_assert_int_eq(append(&a).error, 0);
		ck_assert_int_eq(append(&a).error, -EAGAIN);
	}
	for (unsigned i = 0; i < N(topics); i++) {
		p = fetch_all(topics[i], many);
		assert_numbers(&p, i, 1);
		page_done(&p);
	}
}
END_TEST

/* One of that key in room:a. */
static struct outcome
say_rated(struct store *s, struct slice key, uint32_t count)
{
	const struct store_rate rate = { .key = key, .rate = { count, MINUTE } };
	struct store_append	a = message("room:a", "{}");

	a.rate = &rate;
	return append_to(s, &a);
}

static void
assert_waits(struct outcome o, uint64_t ms)
{
	ck_assert_int_eq(o.error, -EAGAIN);
	/* Redis' clock goes on while we look. */
	ck_assert_uint_le(o.retry_ms, ms);
	ck_assert_uint_gt(o.retry_ms + 5000, ms);
	assert_same(o.at, (struct position){ 0 });
}

START_TEST(rates)
{
	struct slice key = SLICE("say/u1");
	struct page  p;

	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(say_rated(store, key, 3).error, 0);
		pass_time(10000);
	}
	for (unsigned i = 0; i < 5; i++)
		assert_waits(say_rated(store, key, 3), 30000);
	ck_assert_int_eq(say_rated(store, SLICE("say/u2"), 3).error, 0);
	ck_assert_int_eq(say_rated(store, SLICE("cry/u1"), 3).error, 0);
	/* The window slides: the first leaves it, then the second; those that were refused are not in it. */
	pass_time(30000);
	ck_assert_int_eq(say_rated(store, key, 3).error, 0);
	assert_waits(say_rated(store, key, 3), 10000);
	pass_time(10000);
	ck_assert_int_eq(say_rated(store, key, 3).error, 0);
	assert_waits(say_rated(store, key, 3), 10000);
	pass_time(MINUTE);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(say_rated(store, key, 3).error, 0);
	assert_waits(say_rated(store, key, 3), MINUTE);
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, 10);
	page_done(&p);
	await_fresh(10);
	ck_assert_uint_eq(n_fresh, 10);
}
END_TEST

START_TEST(rate_of_none)
{
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 0).error, 0);
}
END_TEST

/* A reload may make a rate smaller while its window is full. */
START_TEST(rate_made_smaller)
{
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 5).error, 0);
	assert_waits(say_rated(store, SLICE("say/u1"), 5), MINUTE);
	pass_time(MINUTE);
	ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 1).error, 0);
	assert_waits(say_rated(store, SLICE("say/u1"), 1), MINUTE);
}
END_TEST

/* Longer than any date. */
START_TEST(for_ever)
{
	const struct store_rate rate = { .key = SLICE("say/u1"), .rate = { 1, INT64_MAX } };
	struct store_append	a = message("room:a", numbered(0));
	struct page		p;

	a.limits.age_ms = INT64_MAX;
	a.rate = &rate;
	ck_assert_int_eq(append(&a).error, 0);
	ck_assert_int_eq(append(&a).error, -EAGAIN);
	p = fetch_all("room:a", a.limits);
	assert_numbers(&p, 0, 1);
	page_done(&p);
	await_fresh(1);
}
END_TEST

/* What is asked first is told first, and a page knows nothing of what was said after it was asked for. */
START_TEST(in_order)
{
	struct store_append a = message("room:a", numbered(0)), b = message("room:a", numbered(1));
	struct store_read   r = { .topic = SLICE("room:a"), .forward = true, .limit = 60, .limits = many };
	struct outcome	    first = { 0 }, second = { 0 };
	struct page	    between = { 0 }, last = { 0 };

	store->ops->append(store, &a, note_appended, &first);
	store->ops->read(store, &r, note_page, &between);
	store->ops->append(store, &b, note_appended, &second);
	store->ops->read(store, &r, note_page, &last);
	ck_assert_uint_eq(told, 0);
	ck_assert(with_redis_turn_until(loop, page_is_told, &last, WAIT_MS));
	ck_assert_uint_eq(first.order, 0);
	ck_assert_uint_eq(between.order, 1);
	ck_assert_uint_eq(second.order, 2);
	ck_assert_uint_eq(last.order, 3);
	assert_numbers(&between, 0, 1);
	assert_same(between.tip, first.at);
	assert_numbers(&last, 0, 2);
	page_done(&between);
	page_done(&last);
}
END_TEST

START_TEST(freed_in_between)
{
	struct store_append a = message("room:a", "{}");
	struct store_read   r = { .topic = SLICE("room:a"), .limit = 1, .limits = many };
	struct outcome	    o = { 0 };
	struct page	    p = { 0 };

	say("room:a", "{}");
	store->ops->append(store, &a, note_appended, &o);
	store->ops->read(store, &r, note_page, &p);
	store->ops->free(store);
	store = NULL;
	with_redis_turn_until(loop, page_is_told, &p, 50);
	ck_assert_uint_eq(o.told + p.told, 0);
}
END_TEST

/* ---- appends under a condition ---- */

/* Stored only behind that one. */
static struct outcome
say_after(const char *topic, struct position after)
{
	struct store_append a = message(topic, "{}");

	a.after = &after;
	return append(&a);
}

static struct position
tip_of(const char *topic, struct history_limits limits)
{
	struct page p = fetch(&(struct store_read){ .topic = slice_str(topic), .limits = limits });

	ck_assert_int_eq(p.error, 0);
	return p.tip;
}

static void
assert_stale(struct outcome o)
{
	ck_assert_int_eq(o.error, -ESTALE);
	assert_same(o.at, (struct position){ 0 });
	ck_assert_uint_eq(o.tail, 0);
	ck_assert_uint_eq(o.retry_ms, 0);
}

START_TEST(after_the_tip)
{
	const struct position nowhere = { 0 };
	struct outcome	      o[3];
	struct page	      p;

	o[0] = say_after("room:a", nowhere);
	ck_assert_int_eq(o[0].error, 0);
	assert_stale(say_after("room:a", nowhere));
	assert_stale(say_after("room:a", (struct position){ o[0].at.ms, o[0].at.seq + 1 }));
	assert_stale(say_after("room:a", (struct position){ o[0].at.ms - 1, 0 }));
	o[1] = say_after("room:a", tip_of("room:a", many));
	ck_assert_int_eq(o[1].error, 0);
	/* Somebody else's, without a condition, makes it stale as well; other topics do not. */
	say("room:b", "{}");
	o[2] = say("room:a", "{}");
	assert_stale(say_after("room:a", o[1].at));
	ck_assert_int_eq(say_after("room:a", o[2].at).error, 0);
	await_fresh(4);
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, 4);
	page_done(&p);
}
END_TEST

START_TEST(two_race)
{
	struct position	    after = say("room:a", "{}").at;
	struct store_append a = message("room:a", numbered(1)), b = message("room:a", numbered(2));
	struct outcome	    first = { 0 }, second = { 0 };
	struct page	    p;

	a.after = b.after = &after;
	ck_assert_int_eq(store->ops->append(store, &a, note_appended, &first), 0);
	ck_assert_int_eq(store->ops->append(store, &b, note_appended, &second), 0);
	after = (struct position){ 0 };	/* it is copied */
	ck_assert(with_redis_turn_until(loop, outcome_is_told, &second, WAIT_MS));
	ck_assert_int_eq(first.error, 0);
	assert_stale(second);
	await_fresh(2);
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, 2);
	assert_text(&p.entries[1].payload, slice_str(numbered(1)));
	page_done(&p);
}
END_TEST

/* All that there was is over age: the tip is what it was, and the next one follows on to it. */
START_TEST(after_an_emptied_topic)
{
	struct position tip;

	say_ago(2 * HOUR, "room:a", "{}");
	tip = tip_of("room:a", an_hour);
	assert_stale(say_after("room:a", (struct position){ 0 }));
	ck_assert_int_eq(say_after("room:a", tip).error, 0);
	await_fresh(1);
	assert_same(fresh[n_fresh - 1].prev, tip);
}
END_TEST

/* Who is refused has not used up his rate; who is over his rate is told so first. */
START_TEST(stale_and_rated)
{
	static const struct position wrong = { 1, 1 };
	const struct store_rate	     rate = { .key = SLICE("say/u1"), .rate = { 1, MINUTE } };
	struct store_append	     a = message("room:a", "{}");

	a.rate = &rate;
	a.after = &wrong;
	for (unsigned i = 0; i < 3; i++)
		assert_stale(append(&a));
	a.after = NULL;
	ck_assert_int_eq(append(&a).error, 0);
	a.after = &wrong;
	assert_waits(append(&a), MINUTE);
}
END_TEST

/* ---- the newest, which lives longer ---- */

static const struct history_limits last_a_day = { .max = 1000, .age_ms = HOUR, .last_ms = 24 * HOUR };

static void
assert_page(const struct store_read *r, unsigned first, unsigned n, bool more, bool found)
{
	struct page p = fetch(r);

	ck_assert_int_eq(p.error, 0);
	assert_numbers(&p, first, n);
	ck_assert_int_eq(p.more, more);
	ck_assert_int_eq(p.found, found);
	page_done(&p);
}

START_TEST(last_beyond_age)
{
	struct store_read r = { .topic = SLICE("room:a"), .limit = 60, .limits = last_a_day };
	struct page	  p;
	struct position	  at[3];
	uint64_t	  tail[3];

	for (unsigned i = 0; i < 3; i++)
		say_ago((4 - i) * HOUR, "room:a", numbered(i));
	p = fetch_all("room:a", many);
	for (unsigned i = 0; i < 3; i++) {
		at[i] = p.entries[i].at;
		tail[i] = p.entries[i].tail;
	}
	page_done(&p);
	for (unsigned forward = 0; forward < 2; forward++) {
		r.forward = forward;
		r.from = (struct position){ 0 };
		assert_page(&r, 2, 1, false, false);
		r.limit = 0;
		assert_page(&r, 2, 0, true, false);
		r.limit = 60;
		r.from = at[1];
		assert_page(&r, 2, forward ? 1 : 0, false, false);
		r.from = at[2];
		assert_page(&r, 2, 0, false, false);
	}
	ck_assert(!is_found("room:a", at[1], tail[1], last_a_day));
	ck_assert(is_found("room:a", at[2], tail[2], last_a_day));
	ck_assert(!is_found("room:a", at[2], tail[2] ^ 1, last_a_day));
	ck_assert(!is_found("room:a", at[2], tail[2], an_hour));
	/* Younger ones are there: the newest is nothing special, and the next over age is over age. */
	say("room:a", numbered(3));
	p = fetch_all("room:a", last_a_day);
	assert_numbers(&p, 3, 1);
	page_done(&p);
	ck_assert(!is_found("room:a", at[2], tail[2], last_a_day));
}
END_TEST

START_TEST(last_over_its_age)
{
	const struct history_limits two_hours = { .max = 10, .age_ms = HOUR, .last_ms = 2 * HOUR };
	const struct history_limits half = { .max = 10, .age_ms = HOUR, .last_ms = HOUR / 2 };
	const struct history_limits ageless = { .max = 10, .age_ms = 0, .last_ms = HOUR };
	const struct history_limits no_end = { .max = 10, .age_ms = HOUR, .last_ms = INT64_MAX };
	struct page		    p;

	say_ago(3 * HOUR, "room:a", numbered(0));
	p = fetch_all("room:a", two_hours);
	assert_numbers(&p, 0, 0);
	ck_assert_uint_gt(p.tip.ms, 0);
	p = fetch_all("room:a", ageless);
	assert_numbers(&p, 0, 1);
	page_done(&p);
	p = fetch_all("room:a", no_end);
	assert_numbers(&p, 0, 1);
	page_done(&p);
	/* A shorter one takes nothing away. */
	say_ago(HOUR - MINUTE, "room:a", numbered(1));
	p = fetch_all("room:a", half);
	assert_numbers(&p, 1, 1);
	page_done(&p);
}
END_TEST

/* What lived as the newest goes when it is that no more. */
START_TEST(last_is_trimmed_by_the_next)
{
	struct store_append a = message("room:a", numbered(1));
	struct position	    tip;
	struct page	    p;

	say_ago(2 * HOUR, "room:a", numbered(0));
	tip = tip_of("room:a", last_a_day);
	a.limits = last_a_day;
	a.after = &tip;
	ck_assert_int_eq(append(&a).error, 0);
	p = fetch_all("room:a", many);
	assert_numbers(&p, 1, 1);
	page_done(&p);
	await_fresh(1);
	assert_same(fresh[n_fresh - 1].prev, tip);
}
END_TEST

/* ---- marks ---- */

static bool
done_is_told(void *arg)
{
	const struct done *d = arg;

	return d->told > 0;
}

static int
await_done(struct done *d)
{
	ck_assert_uint_eq(d->told, 0);
	ck_assert(with_redis_turn_until(loop, done_is_told, d, WAIT_MS));
	ck_assert_uint_eq(d->told, 1);
	return d->error;
}

static int
mark_as(struct slice who, const char *topic, const char *id, struct history_limits limits)
{
	struct done d = { 0 };

	ck_assert_int_eq(store->ops->mark(store, &(struct store_mark){
	    .topic = slice_str(topic), .user = who, .id = slice_str(id), .limits = limits }, note_done, &d), 0);
	return await_done(&d);
}

static int
mark(const char *who, const char *topic, const char *id)
{
	return mark_as(slice_str(who), topic, id, many);
}

/* "" = none. */
static const char *
marked_by(struct slice who, const char *topic)
{
	static struct page p;

	p = fetch(&(struct store_read){ .topic = slice_str(topic), .limit = 0, .limits = many, .reader = who });
	ck_assert_int_eq(p.error, 0);
	ck_assert_int_eq(p.has_mark, *p.mark != '\0');
	return p.mark;
}

static void
assert_mark(const char *who, const char *topic, const char *id)
{
	ck_assert_str_eq(marked_by(slice_str(who), topic), id);
}

static char *
id_of(struct outcome o, char id[UUID_LEN + 1])
{
	return uuid_from_position(o.at, o.tail, id);
}

START_TEST(marks)
{
	char id[3][UUID_LEN + 1], upper[UUID_LEN + 1] = "";

	for (unsigned i = 0; i < 3; i++)
		id_of(say("room:a", "{}"), id[i]);
	assert_mark("u1", "room:a", "");
	ck_assert_int_eq(mark("u1", "room:a", id[1]), 0);
	assert_mark("u1", "room:a", id[1]);
	assert_mark("u2", "room:a", "");
	assert_mark("u1", "room:b", "");
	assert_mark("", "room:a", "");
	/* Never back. */
	ck_assert_int_eq(mark("u1", "room:a", id[0]), 0);
	assert_mark("u1", "room:a", id[1]);
	ck_assert_int_eq(mark("u1", "room:a", id[1]), 0);
	for (unsigned i = 0; i < UUID_LEN; i++)
		upper[i] = (char)(id[2][i] >= 'a' ? id[2][i] - 'a' + 'A' : id[2][i]);
	ck_assert_int_eq(mark("u1", "room:a", upper), 0);
	assert_mark("u1", "room:a", id[2]);
	ck_assert_int_eq(mark("u2", "room:a", id[0]), 0);
	assert_mark("u2", "room:a", id[0]);
	assert_mark("u1", "room:a", id[2]);
}
END_TEST

START_TEST(marks_of_what_is_not_kept)
{
	struct outcome	    o = say("room:a", "{}");
	struct store_append a = message("room:a", "{}");
	struct store_mark   m = { .topic = SLICE("room:a"), .user = SLICE("u1"), .limits = many };
	struct done	    d = { 0 };
	char		    id[UUID_LEN + 1];

	ck_assert_int_eq(mark("u1", "room:none", id_of(o, id)), -ENOENT);
	o.tail ^= 1;
	ck_assert_int_eq(mark("u1", "room:a", id_of(o, id)), -ENOENT);
	o.tail ^= 1;
	o.at.ms++;
	ck_assert_int_eq(mark("u1", "room:a", id_of(o, id)), -ENOENT);
	o.at = (struct position){ 0 };
	ck_assert_int_eq(mark("u1", "room:a", id_of(o, id)), -ENOENT);
	o = say("room:a", "{}");
	a.limits.max = 1;
	append(&a);
	ck_assert_int_eq(mark("u1", "room:a", id_of(o, id)), -ENOENT);
	assert_mark("u1", "room:a", "");
	for (unsigned i = 0; i < 2; i++) {
		m.id = i == 0 ? SLICE("") : SLICE("0192f0c1-2222-4abc-8def-0123456789ab");
		ck_assert_int_eq(store->ops->mark(store, &m, note_done, &d), -EINVAL);
	}
	ck_assert_uint_eq(d.told, 0);
}
END_TEST

START_TEST(marks_over_age)
{
	char	    id[UUID_LEN + 1];
	struct page p;

	say_ago(2 * HOUR, "room:a", numbered(0));
	p = fetch_all("room:a", many);
	uuid_from_position(p.entries[0].at, p.entries[0].tail, id);
	page_done(&p);
	ck_assert_int_eq(mark_as(SLICE("u1"), "room:a", id, an_hour), -ENOENT);
	ck_assert_int_eq(mark_as(SLICE("u1"), "room:a", id, last_a_day), 0);
	assert_mark("u1", "room:a", id);
	say("room:a", "{}");
	ck_assert_int_eq(mark_as(SLICE("u2"), "room:a", id, last_a_day), -ENOENT);
}
END_TEST

START_TEST(marks_of_any_user)
{
	static const struct slice users[] = {
		{ "u 1", 3 }, { "\"\\\n", 3 }, { "\xff\xfe", 2 }, { "a\0b", 3 }, { "a\0c", 3 }, { "a", 1 }, { "\xc3\xa9", 2 }
	};
	char id[N(users)][UUID_LEN + 1];

	for (unsigned i = 0; i < N(users); i++)
		ck_assert_int_eq(mark_as(users[i], "room:a", id_of(say("room:a", "{}"), id[i]), many), 0);
	for (unsigned i = 0; i < N(users); i++)
		ck_assert_str_eq(marked_by(users[i], "room:a"), id[i]);
}
END_TEST

/* A mark outlives its message, as long as the topic has others. */
START_TEST(mark_outlives_its_message)
{
	struct store_append a = message("room:a", "{}");
	char		    id[UUID_LEN + 1];

	mark("u1", "room:a", id_of(say("room:a", "{}"), id));
	a.limits.max = 1;
	append(&a);
	assert_mark("u1", "room:a", id);
}
END_TEST

/* ---- lists ---- */

static int
enlist(struct slice who, const char *list, struct slice name, bool listed)
{
	struct done d = { 0 };

	ck_assert_int_eq(store->ops->enlist(store, who, slice_str(list), name, listed, note_done, &d), 0);
	return await_done(&d);
}

static void
assert_list(struct slice who, const char *list, struct slice want)
{
	struct done d = { 0 };

	ck_assert_int_eq(store->ops->list(store, who, slice_str(list), note_list, &d), 0);
	ck_assert_int_eq(await_done(&d), 0);
	assert_text(&d.names, want);
	buf_done(&d.names);
}

START_TEST(lists)
{
	struct slice who = SLICE("u1");

	assert_list(who, "blocks", SLICE(""));
	ck_assert_int_eq(enlist(who, "blocks", SLICE("u3"), true), 0);
	ck_assert_int_eq(enlist(who, "blocks", SLICE("u2"), true), 0);
	ck_assert_int_eq(enlist(who, "blocks", SLICE("u2"), true), 0);
	assert_list(who, "blocks", SLICE("u2|u3|"));
	assert_list(who, "mutes", SLICE(""));
	assert_list(SLICE("u2"), "blocks", SLICE(""));
	ck_assert_int_eq(enlist(SLICE("u2"), "blocks", SLICE("u1"), true), 0);
	ck_assert_int_eq(enlist(who, "blocks", SLICE("u3"), false), 0);
	ck_assert_int_eq(enlist(who, "blocks", SLICE("u9"), false), 0);
	ck_assert_int_eq(enlist(who, "mutes", SLICE("u2"), false), 0);
	assert_list(who, "blocks", SLICE("u2|"));
	ck_assert_int_eq(enlist(who, "blocks", SLICE("u2"), false), 0);
	assert_list(who, "blocks", SLICE(""));
	assert_list(SLICE("u2"), "blocks", SLICE("u1|"));
}
END_TEST

START_TEST(lists_of_any_bytes)
{
	static const struct slice names[] = { { "", 0 }, { "\0", 1 }, { "\0a", 2 }, { " \r\n", 3 }, { "\xc3\xa9", 2 }, { "\xff", 1 } };
	static const char	  all[] = "|\0|\0a| \r\n|\xc3\xa9|\xff|";

	for (unsigned i = N(names); i > 0; i--)
		ck_assert_int_eq(enlist(slice("u\0 }", 4), "blocks", names[i - 1], true), 0);
	assert_list(slice("u\0 }", 4), "blocks", slice(all, sizeof(all) - 1));
	assert_list(slice("u\0 ", 3), "}blocks", SLICE(""));
	assert_list(SLICE("u"), "blocks", SLICE(""));
}
END_TEST

START_TEST(list_is_full)
{
	struct done d = { 0 };
	char	    name[16];

	for (unsigned i = 0; i < STORE_MAX_LIST; i++) {
		d.told = 0;
		snprintf(name, sizeof(name), "u%u", i);
		ck_assert_int_eq(store->ops->enlist(store, SLICE("u"), SLICE("blocks"), slice_str(name), true, note_done, &d), 0);
	}
	ck_assert(with_redis_turn_until(loop, done_is_told, &d, WAIT_MS));
	ck_assert_int_eq(enlist(SLICE("u"), "blocks", SLICE("more"), true), -ENOSPC);
	ck_assert_int_eq(enlist(SLICE("u"), "blocks", SLICE("u7"), true), 0);
	ck_assert_int_eq(enlist(SLICE("u"), "mutes", SLICE("more"), true), 0);
	ck_assert_int_eq(enlist(SLICE("v"), "blocks", SLICE("more"), true), 0);
	ck_assert_int_eq(enlist(SLICE("u"), "blocks", SLICE("u7"), false), 0);
	ck_assert_int_eq(enlist(SLICE("u"), "blocks", SLICE("more"), true), 0);
	ck_assert_int_eq(enlist(SLICE("u"), "blocks", SLICE("u7"), true), -ENOSPC);
	d = (struct done){ 0 };
	store->ops->list(store, SLICE("u"), SLICE("blocks"), note_list, &d);
	await_done(&d);
	ck_assert_uint_eq(d.n, STORE_MAX_LIST);
	buf_done(&d.names);
}
END_TEST

/* A list is told as it was when it was asked for. */
START_TEST(lists_in_order)
{
	struct done put = { 0 }, seen = { 0 }, taken = { 0 };

	store->ops->enlist(store, SLICE("u"), SLICE("blocks"), SLICE("x"), true, note_done, &put);
	store->ops->list(store, SLICE("u"), SLICE("blocks"), note_list, &seen);
	store->ops->enlist(store, SLICE("u"), SLICE("blocks"), SLICE("x"), false, note_done, &taken);
	ck_assert_uint_eq(told, 0);
	ck_assert(with_redis_turn_until(loop, done_is_told, &taken, WAIT_MS));
	assert_text(&seen.names, SLICE("x|"));
	buf_done(&seen.names);
	assert_list(SLICE("u"), "blocks", SLICE(""));
}
END_TEST

START_TEST(what_users_keep_freed_in_between)
{
	struct done d = { 0 };
	char	    id[UUID_LEN + 1];

	id_of(say("room:a", "{}"), id);
	enlist(SLICE("u"), "blocks", SLICE("x"), true);
	store->ops->mark(store, &(struct store_mark){
	    .topic = SLICE("room:a"), .user = SLICE("u1"), .id = slice_str(id), .limits = many }, note_done, &d);
	store->ops->list(store, SLICE("u"), SLICE("blocks"), note_list, &d);
	store->ops->enlist(store, SLICE("u"), SLICE("blocks"), SLICE("y"), true, note_done, &d);
	store->ops->free(store);
	store = NULL;
	with_redis_turn_until(loop, done_is_told, &d, 50);
	ck_assert_uint_eq(d.told, 0);
}
END_TEST

/* Says a text that counts as so many bytes: with event and user. */
static struct position
say_bytes(size_t bytes)
{
	autobuf struct buf  text = { 0 };
	struct store_append a = message("room:a", "");
	struct outcome	    o;

	buf_add_str(&text, "{\"p\":\"");
	while (text.n < bytes - a.event.n - a.user.n - 2)
		buf_add_char(&text, 'x');
	buf_add_str(&text, "\"}");
	a.payload = buf_slice(&text);
	o = append(&a);
	ck_assert_int_eq(o.error, 0);
	return o.at;
}

/* As though fewer had been asked for. */
START_TEST(pages_of_so_many_bytes)
{
	static const struct {
		size_t	 max_bytes;
		unsigned limit, n;
		bool	 more;
	} rows[] = {
		{ 3000, 60, 3, true }, { 2999, 60, 2, true }, { 1, 60, 1, true }, { 1000, 60, 1, true }, { 2000, 2, 2, true },
		{ 39999, 60, 39, true }, { 40000, 60, 40, false }, { 40000, 40, 40, false }, { 39000, 39, 39, true },
		{ 17000, 60, 17, true }, { 16000, 60, 16, true }, { 15999, 60, 15, true }, { 0, 60, 40, false }, { 500, 1, 1, true },
	};
	struct position at[40];

	for (unsigned i = 0; i < N(at); i++)
		at[i] = say_bytes(1000);
	for (unsigned i = 0; i < 2 * N(rows); i++) {
		bool		  forward = i % 2 == 0;
		unsigned	  n = rows[i / 2].n, first = forward ? 0 : (unsigned)N(at) - n;
		struct store_read r = {
			.topic = SLICE("room:a"), .forward = forward, .limit = rows[i / 2].limit, .max_bytes = rows[i / 2].max_bytes,
			.limits = i % 4 < 2 ? many : an_hour,
		};
		struct page	  p = fetch(&r);

		ck_assert_uint_eq(p.n, n);
		ck_assert_int_eq(p.more, rows[i / 2].more);
		assert_same(p.tip, at[N(at) - 1]);
		for (unsigned k = 0; k < n; k++)
			assert_same(p.entries[k].at, at[first + k]);
		page_done(&p);
	}
}
END_TEST

/* Page by page, whatever the sizes are, each is seen once; what is larger than a page stands alone. */
START_TEST(pages_of_large_ones)
{
	static const size_t sizes[] = { 100, 100, 700000, 100, 300000, 300000, 200000, 100, 100, 600000, 600000, 100 };
	static const unsigned forward[] = { 2, 1, 2, 4, 1, 1, 1 }, backward[] = { 1, 1, 1, 4, 2, 1, 2 };
	struct position at[N(sizes)];

	for (unsigned i = 0; i < N(sizes); i++)
		at[i] = say_bytes(sizes[i]);
	for (int way = 0; way < 2; way++) {
		struct store_read r = { .topic = SLICE("room:a"), .forward = way == 0, .limit = 60, .limits = many };
		unsigned	  seen = 0;

		for (unsigned i = 0; i < N(forward); i++) {
			struct page p = fetch(&r);
			unsigned    first = r.forward ? seen : (unsigned)N(at) - seen - p.n;

			ck_assert_uint_eq(p.n, r.forward ? forward[i] : backward[i]);
			for (unsigned k = 0; k < p.n; k++)
				assert_same(p.entries[k].at, at[first + k]);
			seen += p.n;
			ck_assert_int_eq(p.more, seen < N(at));
			r.from = p.entries[r.forward ? p.n - 1 : 0].at;
			page_done(&p);
		}
		ck_assert_uint_eq(seen, N(at));
	}
}
END_TEST

static void
add_common(TCase *t)
{
	tcase_add_test(t, positions_grow);
	tcase_add_test(t, tags_come_back);
	tcase_add_test(t, pages);
	tcase_add_test(t, pages_from_between);
	tcase_add_test(t, pages_of_so_many_bytes);
	tcase_add_test(t, pages_of_large_ones);
	tcase_add_test(t, checks);
	tcase_add_test(t, checks_with_page);
	tcase_add_loop_test(t, removed, 0, 3);
	tcase_add_test(t, not_removed);
	tcase_add_test(t, removed_alone);
	tcase_add_test(t, no_more_than_max);
	tcase_add_test(t, over_age);
	tcase_add_test(t, tips);
	tcase_add_test(t, payloads_untouched);
	tcase_add_test(t, any_user_and_event);
	tcase_add_test(t, any_topic);
	tcase_add_test(t, rates);
	tcase_add_test(t, rate_of_none);
	tcase_add_test(t, rate_made_smaller);
	tcase_add_test(t, for_ever);
	tcase_add_test(t, in_order);
	tcase_add_test(t, freed_in_between);
	tcase_add_test(t, after_the_tip);
	tcase_add_test(t, two_race);
	tcase_add_test(t, after_an_emptied_topic);
	tcase_add_test(t, stale_and_rated);
	tcase_add_test(t, last_beyond_age);
	tcase_add_test(t, last_over_its_age);
	tcase_add_test(t, last_is_trimmed_by_the_next);
	tcase_add_test(t, marks);
	tcase_add_test(t, marks_of_what_is_not_kept);
	tcase_add_test(t, marks_over_age);
	tcase_add_test(t, marks_of_any_user);
	tcase_add_test(t, mark_outlives_its_message);
	tcase_add_test(t, lists);
	tcase_add_test(t, lists_of_any_bytes);
	tcase_add_test(t, list_is_full);
	tcase_add_test(t, lists_in_order);
	tcase_add_test(t, what_users_keep_freed_in_between);
}

/* ---- memory alone ---- */

/* Each message is about 1 KiB. */
static void
say_big(struct store *s, const char *topic, unsigned n)
{
	autofree char	   *payload = xasprintf("{\"n\":%u,\"x\":\"%01000d\"}", n, 0);
	struct store_append a = message(topic, payload);

	ck_assert_int_eq(append_to(s, &a).error, 0);
}

static unsigned
kept_in(const char *topic)
{
	struct page p = fetch_all(topic, many);

	page_done(&p);
	return p.n;
}

START_TEST(memory_is_bounded)
{
	store->ops->free(store);
	store = memory_of((size_t)20 * 1024);
	for (unsigned i = 0; i < 6; i++)
		say_big(store, "room:old", i);
	for (unsigned i = 0; i < 6; i++)
		say_big(store, "room:idle", i);
	say_big(store, "room:old", 6);
	ck_assert_uint_eq(kept_in("room:old"), 7);
	ck_assert_uint_eq(kept_in("room:idle"), 6);
	/* The topic that was longest without a message pays, all it has; then the next. */
	for (unsigned i = 0; i < 8; i++)
		say_big(store, "room:busy", i);
	ck_assert_uint_lt(kept_in("room:idle"), 6);
	ck_assert_uint_eq(kept_in("room:old"), 7);
	for (unsigned i = 8; i < 14; i++)
		say_big(store, "room:busy", i);
	ck_assert_uint_eq(kept_in("room:idle"), 0);
	ck_assert_uint_lt(kept_in("room:old"), 7);
	ck_assert_uint_eq(kept_in("room:busy"), 14);
	for (unsigned i = 14; i < 40; i++)
		say_big(store, "room:busy", i);
	ck_assert_uint_gt(kept_in("room:busy"), 14);
	ck_assert_uint_lt(kept_in("room:busy"), 20);
	ck_assert_uint_eq(kept_in("room:old"), 0);
}
END_TEST

START_TEST(bigger_than_the_memory)
{
	store->ops->free(store);
	store = memory_of(900);
	for (unsigned i = 0; i < 3; i++)
		say_big(store, "room:a", i);
	ck_assert_uint_eq(kept_in("room:a"), 0);
	ck_assert_uint_eq(n_fresh, 3);
	say("room:a", "{}");
	ck_assert_uint_eq(kept_in("room:a"), 1);
}
END_TEST

/* Many topics of one message each fill the memory as well as one of many. */
START_TEST(many_topics)
{
	char topic[32];

	store->ops->free(store);
	store = memory_of((size_t)100 * 1024);
	store->user = NULL;
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(topic, sizeof(topic), "room:%u", i);
		say(topic, "{}");
	}
	ck_assert_uint_eq(kept_in("room:1999"), 1);
	ck_assert_uint_eq(kept_in("room:1800"), 1);
	ck_assert_uint_eq(kept_in("room:1000"), 0);
	ck_assert_uint_eq(kept_in("room:0"), 0);
}
END_TEST

/* XADD's rule: a clock that stands still or goes back cannot make the ids do so. */
START_TEST(clock_goes_back)
{
	struct position at[4];

	at[0] = say("room:a", "{}").at;
	at[1] = say("room:a", "{}").at;
	wall -= 3600 * 1000;
	at[2] = say("room:a", "{}").at;
	wall += 3600 * 1000 + 1;
	at[3] = say("room:a", "{}").at;
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(at[i].ms, at[0].ms);
		ck_assert_uint_eq(at[i].seq, i);
	}
	ck_assert_uint_eq(at[3].ms, at[0].ms + 1);
	ck_assert_uint_eq(at[3].seq, 0);
}
END_TEST

START_TEST(swept)
{
	struct store_append a = message("room:a", "{}");
	struct page	    p;

	a.limits.age_ms = 1000;
	append(&a);
	a.topic = SLICE("room:b");
	a.limits.age_ms = 0;
	append(&a);
	pass_time(5000);
	p = fetch_all("room:a", a.limits);
	ck_assert_uint_eq(p.n, 1);
	page_done(&p);
	pass_time(2 * MINUTE);
	p = fetch_all("room:a", a.limits);
	ck_assert_uint_eq(p.n, 0);
	assert_same(p.tip, (struct position){ 0 });
	ck_assert_uint_eq(kept_in("room:b"), 1);
}
END_TEST

static void
say_more(void *arg, int error, const struct store_page *page)
{
	struct outcome	   *o = arg;
	struct store_append a = message("room:a", numbered(9));

	a.limits.max = 1;
	ck_assert_int_eq(store->ops->append(store, &a, note_appended, o), 0);
	ck_assert_uint_eq(page->n, 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(slice_is(page->entries[i].payload, numbered(i)));
}

/* A page lends what was there, even if its receiver makes the store forget it. */
START_TEST(page_outlives_its_messages)
{
	struct store_read r = { .topic = SLICE("room:a"), .limit = 60, .limits = many };
	struct outcome	  o = { 0 };

	for (unsigned i = 0; i < 3; i++)
		say("room:a", numbered(i));
	ck_assert_int_eq(store->ops->read(store, &r, say_more, &o), 0);
	ck_assert(with_redis_turn_until(loop, outcome_is_told, &o, WAIT_MS));
	ck_assert_int_eq(o.error, 0);
	ck_assert_uint_eq(kept_in("room:a"), 1);
}
END_TEST

/* The newest lives on through the sweep, until it is over its own age. */
START_TEST(newest_is_not_swept)
{
	struct store_append a = message("room:a", numbered(0));
	struct position	    at;
	struct page	    p;

	a.limits = (struct history_limits){ .max = 10, .age_ms = MINUTE, .last_ms = 10 * MINUTE };
	append(&a);
	a.payload = slice_str(numbered(1));
	at = append(&a).at;
	pass_time(5 * MINUTE);
	p = fetch_all("room:a", many);
	assert_numbers(&p, 1, 1);
	page_done(&p);
	assert_stale(say_after("room:a", (struct position){ 0 }));
	assert_same(tip_of("room:a", a.limits), at);
	pass_time(7 * MINUTE);
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, 0);
	ck_assert_int_eq(say_after("room:a", (struct position){ 0 }).error, 0);
}
END_TEST

/* Marks take room as messages do, and go with their topic. */
START_TEST(marks_are_bounded)
{
	char who[32], id[UUID_LEN + 1], other[UUID_LEN + 1];

	store->ops->free(store);
	store = memory_of((size_t)20 * 1024);
	mark("u1", "room:idle", id_of(say("room:idle", "{}"), other));
	id_of(say("room:a", "{}"), id);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(who, sizeof(who), "u%u", i);
		ck_assert_int_eq(mark(who, "room:a", id), 0);
		ck_assert_int_eq(mark(who, "room:a", id), 0);
	}
	assert_mark("u1", "room:idle", other);
	assert_mark("u49", "room:a", id);
	for (unsigned i = 50; i < 1000; i++) {
		snprintf(who, sizeof(who), "u%u", i);
		if (mark(who, "room:a", id) == -ENOENT)
			break;
	}
	ck_assert_str_ne(who, "u999");
	ck_assert_uint_eq(kept_in("room:idle"), 0);
	assert_mark("u1", "room:idle", "");
	assert_mark("u1", "room:a", "");
	say("room:a", "{}");
	assert_mark("u1", "room:a", "");
}
END_TEST

START_TEST(names_are_bounded)
{
	struct done d = { 0 };
	char	    who[16], name[16];

	for (unsigned i = 0; i <= NAME_LISTS_MAX; i++) {
		snprintf(who, sizeof(who), "u%u", i / STORE_MAX_LIST);
		snprintf(name, sizeof(name), "n%u", i);
		ck_assert_int_eq(store->ops->enlist(store, slice_str(who), SLICE("blocks"), slice_str(name), true, note_done, &d), 0);
		if (d.told > 0)
			ck_assert_int_eq(d.error, 0);
		if (i % 1000 == 0)
			loop_turn(loop, false);
	}
	while (d.told <= NAME_LISTS_MAX)
		loop_turn(loop, false);
	ck_assert_int_eq(d.error, -ENOSPC);
	ck_assert_int_eq(enlist(SLICE("u0"), "blocks", SLICE("n5"), false), 0);
	ck_assert_int_eq(enlist(SLICE("v"), "blocks", SLICE("n5"), true), 0);
	ck_assert_int_eq(enlist(SLICE("v"), "blocks", SLICE("n6"), true), -ENOSPC);
}
END_TEST

/* ---- Redis alone ---- */

START_TEST(one_budget_for_all_nodes)
{
	struct redis *other = redis_to_server(QUEUE);
	struct store *theirs = store_redis_new(other, "roost:", "n2");

	ck_assert(with_redis_turn_until(loop, is_up, other, WAIT_MS));
	ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 3).error, 0);
	ck_assert_int_eq(say_rated(theirs, SLICE("say/u1"), 3).error, 0);
	ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 3).error, 0);
	assert_waits(say_rated(theirs, SLICE("say/u1"), 3), MINUTE);
	assert_waits(say_rated(store, SLICE("say/u1"), 3), MINUTE);
	await_fresh(3);
	assert_text(&fresh[0].node, SLICE("n1"));
	assert_text(&fresh[1].node, SLICE("n2"));
	theirs->ops->free(theirs);
	redis_free(other);
}
END_TEST

START_TEST(dies_in_flight)
{
	struct store_append a = message("room:a", "{}");
	struct store_read   r = { .topic = SLICE("room:a"), .limit = 1, .limits = many };
	struct outcome	    o[3] = { 0 };
	struct page	    p = { 0 };

	with_redis_pause();
	for (unsigned i = 0; i < N(o); i++)
		ck_assert_int_eq(store->ops->append(store, &a, note_appended, &o[i]), 0);
	ck_assert_int_eq(store->ops->read(store, &r, note_page, &p), 0);
	loop_turn(loop, false);
	with_redis_kill();
	ck_assert(with_redis_turn_until(loop, page_is_told, &p, WAIT_MS));
	for (unsigned i = 0; i < N(o); i++) {
		ck_assert_uint_eq(o[i].told, 1);
		ck_assert_int_eq(o[i].error, -EHOSTUNREACH);
	}
	ck_assert_int_eq(p.error, -EHOSTUNREACH);
	ck_assert_int_eq(store->ops->append(store, &a, note_appended, &o[0]), -ENOTCONN);
	ck_assert_int_eq(store->ops->read(store, &r, note_page, &p), -ENOTCONN);
	with_redis_restart();
	ck_assert(with_redis_turn_until(loop, is_up, redis, WAIT_MS));
	say("room:a", "{}");
	ck_assert_uint_eq(o[0].told, 1);
	ck_assert_uint_eq(p.told, 1);
}
END_TEST

START_TEST(queue_is_full)
{
	struct redis	   *small = redis_to_server(1000);
	struct store	   *s = store_redis_new(small, "roost:", "n2");
	struct store_append a = message("room:a", "{}");
	struct outcome	    o = { 0 };
	unsigned	    n = 0;

	ck_assert(with_redis_turn_until(loop, is_up, small, WAIT_MS));
	while (s->ops->append(s, &a, note_appended, &o) == 0)
		ck_assert_uint_lt(n++, 100);
	ck_assert_int_eq(s->ops->append(s, &a, note_appended, &o), -ENOBUFS);
	await_fresh(n);
	ck_assert_uint_eq(o.told, n);
	ck_assert_int_eq(append_to(s, &a).error, 0);
	s->ops->free(s);
	redis_free(small);
}
END_TEST

START_TEST(redis_refuses)
{
	struct store_append a = message("room:a", "{}");
	struct store_read   r = { .topic = SLICE("room:a"), .limit = 1, .limits = many };

	with_redis_do("SET roost:history:{room:a} x");
	ck_assert_int_eq(append(&a).error, -EHOSTUNREACH);
	ck_assert_int_eq(fetch(&r).error, -EHOSTUNREACH);
	with_redis_do("DEL roost:history:{room:a}");
	with_redis_do("SET roost:rate:{room:a}:say/u1 x");
	ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 3).error, -EHOSTUNREACH);
	ck_assert_int_eq((int)with_redis_int("EXISTS roost:history:{room:a}"), 0);
	with_redis_do("DEL roost:rate:{room:a}:say/u1");
	ck_assert_int_eq(n_fresh, 0);
}
END_TEST

/* Out of memory, with or without a rate: nothing is stored, published, or counted. */
START_TEST(redis_is_full)
{
	struct store_append a = message("room:a", "{}");

	say_rated(store, SLICE("say/u1"), 2);
	with_redis_do("CONFIG SET maxmemory 1");
	ck_assert_int_eq(append(&a).error, -EHOSTUNREACH);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 2).error, -EHOSTUNREACH);
	ck_assert_uint_eq(kept_in("room:a"), 1);
	with_redis_do("CONFIG SET maxmemory 0");
	ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 2).error, 0);
	assert_waits(say_rated(store, SLICE("say/u1"), 2), MINUTE);
	await_fresh(2);
	ck_assert_uint_eq(n_fresh, 2);
}
END_TEST

START_TEST(made_by_hand)
{
	struct page    p;
	struct outcome o;

	with_redis_do("XADD roost:history:{room:a} 5-1 event hello payload %s", " {\"a\": 1}\n");
	with_redis_do("XADD roost:history:{room:a} 6-0 payload {} event e tail 123x extra y user %s", "");
	o = say("room:a", "{}");
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, 3);
	assert_same(p.entries[0].at, (struct position){ 5, 1 });
	assert_text(&p.entries[0].event, SLICE("hello"));
	assert_text(&p.entries[0].payload, SLICE(" {\"a\": 1}\n"));
	assert_text(&p.entries[0].user, SLICE(""));
	assert_text(&p.entries[0].node, SLICE(""));
	ck_assert_uint_eq(p.entries[0].tail, 0);
	ck_assert_uint_eq(p.entries[1].tail, 0);
	assert_text(&p.entries[2].node, SLICE("n1"));
	ck_assert_uint_eq(p.entries[2].tail, o.tail);
	page_done(&p);
	ck_assert(is_found("room:a", (struct position){ 5, 1 }, 0, many));
	ck_assert(!is_found("room:a", (struct position){ 5, 1 }, 1, many));
	await_fresh(1);
	assert_same(fresh[0].prev, (struct position){ 6, 0 });
}
END_TEST

START_TEST(no_messages)
{
	static const char *const entries[] = {
		"payload {} tail 6", "event e", "event e payload []", "event e payload {", "event e payload {}x",
		"event e payload 1", "x y",
		"event e payload {\"a\":\"\xff\"}", "event \xff payload {}", "event a\x01z payload {}",
		"event phx_close payload {}",
		/* One byte too long. */
		"event eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
		"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee payload {}",
	};
	static const char by_words[] =
		"local words = {} for word in string.gmatch(ARGV[2], '%S+') do words[#words + 1] = word end "
		"return redis.call('XADD', 'roost:history:{room:a}', ARGV[1], unpack(words))";
	struct store_read r = { .topic = SLICE("room:a"), .forward = true, .limit = 1, .limits = many };
	struct page	  p;

	with_redis_do("XADD roost:history:{room:a} 1-0 event say payload {\"n\":0} tail 5");
	for (unsigned i = 0; i < N(entries); i++) {
		with_redis_do("EVAL %s 0 %u-0 %s", by_words, i + 2, entries[i]);
	}
	with_redis_do("XADD roost:history:{room:a} 20-0 event say payload {\"n\":1}");
	p = fetch_all("room:a", many);
	assert_numbers(&p, 0, 2);
	page_done(&p);
	/* A page of nothing else would be the end of all reading: it goes on until there is one. */
	r.from = (struct position){ 1, 0 };
	r.check = true;
	r.tail = 5;
	p = fetch(&r);
	assert_numbers(&p, 1, 1);
	ck_assert(p.found);
	ck_assert(!p.more);
	page_done(&p);
	/* The check is of the place that was asked for, not of those it went on from. */
	r.tail = 6;
	p = fetch(&r);
	ck_assert(!p.found);
	page_done(&p);
	r = (struct store_read){ .topic = SLICE("room:a"), .from = { 20, 0 }, .limit = 2, .limits = many };
	p = fetch(&r);
	assert_numbers(&p, 0, 1);
	page_done(&p);
	/* Where nothing else is left, the tip is theirs. */
	with_redis_do("XDEL roost:history:{room:a} 20-0 1-0");
	p = fetch_all("room:a", many);
	ck_assert_uint_eq(p.n, 0);
	assert_same(p.tip, (struct position){ 20, 0 });
}
END_TEST

/* Redis' clock was set back: the stream goes on, and nobody waits until the time comes again. */
START_TEST(clock_of_redis_goes_back)
{
	uint64_t ahead = (uint64_t)wall_ms() + HOUR;

	with_redis_do("XADD roost:history:{room:a} %" PRIu64 "-4294967293 event say payload {}", ahead);
	assert_same(say("room:a", "{}").at, (struct position){ ahead, 4294967294 });
	for (unsigned i = 0; i < 3; i++)
		with_redis_do("ZADD roost:rate:{room:a}:say/u1 %" PRIu64 " %u", ahead, i);
	ck_assert_int_eq(say_rated(store, SLICE("say/u1"), 3).error, 0);
	ck_assert_int_eq((int)with_redis_int("ZCARD roost:rate:{room:a}:say/u1"), 1);
}
END_TEST

START_TEST(no_room_for_an_id)
{
	static const char *const last[] = { "281474976710656-0", "18446744073709551615-3", "281474976710655-4294967295" };
	struct store_append	 a = message("room:a", "{}");

	for (unsigned i = 0; i < N(last); i++) {
		with_redis_do("XADD roost:history:{room:a} %s event say payload {}", last[i]);
		ck_assert_int_eq(append(&a).error, -EHOSTUNREACH);
		ck_assert_int_eq((int)with_redis_int("XLEN roost:history:{room:a}"), 1);
		with_redis_do("DEL roost:history:{room:a}");
	}
	/* A full millisecond of the past is none of them. */
	with_redis_do("XADD roost:history:{room:a} 1000000000000-4294967295 event say payload {}");
	say("room:a", "{}");
	await_fresh(1);
	ck_assert_uint_eq(n_fresh, 1);
}
END_TEST

START_TEST(how_long_keys_live)
{
	struct store_append a = message("room:a", "{}");

	a.limits = an_hour;
	append(&a);
	ck_assert_int_gt(with_redis_int("PTTL roost:history:{room:a}"), HOUR);
	ck_assert_int_le(with_redis_int("PTTL roost:history:{room:a}"), HOUR + MINUTE);
	say("room:a", "{}");
	ck_assert_int_eq(with_redis_int("PTTL roost:history:{room:a}"), -1);
	say_rated(store, SLICE("say/u1"), 3);
	ck_assert_int_gt(with_redis_int("PTTL roost:rate:{room:a}:say/u1"), MINUTE - 5000);
	ck_assert_int_le(with_redis_int("PTTL roost:rate:{room:a}:say/u1"), MINUTE);
}
END_TEST

/* Where no entry is left, the stream still knows where it was. */
START_TEST(predecessor_of_an_emptied_stream)
{
	struct position at = say("room:a", "{}").at;

	with_redis_do("XTRIM roost:history:{room:a} MAXLEN 0");
	say("room:a", "{}");
	await_fresh(2);
	assert_same(fresh[1].prev, at);
}
END_TEST

/* The positions of these differ by their digits, each in another place. */
START_TEST(marks_in_order)
{
	static const struct position at[] = {
		{ 0x000000000001, 0 }, { 0x00000000000a, 0 }, { 0x0000000000aa, 0 }, { 0x0000000000aa, 1 },
		{ 0x0000000000aa, 0x3f }, { 0x0000000000aa, 0x40 }, { 0x0000000000aa, 0xfffff }, { 0x0000000000aa, 0x100000 },
		{ 0x0000000000aa, 0xffffffff }, { 0x0000000000ab, 0 }, { 0x00009fffffff, 0xf }, { 0x0000a0000000, 0 },
		{ 0x7fffffffffff, 7 }, { 0xffffffffffff, 0xfffffffe }
	};
	char id[UUID_LEN + 1], before[UUID_LEN + 1];

	for (unsigned i = 0; i < N(at); i++) {
		with_redis_do("XADD roost:history:{room:a} %" PRIu64 "-%" PRIu32 " event e payload {} tail %u", at[i].ms, at[i].seq, 9 - i % 9);
		uuid_from_position(at[i], 9 - i % 9, id);
		ck_assert_int_eq(mark("u1", "room:a", id), 0);
		assert_mark("u1", "room:a", id);
		if (i > 0)
			ck_assert_int_eq(mark("u1", "room:a", before), 0);
		assert_mark("u1", "room:a", id);
		memcpy(before, id, sizeof(before));
	}
}
END_TEST

/* What users keep: other types of keys, no room, no connection. */
START_TEST(redis_refuses_users)
{
	struct store_read r = { .topic = SLICE("room:a"), .limit = 1, .limits = many, .reader = SLICE("u1") };
	struct done	  d = { 0 };
	char		  id[UUID_LEN + 1];

	id_of(say("room:a", "{}"), id);
	with_redis_do("SET roost:read:{room:a} x");
	with_redis_do("SET roost:list:{u1}:blocks x");
	ck_assert_int_eq(mark("u1", "room:a", id), -EHOSTUNREACH);
	ck_assert_int_eq(fetch(&r).error, -EHOSTUNREACH);
	store->ops->list(store, SLICE("u1"), SLICE("blocks"), note_list, &d);
	ck_assert_int_eq(await_done(&d), -EHOSTUNREACH);
	ck_assert_int_eq(enlist(SLICE("u1"), "blocks", SLICE("x"), true), -EHOSTUNREACH);
	ck_assert_int_eq(enlist(SLICE("u1"), "blocks", SLICE("x"), false), -EHOSTUNREACH);
	with_redis_do("DEL roost:read:{room:a} roost:list:{u1}:blocks");
	ck_assert_int_eq(mark("u1", "room:a", id), 0);
	with_redis_do("CONFIG SET maxmemory 1");
	ck_assert_int_eq(mark("u2", "room:a", id), -EHOSTUNREACH);
	ck_assert_int_eq(enlist(SLICE("u1"), "blocks", SLICE("x"), true), -EHOSTUNREACH);
	with_redis_do("CONFIG SET maxmemory 0");
	assert_mark("u1", "room:a", id);
	assert_mark("u2", "room:a", "");
	assert_list(SLICE("u1"), "blocks", SLICE(""));
	with_redis_do("RENAME roost:history:{room:a} x");
	with_redis_do("SET roost:history:{room:a} x");
	ck_assert_int_eq(mark("u1", "room:a", id), -EHOSTUNREACH);
}
END_TEST

START_TEST(users_without_redis)
{
	struct store_mark m = { .topic = SLICE("room:a"), .user = SLICE("u1"), .limits = many };
	struct done	  d[3] = { { 0 } };
	char		  id[UUID_LEN + 1];

	m.id = slice_str(id_of(say("room:a", "{}"), id));
	with_redis_pause();
	ck_assert_int_eq(store->ops->mark(store, &m, note_done, &d[0]), 0);
	ck_assert_int_eq(store->ops->list(store, SLICE("u"), SLICE("l"), note_list, &d[1]), 0);
	ck_assert_int_eq(store->ops->enlist(store, SLICE("u"), SLICE("l"), SLICE("x"), true, note_done, &d[2]), 0);
	loop_turn(loop, false);
	with_redis_kill();
	ck_assert(with_redis_turn_until(loop, done_is_told, &d[2], WAIT_MS));
	for (unsigned i = 0; i < N(d); i++) {
		ck_assert_uint_eq(d[i].told, 1);
		ck_assert_int_eq(d[i].error, -EHOSTUNREACH);
	}
	ck_assert_int_eq(store->ops->mark(store, &m, note_done, &d[0]), -ENOTCONN);
	ck_assert_int_eq(store->ops->list(store, SLICE("u"), SLICE("l"), note_list, &d[1]), -ENOTCONN);
	ck_assert_int_eq(store->ops->enlist(store, SLICE("u"), SLICE("l"), SLICE("x"), true, note_done, &d[2]), -ENOTCONN);
}
END_TEST

/* What stands there by hand, and is no id, is no mark, and in nobody's way. */
START_TEST(marks_made_by_hand)
{
	static const char *const texts[] = {
		"x", "", "zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz", "ffffffff-ffff-4fff-bfff-ffffffffffff",
		"ffffffff-ffff-7fff-bfff-fffffffffffff", "ffffffffff-ff-7fff-bfff-ffffffffffff-x"
	};
	char id[UUID_LEN + 1];

	id_of(say("room:a", "{}"), id);
	for (unsigned i = 0; i < N(texts); i++) {
		with_redis_do("HSET roost:read:{room:a} u1 %s", texts[i]);
		assert_mark("u1", "room:a", "");
		ck_assert_int_eq(mark("u1", "room:a", id), 0);
		assert_mark("u1", "room:a", id);
	}
}
END_TEST

START_TEST(how_long_marks_live)
{
	char id[UUID_LEN + 1];

	id_of(say("room:a", "{}"), id);
	mark_as(SLICE("u1"), "room:a", id, an_hour);
	ck_assert_int_gt(with_redis_int("PTTL roost:read:{room:a}"), HOUR);
	ck_assert_int_le(with_redis_int("PTTL roost:read:{room:a}"), HOUR + MINUTE);
	mark_as(SLICE("u2"), "room:a", id, last_a_day);
	ck_assert_int_gt(with_redis_int("PTTL roost:read:{room:a}"), 24 * HOUR);
	ck_assert_int_le(with_redis_int("PTTL roost:read:{room:a}"), 24 * HOUR + MINUTE);
	mark("u1", "room:a", id);
	ck_assert_int_eq(with_redis_int("PTTL roost:read:{room:a}"), -1);
	enlist(SLICE("u1"), "blocks", SLICE("x"), true);
	ck_assert_int_eq(with_redis_int("PTTL roost:list:{u1}:blocks"), -1);
	ck_assert_int_eq(with_redis_int("SISMEMBER roost:list:{u1}:blocks x"), 1);
}
END_TEST

/* Pages tell when the topic ends. */
static uint64_t
ends_in(const char *topic)
{
	struct page p = fetch(&(struct store_read){ .topic = slice_str(topic), .limits = many });

	ck_assert_int_eq(p.error, 0);
	return p.ends_ms;
}

START_TEST(how_long_the_last_lives)
{
	struct store_append a = message("room:a", "{}");

	a.limits = last_a_day;
	append(&a);
	ck_assert_int_gt(with_redis_int("PTTL roost:history:{room:a}"), 24 * HOUR);
	ck_assert_int_le(with_redis_int("PTTL roost:history:{room:a}"), 24 * HOUR + MINUTE);
	ck_assert_uint_gt(ends_in("room:a"), 24 * HOUR);
	ck_assert_uint_le(ends_in("room:a"), 24 * HOUR + MINUTE);
	a.limits.last_ms = INT64_MAX;
	ck_assert_int_eq(append(&a).error, 0);
	a.limits = (struct history_limits){ .max = 9, .age_ms = HOUR, .last_ms = HOUR / 2 };
	append(&a);
	ck_assert_int_le(with_redis_int("PTTL roost:history:{room:a}"), HOUR + MINUTE);
	a.limits = (struct history_limits){ .max = 9, .last_ms = HOUR };
	append(&a);
	ck_assert_uint_eq(ends_in("room:a"), 0);
	ck_assert_uint_eq(ends_in("room:none"), 0);
	ck_assert_int_eq(with_redis_int("PTTL roost:history:{room:a}"), -1);
}
END_TEST

/* The last id counts, not the last entry. */
START_TEST(after_what_was_deleted)
{
	struct position at[2];
	struct outcome	o;

	for (unsigned i = 0; i < 2; i++)
		at[i] = say("room:a", "{}").at;
	with_redis_do("XDEL roost:history:{room:a} %" PRIu64 "-%" PRIu32, at[1].ms, at[1].seq);
	assert_same(tip_of("room:a", many), at[1]);
	assert_stale(say_after("room:a", at[0]));
	o = say_after("room:a", at[1]);
	ck_assert_int_eq(o.error, 0);
	await_fresh(3);
	assert_same(fresh[2].prev, at[1]);
	with_redis_do("XTRIM roost:history:{room:a} MAXLEN 0");
	assert_stale(say_after("room:a", (struct position){ 0 }));
	ck_assert_int_eq(say_after("room:a", o.at).error, 0);
	with_redis_do("DEL roost:history:{room:a}");
	assert_stale(say_after("room:a", o.at));
	ck_assert_int_eq(say_after("room:a", (struct position){ 0 }).error, 0);
}
END_TEST

/* Of nodes that decide on the same message, one is the first. */
START_TEST(two_nodes_race)
{
	struct redis	   *other = redis_to_server(QUEUE);
	struct store	   *theirs = store_redis_new(other, "roost:", "n2");
	struct position	    after = { 0 };
	struct store_append a = message("room:a", "{}");
	struct outcome	    o[2];

	ck_assert(with_redis_turn_until(loop, is_up, other, WAIT_MS));
	a.after = &after;
	for (unsigned i = 0; i < 10; i++) {
		o[0] = o[1] = (struct outcome){ 0 };
		ck_assert_int_eq(store->ops->append(store, &a, note_appended, &o[i % 2]), 0);
		ck_assert_int_eq(theirs->ops->append(theirs, &a, note_appended, &o[1 - i % 2]), 0);
		ck_assert(with_redis_turn_until(loop, outcome_is_told, &o[0], WAIT_MS));
		ck_assert(with_redis_turn_until(loop, outcome_is_told, &o[1], WAIT_MS));
		ck_assert_int_eq(o[0].error + o[1].error, -ESTALE);
		after = o[0].error == 0 ? o[0].at : o[1].at;
	}
	ck_assert_int_eq((int)with_redis_int("XLEN roost:history:{room:a}"), 10);
	theirs->ops->free(theirs);
	redis_free(other);
}
END_TEST

static void
add_memory(TCase *t)
{
	tcase_add_test(t, memory_is_bounded);
	tcase_add_test(t, bigger_than_the_memory);
	tcase_add_test(t, many_topics);
	tcase_add_test(t, clock_goes_back);
	tcase_add_test(t, swept);
	tcase_add_test(t, page_outlives_its_messages);
	tcase_add_test(t, newest_is_not_swept);
	tcase_add_test(t, marks_are_bounded);
	tcase_add_test(t, names_are_bounded);
}

static void
add_redis(TCase *t)
{
	tcase_add_test(t, one_budget_for_all_nodes);
	tcase_add_test(t, dies_in_flight);
	tcase_add_test(t, queue_is_full);
	tcase_add_test(t, redis_refuses);
	tcase_add_test(t, redis_is_full);
	tcase_add_test(t, made_by_hand);
	tcase_add_test(t, no_messages);
	tcase_add_test(t, clock_of_redis_goes_back);
	tcase_add_test(t, no_room_for_an_id);
	tcase_add_test(t, how_long_keys_live);
	tcase_add_test(t, predecessor_of_an_emptied_stream);
	tcase_add_test(t, marks_in_order);
	tcase_add_test(t, redis_refuses_users);
	tcase_add_test(t, users_without_redis);
	tcase_add_test(t, marks_made_by_hand);
	tcase_add_test(t, how_long_marks_live);
	tcase_add_test(t, how_long_the_last_lives);
	tcase_add_test(t, after_what_was_deleted);
	tcase_add_test(t, two_nodes_race);
}

Suite *
store_suite(void)
{
	Suite *s = suite_create("store");
	TCase *memory = tcase_create("memory"), *over_redis = tcase_create("redis");

	tcase_add_checked_fixture(memory, set_up_memory, tear_down);
	add_common(memory);
	add_memory(memory);
	suite_add_tcase(s, memory);
	if (!with_redis_available())
		return s;
	tcase_set_timeout(over_redis, 30);
	tcase_add_checked_fixture(over_redis, set_up_redis, tear_down);
	add_common(over_redis);
	add_redis(over_redis);
	suite_add_tcase(s, over_redis);
	return s;
}
