/*
 * The JSON scanner against json-c: what we take, it takes, and sees the same kind of value, the same text, the
 * same last member of a name. (Not the reverse: even strict, json-c takes NaN, control characters and more.)
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* Both call an enum so. */
#include <json-c/json.h>

#include "base/mem.h"
#include "net/utf8.h"
#include "wire/json.h"

static const enum json_kind our_type[] = {
	[json_type_null] = JSON_NULL,
	[json_type_boolean] = JSON_BOOL,
	[json_type_double] = JSON_NUMBER,
	[json_type_int] = JSON_NUMBER,
	[json_type_string] = JSON_STRING,
	[json_type_array] = JSON_ARRAY,
	[json_type_object] = JSON_OBJECT,
};

static struct json_object *
json_c_parse(struct slice text)
{
	autofree char *copy = xstrndup(text.p, text.n);
	struct json_tokener *tok = json_tokener_new_ex(128);
	struct json_object *o;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* With the NUL: it ends a number. */
	o = json_tokener_parse_ex(tok, copy, (int)text.n + 1);
	assert(json_tokener_get_error(tok) == json_tokener_success);
	json_tokener_free(tok);
	return o;
}

/* json-c makes U+FFFD of half a pair, and of pairs that mean U+1D800 to U+1DFFF. */
static void
same_text(struct slice token, struct json_object *o)
{
	const struct slice theirs = slice(json_object_get_string(o), (size_t)json_object_get_string_len(o));
	autofree char *scratch = xmalloc(token.n);
	autobuf struct buf quoted = { 0 };
	struct slice text;
	enum json_type type;

	if (json_text(token, scratch, token.n, &text) < 0)
		return;
	assert(utf8_valid(text));
	assert(slice_eq(text, theirs) || memmem(theirs.p, theirs.n, "\xef\xbf\xbd", 3) != NULL);
	json_quote(&quoted, text);
	assert(quoted.n == json_quoted_len(text));
	assert(json_scan(buf_slice(&quoted), &type) == (ssize_t)quoted.n);
}

/* Members with a plain name, for json-c ends names at a NUL. */
static void
same_members(struct slice object, struct json_object *o)
{
	struct slice key, value, text;
	struct json_object *theirs;
	enum json_type type;
	char	name[32];
	size_t	at = 0;

	while (json_next_member(object, &at, &key, &value)) {
		if (json_text(key, name, sizeof(name) - 1, &text) < 0)
			continue;
		memmove(name, text.p, text.n);
		name[text.n] = '\0';
		assert(json_object_object_get_ex(o, name, &theirs));
		value = json_member(object, name);
		assert(json_scan(value, &type) == (ssize_t)value.n);
		assert(type == our_type[json_object_get_type(theirs)]);
	}
	assert(json_take(&(struct slice){ object.p + at, object.n - at }, at == 0 ? '{' : '}'));
}

/* The same value at the very end of readable memory, and broken off. */
static void
no_more_is_read(struct slice value, enum json_type type)
{
	autofree char *copy = xmalloc(value.n);
	enum json_type again;

	memcpy(copy, value.p, value.n);
	assert(json_scan(slice(copy, value.n), &again) == (ssize_t)value.n && again == type);
	assert(type == JSON_NUMBER || json_scan(slice(copy, value.n - 1), &again) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice((const char *)data, size);
	struct json_object *o;
	enum json_type type;
	ssize_t n;

	json_member(in, "a");
	n = json_scan(in, &type);
	if (n < 0 || !utf8_valid(in))
		return 0;
	in.n = (size_t)n;
	no_more_is_read(in, type);
	o = json_c_parse(in);
	assert(our_type[json_object_get_type(o)] == type);
	if (type == JSON_STRING)
		same_text(in, o);
	/* One name cut at its NUL may be another member's name there. */
	if (type == JSON_OBJECT && memmem(in.p, in.n, "\\u0000", 6) == NULL)
		same_members(in, o);
	json_object_put(o);
	return 0;
}
