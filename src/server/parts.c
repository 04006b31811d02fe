/*
 * From names in the configuration to things that work.
 */
#include "server/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/dev.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "session/classes.h"
#include "session/guard.h"

#define AUTHORIZE_SECRET_MIN	16
#define AUTHORIZE_SECRET_MAX	1024
#define AUTHORIZE_SECRET_FORM	"expected one line of 16 to 1024 visible characters"

static bool
is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

enum parts_key
parts_key_kind(const struct config *c)
{
	if (c->n_keys > 0 || is_set(c->auth_key_file) || is_set(c->auth_secret))
		return PARTS_KEYS;
	return c->dev ? PARTS_DEV_KEY : PARTS_NO_KEY;
}

/* The key without a kid: a file, a secret, or the development secret. */
static unsigned
parts_main_key(const struct config *c, struct auth_key_options *k)
{
	*k = (struct auth_key_options){ .alg = c->auth_alg };
	if (is_set(c->auth_key_file))
		k->file = c->auth_key_file;
	else if (is_set(c->auth_secret))
		k->secret = c->auth_secret;
	else if (parts_key_kind(c) == PARTS_DEV_KEY)
		k->secret = DEV_SECRET;
	else
		return 0;
	return 1;
}

static bool
parts_keys(struct parts *p, const struct config *c, char **why)
{
	autofree struct auth_key_options *keys = xcalloc(c->n_keys + 1, sizeof(*keys));
	unsigned			  n = parts_main_key(c, keys);

	for (unsigned i = 0; i < c->n_keys; i++)
		keys[n++] = (struct auth_key_options){
			.kid = c->keys[i].kid, .file = c->keys[i].file, .alg = c->keys[i].alg,
		};
	if (n == 0)
		return true;
	p->auth = auth_new(&(struct auth_options){
		.keys = keys, .n_keys = n, .issuer = c->auth_issuer, .audience = c->auth_audience,
		.leeway_ms = c->auth_leeway_ms, .max_age_ms = c->auth_max_age_ms, .weak_secrets = c->dev,
		.cache = (unsigned)c->auth_cache,
	}, why);
	return p->auth != NULL;
}

static bool
parts_origins(struct parts *p, const struct config *c, char **why)
{
	if (c->origins.n == 0)
		return true;
	p->origins = origins_new((const char *const *)c->origins.items, c->origins.n, why);
	return p->origins != NULL;
}

static bool
parts_tls(struct parts *p, const struct config *c, char **why)
{
	if (!is_set(c->tls_cert))
		return true;
	p->tls = tls_context_new(c->tls_cert, c->tls_key, why);
	return p->tls != NULL;
}

static bool
parts_api_key(struct parts *p, const struct config *c, char **why)
{
	if (is_set(c->admin_key_file))
		return api_key_read(&p->api_key, c->admin_key_file, why) == 0;
	if (c->dev)
		api_key_set(&p->api_key, SLICE(DEV_API_KEY));
	return true;
}

static bool
parts_admin(struct parts *p, const struct config *c, char **why)
{
	autofree char *entry = NULL, *fault = NULL;

	if (!is_set(c->admin_claim))
		return true;
	entry = xasprintf("claim %s", c->admin_claim);
	p->admin = guard_new("", (const char *const []){ entry, NULL }, &fault);
	if (p->admin == NULL)
		*why = xasprintf("admin.claim: %s", fault);
	return p->admin != NULL;
}

static bool
is_visible(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] > '~')
			return false;
	return true;
}

static bool
parts_set_authorize_secret(struct parts *p, struct slice secret)
{
	if (secret.n < AUTHORIZE_SECRET_MIN || secret.n > AUTHORIZE_SECRET_MAX || !is_visible(secret))
		return false;
	p->authorize_secret = slice(xstrndup(secret.p, secret.n), secret.n);
	return true;
}

static bool
parts_authorize_file(struct parts *p, const char *file, char **why)
{
	struct secret s __attribute__((cleanup(secret_done)));
	autofree char *fault = NULL;

	if (secret_read_hidden(&s, file, &fault) == 0 &&
	    parts_set_authorize_secret(p, slice(s.p, secret_line_len(&s))))
		return true;
	*why = xasprintf("authorize.secret_file: %s: %s", file, fault != NULL ? fault : AUTHORIZE_SECRET_FORM);
	return false;
}

static bool
parts_authorities(struct parts *p, const struct config *c, char **why)
{
	autofree char *fault = NULL;

	if (!is_set(c->authorize_ca_file) || tls_read_authorities(c->authorize_ca_file, &p->authorities, &fault) == 0)
		return true;
	*why = xasprintf("authorize.ca_file: %s", fault);
	return false;
}

static bool
parts_authorize(struct parts *p, const struct config *c, char **why)
{
	if (!parts_authorities(p, c, why))
		return false;
	if (is_set(c->authorize_secret_file))
		return parts_authorize_file(p, c->authorize_secret_file, why);
	if (!is_set(c->authorize_secret) || parts_set_authorize_secret(p, slice_str(c->authorize_secret)))
		return true;
	*why = xasprintf("authorize.secret: %s", AUTHORIZE_SECRET_FORM);
	return false;
}

static bool
parts_proxies(struct parts *p, const struct config *c, char **why)
{
	p->trusted = xcalloc(c->trusted_proxies.n, sizeof(*p->trusted));
	for (unsigned i = 0; i < c->trusted_proxies.n; i++) {
		if (addr_net_parse(&p->trusted[i], slice_str(c->trusted_proxies.items[i])) < 0) {
			*why = xasprintf("http.trusted_proxies: expected a network, got '%s'", c->trusted_proxies.items[i]);
			return false;
		}
		p->n_trusted++;
	}
	return true;
}

