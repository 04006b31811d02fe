/*
 * The class signaling: calls between two users on all their devices, who hears what of them, and how they end.
 */
#include "session_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "channels/builtin.h"
#include "wire/json.h"

Suite *signaling_suite(void);

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define PAIR		"{\"caller_id\":\"ann\",\"callee_id\":\"bob\"}"
#define JOIN(params)	"[\"1\",\"1\",\"s:1\",\"phx_join\"," params "]"
#define PUSH(ref, event, payload) "[\"1\",\"" ref "\",\"s:1\",\"" event "\"," payload "]"
#define ANSWER(ref, payload)	REPLY("\"1\"", "\"" ref "\"", "s:1", payload)
#define SAID(event, payload)	"[\"1\",null,\"s:1\",\"" event "\"," payload "]"
#define INVALID(field)	"{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"" field "\"}}"

#define INITIATE	"call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"video\"}"
#define OFFER		"call_offer", "{\"sdp\":\"o\",\"type\":\"offer\"}"
#define ANSWERS		"call_answer", "{\"sdp\":\"a\",\"type\":\"answer\"}"
#define ICE(n)		"ice_candidate", "{\"candidate\":\"" n "\",\"sdp_mid\":\"0\",\"sdp_m_line_index\":0}"
#define END		"call_end", "{}"

#define INITIATED	SAID("call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"video\",\"from\":\"ann\"}")
#define OFFERED		SAID("call_offer", "{\"sdp\":\"o\",\"type\":\"offer\",\"from\":\"ann\"}")
#define ANSWERED	SAID("call_answer", "{\"sdp\":\"a\",\"type\":\"answer\",\"from\":\"bob\"}")
#define CANDIDATE(n, from) SAID("ice_candidate", "{\"candidate\":\"" n "\",\"sdp_mid\":\"0\",\"sdp_m_line_index\":0,\"from\":\"" from "\"}")
#define ENDED(reason)	SAID("call_end", "{\"reason\":\"" reason "\"}")
#define ENDED_BY(reason, from) SAID("call_end", "{\"reason\":\"" reason "\",\"from\":\"" from "\"}")

/* What is under way comes to its end. */
static void
settle(void)
{
	for (int i = 0; i < 10; i++)
		pass(10);
}

static void
begin(void)
{
	bench_begin();
	bench_serve("s:{call_id}", &signaling_class, NULL, 0, NULL);
}

static struct client *
wants_in(const char *user, const char *join)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);

	client_says(c, join);
	settle();
	return c;
}

static struct client *
enter(const char *user)
{
	struct client *c = wants_in(user, JOIN(PAIR));

	client_hears(c, ANSWER("1", OK));
	return c;
}

/* Says something that is answered `answer`. */
static void
says_at(struct client *c, const char *event, const char *payload, const char *answer, int line)
{
	autofree char *text = xasprintf(PUSH("7", "%s", "%s"), event, payload);
	autofree char *reply = xasprintf(ANSWER("7", "%s"), answer);

	client_says(c, text);
	settle();
	client_hears_at(c, reply, line);
}
/* Event and payload, then the answer. */
#define says(c, ...)	says_at(c, __VA_ARGS__, __LINE__)

static void
hears_reason_at(struct client *c, const char *event, const char *payload, const char *reason, int line)
{
	autofree char *answer = xasprintf(REASON("%s"), reason);

	says_at(c, event, payload, answer, line);
}
/* Event and payload, then the reason of the refusal. */
#define may_not(c, ...)	hears_reason_at(c, __VA_ARGS__, __LINE__)

/* What is kept: how many messages, and the newest one's payload. */
static struct {
	unsigned n;
	char	 newest[2048];
} kept;

static void
kept_is(void *arg, const struct history_page *page)
{
	ck_assert_int_eq(page->error, 0);
	kept.n = page->n;
	snprintf(kept.newest, sizeof(kept.newest), "%.*s", SLICE_ARG(page->messages[page->n - 1].payload));
}

static void
look_at_kept(void)
{
	const struct history_limits limits = { .max = 1000 };

	ck_assert_int_eq(history_page(bench.history, NULL, SLICE("s:1"), &limits, false, slice(NULL, 0), 500, kept_is, NULL), 0);
	settle();
}

static struct client *ann, *bob;

/* It rings, and nothing is left unread. */
static void
ring(void)
{
	ann = enter("ann");
	bob = enter("bob");
	says(ann, INITIATE, OK);
	client_hears(bob, INITIATED);
}

static void
offer(void)
{
	ring();
	says(ann, OFFER, OK);
	client_hears(bob, OFFERED);
}

static void
talk(void)
{
	offer();
	says(bob, ANSWERS, OK);
	client_hears(ann, ANSWERED);
}

/* Joining. */

START_TEST(the_two_are_in)
{
	enter("ann");
	enter("bob");
	/* On any number of devices, and whoever says to be the caller. */
	enter("bob");
	client_hears(wants_in("bob", JOIN("{\"caller_id\":\"bob\",\"callee_id\":\"ann\",\"user_id\":\"bob\"}")), ANSWER("1", OK));
}
END_TEST

static const struct {
	const char *user;
	const char *params;
	const char *answer;
} bad_joins[] = {
	{ "cec", PAIR, REASON("unauthorized") },
	{ "", PAIR, REASON("unauthorized") },
	{ "cec", "{\"caller_id\":\"cec\",\"callee_id\":\"bob\"}", REASON("unauthorized") },
	{ "cec", "{\"caller_id\":\"ann\",\"callee_id\":\"cec\"}", REASON("unauthorized") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":\"cec\"}", REASON("unauthorized") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":\"bob\",\"user_id\":\"bob\"}", REASON("unauthorized") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":\"bob\",\"user_id\":7}", REASON("unauthorized") },
	{ "ann", "{}", INVALID("caller_id") },
	{ "ann", "{\"caller_id\":7,\"callee_id\":\"bob\"}", INVALID("caller_id") },
	{ "ann", "{\"caller_id\":\"\",\"callee_id\":\"bob\"}", INVALID("caller_id") },
	{ "ann", "{\"caller_id\":\"ann\"}", INVALID("callee_id") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":null}", INVALID("callee_id") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":[\"bob\"]}", INVALID("callee_id") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":\" \"}", INVALID("callee_id") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":\"ann\"}", INVALID("callee_id") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":\"bob\",\"device_id\":7}", INVALID("device_id") },
	{ "ann", "{\"caller_id\":\"ann\",\"callee_id\":\"bob\",\"device_id\":\"\"}", INVALID("device_id") },
	{ "cec", "{\"caller_id\":\"ann\",\"callee_id\":\"ann\"}", REASON("unauthorized") },
};

START_TEST(others_are_not)
{
	autofree char *join = xasprintf(JOIN("%s"), bad_joins[_i].params);
	autofree char *answer = xasprintf(ANSWER("1", "%s"), bad_joins[_i].answer);

	enter("ann");
	client_hears(wants_in(bad_joins[_i].user, join), answer);
}
END_TEST

START_TEST(long_names_are_refused)
{
	char	       name[130];
	autofree char *join = NULL;

	memset(name, 'x', sizeof(name));
	name[129] = '\0';
	join = xasprintf(JOIN("{\"caller_id\":\"ann\",\"callee_id\":\"%s\"}"), name);
	client_hears(wants_in("ann", join), ANSWER("1", INVALID("callee_id")));
	name[128] = '\0';
	free(join);
	join = xasprintf(JOIN("{\"caller_id\":\"ann\",\"callee_id\":\"%s\",\"device_id\":\"%s\"}"), name, name);
	client_hears(wants_in("ann", join), ANSWER("1", OK));
	free(join);
	join = xasprintf(JOIN("{\"caller_id\":\"ann\",\"callee_id\":\"bob\",\"device_id\":\"x%s\"}"), name);
	client_hears(wants_in("ann", join), ANSWER("1", INVALID("device_id")));
}
END_TEST

