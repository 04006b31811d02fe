/*
 * The configuration file: libconfuse reads it by the table of options, and all values reach us as text.
 */
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/config_internal.h"
#include "session/routes.h"

#define MAX_FILE	((size_t)1 << 20)

/* One reading of one file. */
struct reader {
	struct config_set *set;
	const char	*file;
	struct config_route route;	/* of the section that is being read */
	bool		 route_public_set;
	struct config_key key;
	unsigned	 key_line;
	struct config_rate rate;
	char		*why;
};

/* libconfuse hands nothing of ours to its callbacks. */
static struct reader *reading;

/* Keeps the first complaint: libconfuse has more to say about its consequences. */
static int
complain(unsigned line, char *text)
{
	if (reading->why == NULL)
		reading->why = xasprintf("%s:%u: %s", reading->file, line, text);
	free(text);
	return -1;
}

static char *
place_text(cfg_t *cfg)
{
	return xasprintf("%s:%d", reading->file, cfg->line);
}

/* The row of an option; outside of sections libconfuse speaks of "root". */
static const struct config_option *
find_option(cfg_t *cfg, cfg_opt_t *opt)
{
	bool	       bare = strcmp(cfg->name, "root") == 0;
	autofree char *name = xasprintf("%s%s%s", bare ? "" : cfg->name, bare ? "" : ".", opt->name);

	return config_option_find(name);
}

/* Values. libconfuse calls these for each; `result` is what it keeps. */

static int
on_option(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	autofree char *where = place_text(cfg);
	const struct config_option *o = find_option(cfg, opt);
	struct config_origin *origin = config_origin(reading->set, o);
	struct config_place at = { CONFIG_FILE, where };

	*(const char **)result = value;
	if (opt->nvalues == 1 && origin->source == CONFIG_FILE)
		return complain((unsigned)cfg->line, xasprintf("%s is already set at %s", o->name,
		    origin->where));
	if (opt->nvalues == 1 && config_is_list(o))
		config_put_empty(reading->set, o, at);
	if (config_is_list(o))
		return config_put_item(reading->set, o, value, at, &reading->why);
	return config_put(reading->set, o, value, at, &reading->why);
}

static struct config_pair *
route_pair(struct config_route *route, const char *name, size_t n)
{
	for (unsigned i = 0; i < route->n_options; i++)
		if (slice_is(slice(name, n), route->options[i].name))
			return &route->options[i];
	return NULL;
}

static void
route_add_pair(struct config_route *route, const char *name, size_t n, const char *value)
{
	route->options = xrealloc(route->options, (route->n_options + 1) * sizeof(*route->options));
	route->options[route->n_options++] = (struct config_pair){ xstrndup(name, n), xstrdup(value) };
}

/* options = { "name=value" } */
static int
on_route_pair(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const char *equals = strchr(value, '=');
	size_t	    n = equals != NULL ? (size_t)(equals - value) : 0;

	*(const char **)result = value;
	if (n == 0)
		return complain((unsigned)cfg->line, xasprintf("route.options: expected \"name=value\", got '%s'", value));
	if (route_pair(&reading->route, value, n) != NULL)
		return complain((unsigned)cfg->line, xasprintf("this route's option '%.*s' is already set", (int)n, value));
	route_add_pair(&reading->route, value, n, equals + 1);
	return 0;
}

/* Another element for a list that is kept as text with commas. */
static void
pair_append(struct config_pair *pair, const char *value)
{
	char *joined = xasprintf("%s,%s", pair->value, value);

	free(pair->value);
	pair->value = joined;
}

/* echo = no, events = { "new_msg" }: what config_settings names. */
static int
on_route_setting(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const struct config_setting *setting = config_setting_find(opt->name);
	struct config_pair	    *pair = route_pair(&reading->route, opt->name, strlen(opt->name));
	unsigned		     line = (unsigned)cfg->line;
	bool			     yes;

	*(const char **)result = value;
	if (setting->type == CONFIG_BOOL && units_bool(value, &yes) < 0)
		return complain(line, xasprintf("route.%s: expected yes or no, got '%s'", opt->name, value));
	if (setting->type == CONFIG_LIST && (value[0] == '\0' || strchr(value, ',') != NULL))
		return complain(line, xasprintf("route.%s: expected elements without a comma, got '%s'", opt->name,
		    value));
	if (pair != NULL && opt->nvalues == 1)
		return complain(line, xasprintf("this route's option '%s' is already set", opt->name));
	if (pair != NULL)
		pair_append(pair, value);
	else
		route_add_pair(&reading->route, opt->name, strlen(opt->name), value);
	return 0;
}

