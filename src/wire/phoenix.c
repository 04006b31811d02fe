/*
 * What both versions of the Phoenix format share.
 */
#include "wire/phoenix.h"

void
inbound_init(struct inbound *in)
{
	/* Field by field: to clear the scratch space, too, would cost more than to read most messages. */
	in->join_ref = in->ref = in->topic_token = SLICE("null");
	in->topic = in->event = SLICE("");
	in->payload = SLICE("{}");
	in->payload_type = JSON_OBJECT;
	in->binary = false;
	in->fault = FAULT_NONE;
	in->why = NULL;
}

void
inbound_fault(struct inbound *in, enum inbound_fault fault)
{
	if (in->fault == FAULT_NONE || fault < in->fault)
		in->fault = fault;
}

/* True if some string in the value says \u0000. */
static bool
has_nul(struct slice token)
{
	const char *p = token.p, *end = token.p + token.n;

	while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		if (slice_starts(slice(p, (size_t)(end - p)), SLICE("\\u0000")))
			return true;
		/* The escape, not its second backslash, may be followed by the next one. */
		p += 2;
	}
	return false;
}

static bool
is_ref(struct slice token)
{
	return token.n <= WIRE_MAX_REF && !has_nul(token);
}

void
inbound_set_refs(struct inbound *in, struct slice join_ref, struct slice ref)
{
	if (!is_ref(join_ref) || !is_ref(ref)) {
		inbound_fault(in, FAULT_REF);
		return;
	}
	in->join_ref = join_ref;
	in->ref = ref;
}

/* True if it may name something: no control characters, which would spoil logs and keys. */
static bool
is_name(struct slice text, size_t max)
{
	bool bad = text.n > max;

	if (bad)
		return false;
	for (size_t i = 0; i < text.n; i++)
		bad |= (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f;
	return !bad;
}

void
inbound_set_topic(struct inbound *in, struct slice text)
{
	if (text.n == 0)
		inbound_fault(in, FAULT_TOPIC);
	else if (!is_name(text, WIRE_MAX_TOPIC))
		inbound_fault(in, FAULT_TOPIC_TEXT);
	else
		in->topic = text;
}

static void
set_topic_value(struct inbound *in, const struct phoenix_value *v)
{
	struct slice text;

	if (v->token.n <= WIRE_MAX_ECHO)
		in->topic_token = v->token;
	if (v->type != JSON_STRING)
		inbound_fault(in, FAULT_TOPIC);
	else if (json_text(v->token, in->scratch.topic, sizeof(in->scratch.topic), &text) < 0)
		inbound_fault(in, FAULT_TOPIC_TEXT);
	else
		inbound_set_topic(in, text);
	/* There are clients that know no "\/": a topic that can be read is echoed without needless escapes. */
	if (in->topic.n > 0 && in->topic.p == in->scratch.topic)
		in->topic_token = slice(in->scratch.topic_token,
		    (size_t)(json_quote_to(in->scratch.topic_token, in->topic) - in->scratch.topic_token));
}

void
inbound_set_event(struct inbound *in, struct slice text)
{
	if (text.n == 0 || !is_name(text, WIRE_MAX_EVENT))
		inbound_fault(in, FAULT_EVENT);
	else
		in->event = text;
}

static void
set_event_value(struct inbound *in, const struct phoenix_value *v)
{
	struct slice text;

	if (v->type != JSON_STRING)
		inbound_fault(in, FAULT_EVENT);
	else if (json_text(v->token, in->scratch.event, sizeof(in->scratch.event), &text) < 0)
		inbound_fault(in, FAULT_EVENT);
	else
		inbound_set_event(in, text);
}

static void
set_payload_value(struct inbound *in, const struct phoenix_value *v)
{
	if (v->type == JSON_NULL)
		return;
	in->payload = v->token;
	in->payload_type = v->type;
}

void
inbound_set_all(struct inbound *in, const struct phoenix_value field[N_FIELDS], bool has_payload)
{
	inbound_init(in);
	inbound_set_refs(in, field[FIELD_JOIN_REF].token, field[FIELD_REF].token);
	set_topic_value(in, &field[FIELD_TOPIC]);
	set_event_value(in, &field[FIELD_EVENT]);
	if (has_payload)
		set_payload_value(in, &field[FIELD_PAYLOAD]);
	else
		inbound_fault(in, FAULT_PAYLOAD);
}

static inline struct slice
or_null(struct slice token)
{
	return token.n > 0 ? token : SLICE("null");
}

struct slice
phoenix_join_ref(const struct message *m)
{
	return m->kind == MESSAGE_BROADCAST ? SLICE("null") : or_null(m->join_ref);
}

struct slice
phoenix_ref(const struct message *m)
{
	return m->kind == MESSAGE_BROADCAST ? SLICE("null") : or_null(m->ref);
}

struct slice
phoenix_topic(const struct message *m)
{
	return or_null(m->topic_token);
}

struct slice
phoenix_event(const struct message *m)
{
	return m->kind == MESSAGE_REPLY ? SLICE("phx_reply") : m->event;
}

static inline struct slice
payload_of(const struct message *m)
{
	return m->payload.n > 0 ? m->payload : SLICE("{}");
}

#define STATUS		SLICE("{\"status\":")
#define RESPONSE	SLICE(",\"response\":")

size_t
phoenix_payload_len(const struct message *m)
{
	size_t n = payload_of(m).n;

	if (m->kind == MESSAGE_REPLY)
		n += STATUS.n + json_quoted_len(m->status) + RESPONSE.n + 1;
	return n;
}

char *
phoenix_put_payload(char *out, const struct message *m)
{
	if (m->kind != MESSAGE_REPLY)
		return phoenix_put(out, payload_of(m));
	out = phoenix_put(out, STATUS);
	out = json_quote_to(out, m->status);
	out = phoenix_put(out, RESPONSE);
	out = phoenix_put(out, payload_of(m));
	*out++ = '}';
	return out;
}
