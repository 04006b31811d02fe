/*
 * Which web pages may open connections: the Origin header against the option `origins` (protocol/phoenix.md 1.4).
 */
#ifndef SERVER_ORIGIN_H
#define SERVER_ORIGIN_H

#include "base/slice.h"

struct origins;

/*
 * Patterns: "[SCHEME:]//HOST[:PORT]", or HOST[:PORT] alone; what is left out matches anything, but http and
 * https without a port mean theirs. "*.example.com" is any subdomain and example.com itself. "self" is the
 * request's own host and port. "*" allows everything. NULL with *why (caller frees) for what is none of
 * these.
 */
struct origins *origins_new(const char *const *patterns, unsigned n, char **why);
struct origins *origins_free(struct origins *);
/*
 * May a page of this origin connect? `host` is the request's Host field. An origin without host ("null",
 * empty, with user info or path) may not. Names compare without case.
 */
bool origins_allow(const struct origins *, struct slice origin, struct slice host);

#endif