static int
set_once(cfg_t *cfg, cfg_opt_t *opt, const char *value, char **to)
{
	if (*to != NULL)
		return complain((unsigned)cfg->line, xasprintf("this %s's %s is already set", cfg->name, opt->name));
	*to = xstrdup(value);
	return 0;
}

/* class, module */
static int
on_route_text(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct config_route *route = &reading->route;

	*(const char **)result = value;
	if (value[0] == '\0')
		return complain((unsigned)cfg->line, xasprintf("route.%s: expected a name, got ''", opt->name));
	return set_once(cfg, opt, value, strcmp(opt->name, "class") == 0 ? &route->class : &route->module);
}

static int
on_route_public(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	if (reading->route_public_set)
		return complain((unsigned)cfg->line, xstrdup("this route's public is already set"));
	reading->route_public_set = true;
	if (units_bool(value, &reading->route.public) < 0)
		return complain((unsigned)cfg->line, xasprintf("route.public: expected yes or no, got '%s'", value));
	return 0;
}

static int
on_key_file(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	return set_once(cfg, opt, value, &reading->key.file);
}

static int
on_key_alg(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	for (unsigned i = 0; config_algorithms[i] != NULL; i++)
		if (strcmp(config_algorithms[i], value) == 0)
			return set_once(cfg, opt, value, &reading->key.alg);
	return complain((unsigned)cfg->line, xasprintf("key.alg: expected an algorithm such as HS256, RS256 or "
	    "ES256, got '%s'", value));
}

/* Where the section began, from config_scan(). */
static int
on_line(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	unsigned line = (unsigned)strtoul(value, NULL, 10);

	*(const char **)result = value;
	if (strcmp(cfg->name, "route") == 0)
		reading->route.line = line;
	else
		reading->key_line = line;
	return 0;
}

static int
on_rate_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	*(const char **)result = value;
	if (cfg->title[0] == '\0')
		return complain((unsigned)cfg->line, xstrdup("a rate needs the name of an event"));
	if (units_rate(value, &reading->rate.rate) < 0)
		return complain((unsigned)cfg->line, xasprintf("rate \"%s\": expected N/PERIOD such as 30/60s, got '%s'",
		    cfg->title, value));
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
static int
on_rate_end(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config	   *c = &reading->set->config;
	struct config_rate rate = reading->rate;

	rate.event = xstrdup(cfg_title(last_section(opt)));
	if (strcmp(cfg->name, "route") == 0)
		rates_add(&reading->route.rates, &reading->route.n_rates, rate);
	else
		rates_add(&c->rates, &c->n_rates, rate);
	return 0;
}

static int
on_key_end(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config	  *c = &reading->set->config;
	struct config_key *key;

	c->keys = xrealloc(c->keys, (c->n_keys + 1) * sizeof(*c->keys));
	key = &c->keys[c->n_keys++];
	*key = reading->key;
	reading->key = (struct config_key){ 0 };
	key->kid = xstrdup(cfg_title(last_section(opt)));
	if (key->kid[0] == '\0')
		return complain(reading->key_line, xstrdup("a key needs a kid: key \"KID\" { file = \"...\" }"));
	if (key->file == NULL || key->file[0] == '\0')
		return complain(reading->key_line, xasprintf("key \"%s\" needs a file", key->kid));
	return 0;
}

static int
on_route_end(cfg_t *cfg, cfg_opt_t *opt)
{
	struct config	    *c = &reading->set->config;
	struct config_route *route;
	const char	    *fault;

	c->routes = xrealloc(c->routes, (c->n_routes + 1) * sizeof(*c->routes));
	route = &c->routes[c->n_routes++];
	*route = reading->route;
	reading->route = (struct config_route){ 0 };
	reading->route_public_set = false;
	route->pattern = xstrdup(cfg_title(last_section(opt)));
	fault = route_pattern_fault(route->pattern);
	if (fault != NULL)
		return complain(route->line, xasprintf("route \"%s\": the pattern %s", route->pattern, fault));
	if (route->class == NULL && route->module == NULL)
		return complain(route->line, xasprintf("route \"%s\" needs a class or a module", route->pattern));
	return 0;
}

