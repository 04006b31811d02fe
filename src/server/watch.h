/*
 * Once a second: memory, and a sign of life for the service manager.
 */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include "server/endpoint.h"

struct watch {
	struct endpoint	*endpoint;
	struct timer	 timer;
	int		 statm;		/* what the kernel says of our memory; -1 = it does not */
	uint64_t	 memory_high;	/* bytes of resident memory above which new clients get 503; 0 = never */
};

void watch_init(struct watch *, struct endpoint *);
void watch_done(struct watch *);
/* Tells the service manager (sd_notify) that we serve, and begins to watch. */
void watch_ready(struct watch *);

#endif
