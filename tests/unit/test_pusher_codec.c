/*
 * The Pusher-style format: roost-protocol(7), PUSHER-STYLE CLIENTS.
 */
#include <check.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/ws.h"
#include "wire/message.h"

Suite *pusher_codec_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))
#define T16	"0123456789abcdef"
#define T128	T16 T16 T16 T16 T16 T16 T16 T16
#define REQUEST(type, more) "{\"type\":\"" type "\",\"requestId\":\"r\"" more "}"
#define JOIN(more)	REQUEST("join", ",\"channel\":\"public-a\"" more)
#define SAY(more)	REQUEST("channel:message", ",\"channel\":\"public-a\"" more)

static struct inbound in;

/* A copy with nothing readable behind it: what reads on is caught. */
static char *
decode(bool binary, struct slice data)
{
	char *copy = xmalloc(data.n + 1);

	copy = xrealloc(copy, data.n > 0 ? data.n : 1);
	memcpy(copy, data.p, data.n);
	/* What the decoder does not set must be seen. */
	memset(&in, 0xa5, sizeof(in));
	ck_assert_int_eq(codec_pusher.decode(&in, binary, slice(copy, data.n)), 0);
	return copy;
}

/* ---- requests ---- */

static const struct {
	const char *text;
	const char *ref, *topic, *event;
} requests[] = {
	{ JOIN(""), "j\"r\"", "public-a", "phx_join" },
	{ JOIN(",\"userInfo\":{\"name\":\"John\"}"), "j\"r\"", "public-a", "phx_join" },
	{ "{\"type\":\"join\",\"channel\":\"private-team-123\"}", "j", "private-team-123", "phx_join" },
	{ "{\"channel\":\"presence-a_b=c@d,e.f;g:h\",\"type\":\"join\"}", "j", "presence-a_b=c@d,e.f;g:h", "phx_join" },
	{ REQUEST("leave", ",\"channel\":\"public-a\""), "l\"r\"", "public-a", "phx_leave" },
	{ SAY(",\"data\":{\"text\":\"hello\"}"), "m\"r\"", "public-a", "channel:message" },
	{ SAY(",\"event\":\"new-message\",\"data\":[1]"), "m\"r\"", "public-a", "channel:message" },
	{ SAY(",\"event\":\"\\u00e4\\ud83d\\ude00 phx_\",\"data\":null"), "m\"r\"", "public-a", "channel:message" },
	{ SAY(",\"event\":\"" T128 "\""), "m\"r\"", "public-a", "channel:message" },
	{ SAY(",\"event\":\"systems\",\"userInfo\":1"), "m\"r\"", "public-a", "channel:message" },
	{ SAY(",\"event\":\"phx\""), "m\"r\"", "public-a", "channel:message" },
	{ REQUEST("channel:update", ",\"channel\":\"presence-a\",\"userInfo\":{}"), "u\"r\"", "presence-a", "channel:update" },
	{ REQUEST("access_token", ",\"channel\":\"private-a\",\"access_token\":\"e.y.J\""), "t\"r\"", "private-a", "access_token" },
	{ REQUEST("ping", ""), "p\"r\"", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\"}", "p", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"channel\":7,\"userInfo\":0,\"event\":\"\"}", "p", "phoenix", "heartbeat" },
	/* The id is echoed as it was written. */
	{ "{\"type\":\"ping\",\"requestId\":7}", "p7", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"requestId\":-1.50e+3 }", "p-1.50e+3", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"requestId\":null}", "pnull", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"requestId\":true}", "ptrue", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"requestId\":[ 1, {} ]}", "p[ 1, {} ]", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"requestId\":{\"a\":\"\\u0000\"}}", "p{\"a\":\"\\u0000\"}", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"requestId\":\"\\/\\ud800\xc3\xa4\\\"\"}", "p\"\\/\\ud800\xc3\xa4\\\"\"", "phoenix", "heartbeat" },
	{ "{\"type\":\"ping\",\"requestId\":\"\"}", "p\"\"", "phoenix", "heartbeat" },
	/* A key, a type and a channel are what they say, not how they are written. */
	{ "\t{ \"\\u0074ype\" : \"\\u006aoin\" ,\r\n\"channe\\u006c\":\"public\\u002da\" }\n", "j", "public-a", "phx_join" },
	/* Other members are passed over, however often they come. */
	{ JOIN(",\"x\":1,\"x\":{\"type\":2},\"Type\":\"no\",\"types\":1,\"\":0,\"a name that is longer than ours\":1"),
	  "j\"r\"", "public-a", "phx_join" },
};

