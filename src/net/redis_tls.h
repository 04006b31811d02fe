/*
 * TLS to Redis, where hiredis brings it: redis_tls.c, else redis_tls_none.c.
 */
#ifndef NET_REDIS_TLS_H
#define NET_REDIS_TLS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

struct redis_tls;

bool redis_tls_works(void);
/* The system's certificates are trusted. NULL if OpenSSL cannot. */
struct redis_tls *redis_tls_new(void);
/* NULL in, NULL out. */
struct redis_tls *redis_tls_free(struct redis_tls *);
/* From here on the connection is encrypted, and `host` must be who the certificate says. 0 or -EIO. */
int redis_tls_start(struct redis_tls *, redisContext *, const char *host);
/* What TLS has against the connection that ends; `otherwise` if nothing. */
const char *redis_tls_why(const struct redis_tls *, const char *otherwise);

#endif
