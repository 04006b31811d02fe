/*
 * Objects that are changed by others.
 */
#include <check.h>

#include "base/buf.h"
#include "channels/merge.h"

Suite *merge_suite(void);

static const struct {
	const char *object, *changes;
	const char *result;
} merges[] = {
	{ "{}", "{}", "{}" },
	{ "{\"a\":1}", "{}", "{\"a\":1}" },
	{ "{}", "{\"a\":1}", "{\"a\":1}" },
	/* In its place, or behind; tokens stay as they were written. */
	{ "{\"a\":1,\"b\":[ 2 ],\"c\":3}", "{\"d\":4.0e0,\"b\":{\"x\":\"\\u0041\"}}",
	  "{\"a\":1,\"b\":{\"x\":\"\\u0041\"},\"c\":3,\"d\":4.0e0}" },
	{ " { \"a\" : 1 } ", "{\"a\":null}", "{\"a\":null}" },
	/* Names are compared as text. */
	{ "{\"a\":1,\"b\":2}", "{\"\\u0061\":3}", "{\"a\":3,\"b\":2}" },
	{ "{\"\\u0061\":1}", "{\"a\":3}", "{\"\\u0061\":3}" },
	/* The last one counts: of the object's in the first one's place. */
	{ "{\"a\":1,\"b\":2,\"a\":3}", "{}", "{\"a\":3,\"b\":2}" },
	{ "{\"a\":1}", "{\"x\":1,\"a\":2,\"x\":3,\"a\":4,\"y\":5}", "{\"a\":4,\"x\":3,\"y\":5}" },
	{ "{\"b\":1,\"a\":2,\"b\":3}", "{\"b\":4,\"b\":5}", "{\"b\":5,\"a\":2}" },
	{ "{\"\":1}", "{\"\":2}", "{\"\":2}" },
	/* The server's own. */
	{ "{\"phx_ref\":\"1\",\"a\":1,\"phx_ref_prev\":\"0\"}", "{\"ph\\u0078_x\":1,\"phx\":2}", "{\"a\":1,\"phx\":2}" },
	{ "{\"phx_ref\":\"1\"}", "{}", "{}" },
	/* What is no text that ends is itself. */
	{ "{\"a\\u0000\":1}", "{\"a\\u0000\":2,\"a\":3}", "{\"a\\u0000\":2,\"a\":3}" },
};

START_TEST(merged)
{
	autobuf struct buf out = { 0 };

	merge_objects(&out, slice_str(merges[_i].object), slice_str(merges[_i].changes));
	ck_assert_msg(slice_is(buf_slice(&out), merges[_i].result), "%.*s, not %s", SLICE_ARG(buf_slice(&out)),
	    merges[_i].result);
}
END_TEST

Suite *
merge_suite(void)
{
	Suite *s = suite_create("merge");
	TCase *t = tcase_create("merge");

	tcase_add_loop_test(t, merged, 0, sizeof(merges) / sizeof(merges[0]));
	suite_add_tcase(s, t);
	return s;
}
