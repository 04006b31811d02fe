/*
 * Phoenix V1: protocol/phoenix.md sections 2.2 and 2.7.
 */
#include <check.h>
#include <errno.h>

#include "base/mem.h"
#include "net/ws.h"
#include "wire/message.h"

Suite *phoenix_v1_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))
#define BYTES(literal)	{ literal, sizeof(literal) - 1 }

static int
decode(struct inbound *in, bool binary, struct slice data)
{
	/* What the decoder does not set must be seen. */
	memset(in, 0xa5, sizeof(*in));
	return codec_phoenix_v1.decode(in, binary, data);
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

static const struct {
	const char *text;
	const char *join_ref, *ref, *topic, *event, *payload;
	enum json_kind payload_type;
} messages[] = {
	{ "{\"topic\":\"room:a\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}",
	  "null", "\"1\"", "room:a", "phx_join", "{}", JSON_OBJECT },
	{ "{\"join_ref\":\"1\",\"ref\":2,\"payload\":{\"a\":[1]},\"event\":\"e\",\"topic\":\"t\"}",
	  "\"1\"", "2", "t", "e", "{\"a\":[1]}", JSON_OBJECT },
	{ "{\"topic\":\"t\",\"event\":\"e\",\"payload\":null,\"ref\":null,\"join_ref\":null}",
	  "null", "null", "t", "e", "{}", JSON_OBJECT },
	{ "{\"topic\":\"t\",\"event\":\"e\",\"payload\":[1,2],\"ref\":\"1\"}",
	  "null", "\"1\"", "t", "e", "[1,2]", JSON_ARRAY },
	{ "{\"topic\":\"t\",\"event\":\"e\",\"payload\":\"s\",\"ref\":\"1\"}",
	  "null", "\"1\"", "t", "e", "\"s\"", JSON_STRING },
	{ "\n{ \"topic\" : \"t\" ,\t\"event\":\"e\" , \"payload\" : { \"a\" : 1 } , \"ref\" : \"1\" }\r\n",
	  "null", "\"1\"", "t", "e", "{ \"a\" : 1 }", JSON_OBJECT },
	/* Other keys are passed over, however often they come. */
	{ "{\"x\":1,\"topic\":\"t\",\"x\":[{}],\"event\":\"e\",\"\":\"\",\"payload\":{},\"ref\":\"1\","
	  "\"topics\":9,\"Topic\":\"T\"}",
	  "null", "\"1\"", "t", "e", "{}", JSON_OBJECT },
	/* A key is what it says, not how it is written. */
	{ "{\"\\u0074opic\":\"\\u0074\",\"event\":\"\\u0065\",\"\\u0070ayload\":{},\"r\\u0065f\":\"1\","
	  "\"\\u0000\":1,\"\\ud800\":2}",
	  "null", "\"1\"", "t", "e", "{}", JSON_OBJECT },
	{ "{\"topic\":\"room:\xc3\xa9/x\",\"event\":\"\xe2\x82\xac\","
	  "\"payload\":{\"n\":123456789012345678901234567890},\"ref\":\"1\"}",
	  "null", "\"1\"", "room:\xc3\xa9/x", "\xe2\x82\xac", "{\"n\":123456789012345678901234567890}",
	  JSON_OBJECT },
};

/* A binary message is the same text. */
START_TEST(text_is_decoded)
{
	struct inbound in;

	for (int binary = 0; binary <= 1; binary++) {
		ck_assert_int_eq(decode(&in, binary, slice_str(messages[_i].text)), 0);
		ck_assert_int_eq(in.fault, FAULT_NONE);
		ck_assert(!in.binary);
		ck_assert(slice_is(in.join_ref, messages[_i].join_ref));
		ck_assert(slice_is(in.ref, messages[_i].ref));
		ck_assert(slice_is(in.topic, messages[_i].topic));
		ck_assert(slice_is(in.event, messages[_i].event));
		ck_assert(slice_is(in.payload, messages[_i].payload));
		ck_assert_int_eq(in.payload_type, messages[_i].payload_type);
	}
}
END_TEST

START_TEST(a_part_of_a_text_is_refused)
{
	const struct slice text = slice_str(messages[_i].text);
	size_t whole = text.n;

	while (text.p[whole - 1] != '}')
		whole--;
	for (size_t n = 0; n < whole; n++)
		ck_assert_int_eq(decode_only(false, slice(text.p, n)), -EBADMSG);
}
END_TEST

#define GOOD "\"topic\":\"t\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\""

static const struct slice malformed[] = {
	BYTES(""), BYTES(" "), BYTES("5"), BYTES("null"), BYTES("{}"), BYTES("{ }"), BYTES("[]"),
	BYTES("{oops"), BYTES("[\"1\",\"1\",\"t\",\"e\",{}]"),
	BYTES("{\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}"),
	BYTES("{\"topic\":\"t\",\"payload\":{},\"ref\":\"1\"}"),
	BYTES("{\"topic\":\"t\",\"event\":\"e\",\"ref\":\"1\"}"),
	BYTES("{\"topic\":\"t\",\"event\":\"e\",\"payload\":{}}"),
	BYTES("{\"topic\":\"t\",\"event\":\"e\",\"payload\":{},\"join_ref\":\"1\"}"),
	BYTES("{" GOOD ",\"topic\":\"t\"}"), BYTES("{" GOOD ",\"event\":\"x\"}"),
	BYTES("{" GOOD ",\"payload\":{}}"), BYTES("{" GOOD ",\"ref\":null}"),
	BYTES("{" GOOD ",\"r\\u0065f\":\"1\"}"), BYTES("{" GOOD ",\"join_ref\":\"1\",\"join_ref\":\"1\"}"),
	BYTES("{" GOOD ",\"join_ref\":null,\"join_ref\":null}"), BYTES("{" GOOD "}x"),
	BYTES("{" GOOD "}{}"), BYTES("{" GOOD ",}"), BYTES("{," GOOD "}"), BYTES("{" GOOD "]"),
	BYTES("{" GOOD "}\0"), BYTES("\xef\xbb\xbf{" GOOD "}"), BYTES("{" GOOD ",\"x\"}"),
	BYTES("{" GOOD ",\"x\":}"), BYTES("{" GOOD ",x:1}"), BYTES("{" GOOD ",1:1}"),
	BYTES("{" GOOD ",'x':1}"), BYTES("{" GOOD ",\"x\":NaN}"), BYTES("{" GOOD ",[]:1}"),
	BYTES("{" GOOD " \"x\":1}"), BYTES("{" GOOD ",\"x\" 1}"), BYTES("{" GOOD ",\"x\":01}"),
	BYTES("{\"topic\":\"t\",\"event\":\"e\",\"payload\":{\"a\":NaN},\"ref\":\"1\"}"),
	BYTES("{\"topic\":\"t\",\"event\":\"e\",\"payload\":{'a':1},\"ref\":\"1\"}"),
};

START_TEST(malformed_text_is_refused)
{
	ck_assert_int_eq(decode_only(false, malformed[_i]), -EBADMSG);
}
END_TEST

START_TEST(binary_messages_are_checked_for_utf8)
{
	ck_assert_int_eq(decode_only(true, SLICE("{" GOOD ",\"x\":\"\xc3\xa9\"}")), 0);
	ck_assert_int_eq(decode_only(true, SLICE("{" GOOD ",\"x\":\"\xc3\"}")), -EBADMSG);
	ck_assert_int_eq(decode_only(true, SLICE("{" GOOD ",\"x\":\"\xed\xa0\x80\"}")), -EBADMSG);
	ck_assert_int_eq(decode_only(true, SLICE("")), -EBADMSG);
}
END_TEST

static const struct {
	const char	  *text;
	enum inbound_fault want;
	const char	  *topic_token, *ref, *topic;
} faults[] = {
	{ "{\"topic\":null,\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}",
	  FAULT_TOPIC, "null", "\"1\"", "" },
	{ "{\"topic\":5,\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}", FAULT_TOPIC, "5", "\"1\"", "" },
	{ "{\"topic\":\"\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}",
	  FAULT_TOPIC, "\"\"", "\"1\"", "" },
	{ "{\"topic\":\"\\u0000\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}",
	  FAULT_TOPIC_TEXT, "\"\\u0000\"", "\"1\"", "" },
	{ "{\"topic\":\"t\",\"event\":null,\"payload\":{},\"ref\":\"1\"}",
	  FAULT_EVENT, "\"t\"", "\"1\"", "t" },
	{ "{\"topic\":\"t\",\"event\":\"\\n\",\"payload\":{},\"ref\":\"1\"}",
	  FAULT_EVENT, "\"t\"", "\"1\"", "t" },
	{ "{\"topic\":\"t\",\"event\":\"e\",\"payload\":{},\"ref\":\"\\u0000\"}",
	  FAULT_REF, "\"t\"", "null", "t" },
	{ "{\"topic\":\"t\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\",\"join_ref\":\"\\u0000\"}",
	  FAULT_REF, "\"t\"", "null", "t" },
	{ "{\"topic\":5,\"event\":6,\"payload\":7,\"ref\":\"\\u0000\"}", FAULT_TOPIC, "5", "null", "" },
};

START_TEST(faults_leave_the_rest_readable)
{
	struct inbound in;

	ck_assert_int_eq(decode(&in, false, slice_str(faults[_i].text)), 0);
	ck_assert_int_eq(in.fault, faults[_i].want);
	ck_assert(slice_is(in.topic_token, faults[_i].topic_token));
	ck_assert(slice_is(in.ref, faults[_i].ref));
	ck_assert(slice_is(in.topic, faults[_i].topic));
}
END_TEST

#define DEEP	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["	/* 65 */

START_TEST(behind_a_deep_payload_nothing_counts)
{
	struct inbound in;

	ck_assert_int_eq(decode(&in, false,
	    SLICE("{\"topic\":\"t\",\"ref\":\"1\",\"event\":\"e\",\"payload\":" DEEP)), 0);
	ck_assert_int_eq(in.fault, FAULT_PAYLOAD);
	ck_assert(slice_is(in.ref, "\"1\""));
	ck_assert(slice_is(in.topic_token, "\"t\""));
	ck_assert(slice_is(in.event, "e"));
	ck_assert(slice_is(in.payload, "{}"));
}
END_TEST

static const struct slice deep[] = {
	BYTES("{\"topic\":\"t\",\"event\":\"e\",\"payload\":" DEEP),
	BYTES("{\"topic\":\"t\",\"ref\":\"1\",\"payload\":" DEEP),
	BYTES("{\"event\":\"e\",\"ref\":\"1\",\"payload\":" DEEP), BYTES("{\"payload\":" DEEP),
	BYTES("{" GOOD ",\"payload\":" DEEP), BYTES("{" GOOD ",\"x\":" DEEP),
	BYTES("{" GOOD ",\"join_ref\":" DEEP), BYTES("{\"topic\":" DEEP), BYTES(DEEP),
};

START_TEST(deep_values_elsewhere_are_refused)
{
	ck_assert_int_eq(decode_only(false, deep[_i]), -EBADMSG);
}
END_TEST

static const struct {
	struct message m;
	const char    *want;
} texts[] = {
	{ { .kind = MESSAGE_BROADCAST, .topic_token = BYTES("\"room:a\""), .event = BYTES("bcast"),
	    .payload = BYTES("{\"m\":1}"),
	    .ref = BYTES("\"ignored\"") },
	  "{\"topic\":\"room:a\",\"event\":\"bcast\",\"payload\":{\"m\":1},\"ref\":null}" },
	{ { .kind = MESSAGE_PUSH, .join_ref = BYTES("\"1\""), .topic_token = BYTES("\"room:a\""),
	    .event = BYTES("new_msg") },
	  "{\"topic\":\"room:a\",\"event\":\"new_msg\",\"payload\":{},\"ref\":null}" },
	{ { .kind = MESSAGE_PUSH, .join_ref = BYTES("\"1\""), .ref = BYTES("\"1\""),
	    .topic_token = BYTES("\"room:a\""),
	    .event = BYTES("phx_close") },
	  "{\"topic\":\"room:a\",\"event\":\"phx_close\",\"payload\":{},\"ref\":\"1\"}" },
	{ { .kind = MESSAGE_PUSH, .topic_token = BYTES("\"t\""), .event = BYTES("a\"\t") },
	  "{\"topic\":\"t\",\"event\":\"a\\\"\\t\",\"payload\":{},\"ref\":null}" },
	{ { .kind = MESSAGE_REPLY, .join_ref = BYTES("\"1\""), .ref = BYTES("\"1\""),
	    .topic_token = BYTES("\"room:a\""),
	    .status = BYTES("ok") },
	  "{\"topic\":\"room:a\",\"event\":\"phx_reply\","
	  "\"payload\":{\"status\":\"ok\",\"response\":{}},\"ref\":\"1\"}" },
	{ { .kind = MESSAGE_REPLY, .ref = BYTES("7"), .topic_token = BYTES("null"),
	    .status = BYTES("error"),
	    .payload = BYTES("{\"reason\":\"unmatched topic\"}") },
	  "{\"topic\":null,\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\",\"response\":"
	  "{\"reason\":\"unmatched topic\"}},\"ref\":7}" },
};

START_TEST(text_is_encoded)
{
	struct frame *f = codec_phoenix_v1.encode(&texts[_i].m);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(f->opcode, WS_TEXT);
	ck_assert(slice_is(slice(frame_body(f), frame_body_len(f)), texts[_i].want));
	frame_unref(f);
}
END_TEST

START_TEST(binary_payloads_have_no_form)
{
	struct message m = { .binary = true, .topic_token = SLICE("\"t\""), .event = SLICE("e"),
	    .payload = SLICE("x") };

	ck_assert_ptr_null(message_frame(&m, &codec_phoenix_v1));
	ck_assert_ptr_nonnull(message_frame(&m, &codec_phoenix_v2));
	message_done(&m);
}
END_TEST

static TCase *
decode_case(void)
{
	TCase *tc = tcase_create("decode");

	LOOP(tc, text_is_decoded, messages);
	LOOP(tc, a_part_of_a_text_is_refused, messages);
	LOOP(tc, malformed_text_is_refused, malformed);
	tcase_add_test(tc, binary_messages_are_checked_for_utf8);
	LOOP(tc, faults_leave_the_rest_readable, faults);
	tcase_add_test(tc, behind_a_deep_payload_nothing_counts);
	LOOP(tc, deep_values_elsewhere_are_refused, deep);
	return tc;
}

static TCase *
encode_case(void)
{
	TCase *tc = tcase_create("encode");

	LOOP(tc, text_is_encoded, texts);
	tcase_add_test(tc, binary_payloads_have_no_form);
	return tc;
}

Suite *
phoenix_v1_suite(void)
{
	Suite *s = suite_create("phoenix_v1");

	suite_add_tcase(s, decode_case());
	suite_add_tcase(s, encode_case());
	return s;
}
