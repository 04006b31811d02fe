/*
 * What topics keep, in the memory of one node: a topic's messages stand in a ring, oldest first, beside the marks of those who
 * read them; the topics stand in a list, the one that was longest without a message first: it pays when memory runs out.
 */
#ifndef STORE_SHELVES_H
#define STORE_SHELVES_H

#include "base/list.h"
#include "base/map.h"
#include "store/store.h"

/* A stored message. Counted: a page that is still to be told keeps those that it shows. */
struct kept {
	unsigned	refs;
	struct position	at;
	uint64_t	tail;
	size_t		size;	/* of it all */
	struct slice	event;	/* these lie in text */
	struct slice	payload;
	struct slice	user;
	char		text[];
};

/* Up to where a user has read. */
struct mark {
	struct slice	user;	/* in text */
	struct position	at;
	uint64_t	tail;
	char		text[];
};

/* Exists as long as it has messages, and then until the next sweep. */
struct shelf {
	struct list	 in_store;
	struct slice	 name;		/* in text */
	struct position	 tip;
	struct history_limits limits;	/* of the last append */
	struct map	 marks;		/* struct mark, by user */
	struct kept	**ring;
	uint32_t	 cap;		/* a power of two */
	uint32_t	 first;		/* where the oldest is */
	uint32_t	 n;
	char		 text[];
};

struct shelves {
	int64_t		(*wall)(void);	/* ms since 1970 */
	size_t		 max_bytes;
	size_t		 bytes;		/* of topics, their messages and marks */
	struct position	 last;		/* the last one given in any topic */
	struct map	 by_name;
	struct list	 by_use;	/* all shelves, the last appended to at the end */
};

void shelves_init(struct shelves *, size_t max_bytes, int64_t (*wall)(void));
void shelves_done(struct shelves *);
/* NULL if nothing is known of the topic. */
struct shelf *shelves_get(const struct shelves *, struct slice topic);
/* Stores it under the next position, and makes room. Returns it as those see it who are to hear of it. */
struct store_entry shelves_put(struct shelves *, const struct store_append *);
/* Makes room: the topic that was longest without a message gives its oldest first. */
void shelves_evict(struct shelves *);
/* What is over age goes, and topics without any message. False: there is no topic left. */
bool shelves_sweep(struct shelves *);

/* The i-th, from the oldest on. */
static inline struct kept **
shelf_place(const struct shelf *shelf, uint32_t i)
{
	return &shelf->ring[(shelf->first + i) & (shelf->cap - 1)];
}

/* Where that begins which is not over age; the newest may be older than others. */
struct position shelf_floor(const struct shelves *, const struct shelf *, const struct history_limits *);
/* The places [*from, *to) that are asked for. Returns whether there are more beyond. */
bool shelf_range(const struct shelf *, const struct store_read *, struct position floor, uint32_t *from, uint32_t *to);
/* Is that message kept, at the floor or behind it? */
bool shelf_has(const struct shelf *, struct position at, uint64_t tail, struct position floor);
/* May the message that the append removes go? Not if it isn't kept, nor if it tells of a removal itself. shelf may be NULL. */
bool shelf_may_remove(const struct shelves *, const struct shelf *, const struct store_append *);
/* That user has read up to there; never back. */
void shelf_set_mark(struct shelves *, struct shelf *, struct slice user, struct position at, uint64_t tail);
/* NULL if there is none. */
const struct mark *shelf_get_mark(const struct shelf *, struct slice user);
struct kept *kept_unref(struct kept *);

#endif
