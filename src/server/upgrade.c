/*
 * From an HTTP request to a WebSocket: the checks of protocol/phoenix.md section 1.3, and the tokens of its
 * section 1.5.
 */
#include <errno.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/stats.h"
#include "net/url.h"
#include "server/endpoint.h"

#define TOKEN_PREFIX	"base64url.bearer.phx."

/* One upgrade on its way: what was found out so far. */
struct upgrade {
	struct endpoint		  *endpoint;
	struct http_conn	  *conn;
	const struct http_request *req;
	struct addr		   client;
	bool			   echo;
	struct slice		   key;
	const struct codec	  *codec;
	bool			   phoenix;	/* the subprotocol was offered */
	struct buf		   token;
	bool			   has_token;
	struct identity		  *who;
};

#define upgrade_refuse(u, status, extra, ...) \
	(endpoint_refuse((u)->conn, (u)->req, &(u)->client, status, extra, __VA_ARGS__), false)

static bool
upgrade_check_room(struct upgrade *u)
{
	if (!u->endpoint->draining && !u->endpoint->crowded)
		return true;
	stats->refused_total++;
	return upgrade_refuse(u, 503, "Retry-After: 1\r\n", u->endpoint->draining ? "draining" : "memory is short");
}

static bool
upgrade_check_origin(struct upgrade *u)
{
	const struct endpoint_options *o = &u->endpoint->options;
	bool			       twice = false;
	struct slice		       origin = http_field(u->req, "origin", &twice);

	if (origin.p == NULL)
		return !o->require_origin || upgrade_refuse(u, 403, NULL, "no origin");
	if (o->origins == NULL)
		return true;
	if (twice || !origins_allow(o->origins, origin, u->req->host))
		return upgrade_refuse(u, 403, NULL, "origin \"%.*s\" is not allowed", SLICE_ARG(origin));
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

static bool
upgrade_check_version(struct upgrade *u)
{
	autobuf struct buf vsn = { 0 };
	int		   r = url_param(u->req->query, "vsn", &vsn);

	if (r < 0)
		return upgrade_refuse(u, 400, NULL, "parameters are not UTF-8");
	if (r == 0 && query_lists_versions(u->req->query))
		return upgrade_refuse(u, 403, NULL, "vsn is a list");
	u->codec = codec_for_vsn(r == 0 ? slice(NULL, 0) : buf_slice(&vsn));
	return u->codec != NULL || upgrade_refuse(u, 403, NULL, "vsn \"%.*s\" is not supported", SLICE_ARG(buf_slice(&vsn)));
}

static bool
upgrade_check_handshake(struct upgrade *u)
{
	int r = ws_check_upgrade(u->req, &u->key);

	if (r == -426)
		return upgrade_refuse(u, 426, "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n", "WebSocket version");
	return r == 0 || upgrade_refuse(u, (unsigned)-r, r == -405 ? "Allow: GET\r\n" : NULL, "no WebSocket handshake");
}

/* The token element is taken out; of what is left, "phoenix" must be there if anything is. */
static bool
upgrade_check_protocols(struct upgrade *u)
{
	struct slice offered, token = { 0 };
	unsigned     tokens = 0, others = 0;
	size_t	     at = 0;
	ssize_t	     n;

	while (http_next_token(u->req, "sec-websocket-protocol", &at, &offered)) {
		if (slice_starts(offered, SLICE(TOKEN_PREFIX))) {
			token = slice_from(offered, sizeof(TOKEN_PREFIX) - 1);
			tokens++;
		} else if (slice_is(offered, "phoenix"))
			u->phoenix = true;
		else
			others++;
	}
	if (others > 0 && !u->phoenix)
		return upgrade_refuse(u, 403, NULL, "no subprotocol of ours was offered");
	if (tokens != 1)
		return true;
	n = b64_decode(B64_EITHER, token, (uint8_t *)buf_room(&u->token, token.n + 3));
	if (n < 0)
		return upgrade_refuse(u, 403, NULL, "token: not base64");
	u->token.n = (size_t)n;
	u->has_token = true;
	return true;
}

/* The field Authorization, if it is there once and its scheme is Bearer; others are for proxies in front of us. */
static bool
upgrade_find_bearer(struct upgrade *u)
{
	static const struct slice scheme = { "Bearer", 6 };
	bool			  twice = false;
	struct slice		  field = http_field(u->req, "authorization", &twice);

	if (twice || field.n < scheme.n || !slice_eq_nocase(slice(field.p, scheme.n), scheme))
		return false;
	field = slice_from(field, scheme.n);
	if (field.n > 0 && field.p[0] != ' ')
		return false;
	while (field.n > 0 && field.p[0] == ' ')
		field = slice_from(field, 1);
	buf_add_slice(&u->token, field);
	return true;
}

/* What the subprotocol did not have: a bearer, then the last `token` parameter. */
static bool
upgrade_find_token(struct upgrade *u)
{
	int r;

	u->has_token = u->has_token || upgrade_find_bearer(u);
	if (u->has_token)
		return true;
	r = url_param(u->req->query, "token", &u->token);
	if (r < 0)
		return upgrade_refuse(u, 400, NULL, "parameters are not UTF-8");
	u->has_token = r == 1 && u->token.n > 0;
	return true;
}

static bool
upgrade_check_token(struct upgrade *u)
{
	const struct endpoint_options *o = &u->endpoint->options;
	const char		      *why = "malformed token";

	if (!upgrade_find_token(u))
		return false;
	if (!u->has_token) {
		if (!o->anonymous)
			return upgrade_refuse(u, 403, NULL, "token: none");
		u->who = identity_ref(u->endpoint->anonymous);
		return true;
	}
	if (o->auth != NULL && auth_verify(o->auth, buf_slice(&u->token), wall_ms(), &u->who, &why) == 0)
		return true;
	stats->auth_failures_total++;
	return upgrade_refuse(u, 403, NULL, "token: %s", o->auth == NULL ? "no key is configured" : why);
}

static bool
upgrade_enter(struct upgrade *u)
{
	struct endpoint *e = u->endpoint;
	char		 host[ADDR_LEN];
	struct slice	 address = slice_str(addr_host(&u->client, host));

	if (!census_enter(&e->addresses, address, e->options.max_per_address)) {
		stats->refused_total++;
		return upgrade_refuse(u, 429, "Retry-After: 5\r\n", "too many connections from this address");
	}
	if (u->who->user.n == 0 || census_enter(&e->users, u->who->user, e->options.max_per_user))
		return true;
	census_leave(&e->addresses, address);
	stats->refused_total++;
	return upgrade_refuse(u, 429, "Retry-After: 5\r\n", "too many connections of user \"%.*s\"", SLICE_ARG(u->who->user));
}

static void
upgrade_on_gone(void *arg, const struct addr *client, struct slice user)
{
	struct endpoint *e = arg;
	char		 host[ADDR_LEN];

	census_leave(&e->addresses, slice_str(addr_host(client, host)));
	if (user.n > 0)
		census_leave(&e->users, user);
}

/* 101, and the connection is a WebSocket. */
static void
upgrade_accept(struct upgrade *u)
{
	struct endpoint	     *e = u->endpoint;
	autobuf struct buf    head = { 0 }, extension = { 0 };
	char		      accept[WS_ACCEPT_LEN + 1];
	struct ws_deflate     deflate = { 0 };
	struct slice	      rest;
	struct stream	     *s;

	if (e->options.compression)
		deflate = ws_negotiate(u->req, &extension);
	ws_accept_key(u->key, accept);
	buf_addf(&head,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", accept);
	if (u->phoenix)
		buf_add_str(&head, "Sec-WebSocket-Protocol: phoenix\r\n");
	if (extension.n > 0)
		buf_addf(&head, "Sec-WebSocket-Extensions: %.*s\r\n", SLICE_ARG(buf_slice(&extension)));
	buf_add_str(&head, "\r\n");
	s = http_take_stream(u->conn, &rest);
	stream_send(s, frame_raw_copy(buf_slice(&head)));
	websocket_open(e->websockets, &(struct websocket_open){
		.stream = s, .peer = &u->client, .codec = u->codec, .who = u->who, .deflate = deflate, .rest = rest,
		.on_gone = upgrade_on_gone, .arg = e,
	});
	u->who = NULL;
}

void
endpoint_upgrade(struct endpoint *e, struct http_conn *conn, const struct http_request *req, bool echo)
{
	struct upgrade u = {
		.endpoint = e, .conn = conn, .req = req, .client = endpoint_client(e, conn, req), .echo = echo,
	};
	bool ok = upgrade_check_room(&u) && upgrade_check_origin(&u);

	if (ok && echo) {
		u.who = identity_ref(e->anonymous);
		ok = upgrade_check_handshake(&u);
	} else if (ok)
		ok = upgrade_check_version(&u) && upgrade_check_handshake(&u) && upgrade_check_protocols(&u) && upgrade_check_token(&u);
	if (ok && upgrade_enter(&u))
		upgrade_accept(&u);
	identity_unref(u.who);
	buf_done(&u.token);
}
