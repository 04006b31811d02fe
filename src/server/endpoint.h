/*
 * Where connections come in: the doors, limits at them, and which path leads where.
 */
#ifndef SERVER_ENDPOINT_H
#define SERVER_ENDPOINT_H

#include "auth/auth.h"
#include "net/http_server.h"
#include "net/tls.h"
#include "api/api.h"
#include "server/census.h"
#include "server/door.h"
#include "server/origin.h"
#include "server/pages.h"
#include "transport/longpoll.h"
#include "transport/websocket.h"

struct endpoint;
struct longpoll_relay;

/* What a reload replaces as a whole. Everything is borrowed from the node. */
struct endpoint_options {
	bool		 dev;
	bool		 anonymous;		/* /socket without a token; / and /ws take anyone */
	bool		 require_origin;
	bool		 compression;
	const char	*echo_path;		/* NULL or "" = none */
	uint64_t	 max_connections;
	uint64_t	 max_per_user;		/* 0 = unlimited */
	uint64_t	 max_per_address;
	uint64_t	 tls_handshakes;	/* a second; 0 = unlimited */
	struct auth	*auth;
	struct origins	*origins;		/* NULL = any */
	struct tls_context *tls;
	const struct addr_net *trusted;		/* proxies whose X-Forwarded-For counts */
	unsigned	 n_trusted;
	struct pages	*pages;			/* demo pages, or NULL */
	struct slice	 dev_secret;		/* for /demo/token; empty = it makes none */
};

struct endpoint {
	struct loop		*loop;
	struct http_server	 http;
	struct websockets	*websockets;
	struct longpolls	*longpolls;
	struct longpoll_relay	*relay;		/* of long polls; borrowed */
	struct endpoint_options	 options;
	struct api		*api;		/* borrowed; NULL = none */
	struct identity		*anonymous;
	struct census		 users;
	struct census		 addresses;
	struct list		 doors;
	bool			 keep_files;	/* of unix sockets, when their doors close: the master's */
	bool			 draining;	/* health checks get 503, and so do new clients */
	bool			 crowded;	/* memory is short: the same for new clients */
	/* Why this node should get no new clients: static text for /readyz, NULL = it should. */
	const char	      *(*fault)(void *arg);
	/* Adds the /metrics text. */
	void		       (*metrics)(struct buf *out, void *arg);
	void			*arg;
};

/* Borrows all. */
void endpoint_init(struct endpoint *, struct loop *, struct websockets *, struct longpolls *, struct longpoll_relay *);
/* Closes the doors and everyone who is still in HTTP. */
void endpoint_done(struct endpoint *);
/* Takes a bound descriptor (listener_bind()). */
void endpoint_listen(struct endpoint *, int fd, const struct addr_listen *, bool admin);
/* No new clients from now on; whoever wants to look on may, unless `all`. */
void endpoint_close_doors(struct endpoint *, bool all);

/* The client's address: X-Forwarded-For's where the peer is a trusted proxy. */
struct addr endpoint_client(const struct endpoint *, const struct http_conn *, const struct http_request *);
/* What is spoken at a path. */
enum endpoint_dialect { ENDPOINT_PHOENIX, ENDPOINT_PUSHER, ENDPOINT_ECHO };
/* upgrade.c: a request for a WebSocket. */
void endpoint_upgrade(struct endpoint *, struct http_conn *, const struct http_request *, enum endpoint_dialect);
/* longpoll_http.c: a request for /socket/longpoll; and by its head, the status that refuses it, or 0. */
void endpoint_longpoll(struct endpoint *, struct http_conn *, const struct http_request *, struct slice body);
int endpoint_longpoll_refusal(const struct endpoint *, const struct http_request *);

#endif
