/*
 * The JSON scanner: what it takes and refuses, strings decoded and quoted, members found.
 */
#include <check.h>
#include <errno.h>

#include "base/mem.h"
#include "wire/json.h"

Suite *json_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

/* Scans a copy with nothing readable behind it. */
static ssize_t
scan(struct slice text, enum json_kind *type)
{
	autofree char *copy = xmalloc(text.n);

	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	return json_scan(slice(copy, text.n), type);
}

/* A whole document: one value and blanks around it. */
static int
document(struct slice text)
{
	struct slice value;
	enum json_kind type;
	int	r;

	json_take_blanks(&text);
	r = json_take_value(&text, &value, &type);
	if (r < 0)
		return r;
	return text.n == 0 ? 0 : -EBADMSG;
}

/* "n" copies of a text behind one another. */
static void
add_times(struct buf *b, unsigned n, const char *text)
{
	while (n-- > 0)
		buf_add_str(b, text);
}

static const struct {
	const char     *text;
	enum json_kind	type;
} accepted[] = {
	{ "null", JSON_NULL },
	{ "true", JSON_BOOL },
	{ "false", JSON_BOOL },
	{ "\"\"", JSON_STRING },
	{ "\"a\"", JSON_STRING },
	{ "\"/\"", JSON_STRING },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", JSON_STRING },
	{ "\"\\u0041\\uabcd\\uABCD\\uFfFf\"", JSON_STRING },
	{ "\"\\u0000\"", JSON_STRING },
	{ "\"\\ud83d\\ude00\"", JSON_STRING },
	{ "\"\\ud800\"", JSON_STRING },		/* the grammar has no word against half a pair */
	{ "\"\\udc00\\ud800\"", JSON_STRING },
	{ "\"\x7f\"", JSON_STRING },
	{ "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\"", JSON_STRING },
	{ "\"\xe2\x80\xa8\xe2\x80\xa9\"", JSON_STRING },
	{ "\"'//<!-- [{,:}] --></script>\"", JSON_STRING },
	{ "\"exactly sixteen!\"", JSON_STRING },
	{ "\"one escape at the very end of a long text \\n\"", JSON_STRING },
	{ "[]", JSON_ARRAY },
	{ "[ \t\r\n]", JSON_ARRAY },
	{ "[[]]", JSON_ARRAY },
	{ "[[],[[]],{}]", JSON_ARRAY },
	{ "[1,2,3]", JSON_ARRAY },
	{ "[ 1 , 2\t,\r\n3 ]", JSON_ARRAY },
	{ "[null,true,false,\"\",0,{},[]]", JSON_ARRAY },
	{ "[0,-0,1,-1,10,123456789012345678901234567890]", JSON_ARRAY },
	{ "[0.0,-0.1,1.50,1e1,1E1,1e+1,1e-1,1e00,0e0,-0e-0,1.5E+10,1e99999]", JSON_ARRAY },
	{ "{}", JSON_OBJECT },
	{ "{ }", JSON_OBJECT },
	{ "{\"\":0}", JSON_OBJECT },
	{ "{\"a\":1}", JSON_OBJECT },
	{ "{ \"a\" : 1 , \"b\" :\n[ ] }", JSON_OBJECT },
	{ "{\"a\":1,\"a\":2}", JSON_OBJECT },
	{ "{\"\\u0061\\\"\":{\"b\":[{\"c\":[[{}]]}]}}", JSON_OBJECT },
	{ "{\"a\":[{\"b\":[1,{\"c\":2}]},3],\"d\":{\"e\":{}}}", JSON_OBJECT },
};

START_TEST(takes_what_is_json)
{
	const struct slice text = slice_str(accepted[_i].text);
	enum json_kind type;

	ck_assert_int_eq(scan(text, &type), text.n);
	ck_assert_int_eq(type, accepted[_i].type);
}
END_TEST

START_TEST(refuses_every_part_of_it)
{
	const struct slice text = slice_str(accepted[_i].text);
	enum json_kind type;

	for (size_t n = 0; n < text.n; n++)
		ck_assert_int_eq(scan(slice(text.p, n), &type), -EBADMSG);
}
END_TEST

