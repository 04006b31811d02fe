/*
 * What the files of the sync share: sync.c (interest, deltas), sync_write.c (our own presences), sync_read.c
 * (those of others), sync_nodes.c (what concerns a whole node), sync_audit.c and sync_list.c.
 */
#ifndef PRESENCE_SYNC_INTERNAL_H
#define PRESENCE_SYNC_INTERNAL_H

#include "base/map.h"
#include "presence/hash_fields.h"
#include "presence/sync.h"
#include "presence/sync_scripts.h"
#include "net/redis_words.h"

#define SYNC_TTL	"600000"	/* ms that our hashes live without being refreshed */
#define SYNC_AUDIT_MS	1000

/* Words of a command: those that are composed lie in `text`, whose room is made before the first one. */
struct words {
	struct slice	*v;
	unsigned	 n;
	unsigned	 cap;
	struct buf	 text;
};

struct presence_sync {
	struct loop	*loop;
	struct redis	*redis;
	struct tracker	*tracker;
	struct cluster	*cluster;
	char		*prefix;
	char		*node;		/* our id */
	struct slice	 self;		/* the same */
	uint64_t	 epoch;		/* of our place; 0 = none, and nothing is written */
	bool		 left;
	struct list	 asks;		/* commands that are not answered */

	struct map	 watched;	/* struct watched */
	struct list	 to_load;
	unsigned	 loading;	/* in flight */
	uint64_t	 loads;		/* ever sent */
	bool		 missed;	/* some could not be read */
	struct loop_task load_task;

	struct map	 own;		/* struct own */
	struct list	 owns;
	struct list	 changed;	/* those whose versions the next heartbeats tell */
	struct list	 to_retry;
	struct timer	 retry_timer;
	uint64_t	 version;	/* of our latest write, whatever the topic */
	struct words	 words;
	struct buf	 delta;

	struct map	 reads;		/* struct replica_read */
	struct list	 to_read;
	unsigned	 reading;	/* in flight */

	struct map	 peers;		/* struct peer */
	struct list	 jobs;		/* struct job */

	struct timer	 audit_timer;
	unsigned	 auditing;	/* in flight */
};

struct ask;
/* NULL: the connection was lost. */
typedef void ask_fn(struct ask *, const struct redisReply *);

/* A command whose answer is awaited. It outlives the sync where need be: then it ends unheard. */
struct ask {
	struct list		 in_asks;
	struct presence_sync	*sync;		/* NULL = gone */
	ask_fn			*answered;
	void			*item;		/* whatever the command is for */
	presence_list_fn	*list;		/* for sync_list.c */
	void			*arg;
	uint64_t		 epoch;
	uint64_t		 version;
	struct slice		 topic;
	struct slice		 node;
	char			 text[];
};

/* Copies topic and node. */
struct ask *ask_new(struct presence_sync *, ask_fn *, struct slice topic, struct slice node);
/* Sends; -errno, and the ask is freed. A NULL ask: nobody waits for the answer. */
int ask_command(struct presence_sync *, struct ask *, const struct slice *argv, unsigned argc);
int ask_eval(struct presence_sync *, struct ask *, const struct redis_script *, const struct slice *keys,
    unsigned n_keys, const struct slice *args, unsigned n_args);

/* Names of keys, added to the buffer. */
void key_set(const struct presence_sync *, struct buf *, struct slice topic);
void key_hash(const struct presence_sync *, struct buf *, struct slice topic, struct slice node);
void key_topics(const struct presence_sync *, struct buf *, struct slice node);
void key_channel(const struct presence_sync *, struct buf *, struct slice topic);

/* sync.c */
bool sync_watches(const struct presence_sync *, struct slice topic);
/* Reads what could not be read before. */
void sync_load_missed(struct presence_sync *);

/* sync_write.c */
void sync_write_init(struct presence_sync *);
void sync_write(struct presence_sync *, struct slice topic, const struct presence_delta *);
/* We have a place: everything of ours is written. */
void sync_write_all(struct presence_sync *);
/* Everything of ours is taken out. */
void sync_write_nothing(struct presence_sync *);
void sync_write_done(struct presence_sync *);
/* The version of what we hold there, as last written; 0 = nothing, or it is not certain at present. */
uint64_t sync_held(const struct presence_sync *, struct slice topic);
/* What stands in Redis in place of that version is another one (0 = none). */
void sync_repair(struct presence_sync *, struct slice topic, uint64_t version, uint64_t found);

/* sync_read.c */
void sync_read_init(struct presence_sync *);
void sync_read(struct presence_sync *, struct slice topic, struct slice node);
/* Goes on with what waits. */
void sync_read_pump(struct presence_sync *);
void sync_read_done(struct presence_sync *);
/* An answer to HGETALL: its fields. */
void sync_fields(struct hash_fields *, const struct redisReply *);
/* Tells the tracker what a node's hash holds. */
void sync_tell(struct presence_sync *, struct slice topic, struct slice node, const struct redisReply *);

/* sync_nodes.c */
/* Of an earlier life of that node, as far as we know? */
bool sync_is_past(const struct presence_sync *, struct slice node, uint64_t epoch);
void sync_nodes_init(struct presence_sync *);
void sync_jobs_resume(struct presence_sync *);
void sync_clean(struct presence_sync *, struct slice node, uint64_t epoch);
void sync_nodes_done(struct presence_sync *);

/* sync_audit.c */
void sync_audit_fire(struct timer *, uint64_t now);

/* For the log. */
void sync_log_error(const char *what, struct slice topic, const struct redisReply *);

#endif