START_TEST(requests_are_decoded)
{
	const struct slice text = slice_str(requests[_i].text);
	autofree char	  *copy = decode(false, text);
	struct slice	   object = slice(copy, text.n);

	ck_assert_msg(in.fault == FAULT_NONE, "%s", requests[_i].text);
	ck_assert_ptr_null(in.why);
	ck_assert(slice_is(in.join_ref, "null"));
	ck_assert_msg(slice_is(in.ref, requests[_i].ref), "%.*s", SLICE_ARG(in.ref));
	ck_assert(slice_is(in.topic, requests[_i].topic));
	ck_assert(slice_is(in.event, requests[_i].event));
	json_take_blanks(&object);
	ck_assert_ptr_eq(in.payload.p, object.p);
	ck_assert(in.payload.p[in.payload.n - 1] == '}');
	ck_assert_int_eq(in.payload_type, JSON_OBJECT);
	ck_assert(!in.binary);
}
END_TEST

START_TEST(the_channel_is_echoed_without_escapes)
{
	autofree char *copy = decode(false, SLICE("{\"type\":\"join\",\"channel\":\"\\u0070ublic-a\"}"));

	ck_assert(slice_is(in.topic_token, "\"public-a\""));
}
END_TEST

static const struct {
	const char *text;
	const char *why, *ref, *topic;
} faults[] = {
	{ "", "invalid json", "x", "" },
	{ " ", "invalid json", "x", "" },
	{ "{", "invalid json", "x", "" },
	{ "hello", "invalid json", "x", "" },
	{ "{\"type\":\"ping\",}", "invalid json", "x", "" },
	{ "{\"type\":\"ping\",\"requestId\":1}}", "invalid json", "x", "" },
	{ "{\"type\":\"ping\"}{\"type\":\"ping\"}", "invalid json", "x", "" },
	{ "{'type':'ping'}", "invalid json", "x", "" },
	{ "{\"type\":\"ping\",\"requestId\":01}", "invalid json", "x", "" },
	{ "[]", "invalid request", "x", "" },
	{ "null", "invalid request", "x", "" },
	{ "\"join\"", "invalid request", "x", "" },
	{ "7", "invalid request", "x", "" },
	{ "{}", "invalid request", "x", "" },
	{ "{\"requestId\":\"r\"}", "invalid request", "x\"r\"", "" },
	{ "{\"type\":null,\"requestId\":\"r\"}", "invalid request", "x\"r\"", "" },
	{ "{\"type\":1,\"requestId\":\"r\"}", "invalid request", "x\"r\"", "" },
	{ "{\"type\":[\"join\"],\"requestId\":\"r\"}", "invalid request", "x\"r\"", "" },
	{ REQUEST("", ""), "unknown message type", "x\"r\"", "" },
	{ REQUEST("Join", ",\"channel\":\"public-a\""), "unknown message type", "x\"r\"", "" },
	{ REQUEST("joins", ",\"channel\":\"public-a\""), "unknown message type", "x\"r\"", "" },
	{ REQUEST("phx_join", ""), "unknown message type", "x\"r\"", "" },
	{ REQUEST("pusher:subscribe", ""), "unknown message type", "x\"r\"", "" },
	{ REQUEST("a type that is longer than ours", ""), "unknown message type", "x\"r\"", "" },
	{ REQUEST("\\ud800", ""), "unknown message type", "x\"r\"", "" },
	{ REQUEST("join\\u0000", ""), "unknown message type", "x\"r\"", "" },
	/* Channels. */
	{ REQUEST("join", ""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("leave", ""), "invalid channel", "l\"r\"", "" },
	{ REQUEST("channel:message", ",\"data\":1"), "invalid channel", "m\"r\"", "" },
	{ REQUEST("channel:update", ",\"userInfo\":{}"), "invalid channel", "u\"r\"", "" },
	{ REQUEST("access_token", ",\"access_token\":\"e.y.J\""), "invalid channel", "t\"r\"", "" },
	{ REQUEST("join", ",\"channel\":null"), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":1"), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":{}"), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"Public-a\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"room:a\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"phoenix\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\" public-a\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-a b\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-a/b\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-{a}\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-\xc3\xa4\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-\\u00e4\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-a\\u0000\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-\\ud800\""), "invalid channel", "j\"r\"", "" },
	{ REQUEST("join", ",\"channel\":\"public-" T128 T128 "\""), "invalid channel", "j\"r\"", "" },
	/* Twice. */
	{ "{\"type\":\"join\",\"type\":\"join\",\"channel\":\"public-a\",\"requestId\":1}", "invalid request", "j1", "public-a" },
	{ JOIN(",\"channel\":\"public-b\""), "invalid request", "j\"r\"", "public-b" },
	{ JOIN(",\"userInfo\":{},\"user\\u0049nfo\":{}"), "invalid request", "j\"r\"", "public-a" },
	{ SAY(",\"data\":1,\"data\":2"), "invalid request", "m\"r\"", "public-a" },
	{ REQUEST("access_token", ",\"channel\":\"private-a\",\"access_token\":\"a\",\"access_token\":\"b\""), "invalid request",
	  "t\"r\"", "private-a" },
	{ SAY(",\"event\":\"a\",\"event\":\"b\""), "invalid request", "m\"r\"", "public-a" },
	{ JOIN(",\"requestId\":\"s\""), "invalid request", "j", "public-a" },
	{ JOIN(",\"requestId\":\"s\",\"requestId\":\"t\""), "invalid request", "j", "public-a" },
	{ "{\"type\":\"ping\",\"requestId\":1,\"requestId\":1}", "invalid request", "p", "phoenix" },
	/* What is not what it should be. */
	{ JOIN(",\"userInfo\":null"), "invalid userInfo", "j\"r\"", "public-a" },
	{ JOIN(",\"userInfo\":[]"), "invalid userInfo", "j\"r\"", "public-a" },
	{ JOIN(",\"userInfo\":\"{}\""), "invalid userInfo", "j\"r\"", "public-a" },
	{ REQUEST("channel:update", ",\"channel\":\"presence-a\",\"userInfo\":1"), "invalid userInfo", "u\"r\"", "presence-a" },
	{ SAY(",\"event\":null"), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":1"), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"" T128 "x\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"a\\n\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"a\\u0000\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"a\x7f\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"\\udc00\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"phx_close\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"\\u0070hx_close\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"presence_diff\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"presence:member_left\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"channel:left\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"pusher_internal:member_added\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"system\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"token_expiring\""), "invalid event", "m\"r\"", "public-a" },
	{ SAY(",\"event\":\"access_token\""), "invalid event", "m\"r\"", "public-a" },
};

