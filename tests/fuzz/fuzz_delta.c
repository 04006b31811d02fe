/*
 * Presence deltas: what is taken is within the limits, and what is written of it reads as the same. The same
 * bytes as a hash, too: a line is a field, the next one its value.
 */
#include <assert.h>

#include "cluster/cluster_message.h"
#include "presence/delta.h"
#include "presence/hash_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_items(const struct presence_item *items, unsigned n, bool metas)
{
	for (unsigned i = 0; i < n; i++) {
		assert(items[i].key.n > 0 && items[i].key.n <= PRESENCE_MAX_KEY);
		assert(items[i].ref.n > 0 && items[i].ref.n <= PRESENCE_MAX_REF);
		assert(memchr(items[i].ref.p, '/', items[i].ref.n) == NULL);
		assert(!metas || (items[i].meta.p[0] == '{' && items[i].meta.p[items[i].meta.n - 1] == '}'));
	}
}

/* Written keys are sorted, so that a second round gives the same bytes. */
static void
write_delta(struct buf *out, const struct delta *d)
{
	delta_write(out, d->node, d->epoch, &d->change);
}

static void
check_again(const struct delta *d)
{
	autobuf struct buf once = { 0 }, twice = { 0 };
	struct delta	   again;
	const char	  *why;

	write_delta(&once, d);
	assert(delta_read(&again, buf_slice(&once), &why) == 0);
	assert(slice_eq(again.node, d->node) && again.epoch == d->epoch);
	assert(again.change.n_put == d->change.n_put && again.change.n_gone == d->change.n_gone);
	assert(again.change.empty == d->change.empty);
	write_delta(&twice, &again);
	assert(slice_eq(buf_slice(&once), buf_slice(&twice)));
	delta_done(&again);
}

static struct slice
take_line(struct slice *in)
{
	const char  *end = memchr(in->p, '\n', in->n);
	struct slice line = slice(in->p, end != NULL ? (size_t)(end - in->p) : in->n);

	*in = slice_from(*in, end != NULL ? line.n + 1 : line.n);
	return line;
}

static void
check_fields(struct slice in)
{
	struct hash_fields h = { 0 };

	while (in.n > 0) {
		struct slice field = take_line(&in);
		struct slice value = in.n > 0 ? take_line(&in) : SLICE("");

		hash_fields_add(&h, field, value);
	}
	hash_fields_end(&h);
	check_items(h.items.items, h.items.n, true);
	hash_fields_done(&h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice in = slice((const char *)data, size);
	struct delta	   d;
	const char	  *why;

	if (delta_read(&d, in, &why) == 0) {
		assert(cluster_is_id(d.node) && d.change.from < d.change.to);
		check_items(d.change.put, d.change.n_put, true);
		check_items(d.change.gone, d.change.n_gone, false);
		check_again(&d);
	}
	delta_done(&d);
	check_fields(in);
	return 0;
}
