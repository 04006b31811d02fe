/*
 * Words of a command line.
 */
#include "ctl/words.h"

#include <ctype.h>

#include "net/utf8.h"
#include "wire/json.h"

void
words_add_prefix(struct buf *out, const char *pattern)
{
	for (; *pattern != '\0' && strchr("*?[", *pattern) == NULL; pattern++) {
		if (*pattern == '\\' && *++pattern == '\0')
			break;
		buf_add_char(out, *pattern);
	}
}

void
words_add_escaped(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if ((c < 0x80 && isalnum(c)) || (c != '\0' && strchr("-._~", c) != NULL))
			buf_add_char(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

/* The kind of the value that the text is, blanks around it apart; false if it is none. */
static bool
json_kind_of(struct slice text, enum json_kind *kind)
{
	struct slice value;

	json_take_blanks(&text);
	return utf8_valid(text) && json_take_value(&text, &value, kind) == 0 && text.n == 0;
}

bool
words_add_claim(struct buf *members, const char *text)
{
	const char    *equals = strchr(text, '=');
	struct slice   name, value;
	enum json_kind kind;

	if (equals == NULL || equals == text || !utf8_valid(slice_str(text)))
		return false;
	name = slice(text, (size_t)(equals - text));
	value = slice_str(equals + 1);
	if (members->n > 0)
		buf_add_char(members, ',');
	json_quote(members, name);
	buf_add_char(members, ':');
	if (json_kind_of(value, &kind))
		buf_add_slice(members, value);
	else
		json_quote(members, value);
	return true;
}

bool
words_are_object(const char *text)
{
	enum json_kind kind;

	return json_kind_of(slice_str(text), &kind) && kind == JSON_OBJECT;
}

void
words_add_message(struct buf *out, const char *event, const char *data)
{
	buf_add_str(out, "{\"event\":");
	json_quote(out, slice_str(event));
	buf_addf(out, ",\"data\":%s}", data);
}

/* Bytes of the character at the start; 0 if it is to be escaped. */
static size_t
visible_len(struct slice text)
{
	unsigned char c = (unsigned char)text.p[0];
	size_t	      n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (c < ' ' || c == 0x7f || n > text.n || !utf8_valid(slice(text.p, n)))
		return 0;
	/* The other control characters: U+0080 to U+009F. */
	return c == 0xc2 && (unsigned char)text.p[1] < 0xa0 ? 0 : n;
}

void
words_add_visible(struct buf *out, struct slice text)
{
	while (text.n > 0) {
		size_t n = visible_len(text);

		if (n > 0)
			buf_add(out, text.p, n);
		else
			buf_addf(out, "\\x%02x", (unsigned char)text.p[0]);
		text = slice_from(text, n > 0 ? n : 1);
	}
}
