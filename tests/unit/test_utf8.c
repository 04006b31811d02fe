/*
 * UTF-8: everything that is short, compared with a model; and everything else cut at every place.
 */
#include <check.h>
#include <stdlib.h>

#include "net/utf8.h"
#include "utf8_model.h"

Suite *utf8_suite(void);

static enum utf8_model
state_means(uint32_t state)
{
	return state == UTF8_OK ? MODEL_OK : state == UTF8_BAD ? MODEL_BAD : MODEL_CUT;
}

static uint32_t
feed_singly(const uint8_t *p, size_t n)
{
	uint32_t state = UTF8_OK;

	for (size_t i = 0; i < n; i++)
		state = utf8_feed(state, (const char *)p + i, 1);
	return state;
}

static bool
agrees(const uint8_t *p, size_t n)
{
	uint32_t state = utf8_feed(UTF8_OK, (const char *)p, n);

	return state_means(state) == model_text(p, n) && feed_singly(p, n) == state &&
	    utf8_valid(slice((const char *)p, n)) == (state == UTF8_OK);
}

static void
check_agrees(const uint8_t *p, size_t n)
{
	if (!agrees(p, n))
		ck_abort_msg("%zu bytes: %02x %02x %02x %02x", n, p[0], p[1], p[2], p[3]);
}

/* All strings of 1, 2 and 3 bytes. */
START_TEST(short_strings)
{
	uint8_t s[4] = { 0 };

	for (uint32_t v = 0; v < 1u << 24; v++) {
		s[0] = (uint8_t)v;
		s[1] = (uint8_t)(v >> 8);
		s[2] = (uint8_t)(v >> 16);
		if (v < 1u << 8)
			check_agrees(s, 1);
		if (v < 1u << 16)
			check_agrees(s, 2);
		check_agrees(s, 3);
	}
}
END_TEST

/* All that could begin a character of 4 bytes, with all second bytes and the others near a border. */
START_TEST(four_bytes)
{
	static const uint8_t borders[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xe2, 0xff };
	const unsigned	     n = sizeof(borders);
	uint8_t		     s[4];

	for (unsigned v = 0; v < 32u * 256 * n * n; v++) {
		s[0] = (uint8_t)(0xe0 + v % 32);
		s[1] = (uint8_t)(v / 32 % 256);
		s[2] = borders[v / 32 / 256 % n];
		s[3] = borders[v / 32 / 256 / n];
		check_agrees(s, 4);
	}
}
END_TEST

static unsigned
encode(uint32_t c, uint8_t *s)
{
	static const uint8_t leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	unsigned	     n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (unsigned i = n; i > 1; i--, c >>= 6)
		s[i - 1] = (uint8_t)(0x80 | (c & 0x3f));
	s[0] = (uint8_t)(leads[n] | c);
	return n;
}

START_TEST(every_code_point)
{
	uint8_t s[4];

	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		unsigned n = encode(c, s);
		bool	 surrogate = c >= 0xd800 && c <= 0xdfff;

		if (utf8_valid(slice((const char *)s, n)) == surrogate || (feed_singly(s, n) == UTF8_OK) == surrogate)
			ck_abort_msg("U+%04X", c);
	}
}
END_TEST

static const struct {
	const char *text;
	bool	    valid;
} texts[] = {
	{ "", true },
	{ "plain", true },
	{ "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true },
	{ "sixteen bytes of ASCII and more \xf0\x9f\x98\x80 and more of that again: 0123456789abcdef", true },
	{ "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xc2\x80", true },
	{ "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80" "edited", false },
	{ "overlong slash \xc0\xaf and more, sixteen and more", false },
	{ "overlong \xe0\x80\xaf", false },
	{ "overlong \xf0\x80\x80\xaf", false },
	{ "beyond \xf4\x90\x80\x80", false },
	{ "\xf5\x80\x80\x80", false },
	{ "stray \x80", false },
	{ "\xfe\xff", false },
	{ "cut \xe2\x82", false },
	{ "cut \xf0\x9f\x98", false },
	{ "cut within \xe2\x82 and gone on", false },
};

START_TEST(splits)
{
	struct slice s = slice_str(texts[_i].text);
	uint32_t     whole = utf8_feed(UTF8_OK, s.p, s.n), state;

	ck_assert_int_eq(whole == UTF8_OK, texts[_i].valid);
	for (size_t i = 0; i <= s.n; i++)
		for (size_t j = i; j <= s.n; j++) {
			state = utf8_feed(UTF8_OK, s.p, i);
			state = utf8_feed(state, s.p + i, j - i);
			state = utf8_feed(state, s.p + j, s.n - j);
			ck_assert_uint_eq(state, whole);
		}
}
END_TEST

/* What is not ASCII is found at every place of a run, and wherever the run lies in memory. */
START_TEST(runs)
{
	uint8_t s[128];

	for (size_t at = 0; at < 16; at++)
		for (size_t n = 1; n < 80; n++)
			for (size_t i = 0; i < n; i++) {
				memset(s, 'a', sizeof(s));
				s[at + i] = 0xc3;
				ck_assert(agrees(s + at, n));
				s[at + i + 1] = 0xa9;
				ck_assert(agrees(s + at, n));
			}
}
END_TEST

START_TEST(bad_stays_bad)
{
	ck_assert_uint_eq(utf8_feed(UTF8_BAD, "a", 1), UTF8_BAD);
	ck_assert_uint_eq(utf8_feed(UTF8_BAD, "", 0), UTF8_BAD);
	ck_assert_uint_eq(utf8_feed(UTF8_OK, NULL, 0), UTF8_OK);
	ck_assert(utf8_valid(slice(NULL, 0)));
}
END_TEST

Suite *
utf8_suite(void)
{
	Suite *s = suite_create("utf8");
	TCase *t = tcase_create("utf8");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, short_strings);
	tcase_add_test(t, four_bytes);
	tcase_add_test(t, every_code_point);
	tcase_add_loop_test(t, splits, 0, sizeof(texts) / sizeof(texts[0]));
	tcase_add_test(t, runs);
	tcase_add_test(t, bad_stays_bad);
	suite_add_tcase(s, t);
	return s;
}
