/*
 * Members: timelines of what is heard and answered, and what is made of it. Timeout 5000 ms.
 */
#include <check.h>
#include <stdio.h>

#include "cluster/members.h"

Suite *members_suite(void);

#define TIMEOUT	5000
#define MAX_STEPS	16

enum what { END, BUS_UP, BUS_DOWN, ECHO, BEAT, EXPECT, LEFT, DEAD, CLAIM, ANSWER, IS };

/* What is told or asked at `at`, and what comes of it. */
struct step {
	uint64_t	 at;
	enum what	 what;
	const char	*node;		/* CLAIM: who must be claimed, NULL = nobody */
	uint64_t	 epoch;
	uint64_t	 seq;		/* ANSWER: the enum members_answer */
	int		 want;		/* BEAT: the news; LEFT, DEAD: told? ANSWER: DOWN and CLEAN; IS: state */
};

#define TELL_DOWN	1
#define TELL_CLEAN	2

struct timeline {
	const char	*name;
	struct step	 steps[MAX_STEPS];
};

static const struct timeline timelines[] = {
	{ "up, again, renewed, stale", {
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 1000, BEAT, "a", 100, 2, MEMBERS_SAME },
		{ 2000, BEAT, "a", 200, 1, MEMBERS_RENEWED },
		{ 2100, BEAT, "a", 100, 3, MEMBERS_STALE },
		{ 2200, BEAT, "b", 100, 1, MEMBERS_UP },
		{ 2200, IS, "a", 0, 0, MEMBER_UP },
	} },
	{ "what is dead is so up to the epoch that was told", {
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 10, LEFT, "a", 150, 0, true },
		{ 20, BEAT, "a", 100, 2, MEMBERS_STALE },
		{ 30, BEAT, "a", 160, 1, MEMBERS_UP },
		{ 40, DEAD, "a", 200, 0, true },
		{ 50, BEAT, "a", 160, 2, MEMBERS_STALE },
		{ 50, IS, "a", 0, 0, MEMBER_DOWN },
	} },
	{ "beats that stay behind", {
		{ 0, BEAT, "a", 200, 1, MEMBERS_UP },
		{ 1000, BEAT, "a", 100, 1, MEMBERS_STALE },
		{ 2000, BEAT, "a", 100, 2, MEMBERS_STALE },
		{ 2100, BEAT, "a", 200, 2, MEMBERS_SAME },
		{ 3000, BEAT, "a", 100, 3, MEMBERS_STALE },
		{ 4000, BEAT, "a", 100, 4, MEMBERS_STALE },
		{ 5000, BEAT, "a", 100, 5, MEMBERS_BEHIND },
		{ 6000, BEAT, "a", 100, 6, MEMBERS_STALE },
		{ 6000, IS, "a", 0, 0, MEMBER_UP },
	} },
	{ "lost beats mean that everything is to be read again", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 7, MEMBERS_UP },
		{ 1000, BEAT, "a", 100, 9, MEMBERS_SAME },
		{ 2000, BEAT, "a", 100, 12, MEMBERS_RENEWED },
		{ 3000, BEAT, "a", 100, 13, MEMBERS_SAME },
		{ 3000, BEAT, "a", 100, 3, MEMBERS_SAME },
	} },
	{ "what we missed while the bus was away is no gap of theirs", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 100, BUS_DOWN, NULL, 0, 0, 0 },
		{ 60000, BUS_UP, NULL, 0, 0, 0 },
		{ 60100, BEAT, "a", 100, 60, MEMBERS_SAME },
		{ 61100, BEAT, "a", 100, 70, MEMBERS_RENEWED },
	} },
	{ "silence is claimed after the timeout, by one claim", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 10, BEAT, "b", 101, 1, MEMBERS_UP },
		{ 2400, ECHO, NULL, 0, 0, 0 },
		{ 4800, ECHO, NULL, 0, 0, 0 },
		{ 4999, CLAIM, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5010, CLAIM, NULL, 0, 0, 0 },
		{ 5020, ANSWER, "a", 100, MEMBERS_OURS, TELL_DOWN | TELL_CLEAN },
		{ 5020, IS, "a", 0, 0, MEMBER_DOWN },
		{ 5020, CLAIM, "b", 0, 0, 0 },
		{ 5030, ANSWER, "b", 0, MEMBERS_GONE, TELL_DOWN | TELL_CLEAN },
		{ 5030, CLAIM, NULL, 0, 0, 0 },
	} },
	{ "nobody is claimed while we hear nothing ourselves", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 1000, ECHO, NULL, 0, 0, 0 },
		{ 11000, CLAIM, NULL, 0, 0, 0 },
		{ 11000, ECHO, NULL, 0, 0, 0 },
		{ 11000, CLAIM, NULL, 0, 0, 0 },	/* Redis is back: the silence begins now */
		{ 13000, ECHO, NULL, 0, 0, 0 },
		{ 15000, ECHO, NULL, 0, 0, 0 },
		{ 15999, CLAIM, NULL, 0, 0, 0 },
		{ 16000, CLAIM, "a", 0, 0, 0 },
	} },
	{ "a bus that comes back begins all silences anew", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 4500, BUS_DOWN, NULL, 0, 0, 0 },
		{ 5001, CLAIM, NULL, 0, 0, 0 },
		{ 5002, BUS_UP, NULL, 0, 0, 0 },
		{ 7000, ECHO, NULL, 0, 0, 0 },
		{ 9000, ECHO, NULL, 0, 0, 0 },
		{ 10001, CLAIM, NULL, 0, 0, 0 },
		{ 10002, CLAIM, "a", 0, 0, 0 },
	} },
	{ "who is alive for Redis gets another timeout", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5010, ANSWER, "a", 0, MEMBERS_ALIVE, 0 },
		{ 6000, ECHO, NULL, 0, 0, 0 },
		{ 6000, CLAIM, NULL, 0, 0, 0 },
		{ 8000, ECHO, NULL, 0, 0, 0 },
		{ 10000, ECHO, NULL, 0, 0, 0 },
		{ 10009, CLAIM, NULL, 0, 0, 0 },
		{ 10010, CLAIM, "a", 0, 0, 0 },
	} },
	{ "who returns while it is claimed lives; its past is cleaned", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5005, BEAT, "a", 5004, 1, MEMBERS_RENEWED },
		{ 5010, ANSWER, "a", 100, MEMBERS_OURS, TELL_CLEAN },
		{ 5010, IS, "a", 0, 0, MEMBER_UP },
	} },
	{ "the word of a claim may come before its answer", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5005, DEAD, "a", 100, 0, true },
		{ 5010, ANSWER, "a", 100, MEMBERS_OURS, TELL_CLEAN },
		{ 5010, DEAD, "a", 100, 0, false },
	} },
	{ "who has no place is cleaned by another one, if that told so", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5005, DEAD, "a", 100, 0, true },
		{ 5010, ANSWER, "a", 0, MEMBERS_GONE, 0 },
	} },
	{ "who has no place, and is back meanwhile, cleans up itself", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5005, BEAT, "a", 5004, 1, MEMBERS_RENEWED },
		{ 5010, ANSWER, "a", 0, MEMBERS_GONE, 0 },
		{ 5010, IS, "a", 0, 0, MEMBER_UP },
	} },
	{ "what nobody knows an epoch of cannot be cleaned", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, EXPECT, "a", 0, 0, true },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5010, ANSWER, "a", 0, MEMBERS_GONE, TELL_DOWN },
	} },
	{ "a claim that was refused, or not answered, is tried again", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5000, ANSWER, "a", 0, MEMBERS_REFUSED, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5010, ANSWER, "a", 0, MEMBERS_GONE, TELL_DOWN | TELL_CLEAN },
	} },
	{ "who left is down at once, and watched until its place is gone", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 10, LEFT, "a", 99, 0, false },
		{ 20, LEFT, "a", 100, 0, true },
		{ 20, LEFT, "a", 100, 0, false },
		{ 20, IS, "a", 0, 0, MEMBER_LEFT },
		{ 2020, ECHO, NULL, 0, 0, 0 },
		{ 4020, ECHO, NULL, 0, 0, 0 },
		{ 5019, CLAIM, NULL, 0, 0, 0 },
		{ 5020, CLAIM, "a", 0, 0, 0 },
		{ 5021, ANSWER, "a", 0, MEMBERS_GONE, 0 },
		{ 5022, IS, "a", 0, 0, MEMBER_DOWN },
		{ 5023, BEAT, "a", 100, 2, MEMBERS_UP },
	} },
	{ "who left without its place being gone is cleaned", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 20, LEFT, "a", 100, 0, true },
		{ 2020, ECHO, NULL, 0, 0, 0 },
		{ 4020, ECHO, NULL, 0, 0, 0 },
		{ 5020, CLAIM, "a", 0, 0, 0 },
		{ 5021, ANSWER, "a", 100, MEMBERS_OURS, TELL_CLEAN },
	} },
	{ "down, and back", {
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 10, DEAD, "a", 99, 0, false },
		{ 20, DEAD, "a", 100, 0, true },
		{ 30, BEAT, "a", 99, 1, MEMBERS_STALE },
		{ 30, IS, "a", 0, 0, MEMBER_DOWN },
		{ 40, BEAT, "a", 200, 1, MEMBERS_UP },
		{ 50, DEAD, "a", 100, 0, false },
		{ 50, DEAD, "nobody", 100, 0, false },
		{ 50, LEFT, "nobody", 100, 0, false },
	} },
	{ "who stands in the registry is expected", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, EXPECT, "a", 0, 0, true },
		{ 0, EXPECT, "b", 50, 0, true },
		{ 0, IS, "a", 0, 0, MEMBER_EXPECTED },
		{ 100, BEAT, "b", 50, 3, MEMBERS_UP },
		{ 100, EXPECT, "b", 50, 0, true },
		{ 100, IS, "b", 0, 0, MEMBER_UP },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5000, CLAIM, "a", 0, 0, 0 },
		{ 5001, ANSWER, "a", 77, MEMBERS_OURS, TELL_DOWN | TELL_CLEAN },
	} },
	{ "who is down and in the registry is expected again", {
		{ 0, BUS_UP, NULL, 0, 0, 0 },
		{ 0, BEAT, "a", 100, 1, MEMBERS_UP },
		{ 10, DEAD, "a", 100, 0, true },
		{ 20, EXPECT, "a", 300, 0, true },
		{ 2000, ECHO, NULL, 0, 0, 0 },
		{ 4000, ECHO, NULL, 0, 0, 0 },
		{ 5020, CLAIM, "a", 0, 0, 0 },
		{ 5021, ANSWER, "a", 300, MEMBERS_OURS, TELL_DOWN | TELL_CLEAN },
	} },
};

