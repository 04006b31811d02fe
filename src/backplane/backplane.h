/*
 * What joins this node to the others: Redis, the cluster's membership, and their wires to the broker, presence and
 * history. Without redis.url, the same rooms on their own.
 */
#ifndef BACKPLANE_BACKPLANE_H
#define BACKPLANE_BACKPLANE_H

#include "cluster/cluster.h"
#include "config/config.h"
#include "history/history.h"
#include "history/userlists.h"
#include "presence/sync.h"
#include "backplane/happenings.h"
#include "session/session.h"

struct backplane_user {
	/* Redis does not want us, or our id is taken: the process ends with that code (69). */
	void (*on_hopeless)(void *arg, int code, const char *why);
	/* A message on the cluster's channel that is for the server: see backplane/inquiry.h. */
	void (*on_message)(void *arg, struct slice node, struct slice type, struct slice message);
};

struct backplane {
	struct loop		*loop;
	struct session_env	*env;		/* borrowed; its pubsub, tracker, history, userlists and peers are ours to fill */
	struct redis		*redis;		/* NULL = a node alone, and so the next two */
	struct cluster		*cluster;
	struct presence_sync	*sync;
	struct happenings	*happenings;	/* NULL = nobody wants to know */
	struct tracker		*tracker;
	struct history		*history;
	struct userlists	*userlists;
	const char		*node;		/* our id; borrowed */
	const struct backplane_user *user;
	void			*arg;
	char			 place[REDIS_URL_TEXT];	/* where Redis is, without the password: for the log */
	uint64_t		 grace_ms;	/* how long /readyz stays fine without Redis */
	bool			 was_up;	/* we had a place once */
	bool			 missed;	/* the bus was lost since it was up */
	bool			 said_away;	/* the log knows */
	bool			 said_list;	/* other nodes were told of a user's list, or should have been */
	bool			 left;
	uint64_t		 stood;		/* of loop->stood, as last seen */
	uint64_t		 messages_in;	/* stats' totals at the last tick */
	uint64_t		 frames_out;
	struct timer		 tick;
	struct timer		 stood_timer;
	struct timer		 resync;	/* until clients are told that they may have missed something */
};

/*
 * Fills env (session_env_init() included). `node` is our id, borrowed; `listen` is for the registry. Returns 0, or -EINVAL
 * with *why (caller frees): a URL that cannot be used.
 */
int backplane_init(struct backplane *, struct loop *, struct session_env *, const struct config *, const char *node,
    const char *listen, const struct backplane_user *, void *arg, char **why);
/* What a reload may change. */
void backplane_configure(struct backplane *, const struct config *);
/* When no session is left; env is done, too. Before it, backplane_leave() and turns of the loop until it is done. */
void backplane_done(struct backplane *);
/*
 * Leaves the cluster in order; backplane_has_left() turns true when that is done and so is what the last channels began, at the
 * latest when the connection ends.
 */
void backplane_leave(struct backplane *);
bool backplane_has_left(const struct backplane *);
/* Fit for new clients? NULL, or why not: static text for /readyz. */
const char *backplane_fault(const struct backplane *);

#endif
