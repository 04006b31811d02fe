/*
 * The Redis client against a real server, with all that can happen to it.
 */
#include <check.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/redis.h"
#include "with_redis.h"

Suite *redis_suite(void);

#define SOON	3000	/* ms in which everything here has happened */
#define PING	100
#define ANSWER	200

static struct loop *loop;
static struct redis *redis;
static struct redis_options options;
static unsigned ups, downs, bus_ups, bus_downs, refusals;
static unsigned lost;		/* answers that were NULL */
static struct buf journal;	/* answers and messages, in the order in which they came */
static void (*when_up)(void);
static void (*when_down)(void);

static struct redis_script push_script = {
	.name = "push", .text = "redis.call('RPUSH', KEYS[1], ARGV[1]) return ARGV[1]"
};
static struct redis_script sum_script = { .name = "sum", .text = "return #KEYS * 100 + #ARGV" };

static void
on_up(void *arg)
{
	ck_assert_ptr_eq(arg, &options);
	ck_assert(redis_is_up(redis));
	ups++;
	if (when_up != NULL)
		when_up();
}

static void
on_down(void *arg, const char *why)
{
	ck_assert(!redis_is_up(redis));
	ck_assert_str_ne(why, "");
	downs++;
	if (when_down != NULL)
		when_down();
}

static void
on_bus_up(void *arg)
{
	ck_assert(redis_bus_is_up(redis));
	bus_ups++;
}

static void
on_bus_down(void *arg, const char *why)
{
	ck_assert(!redis_bus_is_up(redis));
	bus_downs++;
}

static void
on_refused(void *arg, const char *why)
{
	refusals++;
}

static const struct redis_user user = {
	.on_up = on_up, .on_down = on_down, .on_bus_up = on_bus_up, .on_bus_down = on_bus_down, .on_refused = on_refused
};

static void
options_init(const char *url)
{
	const char *why;

	options = (struct redis_options){
		.name = "unit", .connect_ms = 500, .ping_ms = PING, .answer_ms = ANSWER, .backoff_ms = 20,
		.backoff_max_ms = 50, .max_queue = 1 << 20
	};
	ck_assert_msg(redis_url_parse(&options.url, url, &why) == 0, "%s: %s", url, why);
}

static void
setup(void)
{
	char url[200];

	with_redis_start();
	snprintf(url, sizeof(url), "unix:%s", with_redis_path());
	options_init(url);
	loop = loop_new();
	ups = downs = bus_ups = bus_downs = refusals = lost = 0;
	when_up = when_down = NULL;
}

static void
start(void)
{
	redis = redis_new(loop, &options, &user, &options);
	redis_add_script(redis, &push_script);
	redis_add_script(redis, &sum_script);
}

static void
teardown(void)
{
	redis = redis_free(redis);
	loop = loop_free(loop);
	buf_done(&journal);
	with_redis_end();
}

static bool
reaches(void *arg)
{
	const unsigned *const *pair = arg;

	return *pair[0] >= *pair[1];
}

/* Turns until a counter has come so far. */
static void
await(const unsigned *counter, unsigned n)
{
	const unsigned *pair[2] = { counter, &n };

	ck_assert_msg(with_redis_turn_until(loop, reaches, pair, SOON), "only %u of %u; last trouble: %s", *counter, n,
	    redis_trouble(redis));
}

static void
start_up(void)
{
	start();
	await(&ups, 1);
	await(&bus_ups, 1);
}

static bool
never(void *arg)
{
	return false;
}

static void
turn_for(unsigned ms)
{
	with_redis_turn_until(loop, never, NULL, ms);
}

static bool
has_all(void *arg)
{
	return journal.n >= strlen(arg);
}

/* Turns until the journal is as long, and compares. */
static void
journal_becomes(const char *text)
{
	with_redis_turn_until(loop, has_all, (char *)text, SOON);
	buf_add_char(&journal, '\0');
	ck_assert_str_eq(journal.p, text);
	journal.n = 0;
}

static void
note_answer(void *arg, const struct redisReply *r)
{
	if (r == NULL) {
		lost++;
		buf_add_str(&journal, "NULL ");
	} else if (r->type == REDIS_REPLY_INTEGER)
		buf_addf(&journal, "%lld ", r->integer);
	else if (r->type == REDIS_REPLY_ARRAY)
		for (size_t i = 0; i < r->elements; i++)
			note_answer(arg, r->element[i]);
	else
		buf_addf(&journal, "%s ", r->str != NULL ? r->str : "nil");
}

