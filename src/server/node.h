/*
 * One process that serves: everything below, put together floor by floor, reloaded, drained, and torn down in
 * reverse.
 */
#ifndef SERVER_NODE_H
#define SERVER_NODE_H

#include "config/config.h"
#include "server/sockets.h"

struct node;

/*
 * Makes a node that is not running yet: keys, certificates, routes and pages are read. Takes the
 * configuration and the sockets (NULL only to check the configuration: -T). `worker` is its number under a
 * master, from 0; -1 without one. NULL with *why (caller frees) and *code = the exit code (78 mostly).
 */
struct node *node_new(struct config_set *, struct sockets *, int worker, int *code, char **why);
struct node *node_free(struct node *);
/*
 * Serves until it is told to stop: SIGTERM drains, a second one stops; SIGINT and SIGQUIT stop; SIGHUP
 * reloads; SIGUSR1 reopens the log. Returns the exit code.
 */
int node_run(struct node *);

#endif
