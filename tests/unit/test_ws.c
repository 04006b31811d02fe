/*
 * WebSocket frames: each row is read whole, cut at every place, and byte by byte, under several masks; the
 * transcript must be the same.
 */
#include <check.h>
#include <stdlib.h>

#include "ws_transcript.h"

Suite *ws_suite(void);

#define MAX_MESSAGE	20
#define MAX_FRAGMENTS	4
#define MAX_FRAMES	7

/* A masked frame with the shortest header; or, with first == RAW, bytes as they are. */
struct in {
	int	     first;
	const char  *p;
	size_t	     n;
};
#define F(first, payload)	{ first, payload, sizeof(payload) - 1 }
#define R(bytes)		{ RAW, bytes, sizeof(bytes) - 1 }
#define RAW			(-1)
#define W(want)			{ want, sizeof(want) - 1 }

#define FIN_TEXT	0x81
#define FIN_BINARY	0x82
#define FIN_CONT	0x80
#define FIN_CLOSE	0x88
#define FIN_PING	0x89
#define FIN_PONG	0x8a
#define TEXT		0x01
#define BINARY		0x02
#define CONT		0x00
#define RSV1		0x40
#define RSV2		0x20
#define RSV3		0x10

#define M4		"\x01\x02\x03\x04"	/* a mask */
#define P25		"0123456789012345678901234"
#define P125		P25 P25 P25 P25 P25

struct row {
	struct in    frames[MAX_FRAMES];
	struct slice want;	/* "!": what the transcript ends in */
};

