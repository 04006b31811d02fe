/*
 * Minting of tokens: for the development server, which prints one, for the control tool and for tests.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdint.h>

#include "base/slice.h"

/*
 * A compact JWT under HS256: user_id and sub (unless `user` is NULL), iat and exp, and the members of
 * `extra_claims_json`, the text of a JSON object or NULL, which take precedence. The caller frees it. NULL
 * when the secret is empty, the user is not UTF-8, the extra claims are not an object, or the token would be
 * longer than auth_verify() takes.
 */
char *token_mint_hs256(struct slice secret, const char *user, int64_t iat, int64_t exp,
    const char *extra_claims_json);

#endif
