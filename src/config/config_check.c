/*
 * What is wrong with options only together.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "config/config_internal.h"
#include "net/redis.h"

/* With the place that set the option, if one did. */
static int __attribute__((format(printf, 4, 5)))
refuse(const struct config_set *set, const char *name, char **why, const char *fmt, ...)
{
	const struct config_origin *origin = config_origin(set, config_option_find(name));
	autofree char		   *text = NULL;
	va_list			    ap;
	int			    r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0)
		text = xstrdup(name);
	*why = origin->where != NULL ? xasprintf("%s: %s", origin->where, text) : xstrdup(text);
	return EX_CONFIG;
}

static int
check_redis(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;
	struct redis_url     url;
	const char	    *fault;

	if (c->redis_url[0] == '\0' && c->workers > 1)
		return refuse(set, "server.workers", why, "server.workers = %u needs a broker to join the workers: "
		    "set redis.url, or use one worker", c->workers);
	if (c->redis_url[0] != '\0' && redis_url_parse(&url, c->redis_url, &fault) < 0)
		return refuse(set, "redis.url", why, "redis.url: %s", fault);
	return 0;
}

/* A node must be able to miss a heartbeat or two. */
static int
check_cluster(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;
	char		     a[32], b[32];

	if (c->node_timeout_ms >= 3 * c->heartbeat_ms)
		return 0;
	return refuse(set, "cluster.timeout", why, "cluster.timeout = %s is less than three times cluster.heartbeat = %s",
	    units_duration_text(c->node_timeout_ms, a, sizeof(a)), units_duration_text(c->heartbeat_ms, b, sizeof(b)));
}

static int
check_events(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;

	if (c->events_stream[0] != '\0' && c->redis_url[0] == '\0')
		return refuse(set, "events.stream", why, "events.stream needs a Redis: set redis.url");
	return 0;
}

static int
check_tls_files(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;

	if (c->tls_cert[0] != '\0' && c->tls_key[0] == '\0')
		return refuse(set, "tls.cert", why, "tls.cert needs tls.key, its private key");
	if (c->tls_key[0] != '\0' && c->tls_cert[0] == '\0')
		return refuse(set, "tls.key", why, "tls.key needs tls.cert, its certificate");
	return 0;
}

static bool
same_address(const char *left, const char *right)
{
	struct addr_listen a, b;
	const char	  *why;

	if (addr_listen_parse(&a, left, &why) < 0 || addr_listen_parse(&b, right, &why) < 0)
		return false;
	return a.sa_len == b.sa_len && memcmp(&a.sa, &b.sa, a.sa_len) == 0;
}

/* Is the address among the first n of a list? */
static int
check_twice(const struct config_set *set, const char *name, const char *address,
    const struct config_list *others, unsigned n, char **why)
{
	for (unsigned i = 0; i < n; i++)
		if (same_address(address, others->items[i]))
			return refuse(set, name, why, "%s: %s is there twice", name, address);
	return 0;
}

static int
check_address(const struct config_set *set, const char *name, const char *address, char **why)
{
	struct addr_listen parsed;
	const char	  *fault;

	if (addr_listen_parse(&parsed, address, &fault) < 0)
		return refuse(set, name, why, "%s: %s, got '%s'", name, fault, address);
	if (parsed.tls && set->config.tls_cert[0] == '\0')
		return refuse(set, name, why, "%s: %s needs a certificate: set tls.cert and tls.key", name, address);
	if (set->config.dev && !addr_listen_is_loopback(&parsed))
		return refuse(set, name, why, "%s: %s is not a loopback address, as server.dev (--dev) demands", name,
		    address);
	return 0;
}

static int
check_addresses(const struct config_set *set, const char *name, const struct config_list *list, char **why)
{
	int r;

	for (unsigned i = 0; i < list->n; i++) {
		r = check_address(set, name, list->items[i], why);
		if (r != 0)
			return r;
		r = check_twice(set, name, list->items[i], list, i, why);
		if (r != 0)
			return r;
	}
	return 0;
}