START_TEST(faults_are_told_from_requests)
{
	autofree char *copy = decode(false, slice_str(faults[_i].text));

	ck_assert_msg(in.fault == FAULT_MESSAGE, "%s", faults[_i].text);
	ck_assert_msg(strcmp(in.why, faults[_i].why) == 0, "%s: %s", faults[_i].text, in.why);
	ck_assert_msg(slice_is(in.ref, faults[_i].ref), "%s: %.*s", faults[_i].text, SLICE_ARG(in.ref));
	ck_assert(slice_is(in.join_ref, "null"));
	ck_assert(slice_is(in.topic, faults[_i].topic));
	ck_assert_uint_eq(in.event.n, 0);
}
END_TEST

START_TEST(a_part_of_a_request_is_no_json)
{
	const char *text = requests[_i].text;

	for (size_t n = 0; n < strlen(text) - 1 && text[n] != '\0'; n++) {
		autofree char *copy = decode(false, slice(text, n));

		ck_assert_int_eq(in.fault, FAULT_MESSAGE);
		ck_assert_str_eq(in.why, "invalid json");
	}
}
END_TEST

START_TEST(no_request_is_binary)
{
	autofree char *copy = decode(true, slice_str(requests[_i].text));

	ck_assert_int_eq(in.fault, FAULT_MESSAGE);
	ck_assert_str_eq(in.why, "invalid json");
	ck_assert(slice_is(in.ref, "x"));
	ck_assert(!in.binary);
}
END_TEST

