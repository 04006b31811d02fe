/*
 * The Pusher-style format: a request is a JSON object with a type. What is no request is answered as an error, and does not
 * end the connection.
 */
#include "wire/phoenix.h"
#include "wire/pusher_codec.h"
#include "wire/topic_type.h"

#define MAX_CHANNEL	164	/* bytes of a name */
#define MAX_TYPE	16	/* bytes; no type that we know is longer */

enum member { M_TYPE, M_REQUEST_ID, M_CHANNEL, M_EVENT, M_USER_INFO, M_DATA, M_ACCESS_TOKEN, N_MEMBERS };

static const struct slice names[N_MEMBERS] = {
	[M_TYPE] = { "type", 4 },
	[M_REQUEST_ID] = { "requestId", 9 },
	[M_CHANNEL] = { "channel", 7 },
	[M_EVENT] = { "event", 5 },
	[M_USER_INFO] = { "userInfo", 8 },
	[M_DATA] = { "data", 4 },
	[M_ACCESS_TOKEN] = { "access_token", 12 },
};

#define LONGEST_NAME	12

struct type {
	struct slice	 name;
	enum pusher_kind kind;
	struct slice	 event;		/* what it is to the rest of the house */
};

static const struct type types[] = {
	{ { "join", 4 }, PUSHER_JOIN, { "phx_join", 8 } },
	{ { "leave", 5 }, PUSHER_LEAVE, { "phx_leave", 9 } },
	{ { "channel:message", 15 }, PUSHER_MESSAGE, { "channel:message", 15 } },
	{ { "channel:update", 14 }, PUSHER_UPDATE, { "channel:update", 14 } },
	{ { "access_token", 12 }, PUSHER_TOKEN, { "access_token", 12 } },
	{ { "ping", 4 }, PUSHER_PING, { "heartbeat", 9 } },
};

#define N_TYPES		(sizeof(types) / sizeof(types[0]))

/* The members that concern us; p == NULL: not there. */
struct request {
	struct slice	token[N_MEMBERS];
	bool		doubled;	/* one of them is there twice: another reader could heed the other */
};

static const char invalid_request[] = "invalid request";

static void
set_fault(struct inbound *in, const char *why)
{
	in->fault = FAULT_MESSAGE;
	in->why = why;
}

/* N_MEMBERS if it is none of ours. */
static enum member
member_of(struct slice key)
{
	enum member  m = 0;
	struct slice text;
	char	     scratch[LONGEST_NAME];

	if (json_text(key, scratch, sizeof(scratch), &text) < 0)
		return N_MEMBERS;
	while (m < N_MEMBERS && !slice_eq(text, names[m]))
		m++;
	return m;
}

static void
take_members(struct request *r, struct slice object)
{
	struct slice key, value;
	size_t	     at = 0;

	*r = (struct request){ .doubled = false };
	while (json_next_member(object, &at, &key, &value)) {
		enum member m = member_of(key);

		if (m == N_MEMBERS)
			continue;
		/* Nobody could say which of two ids is meant. */
		if (r->token[m].p != NULL) {
			r->doubled = true;
			value = m == M_REQUEST_ID ? slice(value.p, 0) : value;
		}
		r->token[m] = value;
	}
}

static inline bool
is_text(struct slice token)
{
	return token.n > 0 && *token.p == '"';
}

/* NULL if there is no such type. */
static const struct type *
type_of(struct slice token)
{
	char	     scratch[MAX_TYPE];
	struct slice text;

	if (json_text(token, scratch, sizeof(scratch), &text) < 0)
		return NULL;
	for (unsigned i = 0; i < N_TYPES; i++)
		if (slice_eq(text, types[i].name))
			return &types[i];
	return NULL;
}

/* The kind's letter and the id; one that is too long is left out. False if it was. */
static bool
set_ref(struct inbound *in, enum pusher_kind kind, struct slice id)
{
	const bool fits = id.n <= WIRE_MAX_REQUEST_ID;
	char	  *out = in->scratch.ref;

	*out++ = (char)kind;
	if (fits)
		out = phoenix_put(out, id);
	in->ref = slice(in->scratch.ref, (size_t)(out - in->scratch.ref));
	return fits;
}

static bool
is_channel_char(char c)
{
	const char lower = ascii_lower(c);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("_-=@,.;:", c) != NULL);
}

