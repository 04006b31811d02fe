/*
 * Presence deltas and the fields of a replica's hash: what is written is read again, and what strangers write
 * is refused or left out.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "presence/delta.h"
#include "presence/hash_fields.h"

Suite *delta_suite(void);

#define META(ref)	SLICE("{\"phx_ref\":\"" ref "\"}")
#define ITEM(k, r)	{ .key = SLICE_INIT(k), .ref = SLICE_INIT(r), .meta = SLICE_INIT("{\"phx_ref\":\"" r "\"}") }
#define SLICE_INIT(s)	{ s, sizeof(s) - 1 }
#define HEAD		"{\"v\":1,\"node\":\"n1\",\"epoch\":7,\"from\":3,\"to\":4"

/* The same delta by hand, from what was read of a text. */
static void
check_again(struct slice text)
{
	autobuf struct buf out = { 0 };
	struct delta	   d;
	const char	  *why;

	ck_assert_int_eq(delta_read(&d, text, &why), 0);
	delta_write(&out, d.node, d.epoch, &d.change);
	ck_assert_msg(slice_eq(buf_slice(&out), text), "%.*s\n%.*s", SLICE_ARG(buf_slice(&out)), SLICE_ARG(text));
	delta_done(&d);
}

static const struct presence_item put[] = {
	ITEM("b", "r1"), ITEM("a", "r2"),
	{ SLICE_INIT("b"), SLICE_INIT("r3"), SLICE_INIT("{\"x\":[1],\"phx_ref\":\"r3\"}"), true },
};
static const struct presence_item gone[] = { { .key = SLICE_INIT("q\"\n"), .ref = SLICE_INIT("r9") } };

static const struct {
	struct presence_delta	 d;
	const char		*text;
} written[] = {
	{ { .from = 3, .to = 4 }, HEAD "}" },
	{ { .from = 3, .to = 4, .empty = true }, HEAD ",\"empty\":true}" },
	{ { .from = 3, .to = 4, .put = put, .n_put = 2 },
	    HEAD ",\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":\"r2\"}]},\"b\":{\"metas\":[{\"phx_ref\":\"r1\"}]}}}" },
	{ { .from = 3, .to = 4, .put = put, .n_put = 3, .gone = gone, .n_gone = 1 },
	    HEAD ",\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":\"r2\"}]},\"b\":{\"metas\":[{\"phx_ref\":\"r1\"},"
	    "{\"x\":[1],\"phx_ref\":\"r3\"}]}},\"leaves\":{\"q\\\"\\n\":[\"r9\"]},\"linger\":{\"b\":[\"r3\"]}}" },
};

START_TEST(writes_and_reads)
{
	autobuf struct buf out = { 0 };

	delta_write(&out, SLICE("n1"), 7, &written[_i].d);
	ck_assert_msg(slice_is(buf_slice(&out), written[_i].text), "%.*s", SLICE_ARG(buf_slice(&out)));
	check_again(buf_slice(&out));
}
END_TEST

