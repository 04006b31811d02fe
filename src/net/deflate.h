/*
 * permessage-deflate without context takeover (RFC 7692): one deflater per window size and one inflater for
 * the whole process, so a connection costs nothing while it is idle.
 */
#ifndef NET_DEFLATE_H
#define NET_DEFLATE_H

#include "base/buf.h"
#include "net/frame.h"

struct deflate;

/* level 1..9. Frees with deflate_free(), which takes NULL and returns NULL. */
struct deflate *deflate_new(int level);
struct deflate *deflate_free(struct deflate *);
/*
 * The form of `plain` for a receiver with that window: deflated once, then kept at plain->alt and shared
 * (several windows form a chain). Borrowed: the plain frame owns it. Returns `plain` itself where deflating
 * does not make it smaller (remembered too), or would take too long.
 */
struct frame *deflate_frame(struct deflate *, struct frame *plain, unsigned window_bits);
/*
 * Inflates one whole message, in steps of 16 KiB. *out is replaced. Returns 0, -EMSGSIZE when it would grow
 * over max bytes (after at most max were inflated), -EBADMSG for what is not deflate data, ends early or has
 * a distance that reaches before its start.
 */
int deflate_inflate(struct deflate *, struct slice in, size_t max, struct buf *out);

#endif
