/*
 * What the files of a cluster share: cluster.c (our heartbeat, and what the header offers), cluster_place.c (how we
 * come by a place), cluster_others.c (what we hear, and what becomes of the silent), cluster_nodes.c (the registry).
 */
#ifndef CLUSTER_CLUSTER_INTERNAL_H
#define CLUSTER_CLUSTER_INTERNAL_H

#include "base/id.h"
#include "cluster/cluster.h"
#include "cluster/members.h"
#include "net/redis_words.h"

/* Another boot that holds our id. Fresh or dead is seen by its score: does it move? */
struct rival {
	char	 boot[ID_LEN + 1];	/* "" = none */
	char	 score[32];		/* as Redis writes it */
	uint64_t since;			/* ms: the score has been that since then */
};

/* Waits for answers even after it was freed: then it is `gone`, tells nobody anything, and goes with the last one. */
struct cluster {
	struct loop		*loop;
	struct redis		*redis;
	struct redis_sub	*sub;
	const struct cluster_user *user;
	void			*arg;
	char			*node, *prefix, *host, *listen, *version;
	char			*nodes_key;	/* roost:nodes */
	char			*node_key;	/* roost:node:NODE */
	char			*channel;	/* roost:cluster */
	char			 boot[ID_LEN + 1];
	uint64_t		 beat_ms, timeout_ms;
	uint64_t		 started;	/* ms */
	struct cluster_load	 load;
	struct members		 members;
	struct timer		 tick;
	unsigned		 pending;	/* answers that are due */
	bool			 gone;

	uint64_t		 epoch;		/* 0 = we have no place */
	uint64_t		 since;		/* the first we had; 0 = none yet */
	uint64_t		 last_epoch;	/* the last one we had, or that others know of us */
	unsigned		 registering;	/* answers to come; the last one counts */
	bool			 looked;	/* the registry was read once */
	bool			 closed;	/* we left, or our id is another's: no place any more */
	struct rival		 rival;

	uint64_t		 seq;		/* of our last beat */
	uint64_t		 echo_seq;	/* of the last that came back */
	uint64_t		 echo_at;	/* ms; 0 = never */
	uint64_t		 unheard_at;	/* ms: Redis had a beat that has not come back; 0 = all came */
	uint64_t		 well_until;	/* ms, unless an echo comes; 0 = never was */

	void		       (*left)(void *arg);	/* to be told once, by the answer or the timer */
	void			*left_arg;
	struct timer		 left_timer;
};

/* A script on the registry and one node's hash; `fn` is told with the cluster. The same results as redis_eval(). */
int cluster_eval(struct cluster *, const struct redis_script *, redis_reply_fn *fn, const struct slice keys[2],
    const struct slice *args, unsigned n_args);
/* The registry, as cluster_nodes_script answers it. */
int cluster_ask_nodes(struct cluster *, redis_reply_fn *fn, void *arg);
/* The first thing each answer does. False: nobody waits for it any more. */
bool cluster_answered(struct cluster *);
/* The i-th element of an array, as text; empty if there is none. */
struct slice cluster_reply_text(const struct redisReply *, size_t i);
/* Says what went wrong, unless it is only the connection. */
void cluster_reply_fault(const struct redisReply *, const char *what);
/* Adds {"v":1,"node":OURS,"type":TYPE. */
void cluster_open_message(const struct cluster *, struct buf *, const char *type);

/* Asks for a place; on_place and a beat follow. Where there is no connection yet, its coming asks again. */
void cluster_register(struct cluster *);
/* From here on we have none. */
void cluster_lose_place(struct cluster *);
void cluster_beat(struct cluster *);
/* While we have a place, and heard ourselves, we are well for one more timeout. */
void cluster_count_well(struct cluster *);

/* A message on the bus. */
void cluster_heard(void *arg, struct slice message);
/* Claims whoever has been silent for too long. */
void cluster_watch(struct cluster *);
/* Reads who stands in the registry, if there is somebody to hear from. */
void cluster_look(struct cluster *);

#endif
