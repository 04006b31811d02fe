/*
 * Inquiries, headcounts and kicks: nodes in one process and on one loop, over a real Redis, some of which do not answer; and
 * answers and questions as no node puts them.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"
#include "cluster/cluster_internal.h"
#include "backplane/headcount.h"
#include "backplane/kick.h"
#include "wire/json.h"
#include "with_redis.h"

Suite *inquiry_suite(void);

#define BEAT_MS		20
#define PATIENCE_MS	8000
#define MAX_PEERS	3
#define MAX_HEARERS	8

struct peer {
	struct redis		*redis;
	struct cluster		*cluster;
	struct inquiries	 inquiries;
	struct headcounts	 headcounts;
	struct kicks		 kicks;
	struct hub		 hub;
	struct websockets	 websockets;
	struct longpolls	 longpolls;
	bool			 deaf;		/* answers no question */
	unsigned		 kicked;	/* what it answers to kicks; 0 = what it finds itself */
	char			*question;	/* the last it heard */
	char			*counted;	/* the last headcount it heard of */
	unsigned		 answers;	/* all it heard */
};

struct hearer {
	struct peer		*of;
	struct outq		out;
	struct subscriber	sub;
};

/* What was told of a headcount, or a kick. */
struct told {
	struct headcount	counts[4];
	unsigned		n;		/* topics that were asked for */
	unsigned		disconnected;
	unsigned		silent;
	unsigned		times;
	uint64_t		at;
};

static struct loop *loop;
static struct peer peers[MAX_PEERS];
static unsigned n_peers;
static struct hearer hearers[MAX_HEARERS];
static unsigned n_hearers;

static void
on_up(void *arg)
{
	cluster_on_up(((struct peer *)arg)->cluster);
}

static void
on_down(void *arg, const char *why)
{
	cluster_on_down(((struct peer *)arg)->cluster);
}

static void
on_bus_up(void *arg)
{
	cluster_on_bus_up(((struct peer *)arg)->cluster);
}

static void
on_bus_down(void *arg, const char *why)
{
	cluster_on_bus_down(((struct peer *)arg)->cluster);
}

static void
on_hopeless(void *arg, const char *why)
{
	ck_abort_msg("%s", why);
}

static const struct redis_user redis_events = { on_up, on_down, on_bus_up, on_bus_down, on_hopeless };

static void
keep(char **text, struct slice message)
{
	free(*text);
	*text = xstrndup(message.p, message.n);
}

static void
answer_kick(struct peer *p, struct slice node, struct slice message)
{
	char n[32];

	if (p->kicked == 0) {
		kicks_on_message(&p->kicks, node, message);
		return;
	}
	snprintf(n, sizeof(n), ",\"n\":%u", p->kicked);
	inquiry_answer(&p->inquiries, "kicked", message, slice_str(n));
}

/* As node.c does. */
static void
on_message(void *arg, struct slice node, struct slice type, struct slice message)
{
	struct peer *p = arg;
	const bool   is_kick = slice_is(type, "kick"), is_count = slice_is(type, "count");

	if (is_kick || is_count || slice_is(type, "ask"))
		keep(&p->question, message);
	if (is_kick && !p->deaf)
		answer_kick(p, node, message);
	if (is_count && !p->deaf)
		headcounts_on_message(&p->headcounts, message);
	if (slice_is(type, "counted"))
		keep(&p->counted, message);
	if (is_kick || is_count)
		return;
	p->answers++;
	inquiries_on_message(&p->inquiries, node, message);
}

static void
on_place(void *arg, uint64_t epoch)
{
}

static void
on_change(void *arg, struct slice node, uint64_t epoch, enum cluster_change change)
{
}

static void
on_clean(void *arg, struct slice node, uint64_t epoch)
{
}

static const struct cluster_user cluster_events = {
	.on_place = on_place, .on_change = on_change, .on_clean = on_clean, .on_message = on_message, .on_taken = on_hopeless,
};

static void
connect_peer(struct peer *p, const char *name)
{
	struct redis_options o = {
		.name = name, .connect_ms = 2000, .ping_ms = 1000, .answer_ms = 2000, .backoff_ms = 10, .backoff_max_ms = 50,
		.max_queue = 1 << 20, .url.is_unix = true,
	};

	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	p->redis = redis_new(loop, &o, &redis_events, p);
	p->cluster = cluster_new(loop, p->redis, &(struct cluster_options){
		.node = name, .prefix = "roost:", .host = "here", .listen = "127.0.0.1:4000", .version = "1.0",
		.beat_ms = BEAT_MS, .timeout_ms = PATIENCE_MS,
	}, &cluster_events, p);
}

