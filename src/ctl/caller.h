/*
 * Calls of the HTTP API, one after another.
 */
#ifndef CTL_CALLER_H
#define CTL_CALLER_H

#include <json-c/json.h>

#include "base/buf.h"

struct caller {
	const char	*url;		/* http://HOST:PORT, https://…, or unix:PATH */
	const char	*key;
};

/* What came back. */
struct answer {
	long		    status;	/* of HTTP */
	struct buf	    body;
	struct json_object *json;	/* the body, if it is JSON; else NULL */
};

/*
 * `path` is "/api/…", `body` JSON or NULL. 0, or -1 with *why (caller frees) where nobody answers. answer_done() in
 * either case.
 */
int caller_call(const struct caller *, const char *method, const char *path, const char *body,
    struct answer *, char **why);
void answer_done(struct answer *);
/* A member of an object as text, JSON but for strings; borrowed from it; NULL if it is not there, or null. */
const char *answer_text(struct json_object *object, const char *name);

#endif
