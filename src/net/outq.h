/*
 * What is still to be written to one receiver: frames in order, and how much of the first is gone. Pushing
 * only queues; the loop flushes each dirty queue once, at the end of the turn.
 */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H

#include <stdint.h>
#include <sys/uio.h>

#include "net/frame.h"

struct loop;
struct outq;
struct codec;

/* What flushing means: a stream writes, a poll answers. */
typedef void outq_fn(struct outq *);

#define OUTQ_HELD	(16 * 1024)	/* most that a transport begins with at a time */
#define OUTQ_MAX_FRAMES	32768	/* more than this wait for nobody: outq_is_full() */
#define OUTQ_MAX_BYTES	(UINT32_C(1) << 31)

/*
 * A ring of frame references. One frame lies in place; more take a ring that is given back when the queue
 * runs empty, so that an idle receiver holds nothing. Everything a delivery touches is here, in one cache
 * line.
 */
struct outq {
	struct outq	 *next_dirty;	/* in loop->dirty */
	struct loop	 *loop;
	struct frame	**ring;		/* cap places, or NULL: the only frame is `one` */
	struct frame	 *one;
	outq_fn		 *flush;
	uint32_t	  bytes;	/* still to go, of all frames */
	uint32_t	  offset;	/* bytes of the first frame that are gone */
	uint16_t	  first;	/* index of the first frame in the ring */
	uint16_t	  n;		/* frames */
	uint16_t	  cap;		/* a power of two, or 0 */
	uint8_t		  window;	/* deflate window the receiver agreed to, 0 = none */
	bool		  dirty : 1;
	bool		  closed : 1;	/* takes nothing any more: what is pushed is dropped */
	bool		  held : 1;	/* the transport has begun with the first OUTQ_HELD bytes: they stay */
	bool		  lost : 1;	/* it was full once: the receiver does not get everything */
};

void outq_init(struct outq *, struct loop *, outq_fn *flush);
/*
 * Drops all frames, and is not flushed any more. It may still be in the loop's dirty list: until the end of
 * the turn it stays in memory.
 */
void outq_done(struct outq *);
/*
 * Takes the caller's reference and marks the queue dirty; a closed or full queue drops the frame, and a full
 * one is marked `lost`.
 */
void outq_push(struct outq *, struct frame *);
/* It is flushed at the end of this turn, even if it is empty. */
void outq_want_flush(struct outq *);
/* The frame at place i, 0 = the first. */
struct frame *outq_at(const struct outq *, unsigned i);
/* Bytes of the greatest frame; 0 in an empty queue. Looks at all of them. */
uint32_t outq_greatest(const struct outq *);
/* Fills iov with what is to be written next, up to `max` entries; returns how many. */
int outq_peek(const struct outq *, struct iovec *iov, int max);
/* Drops `n` bytes from the front: they are written. */
void outq_drop(struct outq *, size_t n);
/* Drops every frame of which nothing has been written yet, nor is held. */
void outq_clear_unsent(struct outq *);

static inline bool
outq_is_full(const struct outq *q)
{
	return q->n >= OUTQ_MAX_FRAMES || q->bytes >= OUTQ_MAX_BYTES;
}

#endif
