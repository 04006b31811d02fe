/*
 * Small frames that are written together are first copied together: one send() is cheaper than a writev() of
 * many pieces. In a fan-out everyone gets the same frames, so the copy of the last receiver serves the next
 * one.
 */
#ifndef NET_BATCH_H
#define NET_BATCH_H

#include "net/outq.h"

#define BATCH_BYTES	(16 * 1024)
#define BATCH_FRAMES	64

struct batch;

struct batch *batch_new(void);
void batch_free(struct batch *);
/*
 * The queue's bytes in one piece, lent until the next call. False if they are too many for that, or the first
 * frame is partly gone.
 */
bool batch_gather(struct batch *, const struct outq *, struct slice *bytes);
/* Drops the references; what was gathered is not given again. */
void batch_forget(struct batch *);

#endif