static struct route_rate *
rates_of(const struct config_rate *rates, unsigned n)
{
	struct route_rate *out = xcalloc(n, sizeof(*out));

	for (unsigned i = 0; i < n; i++)
		out[i] = (struct route_rate){ rates[i].event, rates[i].rate };
	return out;
}

/* A route of the file. A module without a class serves with its first one. */
static bool
parts_route(struct parts *p, const struct config_route *r, char **why)
{
	autofree struct route_setting *settings = xcalloc(r->n_options, sizeof(*settings));
	autofree struct route_rate    *rates = rates_of(r->rates, r->n_rates);
	autofree const char	     **allow = xcalloc(r->allow.n + 1, sizeof(*allow));
	const struct channel_class    *loaded = NULL;

	if (is_set(r->module) && (loaded = class_load(r->module, why)) == NULL)
		return false;
	for (unsigned i = 0; i < r->n_options; i++)
		settings[i] = (struct route_setting){ r->options[i].name, r->options[i].value };
	for (unsigned i = 0; i < r->allow.n; i++)
		allow[i] = r->allow.items[i];
	return routes_add(p->routes, &(struct route_options){
		.pattern = r->pattern, .class = is_set(r->class) ? r->class : loaded->name, .public = r->public,
		.settings = settings, .n_settings = r->n_options, .rates = rates, .n_rates = r->n_rates,
		.rate_reason = r->rate_reason, .allow = r->allow.n > 0 ? allow : NULL, .authorize_url = r->authorize_url,
	}, why) == 0;
}

/* What stands without a configuration; etc/roost.conf shows the same. */
static struct route_rate of_streams[] = { { "new_comment", { .count = 1, .period_ms = 1000 } } };
static struct route_rate of_videos[] = { { "new_comment", { .count = 30, .period_ms = 60000 } } };
static const struct route_options built_in[] = {
	{ .pattern = "chat:room:{room_id}", .class = "chat" },
	{ .pattern = "chat:room_{room_id}", .class = "chat" },
	{ .pattern = "comments:stream:{stream_id}", .class = "comments", .rates = of_streams, .n_rates = 1 },
	{ .pattern = "comments:{video_id}", .class = "comments", .rates = of_videos, .n_rates = 1,
	  .rate_reason = "rate_limit_exceeded" },
	{ .pattern = "presence:room:{room_id}", .class = "presence" },
	{ .pattern = "presence:{user_id}", .class = "devices" },
	{ .pattern = "signaling:call:{call_id}", .class = "signaling" },
	{ .pattern = "room:*", .class = "room" },
	{ .pattern = "public-*", .class = "pusher", .public = true },
	{ .pattern = "private-*", .class = "pusher" },
	{ .pattern = "presence-*", .class = "pusher" },
};

/* The file's routes stand before the built-in ones. */
static bool
parts_routes(struct parts *p, const struct config *c, char **why)
{
	p->routes = routes_new();
	for (unsigned i = 0; i < c->n_routes; i++)
		if (!parts_route(p, &c->routes[i], why))
			return false;
	for (unsigned i = 0; c->default_routes && i < sizeof(built_in) / sizeof(built_in[0]); i++)
		if (routes_add(p->routes, &built_in[i], why) < 0)
			return false;
	p->event_rates = rates_of(c->rates, c->n_rates);
	p->n_event_rates = c->n_rates;
	return true;
}

static bool
parts_pages(struct parts *p, const struct config *c, char **why)
{
	int error;

	if (!c->dev)
		return true;
	p->pages = pages_open(c->dev_pages, &error);
	/* The default folder may be missing: a server without its demo is still one. */
	if (p->pages != NULL || error == -ENOENT)
		return true;
	*why = xasprintf("dev.pages: %s: %s", c->dev_pages, strerror(-error));
	return false;
}

struct parts *
parts_new(const struct config *c, char **why)
{
	struct parts *p = xcalloc(1, sizeof(*p));

	if (parts_keys(p, c, why) && parts_origins(p, c, why) && parts_tls(p, c, why) && parts_api_key(p, c, why) &&
	    parts_admin(p, c, why) && parts_authorize(p, c, why) && parts_proxies(p, c, why) && parts_routes(p, c, why) &&
	    parts_pages(p, c, why))
		return p;
	parts_free(p);
	return NULL;
}

void
parts_free(struct parts *p)
{
	if (p == NULL)
		return;
	auth_free(p->auth);
	origins_free(p->origins);
	tls_context_free(p->tls);
	guard_free(p->admin);
	secret_wipe((char *)(uintptr_t)p->authorize_secret.p, p->authorize_secret.n);
	buf_done(&p->authorities);
	free(p->trusted);
	routes_unref(p->routes);
	free(p->event_rates);
	pages_free(p->pages);
	free(p);
}

int
parts_verify(const struct parts *p, struct slice token, struct identity **who, const char **why)
{
	if (p->auth != NULL)
		return auth_verify(p->auth, token, wall_ms(), who, why);
	*why = "no key is configured";
	return -EACCES;
}

int
parts_log_open(const struct config *c)
{
	int r = log_open(&(struct log_options){ .level = c->log_level, .json = c->log_json, .file = c->log_file });

	if (r < 0)
		log_error("cannot write the log to %s: %s", c->log_file, strerror(-r));
	return r;
}
