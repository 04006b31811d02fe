/*
 * Joins that others have a say in: the route's guard, and an authorizer that answers when the test has it answer.
 */
#include "session_bench.h"

Suite *join_suite(void);

struct authorization {
	authorized_fn	*fn;
	void		*fn_arg;
};

static struct authorization asked;	/* fn NULL: nobody is */
static unsigned n_asked, n_cancelled;
static int at_once;			/* 1 = yes, -1 = no */
static char request[512];

static struct authorization *
ask(void *arg, const struct authorize_request *r, authorized_fn *fn, void *fn_arg)
{
	ck_assert_ptr_eq(arg, &asked);
	ck_assert_ptr_null(asked.fn);
	n_asked++;
	snprintf(request, sizeof(request), "%s user=%.*s claims=%.*s channel=%.*s info=%.*s", r->url, SLICE_ARG(r->user),
	    SLICE_ARG(r->claims), SLICE_ARG(r->channel), SLICE_ARG(r->info));
	ck_assert_uint_gt(r->connection.n, 0);
	if (at_once != 0) {
		fn(fn_arg, at_once > 0, SLICE("at once"));
		return NULL;
	}
	asked = (struct authorization){ .fn = fn, .fn_arg = fn_arg };
	return &asked;
}

static void
cancel(struct authorization *a)
{
	ck_assert_ptr_eq(a, &asked);
	ck_assert_ptr_nonnull(a->fn);
	a->fn = NULL;
	n_cancelled++;
}

static const struct session_authorizer authorizer = { .ask = ask, .cancel = cancel };

static void
says(bool yes, const char *reason)
{
	struct authorization a = asked;

	ck_assert_ptr_nonnull(a.fn);
	asked.fn = NULL;
	a.fn(a.fn_arg, yes, slice_str(reason));
}

static void
serve(const char *pattern, bool public, const char *const *allow, const char *url)
{
	char *why;

	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = pattern, .class = "probe", .public = public, .allow = allow, .authorize_url = url }, &why), 0);
}

#define URL	"http://localhost/may"

static void
begin(void)
{
	bench_begin();
	serve("asked:*", true, NULL, URL);
	bench.authorizer = &authorizer;
	bench.authorizer_arg = &asked;
	asked.fn = NULL;
	n_asked = n_cancelled = 0;
	at_once = 0;
	request[0] = '\0';
}

static void
end(void)
{
	bench_end();
	ck_assert_ptr_null(asked.fn);
}

#define JOIN(topic)	"[\"1\",\"1\",\"" topic "\",\"phx_join\",{}]"
#define JOINED(topic)	REPLY("\"1\"", "\"1\"", topic, OK)
#define REFUSED(topic)	REPLY("\"1\"", "\"1\"", topic, REASON("unauthorized"))

/* Guards. */

static const struct {
	const char *user, *says, *hears;
} guarded[] = {
	{ "u1", JOIN("own:u1"), JOINED("own:u1") },
	{ "u1", JOIN("own:u2"), REFUSED("own:u2") },
	{ "", JOIN("own:u1"), REFUSED("own:u1") },
	{ "u1", JOIN("open:x"), JOINED("open:x") },
	{ "", JOIN("open:x"), JOINED("open:x") },
	{ "u1", JOIN("known:x"), JOINED("known:x") },
	/* The route is public, but its guard is not. */
	{ "", JOIN("known:x"), REFUSED("known:x") },
	{ "", JOIN("closed:x"), REFUSED("closed:x") },
	{ "u1", JOIN("closed:x"), REFUSED("closed:x") },
	/* Whose token the join brings is let in, or not. */
	{ "u1", "[\"1\",\"1\",\"own:u2\",\"phx_join\",{\"token\":\"u2/60\"}]", JOINED("own:u2") },
	{ "u1", "[\"1\",\"1\",\"own:u1\",\"phx_join\",{\"token\":\"u2/60\"}]", REFUSED("own:u1") },
	{ "", "[\"1\",\"1\",\"known:x\",\"phx_join\",{\"token\":\"u2/60\"}]", JOINED("known:x") },
	{ "u1", "[\"1\",\"1\",\"own:u1\",\"phx_join\",{\"token\":\"bad\"}]", REFUSED("own:u1") },
};