/* Words separated by blanks. */
static int
command(redis_reply_fn *fn, const char *text)
{
	struct slice argv[8];
	unsigned     n = 0;

	for (; *text != '\0'; n++) {
		size_t len = strcspn(text, " ");

		argv[n] = slice(text, len);
		text += len + (text[len] == ' ');
	}
	return redis_command(redis, fn, NULL, argv, n);
}

static void
say(const char *text)
{
	ck_assert_int_eq(command(note_answer, text), 0);
}

static void
push(unsigned n)
{
	char	     digits[16];
	struct slice key = SLICE("list"), arg;

	arg = slice(digits, (size_t)snprintf(digits, sizeof(digits), "%u", n));
	ck_assert_int_eq(redis_eval(redis, &push_script, note_answer, NULL, &key, 1, &arg, 1), 0);
}

START_TEST(commands)
{
	start();
	ck_assert(!redis_is_up(redis));
	ck_assert_int_eq(command(NULL, "PING"), -ENOTCONN);
	await(&ups, 1);
	say("SET a 1");
	say("GET a");
	say("GET b");
	say("NONSENSE");
	ck_assert_uint_eq(journal.n, 0);
	journal_becomes("OK 1 nil ERR unknown command 'NONSENSE', with args beginning with:  ");
	ck_assert_int_eq(command(NULL, "SET a 2"), 0);
	say("GET a");
	journal_becomes("2 ");
	ck_assert_uint_eq(downs, 0);
}
END_TEST

START_TEST(binary_words)
{
	struct slice argv[3] = { SLICE("SET"), SLICE("k\r\n\0x"), SLICE("%s%n\r\n\0$5") };
	struct slice get[2] = { SLICE("STRLEN"), argv[1] };

	start_up();
	ck_assert_int_eq(redis_command(redis, note_answer, NULL, argv, 3), 0);
	ck_assert_int_eq(redis_command(redis, note_answer, NULL, get, 2), 0);
	journal_becomes("OK 9 ");
}
END_TEST

START_TEST(answers_come_in_order)
{
	autobuf struct buf want = { 0 };

	start_up();
	for (int i = 1; i <= 5000; i++) {
		say("INCR n");
		buf_addf(&want, "%d ", i);
	}
	buf_add_char(&want, '\0');
	journal_becomes(want.p);
}
END_TEST

static void
say_again(void *arg, const struct redisReply *r)
{
	note_answer(arg, r);
	say("INCR n");
}

START_TEST(a_command_within_an_answer)
{
	start_up();
	ck_assert_int_eq(command(say_again, "INCR n"), 0);
	journal_becomes("1 2 ");
}
END_TEST

static void
greet(void)
{
	say("ECHO hello");
}

START_TEST(commands_from_inside_on_up)
{
	when_up = greet;
	start();
	journal_becomes("hello ");
}
END_TEST

START_TEST(scripts)
{
	struct slice keys[2] = { SLICE("a"), SLICE("b") }, args[3] = { SLICE(""), SLICE("x"), SLICE("y z") };

	start_up();
	ck_assert_int_eq(redis_eval(redis, &sum_script, note_answer, NULL, keys, 2, args, 3), 0);
	ck_assert_int_eq(redis_eval(redis, &sum_script, note_answer, NULL, NULL, 0, NULL, 0), 0);
	push(7);
	journal_becomes("203 0 7 ");
	ck_assert_int_eq(with_redis_int("LLEN list"), 1);
}
END_TEST

static unsigned pushed;

static void
push_more(void *arg, const struct redisReply *r)
{
	note_answer(arg, r);
	if (pushed < 30)
		push(++pushed);
	say("ECHO e");
}

START_TEST(scripts_that_the_server_lost)
{
	start_up();
	with_redis_do("SCRIPT FLUSH");
	push(1);
	push(2);
	say("ECHO plain");
	push(3);
	/* The plain command was on its way already. */
	journal_becomes("plain 1 2 3 ");
	say("LRANGE list 0 -1");
	journal_becomes("1 2 3 ");
	push(4);
	journal_becomes("4 ");
	ck_assert_int_eq(with_redis_int("LLEN list"), 4);
}
END_TEST

