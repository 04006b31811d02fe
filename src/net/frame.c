/*
 * Making and counting frames. What a server sends is never masked, so the header is the same for all
 * receivers and is written once.
 */
#include "net/frame.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "base/mem.h"

#define FIN		0x80u
#define RSV1		0x40u
#define HEAD_MAX	10u

/* Length bytes: 7 bits of the second byte, or 126 and 2 more, or 127 and 8 more. */
static unsigned
frame_head_len(size_t body_len)
{
	if (body_len < 126)
		return 2;
	return body_len <= UINT16_MAX ? 4 : HEAD_MAX;
}

static struct frame *
frame_alloc(unsigned head, size_t body_len)
{
	struct frame *f;

	assert(body_len <= UINT32_MAX - HEAD_MAX);
	f = xmalloc(sizeof(*f) + head + body_len);
	*f = (struct frame){ .refs = 1, .len = (uint32_t)(head + body_len), .head = (uint16_t)head };
	return f;
}

static void
frame_write_len(struct frame *f, size_t body_len)
{
	uint16_t len16 = htobe16((uint16_t)body_len);
	uint64_t len64 = htobe64(body_len);

	if (f->head == 2)
		f->wire[1] = (char)body_len;
	else if (f->head == 4) {
		f->wire[1] = 126;
		memcpy(f->wire + 2, &len16, sizeof(len16));
	} else {
		f->wire[1] = 127;
		memcpy(f->wire + 2, &len64, sizeof(len64));
	}
}

struct frame *
frame_new(unsigned opcode, size_t body_len)
{
	struct frame *f = frame_alloc(frame_head_len(body_len), body_len);

	f->opcode = (uint8_t)opcode;
	f->wire[0] = (char)(FIN | opcode);
	frame_write_len(f, body_len);
	return f;
}

struct frame *
frame_new_deflated(unsigned opcode, unsigned window, size_t body_len)
{
	struct frame *f = frame_new(opcode, body_len);

	f->window = (uint8_t)window;
	f->wire[0] = (char)(FIN | RSV1 | opcode);
	return f;
}

struct frame *
frame_raw(size_t len)
{
	return frame_alloc(0, len);
}

struct frame *
frame_raw_copy(struct slice s)
{
	struct frame *f = frame_raw(s.n);

	if (s.n > 0)
		memcpy(f->wire, s.p, s.n);
	return f;
}

/* The other forms go with the plain one, unless someone still has them. */
struct frame *
frame_unref(struct frame *f)
{
	while (f != NULL && --f->refs == 0) {
		struct frame *alt = f->alt;

		free(f);
		f = alt;
	}
	return NULL;
}