START_TEST(guards)
{
	const char *const own[] = { "claim sub = {id}", NULL }, *const user[] = { "claim never", "user", NULL },
	    *const anyone[] = { "anyone", NULL }, *const nobody[] = { "claim role = {*}", NULL };
	struct client	 *c = client_new(&codec_phoenix_v2, guarded[_i].user, 0);

	serve("own:{id}", true, own, NULL);
	serve("known:*", true, user, NULL);
	serve("open:*", true, anyone, NULL);
	serve("closed:*", true, nobody, NULL);
	client_says(c, guarded[_i].says);
	client_hears(c, guarded[_i].hears);
	client_hears_nothing(c);
	ck_assert_uint_eq(c->session.n_channels, strstr(guarded[_i].hears, "\"ok\"") != NULL);
	ck_assert_uint_eq(n_asked, 0);
}
END_TEST

START_TEST(a_guard_before_the_authorizer)
{
	const char *const user[] = { "user", NULL };
	struct client	 *c = client_new(&codec_phoenix_v2, "", 0);

	serve("both:*", true, user, URL);
	client_says(c, JOIN("both:a"));
	client_hears(c, REFUSED("both:a"));
	ck_assert_uint_eq(n_asked, 0);
	noted("");
}
END_TEST

/* Authorizers. */

static struct client *
asks(const char *user)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);

	client_says(c, JOIN("asked:a"));
	client_hears_nothing(c);
	ck_assert_uint_eq(n_asked, 1);
	noted("");
	return c;
}

static int
keeps_params(struct channel *ch, const struct channel_message *m)
{
	probe_channel = ch;
	ck_assert(slice_is(channel_topic(ch), "asked:a"));
	ck_assert(slice_is(channel_capture(ch, "*"), "a"));
	note("%.*s %.*s;", SLICE_ARG(m->event), SLICE_ARG(m->payload.bytes));
	channel_reply_ok(ch, channel_json(SLICE("{\"in\":true}")));
	return CHANNEL_OK;
}

START_TEST(yes)
{
	struct client *c = client_new(&codec_phoenix_v2, "u1", 0);

	probe.join = keeps_params;
	client_says(c, "[\"1\",\"2\",\"asked:a\",\"phx_join\",{\"x\": \"\\u0041\",\"userInfo\":{\"a\":1}}]");
	client_hears_nothing(c);
	ck_assert_str_eq(request, URL " user=u1 claims={\"sub\":\"u1\"} channel=asked:a info={\"a\":1}");
	noted("");
	ck_assert_uint_gt(c->session.pending_bytes, 0);
	says(true, "");
	client_hears(c, REPLY("\"1\"", "\"2\"", "asked:a", "{\"status\":\"ok\",\"response\":{\"in\":true}}"));
	client_hears_nothing(c);
	noted("phx_join {\"x\": \"\\u0041\",\"userInfo\":{\"a\":1}};joined;");
	ck_assert_uint_eq(c->session.pending_bytes, 0);
	/* Nothing of it is left. */
	ck_assert_ptr_null(probe_channel->extra);
	client_says(c, "[\"1\",\"3\",\"asked:a\",\"echo\",{\"n\":1}]");
	client_hears(c, REPLY("\"1\"", "\"3\"", "asked:a", "{\"status\":\"ok\",\"response\":{\"n\":1}}"));
	client_gone(c);
	noted("leave closed;");
	ck_assert_uint_eq(n_cancelled, 0);
}
END_TEST

/* Its words; what the client hears. */
static const struct {
	const char *reason, *response;
} noes[] = {
	{ "", "{\"reason\":\"unauthorized\"}" },
	{ "no \"pay\", no room", "{\"reason\":\"unauthorized\",\"message\":\"no \\\"pay\\\", no room\"}" },
};

