/*
 * No TLS to Redis, as this hiredis has none: redis_url_parse() refuses rediss://.
 */
#include <errno.h>
#include <stddef.h>

#include "net/redis_tls.h"

bool
redis_tls_works(void)
{
	return false;
}

struct redis_tls *
redis_tls_new(void)
{
	return NULL;
}

struct redis_tls *
redis_tls_free(struct redis_tls *t)
{
	return NULL;
}

int
redis_tls_start(struct redis_tls *t, redisContext *c, const char *host)
{
	return -EIO;
}

const char *
redis_tls_why(const struct redis_tls *t, const char *otherwise)
{
	return otherwise;
}
