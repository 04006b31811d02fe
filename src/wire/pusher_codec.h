/*
 * What both directions of the Pusher-style format share: a request's kind, and its id, go into the ref that the house
 * echoes, and come out of it again when the answer is written. See roost-protocol(7).
 */
#ifndef WIRE_PUSHER_CODEC_H
#define WIRE_PUSHER_CODEC_H

#include "wire/message.h"

/* What is asked: the first letter of the ref. The token of the requestId follows, as it was sent, or nothing. */
enum pusher_kind {
	PUSHER_JOIN = 'j',
	PUSHER_LEAVE = 'l',
	PUSHER_MESSAGE = 'm',
	PUSHER_UPDATE = 'u',
	PUSHER_TOKEN = 't',
	PUSHER_PING = 'p',
	PUSHER_NONE = 'x'	/* no request that we know */
};

struct frame *pusher_encode(const struct message *);

/* How a request went wrong, as clients are told. */
struct pusher_error {
	struct slice	code;		/* text that needs no escapes */
	struct slice	message;	/* JSON string */
	struct slice	retry_ms;	/* JSON number; empty = not told */
};

/* From the response of an error reply, or the payload of phx_error (PUSHER_NONE); borrows it. */
void pusher_error_of(struct pusher_error *, enum pusher_kind, struct slice response);

#endif
