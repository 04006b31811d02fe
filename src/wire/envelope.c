/*
 * The bus' messages: written with one reservation of space, read in one pass that notes the members it knows, which
 * are judged afterwards.
 */
#include "wire/envelope.h"

#include <errno.h>
#include <inttypes.h>

#include "base/b64.h"
#include "net/utf8.h"

#define MAX_NUMBER	(UINT64_C(1) << 53)	/* the last one that whoever counts in doubles has exactly */
#define MAX_SAID	UINT64_C(253402300799999)	/* the end of the year 9999 */
#define MAX_TAIL	((UINT64_C(1) << UUID_TAIL_BITS) - 1)

enum member {
	M_V, M_NODE, M_EVENT, M_PAYLOAD, M_BINARY, M_AT, M_PREV, M_TAIL, M_TAG, M_FROM, M_SAID, M_VALUE, M_COUNT, M_ASK, N_MEMBERS
};

static const struct slice names[N_MEMBERS] = {
	[M_V] = { "v", 1 },
	[M_NODE] = { "node", 4 },
	[M_EVENT] = { "event", 5 },
	[M_PAYLOAD] = { "payload", 7 },
	[M_BINARY] = { "binary", 6 },
	[M_AT] = { "at", 2 },
	[M_PREV] = { "prev", 4 },
	[M_TAIL] = { "tail", 4 },
	[M_TAG] = { "tag", 3 },
	[M_FROM] = { "from", 4 },
	[M_SAID] = { "said", 4 },
	[M_VALUE] = { "value", 5 },
	[M_COUNT] = { "count", 5 },
	[M_ASK] = { "ask", 3 },
};

#define LONGEST_NAME	7

/* A member's value; token.p == NULL: not there. */
struct value {
	struct slice	token;
	enum json_kind	kind;
};

/* A message under way. */
struct reading {
	struct value	 members[N_MEMBERS];
	struct buf	*scratch;	/* has room for all that will be decoded */
	const char	*why;
};

#define HEAD	SLICE("{\"v\":1,\"node\":")
#define EVENT	SLICE(",\"event\":")
#define PAYLOAD	SLICE(",\"payload\":")
#define BINARY	SLICE(",\"binary\":\"")

static inline char *
put(char *out, struct slice s)
{
	memcpy(out, s.p, s.n);
	return out + s.n;
}

static inline struct slice
payload_text(const struct envelope *e)
{
	return e->payload.n > 0 ? e->payload : SLICE("{}");
}

static char *
put_payload(char *out, const struct envelope *e)
{
	if (!e->binary)
		return put(put(out, PAYLOAD), payload_text(e));
	out = put(out, BINARY);
	out += b64_encode(e->payload.p, e->payload.n, out);
	*out++ = '"';
	return out;
}

/* What only messages of certain classes have. */
static void
add_extras(struct buf *out, const struct envelope *e)
{
	if (e->from.n > 0)
		buf_addf(out, ",\"from\":%.*s", SLICE_ARG(e->from));
	if (e->said != 0)
		buf_addf(out, ",\"said\":%" PRId64, e->said);
	if (e->value)
		buf_add_str(out, ",\"value\":true");
}

static void
write_count(struct buf *out, const struct envelope *e)
{
	buf_add_slice(out, HEAD);
	json_quote(out, e->node);
	buf_addf(out, ",\"count\":%" PRIu32 "%s}", e->count, e->ask ? ",\"ask\":true" : "");
}

static void
write_broadcast(struct buf *out, const struct envelope *e)
{
	const size_t payload = e->binary ? BINARY.n + B64_LEN(e->payload.n) + 1 : PAYLOAD.n + payload_text(e).n;
	const size_t n = HEAD.n + json_quoted_len(e->node) + EVENT.n + json_quoted_len(e->event) + payload + 1;
	char	    *p = buf_room(out, n);

	p = json_quote_to(put(p, HEAD), e->node);
	p = json_quote_to(put(p, EVENT), e->event);
	p = put_payload(p, e);
	*p = '}';
	out->n += n;
	if (e->from.n == 0 && e->said == 0 && !e->value)
		return;
	out->n--;
	add_extras(out, e);
	buf_add_char(out, '}');
}

void
envelope_write(struct buf *out, const struct envelope *e)
{
	if (e->counts)
		write_count(out, e);
	else
		write_broadcast(out, e);
}

