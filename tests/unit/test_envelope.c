/*
 * The bus' messages: what is written is read again, and what is no message is told from one.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "wire/envelope.h"

Suite *envelope_suite(void);

static struct buf scratch;

static void
tear_down(void)
{
	buf_done(&scratch);
}

static const struct {
	struct envelope	e;
	const char	*text;
} written[] = {
	{ { .node = { "n1", 2 }, .event = { "new_msg", 7 }, .payload = { "{\"a\":1}", 7 } },
	  "{\"v\":1,\"node\":\"n1\",\"event\":\"new_msg\",\"payload\":{\"a\":1}}" },
	{ { .node = { "a\"b\\c", 5 }, .event = { "say \"\xc3\xa4\"", 8 }, .payload = { "{ }", 3 } },
	  "{\"v\":1,\"node\":\"a\\\"b\\\\c\",\"event\":\"say \\\"\xc3\xa4\\\"\",\"payload\":{ }}" },
	{ { .node = { "n", 1 }, .event = { "e", 1 }, .payload = { "\0\xff\x80", 3 }, .binary = true },
	  "{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"binary\":\"AP+A\"}" },
	{ { .node = { "n", 1 }, .event = { "e", 1 }, .payload = { "1", 1 }, .binary = true },
	  "{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"binary\":\"MQ==\"}" },
	{ { .node = { "n", 1 }, .event = { "e", 1 }, .payload = { NULL, 0 }, .binary = true },
	  "{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"binary\":\"\"}" },
	{ { .node = { "n", 1 }, .event = { "e", 1 }, .payload = { "{\"data\":1}", 10 },
	    .from = { "{\"clientId\":\"c\",\"userId\":null}", 30 }, .said = 1705314600123, .value = true },
	  "{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"payload\":{\"data\":1},"
	  "\"from\":{\"clientId\":\"c\",\"userId\":null},\"said\":1705314600123,\"value\":true}" },
	{ { .node = { "n", 1 }, .event = { "e", 1 }, .payload = { "\1", 1 }, .binary = true, .from = { "{}", 2 } },
	  "{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"binary\":\"AQ==\",\"from\":{}}" },
	{ { .node = { "n", 1 }, .event = { "e", 1 }, .payload = { "{\"data\":[]}", 11 }, .value = true },
	  "{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"payload\":{\"data\":[]},\"value\":true}" },
	{ { .node = { "n\"", 2 }, .counts = true, .count = 17 }, "{\"v\":1,\"node\":\"n\\\"\",\"count\":17}" },
	{ { .node = { "n", 1 }, .counts = true, .count = ENVELOPE_MAX_COUNT, .ask = true },
	  "{\"v\":1,\"node\":\"n\",\"count\":4194304,\"ask\":true}" },
};

static void
same(const struct envelope *a, const struct envelope *b)
{
	ck_assert(slice_eq(a->node, b->node));
	ck_assert(slice_eq(a->event, b->event));
	ck_assert(slice_eq(a->payload, b->payload));
	ck_assert_int_eq(a->binary, b->binary);
	ck_assert(slice_eq(a->from, b->from));
	ck_assert_int_eq(a->said, b->said);
	ck_assert_int_eq(a->value, b->value);
	ck_assert_int_eq(a->stored, b->stored);
	ck_assert_int_eq(position_compare(a->at, b->at), 0);
	ck_assert_int_eq(position_compare(a->prev, b->prev), 0);
	ck_assert_uint_eq(a->tail, b->tail);
	ck_assert_uint_eq(a->tag, b->tag);
	ck_assert_int_eq(a->counts, b->counts);
	ck_assert_uint_eq(a->count, b->count);
	ck_assert_int_eq(a->ask, b->ask);
}

START_TEST(there_and_back)
{
	autobuf struct buf out = { 0 };
	struct envelope	   e;
	const char	  *why;

	buf_add_str(&out, "before");
	envelope_write(&out, &written[_i].e);
	ck_assert(slice_eq(slice_from(buf_slice(&out), 6), slice_str(written[_i].text)));
	ck_assert_int_eq(envelope_read(&e, slice_from(buf_slice(&out), 6), &scratch, &why), 0);
	ck_assert_ptr_null(why);
	same(&e, &written[_i].e);
}
END_TEST

START_TEST(nothing_is_an_empty_object)
{
	autobuf struct buf out = { 0 };

	envelope_write(&out, &(struct envelope){ .node = SLICE("n"), .event = SLICE("e") });
	ck_assert(slice_is(buf_slice(&out), "{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"payload\":{}}"));
}
END_TEST

#define AT(ms, n)	.stored = true, .at = { ms, n }
#define SAID		.event = { "e", 1 }, .payload = { "{}", 2 }
#define BARE		"{\"event\":\"e\",\"payload\":{}"
#define N		.node = { "n", 1 }
/* From a stream, up to what follows. */
#define STREAM		"{\"v\":1,\"node\":\"n\",\"event\":\"e\",\"payload\":{},"
#define COUNT		"{\"node\":\"n\",\"count\":"
#define LONG_16		"0123456789abcdef"
#define LONG_128	LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16

