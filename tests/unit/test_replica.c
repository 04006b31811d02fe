/*
 * Replicas of one topic: what they hold counts while they are visible, and equal refs are one presence.
 */
#include <check.h>

#include "presence/replica.h"

Suite *replica_suite(void);

static struct presence_view view;
static struct replica one, two;

static void
set_up(void)
{
	presence_view_init(&view);
	replica_init(&one, &view, true);
	replica_init(&two, &view, false);
}

static void
tear_down(void)
{
	replica_done(&one);
	replica_done(&two);
	presence_view_settle(&view, NULL);
	ck_assert_uint_eq(view.refs.n, 0);
	ck_assert_uint_eq(view.keys.n, 0);
	presence_view_done(&view);
}

static struct presence *
put(struct replica *r, const char *ref, bool lingers, bool news)
{
	struct presence *p = presence_view_get(&view, slice_str(ref));

	p = p != NULL ? presence_ref(p) : presence_view_add(&view, SLICE("k"), slice_str(ref), SLICE("{}"));
	ck_assert_int_eq(replica_put(r, p, lingers), news);
	presence_unref(&view, p);
	return p;
}

START_TEST(put_and_del)
{
	struct presence *p = put(&one, "a", false, true);

	ck_assert(replica_has(&one, p) && !replica_has(&two, p));
	ck_assert(!replica_lingers(&one, p));
	put(&one, "a", false, false);
	put(&one, "a", true, true);
	ck_assert(replica_lingers(&one, p));
	ck_assert_uint_eq(p->lingering, 1);
	put(&one, "a", false, true);
	ck_assert_uint_eq(p->lingering, 0);
	put(&one, "a", true, true);
	ck_assert_uint_eq(p->holders, 1);
	ck_assert(replica_del(&one, p));
	ck_assert_uint_eq(one.lingering.n, 0);
	ck_assert_ptr_null(presence_view_get(&view, SLICE("a")));
}
END_TEST

START_TEST(equal_refs_are_one)
{
	struct presence *p = put(&one, "a", true, true);

	ck_assert_ptr_eq(put(&two, "a", false, true), p);
	ck_assert_uint_eq(p->holders, 1);
	replica_show(&two, true);
	replica_show(&two, true);
	ck_assert_uint_eq(p->holders, 2);
	ck_assert_uint_eq(p->lingering, 1);
	replica_clear(&one);
	ck_assert_uint_eq(p->holders, 1);
	ck_assert_uint_eq(p->lingering, 0);
	replica_show(&two, false);
	ck_assert_uint_eq(p->holders, 0);
	ck_assert(!replica_del(&one, p));
}
END_TEST

static const struct { uint64_t epoch, version, new_epoch, new_version; bool older; } ages[] = {
	{ 0, 0, 1, 1, true }, { 0, 0, 0, 0, false }, { 5, 7, 5, 7, false }, { 5, 7, 5, 8, true }, { 5, 7, 5, 6, false },
	{ 5, 7, 6, 1, true }, { 5, 7, 4, 9, false },
};

START_TEST(which_is_older)
{
	one.epoch = ages[_i].epoch;
	one.version = ages[_i].version;
	ck_assert_int_eq(replica_is_older(&one, ages[_i].new_epoch, ages[_i].new_version), ages[_i].older);
}
END_TEST

Suite *
replica_suite(void)
{
	Suite *s = suite_create("replica");
	TCase *t = tcase_create("replica");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, put_and_del);
	tcase_add_test(t, equal_refs_are_one);
	tcase_add_loop_test(t, which_is_older, 0, sizeof(ages) / sizeof(ages[0]));
	suite_add_tcase(s, t);
	return s;
}
