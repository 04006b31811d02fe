/*
 * Phoenix V2, text and binary: protocol/phoenix.md sections 2.3, 2.4, 2.6 and 2.7.
 */
#include <check.h>
#include <errno.h>

#include "base/mem.h"
#include "net/ws.h"
#include "wire/message.h"

Suite *phoenix_v2_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))
#define BYTES(literal)	{ literal, sizeof(literal) - 1 }

static int
decode(struct inbound *in, bool binary, struct slice data)
{
	/* What the decoder does not set must be seen. */
	memset(in, 0xa5, sizeof(*in));
	return codec_phoenix_v2.decode(in, binary, data);
}

/* Decodes a copy with nothing readable behind it. */
static int
decode_only(bool binary, struct slice data)
{
	autofree char *copy = xmalloc(data.n);
	struct inbound in;

	if (data.n > 0)
		memcpy(copy, data.p, data.n);
	return decode(&in, binary, slice(copy, data.n));
}

static void
add_times(struct buf *b, unsigned n, const char *text)
{
	while (n-- > 0)
		buf_add_str(b, text);
}

/* `text` with each % replaced by n times `fill`. */
static struct slice
stretch(struct buf *b, const char *text, unsigned n, const char *fill)
{
	for (; *text != '\0'; text++) {
		if (*text == '%')
			add_times(b, n, fill);
		else
			buf_add_char(b, *text);
	}
	return buf_slice(b);
}

static const struct {
	const char *text;
	const char *join_ref, *ref, *topic, *event, *payload;
	enum json_kind payload_type;
} messages[] = {
	{ "[\"1\",\"2\",\"room:a\",\"new_msg\",{\"x\":1}]",
	  "\"1\"", "\"2\"", "room:a", "new_msg", "{\"x\":1}", JSON_OBJECT },
	{ "[null,\"3\",\"phoenix\",\"heartbeat\",{}]",
	  "null", "\"3\"", "phoenix", "heartbeat", "{}", JSON_OBJECT },
	{ "[1,3,\"room:a\",\"echo\",{}]", "1", "3", "room:a", "echo", "{}", JSON_OBJECT },
	{ "[1.50,-0e1,\"t\",\"e\",{}]", "1.50", "-0e1", "t", "e", "{}", JSON_OBJECT },
	{ "[null,null,\"t\",\"e\",{}]", "null", "null", "t", "e", "{}", JSON_OBJECT },
	{ "[true,{\"a\":[1]},\"t\",\"e\",{}]", "true", "{\"a\":[1]}", "t", "e", "{}", JSON_OBJECT },
	{ "[\"\",\"\\u0031\",\"t\",\"e\",{}]", "\"\"", "\"\\u0031\"", "t", "e", "{}", JSON_OBJECT },
	{ "[\"\\\\u0000\",\"\\ud800\",\"t\",\"e\",{}]",
	  "\"\\\\u0000\"", "\"\\ud800\"", "t", "e", "{}", JSON_OBJECT },
	{ " \t\r\n[ \"1\" , \"2\"\n,\t\"t\" ,\"e\", { \"a\" : [ ] } ] \n",
	  "\"1\"", "\"2\"", "t", "e", "{ \"a\" : [ ] }", JSON_OBJECT },
	{ "[\"1\",\"1\",\"room:a\",\"phx_join\",{},\"x\"]",
	  "\"1\"", "\"1\"", "room:a", "phx_join", "{}", JSON_OBJECT },
	{ "[\"1\",\"1\",\"t\",\"e\",{},[{}],null , 7 ]", "\"1\"", "\"1\"", "t", "e", "{}", JSON_OBJECT },
	{ "[null,\"1\",\"t\",\"e\",null]", "null", "\"1\"", "t", "e", "{}", JSON_OBJECT },
	{ "[null,\"1\",\"t\",\"e\",[1,2]]", "null", "\"1\"", "t", "e", "[1,2]", JSON_ARRAY },
	{ "[null,\"1\",\"t\",\"e\",\"s\"]", "null", "\"1\"", "t", "e", "\"s\"", JSON_STRING },
	{ "[null,\"1\",\"t\",\"e\",12.5]", "null", "\"1\"", "t", "e", "12.5", JSON_NUMBER },
	{ "[null,\"1\",\"t\",\"e\",false]", "null", "\"1\"", "t", "e", "false", JSON_BOOL },
	{ "[null,\"1\",\"t\",\"e\",{\"a\":123456789012345678901234567890,\"b\":\"\\u0000\\ud800\\/\"}]",
	  "null", "\"1\"", "t", "e", "{\"a\":123456789012345678901234567890,\"b\":\"\\u0000\\ud800\\/\"}",
	  JSON_OBJECT },
	{ "[null,\"1\",\"room:\xc3\xa9/x\",\"\xe2\x82\xac\",{}]",
	  "null", "\"1\"", "room:\xc3\xa9/x", "\xe2\x82\xac", "{}", JSON_OBJECT },
	{ "[null,\"1\",\"room\\u003aa\\/\\ud83d\\ude00\",\"\\u0065\\\"\",{}]",
	  "null", "\"1\"", "room:a/\xf0\x9f\x98\x80", "e\"", "{}", JSON_OBJECT },
};

