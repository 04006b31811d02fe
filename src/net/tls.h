/*
 * TLS 1.2 and later over a stream (OpenSSL). No renegotiation, no compression, no session state on the server.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buf.h"
#include "net/stream.h"

struct tls_context;

/*
 * Reads a PEM certificate chain and its key. Returns NULL with *why (caller frees) naming the file and the
 * reason: unreadable, no PEM, key does not match, key readable by others.
 */
struct tls_context *tls_context_new(const char *cert_file, const char *key_file, char **why);
/* Streams that were begun under it go on. NULL in, NULL out. */
struct tls_context *tls_context_free(struct tls_context *);
/*
 * Appends the certificates of a PEM file, at least one, and nothing else that stands there: those who are trusted where we are
 * the client. 0, or -EINVAL with *why (caller frees) as above.
 */
int tls_read_authorities(const char *file, struct buf *pem, char **why);
extern const struct stream_ops stream_tls;
/*
 * Makes the server side of a connection for s->tls, on s->fd; call it right behind stream_new(…, &stream_tls,
 * …). Returns 0 or -ENOMEM. The handshake runs inside the reads; what is sent before its end waits for it. A
 * peer that ends without close_notify is -ECONNRESET, whatever is no TLS is -EPROTO. The process must ignore
 * SIGPIPE: OpenSSL writes with write(2).
 */
int tls_accept(struct stream *s, struct tls_context *);
/* True once the handshake is done. */
bool tls_is_open(const struct stream *);

#endif
