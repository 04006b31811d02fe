/*
 * The opening handshake: the answer to a key, what is refused and how, and offers of permessage-deflate.
 */
#include <check.h>
#include <stdlib.h>

#include "net/ws.h"

Suite *ws_handshake_suite(void);

static const struct http_limits limits = { .head = 16384, .target = 8192, .fields = 100, .body = 1024 };

static void
parse(struct http_request *req, const char *head)
{
	ck_assert_int_eq(http_parse_head(slice_str(head), &limits, req), 0);
}

static const struct {
	const char *key, *accept;
} keys[] = {
	{ "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" },	/* RFC 6455 section 1.3 */
	{ "x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk=" },
	{ "AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI=" },
};

START_TEST(key_is_answered)
{
	char out[WS_ACCEPT_LEN + 1];

	/* Twice, as the digest is kept. */
	for (int i = 0; i < 2; i++) {
		ws_accept_key(slice_str(keys[_i].key), out);
		ck_assert_str_eq(out, keys[_i].accept);
	}
}
END_TEST

#define GET		"GET /socket/websocket HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE		"Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION		"Sec-WebSocket-Version: 13\r\n"
#define KEY		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WITH_KEY(key)	GET UPGRADE VERSION "Sec-WebSocket-Key: " key "\r\n\r\n"