/* `name` NULL: a node alone. */
static struct peer *
start(const char *name)
{
	struct peer *p = &peers[n_peers++];

	ck_assert_uint_le(n_peers, MAX_PEERS);
	*p = (struct peer){ .redis = NULL };
	hub_init(&p->hub, loop);
	inquiries_init(&p->inquiries, loop);
	headcounts_init(&p->headcounts, &p->inquiries, &p->hub);
	list_init(&p->websockets.open);
	list_init(&p->longpolls.open);
	kicks_init(&p->kicks, &p->inquiries, &p->websockets, &p->longpolls);
	if (name != NULL)
		connect_peer(p, name);
	p->inquiries.cluster = p->cluster;
	return p;
}

static void
setup(void)
{
	with_redis_start();
	loop = loop_new();
	n_peers = n_hearers = 0;
	*stats = (struct stats){ 0 };
}

static void
flush(struct outq *q)
{
}

static void
hears(struct peer *p, const char *topic, int64_t since)
{
	struct hearer *h = &hearers[n_hearers++];

	ck_assert_uint_le(n_hearers, MAX_HEARERS);
	*h = (struct hearer){ .of = p, .sub = { .out = &h->out, .codec = &codec_phoenix_v2 } };
	outq_init(&h->out, loop, flush);
	hub_subscribe(&p->hub, &h->sub, slice_str(topic));
	h->sub.topic->since = since;
}

static void
leave_all(void)
{
	for (unsigned i = 0; i < n_peers; i++)
		for (unsigned k = 0; k < n_hearers; k++)
			if (hearers[k].of == &peers[i])
				hub_unsubscribe(&peers[i].hub, &hearers[k].sub);
	for (unsigned k = 0; k < n_hearers; k++)
		outq_done(&hearers[k].out);
}

static void
teardown(void)
{
	leave_all();
	for (unsigned i = 0; i < n_peers; i++) {
		inquiries_done(&peers[i].inquiries);
		hub_done(&peers[i].hub);
		cluster_free(peers[i].cluster);
		redis_free(peers[i].redis);
		free(peers[i].question);
		free(peers[i].counted);
	}
	loop = loop_free(loop);
	with_redis_end();
}

#define until(cond, arg)	ck_assert_msg(with_redis_turn_until(loop, cond, arg, PATIENCE_MS), "never: %s", #cond)

static bool
all_meet(void *arg)
{
	for (unsigned i = 0; i < n_peers; i++)
		if (!cluster_is_well(peers[i].cluster) || cluster_count(peers[i].cluster) != n_peers ||
		    cluster_count_asked(peers[i].cluster) != n_peers)
			return false;
	return true;
}

static struct peer *
start_and_meet(unsigned n)
{
	static const char *const names[MAX_PEERS] = { "a", "b", "c" };

	for (unsigned i = 0; i < n; i++)
		start(names[i]);
	until(all_meet, NULL);
	return &peers[0];
}

static void
on_counts(void *arg, const struct headcount *counts, unsigned silent)
{
	struct told *t = arg;

	for (unsigned i = 0; i < t->n; i++)
		t->counts[i] = counts[i];
	t->silent = silent;
	t->times++;
	t->at = loop->now;
}

static void
on_kicked(void *arg, unsigned disconnected, unsigned silent)
{
	struct told *t = arg;

	t->disconnected = disconnected;
	t->silent = silent;
	t->times++;
	t->at = loop->now;
}

static bool
is_told(void *arg)
{
	return ((struct told *)arg)->times > 0;
}

static bool
is_asked(void *arg)
{
	return ((struct peer *)arg)->question != NULL;
}

static bool
has_answers(void *arg)
{
	return ((struct peer *)arg)->answers >= 1;
}

static bool
has_looked(void *arg)
{
	return ((struct peer *)arg)->cluster->looked;
}

static void
count(struct peer *p, struct told *t, const char *first, const char *second)
{
	const struct slice topics[] = { slice_str(first), slice_str(second) };

	*t = (struct told){ .n = second != NULL ? 2 : 1 };
	ck_assert_int_eq(headcount(&p->headcounts, topics, t->n, on_counts, t), 0);
}

static void
check_count(const struct headcount *c, uint64_t clients, unsigned nodes, int64_t since)
{
	ck_assert_uint_eq(c->clients, clients);
	ck_assert_uint_eq(c->nodes, nodes);
	ck_assert_int_eq(c->since, since);
}

