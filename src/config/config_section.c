/*
 * The statements of a configuration file, as libconfuse comes upon them: values go into the set, keys,
 * rates and routes are put together.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config/config_reader.h"
#include "net/fetch.h"
#include "session/routes.h"

struct config_reader *config_reading;

int
config_complain(unsigned line, const char *fmt, ...)
{
	struct config_reader *r = config_reading;
	autofree char	     *text = NULL;
	va_list		      ap;

	va_start(ap, fmt);
	if (r->why == NULL && vasprintf(&text, fmt, ap) >= 0)
		r->why = xasprintf("%s:%u: %s", r->file, line, text);
	va_end(ap);
	return -1;
}

#define complain(cfg, ...) config_complain((unsigned)(cfg)->line, __VA_ARGS__)

/* The row of an option; outside of sections libconfuse speaks of "root". */
static const struct config_option *
find_option(cfg_t *cfg, cfg_opt_t *opt)
{
	bool	       bare = strcmp(cfg->name, "root") == 0;
	autofree char *name = xasprintf("%s%s%s", bare ? "" : cfg->name, bare ? "" : ".", opt->name);

	return config_option_find(name);
}

/* Values. libconfuse calls these for each; `result` is what it keeps. */

int
config_on_option(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config_reader	   *r = config_reading;
	const struct config_option *o = find_option(cfg, opt);
	const struct config_origin *origin = config_origin(r->set, o);
	autofree char		   *where = xasprintf("%s:%d", r->file, cfg->line);
	struct config_place	    at = { CONFIG_FILE, where };

	*(const char **)result = value;
	if (opt->nvalues == 1 && origin->source == CONFIG_FILE)
		return complain(cfg, "%s is already set at %s", o->name, origin->where);
	if (!config_is_list(o))
		return config_put(r->set, o, value, at, &r->why);
	if (opt->nvalues == 1)
		config_put_empty(r->set, o, at);
	return config_put_item(r->set, o, value, at, &r->why);
}

/* Where a section with a title began, from config_scan(). */
int
config_on_line(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	unsigned line = (unsigned)strtoul(value, NULL, 10);

	*(const char **)result = value;
	if (strcmp(cfg->name, "route") == 0)
		config_reading->route.line = line;
	else
		config_reading->key_line = line;
	return 0;
}

static int
set_once(cfg_t *cfg, cfg_opt_t *opt, const char *value, char **to)
{
	if (*to != NULL)
		return complain(cfg, "this %s's %s is already set", cfg->name, opt->name);
	*to = xstrdup(value);
	return 0;
}

int
config_on_key_file(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	return set_once(cfg, opt, value, &config_reading->key.file);
}

int
config_on_key_alg(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	for (unsigned i = 0; config_algorithms[i] != NULL; i++)
		if (strcmp(config_algorithms[i], value) == 0)
			return set_once(cfg, opt, value, &config_reading->key.alg);
	return complain(cfg, "key.alg: expected an algorithm such as HS256, RS256 or ES256, got '%s'", value);
}

int
config_on_rate_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	if (cfg->title[0] == '\0')
		return complain(cfg, "a rate needs the name of an event");
	if (units_rate(value, &config_reading->rate.rate) < 0)
		return complain(cfg, "rate \"%s\": expected N/PERIOD such as 30/60s, got '%s'", cfg->title, value);
	if (config_reading->rate.rate.count > CONFIG_MAX_RATE)
		return complain(cfg, "rate \"%s\": expected at most %u in a period, got '%s'", cfg->title, CONFIG_MAX_RATE, value);
	return 0;
}

/* class, module */
int
config_on_route_text(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config_route *route = &config_reading->route;

	*(const char **)result = value;
	if (value[0] == '\0')
		return complain(cfg, "route.%s: expected a name, got ''", opt->name);
	return set_once(cfg, opt, value, strcmp(opt->name, "class") == 0 ? &route->class : &route->module);
}