/* The first join fixes the pair, even where two come at the same time. */
START_TEST(the_first_pair_stands)
{
	struct client *a = client_new(&codec_phoenix_v2, "ann", 0), *c = client_new(&codec_phoenix_v2, "cec", 0);

	client_says(a, JOIN(PAIR));
	client_says(c, JOIN("{\"caller_id\":\"cec\",\"callee_id\":\"bob\"}"));
	settle();
	client_hears(a, ANSWER("1", OK));
	client_hears(c, ANSWER("1", REASON("unauthorized")));
}
END_TEST

START_TEST(without_the_store_nobody_is_in)
{
	bench_store_fails(-EHOSTUNREACH, _i == 1);
	client_hears(wants_in("ann", JOIN(PAIR)), ANSWER("1", REASON("unavailable")));
	bench_store_fails(0, false);
	enter("ann");
}
END_TEST

/* It goes before it is in. */
START_TEST(a_join_may_be_given_up)
{
	struct client *a = client_new(&codec_phoenix_v2, "ann", 0);

	client_says(a, JOIN(PAIR));
	client_gone(a);
	settle();
	enter("ann");
}
END_TEST

/* What is relayed. */

START_TEST(a_call)
{
	talk();
	says(ann, ICE("1"), OK);
	client_hears(bob, CANDIDATE("1", "ann"));
	says(bob, ICE("2"), OK);
	client_hears(ann, CANDIDATE("2", "bob"));
	says(bob, "call_end", "{\"reason\":\"user_hangup\"}", OK);
	client_hears(ann, ENDED_BY("user_hangup", "bob"));
	/* The channels stay, and a new call may begin, from either side. */
	says(bob, "call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"voice\"}", OK);
	client_hears(ann, SAID("call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"voice\",\"from\":\"bob\"}"));
	client_hears_nothing(bob);
}
END_TEST

/* What was pushed reaches the other as it was written. */
static const struct {
	const char *event, *pushed, *heard;
} untouched[] = {
	{ "ice_candidate", "{\"candidate\":\"\"}", "{\"candidate\":\"\",\"from\":\"bob\"}" },
	{ "ice_candidate", "{ \"candidate\" : \"\\u0061\", \"sdp_mid\": null, \"sdp_m_line_index\":null, \"x\": 1.0 }",
	  "{ \"candidate\" : \"\\u0061\", \"sdp_mid\": null, \"sdp_m_line_index\":null, \"x\": 1.0 ,\"from\":\"bob\"}" },
	{ "ice_candidate", "{\"from\":\"bob\",\"user_id\":\"b\\u006fb\",\"candidate\":\"c\"}",
	  "{\"from\":\"bob\",\"user_id\":\"b\\u006fb\",\"candidate\":\"c\"}" },
	{ "call_offer", "{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\",\"more\":[{}]}",
	  "{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\",\"more\":[{}],\"from\":\"bob\"}" },
	{ "call_end", "{\"reason\":\"gone fishing\",\"after\":3}", "{\"reason\":\"gone fishing\",\"after\":3,\"from\":\"bob\"}" },
	{ "call_end", "{ }", "{ \"reason\":\"user_hangup\",\"from\":\"bob\"}" },
	{ "call_end", "{\"reason\":\"\"}", "{\"reason\":\"\",\"reason\":\"user_hangup\",\"from\":\"bob\"}" },
	{ "call_end", "{\"from\":\"bob\"}", "{\"from\":\"bob\",\"reason\":\"user_hangup\"}" },
};

START_TEST(payloads_are_passed_on_untouched)
{
	autofree char *heard = xasprintf(SAID("%s", "%s"), untouched[_i].event, untouched[_i].heard);

	talk();
	says(bob, untouched[_i].event, untouched[_i].pushed, OK);
	client_hears(ann, heard);
}
END_TEST

/* Pushes are decided in their order, without waiting for each other's answer. */
START_TEST(pushes_keep_their_order)
{
	ann = enter("ann");
	bob = enter("bob");
	client_says(ann, PUSH("2", "call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"video\"}"));
	client_says(ann, PUSH("3", "call_offer", "{\"sdp\":\"o\",\"type\":\"offer\"}"));
	for (int i = 0; i < 20; i++) {
		autofree char *text = xasprintf(PUSH("4", "ice_candidate", "{\"candidate\":\"%d\"}"), i);

		client_says(ann, text);
	}
	client_says(ann, PUSH("5", "call_answer", "{\"sdp\":\"a\",\"type\":\"answer\"}"));
	client_says(ann, PUSH("6", "call_end", "{}"));
	for (int i = 0; i < 24; i++)
		settle();
	client_hears(bob, INITIATED);
	client_hears(bob, OFFERED);
	for (int i = 0; i < 20; i++) {
		autofree char *text = xasprintf(SAID("ice_candidate", "{\"candidate\":\"%d\",\"from\":\"ann\"}"), i);

		client_hears(bob, text);
	}
	client_hears(bob, ENDED_BY("user_hangup", "ann"));
	client_hears(ann, ANSWER("2", OK));
	client_hears(ann, ANSWER("3", OK));
	for (int i = 0; i < 20; i++)
		client_hears(ann, ANSWER("4", OK));
	client_hears(ann, ANSWER("5", REASON("unauthorized")));
	client_hears(ann, ANSWER("6", OK));
	client_hears_nothing(ann);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
	ann = enter("ann");
	for (int i = 0; i < 65; i++)
		client_says(ann, PUSH("2", "call_end", "{}"));
	client_hears(ann, ANSWER("2", "{\"status\":\"error\",\"response\":{\"reason\":\"rate_limit\",\"retry_after_ms\":1000}}"));
	for (int i = 0; i < 64; i++)
		settle();
	for (int i = 0; i < 64; i++)
		client_hears(ann, ANSWER("2", REASON("invalid_state")));
	client_hears_nothing(ann);
}
END_TEST

/* A client that goes with pushes under way, and others behind them. */
START_TEST(what_waits_goes_with_its_channel)
{
	ann = enter("ann");
	bob = enter("bob");
	client_says(ann, PUSH("2", "call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"video\"}"));
	client_says(ann, PUSH("3", "call_offer", "{\"sdp\":\"o\",\"type\":\"offer\"}"));
	client_gone(ann);
	settle();
	pass(11000);
	settle();
	/* If he heard of it, he hears of its end. */
	client_forgets(bob);
	may_not(bob, END, "invalid_state");
}
END_TEST

/* States. */

START_TEST(nothing_without_a_call)
{
	ann = enter("ann");
	bob = enter("bob");
	may_not(ann, OFFER, "invalid_state");
	may_not(bob, ANSWERS, "invalid_state");
	may_not(ann, ICE("1"), "invalid_state");
	may_not(ann, END, "invalid_state");
	client_hears_nothing(bob);
}
END_TEST