static int
check_listen(const struct config_set *set, char **why)
{
	const struct config_list *list = &set->config.listen;

	if (list->n == 0)
		return refuse(set, "listen", why, "listen: expected an address at least");
	return check_addresses(set, "listen", list, why);
}

static int
check_admin_listen(const struct config_set *set, char **why)
{
	const struct config_list *list = &set->config.admin_listen, *public = &set->config.listen;
	int			  r;

	if (list->n == 0)
		return refuse(set, "admin.listen", why, "admin.listen: expected an address, or none");
	if (list->n == 1 && strcmp(list->items[0], "none") == 0)
		return 0;
	r = check_addresses(set, "admin.listen", list, why);
	for (unsigned i = 0; r == 0 && i < list->n; i++)
		r = check_twice(set, "admin.listen", list->items[i], public, public->n, why);
	return r;
}

static int
check_sizes(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;
	char		     a[32], b[32];

	if (c->http_max_target > c->http_max_head)
		return refuse(set, "http.max_target", why, "http.max_target = %s is more than http.max_head = %s",
		    units_size_text(c->http_max_target, a, sizeof(a)), units_size_text(c->http_max_head, b, sizeof(b)));
	if (c->drain_delay_ms > c->drain_ms)
		return refuse(set, "drain.delay", why, "drain.delay = %s is longer than drain.time = %s",
		    units_duration_text(c->drain_delay_ms, a, sizeof(a)), units_duration_text(c->drain_ms, b, sizeof(b)));
	return 0;
}

/* A secret in a file that everybody may read is none. */
static int
check_hidden(const struct config_set *set, const char *name, const char *instead, char **why)
{
	if (config_origin(set, config_option_find(name))->source != CONFIG_FILE || (set->file_mode & S_IROTH) == 0)
		return 0;
	return refuse(set, name, why, "%s: everybody may read this file: take it away from others (chmod o=), or use %s",
	    name, instead);
}

static int
check_secret(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;

	if (c->auth_secret[0] == '\0')
		return 0;
	if (c->auth_key_file[0] != '\0')
		return refuse(set, "auth.secret", why, "auth.secret and auth.key_file are both set: "
		    "one of them is the key");
	return check_hidden(set, "auth.secret", "auth.key_file", why);
}

static int
check_password(const struct config_set *set, char **why)
{
	if (set->config.redis_password[0] == '\0')
		return 0;
	return check_hidden(set, "redis.password", "ROOST_REDIS_PASSWORD", why);
}

static int
check_authorize_secret(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;

	if (c->authorize_secret[0] == '\0')
		return 0;
	if (c->authorize_secret_file[0] != '\0')
		return refuse(set, "authorize.secret", why, "authorize.secret and authorize.secret_file are both set: "
		    "one of them is the secret");
	return check_hidden(set, "authorize.secret", "authorize.secret_file", why);
}

/* An authorizer must be able to know that it is us. */
static int
check_authorize_urls(const struct config_set *set, char **why)
{
	const struct config *c = &set->config;

	if (c->authorize_secret[0] != '\0' || c->authorize_secret_file[0] != '\0')
		return 0;
	for (unsigned i = 0; i < c->n_routes; i++) {
		const struct config_route *r = &c->routes[i];

		if (r->authorize_url == NULL)
			continue;
		*why = xasprintf("%s:%u: route \"%s\": authorize_url needs a secret to sign with: set authorize.secret_file",
		    set->file != NULL ? set->file : "", r->line, r->pattern);
		return EX_CONFIG;
	}
	return 0;
}

static int (*const checks[])(const struct config_set *, char **) = {
	check_redis, check_cluster, check_events, check_tls_files, check_listen, check_admin_listen, check_sizes, check_secret,
	check_password, check_authorize_secret, check_authorize_urls,
};

int
config_check(const struct config_set *set, char **why)
{
	int r;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		r = checks[i](set, why);
		if (r != 0)
			return r;
	}
	return 0;
}
