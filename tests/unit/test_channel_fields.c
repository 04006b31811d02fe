/*
 * Payloads against tables of fields: what is taken, as what, and which field is named where one is refused.
 */
#include "session_bench.h"

#include <inttypes.h>

Suite *channel_fields_suite(void);

static const struct channel_field *fields;
static unsigned n_fields;

/* Notes NAME=TEXT, NAME=NUMBER or NAME:TOKEN of each that is given. */
static int
reads(struct channel *ch, const struct channel_message *m)
{
	struct channel_value values[3];
	autobuf struct buf   scratch = { 0 };

	ck_assert_uint_le(n_fields, 3);
	memset(values, 0xff, sizeof(values));
	if (!channel_read(ch, m, fields, n_fields, values, &scratch))
		return 0;
	for (unsigned i = 0; i < n_fields; i++) {
		const struct channel_value *v = &values[i];

		ck_assert(v->given == (v->token.p != NULL));
		if (!v->given)
			continue;
		if (fields[i].type == CHANNEL_TEXT)
			note("%s=%.*s;", fields[i].name, SLICE_ARG(v->text));
		else if (fields[i].type == CHANNEL_OBJECT || fields[i].type == CHANNEL_ANY)
			note("%s:%.*s;", fields[i].name, SLICE_ARG(v->token));
		else
			note("%s=%" PRId64 ";", fields[i].name, v->number);
	}
	channel_reply_ok(ch, channel_empty());
	return 0;
}

static struct client *
reader(const struct channel_field *table, unsigned n)
{
	struct client *c = client_v2();

	fields = table;
	n_fields = n;
	probe.handle_in = reads;
	client_joins(c, "1", "room:a");
	noted("join room:a;joined;");
	return c;
}

/* `said` = what was read of it; NULL: refused, for the field `wrong`. */
static void
is_read(struct client *c, const char *payload, const char *said, const char *wrong)
{
	autofree char *text = xasprintf("[\"1\",\"2\",\"room:a\",\"x\",%s]", payload);
	autofree char *no = xasprintf(REPLY("\"1\"", "\"2\"", "room:a",
	    "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"%s\"}}"), wrong != NULL ? wrong : "");

	client_says(c, text);
	client_hears(c, said == NULL ? no : REPLY("\"1\"", "\"2\"", "room:a", OK));
	noted(said != NULL ? said : "");
}

START_TEST(texts)
{
	static const struct channel_field table[] = {
		{ "t", CHANNEL_TEXT, true, 1, 4 }, { "o", CHANNEL_TEXT, false, 0, 2 }, { "two", CHANNEL_TEXT, false, 2, 3 },
	};
	static const struct {
		const char *payload, *said, *wrong;
	} rows[] = {
		{ "{\"t\":\"abcd\"}", "t=abcd;", NULL },
		{ "{\"t\":\"abcde\"}", NULL, "t" },
		{ "{\"t\":\"\"}", NULL, "t" },
		{ "{}", NULL, "t" },
		{ "{\"t\":null}", NULL, "t" },
		{ "{\"t\":5}", NULL, "t" },
		{ "{\"t\":true}", NULL, "t" },
		{ "{\"t\":[\"a\"]}", NULL, "t" },
		{ "{\"t\":{\"t\":\"a\"}}", NULL, "t" },
		{ "{\"T\":\"a\"}", NULL, "t" },
		/* Characters are code points, whatever bytes they take. */
		{ "{\"t\":\"äö€😀\"}", "t=äö€😀;", NULL },
		{ "{\"t\":\"äö€😀x\"}", NULL, "t" },
		{ "{\"t\":\"\\ud83d\\ude00\\u00e4bc\"}", "t=😀äbc;", NULL },
		{ "{\"t\":\"\\ud83d\\ude00\\u00e4bcd\"}", NULL, "t" },
		{ "{\"t\":\"\\ud83d\"}", NULL, "t" },
		{ "{\"t\":\"a\\u0000\"}", NULL, "t" },
		{ "{\"t\":\"\\\"\\\\\\/\\n\"}", "t=\"\\/\n;", NULL },
		/* Several that have to be decoded. */
		{ "{\"t\":\"\\u0061\",\"o\":\"\\u0062\\u0063\",\"two\":\"\\u0064\\u0065f\"}", "t=a;o=bc;two=def;", NULL },
		{ "{\"two\":\"x\\ty\",\"t\":\"plain\",\"t\":\"last\"}", "t=last;two=x\ty;", NULL },
		{ "{\"t\":\"good\",\"t\":\"too long\"}", NULL, "t" },
		{ "{\"t\":\"good\",\"t\":null}", NULL, "t" },
		{ "{\"\\u0074\":\"esc\"}", "t=esc;", NULL },
		{ "{\"t\":\"a\",\"o\":\"\"}", "t=a;o=;", NULL },
		{ "{\"t\":\"a\",\"o\":\" \"}", "t=a;o= ;", NULL },
		{ "{\"t\":\"a\",\"o\":null,\"other\":[1]}", "t=a;", NULL },
		{ "{\"t\":\"a\",\"two\":\"b\"}", NULL, "two" },
		/* The first that is wrong, in the table's order. */
		{ "{\"two\":\"b\",\"o\":7}", NULL, "t" },
		{ "{\"two\":\"b\",\"o\":7,\"t\":\"a\"}", NULL, "o" },
	};
	struct client *c = reader(table, 3);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_read(c, rows[i].payload, rows[i].said, rows[i].wrong);
}
END_TEST

