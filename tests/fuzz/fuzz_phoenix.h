/*
 * What must hold of every Phoenix message that a decoder takes: its fields are what they claim to be, and what
 * is encoded with them can be decoded again. Shared by the targets of the Phoenix formats.
 */
#ifndef FUZZ_PHOENIX_H
#define FUZZ_PHOENIX_H

#include <assert.h>
#include <stdint.h>

#include "net/utf8.h"
#include "net/ws.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static inline struct slice
fuzz_body(struct frame *f)
{
	return slice(frame_body(f), frame_body_len(f));
}

static inline void
fuzz_check_token(struct slice token, size_t max)
{
	enum json_kind type;

	assert(token.n > 0 && token.n <= max);
	assert(json_scan(token, &type) == (ssize_t)token.n);
}

static inline void
fuzz_check_name(struct slice text, size_t max)
{
	assert(text.n > 0 && text.n <= max);
	assert(utf8_valid(text));
	for (size_t i = 0; i < text.n; i++)
		assert((unsigned char)text.p[i] >= 0x20 && text.p[i] != 0x7f);
}

/* Holds with a fault, too. */
static inline void
fuzz_check_inbound(const struct inbound *in)
{
	enum json_kind type = JSON_NULL;

	fuzz_check_token(in->join_ref, WIRE_MAX_REF);
	fuzz_check_token(in->ref, WIRE_MAX_REF);
	fuzz_check_token(in->topic_token, WIRE_MAX_ECHO);
	if (in->fault == FAULT_TOPIC || in->fault == FAULT_TOPIC_TEXT)
		assert(in->topic.n == 0);
	else
		fuzz_check_name(in->topic, WIRE_MAX_TOPIC);
	if (in->event.n > 0)
		fuzz_check_name(in->event, WIRE_MAX_EVENT);
	else
		assert(in->fault != FAULT_NONE && in->fault <= FAULT_EVENT);
	assert(in->binary || json_scan(in->payload, &type) == (ssize_t)in->payload.n);
	assert(in->payload_type == type);
}

/* As a message of that kind with the fields that came in. */
static inline struct message
fuzz_message(const struct inbound *in, enum message_kind kind)
{
	return (struct message){
		.kind = kind, .join_ref = in->join_ref, .ref = in->ref, .topic_token = in->topic_token,
		.event = in->event, .status = SLICE("ok"), .payload = in->payload, .binary = in->binary,
	};
}

/* The response of a reply lies one level deeper than the payload that it was: too deep, perhaps. */
static inline bool
fuzz_fits_reply(struct slice payload)
{
	autobuf struct buf b = { 0 };
	enum json_kind type;

	buf_add_str(&b, "{\"status\":0,\"response\":");
	buf_add_slice(&b, payload);
	buf_add_char(&b, '}');
	return json_scan(buf_slice(&b), &type) > 0;
}

static inline void
fuzz_text_again(const struct codec *codec, struct inbound *in, enum message_kind kind)
{
	struct message m = fuzz_message(in, kind);
	struct inbound again;
	struct slice body;

	if (kind == MESSAGE_REPLY && !fuzz_fits_reply(in->payload))
		m.payload = SLICE("");
	body = fuzz_body(message_frame(&m, codec));
	assert(utf8_valid(body));
	assert(codec->decode(&again, false, body) == 0);
	assert(again.fault == FAULT_NONE);
	fuzz_check_inbound(&again);
	assert(slice_eq(again.topic, in->topic) && slice_eq(again.topic_token, in->topic_token));
	assert(slice_eq(again.ref, kind == MESSAGE_BROADCAST ? SLICE("null") : in->ref));
	if (kind != MESSAGE_REPLY)
		assert(slice_eq(again.event, in->event) && slice_eq(again.payload, in->payload));
	message_done(&m);
}

/* Of a JSON message that came by this codec. */
static inline void
fuzz_check_text(const struct codec *codec, struct inbound *in)
{
	fuzz_check_inbound(in);
	if (in->fault != FAULT_NONE)
		return;
	fuzz_text_again(codec, in, MESSAGE_BROADCAST);
	fuzz_text_again(codec, in, MESSAGE_PUSH);
	fuzz_text_again(codec, in, MESSAGE_REPLY);
}

#endif