START_TEST(nothing_out_of_order)
{
	ring();
	may_not(ann, INITIATE, "invalid_state");
	may_not(bob, "call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\"}", "invalid_state");
	may_not(bob, ANSWERS, "invalid_state");
	may_not(ann, ANSWERS, "unauthorized");
	may_not(bob, OFFER, "unauthorized");
	may_not(ann, ICE("1"), "invalid_state");
	says(ann, OFFER, OK);
	client_hears(bob, OFFERED);
	may_not(ann, ANSWERS, "unauthorized");
	says(bob, ANSWERS, OK);
	client_hears(ann, ANSWERED);
	may_not(bob, ANSWERS, "invalid_state");
	may_not(ann, INITIATE, "invalid_state");
	client_hears_nothing(ann);
	client_hears_nothing(bob);
}
END_TEST

START_TEST(media_may_change)
{
	talk();
	says(bob, OFFER, OK);
	client_hears(ann, SAID("call_offer", "{\"sdp\":\"o\",\"type\":\"offer\",\"from\":\"bob\"}"));
	may_not(ann, OFFER, "invalid_state");
	may_not(bob, ANSWERS, "unauthorized");
	says(ann, ANSWERS, OK);
	client_hears(bob, SAID("call_answer", "{\"sdp\":\"a\",\"type\":\"answer\",\"from\":\"ann\"}"));
	client_hears_nothing(ann);
}
END_TEST

/* Both call at once; the first in the stream's order wins on both sides. */
START_TEST(glare)
{
	struct client *first, *second;

	ann = enter("ann");
	bob = enter("bob");
	first = _i == 0 ? ann : bob;
	second = _i == 0 ? bob : ann;
	client_says(first, _i == 0 ? PUSH("2", "call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"video\"}") :
	    PUSH("2", "call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\"}"));
	client_says(second, _i == 0 ? PUSH("2", "call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\"}") :
	    PUSH("2", "call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"video\"}"));
	settle();
	client_hears(first, ANSWER("2", OK));
	client_hears_nothing(first);
	client_hears(second, _i == 0 ? INITIATED :
	    SAID("call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\",\"from\":\"bob\"}"));
	client_hears(second, ANSWER("2", REASON("invalid_state")));
	client_hears_nothing(second);
	says(first, OFFER, OK);
	client_forgets(second);
	says(second, ANSWERS, OK);
}
END_TEST

/* Devices. */

START_TEST(the_first_to_answer_has_the_call)
{
	struct client *phone;

	phone = enter("bob");
	offer();
	client_hears(phone, INITIATED);
	client_hears(phone, OFFERED);
	/* Any of them has candidates, before. */
	says(phone, ICE("1"), OK);
	client_hears(ann, CANDIDATE("1", "bob"));
	client_says(phone, PUSH("7", "call_answer", "{\"sdp\":\"a\",\"type\":\"answer\"}"));
	client_says(bob, PUSH("7", "call_answer", "{\"sdp\":\"a\",\"type\":\"answer\"}"));
	settle();
	client_hears(ann, ANSWERED);
	client_hears(phone, ANSWER("7", OK));
	client_hears(bob, ENDED("answered_elsewhere"));
	client_hears(bob, ANSWER("7", REASON("invalid_state")));
	/* Nothing of the call reaches the others any more, nor can they touch it. */
	says(ann, ICE("2"), OK);
	client_hears(phone, CANDIDATE("2", "ann"));
	may_not(bob, ICE("3"), "invalid_state");
	may_not(bob, END, "invalid_state");
	says(ann, END, OK);
	client_hears(phone, ENDED_BY("user_hangup", "ann"));
	client_hears_nothing(bob);
	client_hears_nothing(ann);
	/* The next call rings everywhere. */
	says(ann, INITIATE, OK);
	client_hears(phone, INITIATED);
	client_hears(bob, INITIATED);
}
END_TEST

/* The caller's other devices have no part in it, but are told of its end. */
START_TEST(the_callers_others_look_on)
{
	struct client *tab = enter("ann");

	offer();
	may_not(tab, ICE("1"), "invalid_state");
	may_not(tab, END, "invalid_state");
	may_not(tab, ANSWERS, "unauthorized");
	says(bob, ANSWERS, OK);
	client_hears(ann, ANSWERED);
	client_hears_nothing(tab);
	says(bob, END, OK);
	client_hears(ann, ENDED_BY("user_hangup", "bob"));
	client_hears(tab, ENDED_BY("user_hangup", "bob"));
}
END_TEST

START_TEST(one_device_declines_for_all)
{
	struct client *phone = enter("bob");

	ring();
	client_hears(phone, INITIATED);
	says(phone, END, OK);
	client_hears(ann, ENDED_BY("declined", "bob"));
	client_hears(bob, ENDED_BY("declined", "bob"));
	client_hears_nothing(phone);
}
END_TEST

START_TEST(the_caller_gives_up)
{
	ring();
	says(ann, END, OK);
	client_hears(bob, ENDED_BY("user_hangup", "ann"));
}
END_TEST

/* Late. */

START_TEST(a_late_callee_is_told_all)
{
	ann = enter("ann");
	says(ann, INITIATE, OK);
	says(ann, OFFER, OK);
	says(ann, ICE("1"), OK);
	says(ann, ICE("2"), OK);
	bob = enter("bob");
	client_hears(bob, INITIATED);
	client_hears(bob, OFFERED);
	client_hears(bob, CANDIDATE("1", "ann"));
	client_hears(bob, CANDIDATE("2", "ann"));
	client_hears_nothing(bob);
	says(bob, ANSWERS, OK);
	client_hears(ann, ANSWERED);
}
END_TEST

/* Its state alone. Joins leave nothing, either. */
START_TEST(no_words_are_kept_of_a_call_that_is_over)
{
	talk();
	enter("bob");
	look_at_kept();
	ck_assert_uint_eq(kept.n, 4);
	ck_assert_ptr_nonnull(strstr(kept.newest, "sdp"));
	says(ann, END, OK);
	look_at_kept();
	ck_assert_uint_eq(kept.n, 1);
	ck_assert_ptr_null(strstr(kept.newest, "sdp"));
}
END_TEST

/* What is said while it joins follows, once and in order. */
START_TEST(nothing_is_lost_while_it_joins)
{
	unsigned n = 0;

	ann = enter("ann");
	says(ann, INITIATE, OK);
	says(ann, OFFER, OK);
	bob = client_new(&codec_phoenix_v2, "bob", 0);
	client_says(bob, JOIN(PAIR));
	while (bob->out.n == 0 && n < 20) {
		autofree char *text = xasprintf(PUSH("8", "ice_candidate", "{\"candidate\":\"%u\"}"), n++);

		client_says(ann, text);
		pass(5);
	}
	for (unsigned i = 0; i <= n; i++)
		settle();
	client_hears(bob, ANSWER("1", OK));
	client_hears(bob, INITIATED);
	client_hears(bob, OFFERED);
	for (unsigned i = 0; i < n; i++) {
		autofree char *text = xasprintf(SAID("ice_candidate", "{\"candidate\":\"%u\",\"from\":\"ann\"}"), i);

		client_hears(bob, text);
	}
	client_hears_nothing(bob);
}
END_TEST

START_TEST(old_words_are_not_told)
{
	ann = enter("ann");
	says(ann, INITIATE, OK);
	says(ann, OFFER, OK);
	bench_wall += 61000;
	says(ann, ICE("1"), OK);
	bob = enter("bob");
	client_hears(bob, CANDIDATE("1", "ann"));
	client_hears_nothing(bob);
	/* It rings nevertheless. */
	says(bob, ANSWERS, OK);
}
END_TEST

