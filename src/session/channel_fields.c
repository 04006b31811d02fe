/*
 * A payload's members against a table of fields: one way to read, and to refuse, for all classes.
 */
#include "session/channel.h"
#include "wire/json.h"

/* White space, and what is as good as none: who sends that alone says nothing. */
static const struct {
	uint32_t from, to;
} blanks[] = {
	{ 0x09, 0x0d }, { 0x20, 0x20 }, { 0x85, 0x85 }, { 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x180e, 0x180e },
	{ 0x2000, 0x200d }, { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x2060 }, { 0x3000, 0x3000 },
	{ 0xfeff, 0xfeff },
};

static bool
is_blank(uint32_t c)
{
	for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++)
		if (c >= blanks[i].from && c <= blanks[i].to)
			return true;
	return false;
}

/* Takes a code point from the front of valid UTF-8. */
static uint32_t
take_char(struct slice *text)
{
	const unsigned char first = (unsigned char)*text->p;
	size_t		    n = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t	    c = n == 1 ? first : first & (0x7fU >> n);

	n = n < text->n ? n : text->n;
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)text->p[i] & 0x3f);
	*text = slice_from(*text, n);
	return c;
}

static bool
text_fits(struct slice text, const struct channel_field *f)
{
	bool	blank = true;
	int64_t n;

	for (n = 0; text.n > 0 && n <= f->max; n++)
		if (!is_blank(take_char(&text)))
			blank = false;
	return n >= f->min && n <= f->max && !(blank && f->min > 0);
}

/* There is room in scratch for all of the payload: so texts do not move. */
static bool
read_text(struct slice token, const struct channel_field *f, struct channel_value *v, struct buf *scratch)
{
	char *room = scratch->cap > scratch->n ? scratch->p + scratch->n : NULL;

	if (token.p[0] != '"' || json_text(token, room, token.n, &v->text) < 0)
		return false;
	if (v->text.p == room)
		scratch->n += v->text.n;
	return text_fits(v->text, f);
}

static bool
read_bool(struct slice token, struct channel_value *v)
{
	v->number = slice_is(token, "true");
	return v->number || slice_is(token, "false");
}

static bool
read_integer(struct slice token, const struct channel_field *f, struct channel_value *v)
{
	const bool negative = token.p[0] == '-';

	v->number = 0;
	for (size_t i = negative; i < token.n; i++) {
		int digit = token.p[i] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(v->number, 10, &v->number))
			return false;
		if (__builtin_add_overflow(v->number, negative ? -digit : digit, &v->number))
			return false;
	}
	return v->number >= f->min && v->number <= f->max;
}

static bool
read_value(struct slice token, const struct channel_field *f, struct channel_value *v, struct buf *scratch)
{
	switch (f->type) {
	case CHANNEL_TEXT:
		return read_text(token, f, v, scratch);
	case CHANNEL_BOOL:
		return read_bool(token, v);
	case CHANNEL_INTEGER:
		return read_integer(token, f, v);
	case CHANNEL_OBJECT:
		return token.p[0] == '{';
	case CHANNEL_ANY:
		return token.n <= (uint64_t)f->max;
	}
	return false;
}

static bool
read_field(struct slice payload, const struct channel_field *f, struct channel_value *v, struct buf *scratch)
{
	const struct slice token = json_member(payload, f->name);

	if (token.p == NULL || slice_is(token, "null"))
		return !f->required;
	v->given = true;
	v->token = token;
	return read_value(token, f, v, scratch);
}

static void
refuse_field(struct channel *ch, const char *name)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "{\"reason\":\"invalid_payload\",\"field\":");
	json_quote(&b, slice_str(name));
	buf_add_char(&b, '}');
	channel_reply_error(ch, channel_json(buf_slice(&b)));
}

/* The first field that is wrong; NULL = none. */
static const char *
read_fields(const struct channel_message *m, const struct channel_field *fields, unsigned n, struct channel_value *values,
    struct buf *scratch)
{
	const struct slice payload = m->payload.bytes;

	if (m->payload.binary || !payload_is_object(m->payload))
		return "payload";
	if (memchr(payload.p, '\\', payload.n) != NULL)
		buf_room(scratch, payload.n);
	for (unsigned i = 0; i < n; i++)
		if (!read_field(payload, &fields[i], &values[i], scratch))
			return fields[i].name;
	return NULL;
}

bool
channel_read(struct channel *ch, const struct channel_message *m, const struct channel_field *fields, unsigned n,
    struct channel_value *values, struct buf *scratch)
{
	const char *wrong;

	for (unsigned i = 0; i < n; i++)
		values[i] = (struct channel_value){ .given = false };
	wrong = read_fields(m, fields, n, values, scratch);
	if (wrong != NULL)
		refuse_field(ch, wrong);
	return wrong == NULL;
}