static const struct {
	const char *text;
	int	    want;
} texts[] = {
	{ "", -EBADMSG },
	{ "{}", -EBADMSG },
	{ "[]", -EBADMSG },
	{ "null", -EBADMSG },
	{ HEAD, -EBADMSG },
	{ HEAD "}x", -EBADMSG },
	{ HEAD "} ", 0 },
	{ " " HEAD ",\"more\":[{\"a\":1}] }", 0 },
	{ "{\"v\":2,\"what\":\"ever\"}", -EPROTONOSUPPORT },
	{ "{\"v\":0,\"node\":\"n1\",\"epoch\":7,\"from\":3,\"to\":4}", -EBADMSG },
	{ "{\"v\":\"1\",\"node\":\"n1\",\"epoch\":7,\"from\":3,\"to\":4}", -EBADMSG },
	{ "{\"node\":\"n1\",\"epoch\":7,\"from\":3,\"to\":4}", -EBADMSG },
	{ "{\"v\":1,\"epoch\":7,\"from\":3,\"to\":4}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"\",\"epoch\":7,\"from\":3,\"to\":4}", -EBADMSG },
	{ "{\"v\":1,\"node\":5,\"epoch\":7,\"from\":3,\"to\":4}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"n1\",\"epoch\":0,\"from\":3,\"to\":4}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"n1\",\"epoch\":7,\"from\":4,\"to\":4}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"n1\",\"epoch\":7,\"from\":-1,\"to\":4}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"n1\",\"epoch\":7,\"from\":0,\"to\":1e3}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"n1\",\"epoch\":7,\"from\":0,\"to\":9007199254740992}", -EBADMSG },
	{ "{\"v\":1,\"node\":\"n1\",\"epoch\":7,\"from\":0,\"to\":9007199254740991}", 0 },
	{ HEAD ",\"v\":1}", -EBADMSG },
	{ HEAD ",\"joins\":{},\"joins\":{}}", -EBADMSG },
	{ HEAD ",\"joins\":[]}", -EBADMSG },
	{ HEAD ",\"joins\":null}", -EBADMSG },
	{ HEAD ",\"joins\":{\"a\":[]}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"a\":{}}}", 0 },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":{}}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":[]}}}", 0 },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":[1]}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":[{}]}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":1}]}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":\"\"}]}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":\"a/b\"}]}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"\":{\"metas\":[]}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"\\u0000\":{\"metas\":[]}}}", -EBADMSG },
	{ HEAD ",\"joins\":{\"\\u0061\":{\"metas\":[{\"phx_ref\":\"\\u0061\"}],\"user\":{}}}}", 0 },
	{ HEAD ",\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":\"r\"},]}}}", -EBADMSG },
	{ HEAD ",\"leaves\":{\"a\":\"r\"}}", -EBADMSG },
	{ HEAD ",\"leaves\":{\"a\":[5]}}", -EBADMSG },
	{ HEAD ",\"leaves\":{\"a\":[\"r\"}}", -EBADMSG },
	{ HEAD ",\"leaves\":{\"a\":[\"\\ud800\"]}}", -EBADMSG },
	{ HEAD ",\"linger\":{\"a\":[\"r\"]}}", 0 },
	{ HEAD ",\"empty\":1}", -EBADMSG },
	{ HEAD ",\"empty\":false}", 0 },
	{ HEAD ",\"empty\":true,\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":\"r\"}]}}}", -EBADMSG },
	{ HEAD ",\"x\":\"\xff\"}", -EBADMSG },
};

START_TEST(reads_strictly)
{
	struct delta d;
	const char  *why;
	int	     r;

	r = delta_read(&d, slice_str(texts[_i].text), &why);
	ck_assert_msg(r == texts[_i].want, "%s: %d", texts[_i].text, r);
	ck_assert(r == 0 || why != NULL);
	delta_done(&d);
}
END_TEST

START_TEST(undoes_escapes)
{
	struct delta d;
	const char  *why;

	ck_assert_int_eq(delta_read(&d, SLICE(HEAD ",\"joins\":{\"\\u0061\\n\":{\"metas\":[{\"phx_ref\":\"\\u0062\"}]}},"
	    "\"linger\":{\"\\u0061\\n\":[\"b\"]}}"), &why), 0);
	ck_assert_uint_eq(d.change.n_put, 1);
	ck_assert(slice_is(d.change.put[0].key, "a\n"));
	ck_assert(slice_is(d.change.put[0].ref, "b"));
	ck_assert(d.change.put[0].lingers);
	delta_done(&d);
}
END_TEST

