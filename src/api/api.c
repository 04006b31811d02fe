/*
 * The API's door: who may call, and which path is whose.
 */
#include "api/api.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/url.h"
#include "net/utf8.h"
#include "api/api_call.h"
#include "wire/message.h"

#define API_NAMES	2	/* of a path */

#define ERROR(code, message)	"{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\"}}"

/* A "*" in a pattern stands for one segment: the call's name, and then its id. */
static const struct api_path {
	const char	*pattern;
	const char	*allow;
	api_fn		*get;
	api_fn		*post;
	api_fn		*delete;
} paths[] = {
	{ "nodes", "Allow: GET, HEAD\r\n", .get = api_nodes },
	{ "channels", "Allow: GET, HEAD\r\n", .get = api_list },
	{ "channels/*", "Allow: GET, HEAD\r\n", .get = api_channel },
	{ "channels/*/members", "Allow: GET, HEAD\r\n", .get = api_members },
	{ "channels/*/messages", "Allow: POST\r\n", .post = api_post },
	{ "channels/*/messages/*", "Allow: DELETE\r\n", .delete = api_delete },
	{ "channels/*/history", "Allow: GET, HEAD\r\n", .get = api_history },
	{ "broadcast", "Allow: POST\r\n", .post = api_broadcast },
	{ "stats", "Allow: GET, HEAD\r\n", .get = api_stats },
	{ "users/*/connections", "Allow: DELETE\r\n", .delete = api_kick },
	{ "connections/*", "Allow: DELETE\r\n", .delete = api_kick_connection },
};

/* Takes what stands before the next slash, which goes, too. */
static struct slice
take_segment(struct slice *path)
{
	const char  *slash = memchr(path->p, '/', path->n);
	struct slice segment = slice(path->p, slash != NULL ? (size_t)(slash - path->p) : path->n);

	*path = slice_from(*path, slash != NULL ? segment.n + 1 : segment.n);
	return segment;
}

static bool
path_matches(const char *pattern, struct slice path, struct slice names[API_NAMES])
{
	struct slice left = slice_str(pattern);
	unsigned     n = 0;

	while (left.n > 0 && path.n > 0) {
		struct slice wanted = take_segment(&left), segment = take_segment(&path);

		if (slice_is(wanted, "*") && segment.n > 0)
			names[n++] = segment;
		else if (!slice_eq(wanted, segment))
			return false;
	}
	return left.n == 0 && path.n == 0;
}

/* The path's row, and the segments that are its names, empty where it has fewer; NULL if there is none. */
static const struct api_path *
path_find(struct slice path, struct slice names[API_NAMES])
{
	if (path.n <= strlen("/api/") || path.p[path.n - 1] == '/')
		return NULL;
	path = slice_from(path, strlen("/api/"));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		names[0] = names[1] = SLICE("");
		if (path_matches(paths[i].pattern, path, names))
			return &paths[i];
	}
	return NULL;
}

static api_fn *
path_method(const struct api_path *p, struct slice method)
{
	if (slice_is(method, "GET") || slice_is(method, "HEAD"))
		return p->get;
	if (slice_is(method, "POST"))
		return p->post;
	return slice_is(method, "DELETE") ? p->delete : NULL;
}

bool
api_takes(struct slice path)
{
	return slice_is(path, "/api") || slice_starts(path, SLICE("/api/"));
}

/* The key, or token, in "Authorization: Bearer KEY", empty if there is none. */
static struct slice
presented(const struct http_request *req)
{
	static const struct slice scheme = SLICE("bearer ");
	bool			  twice;
	struct slice		  value = http_field(req, "Authorization", &twice);

	if (value.p == NULL || twice || value.n < scheme.n || !slice_eq_nocase(slice(value.p, scheme.n), scheme))
		return SLICE("");
	return http_trim(slice_from(value, scheme.n));
}

static bool
is_json(const struct http_request *req)
{
	bool	     twice;
	struct slice type = http_field(req, "Content-Type", &twice);
	const char  *end;

	if (type.p == NULL || twice)
		return false;
	end = memchr(type.p, ';', type.n);
	if (end != NULL)
		type.n = (size_t)(end - type.p);
	return slice_eq_nocase(http_trim(type), SLICE("application/json"));
}

static int
refuse(struct http_refusal *how, int status, const char *extra, const char *body)
{
	*how = (struct http_refusal){ .extra = extra, .type = "application/json", .body = body };
	return status;
}

