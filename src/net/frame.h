/*
 * Frames: bytes for the wire, made once, shared by every receiver, never changed after they are queued.
 */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include <stdint.h>

#include "base/slice.h"

/* One allocation; freed when the last reference goes. The WebSocket header sits right before the body. */
struct frame {
	uint32_t	 refs;
	uint32_t	 len;		/* bytes on the wire, header included */
	uint16_t	 head;		/* of which header; 0 for raw bytes (HTTP) */
	uint8_t		 opcode;	/* RFC 6455 section 5.2 */
	uint8_t		 window;	/* permessage-deflate window bits of this form, 0 = plain */
	struct frame	*alt;		/* the same message in another form; ours */
	char		 wire[];
};

/*
 * An unfragmented, unmasked WebSocket frame of body_len bytes; the caller fills frame_body(). Returns a
 * reference.
 */
struct frame *frame_new(unsigned opcode, size_t body_len);
/* The same with RSV1 set: a body deflated with a window of 2^window bytes. */
struct frame *frame_new_deflated(unsigned opcode, unsigned window, size_t body_len);
/* Bytes without a header, filled by the caller. */
struct frame *frame_raw(size_t len);
struct frame *frame_raw_copy(struct slice);
/* Drops a reference; takes NULL, returns NULL. */
struct frame *frame_unref(struct frame *);

static inline struct frame *
frame_ref(struct frame *f)
{
	f->refs++;
	return f;
}

static inline char *
frame_body(struct frame *f)
{
	return f->wire + f->head;
}

static inline size_t
frame_body_len(const struct frame *f)
{
	return f->len - f->head;
}

#endif