START_TEST(text_is_decoded)
{
	struct inbound in;

	ck_assert_int_eq(decode(&in, false, slice_str(messages[_i].text)), 0);
	ck_assert_int_eq(in.fault, FAULT_NONE);
	ck_assert(!in.binary);
	ck_assert(slice_is(in.join_ref, messages[_i].join_ref));
	ck_assert(slice_is(in.ref, messages[_i].ref));
	ck_assert(slice_is(in.topic, messages[_i].topic));
	ck_assert(slice_is(in.event, messages[_i].event));
	ck_assert(slice_is(in.payload, messages[_i].payload));
	ck_assert_int_eq(in.payload_type, messages[_i].payload_type);
}
END_TEST

START_TEST(a_part_of_a_text_is_refused)
{
	const struct slice text = slice_str(messages[_i].text);
	size_t whole = text.n;

	while (text.p[whole - 1] != ']')
		whole--;
	for (size_t n = 0; n < whole; n++)
		ck_assert_int_eq(decode_only(false, slice(text.p, n)), -EBADMSG);
}
END_TEST

static const struct slice malformed[] = {
	BYTES(""), BYTES(" "), BYTES("{oops"), BYTES("5"), BYTES("null"), BYTES("\"x\""), BYTES("{}"),
	BYTES("[]"), BYTES("[\"1\",\"1\",\"room:a\"]"), BYTES("[\"1\",\"1\",\"room:a\",\"e\"]"),
	BYTES("{\"topic\":\"t\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}"),
	BYTES("[\"1\",\"1\",\"t\",\"e\",{}]x"), BYTES("[\"1\",\"1\",\"t\",\"e\",{}][]"),
	BYTES("[\"1\",\"1\",\"t\",\"e\",{}],"), BYTES("[\"1\",\"1\",\"t\",\"e\",{}]\0"),
	BYTES("\xef\xbb\xbf[\"1\",\"1\",\"t\",\"e\",{}]"), BYTES("[\"1\",\"1\",\"t\",\"e\",{}}"),
	BYTES("[\"1\",\"1\",\"t\",\"e\",{},]"), BYTES("[\"1\",\"1\",\"t\",\"e\",]"),
	BYTES("[,\"1\",\"1\",\"t\",\"e\",{}]"), BYTES("[\"1\",,\"t\",\"e\",{}]"),
	BYTES("[\"1\" \"1\",\"t\",\"e\",{}]"), BYTES("[\"1\",\"1\",\"t\",\"e\",{}:{}]"),
	BYTES("[\"1\",\"1\",\"t\",\"e\",{\"a\":NaN}]"), BYTES("[\"1\",\"1\",\"t\",\"e\",{},NaN]"),
	BYTES("[\"1\",\"1\",\"t\",\"e\",{'a':1}]"), BYTES("[01,\"1\",\"t\",\"e\",{}]"),
	BYTES("[\"1\",\"1\",\"t\",\"e\",{\"a\":01}]"), BYTES("[\"1\",\"1\",\"t\",\"e\n\",{}]"),
	BYTES("[\"1\",\"1\",\"t\",\"e\",{}] //"),
};

