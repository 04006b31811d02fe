/*
 * An authorizer and those it asks, on one loop; deadlines, rests and what is remembered are reached by turning time.
 */
#include <check.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/stats.h"
#include "http_stub.h"
#include "auth/authorizer.h"
#include "turned_by_hand.h"

Suite *authorizer_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#define SECRET	"a-secret-of-some-length"
#define NOWHERE	"http://127.0.0.1:1/"
#define REASON_256 \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct loop     *loop;
static struct authorizer *authorizer;
static struct http_stub stub;
static struct authorizer_options options;

/* Who asks, and what came of it. */
struct asked {
	struct authorization *waits;
	unsigned	      told;
	bool		      yes;
	char		      reason[300];
	struct asked	     *cancels;	/* when it is told */
};

static unsigned all_told;

static void
on_told(void *arg, bool yes, struct slice reason)
{
	struct asked *a = arg;

	all_told++;
	a->told++;
	a->yes = yes;
	snprintf(a->reason, sizeof(a->reason), "%.*s", SLICE_ARG(reason));
	if (a->cancels != NULL && a->cancels->told == 0)
		authorizer_ops.cancel(a->cancels->waits);
}

static void
ask_request(struct asked *a, const struct authorize_request *r)
{
	a->waits = authorizer_ops.ask(authorizer, r, on_told, a);
	ck_assert_uint_eq(a->told, a->waits == NULL);
}

static void
ask_url(struct asked *a, const char *url, const char *channel)
{
	ask_request(a, &(struct authorize_request){
		.url = url, .user = SLICE("ann"), .claims = SLICE("{\"role\":\"admin\"}"), .channel = slice_str(channel),
		.connection = SLICE("c-1"),
	});
}

static void
ask(struct asked *a, const char *path, const char *channel)
{
	autofree char *url = xasprintf("%s%s", stub.url, path);

	*a = (struct asked){ .cancels = a->cancels };
	ask_url(a, url, channel);
}

/* So many different questions, each with nobody's answer yet. */
static void
ask_many(struct asked *a, unsigned n, const char *path, const char *name)
{
	for (unsigned i = 0; i < n; i++) {
		char channel[32];

		snprintf(channel, sizeof(channel), "%s%u", name, i);
		ask(&a[i], path, channel);
	}
}

static void
set_up(void)
{
	loop = loop_new();
	authorizer = authorizer_new(loop);
	ck_assert_ptr_nonnull(authorizer);
	options = (struct authorizer_options){
		.secret = SLICE(SECRET), .timeout_ms = 2000, .cache_ms = 5000, .parallel = 2, .known = 3,
	};
	authorizer_configure(authorizer, &options);
	http_stub_init(&stub, loop);
	all_told = 0;
}

static void
tear_down(void)
{
	ck_assert_ptr_null(authorizer_free(authorizer));
	http_stub_done(&stub);
	loop_free(loop);
}

static const struct {
	const char *path, *answer;
	bool	    yes;
	const char *reason;
	bool	    kept;
} answers[] = {
	{ "/", "{\"authorized\":true}", true, "", true },
	{ "/", " \n{ \"x\" : [1], \"authorized\" : true } \n", true, "", true },
	{ "/", "{\"authorized\":true,\"reason\":\"because\"}", true, "", true },
	{ "/", "{\"authorized\":false}", false, "", true },
	{ "/", "{\"authorized\":false,\"reason\":\"n\\u00f6 \\\"way\\\"\"}", false, "n\u00f6 \"way\"", true },
	{ "/", "{\"authorized\":false,\"reason\":\"" REASON_256 "\"}", false, REASON_256, true },
	{ "/", "{\"authorized\":false,\"reason\":\"" REASON_256 "x\"}", false, "", true },
	{ "/", "{\"authorized\":false,\"reason\":\"\"}", false, "", true },
	{ "/", "{\"authorized\":false,\"reason\":7}", false, "", true },
	{ "/", "{\"authorized\":false,\"reason\":\"\\ud800\"}", false, "", true },
	{ "/", "{\"authorized\":true,\"authorized\":false}", false, "", true },
	{ "/", "{\"authorized\":\"true\"}", false, "", false },
	{ "/", "{\"authorized\":1,\"reason\":\"r\"}", false, "", false },
	{ "/", "{\"authorized\":null}", false, "", false },
	{ "/", "{\"Authorized\":true}", false, "", false },
	{ "/", "{\"x\":{\"authorized\":true}}", false, "", false },
	{ "/", "[{\"authorized\":true}]", false, "", false },
	{ "/", "{\"authorized\":true}}", false, "", false },
	{ "/", "{\"authorized\":true", false, "", false },
	{ "/", "true", false, "", false },
	{ "/", "", false, "", false },
	{ "/", "{\"authorized\":true,\"x\":\"\xff\"}", false, "", false },
	{ "/201", "{\"authorized\":true}", false, "", false },
	{ "/204", "{\"authorized\":true}", false, "", false },
	{ "/302", "{\"authorized\":true}", false, "", false },
	{ "/403", "{\"authorized\":false,\"reason\":\"r\"}", false, "", false },
	{ "/500", "{\"authorized\":true}", false, "", false },
	{ "/hangup", "", false, "", false },
	{ "/huge", "", false, "", false },
	{ "/head", "", false, "", false },
};