static const struct {
	const char	*text;
	struct envelope	 e;
} good[] = {
	{ "{\"event\":\"e\",\"payload\":{}}", { SAID } },
	{ "{\"v\":1,\"event\":\"e\",\"payload\":{}}", { SAID } },
	{ " \t\r\n{ \"payload\" : {} , \"event\" : \"e\" } \n", { SAID } },
	{ "{\"node\":\"n\",\"event\":\"e\",\"payload\":{}}", { N, SAID } },
	{ "{\"x\":[{\"event\":\"no\"}],\"event\":\"e\",\"y\":null,\"payload\":{},\"\":0,\"a longer name than ours\":1}", { SAID } },
	{ "{\"event\":\"no\",\"payload\":3,\"event\":\"e\",\"payload\":{}}", { SAID } },
	{ "{\"\\u0065vent\":\"\\u0065\",\"pa\\u0079load\":{}}", { SAID } },
	{ "{\"event\":\"\\\"\\u00e4\\ud83d\\ude00\",\"payload\":{}}",
	  { .event = { "\"\xc3\xa4\xf0\x9f\x98\x80", 7 }, .payload = { "{}", 2 } } },
	{ "{\"event\":\"e\",\"payload\":{\"\xc3\xa4\":[\"\\u0000\",1e5]}}",
	  { .event = { "e", 1 }, .payload = { "{\"\xc3\xa4\":[\"\\u0000\",1e5]}", 21 } } },
	{ "{\"node\":\"\\u006e\",\"event\":\"\\u0065\",\"binary\":\"AQI=\"}",
	  { N, .event = { "e", 1 }, .payload = { "\1\2", 2 }, .binary = true } },
	{ "{\"event\":\"" LONG_128 "\",\"payload\":{}}", { .event = { LONG_128, 128 }, .payload = { "{}", 2 } } },
	{ "{\"node\":\"" LONG_128 "\",\"event\":\"e\",\"payload\":{}}", { .node = { LONG_128, 128 }, SAID } },
	{ "{\"event\":\"presence_diff\",\"payload\":{}}", { .event = { "presence_diff", 13 }, .payload = { "{}", 2 } } },
	{ "{\"event\":\"phx\",\"payload\":{}}", { .event = { "phx", 3 }, .payload = { "{}", 2 } } },
	/* Senders. */
	{ BARE ",\"from\":{ },\"said\":0,\"value\":false}", { SAID, .from = { "{ }", 3 } } },
	{ BARE ",\"from\":null,\"said\":\"\",\"value\":1,\"value\":false,\"said\":7,\"\\u0066rom\":{}}",
	  { SAID, .from = { "{}", 2 }, .said = 7 } },
	{ BARE ",\"said\":253402300799999}", { SAID, .said = 253402300799999 } },
	{ "{\"event\":\"e\",\"value\":true,\"payload\":{ \"data\" : {\"data\":1} } }",
	  { .event = { "e", 1 }, .payload = { "{ \"data\" : {\"data\":1} }", 23 }, .value = true } },
	/* Streams. */
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"7\"}", { N, SAID, AT(5, 1), .prev = { 5, 0 }, .tail = 7 } },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"0-0\",\"tail\":\"0\",\"tag\":\"9\"}", { N, SAID, AT(5, 1), .tag = 9 } },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"0-0\",\"tail\":4398046511103,\"tag\":9007199254740992}",
	  { N, SAID, AT(5, 1), .tail = 4398046511103, .tag = 9007199254740992 } },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"0-0\",\"tail\":\"4398046511103\",\"tag\":\"18446744073709551615\"}",
	  { N, SAID, AT(5, 1), .tail = 4398046511103, .tag = UINT64_MAX } },
	{ STREAM "\"at\":\"281474976710655-4294967295\",\"prev\":\"0-0\",\"tail\":\"1\"}",
	  { N, SAID, AT(281474976710655, 4294967295), .tail = 1 } },
	/* Numbers. */
	{ "{\"node\":\"n\",\"count\":0}", { N, .counts = true } },
	{ "{\"ask\":false,\"\\u0063ount\":7,\"node\":\"\\u006e\",\"payload\":3,\"at\":\"5-1\"}", { N, .counts = true, .count = 7 } },
	{ BARE ",\"count\":\"of something\",\"ask\":1}", { SAID } },
	/* Without a position the rest of it means nothing. */
	{ STREAM "\"prev\":\"5-0\",\"tail\":\"7\",\"tag\":{}}", { N, SAID } },
};

