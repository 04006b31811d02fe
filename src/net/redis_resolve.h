/*
 * From a host's name to an address, without ever blocking: by /etc/hosts and the servers of /etc/resolv.conf.
 */
#ifndef NET_REDIS_RESOLVE_H
#define NET_REDIS_RESOLVE_H

#include <netinet/in.h>

#include "net/loop.h"

struct redis_lookup;

/* `ip` is a literal; NULL with *why, static text, if there is none. */
typedef void redis_resolved_fn(void *arg, const char *ip, const char *why);

/*
 * Looks the name up; of several addresses it takes number `turn`, counted around. Told once, perhaps before this
 * returns, never after redis_lookup_free().
 */
struct redis_lookup *redis_lookup_new(struct loop *, const char *host, unsigned turn, redis_resolved_fn *, void *arg);
/* NULL in, NULL out. It takes until the end of a turn. */
struct redis_lookup *redis_lookup_free(struct redis_lookup *);

#endif
