/*
 * The counters' exposition: three lines each, in the list's order, none left out.
 */
#include <check.h>

#include "base/stats.h"

Suite *stats_suite(void);

START_TEST(starts_at_zero)
{
	const struct stats zero = { 0 };

	ck_assert_ptr_nonnull(stats);
	ck_assert_int_eq(memcmp(stats, &zero, sizeof(zero)), 0);
}
END_TEST

START_TEST(exposes_all)
{
	struct stats	   s = { .connections = 12, .accepted_total = UINT64_MAX };
	autobuf struct buf out = { 0 };
	unsigned	   lines = 0;

	stats_expose(&s, &out);
	for (size_t i = 0; i < out.n; i++)
		lines += out.p[i] == '\n';
	ck_assert_uint_eq(lines, 3 * sizeof(s) / sizeof(uint64_t));
	ck_assert_int_eq(out.p[out.n - 1], '\n');
	buf_add_char(&out, '\0');
	ck_assert_ptr_eq(strstr(out.p, "# HELP roost_connections open client connections\n"
	    "# TYPE roost_connections gauge\n"
	    "roost_connections 12\n"
	    "# HELP roost_websockets "), out.p);
	ck_assert_ptr_nonnull(strstr(out.p, "\n# HELP roost_accepted_total connections accepted\n"
	    "# TYPE roost_accepted_total counter\n"
	    "roost_accepted_total 18446744073709551615\n"));
	ck_assert_ptr_nonnull(strstr(out.p, "\nroost_topics 0\n"));
}
END_TEST

START_TEST(adds_to_what_is_there)
{
	struct stats	   s = { 0 };
	autobuf struct buf out = { 0 };

	buf_add_str(&out, "before\n");
	stats_expose(&s, &out);
	ck_assert(slice_starts(buf_slice(&out), SLICE("before\n# HELP roost_")));
}
END_TEST

/* Prometheus' rule for names, and ours for kinds: what only grows ends in _total. */
START_TEST(names_follow_the_rules)
{
	static const struct {
		const char *name, *type, *help;
	} rows[] = {
#define X(name, type, help) { #name, #type, help },
		STATS(X)
#undef X
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].name);
		bool   total = n > 6 && strcmp(rows[i].name + n - 6, "_total") == 0;

		if (total)
			ck_assert_str_eq(rows[i].type, "counter");
		else
			ck_assert(strcmp(rows[i].type, "gauge") == 0 || strcmp(rows[i].type, "level") == 0);
		ck_assert_uint_eq(strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz_0123456789"), n);
		ck_assert_ptr_null(strpbrk(rows[i].help, "\\\n"));
	}
}
END_TEST

START_TEST(workers_are_added_up)
{
	struct stats	   sum = { 0 }, a = { .channels = 3, .joins_total = 5, .loop_lag_ms = 9 };
	struct stats	   b = { .channels = 4, .joins_total = 6, .loop_lag_ms = 2 };
	autobuf struct buf out = { 0 };

	stats_merge(&sum, &a);
	stats_merge(&sum, &b);
	ck_assert_uint_eq(sum.channels, 7);
	ck_assert_uint_eq(sum.joins_total, 11);
	ck_assert_uint_eq(sum.loop_lag_ms, 9);
	stats_expose(&sum, &out);
	buf_add_char(&out, '\0');
	ck_assert_ptr_nonnull(strstr(out.p, "# TYPE roost_loop_lag_ms gauge\nroost_loop_lag_ms 9\n"));
}
END_TEST

Suite *
stats_suite(void)
{
	Suite *s = suite_create("stats");
	TCase *tc = tcase_create("stats");

	tcase_add_test(tc, starts_at_zero);
	tcase_add_test(tc, exposes_all);
	tcase_add_test(tc, adds_to_what_is_there);
	tcase_add_test(tc, names_follow_the_rules);
	tcase_add_test(tc, workers_are_added_up);
	suite_add_tcase(s, tc);
	return s;
}