START_TEST(messages)
{
	struct envelope e;
	const char     *why = "";

	ck_assert_msg(envelope_read(&e, slice_str(good[_i].text), &scratch, &why) == 0, "%s: %s", good[_i].text, why);
	ck_assert_ptr_null(why);
	same(&e, &good[_i].e);
}
END_TEST

static const struct {
	const char	*text;
	const char	*why;
} malformed[] = {
	{ "", "not an object" },
	{ " ", "not an object" },
	{ "null", "not an object" },
	{ "[]", "not an object" },
	{ "\"event\"", "not an object" },
	{ "hello", "not an object" },
	{ "{", "not JSON" },
	{ "{]", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{}", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{},}", "not JSON" },
	{ "{\"event\":\"e\" \"payload\":{}}", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{]}", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{},x:1}", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{},1:1}", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{},\"x\":01}", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{},\"x\"}", "not JSON" },
	{ "{\"event\":\"e\",\"payload\":{}}{}", "more than one object" },
	{ "{\"event\":\"e\",\"payload\":{}} x", "more than one object" },
	{ "{\"event\":\"e\xff\",\"payload\":{}}", "not UTF-8" },
	{ "{\"event\":\"e\",\"payload\":{\"a\":\"\xc0\x80\"}}", "not UTF-8" },
	{ "{\"event\":\"e\",\"payload\":{\"a\":\"\xed\xa0\x80\"}}", "not UTF-8" },
	{ "{\"event\":\"e\",\"payload\":{}}\xc3", "not UTF-8" },
	{ "{}", "bad event" },
	{ "{\"payload\":{}}", "bad event" },
	{ "{\"event\":null,\"payload\":{}}", "bad event" },
	{ "{\"event\":1,\"payload\":{}}", "bad event" },
	{ "{\"event\":{},\"payload\":{}}", "bad event" },
	{ "{\"event\":\"\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"e\",\"event\":\"\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"a\\nb\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"a\\u0000\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"a\x7f\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"\\ud800\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"" LONG_128 "x\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"" LONG_128 "\\u0078\",\"payload\":{}}", "bad event" },
	{ "{\"event\":\"phx_close\",\"payload\":{}}", "reserved event" },
	{ "{\"event\":\"phx_error\",\"payload\":{}}", "reserved event" },
	{ "{\"event\":\"phx_\",\"payload\":{}}", "reserved event" },
	{ "{\"event\":\"\\u0070hx_reply\",\"payload\":{}}", "reserved event" },
	{ "{\"event\":\"e\"}", "payload is not an object" },
	{ "{\"event\":\"e\",\"payload\":null}", "payload is not an object" },
	{ "{\"event\":\"e\",\"payload\":[]}", "payload is not an object" },
	{ "{\"event\":\"e\",\"payload\":\"{}\"}", "payload is not an object" },
	{ "{\"event\":\"e\",\"payload\":{},\"payload\":1}", "payload is not an object" },
	{ "{\"event\":\"e\",\"payload\":{},\"binary\":\"\"}", "both payload and binary" },
	{ "{\"event\":\"e\",\"binary\":\"AQI\"}", "binary is not base64" },
	{ "{\"event\":\"e\",\"binary\":\"A-_=\"}", "binary is not base64" },
	{ "{\"event\":\"e\",\"binary\":\"AQ\\u003d=\"}", "binary is not base64" },
	{ "{\"event\":\"e\",\"binary\":null}", "binary is not base64" },
	{ "{\"event\":\"e\",\"binary\":{}}", "binary is not base64" },
	{ "{\"node\":\"\",\"event\":\"e\",\"payload\":{}}", "bad node" },
	{ "{\"node\":null,\"event\":\"e\",\"payload\":{}}", "bad node" },
	{ "{\"node\":1,\"event\":\"e\",\"payload\":{}}", "bad node" },
	{ "{\"node\":\"\\u0001\",\"event\":\"e\",\"payload\":{}}", "bad node" },
	{ "{\"node\":\"" LONG_128 "x\",\"event\":\"e\",\"payload\":{}}", "bad node" },
	{ "{\"v\":0,\"event\":\"e\",\"payload\":{}}", "bad version" },
	{ "{\"v\":-1,\"event\":\"e\",\"payload\":{}}", "bad version" },
	{ "{\"v\":1.0,\"event\":\"e\",\"payload\":{}}", "bad version" },
	{ "{\"v\":\"1\",\"event\":\"e\",\"payload\":{}}", "bad version" },
	{ "{\"v\":\"2\",\"event\":\"e\",\"payload\":{}}", "bad version" },
	{ "{\"v\":null,\"event\":\"e\",\"payload\":{}}", "bad version" },
	/* Senders. */
	{ BARE ",\"from\":null}", "from is not an object" },
	{ BARE ",\"from\":\"alice\"}", "from is not an object" },
	{ BARE ",\"from\":[]}", "from is not an object" },
	{ BARE ",\"from\":{},\"from\":1}", "from is not an object" },
	{ BARE ",\"from\":{]}", "not JSON" },
	{ BARE ",\"said\":\"7\"}", "bad said" },
	{ BARE ",\"said\":null}", "bad said" },
	{ BARE ",\"said\":-1}", "bad said" },
	{ BARE ",\"said\":7.5}", "bad said" },
	{ BARE ",\"said\":7e3}", "bad said" },
	{ BARE ",\"said\":253402300800000}", "bad said" },
	{ BARE ",\"value\":null}", "bad value" },
	{ BARE ",\"value\":1}", "bad value" },
	{ BARE ",\"value\":\"true\"}", "bad value" },
	{ BARE ",\"value\":true}", "value without data alone in the payload" },
	{ "{\"event\":\"e\",\"payload\":{\"a\":1},\"value\":true}", "value without data alone in the payload" },
	{ "{\"event\":\"e\",\"payload\":{\"data\":1,\"a\":1},\"value\":true}", "value without data alone in the payload" },
	{ "{\"event\":\"e\",\"payload\":{\"data\":1,\"data\":2},\"value\":true}", "value without data alone in the payload" },
	{ "{\"event\":\"e\",\"binary\":\"\",\"value\":true}", "value without data alone in the payload" },
	/* Numbers. */
	{ "{\"count\":1}", "bad node" },
	{ "{\"node\":\"\",\"count\":1}", "bad node" },
	{ "{\"node\":\"" LONG_128 "x\",\"count\":1}", "bad node" },
	{ COUNT "null}", "bad count" },
	{ COUNT "\"1\"}", "bad count" },
	{ COUNT "-1}", "bad count" },
	{ COUNT "1.0}", "bad count" },
	{ COUNT "1e3}", "bad count" },
	{ COUNT "4194305}", "bad count" },
	{ COUNT "99999999999999999999999}", "bad count" },
	{ COUNT "1,\"ask\":1}", "bad ask" },
	{ COUNT "1,\"ask\":null}", "bad ask" },
	{ COUNT "1,\"event\":null}", "bad event" },
	/* Streams. */
	{ "{\"event\":\"e\",\"payload\":{},\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"7\"}", "position without node" },
	{ "{\"node\":\"n\",\"event\":\"e\",\"binary\":\"\",\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"7\"}",
	  "position of a binary message" },
	{ STREAM "\"at\":null,\"prev\":\"5-0\",\"tail\":\"7\"}", "bad position" },
	{ STREAM "\"at\":5,\"prev\":\"5-0\",\"tail\":\"7\"}", "bad position" },
	{ STREAM "\"at\":\"5\",\"prev\":\"5-0\",\"tail\":\"7\"}", "bad position" },
	{ STREAM "\"at\":\"5-1\",\"tail\":\"7\"}", "bad position" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"\",\"tail\":\"7\"}", "bad position" },
	{ STREAM "\"at\":\"281474976710656-0\",\"prev\":\"0-0\",\"tail\":\"7\"}", "bad position" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-1\",\"tail\":\"7\"}", "position not behind the one before it" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-2\",\"tail\":\"7\"}", "position not behind the one before it" },
	{ STREAM "\"at\":\"0-0\",\"prev\":\"0-0\",\"tail\":\"7\"}", "position not behind the one before it" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\"}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"\"}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"07\"}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"7x\"}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":-7}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":7.0}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":7e3}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"4398046511104\"}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":true}", "bad tail" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"7\",\"tag\":9007199254740993}", "bad tag" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"7\",\"tag\":\"18446744073709551616\"}", "bad tag" },
	{ STREAM "\"at\":\"5-1\",\"prev\":\"5-0\",\"tail\":\"7\",\"tag\":null}", "bad tag" },
};