static void
add_times(struct buf *b, size_t n, const char *text)
{
	while (n-- > 0)
		buf_add_str(b, text);
}

START_TEST(limit_of_request_ids)
{
	for (size_t n = WIRE_MAX_REQUEST_ID; n <= WIRE_MAX_REQUEST_ID + 1; n++) {
		autobuf struct buf text = { 0 };
		autofree char	  *copy = NULL;

		buf_add_str(&text, "{\"type\":\"ping\",\"requestId\":\"");
		add_times(&text, n - 2, "x");
		buf_add_str(&text, "\"}");
		copy = decode(false, buf_slice(&text));
		if (n == WIRE_MAX_REQUEST_ID) {
			ck_assert_int_eq(in.fault, FAULT_NONE);
			ck_assert_uint_eq(in.ref.n, 1 + n);
		} else {
			ck_assert_str_eq(in.why, "invalid requestId");
			ck_assert(slice_is(in.ref, "p"));
		}
	}
}
END_TEST

START_TEST(limit_of_channels)
{
	for (size_t n = 164; n <= 165; n++) {
		autobuf struct buf text = { 0 };
		autofree char	  *copy = NULL;

		buf_add_str(&text, "{\"type\":\"join\",\"channel\":\"public-");
		add_times(&text, n - strlen("public-"), "x");
		buf_add_str(&text, "\"}");
		copy = decode(false, buf_slice(&text));
		ck_assert_int_eq(in.fault, n == 164 ? FAULT_NONE : FAULT_MESSAGE);
	}
}
END_TEST

START_TEST(limits_of_values)
{
	for (unsigned n = JSON_MAX_DEPTH - 1; n <= JSON_MAX_DEPTH; n++) {
		autobuf struct buf text = { 0 };
		autofree char	  *copy = NULL;

		buf_add_str(&text, "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"data\":");
		add_times(&text, n, "[");
		add_times(&text, n, "]");
		buf_add_str(&text, "}");
		copy = decode(false, buf_slice(&text));
		ck_assert_int_eq(in.fault, n < JSON_MAX_DEPTH ? FAULT_NONE : FAULT_MESSAGE);
		ck_assert(n < JSON_MAX_DEPTH || strcmp(in.why, "invalid json") == 0);
	}
}
END_TEST

/* ---- answers ---- */

static struct buf text;

static const char *
encoded(const struct message *m)
{
	struct frame *f = codec_pusher.encode(m);

	if (f == NULL)
		return "nothing";
	ck_assert_uint_eq(f->opcode, WS_TEXT);
	text.n = 0;
	buf_add(&text, frame_body(f), frame_body_len(f));
	buf_add_char(&text, '\0');
	frame_unref(f);
	return text.p;
}

static void
tear_down(void)
{
	buf_done(&text);
}