static void
run_claim(struct members *m, const struct step *s, const char *where)
{
	const struct member *one = members_claim(m, s->at);

	if (s->node == NULL)
		ck_assert_msg(one == NULL, "%s: nobody was to be claimed", where);
	else
		ck_assert_msg(one != NULL && slice_is(one->node, s->node), "%s: not claimed", where);
}

static int
run_answer(struct members *m, const struct step *s)
{
	struct slice	       who;
	struct members_verdict v = members_answered(m, (enum members_answer)s->seq, s->epoch, s->at, &who);

	ck_assert(slice_is(who, s->node));
	if (s->seq == MEMBERS_OURS)
		ck_assert_uint_eq(v.epoch, s->epoch);
	return (v.down ? TELL_DOWN : 0) | (v.clean ? TELL_CLEAN : 0);
}

static int
run_step(struct members *m, const struct step *s, const char *where)
{
	struct slice node = slice_str(s->node);

	switch (s->what) {
	case BUS_UP:
	case BUS_DOWN:
		members_bus(m, s->what == BUS_UP, s->at);
		return 0;
	case ECHO:
		members_echo(m, s->at);
		return 0;
	case BEAT:
		return (int)members_beat(m, node, s->epoch, s->seq, s->at);
	case EXPECT:
		return members_expect(m, node, s->epoch, s->at);
	case LEFT:
		return members_left(m, node, s->epoch, s->at);
	case DEAD:
		return members_dead(m, node, s->epoch);
	case CLAIM:
		run_claim(m, s, where);
		return 0;
	case ANSWER:
		return run_answer(m, s);
	case IS:
		return (int)members_get(m, node)->state;
	default:
		return -1;
	}
}

