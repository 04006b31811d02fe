/*
 * The state of a call: what each party may do in it, what becomes of it, and what is taken for one.
 */
#include <check.h>

#include "base/mem.h"
#include "channels/call.h"

Suite *call_suite(void);

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define NOW		INT64_C(1800000000000)

static const struct call_limits limits = { .keep_ms = 60000, .max_kept = 262144 };

/* Four channels: two of the caller's, of which the first began the call, and two of the callee's, of which the first answers. */
static const struct actor {
	unsigned    by;
	const char *channel;
} actors[] = { { 0, "A" }, { 0, "A2" }, { 1, "B" }, { 1, "B2" } };

enum { A, A2, B, B2, N_ACTORS };

static const char *const state_names[] = {
	"idle", "ringing", "offered", "answered", "active", "asked by the caller", "asked by the callee",
};

enum { IDLE, RINGING, OFFERED, ANSWERED, ACTIVE, ASKED, ASKED_BACK, N_STATES };

static struct call_act
act_of(enum call_event event, unsigned actor)
{
	return (struct call_act){
		.event = event, .by = actors[actor].by, .channel = slice_str(actors[actor].channel), .node = SLICE("n1"),
		.epoch = 7, .call = NOW, .now = NOW, .bytes = 100, .heard = SLICE("id"), .gone = true,
	};
}

static enum call_verdict
does(struct call *c, enum call_event event, unsigned actor)
{
	struct call_act a = act_of(event, actor);
	uint64_t	retry;

	return call_apply(c, &a, &limits, &retry);
}

/* A call that has come so far. */
static struct call
call_in(unsigned state)
{
	static const struct {
		enum call_event event;
		unsigned	actor;
	} path[] = {
		[RINGING] = { CALL_INITIATE, A }, [OFFERED] = { CALL_OFFER, A }, [ANSWERED] = { CALL_ANSWER, B },
		[ACTIVE] = { CALL_CANDIDATE, A },
	};
	struct call c;

	call_open(&c, SLICE("\"ann\""), SLICE("\"bob\""));
	for (unsigned i = RINGING; i <= state && i <= ACTIVE; i++)
		ck_assert_int_eq(does(&c, path[i].event, path[i].actor), CALL_DONE);
	if (state > ACTIVE)
		ck_assert_int_eq(does(&c, CALL_OFFER, state == ASKED ? A : B), CALL_DONE);
	return c;
}

static char *
text_of(const struct call *c)
{
	struct buf b = { 0 };

	call_write(c, &b);
	buf_add_char(&b, '\0');
	return b.p;
}

/* What each of the four is told: . done, - nothing, s wrong state, p wrong party; by state. */
static const struct row {
	enum call_event event;
	const char     *verdicts[N_STATES];
} rows[] = {
	{ CALL_INITIATE, { "....", "ssss", "ssss", "ssss", "ssss", "ssss", "ssss" } },
	{ CALL_OFFER, { "ssss", ".spp", ".spp", ".s.s", ".s.s", ".sss", "ss.s" } },
	{ CALL_ANSWER, { "ssss", "ppss", "pp..", "ssss", "ssss", "ps.s", ".sps" } },
	{ CALL_CANDIDATE, { "ssss", "ssss", ".s..", ".s.s", ".s.s", ".s.s", ".s.s" } },
	{ CALL_END, { "ssss", ".s..", ".s..", ".s.s", ".s.s", ".s.s", ".s.s" } },
	{ CALL_LEAVE, { "----", ".---", ".---", ".-.-", ".-.-", ".-.-", ".-.-" } },
	{ CALL_BUSY, { "----", "--..", "--..", "----", "----", "----", "----" } },
	{ CALL_MISSED, { "----", "....", "....", "----", "----", "----", "----" } },
	{ CALL_DISCONNECTED, { "----", "....", "....", "....", "....", "....", "...." } },
	{ CALL_LOST, { "----", ".---", ".---", ".-.-", ".-.-", ".-.-", ".-.-" } },
	{ CALL_BACK, { "----", "-.--", "-.--", "-.-.", "-.-.", "-.-.", "-.-." } },
	{ CALL_OPEN, { "....", "....", "....", "....", "....", "....", "...." } },
};

