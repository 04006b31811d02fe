/*
 * Messages of the cluster's channel: taken, and refused.
 */
#include <check.h>
#include <errno.h>

#include "cluster/cluster_message.h"

Suite *cluster_message_suite(void);

static const struct {
	const char	 *text;
	enum cluster_type type;
	const char	 *node, *name, *dead;
	uint64_t	  epoch, seq, since;
} good[] = {
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":1763739030123,\"seq\":7,\"topics\":[[\"t\",3]]}",
	    CLUSTER_BEAT, "a", "beat", "", 1763739030123, 7, 0 },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":9,\"since\":5,\"seq\":7}", CLUSTER_BEAT, "a", "beat", "", 9, 7, 5 },
	{ "{ \"v\": 1, \"type\": \"leave\", \"node\": \"h-1.x:4000.2\", \"epoch\": 5 }",
	    CLUSTER_LEAVE, "h-1.x:4000.2", "leave", "", 5, 0, 0 },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"down\",\"dead\":\"b_@\",\"epoch\":4503599627370495}",
	    CLUSTER_DEAD, "a", "down", "b_@", 4503599627370495, 0, 0 },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"kick\",\"epoch\":\"x\",\"seq\":-1}",
	    CLUSTER_OTHER, "a", "kick", "", 0, 0, 0 },
	{ "{\"v\":1,\"node\":\"\\u0061b\",\"type\":\"be\\u0061t\",\"epoch\":1,\"seq\":1}",
	    CLUSTER_BEAT, "ab", "beat", "", 1, 1, 0 },
};

START_TEST(is_taken)
{
	struct cluster_message m;

	ck_assert_int_eq(cluster_message_read(&m, slice_str(good[_i].text)), 0);
	ck_assert_int_eq(m.type, good[_i].type);
	ck_assert(slice_is(m.node, good[_i].node));
	ck_assert(slice_is(m.name, good[_i].name));
	ck_assert(slice_is(m.dead, good[_i].dead));
	ck_assert_uint_eq(m.epoch, good[_i].epoch);
	ck_assert_uint_eq(m.seq, good[_i].seq);
	ck_assert_uint_eq(m.since, good[_i].since);
}
END_TEST

#define A80	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char	*text;
	int		 want;
} bad[] = {
	{ "", -EBADMSG },
	{ "null", -EBADMSG },
	{ "[]", -EBADMSG },
	{ "{}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"kick\"", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"kick\"} ", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"kick\",\"x\":\"\xff\"}", -EBADMSG },
	{ "{\"v\":2,\"node\":\"a\",\"type\":\"kick\"}", -EPROTONOSUPPORT },
	{ "{\"v\":2}", -EPROTONOSUPPORT },
	{ "{\"v\":0,\"node\":\"a\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":\"1\",\"node\":\"a\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"node\":\"a\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":7,\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a b\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a/b\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"{a}\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"\\u0000\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"\303\244\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a" A80 "\",\"type\":\"kick\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"" A80 "\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":9,\"since\":10,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":9,\"since\":0,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":9,\"since\":\"5\",\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":0,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":-1,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":1.5,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":1e3,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":4503599627370496,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"leave\",\"epoch\":4503599627370496}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":9007199254740993,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"beat\",\"epoch\":99999999999999999999999999,\"seq\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"leave\"}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"down\",\"epoch\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"down\",\"dead\":\"\",\"epoch\":1}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"a\",\"type\":\"down\",\"dead\":\"b\"}", -EBADMSG },
};

START_TEST(is_refused)
{
	struct cluster_message m;

	ck_assert_msg(cluster_message_read(&m, slice_str(bad[_i].text)) == bad[_i].want, "%s", bad[_i].text);
}
END_TEST

START_TEST(ids)
{
	ck_assert(cluster_is_id(SLICE(A80)));
	ck_assert(!cluster_is_id(SLICE(A80 "a")));
	ck_assert(cluster_is_id(SLICE("azAZ09._:@-")));
	ck_assert(!cluster_is_id(SLICE("")));
	ck_assert(!cluster_is_id(SLICE("a\0")));
	ck_assert(!cluster_is_id(SLICE("a\n")));
}
END_TEST

Suite *
cluster_message_suite(void)
{
	Suite *s = suite_create("cluster_message");
	TCase *t = tcase_create("cluster_message");

	tcase_add_loop_test(t, is_taken, 0, (int)(sizeof(good) / sizeof(good[0])));
	tcase_add_loop_test(t, is_refused, 0, (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(t, ids);
	suite_add_tcase(s, t);
	return s;
}