START_TEST(answers_count)
{
	struct asked a = { 0 };

	stub.answer = answers[_i].answer;
	ask(&a, answers[_i].path, "room:1");
	ck_assert_ptr_nonnull(a.waits);
	turn_until(loop, &a.told, 1);
	ck_assert(a.yes == answers[_i].yes);
	ck_assert_str_eq(a.reason, answers[_i].reason);
	/* Asked again, it is known, or not. */
	ask(&a, answers[_i].path, "room:1");
	turn_until(loop, &a.told, 1);
	ck_assert(a.yes == answers[_i].yes);
	ck_assert_str_eq(a.reason, answers[_i].reason);
	ck_assert_uint_eq(stub.n_requests, answers[_i].kept ? 1 : 2);
}
END_TEST

static const struct {
	struct authorize_request request;
	const char		*body;
} questions[] = {
	{ { .user = { "ann", 3 }, .claims = { "{\"a\":[1]}", 9 }, .channel = { "private-x", 9 }, .info = { "{\"n\":\"\\u00e4\"}", 14 },
	    .connection = { "id-1", 4 } },
	  "{\"user\":\"ann\",\"claims\":{\"a\":[1]},\"channel\":\"private-x\",\"userInfo\":{\"n\":\"\\u00e4\"},\"connection_id\":\"id-1\"}" },
	{ { .channel = { "a\"b\\", 4 }, .connection = { "", 0 } },
	  "{\"user\":null,\"claims\":{},\"channel\":\"a\\\"b\\\\\",\"userInfo\":null,\"connection_id\":\"\"}" },
};

static void
check_signature(const char *body)
{
	uint8_t	 mac[32];
	char	 line[128] = "\nX-Roost-Signature: ";
	unsigned n = sizeof(mac);

	HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (const unsigned char *)body, strlen(body), mac, &n);
	for (unsigned i = 0; i < n; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%02x", mac[i]);
	ck_assert_msg(strstr(stub.seen.p, line) != NULL, "no%s in %s", line, stub.seen.p);
}

START_TEST(questions_are_signed)
{
	struct authorize_request r = questions[_i].request;
	autofree char		*url = xasprintf("%s/?a=b", stub.url);
	struct asked		 a = { 0 };
	const char		*body;

	r.url = url;
	ask_request(&a, &r);
	turn_until(loop, &a.told, 1);
	body = strstr(stub.seen.p, "\n\n") + 2;
	ck_assert_str_eq(body, questions[_i].body);
	check_signature(body);
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "POST /?a=b\n"));
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "\nContent-Type: application/json\n"));
}
END_TEST

/* What others can compute: printf %s BODY | openssl dgst -sha256 -hmac a-secret-of-some-length */
START_TEST(a_known_signature)
{
	struct authorize_request r = { .channel = SLICE("c"), .connection = SLICE("i") };
	autofree char		*url = xasprintf("%s/", stub.url);
	struct asked		 a = { 0 };

	r.url = url;
	ask_request(&a, &r);
	turn_until(loop, &a.told, 1);
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "\nX-Roost-Signature: d6c3e50f83a5905bfd1ecdba0f282562a90c43d680c118cc1fae4bc2041cf089\n"));
}
END_TEST

