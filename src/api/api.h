/*
 * The HTTP API under /api: for operators and back ends, with a key or an admin's token. JSON in and out; errors are
 * {"error":{"code","message"}}.
 */
#ifndef API_API_H
#define API_API_H

#include "net/http_server.h"
#include "net/rates.h"
#include "api/api_key.h"
#include "backplane/backplane.h"
#include "backplane/headcount.h"
#include "backplane/kick.h"
#include "session/guard.h"

#define API_MAX_CALLS	64	/* that wait for an answer from elsewhere */

struct api_options {
	const struct api_key *key;	/* borrowed */
	const struct guard *guard;	/* whose token it allows may call, too; borrowed, NULL = nobody's */
	size_t		 max_body;
	uint64_t	 timeout_ms;	/* a call without an answer from elsewhere */
	uint32_t	 rate;		/* calls a second; 0 = any number */
};

struct api {
	struct loop		*loop;
	struct session_env	*env;
	struct backplane	*backplane;
	struct kicks		*kicks;
	struct headcounts	*headcounts;
	const char		*node;		/* our id */
	const char		*listen;	/* for the list of nodes, where we are alone */
	struct api_options	 options;
	struct list		 calls;		/* struct api_call */
	unsigned		 n_calls;
	struct bucket		 bucket;	/* of calls that may be made now */
};

/* Borrows all; the options are set before the first request. */
void api_init(struct api *, struct loop *, struct session_env *, struct backplane *, struct kicks *,
    struct headcounts *, const char *node, const char *listen);
/* Behind the last connection, and behind everybody who may have been asked something. */
void api_done(struct api *);
/* Is it a path of the API? */
bool api_takes(struct slice path);
/* For http_server.on_head, and for its handler. */
int api_on_head(struct api *, const struct http_conn *, const struct http_request *, struct http_refusal *);
void api_handle(struct api *, struct http_conn *, const struct http_request *, struct slice body);

#endif
