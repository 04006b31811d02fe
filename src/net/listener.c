/*
 * Listening sockets. Being short of descriptors is the one fault here that must not spin: the callers stay in the
 * kernel's queue, readable for ever, so the event is taken away until the rest is over.
 */
#include "net/listener.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"

#define BACKLOG		4096
#define UNACKED_MS	20000	/* a peer that acknowledges nothing for that long is gone */
#define UNSENT_MAX	(128 * 1024)	/* bytes: what a slow peer has not room for waits with us, where it is counted */
#define TELL_MS		10000	/* no more than one line about a shortage in that time */

static const char BUSY[] =
	"HTTP/1.1 503 Service Unavailable\r\n"
	"Retry-After: 1\r\n"
	"Content-Length: 0\r\n"
	"Connection: close\r\n"
	"\r\n";

/* The event is added iff we accept and do not rest. */
struct listener {
	struct loop	   *loop;
	struct event	    event;
	struct timer	    rest;	/* set: we rest */
	struct addr_listen  addr;
	listener_fn	   *on_accept;
	void		   *arg;
	uint64_t	    told;	/* ms: when we last spoke of a shortage; 0 = never */
	int		    fd;		/* -1 = freed */
	int		    reserve;	/* a descriptor to give up; -1 = it could not be had again yet */
	bool		    accepting;
	struct grave	    grave;
};

static int
set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int
close_failed(int fd, int error)
{
	close(fd);
	return error;
}

static int
bind_to(int fd, const struct addr_listen *where)
{
	return bind(fd, (const struct sockaddr *)&where->sa, where->sa_len) < 0 ? -errno : 0;
}

static int
listener_bind_inet(const struct addr_listen *where, bool reuse_port)
{
	int family = where->sa.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && reuse_port)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !where->any);
	if (r == 0)
		r = bind_to(fd, where);
	return r < 0 ? close_failed(fd, r) : fd;
}

/* All addresses of a machine without IPv6. */
static int
listener_bind_any4(const struct addr_listen *where, bool reuse_port)
{
	struct addr_listen  all = *where;
	struct sockaddr_in6 in6;
	struct sockaddr_in  in = { .sin_family = AF_INET };

	memcpy(&in6, &where->sa, sizeof(in6));
	in.sin_port = in6.sin6_port;
	memcpy(&all.sa, &in, sizeof(in));
	all.sa_len = sizeof(in);
	return listener_bind_inet(&all, reuse_port);
}

