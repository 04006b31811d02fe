/*
 * Query strings and paths.
 */
#include <check.h>
#include <errno.h>

#include "net/url.h"

Suite *url_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

static const struct {
	const char *query, *name;
	int	    want;
	const char *value;
} params[] = {
	{ "vsn=2.0.0", "vsn", 1, "2.0.0" },
	{ "a=1&vsn=2.0.0&b=2", "vsn", 1, "2.0.0" },
	{ "", "vsn", 0, NULL },
	{ "&&", "vsn", 0, NULL },
	{ "a=vsn", "vsn", 0, NULL },
	{ "vs=1&vsnn=2&VSN=3", "vsn", 0, NULL },
	{ "vsn=2.0.0&vsn=1.0.0", "vsn", 1, "1.0.0" },
	{ "vsn=2.0.0&vsn", "vsn", 1, "" },
	{ "a=1&&b=2&", "b", 1, "2" },
	{ "a=1&&b=2&", "a", 1, "1" },
	{ "a=", "a", 1, "" },
	{ "a", "a", 1, "" },
	{ "a=b=c", "a", 1, "b=c" },
	{ "a=b?c/d", "a", 1, "b?c/d" },
	{ "=x&a=y", "", 1, "x" },
	{ "user%5Bid%5D=1", "user[id]", 1, "1" },
	{ "user[id]=1", "user[id]", 1, "1" },
	{ "%61=1", "a", 1, "1" },
	{ "a+b=c+d", "a b", 1, "c d" },
	{ "a=%2B+%20%26%3d", "a", 1, "+  &=" },
	{ "a=%e2%82%AC", "a", 1, "\xe2\x82\xac" },
	{ "a=%", "a", 1, "%" },
	{ "a=%4", "a", 1, "%4" },
	{ "a=%zz%4g%g4%41", "a", 1, "%zz%4g%g4A" },
	{ "a=%%341", "a", 1, "%41" },
	{ "a=1%0d%0aX", "a", 1, "1\r\nX" },
	{ "a=%ff", "a", -EILSEQ, NULL },
	{ "a=%c0%af", "a", -EILSEQ, NULL },
	{ "a=%ed%a0%80", "a", -EILSEQ, NULL },
	{ "a=%ff&a=ok", "a", 1, "ok" },
	{ "a=%ff&b=ok", "b", 1, "ok" },
	{ "%ff=1&a=ok", "a", 1, "ok" },
	{ "a;b=1", "b", 0, NULL },
};

START_TEST(param_is_found)
{
	autobuf struct buf out = { 0 };

	buf_add_str(&out, "before");
	ck_assert_int_eq(url_param(slice_str(params[_i].query), params[_i].name, &out), params[_i].want);
	if (params[_i].want == 1)
		ck_assert(slice_is(buf_slice(&out), params[_i].value));
}
END_TEST

START_TEST(param_may_hold_nul)
{
	autobuf struct buf out = { 0 };

	ck_assert_int_eq(url_param(SLICE("a=b%00c"), "a", &out), 1);
	ck_assert(slice_eq(buf_slice(&out), SLICE("b\0c")));
}
END_TEST

static const struct {
	const char *query, *want;
	int	    end;
} walks[] = {
	{ "", "", 0 },
	{ "&", "", 0 },
	{ "a=1", "a=1;", 0 },
	{ "token=x&&token=%79&b&=c&", "token=x;token=y;b=;=c;", 0 },
	{ "a=1&b=%ff&c=2", "a=1;", -EILSEQ },
	{ "a=1&%ff=b&c=2", "a=1;", -EILSEQ },
};

START_TEST(params_are_walked)
{
	autobuf struct buf name = { 0 }, value = { 0 }, got = { 0 };
	size_t		   at = 0;
	int		   r;

	while ((r = url_next_param(slice_str(walks[_i].query), &at, &name, &value)) == 1)
		buf_addf(&got, "%.*s=%.*s;", SLICE_ARG(buf_slice(&name)), SLICE_ARG(buf_slice(&value)));
	ck_assert_int_eq(r, walks[_i].end);
	ck_assert(slice_is(buf_slice(&got), walks[_i].want));
}
END_TEST

