/*
 * Happenings of two nodes in one process, written to a real Redis; what becomes of them when it, or a node, is gone.
 */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/stats.h"
#include "backplane/happenings.h"
#include "with_redis.h"

Suite *happenings_suite(void);

#define WAIT_MS		5000
#define MAX_QUEUE	4

struct node {
	const char	  *name;
	uint32_t	   run;
	uint64_t	   epoch;
	struct redis	  *redis;
	struct happenings *h;
};

static struct loop *loop;
static struct node a, b;
static struct identity nobody;

static void
on_up(void *arg)
{
	struct node *n = arg;

	/* As the cluster does. */
	with_redis_do("ZADD test:nodes 1 %s", n->name);
	if (n->epoch != 0)
		happenings_on_place(n->h, n->epoch);
}

static void
on_down(void *arg, const char *why)
{
}

static void
on_bus_up(void *arg)
{
}

static const struct redis_user user = {
	.on_up = on_up, .on_down = on_down, .on_bus_up = on_bus_up, .on_bus_down = on_down, .on_refused = on_down,
};

static void
node_begin(struct node *n, const char *name, uint32_t run, uint64_t epoch)
{
	struct redis_options o = {
		.name = name, .connect_ms = 2000, .ping_ms = 1000, .answer_ms = 2000, .backoff_ms = 20, .backoff_max_ms = 50,
		.max_queue = 1 << 20, .url.is_unix = true,
	};

	*n = (struct node){ .name = name, .run = run, .epoch = epoch };
	snprintf(o.url.host, sizeof(o.url.host), "%s", with_redis_path());
	n->redis = redis_new(loop, &o, &user, n);
	n->h = happenings_new(loop, n->redis, &(struct happenings_options){
		.stream = "events", .prefix = "test:", .node = name, .run = run, .max_length = 100000, .max_queue = MAX_QUEUE,
	});
}

/* As by kill -9: nothing is said. */
static void
node_end(struct node *n)
{
	redis_free(n->redis);
	happenings_free(n->h);
	n->h = NULL;
}

static void
set_up(void)
{
	with_redis_start();
	loop = loop_new();
	node_begin(&a, "a", 0xa, 1);
	node_begin(&b, "b", 0xb, 2);
}

static void
tear_down(void)
{
	if (a.h != NULL)
		node_end(&a);
	if (b.h != NULL)
		node_end(&b);
	loop_free(loop);
	with_redis_end();
}

static void
client(struct node *n, unsigned id, bool connected)
{
	struct identity who = { .user = SLICE("ann") };
	struct session	s = { .who = &who };

	snprintf(s.id, sizeof(s.id), "%08x-%x", n->run, id);
	happenings_watcher.client(n->h, &s, connected, connected ? NULL : "closed");
}

static void
channel(struct node *n, unsigned id, const char *topic, bool joined)
{
	struct session s = { .who = &nobody };

	snprintf(s.id, sizeof(s.id), "%08x-%x", n->run, id);
	happenings_watcher.channel(n->h, &s, slice_str(topic), SLICE("ann"), joined, joined ? NULL : "leave");
}

static const char *
value_of(const struct redisReply *fields, const char *name)
{
	for (size_t i = 0; i + 1 < fields->elements; i += 2)
		if (strcmp(fields->element[i]->str, name) == 0)
			return fields->element[i + 1]->str;
	return "";
}

/* The whole stream: "node event client [channel] [cause];" ... */
static void
read_stream(struct buf *out)
{
	struct redisReply *r = redisCommand(with_redis(), "XRANGE events - +");

	ck_assert_ptr_nonnull(r);
	for (size_t i = 0; i < r->elements; i++) {
		static const char *const names[] = { "node", "event", "clientId", "channel", "cause", "again", "n" };
		const struct redisReply	*fields = r->element[i]->element[1];

		for (unsigned k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			const char *value = value_of(fields, names[k]);

			if (value[0] != '\0')
				buf_addf(out, "%s%s", k > 0 ? " " : "", k == 2 ? strchr(value, '-') + 1 : value);
		}
		buf_add_char(out, ';');
	}
	freeReplyObject(r);
}

