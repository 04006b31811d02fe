/*
 * A hash table from byte strings to items. An item holds its own key, so an entry costs 16 bytes. Keys are
 * hashed with SipHash-1-3 under a random key of this process: client-chosen names cannot be made to collide.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdint.h>

#include "base/slice.h"

struct map_entry;

/* Open addressing, load at most 3/4; no two items with equal keys. */
struct map {
	struct map_entry *entries;
	size_t		  n;		/* items */
	size_t		  cap;		/* a power of two, or 0 */
	struct slice	(*key)(const void *item);
};

/* `key` gives an item's key, borrowed from the item, the same as long as the item is in the map. */
void map_init(struct map *, struct slice (*key)(const void *item));
/* Frees the table, not the items. */
void map_done(struct map *);
void *map_get(const struct map *, struct slice key);
/* The item must not be there yet (asserted). */
void map_put(struct map *, void *item);
/* Returns the item that was removed, or NULL. */
void *map_del(struct map *, struct slice key);
/* Walks all items in no order: start with *at = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *, size_t *at);

/* SipHash-1-3 (Aumasson, Bernstein) under this process' random key. */
uint64_t hash_bytes(struct slice);
/* The same under a given 16-octet key: for test vectors. */
uint64_t siphash13(const uint8_t key[16], const void *, size_t n);

#endif
