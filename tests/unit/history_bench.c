/*
 * See history_bench.h.
 */
#include "history_bench.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "turned_by_hand.h"

struct world world;

static struct history_limits limits;

/* What the store was asked for. */
struct asked {
	struct list	   in_bench;
	bool		   executed;
	store_page_fn	  *on_page;
	store_appended_fn *on_appended;
	store_marked_fn	  *on_marked;
	void		  *arg;
	struct store_read  read;
	char		   mark[32];	/* of the reader */
	bool		   has_after;
	struct position	   after;
	uint64_t	   tag;
	unsigned	   number;	/* that was appended */
	struct store_page  page;
	unsigned	   first;	/* number of its first entry */
};

struct on_bus {
	struct list	in_bench;
	unsigned	n;
	unsigned	prev;
	unsigned	salt;
	uint64_t	tag;
};

static struct position
place(unsigned n)
{
	return (struct position){ .ms = 10 * n };
}

static uint64_t
tail_of(unsigned n, unsigned salt)
{
	return n + 1000 * salt;
}

static unsigned
number_at(struct position p)
{
	return (unsigned)(p.ms / 10);
}

/* ---- the store ---- */

static int
fake_append(struct store *s, const struct store_append *a, store_appended_fn *fn, void *arg)
{
	struct asked *asked = xcalloc(1, sizeof(*asked));

	if (world.store_down) {
		free(asked);
		return -ENOTCONN;
	}
	asked->on_appended = fn;
	asked->arg = arg;
	asked->tag = a->tag;
	asked->has_after = a->after != NULL;
	if (a->after != NULL)
		asked->after = *a->after;
	list_append(&world.asked, &asked->in_bench);
	world.n_asked++;
	return 0;
}

/* Whatever is marked is kept. */
static int
fake_mark(struct store *s, const struct store_mark *m, store_marked_fn *fn, void *arg)
{
	struct asked *asked;

	if (world.store_down)
		return -ENOTCONN;
	asked = xcalloc(1, sizeof(*asked));
	asked->on_marked = fn;
	asked->arg = arg;
	asked->executed = true;
	list_append(&world.asked, &asked->in_bench);
	world.n_asked++;
	return 0;
}

static int
fake_read(struct store *s, const struct store_read *r, store_page_fn *fn, void *arg)
{
	struct asked *asked = xcalloc(1, sizeof(*asked));

	if (world.store_down) {
		free(asked);
		return -ENOTCONN;
	}
	asked->on_page = fn;
	asked->arg = arg;
	asked->read = *r;
	if (r->reader.n > 0)
		snprintf(asked->mark, sizeof(asked->mark), "mark of %.*s", SLICE_ARG(r->reader));
	/* Of other topics there is nothing. */
	asked->executed = !slice_eq(r->topic, WORLD_TOPIC);
	list_append(&world.asked, &asked->in_bench);
	world.n_asked++;
	return 0;
}

static void
fake_store_free(struct store *s)
{
	struct list *link;

	while ((link = list_take_link(&world.asked)) != NULL)
		free(list_entry(link, struct asked, in_bench));
	world.n_asked = 0;
	free(s);
}

static const struct store_ops fake_store = {
	.name = "fake", .append = fake_append, .read = fake_read, .mark = fake_mark, .free = fake_store_free,
};

static void
publish(unsigned n, unsigned prev, uint64_t tag)
{
	struct on_bus *b;

	if (!world.subscribed)
		return;
	b = xmalloc(sizeof(*b));
	*b = (struct on_bus){ .n = n, .prev = prev, .tag = tag, .salt = world.salt };
	list_append(&world.bus, &b->in_bench);
}

static void
append(uint64_t tag)
{
	unsigned n = world.next++;

	publish(n, world.tip, tag);
	world.tip = n;
	while (world.next - world.oldest > limits.max)
		world.oldest++;
}

void
world_append(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		append(0);
}

