/*
 * A byte buffer that grows: for composing text, and for what arrives in pieces. Allocation does not fail: see
 * roost-module(3).
 */
#ifndef ROOST_BUF_H
#define ROOST_BUF_H

#include <roost/slice.h>

/* p[0..n) is used, cap allocated; all zero is a valid empty buffer. We own p. */
struct buf {
	char	*p;
	size_t	 n;
	size_t	 cap;
};

/* Frees the bytes and empties the buffer, which may then be used again. */
ROOST_API void buf_done(struct buf *);
/* Makes room for `more` bytes behind the used ones; returns where they go. The caller adds to n what it wrote. */
ROOST_API char *buf_room(struct buf *, size_t more);
ROOST_API void buf_add(struct buf *, const void *, size_t);
ROOST_API void buf_add_slice(struct buf *, struct slice);
ROOST_API void buf_add_str(struct buf *, const char *);
ROOST_API void buf_add_char(struct buf *, char);
ROOST_API void buf_addf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull(2)));

static inline struct slice
buf_slice(const struct buf *b)
{
	return (struct slice){ b->p != NULL ? b->p : "", b->n };
}

#define autobuf __attribute__((cleanup(buf_done)))

#endif
