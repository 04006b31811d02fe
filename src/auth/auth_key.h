/*
 * The keys of tokens, read and judged once: each comes out with the one algorithm that it is good for.
 */
#ifndef AUTH_AUTH_KEY_H
#define AUTH_AUTH_KEY_H

#include <jwt.h>

#include "auth/auth.h"

/* The algorithm of exactly that name; JWT_ALG_INVAL for "none" and whatever we do not know. */
jwt_alg_t auth_alg(struct slice name);
/* "algorithm ... does not match the key" */
const char *auth_alg_mismatch(jwt_alg_t);

/* A public key is never a secret: `alg` is HS* exactly when `bytes` is a secret. */
struct auth_key {
	char		*kid;	/* "" = for tokens without one */
	jwt_alg_t	 alg;
	struct slice	 bytes;	/* as libjwt takes it: the secret, or the public key in PEM; ours */
};

/*
 * Fills *key; auth_key_done() it even after a failure. Returns 0, or -EINVAL with *why (caller frees) naming
 * the key and the reason.
 */
int auth_key_read(struct auth_key *key, const struct auth_key_options *, bool weak_secrets, char **why);
/* Wipes the bytes. */
void auth_key_done(struct auth_key *);

#endif
