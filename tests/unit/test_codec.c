/*
 * Which wire format a "vsn" parameter gets.
 */
#include <check.h>

#include "wire/message.h"

Suite *codec_suite(void);

static const struct {
	const char	   *vsn;
	const struct codec *want;
} versions[] = {
	{ NULL, &codec_phoenix_v1 },
	{ "1.0.0", &codec_phoenix_v1 },
	{ "1.0.7", &codec_phoenix_v1 },
	{ "1.0.10", &codec_phoenix_v1 },
	{ "1.0.99999999999999999999999", &codec_phoenix_v1 },
	{ "1.0.1-alpha", &codec_phoenix_v1 },
	{ "1.0.0+build.001", &codec_phoenix_v1 },
	{ "2.0.0", &codec_phoenix_v2 },
	{ "2.0.5", &codec_phoenix_v2 },
	{ "2.0.0+x", &codec_phoenix_v2 },
	{ "2.0.0+x-y.01.Z", &codec_phoenix_v2 },
	{ "2.0.1-rc.1", &codec_phoenix_v2 },
	{ "2.0.1-rc.1+5", &codec_phoenix_v2 },
	{ "2.0.1-0.0a.-", &codec_phoenix_v2 },
	{ "2.0.0-rc.1", NULL },
	{ "2.0.0-rc.1+x", NULL },
	{ "1.0.0-0", NULL },
	{ "1.1.0", NULL },
	{ "1.1.0-rc.1", NULL },
	{ "2.1.0", NULL },
	{ "2.1.0-rc.1", NULL },
	{ "3.0.0", NULL },
	{ "0.0.0", NULL },
	{ "12.0.0", NULL },
	{ "20.0.0", NULL },
	{ "2.0", NULL },
	{ "2", NULL },
	{ "2.", NULL },
	{ "2.0.", NULL },
	{ "2..0", NULL },
	{ ".0.0", NULL },
	{ "2.0.0.0", NULL },
	{ "2.0.00", NULL },
	{ "2.00.0", NULL },
	{ "02.0.0", NULL },
	{ "2.0.01", NULL },
	{ "2.0.1-01", NULL },
	{ "2.0.1-", NULL },
	{ "2.0.1-a.", NULL },
	{ "2.0.1-a..b", NULL },
	{ "2.0.1-a_b", NULL },
	{ "2.0.0+", NULL },
	{ "2.0.0+a+b", NULL },
	{ "2.0.0+a_b", NULL },
	{ "v2.0.0", NULL },
	{ "~> 2.0.0", NULL },
	{ "2.0.0 ", NULL },
	{ " 2.0.0", NULL },
	{ "2.0.0\n", NULL },
	{ "-2.0.0", NULL },
	{ "+2.0.0", NULL },
	{ "2.0.x", NULL },
	{ "2.0.0rc", NULL },
	{ "abc", NULL },
	{ "", NULL },
	{ "undefined", NULL },
};

START_TEST(version_chooses_the_codec)
{
	const char *vsn = versions[_i].vsn;
	const struct codec *got = codec_for_vsn(slice(vsn, vsn != NULL ? strlen(vsn) : 0));

	ck_assert_msg(got == versions[_i].want, "vsn %s: %s", vsn, got != NULL ? got->name : "refused");
}
END_TEST

START_TEST(codecs_have_places_of_their_own)
{
	ck_assert_uint_lt(codec_phoenix_v1.id, MESSAGE_CODECS);
	ck_assert_uint_lt(codec_phoenix_v2.id, MESSAGE_CODECS);
	ck_assert_uint_lt(codec_phoenix_v2_text.id, MESSAGE_CODECS);
	ck_assert_uint_ne(codec_phoenix_v1.id, codec_phoenix_v2.id);
	ck_assert_uint_ne(codec_phoenix_v2.id, codec_phoenix_v2_text.id);
}
END_TEST

START_TEST(text_alone_is_encoded_once_for_both)
{
	struct message text = { .topic_token = SLICE("\"t\""), .event = SLICE("e"), .payload = SLICE("{}") };
	struct message bytes = { .topic_token = SLICE("\"t\""), .event = SLICE("e"), .payload = SLICE("x"), .binary = true };

	ck_assert_ptr_eq(codec_text_only(&codec_phoenix_v1), &codec_phoenix_v1);
	ck_assert_ptr_eq(codec_text_only(&codec_phoenix_v2), &codec_phoenix_v2_text);
	ck_assert_ptr_nonnull(message_frame(&text, &codec_phoenix_v2_text));
	ck_assert_ptr_eq(message_frame(&text, &codec_phoenix_v2_text), message_frame(&text, &codec_phoenix_v2));
	ck_assert_ptr_null(message_frame(&bytes, &codec_phoenix_v2_text));
	ck_assert_ptr_nonnull(message_frame(&bytes, &codec_phoenix_v2));
	message_done(&text);
	message_done(&bytes);
}
END_TEST

Suite *
codec_suite(void)
{
	Suite  *s = suite_create("codec");
	TCase  *tc = tcase_create("codec");

	tcase_add_loop_test(tc, version_chooses_the_codec, 0, (int)(sizeof(versions) / sizeof(versions[0])));
	tcase_add_test(tc, codecs_have_places_of_their_own);
	tcase_add_test(tc, text_alone_is_encoded_once_for_both);
	suite_add_tcase(s, tc);
	return s;
}