static const struct row rows[] = {
	/* messages */
	{ { F(FIN_TEXT, "Hello") }, W("t<Hello>") },
	{ { F(FIN_BINARY, "\x00\xff\x80") }, W("b<\x00\xff\x80>") },
	{ { F(FIN_TEXT, "") }, W("t<>") },
	{ { F(FIN_BINARY, "") }, W("b<>") },
	{ { F(FIN_TEXT, "a"), F(FIN_BINARY, "b"), F(FIN_TEXT, "c") }, W("t<a>b<b>t<c>") },
	{ { F(FIN_TEXT, "01234567890123456789") }, W("t<01234567890123456789>") },
	/* fragments */
	{ { F(TEXT, "Hel"), F(FIN_CONT, "lo") }, W("t<Hello>") },
	{ { F(BINARY, "Hel"), F(CONT, "lo"), F(FIN_CONT, "!") }, W("b<Hello!>") },
	{ { F(TEXT, ""), F(FIN_CONT, "lo") }, W("t<lo>") },
	{ { F(TEXT, "Hel"), F(CONT, ""), F(FIN_CONT, "") }, W("t<Hel>") },
	{ { F(TEXT, ""), F(CONT, ""), F(CONT, ""), F(FIN_CONT, "") }, W("t<>") },
	{ { F(TEXT, "a"), F(CONT, "b"), F(CONT, "c"), F(FIN_CONT, "d") }, W("t<abcd>") },
	{ { F(TEXT, "0123456789"), F(CONT, ""), F(FIN_CONT, "0123456789") }, W("t<01234567890123456789>") },
	{ { F(TEXT, "a"), F(FIN_CONT, "b"), F(FIN_BINARY, "c"), F(TEXT, "d"), F(FIN_CONT, "") }, W("t<ab>b<c>t<d>") },
	{ { F(TEXT, "0123456789abcde"), F(FIN_CONT, ""), F(TEXT, "0123456789abcde"), F(FIN_CONT, "") },
	    W("t<0123456789abcde>t<0123456789abcde>") },
	/* control frames, between fragments too */
	{ { F(FIN_PING, "") }, W("P()") },
	{ { F(FIN_PING, "are you there") }, W("P(are you there)") },
	{ { F(FIN_PONG, "") }, W("O()") },
	{ { F(FIN_PONG, "\xff\x00") }, W("O(\xff\x00)") },
	{ { F(FIN_PING, P125) }, W("P(" P125 ")") },
	{ { F(TEXT, "Hel"), F(FIN_PING, "x"), F(FIN_PONG, ""), F(CONT, ""), F(FIN_PING, "y"), F(FIN_CONT, "lo") },
	    W("t<HelP(x)O()P(y)lo>") },
	{ { F(FIN_PING, "a"), F(FIN_TEXT, "b"), F(FIN_PING, "c"), F(FIN_PING, "d") }, W("P(a)t<b>P(c)P(d)") },
	/* close */
	{ { F(FIN_CLOSE, "") }, W("C(1005,)") },
	{ { F(FIN_CLOSE, "\x03\xe8") }, W("C(1000,)") },
	{ { F(FIN_CLOSE, "\x03\xe8" "bye") }, W("C(1000,bye)") },
	{ { F(FIN_CLOSE, "\x0f\xa1" "gr\xc3\xbc\xc3\x9f") }, W("C(4001,gr\xc3\xbc\xc3\x9f)") },
	{ { F(TEXT, "Hel"), F(FIN_CLOSE, "\x03\xe9") }, W("t<HelC(1001,)") },
	{ { F(FIN_CLOSE, "\x03") }, W("!1002") },
	{ { F(FIN_CLOSE, "\x00\x00") }, W("!1002") },
	{ { F(FIN_CLOSE, "\x03\xed") }, W("!1002") },
	{ { F(FIN_CLOSE, "\x03\xee" "\xff") }, W("!1002") },
	{ { F(FIN_CLOSE, "\x03\xe8\xff") }, W("!1007") },
	{ { F(FIN_CLOSE, "\x03\xe8" "cut \xe2\x82") }, W("!1007") },
	{ { F(FIN_CLOSE, "\x03\xe8\xed\xa0\x80") }, W("!1007") },
	/* UTF-8 */
	{ { F(FIN_TEXT, "\xce\xba\xe1\xbd\xb9") }, W("t<\xce\xba\xe1\xbd\xb9>") },
	{ { F(TEXT, "\xe1"), F(CONT, "\xbd"), F(FIN_PING, "\xff"), F(FIN_CONT, "\xb9") },
	    W("t<\xe1\xbdP(\xff)\xb9>") },
	{ { F(FIN_TEXT, "ok\xff") }, W("!1007") },
	{ { F(FIN_TEXT, "\xed\xa0\x80") }, W("!1007") },
	{ { F(FIN_TEXT, "\xc0\xaf") }, W("!1007") },
	{ { F(FIN_TEXT, "\xf4\x90\x80\x80") }, W("!1007") },
	{ { F(FIN_TEXT, "cut \xe2\x82") }, W("!1007") },
	{ { F(TEXT, "cut \xe2\x82"), F(FIN_CONT, "") }, W("!1007") },
	{ { F(TEXT, "\xe1"), F(FIN_CONT, "a") }, W("!1007") },
	{ { F(TEXT, "good"), F(FIN_CONT, "\xff") }, W("!1007") },
	{ { F(BINARY, "\xe1"), F(FIN_CONT, "\xff"), F(FIN_TEXT, "\x80") }, W("!1007") },
	{ { F(TEXT, "\xc3"), F(FIN_CLOSE, "") }, W("t<\xc3" "C(1005,)") },
	/* protocol errors in the first two bytes */
	{ { F(FIN_TEXT | RSV1, "a") }, W("!1002") },
	{ { F(FIN_TEXT | RSV2, "a") }, W("!1002") },
	{ { F(FIN_TEXT | RSV3, "a") }, W("!1002") },
	{ { F(FIN_BINARY | RSV1, "a") }, W("!1002") },
	{ { F(FIN_PING | RSV1, "") }, W("!1002") },
	{ { F(TEXT, "a"), F(FIN_CONT | RSV2, "") }, W("!1002") },
	{ { F(0x83, "") }, W("!1002") }, { { F(0x84, "") }, W("!1002") }, { { F(0x85, "") }, W("!1002") },
	{ { F(0x86, "") }, W("!1002") }, { { F(0x87, "") }, W("!1002") }, { { F(0x8b, "") }, W("!1002") },
	{ { F(0x8c, "") }, W("!1002") }, { { F(0x8d, "") }, W("!1002") }, { { F(0x8e, "") }, W("!1002") },
	{ { F(0x8f, "") }, W("!1002") }, { { F(0x03, "") }, W("!1002") },
	{ { F(TEXT, "a"), F(0x83, "") }, W("!1002") },
	{ { R("\x81\x05Hello") }, W("!1002") },
	{ { R("\x81\x00") }, W("!1002") },
	{ { R("\x89\x00") }, W("!1002") },
	{ { F(FIN_CONT, "a") }, W("!1002") },
	{ { F(CONT, "") }, W("!1002") },
	{ { F(FIN_TEXT, "a"), F(FIN_CONT, "b") }, W("!1002") },
	{ { F(TEXT, "a"), F(FIN_TEXT, "b") }, W("!1002") },
	{ { F(TEXT, "a"), F(FIN_BINARY, "b") }, W("!1002") },
	{ { F(TEXT, ""), F(TEXT, "b") }, W("!1002") },
	{ { F(0x09, "") }, W("!1002") },
	{ { F(0x0a, "x") }, W("!1002") },
	{ { F(0x08, "") }, W("!1002") },
	{ { R("\x89\xfe\x00\x7e" M4) }, W("!1002") },
	{ { R("\x8a\xff\x00\x00\x00\x00\x00\x01\x00\x00" M4) }, W("!1002") },
	{ { R("\x88\xfe\x00\x05" M4 "12345") }, W("!1002") },
	/* lengths */
	{ { R("\x81\xfe\x00\x05" M4 "12345") }, W("!1002") },
	{ { R("\x81\xfe\x00\x7d" M4) }, W("!1002") },
	{ { R("\x82\xfe\x00\x00" M4) }, W("!1002") },
	{ { R("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05" M4 "12345") }, W("!1002") },
	{ { R("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff" M4) }, W("!1002") },
	{ { R("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00" M4) }, W("!1009") },
	{ { R("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" M4) }, W("!1009") },
	/* too big, known from the header */
	{ { F(FIN_TEXT, "01234567890123456789+") }, W("!1009") },
	{ { R("\x81\x95" M4) }, W("!1009") },
	{ { R("\x82\xfe\x00\x7e" M4) }, W("!1009") },
	{ { R("\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00" M4) }, W("!1009") },
	{ { R("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M4) }, W("!1009") },
	{ { R("\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00" M4) }, W("!1009") },
	{ { F(TEXT, "0123456789"), R("\x80\x8b" M4) }, W("!1009") },
	{ { F(TEXT, "0123456789"), F(CONT, "0123456789"), R("\x80\x81" M4) }, W("!1009") },
	{ { F(TEXT, "0"), R("\x00\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M4) }, W("!1009") },
	{ { F(TEXT, "0"), R("\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M4) }, W("!1009") },
	/* a protocol error wins */
	{ { R("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff") }, W("!1002") },
	{ { F(TEXT, "0123456789"), R("\x81\x8b" M4) }, W("!1002") },
	{ { R("\xc1\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M4) }, W("!1002") },
	/* too many fragments, and size before number */
	{ { F(TEXT, "a"), F(CONT, "b"), F(CONT, "c"), F(CONT, "d"), F(FIN_CONT, "e") }, W("!1008") },
	{ { F(BINARY, ""), F(CONT, ""), F(CONT, ""), F(FIN_PING, ""), F(CONT, ""), F(CONT, "") }, W("!1008") },
	{ { F(TEXT, "a"), F(CONT, "b"), F(CONT, "c"), F(CONT, "d"), R("\x80\x95" M4) }, W("!1009") },
};
#define N_ROWS	(int)(sizeof(rows) / sizeof(rows[0]))

/* With permessage-deflate. */
static const struct row deflate_rows[] = {
	{ { F(FIN_TEXT | RSV1, "\xff\x80") }, W("zt<\xff\x80>") },
	{ { F(FIN_BINARY | RSV1, "") }, W("zb<>") },
	{ { F(FIN_TEXT, "plain") }, W("t<plain>") },
	{ { F(FIN_TEXT, "\xff") }, W("!1007") },
	{ { F(TEXT | RSV1, "\xff"), F(FIN_PING, "x"), F(CONT, "\xff"), F(FIN_CONT, "\xff") },
	    W("zt<\xffP(x)\xff\xff>") },
	{ { F(TEXT | RSV1, "\xff"), F(FIN_CONT, ""), F(FIN_TEXT, "a"), F(TEXT, "b"), F(FIN_CONT, "c") },
	    W("zt<\xff>t<a>t<bc>") },
	{ { F(TEXT | RSV1, "a"), F(FIN_CONT, ""), F(FIN_TEXT, "\xff") }, W("!1007") },
	{ { F(TEXT | RSV1, "a"), F(FIN_CONT | RSV1, "b") }, W("!1002") },
	{ { F(TEXT, "a"), F(CONT | RSV1, "b") }, W("!1002") },
	{ { F(FIN_PING | RSV1, "") }, W("!1002") },
	{ { F(FIN_CLOSE | RSV1, "") }, W("!1002") },
	{ { F(FIN_TEXT | RSV1 | RSV2, "a") }, W("!1002") },
	{ { F(FIN_TEXT | RSV3, "a") }, W("!1002") },
	{ { F(0x83 | RSV1, "a") }, W("!1002") },
	{ { F(FIN_TEXT | RSV1, "01234567890123456789+") }, W("!1009") },
};
#define N_DEFLATE_ROWS	(int)(sizeof(deflate_rows) / sizeof(deflate_rows[0]))

static const uint8_t masks[][4] = { { 0 }, { 0x12, 0x34, 0x56, 0x78 }, { 0xff, 0x00, 0x80, 0x7f } };
#define N_MASKS	(sizeof(masks) / sizeof(masks[0]))

static void
add_frame(struct buf *b, int first, const char *p, size_t n, const uint8_t *mask)
{
	unsigned form = n < 126 ? (unsigned)n : n <= UINT16_MAX ? 126 : 127;

	buf_add_char(b, (char)first);
	buf_add_char(b, (char)(0x80 | form));
	for (int shift = form == 127 ? 56 : form == 126 ? 8 : -8; shift >= 0; shift -= 8)
		buf_add_char(b, (char)(n >> shift));
	buf_add(b, mask, 4);
	for (size_t i = 0; i < n; i++)
		buf_add_char(b, (char)(p[i] ^ mask[i % 4]));
}

static void
add_row(struct buf *b, const struct row *row, const uint8_t *mask)
{
	for (const struct in *in = row->frames; in < row->frames + MAX_FRAMES && in->p != NULL; in++) {
		if (in->first == RAW)
			buf_add(b, in->p, in->n);
		else
			add_frame(b, in->first, in->p, in->n, mask);
	}
}

static bool
is_wanted(struct slice want, struct slice got)
{
	if (want.p[0] == '!' && got.n > want.n)
		got = slice_from(got, got.n - want.n);
	return slice_eq(want, got);
}

static struct transcript
transcript_with(bool deflate)
{
	return (struct transcript){
		.parser.deflate = deflate,
		.limits = { .max_message = MAX_MESSAGE, .max_fragments = MAX_FRAGMENTS },
	};
}

static void
check_cut(struct slice want, bool deflate, struct slice in, size_t i, size_t j)
{
	struct transcript t = transcript_with(deflate);
	struct slice	  got;

	transcript_feed(&t, in.p, i);
	transcript_feed(&t, in.p + i, j - i);
	transcript_feed(&t, in.p + j, in.n - j);
	got = transcript_end(&t);
	if (!is_wanted(want, got))
		ck_abort_msg("cut at %zu and %zu: %.*s", i, j, SLICE_ARG(got));
	transcript_done(&t);
}

static void
check_singly(struct slice want, bool deflate, struct slice in)
{
	struct transcript t = transcript_with(deflate);

	for (size_t i = 0; i < in.n; i++)
		transcript_feed(&t, in.p + i, 1);
	ck_assert(is_wanted(want, transcript_end(&t)));
	transcript_done(&t);
}

static void
check_row(const struct row *row, bool deflate)
{
	for (size_t m = 0; m < N_MASKS; m++) {
		autobuf struct buf in = { 0 };

		add_row(&in, row, masks[m]);
		check_singly(row->want, deflate, buf_slice(&in));
		for (size_t i = 0; i <= in.n; i++)
			for (size_t j = i; j <= in.n; j++)
				check_cut(row->want, deflate, buf_slice(&in), i, j);
	}
}

START_TEST(row_is_read)
{
	check_row(&rows[_i], false);
}
END_TEST

START_TEST(deflate_row_is_read)
{
	check_row(&deflate_rows[_i], true);
}
END_TEST

static const size_t lengths[] = {
	0, 1, 7, 8, 15, 16, 17, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200000,
};

/* Every form of the length; as much as is allowed, and one byte more. */
START_TEST(length_is_read)
{
	const size_t	   n = lengths[_i];
	autofree char	  *payload = xmalloc(n);
	autobuf struct buf in = { 0 };

	memset(payload, 'a', n);
	add_frame(&in, FIN_TEXT, payload, n, masks[1]);
	for (size_t cut = 0; cut < 20 && cut <= in.n; cut++) {
		struct transcript t = { .limits = { n, 1 } }, small = { .limits = { n - 1, 1 } };

		transcript_feed(&t, in.p, cut);
		transcript_feed(&t, in.p + cut, in.n - cut);
		ck_assert_int_eq(t.error, 0);
		ck_assert_uint_eq(t.text.n, n + 3);
		ck_assert_mem_eq(t.text.p + 2, payload, n);
		transcript_feed(&small, in.p, cut);
		transcript_feed(&small, in.p + cut, in.n - cut);
		ck_assert_int_eq(small.error, n > 0 ? -1009 : 0);
		transcript_done(&t);
		transcript_done(&small);
	}
}
END_TEST

START_TEST(chunks_are_told_as_they_come)
{
	struct ws_parser p = { 0 };
	struct ws_limits limits = { 100, 10 };
	struct ws_event	 ev;
	char		 in[] = "\x81\x85\0\0\0\0Hello";

	ck_assert_int_eq(ws_parse(&p, &limits, in, 0, &ev), 0);
	ck_assert_int_eq(ev.kind, WS_EV_NONE);
	ck_assert_int_eq(ws_parse(&p, &limits, in, 6, &ev), 6);
	ck_assert_int_eq(ev.kind, WS_EV_NONE);
	ck_assert_int_eq(ws_parse(&p, &limits, in + 6, 2, &ev), 2);
	ck_assert_int_eq(ev.kind, WS_EV_DATA);
	ck_assert(ev.first && !ev.last && !ev.binary && !ev.compressed);
	ck_assert_ptr_eq(ev.data.p, in + 6);
	ck_assert_int_eq(ws_parse(&p, &limits, in + 8, 1, &ev), 1);
	ck_assert(!ev.first && !ev.last);
	ck_assert_int_eq(ws_parse(&p, &limits, in + 9, 0, &ev), 0);
	ck_assert_int_eq(ev.kind, WS_EV_NONE);
	ck_assert_int_eq(ws_parse(&p, &limits, in + 9, 2, &ev), 2);
	ck_assert(!ev.first && ev.last);
	ck_assert(slice_is(ev.data, "lo"));
	ws_parser_done(&p);
}
END_TEST

START_TEST(whole_message_borrows_the_input)
{
	struct ws_parser p = { .deflate = true };
	struct ws_limits limits = { 100, 10 };
	struct ws_event	 ev;
	char		 in[] = "\x81\x85\x01\0\0\0Ielln" "\x82\x81\0\0\0\0x" "\xc1\x82\0\0\0\0zz";

	ck_assert_int_eq(ws_parse(&p, &limits, in, 26, &ev), 11);
	ck_assert(ev.kind == WS_EV_DATA && ev.first && ev.last && !ev.binary && !ev.compressed);
	ck_assert_ptr_eq(ev.data.p, in + 6);
	ck_assert(slice_is(ev.data, "Hello"));
	ck_assert_int_eq(ws_parse(&p, &limits, in + 11, 15, &ev), 7);
	ck_assert(ev.kind == WS_EV_DATA && ev.first && ev.last && ev.binary && !ev.compressed);
	ck_assert_int_eq(ws_parse(&p, &limits, in + 18, 8, &ev), 8);
	ck_assert(ev.kind == WS_EV_DATA && ev.first && ev.last && !ev.binary && ev.compressed);
	ck_assert(slice_is(ev.data, "zz"));
	ws_parser_done(&p);
}
END_TEST

/* Frames of which nothing more will ever come: the error must be told with the last byte here. */
static const struct {
	struct slice in;
	ssize_t	     want;
} early[] = {
	{ W("\x81\xfd\0\0\0\0ok\xff"), -1007 },
	{ W("\x01\xfd\0\0\0\0ok\xed\xa0"), -1007 },
	{ W("\x81\xfd\0\0\0\0ok\xe2\x82"), 0 },
	{ W("\x81\x05"), -1002 },
	{ W("\x83\xff"), -1002 },
	{ W("\x89\xfe"), -1002 },
	{ W("\x80\xff"), -1002 },
	{ W("\x81\xfe\x00\x7e\0\0\0\0"), -1009 },
};

START_TEST(errors_are_told_early)
{
	struct transcript t = { .limits = { 125, 10 } };

	transcript_feed(&t, early[_i].in.p, early[_i].in.n - 1);
	ck_assert_int_eq(t.error, 0);
	transcript_feed(&t, early[_i].in.p + early[_i].in.n - 1, 1);
	ck_assert_int_eq(t.error, early[_i].want);
	transcript_done(&t);
}
END_TEST

START_TEST(sums_do_not_overflow)
{
	static const struct {
		uint64_t max;
		ssize_t	 want;
	} sums[] = { { UINT64_MAX, 0 }, { 1ull << 63, 0 }, { INT64_MAX, -1009 }, { 1, -1009 } };

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		struct transcript t = { .limits = { sums[i].max, 10 } };

		transcript_feed(&t, "\x02\x81\0\0\0\0a\x00\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 21);
		ck_assert_int_eq(t.error, sums[i].want);
		transcript_done(&t);
	}
}
END_TEST

/* A reload may lower the limit while a message is under way. */
START_TEST(limit_may_shrink)
{
	struct transcript t = { .limits = { 10, 10 } };

	transcript_feed(&t, "\x02\x85\0\0\0\0Hello", 11);
	t.limits.max_message = 4;
	transcript_feed(&t, "\x00\x80\0\0\0\0", 6);
	ck_assert_int_eq(t.error, -1009);
	transcript_done(&t);
}
END_TEST

START_TEST(idle_parser_holds_nothing)
{
	struct transcript t = { .limits = { 100, 10 } };

	transcript_feed(&t, "\x89\x84\0\0\0\0pi", 8);
	ck_assert_ptr_nonnull(t.parser.control);
	transcript_feed(&t, "ng", 2);
	transcript_feed(&t, "\x81\x81\0\0\0\0a", 7);
	ck_assert_ptr_null(t.parser.control);
	transcript_feed(&t, "\x89\x84\0\0\0\0ping", 10);
	ck_assert_ptr_null(t.parser.control);
	ck_assert(slice_is(transcript_end(&t), "P(ping)t<a>P(ping)"));
	transcript_feed(&t, "\x89\x84\0\0\0\0pi", 8);
	transcript_done(&t);
	ck_assert_ptr_null(t.parser.control);
}
END_TEST

/* Against one byte at a time, with every length, place in memory and phase of the mask. */
START_TEST(unmask)
{
	const uint32_t mask = 0x78563412;
	char	       have[96], want[96];

	for (size_t at = 0; at < 16; at++)
		for (size_t n = 0; n <= 64; n++)
			for (size_t cut = 0; cut <= n; cut++) {
				for (size_t i = 0; i < sizeof(have); i++)
					have[i] = want[i] = (char)(i * 7);
				for (size_t i = 0; i < n; i++)
					want[at + i] ^= (char)masks[1][i % 4];
				ws_unmask(have + at + cut, n - cut, ws_unmask(have + at, cut, mask));
				ck_assert_mem_eq(have, want, sizeof(have));
			}
}
END_TEST

START_TEST(codes)
{
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		bool legal = (code >= 1000 && code <= 1014 && !(code >= 1004 && code <= 1006)) ||
		    (code >= 3000 && code <= 4999);

		ck_assert_int_eq(ws_code_is_legal(code), legal);
	}
}
END_TEST

Suite *
ws_suite(void)
{
	Suite *s = suite_create("ws");
	TCase *t = tcase_create("ws");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, row_is_read, 0, N_ROWS);
	tcase_add_loop_test(t, deflate_row_is_read, 0, N_DEFLATE_ROWS);
	tcase_add_loop_test(t, length_is_read, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(t, chunks_are_told_as_they_come);
	tcase_add_test(t, whole_message_borrows_the_input);
	tcase_add_loop_test(t, errors_are_told_early, 0, sizeof(early) / sizeof(early[0]));
	tcase_add_test(t, sums_do_not_overflow);
	tcase_add_test(t, limit_may_shrink);
	tcase_add_test(t, idle_parser_holds_nothing);
	tcase_add_test(t, unmask);
	tcase_add_test(t, codes);
	suite_add_tcase(s, t);
	return s;
}