START_TEST(malformed_text_is_refused)
{
	ck_assert_int_eq(decode_only(false, malformed[_i]), -EBADMSG);
}
END_TEST

/* % stands for n times the fill. */
static const struct {
	const char	  *text;
	unsigned	   n;
	const char	  *fill;
	enum inbound_fault want;
	const char	  *topic_token, *ref, *topic;
} faults[] = {
	{ "[\"1\",\"2\",null,\"e\",{}]", 0, "", FAULT_TOPIC, "null", "\"2\"", "" },
	{ "[\"1\",\"2\",7,\"e\",{}]", 0, "", FAULT_TOPIC, "7", "\"2\"", "" },
	{ "[\"1\",\"2\",[\"t\"],\"e\",{}]", 0, "", FAULT_TOPIC, "[\"t\"]", "\"2\"", "" },
	{ "[\"1\",\"2\",\"\",\"e\",{}]", 0, "", FAULT_TOPIC, "\"\"", "\"2\"", "" },
	{ "[\"1\",\"2\",\"%\",\"e\",{}]", WIRE_MAX_TOPIC, "x", FAULT_NONE, NULL, "\"2\"", NULL },
	{ "[\"1\",\"2\",\"%\",\"e\",{}]", WIRE_MAX_TOPIC + 1, "x", FAULT_TOPIC_TEXT, NULL, "\"2\"", "" },
	{ "[\"1\",\"2\",\"%\",\"e\",{}]", WIRE_MAX_TOPIC, "\\u0078", FAULT_NONE, NULL, "\"2\"", NULL },
	{ "[\"1\",\"2\",\"%\",\"e\",{}]",
	  WIRE_MAX_TOPIC + 1, "\\u0078", FAULT_TOPIC_TEXT, NULL, "\"2\"", "" },
	{ "[\"1\",\"2\",\"%\",\"e\",{}]", WIRE_MAX_ECHO - 2, "x", FAULT_TOPIC_TEXT, NULL, "\"2\"", "" },
	{ "[\"1\",\"2\",\"%\",\"e\",{}]", WIRE_MAX_ECHO - 1, "x", FAULT_TOPIC_TEXT, "null", "\"2\"", "" },
	{ "[\"1\",\"2\",\"%\",\"e\",{}]", 100000, "x", FAULT_TOPIC_TEXT, "null", "\"2\"", "" },
	{ "[\"1\",\"2\",[%0],\"e\",{}]", 2000, "0,", FAULT_TOPIC, "null", "\"2\"", "" },
	{ "[\"1\",\"2\",\"a\\u0000\",\"e\",{}]", 0, "", FAULT_TOPIC_TEXT, "\"a\\u0000\"", "\"2\"", "" },
	{ "[\"1\",\"2\",\"a\\n\",\"e\",{}]", 0, "", FAULT_TOPIC_TEXT, "\"a\\n\"", "\"2\"", "" },
	{ "[\"1\",\"2\",\"a\\u001f\",\"e\",{}]", 0, "", FAULT_TOPIC_TEXT, "\"a\\u001f\"", "\"2\"", "" },
	{ "[\"1\",\"2\",\"a\x7f\",\"e\",{}]", 0, "", FAULT_TOPIC_TEXT, "\"a\x7f\"", "\"2\"", "" },
	{ "[\"1\",\"2\",\"\\ud800\",\"e\",{}]", 0, "", FAULT_TOPIC_TEXT, "\"\\ud800\"", "\"2\"", "" },
	{ "[\"1\",\"2\",\"t\",null,{}]", 0, "", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",7,{}]", 0, "", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"\",{}]", 0, "", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"\\u0000\",{}]", 0, "", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"a\\tb\",{}]", 0, "", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"a\x7f\",{}]", 0, "", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"%\",{}]", WIRE_MAX_EVENT, "x", FAULT_NONE, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"%\",{}]", WIRE_MAX_EVENT + 1, "x", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"%\",{}]", 100000, "\\u0041", FAULT_EVENT, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"%\",\"t\",\"e\",{}]", WIRE_MAX_REF - 2, "9", FAULT_NONE, "\"t\"", NULL, "t" },
	{ "[\"1\",\"%\",\"t\",\"e\",{}]", WIRE_MAX_REF - 1, "9", FAULT_REF, "\"t\"", "null", "t" },
	{ "[\"%\",\"2\",\"t\",\"e\",{}]", WIRE_MAX_REF - 1, "9", FAULT_REF, "\"t\"", "null", "t" },
	{ "[1%,\"2\",\"t\",\"e\",{}]", WIRE_MAX_REF - 1, "9", FAULT_NONE, "\"t\"", "\"2\"", "t" },
	{ "[1%,\"2\",\"t\",\"e\",{}]", WIRE_MAX_REF, "9", FAULT_REF, "\"t\"", "null", "t" },
	{ "[\"1\",1%,\"t\",\"e\",{}]", 100000, "9", FAULT_REF, "\"t\"", "null", "t" },
	{ "[\"1\",\"\\u0000\",\"t\",\"e\",{}]", 0, "", FAULT_REF, "\"t\"", "null", "t" },
	{ "[\"\\\\\\u0000\",\"2\",\"t\",\"e\",{}]", 0, "", FAULT_REF, "\"t\"", "null", "t" },
	{ "[{\"a\":[\"\\n\\u0000\"]},\"2\",\"t\",\"e\",{}]", 0, "", FAULT_REF, "\"t\"", "null", "t" },
	{ "[\"1\",\"2\",\"t\",\"e\",%1]", JSON_MAX_DEPTH + 1, "[", FAULT_PAYLOAD, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"e\",{\"a\":[0%]}]",
	  JSON_MAX_MEMBERS - 2, ",0", FAULT_NONE, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"e\",{\"a\":[0%]}]",
	  JSON_MAX_MEMBERS - 1, ",0", FAULT_PAYLOAD, "\"t\"", "\"2\"", "t" },
	{ "[\"1\",\"2\",\"t\",\"e\",%broken", 200000, "{\"a\":", FAULT_PAYLOAD, "\"t\"", "\"2\"", "t" },
	/* The one that comes first in the enum is told. */
	{ "[\"1\",\"\\u0000\",7,8,%1]", 100, "[", FAULT_TOPIC, "7", "null", "" },
	{ "[\"1\",\"\\u0000\",\"\\u0000\",8,%1]", 100, "[", FAULT_TOPIC_TEXT, "\"\\u0000\"", "null", "" },
	{ "[\"1\",\"\\u0000\",\"t\",8,%1]", 100, "[", FAULT_EVENT, "\"t\"", "null", "t" },
	{ "[\"1\",\"\\u0000\",\"t\",\"e\",%1]", 100, "[", FAULT_REF, "\"t\"", "null", "t" },
};

