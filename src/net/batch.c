/*
 * The last frames that were written together, and their bytes in one piece.
 */
#include "net/batch.h"

#include <stdlib.h>

#include "base/mem.h"

/* We hold a reference to each of frames[0..n), so an address in it means that very frame. */
struct batch {
	unsigned	 n;
	size_t		 len;
	struct frame	*frames[BATCH_FRAMES];
	char		 bytes[BATCH_BYTES];
};

struct batch *
batch_new(void)
{
	struct batch *b = xmalloc(sizeof(*b));

	b->n = 0;
	b->len = 0;
	return b;
}

void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	batch_forget(b);
	free(b);
}

void
batch_forget(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		frame_unref(b->frames[i]);
	b->n = 0;
	b->len = 0;
}

static bool
batch_holds(const struct batch *b, const struct outq *q)
{
	if (q->n != b->n)
		return false;
	for (unsigned i = 0; i < b->n; i++)
		if (b->frames[i] != outq_at(q, i))
			return false;
	return true;
}

static void
batch_fill(struct batch *b, const struct outq *q)
{
	batch_forget(b);
	for (unsigned i = 0; i < q->n; i++) {
		struct frame *f = outq_at(q, i);

		memcpy(b->bytes + b->len, f->wire, f->len);
		b->len += f->len;
		b->frames[i] = frame_ref(f);
	}
	b->n = q->n;
}

bool
batch_gather(struct batch *b, const struct outq *q, struct slice *bytes)
{
	if (q->n > BATCH_FRAMES || q->bytes > BATCH_BYTES || q->offset > 0)
		return false;
	if (!batch_holds(b, q))
		batch_fill(b, q);
	*bytes = slice(b->bytes, b->len);
	return true;
}
