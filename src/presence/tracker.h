/*
 * Who is where, on every node: each topic's presences as one map, merged from the replicas of the nodes that are up.
 * A node alone changes its own replica; what the others hold comes as deltas and whole reads (presence/sync.h). No
 * I/O here: time comes from the loop's wheel, Redis through `struct tracker_sync`.
 */
#ifndef PRESENCE_TRACKER_H
#define PRESENCE_TRACKER_H

#include "pubsub/pubsub.h"

struct tracker;
struct presence_topic;		/* exists while somebody here looks on, or is present */
struct presence_member;		/* one local subscriber's part in it */
struct presence_peek;		/* a look at it before there is a subscriber */

struct tracker_options {
	uint64_t	window_ms;	/* changes are collected so long before clients hear of them: 50 ms */
	uint64_t	load_ms;	/* a first state waits so long for the other nodes' presences: 1 s */
	unsigned	max_metas;	/* of one key in one topic: 100 */
	size_t		max_meta;	/* bytes of one meta: 4 KiB */
};

/* One presence as it goes over the bus, and stands in Redis: field KEY/REF, value META. */
struct presence_item {
	struct slice	key;
	struct slice	ref;
	struct slice	meta;		/* JSON object with phx_ref (and phx_ref_prev) in it; empty in `gone` */
	bool		lingers;	/* its client is gone without a word: whoever joins with that key in time takes it over */
};

/* What we changed in our replica of a topic since the last one. from 0: it is the whole of it. */
struct presence_delta {
	uint64_t	from, to;	/* versions of the topic, on this node; `to` grows over all topics */
	const struct presence_item *put;	/* new, or changed (lingers) */
	unsigned	n_put;
	const struct presence_item *gone;	/* key and ref alone */
	unsigned	n_gone;
	bool		empty;		/* nothing is left there */
};

/* How a node's replicas reach the others. All NULL functions on a node alone. */
struct tracker_sync {
	/* The topic is looked at here, or no more. tracker_loaded() follows an `on` once everything there is known. */
	void (*watch)(void *arg, struct slice topic, bool on);
	/* May fail later: then tracker_rewrite() is called when there is a chance again. */
	void (*write)(void *arg, struct slice topic, const struct presence_delta *);
	/* A replica is not what it should be: read it again, and call tracker_read(). */
	void (*read)(void *arg, struct slice topic, struct slice node);
};

/* Borrows pubsub and the tables. `sync` NULL = a node alone. `node` is copied. Never NULL. */
struct tracker *tracker_new(struct loop *, struct pubsub *, const char *node, const struct tracker_options *,
    const struct tracker_sync *, void *arg);
/* There must be no members left. The sync is not told of anything any more. */
struct tracker *tracker_free(struct tracker *);
void tracker_set_options(struct tracker *, const struct tracker_options *);

/* How what changes in a topic becomes known here: all its members and peeks say the same. */
enum presence_ways {
	PRESENCE_SHOWN = 1,		/* to each client: presence_state and presence_diff */
	PRESENCE_NEWS = 2,		/* to the tracker's owner, once for all */
	PRESENCE_BOTH = PRESENCE_SHOWN | PRESENCE_NEWS
};

/*
 * What became of one key within a window, for the owner to tell. The fields as in struct channel_presence. `speaker` is any of
 * the topic's members here; the call may make any of them leave. Where clients are shown the change, too, they are behind it.
 */
struct presence_news {
	struct slice	key;
	const struct slice *metas;
	unsigned	n, n_new;
	const struct slice *gone;
	unsigned	n_gone;
	struct subscriber *by;
	struct subscriber *const *owners;
};
typedef void presence_news_fn(struct subscriber *speaker, const struct presence_news *);
void tracker_set_news(struct tracker *, presence_news_fn *);

/*
 * `sub` is subscribed to its topic and looks on. Shown, it gets presence_state at the end of the window (as a push under
 * `join_ref`, a JSON token that lives as long), and presence_diff from then on. The owner has news of what is new: not of what
 * other nodes held already when the topic was first looked at. Never NULL.
 */
struct presence_member *tracker_enter(struct tracker *, struct subscriber *sub, struct slice join_ref, enum presence_ways);
/*
 * Holds a topic open that need not have members. `known` is told once, at the end of a turn: what the other nodes hold is known
 * (or was waited for long enough), and tracker_each() shows it: what is new was told before. That is done early for the first of
 * them in a window; the others wait for its end, 500 ms at most. Whatever changes from then on is told, as its ways are, to who
 * enters before tracker_unpeek(). Never NULL.
 */