static const struct {
	const char *ref;
	bool	    ok;
	const char *response;
	const char *text;
} replies[] = {
	{ "j\"r\"", true, "{\"channelType\":\"public\"}",
	  "{\"type\":\"channel:joined\",\"requestId\":\"r\",\"channel\":\"public-a\",\"channelType\":\"public\"}" },
	{ "j", true, "", "{\"type\":\"channel:joined\",\"channel\":\"public-a\"}" },
	{ "l7", true, "{}", "{\"type\":\"channel:left\",\"requestId\":7,\"channel\":\"public-a\"}" },
	{ "m[ 1, {} ]", true, "{ \"delivered\":5 }",
	  "{\"type\":\"channel:sent\",\"requestId\":[ 1, {} ],\"channel\":\"public-a\",\"delivered\":5 }" },
	{ "unull", true, "{\"member\":{\"id\":\"\\u00e4\xc3\xa4\"}}",
	  "{\"type\":\"channel:updated\",\"requestId\":null,\"channel\":\"public-a\",\"member\":{\"id\":\"\\u00e4\xc3\xa4\"}}" },
	{ "t1", true, "{}", "{\"type\":\"token_renewed\",\"requestId\":1,\"channel\":\"public-a\"}" },
	{ "p\"\\ud800\\/\"", true, "", "{\"type\":\"pong\",\"requestId\":\"\\ud800\\/\"}" },
	{ "p", true, "{ }", "{\"type\":\"pong\"}" },
	{ "j\"r\"", false, "{\"reason\":\"unauthorized\"}",
	  "{\"type\":\"error\",\"requestId\":\"r\",\"channel\":\"public-a\",\"code\":\"FORBIDDEN\",\"message\":\"Access denied\"}" },
	{ "j", false, "{\"reason\":\"unauthorized\",\"message\":\"Not \\u0061 \\\"member\\\"\"}",
	  "{\"type\":\"error\",\"channel\":\"public-a\",\"code\":\"FORBIDDEN\",\"message\":\"Not \\u0061 \\\"member\\\"\"}" },
	{ "mtrue", false, "{\"reason\":\"rate_limited\",\"retry_after_ms\":1500}",
	  "{\"type\":\"error\",\"requestId\":true,\"channel\":\"public-a\",\"code\":\"RATE_LIMIT_EXCEEDED\","
	  "\"message\":\"Too many messages\",\"retryAfterMs\":1500}" },
	/* Its own code and message count, where they are such. */
	{ "j", false, "{\"reason\":\"unauthorized\",\"code\":\"NOT_FOUND\"}",
	  "{\"type\":\"error\",\"channel\":\"public-a\",\"code\":\"NOT_FOUND\",\"message\":\"Not found\"}" },
	{ "j", false, "{\"reason\":\"unauthorized\",\"code\":\"NOT_KNOWN\",\"message\":7,\"retry_after_ms\":\"soon\"}",
	  "{\"type\":\"error\",\"channel\":\"public-a\",\"code\":\"FORBIDDEN\",\"message\":\"Access denied\"}" },
	{ "j", false, "{\"code\":\"JOIN_FAILED\",\"message\":\"\"}",
	  "{\"type\":\"error\",\"channel\":\"public-a\",\"code\":\"JOIN_FAILED\",\"message\":\"\"}" },
};

START_TEST(replies_are_encoded)
{
	const struct message m = {
		.kind = MESSAGE_REPLY, .join_ref = SLICE("null"), .ref = slice_str(replies[_i].ref),
		.topic_token = SLICE("\"public-a\""), .status = replies[_i].ok ? SLICE("ok") : SLICE("error"),
		.payload = slice_str(replies[_i].response),
	};

	ck_assert_str_eq(encoded(&m), replies[_i].text);
}
END_TEST

/* Who asked is answered, whatever a class may say. */
START_TEST(a_reply_of_raw_bytes)
{
	const struct message m = {
		.kind = MESSAGE_REPLY, .ref = SLICE("m1"), .topic_token = SLICE("\"public-a\""), .status = SLICE("ok"),
		.payload = SLICE("\x00\xff"), .binary = true,
	};

	ck_assert_str_eq(encoded(&m), "{\"type\":\"channel:sent\",\"requestId\":1,\"channel\":\"public-a\"}");
}
END_TEST