START_TEST(order_while_scripts_are_mended)
{
	struct slice key = SLICE("list"), arg = SLICE("0");

	start_up();
	with_redis_do("SCRIPT FLUSH");
	pushed = 0;
	ck_assert_int_eq(redis_eval(redis, &sum_script, push_more, NULL, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(redis_eval(redis, &push_script, push_more, NULL, &key, 1, &arg, 1), 0);
	journal_becomes("0 0 1 e 2 e ");
	with_redis_do("SCRIPT FLUSH");
	with_redis_do("DEL list");
	for (unsigned i = 1; i <= 3; i++) {
		push(i);
		loop_turn(loop, true);
		push(10 + i);
	}
	for (int i = 0; i < 6; i++)
		turn_for(5);
	journal.n = 0;
	say("LRANGE list 0 -1");
	journal_becomes("1 11 2 12 3 13 ");
}
END_TEST

/* Subscriptions. */

struct listener_of {
	struct redis_sub *sub;
	unsigned	  told;		/* acknowledged so often */
	unsigned	  heard;
	char		  last[32];
};

static void
on_message(void *arg, struct slice message)
{
	struct listener_of *l = arg;

	ck_assert_uint_gt(l->told, 0);
	l->heard++;
	snprintf(l->last, sizeof(l->last), "%.*s", SLICE_ARG(message));
}

static void
on_subscribed(void *arg)
{
	struct listener_of *l = arg;

	l->told++;
}

static void
subscribe(struct listener_of *l, const char *channel)
{
	*l = (struct listener_of){ 0 };
	l->sub = redis_subscribe(redis, slice_str(channel), on_message, on_subscribed, l);
	ck_assert_ptr_nonnull(l->sub);
	ck_assert_uint_eq(l->told, 0);
}

static void
unsubscribe(struct listener_of *l)
{
	redis_unsubscribe(l->sub);
	l->sub = NULL;
	l->told = 0;
}

START_TEST(subscriptions)
{
	struct listener_of a, b;

	start();
	subscribe(&a, "a");
	await(&bus_ups, 1);
	ck_assert_uint_eq(a.told, 1);
	subscribe(&b, "b");
	await(&b.told, 1);
	ck_assert_int_eq(with_redis_int("PUBLISH a one"), 1);
	ck_assert_int_eq(with_redis_int("PUBLISH b two"), 1);
	ck_assert_int_eq(with_redis_int("PUBLISH c three"), 0);
	await(&a.heard, 1);
	await(&b.heard, 1);
	ck_assert_str_eq(a.last, "one");
	ck_assert_str_eq(b.last, "two");
	unsubscribe(&a);
	with_redis_do("PUBLISH a four");
	with_redis_do("PUBLISH b five");
	await(&b.heard, 2);
	turn_for(20);
	ck_assert_uint_eq(a.heard, 1);
	ck_assert_int_eq(with_redis_int("PUBLISH a six"), 0);
	redis_unsubscribe(NULL);
	unsubscribe(&b);
	turn_for(20);
	subscribe(&b, "b");
	await(&b.told, 1);
	ck_assert_int_eq(with_redis_int("PUBLISH b seven"), 1);
	await(&b.heard, 1);
}
END_TEST

START_TEST(quick_changes_of_mind)
{
	struct listener_of a = { 0 }, others[600];
	char		   name[16];

	start_up();
	/* Never told to the server at all. */
	subscribe(&a, "a");
	unsubscribe(&a);
	turn_for(20);
	subscribe(&a, "a");
	unsubscribe(&a);
	subscribe(&a, "a");
	await(&a.told, 1);
	/* Told: within one turn nothing changes, but whoever is new is told so. */
	unsubscribe(&a);
	subscribe(&a, "a");
	ck_assert_uint_eq(a.told, 0);
	await(&a.told, 1);
	/* While acknowledgements are due, next to many others, at all distances. */
	for (unsigned i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		subscribe(&others[i], name);
		if (i % 6 != 0)
			continue;
		unsubscribe(&a);
		for (unsigned n = i / 6 % 4; n > 0; n--)
			turn_for(1);
		subscribe(&a, "a");
		for (unsigned n = i / 6 % 3; n > 0; n--)
			loop_turn(loop, false);
		if (i % 30 != 0)
			continue;
		await(&a.told, 1);
		ck_assert_int_eq(with_redis_int("PUBLISH a x"), 1);
		await(&a.heard, 1);
	}
	await(&a.told, 1);
	for (unsigned i = 0; i < 600; i++) {
		await(&others[i].told, 1);
		ck_assert_uint_eq(others[i].told, 1);
	}
	ck_assert_int_eq(with_redis_int("PUBLISH c599 x"), 1);
	await(&others[599].heard, 1);
	ck_assert_uint_eq(bus_downs, 0);
}
END_TEST

static struct listener_of second;

static void
unsubscribe_then(void *arg, struct slice message)
{
	struct listener_of *l = arg;

	l->heard++;
	unsubscribe(l);
	subscribe(&second, "second");
}

START_TEST(changes_within_a_message)
{
	struct listener_of a = { 0 };

	start_up();
	a.sub = redis_subscribe(redis, SLICE("a"), unsubscribe_then, on_subscribed, &a);
	await(&a.told, 1);
	with_redis_do("PUBLISH a x");
	with_redis_do("PUBLISH a y");
	await(&second.told, 1);
	turn_for(20);
	ck_assert_uint_eq(a.heard, 1);
}
END_TEST

START_TEST(many_subscriptions_on_a_new_connection)
{
	enum { MANY = 3000 };
	struct listener_of *all = xcalloc(MANY, sizeof(*all));
	char		    name[16];

	start();
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		subscribe(&all[i], name);
	}
	await(&bus_ups, 1);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_uint_eq(all[i].told, 1);
	with_redis_do("CLIENT KILL TYPE pubsub");
	/* Wishes that change between two connections. */
	await(&bus_downs, 1);
	unsubscribe(&all[1]);
	unsubscribe(&all[2]);
	subscribe(&all[2], "m2");
	await(&bus_ups, 2);
	for (unsigned i = 3; i < MANY; i++)
		ck_assert_uint_eq(all[i].told, 2);
	ck_assert_uint_eq(all[2].told, 1);
	ck_assert_int_eq(with_redis_int("PUBLISH m2 x"), 1);
	ck_assert_int_eq(with_redis_int("PUBLISH m1 x"), 0);
	await(&all[2].heard, 1);
	redis = redis_free(redis);
	free(all);
}
END_TEST

/* Losses. */

START_TEST(the_server_is_killed_and_comes_back)
{
	struct listener_of a = { 0 };

	start();
	subscribe(&a, "a");
	await(&bus_ups, 1);
	await(&ups, 1);
	with_redis_pause();
	say("INCR n");
	push(1);
	with_redis_kill();
	await(&downs, 1);
	await(&bus_downs, 1);
	journal_becomes("NULL NULL ");
	ck_assert_int_eq(command(NULL, "PING"), -ENOTCONN);
	turn_for(300);
	ck_assert_str_ne(redis_trouble(redis), "");
	ck_assert_uint_eq(downs, 1);
	with_redis_restart();
	await(&ups, 2);
	await(&bus_ups, 2);
	ck_assert_uint_eq(a.told, 2);
	with_redis_do("PUBLISH a x");
	await(&a.heard, 1);
	push(2);
	journal_becomes("2 ");
	ck_assert_uint_eq(downs, 1);
	ck_assert_uint_eq(refusals, 0);
}
END_TEST

START_TEST(the_server_comes_late)
{
	with_redis_kill();
	start();
	turn_for(300);
	ck_assert_uint_eq(ups + downs + bus_ups + bus_downs, 0);
	ck_assert_str_ne(redis_trouble(redis), "");
	with_redis_restart();
	await(&ups, 1);
	await(&bus_ups, 1);
}
END_TEST

START_TEST(a_server_that_stands_still_is_noticed)
{
	uint64_t before;

	start_up();
	turn_for(PING / 2);
	with_redis_pause();
	before = clock_ms();
	await(&downs, 1);
	ck_assert_uint_le(clock_ms() - before, PING + ANSWER + 100);
	turn_for(700);
	ck_assert_uint_eq(ups, 1);
	with_redis_continue();
	await(&ups, 2);
}
END_TEST

START_TEST(so_is_one_with_commands_due)
{
	uint64_t before;

	options.ping_ms = 60000;
	start_up();
	say("ECHO a");
	journal_becomes("a ");
	with_redis_pause();
	say("ECHO b");
	before = clock_ms();
	await(&downs, 1);
	ck_assert_uint_le(clock_ms() - before, ANSWER + 100);
	ck_assert_uint_ge(clock_ms() - before, ANSWER - 20);
	journal_becomes("NULL ");
	with_redis_continue();
}
END_TEST

START_TEST(a_bus_that_does_not_acknowledge)
{
	struct listener_of a = { 0 };

	start_up();
	with_redis_pause();
	subscribe(&a, "a");
	await(&bus_downs, 1);
	with_redis_continue();
	await(&a.told, 1);
	ck_assert_uint_eq(bus_ups, 2);
}
END_TEST

/* Pings keep it up, and nothing is given up while answers come. */
START_TEST(silence_is_no_loss)
{
	start_up();
	turn_for(2 * (PING + ANSWER));
	ck_assert_uint_eq(downs + bus_downs, 0);
	for (int i = 0; i < 25; i++) {
		say("ECHO x");
		turn_for(10);
	}
	ck_assert_uint_eq(downs + bus_downs + lost, 0);
}
END_TEST

START_TEST(clients_are_killed)
{
	start_up();
	with_redis_do("CLIENT KILL TYPE normal SKIPME yes");
	await(&downs, 1);
	await(&ups, 2);
	ck_assert_uint_eq(refusals, 0);
}
END_TEST

START_TEST(bounced)
{
	struct listener_of a = { 0 };

	start();
	redis_bounce(redis, "before there is a connection");
	redis_bounce_bus(redis, "before there is a connection");
	subscribe(&a, "a");
	await(&ups, 1);
	await(&bus_ups, 1);
	say("ECHO a");
	redis_bounce(redis, "once");
	redis_bounce(redis, "twice");
	ck_assert(!redis_is_up(redis));
	ck_assert_int_eq(command(NULL, "PING"), -ENOTCONN);
	ck_assert_uint_eq(downs, 0);
	await(&downs, 1);
	journal_becomes("NULL ");
	ck_assert_str_eq(redis_trouble(redis), "once");
	ck_assert_uint_eq(bus_downs, 0);
	with_redis_do("PUBLISH a x");
	redis_bounce_bus(redis, "bus");
	await(&bus_downs, 1);
	await(&bus_ups, 2);
	await(&ups, 2);
	ck_assert_uint_eq(a.heard, 0);
	ck_assert_uint_eq(a.told, 2);
}
END_TEST

static void
bounce(void *arg, const struct redisReply *r)
{
	note_answer(arg, r);
	redis_bounce(redis, "from an answer");
	redis_bounce_bus(redis, "from an answer");
}

START_TEST(bounced_within_an_answer)
{
	start_up();
	ck_assert_int_eq(command(bounce, "ECHO a"), 0);
	say("ECHO b");
	journal_becomes("a NULL ");
	await(&ups, 2);
	await(&bus_ups, 2);
	ck_assert_uint_eq(downs, 1);
	ck_assert_uint_eq(bus_downs, 1);
}
END_TEST

static void
bounce_again(void)
{
	redis_bounce(redis, "again");
	ck_assert_int_eq(command(NULL, "PING"), -ENOTCONN);
}

static void
bounce_at_once(void)
{
	if (ups < 4)
		redis_bounce(redis, "at once");
}

START_TEST(double_loss)
{
	when_down = bounce_again;
	when_up = bounce_at_once;
	start();
	await(&ups, 4);
	ck_assert_uint_eq(downs, 3);
	with_redis_restart();
	with_redis_restart();
	await(&ups, 5);
	with_redis_kill();
	await(&downs, 5);
	with_redis_restart();
	with_redis_kill();
	turn_for(100);
	with_redis_restart();
	await(&ups, 6);
	await(&bus_ups, 1);
	ck_assert_uint_ge(downs, 5);
}
END_TEST

START_TEST(freed_with_commands_pending)
{
	struct listener_of a = { 0 };

	start_up();
	with_redis_pause();
	say("ECHO a");
	push(1);
	loop_turn(loop, false);
	say("ECHO b");
	subscribe(&a, "a");
	redis = redis_free(redis);
	journal_becomes("NULL NULL NULL ");
	ck_assert_uint_eq(downs, 0);
	ck_assert_ptr_null(redis_free(NULL));
	with_redis_continue();
}
END_TEST

START_TEST(freed_at_any_time)
{
	for (int i = 0; i < 40; i++) {
		start();
		for (int n = 0; n < i; n++)
			loop_turn(loop, false);
		redis = redis_free(redis);
	}
}
END_TEST

START_TEST(the_queue_is_bounded)
{
	int r, n = 0, again = 0;

	options.max_queue = 1000;
	options.answer_ms = 5000;
	start_up();
	with_redis_pause();
	while ((r = command(note_answer, "SET key 0123456789")) == 0)
		n++;
	ck_assert_int_eq(r, -ENOBUFS);
	/* *3 $3 SET $3 key $10 0123456789 with their line ends */
	ck_assert_int_eq(n, 1000 / 39);
	turn_for(20);
	ck_assert_int_eq(command(note_answer, "SET key 0123456789"), -ENOBUFS);
	with_redis_continue();
	journal_becomes("OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK OK ");
	with_redis_do("SCRIPT FLUSH");
	push(1);
	journal.n = 0;
	journal_becomes("1 ");
	with_redis_pause();
	while (command(NULL, "SET key 0123456789") == 0)
		again++;
	ck_assert_int_eq(again, n);
	with_redis_kill();
	await(&downs, 1);
	with_redis_restart();
	await(&ups, 2);
	with_redis_pause();
	for (again = 0; command(NULL, "SET key 0123456789") == 0; again++)
		;
	ck_assert_int_eq(again, n);
	with_redis_continue();
}
END_TEST

/* More than the kernel takes at once, both ways. */
START_TEST(big_ones)
{
	enum { BIG = 6 << 20 };
	struct slice argv[3] = { SLICE("SET"), SLICE("big"), { 0 } };
	char	    *text = xcalloc(1, BIG + 1);

	memset(text, 'x', BIG);
	argv[2] = slice(text, BIG);
	options.max_queue = 2 * BIG;
	options.answer_ms = 5000;
	start_up();
	ck_assert_int_eq(redis_command(redis, note_answer, NULL, argv, 3), 0);
	say("STRLEN big");
	journal_becomes("OK 6291456 ");
	say("GET big");
	with_redis_turn_until(loop, has_all, text, SOON);
	ck_assert_uint_eq(journal.n, BIG + 1);
	free(text);
}
END_TEST

/* Who we are. */

static void
set_password(const char *user_name, const char *password)
{
	snprintf(options.url.user, sizeof(options.url.user), "%s", user_name);
	snprintf(options.url.password, sizeof(options.url.password), "%s", password);
}

START_TEST(a_password)
{
	with_redis_do("CONFIG SET requirepass secret");
	start();
	await(&refusals, 2);
	redis = redis_free(redis);
	set_password("", "wrong");
	start();
	await(&refusals, 4);
	ck_assert_uint_eq(ups + bus_ups, 0);
	ck_assert_ptr_null(strstr(redis_trouble(redis), "wrong "));
	/* Another try follows all the same. */
	with_redis_do("CONFIG SET requirepass wrong");
	await(&ups, 1);
	await(&bus_ups, 1);
	redis = redis_free(redis);
	with_redis_do("CONFIG SET requirepass %s", "");
	refusals = 0;
	start();
	await(&refusals, 1);
}
END_TEST

START_TEST(a_user)
{
	with_redis_do("ACL SETUSER bob on >secret ~* &* +@all");
	with_redis_do("ACL SETUSER eve on >secret ~* &* -@all +auth +client +ping");
	set_password("bob", "secret");
	start_up();
	say("ACL WHOAMI");
	say("CLIENT GETNAME");
	journal_becomes("bob unit ");
	redis = redis_free(redis);
	set_password("eve", "secret");
	start();
	await(&refusals, 1);
	redis = redis_free(redis);
	refusals = 0;
	set_password("nobody", "secret");
	start();
	await(&refusals, 2);
	ck_assert_uint_eq(ups, 1);
	ck_assert_uint_eq(downs, 0);
}
END_TEST

START_TEST(channels_that_are_forbidden)
{
	struct listener_of a = { 0 };

	with_redis_do("ACL SETUSER bob on >secret ~* resetchannels &mine:* +@all");
	set_password("bob", "secret");
	start_up();
	subscribe(&a, "theirs");
	await(&refusals, 1);
	ck_assert_uint_eq(a.told, 0);
	await(&bus_downs, 1);
	unsubscribe(&a);
	subscribe(&a, "mine:1");
	await(&a.told, 1);
	await(&bus_ups, 2);
}
END_TEST

START_TEST(a_database)
{
	options.url.db = 3;
	start_up();
	say("SET a 1");
	journal_becomes("OK ");
	ck_assert_int_eq(with_redis_int("EXISTS a"), 0);
	with_redis_do("SELECT 3");
	ck_assert_int_eq(with_redis_int("EXISTS a"), 1);
	redis = redis_free(redis);
	options.url.db = 99;
	start();
	await(&refusals, 1);
}
END_TEST

START_TEST(by_tcp)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost" };
	char		   url[64];

	snprintf(url, sizeof(url), "redis://%s:%u", hosts[_i], with_redis_port());
	options_init(url);
	start_up();
	say("ECHO a");
	journal_becomes("a ");
	with_redis_restart();
	await(&ups, 2);
	await(&bus_ups, 2);
}
END_TEST

