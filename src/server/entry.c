/*
 * The checks at the door.
 */
#include "server/entry.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "net/url.h"

void
entry_init(struct entry *en)
{
	en->client = endpoint_client(en->endpoint, en->conn, en->req);
}

void
entry_done(struct entry *en)
{
	en->who = identity_unref(en->who);
	buf_done(&en->token);
}

bool
entry_refuse(struct entry *en, unsigned status, const char *extra, const char *fmt, ...)
{
	char	peer[ADDR_LEN], why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	/* Without the query: it may hold a token. */
	log_peer(LOG_INFO_, addr_text(&en->client, peer), "refused %u %.*s: %s", status, SLICE_ARG(en->req->path), why);
	en->refuse(en, status, extra);
	return false;
}

bool
entry_check_room(struct entry *en)
{
	const struct endpoint *e = en->endpoint;

	if (!e->draining && !e->crowded)
		return true;
	stats->refused_total++;
	return entry_refuse(en, 503, "Retry-After: 1\r\n", e->draining ? "draining" : "memory is short");
}

bool
entry_check_origin(struct entry *en)
{
	const struct endpoint_options *o = &en->endpoint->options;
	bool			       twice = false;
	struct slice		       origin = http_field(en->req, "origin", &twice);

	if (origin.p == NULL)
		return !o->require_origin || entry_refuse(en, 403, NULL, "no origin");
	if (o->origins == NULL)
		return true;
	if (twice || !origins_allow(o->origins, origin, en->req->host))
		return entry_refuse(en, 403, NULL, "origin \"%.*s\" is not allowed", SLICE_ARG(origin));
	return true;
}

/* "vsn[]=2.0.0" is a list, as Phoenix reads parameters, and no list is a version. */
static bool
query_lists_versions(struct slice query)
{
	autobuf struct buf name = { 0 }, value = { 0 };
	size_t		   at = 0;

	while (url_next_param(query, &at, &name, &value) == 1)
		if (slice_starts(buf_slice(&name), SLICE("vsn[")))
			return true;
	return false;
}

bool
entry_check_version(struct entry *en)
{
	autobuf struct buf vsn = { 0 };
	int		   r = url_param(en->req->query, "vsn", &vsn);

	if (r < 0)
		return entry_refuse(en, 400, NULL, "parameters are not UTF-8");
	if (r == 0 && query_lists_versions(en->req->query))
		return entry_refuse(en, 403, NULL, "vsn is a list");
	en->codec = codec_for_vsn(r == 0 ? slice(NULL, 0) : buf_slice(&vsn));
	return en->codec != NULL || entry_refuse(en, 403, NULL, "vsn \"%.*s\" is not supported", SLICE_ARG(buf_slice(&vsn)));
}

/* If the field is there once and its scheme is Bearer; others are for proxies in front of us. */
bool
entry_find_bearer(struct entry *en)
{
	static const struct slice scheme = { "Bearer", 6 };
	bool			  twice = false;
	struct slice		  field = http_field(en->req, "authorization", &twice);

	if (twice || field.n < scheme.n || !slice_eq_nocase(slice(field.p, scheme.n), scheme))
		return false;
	field = slice_from(field, scheme.n);
	if (field.n > 0 && field.p[0] != ' ')
		return false;
	while (field.n > 0 && field.p[0] == ' ')
		field = slice_from(field, 1);
	buf_add_slice(&en->token, field);
	return true;
}

bool
entry_check_token(struct entry *en)
{
	const struct endpoint_options *o = &en->endpoint->options;
	const char		      *why = "malformed token";

	if (!en->has_token) {
		if (!o->anonymous && !en->open)
			return entry_refuse(en, 403, NULL, "token: none");
		en->who = identity_ref(en->endpoint->anonymous);
		return true;
	}
	if (o->auth != NULL && auth_verify(o->auth, buf_slice(&en->token), wall_ms(), &en->who, &why) == 0)
		return true;
	stats->auth_failures_total++;
	return entry_refuse(en, 403, NULL, "token: %s", o->auth == NULL ? "no key is configured" : why);
}

bool
entry_count(struct entry *en)
{
	struct endpoint *e = en->endpoint;
	char		 host[ADDR_LEN];
	struct slice	 address = slice_str(addr_host(&en->client, host));

	if (!census_enter(&e->addresses, address, e->options.max_per_address)) {
		stats->refused_total++;
		return entry_refuse(en, 429, "Retry-After: 5\r\n", "too many connections from this address");
	}
	if (en->who->user.n == 0 || census_enter(&e->users, en->who->user, e->options.max_per_user))
		return true;
	census_leave(&e->addresses, address);
	stats->refused_total++;
	return entry_refuse(en, 429, "Retry-After: 5\r\n", "too many connections of user \"%.*s\"", SLICE_ARG(en->who->user));
}

void
entry_on_gone(void *arg, const struct addr *client, struct slice user)
{
	struct endpoint *e = arg;
	char		 host[ADDR_LEN];

	census_leave(&e->addresses, slice_str(addr_host(client, host)));
	if (user.n > 0)
		census_leave(&e->users, user);
}
