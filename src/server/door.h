/*
 * A door: one listener, with what is spoken behind it before HTTP.
 */
#ifndef SERVER_DOOR_H
#define SERVER_DOOR_H

#include "net/listener.h"
#include "net/rates.h"

struct endpoint;

/* In the endpoint's `doors`. Connections point to it, so it outlives its listener. */
struct door {
	struct list	 in_endpoint;
	struct endpoint	*endpoint;
	struct listener	*listener;
	bool		 admin;		/* metrics and the like, instead of clients */
	bool		 proxy;
	bool		 tls;
	bool		 loopback;	/* only this machine can reach it */
	struct bucket	 handshakes;	/* TLS handshakes */
	struct timer	 rest;		/* until there may be one more */
};

/*
 * Takes a bound descriptor; callers become HTTP connections of the endpoint, with the door as their owner. To be freed
 * behind the last of them. Never NULL.
 */
struct door *door_open(struct endpoint *, int fd, const struct addr_listen *, bool admin);
/* Nobody comes in any more. Harmless if it is closed. */
void door_close(struct door *, bool unlink_file);

#endif
