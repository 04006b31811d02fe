/*
 * JSON (RFC 8259), scanned in one pass without allocation: validates, and finds where values begin and end.
 * Values are never rewritten. The caller guarantees valid UTF-8 (the transport has checked it).
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

#define JSON_MAX_DEPTH	64	/* containers within each other, in one value */
#define JSON_MAX_MEMBERS 10000	/* members and elements of one value, all levels */

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/*
 * Scans the value at the very start of `in` (no blank before it); what follows it is not looked at. Returns
 * its length; -EBADMSG if it is not JSON, or broken off; -E2BIG if it is too deep or has too many members, as
 * far as read. *type is set as soon as the first byte tells it.
 */
ssize_t json_scan(struct slice in, enum json_kind *type);
/* Number of blanks (space, tab, LF, CR) at the start. */
size_t json_blanks(struct slice in);

/* For taking a text apart: each removes what it takes from the front, with the blanks behind it. */
static inline void
json_take_blanks(struct slice *in)
{
	/* Mostly there are none. */
	if (in->n > 0 && (unsigned char)*in->p <= ' ')
		*in = slice_from(*in, json_blanks(*in));
}

/* False if something else is there. */
static inline bool
json_take(struct slice *in, char c)
{
	if (in->n == 0 || *in->p != c)
		return false;
	*in = slice_from(*in, 1);
	json_take_blanks(in);
	return true;
}

/* Returns 0 or json_scan()'s error. */
static inline int
json_take_value(struct slice *in, struct slice *value, enum json_kind *type)
{
	ssize_t n = json_scan(*in, type);

	if (n < 0)
		return (int)n;
	*value = slice(in->p, (size_t)n);
	*in = slice_from(*in, (size_t)n);
	json_take_blanks(in);
	return 0;
}

/*
 * The text of a string token (quotes included), which must have passed json_scan(). Without escapes it
 * borrows the token; else it is decoded into scratch[size]. Returns 0; -EILSEQ for a NUL or a lone surrogate;
 * -ENAMETOOLONG when the text, borrowed or not, is longer than `size`.
 */
int json_text(struct slice token, char *scratch, size_t size, struct slice *text);

/* Length of `text` as a string token, quotes included: only ", \ and control characters are escaped. */
size_t json_quoted_len(struct slice text);
/* Writes that token; returns the place behind it. */
char *json_quote_to(char *out, struct slice text);
void json_quote(struct buf *out, struct slice text);

/*
 * Walks an object token's members: *at = 0 at first. Gives the raw key token and the raw value token. Returns
 * 1, 0 at the end, which is where it stops making sense in what has not passed json_scan(), or is no object.
 */
int json_next_member(struct slice object, size_t *at, struct slice *key, struct slice *value);
/* The value token of the LAST member called `name` (decoded compare), p == NULL if there is none. */
struct slice json_member(struct slice object, const char *name);
/*
 * Its text, which must be a string of 1 to `size` bytes; decoded into scratch[size] where it has escapes. 0, or -EBADMSG with
 * *text empty.
 */
int json_member_text(struct slice object, const char *name, char *scratch, size_t size, struct slice *text);

#endif