static bool
is_channel(struct slice name)
{
	if (name.n == 0 || name.n > MAX_CHANNEL)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!is_channel_char(name.p[i]))
			return false;
	return topic_type(name) != 0;
}

/* False if that is no channel of this format's; it is named in the answer even so, if it is a text of a bearable length. */
static bool
set_channel(struct inbound *in, struct slice token)
{
	struct slice name;

	if (!is_text(token))
		return false;
	if (token.n <= WIRE_MAX_ECHO)
		in->topic_token = token;
	if (json_text(token, in->scratch.topic, sizeof(in->scratch.topic), &name) < 0 || !is_channel(name))
		return false;
	in->topic = name;
	in->topic_token = slice(in->scratch.topic_token,
	    (size_t)(json_quote_to(in->scratch.topic_token, name) - in->scratch.topic_token));
	return true;
}

/* May clients say it? Not what would pass for a word of ours, nor what would tell all a secret that is meant for us. */
static bool
is_event(struct slice token)
{
	static const char *const reserved[] = { "presence_", "presence:", "channel:" };
	char	     scratch[WIRE_MAX_EVENT];
	struct slice text;

	if (!is_text(token) || json_text(token, scratch, sizeof(scratch), &text) < 0 || text.n == 0)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return false;
	for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (slice_starts(text, slice_str(reserved[i])))
			return false;
	return !message_is_reserved(text) && !slice_is(text, "access_token");
}

/* What of the members that the request may leave out is not what it should be; NULL = nothing. */
static const char *
option_fault(const struct request *r, enum pusher_kind kind)
{
	const struct slice event = r->token[M_EVENT], info = r->token[M_USER_INFO];

	if (kind == PUSHER_MESSAGE)
		return event.p == NULL || is_event(event) ? NULL : "invalid event";
	return info.p == NULL || *info.p == '{' ? NULL : "invalid userInfo";
}

/* NULL if it can be done. */
static const char *
request_fault(const struct request *r, enum pusher_kind kind, bool has_id, bool has_channel)
{
	if (r->doubled)
		return invalid_request;
	if (!has_id)
		return "invalid requestId";
	if (!has_channel)
		return "invalid channel";
	return kind == PUSHER_PING ? NULL : option_fault(r, kind);
}

static void
decode_request(struct inbound *in, const struct request *r, const struct type *type, struct slice object)
{
	const bool has_id = set_ref(in, type->kind, r->token[M_REQUEST_ID]), is_ping = type->kind == PUSHER_PING;
	const bool has_channel = is_ping || set_channel(in, r->token[M_CHANNEL]);
	const char *fault;

	in->payload = object;
	if (is_ping)
		in->topic = SLICE("phoenix");
	fault = request_fault(r, type->kind, has_id, has_channel);
	if (fault != NULL)
		set_fault(in, fault);
	else
		in->event = type->event;
}

static void
decode_object(struct inbound *in, struct slice object)
{
	struct request	   r;
	const struct type *type;

	take_members(&r, object);
	set_ref(in, PUSHER_NONE, r.token[M_REQUEST_ID]);
	if (!is_text(r.token[M_TYPE])) {
		set_fault(in, invalid_request);
		return;
	}
	type = type_of(r.token[M_TYPE]);
	if (type != NULL)
		decode_request(in, &r, type, object);
	else
		set_fault(in, "unknown message type");
}

/* The whole message is one value to the limits of JSON: its data is to pass between nodes, wrapped, within the same ones. */
static int
pusher_decode(struct inbound *in, bool binary, struct slice data)
{
	enum json_kind kind;
	struct slice   value = { NULL, 0 };

	inbound_init(in);
	set_ref(in, PUSHER_NONE, SLICE(""));
	json_take_blanks(&data);
	if (binary || json_take_value(&data, &value, &kind) < 0 || data.n > 0)
		set_fault(in, "invalid json");
	else if (kind != JSON_OBJECT)
		set_fault(in, invalid_request);
	else
		decode_object(in, value);
	return 0;
}

const struct codec codec_pusher = {
	.name = "pusher",
	.id = CODEC_PUSHER,
	.decode = pusher_decode,
	.encode = pusher_encode,
	.joins_once = true,
	.greets = true,
};
