/*
 * TLS to Redis by hiredis_ssl (hiredis 1.0 and later) and OpenSSL.
 */
#include "net/redis_tls.h"

#include <errno.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/addr.h"

struct redis_tls {
	SSL_CTX	*trust;
};

bool
redis_tls_works(void)
{
	return true;
}

struct redis_tls *
redis_tls_free(struct redis_tls *t)
{
	if (t == NULL)
		return NULL;
	SSL_CTX_free(t->trust);
	free(t);
	return NULL;
}

struct redis_tls *
redis_tls_new(void)
{
	struct redis_tls *t = xcalloc(1, sizeof(*t));

	t->trust = SSL_CTX_new(TLS_client_method());
	if (t->trust == NULL || SSL_CTX_set_default_verify_paths(t->trust) != 1 ||
	    SSL_CTX_set_min_proto_version(t->trust, TLS1_2_VERSION) != 1)
		return redis_tls_free(t);
	SSL_CTX_set_verify(t->trust, SSL_VERIFY_PEER, NULL);
	return t;
}

/* A certificate names a host or an address; only a host's name is told to the server (SNI). */
static bool
expect_host(SSL *ssl, const char *host)
{
	struct addr ip;

	if (addr_parse_ip(&ip, slice_str(host)) == 0)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int
redis_tls_start(struct redis_tls *t, redisContext *c, const char *host)
{
	SSL *ssl = t == NULL ? NULL : SSL_new(t->trust);

	/* hiredis takes it, if it succeeds. */
	if (ssl != NULL && expect_host(ssl, host) && redisInitiateSSL(c, ssl) == REDIS_OK)
		return 0;
	SSL_free(ssl);
	return -EIO;
}

/* hiredis has only errno, which says nothing of certificates. */
const char *
redis_tls_why(const struct redis_tls *t, const char *otherwise)
{
	unsigned long error = t == NULL ? 0 : ERR_peek_last_error();
	const char   *reason = error == 0 ? NULL : ERR_reason_error_string(error);

	return reason != NULL ? reason : otherwise;
}
