/*
 * From an HTTP request to a WebSocket: the checks of protocol/phoenix.md section 1.3, and the tokens of its section 1.5; for
 * Pusher-style clients, those of them that concern them.
 */
#include <errno.h>

#include "base/b64.h"
#include "net/url.h"
#include "server/entry.h"

#define UPGRADE_FIELDS	"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"	/* what 426 has to say */
#define TOKEN_PREFIX	"base64url.bearer.phx."

/* One upgrade on its way: what was found out so far. */
struct upgrade {
	struct entry	entry;
	struct slice	key;
	bool		phoenix;	/* the subprotocol was offered */
};

#define upgrade_refuse(u, ...) entry_refuse(&(u)->entry, __VA_ARGS__)

/* Browsers do not see it, so there is nothing to say. */
static void
upgrade_answer_refusal(struct entry *en, unsigned status, const char *extra)
{
	http_respond(en->conn, status, extra, NULL, slice("", 0));
}

static bool
upgrade_check_handshake(struct upgrade *u)
{
	int r = ws_check_upgrade(u->entry.req, &u->key);

	if (r == -426)
		return upgrade_refuse(u, 426, UPGRADE_FIELDS, "WebSocket version");
	return r == 0 || upgrade_refuse(u, (unsigned)-r, r == -405 ? "Allow: GET\r\n" : NULL, "no WebSocket handshake");
}

/* The token element is taken out; of what is left, "phoenix" must be there if anything is. */
static bool
upgrade_check_protocols(struct upgrade *u)
{
	struct buf  *out = &u->entry.token;
	struct slice offered, token = { 0 };
	unsigned     tokens = 0, others = 0;
	size_t	     at = 0;
	ssize_t	     n;

	while (http_next_token(u->entry.req, "sec-websocket-protocol", &at, &offered)) {
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
	n = b64_decode(B64_EITHER, token, (uint8_t *)buf_room(out, token.n + 3));
	if (n < 0)
		return upgrade_refuse(u, 403, NULL, "token: not base64");
	out->n = (size_t)n;
	u->entry.has_token = true;
	return true;
}

/* What the subprotocol did not have: a bearer, then the last `token` parameter. */
static bool
upgrade_find_token(struct upgrade *u)
{
	struct entry *en = &u->entry;
	int	      r;

	en->has_token = en->has_token || entry_find_bearer(en);
	if (en->has_token)
		return true;
	r = url_param(en->req->query, "token", &en->token);
	if (r < 0)
		return upgrade_refuse(u, 400, NULL, "parameters are not UTF-8");
	en->has_token = r == 1 && en->token.n > 0;
	return true;
}

static bool
upgrade_check_phoenix(struct upgrade *u)
{
	struct entry *en = &u->entry;

	return entry_check_version(en) && upgrade_check_handshake(u) && upgrade_check_protocols(u) && upgrade_find_token(u) &&
	    entry_check_token(en);
}

/* Of subprotocols that are offered none is selected (RFC 6455 section 4.2.2): who insists on one goes by itself. */
static bool
upgrade_check_pusher(struct upgrade *u)
{
	struct entry *en = &u->entry;

	en->codec = &codec_pusher;
	en->open = true;
	if (!http_has_token(en->req, "Upgrade", "websocket"))
		return upgrade_refuse(u, 426, UPGRADE_FIELDS, "no upgrade");
	return upgrade_check_handshake(u) && upgrade_find_token(u) && entry_check_token(en);
}

static bool
upgrade_check(struct upgrade *u, enum endpoint_dialect dialect)
{
	struct entry *en = &u->entry;

	if (!entry_check_room(en) || !entry_check_origin(en))
		return false;
	if (dialect == ENDPOINT_PHOENIX)
		return upgrade_check_phoenix(u);
	if (dialect == ENDPOINT_PUSHER)
		return upgrade_check_pusher(u);
	en->who = identity_ref(en->endpoint->anonymous);
	return upgrade_check_handshake(u);
}

/* 101, and the connection is a WebSocket. */
static void
upgrade_accept(struct upgrade *u)
{
	struct entry	     *en = &u->entry;
	struct endpoint	     *e = en->endpoint;
	autobuf struct buf    head = { 0 }, extension = { 0 };
	char		      accept[WS_ACCEPT_LEN + 1];
	struct ws_deflate     deflate = { 0 };
	struct slice	      rest;
	struct stream	     *s;

	if (e->options.compression)
		deflate = ws_negotiate(en->req, &extension);
	ws_accept_key(u->key, accept);
	buf_addf(&head,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", accept);
	if (u->phoenix)
		buf_add_str(&head, "Sec-WebSocket-Protocol: phoenix\r\n");
	if (extension.n > 0)
		buf_addf(&head, "Sec-WebSocket-Extensions: %.*s\r\n", SLICE_ARG(buf_slice(&extension)));
	buf_add_str(&head, "\r\n");
	s = http_take_stream(en->conn, &rest);
	stream_send(s, frame_raw_copy(buf_slice(&head)));
	websocket_open(e->websockets, &(struct websocket_open){
		.stream = s, .peer = &en->client, .codec = en->codec, .who = identity_ref(en->who), .deflate = deflate, .rest = rest,
		.on_gone = entry_on_gone, .arg = e,
	});
}

void
endpoint_upgrade(struct endpoint *e, struct http_conn *conn, const struct http_request *req, enum endpoint_dialect dialect)
{
	struct upgrade u = {
		.entry = { .endpoint = e, .conn = conn, .req = req, .refuse = upgrade_answer_refusal },
	};

	entry_init(&u.entry);
	if (upgrade_check(&u, dialect) && entry_count(&u.entry))
		upgrade_accept(&u);
	entry_done(&u.entry);
}
