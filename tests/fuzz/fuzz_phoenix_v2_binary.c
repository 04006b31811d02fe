/*
 * Phoenix V2 messages in binary frames: what goes out again must have its fields where clients look for them.
 */
#include "fuzz_phoenix.h"

/* Takes the next text of a frame's head; *len stands on its length. */
static struct slice
take_text(const char **len, struct slice *rest)
{
	struct slice text = slice(rest->p, (unsigned char)*(*len)++);

	assert(text.n <= rest->n);
	*rest = slice_from(*rest, text.n);
	return text;
}

/* The text must be what the token says. */
static void
check_text(struct slice text, struct slice token)
{
	autobuf struct buf quoted = { 0 };

	json_quote(&quoted, text);
	assert(slice_eq(buf_slice(&quoted), token) || (text.n == 0 && slice_is(token, "null")));
}

static void
check_frame(const struct inbound *in, enum message_kind kind, unsigned first, unsigned n_texts)
{
	struct message m = fuzz_message(in, kind);
	struct slice body = fuzz_body(message_frame(&m, &codec_phoenix_v2)), rest;
	const char *len = body.p + 1;

	assert(body.n > n_texts && (unsigned char)body.p[0] == first);
	rest = slice_from(body, 1 + n_texts);
	if (kind != MESSAGE_BROADCAST)
		check_text(take_text(&len, &rest), in->join_ref);
	if (kind == MESSAGE_REPLY)
		check_text(take_text(&len, &rest), in->ref);
	check_text(take_text(&len, &rest), in->topic_token);
	assert(slice_eq(take_text(&len, &rest), kind == MESSAGE_REPLY ? SLICE("ok") : in->event));
	assert(slice_eq(rest, in->payload));
	message_done(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inbound in;

	if (codec_phoenix_v2.decode(&in, true, slice((const char *)data, size)) < 0)
		return 0;
	assert(in.binary);
	fuzz_check_inbound(&in);
	if (in.fault != FAULT_NONE)
		return 0;
	check_frame(&in, MESSAGE_PUSH, 0, 3);
	check_frame(&in, MESSAGE_REPLY, 1, 4);
	check_frame(&in, MESSAGE_BROADCAST, 2, 2);
	/* A heartbeat is answered in text, with the same fields. */
	in.binary = false;
	in.payload = SLICE("{}");
	in.payload_type = JSON_OBJECT;
	fuzz_check_text(&codec_phoenix_v2, &in);
	return 0;
}
