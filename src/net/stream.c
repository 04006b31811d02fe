/*
 * Streams: one read per event, one write per turn.
 */
#include "net/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stats.h"
#include "net/batch.h"

#define STREAM_IOV_MAX	64

struct stream_rest {
	size_t	n;
	char	bytes[];
};

static ssize_t
plain_read(struct stream *s, char *p, size_t n)
{
	ssize_t r = recv(s->fd, p, n, MSG_DONTWAIT);

	return r < 0 ? -errno : r;
}

static ssize_t
plain_write(struct stream *s, const char *p, size_t n)
{
	ssize_t r = send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	return r < 0 ? -errno : r;
}

static ssize_t
plain_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	ssize_t	      r = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	return r < 0 ? -errno : r;
}

static void
plain_shutdown(struct stream *s)
{
	shutdown(s->fd, SHUT_WR);
}

static void
plain_done(struct stream *s)
{
}

const struct stream_ops stream_plain = {
	.read = plain_read,
	.write = plain_write,
	.writev = plain_writev,
	.shutdown = plain_shutdown,
	.done = plain_done,
};

static void
stream_end(struct stream *s, int error)
{
	if (s->ended)
		return;
	s->ended = true;
	event_del(&s->event);
	s->user->on_end(s, error);
}

static void
stream_read_rest(struct stream *s)
{
	autofree struct stream_rest *rest = s->rest;

	s->rest = NULL;
	s->user->on_bytes(s, rest->bytes, rest->n);
}

static void
stream_read(struct stream *s)
{
	ssize_t n;

	if (s->rest != NULL) {
		stream_read_rest(s);
		return;
	}
	n = s->ops->read(s, s->out.loop->read_buf, LOOP_READ_SIZE);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		stream_end(s, (int)n);
		return;
	}
	stats->bytes_in_total += (uint64_t)n;
	s->user->on_bytes(s, s->out.loop->read_buf, (size_t)n);
}

static void stream_event(evutil_socket_t, short, void *);

/* Not told here and now: whoever calls us does not expect the stream to end. */
static void
stream_add_event(struct stream *s)
{
	if (event_add(&s->event, NULL) == 0)
		return;
	s->deaf = true;
	outq_want_flush(&s->out);
}

/* Asks the loop for what we want to know now. */
static void
stream_watch(struct stream *s)
{
	bool  write = (s->writing && !s->want_read_to_write) || s->want_write_to_read;
	short what = (short)(EV_PERSIST | (s->reading ? EV_READ : 0) | (write ? EV_WRITE : 0));

	event_del(&s->event);
	if (what == EV_PERSIST)
		return;
	event_assign(&s->event, s->out.loop->base, s->fd, what, stream_event, s);
	stream_add_event(s);
	if (s->reading && s->rest != NULL)
		event_active(&s->event, EV_READ, 1);
}

static void
stream_set_writing(struct stream *s, bool on)
{
	if (s->writing == on)
		return;
	s->writing = on;
	stream_watch(s);
}

static void
stream_event(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	bool	       wanted = s->want_write_to_read, blocked = s->want_read_to_write;

	loop_awake(s->out.loop);
	if ((what & EV_WRITE) && s->writing) {
		stream_set_writing(s, false);
		stream_flush(s);
	}
	if (!s->ended && ((what & EV_READ) || (wanted && (what & EV_WRITE)))) {
		s->want_write_to_read = false;
		stream_read(s);
		if (!s->ended && (s->want_write_to_read != wanted || s->want_read_to_write != blocked))
			stream_watch(s);
	}
}

/* One write of all that waits, or of as much as one call takes. */
static ssize_t
stream_write_some(struct stream *s)
{
	struct iovec iov[STREAM_IOV_MAX];
	struct slice all;

	if (s->out.n == 1)
		return s->ops->write(s, outq_at(&s->out, 0)->wire + s->out.offset, s->out.bytes);
	if (batch_gather(s->out.loop->batch, &s->out, &all))
		return s->ops->write(s, all.p, all.n);
	return s->ops->writev(s, iov, outq_peek(&s->out, iov, STREAM_IOV_MAX));
}

