/*
 * Intrusive doubly linked lists: the link lives in the object, so neither insertion nor removal allocates.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

/*
 * A head, or an object's place. A link that is in no list points to itself, or is all zero before its first
 * use; a head must have been through list_init() before anything is put behind it.
 */
struct list {
	struct list	*next;
	struct list	*prev;
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == NULL || l->next == l;
}

static inline void
list_append(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* Moves all links of `from` to the end of `head`; `from` is empty then. */
static inline void
list_append_all(struct list *head, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = head->prev;
	from->prev->next = head;
	head->prev->next = from->next;
	head->prev = from->prev;
	list_init(from);
}

/* Harmless on a link that is in no list. */
static inline void
list_remove(struct list *l)
{
	if (l->next == NULL)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* Takes the first link out, or returns NULL. */
static inline struct list *
list_take_link(struct list *head)
{
	struct list *l = head->next;

	if (list_empty(head))
		return NULL;
	list_remove(l);
	return l;
}

#define list_entry(link, type, member) container_of(link, type, member)

/* The walk allows removal of the current link, and of no other. */
#define list_each(link, head) \
	for (struct list *link = (head)->next, *link##_next = link->next; link != (head); \
	    link = link##_next, link##_next = link->next)

#endif
