/*
 * How many clients topics have on all nodes: an inquiry, whose answers are added up.
 *
 *	{"v":1,"type":"count","node":N,"id":"…","topics":["…",…]}		to all nodes
 *	{"v":1,"type":"counted","node":N,"re":"…","counts":[n,…],"since":[ms,…]}	from each, in the same order
 */
#ifndef BACKPLANE_HEADCOUNT_H
#define BACKPLANE_HEADCOUNT_H

#include "pubsub/hub.h"
#include "backplane/inquiry.h"

#define HEADCOUNT_MS	500	/* so long the answers are waited for */

struct headcounts {
	struct inquiries	*inquiries;
	struct hub		*hub;
};

struct headcount {
	uint64_t	clients;
	unsigned	nodes;		/* that have any */
	int64_t		since;		/* ms since 1970: when the first of them came, on any of these nodes; 0 = nobody is there */
};

/* counts[i] is of the i-th topic; lent. So many nodes have not answered in time, or INQUIRY_NOBODY: they are not in it. */
typedef void headcount_fn(void *arg, const struct headcount *counts, unsigned silent);

/* Borrows all. */
void headcounts_init(struct headcounts *, struct inquiries *, struct hub *);
/*
 * `fn` is told once, on a node alone (or of no topic at all) before this returns; or -errno and nothing happens:
 * -ENOTCONN, -ENOBUFS. The topics are only read before it returns.
 */
int headcount(struct headcounts *, const struct slice *topics, unsigned n, headcount_fn *, void *arg);
/* Another node's question, or our own: a message of the type "count". */
void headcounts_on_message(struct headcounts *, struct slice message);

#endif
