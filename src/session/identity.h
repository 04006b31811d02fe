/*
 * Who a client is: what a verified token said. Shared by every connection and channel that presented the same
 * token.
 */
#ifndef SESSION_IDENTITY_H
#define SESSION_IDENTITY_H

#include <stdint.h>

#include "base/slice.h"

/* Immutable; one allocation holds the struct and its text. */
struct identity {
	uint32_t	refs;
	int64_t		expires;	/* seconds since 1970; the end of validity, leeway not included; INT64_MAX = never (anonymous) */
	struct slice	user;		/* claim user_id, else sub; empty = anonymous */
	struct slice	name;		/* claim username or name, else the user */
	struct slice	claims;		/* the token's payload: JSON object text */
};

/* Copies the text. Returns a reference. */
struct identity *identity_new(struct slice user, struct slice name, struct slice claims, int64_t expires);
struct identity *identity_ref(struct identity *);
/* Takes NULL, returns NULL. */
struct identity *identity_unref(struct identity *);

#endif