START_TEST(answers_hold_for_a_while)
{
	struct asked a = { 0 }, b = { 0 };

	stub.answer = "{\"authorized\":false,\"reason\":\"r\"}";
	ask(&a, "/", "room:1");
	turn_until(loop, &a.told, 1);
	turn_after(loop, 4000);
	stub.answer = "{\"authorized\":true}";
	ask(&b, "/", "room:1");
	ck_assert_ptr_null(b.waits);
	ck_assert(!b.yes);
	ck_assert_str_eq(b.reason, "r");
	turn_after(loop, 1200);
	ask(&b, "/", "room:1");
	ck_assert_ptr_nonnull(b.waits);
	turn_until(loop, &b.told, 1);
	ck_assert(b.yes);
	ck_assert_uint_eq(stub.n_requests, 2);
}
END_TEST

/* Everything but the connection. */
START_TEST(other_questions_are_others)
{
	const struct authorize_request same = { .user = SLICE("u"), .claims = SLICE("{}"), .channel = SLICE("c"), .info = SLICE("{}"),
		.connection = SLICE("1") };
	struct authorize_request others[6];
	autofree char		*url = xasprintf("%s/", stub.url), *url_2 = xasprintf("%s/?2", stub.url);
	struct asked		 a;

	stub.answer = "{\"authorized\":true}";
	for (unsigned i = 0; i < 6; i++) {
		others[i] = same;
		others[i].url = url;
	}
	others[0].connection = SLICE("2");
	others[1].user = SLICE("");
	others[2].claims = SLICE("{\"exp\":1}");
	others[3].channel = SLICE("d");
	others[4].info = SLICE("");
	others[5].url = url_2;
	options.known = 10;
	authorizer_configure(authorizer, &options);
	for (unsigned i = 0; i < 6; i++) {
		a = (struct asked){ 0 };
		ask_request(&a, &others[i]);
		ck_assert_ptr_nonnull(a.waits);
		turn_until(loop, &a.told, 1);
		ck_assert_uint_eq(stub.n_requests, i + 1);
		a = (struct asked){ 0 };
		ask_request(&a, &others[i]);
		ck_assert_ptr_null(a.waits);
	}
	/* Of another connection, but known. */
	others[0].connection = SLICE("3");
	a = (struct asked){ 0 };
	ask_request(&a, &others[0]);
	ck_assert_ptr_null(a.waits);
}
END_TEST

START_TEST(not_too_much_is_known)
{
	struct asked a = { 0 };

	stub.answer = "{\"authorized\":true}";
	for (unsigned i = 0; i < 5; i++) {
		char channel[2] = { (char)('a' + i), '\0' };

		ask(&a, "/", channel);
		turn_until(loop, &a.told, 1);
	}
	for (unsigned i = 5; i-- > 2;) {
		char channel[2] = { (char)('a' + i), '\0' };

		ask(&a, "/", channel);
		ck_assert_ptr_null(a.waits);
	}
	ask(&a, "/", "b");
	ck_assert_ptr_nonnull(a.waits);
	turn_until(loop, &a.told, 1);
}
END_TEST

START_TEST(without_a_cache_all_are_asked)
{
	struct asked a[2] = { 0 };

	options.cache_ms = 0;
	authorizer_configure(authorizer, &options);
	ask(&a[0], "/later", "room:1");
	ask(&a[1], "/later", "room:1");
	turn_until(loop, &stub.n_pending, 2);
	http_stub_answer(&stub, "{\"authorized\":true}");
	turn_until(loop, &all_told, 2);
	ask(&a[0], "/later", "room:1");
	turn_until(loop, &stub.n_pending, 1);
	http_stub_answer(&stub, "{\"authorized\":true}");
	turn_until(loop, &all_told, 3);
}
END_TEST

START_TEST(the_same_question_shares_a_call)
{
	struct asked a[4] = { 0 };

	/* The second is no more, when the first was told. */
	a[0].cancels = &a[1];
	for (unsigned i = 0; i < 4; i++)
		ask(&a[i], "/later", "room:1");
	turn_until(loop, &stub.n_pending, 1);
	authorizer_ops.cancel(a[2].waits);
	turn_a_few(loop);
	http_stub_answer(&stub, "{\"authorized\":false,\"reason\":\"all of you\"}");
	turn_until(loop, &a[3].told, 1);
	ck_assert_uint_eq(all_told, 2);
	ck_assert_str_eq(a[0].reason, "all of you");
	ck_assert_str_eq(a[3].reason, "all of you");
	ck_assert_uint_eq(stub.n_requests, 1);
}
END_TEST

