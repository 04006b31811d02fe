/*
 * Deflated forms of frames, and inflated messages. Each message stands for itself, so the zlib streams are
 * only reset in between and serve everyone.
 */
#include "net/deflate.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/mem.h"

#define MIN_BITS	9
#define MAX_BITS	15
#define MEM_LEVEL	8
#define STEP		(16 * 1024)
/*
 * The receiver chooses the window, and zlib is slow with small ones: a MiB takes 55 ms at 9 bits, 9 ms at 12,
 * 1.3 ms at 15.
 */
#define FAST_WINDOW	12
#define SLOW_MAX	(64 * 1024)	/* bytes; beyond, such a receiver gets the plain form */
#define FIRST_CONTROL	8	/* opcode */

/* What a flush ends in; taken off by who deflates, put on by who inflates (RFC 7692 section 7.2). */
static const char flush_tail[] = { 0x00, 0x00, (char)0xff, (char)0xff };

struct deflate {
	int		 level;
	z_stream	*deflaters[MAX_BITS + 1];	/* by window bits, made when first wanted */
	z_stream	 inflater;
};

static void *
deflate_alloc(void *opaque, unsigned n, unsigned size)
{
	return xcalloc(n, size);
}

static void
deflate_dealloc(void *opaque, void *p)
{
	free(p);
}

struct deflate *
deflate_new(int level)
{
	struct deflate *d = xmalloc(sizeof(*d));
	int		r;

	*d = (struct deflate){
		.level = level, .inflater = { .zalloc = deflate_alloc, .zfree = deflate_dealloc },
	};
	r = inflateInit2(&d->inflater, -MAX_BITS);
	assert(r == Z_OK);
	return d;
}

struct deflate *
deflate_free(struct deflate *d)
{
	if (d == NULL)
		return NULL;
	for (unsigned bits = MIN_BITS; bits <= MAX_BITS; bits++) {
		if (d->deflaters[bits] != NULL)
			deflateEnd(d->deflaters[bits]);
		free(d->deflaters[bits]);
	}
	inflateEnd(&d->inflater);
	free(d);
	return NULL;
}

/* The stream for that window, at a message's start. */
static z_stream *
deflate_stream(struct deflate *d, unsigned bits)
{
	z_stream *z;
	int	  r;

	assert(bits >= MIN_BITS && bits <= MAX_BITS);
	z = d->deflaters[bits];
	if (z == NULL) {
		z = d->deflaters[bits] = xmalloc(sizeof(*z));
		*z = (z_stream){ .zalloc = deflate_alloc, .zfree = deflate_dealloc };
		r = deflateInit2(z, d->level, Z_DEFLATED, -(int)bits, MEM_LEVEL, Z_DEFAULT_STRATEGY);
	} else
		r = deflateReset(z);
	assert(r == Z_OK);
	return z;
}

/*
 * Deflates n bytes into out[n + sizeof(flush_tail)]. Returns the length without the tail, or 0 if that is
 * not less than n.
 */
static size_t
deflate_bytes(z_stream *z, const char *p, size_t n, char *out)
{
	size_t room = n + sizeof(flush_tail);

	z->next_in = (const Bytef *)p;
	z->avail_in = (uInt)n;
	z->next_out = (Bytef *)out;
	z->avail_out = (uInt)room;
	/* A flush is complete only if it left room. */
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_out == 0)
		return 0;
	return n - z->avail_out;
}

/* A form without any bytes stands for "not smaller than plain". */
static struct frame *
deflate_make(struct deflate *d, struct frame *plain, unsigned bits)
{
	size_t	       n = frame_body_len(plain), len;
	autofree char *out = xmalloc(n + sizeof(flush_tail));
	struct frame  *f;

	len = deflate_bytes(deflate_stream(d, bits), frame_body(plain), n, out);
	f = len > 0 ? frame_new_deflated(plain->opcode, bits, len) : frame_raw(0);
	f->window = (uint8_t)bits;
	memcpy(frame_body(f), out, len);
	return f;
}

struct frame *
deflate_frame(struct deflate *d, struct frame *plain, unsigned window_bits)
{
	struct frame *f;

	if (plain->head == 0 || plain->opcode >= FIRST_CONTROL)
		return plain;
	if (window_bits < FAST_WINDOW && frame_body_len(plain) > SLOW_MAX)
		return plain;
	for (f = plain->alt; f != NULL && f->window != window_bits; f = f->alt)
		;
	if (f == NULL) {
		f = deflate_make(d, plain, window_bits);
		f->alt = plain->alt;
		plain->alt = f;
	}
	return f->len > 0 ? f : plain;
}

/*
 * Inflates up to STEP bytes more; one byte beyond max is enough to know. Returns 0, 1 when a final block
 * ended, or -errno.
 */
static int
inflate_step(z_stream *z, size_t max, struct buf *out)
{
	size_t left = max - out->n, room = left < STEP ? left + 1 : STEP;
	int    r;

	z->next_out = (Bytef *)buf_room(out, room);
	z->avail_out = (uInt)room;
	r = inflate(z, Z_SYNC_FLUSH);
	out->n += room - z->avail_out;
	if (out->n > max)
		return -EMSGSIZE;
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return -EBADMSG;
	return r == Z_STREAM_END;
}

/*
 * Returns 0 if more may follow, 1 if the piece ends in a final block, or -errno. What follows a final block
 * is a new stream.
 */
static int
inflate_piece(z_stream *z, struct slice piece, size_t max, struct buf *out)
{
	int r = 0;

	z->next_in = (const Bytef *)piece.p;
	z->avail_in = (uInt)piece.n;
	do {
		if (r > 0)
			inflateReset(z);
		r = inflate_step(z, max, out);
	} while (r >= 0 && (z->avail_in > 0 || (z->avail_out == 0 && r == 0)));
	return r;
}

/* The last block is complete, and nothing of the next one has been read: see inflate() in zlib.h. */
static bool
inflate_is_between_blocks(const z_stream *z)
{
	return z->data_type == 128;
}

int
deflate_inflate(struct deflate *d, struct slice in, size_t max, struct buf *out)
{
	z_stream *z = &d->inflater;
	int	  r;

	out->n = 0;
	if (in.n > UINT_MAX)
		return -EMSGSIZE;
	inflateReset(z);
	r = inflate_piece(z, in, max, out);
	if (r == 0)
		r = inflate_piece(z, slice(flush_tail, sizeof(flush_tail)), max, out);
	if (r == 0 && !inflate_is_between_blocks(z))
		r = -EBADMSG;
	return r < 0 ? r : 0;
}