/* All that is kept of a ring that is older: it rings on, but is no news. */
START_TEST(an_old_ring_is_no_news)
{
	bench_wall = INT64_C(1600000000000);
	ann = enter("ann");
	says(ann, INITIATE, OK);
	bench_wall += 61000;
	bob = enter("bob");
	client_hears_nothing(bob);
	says(ann, OFFER, OK);
	client_hears(bob, OFFERED);
}
END_TEST

START_TEST(nothing_is_left_of_a_call)
{
	struct client *late;

	talk();
	says(ann, END, OK);
	client_hears(bob, ENDED_BY("user_hangup", "ann"));
	late = enter("bob");
	client_hears_nothing(late);
	pass(60000);
	client_hears_nothing(late);
}
END_TEST

/* Missed, and disconnected. */

START_TEST(a_ring_that_nobody_answers_is_missed)
{
	offer();
	pass(29000);
	settle();
	client_hears_nothing(ann);
	pass(1000);
	settle();
	client_hears(ann, ENDED("missed"));
	client_hears(bob, ENDED("missed"));
	may_not(bob, ANSWERS, "invalid_state");
	pass(60000);
	client_hears_nothing(ann);
	client_hears_nothing(bob);
}
END_TEST

START_TEST(even_if_nobody_is_there)
{
	ann = enter("ann");
	says(ann, INITIATE, OK);
	pass(30000);
	settle();
	client_hears(ann, ENDED("missed"));
}
END_TEST

START_TEST(a_call_that_was_answered_is_not_missed)
{
	talk();
	pass(3600000);
	settle();
	client_hears_nothing(ann);
	client_hears_nothing(bob);
	says(ann, ICE("1"), OK);
}
END_TEST

/* A new call rings for its own time. */
START_TEST(each_call_rings_for_its_own_time)
{
	ring();
	pass(20000);
	says(ann, END, OK);
	client_forgets(bob);
	says(ann, INITIATE, OK);
	client_hears(bob, INITIATED);
	pass(20000);
	settle();
	client_hears_nothing(bob);
	pass(10000);
	settle();
	client_hears(bob, ENDED("missed"));
}
END_TEST

START_TEST(while_the_store_is_away_nothing_ends)
{
	ring();
	bench_store_fails(-EHOSTUNREACH, true);
	may_not(ann, OFFER, "unavailable");
	pass(40000);
	settle();
	client_hears_nothing(ann);
	bench_store_fails(0, false);
	pass(1000);
	settle();
	client_hears(ann, ENDED("missed"));
	client_hears(bob, ENDED("missed"));
}
END_TEST

START_TEST(who_is_lost_for_longer_than_the_grace_has_ended_it)
{
	struct client *lost, *other;

	talk();
	lost = _i == 0 ? ann : bob;
	other = _i == 0 ? bob : ann;
	client_gone(lost);
	settle();
	pass(9000);
	settle();
	client_hears_nothing(other);
	pass(1000);
	settle();
	client_hears(other, ENDED("disconnected"));
	pass(60000);
	settle();
	client_hears_nothing(other);
	may_not(other, END, "invalid_state");
}
END_TEST

/* The caller's loss ends a ring, a callee's does not. */
START_TEST(a_ring_without_a_caller)
{
	ring();
	client_gone(ann);
	settle();
	pass(10000);
	settle();
	client_hears(bob, ENDED("disconnected"));
}
END_TEST

START_TEST(a_ring_goes_on_without_a_device)
{
	ring();
	client_gone(bob);
	settle();
	pass(15000);
	settle();
	client_hears_nothing(ann);
	bob = enter("bob");
	client_hears(bob, INITIATED);
	pass(15000);
	settle();
	client_hears(ann, ENDED("missed"));
}
END_TEST

START_TEST(who_comes_back_gets_what_it_missed)
{
	talk();
	says(ann, ICE("1"), OK);
	client_hears(bob, CANDIDATE("1", "ann"));
	client_gone(bob);
	settle();
	says(ann, ICE("2"), OK);
	says(ann, ICE("3"), OK);
	bob = enter("bob");
	client_hears(bob, CANDIDATE("2", "ann"));
	client_hears(bob, CANDIDATE("3", "ann"));
	client_hears_nothing(bob);
	says(ann, ICE("4"), OK);
	client_hears(bob, CANDIDATE("4", "ann"));
	pass(20000);
	settle();
	client_hears_nothing(ann);
	/* And once more, in the other direction. */
	client_gone(bob);
	settle();
	bob = enter("bob");
	client_hears_nothing(bob);
	client_gone(bob);
	settle();
	bob = enter("bob");
	client_hears_nothing(bob);
	says(bob, ICE("5"), OK);
	client_hears(ann, CANDIDATE("5", "bob"));
}
END_TEST

/* A stock client sends what it could not send meanwhile right behind its join. */
START_TEST(who_comes_back_may_speak_at_once)
{
	talk();
	client_gone(bob);
	bob = client_new(&codec_phoenix_v2, "bob", 0);
	client_says(bob, JOIN(PAIR));
	client_says(bob, PUSH("2", "ice_candidate", "{\"candidate\":\"1\"}"));
	client_says(bob, PUSH("3", "ice_candidate", "{\"candidate\":\"2\"}"));
	settle();
	settle();
	client_hears(bob, ANSWER("1", OK));
	client_forgets(bob);
	client_hears(ann, SAID("ice_candidate", "{\"candidate\":\"1\",\"from\":\"bob\"}"));
	client_hears(ann, SAID("ice_candidate", "{\"candidate\":\"2\",\"from\":\"bob\"}"));
}
END_TEST

/* Who waits for a place that is not to be had is told so; who goes meanwhile leaves nothing. */
START_TEST(who_waits_in_vain_may_not_speak)
{
	struct client *late, *gone;

	talk();
	late = enter("bob");
	gone = enter("bob");
	client_says(late, PUSH("2", "ice_candidate", "{\"candidate\":\"1\"}"));
	client_says(gone, PUSH("2", "ice_candidate", "{\"candidate\":\"1\"}"));
	settle();
	client_hears_nothing(late);
	client_gone(gone);
	pass(1000);
	settle();
	client_hears(late, ENDED("answered_elsewhere"));
	client_hears(late, ANSWER("2", REASON("invalid_state")));
	client_hears_nothing(ann);
}
END_TEST

START_TEST(a_caller_who_comes_back_is_answered)
{
	offer();
	client_gone(ann);
	settle();
	says(bob, ANSWERS, OK);
	ann = enter("ann");
	client_hears(ann, ANSWERED);
	says(ann, ICE("1"), OK);
	client_hears(bob, CANDIDATE("1", "ann"));
	client_hears_nothing(ann);
}
END_TEST

/* The new channel may be there before the old one is gone. */
START_TEST(who_comes_before_it_is_gone)
{
	struct client *new;

	talk();
	new = enter("bob");
	says(ann, ICE("1"), OK);
	client_hears(bob, CANDIDATE("1", "ann"));
	client_hears_nothing(new);
	client_gone(bob);
	settle();
	client_hears_nothing(new);
	says(ann, ICE("2"), OK);
	client_hears(new, CANDIDATE("2", "ann"));
	says(new, ICE("3"), OK);
	client_hears(ann, CANDIDATE("3", "bob"));
}
END_TEST

