/*
 * Calls to a server on the same loop; deadlines are reached by turning time.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http_stub.h"
#include "net/fetch.h"
#include "turned_by_hand.h"

Suite *fetch_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#define TIMEOUT_MS 2000

static struct loop     *loop;
static struct fetcher  *fetcher;
static struct http_stub stub;

/* A call, and what came of it. */
struct call {
	struct fetch *fetch;
	unsigned      told;
	unsigned      status;
	char	      fault[256];
	size_t	      n;
	char	      body[64];		/* its beginning */
	struct call  *cancels;		/* when it is told */
	const char   *then;		/* path that is called when it is told */
};

static void start_url(struct call *, const char *url);

static void
start(struct call *c, const char *path)
{
	autofree char *url = xasprintf("%s%s", stub.url, path);

	start_url(c, url);
}

static unsigned all_told;

static void
on_answer(void *arg, const struct fetch_answer *a)
{
	struct call *c = arg;
	const char  *then = c->then;

	all_told++;
	c->told++;
	c->status = a->status;
	c->n = a->body.n;
	snprintf(c->fault, sizeof(c->fault), "%s", a->fault != NULL ? a->fault : "");
	snprintf(c->body, sizeof(c->body), "%.*s", SLICE_ARG(a->body));
	if (c->cancels != NULL)
		fetch_cancel(c->cancels->fetch);
	if (then == NULL)
		return;
	*c = (struct call){ 0 };
	start(c, then);
}

static void
start_url(struct call *c, const char *url)
{
	static const char *const headers[] = { "Content-Type: application/json", "X-Mark: 7", NULL };

	c->fetch = fetch_post(fetcher, &(struct fetch_request){
		.url = url, .headers = headers, .body = SLICE("{\"a\":1}"), .timeout_ms = TIMEOUT_MS, .max_body = 1000,
	}, on_answer, c);
	ck_assert_ptr_nonnull(c->fetch);
	ck_assert_uint_eq(c->told, 0);
}

static void
set_up(void)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	loop = loop_new();
	fetcher = fetcher_new(loop, &(struct fetcher_options){ .connections = 2, .idle = 4 });
	ck_assert_ptr_nonnull(fetcher);
	http_stub_init(&stub, loop);
	all_told = 0;
}

static void
tear_down(void)
{
	ck_assert_ptr_null(fetcher_free(fetcher));
	http_stub_done(&stub);
	loop_free(loop);
}

static const struct {
	const char *path, *fault;
	unsigned    status;
	const char *body;
} answers[] = {
	{ "/", "", 200, "ok" },
	{ "/204", "", 204, "" },
	{ "/302", "", 302, "ok" },
	{ "/404", "", 404, "ok" },
	{ "/500", "", 500, "ok" },
	{ "/hangup", "Recv failure: Connection reset by peer", 0, "" },
	{ "/huge", "Maximum file size exceeded", 0, "" },
	{ "/head", "the head of the answer is too large", 0, "" },
};

START_TEST(answers_come)
{
	struct call c = { 0 };

	start(&c, answers[_i].path);
	turn_until(loop, &c.told, 1);
	if (strcmp(answers[_i].path, "/huge") == 0)
		ck_assert_str_ne(c.fault, "");
	else
		ck_assert_str_eq(c.fault, answers[_i].fault);
	ck_assert_uint_eq(c.status, answers[_i].status);
	if (answers[_i].fault[0] == '\0')
		ck_assert_str_eq(c.body, answers[_i].body);
	turn_a_few(loop);
	ck_assert_uint_eq(c.told, 1);
	ck_assert_uint_eq(stub.n_requests, 1);
}
END_TEST

START_TEST(sends_what_was_said)
{
	struct call c = { 0 };

	start(&c, "/a/b?c=d");
	turn_until(loop, &c.told, 1);
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "POST /a/b?c=d\n"));
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "\nContent-Type: application/json\n"));
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "\nX-Mark: 7\n"));
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "\nUser-Agent: roost\n"));
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "\nContent-Length: 7\n"));
	ck_assert_ptr_nonnull(strstr(stub.seen.p, "\n\n{\"a\":1}"));
	ck_assert_ptr_null(strstr(stub.seen.p, "Expect"));
}
END_TEST

START_TEST(names_are_looked_up)
{
	struct call    c = { 0 };
	autofree char *url = xasprintf("http://localhost%s/", strrchr(stub.url, ':'));

	start_url(&c, url);
	turn_until(loop, &c.told, 1);
	ck_assert_str_eq(c.fault, "");
	ck_assert_str_eq(c.body, "ok");
}
END_TEST

START_TEST(nobody_listens)
{
	struct call c = { 0 };

	start_url(&c, "http://127.0.0.1:1/");
	turn_until(loop, &c.told, 1);
	ck_assert_ptr_nonnull(strstr(c.fault, "connect"));
	ck_assert_uint_eq(c.status, 0);
}
END_TEST

static const char *const nonsense[] = { "", "no url", "ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/" };

START_TEST(nonsense_is_a_fault)
{
	struct call c = { 0 };

	start_url(&c, nonsense[_i]);
	turn_until(loop, &c.told, 1);
	ck_assert_str_ne(c.fault, "");
}
END_TEST

START_TEST(connections_are_kept)
{
	struct call c = { 0 };

	for (unsigned i = 1; i <= 3; i++) {
		c = (struct call){ 0 };
		start(&c, "/");
		turn_until(loop, &c.told, 1);
		ck_assert_str_eq(c.fault, "");
		ck_assert_uint_eq(stub.n_requests, i);
	}
	ck_assert_uint_eq(stub.n_connections, 1);
}
END_TEST