/* An unknown name costs a try, not a turn; and it may be let go before the answer. */
START_TEST(by_a_name_that_is_not_known)
{
	options_init("redis://no-such-host.invalid");
	options.connect_ms = 100;
	start();
	turn_for(350);
	ck_assert_uint_eq(ups, 0);
	ck_assert_str_ne(redis_trouble(redis), "");
	redis = redis_free(redis);
	turn_for(50);
	start();
	loop_turn(loop, false);
	redis = redis_free(redis);
}
END_TEST

/* Servers that cannot serve. */

START_TEST(a_replica)
{
	start_up();
	with_redis_do("REPLICAOF 127.0.0.1 1");
	say("SET a 1");
	say("ECHO a");
	journal_becomes("NULL NULL ");
	await(&downs, 1);
	await(&ups, 2);
	with_redis_do("CONFIG SET replica-serve-stale-data no");
	say("GET a");
	await(&downs, 2);
	turn_for(200);
	ck_assert_uint_eq(ups, 2);
	with_redis_do("REPLICAOF NO ONE");
	await(&ups, 3);
	ck_assert_uint_eq(refusals, 0);
}
END_TEST

START_TEST(a_full_server)
{
	with_redis_do("CONFIG SET maxclients 1");
	start();
	turn_for(200);
	ck_assert_uint_eq(ups + refusals, 0);
	with_redis_do("CONFIG SET maxclients 100");
	await(&ups, 1);
	await(&bus_ups, 1);
}
END_TEST

