/*
 * URLs of Redis servers: what they mean, what they are without their secret, and what is none.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "net/redis.h"
#include "net/redis_tls.h"

Suite *redis_url_suite(void);

static const struct {
	const char	*url;
	const char	*host;
	unsigned	 port;
	unsigned	 db;
	const char	*user;
	const char	*password;
	const char	*text;		/* NULL = the same as the URL */
} good[] = {
	{ "redis://localhost", "localhost", 6379, 0, "", "", "redis://localhost:6379" },
	{ "redis://redis-1.example_x.org:7000", "redis-1.example_x.org", 7000, 0, "", "", NULL },
	{ "redis://h/", "h", 6379, 0, "", "", "redis://h:6379" },
	{ "redis://h/0", "h", 6379, 0, "", "", "redis://h:6379" },
	{ "redis://h:65535/15", "h", 65535, 15, "", "", NULL },
	{ "redis://h/2147483647", "h", 6379, 2147483647, "", "", "redis://h:6379/2147483647" },
	{ "redis://127.0.0.1:1", "127.0.0.1", 1, 0, "", "", NULL },
	{ "redis://[::1]", "::1", 6379, 0, "", "", "redis://[::1]:6379" },
	{ "redis://[2001:db8::1]:7000/3", "2001:db8::1", 7000, 3, "", "", NULL },
	{ "redis://:secret@h", "h", 6379, 0, "", "secret", "redis://h:6379" },
	{ "redis://bob:secret@h:7/1", "h", 7, 1, "bob", "secret", "redis://bob@h:7/1" },
	{ "redis://bob:p%40ss%3a%2F%25@h", "h", 6379, 0, "bob", "p@ss:/%", "redis://bob@h:6379" },
	{ "redis://b%20b:a:b@c@h", "h", 6379, 0, "b b", "a:b@c", "redis://b%20b@h:6379" },
	{ "redis://:%0a@h", "h", 6379, 0, "", "\n", "redis://h:6379" },
	{ "unix:/run/redis.sock", "/run/redis.sock", 6379, 0, "", "", NULL },
	{ "unix:/a b/%41?db=4", "/a b/%41", 6379, 4, "", "", NULL },
	{ "unix:/x?db=0", "/x", 6379, 0, "", "", "unix:/x" },
};

START_TEST(means)
{
	struct redis_url u;
	const char	*why = NULL, *want = good[_i].text != NULL ? good[_i].text : good[_i].url;
	char		 text[REDIS_URL_TEXT];

	ck_assert_msg(redis_url_parse(&u, good[_i].url, &why) == 0, "%s: %s", good[_i].url, why);
	ck_assert_str_eq(u.host, good[_i].host);
	ck_assert_uint_eq(u.port, good[_i].port);
	ck_assert_uint_eq(u.db, good[_i].db);
	ck_assert_str_eq(u.user, good[_i].user);
	ck_assert_str_eq(u.password, good[_i].password);
	ck_assert_int_eq(u.is_unix, good[_i].host[0] == '/');
	ck_assert(!u.tls);
	ck_assert_ptr_eq(redis_url_text(&u, text), text);
	ck_assert_str_eq(text, want);
}
END_TEST

static const char *const bad[] = {
	"", "redis", "redis:", "redis:/h", "redis://", "redis:///1", "REDIS://h", "http://h", "tcp://h", " redis://h", "h", "h:6379", "/run/redis.sock",
	"redis://h:", "redis://h:0", "redis://h:65536", "redis://h:-1", "redis://h:+1", "redis://h:1x", "redis://h: 1", "redis://h:99999999999999999999",
	"redis://h:1:2", "redis://::1", "redis://[::1", "redis://[]", "redis://[::1]x", "redis://[h]", "redis://[127.0.0.1]", "redis://::1]",
	"redis://h/x", "redis://h/-1", "redis://h/1/", "redis://h/1?x", "redis://h?db=1", "redis://h#1", "redis://h/2147483648", "redis://h//1",
	"redis://@h", "redis://:@h", "redis://bob@h", "redis://bob:@h", "redis://bob:x@", "redis://bob:x@/1",
	"redis://:%@h", "redis://:%4@h", "redis://:%zz@h", "redis://:a%00b@h", "redis://%00:x@h",
	"redis://a b", "redis://h\n", "redis://h\t/1", "redis://h,i", "redis://\x7f", "redis://h%41",
	"unix:", "unix:relative", "unix:?db=1", "unix:/x?", "unix:/x?db=", "unix:/x?db=x", "unix:/x?d=1", "unix:/x?db=1&x=1", "unix:/\x01",
};

START_TEST(refused)
{
	struct redis_url u;
	const char	*why = NULL;

	ck_assert_msg(redis_url_parse(&u, bad[_i], &why) == -EINVAL, "%s", bad[_i]);
	ck_assert_ptr_nonnull(why);
}
END_TEST

/* A part filled up to its limit passes, one more byte does not. */
static void
limit_is(const char *before, int fits, const char *behind)
{
	struct redis_url u;
	const char	*why;
	char		 filling[600], url[REDIS_URL_TEXT + 100], text[REDIS_URL_TEXT];

	memset(filling, 'x', sizeof(filling));
	snprintf(url, sizeof(url), "%s%.*s%s", before, fits, filling, behind);
	ck_assert_msg(redis_url_parse(&u, url, &why) == 0, "%s: %s", url, why);
	redis_url_text(&u, text);
	snprintf(url, sizeof(url), "%s%.*s%s", before, fits + 1, filling, behind);
	ck_assert_msg(redis_url_parse(&u, url, &why) == -EINVAL, "%s", url);
}

START_TEST(limits)
{
	limit_is("redis://", 255, "");
	limit_is("redis://", 63, ":pw@h");
	limit_is("redis://:", 255, "@h");
	limit_is("unix:/", 106, "?db=2147483647");
}
END_TEST

START_TEST(the_longest_text)
{
	struct redis_url u = { .port = 65535, .db = 2147483647, .tls = true };
	char		 text[REDIS_URL_TEXT];

	memset(u.host, 'h', sizeof(u.host) - 1);
	memset(u.user, '%', sizeof(u.user) - 1);
	memset(u.password, 'p', sizeof(u.password) - 1);
	redis_url_text(&u, text);
	ck_assert_str_eq(text + strlen(text) - 17, ":65535/2147483647");
	ck_assert_ptr_null(strchr(text, 'p'));
}
END_TEST

START_TEST(with_tls)
{
	struct redis_url u;
	const char	*why;
	char		 text[REDIS_URL_TEXT];

	if (!redis_tls_works()) {
		ck_assert_int_eq(redis_url_parse(&u, "rediss://h", &why), -EINVAL);
		ck_assert_ptr_nonnull(strstr(why, "hiredis"));
		return;
	}
	ck_assert_int_eq(redis_url_parse(&u, "rediss://:x@h/1", &why), 0);
	ck_assert(u.tls);
	ck_assert_str_eq(redis_url_text(&u, text), "rediss://h:6379/1");
}
END_TEST

Suite *
redis_url_suite(void)
{
	Suite *s = suite_create("redis_url");
	TCase *tc = tcase_create("redis_url");

	tcase_add_loop_test(tc, means, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tc, refused, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, limits);
	tcase_add_test(tc, the_longest_text);
	tcase_add_test(tc, with_tls);
	suite_add_tcase(s, tc);
	return s;
}
