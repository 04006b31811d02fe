/*
 * Origins against patterns.
 */
#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "server/origin.h"

Suite *origin_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

/* One pattern, one origin; the request's Host is roost.example:4000. */
static const struct {
	const char *pattern;
	const char *origin;
	bool	    may;
} cases[] = {
	/* A scheme alone means its port. */
	{ "https://good.example", "https://good.example", true },
	{ "https://good.example", "https://good.example:443", true },
	{ "https://good.example:443", "https://good.example", true },
	{ "https://good.example", "https://good.example:444", false },
	{ "https://good.example", "http://good.example", false },
	{ "https://good.example", "http://good.example:443", false },
	{ "http://good.example", "http://good.example:80", true },
	{ "http://good.example:8080", "http://good.example:8080", true },
	{ "http://good.example:8080", "http://good.example", false },
	{ "HTTPS://Good.Example", "https://good.example", true },
	{ "https://good.example", "HTTPS://GOOD.EXAMPLE", true },
	{ "capacitor://localhost", "capacitor://localhost", true },
	{ "capacitor://localhost", "capacitor://localhost:1", true },

	/* What a pattern leaves out matches anything. */
	{ "//good.example", "https://good.example", true },
	{ "//good.example", "http://good.example:8080", true },
	{ "//good.example:8080", "https://good.example:8080", true },
	{ "//good.example:8080", "https://good.example", false },
	{ "//good.example:443", "https://good.example", true },
	{ "good.example", "http://good.example:99", true },
	{ "good.example:99", "http://good.example:99", true },
	{ "good.example:99", "http://good.example", false },
	{ "*", "https://anything.example:1", true },
	{ "*", "null", true },
	{ "*", "", true },

	/* A host is that host. */
	{ "https://good.example", "https://good.example.evil", false },
	{ "https://good.example", "https://evil-good.example", false },
	{ "https://good.example", "https://www.good.example", false },
	{ "https://good.example", "https://good.example.", false },
	{ "https://good.example", "https://good_example", false },
	{ "https://127.0.0.1", "https://127.0.0.1", true },
	{ "https://127.0.0.1", "https://127.0.0.11", false },
	{ "https://[::1]:4000", "https://[::1]:4000", true },
	{ "//[::1]", "http://[::1]:8080", true },
	{ "//[::1]", "http://[::2]", false },

	/* Subdomains of any depth, and the domain. */
	{ "https://*.wild.example:8443", "https://a.wild.example:8443", true },
	{ "https://*.wild.example:8443", "https://a.b.wild.example:8443", true },
	{ "https://*.wild.example:8443", "https://wild.example:8443", true },
	{ "https://*.wild.example:8443", "https://a.wild.example", false },
	{ "https://*.wild.example", "https://a.wild.example", true },
	{ "https://*.wild.example", "https://awild.example", false },
	{ "https://*.wild.example", "https://evilwild.example", false },
	{ "https://*.wild.example", "https://.wild.example", false },
	{ "https://*.wild.example", "https://a.wild.example.evil", false },
	{ "https://*.wild.example", "https://a.WILD.example", true },
	{ "//*.wild.example", "http://a.wild.example:1", true },
	{ "*.wild.example", "http://a.wild.example:1", true },
	{ "*.wild.example:1", "http://a.wild.example:1", true },
	{ "*.wild.example:1", "http://a.wild.example:2", false },

	/* The host that was asked. */
	{ "self", "http://roost.example:4000", true },
	{ "self", "https://Roost.Example:4000", true },
	{ "self", "http://roost.example", false },
	{ "self", "http://roost.example:4001", false },
	{ "self", "http://other.example:4000", false },
	{ "self", "null", false },

	/* What is no origin. */
	{ "//good.example", "null", false },
	{ "//good.example", "", false },
	{ "//good.example", "good.example", false },
	{ "//good.example", "good.example:80", false },
	{ "//good.example", "https:/good.example", false },
	{ "//good.example", "https//good.example", false },
	{ "//good.example", "://good.example", false },
	{ "//good.example", "https://", false },
	{ "//good.example", "https:////good.example", false },
	{ "//good.example", "https://good.example/", false },
	{ "//good.example", "https://good.example/path", false },
	{ "//good.example", "https://good.example?q", false },
	{ "//good.example", "https://good.example#f", false },
	{ "//good.example", "https://good.example:", false },
	{ "//good.example", "https://good.example:x", false },
	{ "//good.example", "https://good.example:80:80", false },
	{ "//good.example", "https://good.example:65536", false },
	{ "//good.example", "https://good.example:0443", false },
	{ "//good.example", "https://user@good.example", false },
	{ "//good.example", "https://good.example@evil.example", false },
	{ "//good.example", "https://user:password@good.example", false },
	{ "//good.example", "https://good.example https://evil.example", false },
	{ "//good.example", "https://evil.example//good.example", false },
	{ "//good.example", "https://evil.example://good.example", false },
	{ "//good.example", " https://good.example", false },
	{ "//good.example", "ht tps://good.example", false },
	{ "//good.example", "https://[good.example]", false },
	{ "//good.example", "https://good.example\xff", false },
};

