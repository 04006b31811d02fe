/*
 * What the configuration only names, read and ready: keys, certificates, routes, patterns, pages. A reload
 * makes all of it anew before anything is replaced.
 */
#ifndef SERVER_PARTS_H
#define SERVER_PARTS_H

#include "auth/auth.h"
#include "config/config.h"
#include "net/tls.h"
#include "api/api_key.h"
#include "server/origin.h"
#include "server/pages.h"
#include "session/routes.h"

struct parts {
	struct auth		*auth;		/* NULL = no key is configured */
	struct origins		*origins;	/* NULL = any */
	struct tls_context	*tls;		/* NULL = none */
	struct api_key		 api_key;
	struct guard		*admin;		/* whose tokens are as good as that; NULL = nobody's */
	struct slice		 authorize_secret;	/* ours; empty = none */
	struct buf		 authorities;	/* PEM: who is believed to know an authorizer; empty = whom the system believes */
	struct addr_net		*trusted;
	unsigned		 n_trusted;
	struct routes		*routes;
	struct route_rate	*event_rates;	/* names borrowed from the configuration */
	unsigned		 n_event_rates;
	struct pages		*pages;		/* with dev alone */
};

/* Where tokens are verified with: no key at all, configured ones, or the development secret. */
enum parts_key { PARTS_NO_KEY, PARTS_KEYS, PARTS_DEV_KEY };
enum parts_key parts_key_kind(const struct config *);
/* Borrows the configuration, which must live longer. NULL with *why (caller frees). */
struct parts *parts_new(const struct config *, char **why);
/* NULL is fine. Channels keep their routes. */
void parts_free(struct parts *);
int parts_verify(const struct parts *, struct slice token, struct identity **who, const char **why);
/* Opens the log as configured; says so in the old one if it cannot. 0 or -errno. */
int parts_log_open(const struct config *);

#endif
