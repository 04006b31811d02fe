/*
 * Output queues: against a plain list of bytes, and what happens to frames that nobody gets.
 */
#include <check.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/outq.h"

Suite *outq_suite(void);

static struct loop *loop;
static struct outq q;
static unsigned flushes;

static void
on_flush(struct outq *out)
{
	flushes++;
}

static void
setup(void)
{
	loop = loop_new();
	outq_init(&q, loop, on_flush);
	flushes = 0;
}

static void
teardown(void)
{
	outq_done(&q);
	loop_end_turn(loop);
	loop_free(loop);
}

/* All that is in the queue, by as many peeks as it takes, each from the front. */
static void
assert_holds(struct slice want)
{
	struct iovec	   iov[OUTQ_MAX_FRAMES];
	int		   n = outq_peek(&q, iov, OUTQ_MAX_FRAMES);
	autobuf struct buf got = { 0 };

	for (int i = 0; i < n; i++)
		buf_add(&got, iov[i].iov_base, iov[i].iov_len);
	ck_assert_uint_eq(q.bytes, want.n);
	ck_assert_int_eq(n, q.n);
	ck_assert(slice_eq(buf_slice(&got), want));
}

static uint32_t
rnd(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % below;
}

/* Frames of some bytes, of none too, and a model that only knows the bytes. */
START_TEST(against_a_model)
{
	uint32_t	   seed = (uint32_t)_i, bound = 1 + (uint32_t)_i * _i % 300;
	autobuf struct buf model = { 0 };
	char		   next = 0;

	buf_room(&model, 1);
	for (int step = 0; step < 3000; step++) {
		if (rnd(&seed, 100) < (q.n < bound ? 60 : 30)) {
			struct frame *f = frame_raw(rnd(&seed, 4) == 0 ? 0 : rnd(&seed, 50));

			for (uint32_t i = 0; i < f->len; i++)
				f->wire[i] = next++;
			buf_add(&model, f->wire, f->len);
			outq_push(&q, f);
		} else {
			size_t n = rnd(&seed, q.bytes + 1);

			outq_drop(&q, n);
			memmove(model.p, model.p + n, model.n - n);
			model.n -= n;
		}
		if (step % 50 == 0)
			assert_holds(buf_slice(&model));
		if (q.n == 0)
			ck_assert_ptr_null(q.ring);
	}
	assert_holds(buf_slice(&model));
}
END_TEST

static struct frame *
push(const char *text)
{
	struct frame *f = frame_ref(frame_raw_copy(slice_str(text)));

	outq_push(&q, f);
	return f;
}

static void
assert_released(struct frame *f)
{
	ck_assert_uint_eq(f->refs, 1);
	frame_unref(f);
}

START_TEST(frames_are_released_when_they_are_gone)
{
	struct frame *a = push("aaa"), *b = push("bbb");

	outq_drop(&q, 2);
	ck_assert_uint_eq(a->refs, 2);
	outq_drop(&q, 1);
	assert_released(a);
	ck_assert_ptr_eq(outq_at(&q, 0), b);
	outq_drop(&q, 3);
	assert_released(b);
	ck_assert_uint_eq(q.n, 0);
}
END_TEST

START_TEST(one_peek_takes_no_more_than_it_may)
{
	struct iovec iov[2];

	frame_unref(push("aaa"));
	frame_unref(push("bbb"));
	frame_unref(push("ccc"));
	outq_drop(&q, 1);
	ck_assert_int_eq(outq_peek(&q, iov, 2), 2);
	ck_assert_uint_eq(iov[0].iov_len, 2);
	ck_assert_uint_eq(iov[1].iov_len, 3);
}
END_TEST

/* What was begun with stays: the peer would take the rest for something else. */
static const struct {
	size_t	 gone;
	bool	 held;
	unsigned left;
} unsent[] = {
	{ 0, false, 0 }, { 1, false, 1 }, { 3, false, 0 }, { 4, false, 1 }, { 5, false, 1 }, { 0, true, 3 }, { 7, true, 1 },
};

START_TEST(unsent_frames_are_cleared)
{
	size_t gone = unsent[_i].gone;

	for (int i = 0; i < 3; i++)
		frame_unref(push("abc"));
	outq_drop(&q, gone);
	q.held = unsent[_i].held;
	outq_clear_unsent(&q);
	ck_assert_uint_eq(q.n, unsent[_i].left);
	ck_assert_uint_le(gone + q.bytes, 9);
	assert_holds(slice("abcabcabc" + gone, q.bytes));
	frame_unref(push("behind"));
	ck_assert_uint_eq(q.n, unsent[_i].left + 1);
}
END_TEST