/* A device that says which it is need not wait until the server sees its old connection end. */
START_TEST(a_device_takes_its_own_place)
{
#define PHONE	"{\"caller_id\":\"ann\",\"callee_id\":\"bob\",\"device_id\":\"a \\\"phone\\\"\"}"
	struct client *new;

	ann = enter("ann");
	bob = wants_in("bob", JOIN(PHONE));
	says(ann, INITIATE, OK);
	says(ann, OFFER, OK);
	client_forgets(bob);
	says(bob, ANSWERS, OK);
	client_hears(ann, ANSWERED);
	says(ann, ICE("1"), OK);
	client_hears(bob, CANDIDATE("1", "ann"));
	new = wants_in("bob", JOIN(PHONE));
	client_hears(new, ANSWER("1", OK));
	settle();
	/* What the old one had heard, but perhaps not its client, is said again. */
	client_hears(new, INITIATED);
	client_hears(new, OFFERED);
	client_hears(new, CANDIDATE("1", "ann"));
	client_hears(bob, ENDED("answered_elsewhere"));
	says(ann, ICE("2"), OK);
	client_hears(new, CANDIDATE("2", "ann"));
	client_gone(bob);
	settle();
	pass(20000);
	settle();
	client_hears_nothing(ann);
	client_hears_nothing(new);
}
END_TEST

/* The same client joins once more over the same connection. */
START_TEST(a_channel_may_be_replaced)
{
	talk();
	client_says(bob, "[\"2\",\"2\",\"s:1\",\"phx_join\"," PAIR "]");
	settle();
	client_hears(bob, "[\"1\",\"1\",\"s:1\",\"phx_close\",{}]");
	client_hears(bob, REPLY("\"2\"", "\"2\"", "s:1", OK));
	says(ann, ICE("1"), OK);
	client_hears(bob, "[\"2\",null,\"s:1\",\"ice_candidate\",{\"candidate\":\"1\",\"sdp_mid\":\"0\",\"sdp_m_line_index\":0,\"from\":\"ann\"}]");
	pass(20000);
	settle();
	client_hears_nothing(ann);
}
END_TEST

START_TEST(a_newcomer_is_told_that_it_was_answered_elsewhere)
{
	struct client *late;

	talk();
	late = enter(_i == 0 ? "bob" : "ann");
	says(ann, ICE("1"), OK);
	client_forgets(bob);
	pass(1000);
	settle();
	client_hears(late, ENDED("answered_elsewhere"));
	client_hears_nothing(late);
	/* And nothing more of that call. */
	client_gone(_i == 0 ? bob : ann);
	settle();
	pass(10000);
	settle();
	client_hears(_i == 0 ? ann : bob, ENDED("disconnected"));
	client_hears_nothing(late);
}
END_TEST

/* It is not for a second window to take the place of a caller who was there. */
START_TEST(a_window_that_was_there_takes_no_place)
{
	struct client *tab;

	ring();
	tab = enter("ann");
	pass(1100);
	settle();
	client_hears_nothing(tab);
	client_gone(ann);
	settle();
	may_not(tab, OFFER, "invalid_state");
	pass(10000);
	settle();
	client_hears(bob, ENDED("disconnected"));
	client_hears(tab, ENDED("disconnected"));
}
END_TEST

START_TEST(who_leaves_has_hung_up)
{
	talk();
	client_says(_i == 0 ? ann : bob, PUSH("7", "phx_leave", "{}"));
	settle();
	client_hears(_i == 0 ? bob : ann, _i == 0 ? ENDED_BY("user_hangup", "ann") : ENDED_BY("user_hangup", "bob"));
}
END_TEST

START_TEST(a_device_that_leaves_declines_nothing)
{
	ring();
	client_says(bob, PUSH("7", "phx_leave", "{}"));
	settle();
	client_hears_nothing(ann);
	says(ann, OFFER, OK);
	bob = enter("bob");
	client_hears(bob, INITIATED);
}
END_TEST

/* Busy. */

#define OTHER_CALL	"{\"caller_id\":\"cec\",\"callee_id\":\"bob\"}"

static struct client *
cec_calls(void)
{
	struct client *cec = client_new(&codec_phoenix_v2, "cec", 0);

	client_says(cec, "[\"1\",\"1\",\"s:2\",\"phx_join\"," OTHER_CALL "]");
	settle();
	client_says(cec, "[\"1\",\"2\",\"s:2\",\"call_initiate\",{\"callee_id\":\"bob\",\"call_type\":\"voice\"}]");
	settle();
	client_forgets(cec);
	return cec;
}

static void
bob_waits(void)
{
	client_says(bob, "[\"2\",\"2\",\"s:2\",\"phx_join\"," OTHER_CALL "]");
	settle();
	client_hears(bob, REPLY("\"2\"", "\"2\"", "s:2", OK));
}

/* Whether he waits for calls there, or comes when it rings. */
START_TEST(who_talks_is_busy)
{
	struct client *cec, *phone;

	talk();
	if (_i == 0)
		bob_waits();
	cec = client_new(&codec_phoenix_v2, "cec", 0);
	client_says(cec, "[\"1\",\"1\",\"s:2\",\"phx_join\"," OTHER_CALL "]");
	settle();
	client_forgets(cec);
	client_says(cec, "[\"1\",\"2\",\"s:2\",\"call_initiate\",{\"callee_id\":\"bob\",\"call_type\":\"voice\"}]");
	settle();
	client_hears(cec, REPLY("\"1\"", "\"2\"", "s:2", OK));
	if (_i == 1)
		bob_waits();
	settle();
	client_hears(cec, "[\"1\",null,\"s:2\",\"call_end\",{\"reason\":\"busy\"}]");
	client_hears_nothing(bob);
	/* Another device of his is told, too: it rang there. */
	phone = client_new(&codec_phoenix_v2, "bob", 0);
	client_says(phone, "[\"1\",\"1\",\"s:2\",\"phx_join\"," OTHER_CALL "]");
	settle();
	client_hears(phone, REPLY("\"1\"", "\"1\"", "s:2", OK));
	client_hears_nothing(phone);
}
END_TEST

START_TEST(who_is_rung_is_not_busy)
{
	struct client *cec;

	ring();
	bob_waits();
	cec = cec_calls();
	client_hears(bob, "[\"2\",null,\"s:2\",\"call_initiate\",{\"callee_id\":\"bob\",\"call_type\":\"voice\",\"from\":\"cec\"}]");
	client_hears_nothing(cec);
}
END_TEST

START_TEST(after_a_call_nobody_is_busy)
{
	talk();
	bob_waits();
	says(bob, END, OK);
	cec_calls();
	client_hears(bob, "[\"2\",null,\"s:2\",\"call_initiate\",{\"callee_id\":\"bob\",\"call_type\":\"voice\",\"from\":\"cec\"}]");
}
END_TEST

/* Other nodes. */

#define STATE(phase, since, more, a, b) "{\"phase\":\"" phase "\",\"since\":" since more ",\"a\":" a ",\"b\":" b "}"
#define MESSAGE(state, rest) "{\"state\":" state "," rest "}"
#define ANN_THERE	"{\"user\":\"ann\",\"channel\":\"far\",\"node\":\"n2\",\"epoch\":4}"
#define BOB		"{\"user\":\"bob\"}"
#define RINGS		STATE("ringing", "5000", ",\"caller\":\"a\"", ANN_THERE, BOB)
#define RINGS_OFFERED	STATE("ringing", "5000", ",\"caller\":\"a\",\"offered\":true,\"offer\":\"a\"", ANN_THERE, BOB)
#define DATA		"\"data\":{\"callee_id\":\"bob\",\"call_type\":\"video\",\"from\":\"ann\"}"
#define DATA_OFFER	"\"data\":{\"sdp\":\"o\",\"type\":\"offer\",\"from\":\"ann\"}"

static void
far_says(const char *payload)
{
	bench_other_says("s:1", "call", payload);
	settle();
}

