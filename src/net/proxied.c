/*
 * The header is looked at where it lies in the kernel, and only what belongs to it is taken from there.
 */
#include "net/proxied.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/proxy.h"

/* In s->tls while the header is not whole. */
struct proxied {
	const struct stream_ops	*then;		/* the stream's operations behind the header, */
	void			*tls;		/* and what it has there */
	size_t			 n;		/* bytes of the header that were taken */
	char			 header[PROXY_MAX];
};

/* The stream is what it was to be. */
static void
proxied_become(struct stream *s)
{
	struct proxied *p = s->tls;

	s->ops = p->then;
	s->tls = p->tls;
	s->want_read_to_write = false;
	free(p);
}

/*
 * Takes what is here of the header. Returns its length once it is whole; 0 = the peer ended before; -EAGAIN;
 * -errno.
 */
static ssize_t
proxied_take(struct stream *s, struct addr *peer)
{
	struct proxied *p = s->tls;
	char	       *at = p->header + p->n;
	ssize_t		seen = recv(s->fd, at, sizeof(p->header) - p->n, MSG_PEEK | MSG_DONTWAIT), whole;
	size_t		ours;

	if (seen <= 0)
		return seen < 0 ? -errno : 0;
	whole = proxy_parse(slice(p->header, p->n + (size_t)seen), peer);
	if (whole < 0) {
		log_debug("what came is no PROXY header");
		return whole;
	}
	ours = whole > 0 ? (size_t)whole - p->n : (size_t)seen;
	if (recv(s->fd, at, ours, MSG_DONTWAIT) != (ssize_t)ours)
		return -EPROTO;
	p->n += ours;
	return whole > 0 ? whole : -EAGAIN;
}

static ssize_t
proxied_read(struct stream *s, char *out, size_t n)
{
	struct addr peer = { 0 };
	ssize_t	    r = proxied_take(s, &peer);

	if (r <= 0)
		return r;
	proxied_become(s);
	if (peer.family != 0 && s->user->on_peer != NULL)
		s->user->on_peer(s, &peer);
	return s->ops->read(s, out, n);
}

static ssize_t
proxied_write(struct stream *s, const char *p, size_t n)
{
	s->want_read_to_write = true;
	return -EAGAIN;
}

static ssize_t
proxied_writev(struct stream *s, const struct iovec *iov, int n)
{
	return proxied_write(s, NULL, 0);
}

static void
proxied_shutdown(struct stream *s)
{
	shutdown(s->fd, SHUT_WR);
}

static void
proxied_done(struct stream *s)
{
	proxied_become(s);
	s->ops->done(s);
}

const struct stream_ops stream_proxied = {
	.read = proxied_read,
	.write = proxied_write,
	.writev = proxied_writev,
	.shutdown = proxied_shutdown,
	.done = proxied_done,
};

int
proxied_accept(struct stream *s, struct tls_context *context)
{
	struct proxied *p;
	int		r = context != NULL ? tls_accept(s, context) : 0;

	if (r < 0)
		return r;
	p = xmalloc(sizeof(*p));
	*p = (struct proxied){ .then = context != NULL ? &stream_tls : &stream_plain, .tls = s->tls };
	s->tls = p;
	return 0;
}
