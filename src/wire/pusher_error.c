/*
 * The codes of the Pusher-style format: which one stands for what the house gives as a reason. The table is documented in
 * roost-protocol(7).
 */
#include "wire/pusher_codec.h"

enum code {
	C_CHANNELS_DISABLED,
	C_INVALID_REQUEST,
	C_FORBIDDEN,
	C_NOT_IN_CHANNEL,
	C_JOIN_FAILED,
	C_LEAVE_FAILED,
	C_UPDATE_FAILED,
	C_NOT_FOUND,
	C_NOT_MEMBER,
	C_INVALID_JSON,
	C_UNKNOWN_MESSAGE_TYPE,
	C_RATE_LIMIT_EXCEEDED,
	C_INTERNAL_ERROR,
	N_CODES,
	UNMATCHED,		/* no such channel, or not joined: see unmatched() */
	BY_KIND			/* see failed() */
};

/* The message is a JSON string: it is passed on like one that the response brings. */
#define ROW(code, sentence)	[C_##code] = { SLICE_OF(#code), SLICE_OF("\"" sentence "\"") }
#define SLICE_OF(literal)	{ literal, sizeof(literal) - 1 }

static const struct {
	struct slice	name;
	struct slice	message;
} codes[N_CODES] = {
	ROW(CHANNELS_DISABLED, "Channels are disabled"),
	ROW(INVALID_REQUEST, "Invalid request"),
	ROW(FORBIDDEN, "Access denied"),
	ROW(NOT_IN_CHANNEL, "Not in this channel"),
	ROW(JOIN_FAILED, "The channel could not be joined"),
	ROW(LEAVE_FAILED, "The channel could not be left"),
	ROW(UPDATE_FAILED, "The member could not be updated"),
	ROW(NOT_FOUND, "Not found"),
	ROW(NOT_MEMBER, "Not a member of this channel"),
	ROW(INVALID_JSON, "Invalid JSON"),
	ROW(UNKNOWN_MESSAGE_TYPE, "Unknown message type"),
	ROW(RATE_LIMIT_EXCEEDED, "Too many messages"),
	ROW(INTERNAL_ERROR, "Internal error"),
};

static const struct reason {
	const char	*name;
	enum code	 code;
	struct slice	 message;	/* JSON string; empty = the code's */
} reasons[] = {
	{ "unauthorized", C_FORBIDDEN, { NULL, 0 } },
	{ "token_expired", C_FORBIDDEN, SLICE_OF("\"The token has expired\"") },
	{ "unmatched topic", UNMATCHED, { NULL, 0 } },
	{ "rate_limit", C_RATE_LIMIT_EXCEEDED, { NULL, 0 } },
	{ "rate_limited", C_RATE_LIMIT_EXCEEDED, { NULL, 0 } },
	{ "rate_limit_exceeded", C_RATE_LIMIT_EXCEEDED, { NULL, 0 } },
	{ "invalid_payload", C_INVALID_REQUEST, { NULL, 0 } },
	{ "invalid request", C_INVALID_REQUEST, { NULL, 0 } },
	{ "invalid requestId", C_INVALID_REQUEST, SLICE_OF("\"Invalid requestId\"") },
	{ "invalid channel", C_INVALID_REQUEST, SLICE_OF("\"Invalid channel\"") },
	{ "invalid event", C_INVALID_REQUEST, SLICE_OF("\"Invalid event\"") },
	{ "invalid userInfo", C_INVALID_REQUEST, SLICE_OF("\"Invalid userInfo\"") },
	{ "invalid topic", C_INVALID_REQUEST, SLICE_OF("\"Invalid channel\"") },
	{ "unknown_event", C_INVALID_REQUEST, SLICE_OF("\"Unknown event\"") },
	{ "invalid json", C_INVALID_JSON, { NULL, 0 } },
	{ "unknown message type", C_UNKNOWN_MESSAGE_TYPE, { NULL, 0 } },
	{ "join crashed", C_INTERNAL_ERROR, { NULL, 0 } },
	{ "channel_crash", C_INTERNAL_ERROR, { NULL, 0 } },
	{ "internal", C_INTERNAL_ERROR, { NULL, 0 } },
	{ "not_member", C_NOT_MEMBER, { NULL, 0 } },
	{ "not_found", C_NOT_FOUND, { NULL, 0 } },
	{ "disabled", C_CHANNELS_DISABLED, { NULL, 0 } },
	{ "too many channels joined", BY_KIND, SLICE_OF("\"Too many channels joined\"") },
	{ "too many topics", BY_KIND, SLICE_OF("\"Too many channels\"") },
	{ "join_pending", C_RATE_LIMIT_EXCEEDED, SLICE_OF("\"Too many messages wait for the join\"") },
	{ "too_many_members", C_JOIN_FAILED, SLICE_OF("\"This user has too many members here\"") },
	{ "join_failed", C_JOIN_FAILED, { NULL, 0 } },
	{ "timeout", BY_KIND, SLICE_OF("\"It took too long\"") },
	{ "unavailable", BY_KIND, SLICE_OF("\"Unavailable, try again later\"") },
};