START_TEST(faults_leave_the_rest_readable)
{
	autobuf struct buf b = { 0 };
	struct inbound in;

	ck_assert_int_eq(decode(&in, false, stretch(&b, faults[_i].text, faults[_i].n, faults[_i].fill)),
	    0);
	ck_assert_int_eq(in.fault, faults[_i].want);
	if (faults[_i].topic_token != NULL)
		ck_assert(slice_is(in.topic_token, faults[_i].topic_token));
	if (faults[_i].ref != NULL)
		ck_assert(slice_is(in.ref, faults[_i].ref));
	if (faults[_i].topic != NULL)
		ck_assert(slice_is(in.topic, faults[_i].topic));
	if (in.fault == FAULT_REF)
		ck_assert(slice_is(in.join_ref, "null"));
	if (in.fault == FAULT_EVENT)
		ck_assert_uint_eq(in.event.n, 0);
	if (in.fault == FAULT_PAYLOAD)
		ck_assert(slice_is(in.payload, "{}") && in.payload_type == JSON_OBJECT);
}
END_TEST

/* Nothing behind a value beyond our limits can be found. */
static const struct {
	const char *text;
} too_deep[] = {
	{ "[%1,\"2\",\"t\",\"e\",{}]" }, { "[\"1\",%1,\"t\",\"e\",{}]" }, { "[\"1\",\"2\",%1,\"e\",{}]" },
	{ "[\"1\",\"2\",\"t\",%1,{}]" }, { "[\"1\",\"2\",\"t\",\"e\",{},%1]" },
};

