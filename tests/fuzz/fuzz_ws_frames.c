/*
 * WebSocket frames: what a parser tells must not depend on how its input is cut. The first byte chooses
 * limits and permessage-deflate, the second one the cuts.
 */
#include <assert.h>
#include <stdint.h>

#include "../unit/ws_transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct transcript
begin(uint8_t choice)
{
	static const uint64_t messages[] = { 0, 10, 1000, INT64_MAX };

	return (struct transcript){
		.parser.deflate = choice & 1,
		.limits = { .max_message = messages[choice >> 1 & 3], .max_fragments = choice & 8 ? 3 : 1000 },
	};
}

/* Cuts after 1 to 16 bytes each; `seed` 0: every byte alone. */
static void
read_in_pieces(struct transcript *t, struct slice in, uint32_t seed)
{
	uint32_t v = seed;

	while (in.n > 0) {
		size_t n = seed == 0 ? 1 : 1 + (v >> 16) % 16;

		v = v * 1103515245 + 12345;
		n = n < in.n ? n : in.n;
		transcript_feed(t, in.p, n);
		in = slice_from(in, n);
	}
}

/* Up to an error, the piece that holds it may have told more or less. */
static void
check_same(struct transcript *a, struct transcript *b)
{
	size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;

	assert(a->error == b->error && a->closed == b->closed);
	assert(a->error != 0 || a->text.n == b->text.n);
	assert(slice_eq(slice(a->text.p, n), slice(b->text.p, n)));
	assert(a->error == 0 || (a->error <= -1002 && a->error >= -1009));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct transcript whole, cut, single;
	struct slice	  in;

	if (size < 2)
		return 0;
	in = slice((const char *)data + 2, size - 2);
	whole = begin(data[0]);
	cut = begin(data[0]);
	single = begin(data[0]);
	transcript_feed(&whole, in.p, in.n);
	read_in_pieces(&cut, in, data[1] + 1u);
	read_in_pieces(&single, in, 0);
	check_same(&whole, &cut);
	check_same(&whole, &single);
	transcript_done(&whole);
	transcript_done(&cut);
	transcript_done(&single);
	return 0;
}