static int
bad(struct reading *r, const char *why)
{
	r->why = why;
	return -EBADMSG;
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

static int
take_member(struct reading *r, struct slice *in)
{
	struct slice   key;
	struct value   v = { .kind = JSON_NULL };
	enum json_kind kind;
	enum member    m;
	int	       e;

	if (json_take_value(in, &key, &kind) < 0 || kind != JSON_STRING || !json_take(in, ':'))
		return bad(r, "not JSON");
	e = json_take_value(in, &v.token, &v.kind);
	if (e < 0)
		return bad(r, e == -E2BIG ? "too deep, or too many members" : "not JSON");
	m = member_of(key);
	if (m < N_MEMBERS)
		r->members[m] = v;
	return 0;
}

/* Takes the whole object apart. */
static int
take_members(struct reading *r, struct slice in)
{
	int e;

	json_take_blanks(&in);
	if (!json_take(&in, '{'))
		return bad(r, "not an object");
	if (!json_take(&in, '}')) {
		do {
			e = take_member(r, &in);
			if (e < 0)
				return e;
		} while (json_take(&in, ','));
		if (!json_take(&in, '}'))
			return bad(r, "not JSON");
	}
	return in.n == 0 ? 0 : bad(r, "more than one object");
}

static inline bool
has(const struct reading *r, enum member m)
{
	return r->members[m].token.p != NULL;
}

/* Decimal digits alone, without needless zeros. -ERANGE as soon as it is too much. */
static int
parse_number(struct slice digits, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (digits.n == 0 || (*digits.p == '0' && digits.n > 1))
		return -EINVAL;
	for (size_t i = 0; i < digits.n; i++) {
		const unsigned digit = (unsigned)(unsigned char)digits.p[i] - '0';

		if (digit > 9)
			return -EINVAL;
		if (digit > max || v > (max - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*value = v;
	return 0;
}

static struct slice
unquoted(struct slice token)
{
	return slice(token.p + 1, token.n - 2);
}

/* A string of digits, or a number small enough to have survived whoever wrote it. */
static int
number_of(const struct value *v, uint64_t max, uint64_t *value)
{
	if (v->kind == JSON_STRING)
		return parse_number(unquoted(v->token), max, value);
	return parse_number(v->token, max < MAX_NUMBER ? max : MAX_NUMBER, value);
}

static int
position_of(const struct value *v, struct position *at)
{
	return v->kind == JSON_STRING ? position_parse(at, unquoted(v->token)) : -EINVAL;
}

static int
read_version(struct reading *r)
{
	const struct value *v = &r->members[M_V];
	uint64_t version = 0;
	int e;

	if (!has(r, M_V))
		return 0;
	e = parse_number(v->token, ENVELOPE_VERSION, &version);
	if (e == -ERANGE) {
		r->why = "newer version";
		return -EPROTONOSUPPORT;
	}
	return version == ENVELOPE_VERSION ? 0 : bad(r, "bad version");
}

/* A text of 1 to `max` bytes without control characters. */
static int
read_name(struct reading *r, enum member m, size_t max, struct slice *text)
{
	const struct value *v = &r->members[m];
	struct buf *scratch = r->scratch;
	int e;

	if (v->kind != JSON_STRING)
		return -EINVAL;
	e = json_text(v->token, scratch->p + scratch->n, max, text);
	if (e < 0 || text->n == 0)
		return -EINVAL;
	if (text->p == scratch->p + scratch->n)
		scratch->n += text->n;
	for (size_t i = 0; i < text->n; i++)
		if ((unsigned char)text->p[i] < 0x20 || text->p[i] == 0x7f)
			return -EINVAL;
	return 0;
}

static int
read_binary(struct reading *r, struct slice *bytes)
{
	const struct value *v = &r->members[M_BINARY];
	struct buf *scratch = r->scratch;
	ssize_t n;

	if (v->kind != JSON_STRING)
		return -EINVAL;
	n = b64_decode(B64_STRICT, unquoted(v->token), (uint8_t *)scratch->p + scratch->n);
	if (n < 0)
		return -EINVAL;
	*bytes = slice(scratch->p + scratch->n, (size_t)n);
	scratch->n += (size_t)n;
	return 0;
}

static int
read_payload(struct reading *r, struct envelope *e)
{
	e->binary = has(r, M_BINARY);
	if (e->binary && has(r, M_PAYLOAD))
		return bad(r, "both payload and binary");
	if (e->binary)
		return read_binary(r, &e->payload) == 0 ? 0 : bad(r, "binary is not base64");
	if (r->members[M_PAYLOAD].kind != JSON_OBJECT)
		return bad(r, "payload is not an object");
	e->payload = r->members[M_PAYLOAD].token;
	return 0;
}

/* Where the message stands in the stream. */
static int
read_stored(struct reading *r, struct envelope *e)
{
	const struct value *m = r->members;

	if (e->node.n == 0)
		return bad(r, "position without node");
	if (e->binary)
		return bad(r, "position of a binary message");
	if (position_of(&m[M_AT], &e->at) < 0 || position_of(&m[M_PREV], &e->prev) < 0)
		return bad(r, "bad position");
	if (position_compare(e->prev, e->at) >= 0)
		return bad(r, "position not behind the one before it");
	if (!has(r, M_TAIL) || number_of(&m[M_TAIL], MAX_TAIL, &e->tail) < 0)
		return bad(r, "bad tail");
	if (has(r, M_TAG) && number_of(&m[M_TAG], UINT64_MAX, &e->tag) < 0)
		return bad(r, "bad tag");
	e->stored = true;
	return 0;
}

/* {"data":V} and nothing else. */
static bool
is_wrapped(struct slice object)
{
	struct slice key, value;
	size_t	     at = 0;

	return json_next_member(object, &at, &key, &value) && slice_is(key, "\"data\"") &&
	    !json_next_member(object, &at, &key, &value);
}

static int
read_value(struct reading *r, struct envelope *e)
{
	const struct value *v = &r->members[M_VALUE];

	if (v->kind != JSON_BOOL)
		return bad(r, "bad value");
	e->value = slice_is(v->token, "true");
	if (e->value && (e->binary || !is_wrapped(e->payload)))
		return bad(r, "value without data alone in the payload");
	return 0;
}

/* For whom it is said, and when. */
static int
read_sender(struct reading *r, struct envelope *e)
{
	const struct value *m = r->members;
	uint64_t said = 0;

	if (has(r, M_FROM) && m[M_FROM].kind != JSON_OBJECT)
		return bad(r, "from is not an object");
	if (has(r, M_SAID) && (m[M_SAID].kind != JSON_NUMBER || number_of(&m[M_SAID], MAX_SAID, &said) < 0))
		return bad(r, "bad said");
	if (has(r, M_FROM))
		e->from = m[M_FROM].token;
	e->said = (int64_t)said;
	return has(r, M_VALUE) ? read_value(r, e) : 0;
}

/* What is said, by whom. */
static int
read_said(struct reading *r, struct envelope *e)
{
	int err;

	if (has(r, M_NODE) && read_name(r, M_NODE, ENVELOPE_MAX_NODE, &e->node) < 0)
		return bad(r, "bad node");
	if (read_name(r, M_EVENT, WIRE_MAX_EVENT, &e->event) < 0)
		return bad(r, "bad event");
	if (slice_starts(e->event, SLICE("phx_")))
		return bad(r, "reserved event");
	err = read_payload(r, e);
	return err < 0 ? err : read_sender(r, e);
}

/* How many subscribers a node has. */
static int
read_count(struct reading *r, struct envelope *e)
{
	const struct value *count = &r->members[M_COUNT], *ask = &r->members[M_ASK];
	uint64_t	    n;

	if (read_name(r, M_NODE, ENVELOPE_MAX_NODE, &e->node) < 0)
		return bad(r, "bad node");
	if (count->kind != JSON_NUMBER || number_of(count, ENVELOPE_MAX_COUNT, &n) < 0)
		return bad(r, "bad count");
	if (has(r, M_ASK) && ask->kind != JSON_BOOL)
		return bad(r, "bad ask");
	e->counts = true;
	e->count = (uint32_t)n;
	e->ask = slice_is(ask->token, "true");
	return 0;
}

static int
read_envelope(struct reading *r, struct envelope *e, struct slice text)
{
	int err;

	if (text.n > ENVELOPE_MAX)
		return bad(r, "too long");
	if (!utf8_valid(text))
		return bad(r, "not UTF-8");
	err = take_members(r, text);
	if (err < 0)
		return err;
	err = read_version(r);
	if (err < 0)
		return err;
	/* At once, for what was decoded must not move any more. */
	buf_room(r->scratch, ENVELOPE_MAX_NODE + WIRE_MAX_EVENT + r->members[M_BINARY].token.n);
	if (has(r, M_COUNT) && !has(r, M_EVENT))
		return read_count(r, e);
	err = read_said(r, e);
	if (err < 0)
		return err;
	return has(r, M_AT) ? read_stored(r, e) : 0;
}

int
envelope_read(struct envelope *e, struct slice text, struct buf *scratch, const char **why)
{
	struct reading r = { .scratch = scratch };
	int err;

	*e = (struct envelope){ .node = SLICE("") };
	scratch->n = 0;
	err = read_envelope(&r, e, text);
	*why = r.why;
	return err;
}
