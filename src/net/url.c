/*
 * Query strings, read as forgivingly as browsers write them, and paths, read strictly.
 */
#include "net/url.h"

#include <errno.h>

#include "base/hex.h"
#include "net/utf8.h"

int
url_escape(struct slice s)
{
	int high, low;

	if (s.n < 3 || s.p[0] != '%')
		return -1;
	high = hex_digit(s.p[1]);
	low = hex_digit(s.p[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Takes one decoded octet of a query's name or value off its front. */
static char
take_octet(struct slice *s)
{
	int  escaped = url_escape(*s);
	char c = s->p[0] == '+' ? ' ' : s->p[0];

	*s = slice_from(*s, escaped < 0 ? 1 : 3);
	return escaped < 0 ? c : (char)escaped;
}

/* Decodes in place of what was in *out. */
static int
decode(struct slice s, struct buf *out)
{
	out->n = 0;
	buf_room(out, s.n);
	while (s.n > 0)
		out->p[out->n++] = take_octet(&s);
	return utf8_valid(buf_slice(out)) ? 0 : -EILSEQ;
}

/* True if `encoded` decodes to `name`. */
static bool
decodes_to(struct slice encoded, struct slice name)
{
	while (encoded.n > 0 && name.n > 0) {
		if (take_octet(&encoded) != name.p[0])
			return false;
		name = slice_from(name, 1);
	}
	return encoded.n == 0 && name.n == 0;
}

static struct slice
until(struct slice s, size_t from, char stop)
{
	const char *start = s.p + from;
	const char *end = from < s.n ? memchr(start, stop, s.n - from) : NULL;

	return slice(start, end != NULL ? (size_t)(end - start) : s.n - from);
}

/* The next pair that is not empty, still encoded; without "=" its value is empty. */
static bool
next_pair(struct slice query, size_t *at, struct slice *name, struct slice *value)
{
	while (*at < query.n) {
		struct slice pair = until(query, *at, '&');

		*at += pair.n < query.n - *at ? pair.n + 1 : pair.n;
		if (pair.n == 0)
			continue;
		*name = until(pair, 0, '=');
		*value = slice_from(pair, name->n < pair.n ? name->n + 1 : name->n);
		return true;
	}
	return false;
}

int
url_param(struct slice query, const char *name, struct buf *out)
{
	struct slice wanted = slice_str(name), this, value, found = { 0 };
	size_t	     at = 0;

	while (next_pair(query, &at, &this, &value))
		if (decodes_to(this, wanted))
			found = value;
	if (found.p == NULL)
		return 0;
	return decode(found, out) < 0 ? -EILSEQ : 1;
}

int
url_next_param(struct slice query, size_t *at, struct buf *name, struct buf *value)
{
	struct slice raw_name, raw_value;

	if (!next_pair(query, at, &raw_name, &raw_value))
		return 0;
	return decode(raw_name, name) < 0 || decode(raw_value, value) < 0 ? -EILSEQ : 1;
}

int
url_decode_path(struct slice path, struct buf *out)
{
	out->n = 0;
	buf_room(out, path.n);
	while (path.n > 0) {
		int octet = path.p[0] == '%' ? url_escape(path) : (uint8_t)path.p[0];

		if (octet < 0 || octet == '\0' || octet == '\\' || (octet == '/' && path.p[0] == '%'))
			return -EINVAL;
		out->p[out->n++] = (char)octet;
		path = slice_from(path, path.p[0] == '%' ? 3 : 1);
	}
	return 0;
}

int
url_decode_segment(struct slice segment, struct buf *out)
{
	out->n = 0;
	buf_room(out, segment.n);
	while (segment.n > 0) {
		int octet = segment.p[0] == '%' ? url_escape(segment) : (uint8_t)segment.p[0];

		if (octet < 0)
			return -EINVAL;
		out->p[out->n++] = (char)octet;
		segment = slice_from(segment, segment.p[0] == '%' ? 3 : 1);
	}
	return utf8_valid(buf_slice(out)) ? 0 : -EINVAL;
}

/* Takes the next segment that is not empty off a path; empty at its end. */
static struct slice
take_segment(struct slice *path)
{
	struct slice segment;

	while (path->n > 0 && path->p[0] == '/')
		*path = slice_from(*path, 1);
	segment = until(*path, 0, '/');
	*path = slice_from(*path, segment.n);
	return segment;
}

bool
url_path_is(struct slice path, const char *pattern)
{
	struct slice left = slice_str(pattern), segment, wanted;

	do {
		segment = take_segment(&path);
		wanted = take_segment(&left);
		if (!slice_eq(segment, wanted))
			return false;
	} while (wanted.n > 0);
	return true;
}