START_TEST(two_at_a_time_of_each_url)
{
	struct asked a[5] = { 0 }, other = { 0 };

	stub.answer = "{\"authorized\":true}";
	ask_many(a, 5, "/later", "room:");
	turn_until(loop, &stub.n_pending, 2);
	/* Whoever hangs keeps nobody else waiting. */
	ask(&other, "/", "room:0");
	turn_until(loop, &other.told, 1);
	ck_assert(other.yes);
	ck_assert_uint_eq(stub.n_requests, 3);
	for (unsigned told = 2; told <= 4; told += 2) {
		http_stub_answer(&stub, "{\"authorized\":true}");
		turn_until(loop, &all_told, 1 + told);
		turn_until(loop, &stub.n_pending, told == 2 ? 2 : 1);
		turn_a_few(loop);
		ck_assert_uint_eq(stub.n_requests, 3 + (told == 2 ? 2 : 3));
	}
	http_stub_answer(&stub, "{\"authorized\":true}");
	turn_until(loop, &all_told, 6);
	for (unsigned i = 0; i < 5; i++)
		ck_assert(a[i].yes);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
	static struct asked a[AUTHORIZER_MAX_QUEUE + 3];

	ask_many(a, AUTHORIZER_MAX_QUEUE + 2, "/later", "room:");
	ck_assert_uint_eq(all_told, 0);
	ask(&a[AUTHORIZER_MAX_QUEUE + 2], "/later", "one more");
	ck_assert_ptr_null(a[AUTHORIZER_MAX_QUEUE + 2].waits);
	ck_assert_uint_eq(all_told, 1);
	/* One who goes makes room. */
	authorizer_ops.cancel(a[100].waits);
	ask(&a[100], "/later", "another");
	ck_assert_ptr_nonnull(a[100].waits);
	/* Whoever waits is told no when time is up. */
	turn_after(loop, 1900);
	ck_assert_uint_eq(all_told, 1);
	turn_after(loop, 200);
	ck_assert_uint_eq(all_told, AUTHORIZER_MAX_QUEUE + 3);
	ck_assert(!a[0].yes && !a[900].yes);
}
END_TEST

START_TEST(so_are_its_bytes)
{
	autofree char		*big = xmalloc(AUTHORIZER_MAX_WAITING / 4), *url = xasprintf("%s/later", stub.url);
	struct authorize_request r = { .url = url, .connection = SLICE("c") };
	struct asked		 a[7] = { 0 };

	memset(big, ' ', AUTHORIZER_MAX_WAITING / 4);
	for (unsigned i = 0; i < 7; i++) {
		char channel[2] = { (char)('a' + i), '\0' };

		r.channel = slice_str(channel);
		r.info = slice(big, i < 2 ? 10 : AUTHORIZER_MAX_WAITING / 4);
		ask_request(&a[i], &r);
	}
	ck_assert_ptr_nonnull(a[4].waits);
	ck_assert_ptr_null(a[5].waits);
	ck_assert_ptr_null(a[6].waits);
}
END_TEST

START_TEST(time_is_up)
{
	struct asked a = { 0 };

	ask(&a, "/later", "room:1");
	turn_until(loop, &stub.n_pending, 1);
	turn_after(loop, 1900);
	ck_assert_uint_eq(a.told, 0);
	turn_after(loop, 200);
	ck_assert_uint_eq(a.told, 1);
	ck_assert(!a.yes);
	ck_assert_str_eq(a.reason, "");
}
END_TEST

static void
fail_five_times(void)
{
	for (unsigned i = 0; i < AUTHORIZER_MAX_FAILURES; i++) {
		struct asked a = { 0 };

		ask(&a, "/hangup", "room:1");
		ck_assert_ptr_nonnull(a.waits);
		turn_until(loop, &a.told, 1);
		ck_assert(!a.yes);
	}
}

