/*
 * Tokens verified lately, by their full text: when all clients come back at once, they cost no signatures.
 * The oldest go first.
 */
#ifndef AUTH_AUTH_CACHE_H
#define AUTH_AUTH_CACHE_H

#include "auth/claims.h"
#include "base/list.h"
#include "base/map.h"
#include "session/identity.h"

/* An entry is in the map and in the list, or not at all. */
struct auth_cache {
	struct map	 by_token;
	struct list	 by_age;	/* the oldest first */
	size_t		 bytes;		/* of token text held */
	size_t		 max_bytes;
	unsigned	 max;		/* entries; 0 = the cache is off */
};

/* What was found out about one token. */
struct auth_cached {
	struct list		 in_age;
	struct claims_times	 times;
	struct identity		*who;	/* our reference */
	size_t			 n;
	char			 token[];
};

void auth_cache_init(struct auth_cache *, unsigned max);
void auth_cache_done(struct auth_cache *);
/* NULL if the token is not known. The entry is good until the next call that changes the cache. */
struct auth_cached *auth_cache_get(const struct auth_cache *, struct slice token);
/* The token must not be there yet. Takes a reference of its own. */
void auth_cache_put(struct auth_cache *, struct slice token, const struct claims_times *, struct identity *);
void auth_cache_drop(struct auth_cache *, struct auth_cached *);

#endif