static char
verdict_char(enum call_verdict v)
{
	return "." "-" "s" "p" "r"[v];
}

static enum call_phase
phase_behind(enum call_event event, enum call_phase phase)
{
	switch (event) {
	case CALL_INITIATE:
		return CALL_RINGING;
	case CALL_OFFER:
	case CALL_CANDIDATE:
		return phase == CALL_RINGING ? CALL_RINGING : CALL_ACTIVE;
	case CALL_ANSWER:
		return phase == CALL_RINGING ? CALL_ANSWERED : CALL_ACTIVE;
	case CALL_LOST:
	case CALL_BACK:
	case CALL_OPEN:
		return phase;
	default:
		return CALL_IDLE;
	}
}

static void
try_one(const struct row *row, unsigned state, unsigned actor)
{
	struct call	  c = call_in(state), again;
	enum call_phase	  before = c.phase;
	autofree char	 *old = text_of(&c), *new = NULL, *read = NULL;
	enum call_verdict v = does(&c, row->event, actor);

	ck_assert_msg(verdict_char(v) == row->verdicts[state][actor], "%s (%d) by %s, %s: %c", call_event_name(row->event),
	    row->event, actors[actor].channel, state_names[state], verdict_char(v));
	new = text_of(&c);
	if (v != CALL_DONE)
		ck_assert_str_eq(new, old);
	else
		ck_assert_int_eq(c.phase, phase_behind(row->event, before));
	/* Whatever comes of it is sound. */
	ck_assert_int_eq(call_read(&again, slice_str(new)), 0);
	read = text_of(&again);
	ck_assert_str_eq(read, new);
}

START_TEST(what_each_may_do)
{
	for (unsigned state = 0; state < N_STATES; state++)
		for (unsigned actor = 0; actor < N_ACTORS; actor++)
			try_one(&rows[_i], state, actor);
}
END_TEST

START_TEST(who_answers_first_has_the_place)
{
	struct call c = call_in(OFFERED);

	ck_assert_int_eq(does(&c, CALL_ANSWER, B2), CALL_DONE);
	ck_assert(slice_is(c.party[1].channel, "B2"));
	ck_assert_int_eq(does(&c, CALL_ANSWER, B), CALL_WRONG_STATE);
	ck_assert(slice_is(c.party[1].channel, "B2"));
}
END_TEST

/* Both call at once: whose turn comes first is the caller. */
START_TEST(glare)
{
	struct call c = call_in(IDLE);

	ck_assert_int_eq(does(&c, CALL_INITIATE, B), CALL_DONE);
	ck_assert_int_eq(does(&c, CALL_INITIATE, A), CALL_WRONG_STATE);
	ck_assert_uint_eq(c.caller, 1);
	ck_assert_int_eq(does(&c, CALL_OFFER, A), CALL_WRONG_PARTY);
	ck_assert_int_eq(does(&c, CALL_OFFER, B), CALL_DONE);
	ck_assert_int_eq(does(&c, CALL_ANSWER, A), CALL_DONE);
	ck_assert_int_eq(c.phase, CALL_ANSWERED);
}
END_TEST

/* Two calls are never taken for one, even if they begin in the same millisecond. */
START_TEST(calls_differ)
{
	struct call c = call_in(RINGING);

	ck_assert_int_eq(c.since, NOW);
	ck_assert_int_eq(does(&c, CALL_END, A), CALL_DONE);
	ck_assert_int_eq(does(&c, CALL_INITIATE, B), CALL_DONE);
	ck_assert_int_eq(c.since, NOW + 1);
	/* Those that mean the call before. */
	ck_assert_int_eq(does(&c, CALL_MISSED, A), CALL_NOTHING);
	ck_assert_int_eq(does(&c, CALL_BUSY, A), CALL_NOTHING);
	ck_assert_int_eq(does(&c, CALL_DISCONNECTED, A), CALL_NOTHING);
}
END_TEST

