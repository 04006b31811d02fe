/*
 * The tracker's replicas in Redis: hashes and deltas that cannot disagree, since one script writes both; reads after a
 * gap; heartbeats that name what changed; a rolling audit for what was lost without a word. Keys and messages:
 * roost-redis(7).
 */
#ifndef PRESENCE_SYNC_H
#define PRESENCE_SYNC_H

#include "cluster/cluster.h"
#include "presence/tracker.h"

struct presence_sync;

/* What tracker_new() takes, with the sync as `arg`. */
extern const struct tracker_sync presence_sync_ops;

/* Borrows all; adds its scripts to redis. The tracker is set before the first event. Never NULL. */
struct presence_sync *presence_sync_new(struct loop *, struct redis *, const char *prefix, const char *node);
struct presence_sync *presence_sync_free(struct presence_sync *);
void presence_sync_set(struct presence_sync *, struct tracker *, struct cluster *);

/* From cluster_user, and from redis_user. */
void presence_sync_on_place(struct presence_sync *, uint64_t epoch);
void presence_sync_on_change(struct presence_sync *, struct slice node, uint64_t epoch, enum cluster_change);
void presence_sync_on_clean(struct presence_sync *, struct slice node, uint64_t epoch);
void presence_sync_write_beat(struct presence_sync *, struct buf *);
void presence_sync_on_beat(struct presence_sync *, struct slice node, uint64_t epoch, struct slice beat);
void presence_sync_on_down(struct presence_sync *);
void presence_sync_on_bus_up(struct presence_sync *);
/* Before cluster_leave(): our hashes go, the others hear of it. */
void presence_sync_leave(struct presence_sync *);

/*
 * The presences of a topic that nobody here may look at, as presence_state's payload. error = -errno, then text is
 * empty. Told later; -errno and it is not.
 */
typedef void presence_list_fn(void *arg, int error, struct slice json);
int presence_sync_list(struct presence_sync *, struct slice topic, presence_list_fn *, void *arg);

#endif
