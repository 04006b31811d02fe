/*
 * The bus' messages: what is read keeps the promises of its header, and is read the same when it was written again.
 */
#include <assert.h>
#include <stdint.h>

#include "net/utf8.h"
#include "wire/envelope.h"

static struct buf scratch, again, again_scratch;

static bool
is_name(struct slice text, size_t max)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return false;
	return text.n > 0 && text.n <= max && utf8_valid(text);
}

static void
promises(const struct envelope *e)
{
	enum json_kind kind;

	assert(e->node.n == 0 || is_name(e->node, ENVELOPE_MAX_NODE));
	if (e->counts) {
		assert(e->node.n > 0 && e->count <= ENVELOPE_MAX_COUNT && e->event.n == 0 && e->payload.n == 0 && !e->stored);
		return;
	}
	assert(e->count == 0 && !e->ask);
	assert(is_name(e->event, WIRE_MAX_EVENT) && !slice_starts(e->event, SLICE("phx_")));
	assert(e->binary || (json_scan(e->payload, &kind) == (ssize_t)e->payload.n && kind == JSON_OBJECT));
	assert(e->from.n == 0 || (json_scan(e->from, &kind) == (ssize_t)e->from.n && kind == JSON_OBJECT));
	assert(e->said >= 0);
	assert(!e->value || (!e->binary && json_member(e->payload, "data").p != NULL));
	if (!e->stored)
		return;
	assert(e->node.n > 0 && !e->binary);
	assert(position_compare(e->prev, e->at) < 0);
	assert(e->tail >> UUID_TAIL_BITS == 0);
}

static void
the_same_again(const struct envelope *e)
{
	struct envelope back;
	const char     *why;
	struct envelope said = *e;

	if (said.node.n == 0)
		said.node = SLICE("n");
	again.n = 0;
	envelope_write(&again, &said);
	assert(envelope_read(&back, buf_slice(&again), &again_scratch, &why) == 0);
	assert(slice_eq(back.node, said.node));
	assert(slice_eq(back.event, said.event));
	assert(slice_eq(back.payload, said.payload));
	assert(back.binary == said.binary && !back.stored);
	assert(slice_eq(back.from, said.from));
	assert(back.said == said.said && back.value == said.value);
	assert(back.counts == said.counts && back.count == said.count && back.ask == said.ask);
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope e;
	const char     *why;
	int		r;

	r = envelope_read(&e, slice((const char *)data, size), &scratch, &why);
	assert((r < 0) == (why != NULL));
	if (r < 0)
		return 0;
	promises(&e);
	the_same_again(&e);
	return 0;
}
