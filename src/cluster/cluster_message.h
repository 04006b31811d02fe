/*
 * What travels on the cluster's channel: JSON objects with "v", "type" and "node", documented in roost-redis(7).
 */
#ifndef CLUSTER_CLUSTER_MESSAGE_H
#define CLUSTER_CLUSTER_MESSAGE_H

#include "cluster/cluster.h"

#define CLUSTER_VERSION		1
#define CLUSTER_MAX_TYPE	32	/* bytes of a message's type */
#define CLUSTER_MAX_EPOCH	(UINT64_C(1) << 52)	/* from there on a stranger speaks: no node's epoch could follow it */

enum cluster_type {
	CLUSTER_BEAT,		/* epoch, since, seq */
	CLUSTER_LEAVE,		/* epoch */
	CLUSTER_DEAD,		/* "down": dead, epoch */
	CLUSTER_OTHER		/* what other rooms say */
};

/* Slices borrow the text, or the struct itself: it must not be copied. What a type lacks is zero. */
struct cluster_message {
	enum cluster_type type;
	struct slice	 name;		/* of the type */
	struct slice	 node;		/* who says it; a valid id, as `dead` is */
	struct slice	 dead;
	uint64_t	 epoch;		/* at least 1, less than CLUSTER_MAX_EPOCH */
	uint64_t	 since;		/* the first epoch of the same process; 0 = not said */
	uint64_t	 seq;		/* at least 1 */
	char		 name_text[CLUSTER_MAX_TYPE];
	char		 node_text[CLUSTER_MAX_NODE];
	char		 dead_text[CLUSTER_MAX_NODE];
};

/* 0; -EBADMSG; -EPROTONOSUPPORT for a newer version. */
int cluster_message_read(struct cluster_message *, struct slice text);
/* 1 to CLUSTER_MAX_NODE letters, digits, and any of ._:@- */
bool cluster_is_id(struct slice);
/* Decimal digits alone, at most 2^53 (what all who read JSON or write Lua can tell apart). 0 or -EINVAL. */
int cluster_number(struct slice, uint64_t *out);

#endif
