/*
 * The hash: the reference's vectors. The table: against a plain array, at random, through growth and shrinking.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

Suite *map_suite(void);

struct thing {
	char	name[24];
	size_t	n;
	bool	in;	/* what the model says */
	bool	seen;
};

static struct slice
thing_key(const void *item)
{
	const struct thing *t = item;

	return slice(t->name, t->n);
}

static void
thing_name(struct thing *t, unsigned i)
{
	*t = (struct thing){ .n = 0 };
	t->n = (size_t)snprintf(t->name, sizeof(t->name), "room:%u", i);
}

/* Octets 0, 1, 2 … under the key 0, 1, 2 … 15: published with the algorithm. */
static const struct {
	size_t	 n;
	uint64_t hash;
} vectors[] = {
	{ 0, 0xabac0158050fc4dc },
	{ 1, 0xc9f49bf37d57ca93 },
	{ 7, 0xd3927d989bb11140 },
	{ 8, 0x369095118d299a8e },
	{ 12, 0x78a384b157b4d9a2 },
	{ 15, 0xd320d86d2a519956 },
	{ 16, 0xcc4fdd1a7d908b66 },
	{ 31, 0x2370dd1f8c21d1bc },
	{ 32, 0x81157b6c16a7b60d },
	{ 63, 0x9d199062b7bbb3a8 },
};

START_TEST(siphash_vectors)
{
	uint8_t bytes[64];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	ck_assert_uint_eq(siphash13(bytes, bytes, vectors[_i].n), vectors[_i].hash);
}
END_TEST

START_TEST(hash_is_keyed)
{
	const uint8_t zero[16] = { 0 };

	ck_assert_uint_eq(hash_bytes(SLICE("lobby")), hash_bytes(SLICE("lobby")));
	ck_assert_uint_ne(hash_bytes(SLICE("lobby")), hash_bytes(SLICE("lobbz")));
	ck_assert_uint_ne(hash_bytes(SLICE("lobby")), siphash13(zero, "lobby", 5));
	ck_assert_uint_eq(hash_bytes(slice(NULL, 0)), hash_bytes(SLICE("")));
}
END_TEST

START_TEST(empty_map)
{
	struct map m;
	size_t	   at = 0;

	map_init(&m, thing_key);
	ck_assert_ptr_null(map_get(&m, SLICE("a")));
	ck_assert_ptr_null(map_del(&m, SLICE("a")));
	ck_assert_ptr_null(map_next(&m, &at));
	ck_assert_uint_eq(m.cap, 0);
	map_done(&m);
}
END_TEST

START_TEST(keys_are_bytes)
{
	struct thing a = { "a\0b", 3, false, false }, b = { "a\0c", 3, false, false }, none = { "", 0, false, false };
	struct map   m;

	map_init(&m, thing_key);
	map_put(&m, &a);
	map_put(&m, &b);
	map_put(&m, &none);
	ck_assert_ptr_eq(map_get(&m, SLICE("a\0b")), &a);
	ck_assert_ptr_eq(map_get(&m, SLICE("a\0c")), &b);
	ck_assert_ptr_eq(map_get(&m, slice(NULL, 0)), &none);
	ck_assert_ptr_null(map_get(&m, SLICE("a")));
	ck_assert_ptr_null(map_get(&m, SLICE("A\0b")));
	map_done(&m);
	ck_assert_uint_eq(m.n, 0);
	ck_assert_ptr_null(map_get(&m, SLICE("a\0b")));
	map_put(&m, &a);
	ck_assert_ptr_eq(map_get(&m, SLICE("a\0b")), &a);
	map_done(&m);
}
END_TEST

START_TEST(equal_keys_are_refused)
{
	struct thing a, b;
	struct map   m;

	thing_name(&a, 1);
	thing_name(&b, 1);
	map_init(&m, thing_key);
	map_put(&m, &a);
	map_put(&m, &b);
}
END_TEST

#define N_THINGS 3000

static void
agree(const struct map *m, struct thing *things)
{
	size_t	      at = 0, n = 0;
	struct thing *t;

	for (unsigned i = 0; i < N_THINGS; i++) {
		ck_assert_ptr_eq(map_get(m, thing_key(&things[i])), things[i].in ? &things[i] : NULL);
		things[i].seen = false;
		n += things[i].in;
	}
	ck_assert_uint_eq(m->n, n);
	while ((t = map_next(m, &at)) != NULL) {
		ck_assert(t->in && !t->seen);
		t->seen = true;
		n--;
	}
	ck_assert_uint_eq(n, 0);
}

/* The share of things that are in goes up and down with _i, so that the table grows and shrinks. */
START_TEST(agrees_with_a_plain_array)
{
	static const unsigned  share[] = { 10, 90, 50, 99, 2, 70, 0 };
	autofree struct thing *things = xcalloc(N_THINGS, sizeof(*things));
	uint64_t	       random = 88172645463325252 + (uint64_t)_i;
	struct map	       m;

	map_init(&m, thing_key);
	for (unsigned i = 0; i < N_THINGS; i++)
		thing_name(&things[i], i);
	for (unsigned phase = 0; phase < sizeof(share) / sizeof(share[0]); phase++) {
		for (unsigned i = 0; i < 5 * N_THINGS; i++) {
			struct thing *t = &things[(random >> 8) % N_THINGS];
			bool	      in = random % 100 < share[phase];

			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			if (in && !t->in)
				map_put(&m, t);
			else if (!in)
				ck_assert_ptr_eq(map_del(&m, thing_key(t)), t->in ? t : NULL);
			t->in = in;
			ck_assert_uint_le(m.n, m.cap / 4 * 3);
		}
		agree(&m, things);
	}
	ck_assert_uint_lt(m.cap, 8 * (m.n + 8));
	map_done(&m);
}
END_TEST

/* Every place of a small table is once the one where a run of entries crosses the end. */
START_TEST(gaps_close_across_the_end)
{
	struct thing things[6];
	struct map   m;

	map_init(&m, thing_key);
	for (unsigned round = 0; round < 5000; round++) {
		for (unsigned i = 0; i < 6; i++) {
			thing_name(&things[i], round * 6 + i);
			map_put(&m, &things[i]);
		}
		ck_assert_uint_eq(m.cap, 8);
		for (unsigned i = 0; i < 6; i++) {
			ck_assert_ptr_eq(map_del(&m, thing_key(&things[i])), &things[i]);
			for (unsigned j = 0; j < 6; j++)
				ck_assert_ptr_eq(map_get(&m, thing_key(&things[j])), j > i ? &things[j] : NULL);
		}
	}
	map_done(&m);
}
END_TEST

Suite *
map_suite(void)
{
	Suite *s = suite_create("map");
	TCase *tc = tcase_create("map");

	tcase_add_loop_test(tc, siphash_vectors, 0, sizeof(vectors) / sizeof(vectors[0]));
	tcase_add_test(tc, hash_is_keyed);
	tcase_add_test(tc, empty_map);
	tcase_add_test(tc, keys_are_bytes);
	tcase_add_test_raise_signal(tc, equal_keys_are_refused, SIGABRT);
	tcase_add_loop_test(tc, agrees_with_a_plain_array, 0, 3);
	tcase_add_test(tc, gaps_close_across_the_end);
	suite_add_tcase(s, tc);
	return s;
}
