/*
 * Buffers that grow, and the slices made of them.
 */
#include <check.h>
#include <signal.h>
#include <stdint.h>

#include "base/buf.h"

Suite *buf_suite(void);

START_TEST(empty)
{
	autobuf struct buf b = { 0 };

	ck_assert_uint_eq(buf_slice(&b).n, 0);
	ck_assert_ptr_nonnull(buf_slice(&b).p);
	buf_add(&b, NULL, 0);
	buf_add_slice(&b, slice(NULL, 0));
	buf_add_str(&b, "");
	buf_addf(&b, "%s", "");
	ck_assert_uint_eq(b.n, 0);
	buf_done(&b);
	buf_done(&b);
}
END_TEST

START_TEST(adds)
{
	autobuf struct buf b = { 0 };

	buf_add(&b, "a\0b", 3);
	buf_add_slice(&b, SLICE("cd"));
	buf_add_str(&b, "ef");
	buf_add_char(&b, 'g');
	buf_addf(&b, "-%d-%s", 42, "h");
	ck_assert(slice_eq(buf_slice(&b), SLICE("a\0bcdefg-42-h")));
	buf_done(&b);
	ck_assert(b.p == NULL && b.n == 0 && b.cap == 0);
	buf_add_str(&b, "again");
	ck_assert(slice_is(buf_slice(&b), "again"));
}
END_TEST

/* Pieces of 0, 1, 2 … octets, so that growth falls everywhere. */
START_TEST(keeps_what_it_has)
{
	autobuf struct buf b = { 0 };
	size_t		   want = 0;
	char		   piece[300];

	for (unsigned len = 0; len < sizeof(piece); len++) {
		memset(piece, (int)(len % 256), sizeof(piece));
		buf_add(&b, piece, len);
		want += len;
		ck_assert_uint_eq(b.n, want);
		ck_assert_uint_le(b.n, b.cap);
		ck_assert_uint_le(b.cap, b.n < 32 ? 64 : 2 * b.n);
	}
	for (size_t len = 0, at = 0; len < sizeof(piece); at += len, len++) {
		memset(piece, (int)(len % 256), sizeof(piece));
		ck_assert_int_eq(memcmp(b.p + at, piece, len), 0);
	}
}
END_TEST

START_TEST(formats_of_any_length)
{
	for (int len = 55; len < 300; len++) {
		autobuf struct buf b = { 0 };

		buf_add_char(&b, '<');
		buf_addf(&b, "%*d", len, 7);
		buf_add_char(&b, '>');
		ck_assert_uint_eq(b.n, (size_t)len + 2);
		ck_assert_int_eq(b.p[len], '7');
		ck_assert_int_eq(b.p[len + 1], '>');
	}
}
END_TEST

START_TEST(room_is_not_yet_used)
{
	autobuf struct buf b = { 0 };
	char		  *at;

	buf_add_str(&b, "ab");
	at = buf_room(&b, 1000);
	ck_assert_ptr_eq(at, b.p + 2);
	ck_assert_uint_eq(b.n, 2);
	ck_assert_uint_ge(b.cap, 1002);
	memset(at, 'c', 1000);
	ck_assert_ptr_eq(buf_room(&b, 1000), at);
	b.n += 1000;
	ck_assert_ptr_eq(buf_room(&b, 0), b.p + 1002);
}
END_TEST

START_TEST(an_absurd_size_is_a_bug)
{
	struct buf b = { 0 };

	buf_room(&b, SIZE_MAX - 10);
}
END_TEST

START_TEST(slices)
{
	struct slice none = slice(NULL, 0), s = SLICE("Content-Type");

	ck_assert_uint_eq(s.n, 12);
	ck_assert(slice_is(s, "Content-Type"));
	ck_assert(!slice_is(s, "Content-Typ") && !slice_is(s, "Content-Type2") && !slice_is(s, "content-type"));
	ck_assert(slice_eq_nocase(s, SLICE("cONTENT-tYPE")));
	ck_assert(!slice_eq_nocase(s, SLICE("content-typ")) && !slice_eq_nocase(s, SLICE("content_type")));
	/* only letters have a case: these differ by that bit too */
	ck_assert(!slice_eq_nocase(SLICE("@[\\]^_"), SLICE("`{|}~\x7f")));
	ck_assert(slice_starts(s, SLICE("Content")) && slice_starts(s, none) && slice_starts(s, s));
	ck_assert(!slice_starts(s, SLICE("Content-Type:")) && !slice_starts(s, SLICE("content")));
	ck_assert(slice_starts(none, none) && !slice_starts(none, s));
	ck_assert(slice_is(slice_from(s, 8), "Type") && slice_from(s, 12).n == 0 && slice_is(slice_from(s, 0), "Content-Type"));
	ck_assert(slice_eq(none, SLICE("")) && slice_eq(slice_str(NULL), none) && slice_is(none, NULL));
	ck_assert_ptr_nonnull(slice_str(NULL).p);
}
END_TEST

Suite *
buf_suite(void)
{
	Suite *s = suite_create("buf");
	TCase *tc = tcase_create("buf");

	tcase_add_test(tc, empty);
	tcase_add_test(tc, adds);
	tcase_add_test(tc, keeps_what_it_has);
	tcase_add_test(tc, formats_of_any_length);
	tcase_add_test(tc, room_is_not_yet_used);
	tcase_add_test_raise_signal(tc, an_absurd_size_is_a_bug, SIGABRT);
	tcase_add_test(tc, slices);
	suite_add_tcase(s, tc);
	return s;
}