START_TEST(a_lost_channel_is_replaced)
{
	struct call	c = call_in(ACTIVE);
	struct call_act a = act_of(CALL_BACK, B2);
	uint64_t	retry;

	a.gone = false;
	ck_assert_int_eq(call_apply(&c, &a, &limits, &retry), CALL_NOTHING);
	ck_assert_int_eq(does(&c, CALL_LOST, B), CALL_DONE);
	ck_assert(c.party[1].lost);
	ck_assert(slice_is(c.party[1].heard, "id"));
	ck_assert_int_eq(does(&c, CALL_LOST, B), CALL_NOTHING);
	ck_assert_int_eq(does(&c, CALL_BACK, B2), CALL_DONE);
	ck_assert(!c.party[1].lost);
	ck_assert(slice_is(c.party[1].channel, "B2"));
	/* The next one is told what it missed, too. */
	ck_assert(slice_is(c.party[1].heard, "id"));
	ck_assert_int_eq(does(&c, CALL_CANDIDATE, B), CALL_WRONG_STATE);
	ck_assert_int_eq(does(&c, CALL_CANDIDATE, B2), CALL_DONE);
	/* Another call knows nothing of it. */
	ck_assert_int_eq(does(&c, CALL_END, A), CALL_DONE);
	ck_assert_uint_eq(c.party[1].heard.n, 0);
}
END_TEST

/* A device that is not known to be gone yet makes room for itself alone. */
static const struct {
	const char	 *was, *comes;
	enum call_verdict verdict;
} devices[] = {
	{ "\"phone\"", "\"phone\"", CALL_DONE },
	{ "\"phone\"", "\"laptop\"", CALL_NOTHING },
	{ "\"phone\"", "", CALL_NOTHING },
	{ "", "\"phone\"", CALL_NOTHING },
	{ "", "", CALL_NOTHING },
};

START_TEST(a_device_replaces_itself)
{
	struct call	c = call_in(OFFERED);
	struct call_act answer = act_of(CALL_ANSWER, B), back = act_of(CALL_BACK, B2);
	uint64_t	retry;

	answer.device = slice_str(devices[_i].was);
	back.device = slice_str(devices[_i].comes);
	back.gone = false;
	ck_assert_int_eq(call_apply(&c, &answer, &limits, &retry), CALL_DONE);
	ck_assert_int_eq(call_apply(&c, &back, &limits, &retry), devices[_i].verdict);
	ck_assert(slice_is(c.party[1].channel, devices[_i].verdict == CALL_DONE ? "B2" : "B"));
}
END_TEST

START_TEST(a_node_gets_another_epoch)
{
	struct call	c = call_in(ACTIVE);
	struct call_act a = act_of(CALL_BACK, B);
	uint64_t	retry;

	a.gone = false;
	a.epoch = 8;
	ck_assert_int_eq(call_apply(&c, &a, &limits, &retry), CALL_DONE);
	ck_assert_uint_eq(c.party[1].epoch, 8);
	ck_assert_int_eq(call_apply(&c, &a, &limits, &retry), CALL_NOTHING);
}
END_TEST

START_TEST(who_is_not_gone_is_not_disconnected)
{
	struct call	c = call_in(ACTIVE);
	struct call_act a = act_of(CALL_DISCONNECTED, A);
	uint64_t	retry;

	a.gone = false;
	ck_assert_int_eq(call_apply(&c, &a, &limits, &retry), CALL_NOTHING);
}
END_TEST

static const struct {
	enum call_event event;
	unsigned	state, actor;
	const char     *reason;
} reasons[] = {
	{ CALL_END, RINGING, A, "user_hangup" },
	{ CALL_END, OFFERED, B, "declined" },
	{ CALL_END, ANSWERED, A, "user_hangup" },
	{ CALL_END, ACTIVE, B, "user_hangup" },
	{ CALL_LEAVE, RINGING, A, "user_hangup" },
	{ CALL_LEAVE, ACTIVE, B, "user_hangup" },
	{ CALL_BUSY, RINGING, B, "busy" },
	{ CALL_MISSED, OFFERED, A, "missed" },
	{ CALL_DISCONNECTED, ACTIVE, A, "disconnected" },
	{ CALL_OFFER, RINGING, A, NULL },
	{ CALL_LOST, ACTIVE, A, NULL },
};

