/*
 * Presences as they are read from text: arrays of them, and what is common to the texts they come from.
 */
#ifndef PRESENCE_ITEMS_H
#define PRESENCE_ITEMS_H

#include "presence/tracker.h"

#define PRESENCE_MAX_KEY	256
#define PRESENCE_MAX_REF	64
#define PRESENCE_MAX_META	(64 * 1024 + 256)	/* bytes: a longest meta with what the server adds */
#define PRESENCE_MAX_ITEMS	1000000		/* in one text */
#define PRESENCE_MAX_NUMBER	((UINT64_C(1) << 53) - 1)	/* epochs and versions: Lua counts no further */

/* Grows; owns the array, borrows the texts. All zero is an empty one. */
struct presence_items {
	struct presence_item	*items;
	unsigned		 n;
	unsigned		 cap;
	unsigned		 dropped;	/* left out for a limit */
};

void presence_items_done(struct presence_items *);
/* Copies the item; what is over a limit is counted as dropped instead. */
void presence_items_add(struct presence_items *, const struct presence_item *);
/* Marks as lingering those whose refs are among the others. */
void presence_items_linger(struct presence_items *, const struct presence_items *refs);
/* By key, then by ref. */
void presence_items_sort(struct presence_items *);

/* A decimal number up to PRESENCE_MAX_NUMBER: 0, or -EINVAL. */
int presence_number(struct slice text, uint64_t *);
/*
 * The phx_ref of a meta, a JSON object that was scanned. Escapes are undone in scratch. 0, or -EINVAL where
 * there is none that may be one.
 */
int presence_find_ref(struct slice meta, char *scratch, size_t size, struct slice *ref);
/* May be part of a field's name: not empty, not too long, no slash. */
bool presence_ref_is_valid(struct slice ref);

#endif
