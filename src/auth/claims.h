/*
 * What a verified token claims (RFC 7519, 4.1): read strictly, and judged against the configuration and the
 * clock.
 */
#ifndef AUTH_CLAIMS_H
#define AUTH_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define CLAIM_NAME_MAX	128	/* bytes of a user's id or name */

/* Whole seconds since 1970. */
struct claims_times {
	int64_t		exp;
	int64_t		nbf;		/* 0 = always */
	int64_t		iat;		/* -1 = not told */
};

/* Slices borrow the payload or point into the arrays: not to be copied. */
struct claims {
	struct claims_times times;
	struct slice	user;
	struct slice	name;
	struct slice	iss;		/* raw JSON; p == NULL if it is not there */
	struct slice	aud;		/* the same */
	char		user_text[CLAIM_NAME_MAX];
	char		name_text[CLAIM_NAME_MAX];
};

/* In ms. */
struct claims_clock {
	int64_t		leeway;
	int64_t		max_age;	/* 0 = any */
};

/* All return NULL, or why the token is refused: a static text. */

/* Fills *c. `payload` is the text of a JSON object in valid UTF-8. Other claims may say what they like. */
const char *claims_read(struct claims *c, struct slice payload);
/* Checks iss and aud against what is expected; NULL or "" = anything will do. */
const char *claims_check_parties(const struct claims *, const char *issuer, const char *audience);
/* Checks the times at wall time `now` (ms). */
const char *claims_check_times(const struct claims_times *, const struct claims_clock *, int64_t now);

#endif
