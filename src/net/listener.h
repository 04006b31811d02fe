/*
 * Listening sockets: IPv4, IPv6 and unix. Accepts in bursts; short of descriptors, it answers one caller with
 * 503 from a reserve and rests.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/addr.h"
#include "net/loop.h"

#define ACCEPT_BURST	64
#define ACCEPT_REST_MS	100

struct listener;
/* A connected, non-blocking, close-on-exec descriptor (TCP_NODELAY set), now the callee's. */
typedef void listener_fn(struct listener *, int fd, const struct addr *peer, void *arg);

/*
 * Binds without accepting: usable before a fork and before privileges are dropped. reuse_port lets several
 * processes share the address. A unix socket replaces a dead one of the same name (it tries to connect first)
 * and gets mode 0660; never follows a symbolic link. Returns the descriptor or -errno; *bound gets the
 * address with the port that was chosen (port 0).
 */
int listener_bind(const struct addr_listen *, bool reuse_port, struct addr_listen *bound);
/* Accepts on a bound descriptor, which it takes. Never NULL. */
struct listener *listener_new(struct loop *, int fd, const struct addr_listen *, listener_fn *, void *arg);
const struct addr_listen *listener_addr(const struct listener *);
/* Tells a caller with 503 (or TLS's, with nothing) that there is no room, and closes. */
void listener_turn_away(const struct listener *, int fd);
/* Accept nothing for now, or go on. */
void listener_set_accepting(struct listener *, bool);
/* Closes; a unix socket's file is removed only with unlink. NULL in, NULL out. */
struct listener *listener_free(struct listener *, bool unlink);

#endif
