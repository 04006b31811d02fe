/*
 * One process that serves: everything below, put together floor by floor, reloaded, drained, and torn down in
 * reverse.
 */
#ifndef SERVER_NODE_H
#define SERVER_NODE_H

#include "config/config.h"

struct node;

/* A bound listener, ready before privileges are dropped. */
struct node_socket {
	int			fd;
	bool			admin;
	struct addr_listen	addr;
};

struct node_sockets {
	unsigned		n;
	bool			shared;	/* other processes have them too: files of unix sockets stay when we go */
	struct node_socket	items[2 * CONFIG_MAX_LISTEN];
};

/*
 * Binds all listeners of the configuration. With `like`, a set for one more worker: the same addresses,
 * shared by the kernel. 0, or an exit code (71, 77, 78) with *why (caller frees).
 */
int node_bind(const struct config *, bool shared, const struct node_sockets *like, struct node_sockets *, char **why);
/* Closes them here; with unlink, files of unix sockets go, too. */
void node_close_sockets(struct node_sockets *, bool unlink);

/*
 * Makes a node that is not running yet: keys, certificates, routes and pages are read. Takes the
 * configuration and the sockets (NULL only to check the configuration: -T). `worker` is its number under a
 * master, from 0; -1 without one. NULL with *why (caller frees) and *code = the exit code (78 mostly).
 */
struct node *node_new(struct config_set *, struct node_sockets *, int worker, int *code, char **why);
struct node *node_free(struct node *);
/*
 * Serves until it is told to stop: SIGTERM drains, a second one stops; SIGINT and SIGQUIT stop; SIGHUP
 * reloads; SIGUSR1 reopens the log. Returns the exit code.
 */
int node_run(struct node *);

#endif
