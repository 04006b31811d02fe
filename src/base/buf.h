/*
 * A byte buffer that grows: for composing text, and for messages that arrive in pieces.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

/* p[0..n) is used, cap allocated; all zero is a valid empty buffer. We own p. */
struct buf {
	char	*p;
	size_t	 n;
	size_t	 cap;
};

/* Frees the bytes and empties the buffer, which may then be used again. */
void buf_done(struct buf *);
/* Makes room for `more` bytes behind the used ones; returns where they go. The caller adds to n what it wrote. */
char *buf_room(struct buf *, size_t more);
void buf_add(struct buf *, const void *, size_t);
void buf_add_slice(struct buf *, struct slice);
void buf_add_str(struct buf *, const char *);
void buf_add_char(struct buf *, char);
void buf_addf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull(2)));

static inline struct slice
buf_slice(const struct buf *b)
{
	return (struct slice){ b->p != NULL ? b->p : "", b->n };
}

#define autobuf __attribute__((cleanup(buf_done)))

#endif
