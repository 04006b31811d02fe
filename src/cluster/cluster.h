/*
 * Which nodes there are: our own place among them, our heartbeat, who is silent for too long, and who cleans up behind
 * the dead. Keys and messages: roost-redis(7). All decisions about time are taken by our own monotonic clock or by
 * Redis' clock, never by comparing two machines'.
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "base/buf.h"
#include "net/redis.h"

struct cluster;

#define CLUSTER_MAX_NODE	80	/* bytes of a node's id */

struct cluster_options {
	const char	*node;		/* our id; copied */
	const char	*prefix;	/* "roost:"; copied */
	const char	*host;		/* for the registry; copied */
	const char	*listen;
	const char	*version;
	uint64_t	 beat_ms;	/* 1 s */
	uint64_t	 timeout_ms;	/* 5 s */
};

enum cluster_change {
	CLUSTER_UP,		/* heard for the first time, or again after DOWN (the same epoch, or a newer one) */
	/*
	 * Still up, but what we know of it must be read again: it has a new epoch, or, told with the same epoch, we
	 * missed so many of its heartbeats that we may have missed anything.
	 */
	CLUSTER_RENEWED,
	CLUSTER_DOWN		/* it left, or was silent for the timeout and Redis confirms it */
};

struct cluster_user {
	/*
	 * We have a place, under this epoch (a new one whenever Redis has lost or others have given up the old one):
	 * everything of ours in Redis is to be written (again) from inside this call; our first heartbeat follows
	 * behind it on the same connection, so who hears of the epoch finds what was written.
	 */
	void (*on_place)(void *arg, uint64_t epoch);
	/* `node` is never our own. */
	void (*on_change)(void *arg, struct slice node, uint64_t epoch, enum cluster_change);
	/*
	 * That node under that epoch is dead, and we are to clean what it left. As a rule one of all survivors is told;
	 * where Redis was emptied, or an answer was lost, it may be several of them, or one twice.
	 */
	void (*on_clean)(void *arg, struct slice node, uint64_t epoch);
	/*
	 * For a heartbeat that is about to be sent: adds members ("\"name\":value", each with a comma before it).
	 * And one that came from another node, the whole JSON object. May be NULL.
	 */
	void (*write_beat)(void *arg, struct buf *);
	void (*on_beat)(void *arg, struct slice node, uint64_t epoch, struct slice beat);
	/* Any other message on the cluster's channel, ours included: `type` is its member "type". */
	void (*on_message)(void *arg, struct slice node, struct slice type, struct slice message);
	/* Another living process has our id: we cannot go on. */
	void (*on_taken)(void *arg, const char *why);
};

/* What the registry tells of us; gauges. The rates are since the last call. */
struct cluster_load {
	uint64_t	connections, clients, channels, topics;
	uint64_t	messages_in, frames_out;	/* a second */
};

/* Borrows redis. Scripts are added, nothing is sent before cluster_on_up(). Never NULL. */
struct cluster *cluster_new(struct loop *, struct redis *, const struct cluster_options *, const struct cluster_user *, void *arg);
/* NULL in, NULL out. */
struct cluster *cluster_free(struct cluster *);
/* To be told by whoever owns redis. */
void cluster_on_up(struct cluster *);
void cluster_on_down(struct cluster *);
void cluster_on_bus_up(struct cluster *);
void cluster_on_bus_down(struct cluster *);
/*
 * The process stood still for so long. Beyond the timeout our place counts as lost until Redis says otherwise, and
 * the subscriptions are made anew: what waits in their socket is old.
 */
void cluster_on_stood(struct cluster *, uint64_t ms);
/* The numbers of the next heartbeat. */
void cluster_set_load(struct cluster *, const struct cluster_load *);
/*
 * Leaves in order: our registry keys go and the others are told. Commands that were queued before are executed before.
 * `done` is told when Redis has answered, or the connection is lost. May be called once.
 */
void cluster_leave(struct cluster *, void (*done)(void *arg), void *arg);

const char *cluster_node(const struct cluster *);
const char *cluster_prefix(const struct cluster *);
/* 0 = we have no place (yet). */
uint64_t cluster_epoch(const struct cluster *);
/* The first one that we had: the others tell our process by it from one that had our id before. 0 = we had none yet. */
uint64_t cluster_since(const struct cluster *);
/* We have a place, and our own heartbeat came back within the timeout: what `/readyz` asks, with the grace it allows. */
bool cluster_is_well(const struct cluster *);
/* ms since it was well, 0 while it is; UINT64_MAX if it never was. */
uint64_t cluster_unwell_ms(const struct cluster *);
/* Is that node up, as far as we know? */
bool cluster_is_up(const struct cluster *, struct slice node);
/*
 * Is it up, and has it been the same process since that epoch, its first one? Who only stands in the registry counts as up
 * until its silence has lasted too long, and so does everybody before the registry was read.
 */
bool cluster_is_up_since(const struct cluster *, struct slice node, uint64_t epoch);
/* Those that are up, ourselves included. */
unsigned cluster_count(const struct cluster *);
/*
 * Those that a question to all may be answered by: they, and who stands in the registry and was not heard yet. 0 = it is not
 * known: we have not read the registry, or do not hear the others.
 */
unsigned cluster_count_asked(const struct cluster *);
/* Their ids, each with a NUL behind it. */
void cluster_add_asked(const struct cluster *, struct buf *out);
/*
 * {"v":1,"node":OURS,"type":TYPE,…members} to all nodes, ourselves included. `members` as write_beat adds them.
 * 0, -ENOTCONN or -ENOBUFS.
 */
int cluster_say(struct cluster *, const char *type, struct slice members);
/* The registry, for the operator: a JSON array of {"node","epoch","host",…,"beat_ms"}; error = -errno, then text is empty. */
typedef void cluster_nodes_fn(void *arg, int error, struct slice json);
int cluster_nodes(struct cluster *, cluster_nodes_fn *, void *arg);

#endif