START_TEST(all_answer)
{
	struct peer *a = start_and_meet(3);
	struct told  t;

	hears(&peers[0], "room:a", 3000);
	hears(&peers[0], "room:a", 3000);
	hears(&peers[1], "room:a", 2000);
	hears(&peers[2], "room:b", 1000);
	for (unsigned i = 0; i < n_peers; i++) {
		uint64_t began = loop->now;

		count(&peers[i], &t, "room:a", "room:b");
		ck_assert_uint_eq(t.times, 0);
		until(is_told, &t);
		ck_assert_uint_eq(t.silent, 0);
		ck_assert_uint_lt(t.at - began, HEADCOUNT_MS);
		check_count(&t.counts[0], 3, 2, 2000);
		check_count(&t.counts[1], 1, 1, 1000);
	}
	count(a, &t, "room:nobody", "room:\"\\\x01\xc3\xa9");
	until(is_told, &t);
	check_count(&t.counts[0], 0, 0, 0);
	check_count(&t.counts[1], 0, 0, 0);
	ck_assert(list_empty(&a->inquiries.asked));
}
END_TEST

START_TEST(names_are_told_apart_whatever_they_are)
{
	static const char *const odd[] = { "room:\"", "room:\\", "room:\x01\x7f", "room:\xc3\xa9\xf0\x9f\x90\xa6", "room:a,b]" };
	struct peer		*a = start_and_meet(2);
	struct told		 t;

	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		hears(&peers[1], odd[i], 5);
		count(a, &t, odd[i], "room:");
		until(is_told, &t);
		check_count(&t.counts[0], 1, 1, 5);
		check_count(&t.counts[1], 0, 0, 0);
	}
}
END_TEST

START_TEST(one_does_not_answer)
{
	struct peer *a = start_and_meet(3);
	uint64_t     began = loop->now;
	struct told  t;

	peers[2].deaf = true;
	hears(&peers[1], "room:a", 7);
	hears(&peers[2], "room:a", 5);
	count(a, &t, "room:a", NULL);
	until(is_told, &t);
	ck_assert_uint_eq(t.silent, 1);
	ck_assert_uint_ge(t.at - began, HEADCOUNT_MS);
	check_count(&t.counts[0], 1, 1, 7);
	peers[2].deaf = false;
	count(a, &t, "room:a", NULL);
	until(is_told, &t);
	ck_assert_uint_eq(t.silent, 0);
	check_count(&t.counts[0], 2, 2, 5);
}
END_TEST

/* It stands in the registry, and nothing was heard of it yet: its clients are clients. */
START_TEST(who_was_not_heard_yet_is_waited_for)
{
	struct peer *a = start("a"), *b;
	struct told  t;

	until(all_meet, NULL);
	hears(a, "room:a", 7);
	/* It beats no more until we have asked. */
	timer_stop(&a->cluster->tick);
	b = start("b");
	until(has_looked, b);
	ck_assert_uint_eq(cluster_count(b->cluster), 1);
	count(b, &t, "room:a", NULL);
	until(is_told, &t);
	ck_assert_uint_eq(t.silent, 0);
	check_count(&t.counts[0], 1, 1, 7);
}
END_TEST