START_TEST(no)
{
	autofree char *hears = xasprintf(REPLY("\"1\"", "\"1\"", "asked:a", "{\"status\":\"error\",\"response\":%s}"), noes[_i].response);
	struct client *c = asks("u1");

	client_says(c, "[\"1\",\"2\",\"asked:a\",\"echo\",{}]");
	says(false, noes[_i].reason);
	client_hears(c, hears);
	client_hears(c, REPLY("null", "\"2\"", "asked:a", REASON("unmatched topic")));
	client_hears_nothing(c);
	ck_assert_ptr_null(c->session.channels);
	ck_assert_uint_eq(c->session.pending_bytes, 0);
	/* The class has heard nothing of it. */
	noted("");
}
END_TEST

START_TEST(nobody_can_be_asked)
{
	struct client *c = client_v2();

	bench.authorizer = NULL;
	client_says(c, JOIN("asked:a"));
	client_hears(c, REFUSED("asked:a"));
	client_says(c, "[\"1\",\"1\",\"asked:a\",\"phx_join\",{\"token\":\"u2/60\"}]");
	client_hears(c, REFUSED("asked:a"));
	ck_assert_ptr_null(c->session.channels);
	noted("");
}
END_TEST

START_TEST(told_at_once)
{
	struct client *c = client_v2();

	at_once = _i == 0 ? 1 : -1;
	client_says(c, JOIN("asked:a"));
	if (_i == 0)
		client_hears(c, JOINED("asked:a"));
	else
		client_hears(c, REPLY("\"1\"", "\"1\"", "asked:a",
		    "{\"status\":\"error\",\"response\":{\"reason\":\"unauthorized\",\"message\":\"at once\"}}"));
	noted(_i == 0 ? "join asked:a;joined;" : "");
	ck_assert_uint_eq(c->session.pending_bytes, 0);
}
END_TEST

START_TEST(never)
{
	struct client *c = asks("u1");

	pass(9000);
	client_hears_nothing(c);
	pass(2000);
	client_hears(c, REPLY("\"1\"", "\"1\"", "asked:a", REASON("timeout")));
	client_hears_nothing(c);
	ck_assert_uint_eq(n_cancelled, 1);
	ck_assert_ptr_null(c->session.channels);
	ck_assert_uint_eq(c->session.pending_bytes, 0);
	noted("");
	/* It may try again. */
	client_says(c, JOIN("asked:a"));
	says(true, "");
	client_hears(c, JOINED("asked:a"));
}
END_TEST

START_TEST(the_connection_goes)
{
	struct client *c = asks("u1");

	client_says(c, "[\"1\",\"2\",\"asked:a\",\"echo\",{}]");
	client_gone(c);
	pass(20000);
	ck_assert_uint_eq(n_cancelled, 1);
	noted("");
}
END_TEST

/* What came meanwhile is handled behind the join, in order: the leave too. */
START_TEST(what_comes_meanwhile)
{
	struct client *c = asks("u1");

	client_says(c, "[\"1\",\"2\",\"asked:a\",\"echo\",{\"n\":2}]");
	client_says(c, "[\"1\",\"3\",\"asked:a\",\"phx_leave\",{}]");
	client_hears_nothing(c);
	says(true, "");
	client_hears(c, JOINED("asked:a"));
	client_hears(c, REPLY("\"1\"", "\"2\"", "asked:a", "{\"status\":\"ok\",\"response\":{\"n\":2}}"));
	client_hears(c, REPLY("\"1\"", "\"3\"", "asked:a", OK));
	client_hears(c, "[\"1\",\"1\",\"asked:a\",\"phx_close\",{}]");
	client_hears_nothing(c);
	noted("join asked:a;joined;leave leave;");
	ck_assert_uint_eq(c->session.pending_bytes, 0);
}
END_TEST

