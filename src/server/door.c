/*
 * Doors: each accepts, decides what comes before HTTP, and keeps callers waiting where they would cost too much.
 */
#include "server/door.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "net/proxied.h"
#include "server/endpoint.h"

static void
door_on_gone(void *owner)
{
	stats->connections--;
}

/* Takes a token for a handshake: 0, or the ms until there is one. */
static uint64_t
door_take(struct door *d)
{
	uint32_t rate = (uint32_t)d->endpoint->options.tls_handshakes;

	return bucket_take(&d->handshakes, d->endpoint->loop->now, rate, rate);
}

/* The token that the last caller lacked is there now. */
static void
door_open_again(struct timer *t, uint64_t now)
{
	struct door *d = container_of(t, struct door, rest);

	door_take(d);
	if (d->listener != NULL)
		listener_set_accepting(d->listener, true);
}

/* Handshakes are dear: beyond the rate, callers wait in the backlog. */
static void
door_pace(struct door *d)
{
	struct loop *loop = d->endpoint->loop;
	uint64_t     wait = door_take(d);

	if (wait == 0)
		return;
	listener_set_accepting(d->listener, false);
	loop_timer(loop, &d->rest, loop->now + wait);
}

/* What comes before HTTP: a PROXY header, TLS, or one and then the other. */
static struct stream *
door_stream(const struct door *d, int fd)
{
	struct tls_context	*tls = d->tls ? d->endpoint->options.tls : NULL;
	const struct stream_ops *ops = d->proxy ? &stream_proxied : d->tls ? &stream_tls : &stream_plain;
	struct stream		*s = stream_new(d->endpoint->loop, fd, ops, NULL, NULL);
	int			 r = 0;

	if (d->proxy)
		r = proxied_accept(s, tls);
	else if (d->tls)
		r = tls_accept(s, tls);
	if (r == 0)
		return s;
	stream_free(s, true);
	return NULL;
}

static void
door_on_accept(struct listener *l, int fd, const struct addr *peer, void *arg)
{
	struct door	*d = arg;
	struct endpoint *e = d->endpoint;
	struct stream	*s;

	if (!d->admin && stats->connections >= e->options.max_connections) {
		listener_turn_away(l, fd);
		return;
	}
	if (d->tls)
		door_pace(d);
	s = door_stream(d, fd);
	if (s == NULL)
		return;
	stats->connections++;
	http_conn_new(&e->http, s, peer, d, door_on_gone);
}

struct door *
door_open(struct endpoint *e, int fd, const struct addr_listen *a, bool admin)
{
	struct door *d = xmalloc(sizeof(*d));
	char	     text[192];

	*d = (struct door){
		.endpoint = e, .admin = admin, .proxy = a->proxy, .tls = a->tls, .loopback = addr_listen_is_loopback(a),
		.rest.fire = door_open_again,
	};
	d->listener = listener_new(e->loop, fd, a, door_on_accept, d);
	log_info("%s on %s", admin ? "admin" : "listening", addr_listen_text(a, text));
	return d;
}

void
door_close(struct door *d, bool unlink_file)
{
	timer_stop(&d->rest);
	d->listener = listener_free(d->listener, unlink_file);
}