/* What stands behind "re" in an answer, and what becomes of two topics; `open`: it is no answer to us. */
static const struct {
	const char	*members;
	bool		 open;
	uint64_t	 clients[2];
	int64_t		 since[2];
} answers[] = {
	{ "\"re\":\"$\",\"counts\":[2,3],\"since\":[5,6]", .clients = { 2, 3 }, .since = { 5, 6 } },
	{ " \"re\" : \"$\" , \"counts\" : [ 2 , 3 ] , \"since\" : [ 5 , 6 ] ", .clients = { 2, 3 }, .since = { 5, 6 } },
	{ "\"re\":\"$\",\"counts\":[2,3],\"since\":[5,6],\"counts\":[4,4]", .clients = { 4, 4 }, .since = { 5, 6 } },
	/* Not ours. */
	{ "\"re\":\"^\",\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"re\":\"$x\",\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"re\":\" ^\",\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"re\":[\"$\"],\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"id\":\"$\",\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"re\":\"\",\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"re\":null,\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"re\":7,\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"re\":\"\\ud800\",\"counts\":[2,3],\"since\":[5,6]", .open = true },
	{ "\"counts\":[2,3],\"since\":[5,6]", .open = true },
	/* It has answered, but there is nothing in it. */
	{ "\"re\":\"$\"", .open = false },
	{ "\"re\":\"$\",\"counts\":[2,3]", .open = false },
	{ "\"re\":\"$\",\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":null,\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":{\"0\":2},\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":\"2,3\",\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":2,\"since\":5", .open = false },
	{ "\"re\":\"$\",\"counts\":[],\"since\":[]", .open = false },
	{ "\"re\":\"$\",\"counts\":[[2,3]],\"since\":[[5,6]]", .open = false },
	/* Up to where it makes sense. */
	{ "\"re\":\"$\",\"counts\":[2],\"since\":[5]", .clients = { 2 }, .since = { 5 } },
	{ "\"re\":\"$\",\"counts\":[2,3],\"since\":[5]", .clients = { 2 }, .since = { 5 } },
	{ "\"re\":\"$\",\"counts\":[2,3,4],\"since\":[5,6,7]", .clients = { 2, 3 }, .since = { 5, 6 } },
	{ "\"re\":\"$\",\"counts\":[-1,3],\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":[2,-3],\"since\":[5,6]", .clients = { 2 }, .since = { 5 } },
	{ "\"re\":\"$\",\"counts\":[1.5,3],\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":[1e3,3],\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":[\"2\",3],\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":[null,3],\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":[2,3],\"since\":[5,-6]", .clients = { 2 }, .since = { 5 } },
	{ "\"re\":\"$\",\"counts\":[2,3],\"since\":[5,true]", .clients = { 2 }, .since = { 5 } },
	{ "\"re\":\"$\",\"counts\":[9007199254740993,3],\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":[99999999999999999999999999,3],\"since\":[5,6]", .open = false },
	{ "\"re\":\"$\",\"counts\":[9007199254740992,3],\"since\":[9007199254740992,6]",
	    .clients = { UINT64_C(9007199254740992), 3 }, .since = { INT64_C(9007199254740992), 6 } },
	/* Since when nobody has been there is nothing to anybody. */
	{ "\"re\":\"$\",\"counts\":[0,3],\"since\":[5,6]", .clients = { 0, 3 }, .since = { 0, 6 } },
};

/* The id of the question that it has heard last. */
static const char *
asked_id(struct peer *p, char id[64])
{
	struct slice text;

	until(is_asked, p);
	ck_assert_int_eq(json_member_text(slice_str(p->question), "id", id, 63, &text), 0);
	memmove(id, text.p, text.n);
	id[text.n] = '\0';
	return id;
}

/* "$" in `members` stands for the id, "^" for all but its last character. */
static void
answer_as(const char *node, struct peer *p, const char *members, const char *id)
{
	autobuf struct buf message = { 0 };

	buf_addf(&message, "{\"v\":1,\"type\":\"counted\",\"node\":\"%s\",", node);
	for (const char *at = members; *at != '\0'; at++)
		if (*at == '$' || *at == '^')
			buf_addf(&message, "%.*s", (int)strlen(id) - (*at == '^'), id);
		else
			buf_add_char(&message, *at);
	buf_add_char(&message, '}');
	inquiries_on_message(&p->inquiries, slice_str(node), buf_slice(&message));
}

static void
answer(struct peer *p, const char *members, const char *id)
{
	answer_as("a", p, members, id);
}

START_TEST(answers_of_all_kinds)
{
	struct peer *a = start_and_meet(1);
	struct told  t;
	char	     id[64];

	a->deaf = true;
	count(a, &t, "room:a", "room:b");
	asked_id(a, id);
	ck_assert_uint_eq(strlen(id), 22);
	answer(a, answers[_i].members, id);
	ck_assert_uint_eq(t.times, !answers[_i].open);
	if (answers[_i].open) {
		answer(a, answers[0].members, id);
		check_count(&t.counts[0], 2, 1, 5);
	} else {
		for (unsigned i = 0; i < 2; i++)
			check_count(&t.counts[i], answers[_i].clients[i], answers[_i].clients[i] > 0, answers[_i].since[i]);
	}
	ck_assert_uint_eq(t.silent, 0);
	/* Once more, behind the end. */
	answer(a, answers[0].members, id);
	ck_assert_uint_eq(t.times, 1);
}
END_TEST

