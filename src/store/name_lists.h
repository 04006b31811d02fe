/*
 * The lists of names that users keep, in the memory of one node.
 */
#ifndef STORE_NAME_LISTS_H
#define STORE_NAME_LISTS_H

#include "base/map.h"

#define NAME_LISTS_MAX	100000	/* names of all lists */

struct name_lists {
	struct map	lists;	/* struct name_list: those that are not empty */
	unsigned	names;	/* in all */
};

void name_lists_init(struct name_lists *);
void name_lists_done(struct name_lists *);
/* Puts the name in, or takes it out. 0; -ENOSPC: that list is full, or there are too many names in all. */
int name_lists_set(struct name_lists *, struct slice user, struct slice list, struct slice name, bool listed);
/* All names with their bytes, in one piece that is to be freed; never NULL. *n is how many. */
struct slice *name_lists_copy(const struct name_lists *, struct slice user, struct slice list, unsigned *n);

#endif
