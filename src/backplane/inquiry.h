/*
 * Questions to all nodes, over the cluster's channel, whose answers are gathered until all have come or time is up.
 *
 *	{"v":1,"type":QUESTION,"node":N,"id":"…",…}	to all nodes, the asker included
 *	{"v":1,"type":ANSWER,"node":N,"re":"…",…}	what each of them says to it
 */
#ifndef BACKPLANE_INQUIRY_H
#define BACKPLANE_INQUIRY_H

#include <limits.h>

#include "cluster/cluster.h"

#define INQUIRY_NOBODY	UINT_MAX	/* that many are silent: no node at all has answered, not even this one */

struct inquiries {
	struct loop	*loop;
	struct cluster	*cluster;	/* borrowed, set by the owner; NULL = a node alone, which asks nobody */
	struct list	 asked;		/* struct inquiry: ours that are not answered yet */
};

struct inquiry_user {
	const char	*question;	/* the message's type */
	uint64_t	 wait_ms;	/* for the answers */
	/* A node has answered, with that message. True: nobody else has to. */
	bool (*on_answer)(void *arg, struct slice message);
	/* Once: so many nodes have not answered, or INQUIRY_NOBODY. `arg` is given back. */
	void (*on_end)(void *arg, unsigned silent);
	/* In the place of on_end, where the server ends before. */
	void (*on_drop)(void *arg);
};

/* Borrows all. */
void inquiries_init(struct inquiries *, struct loop *);
/* Nobody is told any more. */
void inquiries_done(struct inquiries *);
/*
 * Asks, of a cluster. `members` ("\"name\":value", each with a comma before it) go with the question; `arg` is the user's
 * from here on. Nothing is told before it returns: 0, or -ENOTCONN (also where the other nodes are not known yet), -ENOBUFS,
 * and nothing happens.
 */
int inquiry(struct inquiries *, const struct inquiry_user *, struct slice members, void *arg);
/* Our answer of that type to a question, with members as above. A question without an id gets none. */
void inquiry_answer(struct inquiries *, const char *type, struct slice question, struct slice members);
/*
 * A message of that node's on the cluster's channel; what is no answer to us is left. Who was not asked, as it came in the
 * meantime, is heard, too, but not instead of who was.
 */
void inquiries_on_message(struct inquiries *, struct slice node, struct slice message);

#endif