static void
execute_read(struct asked *a)
{
	unsigned from = number_at(a->read.from), first = world.oldest, end = world.next;
	unsigned limit = a->read.limit;

	if (world.fit > 0 && world.fit < limit && a->read.max_bytes == 0)
		limit = world.fit;
	a->page.tip = place(world.tip);
	a->page.ends_ms = world.ends_ms;
	a->page.found = a->read.check && from >= world.oldest && from < world.next && a->read.tail == tail_of(from, world.salt);
	if (a->read.forward && from >= first)
		first = from + 1 < end ? from + 1 : end;
	if (!a->read.forward && from > 0)
		end = from < end ? from : end;
	if (end < first)
		end = first;
	a->page.more = end - first > limit;
	if (a->page.more && a->read.forward)
		end = first + limit;
	else if (a->page.more)
		first = end - limit;
	a->first = first;
	a->page.n = end - first;
}

bool
world_execute(void)
{
	list_each(link, &world.asked) {
		struct asked *a = list_entry(link, struct asked, in_bench);

		if (a->executed)
			continue;
		a->executed = true;
		if (a->on_page != NULL) {
			execute_read(a);
		} else if (!a->has_after || position_compare(a->after, place(world.tip)) == 0) {
			a->number = world.next;
			append(a->tag);
		}
		return true;
	}
	return false;
}

static void
answer_page(const struct asked *a)
{
	autofree struct store_entry *entries = xcalloc(a->page.n + 1, sizeof(*entries));
	char (*texts)[24] = xcalloc(a->page.n + 1, sizeof(*texts));
	struct store_page page = a->page;

	for (unsigned i = 0; i < page.n; i++) {
		unsigned n = a->first + i;

		snprintf(texts[i], sizeof(texts[i]), "{\"n\":%u}", n);
		entries[i] = (struct store_entry){
			.at = place(n), .tail = tail_of(n, world.salt), .node = SLICE("n"), .event = SLICE("m"),
			.payload = slice_str(texts[i]), .user = SLICE("u"),
		};
	}
	page.entries = entries;
	if (a->mark[0] != '\0')
		page.mark = slice_str(a->mark);
	a->on_page(a->arg, 0, &page);
	free(texts);
}

static void
answer(struct asked *a, int error)
{
	if (a->on_page != NULL && error < 0)
		a->on_page(a->arg, error, NULL);
	else if (a->on_page != NULL)
		answer_page(a);
	else if (a->on_marked != NULL)
		a->on_marked(a->arg, error);
	else if (error == 0 && a->has_after && a->number == 0)
		a->on_appended(a->arg, -ESTALE, place(0), 0, 0);
	else if (error < 0)
		a->on_appended(a->arg, error, place(0), 0, 0);
	else
		a->on_appended(a->arg, 0, place(a->number), tail_of(a->number, world.salt), 0);
	free(a);
}

bool
world_answer(void)
{
	struct asked *a;

	if (list_empty(&world.asked))
		return false;
	a = list_entry(world.asked.next, struct asked, in_bench);
	if (!a->executed)
		return false;
	list_remove(&a->in_bench);
	world.n_asked--;
	answer(a, 0);
	return true;
}

void
world_answer_all(void)
{
	for (unsigned i = 0; world_execute() || world_answer(); i++)
		ck_assert_uint_lt(i, 20000);
}

void
world_store_lost(void)
{
	struct list lost, *link;

	list_init(&lost);
	list_append_all(&lost, &world.asked);
	world.n_asked = 0;
	while ((link = list_take_link(&lost)) != NULL)
		answer(list_entry(link, struct asked, in_bench), -EHOSTUNREACH);
}

void
world_trim(unsigned oldest)
{
	world.oldest = oldest;
}

void
world_flush(void)
{
	world.oldest = world.next;
	world.tip = 0;
	world.salt++;
}

/* ---- the bus ---- */

static int
fake_publish(struct broker *b, struct slice topic, const struct broadcast *said)
{
	return 0;
}

