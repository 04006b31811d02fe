/*
 * What happens to clients, told to the world: each connection and each channel that begins or ends is one entry of a
 * stream in Redis, once in the cluster, whatever becomes of this node. Fields and causes: roost-redis(7).
 */
#ifndef BACKPLANE_HAPPENINGS_H
#define BACKPLANE_HAPPENINGS_H

#include "net/redis.h"
#include "session/session.h"

struct happenings;

/* All texts are copied. */
struct happenings_options {
	const char	*stream;	/* its key */
	const char	*prefix;	/* of our own keys */
	const char	*node;		/* our id */
	uint32_t	 run;		/* of this process: see struct session_env */
	uint64_t	 max_length;	/* of the stream, about */
	uint64_t	 max_queue;	/* happenings that wait for Redis: the oldest go for more */
};

/* `arg` is the happenings. */
extern const struct session_watcher happenings_watcher;

/* Borrows redis; adds scripts, so before it connects. Never NULL. */
struct happenings *happenings_new(struct loop *, struct redis *, const struct happenings_options *);
/* Behind redis_free(): it answers what is pending. NULL in, NULL out. */
struct happenings *happenings_free(struct happenings *);
/* We have a place under that epoch, perhaps the one we had: what waited is written. */
void happenings_on_place(struct happenings *, uint64_t epoch);
/* That node is dead, and we are to tell what it held: its clients are lost. */
void happenings_on_clean(struct happenings *, struct slice node, uint64_t epoch);
/* No session is left: writes what waits, and what Redis keeps about us goes. */
void happenings_leave(struct happenings *);
/* Is Redis still to tell what is gone? While it can be reached: it goes step by step. */
bool happenings_are_sweeping(const struct happenings *);

#endif