static bool
has_entries(void *arg)
{
	return with_redis_int("XLEN events") >= (intptr_t)arg;
}

static bool
is_over(void *arg)
{
	return false;
}

/* The stream, and nothing behind it. */
static void
expect(intptr_t n, const char *text)
{
	autobuf struct buf got = { 0 };

	ck_assert(with_redis_turn_until(loop, has_entries, (void *)n, WAIT_MS));
	with_redis_turn_until(loop, is_over, NULL, 30);
	read_stream(&got);
	buf_add_char(&got, '\0');
	ck_assert_str_eq(got.p, text);
}

static bool
is_gone(void *arg)
{
	return with_redis_int("EXISTS %s", (const char *)arg) == 0;
}

START_TEST(each_is_told_once_in_order)
{
	client(&a, 1, true);
	channel(&a, 1, "room:a b", true);
	client(&b, 1, true);
	channel(&a, 1, "room:a b", false);
	client(&a, 1, false);
	ck_assert(with_redis_turn_until(loop, has_entries, (void *)(intptr_t)5, WAIT_MS));
	ck_assert_int_eq(with_redis_int("XLEN events"), 5);
}
END_TEST

#define BEGUN	"a client.connected 1;a channel.joined 1 room:1;"

static void
begin_one(struct node *n)
{
	client(n, 1, true);
	channel(n, 1, "room:1", true);
}

/* A survivor tells what a dead node held; whoever is told so twice, or too late, tells nothing. */
START_TEST(a_lost_node)
{
	begin_one(&a);
	expect(2, BEGUN);
	node_end(&a);
	happenings_on_clean(b.h, SLICE("a"), 0);
	happenings_on_clean(b.h, SLICE("a"), 1);
	happenings_on_clean(b.h, SLICE("a"), 1);
	expect(4, BEGUN "a channel.left 1 room:1 node_lost;a client.disconnected 1 node_lost;");
	ck_assert(is_gone("test:node:a:clients"));
}
END_TEST

START_TEST(a_lost_node_with_many_clients)
{
	begin_one(&a);
	expect(2, BEGUN);
	for (unsigned i = 2; i < 3000; i++)
		with_redis_do("HSET test:node:a:clients 0000000a-%x ann", i);
	node_end(&a);
	happenings_on_clean(b.h, SLICE("a"), 1);
	ck_assert(with_redis_turn_until(loop, is_gone, "test:node:a:clients", WAIT_MS));
	ck_assert_int_eq(with_redis_int("XLEN events"), 2 + 1 + 2999);
}
END_TEST

static long long
told(const char *event)
{
	autobuf struct buf all = { 0 };
	long long	   n = 0;

	read_stream(&all);
	buf_add_char(&all, '\0');
	for (const char *at = all.p; (at = strstr(at, event)) != NULL; at++)
		n++;
	return n;
}

/* Whoever tells what a node held dies at it, and the node comes back: all were lost, and those that are there come again. */
START_TEST(half_of_a_lost_node)
{
	begin_one(&a);
	expect(2, BEGUN);
	for (unsigned i = 2; i < 9000; i++)
		with_redis_do("HSET test:node:a:clients 0000000a-%x ann", i);
	happenings_on_clean(b.h, SLICE("a"), 1);
	ck_assert(with_redis_turn_until(loop, has_entries, (void *)(intptr_t)3, WAIT_MS));
	node_end(&b);
	ck_assert_int_eq(with_redis_int("EXISTS test:node:a:clients"), 1);
	happenings_on_place(a.h, 4);
	ck_assert(with_redis_turn_until(loop, has_entries, (void *)(intptr_t)(2 + 9000 + 2), WAIT_MS));
	with_redis_turn_until(loop, is_over, NULL, 30);
	ck_assert_int_eq(told("client.disconnected"), 8999);
	ck_assert_int_eq(told("channel.left"), 1);
	ck_assert_int_eq(told("a client.connected 1 1;a channel.joined 1 room:1 1;"), 1);
	ck_assert_int_eq(with_redis_int("HLEN test:node:a:clients"), 5);
}
END_TEST

