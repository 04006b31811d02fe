/*
 * HTTP heads and responses without a socket.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/http.h"

Suite *http_suite(void);

#define HOST	"Host: a.example\r\n"
#define GET	"GET / HTTP/1.1\r\n" HOST
#define POST	"POST / HTTP/1.1\r\n" HOST

static const struct http_limits limits = { .head = 1024, .target = 64, .fields = 8, .body = 1000 };

/* Both together, as a server does it: 0, or what is answered; 1 = more is wanted. */
static int
parse(struct slice in, struct http_request *req)
{
	size_t	scanned = 0;
	ssize_t n = http_head_end(in, &scanned, &limits);

	if (n <= 0)
		return n == 0 ? 1 : (int)n;
	return http_parse_head(slice(in.p, (size_t)n), &limits, req);
}

#define S15	"0123456789abcde"
#define S60	S15 S15 S15 S15

static const struct {
	struct slice in;
	int	     want;
} heads[] = {
	{ SLICE(GET "\r\n"), 0 },
	{ SLICE(GET "\r\nbehind\n"), 0 },
	{ SLICE("get /a?b HTTP/1.1\r\n" HOST "\r\n"), 0 },
	{ SLICE("GET / HTTP/1.0\r\n\r\n"), 0 },
	{ SLICE("GET / HTTP/1.0\r\n" HOST "\r\n"), 0 },
	{ SLICE(GET "a:\r\nb: \t \r\nc:d\r\n\r\n"), 0 },
	{ SLICE(GET "A-1!#$%&'*+.^_`|~: \xe9 \"(),/:;<=>?@[\\]{}\t\r\n\r\n"), 0 },

	/* Incomplete. */
	{ SLICE(""), 1 },
	{ SLICE("G"), 1 },
	{ SLICE(GET), 1 },
	{ SLICE(GET "\r"), 1 },
	{ SLICE("GET /\r\n"), 1 },
	{ SLICE("PRI * HTTP/2.0\r\n\r"), 1 },

	/* No head at all. */
	{ SLICE("\r\n" GET "\r\n"), -400 },
	{ SLICE(" " GET "\r\n"), -400 },
	{ SLICE("\x16\x03\x01\x02"), -400 },
	{ SLICE("\0"), -400 },
	{ SLICE("{}"), -400 },
	{ SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), -505 },

	/* Line ends; what can never become a head is not waited for. */
	{ SLICE("GET / HTTP/1.1\n"), -400 },
	{ SLICE("GET / HTTP/1.1\rx"), -400 },
	{ SLICE("GET / HTTP/1.1\r\r"), -400 },
	{ SLICE("G\0"), -400 },
	{ SLICE("GET / HTTP/1.1\n" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1.1\r" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1.1\r\r\n" HOST "\r\n"), -400 },
	{ SLICE(GET "a: b\nc: d\r\n\r\n"), -400 },
	{ SLICE(GET "a: b\rc: d\r\n\r\n"), -400 },
	{ SLICE(GET "a: b\r\n\n"), -400 },
	{ SLICE(GET "a: b\0c\r\n\r\n"), -400 },

	/* Request lines. */
	{ SLICE("GET  / HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /  HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1.1 \r\n" HOST "\r\n"), -400 },
	{ SLICE("GET\t/\tHTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /\tHTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / \r\n" HOST "\r\n"), -400 },
	{ SLICE("G\"T / HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("0123456789abcdef0123456789abcdef / HTTP/1.1\r\n" HOST "\r\n"), 0 },
	{ SLICE("0123456789abcdef0123456789abcdefg / HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / http/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1.1x\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/11\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1,1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1.a\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1.2\r\n" HOST "\r\n"), -505 },
	{ SLICE("GET / HTTP/0.9\r\n" HOST "\r\n"), -505 },
	{ SLICE("GET / HTTP/2.0\r\n" HOST "\r\n"), -505 },

	/* Targets. */
	{ SLICE("GET * HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET a HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET http://a.example/ HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("CONNECT a.example:80 HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /\"a HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /a\\b HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /a[] HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /a?b[]=c HTTP/1.1\r\n" HOST "\r\n"), 0 },
	{ SLICE("GET /a?b={} HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /?\x7f HTTP/1.1\r\n" HOST "\r\n"), -400 },
	{ SLICE("GET /%0d%0aX:y?%zz%4 HTTP/1.1\r\n" HOST "\r\n"), 0 },
	{ SLICE("GET /-._~!$&'()*+,;=:@//..?/?:@%41 HTTP/1.1\r\n" HOST "\r\n"), 0 },
	{ SLICE("GET /" S60 "abc HTTP/1.1\r\n" HOST "\r\n"), 0 },
	{ SLICE("GET /" S60 "abcd HTTP/1.1\r\n" HOST "\r\n"), -414 },

	/* Fields. */
	{ SLICE(GET "a: b\r\n c\r\n\r\n"), -400 },
	{ SLICE(GET "a: b\r\n\tc\r\n\r\n"), -400 },
	{ SLICE("GET / HTTP/1.1\r\n " HOST "\r\n"), -400 },
	{ SLICE(GET "a : b\r\n\r\n"), -400 },
	{ SLICE(GET "a\t: b\r\n\r\n"), -400 },
	{ SLICE(GET "a b: c\r\n\r\n"), -400 },
	{ SLICE(GET "a@: c\r\n\r\n"), -400 },
	{ SLICE(GET "\xe9: c\r\n\r\n"), -400 },
	{ SLICE(GET ": c\r\n\r\n"), -400 },
	{ SLICE(GET "a\r\n\r\n"), -400 },
	{ SLICE(GET "a: \x01\r\n\r\n"), -400 },
	{ SLICE(GET "a: \x1b[2J\r\n\r\n"), -400 },
	{ SLICE(GET "a: \x7f\r\n\r\n"), -400 },
	{ SLICE(GET "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n\r\n"), 0 },
	{ SLICE(GET "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n\r\n"), -431 },

	/* Hosts. */
	{ SLICE("GET / HTTP/1.1\r\n\r\n"), -400 },
	{ SLICE(GET HOST "\r\n"), -400 },
	{ SLICE(GET "host: b\r\n\r\n"), -400 },
	{ SLICE("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), -400 },
	{ SLICE("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n"), -400 },

	/* Bodies. */
	{ SLICE(POST "Content-Length: 0\r\n\r\n"), 0 },
	{ SLICE(POST "Content-Length: 007\r\n\r\n"), 0 },
	{ SLICE(POST "Content-Length: 1000\r\n\r\n"), 0 },
	{ SLICE(POST "Content-Length: 1001\r\n\r\n"), -413 },
	{ SLICE(POST "Content-Length: 18446744073709551615\r\n\r\n"), -413 },
	{ SLICE(POST "Content-Length: 18446744073709551616\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 18446744073709551620\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 99999999999999999999999\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length:\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: +4\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: -4\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 4, 4\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 4, 5\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 4 4\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 0x4\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 4\r\ncontent-length: 5\r\n\r\n"), -400 },
	{ SLICE(POST "Transfer-Encoding: chunked\r\n\r\n"), 0 },
	{ SLICE(POST "transfer-encoding: Chunked\r\n\r\n"), 0 },
	{ SLICE(POST "Transfer-Encoding: xchunked\r\n\r\n"), -400 },
	{ SLICE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), -400 },
	{ SLICE(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), -400 },
	{ SLICE(POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n"), -400 },
	{ SLICE(POST "Transfer-Encoding:\r\n\r\n"), -400 },
	{ SLICE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), -400 },
	{ SLICE(POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"), -400 },
	{ SLICE(POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"), -400 },
	{ SLICE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), -400 },
};

START_TEST(head_gets_its_answer)
{
	struct http_request req;

	ck_assert_int_eq(parse(heads[_i].in, &req), heads[_i].want);
}
END_TEST

/* Whatever the pieces, the same answer: here one octet at a time, each time in memory of its own. */
START_TEST(split_does_not_matter)
{
	struct slice in = heads[_i].in;
	size_t	     whole = 0, pieces = 0;
	ssize_t	     want = http_head_end(in, &whole, &limits), got = 0;

	for (size_t n = 1; n <= in.n && got == 0; n++) {
		autofree char *copy = xmalloc(n);

		memcpy(copy, in.p, n);
		got = http_head_end(slice(copy, n), &pieces, &limits);
	}
	ck_assert_int_eq(got, want);
}
END_TEST

static const struct {
	const char *host;
	int	    want;
} hosts[] = {
	{ "a", 0 },
	{ "a.example", 0 },
	{ "A-b_c.example:4000", 0 },
	{ "127.0.0.1:65535", 0 },
	{ "[::1]", 0 },
	{ "[2001:db8::7]:443", 0 },
	{ "[::ffff:1.2.3.4]:0", 0 },
	{ "", -400 },
	{ ":80", -400 },
	{ "a:", -400 },
	{ "a:80:80", -400 },
	{ "a:65536", -400 },
	{ "a:000080", -400 },
	{ "a:8a", -400 },
	{ "a:+8", -400 },
	{ "a b", -400 },
	{ "a,b", -400 },
	{ "a;b", -400 },
	{ "a/b", -400 },
	{ "a@b", -400 },
	{ "a?b", -400 },
	{ "a#b", -400 },
	{ "a%62", -400 },
	{ "a\"", -400 },
	{ "<a>", -400 },
	{ "\xc3\xa9", -400 },
	{ "::1", -400 },
	{ "[::1", -400 },
	{ "::1]", -400 },
	{ "[]", -400 },
	{ "[a.example]", -400 },
	{ "[127.0.0.1]", -400 },
	{ "[::1%25lo]", -400 },
	{ "[::1]80", -400 },
	{ "[::1]:", -400 },
	{ "[::1]:x", -400 },
	{ "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]", -400 },
};

START_TEST(host_is_checked)
{
	struct http_request req;
	autofree char	   *head = xasprintf("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[_i].host);

	ck_assert_int_eq(http_parse_head(slice_str(head), &limits, &req), hosts[_i].want);
	if (hosts[_i].want == 0)
		ck_assert(slice_is(req.host, hosts[_i].host));
}
END_TEST

/* A head of exactly n bytes, or its first bytes if it is to be cut. */
static struct buf
head_of(size_t n)
{
	struct buf b = { 0 };

	buf_add_str(&b, GET "a: ");
	while (b.n < n - 4)
		buf_add_char(&b, 'x');
	buf_add_str(&b, "\r\n\r\n");
	ck_assert_uint_eq(b.n, n);
	return b;
}

START_TEST(head_has_a_limit)
{
	autobuf struct buf  fits = head_of(limits.head), over = head_of(limits.head + 1);
	struct http_request req;
	size_t		    scanned = 0;

	ck_assert_int_eq(parse(buf_slice(&fits), &req), 0);
	ck_assert_int_eq(http_head_end(slice(fits.p, fits.n - 1), &scanned, &limits), 0);
	ck_assert_uint_eq(scanned, fits.n - 1);
	ck_assert_int_eq(parse(buf_slice(&over), &req), -431);
	ck_assert_int_eq(http_parse_head(buf_slice(&over), &limits, &req), -431);
}
END_TEST

START_TEST(endless_first_line_is_a_long_target)
{
	autobuf struct buf b = { 0 };
	size_t		   scanned = 0;

	buf_add_str(&b, "GET /");
	while (b.n < limits.head)
		buf_add_char(&b, 'x');
	ck_assert_int_eq(http_head_end(slice(b.p, b.n - 1), &scanned, &limits), 0);
	ck_assert_int_eq(http_head_end(buf_slice(&b), &scanned, &limits), -414);
}
END_TEST

/* What was looked at before is not looked at again, but for the last bytes. */
START_TEST(scan_goes_on_where_it_stopped)
{
	autobuf struct buf b = head_of(500);
	size_t		   scanned = 0;

	ck_assert_int_eq(http_head_end(slice(b.p, 400), &scanned, &limits), 0);
	ck_assert_uint_eq(scanned, 400);
	memset(b.p, '\0', 390);
	ck_assert_int_eq(http_head_end(buf_slice(&b), &scanned, &limits), 500);
}
END_TEST

START_TEST(parse_trusts_no_scan)
{
	static const struct slice heads_without_end[] = {
		SLICE(""), SLICE("\n"), SLICE("\r\n"), SLICE("\r\n\r\n"), SLICE("GET / HTTP/1.1\n\n"), SLICE(GET),
		SLICE(GET "\n"), SLICE(GET "\r\nx"), SLICE(GET "\r\n\r\n"), SLICE(GET "a: b\rc\r\n\r\n"),
	};
	struct http_request req;

	for (size_t i = 0; i < sizeof(heads_without_end) / sizeof(heads_without_end[0]); i++)
		ck_assert_int_eq(http_parse_head(heads_without_end[i], &limits, &req), -400);
}
END_TEST

START_TEST(request_is_taken_apart)
{
	static const char   head[] = "GET /socket/websocket?vsn=2.0.0&a=? HTTP/1.1\r\nHOST:  b:80 \t\r\n"
				     "Content-Length: 12\r\nConnection: Upgrade , keep-alive\r\n\r\n";
	struct http_request req;

	ck_assert_int_eq(http_parse_head(slice_str(head), &limits, &req), 0);
	ck_assert(slice_is(req.method, "GET"));
	ck_assert(slice_is(req.target, "/socket/websocket?vsn=2.0.0&a=?"));
	ck_assert(slice_is(req.path, "/socket/websocket"));
	ck_assert(slice_is(req.query, "vsn=2.0.0&a=?"));
	ck_assert(slice_is(req.host, "b:80"));
	ck_assert_uint_eq(req.content_length, 12);
	ck_assert_uint_eq(req.minor, 1);
	ck_assert(req.has_body && req.has_length && req.keep_alive);
	ck_assert_uint_eq(req.n_fields, 3);
	ck_assert(slice_is(req.fields[0].name, "HOST"));
}
END_TEST

static const struct {
	const char *head;
	bool	    keep_alive, has_length, has_body;
} kinds[] = {
	{ GET "\r\n", true, false, false },
	{ GET "Connection: close\r\n\r\n", false, false, false },
	{ GET "Connection: keep-alive\r\nconnection: a, CLOSE\r\n\r\n", false, false, false },
	{ GET "Connection: closed, not-close\r\n\r\n", true, false, false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, false, false },
	{ GET "Content-Length: 0\r\n\r\n", true, true, false },
	{ GET "Content-Length: 1\r\n\r\n", true, true, true },
	{ GET "Transfer-Encoding: chunked\r\n\r\n", true, true, true },
};

START_TEST(request_knows_what_follows)
{
	struct http_request req;

	ck_assert_int_eq(http_parse_head(slice_str(kinds[_i].head), &limits, &req), 0);
	ck_assert_int_eq(req.keep_alive, kinds[_i].keep_alive);
	ck_assert_int_eq(req.has_length, kinds[_i].has_length);
	ck_assert_int_eq(req.has_body, kinds[_i].has_body);
}
END_TEST

START_TEST(fields_are_found)
{
	struct http_request req;
	bool		    twice = true;

	ck_assert_int_eq(http_parse_head(SLICE(GET "a: 1\r\nEmpty:\r\nA: 2\r\n\r\n"), &limits, &req), 0);
	ck_assert(slice_is(http_field(&req, "a", &twice), "1"));
	ck_assert(twice);
	ck_assert(slice_is(http_field(&req, "A", NULL), "1"));
	ck_assert_ptr_nonnull(http_field(&req, "empty", &twice).p);
	ck_assert(!twice);
	ck_assert_uint_eq(http_field(&req, "empty", NULL).n, 0);
	twice = true;
	ck_assert_ptr_null(http_field(&req, "b", &twice).p);
	ck_assert(!twice);
}
END_TEST

static const struct {
	const char *fields, *want;	/* the elements, each in brackets */
} lists[] = {
	{ "", "" },
	{ "L:\r\n", "" },
	{ "L: , ,\t,\r\n", "" },
	{ "L: a\r\n", "[a]" },
	{ "L: a,b\r\n", "[a][b]" },
	{ "L:  a , b c ,, d\t\r\nM: x\r\nl: e,\r\nL:\r\nL: f\r\n", "[a][b c][d][e][f]" },
	{ "L: a; b=\"1,2\", c\r\n", "[a; b=\"1,2\"][c]" },
	{ "L: a=\"\\\",\", b\r\n", "[a=\"\\\",\"][b]" },
	{ "L: a=\\, b\r\n", "[a=\\][b]" },
	{ "L: \"a, b\r\nL: c\r\n", "[\"a, b][c]" },
	{ "L: \"a\\\r\nL: c\r\n", "[\"a\\][c]" },
};

START_TEST(list_is_walked)
{
	autofree char	   *head = xasprintf(GET "%s\r\n", lists[_i].fields);
	autobuf struct buf  got = { 0 };
	struct http_request req;
	struct slice	    element;
	size_t		    at = 0;

	ck_assert_int_eq(http_parse_head(slice_str(head), &limits, &req), 0);
	while (http_next_token(&req, "L", &at, &element))
		buf_addf(&got, "[%.*s]", SLICE_ARG(element));
	buf_add_char(&got, '\0');
	ck_assert_str_eq(got.p, lists[_i].want);
	ck_assert(!http_next_token(&req, "L", &at, &element));
}
END_TEST

START_TEST(token_is_compared_whole)
{
	struct http_request req;

	ck_assert_int_eq(http_parse_head(SLICE(GET "Connection: keep-alive, UpGrade\r\n\r\n"), &limits, &req), 0);
	ck_assert(http_has_token(&req, "connection", "upgrade"));
	ck_assert(http_has_token(&req, "Connection", "Keep-Alive"));
	ck_assert(!http_has_token(&req, "Connection", "keep"));
	ck_assert(!http_has_token(&req, "Connection", ""));
	ck_assert(!http_has_token(&req, "Upgrade", "upgrade"));
}
END_TEST

/* The response with its date replaced by "D", once that has been seen to be one. */
static char *
respond(unsigned status, bool keep_alive, const char *extra, const char *type, const char *body, bool head_only)
{
	autobuf struct buf b = { 0 };
	char		  *text, *date, *end;
	char		   day[4], month[4], zone[4];
	int		   n = 0;

	http_response(&b, status, keep_alive, extra, type, slice_str(body), head_only);
	text = xstrndup(b.p, b.n);
	date = strstr(text, "Date: ");
	ck_assert_ptr_nonnull(date);
	ck_assert_int_eq(sscanf(date, "Date: %3s, %*2d %3s %*4d %*2d:%*2d:%*2d %3s%n", day, month, zone, &n), 3);
	ck_assert_str_eq(zone, "GMT");
	ck_assert_int_eq(n, 6 + 29);
	end = date + n;
	date[6] = 'D';
	memmove(date + 7, end, strlen(end) + 1);
	return text;
}

#define START	"\r\nServer: roost\r\nDate: D\r\nConnection: "

static const struct {
	unsigned    status;
	bool	    keep_alive;
	const char *extra, *type, *body;
	bool	    head_only;
	const char *want;
} responses[] = {
	{ 200, true, NULL, "text/plain", "ok\n", false,
	    "HTTP/1.1 200 OK" START "keep-alive\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nok\n" },
	{ 200, true, NULL, "text/plain", "ok\n", true,
	    "HTTP/1.1 200 OK" START "keep-alive\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\n" },
	{ 405, false, "Allow: GET\r\nVary: a\r\n", NULL, "x", false,
	    "HTTP/1.1 405 Method Not Allowed" START "close\r\nContent-Length: 0\r\nAllow: GET\r\nVary: a\r\n\r\n" },
	{ 204, true, NULL, "text/plain", "x", false, "HTTP/1.1 204 No Content" START "keep-alive\r\n\r\n" },
	{ 304, true, NULL, NULL, "", false, "HTTP/1.1 304 Not Modified" START "keep-alive\r\n\r\n" },
	{ 299, false, NULL, NULL, "", false, "HTTP/1.1 299 Unknown" START "close\r\nContent-Length: 0\r\n\r\n" },
};

START_TEST(response_is_composed)
{
	autofree char *got = respond(responses[_i].status, responses[_i].keep_alive, responses[_i].extra,
	    responses[_i].type, responses[_i].body, responses[_i].head_only);

	ck_assert_str_eq(got, responses[_i].want);
}
END_TEST

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

Suite *
http_suite(void)
{
	Suite *s = suite_create("http");
	TCase *tc = tcase_create("http");

	LOOP(tc, head_gets_its_answer, heads);
	LOOP(tc, split_does_not_matter, heads);
	LOOP(tc, host_is_checked, hosts);
	tcase_add_test(tc, head_has_a_limit);
	tcase_add_test(tc, endless_first_line_is_a_long_target);
	tcase_add_test(tc, scan_goes_on_where_it_stopped);
	tcase_add_test(tc, parse_trusts_no_scan);
	tcase_add_test(tc, request_is_taken_apart);
	LOOP(tc, request_knows_what_follows, kinds);
	tcase_add_test(tc, fields_are_found);
	LOOP(tc, list_is_walked, lists);
	tcase_add_test(tc, token_is_compared_whole);
	LOOP(tc, response_is_composed, responses);
	suite_add_tcase(s, tc);
	return s;
}
