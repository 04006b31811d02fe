/*
 * Positions and the ids made of them: there and back, and in the same order.
 */
#include <check.h>
#include <ctype.h>
#include <errno.h>

#include "base/uuid.h"

Suite *uuid_suite(void);

#define MAX_MS		((UINT64_C(1) << 48) - 1)
#define MAX_TAIL	((UINT64_C(1) << UUID_TAIL_BITS) - 1)

/* Ascending. */
static const struct position positions[] = {
	{ 0, 0 }, { 0, 1 }, { 0, UINT32_MAX }, { 1, 0 }, { 255, 255 }, { 256, 0 },
	{ 1700000000000, 0 }, { 1700000000000, 1 }, { 1700000000000, 9 }, { 1700000000000, 10 },
	{ 1700000000000, (1 << 20) - 1 }, { 1700000000000, 1 << 20 },
	{ 1700000000000, 0x7fffffff }, { 1700000000000, 0x80000000 }, { 1700000000001, 0 },
	{ MAX_MS - 1, UINT32_MAX }, { MAX_MS, 0 }, { MAX_MS, UINT32_MAX },
};
#define N_POSITIONS	((int)(sizeof(positions) / sizeof(positions[0])))

static const uint64_t tails[] = { 0, 1, 0x155555555555, 0x2aaaaaaaaaa, MAX_TAIL };
#define N_TAILS		(sizeof(tails) / sizeof(tails[0]))

static int
sign(int n)
{
	return (n > 0) - (n < 0);
}

static void
same_position(struct position a, struct position b)
{
	ck_assert_uint_eq(a.ms, b.ms);
	ck_assert_uint_eq(a.seq, b.seq);
}

START_TEST(ids_there_and_back)
{
	for (size_t t = 0; t < N_TAILS; t++) {
		struct position at = { 7, 7 };
		uint64_t	tail = 7;
		char		id[UUID_LEN + 1];

		ck_assert_ptr_eq(uuid_from_position(positions[_i], tails[t], id), id);
		ck_assert_uint_eq(strlen(id), UUID_LEN);
		ck_assert_int_eq(uuid_to_position(slice_str(id), &at, &tail), 0);
		same_position(at, positions[_i]);
		ck_assert_uint_eq(tail, tails[t] & MAX_TAIL);
		for (char *c = id; *c != '\0'; c++)
			*c = (char)toupper((unsigned char)*c);
		ck_assert_int_eq(uuid_to_position(slice_str(id), &at, &tail), 0);
		same_position(at, positions[_i]);
	}
}
END_TEST

START_TEST(positions_there_and_back)
{
	struct position at = { 7, 7 };
	char		text[POSITION_LEN];

	ck_assert_int_eq(position_parse(&at, slice_str(position_text(positions[_i], text))), 0);
	same_position(at, positions[_i]);
}
END_TEST

/* Whatever the tails are. */
START_TEST(ids_are_in_the_order_of_positions)
{
	for (int j = 0; j < N_POSITIONS; j++) {
		char a[UUID_LEN + 1], b[UUID_LEN + 1];

		ck_assert_int_eq(position_compare(positions[_i], positions[j]), sign(_i - j));
		if (_i == j)
			continue;
		uuid_from_position(positions[_i], MAX_TAIL, a);
		uuid_from_position(positions[j], 0, b);
		ck_assert_int_eq(sign(strcmp(a, b)), sign(_i - j));
	}
}
END_TEST

/* The bits are where RFC 9562 has them. */
START_TEST(known_ids)
{
	char id[UUID_LEN + 1];

	ck_assert_str_eq(uuid_from_position((struct position){ 0x0123456789ab, 0xabcdef01 }, 0x2aaaaaaaaaa, id),
	    "01234567-89ab-7abc-b7bc-06aaaaaaaaaa");
	ck_assert_str_eq(uuid_from_position((struct position){ 0, 0 }, 0, id), "00000000-0000-7000-8000-000000000000");
	ck_assert_str_eq(uuid_from_position((struct position){ MAX_MS, UINT32_MAX }, UINT64_MAX, id),
	    "ffffffff-ffff-7fff-bfff-ffffffffffff");
}
END_TEST

START_TEST(the_longest_text)
{
	char text[POSITION_LEN];

	ck_assert_str_eq(position_text((struct position){ UINT64_MAX, UINT32_MAX }, text), "18446744073709551615-4294967295");
	ck_assert_uint_eq(strlen(text), POSITION_LEN - 1);
}
END_TEST