START_TEST(why_it_ends)
{
	struct call	c = call_in(reasons[_i].state);
	struct call_act a = act_of(reasons[_i].event, reasons[_i].actor);

	ck_assert_pstr_eq(call_reason(&c, &a), reasons[_i].reason);
}
END_TEST

/* What is kept. */

static enum call_verdict
candidate(struct call *c, size_t bytes, int64_t now, uint64_t *retry)
{
	struct call_act a = act_of(CALL_CANDIDATE, A);

	a.bytes = bytes;
	a.now = now;
	return call_apply(c, &a, &limits, retry);
}

START_TEST(bytes_are_bounded)
{
	struct call c = call_in(IDLE);
	uint64_t    retry = 0, other;
	int64_t	    now = NOW / 10001 * 10001;

	c.phase = CALL_ANSWERED;
	c.offered = true;
	c.party[0].channel = SLICE("A");
	c.party[1].channel = SLICE("B");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(candidate(&c, 65536, now + i * 10001, &retry), CALL_DONE);
	ck_assert_int_eq(candidate(&c, 1, now + 30003, &retry), CALL_TOO_MUCH);
	/* When the first one is forgotten, there is room for one. */
	ck_assert_int_eq(candidate(&c, 65536, now + 30003 + (int64_t)retry - 1, &other), CALL_TOO_MUCH);
	ck_assert_uint_eq(other, 1);
	ck_assert_int_ge(30003 + (int64_t)retry, 60000);
	ck_assert_int_eq(candidate(&c, 65536, now + 30003 + (int64_t)retry, &other), CALL_DONE);
	ck_assert_int_eq(candidate(&c, 1, now + 30003 + (int64_t)retry, &other), CALL_TOO_MUCH);
	/* A clock that is behind finds it full, too; one that is far off begins anew. */
	ck_assert_int_eq(candidate(&c, 1, now + 30003, &other), CALL_TOO_MUCH);
	ck_assert_int_eq(candidate(&c, 65536, now - 3600000, &other), CALL_DONE);
	ck_assert_int_eq(candidate(&c, 65536, now + 3600000, &other), CALL_DONE);
}
END_TEST

/* One page is to hold them all. */
START_TEST(events_are_bounded)
{
	struct call c = call_in(ANSWERED);
	uint64_t    retry = 0;
	unsigned    n = 3;	/* it took to get there */

	while (candidate(&c, 1, NOW, &retry) == CALL_DONE)
		n++;
	ck_assert_uint_ge(n, CALL_MAX_EVENTS);
	ck_assert_uint_le(n, CALL_MAX_EVENTS + 1);
	ck_assert_uint_gt(retry, 50000);
	/* It can be ended at any time. */
	ck_assert_int_eq(does(&c, CALL_END, A), CALL_DONE);
	ck_assert_int_eq(does(&c, CALL_INITIATE, A), CALL_TOO_MUCH);
}
END_TEST

/* Texts. */

#define PARTIES		"\"a\":{\"user\":\"ann\"},\"b\":{\"user\":\"bob\"}"
#define IN_CALL		"\"a\":{\"user\":\"ann\",\"channel\":\"A\"},\"b\":{\"user\":\"bob\",\"channel\":\"B\"}"
#define A_CALLS		"\"a\":{\"user\":\"ann\",\"channel\":\"A\"},\"b\":{\"user\":\"bob\"}"

static const char *const sound[] = {
	"{\"phase\":\"idle\"," PARTIES "}",
	"{\"phase\":\"idle\",\"since\":12,\"kept\":{}," PARTIES ",\"more\":[]}",
	"{\"phase\":\"ringing\",\"since\":12,\"caller\":\"a\"," A_CALLS "}",
	"{\"phase\":\"ringing\",\"since\":12,\"caller\":\"a\",\"offered\":true,\"offer\":\"a\"," A_CALLS "}",
	"{\"phase\":\"answered\",\"since\":12,\"caller\":\"b\",\"offered\":true," IN_CALL "}",
	"{\"phase\":\"ringing\",\"since\":12,\"caller\":\"a\",\"a\":{\"user\":\"ann\",\"channel\":\"A\",\"device\":\"\\\"d\\\"\"},\"b\":{\"user\":\"bob\"}}",
	"{\"phase\":\"\\u0061ctive\",\"caller\":\"a\",\"offered\":true,\"offer\":\"b\",\"kept\":{\"9\":3,\"7\":2,\"3\":1}," IN_CALL "}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"\\u0061nn\",\"lost\":1},\"b\":{\"user\":\" \"}}",
};