/* By kind: of j, l, m, u, p, x and t. */
static const struct {
	const char *reason;
	const char *code[7];
} codes[] = {
#define ALL(code)	{ code, code, code, code, code, code, code }
	{ "unauthorized", ALL("FORBIDDEN") },
	{ "invalid requestId", ALL("INVALID_REQUEST") },
	{ "invalid channel", ALL("INVALID_REQUEST") },
	{ "invalid event", ALL("INVALID_REQUEST") },
	{ "invalid userInfo", ALL("INVALID_REQUEST") },
	{ "token_expired", ALL("FORBIDDEN") },
	{ "unmatched topic",
	  { "NOT_FOUND", "NOT_IN_CHANNEL", "NOT_IN_CHANNEL", "NOT_MEMBER", "INVALID_REQUEST", "INVALID_REQUEST",
	    "NOT_IN_CHANNEL" } },
	{ "rate_limit", ALL("RATE_LIMIT_EXCEEDED") },
	{ "join_pending", ALL("RATE_LIMIT_EXCEEDED") },
	{ "rate_limited", ALL("RATE_LIMIT_EXCEEDED") },
	{ "rate_limit_exceeded", ALL("RATE_LIMIT_EXCEEDED") },
	{ "invalid_payload", ALL("INVALID_REQUEST") },
	{ "invalid request", ALL("INVALID_REQUEST") },
	{ "invalid topic", ALL("INVALID_REQUEST") },
	{ "unknown_event", ALL("INVALID_REQUEST") },
	{ "invalid json", ALL("INVALID_JSON") },
	{ "unknown message type", ALL("UNKNOWN_MESSAGE_TYPE") },
	{ "join crashed", ALL("INTERNAL_ERROR") },
	{ "channel_crash", ALL("INTERNAL_ERROR") },
	{ "internal", ALL("INTERNAL_ERROR") },
	{ "not_member", ALL("NOT_MEMBER") },
	{ "not_found", ALL("NOT_FOUND") },
	{ "disabled", ALL("CHANNELS_DISABLED") },
	{ "too_many_members", ALL("JOIN_FAILED") },
	{ "join_failed", ALL("JOIN_FAILED") },
#define BY_KIND	{ "JOIN_FAILED", "LEAVE_FAILED", "INTERNAL_ERROR", "UPDATE_FAILED", "INTERNAL_ERROR", "INTERNAL_ERROR", \
	"INTERNAL_ERROR" }
	{ "too many channels joined", BY_KIND },
	{ "too many topics", BY_KIND },
	{ "timeout", BY_KIND },
	{ "unavailable", BY_KIND },
	{ "a reason of some other class that nobody has heard of", BY_KIND },
	{ "", BY_KIND },
};

START_TEST(codes_by_reason_and_kind)
{
	static const char kinds[] = "jlmupxt";

	for (unsigned k = 0; k < 7; k++) {
		char	       ref[3] = { kinds[k], '1', '\0' }, response[128], want[128];
		struct message m = { .kind = MESSAGE_REPLY, .ref = slice_str(ref), .status = SLICE("error"), .topic_token = SLICE("null") };

		snprintf(response, sizeof(response), "{\"reason\":\"%s\"}", codes[_i].reason);
		snprintf(want, sizeof(want), "{\"type\":\"error\",\"requestId\":1,\"code\":\"%s\",\"message\":\"", codes[_i].code[k]);
		m.payload = slice_str(response);
		ck_assert_msg(strncmp(encoded(&m), want, strlen(want)) == 0, "%c: %s", kinds[k], encoded(&m));
		ck_assert_ptr_null(strstr(encoded(&m), "\"\""));
	}
}
END_TEST

static const char *const not_named[] = { "{}", "", "{\"reason\":1}", "{\"reason\":null,\"code\":{}}" };

START_TEST(an_error_without_a_reason)
{
	const struct message m = {
		.kind = MESSAGE_REPLY, .ref = SLICE("j"), .status = SLICE("error"), .payload = slice_str(not_named[_i]),
	};

	ck_assert_str_eq(encoded(&m), "{\"type\":\"error\",\"code\":\"JOIN_FAILED\",\"message\":\"The channel could not be joined\"}");
}
END_TEST

/* A route may call it what it likes. */
START_TEST(a_rate_is_known_by_its_wait)
{
	struct message m = {
		.kind = MESSAGE_REPLY, .ref = SLICE("m"), .status = SLICE("error"),
		.payload = SLICE("{\"reason\":\"slow_down\",\"retry_after_ms\":20}"),
	};

	ck_assert_str_eq(encoded(&m),
	    "{\"type\":\"error\",\"code\":\"RATE_LIMIT_EXCEEDED\",\"message\":\"Too many messages\",\"retryAfterMs\":20}");
}
END_TEST

START_TEST(a_reply_to_nobody)
{
	const struct message m = { .kind = MESSAGE_REPLY, .status = SLICE("error"), .payload = SLICE("{\"reason\":\"invalid json\"}") };

	ck_assert_str_eq(encoded(&m), "{\"type\":\"error\",\"code\":\"INVALID_JSON\",\"message\":\"Invalid JSON\"}");
}
END_TEST