/* Somebody else on the socket, in this very loop: knows how to log in, and answers all the rest as a test likes. */
static struct fake {
	int		 fd;
	struct event	 accepting;
	struct event	 clients[64];
	unsigned	 n;		/* connections so far */
	unsigned	 reads;		/* that had an ECHO in them */
	unsigned	 echoes;
	bool		 polite;	/* knows how to log in */
	const char	*spoken;
} fake;

static void
fake_say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void
fake_answer(int fd, const char *word)
{
	if (!fake.polite)
		fake_say(fd, fake.spoken);
	else if (strcmp(word, "SETNAME") == 0)
		fake_say(fd, "+OK\r\n");
	else if (strcmp(word, "PING") == 0)
		fake_say(fd, "+PONG\r\n");
	else if (strcmp(word, "LOAD") == 0)
		fake_say(fd, "$1\r\nx\r\n");
	else if (strcmp(word, "ECHO") == 0)
		fake_say(fd, fake.spoken);
}

static void
on_fake_read(evutil_socket_t fd, short what, void *arg)
{
	char	in[4096], *line, *rest = in;
	ssize_t n;

	loop_awake(loop);
	n = read(fd, in, sizeof(in) - 1);
	if (n <= 0) {
		event_del(arg);
		close(fd);
		return;
	}
	in[n] = '\0';
	fake.reads += strstr(in, "ECHO") != NULL;
	if (!fake.polite) {
		fake_answer(fd, "");
		return;
	}
	while ((line = strsep(&rest, "\r\n")) != NULL) {
		fake.echoes += strcmp(line, "ECHO") == 0;
		fake_answer(fd, line);
	}
}