/* `list = {}`: no value, so no callback told us. */
static void
note_empty_lists(cfg_t *cfg)
{
	autofree char	   *where = place_text(cfg);
	struct config_place at = { CONFIG_FILE, where };

	for (unsigned i = 0; i < cfg_num(cfg); i++) {
		cfg_opt_t *opt = cfg_getnopt(cfg, i);
		bool	   is_set = (opt->flags & CFGF_MODIFIED) != 0;

		if (is_set && (opt->flags & CFGF_LIST) != 0 && cfg_opt_size(opt) == 0)
			config_put_empty(reading->set, find_option(cfg, opt), at);
	}
}

static int
on_section_end(cfg_t *cfg, cfg_opt_t *opt)
{
	note_empty_lists(last_section(opt));
	return 0;
}

/* The grammar, as libconfuse wants it. cfg_init() makes a copy; the names of sections belong to us. */

static cfg_opt_t
value_grammar(const char *name, bool is_list, cfg_callback_t on_value)
{
	cfg_opt_t scalar = CFG_STR_CB(name, NULL, CFGF_NODEFAULT, on_value);
	cfg_opt_t list = CFG_STR_LIST_CB(name, NULL, CFGF_NODEFAULT, on_value);

	return is_list ? list : scalar;
}

static cfg_opt_t
section_grammar(const char *name, cfg_opt_t *options, bool titled, cfg_validate_callback_t on_end)
{
	cfg_flag_t flags = titled ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
	cfg_opt_t  section = CFG_SEC(name, options, flags);

	section.validcb = on_end;
	return section;
}

/* All options of a section, in out[config_n_options + 1]. Returns how many. */
static unsigned
options_grammar(struct slice section, cfg_opt_t *out)
{
	cfg_opt_t end = CFG_END();
	unsigned  n = 0;

	for (unsigned i = 0; i < config_n_options; i++) {
		const struct config_option *o = &config_options[i];

		if (slice_eq(config_option_section(o), section))
			out[n++] = value_grammar(config_option_key(o), config_is_list(o), on_option);
	}
	out[n] = end;
	return n;
}

/* Is row i the first of its section? */
static bool
begins_section(unsigned i)
{
	struct slice section = config_option_section(&config_options[i]);

	if (section.n == 0)
		return false;
	for (unsigned j = 0; j < i; j++)
		if (slice_eq(config_option_section(&config_options[j]), section))
			return false;
	return true;
}

static void
route_grammar(cfg_opt_t *out, cfg_opt_t *rate)
{
	cfg_opt_t end = CFG_END();

	*out++ = value_grammar(CONFIG_LINE, false, on_line);
	*out++ = value_grammar("class", false, on_route_text);
	*out++ = value_grammar("module", false, on_route_text);
	*out++ = value_grammar("public", false, on_route_public);
	*out++ = value_grammar("options", true, on_route_pair);
	for (unsigned i = 0; i < config_n_settings; i++)
		*out++ = value_grammar(config_settings[i].name, config_settings[i].type == CONFIG_LIST, on_route_setting);
	*out++ = section_grammar("rate", rate, true, on_rate_end);
	*out = end;
}

static cfg_t *
grammar_new(void)
{
	cfg_opt_t	    rate[] = { value_grammar("value", false, on_rate_value), CFG_END() };
	cfg_opt_t	    key[] = { value_grammar(CONFIG_LINE, false, on_line), value_grammar("file", false, on_key_file),
				value_grammar("alg", false, on_key_alg), CFG_END() };
	autofree cfg_opt_t *route = xcalloc(config_n_settings + 7, sizeof(*route));
	autofree cfg_opt_t *root = xcalloc(2 * config_n_options + 4, sizeof(*root));
	unsigned	    n = options_grammar(SLICE(""), root);
	cfg_t		   *cfg;

	route_grammar(route, rate);
	root[n++] = section_grammar("rate", rate, true, on_rate_end);
	root[n++] = section_grammar("key", key, true, on_key_end);
	root[n++] = section_grammar("route", route, true, on_route_end);
	for (unsigned i = 0; i < config_n_options; i++) {
		struct slice section = config_option_section(&config_options[i]);
		cfg_opt_t   *options;

		if (!begins_section(i))
			continue;
		options = xcalloc(config_n_options + 1, sizeof(*options));
		options_grammar(section, options);
		root[n++] = section_grammar(xstrndup(section.p, section.n), options, false, on_section_end);
	}
	cfg = cfg_init(root, CFGF_NONE);
	for (; n > 0 && root[n - 1].validcb == on_section_end; n--) {
		free((char *)root[n - 1].name);
		free(root[n - 1].subopts);
	}
	return cfg;
}

/* Complaints of libconfuse. */