static void
far_rings(void)
{
	bob = enter("bob");
	far_says(MESSAGE(RINGS, "\"event\":\"call_initiate\",\"from\":\"ann\",\"channel\":\"far\"," DATA));
	client_hears(bob, INITIATED);
	far_says(MESSAGE(RINGS_OFFERED, "\"event\":\"call_offer\",\"from\":\"ann\",\"channel\":\"far\"," DATA_OFFER));
	client_hears(bob, OFFERED);
}

START_TEST(a_node_that_is_down_takes_its_party_with_it)
{
	far_rings();
	says(bob, ANSWERS, OK);
	pass(20000);
	settle();
	client_hears_nothing(bob);
	bench_node_is_down("n2");
	/* It is seen within a second. */
	pass(1000);
	settle();
	pass(8500);
	settle();
	client_hears_nothing(bob);
	pass(3000);
	settle();
	client_hears(bob, ENDED("disconnected"));
}
END_TEST

/* What a channel of a dead node had heard is not known: all is told again. */
START_TEST(who_comes_back_from_a_dead_node)
{
	far_rings();
	bench_node_is_down("n2");
	says(bob, ANSWERS, OK);
	says(bob, ICE("1"), OK);
	ann = enter("ann");
	client_hears(ann, ANSWERED);
	client_hears(ann, CANDIDATE("1", "bob"));
	pass(20000);
	settle();
	client_hears_nothing(bob);
	says(ann, ICE("2"), OK);
	client_hears(bob, CANDIDATE("2", "ann"));
}
END_TEST

/* Our node was away, and is back under another epoch: its channels are there. */
START_TEST(a_node_that_was_away)
{
	talk();
	bench_epoch = 0;
	pass(30000);
	settle();
	client_hears_nothing(ann);
	bench_epoch = 2;
	pass(1000);
	settle();
	pass(1000);
	settle();
	/* Others are to know of it. */
	look_at_kept();
	ck_assert_ptr_null(strstr(kept.newest, "\"epoch\":1"));
	ck_assert_ptr_nonnull(strstr(kept.newest, "\"epoch\":2"));
	says(ann, ICE("1"), OK);
	client_hears(bob, CANDIDATE("1", "ann"));
	pass(20000);
	settle();
	client_hears_nothing(ann);
}
END_TEST

/* Who is cut off cannot say that others are gone. */
START_TEST(a_node_that_is_cut_off_ends_nothing)
{
	far_rings();
	says(bob, ANSWERS, OK);
	bench_epoch = 0;
	bench_node_is_down("n2");
	for (int i = 0; i < 30; i++)
		pass(1000);
	settle();
	client_hears_nothing(bob);
	bench_epoch = 1;
	pass(1000);
	settle();
	pass(8500);
	settle();
	client_hears_nothing(bob);
	pass(3000);
	settle();
	client_hears(bob, ENDED("disconnected"));
}
END_TEST

/* Our node ended without a word, and is there again. */
START_TEST(a_channel_that_nobody_knows_is_gone)
{
	bob = enter("bob");
	far_says(MESSAGE(STATE("ringing", "5000", ",\"caller\":\"a\"",
	    "{\"user\":\"ann\",\"channel\":\"ghost\",\"node\":\"" BENCH_NODE "\",\"epoch\":1}", BOB),
	    "\"event\":\"call_initiate\",\"from\":\"ann\",\"channel\":\"ghost\"," DATA));
	client_hears(bob, INITIATED);
	pass(10000);
	settle();
	client_hears(bob, ENDED("disconnected"));
}
END_TEST

/* A place is taken while we were thought to be gone. */
START_TEST(a_place_may_be_lost)
{
	talk();
	far_says(MESSAGE(STATE("active", "1900000000000", ",\"caller\":\"a\",\"offered\":true", ANN_THERE,
	    "{\"user\":\"bob\",\"channel\":\"x\",\"node\":\"n2\",\"epoch\":4}"), "\"event\":\"back\",\"channel\":\"x\",\"data\":{}"));
	/* That is no call that these two know of. */
	client_hears(ann, ENDED("disconnected"));
	client_hears(bob, ENDED("disconnected"));
	client_hears_nothing(ann);
}
END_TEST

START_TEST(another_device_there_answers)
{
	far_rings();
	far_says(MESSAGE(STATE("answered", "5000", ",\"caller\":\"a\",\"offered\":true", ANN_THERE,
	    "{\"user\":\"bob\",\"channel\":\"y\",\"node\":\"n3\",\"epoch\":4}"),
	    "\"event\":\"call_answer\",\"from\":\"bob\",\"channel\":\"y\",\"data\":{\"sdp\":\"a\",\"type\":\"answer\",\"from\":\"bob\"}"));
	client_hears(bob, ENDED("answered_elsewhere"));
	client_hears_nothing(bob);
}
END_TEST

/* The store was emptied, and somebody joined: nobody knows of the call any more. */
START_TEST(a_call_that_is_forgotten_is_over)
{
	talk();
	far_says(MESSAGE(STATE("idle", "0", "", "{\"user\":\"ann\"}", BOB), "\"event\":\"open\",\"data\":{}"));
	client_hears(ann, ENDED("disconnected"));
	client_hears(bob, ENDED("disconnected"));
	says(ann, INITIATE, OK);
	client_hears(bob, INITIATED);
}
END_TEST

/* The state is gone from the store, for its age; those who are there remember. */
START_TEST(a_long_call_can_be_ended)
{
	talk();
	bench_wall += INT64_C(25) * 3600 * 1000;
	says(ann, END, OK);
	client_hears(bob, ENDED_BY("user_hangup", "ann"));
	bench_wall += INT64_C(2) * 3600 * 1000;
	says(bob, "call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\"}", OK);
	client_hears(ann, SAID("call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\",\"from\":\"bob\"}"));
}
END_TEST

/* The topic was idle for so long that others have it now. */
START_TEST(two_others_have_the_topic)
{
	static const char there[] = "{\"user\":\"cec\",\"channel\":\"far\",\"node\":\"n2\",\"epoch\":4}";
	autofree char	 *state = xasprintf("{\"phase\":\"ringing\",\"since\":9,\"caller\":\"a\",\"a\":%s,\"b\":{\"user\":\"%s\"}}", there,
	    _i == 0 ? "dan" : "bob");
	autofree char	 *said = xasprintf("{\"state\":%s,\"event\":\"call_initiate\",\"from\":\"cec\",\"channel\":\"far\",\"data\":{}}", state);

	ann = enter("ann");
	bob = enter("bob");
	far_says(said);
	client_hears_nothing(ann);
	client_hears_nothing(bob);
	may_not(ann, INITIATE, "unauthorized");
	may_not(bob, "call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\"}", "unauthorized");
}
END_TEST

static const char *const nonsense[] = {
	"{}",
	"{\"state\":{},\"event\":\"call_end\",\"data\":{}}",
	"{\"state\":7,\"event\":\"call_end\",\"data\":{}}",
	MESSAGE(RINGS, "\"event\":\"call_initiate\",\"data\":{}"),
	MESSAGE(RINGS, "\"event\":\"call_initiate\",\"from\":\"ann\",\"data\":[]"),
};

START_TEST(nonsense_changes_nothing)
{
	ann = enter("ann");
	bob = enter("bob");
	far_says(nonsense[_i]);
	client_hears_nothing(ann);
	client_hears_nothing(bob);
	says(ann, INITIATE, OK);
	client_hears(bob, INITIATED);
}
END_TEST

/* Bad input. */

