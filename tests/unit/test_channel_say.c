/*
 * What channels say, and in whose name, to clients of both families.
 */
#include "session_bench.h"

#include <errno.h>

Suite *channel_say_suite(void);

#define TOPIC		"presence-a"
#define OTHERS(event, payload) "[null,null,\"" TOPIC "\",\"" event "\"," payload "]"
#define MESSAGE(event, data, from) "{\"type\":\"channel:message\",\"channel\":\"" TOPIC "\",\"event\":\"" event "\",\"data\":" data \
	",\"from\":" from ",\"timestamp\":\""

static struct client *
joined_v2(const char *user)
{
	struct client *c = client_new(&codec_phoenix_v2, user, 0);

	client_joins(c, "1", TOPIC);
	return c;
}

static struct client *
joined_pusher(const char *user)
{
	struct client *c = client_new(&codec_pusher, user, 0);

	client_says(c, "{\"type\":\"join\",\"channel\":\"" TOPIC "\"}");
	client_hears(c, "{\"type\":\"channel:joined\",\"channel\":\"" TOPIC "\"}");
	return c;
}

static void
begin(void)
{
	bench_begin();
	bench_serve("presence-*", &probe, NULL, 0, NULL);
}

/* The frame begins so; what follows is a time. */
static void
hears_message_at(struct client *c, const char *text, int line)
{
	struct frame *f = c->out.n > 0 ? outq_at(&c->out, 0) : NULL;
	struct slice  got = f != NULL ? slice(frame_body(f), frame_body_len(f)) : SLICE("nothing");

	ck_assert_msg(f != NULL && slice_starts(got, slice_str(text)) && got.n == strlen(text) + 26, "line %d: heard %.*s, not %s",
	    line, SLICE_ARG(got), text);
	outq_drop(&c->out, f->len);
}

#define hears_message(c, text) hears_message_at(c, text, __LINE__)

START_TEST(ids)
{
	struct client *a = joined_v2("u1"), *b;
	struct slice   id = channel_client(probe_channel);

	b = joined_v2("u1");
	ck_assert_uint_ge(id.n, 10);
	ck_assert_uint_le(id.n, SESSION_ID_LEN);
	for (size_t i = 0; i < id.n; i++)
		ck_assert(i == 8 ? id.p[i] == '-' : strchr("0123456789abcdef", id.p[i]) != NULL);
	ck_assert(slice_is(id, a->session.id));
	ck_assert_str_ne(a->session.id, b->session.id);
	ck_assert(slice_is(channel_client(probe_channel), b->session.id));
	/* The longest there can be. */
	bench.run = UINT32_MAX;
	bench.n_begun = UINT64_MAX;
	b = joined_v2("u2");
	ck_assert_str_eq(b->session.id, "ffffffff-ffffffffffffffff");
}
END_TEST

START_TEST(senders_are_named)
{
	struct client	*phoenix = joined_v2("u\"1"), *pusher = joined_pusher("u2");
	struct channel	*ch = phoenix->session.channels, *other = pusher->session.channels;
	autofree char	*from = NULL, *want = NULL;

	probe.names_senders = _i > 0;
	from = _i > 0 ? xasprintf("{\"clientId\":\"%s\",\"userId\":\"u\\\"1\"}", phoenix->session.id) : xstrdup("null");
	want = xasprintf(MESSAGE("x", "{\"n\":1}", "%s"), from);
	ck_assert_int_eq(channel_broadcast_from(ch, SLICE("x"), channel_json(SLICE("{\"n\":1}"))), 0);
	client_hears_nothing(phoenix);
	hears_message(pusher, want);
	ck_assert_int_eq(channel_broadcast(ch, SLICE("x"), channel_json(SLICE("{\"n\":1}"))), 0);
	client_hears(phoenix, OTHERS("x", "{\"n\":1}"));
	hears_message(pusher, want);
	/* What a node says of itself is nobody's. */
	ck_assert_int_eq(channel_tell_here(ch, SLICE("x"), channel_json(SLICE("{\"n\":1}")), NULL), 0);
	client_hears(phoenix, OTHERS("x", "{\"n\":1}"));
	hears_message(pusher, MESSAGE("x", "{\"n\":1}", "null"));
	ck_assert_int_eq(channel_broadcast_from(other, SLICE("y"), channel_json(SLICE("{}"))), 0);
	client_hears(phoenix, OTHERS("y", "{}"));
	client_hears_nothing(phoenix);
	client_hears_nothing(pusher);
}
END_TEST

START_TEST(nameless_senders)
{
	struct client *anonymous = joined_pusher(""), *pusher = joined_pusher("u2");
	autofree char *want = xasprintf(MESSAGE("x", "{}", "{\"clientId\":\"%s\",\"userId\":null}"), anonymous->session.id);

	probe.names_senders = true;
	ck_assert_int_eq(channel_broadcast_from(anonymous->session.channels, SLICE("x"), channel_empty()), 0);
	hears_message(pusher, want);
	client_hears_nothing(anonymous);
}
END_TEST