static void
stream_flushed(struct stream *s)
{
	if (s->shut)
		s->ops->shutdown(s);
	if (s->user->on_flushed != NULL)
		s->user->on_flushed(s);
}

/* Writes until nothing is left (1) or the kernel is full (0); or -errno. */
static int
stream_write_out(struct stream *s)
{
	while (s->out.n > 0) {
		ssize_t sent = stream_write_some(s);

		if (sent == -EINTR)
			continue;
		if (sent == -EAGAIN)
			return 0;
		if (sent < 0)
			return (int)sent;
		stats->writes_total++;
		stats->bytes_out_total += (uint64_t)sent;
		s->progress = s->out.loop->now;
		outq_drop(&s->out, (size_t)sent);
	}
	return 1;
}

/* EV_WRITE tells when the kernel takes more. */
static void
stream_wait(struct stream *s)
{
	if (!s->writing)
		s->progress = s->out.loop->now;
	stream_set_writing(s, true);
}

static void
stream_tell_stuck(struct stream *s)
{
	if (s->user->on_stuck != NULL)
		s->user->on_stuck(s);
}

void
stream_flush(struct stream *s)
{
	bool was_stuck = s->stuck;
	int  r = s->deaf ? -ENOMEM : 0;

	if (s->ended || (s->out.n == 0 && !s->deaf))
		return;
	/* While EV_WRITE is armed the kernel is full: no use in asking again. */
	if (r == 0 && !s->writing)
		r = stream_write_out(s);
	if (r < 0) {
		stream_end(s, r);
		return;
	}
	s->stuck = r == 0;
	if (s->stuck)
		stream_wait(s);
	if (s->stuck || s->out.lost)
		stream_tell_stuck(s);
	else if (was_stuck || s->shut)
		stream_flushed(s);
}

static void
stream_flush_outq(struct outq *q)
{
	stream_flush(container_of(q, struct stream, out));
}

static void
stream_bury(struct grave *g)
{
	free(container_of(g, struct stream, grave));
}

struct stream *
stream_new(struct loop *loop, int fd, const struct stream_ops *ops, const struct stream_user *user, void *owner)
{
	struct stream *s = xmalloc(sizeof(*s));

	*s = (struct stream){
		.fd = fd, .ops = ops, .user = user, .owner = owner, .reading = true, .grave.bury = stream_bury,
	};
	outq_init(&s->out, loop, stream_flush_outq);
	event_assign(&s->event, loop->base, fd, EV_READ | EV_PERSIST, stream_event, s);
	stream_add_event(s);
	return s;
}

void
stream_set_user(struct stream *s, const struct stream_user *user, void *owner)
{
	s->user = user;
	s->owner = owner;
}

void
stream_set_reading(struct stream *s, bool on)
{
	if (s->reading == on || s->ended)
		return;
	s->reading = on;
	stream_watch(s);
}

void
stream_put_back(struct stream *s, const char *p, size_t n)
{
	if (n == 0 || s->ended)
		return;
	s->rest = xmalloc(sizeof(*s->rest) + n);
	s->rest->n = n;
	memcpy(s->rest->bytes, p, n);
	if (s->reading)
		event_active(&s->event, EV_READ, 1);
	loop_break(s->out.loop);
}

void
stream_shutdown(struct stream *s)
{
	if (s->ended || s->shut)
		return;
	s->shut = true;
	if (s->out.n == 0)
		s->ops->shutdown(s);
}

void
stream_free(struct stream *s, bool reset)
{
	struct linger abort_now = { .l_onoff = 1 };

	if (s == NULL || s->fd < 0)
		return;
	s->ended = true;
	event_del(&s->event);
	outq_done(&s->out);
	s->ops->done(s);
	free(s->rest);
	s->rest = NULL;
	if (reset)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
	close(s->fd);
	s->fd = -1;
	loop_bury(s->out.loop, &s->grave);
}
