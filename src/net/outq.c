/*
 * Output queues. The first ring of every queue has RING_FIRST places and comes from the loop's spares: in a
 * burst to thousands of receivers the allocator would be asked thousands of times a turn.
 */
#include "net/outq.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"

#define RING_FIRST	16
#define RINGS_SPARE	4096

struct outq_ring {
	struct outq_ring *next;
};

static struct frame **
ring_new(struct loop *loop)
{
	struct outq_ring *r = loop->free_rings;

	if (r == NULL)
		return xmalloc(RING_FIRST * sizeof(struct frame *));
	loop->free_rings = r->next;
	loop->n_free_rings--;
	return (struct frame **)(void *)r;
}

static void
ring_free(struct loop *loop, struct frame **ring, unsigned cap)
{
	struct outq_ring *r = (struct outq_ring *)(void *)ring;

	if (cap != RING_FIRST || loop->n_free_rings >= RINGS_SPARE) {
		free(ring);
		return;
	}
	r->next = loop->free_rings;
	loop->free_rings = r;
	loop->n_free_rings++;
}

void
outq_init(struct outq *q, struct loop *loop, outq_fn *flush)
{
	*q = (struct outq){ .loop = loop, .flush = flush };
}

struct frame *
outq_at(const struct outq *q, unsigned i)
{
	return q->ring == NULL ? q->one : q->ring[(q->first + i) & (q->cap - 1u)];
}

/* Doubles the ring, or makes the first one, keeping the order. */
static void
outq_grow(struct outq *q)
{
	unsigned       cap = q->cap == 0 ? RING_FIRST : q->cap * 2u;
	struct frame **ring = cap == RING_FIRST ? ring_new(q->loop) : xmalloc(cap * sizeof(*ring));

	for (unsigned i = 0; i < q->n; i++)
		ring[i] = outq_at(q, i);
	if (q->ring != NULL)
		ring_free(q->loop, q->ring, q->cap);
	q->ring = ring;
	q->cap = (uint16_t)cap;
	q->first = 0;
}

void
outq_want_flush(struct outq *q)
{
	if (q->dirty)
		return;
	q->dirty = true;
	q->next_dirty = q->loop->dirty;
	q->loop->dirty = q;
}

void
outq_push(struct outq *q, struct frame *f)
{
	if (q->closed || outq_is_full(q)) {
		q->lost = true;
		frame_unref(f);
		return;
	}
	outq_want_flush(q);
	q->bytes += f->len;
	if (q->n == 0 && q->ring == NULL) {
		q->one = f;
		q->n = 1;
		return;
	}
	if (q->n >= q->cap)
		outq_grow(q);
	q->ring[(q->first + q->n) & (q->cap - 1u)] = f;
	q->n++;
}

uint32_t
outq_greatest(const struct outq *q)
{
	uint32_t greatest = 0;

	for (unsigned i = 0; i < q->n; i++) {
		const struct frame *f = outq_at(q, i);

		if (f->len > greatest)
			greatest = f->len;
	}
	return greatest;
}

int
outq_peek(const struct outq *q, struct iovec *iov, int max)
{
	int n = q->n < max ? q->n : max;

	for (int i = 0; i < n; i++) {
		struct frame *f = outq_at(q, (unsigned)i);
		size_t	      gone = i == 0 ? q->offset : 0;

		iov[i] = (struct iovec){ .iov_base = f->wire + gone, .iov_len = f->len - gone };
	}
	return n;
}

static void
outq_release_ring(struct outq *q)
{
	if (q->ring != NULL)
		ring_free(q->loop, q->ring, q->cap);
	q->ring = NULL;
	q->cap = q->first = 0;
}

void
outq_drop(struct outq *q, size_t n)
{
	assert(n <= q->bytes);
	q->held = false;
	q->bytes -= (uint32_t)n;
	n += q->offset;
	while (q->n > 0) {
		struct frame *f = outq_at(q, 0);

		if (n < f->len)
			break;
		n -= f->len;
		frame_unref(f);
		q->first++;
		q->n--;
	}
	q->offset = (uint32_t)n;
	if (q->n == 0)
		outq_release_ring(q);
}

/* How many frames at the front have been begun with. */
static unsigned
outq_begun(const struct outq *q)
{
	size_t	 begun = q->offset + (q->held ? OUTQ_HELD : 0), seen = 0;
	unsigned n = 0;

	while (n < q->n && seen < begun)
		seen += outq_at(q, n++)->len;
	return n;
}

void
outq_clear_unsent(struct outq *q)
{
	unsigned keep = outq_begun(q);

	q->lost = false;
	for (unsigned i = keep; i < q->n; i++) {
		struct frame *f = outq_at(q, i);

		q->bytes -= f->len;
		frame_unref(f);
	}
	q->n = (uint16_t)keep;
	if (q->n == 0)
		outq_release_ring(q);
}

void
outq_done(struct outq *q)
{
	q->closed = true;
	q->held = false;
	q->bytes += q->offset;
	q->offset = 0;
	outq_clear_unsent(q);
}