/* A number is the one value whose beginning may be a value. */
static const struct {
	const char *text;
	ssize_t	    want;
} numbers[] = {
	{ "0",
	  1 }, { "-0", 2 }, { "7", 1 }, { "10", 2 }, { "-12", 3 }, { "1.5", 3 }, { "0.0", 3 }, { "1e5", 3 },
	{ "1E+5", 4 }, { "1e-05", 5 }, { "-1.25e+7", 8 }, { "12345678901234567890123", 23 },
	{ "1,", 1 }, { "1 ", 1 }, { "1]", 1 }, { "1a", 1 }, { "1.5.5", 3 }, { "0-1", 1 },
	{ "-", -EBADMSG }, { "+1", -EBADMSG }, { ".5", -EBADMSG }, { "1.", -EBADMSG }, { "1.e1", -EBADMSG },
	{ "1e",
	  -EBADMSG }, { "1e+", -EBADMSG }, { "1ee1", -EBADMSG }, { "01", -EBADMSG }, { "00", -EBADMSG },
	{ "-01",
	  -EBADMSG }, { "--1", -EBADMSG }, { "-a", -EBADMSG }, { "-.5", -EBADMSG }, { "1.-5", -EBADMSG },
};

START_TEST(numbers_end_where_they_end)
{
	enum json_kind type;

	ck_assert_int_eq(scan(slice_str(numbers[_i].text), &type), numbers[_i].want);
}
END_TEST

#define BYTES(literal)	{ literal, sizeof(literal) - 1 }

static const struct slice refused[] = {
	BYTES(""), BYTES(" "), BYTES("\xef\xbb\xbf{}"), BYTES("\xef\xbb\xbf"), BYTES("\0"), BYTES("null\0"),
	BYTES("{} {}"), BYTES("{}x"), BYTES("[]]"), BYTES("{}}"), BYTES("1 2"), BYTES("\"a\"\"b\""),
	BYTES("[1]\f"), BYTES("\v1"), BYTES("\xc2\xa0[]"), BYTES("[\xe2\x81\xa0]"), BYTES("nul"),
	BYTES("nulL"), BYTES("Null"), BYTES("NULL"), BYTES("nulll"), BYTES("True"), BYTES("tru"),
	BYTES("fals"), BYTES("falsy"), BYTES("undefined"), BYTES("NaN"), BYTES("-NaN"), BYTES("Infinity"),
	BYTES("-Infinity"), BYTES("inf"), BYTES("nan"), BYTES("[NaN]"), BYTES("{\"a\":NaN}"),
	BYTES("[-Infinity]"), BYTES("[01]"), BYTES("[+1]"), BYTES("[1.]"), BYTES("[.1]"), BYTES("[-]"),
	BYTES("[1e]"), BYTES("[0x1]"), BYTES("[1_000]"), BYTES("[1 000]"), BYTES("[0e+-1]"),
	BYTES("[1e1.5]"), BYTES("[\xef\xbc\x91]"), BYTES("[1,]"), BYTES("[,1]"), BYTES("[,]"),
	BYTES("[1,,2]"), BYTES("[1 2]"), BYTES("[1;2]"), BYTES("[1:2]"), BYTES("["), BYTES("[1"),
	BYTES("[1,"), BYTES("]"), BYTES(","), BYTES(":"), BYTES("[1}"), BYTES("[}"), BYTES("[[]"),
	BYTES("[{]}"), BYTES("{[]}"), BYTES("{\"a\":[}]"), BYTES("[{\"a\":1]}"), BYTES("{"), BYTES("}"),
	BYTES("{]"), BYTES("{,}"), BYTES("{\"a\"}"), BYTES("{\"a\":}"), BYTES("{\"a\":1,}"),
	BYTES("{,\"a\":1}"), BYTES("{\"a\":1,,\"b\":2}"), BYTES("{\"a\" 1}"), BYTES("{\"a\"::1}"),
	BYTES("{:1}"), BYTES("{a:1}"), BYTES("{1:1}"), BYTES("{null:1}"), BYTES("{'a':1}"),
	BYTES("{\"a\":1 \"b\":2}"), BYTES("{\"a\",\"b\"}"), BYTES("{\"a\":1:2}"), BYTES("{[\"a\"]:1}"),
	BYTES("{\"a\":'b'}"), BYTES("'a'"), BYTES("`a`"), BYTES("a"), BYTES("\""), BYTES("\"a"),
	BYTES("a\""), BYTES("\"a\\\""), BYTES("\"\\\""), BYTES("\"\\"), BYTES("\"\\a\""), BYTES("\"\\'\""),
	BYTES("\"\\0\""), BYTES("\"\\x41\""), BYTES("\"\\U0041\""), BYTES("\"\\u\""), BYTES("\"\\u004\""),
	BYTES("\"\\u00g0\""), BYTES("\"\\u-041\""), BYTES("\"\\u 041\""), BYTES("\"\\u{41}\""),
	BYTES("\"\\ud83d\\u\""), BYTES("\"\\\xc3\xa9\""), BYTES("\"\\\n\""), BYTES("\"a\nb\""),
	BYTES("\"a\tb\""), BYTES("\"\x01\""), BYTES("\"\x1f\""), BYTES("\"\0\""),
	BYTES("\"a plain text of some length, and then\x02\""), BYTES("[\"a\",\n\"b\r\"]"), BYTES("/**/1"),
	BYTES("1//"), BYTES("[1/**/]"), BYTES("#1"), BYTES("[1] //"), BYTES("<1>"), BYTES("*"),
	BYTES("[\"a\"b]"), BYTES("[\"a\"1]"), BYTES("[true false]"), BYTES("[truefalse]"),
	BYTES("\\u007b\\u007d"),
};