/* A second join waits for the first one, replaces it, and is asked about itself. */
START_TEST(joined_again_meanwhile)
{
	struct client *c = asks("u1");

	client_says(c, "[\"2\",\"2\",\"asked:a\",\"phx_join\",{}]");
	ck_assert_uint_eq(n_asked, 1);
	says(true, "");
	client_hears(c, JOINED("asked:a"));
	client_hears(c, "[\"1\",\"1\",\"asked:a\",\"phx_close\",{}]");
	client_hears_nothing(c);
	noted("join asked:a;joined;leave replaced;");
	ck_assert_uint_eq(n_asked, 2);
	says(false, "");
	client_hears(c, REPLY("\"2\"", "\"2\"", "asked:a", REASON("unauthorized")));
	client_hears_nothing(c);
	noted("");
}
END_TEST

/* It said yes; the class refuses at once, or fails, or stops it. */
static int refusal;

static int
join_refuses(struct channel *ch, const struct channel_message *m)
{
	if (refusal == 1)
		channel_reply_reason(ch, "full");
	if (refusal == 3)
		channel_stop(ch);
	return refusal == 2 ? -1 : refusal == 3 ? CHANNEL_OK : CHANNEL_REFUSED;
}

static const struct {
	const char *hears, *notes;
} refusals[] = {
	{ REFUSED("asked:a"), "" },
	{ REPLY("\"1\"", "\"1\"", "asked:a", REASON("full")), "" },
	{ REPLY("\"1\"", "\"1\"", "asked:a", REASON("join crashed")), "" },
	{ REPLY("\"1\"", "\"1\"", "asked:a", REASON("join crashed")), "leave stopped;" },
};

START_TEST(then_the_class_says_no)
{
	struct client *c = asks("u1");

	refusal = _i;
	probe.join = join_refuses;
	client_says(c, "[\"1\",\"2\",\"asked:a\",\"echo\",{}]");
	says(true, "");
	client_hears(c, refusals[_i].hears);
	client_hears(c, REPLY("null", "\"2\"", "asked:a", REASON("unmatched topic")));
	client_hears_nothing(c);
	noted(refusals[_i].notes);
	ck_assert_ptr_null(c->session.channels);
	ck_assert_uint_eq(c->session.pending_bytes, 0);
}
END_TEST

/* The class has something to wait for, too: within the same time. */
START_TEST(then_the_class_waits)
{
	struct client *c = asks("u1");

	probe.join = probe_join_later;
	pass(6000);
	client_says(c, "[\"1\",\"2\",\"asked:a\",\"echo\",{}]");
	says(true, "");
	client_hears_nothing(c);
	ck_assert(slice_is(channel_topic(probe_channel), "asked:a"));
	if (_i == 0) {
		pass(3000);
		channel_accept(probe_channel, channel_empty());
		client_hears(c, JOINED("asked:a"));
		client_hears(c, REPLY("\"1\"", "\"2\"", "asked:a", OK));
		noted("joined;");
		pass(20000);
	} else {
		pass(5000);
		client_hears(c, REPLY("\"1\"", "\"1\"", "asked:a", REASON("timeout")));
		client_hears(c, REPLY("null", "\"2\"", "asked:a", REASON("unmatched topic")));
		noted("leave timeout;");
	}
	client_hears_nothing(c);
	ck_assert_uint_eq(n_cancelled, 0);
}
END_TEST

static int
join_hasty(struct channel *ch, const struct channel_message *params)
{
	probe_channel = ch;
	channel_accept(ch, channel_empty());
	return CHANNEL_LATER;
}

/* Later is not now, as it is where nobody else was asked. */
START_TEST(then_the_class_is_hasty)
{
	struct client *c = asks("u1");

	probe.join = join_hasty;
	says(true, "");
	client_hears_nothing(c);
	channel_accept(probe_channel, channel_empty());
	client_hears(c, JOINED("asked:a"));
	client_hears_nothing(c);
}
END_TEST

START_TEST(tokens_are_renewed_without_it)
{
	struct client *c = asks("u1");

	says(true, "");
	client_hears(c, JOINED("asked:a"));
	client_says(c, "[\"1\",\"2\",\"asked:a\",\"access_token\",{\"access_token\":\"u1/60\"}]");
	client_hears(c, REPLY("\"1\"", "\"2\"", "asked:a", OK));
	ck_assert_uint_eq(n_asked, 1);
}
END_TEST

