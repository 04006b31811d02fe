/*
 * Pages out of a folder that is made here, and what lies around it.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/pages.h"

Suite *pages_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

/* DIR/secret.txt lies outside of DIR/www. A name that ends in "/" is a folder. */
static const struct {
	const char *name;
	const char *text;
} files[] = {
	{ "secret.txt", "secret" },
	{ "www/", NULL },
	{ "www/index.html", "home" },
	{ "www/a.css", "css" },
	{ "www/a.js", "js" },
	{ "www/a.mjs", "mjs" },
	{ "www/a.json", "{}" },
	{ "www/a.svg", "svg" },
	{ "www/a.png", "png" },
	{ "www/a.ico", "ico" },
	{ "www/a.txt", "txt" },
	{ "www/noext", "none" },
	{ "www/.html", "hidden" },
	{ "www/a b.html", "blank" },
	{ "www/empty.html", "" },
	{ "www/two..dots.html", "dots" },
	{ "www/folder/", NULL },
	{ "www/folder/index.html", "inner" },
	{ "www/bare/", NULL },
	{ "www/.git/", NULL },
	{ "www/.git/config", "hidden" },
};

#define N_FILES (sizeof(files) / sizeof(files[0]))

static char	     dir[64];
static struct pages *pages;

static char *
name_of(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void
make(const char *name, const char *text)
{
	autofree char *path = name_of(name);
	FILE	      *f;

	if (text == NULL) {
		ck_assert_int_eq(mkdir(path, 0700), 0);
		return;
	}
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void
link_to(const char *target, const char *name)
{
	autofree char *path = name_of(name);

	ck_assert_int_eq(symlink(target, path), 0);
}

static const char *const links[] = { "www/out.html", "www/up", "www/in.html" };

static void
set_up(void)
{
	autofree char *folder = NULL, *fifo = NULL;
	int	       error;

	snprintf(dir, sizeof(dir), "/tmp/roost-pages-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (size_t i = 0; i < N_FILES; i++)
		make(files[i].name, files[i].text);
	link_to("../secret.txt", links[0]);
	link_to("..", links[1]);
	link_to("index.html", links[2]);
	fifo = name_of("www/pipe.html");
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	folder = name_of("www");
	pages = pages_open(folder, &error);
	ck_assert_ptr_nonnull(pages);
	ck_assert_int_eq(error, 0);
}

static void
drop(const char *name)
{
	autofree char *path = name_of(name);

	remove(path);
}

static void
tear_down(void)
{
	pages_free(pages);
	drop("www/pipe.html");
	drop("www/big.html");
	for (size_t i = 0; i < 3; i++)
		drop(links[i]);
	for (size_t i = N_FILES; i > 0; i--)
		drop(files[i - 1].name);
	ck_assert_int_eq(rmdir(dir), 0);
}

static const struct {
	const char *path;
	const char *text;
	const char *type;
} found[] = {
	{ "", "home", "text/html; charset=utf-8" },
	{ "index.html", "home", "text/html; charset=utf-8" },
	{ "folder/", "inner", "text/html; charset=utf-8" },
	{ "folder/index.html", "inner", "text/html; charset=utf-8" },
	{ "folder//index.html", "inner", "text/html; charset=utf-8" },
	{ "a.css", "css", "text/css; charset=utf-8" },
	{ "a.js", "js", "text/javascript; charset=utf-8" },
	{ "a.mjs", "mjs", "text/javascript; charset=utf-8" },
	{ "a.json", "{}", "application/json" },
	{ "a.svg", "svg", "image/svg+xml" },
	{ "a.png", "png", "image/png" },
	{ "a.ico", "ico", "image/x-icon" },
	{ "a.txt", "txt", "application/octet-stream" },
	{ "noext", "none", "application/octet-stream" },
	{ "a b.html", "blank", "text/html; charset=utf-8" },
	{ "empty.html", "", "text/html; charset=utf-8" },
	{ "two..dots.html", "dots", "text/html; charset=utf-8" },
};

START_TEST(page_is_found)
{
	autobuf struct buf out = { 0 };
	const char	  *type = NULL;

	/* What it held before goes. */
	buf_add_str(&out, "old");
	ck_assert_int_eq(pages_read(pages, slice_str(found[_i].path), &out, &type), 0);
	ck_assert(slice_is(buf_slice(&out), found[_i].text));
	ck_assert_str_eq(type, found[_i].type);
}
END_TEST

#define PATH(text) { text, sizeof(text) - 1 }

static const struct slice missing[] = {
	PATH("nowhere.html"), PATH("folder"), PATH("bare/"), PATH("bare"), PATH("index.html/"), PATH("/index.html"), PATH("/"),
	PATH("/etc/passwd"), PATH("../secret.txt"), PATH("folder/../../secret.txt"), PATH("folder/../index.html"), PATH(".."), PATH("."),
	PATH("./index.html"), PATH("folder/./index.html"), PATH("out.html"), PATH("up/secret.txt"), PATH("in.html"), PATH("up/"),
	PATH("pipe.html"), PATH(".html"), PATH(".git/config"), PATH("folder/.hidden"), PATH("index.html\0.css"), PATH("\0"),
	PATH("index.html "), PATH("..\\secret.txt"), PATH("/proc/self/cwd/index.html"),
};

START_TEST(page_is_not_there)
{
	autobuf struct buf out = { 0 };
	const char	  *type;

	ck_assert_int_eq(pages_read(pages, missing[_i], &out, &type), -ENOENT);
}
END_TEST

START_TEST(path_may_be_too_long)
{
	autobuf struct buf path = { 0 }, out = { 0 };
	const char	  *type;

	for (int i = 0; i < 5000; i++)
		buf_add_char(&path, 'a');
	ck_assert_int_eq(pages_read(pages, buf_slice(&path), &out, &type), -ENOENT);
}
END_TEST

START_TEST(page_may_be_big)
{
	autofree char	  *path = name_of("www/big.html");
	autobuf struct buf out = { 0 };
	const char	  *type;

	make("www/big.html", "");
	ck_assert_int_eq(truncate(path, 4 * 1024 * 1024), 0);
	ck_assert_int_eq(pages_read(pages, SLICE("big.html"), &out, &type), 0);
	ck_assert_uint_eq(out.n, 4 * 1024 * 1024);
	ck_assert_int_eq(truncate(path, 4 * 1024 * 1024 + 1), 0);
	ck_assert_int_eq(pages_read(pages, SLICE("big.html"), &out, &type), -ENOENT);
}
END_TEST

/* The folder is held: what takes its name later is not it. */
START_TEST(folder_is_held)
{
	autofree char	  *old = name_of("www"), *aside = name_of("aside");
	autobuf struct buf out = { 0 };
	const char	  *type;

	ck_assert_int_eq(rename(old, aside), 0);
	ck_assert_int_eq(pages_read(pages, SLICE("index.html"), &out, &type), 0);
	ck_assert_int_eq(rename(aside, old), 0);
}
END_TEST

START_TEST(folder_must_be_one)
{
	autofree char *file = name_of("secret.txt"), *nowhere = name_of("nowhere");
	int	       error = 0;

	ck_assert_ptr_null(pages_open(file, &error));
	ck_assert_int_eq(error, -ENOTDIR);
	ck_assert_ptr_null(pages_open(nowhere, &error));
	ck_assert_int_eq(error, -ENOENT);
	ck_assert_ptr_null(pages_free(NULL));
}
END_TEST

Suite *
pages_suite(void)
{
	Suite *s = suite_create("pages");
	TCase *tc = tcase_create("pages");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	LOOP(tc, page_is_found, found);
	LOOP(tc, page_is_not_there, missing);
	tcase_add_test(tc, path_may_be_too_long);
	tcase_add_test(tc, page_may_be_big);
	tcase_add_test(tc, folder_is_held);
	tcase_add_test(tc, folder_must_be_one);
	suite_add_tcase(s, tc);
	return s;
}
