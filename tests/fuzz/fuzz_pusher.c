/*
 * The Pusher-style format: whatever comes is a request whose fields are what they claim to be, or a fault; and either is
 * answered in JSON, with its id.
 */
#include "fuzz_phoenix.h"

#include <errno.h>

#define MAX_REF	(1 + WIRE_MAX_REQUEST_ID)

static void
check_ref(struct slice ref)
{
	enum json_kind kind;

	assert(ref.n > 0 && ref.n <= MAX_REF && memchr("jlmutpx", ref.p[0], 7) != NULL);
	assert(ref.n == 1 || json_scan(slice_from(ref, 1), &kind) == (ssize_t)ref.n - 1);
}

static bool
is_one_of(struct slice event, const char *const *names)
{
	for (; *names != NULL; names++)
		if (slice_is(event, *names))
			return true;
	return false;
}

static void
check_request(const struct inbound *in)
{
	static const char *const events[] = { "phx_join", "phx_leave", "heartbeat", "channel:message", "channel:update",
		"access_token", NULL };
	enum json_kind kind;

	assert(in->why == NULL && in->ref.p[0] != 'x');
	assert(is_one_of(in->event, events));
	fuzz_check_name(in->topic, 164);
	assert(slice_is(in->event, "heartbeat") == slice_is(in->topic, "phoenix"));
	assert(slice_is(in->topic, "phoenix") || slice_starts(in->topic, SLICE("p")));
	assert(json_scan(in->payload, &kind) == (ssize_t)in->payload.n && kind == JSON_OBJECT);
}

static void
check_fault(const struct inbound *in)
{
	static const char *const whys[] = { "invalid json", "invalid request", "invalid requestId", "invalid channel", "invalid event",
		"invalid userInfo", "unknown message type", NULL };

	assert(in->fault == FAULT_MESSAGE && in->event.n == 0);
	assert(is_one_of(slice_str(in->why), whys));
}

/* Made with values from outside, a level or two deeper than they came, it may go beyond the limits that we set ourselves. */
static void
check_text(const struct message *m)
{
	struct frame  *f = codec_pusher.encode(m);
	enum json_kind kind;
	ssize_t	       n;

	if (f == NULL)
		return;
	assert(utf8_valid(fuzz_body(f)));
	n = json_scan(fuzz_body(f), &kind);
	assert(n == -E2BIG || (n == (ssize_t)frame_body_len(f) && kind == JSON_OBJECT));
	frame_unref(f);
}

static void
check_reply(const struct inbound *in, struct slice status)
{
	const struct message m = {
		.kind = MESSAGE_REPLY, .ref = in->ref, .topic_token = in->topic_token, .status = status, .payload = in->payload,
	};
	const struct slice   id = slice_from(in->ref, 1);
	struct frame	    *f = codec_pusher.encode(&m);
	struct slice	     key, value;
	size_t		     at = 0;

	check_text(&m);
	/* The type, then the id. */
	assert(json_next_member(fuzz_body(f), &at, &key, &value) == 1 && slice_is(key, "\"type\""));
	if (id.n > 0)
		assert(json_next_member(fuzz_body(f), &at, &key, &value) == 1 && slice_eq(value, id));
	frame_unref(f);
}

/* What a client says, said to others. */
static void
check_said(const struct inbound *in)
{
	struct message m = {
		.kind = MESSAGE_BROADCAST, .topic_token = in->topic_token, .event = in->topic, .payload = in->payload, .at = 1,
	};

	check_text(&m);
	m.typed = true;
	check_text(&m);
	m.typed = false;
	m.value = true;
	check_text(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice text = slice((const char *)data, size);
	struct inbound	   in;

	assert(codec_pusher.decode(&in, true, text) == 0);
	assert(in.fault == FAULT_MESSAGE && slice_is(slice_str(in.why), "invalid json"));
	/* The transport has checked it. */
	if (!utf8_valid(text))
		return 0;
	assert(codec_pusher.decode(&in, false, text) == 0);
	check_ref(in.ref);
	fuzz_check_token(in.topic_token, WIRE_MAX_ECHO);
	assert(slice_is(in.join_ref, "null") && !in.binary && in.payload_type == JSON_OBJECT);
	if (in.fault == FAULT_NONE)
		check_request(&in);
	else
		check_fault(&in);
	check_reply(&in, SLICE("ok"));
	check_reply(&in, SLICE("error"));
	check_said(&in);
	return 0;
}