static const struct {
	const char *event, *payload, *answer;
} bad_pushes[] = {
	{ "call_initiate", "{\"call_type\":\"video\"}", INVALID("callee_id") },
	{ "call_initiate", "{\"callee_id\":7,\"call_type\":\"video\"}", INVALID("callee_id") },
	{ "call_initiate", "{\"callee_id\":\"cec\",\"call_type\":\"video\"}", REASON("unauthorized") },
	{ "call_initiate", "{\"callee_id\":\"ann\",\"call_type\":\"video\"}", REASON("unauthorized") },
	{ "call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"video\",\"caller_id\":\"bob\"}", REASON("unauthorized") },
	{ "call_initiate", "{\"callee_id\":\"bob\"}", INVALID("call_type") },
	{ "call_initiate", "{\"callee_id\":\"bob\",\"call_type\":\"fax\"}", INVALID("call_type") },
	{ "call_initiate", "{\"callee_id\":\"bob\",\"call_type\":true}", INVALID("call_type") },
	{ "call_offer", "{\"type\":\"offer\"}", INVALID("sdp") },
	{ "call_offer", "{\"sdp\":\"\",\"type\":\"offer\"}", INVALID("sdp") },
	{ "call_offer", "{\"sdp\":{},\"type\":\"offer\"}", INVALID("sdp") },
	{ "call_offer", "{\"sdp\":\"o\"}", INVALID("type") },
	{ "call_offer", "{\"sdp\":\"o\",\"type\":\"answer\"}", INVALID("type") },
	{ "call_offer", "{\"sdp\":\"o\",\"type\":1}", INVALID("type") },
	{ "call_offer", "{\"sdp\":\"o\",\"type\":\"offer\",\"from\":\"bob\"}", REASON("unauthorized") },
	{ "call_offer", "{\"sdp\":\"o\",\"type\":\"offer\",\"user_id\":\"bob\"}", REASON("unauthorized") },
	{ "call_answer", "{\"sdp\":\"a\",\"type\":\"offer\"}", INVALID("type") },
	{ "call_answer", "{\"sdp\":\"a\",\"type\":\"answer\"}", REASON("invalid_state") },
	{ "ice_candidate", "{}", INVALID("candidate") },
	{ "ice_candidate", "{\"candidate\":null}", INVALID("candidate") },
	{ "ice_candidate", "{\"candidate\":{}}", INVALID("candidate") },
	{ "ice_candidate", "{\"candidate\":\"c\",\"sdp_mid\":0}", INVALID("sdp_mid") },
	{ "ice_candidate", "{\"candidate\":\"c\",\"sdp_m_line_index\":\"0\"}", INVALID("sdp_m_line_index") },
	{ "ice_candidate", "{\"candidate\":\"c\",\"sdp_m_line_index\":65536}", INVALID("sdp_m_line_index") },
	{ "ice_candidate", "{\"candidate\":\"c\",\"sdp_m_line_index\":-1}", INVALID("sdp_m_line_index") },
	{ "ice_candidate", "{\"candidate\":\"c\",\"sdp_m_line_index\":0.5}", INVALID("sdp_m_line_index") },
	{ "call_end", "{\"reason\":7}", INVALID("reason") },
	{ "call_end", "[]", INVALID("payload") },
	{ "call_offer", "\"offer\"", INVALID("payload") },
	{ "call_hold", "{}", REASON("unknown_event") },
	{ "call", "{}", REASON("unknown_event") },
	{ "", "{}", REASON("unknown_event") },
};

START_TEST(bad_pushes_are_refused)
{
	ann = enter("ann");
	bob = enter("bob");
	says(ann, bad_pushes[_i].event, bad_pushes[_i].payload, bad_pushes[_i].answer);
	client_hears_nothing(bob);
}
END_TEST

/* So many x. */
static char *
xs(size_t n)
{
	char *text = xcalloc(1, n + 1);

	memset(text, 'x', n);
	return text;
}

START_TEST(sizes)
{
	autofree char *large = xs(65536 - 25), *larger = xs(65536 - 24), *why = xs(257);
	autofree char *mid = xasprintf("{\"candidate\":\"\",\"sdp_mid\":\"%s\"}", why);
	autofree char *fits = xasprintf("{\"sdp\":\"%s\",\"type\":\"offer\"}", large);
	autofree char *fits_not = xasprintf("{\"sdp\":\"%s\",\"type\":\"offer\"}", larger);
	autofree char *reason = xasprintf("{\"reason\":\"%s\"}", why);
	autofree char *heard = xasprintf(SAID("call_offer", "{\"sdp\":\"%s\",\"type\":\"offer\",\"from\":\"ann\"}"), large);

	ck_assert_uint_eq(strlen(fits), 65536);
	ring();
	says(ann, "call_offer", fits_not, INVALID("payload"));
	says(ann, "call_offer", fits, OK);
	client_hears(bob, heard);
	says(ann, "ice_candidate", mid, INVALID("sdp_mid"));
	says(ann, "call_end", reason, INVALID("reason"));
	reason[strlen(reason) - 3] = '"';
	reason[strlen(reason) - 2] = '}';
	reason[strlen(reason) - 1] = '\0';
	says(ann, "call_end", reason, OK);
}
END_TEST

/* Sound by itself, but not with what is said of the call: nobody could read it. */
START_TEST(what_cannot_be_passed_on_is_refused)
{
	static const char candidate[] = "{\"candidate\":\"c\",\"x\":";
	char		  deep[sizeof(candidate) + 2 * JSON_MAX_DEPTH] = "";
	size_t		  n = sizeof(candidate) - 1;

	memcpy(deep, candidate, n);
	memset(deep + n, '[', JSON_MAX_DEPTH - 1);
	memset(deep + n + JSON_MAX_DEPTH - 1, ']', JSON_MAX_DEPTH - 1);
	deep[n + 2 * (JSON_MAX_DEPTH - 1)] = '}';
	offer();
	says(ann, "ice_candidate", deep, INVALID("payload"));
	client_hears_nothing(bob);
	says(ann, ICE("1"), OK);
	client_hears(bob, CANDIDATE("1", "ann"));
}
END_TEST

START_TEST(bytes_are_no_payload)
{
	static const char push[] = "\x00\x01\x01\x03\x08" "12s:1call_end\x00\xff";

	ring();
	session_receive(&ann->session, true, slice(push, sizeof(push) - 1));
	settle();
	client_hears(ann, REPLY("\"1\"", "\"2\"", "s:1", INVALID("payload")));
}
END_TEST

/* 256 KiB in 60 s. */
START_TEST(what_is_kept_is_bounded)
{
	autofree char *large = xs(60000), *ice = xasprintf("{\"candidate\":\"%s\"}", large);

	offer();
	for (int i = 0; i < 4; i++)
		says(ann, "ice_candidate", ice, OK);
	client_forgets(bob);
	client_says(ann, PUSH("7", "ice_candidate", "{\"candidate\":\"\"}"));
	settle();
	client_hears(ann, ANSWER("7", OK));
	{
		autofree char *text = xasprintf(PUSH("8", "ice_candidate", "%s"), ice);

		client_says(bob, text);
	}
	settle();
	client_forgets(ann);
	client_hears(bob, SAID("ice_candidate", "{\"candidate\":\"\",\"from\":\"ann\"}"));
	client_hears_like(bob, ANSWER("8", "{\"status\":\"error\",\"response\":{\"reason\":\"rate_limit\",\"retry_after_ms\":*}}"));
	/* It can be ended at any time. */
	says(bob, END, OK);
	client_hears(ann, ENDED_BY("declined", "bob"));
}
END_TEST