static void
on_fake_accept(evutil_socket_t fd, short what, void *arg)
{
	int client;

	loop_awake(loop);
	ck_assert_uint_lt(fake.n, 64);
	client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	event_assign(&fake.clients[fake.n], loop->base, client, EV_READ | EV_PERSIST, on_fake_read, &fake.clients[fake.n]);
	event_add(&fake.clients[fake.n], NULL);
	fake.n++;
}

static void
fake_start(bool polite, const char *spoken)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	with_redis_kill();
	unlink(with_redis_path());
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", with_redis_path());
	fake = (struct fake){ .polite = polite, .spoken = spoken };
	fake.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(fake.fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(fake.fd, 10), 0);
	event_assign(&fake.accepting, loop->base, fake.fd, EV_READ | EV_PERSIST, on_fake_accept, NULL);
	event_add(&fake.accepting, NULL);
}

static void
fake_end(void)
{
	event_del(&fake.accepting);
	close(fake.fd);
	for (unsigned i = 0; i < fake.n; i++)
		if (event_pending(&fake.clients[i], EV_READ, NULL)) {
			close(event_get_fd(&fake.clients[i]));
			event_del(&fake.clients[i]);
		}
}

static const char *const strange[] = {
	"HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n", "\r\n", "+PONG\r\n", ":1\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
	"*1\r\n$2\r\nOK\r\n", "-ERR what?\r\n", "$99999999999999999999\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
};