START_TEST(other_fields_may_not_be_deep)
{
	autobuf struct buf b = { 0 };

	ck_assert_int_eq(decode_only(false, stretch(&b, too_deep[_i].text, JSON_MAX_DEPTH + 1, "[")),
	    -EBADMSG);
}
END_TEST

static const struct {
	struct slice	   data;
	const char	  *join_ref, *ref, *topic_token, *topic, *event;
	struct slice	   payload;
	enum inbound_fault fault;
} binaries[] = {
	{ BYTES("\0\1\1\6\3" "12room:abin" "\1\2\xff"), "\"1\"", "\"2\"", "\"room:a\"", "room:a", "bin",
	  BYTES("\1\2\xff"), FAULT_NONE },
	{ BYTES("\0\0\1\7\x09" "7phoenixheartbeat"), "null", "\"7\"", "\"phoenix\"", "phoenix", "heartbeat",
	  BYTES(""), FAULT_NONE },
	{ BYTES("\0\0\0\1\1" "te" "\0\0"), "null", "null", "\"t\"", "t", "e", BYTES("\0\0"), FAULT_NONE },
	{ BYTES("\0\2\2\1\1" "a\"\n\\te"), "\"a\\\"\"", "\"\\n\\\\\"", "\"t\"", "t", "e", BYTES(""),
	  FAULT_NONE },
	{ BYTES("\0\2\3\3\2" "\xc3\xa9\xe2\x82\xact\"\\e\"{}"), "\"\xc3\xa9\"", "\"\xe2\x82\xac\"",
	  "\"t\\\"\\\\\"", "t\"\\",
	  "e\"", BYTES("{}"), FAULT_NONE },
	{ BYTES("\0\0\1\0\1" "1e"), "null", "\"1\"", "\"\"", "", "e", BYTES(""), FAULT_TOPIC },
	{ BYTES("\0\0\1\2\1" "1t\ne"), "null", "\"1\"", "\"t\\n\"", "", "e", BYTES(""), FAULT_TOPIC_TEXT },
	{ BYTES("\0\0\1\2\1" "1t\0e"), "null", "\"1\"", "\"t\\u0000\"", "", "e", BYTES(""),
	  FAULT_TOPIC_TEXT },
	{ BYTES("\0\0\1\2\1" "1t\xff" "e"), "null", "\"1\"", "null", "", "e", BYTES(""), FAULT_TOPIC_TEXT },
	{ BYTES("\0\0\1\1\0" "1t"), "null", "\"1\"", "\"t\"", "t", "", BYTES(""), FAULT_EVENT },
	{ BYTES("\0\0\1\1\1" "1t\x7f"), "null", "\"1\"", "\"t\"", "t", "", BYTES(""), FAULT_EVENT },
	{ BYTES("\0\0\1\1\1" "1t\xe9"), "null", "\"1\"", "\"t\"", "t", "", BYTES(""), FAULT_EVENT },
	{ BYTES("\0\1\1\1\1" "\xff" "1te"), "null", "null", "\"t\"", "t", "e", BYTES(""), FAULT_REF },
	{ BYTES("\0\1\1\1\1" "1\0te"), "null", "null", "\"t\"", "t", "e", BYTES(""), FAULT_REF },
	{ BYTES("\0\1\1\0\0" "\xff" "1"), "null", "null", "\"\"", "", "", BYTES(""), FAULT_TOPIC },
};

