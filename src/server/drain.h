/*
 * Leaving in order: health checks say so, then the doors close, then clients are asked to go, a few at a time.
 */
#ifndef SERVER_DRAIN_H
#define SERVER_DRAIN_H

#include "server/endpoint.h"

struct drain_options {
	uint64_t	time_ms;	/* for all clients to be closed */
	uint64_t	delay_ms;	/* of it, the doors stay open: the balancer must see the 503 before callers find nobody */
	uint64_t	close_ms;	/* for the last closing handshakes */
};

struct drain {
	struct drain_options options;
	struct endpoint	    *endpoint;
	struct timer	     timer;
	uint64_t	     began;	/* ms */
	uint64_t	     evicting;	/* ms: since when clients are closed; 0 = not yet */
	uint64_t	     total;	/* clients there were then */
	uint64_t	     polls;	/* of them, long polls */
	uint64_t	     closed;
};

void drain_init(struct drain *, struct endpoint *);
void drain_done(struct drain *);
/* Ends in loop_stop(). */
void drain_begin(struct drain *);

#endif
