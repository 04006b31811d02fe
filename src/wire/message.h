/*
 * What is said: messages from clients, and messages to them with their encodings, one per wire format.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "net/frame.h"
#include "wire/json.h"

#define WIRE_MAX_TOPIC	256	/* bytes; the hard bound (limits.max_topic may lower it) */
#define WIRE_MAX_EVENT	128
#define WIRE_MAX_REF	128	/* bytes of a ref or join_ref token */

enum inbound_fault {
	FAULT_NONE,
	FAULT_TOPIC,		/* null, not a string, or empty: "unmatched topic", the value echoed */
	FAULT_TOPIC_TEXT,	/* too long, control characters, NUL: "invalid topic" */
	FAULT_EVENT,		/* not a string, empty, too long, control characters: "invalid event" */
	FAULT_REF,		/* ref or join_ref longer than WIRE_MAX_REF or with a NUL: "invalid ref"; both are "null" then */
	FAULT_PAYLOAD		/* payload too deep or with too many members: "invalid payload" */
};

/* One message from a client. Slices borrow the input or `scratch`. */
struct inbound {
	struct slice	join_ref;	/* JSON tokens as sent; "null" when absent */
	struct slice	ref;
	struct slice	topic_token;	/* as sent: to be echoed where the topic is not one of ours */
	struct slice	topic;		/* text; empty if it is no string */
	struct slice	event;		/* text */
	struct slice	payload;	/* JSON text (null becomes {}), or raw bytes when binary */
	enum json_type	payload_type;
	bool		binary;
	enum inbound_fault fault;	/* the first one found, in the order above; FAULT_TOPIC* beat the others */
	char		scratch[WIRE_MAX_TOPIC + WIRE_MAX_EVENT + 4 * WIRE_MAX_REF];
};

enum message_kind {
	MESSAGE_BROADCAST,	/* join_ref and ref are null */
	MESSAGE_PUSH,		/* join_ref of the channel, ref null; also phx_close and phx_error (ref set, then) */
	MESSAGE_REPLY		/* phx_reply with status; payload is the response */
};

#define MESSAGE_CODECS	4	/* places for encodings */

/* One message to clients. Everything is borrowed but the frames, which are made when first asked for. */
struct message {
	enum message_kind kind;
	struct slice	join_ref;	/* JSON tokens; empty means null */
	struct slice	ref;
	struct slice	topic_token;	/* JSON token */
	struct slice	event;		/* text; not for REPLY */
	struct slice	status;		/* REPLY: "ok" or "error" */
	struct slice	payload;	/* JSON text of an object, or raw bytes when binary */
	bool		binary;
	bool		tried[MESSAGE_CODECS];
	struct frame   *frames[MESSAGE_CODECS];
};

#include "wire/codec.h"

/* The message in that codec's form, encoded at the first asking; borrowed. NULL if it has no such form (a binary payload in V1). */
struct frame *message_frame(struct message *, const struct codec *);
/* Drops the frames. */
void message_done(struct message *);

#endif