START_TEST(nothing_but_blanks)
{
	static const struct channel_field table[] = { { "t", CHANNEL_TEXT, true, 1, 8 } };
	static const char *const blanks[] = {
		"\\t", "\\n", "\\u000b", "\\f", "\\r", " ", "\\u0085", "\\u00a0", "\\u1680", "\\u2000", "\\u2005", "\\u200a",
		"\\u200b", "\\u200c", "\\u200d", "\\u2028", "\\u2029", "\\u202f", "\\u205f", "\\u2060", "\\u3000", "\\ufeff",
		"\u00a0", "\u2003", "\u200b", "\u3000", "\ufeff",
	};
	struct client *c = reader(table, 1);

	for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
		autofree char *one = xasprintf("{\"t\":\"%s\"}", blanks[i]);
		autofree char *some = xasprintf("{\"t\":\" %s\\u2009%s \"}", blanks[i], blanks[i]);
		autofree char *word = xasprintf("{\"t\":\"%s.%s\",\"t\":\"%s.\"}", blanks[i], blanks[i], "\\u200b");

		is_read(c, one, NULL, "t");
		is_read(c, some, NULL, "t");
		is_read(c, word, "t=\u200b.;", NULL);
	}
	/* Neighbours of them that are not. */
	is_read(c, "{\"t\":\"\\u200e\"}", "t=\u200e;", NULL);
	is_read(c, "{\"t\":\"\\u3001\"}", "t=\u3001;", NULL);
	is_read(c, "{\"t\":\"\\ufefe\"}", "t=\ufefe;", NULL);
	is_read(c, "{\"t\":\"\\u00a1\"}", "t=\u00a1;", NULL);
}
END_TEST

START_TEST(others)
{
	static const struct channel_field table[] = {
		{ "b", CHANNEL_BOOL, false, 0, 0 }, { "i", CHANNEL_INTEGER, false, -5, 120 }, { "o", CHANNEL_OBJECT, false, 0, 0 },
	};
	static const struct {
		const char *payload, *said, *wrong;
	} rows[] = {
		{ "{}", "", NULL },
		{ "{\"b\":true}", "b=1;", NULL },
		{ "{\"b\":false,\"i\":0}", "b=0;i=0;", NULL },
		{ "{\"b\":\"true\"}", NULL, "b" },
		{ "{\"b\":1}", NULL, "b" },
		{ "{\"b\":null}", "", NULL },
		{ "{\"i\":120}", "i=120;", NULL },
		{ "{\"i\":121}", NULL, "i" },
		{ "{\"i\":-5}", "i=-5;", NULL },
		{ "{\"i\":-6}", NULL, "i" },
		{ "{\"i\":-0}", "i=0;", NULL },
		{ "{\"i\":1.0}", NULL, "i" },
		{ "{\"i\":1e1}", NULL, "i" },
		{ "{\"i\":1E1}", NULL, "i" },
		{ "{\"i\":\"1\"}", NULL, "i" },
		{ "{\"i\":true}", NULL, "i" },
		{ "{\"i\":[]}", NULL, "i" },
		{ "{\"i\":99999999999999999999}", NULL, "i" },
		{ "{\"i\":-99999999999999999999}", NULL, "i" },
		/* 2^64 + 1 is not 1. */
		{ "{\"i\":18446744073709551617}", NULL, "i" },
		{ "{\"o\":{}}", "o:{};", NULL },
		{ "{\"o\":{ \"a\" : [1, 2.50] }}", "o:{ \"a\" : [1, 2.50] };", NULL },
		{ "{\"o\":[]}", NULL, "o" },
		{ "{\"o\":\"{}\"}", NULL, "o" },
	};
	struct client *c = reader(table, 3);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_read(c, rows[i].payload, rows[i].said, rows[i].wrong);
}
END_TEST