int
config_on_route_rate_reason(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	if (value[0] == '\0' || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(value) || strlen(value) > 64)
		return complain(cfg, "route.rate_reason: expected a word such as rate_limit_exceeded, got '%s'", value);
	return set_once(cfg, opt, value, &config_reading->route.rate_reason);
}

/* What an entry means is for the guards to say. */
int
config_on_route_allow(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config_list *allow = &config_reading->route.allow;

	*(const char **)result = value;
	if (opt->nvalues == 1 && allow->n > 0)
		return complain(cfg, "this route's allow is already set");
	if (opt->nvalues > CONFIG_MAX_ITEMS)
		return complain(cfg, "route.allow: expected at most %u elements", CONFIG_MAX_ITEMS);
	config_list_add(allow, value, strlen(value));
	return 0;
}

int
config_on_route_authorize_url(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	if (!fetch_url_is_fine(value))
		return complain(cfg, "route.authorize_url: expected http://HOST/PATH or https://HOST/PATH, "
		    "without user, password and #, got '%s'", value);
	return set_once(cfg, opt, value, &config_reading->route.authorize_url);
}

int
config_on_route_public(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	if (config_reading->route_public_set)
		return complain(cfg, "this route's public is already set");
	config_reading->route_public_set = true;
	if (units_bool(value, &config_reading->route.public) < 0)
		return complain(cfg, "route.public: expected yes or no, got '%s'", value);
	return 0;
}

static struct config_pair *
route_pair(struct config_route *route, struct slice name)
{
	for (unsigned i = 0; i < route->n_options; i++)
		if (slice_is(name, route->options[i].name))
			return &route->options[i];
	return NULL;
}

static void
route_add_pair(struct config_route *route, struct slice name, const char *value)
{
	route->options = xrealloc(route->options, (route->n_options + 1) * sizeof(*route->options));
	route->options[route->n_options++] = (struct config_pair){ xstrndup(name.p, name.n), xstrdup(value) };
}

/* options = { "name=value" } */
int
config_on_route_pair(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct slice name = slice(value, strcspn(value, "="));

	*(const char **)result = value;
	if (name.n == 0 || value[name.n] != '=')
		return complain(cfg, "route.options: expected \"name=value\", got '%s'", value);
	if (opt->nvalues > CONFIG_MAX_ITEMS)
		return complain(cfg, "route.options: expected at most %u elements", CONFIG_MAX_ITEMS);
	if (route_pair(&config_reading->route, name) != NULL)
		return complain(cfg, "this route's option '%.*s' is already set", SLICE_ARG(name));
	route_add_pair(&config_reading->route, name, value + name.n + 1);
	return 0;
}

/* What is wrong with a value of a setting; NULL if nothing is. */
static const char *
setting_fault(const struct config_setting *setting, const char *value)
{
	bool	 yes;
	uint64_t number;

	if (setting->type == CONFIG_BOOL && units_bool(value, &yes) < 0)
		return "expected yes or no";
	if (setting->type == CONFIG_NUMBER && units_number(value, &number) < 0)
		return "expected a number";
	if (setting->type == CONFIG_DURATION && units_duration(value, &number) < 0)
		return "expected a time such as 10s";
	/* The class gets the elements with commas between them. */
	if (setting->type == CONFIG_LIST && (value[0] == '\0' || strchr(value, ',') != NULL))
		return "expected elements without a comma";
	return NULL;
}

static void
pair_append(struct config_pair *pair, const char *value)
{
	char *joined = xasprintf("%s,%s", pair->value, value);

	free(pair->value);
	pair->value = joined;
}