START_TEST(binary_is_decoded)
{
	struct inbound in;

	ck_assert_int_eq(decode(&in, true, binaries[_i].data), 0);
	ck_assert_int_eq(in.fault, binaries[_i].fault);
	ck_assert(slice_is(in.join_ref, binaries[_i].join_ref));
	ck_assert(slice_is(in.ref, binaries[_i].ref));
	ck_assert(slice_is(in.topic_token, binaries[_i].topic_token));
	ck_assert(slice_is(in.topic, binaries[_i].topic));
	ck_assert(slice_is(in.event, binaries[_i].event));
	ck_assert(slice_eq(in.payload, binaries[_i].payload));
	ck_assert(in.binary);
	ck_assert_int_eq(in.payload_type, JSON_NULL);
}
END_TEST

START_TEST(a_part_of_a_binary_is_refused)
{
	const struct slice data = binaries[_i].data;

	for (size_t n = 0; n < data.n - binaries[_i].payload.n; n++)
		ck_assert_int_eq(decode_only(true, slice(data.p, n)), -EBADMSG);
}
END_TEST

static const struct slice bad_binaries[] = {
	BYTES(""), BYTES("\0"), BYTES("\1\1\1\1\1" "aaaa"), BYTES("\2\1\1" "aa"), BYTES("\3\0\0\1\1te"),
	BYTES("\xff\0\0\1\1te"), BYTES("\0\x09\x09\x09\x09" "A"), BYTES("\0\0\0\1\2te"),
	BYTES("\0\xff\xff\xff\xff" "A"), BYTES("[null,\"1\",\"t\",\"e\",{}]"),
};

START_TEST(bad_binary_is_refused)
{
	ck_assert_int_eq(decode_only(true, bad_binaries[_i]), -EBADMSG);
}
END_TEST

/* The longest fields that a binary head can name, of the byte that takes most room in JSON. */
static const struct {
	unsigned	   n_ref, n_topic, n_event;
	char		   fill;
	enum inbound_fault want;
} big_fields[] = {
	{ 126, 255, 128, 'x', FAULT_NONE },
	{ 127, 255, 128, 'x', FAULT_REF },
	{ 255, 255, 128, 'x', FAULT_REF },
	{ 1, 255, 129, 'x', FAULT_EVENT },
	{ 255, 255, 255, '\1', FAULT_TOPIC_TEXT },
	{ 255, 255, 255, '"', FAULT_EVENT },
	{ 63, 1, 1, '"', FAULT_NONE },
	{ 64, 1, 1, '"', FAULT_REF },
};

START_TEST(binary_fields_fit_or_are_faults)
{
	const unsigned n_ref = big_fields[_i].n_ref, n_topic = big_fields[_i].n_topic,
	    n_event = big_fields[_i].n_event;
	const char fill[2] = { big_fields[_i].fill, '\0' };
	autobuf struct buf b = { 0 }, token = { 0 };
	struct inbound in;

	for (unsigned i = 0; i < 5; i++)
		buf_add_char(&b, (char)(unsigned []){ 0, n_ref, n_ref, n_topic, n_event }[i]);
	add_times(&b, n_ref + n_ref + n_topic + n_event, fill);
	ck_assert_int_eq(decode(&in, true, buf_slice(&b)), 0);
	ck_assert_int_eq(in.fault, big_fields[_i].want);
	json_quote(&token, slice(b.p + 5, n_topic));
	ck_assert(slice_eq(in.topic_token, buf_slice(&token)));
}
END_TEST