START_TEST(refuses_what_is_not)
{
	ck_assert_int_eq(document(refused[_i]), -EBADMSG);
}
END_TEST

START_TEST(type_is_known_by_the_first_byte)
{
	enum json_kind type = JSON_NULL;

	ck_assert_int_eq(json_scan(SLICE("{\"broken\":"), &type), -EBADMSG);
	ck_assert_int_eq(type, JSON_OBJECT);
	ck_assert_int_eq(json_scan(SLICE("[x"), &type), -EBADMSG);
	ck_assert_int_eq(type, JSON_ARRAY);
	ck_assert_int_eq(json_scan(SLICE("-x"), &type), -EBADMSG);
	ck_assert_int_eq(type, JSON_NUMBER);
}
END_TEST

START_TEST(what_follows_is_left)
{
	enum json_kind type;

	ck_assert_int_eq(json_scan(SLICE("{\"a\":[]} ,x"), &type), 8);
	ck_assert_int_eq(json_scan(SLICE("\"a\":1"), &type), 3);
	ck_assert_int_eq(json_scan(SLICE("nulls"), &type), 4);
	ck_assert_uint_eq(json_blanks(SLICE(" \t\r\n\f")), 4);
	ck_assert_uint_eq(json_blanks(SLICE("x ")), 0);
	ck_assert_uint_eq(json_blanks(SLICE("")), 0);
}
END_TEST

/* Every byte at every place of every length: the text is looked at in steps of 16, 8 and 1. */
START_TEST(each_byte_of_a_string_is_looked_at)
{
	const int byte = _i;
	char	text[72];
	enum json_kind type;

	for (size_t n = 3; n <= sizeof(text); n++)
		for (size_t at = 1; at < n - 1; at++) {
			ssize_t want = (ssize_t)n;

			memset(text, 'x', sizeof(text));
			text[0] = text[n - 1] = '"';
			text[at] = (char)byte;
			if (byte == '"')
				want = (ssize_t)at + 1;
			else if (byte < 0x20 || byte == '\\')
				want = -EBADMSG;
			ck_assert_int_eq(scan(slice(text, n), &type), want);
		}
}
END_TEST

START_TEST(escapes_may_stand_anywhere)
{
	char	text[64];
	enum json_kind type;

	for (size_t n = 8; n <= sizeof(text); n++)
		for (size_t at = 1; at + 6 < n; at++) {
			memset(text, 'x', sizeof(text));
			text[0] = text[n - 1] = '"';
			memcpy(text + at, "\\u00e9", 6);
			ck_assert_int_eq(scan(slice(text, n), &type), n);
		}
}
END_TEST

START_TEST(long_strings)
{
	autobuf struct buf b = { 0 };
	enum json_kind type;

	buf_add_char(&b, '"');
	add_times(&b, 1 << 16, "sixteen bytes...");
	ck_assert_int_eq(scan(buf_slice(&b), &type), -EBADMSG);
	buf_add_char(&b, '"');
	ck_assert_int_eq(scan(buf_slice(&b), &type), b.n);
}
END_TEST

static const struct {
	const char *open, *middle, *close;
} nests[] = {
	{ "[",
	  "", "]" }, { "[", "1", "]" }, { "{\"a\":", "1", "}" }, { "{ \"a\" : ", "[]", " } " }, { " [ ",
	  "\"\"", " ] " },
};

static int
nested(int i, unsigned depth)
{
	autobuf struct buf b = { 0 };

	add_times(&b, depth, nests[i].open);
	buf_add_str(&b, nests[i].middle);
	add_times(&b, depth, nests[i].close);
	return document(buf_slice(&b));
}

