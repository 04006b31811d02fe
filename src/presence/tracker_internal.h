/*
 * What the tracker's files share: tracker.c (topics, members, what they track), tracker_own.c (our replica of a
 * topic), tracker_window.c (what is told, to clients and to Redis), tracker_remote.c and tracker_nodes.c (what the other
 * nodes hold).
 */
#ifndef PRESENCE_TRACKER_INTERNAL_H
#define PRESENCE_TRACKER_INTERNAL_H

#include "presence/replica.h"
#include "presence/tracker.h"

enum node_state {
	NODE_UNKNOWN,	/* heard of in a topic only: what it holds is kept, and not seen */
	NODE_UP,
	NODE_DOWN
};

#define PRESENCE_MAX_NODES	1024	/* remembered at once: those that are down without a trace make room */

struct presence_node {
	struct slice	name;
	struct list	in_tracker;
	enum node_state	state;
	uint64_t	epoch;		/* the newest that the cluster told of; of a dead node, the one that died */
	unsigned	n_remotes;	/* in all topics */
	char		text[];
};

/* Another node's replica of a topic. */
struct remote {
	struct list		in_topic;
	struct presence_topic  *topic;
	struct presence_node   *node;
	struct replica		replica;
	uint64_t		heard_epoch;	/* there is at least this to be read */
	uint64_t		heard_version;
	bool			asked;		/* sync->read is under way */
	bool			again;		/* what was read was less than what was heard, once */
	bool			missing;	/* there was no hash: `retry` reads again before we believe that */
	bool			less;		/* there was less than we have: the same */
	struct timer		retry;
};

/* An own presence whose client went without a word. */
struct presence_linger {
	struct timer		timer;
	struct presence_topic  *topic;
	struct presence	       *presence;
};

struct presence_member {
	struct presence_topic  *topic;
	struct subscriber      *sub;		/* borrowed */
	struct slice		join_ref;	/* borrowed */
	struct list		in_topic;
	struct list		in_newcomers;	/* presence_state is owed */
	struct list		owned;		/* struct presence */
	enum presence_ways	ways;
};

/* In its topic's list. */
struct presence_peek {
	struct presence_topic  *topic;
	struct list		in_topic;
	struct loop_task	tell;
	bool			told;
	void		      (*known)(void *arg);
	void		       *arg;
};

struct presence_topic {
	struct slice		name;
	struct tracker	       *tracker;
	struct list		in_tracker;
	struct list		members;
	struct list		newcomers;
	struct list		peeks;
	unsigned		n_members;
	unsigned		n_newcomers;
	struct presence_view	view;
	struct replica		own;		/* its version is that of the last write */
	struct presence	      **dirty;		/* what changed in it since, a reference each */
	unsigned		n_dirty;
	unsigned		cap_dirty;
	bool			whole;		/* the next write is from 0 */
	bool			loading;	/* no states, and no news, before `load`, or tracker_loaded() */
	bool			known;		/* and what was loaded is in the view as it is shown */
	bool			hurried;	/* for a peek's sake changes of this window were told before its end */
	enum presence_ways	ways;		/* of its first member, or peek */
	struct list		remotes;
	struct timer		window;
	struct timer		load;
	char			text[];
};

struct tracker {
	struct loop	       *loop;
	struct pubsub	       *pubsub;
	struct tracker_options	options;
	const struct tracker_sync *sync;
	void		       *arg;
	presence_news_fn       *news;
	struct slice		node;
	struct map		topics;
	struct list		in_turn;	/* topics, in the order of the audit */
	struct map		nodes_by_name;
	struct list		nodes;
	uint64_t		epoch;
	uint64_t		version;	/* the newest of all our topics */
	char			text[];
};

struct presence_topic *tracker_topic(const struct tracker *, struct slice name);
/* When nothing holds it any more. */
void topic_free(struct presence_topic *);

/* tracker_own.c. In our own replica, at the next write: it is there (lingering or not), or no more. */
void own_put(struct presence_topic *, struct presence *, bool lingers);
void own_del(struct presence_topic *, struct presence *);
/* The same client under a new ref, as another node's client has the old one, too. */
void own_rename(struct presence_topic *, struct presence *);
/* That presence is this member's. */
void member_own(struct presence_member *, struct presence *);
/* A new one; `members` is its meta's inside, without the server's own. */
void member_add(struct presence_member *, struct slice key, struct slice members, struct slice prev);
/* A new one in the place of an old one, which is ours or lingers anywhere. */
void member_replace(struct presence_member *, struct presence *old, struct slice members);
/* Nobody's, for so long; or somebody's again. */
void linger_start(struct presence_topic *, struct presence *, uint64_t grace_ms);
void linger_stop(struct presence *);

/* tracker_window.c: something changed, or somebody came or went: the window begins, unless one runs. */
void topic_touch(struct presence_topic *);
/* What can be told is told at the end of this turn. */
void topic_hurry(struct presence_topic *);
/* Somebody waits for the window's end: it is not far away. */
void topic_wait(struct presence_topic *);
/* What changed is told now. */
void topic_tell(struct presence_topic *);
/* Nobody holds it: it ends with its window. */
bool topic_is_idle(const struct presence_topic *);
void topic_on_window(struct timer *, uint64_t now_ms);
/* All of our own replica, to Redis. */
void topic_write_whole(struct presence_topic *);

/* tracker_remote.c. NULL if nothing is known of that node in the topic. */
struct remote *remote_find(const struct presence_topic *, const struct presence_node *);
struct remote *remote_get(struct presence_topic *, struct presence_node *);
void remote_free(struct remote *);
/* Has sync read what the node holds; for `remote_ask` once more, even if that is under way. */
void tracker_ask(const struct tracker *, const struct presence_topic *, const struct presence_node *);
void remote_ask(struct remote *);
/* There is something newer than what we know: it is read, if that is not under way. */
void remote_heard(struct remote *, uint64_t epoch, uint64_t version);
/* A delta that follows what we have. */
void remote_change(struct remote *, const struct presence_delta *);
/* All that it holds. What is in it and was there before never went. */
void remote_replace(struct remote *, uint64_t epoch, uint64_t version, const struct presence_item *, unsigned n);
/* There is a hash, or news that are as good; there is none: believed at the second time, if the node lives. */
void remote_is_there(struct remote *);
void remote_is_missing(struct remote *);
/* There is less than we have: the same. True if that is to be believed. */
bool remote_is_less(struct remote *);
/* What was read may be less than what was heard: then it is read once more, and believed. */
void remote_check_heard(struct remote *);
/* Its node is up. */
void remote_show(struct remote *);

/* presence_meta.c: keys and metas as classes give them. 0, -EINVAL. */
int presence_check_key(struct slice key);
/* Adds the members without phx_ref and phx_ref_prev, and without braces. 0, -EINVAL, -E2BIG. */
int presence_meta_members(struct slice meta, struct buf *out);
/* Do the two differ in nothing but the server's members and `online_at`? Both have passed presence_meta_members(). */
bool presence_meta_is_return(struct slice was, struct slice is);
/* Composes the meta. prev empty = none. */
void presence_meta_write(struct buf *out, struct slice members, struct slice ref, struct slice prev);
/* Its phx_ref_prev; empty = none. */
struct slice presence_meta_prev(struct slice meta);

#endif
