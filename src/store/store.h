/*
 * The history of topics: append, and read back. One implementation keeps it in memory, for a node alone; the other in
 * Redis streams. Both pass the same tests.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <roost/history.h>

#include "base/units.h"
#include "base/uuid.h"
#include "net/loop.h"

struct store;
struct redis;

#define STORE_MAX_PAGE	500	/* messages of one read */
#define STORE_PAGE_BYTES	((size_t)512 * 1024)	/* of their texts, where nothing else is said */

/* One message of a topic; borrowed for the length of the call. */
struct store_entry {
	struct position	at;
	struct position	prev;		/* only of a fresh one: the message before it, 0-0 = none */
	uint64_t	tail;
	uint64_t	tag;		/* only of a fresh one: what store_append.tag was, on the node that appended it */
	struct slice	node;		/* who appended it; empty = somebody else by hand */
	struct slice	event;
	struct slice	payload;	/* JSON text of an object */
	struct slice	user;		/* who said it; may be empty */
};

/* A limit that holds over the whole cluster: `rate` events of `key` in this topic. */
struct store_rate {
	struct slice	key;		/* EVENT/USER */
	struct rate	rate;
};

/* Where one message stands. */
struct store_place {
	struct position	at;
	uint64_t	tail;
};

/* Everything is copied. */
struct store_append {
	struct slice	topic;
	struct slice	event;
	struct slice	payload;	/* JSON object text */
	struct slice	user;
	uint64_t	tag;		/* comes back with the fresh entry on this node; 0 = none */
	struct history_limits limits;
	const struct store_rate *rate;	/* NULL = none */
	const struct position *after;	/* only behind that one: the tip of the last page; NULL = whatever is there */
	const struct store_place *removes;	/* only where that one is kept, which is gone then; NULL = none */
};

/*
 * error 0: it is stored, at `at` with `tail`. -EAGAIN: over the rate, for another retry_ms. -ESTALE: the topic's tip is another
 * than `after`, and nothing was stored. -ENOENT: what it removes is not kept, or is of the event that is appended (what says that
 * a message is gone stays), and nothing was stored. -EHOSTUNREACH: it may or may not have been stored; nobody is to be told that it was.
 * Never told before store_append() returns.
 */
typedef void store_appended_fn(void *arg, int error, struct position at, uint64_t tail, uint64_t retry_ms);

struct store_read {
	struct slice	topic;
	/* The `limit` oldest behind `from` (exclusive) when forward, else the `limit` newest before it; {0, 0} = from the very start, or end. */
	bool		forward;
	struct position	from;
	unsigned	limit;		/* at most STORE_MAX_PAGE */
	size_t		max_bytes;	/* of events, payloads and users in all, but one message at least; 0 = STORE_PAGE_BYTES */
	bool		check;		/* is the message at `from` with this tail still kept? */
	uint64_t	tail;
	struct history_limits limits;	/* who is over age is not given */
	struct slice	reader;		/* whose mark is told with the page; empty = nobody's */
};

/* Entries oldest first, borrowed for the length of the call. */
struct store_page {
	const struct store_entry *entries;
	unsigned	n;
	bool		more;		/* further ones lie beyond, in the direction of reading: by number, or by their bytes */
	bool		found;		/* of `check` */
	struct position	tip;		/* the last position ever given in the topic; 0-0 = it has none */
	uint64_t	ends_ms;	/* if nothing more is said, topic and tip are forgotten then; 0 = never, or who knows */
	struct slice	mark;		/* of the reader: a UUID; p == NULL = none */
};
/* error -EHOSTUNREACH: the store cannot be read now; page is NULL. Never told before store_read() returns. */
typedef void store_page_fn(void *arg, int error, const struct store_page *);

/* Up to where a user has read: kept as long as the history that it was set in, beside it. */
struct store_mark {
	struct slice	topic;
	struct slice	user;
	struct slice	id;		/* UUID of a message */
	struct history_limits limits;
};
/*
 * error 0: the mark stands there, or further on already; -ENOENT: no such message is kept; -EHOSTUNREACH. Never told before the
 * call returns.
 */
typedef void store_marked_fn(void *arg, int error);

/* A list of names that a user keeps. */
#define STORE_MAX_LIST	1000	/* names */
typedef void store_list_fn(void *arg, int error, const struct slice *names, unsigned n);	/* in any order; error -EHOSTUNREACH */
/* error 0; -ENOSPC: it is full; -EHOSTUNREACH. */
typedef void store_listed_fn(void *arg, int error);

/* The outside of a store: who wants to know what was appended, by any node, in the order of the stream. */
struct store_user {
	void (*on_fresh)(void *arg, struct slice topic, const struct store_entry *);
};

struct store_ops {
	const char *name;
	/* Each: 0, or -errno and nothing is told: -ENOTCONN, -ENOBUFS. */
	int	(*append)(struct store *, const struct store_append *, store_appended_fn *, void *arg);
	int	(*read)(struct store *, const struct store_read *, store_page_fn *, void *arg);
	int	(*mark)(struct store *, const struct store_mark *, store_marked_fn *, void *arg);
	int	(*list)(struct store *, struct slice user, struct slice list, store_list_fn *, void *arg);
	int	(*enlist)(struct store *, struct slice user, struct slice list, struct slice name, bool listed, store_listed_fn *,
		    void *arg);
	void	(*free)(struct store *);
};

/* The head of every implementation's struct. */
struct store {
	const struct store_ops	*ops;
	const struct store_user	*user;	/* set before the first append; NULL = nobody */
	void			*arg;
};

/*
 * At most `bytes` in all: the topic that was longest without a message gives its oldest first. Forgets with the
 * process. `wall` gives ms since 1970 (wall_ms(), or a test's own). Never NULL.
 */
struct store *store_memory_new(struct loop *, size_t bytes, int64_t (*wall)(void));
/*
 * Streams PREFIXhistory:{TOPIC}, marks in hashes PREFIXread:{TOPIC}, lists in sets PREFIXlist:{USER}:LIST. What is appended
 * is published on PREFIXt:{TOPIC} by the same script, whose message the broker hands to history: on_fresh is not called. Adds
 * its scripts to redis, which is borrowed. Never NULL.
 */
struct store *store_redis_new(struct redis *, const char *prefix, const char *node);

#endif
