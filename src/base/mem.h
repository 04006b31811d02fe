/*
 * Memory: allocation of our own sizes does not fail. A reserve is held back; when the system says no, it is given
 * up once and the allocation tried again, so that the node can shed load instead of dying at the first refusal.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * These never return NULL: when memory is refused even after the reserve was given up, they say so in the log
 * and exit with 71 (EX_OSERR). A size that a client chose must have been checked against its limit before.
 */
void *xmalloc(size_t) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *xrealloc(void *, size_t) __attribute__((returns_nonnull, alloc_size(2)));
char *xstrdup(const char *) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *, size_t) __attribute__((malloc, returns_nonnull));
/* A formatted string; the caller frees it. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), nonnull(1), malloc, returns_nonnull));

#define MEM_RESERVE ((size_t)1024 * 1024) /* what a node holds back */

/* Sets `bytes` aside as the reserve (0 = none). May be called again to change or restore it. */
void mem_reserve(size_t bytes);
/* True after an allocation needed the reserve, until mem_reserve() restores it. */
bool mem_is_short(void);

void mem_autofree(void *pointer_to_pointer);
#define autofree __attribute__((cleanup(mem_autofree)))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
