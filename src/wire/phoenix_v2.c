/*
 * Phoenix V2: an envelope is a JSON array (protocol/phoenix.md 2.3), or a binary head before raw bytes (2.4).
 */
#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "net/utf8.h"
#include "net/ws.h"
#include "wire/phoenix.h"

/* The first byte of a binary frame. */
enum kind { KIND_PUSH, KIND_REPLY, KIND_BROADCAST };

#define MAX_TEXTS	4	/* in the head of a binary frame: all fields but the payload */

/*
 * Returns -E2BIG if the payload is too big; what comes before it is known then. Elements behind it are only
 * checked.
 */
static int
take_array(struct slice in, struct phoenix_value field[N_FIELDS])
{
	struct phoenix_value extra, *v;
	unsigned n = 0;
	int	r;

	json_take_blanks(&in);
	if (!json_take(&in, '['))
		return -EBADMSG;
	do {
		v = n < N_FIELDS ? &field[n] : &extra;
		r = json_take_value(&in, &v->token, &v->type);
		if (r < 0)
			return n == FIELD_PAYLOAD ? r : -EBADMSG;
		n++;
	} while (json_take(&in, ','));
	if (!json_take(&in, ']') || in.n > 0 || n < N_FIELDS)
		return -EBADMSG;
	return 0;
}

static int
decode_text(struct inbound *in, struct slice data)
{
	struct phoenix_value field[N_FIELDS];
	int	r;

	r = take_array(data, field);
	if (r == -EBADMSG)
		return r;
	inbound_set_all(in, field, r == 0);
	return 0;
}

/* Splits a binary push into the texts of its head and the rest. */
static int
take_texts(struct slice data, struct slice text[MAX_TEXTS], struct slice *rest)
{
	const size_t head = 1 + MAX_TEXTS;

	if (data.n < head || data.p[0] != KIND_PUSH)
		return -EBADMSG;
	*rest = slice_from(data, head);
	for (size_t i = 0; i < MAX_TEXTS; i++) {
		const size_t n = (unsigned char)data.p[1 + i];

		if (n > rest->n)
			return -EBADMSG;
		text[i] = slice(rest->p, n);
		*rest = slice_from(*rest, n);
	}
	return 0;
}

static struct slice
quote_into(char *scratch, struct slice text)
{
	return slice(scratch, (size_t)(json_quote_to(scratch, text) - scratch));
}

/* A ref as a token; empty if it cannot be one. */
static struct slice
ref_token(char scratch[WIRE_MAX_REF], struct slice text)
{
	if (text.n == 0)
		return SLICE("null");
	if (json_quoted_len(text) > WIRE_MAX_REF || !utf8_valid(text))
		return SLICE("");
	return quote_into(scratch, text);
}

static void
set_binary_refs(struct inbound *in, struct slice join_ref, struct slice ref)
{
	join_ref = ref_token(in->scratch.join_ref, join_ref);
	ref = ref_token(in->scratch.ref, ref);
	if (join_ref.n == 0 || ref.n == 0)
		inbound_fault(in, FAULT_REF);
	else
		inbound_set_refs(in, join_ref, ref);
}

static void
set_binary_topic(struct inbound *in, struct slice text)
{
	if (!utf8_valid(text)) {
		inbound_fault(in, FAULT_TOPIC_TEXT);
		return;
	}
	in->topic_token = quote_into(in->scratch.topic_token, text);
	inbound_set_topic(in, text);
}

static void
set_binary_event(struct inbound *in, struct slice text)
{
	if (utf8_valid(text))
		inbound_set_event(in, text);
	else
		inbound_fault(in, FAULT_EVENT);
}

static int
decode_binary(struct inbound *in, struct slice data)
{
	struct slice text[MAX_TEXTS], payload;
	int	r;

	r = take_texts(data, text, &payload);
	if (r < 0)
		return r;
	inbound_init(in);
	set_binary_refs(in, text[FIELD_JOIN_REF], text[FIELD_REF]);
	set_binary_topic(in, text[FIELD_TOPIC]);
	set_binary_event(in, text[FIELD_EVENT]);
	in->payload = payload;
	in->payload_type = JSON_NULL;
	in->binary = true;
	return 0;
}

