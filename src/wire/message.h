/*
 * What is said: messages from clients, and messages to them with their encodings, one per wire format.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "net/frame.h"
#include "wire/codec.h"
#include "wire/json.h"

#define WIRE_MAX_TOPIC	256	/* bytes; the hard bound (limits.max_topic may lower it) */
#define WIRE_MAX_EVENT	128
#define WIRE_MAX_REF	128	/* bytes of a ref or join_ref token */
#define WIRE_MAX_REQUEST_ID 512	/* bytes of a requestId token of the Pusher-style format */
#define WIRE_MAX_FIELD	255	/* bytes of a text in the head of a binary frame */
#define WIRE_MAX_ECHO	2048	/* bytes of a topic token that is given back */

enum inbound_fault {
	FAULT_NONE,
	FAULT_TOPIC,		/* null, not a string, or empty: "unmatched topic", the value echoed */
	FAULT_TOPIC_TEXT,	/* too long, control characters (NUL, DEL), no UTF-8: "invalid topic" */
	FAULT_EVENT,		/* not a string, empty, too long, control characters: "invalid event" */
	FAULT_REF,		/* ref or join_ref longer than WIRE_MAX_REF, with a NUL, no UTF-8: "invalid ref"; both are null then */
	FAULT_MESSAGE,		/* no message at all, where that does not end the connection: `why` says what is wrong */
	FAULT_PAYLOAD		/* payload too deep or with too many members: "invalid payload" */
};

/*
 * One message from a client. Slices borrow the input or `scratch`, so it cannot be copied. A message with a
 * fault has all the fields that could be read: an error reply needs ref and topic_token.
 */
struct inbound {
	struct slice	join_ref;	/* JSON tokens as sent; "null" when absent */
	struct slice	ref;
	struct slice	topic_token;	/* to be echoed: the topic with as few escapes as can be, or what was sent where that is no
					   topic; "null" if that is over WIRE_MAX_ECHO or no UTF-8 */
	struct slice	topic;		/* text; empty with FAULT_TOPIC and FAULT_TOPIC_TEXT */
	struct slice	event;		/* text; empty with its fault */
	struct slice	payload;	/* JSON text (null becomes {}), or raw bytes when binary; {} with its fault */
	enum json_kind	payload_type;	/* JSON_NULL when binary */
	bool		binary;
	enum inbound_fault fault;	/* the first one in the order above */
	const char     *why;		/* FAULT_MESSAGE: a reason as in error replies */
	struct {			/* what had to be written anew; not initialised */
		char	topic[WIRE_MAX_TOPIC];
		char	event[WIRE_MAX_EVENT];
		char	join_ref[WIRE_MAX_REF];
		char	ref[1 + WIRE_MAX_REQUEST_ID];
		char	topic_token[6 * WIRE_MAX_FIELD + 2];
	} scratch;
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
	struct slice	payload;	/* JSON text of an object (empty means {}), or raw bytes when binary */
	bool		binary;
	/* What the Pusher dialect has besides; Phoenix' do not show it. */
	struct slice	from;		/* of a broadcast: {"clientId":…,"userId":…}; empty = nobody's */
	int64_t		at;		/* of a broadcast: ms since 1970; 0 = when it is encoded */
	bool		value;		/* the payload is {"data":V} for the sake of those who need an object: it is V */
	bool		typed;		/* the event is the message's own type, the payload's members are its members */
	uint8_t		only;		/* 1 << id of the codecs that may have it; 0 = all */
	bool		tried[MESSAGE_CODECS];
	struct frame   *frames[MESSAGE_CODECS];
};

/* Is it for clients of that codec at all? */
static inline bool
message_is_for(const struct message *m, const struct codec *codec)
{
	return m->only == 0 || (m->only & 1u << codec->id) != 0;
}

/* Is it an event that only servers say, of any format? Who could say it would speak for them. */
bool message_is_reserved(struct slice event);

/*
 * The message in that codec's form, encoded at the first asking; borrowed. NULL if it has no such form (a
 * binary payload in V1), or is not for it.
 */
struct frame *message_frame(struct message *, const struct codec *);
/* Drops the frames. */
void message_done(struct message *);

#endif
