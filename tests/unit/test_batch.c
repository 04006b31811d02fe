/*
 * Batches: the bytes of a queue in one piece, copied once for all who are to get them.
 */
#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/batch.h"
#include "net/loop.h"

Suite *batch_suite(void);

static struct loop *loop;
static struct batch *batch;
static struct outq q, other;

static void
on_flush(struct outq *out)
{
}

static void
setup(void)
{
	loop = loop_new();
	batch = batch_new();
	outq_init(&q, loop, on_flush);
	outq_init(&other, loop, on_flush);
}

static void
teardown(void)
{
	outq_done(&q);
	outq_done(&other);
	batch_free(batch);
	loop_end_turn(loop);
	loop_free(loop);
}

static struct frame *
push(struct outq *out, const char *text)
{
	struct frame *f = frame_raw_copy(slice_str(text));

	outq_push(out, frame_ref(f));
	return f;
}

static struct slice
gathered(const struct outq *out)
{
	struct slice bytes;

	ck_assert(batch_gather(batch, out, &bytes));
	return bytes;
}

START_TEST(the_next_receiver_gets_the_same_copy)
{
	struct frame *a = push(&q, "one "), *b = push(&q, "two");
	struct slice  first = gathered(&q), second;

	ck_assert(slice_is(first, "one two"));
	ck_assert_uint_eq(a->refs, 3);
	outq_push(&other, frame_ref(a));
	outq_push(&other, frame_ref(b));
	/* If it were made again, this would be overwritten. */
	((char *)(uintptr_t)first.p)[0] = 'O';
	second = gathered(&other);
	ck_assert(slice_is(second, "One two"));
	frame_unref(a);
	frame_unref(b);
}
END_TEST

/* As long, but not the same frames: another, fewer, in another order. */
START_TEST(others_get_their_own)
{
	struct frame *a = push(&q, "aa"), *b = push(&q, "bb");

	ck_assert(slice_is(gathered(&q), "aabb"));
	outq_push(&other, frame_ref(b));
	outq_push(&other, frame_ref(a));
	ck_assert(slice_is(gathered(&other), "bbaa"));
	ck_assert(slice_is(gathered(&q), "aabb"));
	outq_drop(&other, 2);
	ck_assert(slice_is(gathered(&other), "aa"));
	frame_unref(a);
	frame_unref(b);
	frame_unref(push(&other, "cc"));
	ck_assert(slice_is(gathered(&other), "aacc"));
}
END_TEST

START_TEST(it_forgets)
{
	struct frame *a = push(&q, "aa"), *b = push(&q, "bb");
	struct slice  bytes = gathered(&q);

	batch_forget(batch);
	batch_forget(batch);
	ck_assert_uint_eq(a->refs, 2);
	((char *)(uintptr_t)bytes.p)[0] = 'A';
	ck_assert(slice_is(gathered(&q), "aabb"));
	frame_unref(a);
	frame_unref(b);
	ck_assert_ptr_nonnull(batch);
	batch_free(NULL);
}
END_TEST

START_TEST(not_what_is_partly_gone)
{
	struct slice bytes;

	frame_unref(push(&q, "aa"));
	frame_unref(push(&q, "bb"));
	outq_drop(&q, 1);
	ck_assert(!batch_gather(batch, &q, &bytes));
	outq_drop(&q, 1);
	ck_assert(batch_gather(batch, &q, &bytes));
}
END_TEST

static const struct {
	unsigned frames;
	size_t	 each;
	bool	 fits;
} sizes[] = {
	{ BATCH_FRAMES, 1, true }, { BATCH_FRAMES + 1, 1, false },
	{ 2, BATCH_BYTES / 2, true }, { 2, BATCH_BYTES / 2 + 1, false },
	{ BATCH_FRAMES, BATCH_BYTES / BATCH_FRAMES, true },
};

START_TEST(not_what_is_too_much)
{
	struct slice bytes;

	for (unsigned i = 0; i < sizes[_i].frames; i++) {
		struct frame *f = frame_raw(sizes[_i].each);

		memset(f->wire, (int)i, f->len);
		outq_push(&q, f);
	}
	ck_assert_int_eq(batch_gather(batch, &q, &bytes), sizes[_i].fits);
	if (!sizes[_i].fits)
		return;
	ck_assert_uint_eq(bytes.n, sizes[_i].frames * sizes[_i].each);
	for (size_t at = 0; at < bytes.n; at++)
		ck_assert_int_eq(bytes.p[at], (char)(at / sizes[_i].each));
}
END_TEST

Suite *
batch_suite(void)
{
	Suite *s = suite_create("batch");
	TCase *tc = tcase_create("batch");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_next_receiver_gets_the_same_copy);
	tcase_add_test(tc, others_get_their_own);
	tcase_add_test(tc, it_forgets);
	tcase_add_test(tc, not_what_is_partly_gone);
	tcase_add_loop_test(tc, not_what_is_too_much, 0, (int)(sizeof(sizes) / sizeof(sizes[0])));
	suite_add_tcase(s, tc);
	return s;
}