START_TEST(the_least_since_of_those_with_clients)
{
	struct peer *a = start_and_meet(3);
	struct told  t;
	char	     id[64];

	for (unsigned i = 0; i < n_peers; i++)
		peers[i].deaf = true;
	count(a, &t, "room:a", "room:b");
	asked_id(a, id);
	answer_as("a", a, "\"re\":\"$\",\"counts\":[1,0],\"since\":[50,1]", id);
	answer_as("b", a, "\"re\":\"$\",\"counts\":[0,0],\"since\":[10,0]", id);
	ck_assert_uint_eq(t.times, 0);
	answer_as("c", a, "\"re\":\"$\",\"counts\":[2,4],\"since\":[40,60]", id);
	ck_assert_uint_eq(t.times, 1);
	check_count(&t.counts[0], 3, 2, 40);
	check_count(&t.counts[1], 4, 1, 60);
}
END_TEST

START_TEST(who_answers_twice_is_not_taken_for_two)
{
	struct peer *a = start_and_meet(2);
	struct told  t;
	char	     id[64];

	peers[0].deaf = peers[1].deaf = true;
	count(a, &t, "room:a", NULL);
	asked_id(a, id);
	for (int i = 0; i < 3; i++)
		answer_as("b", a, "\"re\":\"$\",\"counts\":[1],\"since\":[5]", id);
	ck_assert_uint_eq(t.times, 0);
	answer_as("a", a, "\"re\":\"$\",\"counts\":[0],\"since\":[0]", id);
	ck_assert_uint_eq(t.times, 1);
	check_count(&t.counts[0], 1, 1, 5);
}
END_TEST

/* As one that has come in the meantime, or waits for its place. */
START_TEST(who_was_not_asked_is_counted_in_nobodys_place)
{
	struct peer *a = start_and_meet(2);
	struct told  t;
	char	     id[64];

	peers[0].deaf = peers[1].deaf = true;
	count(a, &t, "room:a", NULL);
	asked_id(a, id);
	for (int i = 0; i < 2; i++)
		answer_as("x", a, "\"re\":\"$\",\"counts\":[1],\"since\":[5]", id);
	answer_as("a1", a, "\"re\":\"$\",\"counts\":[2],\"since\":[6]", id);
	answer_as("a", a, "\"re\":\"$\",\"counts\":[4],\"since\":[7]", id);
	ck_assert_uint_eq(t.times, 0);
	answer_as("b", a, "\"re\":\"$\",\"counts\":[8],\"since\":[8]", id);
	ck_assert_uint_eq(t.times, 1);
	check_count(&t.counts[0], 15, 4, 5);
}
END_TEST

START_TEST(answers_go_to_whom_they_are_meant_for)
{
	struct peer *a = start_and_meet(1);
	struct told  first, second;
	char	     id[2][64];

	a->deaf = true;
	count(a, &first, "room:a", NULL);
	asked_id(a, id[0]);
	free(a->question);
	a->question = NULL;
	count(a, &second, "room:a", NULL);
	asked_id(a, id[1]);
	ck_assert_str_ne(id[0], id[1]);
	answer(a, "\"re\":\"$\",\"counts\":[2],\"since\":[5]", id[1]);
	ck_assert_uint_eq(first.times, 0);
	check_count(&second.counts[0], 2, 1, 5);
	answer(a, "\"re\":\"$\",\"counts\":[3],\"since\":[6]", id[0]);
	check_count(&first.counts[0], 3, 1, 6);
	ck_assert_uint_eq(second.times, 1);
}
END_TEST

/* Questions, and what is answered; NULL = nothing. */
static const struct {
	const char	*question;
	const char	*want;
} questions[] = {
	{ "\"topics\":[\"room:a\",\"room:b\"],\"id\":\"q\"", "\"re\":\"q\",\"counts\":[2,0],\"since\":[9,0]}" },
	{ "\"topics\":[\"room:\\u0061\"],\"id\":\"q\"", "\"re\":\"q\",\"counts\":[2],\"since\":[9]}" },
	{ "\"topics\":[\"room:a\",\"room:a\"],\"id\":\"q\"", "\"re\":\"q\",\"counts\":[2,2],\"since\":[9,9]}" },
	{ "\"topics\":[1,\"room:a\",null,{\"room:a\":1},[\"room:a\"],\"\"],\"id\":\"q\"",
	    "\"re\":\"q\",\"counts\":[0,2,0,0,0,0],\"since\":[0,9,0,0,0,0]}" },
	{ "\"topics\":[],\"id\":\"q\"", "\"re\":\"q\",\"counts\":[],\"since\":[]}" },
	{ "\"topics\":[\"room:a\"],\"id\":\"a\\\"b\"", "\"re\":\"a\\\"b\",\"counts\":[2],\"since\":[9]}" },
	{ "\"topics\":[\"room:a\"],\"id\":\"1234567890123456789012\"",
	    "\"re\":\"1234567890123456789012\",\"counts\":[2],\"since\":[9]}" },
	{ "\"topics\":[\"room:a\"],\"id\":\"12345678901234567890123\"", NULL },
	{ "\"topics\":[\"room:a\"],\"id\":\"\"", NULL },
	{ "\"topics\":[\"room:a\"],\"id\":7", NULL },
	{ "\"topics\":[\"room:a\"]", NULL },
	{ "\"topics\":\"room:a\",\"id\":\"q\"", NULL },
	{ "\"topics\":{\"room:a\":1},\"id\":\"q\"", NULL },
	{ "\"id\":\"q\"", NULL },
};