START_TEST(depth_is_bounded)
{
	const unsigned middle = nests[_i].middle[0] == '[';

	ck_assert_int_eq(nested(_i, JSON_MAX_DEPTH - middle), 0);
	ck_assert_int_eq(nested(_i, JSON_MAX_DEPTH + 1 - middle), -E2BIG);
	ck_assert_int_eq(nested(_i, 100000), -E2BIG);
}
END_TEST

/* Arrays and objects within each other by the bits of a pattern,
    as deep as may be; then one closed wrongly. */
START_TEST(each_level_is_closed_by_its_own_kind)
{
	const uint64_t pattern = 0x9e3779b97f4a7c15u * (uint64_t)(_i + 1);
	autobuf struct buf b = { 0 };

	for (unsigned i = 0; i < JSON_MAX_DEPTH; i++)
		buf_add_str(&b, pattern >> i & 1 ? "{\"k\":" : "[");
	buf_add_str(&b, "0");
	for (unsigned i = JSON_MAX_DEPTH; i-- > 0;)
		buf_add_char(&b, pattern >> i & 1 ? '}' : ']');
	ck_assert_int_eq(document(buf_slice(&b)), 0);
	for (unsigned i = 1; i <= JSON_MAX_DEPTH; i++) {
		b.p[b.n - i] ^= ']' ^ '}';
		ck_assert_int_eq(document(buf_slice(&b)), -EBADMSG);
		b.p[b.n - i] ^= ']' ^ '}';
	}
}
END_TEST

static const struct {
	const char *open, *member, *close;
	unsigned    weight;	/* members in each */
} crowds[] = {
	{ "[0", ",0", "]", 1 },
	{ "{\"a\":0", ",\"a\":0", "}", 1 },
	{ "[0", ",[0]", "]", 2 },
	{ "[0", ",{\"a\":[],\"b\":{}}", "]", 3 },
};

static int
crowd(int i, unsigned n)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, crowds[i].open);
	add_times(&b, n, crowds[i].member);
	buf_add_str(&b, crowds[i].close);
	return document(buf_slice(&b));
}

START_TEST(members_are_counted)
{
	const unsigned fit = (JSON_MAX_MEMBERS - 1) / crowds[_i].weight;

	ck_assert_int_eq(crowd(_i, fit), 0);
	ck_assert_int_eq(crowd(_i, fit + 1), -E2BIG);
	ck_assert_int_eq(crowd(_i, 20 * JSON_MAX_MEMBERS), -E2BIG);
}
END_TEST

static const struct {
	const char *token;
	int	    want;
	const char *text;
} strings[] = {
	{ "\"\"", 0, "" },
	{ "\"room:lobby\"", 0, "room:lobby" },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0, "\"\\/\b\f\n\r\t" },
	{ "\"\\u0041\\u00e9\\u00E9\\u20ac\\uffff\"", 0, "A\xc3\xa9\xc3\xa9\xe2\x82\xac\xef\xbf\xbf" },
	{ "\"\\u007f\\u0080\\u07ff\\u0800\"", 0, "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80" },
	{ "\"\\ud83d\\ude00\\ud800\\udc00\"", 0, "\xf0\x9f\x98\x80\xf0\x90\x80\x80" },
	{ "\"\\uDBFF\\uDFFF\\ud837\\ude0d\"", 0, "\xf4\x8f\xbf\xbf\xf0\x9d\xb8\x8d" },
	{ "\"\\ud7ff\\ue000\"", 0, "\xed\x9f\xbf\xee\x80\x80" },
	{ "\"\xc3\xa9\\n\xf0\x9f\x98\x80\"", 0, "\xc3\xa9\n\xf0\x9f\x98\x80" },
	{ "\"\\\\u0000\"", 0, "\\u0000" },
	{ "\"\\u0000\"", -EILSEQ, NULL },
	{ "\"a\\u0000b\"", -EILSEQ, NULL },
	{ "\"\\ud800\"", -EILSEQ, NULL },
	{ "\"\\udc00\"", -EILSEQ, NULL },
	{ "\"\\ud800x\"", -EILSEQ, NULL },
	{ "\"\\ud800\\n\"", -EILSEQ, NULL },
	{ "\"\\ud800\\u0041\"", -EILSEQ, NULL },
	{ "\"\\ud800\\ud800\\udc00\"", -EILSEQ, NULL },
	{ "\"\\udc00\\ud800\"", -EILSEQ, NULL },
	{ "\"\\ud83d\xf0\x9f\x98\x80\"", -EILSEQ, NULL },
	{ "\"0123456789abcdef0123456789abcdef\"", 0, "0123456789abcdef0123456789abcdef" },
	{ "\"0123456789abcdef0123456789abcdefg\"", -ENAMETOOLONG, NULL },
	{ "\"\\u0030123456789abcdef0123456789abcdef\"", 0, "0123456789abcdef0123456789abcdef" },
	{ "\"\\u0030123456789abcdef0123456789abcdefg\"", -ENAMETOOLONG, NULL },
	{ "\"0123456789abcdef0123456789abcd\\u20ac\"", -ENAMETOOLONG, NULL },
};

