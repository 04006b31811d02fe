/*
 * Identities: what goes in comes out, from its own memory, until the last reference is gone.
 */
#include <check.h>
#include <stdlib.h>

#include "session/identity.h"

Suite *identity_suite(void);

START_TEST(keeps_its_own_copy)
{
	char user[] = "u-17", name[] = "Ann", claims[] = "{\"sub\":\"u-17\"}";
	struct identity *who = identity_new(slice_str(user), slice_str(name), slice_str(claims), 1700000000);

	memset(user, 'x', sizeof(user) - 1);
	memset(name, 'x', sizeof(name) - 1);
	memset(claims, 'x', sizeof(claims) - 1);
	ck_assert(slice_is(who->user, "u-17"));
	ck_assert(slice_is(who->name, "Ann"));
	ck_assert(slice_is(who->claims, "{\"sub\":\"u-17\"}"));
	ck_assert_int_eq(who->expires, 1700000000);
	ck_assert_ptr_null(identity_unref(who));
}
END_TEST

START_TEST(keeps_bytes_not_strings)
{
	struct identity *who = identity_new(SLICE("a\0b"), SLICE(""), slice(NULL, 0), INT64_MAX);

	ck_assert(slice_eq(who->user, SLICE("a\0b")));
	ck_assert_uint_eq(who->name.n, 0);
	ck_assert_ptr_nonnull(who->claims.p);
	ck_assert_uint_eq(who->claims.n, 0);
	identity_unref(who);
}
END_TEST

START_TEST(lives_until_the_last_reference)
{
	struct identity *who = identity_new(SLICE("u"), SLICE("n"), SLICE("{}"), 1);

	ck_assert_ptr_eq(identity_ref(who), who);
	ck_assert_uint_eq(who->refs, 2);
	ck_assert_ptr_null(identity_unref(who));
	ck_assert_uint_eq(who->refs, 1);
	ck_assert(slice_is(who->user, "u"));
	ck_assert_ptr_null(identity_unref(who));
	ck_assert_ptr_null(identity_unref(NULL));
}
END_TEST

Suite *
identity_suite(void)
{
	Suite *s = suite_create("identity");
	TCase *t = tcase_create("identity");

	tcase_add_test(t, keeps_its_own_copy);
	tcase_add_test(t, keeps_bytes_not_strings);
	tcase_add_test(t, lives_until_the_last_reference);
	suite_add_tcase(s, t);
	return s;
}
