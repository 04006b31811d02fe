/*
 * The cache is bounded twice: by entries, and by the bytes of their tokens, as a client chooses how long a
 * token is (within what its issuer signs).
 */
#include "auth/auth_cache.h"

#include <stdlib.h>

#define BYTES_PER_ENTRY	2048	/* on average; common tokens have 200 to 1500 */

static struct slice
cached_token(const void *item)
{
	const struct auth_cached *c = item;

	return slice(c->token, c->n);
}

void
auth_cache_init(struct auth_cache *cache, unsigned max)
{
	*cache = (struct auth_cache){ .max = max, .max_bytes = (size_t)max * BYTES_PER_ENTRY };
	map_init(&cache->by_token, cached_token);
	list_init(&cache->by_age);
}

void
auth_cache_drop(struct auth_cache *cache, struct auth_cached *c)
{
	map_del(&cache->by_token, cached_token(c));
	list_remove(&c->in_age);
	cache->bytes -= c->n;
	identity_unref(c->who);
	explicit_bzero(c->token, c->n);
	free(c);
}

static void
drop_oldest(struct auth_cache *cache)
{
	auth_cache_drop(cache, list_entry(cache->by_age.next, struct auth_cached, in_age));
}

void
auth_cache_done(struct auth_cache *cache)
{
	while (!list_empty(&cache->by_age))
		drop_oldest(cache);
	map_done(&cache->by_token);
}

struct auth_cached *
auth_cache_get(const struct auth_cache *cache, struct slice token)
{
	return cache->max > 0 ? map_get(&cache->by_token, token) : NULL;
}

void
auth_cache_put(struct auth_cache *cache, struct slice token, const struct claims_times *times,
    struct identity *who)
{
	struct auth_cached *c;

	if (cache->max == 0 || token.n > cache->max_bytes)
		return;
	while (cache->by_token.n >= cache->max || cache->bytes + token.n > cache->max_bytes)
		drop_oldest(cache);
	c = xmalloc(sizeof(*c) + token.n);
	*c = (struct auth_cached){ .times = *times, .who = identity_ref(who), .n = token.n };
	memcpy(c->token, token.p, token.n);
	map_put(&cache->by_token, c);
	list_append(&cache->by_age, &c->in_age);
	cache->bytes += token.n;
}