static void
fake_subscribe(struct broker *b, struct slice topic, bool on)
{
	if (!slice_eq(topic, WORLD_TOPIC))
		return;
	world.interest += on ? 1 : -1;
	ck_assert_int_ge(world.interest, 0);
	if (on && world.interest == 1)
		world.subscribed = !world.slow_subscribe;
	if (world.interest == 0) {
		world.subscribed = false;
		world_lose_bus();
	}
}

static bool
fake_is_subscribed(const struct broker *b, struct slice topic)
{
	return world.subscribed || !slice_eq(topic, WORLD_TOPIC);
}

static void
fake_broker_free(struct broker *b)
{
	free(b);
}

static void
fake_own_up(struct broker *b)
{
}

static const struct broker_ops fake_broker = {
	.name = "fake", .publish = fake_publish, .subscribe = fake_subscribe, .is_subscribed = fake_is_subscribed,
	.own_up = fake_own_up, .free = fake_broker_free,
};

void
world_subscribed(void)
{
	if (world.interest == 0)
		return;
	world.subscribed = true;
	pubsub_subscribed(&world.ps, WORLD_TOPIC);
}

void
world_lose_bus(void)
{
	struct list *link;

	while ((link = list_take_link(&world.bus)) != NULL)
		free(list_entry(link, struct on_bus, in_bench));
}

static void
bring(const struct on_bus *b)
{
	char		payload[24];
	struct envelope e = {
		.node = SLICE("n"), .event = SLICE("m"), .stored = true, .at = place(b->n), .prev = place(b->prev),
		.tail = tail_of(b->n, b->salt), .tag = b->tag,
	};

	snprintf(payload, sizeof(payload), "{\"n\":%u}", b->n);
	e.payload = slice_str(payload);
	pubsub_receive_stored(&world.ps, WORLD_TOPIC, &e);
}

void
world_bring(unsigned n, unsigned prev)
{
	bring(&(struct on_bus){ .n = n, .prev = prev, .salt = world.salt });
}

bool
world_bus(void)
{
	struct list   *link = list_take_link(&world.bus);
	struct on_bus *b;

	if (link == NULL)
		return false;
	b = list_entry(link, struct on_bus, in_bench);
	bring(b);
	free(b);
	return true;
}

void
world_bus_all(void)
{
	while (world_bus())
		;
}

void
world_settle(void)
{
	if (!world.subscribed)
		world_subscribed();
	for (int i = 0; i < 3; i++) {
		world_answer_all();
		world_bus_all();
		turn_after(world.loop, WORLD_CHECK_MS + 100);
	}
	world_answer_all();
	turn_a_few(world.loop);
}

/* ---- life ---- */

static void
on_intercept(struct subscriber *who, struct slice event, const struct message *m)
{
	struct hearer *l = container_of(who, struct hearer, sub);

	l->intercepted++;
	hub_send(&world.ps.hub, &l->out, l->sub.codec, (struct message *)m);
}

void
world_limits(struct history_limits its, size_t max_held)
{
	struct store *store = xcalloc(1, sizeof(*store));

	limits = its;
	history_free(world.history);
	store->ops = &fake_store;
	world.history = history_new(world.loop, &world.ps, store,
	    &(struct history_options){ .check_ms = WORLD_CHECK_MS, .max_held = max_held });
}

void
world_start(void)
{
	struct broker *broker = xcalloc(1, sizeof(*broker));

	world = (struct world){ .loop = loop_new(), .oldest = 1, .next = 1 };
	list_init(&world.asked);
	list_init(&world.bus);
	broker->ops = &fake_broker;
	pubsub_init(&world.ps, world.loop, broker);
	world.ps.hub.on_intercept = on_intercept;
	turn_after(world.loop, 0);
	world_limits((struct history_limits){ .max = WORLD_MAX }, 1024 * 1024);
}

void
world_end(void)
{
	history_free(world.history);
	ck_assert_int_eq(world.interest, 0);
	world_lose_bus();
	pubsub_done(&world.ps);
	loop_free(world.loop);
}

/* ---- hearers ---- */

static void
flush(struct outq *q)
{
}

