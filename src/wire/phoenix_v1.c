/*
 * Phoenix V1: an envelope is a JSON object (protocol/phoenix.md 2.2). There is no binary form.
 */
#include <assert.h>
#include <errno.h>

#include "net/utf8.h"
#include "net/ws.h"
#include "wire/phoenix.h"

static const struct slice keys[N_FIELDS] = {
	[FIELD_JOIN_REF] = { "join_ref", 8 },
	[FIELD_REF] = { "ref", 3 },
	[FIELD_TOPIC] = { "topic", 5 },
	[FIELD_EVENT] = { "event", 5 },
	[FIELD_PAYLOAD] = { "payload", 7 },
};

#define SEEN(f)		(1u << (f))
#define BUT_PAYLOAD	(SEEN(FIELD_TOPIC) | SEEN(FIELD_EVENT) | SEEN(FIELD_REF))
#define NEEDED		(BUT_PAYLOAD | SEEN(FIELD_PAYLOAD))

/* The members that concern us. */
struct envelope {
	struct phoenix_value field[N_FIELDS];
	unsigned	seen;		/* SEEN() of each */
};

/* Which field the key token names; N_FIELDS if it is none of ours. */
static enum phoenix_field
field_of(struct slice token)
{
	char	scratch[8];
	struct slice text;
	enum phoenix_field f;

	if (json_text(token, scratch, sizeof(scratch), &text) < 0)
		return N_FIELDS;
	for (f = 0; f < N_FIELDS; f++)
		if (slice_eq(text, keys[f]))
			break;
	return f;
}

/*
 * Takes one member from the front. A key of ours may come once only: of two, another reader could heed the
 * other one.
 */
static int
take_member(struct slice *in, struct envelope *e)
{
	struct phoenix_value value;
	enum json_kind type;
	struct slice key;
	enum phoenix_field f;
	int	r;

	if (json_take_value(in, &key, &type) < 0 || type != JSON_STRING || !json_take(in, ':'))
		return -EBADMSG;
	f = field_of(key);
	r = json_take_value(in, &value.token, &value.type);
	if (f == N_FIELDS)
		return r < 0 ? -EBADMSG : 0;
	if (e->seen & SEEN(f))
		return -EBADMSG;
	/* Behind a payload that is too big nothing can be found. */
	if (r == -E2BIG && f == FIELD_PAYLOAD && (e->seen & BUT_PAYLOAD) == BUT_PAYLOAD)
		return -E2BIG;
	if (r < 0)
		return -EBADMSG;
	e->field[f] = value;
	e->seen |= SEEN(f);
	return 0;
}

/* Returns -E2BIG if the payload is too big; the rest is known then. */
static int
take_envelope(struct slice in, struct envelope *e)
{
	int r;

	json_take_blanks(&in);
	if (!json_take(&in, '{'))
		return -EBADMSG;
	do {
		r = take_member(&in, e);
		if (r < 0)
			return r;
	} while (json_take(&in, ','));
	if (!json_take(&in, '}') || in.n > 0 || (e->seen & NEEDED) != NEEDED)
		return -EBADMSG;
	return 0;
}

static int
v1_decode(struct inbound *in, bool binary, struct slice data)
{
	struct envelope e = { .field[FIELD_JOIN_REF] = { .token = SLICE("null") } };
	int	r;

	/* Of a text message the transport has checked it. */
	if (binary && !utf8_valid(data))
		return -EBADMSG;
	r = take_envelope(data, &e);
	if (r == -EBADMSG)
		return r;
	inbound_set_all(in, e.field, r == 0);
	return 0;
}

#define TOPIC		SLICE("{\"topic\":")
#define EVENT		SLICE(",\"event\":")
#define PAYLOAD		SLICE(",\"payload\":")
#define REF		SLICE(",\"ref\":")

static struct frame *
v1_encode(const struct message *m)
{
	const struct slice topic = phoenix_topic(m), event = phoenix_event(m), ref = phoenix_ref(m);
	struct frame *f;
	char   *out;

	if (m->binary)
		return NULL;
	f = frame_new(WS_TEXT, TOPIC.n + topic.n + EVENT.n + json_quoted_len(event) +
	    PAYLOAD.n + phoenix_payload_len(m) + REF.n + ref.n + 1);
	out = phoenix_put(frame_body(f), TOPIC);
	out = phoenix_put(out, topic);
	out = phoenix_put(out, EVENT);
	out = json_quote_to(out, event);
	out = phoenix_put(out, PAYLOAD);
	out = phoenix_put_payload(out, m);
	out = phoenix_put(out, REF);
	out = phoenix_put(out, ref);
	*out++ = '}';
	assert(out == frame_body(f) + frame_body_len(f));
	return f;
}

const struct codec codec_phoenix_v1 = {
	.name = "phoenix 1.0.0",
	.id = CODEC_PHOENIX_V1,
	.decode = v1_decode,
	.encode = v1_encode,
};
