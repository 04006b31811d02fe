/*
 * Borrowed bytes: a pointer and a length. Never owned, never NUL-terminated.
 */
#ifndef ROOST_SLICE_H
#define ROOST_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ROOST_API	__attribute__((visibility("default")))

struct slice {
	const char	*p;
	size_t		 n;
};

#define SLICE(literal)	((struct slice){ literal, sizeof(literal) - 1 })
/* For "%.*s". */
#define SLICE_ARG(s)	(int)(s).n, (s).p

static inline struct slice
slice(const char *p, size_t n)
{
	return (struct slice){ p, n };
}

/* NULL gives the empty slice. */
static inline struct slice
slice_str(const char *s)
{
	return s == NULL ? (struct slice){ "", 0 } : (struct slice){ s, strlen(s) };
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

static inline bool
slice_starts(struct slice a, struct slice with)
{
	return a.n >= with.n && (with.n == 0 || memcmp(a.p, with.p, with.n) == 0);
}

/* <0, 0, >0: byte by byte, a shorter text before a longer one. */
static inline int
slice_compare(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int    r = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

/* What is left behind the first `n` bytes; `n` must not exceed the length. */
static inline struct slice
slice_from(struct slice a, size_t n)
{
	return (struct slice){ a.p + n, a.n - n };
}

/* ASCII only, whatever the locale: for protocol tokens. */
static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool
slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

#endif
