/*
 * Randomness: of any length, and ids that are well-formed and differ.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/id.h"
#include "base/mem.h"

Suite *id_suite(void);

/* Beyond 256 octets, getrandom() may be interrupted or give less than asked for. */
START_TEST(fills_all_and_no_more)
{
	const size_t	  n = (size_t)1 << _i;
	autofree uint8_t *p = xcalloc(n + 1, 1);
	bool		  touched = false;

	for (unsigned i = 0; i < 8 && !touched; i++) {
		id_random(p, n);
		touched = p[n - 1] != 0;
		ck_assert_int_eq(p[n], 0);
	}
	ck_assert(touched);
	id_random(p + n, 0);
	ck_assert_int_eq(p[n], 0);
}
END_TEST

#define N_IDS 2000

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

START_TEST(ids_are_well_formed_and_differ)
{
	static char ids[N_IDS][ID_LEN + 1];
	uint8_t	    bytes[32];

	for (unsigned i = 0; i < N_IDS; i++) {
		ck_assert_ptr_eq(id_new(ids[i]), ids[i]);
		ck_assert_uint_eq(strlen(ids[i]), ID_LEN);
		ck_assert_int_eq(b64_decode(B64_URL, slice_str(ids[i]), bytes), 16);
	}
	qsort(ids, N_IDS, sizeof(ids[0]), compare);
	for (unsigned i = 1; i < N_IDS; i++)
		ck_assert_str_ne(ids[i - 1], ids[i]);
}
END_TEST

Suite *
id_suite(void)
{
	Suite *s = suite_create("id");
	TCase *tc = tcase_create("id");

	tcase_add_loop_test(tc, fills_all_and_no_more, 0, 18);
	tcase_add_test(tc, ids_are_well_formed_and_differ);
	suite_add_tcase(s, tc);
	return s;
}
