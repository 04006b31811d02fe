/*
 * TLS as one more way to move a stream's bytes. OpenSSL reads and writes the descriptor itself; nothing of it
 * is seen outside of this file.
 */
#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define TLS_RECORD	SSL3_RT_MAX_PLAIN_LENGTH	/* most that one record carries */

_Static_assert(TLS_RECORD <= OUTQ_HELD, "the queue keeps what a record has begun with");
_Static_assert(TLS_RECORD <= LOOP_READ_SIZE, "every read has room for a record");

struct tls_context {
	SSL_CTX *ctx;
};

/* OpenSSL's oldest error since tls_begin(): the cause of the later ones. */
static const char *
tls_reason(void)
{
	unsigned long error = ERR_peek_error();
	const char   *text = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);

	return text != NULL ? text : "no reason given";
}

/* Errors are looked at after the call, so there must be none before it. */
static void
tls_begin(void)
{
	ERR_clear_error();
	errno = 0;
}

static char *
tls_complain(const char *file, const char *what)
{
	return xasprintf("%s: %s (%s)", file, what, tls_reason());
}

/* Without this, OpenSSL asks the terminal. */
static int
tls_no_passphrase(char *out, int n, int writing, void *arg)
{
	return -1;
}

static void
tls_configure(SSL_CTX *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
}

/* Each of these returns NULL, or what is wrong. */

static char *
tls_load_chain(SSL_CTX *ctx, const char *file)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, file) != 1)
		return tls_complain(file, "not a readable PEM certificate chain");
	return NULL;
}

static char *
tls_check_key_file(int fd, const char *file)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return xasprintf("%s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return xasprintf("%s: a private key must be a regular file", file);
	if ((st.st_mode & 0077) != 0)
		return xasprintf("%s: a private key must not be accessible to others (its mode is %04o, expected 0600)",
		    file, st.st_mode & 07777);
	return NULL;
}

static char *
tls_use_key(SSL_CTX *ctx, BIO *bio, const char *file)
{
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_passphrase, NULL);
	bool	  fits;

	if (key == NULL)
		return tls_complain(file, "not a PEM private key without a passphrase");
	fits = SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
	EVP_PKEY_free(key);
	return fits ? NULL : tls_complain(file, "the private key does not fit the certificate");
}

static char *
tls_load_key(SSL_CTX *ctx, const char *file)
{
	int   fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *why;
	BIO  *bio;

	if (fd < 0 && errno == ELOOP)
		return xasprintf("%s: a private key must not be a symbolic link", file);
	if (fd < 0)
		return xasprintf("%s: %s", file, strerror(errno));
	bio = BIO_new_fd(fd, BIO_CLOSE);
	if (bio == NULL) {
		close(fd);
		return tls_complain(file, "cannot be read");
	}
	why = tls_check_key_file(fd, file);
	if (why == NULL)
		why = tls_use_key(ctx, bio, file);
	BIO_free(bio);
	return why;
}

struct tls_context *
tls_context_new(const char *cert_file, const char *key_file, char **why)
{
	struct tls_context *c = xmalloc(sizeof(*c));

	tls_begin();
	c->ctx = SSL_CTX_new(TLS_server_method());
	if (c->ctx == NULL) {
		*why = tls_complain(cert_file, "no TLS here");
		return tls_context_free(c);
	}
	tls_configure(c->ctx);
	*why = tls_load_chain(c->ctx, cert_file);
	if (*why == NULL)
		*why = tls_load_key(c->ctx, key_file);
	return *why == NULL ? c : tls_context_free(c);
}

struct tls_context *
tls_context_free(struct tls_context *c)
{
	if (c == NULL)
		return NULL;
	SSL_CTX_free(c->ctx);
	free(c);
	return NULL;
}

/* 1, 0 at the file's end, or -EINVAL. */
static int
tls_copy_certificate(BIO *from, BIO *to)
{
	X509 *cert = PEM_read_bio_X509(from, NULL, tls_no_passphrase, NULL);
	int   r;

	if (cert == NULL)
		return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : -EINVAL;
	r = PEM_write_bio_X509(to, cert) == 1 ? 1 : -EINVAL;
	X509_free(cert);
	return r;
}