START_TEST(no_more_than_a_record_is_held)
{
	struct frame *big = frame_ref(frame_raw(OUTQ_HELD)), *next = frame_ref(frame_raw(10));

	memset(big->wire, 'b', big->len);
	outq_push(&q, big);
	outq_push(&q, next);
	q.held = true;
	outq_clear_unsent(&q);
	ck_assert_uint_eq(q.bytes, OUTQ_HELD);
	assert_released(next);
	/* It goes on within the record. */
	outq_drop(&q, OUTQ_HELD);
	ck_assert(!q.held);
	assert_released(big);
}
END_TEST

START_TEST(full_of_frames)
{
	struct frame *f = frame_raw_copy(SLICE("x")), *late = frame_ref(frame_raw_copy(SLICE("y")));

	for (unsigned i = 0; i < OUTQ_MAX_FRAMES; i++) {
		ck_assert(!outq_is_full(&q));
		outq_push(&q, frame_ref(f));
	}
	ck_assert(outq_is_full(&q) && !q.lost);
	outq_push(&q, late);
	ck_assert(q.lost);
	assert_released(late);
	outq_drop(&q, OUTQ_MAX_FRAMES);
	assert_released(f);
	ck_assert(!outq_is_full(&q) && q.lost);
}
END_TEST

START_TEST(full_of_bytes)
{
	struct frame *huge = frame_raw(0);

	/* Nobody looks at its bytes. */
	huge->len = OUTQ_MAX_BYTES / 2;
	for (unsigned i = 0; i < 3; i++)
		outq_push(&q, frame_ref(huge));
	ck_assert_uint_eq(q.n, 2);
	ck_assert(q.lost);
	ck_assert_uint_eq(q.bytes, OUTQ_MAX_BYTES);
	outq_done(&q);
	assert_released(huge);
}
END_TEST

START_TEST(a_closed_queue_takes_nothing)
{
	struct frame *a = push("aaa"), *b = push("bbb"), *c;

	outq_drop(&q, 1);
	q.held = true;
	outq_done(&q);
	assert_released(a);
	assert_released(b);
	c = push("ccc");
	assert_released(c);
	ck_assert_uint_eq(q.bytes, 0);
	loop_end_turn(loop);
	ck_assert_uint_eq(flushes, 0);
}
END_TEST

START_TEST(it_is_flushed_if_it_wants)
{
	outq_want_flush(&q);
	outq_want_flush(&q);
	loop_end_turn(loop);
	ck_assert_uint_eq(flushes, 1);
	frame_unref(push("a"));
	outq_want_flush(&q);
	loop_end_turn(loop);
	ck_assert_uint_eq(flushes, 2);
}
END_TEST

/* Receivers of a burst take turns with the first rings. */
START_TEST(rings_are_lent)
{
	struct outq   others[3];
	struct frame *f = frame_raw_copy(SLICE("x")), **ring;

	for (int i = 0; i < 20; i++)
		outq_push(&q, frame_ref(f));
	ck_assert_uint_eq(q.cap, 32);
	outq_drop(&q, 20);
	ck_assert_uint_eq(loop->n_free_rings, 1);
	ring = (struct frame **)(void *)loop->free_rings;
	for (int i = 0; i < 3; i++) {
		outq_init(&others[i], loop, on_flush);
		outq_push(&others[i], frame_ref(f));
		ck_assert_ptr_null(others[i].ring);
		outq_push(&others[i], frame_ref(f));
	}
	ck_assert_ptr_eq(others[0].ring, ring);
	ck_assert_uint_eq(loop->n_free_rings, 0);
	for (int i = 0; i < 3; i++)
		outq_done(&others[i]);
	ck_assert_uint_eq(loop->n_free_rings, 3);
	assert_released(f);
	loop_end_turn(loop);
}
END_TEST

Suite *
outq_suite(void)
{
	Suite *s = suite_create("outq");
	TCase *tc = tcase_create("outq");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, against_a_model, 0, 30);
	tcase_add_test(tc, frames_are_released_when_they_are_gone);
	tcase_add_test(tc, one_peek_takes_no_more_than_it_may);
	tcase_add_loop_test(tc, unsent_frames_are_cleared, 0, (int)(sizeof(unsent) / sizeof(unsent[0])));
	tcase_add_test(tc, no_more_than_a_record_is_held);
	tcase_add_test(tc, full_of_frames);
	tcase_add_test(tc, full_of_bytes);
	tcase_add_test(tc, a_closed_queue_takes_nothing);
	tcase_add_test(tc, it_is_flushed_if_it_wants);
	tcase_add_test(tc, rings_are_lent);
	suite_add_tcase(s, tc);
	return s;
}
