/*
 * The Pusher-style format, towards the client: what the house says in Phoenix' terms, in this dialect's.
 */
#include <assert.h>

#include "base/clock.h"
#include "net/ws.h"
#include "wire/phoenix.h"
#include "wire/pusher_codec.h"

#define MAX_PARTS	24

/* A text under way: pieces that are borrowed until all are put together. */
struct parts {
	unsigned	n;
	size_t		len;
	struct slice	part[MAX_PARTS];
	char		event[6 * WIRE_MAX_EVENT + 2];
	char		time[CLOCK_ISO_LEN];
};

static inline void
add(struct parts *p, struct slice text)
{
	assert(p->n < MAX_PARTS);
	p->part[p->n++] = text;
	p->len += text.n;
}

#define ADD(p, literal)	add(p, SLICE(literal))

static void
begin(struct parts *p)
{
	p->n = 0;
	p->len = 0;
}

static struct frame *
finish(struct parts *p)
{
	struct frame *f;
	char	     *out;

	ADD(p, "}");
	f = frame_new(WS_TEXT, p->len);
	out = frame_body(f);
	for (unsigned i = 0; i < p->n; i++)
		out = phoenix_put(out, p->part[i]);
	assert(out == frame_body(f) + p->len);
	return f;
}

static void
add_event(struct parts *p, struct slice event)
{
	add(p, slice(p->event, (size_t)(json_quote_to(p->event, event) - p->event)));
}

/* Left out where there is none. */
static void
add_channel(struct parts *p, struct slice token)
{
	if (token.n == 0 || slice_is(token, "null"))
		return;
	ADD(p, ",\"channel\":");
	add(p, token);
}

static void
add_request_id(struct parts *p, struct slice token)
{
	if (token.n == 0)
		return;
	ADD(p, ",\"requestId\":");
	add(p, token);
}

/* Those of the object, without its braces. */
static void
add_members(struct parts *p, struct slice object)
{
	if (object.n < 2)
		return;
	object = slice(object.p + 1, object.n - 2);
	json_take_blanks(&object);
	if (object.n == 0)
		return;
	ADD(p, ",");
	add(p, object);
}

static void
add_error(struct parts *p, enum pusher_kind kind, struct slice response)
{
	struct pusher_error e;

	pusher_error_of(&e, kind, response);
	ADD(p, ",\"code\":\"");
	add(p, e.code);
	ADD(p, "\",\"message\":");
	add(p, e.message);
	if (e.retry_ms.n > 0) {
		ADD(p, ",\"retryAfterMs\":");
		add(p, e.retry_ms);
	}
}

static struct slice
answer_type(enum pusher_kind kind)
{
	switch (kind) {
	case PUSHER_JOIN:
		return SLICE("channel:joined");
	case PUSHER_LEAVE:
		return SLICE("channel:left");
	case PUSHER_MESSAGE:
		return SLICE("channel:sent");
	case PUSHER_UPDATE:
		return SLICE("channel:updated");
	case PUSHER_TOKEN:
		return SLICE("token_renewed");
	default:
		return SLICE("pong");
	}
}

static struct frame *
encode_reply(struct parts *p, const struct message *m)
{
	const enum pusher_kind kind = m->ref.n > 0 ? (enum pusher_kind)*m->ref.p : PUSHER_NONE;
	const bool	       ok = slice_is(m->status, "ok");
	/* Raw bytes have no place here; but who asked is answered. */
	const struct slice     response = m->binary ? SLICE("") : m->payload;

	ADD(p, "{\"type\":\"");
	add(p, ok ? answer_type(kind) : SLICE("error"));
	ADD(p, "\"");
	add_request_id(p, m->ref.n > 0 ? slice_from(m->ref, 1) : m->ref);
	if (kind != PUSHER_PING)
		add_channel(p, m->topic_token);
	if (ok)
		add_members(p, response);
	else
		add_error(p, kind, response);
	return finish(p);
}

static struct frame *
encode_typed(struct parts *p, const struct message *m)
{
	ADD(p, "{\"type\":");
	add_event(p, m->event);
	add_channel(p, m->topic_token);
	add_members(p, m->payload);
	return finish(p);
}

static struct frame *
encode_close(struct parts *p, const struct message *m)
{
	ADD(p, "{\"type\":\"channel:left\"");
	add_channel(p, m->topic_token);
	return finish(p);
}

static struct frame *
encode_failure(struct parts *p, const struct message *m)
{
	ADD(p, "{\"type\":\"error\"");
	add_channel(p, m->topic_token);
	add_error(p, PUSHER_NONE, m->payload);
	return finish(p);
}

static struct slice
data_of(const struct message *m)
{
	struct slice value = m->value ? json_member(m->payload, "data") : m->payload;

	return value.n > 0 ? value : SLICE("{}");
}

static struct frame *
encode_message(struct parts *p, const struct message *m)
{
	ADD(p, "{\"type\":\"channel:message\"");
	add_channel(p, m->topic_token);
	ADD(p, ",\"event\":");
	add_event(p, m->event);
	ADD(p, ",\"data\":");
	add(p, data_of(m));
	ADD(p, ",\"from\":");
	add(p, m->from.n > 0 ? m->from : SLICE("null"));
	ADD(p, ",\"timestamp\":\"");
	add(p, slice_str(clock_iso(m->at != 0 ? m->at : wall_ms(), p->time)));
	ADD(p, "\"");
	return finish(p);
}

/* What only the house says goes by its own name. */
static bool
is_typed(const struct message *m)
{
	return m->typed || slice_is(m->event, "system") || slice_is(m->event, "token_expiring") ||
	    slice_is(m->event, "message_deleted");
}

struct frame *
pusher_encode(const struct message *m)
{
	struct parts p;

	begin(&p);
	if (m->kind == MESSAGE_REPLY)
		return encode_reply(&p, m);
	if (m->binary || m->event.n > WIRE_MAX_EVENT)
		return NULL;
	if (is_typed(m))
		return encode_typed(&p, m);
	if (slice_is(m->event, "phx_close"))
		return encode_close(&p, m);
	if (slice_is(m->event, "phx_error"))
		return encode_failure(&p, m);
	/* Members come and go in events of their own. */
	if (slice_is(m->event, "presence_state") || slice_is(m->event, "presence_diff"))
		return NULL;
	return encode_message(&p, m);
}
