/*
 * Intrusive lists: order, removal while walking, and links that are in no list.
 */
#include <check.h>

#include "base/list.h"

Suite *list_suite(void);

struct item {
	int	    id;
	struct list in_list;
};

static struct list head, other;
static struct item items[6];

static void
set_up(void)
{
	list_init(&head);
	list_init(&other);
	for (int i = 0; i < 6; i++)
		items[i] = (struct item){ .id = i };
}

static void
fill(struct list *l, int from, int to)
{
	for (int i = from; i < to; i++)
		list_append(l, &items[i].in_list);
}

/* The ids in a list as decimal digits, 1 before them; both ways round must agree. */
static int
digits(const struct list *l)
{
	int forth = 1, back = 0, place = 1;

	for (const struct list *at = l->next; at != l; at = at->next)
		forth = forth * 10 + list_entry(at, struct item, in_list)->id;
	for (const struct list *at = l->prev; at != l; at = at->prev, place *= 10)
		back += place * list_entry(at, struct item, in_list)->id;
	ck_assert_int_eq(forth, place + back);
	return forth;
}

START_TEST(appends_in_order)
{
	ck_assert(list_empty(&head));
	fill(&head, 0, 4);
	ck_assert(!list_empty(&head));
	ck_assert_int_eq(digits(&head), 10123);
}
END_TEST

START_TEST(removes)
{
	fill(&head, 0, 5);
	list_remove(&items[2].in_list);
	ck_assert_int_eq(digits(&head), 10134);
	list_remove(&items[0].in_list);
	list_remove(&items[4].in_list);
	ck_assert_int_eq(digits(&head), 113);
	list_remove(&items[2].in_list);
	ck_assert_int_eq(digits(&head), 113);
	list_append(&head, &items[2].in_list);
	ck_assert_int_eq(digits(&head), 1132);
}
END_TEST

START_TEST(a_link_in_no_list)
{
	struct list zero = { 0 };

	ck_assert(list_empty(&zero));
	list_remove(&zero);
	ck_assert(list_empty(&zero));
	ck_assert_ptr_null(list_take_link(&zero));
	list_append(&head, &zero);
	ck_assert(!list_empty(&zero));
	list_remove(&zero);
	list_remove(&zero);
	ck_assert(list_empty(&zero) && list_empty(&head));
}
END_TEST

START_TEST(takes_from_the_front)
{
	fill(&head, 0, 3);
	for (int i = 0; i < 3; i++) {
		struct list *l = list_take_link(&head);

		ck_assert_ptr_eq(l, &items[i].in_list);
		ck_assert(list_empty(l));
	}
	ck_assert_ptr_null(list_take_link(&head));
}
END_TEST

START_TEST(moves_all)
{
	list_append_all(&head, &other);
	ck_assert(list_empty(&head));
	fill(&other, 0, 2);
	list_append_all(&head, &other);
	ck_assert_int_eq(digits(&head), 101);
	ck_assert(list_empty(&other));
	fill(&other, 2, 5);
	list_append_all(&head, &other);
	ck_assert_int_eq(digits(&head), 101234);
	ck_assert(list_empty(&other));
	list_append_all(&head, &other);
	list_remove(&items[1].in_list);
	list_append(&other, &items[1].in_list);
	ck_assert_int_eq(digits(&head), 10234);
	ck_assert_int_eq(digits(&other), 11);
}
END_TEST

START_TEST(walks)
{
	int seen = 1;

	list_each(l, &head)
		ck_abort_msg("nothing to see");
	fill(&head, 0, 6);
	list_each(l, &head)
		seen = seen * 10 + list_entry(l, struct item, in_list)->id;
	ck_assert_int_eq(seen, 1012345);
}
END_TEST

/* Those whose bit is set in _i go while they are walked over. */
START_TEST(removes_while_walking)
{
	int seen = 0;

	fill(&head, 0, 6);
	list_each(l, &head) {
		seen++;
		if (_i >> list_entry(l, struct item, in_list)->id & 1)
			list_remove(l);
	}
	ck_assert_int_eq(seen, 6);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(list_empty(&items[i].in_list), _i >> i & 1);
	digits(&head);
}
END_TEST

Suite *
list_suite(void)
{
	Suite *s = suite_create("list");
	TCase *tc = tcase_create("list");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, appends_in_order);
	tcase_add_test(tc, removes);
	tcase_add_test(tc, a_link_in_no_list);
	tcase_add_test(tc, takes_from_the_front);
	tcase_add_test(tc, moves_all);
	tcase_add_test(tc, walks);
	tcase_add_loop_test(tc, removes_while_walking, 0, 64);
	suite_add_tcase(s, tc);
	return s;
}
