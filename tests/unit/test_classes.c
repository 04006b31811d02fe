/*
 * The registry of classes, and modules that are none. Modules that are some: tests/e2e/conformance.test.mjs.
 */
#include <check.h>
#include <errno.h>

#include "base/mem.h"
#include "session/classes.h"

Suite *classes_suite(void);

static int
join(struct channel *ch, const struct channel_message *m)
{
	return CHANNEL_OK;
}

START_TEST(adds_and_finds)
{
	static const struct channel_class first = { .abi = ROOST_CHANNEL_ABI, .name = "first", .join = join, .handle_in = join };
	static const struct channel_class again = { .abi = ROOST_CHANNEL_ABI, .name = "first", .join = join, .handle_in = join };
	const char *why = NULL;

	ck_assert_ptr_null(class_find("first"));
	ck_assert_int_eq(class_add(&first, &why), 0);
	ck_assert_ptr_eq(class_find("first"), &first);
	ck_assert_ptr_null(class_find("firs"));
	ck_assert_ptr_null(class_find(""));
	ck_assert_int_eq(class_add(&again, &why), -EINVAL);
	ck_assert_str_eq(why, "a class of that name is there already");
	ck_assert_ptr_eq(class_find("first"), &first);
}
END_TEST

static const struct {
	struct channel_class class;
	const char *why;
} unfit[] = {
	{ { .abi = ROOST_CHANNEL_ABI + 1, .name = "unfit", .join = join, .handle_in = join },
	    "it was built for another version of roost/channel.h" },
	{ { .name = "unfit", .join = join, .handle_in = join }, "it was built for another version of roost/channel.h" },
	{ { .abi = ROOST_CHANNEL_ABI, .join = join, .handle_in = join }, "a class has no name" },
	{ { .abi = ROOST_CHANNEL_ABI, .name = "", .join = join, .handle_in = join }, "a class has no name" },
	{ { .abi = ROOST_CHANNEL_ABI, .name = "unfit", .handle_in = join }, "a class lacks join or handle_in" },
	{ { .abi = ROOST_CHANNEL_ABI, .name = "unfit", .join = join }, "a class lacks join or handle_in" },
};

START_TEST(refuses_unfit_classes)
{
	const char *why = NULL;

	ck_assert_int_eq(class_add(&unfit[_i].class, &why), -EINVAL);
	ck_assert_str_eq(why, unfit[_i].why);
	ck_assert_ptr_null(class_find("unfit"));
}
END_TEST

static const struct {
	const char *path, *why;
} modules[] = {
	{ "/nonexistent/module.so", "/nonexistent/module.so" },
	{ "/dev/null", "/dev/null" },
	{ "libm.so.6", "libm.so.6: it does not define roost_module_classes" },
};

START_TEST(refuses_what_is_no_module)
{
	autofree char *why = NULL;

	ck_assert_ptr_null(class_load(modules[_i].path, &why));
	ck_assert_msg(why != NULL && strncmp(why, modules[_i].why, strlen(modules[_i].why)) == 0, "%s", why);
}
END_TEST

Suite *
classes_suite(void)
{
	Suite *s = suite_create("classes");
	TCase *t = tcase_create("classes");

	tcase_add_test(t, adds_and_finds);
	tcase_add_loop_test(t, refuses_unfit_classes, 0, (int)(sizeof(unfit) / sizeof(unfit[0])));
	tcase_add_loop_test(t, refuses_what_is_no_module, 0, (int)(sizeof(modules) / sizeof(modules[0])));
	suite_add_tcase(s, t);
	return s;
}