START_TEST(silence_is_not_waited_for)
{
	struct asked a[3] = { 0 };

	fail_five_times();
	ask(&a[0], "/hangup", "room:1");
	ck_assert_ptr_null(a[0].waits);
	ck_assert(!a[0].yes);
	ck_assert_uint_eq(stub.n_requests, AUTHORIZER_MAX_FAILURES);
	/* Another URL is another matter. */
	stub.answer = "{\"authorized\":true}";
	ask(&a[0], "/", "room:1");
	turn_until(loop, &a[0].told, 1);
	ck_assert(a[0].yes);
	/* After a while one may try, and no other meanwhile. */
	turn_after(loop, 1100);
	ask(&a[0], "/hangup", "room:1");
	ask(&a[1], "/hangup", "room:2");
	ck_assert_ptr_nonnull(a[0].waits);
	ck_assert_ptr_null(a[1].waits);
	turn_until(loop, &a[0].told, 1);
	ask(&a[2], "/hangup", "room:1");
	ck_assert_ptr_null(a[2].waits);
}
END_TEST

START_TEST(who_answers_again_is_asked_again)
{
	struct asked a[4] = { 0 };

	options.parallel = 10;
	authorizer_configure(authorizer, &options);
	for (unsigned i = 0; i < 5; i++) {
		ask(&a[0], "/later", "room:1");
		turn_until(loop, &stub.n_pending, 1);
		turn_after(loop, 2100);
		ck_assert_uint_eq(a[0].told, 1);
		stub.n_pending = 0;
	}
	ask(&a[0], "/later", "room:1");
	ck_assert_ptr_null(a[0].waits);
	turn_after(loop, 1100);
	ask(&a[0], "/later", "room:1");
	turn_until(loop, &stub.n_pending, 1);
	http_stub_answer(&stub, "{}");
	turn_until(loop, &a[0].told, 1);
	for (unsigned i = 0; i < 4; i++) {
		char channel[2] = { (char)('a' + i), '\0' };

		ask(&a[i], "/later", channel);
		ck_assert_ptr_nonnull(a[i].waits);
	}
	turn_until(loop, &stub.n_pending, 4);
}
END_TEST

/* Who was called with hardly any time left proves nothing. */
START_TEST(short_calls_are_no_silence)
{
	struct asked a[2 + AUTHORIZER_MAX_FAILURES] = { 0 };

	ask(&a[0], "/later", "a");
	ask(&a[1], "/later", "b");
	turn_until(loop, &stub.n_pending, 2);
	options.parallel = 2 + AUTHORIZER_MAX_FAILURES;
	ask_many(a + 2, AUTHORIZER_MAX_FAILURES, "/later", "room:");
	turn_after(loop, 1900);
	authorizer_configure(authorizer, &options);
	http_stub_answer(&stub, "{\"authorized\":true}");
	turn_until(loop, &stub.n_pending, AUTHORIZER_MAX_FAILURES);
	turn_after(loop, 200);
	ck_assert_uint_eq(all_told, 2 + AUTHORIZER_MAX_FAILURES);
	ck_assert(!a[2].yes);
	ask(&a[0], "/later", "c");
	ck_assert_ptr_nonnull(a[0].waits);
}
END_TEST

/* Those who waited when it was found out need not wait any longer. */
START_TEST(a_queue_in_vain_is_told)
{
	struct asked a[10] = { 0 };

	options.parallel = 1;
	authorizer_configure(authorizer, &options);
	for (unsigned i = 0; i < 10; i++) {
		char channel[2] = { (char)('a' + i), '\0' };

		ask_url(&a[i], NOWHERE, channel);
		ck_assert_ptr_nonnull(a[i].waits);
	}
	turn_until(loop, &all_told, AUTHORIZER_MAX_FAILURES);
	ck_assert_uint_eq(all_told, 10);
}
END_TEST

/* A client may know how to provoke that: it would shut out the others. */
START_TEST(bad_answers_are_no_silence)
{
	struct asked a = { 0 };

	for (unsigned i = 0; i < 2 * AUTHORIZER_MAX_FAILURES; i++) {
		ask(&a, "/500", "room:1");
		ck_assert_ptr_nonnull(a.waits);
		turn_until(loop, &a.told, 1);
		ck_assert(!a.yes);
	}
	ck_assert_uint_eq(stub.n_requests, 2 * AUTHORIZER_MAX_FAILURES);
}
END_TEST

