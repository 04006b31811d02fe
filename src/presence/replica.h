/*
 * What one node holds in one topic, as far as we know: its presences by ref, and which of them linger. A visible
 * replica's presences are held in the topic's view; those of a node that is not up are only kept.
 */
#ifndef PRESENCE_REPLICA_H
#define PRESENCE_REPLICA_H

#include "presence/presence_view.h"

struct replica {
	struct presence_view *view;	/* borrowed */
	struct map	items;		/* struct presence, a reference each */
	struct map	lingering;	/* those of them whose client is gone without a word */
	uint64_t	epoch;		/* 0 = we know nothing of it */
	uint64_t	version;
	bool		visible;
};

void replica_init(struct replica *, struct presence_view *, bool visible);
/* Lets everything go first. */
void replica_done(struct replica *);
/* Lets it all go, but for epoch and version. */
void replica_clear(struct replica *);
/* It holds that presence, lingering or not; or no more. True if that was news. */
bool replica_put(struct replica *, struct presence *, bool lingers);
bool replica_del(struct replica *, struct presence *);
void replica_show(struct replica *, bool visible);

static inline bool
replica_has(const struct replica *r, const struct presence *p)
{
	return map_get(&r->items, presence_ref_text(p)) != NULL;
}

static inline bool
replica_lingers(const struct replica *r, const struct presence *p)
{
	return r->lingering.n > 0 && map_get(&r->lingering, presence_ref_text(p)) != NULL;
}

/* Is that news, the whole of what the node holds: a newer epoch, or a newer version? */
static inline bool
replica_is_older(const struct replica *r, uint64_t epoch, uint64_t version)
{
	return epoch > r->epoch || (epoch == r->epoch && version > r->version);
}

/* Or is that what it was once? */
static inline bool
replica_is_newer(const struct replica *r, uint64_t epoch, uint64_t version)
{
	return epoch < r->epoch || (epoch == r->epoch && version < r->version);
}

#endif
