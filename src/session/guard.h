/*
 * Who may join a route's topics: the `allow` entries of the configuration, any of which suffices.
 *
 *	user				a client with a user
 *	anyone				everybody
 *	claim NAME = VALUE		the token's claim is that text, number or boolean
 *	claim NAME contains VALUE	it is a list that has it, or a text with words that has it
 *	claim NAME			it is there, and neither false nor null
 *
 * NAME may go into objects ("app.role"). VALUE is the rest of the line, in which {capture} stands for what the pattern's capture
 * stood for and {user} for the user. Pure: text in, verdict out.
 */
#ifndef SESSION_GUARD_H
#define SESSION_GUARD_H

#include <stdbool.h>

#include "base/slice.h"

struct guard;

/* What an entry is looked at with; borrowed. */
struct guard_case {
	const char	*pattern;	/* of the route */
	struct slice	topic;
	struct slice	user;		/* empty = anonymous */
	struct slice	claims;		/* JSON object text */
};

/* NULL with *why (caller frees): an entry is malformed, or names a capture that the pattern has not. Entries end with NULL. */
struct guard *guard_new(const char *pattern, const char *const *entries, char **why);
/* NULL in, NULL out. */
struct guard *guard_free(struct guard *);
bool guard_allows(const struct guard *, const struct guard_case *);

#endif