static void
says_goodbye(struct channel *ch, const char *why)
{
	ck_assert_uint_eq(channel_count_here(ch), 1);
	ck_assert_int_eq(channel_broadcast(ch, SLICE("bye"), channel_empty()), 0);
}

START_TEST(who_leaves_is_named)
{
	struct client *a = joined_pusher("u1"), *b = joined_pusher("u2");
	autofree char *want = xasprintf(MESSAGE("bye", "{}", "{\"clientId\":\"%s\",\"userId\":\"u1\"}"), a->session.id);

	probe.names_senders = true;
	probe.leave = says_goodbye;
	ck_assert_uint_eq(channel_count_here(a->session.channels), 2);
	client_gone(a);
	hears_message(b, want);
	client_hears_nothing(b);
	probe.leave = NULL;
}
END_TEST

/* A value; what Phoenix' clients get for it, NULL = nobody gets it. */
static const struct {
	const char *value, *object;
} data[] = {
	{ "{\"a\":1}", "{\"a\":1}" },
	{ "{}", "{}" },
	{ "[1,2]", "{\"data\":[1,2]}" },
	{ "\"text\"", "{\"data\":\"text\"}" },
	{ "5", "{\"data\":5}" },
	{ "null", "{\"data\":null}" },
	{ "", NULL },
};

START_TEST(any_value)
{
	struct client *a = joined_v2("u1"), *phoenix = joined_v2("u2"), *pusher = joined_pusher("u3");
	const char    *value = data[_i].value, *object = data[_i].object;
	autofree char *frame = xasprintf(OTHERS("x", "%s"), object != NULL ? object : "");
	autofree char *text = xasprintf(MESSAGE("x", "%s", "{\"clientId\":\"%s\",\"userId\":\"u1\"}"), value, a->session.id);

	probe.names_senders = true;
	ck_assert_int_eq(channel_broadcast_data_from(a->session.channels, SLICE("x"), slice_str(value)),
	    object != NULL ? 0 : -EINVAL);
	if (object != NULL) {
		client_hears(phoenix, frame);
		hears_message(pusher, text);
	}
	client_hears_nothing(a);
	client_hears_nothing(phoenix);
	client_hears_nothing(pusher);
}
END_TEST

START_TEST(typed_for_one_family)
{
	struct client  *phoenix = joined_v2("u1"), *a = joined_pusher("u2"), *b = joined_pusher("u3");
	struct channel *ch = phoenix->session.channels;

	/* Even where classes would have intercepted it. */
	ck_assert_int_eq(channel_tell_typed_here(ch, SLICE("shouted"), SLICE("{\"member\":{\"id\":\"u9\"}}"), b->session.channels), 0);
	client_hears(a, "{\"type\":\"shouted\",\"channel\":\"" TOPIC "\",\"member\":{\"id\":\"u9\"}}");
	client_hears_nothing(a);
	client_hears_nothing(b);
	client_hears_nothing(phoenix);
	ck_assert_int_eq(channel_tell_typed_here(ch, SLICE("x"), SLICE("{}"), NULL), 0);
	client_hears(a, "{\"type\":\"x\",\"channel\":\"" TOPIC "\"}");
	client_hears(b, "{\"type\":\"x\",\"channel\":\"" TOPIC "\"}");
	ck_assert_int_eq(channel_tell_typed_here(ch, SLICE("x"), SLICE("[]"), NULL), -EINVAL);
	client_hears_nothing(a);
}
END_TEST

static int
counts_in_join(struct channel *ch, const struct channel_message *params)
{
	probe_channel = ch;
	ck_assert_int_eq(channel_broadcast_data_from(ch, SLICE("x"), SLICE("1")), -EINVAL);
	ck_assert_int_eq(channel_tell_typed_here(ch, SLICE("x"), SLICE("{}"), NULL), -EINVAL);
	note("%u;", channel_count_here(ch));
	return CHANNEL_OK;
}

static int
counts_in_joined(struct channel *ch)
{
	note("joined %u;", channel_count_here(ch));
	return 0;
}

START_TEST(counted)
{
	struct client *a;

	probe.join = counts_in_join;
	probe.joined = counts_in_joined;
	a = joined_v2("u1");
	noted("0;joined 1;");
	joined_pusher("u2");
	noted("1;joined 2;");
	client_gone(a);
	joined_v2("u1");
	noted("leave closed;1;joined 2;");
}
END_TEST

Suite *
channel_say_suite(void)
{
	Suite *s = suite_create("channel_say");
	TCase *t = tcase_create("channel_say");

	tcase_add_checked_fixture(t, begin, bench_end);
	tcase_add_test(t, ids);
	tcase_add_loop_test(t, senders_are_named, 0, 2);
	tcase_add_test(t, nameless_senders);
	tcase_add_test(t, who_leaves_is_named);
	tcase_add_loop_test(t, any_value, 0, sizeof(data) / sizeof(data[0]));
	tcase_add_test(t, typed_for_one_family);
	tcase_add_test(t, counted);
	suite_add_tcase(s, t);
	return s;
}
