/*
 * The endpoint: which path leads where, and the answers to what is not a WebSocket.
 */
#include "server/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/token.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/url.h"

#define DEV_TOKEN_SECONDS	(12 * 3600)
#define LONGPOLL_PATH		"/socket/longpoll"
#define MAX_IGNORED		(1024 * 1024)	/* bytes of a body that nobody wants */

static const char welcome[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>roost</title>"
    "<h1>roost is running</h1>"
    "<p>A realtime channel server. Point Phoenix clients at <code>/socket</code>, Pusher-style ones at <code>/ws</code>.</p>"
    "</html>\n";

static bool
net_list_has(const struct addr_net *nets, unsigned n, const struct addr *a)
{
	for (unsigned i = 0; i < n; i++)
		if (addr_net_has(&nets[i], a))
			return true;
	return false;
}

/*
 * From the right, the first address that is no trusted proxy's: what stands left of it anyone could have
 * written.
 */
struct addr
endpoint_client(const struct endpoint *e, const struct http_conn *conn, const struct http_request *req)
{
	struct addr  client = *http_conn_peer(conn);
	struct slice hops[32], hop;
	size_t	     at = 0;
	unsigned     n = 0;

	if (!net_list_has(e->options.trusted, e->options.n_trusted, &client))
		return client;
	while (http_next_token(req, "x-forwarded-for", &at, &hop)) {
		if (n == 32) {
			memmove(hops, hops + 1, sizeof(hops) - sizeof(hops[0]));
			n--;
		}
		hops[n++] = hop;
	}
	while (n > 0) {
		struct addr a;

		if (addr_parse_ip(&a, hops[--n]) < 0)
			break;
		client = a;
		if (!net_list_has(e->options.trusted, e->options.n_trusted, &a))
			break;
	}
	return client;
}

static void
respond_text(struct http_conn *conn, unsigned status, const char *text)
{
	http_respond(conn, status, "Cache-Control: no-store\r\n", "text/plain; charset=utf-8", slice_str(text));
}

/* Alive is who answers; ready is who should get clients. Who leaves is neither. */
static void
respond_health(struct endpoint *e, struct http_conn *conn, bool ready)
{
	const char	  *fault = e->draining ? "draining" : ready ? e->fault(e->arg) : NULL;
	autobuf struct buf text = { 0 };

	buf_addf(&text, "%s\n", fault != NULL ? fault : "ok");
	buf_add_char(&text, '\0');
	respond_text(conn, fault != NULL ? 503 : 200, text.p);
}

static void
respond_metrics(struct endpoint *e, struct http_conn *conn)
{
	autobuf struct buf out = { 0 };

	e->metrics(&out, e->arg);
	http_respond(conn, 200, "Cache-Control: no-store\r\n", "text/plain; version=0.0.4; charset=utf-8", buf_slice(&out));
}

/* A token for whoever asks: with --dev alone. */
static void
respond_dev_token(struct endpoint *e, struct http_conn *conn, const struct http_request *req)
{
	autobuf struct buf user = { 0 }, body = { 0 };
	autofree char	  *token = NULL;
	int64_t		   now = wall_ms() / 1000;

	if (e->options.dev_secret.n == 0) {
		respond_text(conn, 404, "tokens come from elsewhere: a key is configured\n");
		return;
	}
	if (url_param(req->query, "user", &user) != 1 || user.n == 0 || user.n > 64 ||
	    memchr(user.p, '\0', user.n) != NULL) {
		respond_text(conn, 400, "expected ?user=NAME\n");
		return;
	}
	buf_add_char(&user, '\0');
	token = token_mint_hs256(e->options.dev_secret, user.p, now, now + DEV_TOKEN_SECONDS, NULL);
	if (token == NULL) {
		respond_text(conn, 400, "not a user's name\n");
		return;
	}
	buf_addf(&body, "{\"token\":\"%s\"}", token);
	http_respond(conn, 200, "Cache-Control: no-store\r\n", "application/json", buf_slice(&body));
}

static void
respond_page(struct endpoint *e, struct http_conn *conn, struct slice path)
{
	static const char policy[] =
	    "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
	    "Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:\r\n";
	autobuf struct buf body = { 0 };
	const char	  *type;

	if (e->options.pages == NULL || pages_read(e->options.pages, path, &body, &type) < 0)
		respond_text(conn, 404, "not found\n");
	else
		http_respond(conn, 200, policy, type, buf_slice(&body));
}

/* Is it a call of the API, at a door where that is open? */
static bool
endpoint_is_call(const struct endpoint *e, const struct http_conn *conn, const struct http_request *req)
{
	const struct door *d = http_conn_owner(conn);

	return e->api != NULL && (d->admin || e->options.dev) && api_takes(req->path);
}

static bool
endpoint_admin(struct endpoint *e, struct http_conn *conn, const struct http_request *req, struct slice body)
{
	if (endpoint_is_call(e, conn, req)) {
		api_handle(e->api, conn, req, body);
		return true;
	}
	if (!url_path_is(req->path, "/metrics"))
		return false;
	respond_metrics(e, conn);
	return true;
}

/* The demo pages, under /demo/. */
static bool
endpoint_demo(struct endpoint *e, struct http_conn *conn, const struct http_request *req)
{
	autobuf struct buf path = { 0 };

	if (url_path_is(req->path, "/demo/token")) {
		respond_dev_token(e, conn, req);
		return true;
	}
	if (slice_is(req->path, "/demo")) {
		http_respond(conn, 301, "Location: /demo/\r\n", "text/plain", slice("", 0));
		return true;
	}
	if (!slice_starts(req->path, SLICE("/demo/")))
		return false;
	if (url_decode_path(req->path, &path) < 0)
		respond_text(conn, 400, "bad path\n");
	else
		respond_page(e, conn, slice_from(buf_slice(&path), strlen("/demo/")));
	return true;
}

/* The path / is a page to those who do not ask for a WebSocket there. */
static bool
is_pusher(const struct http_request *req)
{
	return url_path_is(req->path, "/ws") || (slice_is(req->path, "/") && http_has_token(req, "Upgrade", "websocket"));
}

static bool
endpoint_socket(struct endpoint *e, struct http_conn *conn, const struct http_request *req, struct slice body,
    const struct door *d)
{
	const char *echo = e->options.echo_path;

	if (url_path_is(req->path, LONGPOLL_PATH)) {
		endpoint_longpoll(e, conn, req, body);
		return true;
	}
	if (url_path_is(req->path, "/socket/websocket")) {
		endpoint_upgrade(e, conn, req, ENDPOINT_PHOENIX);
		return true;
	}
	if (is_pusher(req)) {
		endpoint_upgrade(e, conn, req, ENDPOINT_PUSHER);
		return true;
	}
	if (echo == NULL || echo[0] == '\0' || !d->loopback || !url_path_is(req->path, echo))
		return false;
	endpoint_upgrade(e, conn, req, ENDPOINT_ECHO);
	return true;
}

static void
endpoint_handle(struct http_conn *conn, const struct http_request *req, struct slice body, void *arg)
{
	struct endpoint	  *e = arg;
	const struct door *d = http_conn_owner(conn);

	if (url_path_is(req->path, "/healthz") || url_path_is(req->path, "/readyz")) {
		respond_health(e, conn, url_path_is(req->path, "/readyz"));
		return;
	}
	if ((d->admin || e->options.dev) && endpoint_admin(e, conn, req, body))
		return;
	if (!d->admin && endpoint_socket(e, conn, req, body, d))
		return;
	if (!d->admin && e->options.dev && endpoint_demo(e, conn, req))
		return;
	if (!d->admin && slice_is(req->path, "/"))
		http_respond(conn, 200, NULL, "text/html; charset=utf-8", slice_str(welcome));
	else
		respond_text(conn, 404, "not found\n");
}

/* Nothing but the API and long poll takes a body, or anything but GET and HEAD. */
static int
endpoint_on_head(struct http_conn *conn, const struct http_request *req, struct http_refusal *how, void *arg)
{
	struct endpoint	  *e = arg;
	const struct door *d = http_conn_owner(conn);
	bool		   get = slice_is(req->method, "GET"), head = slice_is(req->method, "HEAD");
	bool		   socket = url_path_is(req->path, "/socket/websocket") || is_pusher(req);

	if (endpoint_is_call(e, conn, req))
		return api_on_head(e->api, conn, req, how);
	if (!d->admin && url_path_is(req->path, LONGPOLL_PATH)) {
		how->type = "text/plain";
		how->body = "";
		return endpoint_longpoll_refusal(e, req);
	}
	if (req->content_length > MAX_IGNORED)
		return 413;
	if (get || (head && !socket))
		return 0;
	how->extra = socket ? "Allow: GET\r\n" : "Allow: GET, HEAD\r\n";
	return 405;
}

void
endpoint_init(struct endpoint *e, struct loop *loop, struct websockets *websockets, struct longpolls *longpolls,
    struct longpoll_relay *relay)
{
	*e = (struct endpoint){ .loop = loop, .websockets = websockets, .longpolls = longpolls, .relay = relay };
	list_init(&e->doors);
	http_server_init(&e->http, loop, endpoint_handle, e);
	e->http.on_head = endpoint_on_head;
	e->anonymous = identity_new(SLICE(""), SLICE(""), SLICE("{}"), INT64_MAX);
	census_init(&e->users);
	census_init(&e->addresses);
}

void
endpoint_done(struct endpoint *e)
{
	endpoint_close_doors(e, true);
	http_server_done(&e->http);
	/* Connections point to their door, so the doors go last. */
	list_each(link, &e->doors)
		free(list_entry(link, struct door, in_endpoint));
	list_init(&e->doors);
	e->anonymous = identity_unref(e->anonymous);
	census_done(&e->users);
	census_done(&e->addresses);
}

void
endpoint_listen(struct endpoint *e, int fd, const struct addr_listen *a, bool admin)
{
	struct door *d = door_open(e, fd, a, admin);

	list_append(&e->doors, &d->in_endpoint);
}

void
endpoint_close_doors(struct endpoint *e, bool all)
{
	list_each(link, &e->doors) {
		struct door *d = list_entry(link, struct door, in_endpoint);

		if (d->admin && !all)
			continue;
		door_close(d, !e->keep_files);
	}
}