static const struct {
	struct message m;
	const char    *want;
} texts[] = {
	{ { .kind = MESSAGE_BROADCAST, .topic_token = BYTES("\"room:a\""), .event = BYTES("new_msg"),
	    .payload = BYTES("{\"x\":1}") },
	  "[null,null,\"room:a\",\"new_msg\",{\"x\":1}]" },
	/* A broadcast is nobody's answer, whatever is set. */
	{ { .kind = MESSAGE_BROADCAST, .join_ref = BYTES("\"1\""), .ref = BYTES("\"2\""),
	    .topic_token = BYTES("\"t\""),
	    .event = BYTES("e") },
	  "[null,null,\"t\",\"e\",{}]" },
	{ { .kind = MESSAGE_PUSH, .join_ref = BYTES("\"1\""), .topic_token = BYTES("\"room:a\""),
	    .event = BYTES("new_msg"),
	    .payload = BYTES("{\"x\":1}") },
	  "[\"1\",null,\"room:a\",\"new_msg\",{\"x\":1}]" },
	{ { .kind = MESSAGE_PUSH, .join_ref = BYTES("\"1\""), .ref = BYTES("\"1\""),
	    .topic_token = BYTES("\"room:a\""),
	    .event = BYTES("phx_close") },
	  "[\"1\",\"1\",\"room:a\",\"phx_close\",{}]" },
	{ { .kind = MESSAGE_PUSH, .topic_token = BYTES("\"room:a\""), .event = BYTES("phx_error"),
	    .payload = BYTES("{\"reason\":\"channel_crash\"}") },
	  "[null,null,\"room:a\",\"phx_error\",{\"reason\":\"channel_crash\"}]" },
	{ { .kind = MESSAGE_PUSH, .join_ref = BYTES("7"), .topic_token = BYTES("\"\xc3\xa9/\""),
	    .event = BYTES("a\"\n/\xc3\xa9") },
	  "[7,null,\"\xc3\xa9/\",\"a\\\"\\n/\xc3\xa9\",{}]" },
	{ { .kind = MESSAGE_REPLY, .join_ref = BYTES("\"1\""), .ref = BYTES("\"2\""),
	    .topic_token = BYTES("\"room:a\""),
	    .status = BYTES("ok") },
	  "[\"1\",\"2\",\"room:a\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]" },
	{ { .kind = MESSAGE_REPLY, .ref = BYTES("3"), .topic_token = BYTES("\"phoenix\""),
	    .status = BYTES("ok"),
	    .event = BYTES("ignored") },
	  "[null,3,\"phoenix\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]" },
	{ { .kind = MESSAGE_REPLY, .ref = BYTES("\"4\""), .topic_token = BYTES("null"),
	    .status = BYTES("error"),
	    .payload = BYTES("{\"reason\":\"unmatched topic\"}") },
	  "[null,\"4\",null,\"phx_reply\","
	  "{\"status\":\"error\",\"response\":{\"reason\":\"unmatched topic\"}}]" },
};

START_TEST(text_is_encoded)
{
	struct frame *f = codec_phoenix_v2.encode(&texts[_i].m);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(f->opcode, WS_TEXT);
	ck_assert(slice_is(slice(frame_body(f), frame_body_len(f)), texts[_i].want));
	frame_unref(f);
}
END_TEST

static const struct {
	struct message m;
	struct slice   want;
} frames[] = {
	{ { .kind = MESSAGE_PUSH, .binary = true, .join_ref = BYTES("\"1\""),
	    .topic_token = BYTES("\"room:a\""),
	    .event = BYTES("binpush"), .payload = BYTES("\x09\1\2\xff") },
	  BYTES("\0\1\6\7" "1room:abinpush" "\x09\1\2\xff") },
	{ { .kind = MESSAGE_REPLY, .binary = true, .join_ref = BYTES("\"1\""), .ref = BYTES("\"2\""),
	    .topic_token = BYTES("\"room:a\""), .status = BYTES("ok"), .payload = BYTES("\1\2\xff\7") },
	  BYTES("\1\1\1\6\2" "12room:aok" "\1\2\xff\7") },
	{ { .kind = MESSAGE_BROADCAST, .binary = true, .join_ref = BYTES("\"1\""),
	    .topic_token = BYTES("\"room:a\""),
	    .event = BYTES("binb"), .payload = BYTES("\5") },
	  BYTES("\2\6\4" "room:abinb" "\5") },
	/* No payload stays none; null and what is not set take no room; other tokens say what they say. */
	{ { .kind = MESSAGE_BROADCAST, .binary = true, .topic_token = BYTES("\"t\""), .event = BYTES("e") },
	  BYTES("\2\1\1te") },
	{ { .kind = MESSAGE_REPLY, .binary = true, .join_ref = BYTES("null"), .ref = BYTES("12.5"),
	    .topic_token = BYTES("\"\\u0074\\\"\""), .status = BYTES("error") },
	  BYTES("\1\0\4\2\5" "12.5t\"error") },
	{ { .kind = MESSAGE_REPLY, .binary = true, .join_ref = BYTES("\"\\ud83d\\ude00\""),
	    .topic_token = BYTES("null"),
	    .status = BYTES("ok") },
	  BYTES("\1\4\0\0\2" "\xf0\x9f\x98\x80ok") },
};

