/*
 * Tokens made with libjwt's encoder.
 */
#include "auth/token.h"

#include <jwt.h>
#include <limits.h>
#include <stdlib.h>

#include "auth/auth.h"

static void
token_autofree(jwt_t **jwt)
{
	jwt_free(*jwt);
}

/* Returns 0 or an errno of libjwt's. */
static int
token_fill(jwt_t *jwt, const char *user, int64_t iat, int64_t exp, const char *extra)
{
	int r = 0;

	/* Clients of the documents read the first of them out of their token, others the second. */
	if (user != NULL)
		r = jwt_add_grant(jwt, "user_id", user);
	if (r == 0 && user != NULL)
		r = jwt_add_grant(jwt, "sub", user);
	if (r == 0)
		r = jwt_add_grant_int(jwt, "iat", iat);
	if (r == 0)
		r = jwt_add_grant_int(jwt, "exp", exp);
	if (r == 0 && extra != NULL)
		r = jwt_add_grants_json(jwt, extra);
	return r;
}

/* No longer than auth_verify() takes; the encoder works on the stack, so what goes in is bounded too. */
static bool
token_fits(const char *s)
{
	return s == NULL || strlen(s) <= AUTH_MAX_TOKEN;
}

char *
token_mint_hs256(struct slice secret, const char *user, int64_t iat, int64_t exp, const char *extra)
{
	jwt_t *jwt __attribute__((cleanup(token_autofree))) = NULL;
	char  *token;

	if (secret.n == 0 || secret.n > INT_MAX || !token_fits(user) || !token_fits(extra))
		return NULL;
	if (jwt_new(&jwt) != 0)
		return NULL;
	if (jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret.p, (int)secret.n) != 0)
		return NULL;
	if (token_fill(jwt, user, iat, exp, extra) != 0)
		return NULL;
	token = jwt_encode_str(jwt);
	if (token_fits(token))
		return token;
	free(token);
	return NULL;
}