START_TEST(sound_states_are_read)
{
	struct call   c, again;
	autofree char *text = NULL;

	ck_assert_int_eq(call_read(&c, slice_str(sound[_i])), 0);
	text = text_of(&c);
	ck_assert_int_eq(call_read(&again, slice_str(text)), 0);
	ck_assert_int_eq(again.phase, c.phase);
	ck_assert_int_eq(again.since, c.since);
	ck_assert_int_eq(again.offer, c.offer);
	for (int i = 0; i < 2; i++)
		ck_assert(slice_eq(again.party[i].user, c.party[i].user) && slice_eq(again.party[i].channel, c.party[i].channel) &&
		    slice_eq(again.party[i].device, c.party[i].device));
}
END_TEST

#define LONG_NAME	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const char *const unsound[] = {
	"{}",
	"{\"phase\":\"idle\"}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"ann\"}}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"ann\"},\"b\":{\"user\":\"ann\"}}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"\"},\"b\":{\"user\":\"ann\"}}",
	"{\"phase\":\"idle\",\"a\":{\"user\":7},\"b\":{\"user\":\"ann\"}}",
	"{\"phase\":\"idle\",\"a\":\"ann\",\"b\":{\"user\":\"ann\"}}",
	"{\"phase\":\"over\"," PARTIES "}",
	"{\"phase\":7," PARTIES "}",
	"{\"phase\":\"ringing\"," A_CALLS "}",
	"{\"phase\":\"ringing\",\"caller\":\"b\"," A_CALLS "}",
	"{\"phase\":\"ringing\",\"caller\":\"c\"," A_CALLS "}",
	"{\"phase\":\"ringing\",\"caller\":0," A_CALLS "}",
	"{\"phase\":\"ringing\",\"caller\":\"a\"," IN_CALL "}",
	"{\"phase\":\"ringing\",\"caller\":\"a\"," PARTIES "}",
	"{\"phase\":\"ringing\",\"caller\":\"a\",\"offer\":\"a\"," A_CALLS "}",
	"{\"phase\":\"ringing\",\"caller\":\"a\",\"offered\":true,\"offer\":\"b\"," A_CALLS "}",
	"{\"phase\":\"answered\",\"caller\":\"a\",\"offered\":true," A_CALLS "}",
	"{\"phase\":\"active\",\"caller\":\"a\"," IN_CALL "}",
	"{\"phase\":\"idle\"," IN_CALL "}",
	"{\"phase\":\"idle\",\"since\":-1," PARTIES "}",
	"{\"phase\":\"idle\",\"since\":1.5," PARTIES "}",
	"{\"phase\":\"idle\",\"since\":123456789012345678," PARTIES "}",
	"{\"phase\":\"idle\",\"kept\":{\"x\":1}," PARTIES "}",
	"{\"phase\":\"idle\",\"kept\":{\"1\":\"x\"}," PARTIES "}",
	"{\"phase\":\"idle\",\"kept\":{\"1\":1,\"2\":1}," PARTIES "}",
	"{\"phase\":\"idle\",\"kept\":{\"9\":1,\"2\":1}," PARTIES "}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"ann\",\"device\":7},\"b\":{\"user\":\"bob\"}}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"ann\",\"channel\":7},\"b\":{\"user\":\"bob\"}}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"ann\",\"node\":\"\\u0061\"},\"b\":{\"user\":\"bob\"}}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"ann\",\"heard\":\"" LONG_NAME "\"},\"b\":{\"user\":\"bob\"}}",
	"{\"phase\":\"idle\",\"a\":{\"user\":\"ann\",\"epoch\":\"1\"},\"b\":{\"user\":\"bob\"}}",
};

START_TEST(others_are_not)
{
	struct call c;

	ck_assert_msg(call_read(&c, slice_str(unsound[_i])) < 0, "%s", unsound[_i]);
}
END_TEST