#define S(literal)	{ literal, sizeof(literal) - 1 }
#define AT		.at = 1705314600123
#define ISO		"2024-01-15T10:30:00.123Z"
#define ALICE		"{\"clientId\":\"abc\",\"userId\":\"alice\"}"

/* As broadcast and as push, on channel public-a. */
static const struct {
	struct message	m;
	const char     *text;
} messages[] = {
	{ { .event = S("new-message"), .payload = S("{\"text\":\"hi\"}"), .from = S(ALICE), AT },
	  "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"event\":\"new-message\",\"data\":{\"text\":\"hi\"},"
	  "\"from\":" ALICE ",\"timestamp\":\"" ISO "\"}" },
	{ { .event = S("e"), .payload = S("{\"data\":1}"), AT },
	  "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"event\":\"e\",\"data\":{\"data\":1},"
	  "\"from\":null,\"timestamp\":\"" ISO "\"}" },
	{ { .event = S("e"), .payload = S("{\"data\":1}"), .value = true, AT },
	  "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"event\":\"e\",\"data\":1,\"from\":null,\"timestamp\":\"" ISO "\"}" },
	{ { .event = S("e"), .payload = S("{ \"data\" : [null, \"}\"] }"), .value = true, AT },
	  "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"event\":\"e\",\"data\":[null, \"}\"],\"from\":null,\"timestamp\":\"" ISO "\"}" },
	{ { .event = S("a\"b\\\xc3\xa4"), .payload = S(""), AT },
	  "{\"type\":\"channel:message\",\"channel\":\"public-a\",\"event\":\"a\\\"b\\\\\xc3\xa4\",\"data\":{},\"from\":null,\"timestamp\":\"" ISO "\"}" },
	{ { .event = S("presence:member_joined"), .payload = S("{\"member\":{\"id\":\"u\"},\"timestamp\":\"t\"}"), .typed = true },
	  "{\"type\":\"presence:member_joined\",\"channel\":\"public-a\",\"member\":{\"id\":\"u\"},\"timestamp\":\"t\"}" },
	{ { .event = S("e"), .payload = S(""), .typed = true }, "{\"type\":\"e\",\"channel\":\"public-a\"}" },
	{ { .event = S("presence_state"), .payload = S("{}"), .typed = true }, "{\"type\":\"presence_state\",\"channel\":\"public-a\"}" },
	{ { .event = S("system"), .payload = S("{\"status\":\"resync\"}") },
	  "{\"type\":\"system\",\"channel\":\"public-a\",\"status\":\"resync\"}" },
	{ { .event = S("token_expiring"), .payload = S("{\"expires_at\":7}") },
	  "{\"type\":\"token_expiring\",\"channel\":\"public-a\",\"expires_at\":7}" },
	{ { .event = S("message_deleted"), .payload = S("{\"id\":\"i\"}") },
	  "{\"type\":\"message_deleted\",\"channel\":\"public-a\",\"id\":\"i\"}" },
	{ { .event = S("phx_close"), .payload = S("{}") }, "{\"type\":\"channel:left\",\"channel\":\"public-a\"}" },
	{ { .event = S("phx_error"), .payload = S("{\"reason\":\"channel_crash\"}") },
	  "{\"type\":\"error\",\"channel\":\"public-a\",\"code\":\"INTERNAL_ERROR\",\"message\":\"Internal error\"}" },
	{ { .event = S("phx_error"), .payload = S("{\"reason\":\"token_expired\"}") },
	  "{\"type\":\"error\",\"channel\":\"public-a\",\"code\":\"FORBIDDEN\",\"message\":\"The token has expired\"}" },
	{ { .event = S("presence_state"), .payload = S("{}") }, "nothing" },
	{ { .event = S("presence_diff"), .payload = S("{}") }, "nothing" },
	{ { .event = S("e"), .payload = S("\x01"), .binary = true }, "nothing" },
	{ { .event = S(T128 "x"), .payload = S("{}") }, "nothing" },
};

