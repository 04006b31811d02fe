/*
 * Routes: patterns and what they match, options of classes, rates, and tables that outlive a reload.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/classes.h"
#include "session/routes.h"

Suite *routes_suite(void);

static const struct {
	const char *pattern, *topic, *name, *capture;	/* name NULL: does it match; capture NULL: no such name */
	bool match;
} matches[] = {
	{ "room:a", "room:a", NULL, NULL, true },
	{ "room:a", "room:ab", NULL, NULL, false },
	{ "room:a", "room:", NULL, NULL, false },
	{ "room:a", "", NULL, NULL, false },
	{ "room:*", "room:", "*", "", true },
	{ "room:*", "room:a:b*{c}", "*", "a:b*{c}", true },
	{ "room:*", "room", NULL, NULL, false },
	{ "room:*", "Room:a", NULL, NULL, false },
	{ "*", "", "*", "", true },
	{ "*", "x", "*", "x", true },
	{ "*", "x", "y", NULL, true },
	{ "chat:room:{id}", "chat:room:5", "id", "5", true },
	{ "chat:room:{id}", "chat:room:", NULL, NULL, false },
	{ "chat:room:{id}", "chat:room:5:6", NULL, NULL, false },
	{ "chat:room:{id}", "chat:room:*", "id", "*", true },
	{ "chat:room:{id}", "chat:room:5", "*", NULL, true },
	{ "{a}", ":", NULL, NULL, false },
	{ "{a}", "", NULL, NULL, false },
	{ "{kind}:{id}", "x:y", "kind", "x", true },
	{ "{kind}:{id}", "x:y", "id", "y", true },
	{ "{kind}:{id}", "x:", NULL, NULL, false },
	{ "{kind}:{id}:*", "x:y:", "*", "", true },
	{ "{kind}:{id}:*", "x:y:z:", "*", "z:", true },
	/* A capture takes as little as lets the rest match. */
	{ "{a}-{b}", "x-y-z", "a", "x", true },
	{ "{a}-{b}", "x-y-z", "b", "y-z", true },
	{ "{a}_x", "y_x_x", "a", "y_x", true },
	{ "{a}*", "abc", "a", "a", true },
	{ "{a}*", "abc", "*", "bc", true },
	{ "public-{name}", "public-x", "name", "x", true },
	{ "public-{name}", "public-", NULL, NULL, false },
	{ "{ab}:{abc}", "1:2", "ab", "1", true },
	{ "{ab}:{abc}", "1:2", "a", NULL, true },
};

START_TEST(matching)
{
	struct slice capture = SLICE("untouched");
	bool	     match = route_match(matches[_i].pattern, slice_str(matches[_i].topic), matches[_i].name, &capture);

	ck_assert_msg(match == matches[_i].match, "%s on %s", matches[_i].pattern, matches[_i].topic);
	if (matches[_i].capture == NULL)
		ck_assert_ptr_null(capture.p);
	else
		ck_assert_msg(capture.p != NULL && slice_is(capture, matches[_i].capture), "%s on %s: %.*s",
		    matches[_i].pattern, matches[_i].topic, SLICE_ARG(capture));
	ck_assert(route_match(matches[_i].pattern, slice_str(matches[_i].topic), NULL, NULL) == match);
}
END_TEST

/* Topics are bytes: a NUL ends neither of them. */
START_TEST(matching_bytes)
{
	struct slice capture;

	ck_assert(!route_match("a", SLICE("a\0"), NULL, NULL));
	ck_assert(route_match("a{x}", SLICE("a\0b"), "x", &capture));
	ck_assert(slice_eq(capture, SLICE("\0b")));
}
END_TEST

static const struct {
	const char *pattern;
	bool fine;
} patterns[] = {
	{ "room:*", true }, { "*", true }, { "{a}", true }, { "{a}:{b}:*", true }, { "{a}*", true }, { "plain", true },
	{ "", false }, { "a*b", false }, { "**", false }, { "{a", false }, { "a}", false }, { "{}", false },
	{ "{a}{b}", false }, { "{a}:{a}", false }, { "{a}:{ab}", true }, { "x{a}y}", false },
};

START_TEST(faults)
{
	ck_assert_msg((route_pattern_fault(patterns[_i].pattern) == NULL) == patterns[_i].fine, "%s", patterns[_i].pattern);
}
END_TEST

/* A class that wants to know its options. */

static unsigned configured;

static int
configure(const struct channel_route *r, void **data, const char **why)
{
	bool loud;

	*why = "loud: expected yes or no";
	if (channel_route_bool(r, "loud", &loud) < 0)
		return -1;
	ck_assert_ptr_null(channel_route_option(r, "quiet"));
	ck_assert_int_eq(channel_route_bool(r, "quiet", &loud), -1);
	*data = xstrdup(channel_route_option(r, "name"));
	configured++;
	return 0;
}

static void
unconfigure(void *data)
{
	if (data == NULL)
		return;
	configured--;
	free(data);
}

static int
join(struct channel *ch, const struct channel_message *m)
{
	return CHANNEL_OK;
}

static int
refuse(const struct channel_route *r, void **data, const char **why)
{
	return -1;
}

static const struct channel_class silent = {
	.abi = ROOST_CHANNEL_ABI, .name = "silent", .configure = refuse, .join = join, .handle_in = join,
};
static const struct channel_option options[] = { { "loud", "no", "help" }, { "name", "nobody", "help" }, { 0 } };
static const struct channel_class	wanting = {
	.abi = ROOST_CHANNEL_ABI, .name = "wanting", .options = options, .configure = configure, .unconfigure = unconfigure,
	.join = join, .handle_in = join,
};
static const struct channel_class	plain = { .abi = ROOST_CHANNEL_ABI, .name = "plain", .join = join, .handle_in = join };

