/*
 * What both versions of the Phoenix format share (protocol/phoenix.md section 2): taking an envelope apart,
 * checking its fields, and the pieces that every envelope out is made of.
 */
#ifndef WIRE_PHOENIX_H
#define WIRE_PHOENIX_H

#include "wire/message.h"

/* The fields of an envelope, in the order of V2. */
enum phoenix_field { FIELD_JOIN_REF, FIELD_REF, FIELD_TOPIC, FIELD_EVENT, FIELD_PAYLOAD, N_FIELDS };

/* A value: its exact bytes. */
struct phoenix_value {
	struct slice	token;
	enum json_kind	type;
};

/* Makes it a message in which nothing is set: the refs are null, the payload is {}. */
void inbound_init(struct inbound *);
/* Notes a fault, unless a graver one is known. */
void inbound_fault(struct inbound *, enum inbound_fault);
/* Each of these sets a field, or notes what is wrong with it. */
void inbound_set_refs(struct inbound *, struct slice join_ref, struct slice ref);
void inbound_set_topic(struct inbound *, struct slice text);
void inbound_set_event(struct inbound *, struct slice text);
/* Makes a message of a JSON envelope. One without a payload had one beyond our limits. */
void inbound_set_all(struct inbound *, const struct phoenix_value [N_FIELDS], bool has_payload);

/* The tokens to write: "null" for what the message does not carry. */
struct slice phoenix_join_ref(const struct message *);
struct slice phoenix_ref(const struct message *);
struct slice phoenix_topic(const struct message *);
/* The text of the event. */
struct slice phoenix_event(const struct message *);
/* The JSON payload; for a reply, status and response. */
size_t phoenix_payload_len(const struct message *);
char *phoenix_put_payload(char *out, const struct message *);

/* Writes the bytes; returns the place behind them. */
static inline char *
phoenix_put(char *out, struct slice s)
{
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	return out + s.n;
}

#endif