/* As many as one value may not have. */
START_TEST(reads_many)
{
	enum { MANY = 40000 };
	struct presence_item *items = calloc(MANY, sizeof(*items));
	char		    (*refs)[16] = calloc(MANY, 16);
	char		    (*metas)[40] = calloc(MANY, 40);
	autobuf struct buf    out = { 0 };
	struct delta	      d;
	const char	     *why;

	for (int i = 0; i < MANY; i++) {
		snprintf(refs[i], sizeof(refs[i]), "r%d", i);
		snprintf(metas[i], sizeof(metas[i]), "{\"phx_ref\":\"r%d\"}", i);
		items[i] = (struct presence_item){ slice_str(refs[i]), slice_str(refs[i]), slice_str(metas[i]), i % 2 == 0 };
	}
	delta_write(&out, SLICE("n1"), 7, &(struct presence_delta){ .to = 1, .put = items, .n_put = MANY });
	ck_assert_int_eq(delta_read(&d, buf_slice(&out), &why), 0);
	ck_assert_uint_eq(d.change.n_put, MANY);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_eq(d.change.put[i].lingers, atol(d.change.put[i].ref.p + 1) % 2 == 0);
	delta_done(&d);
	free(items);
	free(refs);
	free(metas);
}
END_TEST

START_TEST(drops_what_is_too_long)
{
	autobuf struct buf text = { 0 };
	struct delta	   d;
	const char	  *why;

	buf_add_str(&text, HEAD ",\"joins\":{\"a\":{\"metas\":[{\"phx_ref\":\"r1\",\"x\":\"");
	memset(buf_room(&text, PRESENCE_MAX_META), 'x', PRESENCE_MAX_META);
	text.n += PRESENCE_MAX_META;
	buf_add_str(&text, "\"},{\"phx_ref\":\"r2\"}]}}}");
	ck_assert_int_eq(delta_read(&d, buf_slice(&text), &why), 0);
	ck_assert_uint_eq(d.change.n_put, 1);
	ck_assert_uint_eq(d.put.dropped, 1);
	ck_assert(slice_is(d.change.put[0].ref, "r2"));
	delta_done(&d);
}
END_TEST

/* Of what a client may say at the most, with the server's members, nothing is too long. */
START_TEST(takes_the_longest_of_ours)
{
	static const size_t most = 64 * 1024 - sizeof("{\"x\":\"\"}") + 1;
	autobuf struct buf  text = { 0 };
	struct delta	    d;
	const char	   *why;

	buf_add_str(&text, HEAD ",\"joins\":{\"a\":{\"metas\":[{\"x\":\"");
	memset(buf_room(&text, most), 'x', most);
	text.n += most;
	buf_add_str(&text, "\",\"phx_ref\":\"0123456789abcdef\",\"phx_ref_prev\":\"fedcba9876543210\"}]}}}");
	ck_assert_int_eq(delta_read(&d, buf_slice(&text), &why), 0);
	ck_assert_uint_eq(d.change.n_put, 1);
	delta_done(&d);
}
END_TEST

START_TEST(refuses_huge_texts)
{
	autobuf struct buf text = { 0 };
	struct delta	   d;
	const char	  *why;

	memset(buf_room(&text, DELTA_MAX_TEXT + 1), ' ', DELTA_MAX_TEXT + 1);
	text.n = DELTA_MAX_TEXT + 1;
	ck_assert_int_eq(delta_read(&d, buf_slice(&text), &why), -EMSGSIZE);
	delta_done(&d);
}
END_TEST

static const struct {
	const char *key, *field;
} fields[] = {
	{ "u1", "u1/r" }, { "a/b", "a/b/r" }, { "/", "//r" }, { "@linger/", "@linger//r" }, { "@epoch", "@epoch/r" },
	{ "@linger/a", "@linger/a/r" }, { "x@", "x@/r" },
};

