/*
 * Words of a command line, as they are sent and shown.
 */
#include <check.h>

#include "ctl/words.h"

Suite *words_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

static void
expect(const struct buf *b, const char *text)
{
	ck_assert_msg(slice_is(buf_slice(b), text), "expected %s, got %.*s", text, SLICE_ARG(buf_slice(b)));
}

static const struct { const char *pattern, *prefix; } prefixes[] = {
	{ "", "" }, { "*", "" }, { "room:*", "room:" }, { "room:a", "room:a" }, { "a?b", "a" }, { "a[bc]", "a" },
	{ "a\\*b*", "a*b" }, { "a\\\\", "a\\" }, { "a\\", "a" },
};

START_TEST(a_pattern_has_a_prefix)
{
	autobuf struct buf b = { 0 };

	words_add_prefix(&b, prefixes[_i].pattern);
	expect(&b, prefixes[_i].prefix);
}
END_TEST

START_TEST(a_segment_is_escaped)
{
	autobuf struct buf b = { 0 };

	words_add_escaped(&b, SLICE("aZ9-._~ /:%?#&+\xc3\xa9\0"));
	expect(&b, "aZ9-._~%20%2F%3A%25%3F%23%26%2B%C3%A9%00");
}
END_TEST

static const struct { const char *text, *members; } claims[] = {
	{ "role=admin", "\"role\":\"admin\"" },
	{ "n=1", "\"n\":1" },
	{ "n=01", "\"n\":\"01\"" },
	{ "t=[\"a\", {}]", "\"t\":[\"a\", {}]" },
	{ "t=[\"a\"", "\"t\":\"[\\\"a\\\"\"" },
	{ "t={} {}", "\"t\":\"{} {}\"" },
	{ "b=true", "\"b\":true" },
	{ "s=\"1\"", "\"s\":\"1\"" },
	{ "e=", "\"e\":\"\"" },
	{ "a=b=c", "\"a\":\"b=c\"" },
	{ "\"=x", "\"\\\"\":\"x\"" },
	{ "role", NULL }, { "=x", NULL }, { "", NULL }, { "a=\xff", NULL },
};

START_TEST(a_claim_is_json_or_text)
{
	autobuf struct buf b = { 0 };

	ck_assert_int_eq(words_add_claim(&b, claims[_i].text), claims[_i].members != NULL);
	expect(&b, claims[_i].members != NULL ? claims[_i].members : "");
}
END_TEST

START_TEST(claims_are_separated)
{
	autobuf struct buf b = { 0 };

	ck_assert(words_add_claim(&b, "a=1"));
	ck_assert(words_add_claim(&b, "b=2"));
	expect(&b, "\"a\":1,\"b\":2");
}
END_TEST

static const struct { const char *text; bool is; } objects[] = {
	{ "{}", true }, { " {\"a\":1} ", true }, { "[]", false }, { "{", false }, { "", false }, { "{} {}", false },
	{ "{\"a\":\"\xff\"}", false }, { "{a:1}", false },
};

START_TEST(an_object_is_told)
{
	ck_assert_int_eq(words_are_object(objects[_i].text), objects[_i].is);
}
END_TEST

START_TEST(a_message_is_composed)
{
	autobuf struct buf b = { 0 };

	words_add_message(&b, "a\"b", "{\"n\": 1}");
	expect(&b, "{\"event\":\"a\\\"b\",\"data\":{\"n\": 1}}");
}
END_TEST

static const struct { struct slice text; const char *shown; } shown[] = {
	{ SLICE("room:a"), "room:a" },
	{ SLICE("a\nb\tc\x1b[31m\x7f"), "a\\x0ab\\x09c\\x1b[31m\\x7f" },
	{ SLICE("\0"), "\\x00" },
	{ SLICE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x93"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x93" },
	{ SLICE("\xc2\x9b" "31m"), "\\xc2\\x9b31m" },
	{ SLICE("\xff\xc3"), "\\xff\\xc3" },
};

START_TEST(what_is_shown_is_harmless)
{
	autobuf struct buf b = { 0 };

	words_add_visible(&b, shown[_i].text);
	expect(&b, shown[_i].shown);
}
END_TEST

Suite *
words_suite(void)
{
	Suite *s = suite_create("words");
	TCase *tc = tcase_create("words");

	LOOP(tc, a_pattern_has_a_prefix, prefixes);
	tcase_add_test(tc, a_segment_is_escaped);
	LOOP(tc, a_claim_is_json_or_text, claims);
	tcase_add_test(tc, claims_are_separated);
	LOOP(tc, an_object_is_told, objects);
	tcase_add_test(tc, a_message_is_composed);
	LOOP(tc, what_is_shown_is_harmless, shown);
	suite_add_tcase(s, tc);
	return s;
}