static unsigned
count(const struct members *m, enum member_state state)
{
	const struct member *one;
	unsigned	     n = 0;
	size_t		     at = 0;

	while ((one = map_next(&m->by_node, &at)) != NULL)
		n += one->state == state;
	return n;
}

START_TEST(a_timeline)
{
	const struct timeline *t = &timelines[_i];
	struct members	       m;
	char		       where[128];

	members_init(&m, TIMEOUT);
	for (int i = 0; i < MAX_STEPS && t->steps[i].what != END; i++) {
		snprintf(where, sizeof(where), "%s, step %d", t->name, i);
		ck_assert_msg(run_step(&m, &t->steps[i], where) == t->steps[i].want, "%s", where);
		ck_assert_uint_eq(m.n_up, count(&m, MEMBER_UP));
		ck_assert_uint_eq(m.n_expected, count(&m, MEMBER_EXPECTED));
	}
	members_done(&m);
}
END_TEST

static struct slice
numbered(char out[16], int i)
{
	return slice(out, (size_t)snprintf(out, 16, "n%d", i));
}

START_TEST(the_dead_make_room)
{
	struct members m;
	char	       text[16];

	members_init(&m, TIMEOUT);
	for (int i = 0; i < MEMBERS_MAX; i++)
		ck_assert_int_eq(members_beat(&m, numbered(text, i), 1, 1, (uint64_t)i), MEMBERS_UP);
	ck_assert_int_eq(members_beat(&m, SLICE("more"), 1, 1, 2000), MEMBERS_FULL);
	ck_assert(!members_expect(&m, SLICE("more"), 1, 2000));
	ck_assert_ptr_null(members_get(&m, SLICE("more")));
	ck_assert(members_dead(&m, SLICE("n7"), 1));
	ck_assert(members_dead(&m, SLICE("n5"), 1));
	ck_assert_int_eq(members_beat(&m, SLICE("more"), 1, 1, 2000), MEMBERS_UP);
	ck_assert_ptr_null(members_get(&m, SLICE("n5")));
	ck_assert_ptr_nonnull(members_get(&m, SLICE("n7")));
	ck_assert_uint_eq(m.n_up, MEMBERS_MAX - 1);
	members_done(&m);
}
END_TEST