START_TEST(strangers)
{
	fake_start(false, strange[_i]);
	start();
	await(&fake.n, 6);
	ck_assert_uint_eq(ups + bus_ups + refusals, 0);
	ck_assert_str_ne(redis_trouble(redis), "");
	fake_end();
}
END_TEST

START_TEST(a_stranger_that_says_nothing)
{
	options.connect_ms = 50;
	fake_start(false, "");
	start();
	await(&fake.n, 6);
	ck_assert_uint_eq(ups + bus_ups + refusals, 0);
	fake_end();
}
END_TEST

START_TEST(a_stranger_in_the_midst)
{
	fake_start(true, "?\r\n");
	start_up();
	say("ECHO a");
	say("ECHO b");
	await(&downs, 1);
	journal_becomes("NULL NULL ");
	fake_end();
}
END_TEST

START_TEST(an_answer_that_nobody_asked_for)
{
	fake_start(true, "");
	start_up();
	for (unsigned i = 0; i < fake.n; i++)
		fake_say(event_get_fd(&fake.clients[i]), "+OK\r\n+OK\r\n");
	await(&downs, 1);
	await(&bus_downs, 1);
	ck_assert_ptr_nonnull(strstr(redis_trouble(redis), "nobody"));
	await(&ups, 2);
	fake_end();
}
END_TEST

