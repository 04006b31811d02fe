/*
 * Words of commands and of answers, for those who speak to Redis.
 */
#ifndef NET_REDIS_WORDS_H
#define NET_REDIS_WORDS_H

#include <inttypes.h>
#include <stdio.h>

#include "net/redis.h"

/* A number as an argument. */
struct redis_number {
	char text[24];
};

/* Decimal digits, in *n. */
static inline struct slice
redis_number(struct redis_number *n, uint64_t value)
{
	return slice(n->text, (size_t)snprintf(n->text, sizeof(n->text), "%" PRIu64, value));
}

/* An answer's text, borrowed; empty if it is none. */
static inline struct slice
redis_text(const struct redisReply *r)
{
	if (r == NULL || (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS))
		return SLICE("");
	return slice(r->str, r->len);
}

/* NULL, where there is no connection, is none. */
static inline bool
redis_is_array(const struct redisReply *r)
{
	return r != NULL && r->type == REDIS_REPLY_ARRAY;
}

#endif