START_TEST(whole_range_and_any)
{
	static const struct channel_field table[] = {
		{ "i", CHANNEL_INTEGER, false, INT64_MIN, INT64_MAX }, { "a", CHANNEL_ANY, false, 0, 5 }, { "r", CHANNEL_ANY, true, 0, 9 },
	};
	static const struct {
		const char *payload, *said, *wrong;
	} rows[] = {
		{ "{\"r\":0,\"i\":9223372036854775807}", "i=9223372036854775807;r:0;", NULL },
		{ "{\"r\":0,\"i\":9223372036854775808}", NULL, "i" },
		{ "{\"r\":0,\"i\":-9223372036854775808}", "i=-9223372036854775808;r:0;", NULL },
		{ "{\"r\":0,\"i\":-9223372036854775809}", NULL, "i" },
		{ "{\"r\":0,\"a\":[1,2]}", "a:[1,2];r:0;", NULL },
		{ "{\"r\":0,\"a\":[1, 2]}", NULL, "a" },
		{ "{\"r\":0,\"a\":\"abc\"}", "a:\"abc\";r:0;", NULL },
		{ "{\"r\":false}", "r:false;", NULL },
		{ "{\"r\":null}", NULL, "r" },
		{ "{\"r\":1.5e3}", "r:1.5e3;", NULL },
	};
	struct client *c = reader(table, 3);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_read(c, rows[i].payload, rows[i].said, rows[i].wrong);
}
END_TEST

START_TEST(raw_bytes_and_no_objects)
{
	static const struct channel_field table[] = { { "t", CHANNEL_TEXT, false, 0, 8 } };
	static const char push[] = "\x00\x01\x01\x06\x01" "12room:ax{}";
	struct client *c = reader(table, 1);

	session_receive(&c->session, true, slice(push, sizeof(push) - 1));
	client_hears(c, REPLY("\"1\"", "\"2\"", "room:a", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"payload\"}}"));
	is_read(c, "[]", NULL, "payload");
}
END_TEST

/* Without a field that needs it, nothing is allocated; out of turn nothing is answered. */
static int
reads_by_itself(struct channel *ch, int timer)
{
	static const struct channel_field table[] = { { "t", CHANNEL_TEXT, false, 1, 8 } };
	struct channel_value		  v;
	autobuf struct buf		  scratch = { 0 };

	ck_assert(channel_read(ch, &(struct channel_message){ .payload = channel_json(SLICE("{\"t\":\"x\"}")) }, table, 1, &v, &scratch));
	ck_assert_ptr_null(scratch.p);
	ck_assert(slice_is(v.text, "x") && slice_is(v.token, "\"x\""));
	buf_add_str(&scratch, "kept ");
	ck_assert(channel_read(ch, &(struct channel_message){ .payload = channel_json(SLICE("{\"t\":\"\\u0078y\"}")) }, table, 1, &v, &scratch));
	ck_assert(slice_is(v.text, "xy") && slice_is(buf_slice(&scratch), "kept xy"));
	ck_assert(!channel_read(ch, &(struct channel_message){ .payload = channel_json(SLICE("{\"t\":1}")) }, table, 1, &v, &scratch));
	note("read;");
	return 0;
}

START_TEST(out_of_turn)
{
	struct client *c = client_v2();

	client_joins(c, "1", "room:a");
	noted("join room:a;joined;");
	probe.handle_info = reads_by_itself;
	channel_set_timer(probe_channel, 1, 10);
	pass(100);
	noted("read;");
	client_hears_nothing(c);
}
END_TEST

/* In a join: it is refused with that answer. */
static int
join_reads(struct channel *ch, const struct channel_message *params)
{
	static const struct channel_field table[] = { { "device_id", CHANNEL_TEXT, true, 1, 8 } };
	struct channel_value		  v;
	autobuf struct buf		  scratch = { 0 };

	return channel_read(ch, params, table, 1, &v, &scratch) ? CHANNEL_OK : CHANNEL_REFUSED;
}

START_TEST(joins)
{
	struct client *c = client_v2();

	probe.join = join_reads;
	client_says(c, "[\"1\",\"1\",\"room:a\",\"phx_join\",{\"device_id\":\"\\u3000\"}]");
	client_hears(c, REPLY("\"1\"", "\"1\"", "room:a", "{\"status\":\"error\",\"response\":{\"reason\":\"invalid_payload\",\"field\":\"device_id\"}}"));
	client_says(c, "[\"2\",\"2\",\"room:a\",\"phx_join\",{\"device_id\":\"d\"}]");
	client_hears(c, REPLY("\"2\"", "\"2\"", "room:a", OK));
}
END_TEST

Suite *
channel_fields_suite(void)
{
	Suite *s = suite_create("channel_fields");
	TCase *t = tcase_create("channel_fields");

	tcase_add_checked_fixture(t, bench_begin, bench_end);
	tcase_add_test(t, texts);
	tcase_add_test(t, nothing_but_blanks);
	tcase_add_test(t, others);
	tcase_add_test(t, whole_range_and_any);
	tcase_add_test(t, raw_bytes_and_no_objects);
	tcase_add_test(t, out_of_turn);
	tcase_add_test(t, joins);
	suite_add_tcase(s, t);
	return s;
}
