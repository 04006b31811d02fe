/*
 * The inside of the store in Redis: messages (store_redis.c), and what users keep (store_redis_users.c).
 */
#ifndef STORE_STORE_REDIS_H
#define STORE_STORE_REDIS_H

#include "base/buf.h"
#include "base/list.h"
#include "net/redis_words.h"
#include "store/store.h"

struct store_redis {
	struct store	store;
	struct redis	*redis;
	char		*prefix;
	char		*node;
	struct buf	head;		/* of what is published: see APPEND_HEAD */
	struct list	asked;
};

/* What Redis has not answered yet. */
struct asked {
	struct list	    in_store;
	struct store_redis *store;	/* NULL: it is gone, and nobody is told */
	void		   *arg;
	/* of an append */
	store_appended_fn  *on_appended;
	uint64_t	    tail;
	/* of a read */
	store_page_fn	   *on_page;
	bool		    found;
	struct store_read   read;	/* its topic and reader lie in text */
	/* of what users keep */
	store_marked_fn	   *on_marked;
	store_list_fn	   *on_list;
	store_listed_fn	   *on_listed;
	char		    text[];
};

/* PREFIX kind {TOPIC} behind. */
void key_write(struct buf *out, const struct store_redis *, const char *kind, struct slice topic);
/* It is answered: returns whether somebody is to be told. */
bool asked_end(struct asked *);
/* The caller is told no more than that it did not work; why is for the operator. NULL (no connection) was logged. */
void log_refused(const char *what, const struct redisReply *);

static inline bool
is_text(const struct redisReply *r)
{
	return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

/* Of store_ops. */
int store_redis_mark(struct store *, const struct store_mark *, store_marked_fn *, void *arg);
int store_redis_list(struct store *, struct slice user, struct slice list, store_list_fn *, void *arg);
int store_redis_enlist(struct store *, struct slice user, struct slice list, struct slice name, bool listed, store_listed_fn *,
    void *arg);

#endif
