/*
 * permessage-deflate: any bytes as a message of a client, within a bound that the first byte chooses; and
 * any bytes deflated by us and inflated again.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "net/deflate.h"

#define MOST	(256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* A bound decides only whether a message is too big, never what it says. */
static void
check_bounded(struct deflate *d, struct slice in, size_t max)
{
	autobuf struct buf out = { 0 }, most = { 0 };
	int		   r = deflate_inflate(d, in, max, &out), r_most = deflate_inflate(d, in, MOST, &most);

	assert(r == 0 || r == -EBADMSG || r == -EMSGSIZE);
	assert(out.n <= max + (r == -EMSGSIZE));
	assert(out.cap <= 2 * (max + 16 * 1024));
	if (r != -EMSGSIZE)
		assert(r == r_most && slice_eq(buf_slice(&out), buf_slice(&most)));
	else
		assert(r_most != 0 || most.n > max);
}

static void
check_there_and_back(struct deflate *d, struct slice text, unsigned window)
{
	struct frame	  *plain = frame_new(1, text.n), *f;
	autobuf struct buf out = { 0 };

	if (text.n > 0)
		memcpy(frame_body(plain), text.p, text.n);
	f = deflate_frame(d, plain, window);
	assert(f == plain || f->len < plain->len);
	assert(deflate_frame(d, plain, window) == f);
	if (f != plain) {
		assert(deflate_inflate(d, slice(frame_body(f), frame_body_len(f)), text.n, &out) == 0);
		assert(slice_eq(buf_slice(&out), text));
	}
	frame_unref(plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct deflate *d;
	struct slice	       in;

	if (size == 0)
		return 0;
	if (d == NULL)
		d = deflate_new(6);
	in = slice((const char *)data + 1, size - 1);
	check_bounded(d, in, (size_t)data[0] * 256);
	check_there_and_back(d, in, 9 + data[0] % 7u);
	return 0;
}
