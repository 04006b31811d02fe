/*
 * What the files of the happenings share: happenings.c (what happens, and its way to Redis), happenings_place.c (our own
 * place: what Redis knows of us), happenings_sweep.c (the clients of other nodes).
 */
#ifndef BACKPLANE_HAPPENINGS_INTERNAL_H
#define BACKPLANE_HAPPENINGS_INTERNAL_H

#include "backplane/happenings.h"
#include "base/map.h"
#include "net/redis_words.h"

enum happening_step { BEGINS, ENDS, LOST };

/* One that waits, or is on its way. */
struct happening {
	struct list		 in_list;
	struct happenings	*all;
	uint64_t		 seq;		/* given when it is sent first */
	int64_t			 at;
	uint64_t		 lost;		/* how many, of LOST */
	enum happening_step	 step;
	bool			 counted;	/* in n_waiting */
	bool			 again;		/* begun before: Redis does not know it */
	struct slice		 field, user, cause;	/* in `text` */
	char			 text[];
};

/* A client or one of its channels, as we know it: what Redis should know, too. */
struct presentee {
	struct slice	field, user;	/* in `text` */
	bool		past;		/* that it began waits no more: it was told, or dropped */
	bool		known;		/* found in Redis, while that is compared */
	char		text[];
};

/* A happening is in one of the lists until it is told, or dropped. */
struct happenings {
	struct loop	*loop;
	struct redis	*redis;
	char		*stream, *prefix, *node, *key;
	char		*nodes, *registry;	/* keys: those that have such a hash; those that live */
	char		 run[9];
	char		 max_length[24];
	uint64_t	 max_queue;
	uint64_t	 epoch;		/* 0 = we never had a place */
	uint64_t	 seq;		/* the last that was given */
	uint64_t	 answered;	/* the last of which Redis has told */
	struct map	 here;		/* struct presentee */
	struct list	 waiting;
	struct list	 flying;
	struct list	 again;		/* came back: before all others */
	struct list	 restated;	/* those that are told again: before those in `waiting` */
	struct list	 sweeps;	/* see happenings_sweep.c */
	uint64_t	 n_waiting;	/* of what has happened, until it is told */
	unsigned	 n_flying;
	unsigned	 asking;	/* place_script's answers to come */
	uint64_t	 lost;		/* dropped, and not yet told */
	bool		 telling_lost;	/* such an entry waits, or is on its way */
	bool		 placed;
	bool		 comparing;	/* what Redis knows is looked at: nothing is sent meanwhile */
	bool		 said_trouble;	/* the log knows */
	struct timer	 retry;
	struct timer	 refresh;
};

/* Belongs to all; waits in no list yet. The texts are copied. */
struct happening *happening_new(struct happenings *, enum happening_step, struct slice field, struct slice user,
    struct slice cause);
/* Takes it out of its list. */
void happening_free(struct happening *);
/* A field is "ID" of a client, or "ID TOPIC" of a channel: an id has no blank. */
bool happening_is_of_channel(struct slice field);
/* Sends what waits, as far as we have a place and Redis takes it. */
void happenings_flush(struct happenings *);

/* Who is missing there is told again; who is there and has gone, as gone. What an earlier walk has found is found anew. */
void happenings_compare(struct happenings *);
/*
 * All that is on its way comes back, in its order; then the place is asked for again. An error of Redis is logged, once:
 * it does not `what`.
 */
void happenings_trouble(struct happenings *, const struct redisReply *, const char *what);
void happenings_retry_later(struct happenings *);
/* The timers: `retry` without a connection has nothing to try, `refresh` sets itself again. */
void happenings_retry(struct timer *, uint64_t now);
void happenings_refresh(struct timer *, uint64_t now);

/* Tells that the node's clients are lost, until Redis has no more of them. `cause` is borrowed for good. */
void happenings_sweep(struct happenings *, struct slice node, uint64_t epoch, const char *cause);
/* We have a place: sweeps that wait for an answer no more are asked again, and nodes that nobody sweeps looked for. */
void happenings_resume_sweeps(struct happenings *);
void happenings_free_sweeps(struct happenings *);

#endif
