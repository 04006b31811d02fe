/*
 * Calls to other people's HTTP servers, by libcurl on our loop: nothing here waits, looking up names included. Connections are
 * kept and used again. No redirect is followed, and neither proxies nor passwords are taken from the environment.
 */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/slice.h"
#include "net/loop.h"

#define FETCH_MAX_HEAD	((size_t)64 * 1024)	/* bytes of an answer's head */

struct fetcher;
struct fetch;

struct fetcher_options {
	unsigned	connections;	/* at most so many at a time: other calls wait for one. 0 = as many as calls */
	unsigned	idle;		/* connections that are kept, at most; at least 1 */
};

/* A POST; borrowed for the length of fetch_post(). */
struct fetch_request {
	const char	*url;		/* as fetch_url_is_fine() */
	const char *const *headers;	/* "Name: value"; ends with NULL */
	struct slice	 body;
	struct slice	 authorities;	/* PEM: who is believed to know an https server; empty = whom the system believes */
	uint64_t	 timeout_ms;	/* for all of it, the wait for a connection too */
	size_t		 max_body;	/* of the answer */
};

/* Lent until the function that is told of it returns. */
struct fetch_answer {
	const char	*fault;		/* why there is none; NULL = there is */
	unsigned	 status;
	struct slice	 body;		/* any bytes */
};

typedef void fetch_fn(void *arg, const struct fetch_answer *);

/* NULL if libcurl does not work here, or would block for names. */
struct fetcher *fetcher_new(struct loop *, const struct fetcher_options *);
/* Whoever waits for an answer is not told. Not to be called by a fetch_fn. NULL in, NULL out. */
struct fetcher *fetcher_free(struct fetcher *);
/* Never NULL. fn is told once, later, unless fetch_cancel() comes first. */
struct fetch *fetch_post(struct fetcher *, const struct fetch_request *, fetch_fn *, void *arg);
/* Before its fn was told. */
void fetch_cancel(struct fetch *);

/* http or https with a host, and neither user, password nor fragment. */
bool fetch_url_is_fine(const char *url);

#endif