START_TEST(questions_of_all_kinds)
{
	struct peer  *a = start_and_meet(1);
	autofree char *message = xasprintf("{\"v\":1,\"type\":\"count\",\"node\":\"x\",%s}", questions[_i].question);
	const char   *want = questions[_i].want != NULL ? questions[_i].want : "\"re\":\"last\",\"counts\":[],\"since\":[]}";

	hears(a, "room:a", 9);
	hears(a, "room:a", 9);
	headcounts_on_message(&a->headcounts, slice_str(message));
	if (questions[_i].want == NULL)
		headcounts_on_message(&a->headcounts, SLICE("{\"id\":\"last\",\"topics\":[]}"));
	until(has_answers, a);
	ck_assert_uint_eq(a->answers, 1);
	ck_assert_msg(strlen(a->counted) > strlen(want) && strcmp(a->counted + strlen(a->counted) - strlen(want), want) == 0,
	    "%s", a->counted);
}
END_TEST

START_TEST(a_node_alone)
{
	struct peer *a = start(NULL);
	struct told  t;

	hears(a, "room:a", 9);
	count(a, &t, "room:a", "room:b");
	ck_assert_uint_eq(t.times, 1);
	ck_assert_uint_eq(t.silent, 0);
	check_count(&t.counts[0], 1, 1, 9);
	check_count(&t.counts[1], 0, 0, 0);
	t = (struct told){ .disconnected = 7, .silent = 7 };
	ck_assert_int_eq(kick(&a->kicks, KICK_USER, SLICE("alice"), on_kicked, &t), 0);
	ck_assert_uint_eq(t.times, 1);
	ck_assert_uint_eq(t.disconnected, 0);
	ck_assert_uint_eq(t.silent, 0);
}
END_TEST

/* What is asked before would be answered by less than all. */
START_TEST(nobody_is_asked_before_the_others_are_known)
{
	struct peer *a = start_and_meet(2);
	struct told  none = { .n = 1 };

	ck_assert_uint_eq(cluster_count_asked(a->cluster), 2);
	a->cluster->looked = false;
	ck_assert_int_eq(headcount(&a->headcounts, (struct slice[]){ SLICE("room:a") }, 1, on_counts, &none), -ENOTCONN);
	a->cluster->looked = true;
	cluster_on_bus_down(a->cluster);
	ck_assert_int_eq(kick(&a->kicks, KICK_USER, SLICE("alice"), on_kicked, &none), -ENOTCONN);
	ck_assert_uint_eq(none.times, 0);
	ck_assert(list_empty(&a->inquiries.asked));
}
END_TEST

START_TEST(no_topics)
{
	struct told t = { .n = 0 };

	ck_assert_int_eq(headcount(&start_and_meet(2)->headcounts, NULL, 0, on_counts, &t), 0);
	ck_assert_uint_eq(t.times, 1);
	ck_assert_uint_eq(t.silent, 0);
	/* Nobody was asked. */
	ck_assert(list_empty(&peers[0].inquiries.asked));
}
END_TEST

START_TEST(redis_is_away)
{
	struct peer *a = start_and_meet(2);
	struct told  t, none = { .n = 1 };

	peers[0].deaf = peers[1].deaf = true;
	count(a, &t, "room:a", NULL);
	with_redis_kill();
	until(is_told, &t);
	ck_assert_uint_eq(t.silent, INQUIRY_NOBODY);
	check_count(&t.counts[0], 0, 0, 0);
	ck_assert_int_eq(headcount(&a->headcounts, (struct slice[]){ SLICE("room:a") }, 1, on_counts, &none), -ENOTCONN);
	ck_assert_int_eq(kick(&a->kicks, KICK_USER, SLICE("alice"), on_kicked, &none), -ENOTCONN);
	ck_assert_uint_eq(none.times, 0);
	ck_assert(list_empty(&a->inquiries.asked));
}
END_TEST

