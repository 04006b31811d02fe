/*
 * A message is encoded once for each format, also when that fails.
 */
#include <check.h>

#include "wire/message.h"

Suite *message_suite(void);

static unsigned encoded;

static struct frame *
encode_one_byte(const struct message *m)
{
	struct frame *f = frame_new(1, 1);

	encoded++;
	*frame_body(f) = m->payload.p[0];
	return f;
}

static struct frame *
encode_nothing(const struct message *m)
{
	encoded++;
	return NULL;
}

static const struct codec byte_codec = { .name = "a byte", .id = 0, .encode = encode_one_byte };
static const struct codec other_codec = { .name = "another", .id = MESSAGE_CODECS - 1,
    .encode = encode_one_byte };
static const struct codec no_codec = { .name = "nothing", .id = 1, .encode = encode_nothing };

START_TEST(each_format_is_encoded_once)
{
	struct message m = { .payload = SLICE("x") };
	struct frame *f;

	encoded = 0;
	f = message_frame(&m, &byte_codec);
	ck_assert_uint_eq(f->refs, 1);
	ck_assert_int_eq(*frame_body(f), 'x');
	ck_assert_ptr_eq(message_frame(&m, &byte_codec), f);
	ck_assert_uint_eq(encoded, 1);
	ck_assert_ptr_ne(message_frame(&m, &other_codec), f);
	ck_assert_uint_eq(encoded, 2);
	message_done(&m);
}
END_TEST

START_TEST(what_cannot_be_encoded_is_tried_once)
{
	struct message m = { .payload = SLICE("x") };

	encoded = 0;
	ck_assert_ptr_null(message_frame(&m, &no_codec));
	ck_assert_ptr_null(message_frame(&m, &no_codec));
	ck_assert_uint_eq(encoded, 1);
	message_done(&m);
}
END_TEST

START_TEST(frames_outlive_the_message)
{
	struct message m = { .payload = SLICE("x") };
	struct frame *f = frame_ref(message_frame(&m, &byte_codec));

	message_done(&m);
	ck_assert_ptr_null(m.frames[byte_codec.id]);
	ck_assert_uint_eq(f->refs, 1);
	frame_unref(f);
	message_done(&m);
}
END_TEST

START_TEST(a_message_may_be_used_again)
{
	struct message m = { .payload = SLICE("x") };

	message_frame(&m, &byte_codec);
	message_done(&m);
	m.payload = SLICE("y");
	ck_assert_int_eq(*frame_body(message_frame(&m, &byte_codec)), 'y');
	message_done(&m);
}
END_TEST

static const struct {
	const char *event;
	bool	    reserved;
} words[] = {
	{ "presence_state", true }, { "presence_diff", true }, { "token_expiring", true }, { "system", true },
	{ "message_deleted", true }, { "phx_join", true }, { "phx_", true }, { "pusher_internal:x", true },
	{ "", false }, { "presence_stat", false }, { "presence_states", false }, { "System", false }, { "syste", false },
	{ "message_delete", false }, { "phx", false }, { "pusher_internal", false }, { "new_msg", false },
};

START_TEST(words_of_servers)
{
	ck_assert_msg(message_is_reserved(slice_str(words[_i].event)) == words[_i].reserved, "%s", words[_i].event);
}
END_TEST

Suite *
message_suite(void)
{
	Suite  *s = suite_create("message");
	TCase  *tc = tcase_create("message");

	tcase_add_test(tc, each_format_is_encoded_once);
	tcase_add_test(tc, what_cannot_be_encoded_is_tried_once);
	tcase_add_test(tc, frames_outlive_the_message);
	tcase_add_test(tc, a_message_may_be_used_again);
	tcase_add_loop_test(tc, words_of_servers, 0, sizeof(words) / sizeof(words[0]));
	suite_add_tcase(s, tc);
	return s;
}