static int
v2_decode(struct inbound *in, bool binary, struct slice data)
{
	return binary ? decode_binary(in, data) : decode_text(in, data);
}

static struct frame *
encode_text(const struct message *m)
{
	const struct slice join_ref = phoenix_join_ref(m), ref = phoenix_ref(m);
	const struct slice topic = phoenix_topic(m), event = phoenix_event(m);
	struct frame *f;
	char   *out;

	f = frame_new(WS_TEXT, SLICE("[,,,,]").n + join_ref.n + ref.n + topic.n + json_quoted_len(event) +
	    phoenix_payload_len(m));
	out = frame_body(f);
	*out++ = '[';
	out = phoenix_put(out, join_ref);
	*out++ = ',';
	out = phoenix_put(out, ref);
	*out++ = ',';
	out = phoenix_put(out, topic);
	*out++ = ',';
	out = json_quote_to(out, event);
	*out++ = ',';
	out = phoenix_put_payload(out, m);
	*out++ = ']';
	assert(out == frame_body(f) + frame_body_len(f));
	return f;
}

/* The head of a binary frame under way. */
struct head {
	enum kind	 kind;
	unsigned	 n;
	struct slice	 text[MAX_TEXTS];
	char		 scratch[MAX_TEXTS][WIRE_MAX_FIELD];
	bool		 unfit;		/* some text has no place in it */
};

static void
head_add_text(struct head *h, struct slice text)
{
	h->unfit |= text.n > WIRE_MAX_FIELD;
	h->text[h->n++] = text;
}

/* A token goes as the text that it says, null as nothing, and what is no string as it is written. */
static void
head_add_token(struct head *h, struct slice token)
{
	if (slice_is(token, "null"))
		token = SLICE("");
	else if (*token.p == '"' && json_text(token, h->scratch[h->n], WIRE_MAX_FIELD, &token) < 0)
		h->unfit = true;
	head_add_text(h, token);
}

static void
head_fill(struct head *h, const struct message *m)
{
	*h = (struct head){ .kind = KIND_BROADCAST };
	if (m->kind != MESSAGE_BROADCAST) {
		h->kind = m->kind == MESSAGE_REPLY ? KIND_REPLY : KIND_PUSH;
		head_add_token(h, phoenix_join_ref(m));
	}
	if (m->kind == MESSAGE_REPLY)
		head_add_token(h, phoenix_ref(m));
	head_add_token(h, phoenix_topic(m));
	head_add_text(h, m->kind == MESSAGE_REPLY ? m->status : m->event);
}

static struct frame *
encode_binary(const struct message *m)
{
	struct head h;
	struct frame *f;
	size_t	len;
	char   *out;

	head_fill(&h, m);
	if (h.unfit)
		return NULL;
	len = 1 + h.n + m->payload.n;
	for (unsigned i = 0; i < h.n; i++)
		len += h.text[i].n;
	f = frame_new(WS_BINARY, len);
	out = frame_body(f);
	*out++ = (char)h.kind;
	for (unsigned i = 0; i < h.n; i++)
		*out++ = (char)h.text[i].n;
	for (unsigned i = 0; i < h.n; i++)
		out = phoenix_put(out, h.text[i]);
	out = phoenix_put(out, m->payload);
	assert(out == frame_body(f) + len);
	return f;
}

static struct frame *
v2_encode(const struct message *m)
{
	return m->binary ? encode_binary(m) : encode_text(m);
}

const struct codec codec_phoenix_v2 = {
	.name = "phoenix 2.0.0",
	.id = CODEC_PHOENIX_V2,
	.decode = v2_decode,
	.encode = v2_encode,
};

/* Of raw bytes alone: all else is encoded above. */
static struct frame *
v2_text_encode(const struct message *m)
{
	log_debug("a message of %zu raw bytes has no form for long poll", m->payload.n);
	return NULL;
}

const struct codec codec_phoenix_v2_text = {
	.name = "phoenix 2.0.0 in text",
	.id = CODEC_PHOENIX_V2_TEXT,
	.decode = v2_decode,
	.encode = v2_text_encode,
	.text = &codec_phoenix_v2,
};
