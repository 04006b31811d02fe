/*
 * The sockets that the configuration asks for.
 */
#ifndef SERVER_SOCKETS_H
#define SERVER_SOCKETS_H

#include "config/config.h"

/* A bound listener, ready before privileges are dropped. */
struct socket {
	int			fd;
	bool			admin;
	struct addr_listen	addr;
};

struct sockets {
	unsigned		n;
	bool			shared;	/* other processes have them too: files of unix sockets stay when we go */
	struct socket		items[2 * CONFIG_MAX_LISTEN];
};

/*
 * Binds all listeners of the configuration. With `like`, a set for one more worker: the same addresses,
 * shared by the kernel. 0, or an exit code (71, 77, 78) with *why (caller frees).
 */
int sockets_bind(const struct config *, bool shared, const struct sockets *like, struct sockets *, char **why);
/* Closes them here; with unlink, files of unix sockets go, too. */
void sockets_close(struct sockets *, bool unlink);
/* Where clients reach us, for the registry: the first public address into out[ADDR_LISTEN_LEN]; "" if there is none. */
void sockets_public_address(const struct sockets *, char *out);

#endif