/* True if the path is a socket on which nobody listens. */
static bool
is_dead_socket(const struct addr_listen *where)
{
	struct stat st;
	int	    fd, r;

	if (lstat(where->path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	r = connect(fd, (const struct sockaddr *)&where->sa, where->sa_len) < 0 ? -errno : 0;
	close(fd);
	return r == -ECONNREFUSED;
}

static int
listener_bind_unix(const struct addr_listen *where)
{
	int    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t mask;
	int    r;

	if (fd < 0)
		return -errno;
	/* By the mask, so that there is no moment at which others could connect. */
	mask = umask(0117);
	r = bind_to(fd, where);
	if (r == -EADDRINUSE && is_dead_socket(where) && unlink(where->path) == 0)
		r = bind_to(fd, where);
	umask(mask);
	return r < 0 ? close_failed(fd, r) : fd;
}

int
listener_bind(const struct addr_listen *where, bool reuse_port, struct addr_listen *bound)
{
	int fd;

	if (where->path[0] != '\0')
		fd = listener_bind_unix(where);
	else
		fd = listener_bind_inet(where, reuse_port);
	if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && where->any)
		fd = listener_bind_any4(where, reuse_port);
	if (fd < 0)
		return fd;
	/* Only now is it known whether the port is ours: two that do not listen yet may share it. */
	if (listen(fd, BACKLOG) < 0)
		return close_failed(fd, -errno);
	*bound = *where;
	bound->sa_len = sizeof(bound->sa);
	if (getsockname(fd, (struct sockaddr *)&bound->sa, &bound->sa_len) < 0)
		return close_failed(fd, -errno);
	return fd;
}

static int
open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Does as the flags say; a loop without memory is asked again after a rest. */
static void
listener_watch(struct listener *l)
{
	if (!l->accepting || timer_is_set(&l->rest))
		event_del(&l->event);
	else if (event_add(&l->event, NULL) < 0)
		loop_timer(l->loop, &l->rest, l->loop->now + ACCEPT_REST_MS);
}

static void
listener_rested(struct timer *t, uint64_t now)
{
	struct listener *l = container_of(t, struct listener, rest);

	if (l->reserve < 0)
		l->reserve = open_reserve();
	listener_watch(l);
}

/*
 * The caller's request is read as far as it is here: a close with unread bytes resets, and the answer would
 * be lost.
 */
void
listener_turn_away(const struct listener *l, int fd)
{
	char unread[4096];

	stats->refused_total++;
	if (!l->addr.tls) {
		send(fd, BUSY, sizeof(BUSY) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		recv(fd, unread, sizeof(unread), MSG_DONTWAIT);
	}
	close(fd);
}

/* Tells one caller with the reserve descriptor that we are short of them. */
static void
listener_refuse_one(struct listener *l)
{
	int fd;

	if (l->reserve < 0)
		return;
	close(l->reserve);
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		listener_turn_away(l, fd);
	l->reserve = open_reserve();
}

static void
listener_rest(struct listener *l, int error)
{
	uint64_t now = l->loop->now;
	char	 where[ADDR_LISTEN_LEN];

	stats->accept_rests_total++;
	loop_timer(l->loop, &l->rest, now + ACCEPT_REST_MS);
	listener_watch(l);
	if (l->told != 0 && now < l->told + TELL_MS)
		return;
	l->told = now;
	log_warn("cannot accept on %s: %s; trying again every %d ms", addr_listen_text(&l->addr, where), strerror(error),
	    ACCEPT_REST_MS);
}

/* What ended this caller and not us; accept(2) passes on the errors of the new socket. */
static bool
is_callers_fault(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* Takes one caller; false if there is none, or none can be taken now. */
static bool
listener_accept(struct listener *l)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t		len = sizeof(sa);
	int			fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int			error = errno;
	struct addr		peer;

	if (fd >= 0) {
		stats->accepted_total++;
		addr_from_sockaddr(&peer, (struct sockaddr *)&sa);
		l->on_accept(l, fd, &peer, l->arg);
		return true;
	}
	if (error == EAGAIN)
		return false;
	if (is_callers_fault(error))
		return true;
	listener_refuse_one(l);
	listener_rest(l, error);
	return false;
}

/* The callee may stop us, or free us. */
static void
listener_event(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	loop_awake(l->loop);
	for (int i = 0; i < ACCEPT_BURST && l->accepting; i++)
		if (!listener_accept(l))
			return;
}

static void
listener_bury(struct grave *g)
{
	free(container_of(g, struct listener, grave));
}

struct listener *
listener_new(struct loop *loop, int fd, const struct addr_listen *addr, listener_fn *on_accept, void *arg)
{
	struct listener *l = xmalloc(sizeof(*l));

	*l = (struct listener){
		.loop = loop, .addr = *addr, .on_accept = on_accept, .arg = arg, .fd = fd, .reserve = open_reserve(),
		.accepting = true, .rest.fire = listener_rested, .grave.bury = listener_bury,
	};
	/* What is set here is inherited by what is accepted: no calls for each of them. */
	if (addr->path[0] == '\0') {
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS);
		set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
		set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	event_assign(&l->event, loop->base, fd, EV_READ | EV_PERSIST, listener_event, l);
	listener_watch(l);
	return l;
}

const struct addr_listen *
listener_addr(const struct listener *l)
{
	return &l->addr;
}

void
listener_set_accepting(struct listener *l, bool on)
{
	l->accepting = on;
	listener_watch(l);
}

struct listener *
listener_free(struct listener *l, bool unlink_path)
{
	if (l == NULL || l->fd < 0)
		return NULL;
	l->accepting = false;
	event_del(&l->event);
	timer_stop(&l->rest);
	if (unlink_path && l->addr.path[0] != '\0')
		unlink(l->addr.path);
	close(l->fd);
	if (l->reserve >= 0)
		close(l->reserve);
	l->fd = -1;
	loop_bury(l->loop, &l->grave);
	return NULL;
}
