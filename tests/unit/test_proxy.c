/*
 * PROXY headers, fed whole and octet by octet.
 */
#include <check.h>
#include <errno.h>

#include "base/buf.h"
#include "net/proxy.h"

Suite *proxy_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#define SIG	"\r\n\r\n\0\r\nQUIT\n"
#define V4	"\x01\x02\x03\x04\x05\x06\x07\x08\x1f\x90\x00\x50"	/* 1.2.3.4:8080 to 5.6.7.8:80 */
#define MAPPED	"\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04"
#define V6	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
#define Z4	"\0\0\0\0"
#define Z16	Z4 Z4 Z4 Z4
#define Z108	Z16 Z16 Z16 Z16 Z16 Z16 Z4 Z4 Z4

/* What the address reads as when the header said nothing. */
#define KEPT	"9.9.9.9:9"

static const struct {
	struct slice in;	/* and "GET" behind it */
	const char  *want;	/* NULL = -EPROTO */
} headers[] = {
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080 80\r\n"), "1.2.3.4:8080" },
	{ SLICE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535" },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n"), "1.2.3.4:0" },
	{ SLICE("PROXY TCP6 2001:db8::7 ::1 8080 80\r\n"), "[2001:db8::7]:8080" },
	{ SLICE("PROXY TCP6 ::ffff:1.2.3.4 ::1 8080 80\r\n"), "1.2.3.4:8080" },
	{ SLICE("PROXY UNKNOWN\r\n"), KEPT },
	{ SLICE("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), KEPT },
	{ SLICE("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
		"012345678901234567890\r\n"), KEPT },

	{ SLICE("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901\r\n"), NULL },
	{ SLICE("PROXY UNKNOWNX\r\n"), NULL },
	{ SLICE("PROXY\r\n"), NULL },
	{ SLICE("PROXY \r\n"), NULL },
	{ SLICE("proxy TCP4 1.2.3.4 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY  TCP4 1.2.3.4 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4  1.2.3.4 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080 80 \r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080 80 x\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080 \r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4\r\n"), NULL },
	{ SLICE("PROXY TCP4\r\n"), NULL },
	{ SLICE("PROXY UDP4 1.2.3.4 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 08080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080 00\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 65536 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 4294967297 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 +8 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8a 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.04 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.256 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 ::1 ::1 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 ::ffff:1.2.3.4 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP6 1.2.3.4 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP6 ::1 1.2.3.4 8080 80\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080 80\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 8080 80\rx\r\n"), NULL },
	{ SLICE("PROXY TCP4 1.2.3.4\0 5.6.7.8 8080 80\r\n"), NULL },
	{ SLICE("GET / HTTP/1.1\r\n"), NULL },
	{ SLICE("PROX / HTTP/1.1\r\n"), NULL },

	{ SLICE(SIG "\x21\x11\x00\x0c" V4), "1.2.3.4:8080" },
	{ SLICE(SIG "\x21\x12\x00\x0c" V4), "1.2.3.4:8080" },
	{ SLICE(SIG "\x21\x21\x00\x24" V6 Z16 "\x1f\x90\x00\x50"), "[2001:db8::7]:8080" },
	{ SLICE(SIG "\x21\x21\x00\x24" MAPPED Z16 "\x1f\x90\x00\x50"), "1.2.3.4:8080" },
	{ SLICE(SIG "\x21\x31\x00\xd8" Z108 Z108), "unix" },
	{ SLICE(SIG "\x21\x00\x00\x00"), KEPT },
	{ SLICE(SIG "\x21\x00\x00\x03" "abc"), KEPT },
	{ SLICE(SIG "\x20\x00\x00\x00"), KEPT },
	{ SLICE(SIG "\x20\x11\x00\x0c" V4), KEPT },
	{ SLICE(SIG "\x20\xff\x00\x01" "a"), KEPT },
	{ SLICE(SIG "\x21\x11\x00\x13" V4 "\x05\x00\x04" "abcd"), "1.2.3.4:8080" },
	{ SLICE(SIG "\x21\x11\x00\x12" V4 "\x04\x00\x00" "\x04\x00\x00"), "1.2.3.4:8080" },
	{ SLICE(SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04" "\x4e\x9b\x74\xba"), "1.2.3.4:8080" },

	{ SLICE(SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04" "\x4e\x9b\x74\xbb"), NULL },
	{ SLICE(SIG "\x21\x11\x00\x14" V4 "\x03\x00\x05" "\xbc\x82\x84\x8c" "x"), NULL },
	{ SLICE(SIG "\x21\x11\x00\x12" V4 "\x03\x00\x03" "\x4e\x9b\x74"), NULL },
	{ SLICE(SIG "\x21\x11\x00\x13" V4 "\x05\x00\x05" "abcd"), NULL },
	{ SLICE(SIG "\x21\x11\x00\x0e" V4 "\x05\x00"), NULL },
	{ SLICE(SIG "\x21\x11\x00\x0b" V4), NULL },
	{ SLICE(SIG "\x21\x21\x00\x23" V6 Z16 "\x1f\x90\x00"), NULL },
	{ SLICE(SIG "\x21\x31\x00\xd7" Z108 Z108), NULL },
	{ SLICE(SIG "\x11\x11\x00\x0c" V4), NULL },
	{ SLICE(SIG "\x31\x11\x00\x0c" V4), NULL },
	{ SLICE(SIG "\x22\x11\x00\x0c" V4), NULL },
	{ SLICE(SIG "\x21\x13\x00\x0c" V4), NULL },
	{ SLICE(SIG "\x21\x10\x00\x0c" V4), NULL },
	{ SLICE(SIG "\x21\x41\x00\x0c" V4), NULL },
	{ SLICE(SIG "\x21\x01\x00\x00"), NULL },
	{ SLICE(SIG "\x21\x11\x08\x01"), NULL },
	{ SLICE("\r\n\r\n\0\r\nQUIT\r"), NULL },
	{ SLICE("\r\nGET"), NULL },
};

static ssize_t
parse(struct slice in, const char *want)
{
	struct addr src = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };
	ssize_t	    n = proxy_parse(in, &src);
	char	    text[ADDR_LEN];

	ck_assert_str_eq(addr_text(&src, text), n > 0 ? want : KEPT);
	return n;
}

START_TEST(header_is_read)
{
	autobuf struct buf in = { 0 };

	buf_add_slice(&in, headers[_i].in);
	buf_add_str(&in, "GET");
	ck_assert_int_eq(parse(buf_slice(&in), headers[_i].want),
	    headers[_i].want != NULL ? (ssize_t)headers[_i].in.n : -EPROTO);
}
END_TEST

/* More is wanted until the last octet, or until the first that cannot be right. */
START_TEST(header_may_come_in_pieces)
{
	struct slice in = headers[_i].in;
	ssize_t	     got = 0;

	for (size_t n = 0; n <= in.n && got == 0; n++) {
		autobuf struct buf piece = { 0 };

		buf_add(&piece, in.p, n);
		got = parse(buf_slice(&piece), headers[_i].want);
	}
	ck_assert_int_eq(got, headers[_i].want != NULL ? (ssize_t)in.n : -EPROTO);
}
END_TEST

START_TEST(endless_line_is_no_header)
{
	autobuf struct buf in = { 0 };

	buf_add_str(&in, "PROXY UNKNOWN ");
	while (in.n < 105)
		buf_add_char(&in, 'x');
	ck_assert_int_eq(parse(buf_slice(&in), NULL), 0);
	buf_add_char(&in, 'x');
	ck_assert_int_eq(parse(buf_slice(&in), NULL), -EPROTO);
}
END_TEST

START_TEST(longest_header_is_taken)
{
	autobuf struct buf in = { 0 };

	buf_add_slice(&in, SLICE(SIG "\x21\x11\x08\x00" V4 "\x05\x07\xf1"));
	while (in.n < PROXY_MAX)
		buf_add_char(&in, 'x');
	ck_assert_int_eq(parse(slice(in.p, in.n - 1), NULL), 0);
	ck_assert_int_eq(parse(buf_slice(&in), "1.2.3.4:8080"), PROXY_MAX);
}
END_TEST

Suite *
proxy_suite(void)
{
	Suite *s = suite_create("proxy");
	TCase *tc = tcase_create("proxy");

	LOOP(tc, header_is_read, headers);
	LOOP(tc, header_may_come_in_pieces, headers);
	tcase_add_test(tc, endless_line_is_no_header);
	tcase_add_test(tc, longest_header_is_taken);
	suite_add_tcase(s, tc);
	return s;
}
