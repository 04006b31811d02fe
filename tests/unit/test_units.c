/*
 * Numbers with units: what is read, what is refused, and that what we write reads back.
 */
#include <check.h>
#include <errno.h>

#include "base/units.h"

Suite *units_suite(void);

#define UNTOUCHED UINT64_C(0xdeadbeef)

static const struct {
	const char *in;
	int	    r;
	bool	    value;
} bools[] = {
	{ "yes", 0, true }, { "no", 0, false }, { "true", 0, true }, { "false", 0, false }, { "on", 0, true },
	{ "off", 0, false }, { "1", 0, true }, { "0", 0, false }, { "True", 0, true }, { "OFF", 0, false },
	{ "", -EINVAL, false }, { "2", -EINVAL, false }, { "y", -EINVAL, false }, { "yes ", -EINVAL, false },
	{ " no", -EINVAL, false }, { "01", -EINVAL, false }, { "nope", -EINVAL, false },
};

START_TEST(reads_bool)
{
	bool value = !bools[_i].value;

	ck_assert_int_eq(units_bool(bools[_i].in, &value), bools[_i].r);
	ck_assert_int_eq(value, bools[_i].r == 0 ? bools[_i].value : !bools[_i].value);
}
END_TEST

struct row {
	const char *in;
	int	    r;
	uint64_t    value;
};

static void
check_row(int (*read)(const char *, uint64_t *), const struct row *row)
{
	uint64_t value = UNTOUCHED;

	ck_assert_msg(read(row->in, &value) == row->r, "\"%s\"", row->in);
	ck_assert_uint_eq(value, row->r == 0 ? row->value : UNTOUCHED);
}

static const struct row numbers[] = {
	{ "0", 0, 0 }, { "1", 0, 1 }, { "007", 0, 7 }, { "4294967296", 0, 4294967296 },
	{ "18446744073709551615", 0, UINT64_MAX },
	{ "18446744073709551616", -ERANGE, 0 }, { "99999999999999999999999", -ERANGE, 0 },
	{ "36893488147419103232", -ERANGE, 0 },
	{ "", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "+1", -EINVAL, 0 }, { " 1", -EINVAL, 0 }, { "1 ", -EINVAL, 0 },
	{ "1.0", -EINVAL, 0 }, { "0x10", -EINVAL, 0 }, { "1k", -EINVAL, 0 }, { "99999999999999999999999x", -EINVAL, 0 },
};

START_TEST(reads_number)
{
	check_row(units_number, &numbers[_i]);
}
END_TEST

static const struct row sizes[] = {
	{ "0", 0, 0 }, { "0g", 0, 0 }, { "512", 0, 512 }, { "64k", 0, 65536 }, { "64K", 0, 65536 }, { "1m", 0, 1048576 },
	{ "2g", 0, 2147483648 }, { "2G", 0, 2147483648 }, { "1KiB", 0, 1024 }, { "3MiB", 0, 3145728 },
	{ "4GiB", 0, 4294967296 }, { "5kb", 0, 5120 }, { "5KB", 0, 5120 }, { "6mb", 0, 6291456 }, { "1gb", 0, 1073741824 },
	{ "17179869183g", 0, UINT64_MAX - 1073741823 },
	{ "17179869184g", -ERANGE, 0 }, { "18446744073709551616", -ERANGE, 0 }, { "18446744073709551615k", -ERANGE, 0 },
	{ "", -EINVAL, 0 }, { "k", -EINVAL, 0 }, { "1 k", -EINVAL, 0 }, { "1.5k", -EINVAL, 0 }, { "-1k", -EINVAL, 0 },
	{ "1t", -EINVAL, 0 }, { "1ki", -EINVAL, 0 }, { "1b", -EINVAL, 0 }, { "1kk", -EINVAL, 0 }, { "1k ", -EINVAL, 0 },
	{ "10s", -EINVAL, 0 }, { "17179869184gg", -EINVAL, 0 },
};

START_TEST(reads_size)
{
	check_row(units_size, &sizes[_i]);
}
END_TEST

static const struct row durations[] = {
	{ "0", 0, 0 }, { "0ms", 0, 0 }, { "500ms", 0, 500 }, { "10s", 0, 10000 }, { "10", 0, 10000 }, { "5m", 0, 300000 },
	{ "2h", 0, 7200000 }, { "7d", 0, 604800000 }, { "10S", 0, 10000 }, { "18446744073709551615ms", 0, UINT64_MAX },
	{ "18446744073709551s", 0, UINT64_C(18446744073709551000) },
	{ "18446744073709552s", -ERANGE, 0 }, { "18446744073709552", -ERANGE, 0 }, { "213503982335d", -ERANGE, 0 },
	{ "", -EINVAL, 0 }, { "s", -EINVAL, 0 }, { "10 s", -EINVAL, 0 }, { "1.5s", -EINVAL, 0 }, { "-1s", -EINVAL, 0 },
	{ "1w", -EINVAL, 0 }, { "1min", -EINVAL, 0 }, { "1m30s", -EINVAL, 0 }, { "64k", -EINVAL, 0 },
};