START_TEST(connections_are_few)
{
	struct call calls[5] = { 0 };

	for (unsigned i = 0; i < 5; i++)
		start(&calls[i], "/later");
	turn_until(loop, &stub.n_pending, 2);
	turn_a_few(loop);
	ck_assert_uint_eq(stub.n_pending, 2);
	http_stub_answer(&stub, "1");
	turn_until(loop, &stub.n_pending, 2);
	http_stub_answer(&stub, "2");
	turn_until(loop, &stub.n_pending, 1);
	http_stub_answer(&stub, "3");
	turn_until(loop, &all_told, 5);
	ck_assert_uint_eq(stub.n_connections, 2);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_str_eq(calls[i].fault, "");
}
END_TEST

START_TEST(time_is_up)
{
	struct call calls[3] = { 0 };

	for (unsigned i = 0; i < 3; i++)
		start(&calls[i], "/later");
	turn_until(loop, &stub.n_pending, 2);
	turn_after(loop, TIMEOUT_MS / 2);
	ck_assert_uint_eq(all_told, 0);
	turn_after(loop, TIMEOUT_MS);
	ck_assert_uint_eq(all_told, 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_str_eq(calls[i].fault, "no answer in time");
	/* What hung holds up nobody any more. */
	calls[0] = (struct call){ 0 };
	start(&calls[0], "/");
	turn_until(loop, &calls[0].told, 1);
	ck_assert_str_eq(calls[0].body, "ok");
}
END_TEST

START_TEST(cancelled_calls_are_not_told)
{
	struct call gone = { 0 }, stays = { 0 };

	start(&gone, "/later");
	start(&stays, "/later");
	turn_until(loop, &stub.n_pending, 2);
	fetch_cancel(gone.fetch);
	turn_a_few(loop);
	http_stub_answer(&stub, "yes");
	turn_until(loop, &stays.told, 1);
	turn_after(loop, 2 * TIMEOUT_MS);
	ck_assert_uint_eq(gone.told, 0);
	ck_assert_uint_eq(stays.told, 1);
	ck_assert_str_eq(stays.body, "yes");
}
END_TEST

START_TEST(one_cancels_another)
{
	struct call a = { 0 }, b = { 0 };

	a.cancels = &b;
	b.cancels = &a;
	start(&a, "/later");
	start(&b, "/later");
	turn_until(loop, &stub.n_pending, 2);
	http_stub_answer(&stub, "yes");
	turn_until(loop, &all_told, 1);
	turn_after(loop, 2 * TIMEOUT_MS);
	ck_assert_uint_eq(all_told, 1);
}
END_TEST

START_TEST(one_begins_another)
{
	struct call c = { .then = "/404" };

	start(&c, "/");
	turn_until(loop, &all_told, 1);
	ck_assert_uint_eq(stub.n_requests, 1);
	turn_until(loop, &all_told, 2);
	ck_assert_uint_eq(c.status, 404);
	ck_assert_uint_eq(stub.n_connections, 1);
}
END_TEST

START_TEST(freed_under_way)
{
	struct call c[4] = { 0 };

	for (unsigned i = 0; i < 4; i++)
		start(&c[i], "/later");
	turn_until(loop, &stub.n_pending, 2);
	fetcher = fetcher_free(fetcher);
	turn_after(loop, 2 * TIMEOUT_MS);
	ck_assert_uint_eq(all_told, 0);
}
END_TEST

static const struct {
	const char *url;
	bool	    fine;
} urls[] = {
	{ "http://127.0.0.1/", true }, { "http://127.0.0.1:4000/a?b=c", true }, { "https://auth.example.com", true },
	{ "http://[::1]:80/x", true }, { "http://localhost/", true },
	{ "", false }, { "/path", false }, { "auth.example.com/x", false }, { "http://", false },
	{ "ftp://a/", false }, { "file:///x", false }, { "unix:/x", false }, { "http://a b/", false },
	{ "http://u@a/", false }, { "http://u:p@a/", false }, { "http://:p@a/", false }, { "http://a/#f", false },
	{ "http://a:99999/", false }, { "http://a/\x01", false },
};

START_TEST(urls_are_checked)
{
	ck_assert_msg(fetch_url_is_fine(urls[_i].url) == urls[_i].fine, "%s", urls[_i].url);
}
END_TEST

Suite *
fetch_suite(void)
{
	Suite *s = suite_create("fetch");
	TCase *tc = tcase_create("calls"), *pure = tcase_create("urls");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	LOOP(tc, answers_come, answers);
	tcase_add_test(tc, sends_what_was_said);
	tcase_add_test(tc, names_are_looked_up);
	tcase_add_test(tc, nobody_listens);
	LOOP(tc, nonsense_is_a_fault, nonsense);
	tcase_add_test(tc, connections_are_kept);
	tcase_add_test(tc, connections_are_few);
	tcase_add_test(tc, time_is_up);
	tcase_add_test(tc, cancelled_calls_are_not_told);
	tcase_add_test(tc, one_cancels_another);
	tcase_add_test(tc, one_begins_another);
	tcase_add_test(tc, freed_under_way);
	suite_add_tcase(s, tc);
	LOOP(pure, urls_are_checked, urls);
	suite_add_tcase(s, pure);
	return s;
}
