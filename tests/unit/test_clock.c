/*
 * The clocks, and stamps made of them.
 */
#include <check.h>
#include <time.h>

#include "base/clock.h"

Suite *clock_suite(void);

START_TEST(monotonic_does_not_go_back)
{
	uint64_t before = clock_ms();

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now = clock_ms();

		ck_assert_uint_ge(now, before);
		before = now;
	}
}
END_TEST

START_TEST(wall_is_the_time_of_day)
{
	int64_t before = (int64_t)time(NULL), now = wall_ms();

	/* time() may read a coarser clock that lags by a tick. */
	ck_assert_int_ge(now / 1000, before);
	ck_assert_int_le(now / 1000, (int64_t)time(NULL) + 1);
}
END_TEST

static const struct {
	int64_t	    wall;
	const char *iso;
} stamps[] = {
	{ 0, "1970-01-01T00:00:00.000Z" },
	{ 1, "1970-01-01T00:00:00.001Z" },
	{ 1767326645678, "2026-01-02T04:04:05.678Z" },
	{ 951782399999, "2000-02-28T23:59:59.999Z" },
	{ 951782400000, "2000-02-29T00:00:00.000Z" },
	{ 4107542399000, "2100-02-28T23:59:59.000Z" },
	{ 4107542400000, "2100-03-01T00:00:00.000Z" },
	{ INT64_C(2147483648) * 1000, "2038-01-19T03:14:08.000Z" },
	{ -1, "1969-12-31T23:59:59.999Z" },
	{ -1000, "1969-12-31T23:59:59.000Z" },
	{ INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
	{ INT64_C(253402300800000), "9999-12-31T23:59:59.999Z" },
	{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
	{ -INT64_C(62167219200000), "0000-01-01T00:00:00.000Z" },
	{ INT64_MIN, "0000-01-01T00:00:00.000Z" },
};

START_TEST(iso)
{
	char out[CLOCK_ISO_LEN];

	ck_assert_str_eq(clock_iso(stamps[_i].wall, out), stamps[_i].iso);
}
END_TEST

Suite *
clock_suite(void)
{
	Suite *s = suite_create("clock");
	TCase *tc = tcase_create("clock");

	tcase_add_test(tc, monotonic_does_not_go_back);
	tcase_add_test(tc, wall_is_the_time_of_day);
	tcase_add_loop_test(tc, iso, 0, sizeof(stamps) / sizeof(stamps[0]));
	suite_add_tcase(s, tc);
	return s;
}