/* echo = no, events = { "new_msg" }: what config_settings names. */
int
config_on_route_setting(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config_route *route = &config_reading->route;
	struct config_pair  *pair = route_pair(route, slice_str(opt->name));
	const char	    *fault = setting_fault(config_setting_find(opt->name), value);

	*(const char **)result = value;
	if (fault != NULL)
		return complain(cfg, "route.%s: %s, got '%s'", opt->name, fault, value);
	if (opt->nvalues > CONFIG_MAX_ITEMS)
		return complain(cfg, "route.%s: expected at most %u elements", opt->name, CONFIG_MAX_ITEMS);
	if (pair != NULL && opt->nvalues == 1)
		return complain(cfg, "this route's option '%s' is already set", opt->name);
	if (pair != NULL)
		pair_append(pair, value);
	else
		route_add_pair(route, slice_str(opt->name), value);
	return 0;
}

/* Sections that end. */

static cfg_t *
last_section(cfg_opt_t *opt)
{
	return cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
}

static void
rates_add(struct config_rate **rates, unsigned *n, struct config_rate rate)
{
	*rates = xrealloc(*rates, (*n + 1) * sizeof(**rates));
	(*rates)[(*n)++] = rate;
}

/* At the top level, or in a route. */
int
config_on_rate_end(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config	    *c = &config_reading->set->config;
	struct config_route *route = &config_reading->route;
	struct config_rate   rate = config_reading->rate;

	rate.event = xstrdup(cfg_title(last_section(opt)));
	if (strcmp(cfg->name, "route") == 0)
		rates_add(&route->rates, &route->n_rates, rate);
	else
		rates_add(&c->rates, &c->n_rates, rate);
	return 0;
}

int
config_on_key_end(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config	  *c = &config_reading->set->config;
	unsigned	   line = config_reading->key_line;
	struct config_key *key;

	c->keys = xrealloc(c->keys, (c->n_keys + 1) * sizeof(*c->keys));
	key = &c->keys[c->n_keys++];
	*key = config_reading->key;
	config_reading->key = (struct config_key){ 0 };
	key->kid = xstrdup(cfg_title(last_section(opt)));
	if (key->kid[0] == '\0')
		return config_complain(line, "a key needs a kid: key \"KID\" { file = \"...\" }");
	if (key->file == NULL || key->file[0] == '\0')
		return config_complain(line, "key \"%s\" needs a file", key->kid);
	return 0;
}

int
config_on_route_end(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config	    *c = &config_reading->set->config;
	struct config_route *route;
	const char	    *fault;

	c->routes = xrealloc(c->routes, (c->n_routes + 1) * sizeof(*c->routes));
	route = &c->routes[c->n_routes++];
	*route = config_reading->route;
	config_reading->route = (struct config_route){ 0 };
	config_reading->route_public_set = false;
	route->pattern = xstrdup(cfg_title(last_section(opt)));
	fault = route_pattern_fault(route->pattern);
	if (fault != NULL)
		return config_complain(route->line, "route \"%s\": the pattern %s", route->pattern, fault);
	/* Does it let in nobody, or everybody? */
	if (route->allow.n == 0 && (cfg_getopt(last_section(opt), "allow")->flags & CFGF_MODIFIED) != 0)
		return config_complain(route->line, "route \"%s\": allow is empty: \"anyone\" lets in everybody", route->pattern);
	if (route->class == NULL && route->module == NULL)
		return config_complain(route->line, "route \"%s\" needs a class or a module", route->pattern);
	return 0;
}

void
config_note_empty_lists(cfg_t *cfg)
{
	autofree char	   *where = xasprintf("%s:%d", config_reading->file, cfg->line);
	struct config_place at = { CONFIG_FILE, where };

	for (unsigned i = 0; i < cfg_num(cfg); i++) {
		cfg_opt_t *opt = cfg_getnopt(cfg, i);
		bool	   is_set = (opt->flags & CFGF_MODIFIED) != 0;

		if (is_set && (opt->flags & CFGF_LIST) != 0 && cfg_opt_size(opt) == 0)
			config_put_empty(config_reading->set, find_option(cfg, opt), at);
	}
}

int
config_on_section_end(cfg_t *cfg, cfg_opt_t *opt)
{
	config_note_empty_lists(last_section(opt));
	return 0;
}