/* In a block of its own size, so that who reads beyond its end is caught. */
START_TEST(no_messages)
{
	const size_t	n = strlen(malformed[_i].text);
	autofree char  *copy = xmalloc(n);
	struct envelope e;
	const char     *why = NULL;

	memcpy(copy, malformed[_i].text, n);
	ck_assert_int_eq(envelope_read(&e, slice(copy, n), &scratch, &why), -EBADMSG);
	ck_assert_msg(why != NULL && strcmp(why, malformed[_i].why) == 0, "%s: %s", malformed[_i].text, why);
}
END_TEST

static const char *const newer[] = {
	"{\"v\":2}",
	"{\"v\":2,\"event\":[],\"payload\":\"of another form\"}",
	"{\"v\":10,\"event\":\"e\",\"payload\":{}}",
	"{\"event\":\"e\",\"payload\":{},\"v\":99999999999999999999999999999999}",
};

START_TEST(newer_versions)
{
	struct envelope e;
	const char     *why = NULL;

	ck_assert_int_eq(envelope_read(&e, slice_str(newer[_i]), &scratch, &why), -EPROTONOSUPPORT);
	ck_assert_str_eq(why, "newer version");
}
END_TEST

START_TEST(no_text_at_all)
{
	struct envelope e;
	const char     *why;

	ck_assert_int_eq(envelope_read(&e, slice(NULL, 0), &scratch, &why), -EBADMSG);
}
END_TEST