START_TEST(strings_are_decoded)
{
	const struct slice token = slice_str(strings[_i].token);
	struct slice text;
	enum json_kind type;
	char	scratch[32];

	ck_assert_int_eq(scan(token, &type), token.n);
	ck_assert_int_eq(json_text(token, scratch, sizeof(scratch), &text), strings[_i].want);
	if (strings[_i].want == 0)
		ck_assert(slice_is(text, strings[_i].text));
}
END_TEST

START_TEST(plain_strings_are_borrowed)
{
	const struct slice token = SLICE("\"plain\"");
	struct slice text;
	char	scratch[8];

	ck_assert_int_eq(json_text(token, scratch, sizeof(scratch), &text), 0);
	ck_assert_ptr_eq(text.p, token.p + 1);
}
END_TEST

static const struct {
	struct slice text;
	const char  *token;
} quoted[] = {
	{ BYTES(""), "\"\"" },
	{ { NULL, 0 }, "\"\"" },
	{ BYTES("new_msg"), "\"new_msg\"" },
	{ BYTES("a/b'<&>"), "\"a/b'<&>\"" },
	{ BYTES("\""), "\"\\\"\"" },
	{ BYTES("\\"), "\"\\\\\"" },
	{ BYTES("a\"b\\c"), "\"a\\\"b\\\\c\"" },
	{ BYTES("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"" },
	{ BYTES("\0\x01\x0b\x1f\x7f"), "\"\\u0000\\u0001\\u000b\\u001f\x7f\"" },
	{ BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ BYTES("more than sixteen plain bytes\nand as many again"),
	  "\"more than sixteen plain bytes\\nand as many again\"" },
};

START_TEST(text_is_quoted)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "before");
	json_quote(&b, quoted[_i].text);
	ck_assert(slice_is(slice_from(buf_slice(&b), 6), quoted[_i].token));
	ck_assert_uint_eq(json_quoted_len(quoted[_i].text), strlen(quoted[_i].token));
}
END_TEST

/* Texts of all bytes but NUL, of many lengths: quoted, they are JSON that says the same. */
START_TEST(quoting_is_undone_by_decoding)
{
	autobuf struct buf token = { 0 };
	enum json_kind type;
	char	text[255], scratch[255];
	struct slice back;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(1 + (i * 37 + (size_t)_i) % 255);
	json_quote(&token, slice(text, (size_t)_i));
	ck_assert_int_eq(json_scan(buf_slice(&token), &type), token.n);
	ck_assert_int_eq(json_text(buf_slice(&token), scratch, sizeof(scratch), &back), 0);
	ck_assert(slice_eq(back, slice(text, (size_t)_i)));
}
END_TEST

START_TEST(members_are_walked)
{
	static const char *const want[][2] = {
		{ "\"a\"", "1" }, { "\"\\u0062\"", "{\"x\":[2,3]}" }, { "\"\"", "\"}\"" }, { "\"a\"",
		  "null" },
	};
	const struct slice object =
	    SLICE("{ \"a\" : 1 ,\n\"\\u0062\":{\"x\":[2,3]},\"\":\"}\", \"a\":null }");
	struct slice key, value;
	size_t at = 0;

	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(json_next_member(object, &at, &key, &value), 1);
		ck_assert(slice_is(key, want[i][0]));
		ck_assert(slice_is(value, want[i][1]));
	}
	ck_assert_int_eq(json_next_member(object, &at, &key, &value), 0);
	ck_assert_int_eq(json_next_member(object, &at, &key, &value), 0);
}
END_TEST

