/*
 * Commands as Redis reads them.
 */
#ifndef NET_REDIS_RESP_H
#define NET_REDIS_RESP_H

#include "base/buf.h"

/* A command of `n` words follows, each by resp_word(). */
static inline void
resp_begin(struct buf *out, size_t n)
{
	buf_addf(out, "*%zu\r\n", n);
}

static inline void
resp_word(struct buf *out, struct slice word)
{
	buf_addf(out, "$%zu\r\n", word.n);
	buf_add_slice(out, word);
	buf_add(out, "\r\n", 2);
}

#endif
