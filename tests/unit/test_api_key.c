/*
 * The key of the HTTP API: the files that are taken, and the comparison.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "api/api_key.h"

Suite *api_key_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))
#define KEY "0123456789abcdef"

static char path[] = "/tmp/roost-api-key-XXXXXX";

static void
keep(struct slice text, mode_t mode)
{
	int fd;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text.p, text.n), (ssize_t)text.n);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

START_TEST(nothing_is_let_in_without_one)
{
	struct api_key k = { 0 };

	ck_assert(!api_key_is(&k, SLICE("")));
	ck_assert(!api_key_is(&k, SLICE(KEY)));
}
END_TEST

START_TEST(only_the_key_is_let_in)
{
	struct api_key k = { 0 };

	api_key_set(&k, SLICE(KEY));
	ck_assert(api_key_is(&k, SLICE(KEY)));
	ck_assert(!api_key_is(&k, SLICE(KEY "g")));
	ck_assert(!api_key_is(&k, SLICE("0123456789abcdeg")));
	ck_assert(!api_key_is(&k, SLICE("")));
}
END_TEST

static const struct {
	struct slice text;
	mode_t	     mode;
	const char  *fault;
} files[] = {
	{ SLICE(KEY "\n"), 0600, NULL },
	{ SLICE(KEY), 0400, NULL },
	{ SLICE(KEY "\n"), 0640, "readable by others (mode 0640)" },
	{ SLICE(KEY "\n"), 0604, "readable by others (mode 0604)" },
	{ SLICE("0123456789abcde\n"), 0600, "expected one line" },
	{ SLICE(""), 0600, "expected one line" },
	{ SLICE(KEY "\n\n"), 0600, "expected one line" },
	{ SLICE(KEY " x\n"), 0600, "expected one line" },
	{ SLICE(KEY "\0x\n"), 0600, "expected one line" },
	{ SLICE(KEY "\xc3\xa9\n"), 0600, "expected one line" },
};

START_TEST(a_file_is_judged)
{
	struct api_key k = { 0 };
	autofree char *why = NULL;
	int	       r;

	keep(files[_i].text, files[_i].mode);
	r = api_key_read(&k, path, &why);
	unlink(path);
	ck_assert_int_eq(r, files[_i].fault == NULL ? 0 : -EINVAL);
	ck_assert_int_eq(api_key_is(&k, SLICE(KEY)), r == 0);
	if (files[_i].fault != NULL)
		ck_assert_msg(strstr(why, files[_i].fault) != NULL, "%s", why);
}
END_TEST

START_TEST(a_missing_file_is_named)
{
	struct api_key k = { 0 };
	autofree char *why = NULL;

	ck_assert_int_eq(api_key_read(&k, "/nowhere/key", &why), -EINVAL);
	ck_assert_str_eq(why, "admin.api_key_file: /nowhere/key: No such file or directory");
	ck_assert(!k.set);
}
END_TEST

Suite *
api_key_suite(void)
{
	Suite *s = suite_create("api_key");
	TCase *tc = tcase_create("key");

	tcase_add_test(tc, nothing_is_let_in_without_one);
	tcase_add_test(tc, only_the_key_is_let_in);
	LOOP(tc, a_file_is_judged, files);
	tcase_add_test(tc, a_missing_file_is_named);
	suite_add_tcase(s, tc);
	return s;
}