static const struct {
	const char *object, *name, *value;
} members[] = {
	{ "{}", "a", NULL },
	{ "{ }", "a", NULL },
	{ "{\"a\":1}", "a", "1" },
	{ "{\"a\":1}", "b", NULL },
	{ "{\"a\":1}", "", NULL },
	{ "{\"\":1}", "", "1" },
	{ "{\"a\":1,\"a\":[2]}", "a", "[2]" },
	{ "{\"a\":1,\"b\":2,\"\\u0061\":3}", "a", "3" },
	{ "{\"\\u0061b\":3}", "a", NULL },
	{ "{\"\\u0061\":3}", "ab", NULL },
	{ "{\"\\ud800\":3,\"\\u0000\":4}", "", NULL },
	{ "{\"\\u00e9\":3}", "\xc3\xa9", "3" },
	{ "{\"a b\\n\":3}", "a b\n", "3" },
	{ "{\"x\":{\"a\":1}}", "a", NULL },
	{ "{\"x\":{\"a\":1},\"a\":{\"a\":2}}", "a", "{\"a\":2}" },
	/* Not objects, or not JSON: there is nothing to find, and no harm. */
	{ "", "a", NULL },
	{ "[\"a\",1]", "a", NULL },
	{ "\"a\"", "a", NULL },
	{ "{", "a", NULL },
	{ "{\"a", "a", NULL },
	{ "{\"a\"", "a", NULL },
	{ "{\"a\":", "a", NULL },
	{ "{\"a\":1", "a", "1" },
	{ "{1:1}", "a", NULL },
};

static const struct {
	const char *object;
	const char *text;	/* NULL: there is none */
} member_texts[] = {
	{ "{\"a\":\"x\"}", "x" },
	{ "{\"a\":\"y\",\"a\":\"\\u0078yz\"}", "xyz" },
	{ "{\"a\":\"1234\"}", "1234" },
	{ "{\"a\":\"12345\"}", NULL },
	{ "{\"a\":\"\\u00312345\"}", NULL },
	{ "{\"a\":\"\"}", NULL },
	{ "{\"a\":\"\\u0000\"}", NULL },
	{ "{\"a\":1}", NULL },
	{ "{\"a\":null}", NULL },
	{ "{\"b\":\"x\"}", NULL },
	{ "[\"a\"]", NULL },
};

START_TEST(members_are_text)
{
	const char  *want = member_texts[_i].text;
	char	     scratch[4];
	struct slice text;

	ck_assert_int_eq(json_member_text(slice_str(member_texts[_i].object), "a", scratch, sizeof(scratch), &text),
	    want != NULL ? 0 : -EBADMSG);
	ck_assert(slice_is(text, want != NULL ? want : ""));
}
END_TEST

START_TEST(members_are_found)
{
	const struct slice found = json_member(slice_str(members[_i].object), members[_i].name);

	if (members[_i].value == NULL)
		ck_assert_ptr_null(found.p);
	else
		ck_assert(slice_is(found, members[_i].value));
}
END_TEST

static TCase *
scan_case(void)
{
	TCase *tc = tcase_create("scan");

	LOOP(tc, takes_what_is_json, accepted);
	LOOP(tc, refuses_every_part_of_it, accepted);
	LOOP(tc, numbers_end_where_they_end, numbers);
	LOOP(tc, refuses_what_is_not, refused);
	tcase_add_test(tc, type_is_known_by_the_first_byte);
	tcase_add_test(tc, what_follows_is_left);
	tcase_add_loop_test(tc, each_byte_of_a_string_is_looked_at, 0, 256);
	tcase_add_test(tc, escapes_may_stand_anywhere);
	tcase_add_test(tc, long_strings);
	LOOP(tc, depth_is_bounded, nests);
	tcase_add_loop_test(tc, each_level_is_closed_by_its_own_kind, 0, 16);
	LOOP(tc, members_are_counted, crowds);
	return tc;
}

static TCase *
string_case(void)
{
	TCase *tc = tcase_create("strings");

	LOOP(tc, strings_are_decoded, strings);
	tcase_add_test(tc, plain_strings_are_borrowed);
	LOOP(tc, text_is_quoted, quoted);
	tcase_add_loop_test(tc, quoting_is_undone_by_decoding, 0, 256);
	return tc;
}

static TCase *
member_case(void)
{
	TCase *tc = tcase_create("members");

	tcase_add_test(tc, members_are_walked);
	LOOP(tc, members_are_found, members);
	LOOP(tc, members_are_text, member_texts);
	return tc;
}

Suite *
json_suite(void)
{
	Suite *s = suite_create("json");

	suite_add_tcase(s, scan_case());
	suite_add_tcase(s, string_case());
	suite_add_tcase(s, member_case());
	return s;
}