static const struct {
	const char *head;
	int	    want;
} upgrades[] = {
	{ GET UPGRADE VERSION KEY "\r\n", 0 },
	{ GET "UPGRADE: WebSocket\r\nconnection: keep-alive, uPGRADE\r\n" VERSION KEY "\r\n", 0 },
	{ GET "Upgrade: h2c, websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", 0 },
	{ GET "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", 0 },
	{ GET UPGRADE VERSION KEY "Content-Length: 0\r\n\r\n", 0 },
	{ WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA=="), 0 },
	{ WITH_KEY("+/+/+/+/+/+/+/+/+/+/+w=="), 0 },
	/* method, version of HTTP, body */
	{ "HEAD /socket/websocket HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n", -405 },
	{ "POST /socket/websocket HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n", -405 },
	{ "get /socket/websocket HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n", -405 },
	{ "GET /socket/websocket HTTP/1.0\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n", -400 },
	{ GET UPGRADE VERSION KEY "Content-Length: 5\r\n\r\n", -400 },
	{ GET UPGRADE VERSION KEY "Transfer-Encoding: chunked\r\n\r\n", -400 },
	/* Upgrade, Connection */
	{ GET VERSION KEY "\r\n", -400 },
	{ GET "Connection: Upgrade\r\n" VERSION KEY "\r\n", -400 },
	{ GET "Upgrade: websocket\r\n" VERSION KEY "\r\n", -400 },
	{ GET "Upgrade: websockets\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", -400 },
	{ GET "Upgrade: websocket/13\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", -400 },
	{ GET "Upgrade: websocket\r\nConnection: close\r\n" VERSION KEY "\r\n", -400 },
	{ GET "Upgrade: websocket\r\nConnection: keep-alive upgrade\r\n" VERSION KEY "\r\n", -400 },
	/* Sec-WebSocket-Version */
	{ GET UPGRADE KEY "\r\n", -426 },
	{ GET UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", -426 },
	{ GET UPGRADE KEY "Sec-WebSocket-Version: 013\r\n\r\n", -426 },
	{ GET UPGRADE KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n", -426 },
	{ GET UPGRADE KEY "Sec-WebSocket-Version: 130\r\n\r\n", -426 },
	{ GET UPGRADE KEY "Sec-WebSocket-Version:\r\n\r\n", -426 },
	{ GET UPGRADE KEY VERSION VERSION "\r\n", -426 },
	{ GET UPGRADE VERSION KEY "Sec-WebSocket-Version: 8\r\n\r\n", -426 },
	/* Sec-WebSocket-Key */
	{ GET UPGRADE VERSION "\r\n", -400 },
	{ GET UPGRADE VERSION KEY KEY "\r\n", -400 },
	{ WITH_KEY(""), -400 },
	{ WITH_KEY("dGhlIHNhbXBsZSBub25jZQ="), -400 },
	{ WITH_KEY("dGhlIHNhbXBsZSBub25jZQ"), -400 },
	{ WITH_KEY("dGhlIHNhbXBsZSBub25jZR=="), -400 },		/* stray bits */
	{ WITH_KEY("dGhlIHNhbXBsZSBub25jZSEh"), -400 },		/* 18 octets */
	{ WITH_KEY("dGhlIHNhbXBsZSBub25jZSE="), -400 },		/* 17 octets */
	{ WITH_KEY("dGhlIHNhbXBsZSBub2=jZQ=="), -400 },
	{ WITH_KEY("dGhlIHNhbXBsZSBu!25jZQ=="), -400 },
	{ WITH_KEY("-_-_-_-_-_-_-_-_-_-_-w=="), -400 },
	{ WITH_KEY("dGhlIHNhbXBsZSBub25jZQ==AAAA"), -400 },
	{ WITH_KEY("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -400 },
};

START_TEST(upgrade_is_checked)
{
	struct http_request req;
	struct slice	    key = { 0 };

	parse(&req, upgrades[_i].head);
	ck_assert_int_eq(ws_check_upgrade(&req, &key), upgrades[_i].want);
	if (upgrades[_i].want == 0)
		ck_assert_uint_eq(key.n, 24);
}
END_TEST

#define PMD		"permessage-deflate"
#define ANSWER		"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
#define NEXT		"\r\nSec-WebSocket-Extensions: "

static const struct {
	const char	 *offer, *answer;	/* answer "" = declined */
	struct ws_deflate want;
} offers[] = {
	{ PMD, ANSWER, { 15, 15 } },
	{ PMD "; client_max_window_bits", ANSWER, { 15, 15 } },
	{ PMD "; server_no_context_takeover; client_no_context_takeover", ANSWER, { 15, 15 } },
	{ PMD ";client_max_window_bits=8;server_max_window_bits=9", ANSWER "; server_max_window_bits=9", { 9, 8 } },
	{ PMD " ;\tclient_max_window_bits = 12 ; server_max_window_bits = 10 ",
	    ANSWER "; server_max_window_bits=10", { 10, 12 } },
	{ PMD "; server_max_window_bits=\"10\"", ANSWER "; server_max_window_bits=10", { 10, 15 } },
	{ PMD "; server_max_window_bits=15", ANSWER "; server_max_window_bits=15", { 15, 15 } },
	{ PMD "; client_max_window_bits=\"8\"", ANSWER, { 15, 8 } },
	{ PMD "; client_max_window_bits=15", ANSWER, { 15, 15 } },
	/* the first that is acceptable */
	{ "x-webkit-deflate-frame, " PMD, ANSWER, { 15, 15 } },
	{ PMD "; server_max_window_bits=8, " PMD "; server_max_window_bits=11, " PMD,
	    ANSWER "; server_max_window_bits=11", { 11, 15 } },
	{ PMD "; unknown, " PMD, ANSWER, { 15, 15 } },
	{ PMD "; unknown" NEXT PMD "; client_max_window_bits=9", ANSWER, { 15, 9 } },
	{ "foo; a=\"b, c\"; d, " PMD, ANSWER, { 15, 15 } },
	{ ",, " PMD ",", ANSWER, { 15, 15 } },
	/* declined */
	{ "", "", { 0, 0 } },
	{ "permessage-bzip2", "", { 0, 0 } },
	{ PMD "x", "", { 0, 0 } },
	{ PMD "=1", "", { 0, 0 } },
	{ "\"" PMD "\"", "", { 0, 0 } },
	{ "foo; a=\"b, " PMD ", c\"", "", { 0, 0 } },
	{ PMD ";", "", { 0, 0 } },
	{ PMD "; ; client_no_context_takeover", "", { 0, 0 } },
	{ PMD "; unknown", "", { 0, 0 } },
	{ PMD "; unknown=1", "", { 0, 0 } },
	{ PMD "; =10", "", { 0, 0 } },
	{ PMD "; server_no_context_takeover=1", "", { 0, 0 } },
	{ PMD "; server_no_context_takeover=10", "", { 0, 0 } },
	{ PMD "; server_no_context_takeover=", "", { 0, 0 } },
	{ PMD "; client_no_context_takeover=\"\"", "", { 0, 0 } },
	{ PMD "; client_no_context_takeover; client_no_context_takeover", "", { 0, 0 } },
	{ PMD "; server_no_context_takeover; server_no_context_takeover", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=10; server_max_window_bits=10", "", { 0, 0 } },
	{ PMD "; client_max_window_bits; client_max_window_bits=10", "", { 0, 0 } },
	{ PMD "; server_max_window_bits", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=7", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=8", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=16", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=abc", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=012", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=+9", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=9x", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=\"10", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=10\"", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=\"1;0\"", "", { 0, 0 } },
	{ PMD "; server_max_window_bits=10=10", "", { 0, 0 } },
	{ PMD "; client_max_window_bits=", "", { 0, 0 } },
	{ PMD "; client_max_window_bits=7", "", { 0, 0 } },
	{ PMD "; client_max_window_bits=16", "", { 0, 0 } },
	{ PMD "; client_max_window_bits=\"\"", "", { 0, 0 } },
	{ PMD "; client_max_window_bits=012", "", { 0, 0 } },
	{ PMD "; client_max_window_bits=-9", "", { 0, 0 } },
};

START_TEST(offer_is_judged)
{
	autobuf struct buf  head = { 0 }, answer = { 0 };
	struct http_request req;
	struct ws_deflate   got;

	buf_addf(&head, GET "Sec-WebSocket-Extensions: %s\r\n\r\n", offers[_i].offer);
	buf_add(&head, "", 1);
	parse(&req, head.p);
	got = ws_negotiate(&req, &answer);
	ck_assert_uint_eq(got.server_bits, offers[_i].want.server_bits);
	ck_assert_uint_eq(got.client_bits, offers[_i].want.client_bits);
	ck_assert_msg(slice_is(buf_slice(&answer), offers[_i].answer), "%.*s", SLICE_ARG(buf_slice(&answer)));
}
END_TEST

START_TEST(no_offer)
{
	autobuf struct buf  answer = { 0 };
	struct http_request req;

	parse(&req, GET UPGRADE "\r\n");
	ck_assert_uint_eq(ws_negotiate(&req, &answer).server_bits, 0);
	ck_assert_uint_eq(answer.n, 0);
}
END_TEST

/* The answer goes behind what the caller has written. */
START_TEST(answer_is_appended)
{
	autobuf struct buf  answer = { 0 };
	struct http_request req;

	buf_add_str(&answer, "Sec-WebSocket-Extensions: ");
	parse(&req, GET "sec-websocket-extensions: " PMD "\r\n\r\n");
	ws_negotiate(&req, &answer);
	ck_assert(slice_is(buf_slice(&answer), "Sec-WebSocket-Extensions: " ANSWER));
}
END_TEST

Suite *
ws_handshake_suite(void)
{
	Suite *s = suite_create("ws_handshake");
	TCase *t = tcase_create("ws_handshake");

	tcase_add_loop_test(t, key_is_answered, 0, sizeof(keys) / sizeof(keys[0]));
	tcase_add_loop_test(t, upgrade_is_checked, 0, sizeof(upgrades) / sizeof(upgrades[0]));
	tcase_add_loop_test(t, offer_is_judged, 0, sizeof(offers) / sizeof(offers[0]));
	tcase_add_test(t, no_offer);
	tcase_add_test(t, answer_is_appended);
	suite_add_tcase(s, t);
	return s;
}
