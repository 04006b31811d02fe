/*
 * Streams that begin with a PROXY header. It is in the clear even where TLS follows, so it is read to its
 * last byte and no further; then the stream is what it was to be.
 */
#ifndef NET_PROXIED_H
#define NET_PROXIED_H

#include "net/stream.h"
#include "net/tls.h"

extern const struct stream_ops stream_proxied;
/*
 * Call it right behind stream_new(…, &stream_proxied, …): behind the header the stream is plain, or with a
 * context, TLS. Returns 0 or -ENOMEM. The user is told on_peer() if the header names someone, and then of
 * bytes; without a header the stream ends with -EPROTO. What is sent before the header is here waits for it.
 */
int proxied_accept(struct stream *, struct tls_context *);

#endif