static bool
allows(const char *pattern, struct slice origin, const char *host)
{
	char	       *why = NULL;
	struct origins *set = origins_new(&pattern, 1, &why);
	bool		may;

	ck_assert_msg(set != NULL, "%s", why);
	may = origins_allow(set, origin, slice_str(host));
	origins_free(set);
	return may;
}

START_TEST(origins_are_judged)
{
	/* In memory of its own size: a read beyond it would be seen. */
	size_t	       n = strlen(cases[_i].origin);
	autofree char *exact = xmalloc(n + 1);

	memcpy(exact, cases[_i].origin, n);
	ck_assert_msg(allows(cases[_i].pattern, slice(exact, n), "roost.example:4000") == cases[_i].may, "%s for %s",
	    cases[_i].origin, cases[_i].pattern);
}
END_TEST

/* Without a port, Host means that of the origin's scheme: whether TLS was taken off on the way, nobody tells. */
static const struct {
	const char *host;
	const char *origin;
	bool	    may;
} hosts[] = {
	{ "roost.example", "http://roost.example", true },
	{ "roost.example", "https://roost.example", true },
	{ "roost.example", "https://roost.example:443", true },
	{ "roost.example", "https://roost.example:444", false },
	{ "roost.example:443", "https://roost.example", true },
	{ "roost.example:80", "https://roost.example", false },
	{ "[::1]:4000", "http://[::1]:4000", true },
	{ "", "http://", false },
	{ "", "http://roost.example", false },
};

START_TEST(self_is_the_host)
{
	ck_assert_msg(allows("self", slice_str(hosts[_i].origin), hosts[_i].host) == hosts[_i].may, "%s for %s",
	    hosts[_i].origin, hosts[_i].host);
}
END_TEST

START_TEST(any_pattern_will_do)
{
	const char     *patterns[] = { "https://one.example", "self", "//*.two.example" };
	char	       *why = NULL;
	struct origins *set = origins_new(patterns, 3, &why);

	ck_assert_ptr_nonnull(set);
	ck_assert(origins_allow(set, SLICE("https://one.example"), SLICE("h:1")));
	ck_assert(origins_allow(set, SLICE("http://h:1"), SLICE("h:1")));
	ck_assert(origins_allow(set, SLICE("http://a.two.example"), SLICE("h:1")));
	ck_assert(!origins_allow(set, SLICE("http://one.example"), SLICE("h:1")));
	ck_assert(!origins_allow(set, SLICE("null"), SLICE("h:1")));
	ck_assert(!origins_allow(set, slice(NULL, 0), SLICE("h:1")));
	origins_free(set);
}
END_TEST

static const char *const misspelt[] = {
	"", "https://", "https://good.example/", "https://user@good.example", "https://good.example:port",
	"https://good.example:123456", "https://good.example:65536", "https://good.*", "https://*", "//*.", "*.", "**", "http//good.example",
	" https://good.example", "ht tps://good.example", "1https://good.example", "://good.example", "good.example ", "https://[::1",
	"https://*.*.example", "[::1]x",
};

START_TEST(patterns_are_checked)
{
	const char     *patterns[] = { "https://good.example", misspelt[_i] };
	char	       *why = NULL;
	struct origins *set = origins_new(patterns, 2, &why);

	ck_assert_msg(set == NULL, "'%s' was taken", misspelt[_i]);
	ck_assert_ptr_nonnull(strstr(why, "origins: expected [SCHEME:]//HOST[:PORT]"));
	ck_assert_ptr_nonnull(strstr(why, misspelt[_i]));
	free(why);
}
END_TEST

START_TEST(nothing_is_freed)
{
	ck_assert_ptr_null(origins_free(NULL));
}
END_TEST

Suite *
origin_suite(void)
{
	Suite *s = suite_create("origin");
	TCase *tc = tcase_create("origin");

	LOOP(tc, origins_are_judged, cases);
	LOOP(tc, self_is_the_host, hosts);
	tcase_add_test(tc, any_pattern_will_do);
	LOOP(tc, patterns_are_checked, misspelt);
	tcase_add_test(tc, nothing_is_freed);
	suite_add_tcase(s, tc);
	return s;
}