struct hearer *
hearer_new(void)
{
	struct hearer *l = xcalloc(1, sizeof(*l));

	outq_init(&l->out, world.loop, flush);
	l->sub = (struct subscriber){ .out = &l->out, .codec = &codec_phoenix_v2 };
	return l;
}

static void
hearer_enter(struct hearer *l)
{
	hub_subscribe(&world.ps.hub, &l->sub, WORLD_TOPIC);
	l->joined = true;
}

void
hearer_join(struct hearer *l)
{
	l->feed = feed_open(world.history, WORLD_TOPIC, &limits);
	hearer_enter(l);
}

static unsigned
number_in(struct slice text)
{
	const char *n = memmem(text.p, text.n, "{\"n\":", 5);

	return n != NULL ? (unsigned)strtoul(n + 5, NULL, 10) : WORLD_RESYNC;
}

static void
hearer_note(struct hearer *l, unsigned n)
{
	ck_assert_uint_lt(l->n, WORLD_MAX);
	l->got[l->n++] = n;
}

static void
on_history(void *arg, const struct history_page *page)
{
	struct hearer *l = arg;
	struct catchup	*c = l->catchup;

	l->error = page->error;
	l->recovered = page->recovered;
	l->more = page->more;
	l->n_page = page->n;
	snprintf(l->mark, sizeof(l->mark), "%.*s", SLICE_ARG(page->mark));
	for (unsigned i = 0; i < page->n; i++)
		hearer_note(l, number_in(page->messages[i].payload));
	l->catchup = NULL;
	hearer_enter(l);
	catchup_finish(c, &l->sub);
}

void
hearer_catch_up(struct hearer *l, unsigned n, unsigned newest)
{
	char	     id[UUID_LEN + 1];
	char	     reader[32] = "";
	struct slice last = n > 0 ? slice_str(uuid_from_position(place(n), tail_of(n, world.salt), id)) : (struct slice){ 0 };

	l->feed = feed_open(world.history, WORLD_TOPIC, &limits);
	if (l->reader != NULL)
		snprintf(reader, sizeof(reader), "%s", l->reader);
	l->catchup = history_catch_up(l->feed, NULL, last, STORE_MAX_PAGE, newest, slice_str(reader), on_history, l);
	memset(reader, 'x', sizeof(reader));
}

void
hearer_leave(struct hearer *l)
{
	if (l->feed == NULL)
		return;
	hearer_take(l);
	catchup_cancel(l->catchup);
	l->catchup = NULL;
	hub_unsubscribe(&world.ps.hub, &l->sub);
	feed_forget(l->feed, &l->sub);
	feed_close(l->feed);
	l->feed = NULL;
	l->joined = false;
}

void
hearer_free(struct hearer *l)
{
	hearer_leave(l);
	outq_done(&l->out);
	loop_end_turn(world.loop);
	free(l);
}

void
hearer_take(struct hearer *l)
{
	for (unsigned i = 0; i < l->out.n; i++) {
		struct frame *f = outq_at(&l->out, i);
		struct slice  text = slice(frame_body(f), frame_body_len(f));

		if (number_in(text) == WORLD_RESYNC)
			ck_assert_ptr_nonnull(memmem(text.p, text.n, "\"system\",{\"status\":\"resync\",\"recovered\":false}", 45));
		else
			ck_assert_ptr_nonnull(memmem(text.p, text.n, ",\"id\":\"0", 8));
		hearer_note(l, number_in(text));
	}
	outq_clear_unsent(&l->out);
}

void
hearer_got(struct hearer *l, const char *numbers)
{
	autobuf struct buf text = { 0 };

	hearer_take(l);
	for (unsigned i = 0; i < l->n; i++)
		if (l->got[i] == WORLD_RESYNC)
			buf_addf(&text, "%sR", i > 0 ? " " : "");
		else
			buf_addf(&text, "%s%u", i > 0 ? " " : "", l->got[i]);
	buf_add_char(&text, '\0');
	ck_assert_str_eq(text.p, numbers);
}
