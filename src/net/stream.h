/*
 * A connected socket: bytes in as they come, frames out at the end of the turn. TLS is a stream like any other.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net/addr.h"
#include "net/loop.h"
#include "net/outq.h"

struct stream;

/* How bytes move. */
struct stream_ops {
	ssize_t (*read)(struct stream *, char *, size_t);	/* bytes; 0 = orderly end; -EAGAIN; -errno */
	ssize_t (*write)(struct stream *, const char *, size_t);	/* bytes; -EAGAIN; -errno */
	ssize_t (*writev)(struct stream *, const struct iovec *, int);	/* bytes; -EAGAIN; -errno */
	void	(*shutdown)(struct stream *);			/* nothing more will be written */
	void	(*done)(struct stream *);			/* frees s->tls */
};

/* Who is told; one constant table per kind of user. */
struct stream_user {
	/*
	 * Who the peer is, before any bytes: told by a stream behind a proxy (net/proxied.h). Must not drop
	 * the stream. May be NULL.
	 */
	void (*on_peer)(struct stream *, const struct addr *);
	/* n bytes came, lent until the call returns; the user keeps what it needs. May be modified in place. */
	void (*on_bytes)(struct stream *, char *p, size_t n);
	/*
	 * The connection is over: 0 = the peer ended it in order, else -errno. The user must drop the stream
	 * (stream_free()). Told once.
	 */
	void (*on_end)(struct stream *, int error);
	/*
	 * The kernel is full, and s->out.bytes wait; told after each turn that queued more. Or the queue was
	 * full (s->out.lost). May be NULL.
	 */
	void (*on_stuck)(struct stream *);
	/* All that was queued is written, after on_stuck() or before the shutdown. May be NULL. */
	void (*on_flushed)(struct stream *);
};

/*
 * One descriptor, one queue; EV_WRITE is armed iff the last flush left something. `fd` and what a write needs
 * lie right behind the queue.
 */
struct stream {
	struct outq		 out;
	int			 fd;
	bool			 reading : 1;
	bool			 writing : 1;		/* EV_WRITE is armed */
	bool			 stuck : 1;		/* the last flush left something */
	bool			 want_write_to_read : 1;	/* TLS: reading goes on when we can write */
	bool			 want_read_to_write : 1;	/* TLS: writing goes on when we have read: the handshake */
	bool			 ended : 1;		/* on_end was told, or the stream was freed */
	bool			 shut : 1;		/* shutdown follows the last byte */
	bool			 deaf : 1;		/* the loop refused our event: the end, at the next flush */
	const struct stream_ops	*ops;
	const struct stream_user *user;
	void			*owner;			/* the user's own */
	void			*tls;
	struct stream_rest	*rest;			/* what the user has put back; NULL = nothing */
	uint64_t		 progress;		/* ms: when the queue last shrank, or became non-empty */
	struct event		 event;
	struct grave		 grave;
};

/* Takes the descriptor (non-blocking); starts to read at once. Never NULL. */
struct stream *stream_new(struct loop *, int fd, const struct stream_ops *, const struct stream_user *, void *owner);
extern const struct stream_ops stream_plain;
/* Hands the stream to another user: what follows is told to it. */
void stream_set_user(struct stream *, const struct stream_user *, void *owner);
/* Reading off: the kernel holds the bytes, and then the peer. */
void stream_set_reading(struct stream *, bool on);
/*
 * For on_bytes(), when the loop is tired: the last n of those bytes are told again in another turn, before
 * any others; this turn takes no more events.
 */
void stream_put_back(struct stream *, const char *p, size_t n);
/* Queues a frame; takes the reference. */
static inline void
stream_send(struct stream *s, struct frame *f)
{
	outq_push(&s->out, f);
}
/* Writes what the socket takes now, and arms EV_WRITE for what is left. on_end() may be told. */
void stream_flush(struct stream *);
/*
 * After what is queued: shut down the sending side; reading goes on, so that the peer can read our last words
 * before any reset.
 */
void stream_shutdown(struct stream *);
/*
 * Closes the descriptor now and buries the stream at the end of the turn; on_end() is not told. With `reset`,
 * the peer gets RST. NULL is fine.
 */
void stream_free(struct stream *, bool reset);

#endif
