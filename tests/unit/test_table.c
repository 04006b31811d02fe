/*
 * Tables for a terminal.
 */
#include <check.h>
#include <stdlib.h>

#include "ctl/table.h"

Suite *table_suite(void);

static const struct table_column columns[] = { { "NAME", NULL, false }, { "N", NULL, true }, { "REST", NULL, false } };

static void
expect(const struct table *t, const char *text)
{
	char  *out = NULL;
	size_t n;
	FILE  *f = open_memstream(&out, &n);

	ck_assert_ptr_nonnull(f);
	table_print(t, f);
	fclose(f);
	ck_assert_str_eq(out, text);
	free(out);
}

START_TEST(an_empty_one_has_a_head)
{
	struct table t;

	table_init(&t, columns, 3);
	expect(&t, "NAME  N  REST\n");
	table_done(&t);
}
END_TEST

/* Numbers to the right, no blanks at the end, characters counted and not bytes, one line a row. */
START_TEST(columns_are_aligned)
{
	static const char *const cells[] = { "a", "7", "x", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "1234", "two\nlines" };
	struct table		 t;

	table_init(&t, columns, 3);
	for (unsigned i = 0; i < 6; i++)
		table_add(&t, slice_str(cells[i]));
	expect(&t, "NAME      N  REST\n"
		   "a         7  x\n"
		   "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9  1234  two\\x0alines\n");
	table_done(&t);
}
END_TEST

Suite *
table_suite(void)
{
	Suite *s = suite_create("table");
	TCase *tc = tcase_create("table");

	tcase_add_test(tc, an_empty_one_has_a_head);
	tcase_add_test(tc, columns_are_aligned);
	suite_add_tcase(s, tc);
	return s;
}
