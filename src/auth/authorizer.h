/*
 * Asks those who decide over joins from outside: a route's authorize_url gets a signed POST, and answers
 * {"authorized":true} or {"authorized":false,"reason":TEXT}. Whoever is slow, or dead, or answers anything else, lets nobody in,
 * and keeps nobody waiting but those who need him.
 */
#ifndef AUTH_AUTHORIZER_H
#define AUTH_AUTHORIZER_H

#include "session/session.h"

#define AUTHORIZER_MAX_QUEUE	1000	/* joins that wait until one of a URL's calls is over */
#define AUTHORIZER_MAX_WAITING	((size_t)16 * 1024 * 1024)	/* bytes of what they ask */
#define AUTHORIZER_MAX_KNOWN	10000	/* answers that are remembered */
#define AUTHORIZER_MAX_ANSWER	((size_t)16 * 1024)	/* bytes */
#define AUTHORIZER_MAX_REASON	256	/* bytes: a longer one is not passed on */
#define AUTHORIZER_MAX_FAILURES	5	/* calls of a URL in a row without an answer: then none for a while, and one to try */
#define AUTHORIZER_REST_MS	1000	/* that while */

struct authorizer;

/* `parallel` is for each URL: one that hangs does not take another's. */
struct authorizer_options {
	struct slice	secret;		/* of the signature; copied; empty = nobody is asked, nobody let in */
	struct slice	authorities;	/* PEM, as a fetch_request has it; copied */
	uint64_t	timeout_ms;	/* from the question to the answer */
	uint64_t	cache_ms;	/* so long the same question has the same answer; 0 = every join is asked for */
	unsigned	parallel;
	unsigned	known;		/* answers that are remembered, at most; at least 1 */
};

extern const struct session_authorizer authorizer_ops;

/* NULL if libcurl does not work here. authorizer_configure() it before the first question. */
struct authorizer *authorizer_new(struct loop *);
/* From now on. What was known is forgotten; calls under way go on. */
void authorizer_configure(struct authorizer *, const struct authorizer_options *);
/* Who still waits is not told. NULL in, NULL out. */
struct authorizer *authorizer_free(struct authorizer *);

#endif
