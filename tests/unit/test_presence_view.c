/*
 * The map of a topic: what holds a presence, what clients were told, and the net change of a window.
 */
#include <check.h>

#include "presence/presence_view.h"

Suite *presence_view_suite(void);

static struct presence_view view;

static void
set_up(void)
{
	presence_view_init(&view);
}

static void
tear_down(void)
{
	presence_view_done(&view);
}

static struct presence *
joins(const char *key, const char *ref, const char *meta)
{
	struct presence *p = presence_view_add(&view, slice_str(key), slice_str(ref), slice_str(meta));

	presence_hold(&view, p, false);
	return p;
}

static void
leaves(struct presence *p)
{
	presence_release(&view, p, false);
	presence_unref(&view, p);
}

static void
settles(const char *want)
{
	autobuf struct buf diff = { 0 };
	bool		   changed = presence_view_settle(&view, &diff);

	ck_assert_msg(slice_is(buf_slice(&diff), want), "%.*s", SLICE_ARG(buf_slice(&diff)));
	ck_assert_int_eq(changed, strcmp(want, "{\"joins\":{},\"leaves\":{}}") != 0);
}

static void
shows(const char *want, unsigned n)
{
	autobuf struct buf state = { 0 };

	presence_view_state(&view, &state);
	ck_assert_msg(slice_is(buf_slice(&state), want), "%.*s", SLICE_ARG(buf_slice(&state)));
	ck_assert_uint_eq(view.n_shown, n);
}

START_TEST(nobody)
{
	shows("{}", 0);
	settles("{\"joins\":{},\"leaves\":{}}");
	ck_assert_ptr_null(presence_view_key(&view, SLICE("a")));
	ck_assert_ptr_null(presence_view_get(&view, SLICE("r")));
}
END_TEST

START_TEST(diffs_are_what_changed)
{
	struct presence *a, *b, *c;

	a = joins("u", "1", "{1}");
	b = joins("u", "2", "{2}");
	c = joins("v", "3", "{3}");
	shows("{}", 0);
	settles("{\"joins\":{\"u\":{\"metas\":[{1},{2}]},\"v\":{\"metas\":[{3}]}},\"leaves\":{}}");
	shows("{\"u\":{\"metas\":[{1},{2}]},\"v\":{\"metas\":[{3}]}}", 2);
	leaves(a);
	leaves(c);
	shows("{\"u\":{\"metas\":[{1},{2}]},\"v\":{\"metas\":[{3}]}}", 2);
	settles("{\"joins\":{},\"leaves\":{\"u\":{\"metas\":[{1}]},\"v\":{\"metas\":[{3}]}}}");
	shows("{\"u\":{\"metas\":[{2}]}}", 1);
	ck_assert_ptr_null(presence_view_key(&view, SLICE("v")));
	ck_assert_ptr_null(presence_view_get(&view, SLICE("1")));
	leaves(b);
	settles("{\"joins\":{},\"leaves\":{\"u\":{\"metas\":[{2}]}}}");
	shows("{}", 0);
}
END_TEST

START_TEST(what_changes_twice_has_not_changed)
{
	struct presence *a = joins("u", "1", "{1}"), *b;

	leaves(a);
	settles("{\"joins\":{},\"leaves\":{}}");
	ck_assert_uint_eq(view.keys.n, 0);
	a = joins("u", "1", "{1}");
	settles("{\"joins\":{\"u\":{\"metas\":[{1}]}},\"leaves\":{}}");
	presence_release(&view, a, false);
	presence_hold(&view, a, true);
	settles("{\"joins\":{},\"leaves\":{}}");
	/* An update: old and new in one diff. */
	b = joins("u", "2", "{2}");
	presence_release(&view, a, true);
	presence_unref(&view, a);
	settles("{\"joins\":{\"u\":{\"metas\":[{2}]}},\"leaves\":{\"u\":{\"metas\":[{1}]}}}");
	leaves(b);
	presence_view_settle(&view, NULL);
	shows("{}", 0);
	ck_assert_uint_eq(view.refs.n, 0);
}
END_TEST

START_TEST(held_by_two)
{
	struct presence *a = joins("u", "1", "{1}");

	presence_ref(a);
	presence_hold(&view, a, true);
	ck_assert_ptr_null(presence_lingering(a->key));
	settles("{\"joins\":{\"u\":{\"metas\":[{1}]}},\"leaves\":{}}");
	leaves(a);
	ck_assert_ptr_eq(presence_lingering(a->key), a);
	settles("{\"joins\":{},\"leaves\":{}}");
	presence_release(&view, a, true);
	presence_unref(&view, a);
	settles("{\"joins\":{},\"leaves\":{\"u\":{\"metas\":[{1}]}}}");
}
END_TEST

static const struct { const char *key, *token; } keys[] = {
	{ "5", "\"5\"" },
	{ "a/b", "\"a/b\"" },
	{ "a\"b\\", "\"a\\\"b\\\\\"" },
	{ "\n\x01", "\"\\n\\u0001\"" },
	{ "é😀", "\"é😀\"" },
};

START_TEST(keys_are_escaped)
{
	struct presence	  *p = joins(keys[_i].key, "1", "{}");
	autobuf struct buf want = { 0 };

	ck_assert(slice_is(p->key->name, keys[_i].key));
	ck_assert(slice_is(p->key->token, keys[_i].token));
	buf_addf(&want, "{\"joins\":{%s:{\"metas\":[{}]}},\"leaves\":{}}", keys[_i].token);
	buf_add_char(&want, '\0');
	settles(want.p);
}
END_TEST

Suite *
presence_view_suite(void)
{
	Suite *s = suite_create("presence_view");
	TCase *t = tcase_create("presence_view");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, nobody);
	tcase_add_test(t, diffs_are_what_changed);
	tcase_add_test(t, what_changes_twice_has_not_changed);
	tcase_add_test(t, held_by_two);
	tcase_add_loop_test(t, keys_are_escaped, 0, sizeof(keys) / sizeof(keys[0]));
	suite_add_tcase(s, t);
	return s;
}
