/*
 * Disconnecting a user, or one connection, on every node: an inquiry, whose answers are counted.
 *
 *	{"v":1,"type":"kick","node":N,"user":"…","id":"…"}	to all nodes; "connection" in the place of "user"
 *	{"v":1,"type":"kicked","node":N,"re":"…","n":k}		what each of them says to it
 */
#ifndef BACKPLANE_KICK_H
#define BACKPLANE_KICK_H

#include "backplane/inquiry.h"
#include "transport/longpoll.h"
#include "transport/websocket.h"

#define KICK_MS	1000	/* so long the answers are waited for */

struct kicks {
	struct inquiries	*inquiries;
	struct websockets	*websockets;
	struct longpolls	*longpolls;
};

/* Who is meant: the member of the message by this name says it. */
enum kick_whom { KICK_USER, KICK_CONNECTION };

/* How many were disconnected, and how many nodes have not answered in time, or INQUIRY_NOBODY. */
typedef void kick_fn(void *arg, unsigned disconnected, unsigned silent);

/* Borrows all. */
void kicks_init(struct kicks *, struct inquiries *, struct websockets *, struct longpolls *);
/*
 * Closes that user's connections everywhere, or the one of that id (session.h), with 1001, after which they may come
 * back. `fn` is told once, on a node alone before this returns; or -errno and nothing happens: -ENOTCONN, -ENOBUFS.
 * There is one connection of an id: as soon as it is found, nobody else counts as silent.
 */
int kick(struct kicks *, enum kick_whom, struct slice name, kick_fn *, void *arg);
/* Another node's question, or our own: a message of the type "kick". */
void kicks_on_message(struct kicks *, struct slice node, struct slice message);

#endif