START_TEST(walk_goes_on_behind_a_bad_pair)
{
	autobuf struct buf name = { 0 }, value = { 0 };
	size_t		   at = 0;

	ck_assert_int_eq(url_next_param(SLICE("a=%ff&b=c"), &at, &name, &value), -EILSEQ);
	ck_assert_int_eq(url_next_param(SLICE("a=%ff&b=c"), &at, &name, &value), 1);
	ck_assert(slice_is(buf_slice(&name), "b"));
	ck_assert_int_eq(url_next_param(SLICE("a=%ff&b=c"), &at, &name, &value), 0);
}
END_TEST

static const struct {
	const char *path, *want;	/* NULL = -EINVAL */
} paths[] = {
	{ "/", "/" },
	{ "", "" },
	{ "/a/b.js", "/a/b.js" },
	{ "/a+b", "/a+b" },
	{ "/%41%7e%e2%82%ac", "/A~\xe2\x82\xac" },
	{ "/%2e%2E/x", "/../x" },
	{ "/%252e", "/%2e" },
	{ "/%2f", NULL },
	{ "/a%2Fb", NULL },
	{ "/%5c", NULL },
	{ "/a\\b", NULL },
	{ "/%00", NULL },
	{ "/a%", NULL },
	{ "/a%4", NULL },
	{ "/a%zz", NULL },
};

START_TEST(path_is_decoded)
{
	autobuf struct buf out = { 0 };
	int		   r;

	buf_add_str(&out, "before");
	r = url_decode_path(slice_str(paths[_i].path), &out);
	ck_assert_int_eq(r, paths[_i].want != NULL ? 0 : -EINVAL);
	if (r == 0)
		ck_assert(slice_is(buf_slice(&out), paths[_i].want));
}
END_TEST

static const struct {
	const char *path, *pattern;
	bool	    want;
} matches[] = {
	{ "/socket/websocket", "/socket/websocket", true },
	{ "/socket//websocket/", "/socket/websocket", true },
	{ "//socket/websocket", "/socket/websocket/", true },
	{ "/", "/", true },
	{ "", "/", true },
	{ "///", "", true },
	{ "/socket", "/socket/websocket", false },
	{ "/socket/websocket/x", "/socket/websocket", false },
	{ "/socket/websockets", "/socket/websocket", false },
	{ "/socke/t/websocket", "/socket/websocket", false },
	{ "/Socket/websocket", "/socket/websocket", false },
	{ "/socket/../socket/websocket", "/socket/websocket", false },
	{ "/", "/socket", false },
	{ "/socket", "/", false },
};

START_TEST(path_matches)
{
	ck_assert_int_eq(url_path_is(slice_str(matches[_i].path), matches[_i].pattern), matches[_i].want);
}
END_TEST

static const struct {
	const char  *segment;
	int	     result;
	struct slice text;
} segments[] = {
	{ "", 0, SLICE("") },
	{ "room:a", 0, SLICE("room:a") },
	{ "room%3Aa%2fb%5C", 0, SLICE("room:a/b\\") },
	{ "a+b%20", 0, SLICE("a+b ") },
	{ "%C3%A9%00", 0, SLICE("\xc3\xa9\0") },
	{ "%", -EINVAL, SLICE("") },
	{ "a%2", -EINVAL, SLICE("") },
	{ "%zz", -EINVAL, SLICE("") },
	{ "%ff", -EINVAL, SLICE("") },
};

START_TEST(decodes_a_segment)
{
	autobuf struct buf out = { 0 };

	buf_add_str(&out, "rubbish");
	ck_assert_int_eq(url_decode_segment(slice_str(segments[_i].segment), &out), segments[_i].result);
	if (segments[_i].result == 0)
		ck_assert(slice_eq(buf_slice(&out), segments[_i].text));
}
END_TEST

Suite *
url_suite(void)
{
	Suite *s = suite_create("url");
	TCase *tc = tcase_create("url");

	LOOP(tc, param_is_found, params);
	tcase_add_test(tc, param_may_hold_nul);
	LOOP(tc, params_are_walked, walks);
	tcase_add_test(tc, walk_goes_on_behind_a_bad_pair);
	LOOP(tc, path_is_decoded, paths);
	LOOP(tc, decodes_a_segment, segments);
	LOOP(tc, path_matches, matches);
	suite_add_tcase(s, tc);
	return s;
}