/* Not the one that is being claimed: an answer is to come. */
START_TEST(the_claimed_is_kept)
{
	struct members m;
	struct slice   who;
	char	       text[16];

	members_init(&m, TIMEOUT);
	members_bus(&m, true, 0);
	for (int i = 0; i < MEMBERS_MAX; i++)
		members_beat(&m, numbered(text, i), 1, 1, i == 0 ? 0 : 4000);
	members_echo(&m, 2000);
	members_echo(&m, 4000);
	ck_assert_ptr_nonnull(members_claim(&m, 5000));
	ck_assert(members_dead(&m, SLICE("n0"), 1));
	ck_assert_int_eq(members_beat(&m, SLICE("more"), 1, 1, 5000), MEMBERS_FULL);
	members_answered(&m, MEMBERS_GONE, 0, 5001, &who);
	ck_assert(slice_is(who, "n0"));
	ck_assert_int_eq(members_beat(&m, SLICE("more"), 1, 1, 5002), MEMBERS_UP);
	members_done(&m);
}
END_TEST

Suite *
members_suite(void)
{
	Suite *s = suite_create("members");
	TCase *t = tcase_create("members");

	tcase_add_loop_test(t, a_timeline, 0, (int)(sizeof(timelines) / sizeof(timelines[0])));
	tcase_add_test(t, the_dead_make_room);
	tcase_add_test(t, the_claimed_is_kept);
	suite_add_tcase(s, t);
	return s;
}