/* Who was to tell it has died before: the next who looks finds it. */
START_TEST(a_lost_node_that_nobody_told_of)
{
	begin_one(&a);
	expect(2, BEGUN);
	node_end(&a);
	with_redis_do("ZREM test:nodes a");
	happenings_on_clean(b.h, SLICE("c"), 9);
	expect(4, BEGUN "a channel.left 1 room:1 node_lost;a client.disconnected 1 node_lost;");
	ck_assert(is_gone("test:node:a:clients"));
	ck_assert_int_eq(with_redis_int("SISMEMBER test:nodes:clients a"), 0);
}
END_TEST

/* The next process of the same id tells what the last one held. */
START_TEST(a_node_that_began_anew)
{
	begin_one(&a);
	expect(2, BEGUN);
	node_end(&a);
	node_begin(&a, "a", 0xaa, 3);
	client(&a, 7, true);
	expect(5, BEGUN "a channel.left 1 room:1 node_lost;a client.disconnected 1 node_lost;a client.connected 7;");
	happenings_on_clean(b.h, SLICE("a"), 1);
	expect(5, BEGUN "a channel.left 1 room:1 node_lost;a client.disconnected 1 node_lost;a client.connected 7;");
}
END_TEST

/* Taken for dead: who is still there is told again, who went meanwhile is not told twice. */
START_TEST(a_node_that_comes_back)
{
	begin_one(&a);
	client(&a, 2, true);
	expect(3, BEGUN "a client.connected 2;");
	happenings_on_clean(b.h, SLICE("a"), 1);
	ck_assert(with_redis_turn_until(loop, is_gone, "test:node:a:clients", WAIT_MS));
	with_redis_do("DEL events");
	client(&a, 2, false);
	happenings_on_place(a.h, 4);
	expect(2, "a client.connected 1 1;a channel.joined 1 room:1 1;");
}
END_TEST

START_TEST(the_same_place_again)
{
	begin_one(&a);
	expect(2, BEGUN);
	happenings_on_place(a.h, 1);
	happenings_on_place(a.h, 1);
	channel(&a, 1, "room:1", false);
	expect(3, BEGUN "a channel.left 1 room:1 leave;");
}
END_TEST

static bool
is_down(void *arg)
{
	return !redis_is_up(a.redis);
}

/* The oldest go, and that is told; what Redis does not know is told again. */
START_TEST(redis_is_away)
{
	uint64_t dropped = stats->events_dropped_total;

	begin_one(&a);
	expect(2, BEGUN);
	with_redis_kill();
	ck_assert(with_redis_turn_until(loop, is_down, NULL, WAIT_MS));
	for (unsigned i = 0; i < MAX_QUEUE; i++) {
		client(&a, 2, true);
		client(&a, 2, false);
	}
	ck_assert_uint_eq(stats->events_dropped_total - dropped, MAX_QUEUE);
	with_redis_restart();
	expect(7, "a events.lost 4;a client.connected 1 1;a channel.joined 1 room:1 1;a client.connected 2;"
	    "a client.disconnected 2 closed;a client.connected 2;a client.disconnected 2 closed;");
}
END_TEST

/* Whose end was dropped is found out; what Redis knows rightly is not told again. */
START_TEST(a_dropped_end)
{
	begin_one(&a);
	client(&a, 2, true);
	expect(3, BEGUN "a client.connected 2;");
	with_redis_pause();
	ck_assert(with_redis_turn_until(loop, is_down, NULL, WAIT_MS));
	client(&a, 2, false);
	for (unsigned i = 0; i < MAX_QUEUE; i++)
		channel(&a, 1, "room:2", i % 2 == 0);
	with_redis_continue();
	expect(9, BEGUN "a client.connected 2;a events.lost 1;a channel.joined 1 room:2;a channel.left 1 room:2 leave;"
	    "a channel.joined 1 room:2;a channel.left 1 room:2 leave;a client.disconnected 2 unknown;");
}
END_TEST