START_TEST(cancelled_are_not_told)
{
	struct asked a[3] = { 0 };

	ask_many(a, 3, "/later", "room:");
	turn_until(loop, &stub.n_pending, 2);
	for (unsigned i = 0; i < 3; i++)
		authorizer_ops.cancel(a[i].waits);
	http_stub_answer(&stub, "{\"authorized\":true}");
	turn_after(loop, 100);
	turn_until(loop, &stub.n_requests, 2);
	while (all_told == 0) {
		/* What was under way was of use; what had only waited was never sent. */
		ask(&a[0], "/later", "room:0");
		if (a[0].told == 0) {
			authorizer_ops.cancel(a[0].waits);
			loop_turn(loop, true);
		}
	}
	ck_assert(a[0].yes);
	ck_assert_uint_eq(all_told, 1);
	ck_assert_uint_eq(stub.n_requests, 2);
}
END_TEST

START_TEST(a_reload_forgets)
{
	struct asked a = { 0 };

	stub.answer = "{\"authorized\":true}";
	ask(&a, "/", "room:1");
	turn_until(loop, &a.told, 1);
	options.secret = SLICE("another-secret-of-some-length");
	authorizer_configure(authorizer, &options);
	ask(&a, "/", "room:1");
	ck_assert_ptr_nonnull(a.waits);
	/* Under way, as it is read again. */
	authorizer_configure(authorizer, &options);
	turn_until(loop, &a.told, 1);
	ck_assert(a.yes);
	options.secret = SLICE("");
	authorizer_configure(authorizer, &options);
	ask(&a, "/", "room:2");
	ck_assert_ptr_null(a.waits);
	ck_assert(!a.yes);
	ck_assert_uint_eq(stub.n_requests, 2);
}
END_TEST

START_TEST(freed_under_way)
{
	struct asked a[6] = { 0 };

	ask_many(a, 5, "/later", "room:");
	ask(&a[5], "/later", "room:0");
	turn_until(loop, &stub.n_pending, 2);
	authorizer = authorizer_free(authorizer);
	turn_after(loop, 3000);
	ck_assert_uint_eq(all_told, 0);
}
END_TEST

START_TEST(calls_and_failures_are_counted)
{
	const struct stats before = *stats;
	struct asked	   a = { 0 };

	stub.answer = "{\"authorized\":true}";
	ask(&a, "/", "room:1");
	turn_until(loop, &a.told, 1);
	ask(&a, "/500", "room:1");
	turn_until(loop, &a.told, 1);
	ck_assert_uint_eq(stats->authorizer_calls_total - before.authorizer_calls_total, 2);
	ck_assert_uint_eq(stats->authorizer_failures_total - before.authorizer_failures_total, 1);
}
END_TEST

Suite *
authorizer_suite(void)
{
	Suite *s = suite_create("authorizer");
	TCase *tc = tcase_create("core");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	LOOP(tc, answers_count, answers);
	LOOP(tc, questions_are_signed, questions);
	tcase_add_test(tc, a_known_signature);
	tcase_add_test(tc, answers_hold_for_a_while);
	tcase_add_test(tc, other_questions_are_others);
	tcase_add_test(tc, not_too_much_is_known);
	tcase_add_test(tc, without_a_cache_all_are_asked);
	tcase_add_test(tc, the_same_question_shares_a_call);
	tcase_add_test(tc, two_at_a_time_of_each_url);
	tcase_add_test(tc, the_queue_is_bounded);
	tcase_add_test(tc, so_are_its_bytes);
	tcase_add_test(tc, time_is_up);
	tcase_add_test(tc, silence_is_not_waited_for);
	tcase_add_test(tc, who_answers_again_is_asked_again);
	tcase_add_test(tc, short_calls_are_no_silence);
	tcase_add_test(tc, a_queue_in_vain_is_told);
	tcase_add_test(tc, bad_answers_are_no_silence);
	tcase_add_test(tc, cancelled_are_not_told);
	tcase_add_test(tc, a_reload_forgets);
	tcase_add_test(tc, freed_under_way);
	tcase_add_test(tc, calls_and_failures_are_counted);
	suite_add_tcase(s, tc);
	return s;
}
