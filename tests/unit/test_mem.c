/*
 * Allocation: sizes of nothing, and the reserve that is given up once before we die.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <sys/resource.h>

#include "base/mem.h"

Suite *mem_suite(void);

START_TEST(nothing_is_something)
{
	autofree char *a = xmalloc(0);
	autofree char *b = xcalloc(0, 8);
	autofree char *c = xrealloc(NULL, 0);

	ck_assert(a != NULL && b != NULL && c != NULL);
	a = xrealloc(a, 0);
	ck_assert_ptr_nonnull(a);
}
END_TEST

START_TEST(copies)
{
	autofree char *all = xstrdup("text");
	autofree char *some = xstrndup("text", 2);
	autofree char *none = xstrndup(NULL, 0);
	autofree char *made = xasprintf("%s-%d", "text", 7);
	autofree char *long_one = xasprintf("%2000d", 7);

	ck_assert_str_eq(all, "text");
	ck_assert_str_eq(some, "te");
	ck_assert_str_eq(none, "");
	ck_assert_str_eq(made, "text-7");
	ck_assert_uint_eq(strlen(long_one), 2000);
}
END_TEST

START_TEST(zeroed)
{
	static const char zero[1000];
	autofree char	 *p = xcalloc(10, 100);

	ck_assert_int_eq(memcmp(p, zero, sizeof(zero)), 0);
}
END_TEST

START_TEST(the_reserve_is_restored)
{
	ck_assert(!mem_is_short());
	mem_reserve(1 << 20);
	mem_reserve(1 << 16);
	ck_assert(!mem_is_short());
	mem_reserve(0);
	ck_assert(!mem_is_short());
}
END_TEST

#define MIB ((size_t)1 << 20)

/* There if the address sanitizer is, which has its own allocator and limits. */
extern void __asan_init(void) __attribute__((weak));

/* Lets this process have `more` bytes of address space beyond what it has. */
static void
limit_memory(size_t more)
{
	struct rlimit limit;
	FILE	     *f = fopen("/proc/self/statm", "r");
	unsigned long pages;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + more;
	setrlimit(RLIMIT_AS, &limit);
}

static void
unlimit_memory(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_AS, &limit);
}

START_TEST(the_reserve_is_given_up_once)
{
	char *p = NULL;

	if (__asan_init != NULL)
		return;
	mem_reserve(64 * MIB);
	limit_memory(8 * MIB);
	switch (_i) {
	case 0:
		p = xmalloc(32 * MIB);
		break;
	case 1:
		p = xcalloc(32, MIB);
		break;
	case 2:
		p = xrealloc(xstrdup("kept"), 32 * MIB);
		ck_assert_str_eq(p, "kept");
	}
	ck_assert(mem_is_short());
	memset(p, 'x', 32 * MIB);
	unlimit_memory();
	mem_reserve(MIB);
	ck_assert(!mem_is_short());
	mem_reserve(0);
	free(p);
}
END_TEST

START_TEST(dies_when_the_reserve_is_not_enough)
{
	if (__asan_init != NULL)
		exit(EX_OSERR);
	mem_reserve(16 * MIB);
	limit_memory(8 * MIB);
	free(xmalloc(64 * MIB));
}
END_TEST

Suite *
mem_suite(void)
{
	Suite *s = suite_create("mem");
	TCase *tc = tcase_create("mem");

	tcase_add_test(tc, nothing_is_something);
	tcase_add_test(tc, copies);
	tcase_add_test(tc, zeroed);
	tcase_add_test(tc, the_reserve_is_restored);
	tcase_add_loop_test(tc, the_reserve_is_given_up_once, 0, 3);
	tcase_add_exit_test(tc, dies_when_the_reserve_is_not_enough, EX_OSERR);
	suite_add_tcase(s, tc);
	return s;
}
