/*
 * Static pages from one folder. Nothing outside of it, no dot files, no links, no listings.
 */
#ifndef SERVER_PAGES_H
#define SERVER_PAGES_H

#include "base/buf.h"

struct pages;

/* Opens the folder. NULL with *error = -errno. */
struct pages *pages_open(const char *folder, int *error);
struct pages *pages_free(struct pages *);
/*
 * Reads a file by its decoded path relative to the folder ("" or a path that ends in "/" means its
 * index.html), at most 4 MiB. Returns 0 with the bytes in *out and *type = its media type (static), or
 * -ENOENT for all that is not a plain file inside.
 */
int pages_read(const struct pages *, struct slice path, struct buf *out, const char **type);

#endif