/* Options. */

START_TEST(times_are_options)
{
	struct route_setting settings[] = { { "ring_timeout", "5s" }, { "grace", "2s" } };
	struct client	    *a = client_new(&codec_phoenix_v2, "ann", 0);

	bench_serve("q:{call_id}", &signaling_class, settings, 2, NULL);
	client_says(a, "[\"1\",\"1\",\"q:1\",\"phx_join\"," PAIR "]");
	settle();
	client_says(a, "[\"1\",\"2\",\"q:1\",\"call_initiate\",{\"callee_id\":\"bob\",\"call_type\":\"voice\"}]");
	settle();
	client_forgets(a);
	pass(4000);
	settle();
	client_hears_nothing(a);
	pass(1000);
	settle();
	client_hears(a, "[\"1\",null,\"q:1\",\"call_end\",{\"reason\":\"missed\"}]");
}
END_TEST

static const struct {
	struct route_setting setting;
	const char	    *why;
} bad_options[] = {
	{ { "ring_timeout", "0" }, "ring_timeout: expected a time such as 30s" },
	{ { "ring_timeout", "long" }, "ring_timeout: expected a time such as 30s" },
	{ { "ring_timeout", "600000000000h" }, "ring_timeout: expected a time such as 30s" },
	{ { "grace", "-1" }, "grace: expected a time such as 10s" },
	{ { "keep", "0" }, "keep: expected a time from 1s to 24h" },
	{ { "keep", "25h" }, "keep: expected a time from 1s to 24h" },
	{ { "max_event", "10" }, "max_event: expected a number from 1024 to 1048576" },
	{ { "max_event", "many" }, "max_event: expected a number from 1024 to 1048576" },
	{ { "max_kept", "1024" }, "max_kept: expected a number from max_event to 16777216" },
	{ { "max_kept", "1000000000" }, "max_kept: expected a number from max_event to 16777216" },
};

START_TEST(bad_options_are_refused)
{
	struct route_setting setting = bad_options[_i].setting;
	autofree char	    *why = NULL;

	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = "t:*", .class = "signaling", .settings = &setting, .n_settings = 1,
	}, &why), -EINVAL);
	ck_assert_msg(strstr(why, bad_options[_i].why) != NULL, "%s", why);
}
END_TEST

static void
add_talk(TCase *t)
{
	tcase_add_test(t, a_call);
	tcase_add_loop_test(t, payloads_are_passed_on_untouched, 0, COUNT(untouched));
	tcase_add_test(t, pushes_keep_their_order);
	tcase_add_test(t, the_queue_is_bounded);
	tcase_add_test(t, what_waits_goes_with_its_channel);
	tcase_add_test(t, nothing_without_a_call);
	tcase_add_test(t, nothing_out_of_order);
	tcase_add_test(t, media_may_change);
	tcase_add_loop_test(t, glare, 0, 2);
	tcase_add_test(t, the_first_to_answer_has_the_call);
	tcase_add_test(t, the_callers_others_look_on);
	tcase_add_test(t, one_device_declines_for_all);
	tcase_add_test(t, the_caller_gives_up);
	tcase_add_test(t, a_late_callee_is_told_all);
	tcase_add_test(t, no_words_are_kept_of_a_call_that_is_over);
	tcase_add_test(t, nothing_is_lost_while_it_joins);
	tcase_add_test(t, old_words_are_not_told);
	tcase_add_test(t, an_old_ring_is_no_news);
	tcase_add_test(t, nothing_is_left_of_a_call);
	tcase_add_loop_test(t, who_talks_is_busy, 0, 2);
	tcase_add_test(t, who_is_rung_is_not_busy);
	tcase_add_test(t, after_a_call_nobody_is_busy);
}

static void
add_time(TCase *t)
{
	tcase_add_test(t, a_ring_that_nobody_answers_is_missed);
	tcase_add_test(t, even_if_nobody_is_there);
	tcase_add_test(t, a_call_that_was_answered_is_not_missed);
	tcase_add_test(t, each_call_rings_for_its_own_time);
	tcase_add_test(t, while_the_store_is_away_nothing_ends);
	tcase_add_loop_test(t, who_is_lost_for_longer_than_the_grace_has_ended_it, 0, 2);
	tcase_add_test(t, a_ring_without_a_caller);
	tcase_add_test(t, a_ring_goes_on_without_a_device);
	tcase_add_test(t, who_comes_back_gets_what_it_missed);
	tcase_add_test(t, who_comes_back_may_speak_at_once);
	tcase_add_test(t, who_waits_in_vain_may_not_speak);
	tcase_add_test(t, a_caller_who_comes_back_is_answered);
	tcase_add_test(t, who_comes_before_it_is_gone);
	tcase_add_test(t, a_device_takes_its_own_place);
	tcase_add_test(t, a_channel_may_be_replaced);
	tcase_add_loop_test(t, a_newcomer_is_told_that_it_was_answered_elsewhere, 0, 2);
	tcase_add_test(t, a_window_that_was_there_takes_no_place);
	tcase_add_loop_test(t, who_leaves_has_hung_up, 0, 2);
	tcase_add_test(t, a_device_that_leaves_declines_nothing);
}

static void
add_nodes(TCase *t)
{
	tcase_add_test(t, a_node_that_is_down_takes_its_party_with_it);
	tcase_add_test(t, who_comes_back_from_a_dead_node);
	tcase_add_test(t, a_node_that_was_away);
	tcase_add_test(t, a_node_that_is_cut_off_ends_nothing);
	tcase_add_test(t, a_channel_that_nobody_knows_is_gone);
	tcase_add_test(t, a_place_may_be_lost);
	tcase_add_test(t, another_device_there_answers);
	tcase_add_test(t, a_call_that_is_forgotten_is_over);
	tcase_add_test(t, a_long_call_can_be_ended);
	tcase_add_loop_test(t, two_others_have_the_topic, 0, 2);
	tcase_add_loop_test(t, nonsense_changes_nothing, 0, COUNT(nonsense));
}

static void
add_input(TCase *t)
{
	tcase_add_test(t, the_two_are_in);
	tcase_add_loop_test(t, others_are_not, 0, COUNT(bad_joins));
	tcase_add_test(t, long_names_are_refused);
	tcase_add_test(t, the_first_pair_stands);
	tcase_add_loop_test(t, without_the_store_nobody_is_in, 0, 2);
	tcase_add_test(t, a_join_may_be_given_up);
	tcase_add_loop_test(t, bad_pushes_are_refused, 0, COUNT(bad_pushes));
	tcase_add_test(t, sizes);
	tcase_add_test(t, what_cannot_be_passed_on_is_refused);
	tcase_add_test(t, bytes_are_no_payload);
	tcase_add_test(t, what_is_kept_is_bounded);
	tcase_add_test(t, times_are_options);
	tcase_add_loop_test(t, bad_options_are_refused, 0, COUNT(bad_options));
}

Suite *
signaling_suite(void)
{
	static const struct {
		const char *name;
		void	  (*add)(TCase *);
	} parts[] = { { "input", add_input }, { "talk", add_talk }, { "time", add_time }, { "nodes", add_nodes } };
	Suite *s = suite_create("signaling");

	for (unsigned i = 0; i < COUNT(parts); i++) {
		TCase *t = tcase_create(parts[i].name);

		tcase_add_checked_fixture(t, begin, bench_end);
		parts[i].add(t);
		suite_add_tcase(s, t);
	}
	return s;
}
