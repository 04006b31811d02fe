/*
 * Counts by name.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>

#include "server/census.h"

Suite *census_suite(void);

static struct census census;

static void
set_up(void)
{
	census_init(&census);
}

static void
tear_down(void)
{
	census_done(&census);
}

START_TEST(one_may_have_so_many)
{
	ck_assert(census_enter(&census, SLICE("a"), 2));
	ck_assert(census_enter(&census, SLICE("a"), 2));
	ck_assert(!census_enter(&census, SLICE("a"), 2));
	ck_assert(census_enter(&census, SLICE("b"), 2));
	census_leave(&census, SLICE("a"));
	ck_assert(census_enter(&census, SLICE("a"), 2));
	ck_assert(!census_enter(&census, SLICE("a"), 2));
}
END_TEST

START_TEST(no_limit_counts_too)
{
	for (int i = 0; i < 1000; i++)
		ck_assert(census_enter(&census, SLICE("a"), 0));
	/* A limit that comes later finds them. */
	ck_assert(!census_enter(&census, SLICE("a"), 1000));
	ck_assert(census_enter(&census, SLICE("a"), 1001));
}
END_TEST

/* A limit that is lowered under a count lets nobody in until enough have left. */
START_TEST(limit_may_sink)
{
	for (int i = 0; i < 3; i++)
		ck_assert(census_enter(&census, SLICE("a"), 3));
	ck_assert(!census_enter(&census, SLICE("a"), 1));
	census_leave(&census, SLICE("a"));
	census_leave(&census, SLICE("a"));
	ck_assert(!census_enter(&census, SLICE("a"), 1));
	census_leave(&census, SLICE("a"));
	ck_assert(census_enter(&census, SLICE("a"), 1));
}
END_TEST

START_TEST(who_has_left_is_forgotten)
{
	char name[16];

	for (int i = 0; i < 10000; i++) {
		int n = snprintf(name, sizeof(name), "%d", i);

		ck_assert(census_enter(&census, slice(name, (size_t)n), 1));
		ck_assert(!census_enter(&census, slice(name, (size_t)n), 1));
		census_leave(&census, slice(name, (size_t)n));
	}
	ck_assert_uint_eq(census.heads.n, 0);
}
END_TEST

START_TEST(names_are_octets)
{
	char		   text[] = "a\0b";
	const struct slice name = slice(text, 3);

	ck_assert(census_enter(&census, name, 1));
	ck_assert(census_enter(&census, SLICE("a"), 1));
	ck_assert(census_enter(&census, SLICE(""), 1));
	/* The name was copied. */
	text[0] = 'x';
	ck_assert(!census_enter(&census, slice("a\0b", 3), 1));
	census_leave(&census, slice("a\0b", 3));
}
END_TEST

START_TEST(a_stranger_cannot_leave)
{
	census_leave(&census, SLICE("a"));
}
END_TEST

Suite *
census_suite(void)
{
	Suite *s = suite_create("census");
	TCase *tc = tcase_create("census");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, one_may_have_so_many);
	tcase_add_test(tc, no_limit_counts_too);
	tcase_add_test(tc, limit_may_sink);
	tcase_add_test(tc, who_has_left_is_forgotten);
	tcase_add_test(tc, names_are_octets);
	tcase_add_test_raise_signal(tc, a_stranger_cannot_leave, SIGABRT);
	suite_add_tcase(s, tc);
	return s;
}
