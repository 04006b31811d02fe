/*
 * Lists of names that users keep ("blocks"), as long as somebody here looks at one: read once, then kept as the store has
 * them, whichever node changes them.
 */
#ifndef HISTORY_USERLISTS_H
#define HISTORY_USERLISTS_H

#include "base/list.h"
#include "store/store.h"

struct userlists;
struct userlist;

/* One who looks at a list; embedded. */
struct userlist_view {
	struct userlist	*list;		/* NULL = closed */
	struct list	 in_list;
	bool		 told;		/* `opened` was */
	/*
	 * Once, maybe before userlist_open() returns: 0 = it is known; -EHOSTUNREACH = it cannot be read now, and was
	 * closed.
	 */
	void	       (*opened)(struct userlist_view *, int error);
	/* It is another than it was; not before `opened`. */
	void	       (*changed)(struct userlist_view *);
};

/*
 * Borrows the store. `say` tells the other nodes that a user's list is to be read again; NULL on a node alone. A read that
 * fails is tried again each second while somebody looks on. Never NULL.
 */
struct userlists *userlists_new(struct loop *, struct store *,
    void (*say)(void *arg, struct slice user, struct slice list), void *arg);
/* When the store is gone. Views that are left are closed; nobody is told anything. NULL in, NULL out. */
struct userlists *userlists_free(struct userlists *);

/* view's callbacks are set, all else is zero. */
void userlist_open(struct userlists *, struct slice user, struct slice list, struct userlist_view *);
/* Closed ones are fine. */
void userlist_close(struct userlist_view *);
bool userlist_has(const struct userlist_view *, struct slice name);
unsigned userlist_count(const struct userlist_view *);
/*
 * Puts it in, or takes it out, for all nodes; views hear of it before fn is told (as store_listed_fn), which happens later and
 * once, unless userlists_free() comes first. 0, or -errno and fn is not told.
 */
int userlist_set(struct userlist_view *, struct slice name, bool listed, store_listed_fn *, void *arg);

/* Another node changed it. */
void userlists_on_changed(struct userlists *, struct slice user, struct slice list);
/* Such words may have been missed: all are read again. */
void userlists_resync(struct userlists *);

#endif