START_TEST(reads_duration)
{
	check_row(units_duration, &durations[_i]);
}
END_TEST

static const struct {
	const char *in;
	int	    r;
	uint32_t    count;
	uint64_t    period_ms;
} rates[] = {
	{ "30/60s", 0, 30, 60000 }, { "1/s", 0, 1, 1000 }, { "100/s", 0, 100, 1000 }, { "5/m", 0, 5, 60000 },
	{ "0/s", 0, 0, 1000 }, { "30/60", 0, 30, 60000 }, { "7/500ms", 0, 7, 500 }, { "4294967295/1d", 0, UINT32_MAX, 86400000 },
	{ "4294967296/s", -ERANGE, 0, 0 }, { "99999999999999999999/s", -ERANGE, 0, 0 }, { "1/18446744073709552s", -ERANGE, 0, 0 },
	{ "", -EINVAL, 0, 0 }, { "/", -EINVAL, 0, 0 }, { "1/", -EINVAL, 0, 0 }, { "/s", -EINVAL, 0, 0 }, { "5", -EINVAL, 0, 0 },
	{ "1/0s", -EINVAL, 0, 0 }, { "1/0", -EINVAL, 0, 0 }, { "1/s ", -EINVAL, 0, 0 }, { "1 /s", -EINVAL, 0, 0 },
	{ "1//s", -EINVAL, 0, 0 }, { "1/-1s", -EINVAL, 0, 0 }, { "1k/s", -EINVAL, 0, 0 }, { "-1/s", -EINVAL, 0, 0 },
	{ "99999999999999999999/x", -EINVAL, 0, 0 },
};

START_TEST(reads_rate)
{
	struct rate rate = { 77, UNTOUCHED };

	ck_assert_int_eq(units_rate(rates[_i].in, &rate), rates[_i].r);
	ck_assert_uint_eq(rate.count, rates[_i].r == 0 ? rates[_i].count : 77);
	ck_assert_uint_eq(rate.period_ms, rates[_i].r == 0 ? rates[_i].period_ms : UNTOUCHED);
}
END_TEST

static const struct {
	uint64_t    value;
	const char *size, *duration;
} texts[] = {
	{ 0, "0", "0" }, { 1, "1", "1ms" }, { 500, "500", "500ms" }, { 1000, "1000", "1s" }, { 1024, "1k", "1024ms" },
	{ 1500, "1500", "1500ms" }, { 60000, "60000", "1m" }, { 65536, "64k", "65536ms" }, { 90000, "90000", "90s" },
	{ 1048576, "1m", "1048576ms" }, { 1073741824, "1g", "1073741824ms" }, { 3600000, "3600000", "1h" },
	{ 129600000, "129600000", "36h" }, { 604800000, "590625k", "7d" },
	{ UINT64_MAX, "18446744073709551615", "18446744073709551615ms" },
};

START_TEST(writes_the_shortest)
{
	char out[32];

	ck_assert_str_eq(units_size_text(texts[_i].value, out, sizeof(out)), texts[_i].size);
	ck_assert_str_eq(units_duration_text(texts[_i].value, out, sizeof(out)), texts[_i].duration);
}
END_TEST

START_TEST(reads_what_it_writes)
{
	uint64_t value = 88172645463325252, back;
	char	 out[32];

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t v = value >> (i % 64);

		value ^= value << 13;
		value ^= value >> 7;
		value ^= value << 17;
		if (i % 3 == 0)
			v &= ~UINT64_C(0xfffff);
		ck_assert(units_size(units_size_text(v, out, sizeof(out)), &back) == 0 && back == v);
		if (i % 3 == 0)
			v -= v % 60000;
		ck_assert(units_duration(units_duration_text(v, out, sizeof(out)), &back) == 0 && back == v);
	}
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
units_suite(void)
{
	Suite *s = suite_create("units");
	TCase *tc = tcase_create("units");

	tcase_add_loop_test(tc, reads_bool, 0, ROWS(bools));
	tcase_add_loop_test(tc, reads_number, 0, ROWS(numbers));
	tcase_add_loop_test(tc, reads_size, 0, ROWS(sizes));
	tcase_add_loop_test(tc, reads_duration, 0, ROWS(durations));
	tcase_add_loop_test(tc, reads_rate, 0, ROWS(rates));
	tcase_add_loop_test(tc, writes_the_shortest, 0, ROWS(texts));
	tcase_add_test(tc, reads_what_it_writes);
	suite_add_tcase(s, tc);
	return s;
}