START_TEST(a_turn_is_written_at_once)
{
	fake_start(true, "+x\r\n");
	start_up();
	for (int i = 0; i < 20; i++)
		say("ECHO a");
	await(&fake.echoes, 20);
	ck_assert_uint_eq(fake.reads, 1);
	fake_end();
}
END_TEST

Suite *
redis_suite(void)
{
	Suite *s = suite_create("redis");
	TCase *tc = tcase_create("redis");

	suite_add_tcase(s, tc);
	if (!with_redis_available())
		return s;
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, commands);
	tcase_add_test(tc, binary_words);
	tcase_add_test(tc, answers_come_in_order);
	tcase_add_test(tc, a_command_within_an_answer);
	tcase_add_test(tc, commands_from_inside_on_up);
	tcase_add_test(tc, scripts);
	tcase_add_test(tc, scripts_that_the_server_lost);
	tcase_add_test(tc, order_while_scripts_are_mended);
	tcase_add_test(tc, subscriptions);
	tcase_add_test(tc, quick_changes_of_mind);
	tcase_add_test(tc, changes_within_a_message);
	tcase_add_test(tc, many_subscriptions_on_a_new_connection);
	tcase_add_test(tc, the_server_is_killed_and_comes_back);
	tcase_add_test(tc, the_server_comes_late);
	tcase_add_test(tc, a_server_that_stands_still_is_noticed);
	tcase_add_test(tc, so_is_one_with_commands_due);
	tcase_add_test(tc, a_bus_that_does_not_acknowledge);
	tcase_add_test(tc, silence_is_no_loss);
	tcase_add_test(tc, clients_are_killed);
	tcase_add_test(tc, bounced);
	tcase_add_test(tc, bounced_within_an_answer);
	tcase_add_test(tc, double_loss);
	tcase_add_test(tc, freed_with_commands_pending);
	tcase_add_test(tc, freed_at_any_time);
	tcase_add_test(tc, the_queue_is_bounded);
	tcase_add_test(tc, big_ones);
	tcase_add_test(tc, a_password);
	tcase_add_test(tc, a_user);
	tcase_add_test(tc, channels_that_are_forbidden);
	tcase_add_test(tc, a_database);
	tcase_add_loop_test(tc, by_tcp, 0, 2);
	tcase_add_test(tc, by_a_name_that_is_not_known);
	tcase_add_test(tc, a_replica);
	tcase_add_test(tc, a_full_server);
	tcase_add_loop_test(tc, strangers, 0, sizeof(strange) / sizeof(strange[0]));
	tcase_add_test(tc, a_stranger_that_says_nothing);
	tcase_add_test(tc, a_stranger_in_the_midst);
	tcase_add_test(tc, an_answer_that_nobody_asked_for);
	tcase_add_test(tc, a_turn_is_written_at_once);
	return s;
}