START_TEST(messages_are_encoded)
{
	static const enum message_kind kinds[] = { MESSAGE_BROADCAST, MESSAGE_PUSH };

	for (unsigned i = 0; i < 2; i++) {
		struct message m = messages[_i].m;

		m.kind = kinds[i];
		m.topic_token = SLICE("\"public-a\"");
		/* A channel's pushes have the ref of its join. */
		m.ref = m.join_ref = i == 1 ? SLICE("j\"r\"") : SLICE("");
		ck_assert_str_eq(encoded(&m), messages[_i].text);
	}
}
END_TEST

START_TEST(what_concerns_no_channel)
{
	const struct message m = {
		.kind = MESSAGE_PUSH, .event = SLICE("connected"), .payload = SLICE("{\"clientId\":\"abc\"}"), .typed = true,
	};

	ck_assert_str_eq(encoded(&m), "{\"type\":\"connected\",\"clientId\":\"abc\"}");
}
END_TEST

/* Every character of an event may need an escape, and there is room for it. */
START_TEST(the_longest_event)
{
	char	       event[WIRE_MAX_EVENT];
	struct message m = { .event = slice(event, sizeof(event)), .payload = SLICE("{}"), .typed = true };

	memset(event, 1, sizeof(event));
	ck_assert_uint_eq(strlen(encoded(&m)), strlen("{\"type\":\"\"}") + 6 * sizeof(event));
}
END_TEST

START_TEST(now_is_taken_where_no_time_is_told)
{
	const struct message m = { .event = SLICE("e"), .topic_token = SLICE("\"public-a\"") };
	char		     before[CLOCK_ISO_LEN], after[CLOCK_ISO_LEN];
	const char	    *at;

	clock_iso(wall_ms(), before);
	at = strstr(encoded(&m), "\"timestamp\":\"");
	clock_iso(wall_ms(), after);
	ck_assert_ptr_nonnull(at);
	at += strlen("\"timestamp\":\"");
	ck_assert_int_le(strncmp(before, at, strlen(before)), 0);
	ck_assert_int_ge(strncmp(after, at, strlen(after)), 0);
}
END_TEST

/* What was asked, answered with what the decoder made of it. */
START_TEST(ids_come_back)
{
	const struct slice  asked = slice_str(requests[_i].text);
	autofree char	   *copy = decode(false, asked);
	const struct message m = { .kind = MESSAGE_REPLY, .ref = in.ref, .topic_token = in.topic_token, .status = SLICE("ok") };
	struct slice	    answer = slice_str(encoded(&m)), id = json_member(in.payload, "requestId");

	ck_assert(slice_eq(json_member(answer, "requestId"), id));
}
END_TEST

static TCase *
decode_case(void)
{
	TCase *tc = tcase_create("decode");

	LOOP(tc, requests_are_decoded, requests);
	tcase_add_test(tc, the_channel_is_echoed_without_escapes);
	LOOP(tc, faults_are_told_from_requests, faults);
	LOOP(tc, a_part_of_a_request_is_no_json, requests);
	LOOP(tc, no_request_is_binary, requests);
	tcase_add_test(tc, limit_of_request_ids);
	tcase_add_test(tc, limit_of_channels);
	tcase_add_test(tc, limits_of_values);
	return tc;
}

static TCase *
encode_case(void)
{
	TCase *tc = tcase_create("encode");

	tcase_add_checked_fixture(tc, NULL, tear_down);
	LOOP(tc, replies_are_encoded, replies);
	tcase_add_test(tc, a_reply_of_raw_bytes);
	LOOP(tc, codes_by_reason_and_kind, codes);
	LOOP(tc, an_error_without_a_reason, not_named);
	tcase_add_test(tc, a_rate_is_known_by_its_wait);
	tcase_add_test(tc, a_reply_to_nobody);
	LOOP(tc, messages_are_encoded, messages);
	tcase_add_test(tc, what_concerns_no_channel);
	tcase_add_test(tc, the_longest_event);
	tcase_add_test(tc, now_is_taken_where_no_time_is_told);
	LOOP(tc, ids_come_back, requests);
	return tc;
}

Suite *
pusher_codec_suite(void)
{
	Suite *s = suite_create("pusher_codec");

	suite_add_tcase(s, decode_case());
	suite_add_tcase(s, encode_case());
	return s;
}
