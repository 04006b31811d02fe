/*
 * The server side of HTTP on one stream: request head under a deadline, body, response, linger; or the stream
 * is taken over (WebSocket).
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "net/http.h"
#include "net/stream.h"

struct http_conn;

struct http_server_options {
	struct http_limits limits;
	uint64_t	handshake_ms;	/* from accept (or from the last response) to a complete request: 10 s; then 408 */
	uint64_t	linger_ms;	/* how long the peer may take to read our last response, and then to close: 5 s */
};

/*
 * Called for each complete request (with its whole body). The handler answers with http_respond(), now or
 * later, or takes the stream with http_take_stream(). `req` and `body` are lent until it returns. The next
 * request is read when this one is answered. A chunked body is not read: 411; nor is any body with an
 * Upgrade: 400.
 */
typedef void http_handler(struct http_conn *, const struct http_request *req, struct slice body, void *arg);

/* Says no to a request by its head: static texts. */
struct http_refusal {
	const char	*extra;		/* header lines, "Allow: GET\r\n" for a 405; NULL = none */
	const char	*type;		/* of the body; NULL = the status' name as plain text */
	const char	*body;
};

struct http_server {
	struct loop			*loop;
	struct http_server_options	 options;
	http_handler			*handler;
	/*
	 * May refuse a request when its head is complete, before any complaint about its body: returns 0, or a status to
	 * answer with (then the connection closes and the body is never read) and *how, which is all zero before. May be
	 * NULL.
	 */
	int			       (*on_head)(struct http_conn *, const struct http_request *,
					    struct http_refusal *how, void *arg);
	void				*arg;
	bool				 closing;	/* each answer is the last of its connection: the next one goes elsewhere */
	struct list			 conns;		/* those in HTTP now */
	unsigned			 n_conns;
};

/* The options are the defaults named above, with a body of at most 1 MiB; change them at any time. */
void http_server_init(struct http_server *, struct loop *, http_handler *, void *arg);
/* Closes all connections that are in HTTP. */
void http_server_done(struct http_server *);
/*
 * Takes the stream (its user is set here). `owner` belongs to the caller's bookkeeping: on_gone(owner) is
 * told once, when the connection ends without having been taken over; the conn is valid until the end of that
 * turn, and an answer to it is dropped.
 */
struct http_conn *http_conn_new(struct http_server *, struct stream *, const struct addr *peer, void *owner,
    void (*on_gone)(void *owner));
/* The client's address: what the stream told of its peer, if it did. */
const struct addr *http_conn_peer(const struct http_conn *);
void *http_conn_owner(const struct http_conn *);
/*
 * For a handler that answers later: `on_abort` is told, once, if the connection ends before that, and the conn is not to be
 * used from then on. It holds for the request under way.
 */
void http_conn_await(struct http_conn *, void (*on_abort)(void *arg), void *arg);
/*
 * Answers the request under way. `extra`: complete header lines, may be NULL; `type` NULL = no body. Status
 * >= 400, or server->closing, closes the connection behind the answer (after a linger); else keep-alive as the client asked.
 */
void http_respond(struct http_conn *, unsigned status, const char *extra, const char *type, struct slice body);
/*
 * Ends the HTTP part, while a request is under way: the conn is freed at the end of the turn, the stream is
 * the caller's (its user must be set now), and *rest is what was read behind the request: lent until the
 * handler returns (until the end of the turn, if it is taken later).
 */
struct stream *http_take_stream(struct http_conn *, struct slice *rest);

#endif
