/*
 * Tokens: JWT (RFC 7519) verified with libjwt under keys whose algorithm the configuration fixes; never the token.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "session/identity.h"

struct auth;

#define AUTH_MAX_TOKEN	8192	/* bytes; checked before anything is decoded */
#define AUTH_MAX_KID	128

/* One key as configured. */
struct auth_key_options {
	const char	*kid;		/* NULL or "" = the key for tokens without a kid (and for any kid if it is the only key) */
	const char	*file;		/* PEM public key or certificate, or the bytes of an HMAC secret (one trailing newline dropped) */
	const char	*secret;	/* instead of a file: from the environment, or the development secret */
	const char	*alg;		/* NULL or "": HS256 for a secret, RS256 for RSA, ES256/384/512 by the curve */
};

struct auth_options {
	const struct auth_key_options *keys;
	unsigned	n_keys;
	const char	*issuer;	/* NULL or "" = not checked */
	const char	*audience;	/* must be, or be in, the claim aud */
	uint64_t	 leeway_ms;	/* 30 s */
	uint64_t	 max_age_ms;	/* since iat; 0 = not checked (with it, iat is required) */
	bool		 weak_secrets;	/* --dev: HMAC secrets under 32 octets are taken */
	unsigned	 cache;		/* verified tokens remembered (1024; 0 = none), so that a reconnect storm costs no signatures */
};

/*
 * Reads the keys. NULL with *why (caller frees) naming key, file and reason: unreadable, readable by others
 * (a secret or private key with mode & 0077), shorter than 32 octets, unknown or unfit algorithm, a kid
 * twice. Keys are wiped when freed.
 */
struct auth *auth_new(const struct auth_options *, char **why);
struct auth *auth_free(struct auth *);
/*
 * Verifies a compact JWT at wall time `now` (ms). Returns 0 with a reference in *who; or -EACCES with *why, a
 * static text fit for the log ("algorithm none", "algorithm HS256 does not match the key", "unknown kid",
 * "bad signature", "expired", "not yet valid", "wrong issuer", "wrong audience", "too old", "no exp", "no
 * user", "malformed token", "token too long", "key named by the token" for jku, x5u, jwk, x5c, "critical
 * header", "unknown algorithm", "type is not JWT", "exp is not a time", "nbf is not a time", "iat is not a
 * time", "no iat", "unfit user"). The cache is keyed by a hash of the whole token and compared in full; `exp`
 * and `nbf` are checked on each use.
 */
int auth_verify(struct auth *, struct slice token, int64_t now, struct identity **who, const char **why);

#endif
