/*
 * The key of the HTTP API: read, and compared.
 */
#include "api/api_key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/secret.h"

#define KEY_MIN	16
#define KEY_MAX	1024

static void
digest_of(struct slice key, uint8_t *digest)
{
	SHA256((const unsigned char *)key.p, key.n, digest);
}

void
api_key_set(struct api_key *k, struct slice key)
{
	k->set = true;
	digest_of(key, k->digest);
}

static bool
is_key(struct slice key)
{
	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] <= ' ' || key.p[i] > '~')
			return false;
	return key.n >= KEY_MIN && key.n <= KEY_MAX;
}

int
api_key_read(struct api_key *k, const char *file, char **why)
{
	struct secret	s __attribute__((cleanup(secret_done)));
	autofree char  *fault = NULL;
	int		r = secret_read_hidden(&s, file, &fault);

	if (r == 0 && !is_key(slice(s.p, secret_line_len(&s)))) {
		fault = xstrdup("expected one line of 16 to 1024 visible characters");
		r = -EINVAL;
	}
	if (r == 0)
		api_key_set(k, slice(s.p, secret_line_len(&s)));
	else
		*why = xasprintf("admin.api_key_file: %s: %s", file, fault);
	return r;
}

bool
api_key_is(const struct api_key *k, struct slice presented)
{
	uint8_t digest[sizeof(k->digest)];

	digest_of(presented, digest);
	return k->set && CRYPTO_memcmp(digest, k->digest, sizeof(digest)) == 0;
}