/* {"event":"e","payload":{"a":…}} with so many lists within each other, or elements, there. */
static int
read_nested(unsigned depth, unsigned elements, const char **why)
{
	autobuf struct buf text = { 0 };
	struct envelope	   e;

	buf_add_str(&text, "{\"event\":\"e\",\"payload\":{\"a\":");
	for (unsigned i = 0; i < depth; i++)
		buf_add_char(&text, '[');
	for (unsigned i = 0; i < elements; i++)
		buf_add_str(&text, i == 0 ? "1" : ",1");
	for (unsigned i = 0; i < depth; i++)
		buf_add_char(&text, ']');
	buf_add_str(&text, "}}");
	return envelope_read(&e, buf_slice(&text), &scratch, why);
}

START_TEST(limits_of_values)
{
	const char *why;

	ck_assert_int_eq(read_nested(JSON_MAX_DEPTH - 1, 1, &why), 0);
	ck_assert_int_eq(read_nested(JSON_MAX_DEPTH, 1, &why), -EBADMSG);
	ck_assert_str_eq(why, "too deep, or too many members");
	ck_assert_int_eq(read_nested(1, JSON_MAX_MEMBERS - 1, &why), 0);
	ck_assert_int_eq(read_nested(1, JSON_MAX_MEMBERS, &why), -EBADMSG);
	ck_assert_str_eq(why, "too deep, or too many members");
}
END_TEST