static int
tls_copy_certificates(BIO *from, struct buf *pem)
{
	BIO  *to = BIO_new(BIO_s_mem());
	char *text = NULL;
	int   r = -EINVAL, n = 0;
	long  size;

	while (from != NULL && to != NULL && (r = tls_copy_certificate(from, to)) > 0)
		n++;
	if (r == 0 && n == 0)
		r = -EINVAL;
	size = r == 0 ? BIO_get_mem_data(to, &text) : 0;
	buf_add(pem, text, (size_t)size);
	BIO_free(to);
	return r;
}

int
tls_read_authorities(const char *file, struct buf *pem, char **why)
{
	BIO *bio;
	int  r;

	tls_begin();
	bio = BIO_new_file(file, "r");
	r = tls_copy_certificates(bio, pem);
	if (r < 0)
		*why = tls_complain(file, "expected certificates in PEM");
	ERR_clear_error();
	BIO_free(bio);
	return r;
}

int
tls_accept(struct stream *s, struct tls_context *c)
{
	SSL *ssl;

	tls_begin();
	ssl = SSL_new(c->ctx);
	if (ssl == NULL || SSL_set_fd(ssl, s->fd) != 1) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_set_accept_state(ssl);
	s->tls = ssl;
	return 0;
}

bool
tls_is_open(const struct stream *s)
{
	return s->tls != NULL && SSL_is_init_finished(s->tls);
}

/* A peer that just goes may have been cut off by someone: in order only if we had said good-bye. */
static int
tls_bare_end(const struct stream *s)
{
	return (SSL_get_shutdown(s->tls) & SSL_SENT_SHUTDOWN) ? 0 : -ECONNRESET;
}

static int
tls_failed(const struct stream *s)
{
	unsigned long error = ERR_peek_error();

	if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return tls_bare_end(s);
	log_debug("TLS: %s", tls_reason());
	return -EPROTO;
}

/* What a call that did not do its work means to a stream. `error` is its errno. */
static int
tls_outcome(struct stream *s, int result, int error)
{
	switch (SSL_get_error(s->tls, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return error != 0 ? -error : tls_bare_end(s);
	default:
		return tls_failed(s);
	}
}

/*
 * One record a call. There is room for all of it, so OpenSSL holds nothing back, and what comes behind it is
 * still in the kernel, which tells us again. An end is thus never met behind bytes, where it would have to be
 * remembered.
 */
static ssize_t
tls_read(struct stream *s, char *p, size_t n)
{
	size_t got;
	int    r;

	assert(n >= TLS_RECORD);
	tls_begin();
	r = SSL_read_ex(s->tls, p, n, &got);
	if (tls_is_open(s))
		s->want_read_to_write = false;
	if (r == 1)
		return (ssize_t)got;
	r = tls_outcome(s, r, errno);
	s->want_write_to_read = r == -EAGAIN && SSL_want_write(s->tls);
	return r;
}

/*
 * At most one record a call. Once OpenSSL has begun with one, it wants the same bytes again, or more, until
 * it is gone: that the queue keeps them is what `held` says.
 */
static ssize_t
tls_write(struct stream *s, const char *p, size_t n)
{
	size_t sent;
	int    r;

	if (!tls_is_open(s)) {
		s->want_read_to_write = true;
		return -EAGAIN;
	}
	tls_begin();
	r = SSL_write_ex(s->tls, p, n < TLS_RECORD ? n : TLS_RECORD, &sent);
	if (r == 1)
		return (ssize_t)sent;
	r = tls_outcome(s, r, errno);
	s->out.held = r == -EAGAIN;
	return r != 0 ? r : -EPIPE;
}

static ssize_t
tls_writev(struct stream *s, const struct iovec *iov, int n)
{
	static char record[TLS_RECORD];
	size_t	    len = 0;

	for (int i = 0; i < n && len < sizeof(record); i++) {
		size_t room = sizeof(record) - len, part = iov[i].iov_len < room ? iov[i].iov_len : room;

		memcpy(record + len, iov[i].iov_base, part);
		len += part;
	}
	return tls_write(s, record, len);
}

/* Should the kernel have no room for the alert, the peer sees a bare end: everything before it is written. */
static void
tls_shutdown(struct stream *s)
{
	if (tls_is_open(s)) {
		tls_begin();
		SSL_shutdown(s->tls);
	}
	shutdown(s->fd, SHUT_WR);
}

static void
tls_done(struct stream *s)
{
	SSL_free(s->tls);
	s->tls = NULL;
}

const struct stream_ops stream_tls = {
	.read = tls_read,
	.write = tls_write,
	.writev = tls_writev,
	.shutdown = tls_shutdown,
	.done = tls_done,
};
