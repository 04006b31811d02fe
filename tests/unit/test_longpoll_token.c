/*
 * Tokens of long-poll sessions: what is written is read, and nothing else.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "transport/longpoll_token.h"

Suite *longpoll_token_suite(void);

#define WORD	"0123456789abcdefABC-_Z"

static const struct {
	const char *text;
	int	    want;
} texts[] = {
	{ "bjE." WORD "." WORD, 0 },
	{ "", -EINVAL },
	{ "bjE", -EINVAL },
	{ "bogus", -EINVAL },
	{ "a.b.c", -EINVAL },
	{ "." WORD "." WORD, -EINVAL },
	{ "bjE." WORD "." WORD "x", -EINVAL },
	{ "bjE." WORD "_" WORD, -EINVAL },
	{ "bjE_" WORD "." WORD, -EINVAL },
	{ "bjE.0123456789abcdefABC-_+." WORD, -EINVAL },
	{ "bjE." WORD ".0123456789abcdefABC-_ ", -EINVAL },
	{ "bjF." WORD "." WORD, -EINVAL },	/* stray bits */
	{ "bjE=." WORD "." WORD, -EINVAL },
	{ "bi9h." WORD "." WORD, -EINVAL },	/* "n/a" is no node */
	{ "AAAA." WORD "." WORD, -EINVAL },
	{ "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoidTEifQ.c2lnbmF0dXJl", -EINVAL },
};

START_TEST(texts_are_judged)
{
	struct longpoll_token t;

	ck_assert_int_eq(longpoll_token_read(&t, slice_str(texts[_i].text)), texts[_i].want);
	if (texts[_i].want < 0)
		return;
	ck_assert(slice_is(t.node, "n1"));
	ck_assert(slice_is(t.id, WORD));
	ck_assert(slice_is(t.secret, WORD));
}
END_TEST

static const char *const nodes[] = {
	"a", "n1", "host.example:4000", "x@y_z-1",
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhh",
};

START_TEST(what_is_written_is_read)
{
	struct longpoll_token t;
	char		      text[LONGPOLL_MAX_TOKEN], other[LONGPOLL_MAX_TOKEN];
	size_t		      n = longpoll_token_new(slice_str(nodes[_i]), text);

	ck_assert_uint_le(n, sizeof(text));
	ck_assert_int_eq(longpoll_token_read(&t, slice(text, n)), 0);
	ck_assert(slice_is(t.node, nodes[_i]));
	ck_assert(!slice_eq(t.id, t.secret));
	ck_assert_uint_eq(longpoll_token_new(slice_str(nodes[_i]), other), n);
	ck_assert(!slice_eq(slice(text, n), slice(other, n)));
}
END_TEST

Suite *
longpoll_token_suite(void)
{
	Suite *s = suite_create("longpoll_token");
	TCase *tc = tcase_create("texts");

	tcase_add_loop_test(tc, texts_are_judged, 0, (int)(sizeof(texts) / sizeof(texts[0])));
	tcase_add_loop_test(tc, what_is_written_is_read, 0, (int)(sizeof(nodes) / sizeof(nodes[0])));
	suite_add_tcase(s, tc);
	return s;
}
