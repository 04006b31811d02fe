/*
 * Frames: headers of every length, and who frees what.
 */
#include <check.h>
#include <stdlib.h>

#include "net/frame.h"

Suite *frame_suite(void);

static const struct {
	size_t	     body;
	struct slice head;	/* of a text frame */
} lengths[] = {
	{ 0, { "\x81\x00", 2 } },
	{ 1, { "\x81\x01", 2 } },
	{ 125, { "\x81\x7d", 2 } },
	{ 126, { "\x81\x7e\x00\x7e", 4 } },
	{ 127, { "\x81\x7e\x00\x7f", 4 } },
	{ 256, { "\x81\x7e\x01\x00", 4 } },
	{ 65535, { "\x81\x7e\xff\xff", 4 } },
	{ 65536, { "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10 } },
	{ 0x123456, { "\x81\x7f\x00\x00\x00\x00\x00\x12\x34\x56", 10 } },
};

START_TEST(header_is_written)
{
	struct frame *f = frame_new(1, lengths[_i].body);

	memset(frame_body(f), 'x', lengths[_i].body);
	ck_assert_uint_eq(f->refs, 1);
	ck_assert_uint_eq(f->opcode, 1);
	ck_assert_uint_eq(f->window, 0);
	ck_assert_uint_eq(f->len, lengths[_i].head.n + lengths[_i].body);
	ck_assert_uint_eq(frame_body_len(f), lengths[_i].body);
	ck_assert_ptr_eq(frame_body(f), f->wire + lengths[_i].head.n);
	ck_assert_mem_eq(f->wire, lengths[_i].head.p, lengths[_i].head.n);
	ck_assert_ptr_null(frame_unref(f));
}
END_TEST

START_TEST(every_opcode)
{
	static const unsigned opcodes[] = { 1, 2, 8, 9, 10 };

	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		struct frame *f = frame_new(opcodes[i], 0);

		ck_assert_uint_eq((uint8_t)f->wire[0], 0x80 | opcodes[i]);
		ck_assert_uint_eq(f->opcode, opcodes[i]);
		frame_unref(f);
	}
}
END_TEST

START_TEST(deflated_has_rsv1)
{
	struct frame *f = frame_new_deflated(2, 11, 300);

	ck_assert_uint_eq((uint8_t)f->wire[0], 0xc2);
	ck_assert_uint_eq(f->window, 11);
	ck_assert_uint_eq(f->head, 4);
	frame_unref(f);
}
END_TEST

START_TEST(raw_has_no_header)
{
	struct frame *f = frame_raw_copy(SLICE("HTTP/1.1 200 OK\r\n")), *empty = frame_raw_copy(slice(NULL, 0));

	ck_assert_uint_eq(f->head, 0);
	ck_assert_uint_eq(f->len, 17);
	ck_assert_mem_eq(frame_body(f), "HTTP/1.1 200 OK\r\n", 17);
	ck_assert_uint_eq(empty->len, 0);
	frame_unref(f);
	frame_unref(empty);
	f = frame_raw(3);
	ck_assert_uint_eq(frame_body_len(f), 3);
	frame_unref(f);
}
END_TEST

START_TEST(references_are_counted)
{
	struct frame *f = frame_new(1, 1);

	ck_assert_ptr_eq(frame_ref(f), f);
	ck_assert_uint_eq(f->refs, 2);
	ck_assert_ptr_null(frame_unref(f));
	ck_assert_uint_eq(f->refs, 1);
	ck_assert_ptr_null(frame_unref(f));
	ck_assert_ptr_null(frame_unref(NULL));
}
END_TEST

/* That nothing leaks is the address sanitizer's to see. */
START_TEST(forms_go_with_the_plain_one)
{
	struct frame *plain = frame_new(1, 1), *a = frame_new_deflated(1, 15, 1), *b = frame_new_deflated(1, 9, 1);

	plain->alt = a;
	a->alt = b;
	frame_unref(plain);
}
END_TEST

START_TEST(form_in_a_queue_stays)
{
	struct frame *plain = frame_new(1, 1), *a = frame_new_deflated(1, 15, 1), *b = frame_new_deflated(1, 9, 1);

	plain->alt = a;
	a->alt = b;
	frame_ref(a);
	frame_unref(plain);
	ck_assert_uint_eq(a->refs, 1);
	ck_assert_uint_eq(b->refs, 1);
	frame_ref(b);
	frame_unref(a);
	ck_assert_uint_eq(b->refs, 1);
	frame_unref(b);
}
END_TEST

Suite *
frame_suite(void)
{
	Suite *s = suite_create("frame");
	TCase *t = tcase_create("frame");

	tcase_add_loop_test(t, header_is_written, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(t, every_opcode);
	tcase_add_test(t, deflated_has_rsv1);
	tcase_add_test(t, raw_has_no_header);
	tcase_add_test(t, references_are_counted);
	tcase_add_test(t, forms_go_with_the_plain_one);
	tcase_add_test(t, form_in_a_queue_stays);
	suite_add_tcase(s, t);
	return s;
}