START_TEST(limit_of_length)
{
	static const char  head[] = "{\"event\":\"e\",\"payload\":{\"a\":\"", tail[] = "\"}}";
	autobuf struct buf text = { 0 };
	struct envelope	   e;
	const char	  *why;

	buf_add_str(&text, head);
	memset(buf_room(&text, ENVELOPE_MAX), 'x', ENVELOPE_MAX);
	text.n = ENVELOPE_MAX - strlen(tail);
	buf_add_str(&text, tail);
	ck_assert_int_eq(envelope_read(&e, buf_slice(&text), &scratch, &why), 0);
	buf_add_char(&text, ' ');
	ck_assert_int_eq(envelope_read(&e, buf_slice(&text), &scratch, &why), -EBADMSG);
	ck_assert_str_eq(why, "too long");
}
END_TEST

/* What was decoded into the scratch space stays where it is while more is. */
START_TEST(much_is_decoded)
{
	autobuf struct buf out = { 0 }, bytes = { 0 };
	struct envelope	   e;
	const char	  *why;

	for (unsigned i = 0; i < 100000; i++)
		buf_add_char(&bytes, (char)i);
	e = (struct envelope){ .node = SLICE("\"n\""), .event = SLICE("\"e\""), .payload = buf_slice(&bytes), .binary = true };
	envelope_write(&out, &e);
	ck_assert_int_eq(envelope_read(&e, buf_slice(&out), &scratch, &why), 0);
	ck_assert(slice_is(e.node, "\"n\""));
	ck_assert(slice_is(e.event, "\"e\""));
	ck_assert(slice_eq(e.payload, buf_slice(&bytes)));
}
END_TEST

#define ROWS(table)	(int)(sizeof(table) / sizeof((table)[0]))

Suite *
envelope_suite(void)
{
	Suite *s = suite_create("envelope");
	TCase *t = tcase_create("envelope");

	tcase_add_checked_fixture(t, NULL, tear_down);
	tcase_add_loop_test(t, there_and_back, 0, ROWS(written));
	tcase_add_test(t, nothing_is_an_empty_object);
	tcase_add_loop_test(t, messages, 0, ROWS(good));
	tcase_add_loop_test(t, no_messages, 0, ROWS(malformed));
	tcase_add_loop_test(t, newer_versions, 0, ROWS(newer));
	tcase_add_test(t, no_text_at_all);
	tcase_add_test(t, limits_of_values);
	tcase_add_test(t, limit_of_length);
	tcase_add_test(t, much_is_decoded);
	suite_add_tcase(s, t);
	return s;
}