struct presence_peek *tracker_peek(struct tracker *, struct slice topic, enum presence_ways, void (*known)(void *arg), void *arg);
/* Also from inside `known`, or before it was told. Takes NULL, returns NULL. */
struct presence_peek *tracker_unpeek(struct presence_peek *);
/*
 * It leaves, with all it tracks, in one diff; before its subscription ends or right after. grace_ms > 0: it went without
 * a word, so its presences linger, and who tracks the same key within that time, on any node, takes one over:
 * unseen, where the metas differ in `online_at` at most.
 */
void tracker_leave(struct presence_member *, uint64_t grace_ms);
/*
 * A presence of this member. The meta is a JSON object; phx_ref is added. 0; -EEXIST if the member tracks that key
 * already; -EINVAL for a key that is empty, longer than 256 bytes, no UTF-8, a member of Object.prototype
 * (protocol/phoenix.md 5.6) or "@linger" (which has a meaning in the hashes), or a meta that is no object; -E2BIG; -ENOSPC
 * for too many metas of the key.
 */
int tracker_track(struct presence_member *, struct slice key, struct slice meta);
/* May there be presences under that key? */
bool tracker_takes_key(struct slice key);
/* Another meta: old and new travel in one diff. Equal bytes change nothing. 0, -ENOENT, -EINVAL, -E2BIG. */
int tracker_update(struct presence_member *, struct slice key, struct slice meta);
/* 0 even if it was not tracked. */
int tracker_untrack(struct presence_member *, struct slice key);
/* The meta that the member tracks under that key, phx_ref included; p == NULL if none. Borrowed until it changes. */
struct slice tracker_meta(const struct presence_member *, struct slice key);

/* Adds that meta as it was given, without what the server adds to it. 0, or -ENOENT. */
int tracker_meta_given(const struct presence_member *, struct slice key, struct buf *out);

/* Keys present in a topic, as clients see it now; 0 where nobody here looks on. */
unsigned tracker_count(const struct tracker *, struct slice topic);
/* Metas whose clients are there, on all nodes, as far as is known: whether it was told yet or not; 0 where nobody here looks on. */
unsigned tracker_count_here(const struct tracker *, struct slice topic);
/* The same as presence_state's payload. False where nobody here looks on: *out is untouched. */
bool tracker_list(const struct tracker *, struct slice topic, struct buf *out);
/* Each presence: returns false to stop. */
typedef bool presence_each_fn(void *arg, struct slice key, struct slice meta);
void tracker_each(const struct tracker *, struct slice topic, presence_each_fn *, void *arg);

/* From the bus. A delta of another node: applied, dropped as old, or answered by sync->read. */
void tracker_delta(struct tracker *, struct slice topic, struct slice node, uint64_t epoch,
    const struct presence_delta *);
/*
 * All that a node holds in a topic, as just read: version 0 and no items = there is no such hash. Then what we had stays
 * if the node is up under an epoch that we know, and is read again two heartbeats later: Redis may have been emptied.
 */
void tracker_read(struct tracker *, struct slice topic, struct slice node, uint64_t epoch, uint64_t version,
    const struct presence_item *, unsigned n);
/* Every node's part was told by tracker_read(), those not named hold nothing: states may go out. */
void tracker_loaded(struct tracker *, struct slice topic, const struct slice *nodes, unsigned n);
/* A node's heartbeat says so of a topic; read again if we know less. */
void tracker_heard(struct tracker *, struct slice topic, struct slice node, uint64_t epoch, uint64_t version);
/* It is down: its presences leave. It is back: they are read again. */
void tracker_node(struct tracker *, struct slice node, uint64_t epoch, bool up);
/*
 * Our replicas are written anew (from 0) under this epoch, from inside the call; those of topics that have ended since are
 * not. With `topic`, that one alone, even if nothing is left there.
 */
void tracker_rewrite(struct tracker *, uint64_t epoch);
void tracker_rewrite_topic(struct tracker *, struct slice topic);
/* Deltas may have been missed: every replica of the others is read again. */
void tracker_resync(struct tracker *);
/*
 * For the rolling audit: calls fn for n replicas or a few more, ours included (node empty), each time further on.
 * version 0 = there should be no hash.
 */
typedef void tracker_audit_fn(void *arg, struct slice topic, struct slice node, uint64_t epoch, uint64_t version);
void tracker_audit(struct tracker *, unsigned n, tracker_audit_fn *, void *arg);

#endif