struct trial {
	unsigned	answers;	/* that have come */
	unsigned	enough;		/* so many are; 0 = all */
	unsigned	ends, drops, silent;
};

static bool
trial_answered(void *arg, struct slice message)
{
	struct trial *t = arg;

	t->answers++;
	return t->answers == t->enough;
}

static void
trial_end(void *arg, unsigned silent)
{
	struct trial *t = arg;

	t->ends++;
	t->silent = silent;
}

static void
trial_drop(void *arg)
{
	((struct trial *)arg)->drops++;
}

static const struct inquiry_user trial_inquiry = {
	.question = "ask", .wait_ms = 40, .on_answer = trial_answered, .on_end = trial_end, .on_drop = trial_drop,
};

static bool
trial_ended(void *arg)
{
	return ((struct trial *)arg)->ends > 0;
}

START_TEST(one_answer_is_enough)
{
	struct peer *a = start_and_meet(3);
	struct trial t = { .enough = 1 };
	char	     id[64];

	ck_assert_int_eq(inquiry(&a->inquiries, &trial_inquiry, SLICE(",\"x\":1"), &t), 0);
	asked_id(a, id);
	ck_assert_ptr_nonnull(strstr(a->question, ",\"x\":1}"));
	answer(a, "\"re\":\"$\"", id);
	answer(a, "\"re\":\"$\"", id);
	ck_assert_uint_eq(t.answers, 1);
	ck_assert_uint_eq(t.ends, 1);
	ck_assert_uint_eq(t.silent, 0);
}
END_TEST

START_TEST(time_is_up)
{
	struct peer *a = start_and_meet(3);
	struct trial t = { 0 };
	char	     id[64];

	ck_assert_int_eq(inquiry(&a->inquiries, &trial_inquiry, SLICE(""), &t), 0);
	asked_id(a, id);
	answer(a, "\"re\":\"$\"", id);
	until(trial_ended, &t);
	answer(a, "\"re\":\"$\"", id);
	ck_assert_uint_eq(t.answers, 1);
	ck_assert_uint_eq(t.ends, 1);
	ck_assert_uint_eq(t.silent, 2);
}
END_TEST

/* Whoever asks learns that it will not be told; a headcount frees what it has. */
START_TEST(the_server_ends_before)
{
	struct peer *a = start_and_meet(1);
	struct trial t[2] = { 0 };
	struct told  counted, kicked = { 0 };

	a->deaf = true;
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(inquiry(&a->inquiries, &trial_inquiry, SLICE(""), &t[i]), 0);
	count(a, &counted, "room:a", NULL);
	ck_assert_int_eq(kick(&a->kicks, KICK_USER, SLICE("alice"), on_kicked, &kicked), 0);
	inquiries_done(&a->inquiries);
	ck_assert(list_empty(&a->inquiries.asked));
	with_redis_turn_until(loop, trial_ended, &t[0], 2 * (unsigned)trial_inquiry.wait_ms);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(t[i].drops, 1);
		ck_assert_uint_eq(t[i].ends, 0);
	}
	ck_assert_uint_eq(counted.times + kicked.times, 0);
}
END_TEST

START_TEST(kicks_of_all_nodes_are_added)
{
	struct peer *a = start_and_meet(3);
	uint64_t     began = loop->now;
	struct told  t = { 0 };

	peers[1].kicked = 2;
	peers[2].kicked = 3;
	ck_assert_int_eq(kick(&a->kicks, KICK_USER, SLICE("\"al\\ice\x01"), on_kicked, &t), 0);
	until(is_told, &t);
	ck_assert_uint_eq(t.disconnected, 5);
	ck_assert_uint_eq(t.silent, 0);
	ck_assert_uint_lt(t.at - began, KICK_MS);
	ck_assert_ptr_nonnull(strstr(a->question, "\"user\":\"\\\"al\\\\ice\\u0001\""));
}
END_TEST