/* Of a token: 0 if it is good now, and an admin's; else the status for whose it is. */
static int
admit_token(const struct api *api, struct slice token)
{
	struct identity *who;
	const char	*why;
	bool		 yes;

	if (api->options.guard == NULL || token.n == 0 || api->env->verify(api->env->arg, token, &who, &why) < 0)
		return 401;
	yes = guard_allows(api->options.guard, &(struct guard_case){
		.pattern = "", .topic = SLICE(""), .user = who->user, .claims = who->claims,
	});
	identity_unref(who);
	return yes ? 0 : 403;
}

/* 0, or the status for who may not call. */
static int
api_admit(const struct api *api, const struct http_conn *conn, const struct http_request *req, struct http_refusal *how)
{
	const struct slice key = presented(req);
	char		   peer[ADDR_LEN];
	int		   status;

	if (!api->options.key->set && api->options.guard == NULL)
		return refuse(how, 403, NULL,
		    ERROR("FORBIDDEN", "no key is configured: the API is closed until admin.api_key_file names one"));
	status = api_key_is(api->options.key, key) ? 0 : admit_token(api, key);
	if (status == 0)
		return 0;
	log_peer(LOG_INFO_, addr_text(http_conn_peer(conn), peer), "refused %d %.*s: %s", status, SLICE_ARG(req->path),
	    status == 403 ? "a token without the claim of admin.claim" : "not the API's key");
	if (status == 403)
		return refuse(how, 403, NULL, ERROR("FORBIDDEN", "this token is good, but not an admin's"));
	return refuse(how, 401, "WWW-Authenticate: Bearer\r\n",
	    ERROR("UNAUTHORIZED", "no key, or not the one of this server: expected the header Authorization: Bearer KEY"));
}

static int
api_admit_body(const struct api *api, const struct http_request *req, struct http_refusal *how)
{
	if (!req->has_body)
		return 0;
	if (!is_json(req))
		return refuse(how, 415, NULL, ERROR("UNSUPPORTED_MEDIA_TYPE", "expected Content-Type: application/json"));
	if (req->content_length == 0)
		return refuse(how, 411, NULL, ERROR("LENGTH_REQUIRED", "expected a Content-Length, and no chunks"));
	if (req->content_length > api->options.max_body)
		return refuse(how, 413, NULL, ERROR("TOO_LARGE", "the body is larger than limits.max_message"));
	return 0;
}

int
api_on_head(struct api *api, const struct http_conn *conn, const struct http_request *req, struct http_refusal *how)
{
	int			r = api_admit(api, conn, req, how);
	const struct api_path  *p;
	struct slice		names[API_NAMES];

	if (r != 0)
		return r;
	if (bucket_take(&api->bucket, api->loop->now, api->options.rate, api->options.rate) > 0)
		return refuse(how, 429, "Retry-After: 1\r\n", ERROR("RATE_LIMITED", "more calls a second than admin.max_rate"));
	p = path_find(req->path, names);
	if (p == NULL)
		return refuse(how, 404, NULL, ERROR("NOT_FOUND", "there is no such path"));
	if (path_method(p, req->method) == NULL)
		return refuse(how, 405, p->allow, ERROR("METHOD_NOT_ALLOWED", "not with this path: see Allow"));
	return api_admit_body(api, req, how);
}

bool
api_is_name(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
			return false;
	return name.n >= 1 && name.n <= WIRE_MAX_TOPIC;
}

/* One that is not there is fine. */
static bool
take_name(struct slice segment, struct buf *out)
{
	return url_decode_segment(segment, out) == 0 && (segment.n == 0 || api_is_name(buf_slice(out)));
}

void
api_handle(struct api *api, struct http_conn *conn, const struct http_request *req, struct slice body)
{
	struct slice		names[API_NAMES];
	const struct api_path  *p = path_find(req->path, names);
	struct api_call	       *call = api_call_new(api, conn);

	if (call == NULL) {
		http_respond(conn, 503, "Retry-After: 1\r\n", "application/json",
		    SLICE(ERROR("UNAVAILABLE", "too many calls wait for an answer")));
		return;
	}
	if (!take_name(names[0], &call->name) || !take_name(names[1], &call->id))
		api_invalid(call, "the name in the path: expected 1 to 256 bytes of UTF-8 without control characters, "
		    "percent-encoded");
	else
		path_method(p, req->method)(call, req->query, body);
}

void
api_init(struct api *api, struct loop *loop, struct session_env *env, struct backplane *backplane, struct kicks *kicks,
    struct headcounts *headcounts, const char *node, const char *listen)
{
	*api = (struct api){
		.loop = loop, .env = env, .backplane = backplane, .kicks = kicks, .headcounts = headcounts,
		.node = node, .listen = listen,
	};
	list_init(&api->calls);
}

void
api_done(struct api *api)
{
	api_call_drop_all(api);
}
