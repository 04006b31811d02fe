/*
 * Takes a token apart, chooses the key, has libjwt verify the signature, and reads the claims. libjwt 1
 * believes the token about the algorithm and takes no notice of time, so both are settled here.
 */
#include "auth/auth.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "auth/auth_cache.h"
#include "auth/auth_key.h"
#include "auth/jws.h"
#include "base/mem.h"

#define SPAN_MAX	(INT64_MAX / 8)	/* ms: as good as for ever, and sums do not overflow */

/* No two keys have the same kid. */
struct auth {
	struct auth_key		*keys;
	unsigned		 n_keys;
	char			*issuer;	/* "" = any */
	char			*audience;	/* the same */
	struct claims_clock	 clock;
	struct auth_cache	 cache;
};

static int64_t
span(uint64_t ms)
{
	return ms < (uint64_t)SPAN_MAX ? (int64_t)ms : SPAN_MAX;
}

static struct auth_key *
key_with_kid(const struct auth *a, struct slice kid)
{
	for (unsigned i = 0; i < a->n_keys; i++)
		if (slice_is(kid, a->keys[i].kid))
			return &a->keys[i];
	return NULL;
}

static int
read_keys(struct auth *a, const struct auth_options *o, char **why)
{
	for (unsigned i = 0; i < o->n_keys; i++) {
		struct auth_key *key = &a->keys[a->n_keys];
		int		 r = auth_key_read(key, &o->keys[i], o->weak_secrets, why);

		if (r == 0 && key_with_kid(a, slice_str(key->kid)) != NULL) {
			*why = xasprintf("token key \"%s\": there are two of that kid", key->kid);
			r = -EEXIST;
		}
		a->n_keys++;
		if (r < 0)
			return r;
	}
	return 0;
}

struct auth *
auth_new(const struct auth_options *o, char **why)
{
	struct auth *a = xmalloc(sizeof(*a));

	*a = (struct auth){
		.keys = xcalloc(o->n_keys, sizeof(*a->keys)),
		.issuer = xstrdup(o->issuer != NULL ? o->issuer : ""),
		.audience = xstrdup(o->audience != NULL ? o->audience : ""),
		.clock.leeway = span(o->leeway_ms),
		/* In whole seconds, as iat and the end of an identity are. */
		.clock.max_age = (span(o->max_age_ms) + 999) / 1000 * 1000,
	};
	auth_cache_init(&a->cache, o->cache);
	return read_keys(a, o, why) == 0 ? a : auth_free(a);
}

struct auth *
auth_free(struct auth *a)
{
	if (a == NULL)
		return NULL;
	auth_cache_done(&a->cache);
	for (unsigned i = 0; i < a->n_keys; i++)
		auth_key_done(&a->keys[i]);
	free(a->keys);
	free(a->issuer);
	free(a->audience);
	free(a);
	return NULL;
}

/* The key that the token asks for. A single key answers for tokens that name none; without a kid, for any. */
static const struct auth_key *
choose_key(const struct auth *a, struct slice kid)
{
	const struct auth_key *key = key_with_kid(a, kid);

	if (key == NULL && a->n_keys == 1 && (kid.n == 0 || a->keys[0].kid[0] == '\0'))
		key = &a->keys[0];
	return key;
}

/* libjwt's verdict. It knows the algorithm from the token alone, hence the second look at it. */
static bool
is_signed_by(struct slice token, const struct auth_key *key)
{
	char	 text[AUTH_MAX_TOKEN + 1];
	jwt_t	*jwt;
	bool	 is;

	memcpy(text, token.p, token.n);
	text[token.n] = '\0';
	is = jwt_decode(&jwt, text, (const unsigned char *)key->bytes.p, (int)key->bytes.n) == 0;
	if (is) {
		is = jwt_get_alg(jwt) == key->alg;
		jwt_free(jwt);
	}
	/* TLS on this thread must not find what failed here. */
	ERR_clear_error();
	return is;
}

/* Returns NULL, or why not. */
static const char *
check_signature(const struct auth *a, const struct jws *j, struct slice token)
{
	const struct auth_key *key = choose_key(a, j->kid);
	jwt_alg_t	       alg = auth_alg(j->alg);

	if (key == NULL)
		return "unknown kid";
	if (alg != key->alg)
		return auth_alg_mismatch(alg);
	if (!j->is_signed)
		return "malformed token";
	return is_signed_by(token, key) ? NULL : "bad signature";
}

/* The second from which on the token is too old, by exp or by its age; leeway not included. */
static int64_t
end_of_validity(const struct auth *a, const struct claims_times *t)
{
	int64_t aged = a->clock.max_age > 0 ? t->iat + a->clock.max_age / 1000 : INT64_MAX;

	return aged < t->exp ? aged : t->exp;
}

static const char *
verify_new(struct auth *a, struct slice token, int64_t now, struct identity **who)
{
	struct jws    j;
	struct claims c;
	const char   *why = jws_parse(&j, token);

	if (why == NULL)
		why = check_signature(a, &j, token);
	if (why == NULL)
		why = claims_read(&c, j.payload);
	if (why == NULL)
		why = claims_check_parties(&c, a->issuer, a->audience);
	if (why == NULL)
		why = claims_check_times(&c.times, &a->clock, now);
	if (why != NULL)
		return why;
	*who = identity_new(c.user, c.name, j.payload, end_of_validity(a, &c.times));
	auth_cache_put(&a->cache, token, &c.times, *who);
	return NULL;
}

static const char *
verify_known(struct auth *a, struct auth_cached *known, int64_t now, struct identity **who)
{
	const char *why = claims_check_times(&known->times, &a->clock, now);

	if (why == NULL)
		*who = identity_ref(known->who);
	else
		auth_cache_drop(&a->cache, known);
	return why;
}

int
auth_verify(struct auth *a, struct slice token, int64_t now, struct identity **who, const char **why)
{
	struct auth_cached *known = NULL;
	const char	   *refusal;

	if (token.n <= AUTH_MAX_TOKEN)
		known = auth_cache_get(&a->cache, token);
	refusal = known != NULL ? verify_known(a, known, now, who) : verify_new(a, token, now, who);
	if (refusal == NULL)
		return 0;
	*why = refusal;
	return -EACCES;
}