/* The join's own token is the one that is asked about, and the channel's. */
START_TEST(with_a_token_of_its_own)
{
	struct client *c = client_new(&codec_phoenix_v2, "", 0);

	client_says(c, "[\"1\",\"1\",\"asked:a\",\"phx_join\",{\"token\":\"u2/60\",\"userInfo\":null}]");
	ck_assert_str_eq(request, URL " user=u2 claims={\"sub\":\"u2\"} channel=asked:a info=null");
	says(true, "");
	client_hears(c, JOINED("asked:a"));
	ck_assert(slice_is(channel_user(probe_channel), "u2"));
}
END_TEST

/* Joins that wait are channels of the session, and what they hold counts. */
START_TEST(they_count)
{
	struct client *c = client_v2();
	autofree char *big = xcalloc(1, 1100 * 1024), *text;

	memset(big, 'x', 1100 * 1024 - 1);
	text = xasprintf("[\"1\",\"1\",\"asked:b\",\"phx_join\",{\"x\":\"%s\"}]", big);
	client_says(c, text);
	client_hears(c, REPLY("\"1\"", "\"1\"", "asked:b", REASON("join_pending")));
	ck_assert_uint_eq(n_asked, 0);
	bench.limits.max_channels = 1;
	client_says(c, JOIN("asked:a"));
	client_says(c, "[\"2\",\"2\",\"room:a\",\"phx_join\",{}]");
	client_hears(c, REPLY("\"2\"", "\"2\"", "room:a", REASON("too many channels joined")));
	says(true, "");
	client_hears(c, JOINED("asked:a"));
	client_hears_nothing(c);
}
END_TEST

START_TEST(of_the_other_family)
{
	struct client *c = client_new(&codec_pusher, "u1", 0);

	serve("private-*", false, NULL, URL);
	client_says(c, "{\"type\":\"join\",\"requestId\":7,\"channel\":\"private-a\",\"userInfo\":{\"name\":\"A\"}}");
	client_hears_nothing(c);
	ck_assert_str_eq(request, URL " user=u1 claims={\"sub\":\"u1\"} channel=private-a info={\"name\":\"A\"}");
	says(false, "not you");
	client_hears(c, "{\"type\":\"error\",\"requestId\":7,\"channel\":\"private-a\",\"code\":\"FORBIDDEN\",\"message\":\"not you\"}");
	client_says(c, "{\"type\":\"join\",\"requestId\":8,\"channel\":\"private-a\"}");
	ck_assert_str_eq(request, URL " user=u1 claims={\"sub\":\"u1\"} channel=private-a info=");
	says(true, "");
	client_hears(c, "{\"type\":\"channel:joined\",\"requestId\":8,\"channel\":\"private-a\"}");
	client_hears_nothing(c);
}
END_TEST

Suite *
join_suite(void)
{
	Suite *s = suite_create("join");
	TCase *g = tcase_create("guards"), *t = tcase_create("authorizers");

	tcase_add_checked_fixture(g, begin, end);
	tcase_add_loop_test(g, guards, 0, sizeof(guarded) / sizeof(guarded[0]));
	tcase_add_test(g, a_guard_before_the_authorizer);
	suite_add_tcase(s, g);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, yes);
	tcase_add_loop_test(t, no, 0, sizeof(noes) / sizeof(noes[0]));
	tcase_add_test(t, nobody_can_be_asked);
	tcase_add_loop_test(t, told_at_once, 0, 2);
	tcase_add_test(t, never);
	tcase_add_test(t, the_connection_goes);
	tcase_add_test(t, what_comes_meanwhile);
	tcase_add_test(t, joined_again_meanwhile);
	tcase_add_loop_test(t, then_the_class_says_no, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_loop_test(t, then_the_class_waits, 0, 2);
	tcase_add_test(t, then_the_class_is_hasty);
	tcase_add_test(t, tokens_are_renewed_without_it);
	tcase_add_test(t, with_a_token_of_its_own);
	tcase_add_test(t, they_count);
	tcase_add_test(t, of_the_other_family);
	suite_add_tcase(s, t);
	return s;
}
