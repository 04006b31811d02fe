/*
 * WebSocket as a transport: frames to messages, deadlines, closing, and clients that do not read.
 */
#ifndef TRANSPORT_WEBSOCKET_H
#define TRANSPORT_WEBSOCKET_H

#include "net/deflate.h"
#include "net/stream.h"
#include "net/ws.h"
#include "session/session.h"

struct websocket;

struct websocket_options {
	struct ws_limits limits;
	uint64_t	max_queue;	/* bytes that may wait for a client; more: 1013 */
	uint64_t	stall_ms;	/* and so long may a full client take nothing */
	uint64_t	idle_ms;	/* since the last byte from the client: 1001 */
	uint64_t	ping_ms;	/* silence after which we ask; 0 = never */
	uint64_t	pong_ms;	/* and how long it may take to answer */
	uint64_t	close_ms;	/* for the closing handshake, then for the peer's FIN */
};

/* All WebSockets of a process. */
struct websockets {
	struct session_env	*env;
	struct websocket_options options;
	struct deflate		*deflate;	/* borrowed; NULL = none */
	struct frame		*ping;		/* the same for all */
	struct buf		 inflated;	/* the message being handled */
	struct list		 open;
	unsigned		 n;		/* those in `open` */
	unsigned		 n_all;		/* and those that are closing */
	struct list		 closing;
};

/* Who is told when a WebSocket is gone, with what it was opened with. */
typedef void websocket_gone_fn(void *arg, const struct addr *peer, struct slice user);

struct websocket_open {
	struct stream		*stream;	/* taken; the 101 is queued on it already */
	const struct addr	*peer;		/* copied */
	const struct codec	*codec;		/* NULL = echo every message (debug.echo_path) */
	struct identity		*who;		/* the reference is taken */
	struct ws_deflate	 deflate;	/* what was agreed */
	struct slice		 rest;		/* bytes that came behind the request */
	websocket_gone_fn	*on_gone;	/* may be NULL */
	void			*arg;
};

void websockets_init(struct websockets *, struct session_env *, struct deflate *);
/* Drops every connection at once. */
void websockets_done(struct websockets *);
void websocket_open(struct websockets *, const struct websocket_open *);
/* Closes all open ones of that user with that code. Returns how many. */
unsigned websockets_close_user(struct websockets *, struct slice user, unsigned code, const char *why);
/* Closes the open one of that id (session.h). False: there is none. */
bool websockets_close_id(struct websockets *, struct slice id, unsigned code, const char *why);
/* Closes up to `n` open ones, longest open first, with that code. Returns how many it closed. */
unsigned websockets_close_some(struct websockets *, unsigned n, unsigned code, const char *why);

#endif