START_TEST(a_kick_that_one_does_not_answer)
{
	struct peer *a = start_and_meet(2);
	uint64_t     began = loop->now;
	struct told  user = { 0 }, connection = { 0 };

	peers[0].kicked = 1;
	peers[1].deaf = true;
	ck_assert_int_eq(kick(&a->kicks, KICK_USER, SLICE("alice"), on_kicked, &user), 0);
	ck_assert_int_eq(kick(&a->kicks, KICK_CONNECTION, SLICE("0-1"), on_kicked, &connection), 0);
	/* Nobody else could have that one. */
	until(is_told, &connection);
	ck_assert_uint_eq(connection.disconnected, 1);
	ck_assert_uint_eq(connection.silent, 0);
	ck_assert_uint_lt(connection.at - began, KICK_MS);
	until(is_told, &user);
	ck_assert_uint_eq(user.disconnected, 1);
	ck_assert_uint_eq(user.silent, 1);
	ck_assert_uint_ge(user.at - began, KICK_MS);
}
END_TEST

/* What two nodes say, and how many that are; `ends`: the second is not waited for. */
static const struct {
	enum kick_whom	 whom;
	const char	*first;
	const char	*second;
	unsigned	 want;
	bool		 ends;
} kicked[] = {
	{ KICK_USER, "\"n\":1", "\"n\":2", 3, false },
	{ KICK_USER, "\"n\":0", "\"n\":0", 0, false },
	{ KICK_USER, "\"x\":1", "\"n\":2", 2, false },
	{ KICK_USER, "\"n\":-1", "\"n\":2", 2, false },
	{ KICK_USER, "\"n\":\"1\"", "\"n\":2", 2, false },
	{ KICK_USER, "\"n\":1.5", "\"n\":2", 2, false },
	{ KICK_USER, "\"n\":null", "\"n\":[2]", 0, false },
	{ KICK_USER, "\"n\":4294967295", "\"n\":1", UINT32_MAX, false },
	{ KICK_USER, "\"n\":4294967296", "\"n\":1", 1, false },
	{ KICK_USER, "\"n\":1", "\"n\":9007199254740992", 1, false },
	{ KICK_CONNECTION, "\"n\":1", "\"n\":1", 1, true },
	{ KICK_CONNECTION, "\"n\":0", "\"n\":1", 1, false },
	{ KICK_CONNECTION, "\"n\":\"1\"", "\"n\":1", 1, false },
};

START_TEST(what_is_said_of_kicks)
{
	struct peer   *a = start_and_meet(2);
	autofree char *first = xasprintf("\"re\":\"$\",%s", kicked[_i].first);
	autofree char *second = xasprintf("\"re\":\"$\",%s", kicked[_i].second);
	struct told    t = { 0 };
	char	       id[64];

	peers[0].deaf = peers[1].deaf = true;
	ck_assert_int_eq(kick(&a->kicks, kicked[_i].whom, SLICE("x"), on_kicked, &t), 0);
	asked_id(a, id);
	answer_as("a", a, first, id);
	ck_assert_uint_eq(t.times, kicked[_i].ends);
	answer_as("b", a, second, id);
	ck_assert_uint_eq(t.times, 1);
	ck_assert_uint_eq(t.disconnected, kicked[_i].want);
	ck_assert_uint_eq(t.silent, 0);
}
END_TEST

#define ROWS(table)	(int)(sizeof(table) / sizeof((table)[0]))

Suite *
inquiry_suite(void)
{
	Suite *s = suite_create("inquiry");
	TCase *t = tcase_create("inquiry");

	suite_add_tcase(s, t);
	if (!with_redis_available())
		return s;
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_answer);
	tcase_add_test(t, names_are_told_apart_whatever_they_are);
	tcase_add_test(t, one_does_not_answer);
	tcase_add_test(t, who_was_not_heard_yet_is_waited_for);
	tcase_add_loop_test(t, answers_of_all_kinds, 0, ROWS(answers));
	tcase_add_test(t, the_least_since_of_those_with_clients);
	tcase_add_test(t, who_answers_twice_is_not_taken_for_two);
	tcase_add_test(t, who_was_not_asked_is_counted_in_nobodys_place);
	tcase_add_test(t, answers_go_to_whom_they_are_meant_for);
	tcase_add_loop_test(t, questions_of_all_kinds, 0, ROWS(questions));
	tcase_add_test(t, a_node_alone);
	tcase_add_test(t, nobody_is_asked_before_the_others_are_known);
	tcase_add_test(t, no_topics);
	tcase_add_test(t, redis_is_away);
	tcase_add_test(t, one_answer_is_enough);
	tcase_add_test(t, time_is_up);
	tcase_add_test(t, the_server_ends_before);
	tcase_add_test(t, kicks_of_all_nodes_are_added);
	tcase_add_test(t, a_kick_that_one_does_not_answer);
	tcase_add_loop_test(t, what_is_said_of_kicks, 0, ROWS(kicked));
	return s;
}
