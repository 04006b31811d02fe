/*
 * Linear probing: an item sits in the first free place at or behind its hash's own, and a removal closes the
 * gap again, so there are no tombstones and a search ends at the first free place. Hashes are stored: growing
 * never asks for a key.
 */
#include "base/map.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/mem.h"

#define CAP_MIN 8

struct map_entry {
	void	*item;	/* NULL = free */
	uint32_t hash;
};

static inline uint64_t
rotate_left(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate_left(v[1], 13) ^ v[0];
	v[3] = rotate_left(v[3], 16) ^ v[2];
	v[0] = rotate_left(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate_left(v[1], 17) ^ v[2];
	v[3] = rotate_left(v[3], 21) ^ v[0];
	v[2] = rotate_left(v[2], 32);
}

static inline void
sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* n <= 8 octets as a little-endian word, filled up with zeros. */
static inline uint64_t
load_le(const uint8_t *p, size_t n)
{
	uint64_t word = 0;

	memcpy(&word, p, n);
	return le64toh(word);
}

uint64_t
siphash13(const uint8_t key[16], const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	const size_t   whole = n - n % 8;
	const uint64_t k0 = load_le(key, 8), k1 = load_le(key + 8, 8);
	uint64_t       last = (uint64_t)n << 56;
	uint64_t       v[4] = {
		k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573
	};

	for (size_t i = 0; i < whole; i += 8)
		sip_word(v, load_le(p + i, 8));
	if (n > whole)
		last |= load_le(p + whole, n - whole);
	sip_word(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
hash_bytes(struct slice s)
{
	static uint8_t key[16];
	static bool    keyed;

	if (!keyed) {
		id_random(key, sizeof(key));
		keyed = true;
	}
	return siphash13(key, s.p, s.n);
}

void
map_init(struct map *m, struct slice (*key)(const void *item))
{
	*m = (struct map){ .key = key };
}

void
map_done(struct map *m)
{
	free(m->entries);
	map_init(m, m->key);
}

/* The place of `key`, or the free place where it would go. The table must have a free place. */
static struct map_entry *
map_find(const struct map *m, struct slice key, uint32_t hash)
{
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_entry *e = &m->entries[i];

		if (e->item == NULL || (e->hash == hash && slice_eq(m->key(e->item), key)))
			return e;
	}
}

static void
map_resize(struct map *m, size_t cap)
{
	struct map_entry *entries = xcalloc(cap, sizeof(*entries));

	for (size_t i = 0; i < m->cap; i++) {
		size_t to = m->entries[i].hash & (cap - 1);

		if (m->entries[i].item == NULL)
			continue;
		while (entries[to].item != NULL)
			to = (to + 1) & (cap - 1);
		entries[to] = m->entries[i];
	}
	free(m->entries);
	m->entries = entries;
	m->cap = cap;
}

void *
map_get(const struct map *m, struct slice key)
{
	if (m->n == 0)
		return NULL;
	return map_find(m, key, (uint32_t)hash_bytes(key))->item;
}

void
map_put(struct map *m, void *item)
{
	struct slice	  key = m->key(item);
	uint32_t	  hash = (uint32_t)hash_bytes(key);
	struct map_entry *e;

	if (m->n >= m->cap / 4 * 3)
		map_resize(m, m->cap > 0 ? m->cap * 2 : CAP_MIN);
	e = map_find(m, key, hash);
	assert(e->item == NULL);
	*e = (struct map_entry){ item, hash };
	m->n++;
}

/* Frees the place and moves up those behind it that would no longer be found. */
static void
map_close_gap(struct map *m, size_t gap)
{
	const size_t mask = m->cap - 1;

	for (size_t i = (gap + 1) & mask; m->entries[i].item != NULL; i = (i + 1) & mask) {
		size_t from_home = (i - m->entries[i].hash) & mask;

		if (from_home < ((i - gap) & mask))
			continue;
		m->entries[gap] = m->entries[i];
		gap = i;
	}
	m->entries[gap] = (struct map_entry){ 0 };
}

void *
map_del(struct map *m, struct slice key)
{
	struct map_entry *e;
	void		 *item;

	if (m->n == 0)
		return NULL;
	e = map_find(m, key, (uint32_t)hash_bytes(key));
	item = e->item;
	if (item == NULL)
		return NULL;
	map_close_gap(m, (size_t)(e - m->entries));
	m->n--;
	if (m->cap > CAP_MIN && m->n < m->cap / 8)
		map_resize(m, m->cap / 2);
	return item;
}

void *
map_next(const struct map *m, size_t *at)
{
	while (*at < m->cap) {
		void *item = m->entries[(*at)++].item;

		if (item != NULL)
			return item;
	}
	return NULL;
}