START_TEST(names_fields)
{
	struct presence_item item = { .key = slice_str(fields[_i].key), .ref = SLICE("r"), .meta = META("r") };
	autobuf struct buf   name = { 0 }, linger = { 0 };
	struct hash_fields   h = { 0 };

	field_write(&name, &item);
	ck_assert(slice_is(buf_slice(&name), fields[_i].field));
	field_write_linger(&linger, &item);
	ck_assert(slice_is(buf_slice(&linger), "@linger/r"));
	ck_assert_uint_le(name.n, FIELD_ROOM(&item));
	ck_assert_uint_le(linger.n, FIELD_ROOM(&item));
	hash_fields_add(&h, buf_slice(&name), item.meta);
	hash_fields_add(&h, buf_slice(&linger), SLICE("1"));
	hash_fields_add(&h, SLICE("@epoch"), SLICE("5"));
	ck_assert(!hash_fields_end(&h));
	hash_fields_add(&h, SLICE("@version"), SLICE("6"));
	ck_assert(hash_fields_end(&h));
	ck_assert_uint_eq(h.items.n, 1);
	ck_assert_uint_eq(h.items.dropped, 0);
	ck_assert(slice_is(h.items.items[0].key, fields[_i].key));
	ck_assert(slice_is(h.items.items[0].ref, "r"));
	ck_assert(h.items.items[0].lingers);
	hash_fields_done(&h);
}
END_TEST

static const struct {
	const char *field, *value;
} strange[] = {
	{ "", "{}" }, { "x", "{}" }, { "x/r", "" }, { "x/r", "[]" }, { "x/r", "{}" }, { "x/r", "{\"phx_ref\":\"q\"}" },
	{ "x/r", "{\"phx_ref\":\"r\"} " }, { "x/", "{\"phx_ref\":\"\"}" }, { "/r", "{\"phx_ref\":\"r\"}" },
	{ "@linger/", "1" }, { "@other", "1" }, { "\xff/r", "{\"phx_ref\":\"r\"}" },
	{ "x/r", "{\"phx_ref\":\"r\",\"x\":\"\xff\"}" },
};

START_TEST(leaves_out_strange_fields)
{
	struct hash_fields h = { 0 };

	hash_fields_add(&h, slice_str(strange[_i].field), slice_str(strange[_i].value));
	hash_fields_add(&h, SLICE("@epoch"), SLICE("x"));
	hash_fields_add(&h, SLICE("@version"), SLICE("-1"));
	ck_assert(!hash_fields_end(&h));
	ck_assert_uint_eq(h.items.n, 0);
	ck_assert_uint_eq(h.items.dropped, 1);
	hash_fields_done(&h);
}
END_TEST

START_TEST(sorts)
{
	const struct presence_item some[] = {
		ITEM("b", "2"), ITEM("a", "9"), ITEM("b", "1"), ITEM("ab", "0"), ITEM("a", "8"),
	};
	struct presence_items	   a = { 0 };
	char			   order[32] = "";

	for (unsigned i = 0; i < 5; i++)
		presence_items_add(&a, &some[i]);
	presence_items_sort(&a);
	for (unsigned i = 0; i < 5; i++)
		order[i] = a.items[i].ref.p[0];
	ck_assert_str_eq(order, "89012");
	presence_items_done(&a);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
delta_suite(void)
{
	Suite *s = suite_create("delta");
	TCase *tc = tcase_create("delta");

	tcase_add_loop_test(tc, writes_and_reads, 0, N(written));
	tcase_add_loop_test(tc, reads_strictly, 0, N(texts));
	tcase_add_test(tc, undoes_escapes);
	tcase_add_test(tc, reads_many);
	tcase_add_test(tc, drops_what_is_too_long);
	tcase_add_test(tc, takes_the_longest_of_ours);
	tcase_add_test(tc, refuses_huge_texts);
	tcase_add_loop_test(tc, names_fields, 0, N(fields));
	tcase_add_loop_test(tc, leaves_out_strange_fields, 0, N(strange));
	tcase_add_test(tc, sorts);
	suite_add_tcase(s, tc);
	return s;
}