static struct routes *table;

static void
set_up(void)
{
	const char *why;

	if (class_find("wanting") == NULL) {
		ck_assert_int_eq(class_add(&wanting, &why), 0);
		ck_assert_int_eq(class_add(&plain, &why), 0);
		ck_assert_int_eq(class_add(&silent, &why), 0);
	}
	configured = 0;
	table = routes_new();
}

static void
tear_down(void)
{
	table = routes_unref(table);
	ck_assert_uint_eq(configured, 0);
}

static void
add(const struct route_options *o)
{
	char *why;

	ck_assert_int_eq(routes_add(table, o, &why), 0);
}

static void
refuses(const struct route_options *o, const char *complaint)
{
	autofree char *why = NULL;

	ck_assert_int_eq(routes_add(table, o, &why), -EINVAL);
	ck_assert_str_eq(why, complaint);
	ck_assert_uint_eq(table->n, 0);
}

START_TEST(the_first_match_wins)
{
	add(&(struct route_options){ .pattern = "room:special", .class = "plain" });
	add(&(struct route_options){ .pattern = "room:*", .class = "wanting", .public = true });
	add(&(struct route_options){ .pattern = "room:never", .class = "plain" });
	ck_assert_ptr_eq(routes_match(table, SLICE("room:special")), table->items[0]);
	ck_assert_ptr_eq(routes_match(table, SLICE("room:never")), table->items[1]);
	ck_assert(routes_match(table, SLICE("room:never"))->public);
	ck_assert_ptr_null(routes_match(table, SLICE("chat:x")));
	ck_assert_ptr_null(routes_match(table, SLICE("")));
}
END_TEST

START_TEST(options_reach_the_class)
{
	struct route_setting settings[] = { { "name", "Ann" }, { "loud", "YES" } };
	const struct channel_route *r;

	add(&(struct route_options){ .pattern = "a", .class = "wanting", .settings = settings, .n_settings = 2 });
	add(&(struct route_options){ .pattern = "b", .class = "wanting" });
	settings[0].value = "changed";
	r = routes_match(table, SLICE("a"));
	ck_assert_str_eq(r->data, "Ann");
	ck_assert_str_eq(channel_route_option(r, "loud"), "YES");
	ck_assert_str_eq(routes_match(table, SLICE("b"))->data, "nobody");
	ck_assert_uint_eq(configured, 2);
}
END_TEST

START_TEST(refused)
{
	struct route_setting bad[] = { { "loud", "perhaps" } }, unknown[] = { { "quiet", "yes" } };

	refuses(&(struct route_options){ .pattern = "a", .class = "nobody" }, "route \"a\": there is no class \"nobody\"");
	refuses(&(struct route_options){ .pattern = "a*b", .class = "plain" },
	    "route \"a*b\": the pattern has a \"*\" before its end");
	refuses(&(struct route_options){ .pattern = "a", .class = "wanting", .settings = bad, .n_settings = 1 },
	    "route \"a\": loud: expected yes or no");
	refuses(&(struct route_options){ .pattern = "a", .class = "wanting", .settings = unknown, .n_settings = 1 },
	    "route \"a\": the class wanting has no option \"quiet\"");
	refuses(&(struct route_options){ .pattern = "a", .class = "silent" }, "route \"a\": the class refused the options");
	refuses(&(struct route_options){ .pattern = "a", .class = "plain", .settings = unknown, .n_settings = 1 },
	    "route \"a\": the class plain has no option \"quiet\"");
}
END_TEST

START_TEST(rates_of_a_route)
{
	struct route_rate rates[] = { { "new_msg", { 30, 60000 } }, { "typing", { 1, 1000 } } };
	const struct channel_route *r;

	add(&(struct route_options){ .pattern = "a", .class = "plain", .rates = rates, .n_rates = 2 });
	r = routes_match(table, SLICE("a"));
	ck_assert_uint_eq(route_rate(r, SLICE("new_msg"))->count, 30);
	ck_assert_uint_eq(route_rate(r, SLICE("typing"))->period_ms, 1000);
	ck_assert_ptr_null(route_rate(r, SLICE("new_ms")));
	ck_assert_ptr_null(route_rate(r, SLICE("new_msg2")));
}
END_TEST

START_TEST(a_table_outlives_its_replacement)
{
	struct routes *kept = routes_ref(table);

	add(&(struct route_options){ .pattern = "a", .class = "wanting" });
	ck_assert_ptr_null(routes_unref(table));
	ck_assert_str_eq(routes_match(kept, SLICE("a"))->data, "nobody");
	ck_assert_ptr_eq(routes_match(kept, SLICE("a"))->table, kept);
	ck_assert_uint_eq(configured, 1);
	ck_assert_ptr_null(routes_unref(NULL));
}
END_TEST

Suite *
routes_suite(void)
{
	Suite *s = suite_create("routes");
	TCase *t = tcase_create("patterns"), *r = tcase_create("table");

	tcase_add_loop_test(t, matching, 0, (int)(sizeof(matches) / sizeof(matches[0])));
	tcase_add_test(t, matching_bytes);
	tcase_add_loop_test(t, faults, 0, (int)(sizeof(patterns) / sizeof(patterns[0])));
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(r, set_up, tear_down);
	tcase_add_test(r, the_first_match_wins);
	tcase_add_test(r, options_reach_the_class);
	tcase_add_test(r, refused);
	tcase_add_test(r, rates_of_a_route);
	tcase_add_test(r, a_table_outlives_its_replacement);
	suite_add_tcase(s, r);
	return s;
}
