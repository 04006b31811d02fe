/*
 * The compact form of a signed token (RFC 7515) taken apart, strictly and before anything is verified. What
 * the header says is a question to our key table, never an instruction.
 */
#ifndef AUTH_JWS_H
#define AUTH_JWS_H

#include "auth/auth.h"

/* The slices point into the arrays: not to be copied. */
struct jws {
	struct slice	payload;	/* a JSON object: valid UTF-8, no blanks around it */
	struct slice	alg;
	struct slice	kid;		/* empty if the token names none */
	struct slice	typ;
	bool		is_signed;	/* there is something in its third part */
	char		alg_text[16];
	char		typ_text[16];
	char		kid_text[AUTH_MAX_KID];
	char		text[AUTH_MAX_TOKEN];
};

/*
 * Fills *j. Returns NULL, or why the token is refused, a static text. An algorithm "none" of any spelling,
 * headers that name keys and critical headers are refused here; an empty signature is not, so that the
 * caller can name a better reason.
 */
const char *jws_parse(struct jws *j, struct slice token);

#endif