/* What is wrong with a payload is said by the class: "field". */
static const struct {
	const char	*field;
	struct slice	 message;
} fields[] = {
	{ "channel", SLICE_OF("\"Invalid channel\"") },
	{ "event", SLICE_OF("\"Invalid event\"") },
	{ "userInfo", SLICE_OF("\"Invalid userInfo\"") },
	{ "data", SLICE_OF("\"Invalid data\"") },
};

#define N_FIELDS	(sizeof(fields) / sizeof(fields[0]))
#define N_REASONS	(sizeof(reasons) / sizeof(reasons[0]))

static const struct reason unknown = { .code = BY_KIND };
static const struct reason too_much = { .code = C_RATE_LIMIT_EXCEEDED };

static enum code
unmatched(enum pusher_kind kind)
{
	switch (kind) {
	case PUSHER_MESSAGE:
	case PUSHER_LEAVE:
	case PUSHER_TOKEN:
		return C_NOT_IN_CHANNEL;
	case PUSHER_UPDATE:
		return C_NOT_MEMBER;
	case PUSHER_JOIN:
		return C_NOT_FOUND;
	default:
		return C_INVALID_REQUEST;
	}
}

static enum code
failed(enum pusher_kind kind)
{
	switch (kind) {
	case PUSHER_JOIN:
		return C_JOIN_FAILED;
	case PUSHER_LEAVE:
		return C_LEAVE_FAILED;
	case PUSHER_UPDATE:
		return C_UPDATE_FAILED;
	default:
		return C_INTERNAL_ERROR;
	}
}

/* The text of a string token; empty if it is none, or longer than any that we know. */
static struct slice
text_of(struct slice token, char *scratch, size_t size)
{
	struct slice text;

	if (token.n == 0 || *token.p != '"' || json_text(token, scratch, size, &text) < 0)
		return SLICE("");
	return text;
}

static const struct reason *
find_reason(struct slice token)
{
	char		   scratch[32];
	const struct slice text = text_of(token, scratch, sizeof(scratch));

	for (unsigned i = 0; i < N_REASONS; i++)
		if (slice_is(text, reasons[i].name))
			return &reasons[i];
	return &unknown;
}

static enum code
find_code(struct slice token, enum code otherwise)
{
	char		   scratch[32];
	const struct slice text = text_of(token, scratch, sizeof(scratch));

	for (enum code c = 0; c < N_CODES; c++)
		if (slice_eq(text, codes[c].name))
			return c;
	return otherwise;
}

static enum code
code_of(const struct reason *r, enum pusher_kind kind)
{
	if (r->code == UNMATCHED)
		return unmatched(kind);
	return r->code == BY_KIND ? failed(kind) : r->code;
}

/* Empty if it is none that this format has. */
static struct slice
message_of_field(struct slice token)
{
	char		   scratch[32];
	const struct slice text = text_of(token, scratch, sizeof(scratch));

	for (unsigned i = 0; i < N_FIELDS; i++)
		if (slice_is(text, fields[i].field))
			return fields[i].message;
	return SLICE("");
}

static bool
is_number(struct slice token)
{
	return token.n > 0 && (*token.p == '-' || (*token.p >= '0' && *token.p <= '9'));
}

void
pusher_error_of(struct pusher_error *e, enum pusher_kind kind, struct slice response)
{
	const struct slice   retry = json_member(response, "retry_after_ms"), said = json_member(response, "message");
	const struct slice   about_field = message_of_field(json_member(response, "field"));
	const struct reason *r = find_reason(json_member(response, "reason"));
	enum code	     code;

	/* A route gives the reason of its rates any name. */
	if (r == &unknown && is_number(retry))
		r = &too_much;
	code = find_code(json_member(response, "code"), code_of(r, kind));
	*e = (struct pusher_error){ .code = codes[code].name, .message = codes[code].message };
	if (is_number(retry))
		e->retry_ms = retry;
	if (said.n > 0 && *said.p == '"')
		e->message = said;
	else if (about_field.n > 0)
		e->message = about_field;
	else if (r->message.n > 0)
		e->message = r->message;
}