START_TEST(names_have_any_characters)
{
	struct call   c, again;
	autofree char *text = NULL;

	call_open(&c, SLICE("\"a\\\"\\u00e9\""), SLICE("\"\\u0061\""));
	text = text_of(&c);
	ck_assert_int_eq(call_read(&again, slice_str(text)), 0);
	ck_assert_int_eq(call_party_of(&again, SLICE("a\"\xc3\xa9")), 0);
	ck_assert_int_eq(call_party_of(&again, SLICE("a")), 1);
	ck_assert_int_eq(call_party_of(&again, SLICE("\\u0061")), -1);
	ck_assert_int_eq(call_party_of(&again, SLICE("")), -1);
}
END_TEST

START_TEST(messages)
{
	struct call	    c = call_in(OFFERED);
	struct call_message m = {
		.event = CALL_OFFER, .from = c.party[0].user, .channel = SLICE("A"), .data = SLICE("{\"sdp\":\"x\"}"),
	}, again;
	autobuf struct buf  b = { 0 };
	autofree char	   *text = text_of(&c);

	call_message_write(&m, &c, &b);
	ck_assert_int_eq(call_message_read(&again, buf_slice(&b)), 0);
	ck_assert_int_eq(again.event, CALL_OFFER);
	ck_assert(slice_is(again.from, "\"ann\""));
	ck_assert(slice_is(again.channel, "A"));
	ck_assert(slice_is(again.data, "{\"sdp\":\"x\"}"));
	ck_assert(slice_is(again.state, text));
	/* What is missing can be copied. */
	ck_assert_uint_eq(again.id.n, 0);
	ck_assert_ptr_nonnull(again.id.p);
	/* All that end a call are one. */
	b.n = 0;
	m = (struct call_message){ .event = CALL_MISSED, .data = SLICE("{}") };
	call_message_write(&m, &c, &b);
	ck_assert_int_eq(call_message_read(&again, buf_slice(&b)), 0);
	ck_assert_int_eq(again.event, CALL_END);
	ck_assert_ptr_null(again.from.p);
}
END_TEST

static const char *const no_messages[] = {
	"{}",
	"{\"state\":{},\"event\":\"call_end\"}",
	"{\"data\":{},\"event\":\"call_end\"}",
	"{\"state\":[],\"data\":{},\"event\":\"call_end\"}",
	"{\"state\":{},\"data\":\"{}\",\"event\":\"call_end\"}",
	"{\"state\":{},\"data\":{},\"event\":\"call_hold\"}",
	"{\"state\":{},\"data\":{},\"event\":7}",
	"{\"state\":{},\"data\":{},\"event\":\"call_offer\"}",
	"{\"state\":{},\"data\":{},\"event\":\"call_offer\",\"from\":7}",
	"{\"state\":{},\"data\":{},\"event\":\"call_end\",\"channel\":7}",
};

START_TEST(no_message)
{
	struct call_message m;

	ck_assert_msg(call_message_read(&m, slice_str(no_messages[_i])) < 0, "%s", no_messages[_i]);
}
END_TEST

Suite *
call_suite(void)
{
	Suite *s = suite_create("call");
	TCase *t = tcase_create("call");

	tcase_add_loop_test(t, what_each_may_do, 0, COUNT(rows));
	tcase_add_test(t, who_answers_first_has_the_place);
	tcase_add_test(t, glare);
	tcase_add_test(t, calls_differ);
	tcase_add_test(t, a_lost_channel_is_replaced);
	tcase_add_loop_test(t, a_device_replaces_itself, 0, COUNT(devices));
	tcase_add_test(t, a_node_gets_another_epoch);
	tcase_add_test(t, who_is_not_gone_is_not_disconnected);
	tcase_add_loop_test(t, why_it_ends, 0, COUNT(reasons));
	tcase_add_test(t, bytes_are_bounded);
	tcase_add_test(t, events_are_bounded);
	tcase_add_loop_test(t, sound_states_are_read, 0, COUNT(sound));
	tcase_add_loop_test(t, others_are_not, 0, COUNT(unsound));
	tcase_add_test(t, names_have_any_characters);
	tcase_add_test(t, messages);
	tcase_add_loop_test(t, no_message, 0, COUNT(no_messages));
	suite_add_tcase(s, t);
	return s;
}
