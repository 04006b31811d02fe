/*
 * What nodes say of long-poll clients: written and read again, and what is refused.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "backplane/longpoll_message.h"
#include "transport/longpoll.h"

Suite *longpoll_message_suite(void);

#define LOOP(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#define ID	"abcdefghijklmnopqrstuv"
#define HEAD	"{\"v\":1,\"node\":\"n1\",\"id\":\"" ID "\","

static const struct longpoll_message kinds[] = {
	{ .type = LONGPOLL_POLL, .session = SLICE("bjE.x.y") },
	{ .type = LONGPOLL_POST, .session = SLICE("bjE.x.y"), .ndjson = true, .body = SLICE("[\"\n\"]\r\n\x7f\xc3\xa9") },
	{ .type = LONGPOLL_POST, .session = SLICE("bjE.x.y"), .body = SLICE("") },
	{ .type = LONGPOLL_STILL },
	{ .type = LONGPOLL_LEFT },
	{ .type = LONGPOLL_ANSWER, .status = LONGPOLL_OK, .messages = SLICE("[\"a\",\"\\\"\"]") },
	{ .type = LONGPOLL_ANSWER, .status = LONGPOLL_OK, .messages = SLICE("[]") },
	{ .type = LONGPOLL_ANSWER, .status = LONGPOLL_NOTHING },
	{ .type = LONGPOLL_ANSWER, .status = LONGPOLL_GONE },
	{ .type = LONGPOLL_ANSWER, .status = LONGPOLL_ENDED },
};

START_TEST(what_is_written_is_read)
{
	autobuf struct buf	text = { 0 }, scratch = { 0 };
	struct longpoll_message m = kinds[_i], got;

	m.node = SLICE("n1");
	m.id = SLICE(ID);
	longpoll_message_write(&text, &m);
	ck_assert_int_eq(longpoll_message_read(&got, buf_slice(&text), &scratch), 0);
	ck_assert_int_eq(got.type, m.type);
	ck_assert(slice_eq(got.node, m.node));
	ck_assert(slice_eq(got.id, m.id));
	ck_assert(slice_eq(got.session, m.session));
	ck_assert_int_eq(got.ndjson, m.ndjson);
	ck_assert(slice_eq(got.body, m.body));
	ck_assert_uint_eq(got.status, m.status);
	ck_assert(slice_eq(got.messages, m.messages));
}
END_TEST

static const struct {
	const char *text;
	int	    want;
} refused[] = {
	{ "", -EBADMSG },
	{ "[]", -EBADMSG },
	{ "{}", -EBADMSG },
	{ "{\"v\":2,\"type\":\"later\"}", -EPROTONOSUPPORT },
	{ "{\"v\":0,\"type\":\"gone\",\"node\":\"n1\",\"id\":\"" ID "\"}", -EBADMSG },
	{ "{\"type\":\"gone\",\"node\":\"n1\",\"id\":\"" ID "\"}", -EBADMSG },
	{ HEAD "\"type\":\"other\"}", -EBADMSG },
	{ HEAD "\"type\":5}", -EBADMSG },
	{ HEAD "\"type\":\"gone\"}x", -EBADMSG },
	{ "{\"v\":1,\"type\":\"gone\",\"node\":\"n/1\",\"id\":\"" ID "\"}", -EBADMSG },
	{ "{\"v\":1,\"type\":\"gone\",\"node\":\"\",\"id\":\"" ID "\"}", -EBADMSG },
	{ "{\"v\":1,\"type\":\"gone\",\"node\":\"n1\",\"id\":\"short\"}", -EBADMSG },
	{ "{\"v\":1,\"type\":\"gone\",\"node\":\"n1\",\"id\":\"" ID "x\"}", -EBADMSG },
	{ HEAD "\"type\":\"poll\"}", -EBADMSG },
	{ HEAD "\"type\":\"poll\",\"session\":7}", -EBADMSG },
	{ HEAD "\"type\":\"post\",\"session\":\"s\",\"lines\":true}", -EBADMSG },
	{ HEAD "\"type\":\"post\",\"session\":\"s\",\"body\":\"b\"}", -EBADMSG },
	{ HEAD "\"type\":\"post\",\"session\":\"s\",\"lines\":1,\"body\":\"b\"}", -EBADMSG },
	{ HEAD "\"type\":\"post\",\"session\":\"s\",\"lines\":true,\"body\":\"\\u0000\"}", -EBADMSG },
	{ HEAD "\"type\":\"post\",\"session\":\"s\",\"lines\":true,\"body\":\"\xff\"}", -EBADMSG },
	{ HEAD "\"type\":\"answer\"}", -EBADMSG },
	{ HEAD "\"type\":\"answer\",\"status\":\"200\"}", -EBADMSG },
	{ HEAD "\"type\":\"answer\",\"status\":201}", -EBADMSG },
	{ HEAD "\"type\":\"answer\",\"status\":200,\"messages\":\"[]\"}", -EBADMSG },
	{ HEAD "\"type\":\"answer\",\"status\":200,\"messages\":[1]}", -EBADMSG },
	{ HEAD "\"type\":\"answer\",\"status\":200,\"messages\":[\"a\",[]]}", -EBADMSG },
	{ HEAD "\"type\":\"answer\",\"status\":200,\"messages\":null}", -EBADMSG },
};

START_TEST(what_makes_no_sense_is_refused)
{
	autobuf struct buf	scratch = { 0 };
	struct longpoll_message m;

	ck_assert_int_eq(longpoll_message_read(&m, slice_str(refused[_i].text), &scratch), refused[_i].want);
}
END_TEST

START_TEST(what_is_not_known_is_skipped)
{
	autobuf struct buf	scratch = { 0 };
	struct longpoll_message m;

	ck_assert_int_eq(longpoll_message_read(&m, SLICE(HEAD "\"type\":\"gone\",\"more\":[{}]}"), &scratch), 0);
	ck_assert_int_eq(m.type, LONGPOLL_LEFT);
}
END_TEST

Suite *
longpoll_message_suite(void)
{
	Suite *s = suite_create("longpoll_message");
	TCase *tc = tcase_create("messages");

	LOOP(tc, what_is_written_is_read, kinds);
	LOOP(tc, what_makes_no_sense_is_refused, refused);
	tcase_add_test(tc, what_is_not_known_is_skipped);
	suite_add_tcase(s, tc);
	return s;
}