/* A name at the top level: an option without its section, a section, or one of the three with titles. */
static void
offer_root(struct config_nearest *n)
{
	config_nearest_offer(n, SLICE("route"));
	config_nearest_offer(n, SLICE("rate"));
	config_nearest_offer(n, SLICE("key"));
	for (unsigned i = 0; i < config_n_options; i++)
		if (begins_section(i))
			config_nearest_offer(n, config_option_section(&config_options[i]));
	config_nearest_offer_options(n);
}

/* What a section with a title knows. */
static void
offer_section(struct config_nearest *n, cfg_t *cfg)
{
	for (unsigned i = 0; i < cfg_num(cfg); i++)
		config_nearest_offer(n, slice_str(cfg_getnopt(cfg, i)->name));
}

/* A name for -o. */
static char *
dotted_text(const struct config_option *o)
{
	return xasprintf("unknown option '%s' outside of sections: write %.*s { %s = ... }", o->name,
	    SLICE_ARG(config_option_section(o)), config_option_key(o));
}

static char *
unknown_text(cfg_t *cfg, const char *name)
{
	bool		      root = strcmp(cfg->name, "root") == 0, titled = cfg->title != NULL;
	autofree char	     *full = root || titled ? xstrdup(name) : xasprintf("%s.%s", cfg->name, name);
	autofree char	     *what = titled ? xasprintf("option of a %s", cfg->name) : xstrdup("option");
	struct config_nearest nearest;

	if (root && config_option_find(name) != NULL)
		return dotted_text(config_option_find(name));
	config_nearest_init(&nearest, full);
	if (titled)
		offer_section(&nearest, cfg);
	else if (root)
		offer_root(&nearest);
	else
		config_nearest_offer_options(&nearest);
	return config_nearest_text(&nearest, what);
}

/* libconfuse tells what it does not like in words only. */
static void __attribute__((format(printf, 2, 0)))
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char unknown[] = "no such option '";
	static const char twice[] = "found duplicate title ";
	autofree char	 *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = xstrdup("syntax error");
	if (strncmp(text, unknown, strlen(unknown)) == 0) {
		text[strlen(text) - 1] = '\0';
		complain((unsigned)cfg->line, unknown_text(cfg, text + strlen(unknown)));
	} else if (strncmp(text, twice, strlen(twice)) == 0) {
		complain((unsigned)cfg->line, xasprintf("%s is already there: a pattern, kid or event stands "
		    "once", text + strlen(twice)));
	} else {
		complain((unsigned)cfg->line, xstrdup(text));
	}
}

/* Reading. */

static int
parse(const char *prepared)
{
	cfg_t *cfg = grammar_new();
	int    r;

	cfg_set_error_function(cfg, on_error);
	r = cfg_parse_buf(cfg, prepared);
	if (r == CFG_SUCCESS)
		note_empty_lists(cfg);
	else
		complain((unsigned)cfg->line, xstrdup("syntax error"));
	cfg_free(cfg);
	return r == CFG_SUCCESS ? 0 : EX_CONFIG;
}

int
config_text_read(struct config_set *set, const char *file, struct slice text, char **why)
{
	struct reader	    reader = { .set = set, .file = file };
	autobuf struct buf prepared = { 0 };
	int		    r;

	r = config_scan(file, text, &prepared, why);
	if (r < 0)
		return EX_CONFIG;
	*buf_room(&prepared, 1) = '\0';
	reading = &reader;
	r = parse(prepared.p);
	reading = NULL;
	config_route_free(&reader.route);
	config_key_free(&reader.key);
	*why = reader.why;
	return r;
}

/* Everything there is, up to MAX_FILE. 0 or -errno. */
static int
read_all(int fd, struct buf *out)
{
	for (;;) {
		ssize_t n = read(fd, buf_room(out, 4096), 4096);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		out->n += (size_t)n;
		if (out->n > MAX_FILE)
			return -EFBIG;
	}
}

static int
open_and_read(struct config_set *set, struct buf *text)
{
	struct stat st;
	int	    fd, r;

	fd = open(set->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	set->file_mode = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_mode : 0;
	r = read_all(fd, text);
	close(fd);
	return r;
}

int
config_file_read(struct config_set *set, char **why)
{
	autobuf struct buf text = { 0 };
	int		r;

	r = open_and_read(set, &text);
	if (r == 0)
		return config_text_read(set, set->file, buf_slice(&text), why);
	*why = xasprintf("%s: %s", set->file, strerror(-r));
	return EX_CONFIG;
}