/* As from an old snapshot, or a replica that was behind: what it has forgotten is told again, and it goes on. */
START_TEST(redis_goes_back)
{
	begin_one(&a);
	client(&a, 2, true);
	expect(3, BEGUN "a client.connected 2;");
	with_redis_do("COPY test:node:a:clients before");
	client(&a, 3, true);
	client(&a, 2, false);
	expect(5, BEGUN "a client.connected 2;a client.connected 3;a client.disconnected 2 closed;");
	with_redis_do("COPY before test:node:a:clients REPLACE");
	with_redis_do("DEL events");
	channel(&a, 1, "room:1", false);
	expect(3, "a channel.left 1 room:1 leave;a client.connected 3 1;a client.disconnected 2 unknown;");
	client(&a, 3, false);
	client(&a, 1, false);
	expect(5, "a channel.left 1 room:1 leave;a client.connected 3 1;a client.disconnected 2 unknown;"
	    "a client.disconnected 3 closed;a client.disconnected 1 closed;");
	ck_assert_int_eq(with_redis_int("HLEN test:node:a:clients"), 3);
}
END_TEST

/* Within the bound nothing is lost, and nothing is told twice, though what was on its way is sent again. */
START_TEST(redis_stands_still)
{
	client(&a, 1, true);
	expect(1, "a client.connected 1;");
	with_redis_pause();
	channel(&a, 1, "room:1", true);
	channel(&a, 1, "room:1", false);
	channel(&a, 1, "room:1", true);
	ck_assert(with_redis_turn_until(loop, is_down, NULL, WAIT_MS));
	with_redis_continue();
	expect(4, "a client.connected 1;a channel.joined 1 room:1;a channel.left 1 room:1 leave;a channel.joined 1 room:1;");
}
END_TEST

START_TEST(leaving)
{
	begin_one(&a);
	expect(2, BEGUN);
	channel(&a, 1, "room:1", false);
	client(&a, 1, false);
	happenings_leave(a.h);
	ck_assert(with_redis_turn_until(loop, is_gone, "test:node:a:clients", WAIT_MS));
	expect(4, BEGUN "a channel.left 1 room:1 leave;a client.disconnected 1 closed;");
}
END_TEST

static bool
has_swept(void *arg)
{
	return !happenings_are_sweeping(arg);
}

/* Whose ends were dropped are told, however many: a node does not end before. */
START_TEST(leaving_many)
{
	begin_one(&a);
	expect(2, BEGUN);
	for (unsigned i = 2; i < 3000; i++)
		with_redis_do("HSET test:node:a:clients 0000000a-%x ann", i);
	ck_assert(!happenings_are_sweeping(a.h));
	happenings_leave(a.h);
	ck_assert(happenings_are_sweeping(a.h));
	ck_assert(with_redis_turn_until(loop, has_swept, a.h, WAIT_MS));
	ck_assert_int_eq(with_redis_int("EXISTS test:node:a:clients"), 0);
	ck_assert_int_eq(with_redis_int("XLEN events"), 2 + 1 + 2999);
}
END_TEST

/* What Redis refuses waits until it is taken. */
START_TEST(the_key_holds_something_else)
{
	with_redis_do("SET events x");
	begin_one(&a);
	with_redis_turn_until(loop, is_over, NULL, 50);
	with_redis_do("DEL events");
	expect(2, BEGUN);
}
END_TEST

Suite *
happenings_suite(void)
{
	Suite *s = suite_create("happenings");
	TCase *tc = tcase_create("happenings");

	suite_add_tcase(s, tc);
	if (!with_redis_available())
		return s;
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, each_is_told_once_in_order);
	tcase_add_test(tc, a_lost_node);
	tcase_add_test(tc, a_lost_node_with_many_clients);
	tcase_add_test(tc, half_of_a_lost_node);
	tcase_add_test(tc, a_lost_node_that_nobody_told_of);
	tcase_add_test(tc, a_node_that_began_anew);
	tcase_add_test(tc, a_node_that_comes_back);
	tcase_add_test(tc, the_same_place_again);
	tcase_add_test(tc, redis_is_away);
	tcase_add_test(tc, a_dropped_end);
	tcase_add_test(tc, redis_goes_back);
	tcase_add_test(tc, redis_stands_still);
	tcase_add_test(tc, leaving);
	tcase_add_test(tc, leaving_many);
	tcase_add_test(tc, the_key_holds_something_else);
	return s;
}