START_TEST(binary_is_encoded)
{
	struct frame *f = codec_phoenix_v2.encode(&frames[_i].m);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(f->opcode, WS_BINARY);
	ck_assert(slice_eq(slice(frame_body(f), frame_body_len(f)), frames[_i].want));
	frame_unref(f);
}
END_TEST

static bool
binary_has_room(struct slice topic_token, struct slice event)
{
	const struct message m = { .binary = true, .topic_token = topic_token, .event = event };
	struct frame *f = codec_phoenix_v2.encode(&m);
	bool has_room = f != NULL;

	frame_unref(f);
	return has_room;
}

START_TEST(binary_fields_have_255_bytes)
{
	autobuf struct buf at_most = { 0 }, more = { 0 }, plain = { 0 }, escaped = { 0 };

	stretch(&at_most, "\"%\"", WIRE_MAX_FIELD, "x");
	stretch(&more, "\"%\"", WIRE_MAX_FIELD + 1, "x");
	stretch(&escaped, "\"%\"", WIRE_MAX_FIELD, "\\u0078");
	add_times(&plain, WIRE_MAX_FIELD + 1, "x");
	ck_assert(binary_has_room(buf_slice(&at_most), SLICE("e")));
	ck_assert(binary_has_room(buf_slice(&escaped), SLICE("e")));
	ck_assert(!binary_has_room(buf_slice(&more), SLICE("e")));
	ck_assert(binary_has_room(SLICE("\"t\""), slice(plain.p, WIRE_MAX_FIELD)));
	ck_assert(!binary_has_room(SLICE("\"t\""), buf_slice(&plain)));
	/* What is no text has no place in it either. */
	ck_assert(!binary_has_room(SLICE("\"\\ud800\""), SLICE("e")));
}
END_TEST

START_TEST(a_large_payload_goes_unchanged)
{
	autobuf struct buf payload = { 0 };
	struct message m = { .topic_token = SLICE("\"t\""), .event = SLICE("e") };
	struct frame *f;

	stretch(&payload, "{\"a\":\"%\"}", 1 << 16, "sixteen bytes...");
	m.payload = buf_slice(&payload);
	f = codec_phoenix_v2.encode(&m);
	ck_assert_uint_eq(frame_body_len(f), SLICE("[null,null,\"t\",\"e\",]").n + payload.n);
	ck_assert(slice_eq(slice(frame_body(f) + SLICE("[null,null,\"t\",\"e\",").n, payload.n),
	    buf_slice(&payload)));
	frame_unref(f);
}
END_TEST

static TCase *
decode_case(void)
{
	TCase *tc = tcase_create("decode");

	LOOP(tc, text_is_decoded, messages);
	LOOP(tc, a_part_of_a_text_is_refused, messages);
	LOOP(tc, malformed_text_is_refused, malformed);
	LOOP(tc, faults_leave_the_rest_readable, faults);
	LOOP(tc, other_fields_may_not_be_deep, too_deep);
	LOOP(tc, binary_is_decoded, binaries);
	LOOP(tc, a_part_of_a_binary_is_refused, binaries);
	LOOP(tc, bad_binary_is_refused, bad_binaries);
	LOOP(tc, binary_fields_fit_or_are_faults, big_fields);
	return tc;
}

static TCase *
encode_case(void)
{
	TCase *tc = tcase_create("encode");

	LOOP(tc, text_is_encoded, texts);
	LOOP(tc, binary_is_encoded, frames);
	tcase_add_test(tc, binary_fields_have_255_bytes);
	tcase_add_test(tc, a_large_payload_goes_unchanged);
	return tc;
}

Suite *
phoenix_v2_suite(void)
{
	Suite *s = suite_create("phoenix_v2");

	suite_add_tcase(s, decode_case());
	suite_add_tcase(s, encode_case());
	return s;
}