static const char *const bad_positions[] = {
	"", "-", "1", "1-", "-1", "1-1-1", "1--1", "+1-1", "1-+1", " 1-1", "1-1 ", "1 -1", "01-1", "1-01", "00-0", "0-00",
	"1.0-1", "1-1x", "x1-1", "0x1-1", "1:1", "281474976710656-0", "18446744073709551616-0",
	"99999999999999999999999999-0", "1-4294967296", "1-18446744073709551616", "1-99999999999999999999999999", "$", "*", ">", "1-*", "\xd9\xa1-1",
};

START_TEST(no_positions)
{
	struct position at = { 7, 7 };

	ck_assert_int_eq(position_parse(&at, slice_str(bad_positions[_i])), -EINVAL);
	same_position(at, (struct position){ 7, 7 });
}
END_TEST

START_TEST(no_position_with_a_nul)
{
	struct position at;

	ck_assert_int_eq(position_parse(&at, SLICE("1-1\0")), -EINVAL);
	ck_assert_int_eq(position_parse(&at, SLICE("1\0-1")), -EINVAL);
}
END_TEST

static const char *const bad_ids[] = {
	"",
	"-",
	"01234567-89ab-7abc-b7bc-06aaaaaaaaa",		/* too short */
	"01234567-89ab-7abc-b7bc-06aaaaaaaaaa0",	/* too long */
	"01234567-89ab-7abc-b7bc-06aaaaaaaaaa ",
	" 01234567-89ab-7abc-b7bc-06aaaaaaaaa",
	"{1234567-89ab-7abc-b7bc-06aaaaaaaaa}",
	"0123456789ab7abcb7bc06aaaaaaaaaa",		/* no hyphens */
	"0123456-789ab-7abc-b7bc-06aaaaaaaaaa",		/* one in a wrong place */
	"01234567-89ab-7abc-b7bc006aaaaaaaaaa",		/* a digit in a hyphen's place */
	"01234567-89ab-7abc-b7bc-06aaaaaaa-aa",		/* a hyphen in a digit's place */
	"01234567_89ab_7abc_b7bc_06aaaaaaaaaa",
	"01234567-89ab-4abc-b7bc-06aaaaaaaaaa",		/* version 4 */
	"01234567-89ab-6abc-b7bc-06aaaaaaaaaa",
	"01234567-89ab-8abc-b7bc-06aaaaaaaaaa",
	"01234567-89ab-fabc-b7bc-06aaaaaaaaaa",
	"01234567-89ab-7abc-77bc-06aaaaaaaaaa",		/* other variants */
	"01234567-89ab-7abc-c7bc-06aaaaaaaaaa",
	"01234567-89ab-7abc-07bc-06aaaaaaaaaa",
	"01234567-89ab-7abc-b7bc-06aaaaaaaaag",		/* no hex digit */
	"0123456\xc3\xa4-89ab-7abc-b7bc-06aaaaaaaaa",
	"0x234567-89ab-7abc-b7bc-06aaaaaaaaaa",
	"00000000-0000-0000-0000-000000000000",
	"ffffffff-ffff-ffff-ffff-ffffffffffff",
};

START_TEST(no_ids)
{
	struct position at = { 7, 7 };
	uint64_t	tail = 7;

	ck_assert_int_eq(uuid_to_position(slice_str(bad_ids[_i]), &at, &tail), -EINVAL);
	same_position(at, (struct position){ 7, 7 });
	ck_assert_uint_eq(tail, 7);
}
END_TEST

START_TEST(tails_are_random)
{
	uint64_t any = 0, all = MAX_TAIL;

	for (int i = 0; i < 100; i++) {
		uint64_t tail = uuid_tail();

		ck_assert_uint_le(tail, MAX_TAIL);
		any |= tail;
		all &= tail;
	}
	ck_assert_uint_eq(any, MAX_TAIL);
	ck_assert_uint_eq(all, 0);
}
END_TEST

Suite *
uuid_suite(void)
{
	Suite *s = suite_create("uuid");
	TCase *t = tcase_create("uuid");

	tcase_add_loop_test(t, ids_there_and_back, 0, N_POSITIONS);
	tcase_add_loop_test(t, positions_there_and_back, 0, N_POSITIONS);
	tcase_add_loop_test(t, ids_are_in_the_order_of_positions, 0, N_POSITIONS);
	tcase_add_test(t, known_ids);
	tcase_add_test(t, the_longest_text);
	tcase_add_loop_test(t, no_positions, 0, sizeof(bad_positions) / sizeof(bad_positions[0]));
	tcase_add_test(t, no_position_with_a_nul);
	tcase_add_loop_test(t, no_ids, 0, sizeof(bad_ids) / sizeof(bad_ids[0]));
	tcase_add_test(t, tails_are_random);
	suite_add_tcase(s, t);
	return s;
}
