/*
 * The grammar of a configuration file, made for libconfuse from the table of options, and its complaints
 * made better.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config/config_reader.h"

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

/* All options of a section, and the end, in out[config_n_options + 1]. */
static void
options_grammar(struct slice section, cfg_opt_t *out)
{
	cfg_opt_t end = CFG_END();
	unsigned  n = 0;

	for (unsigned i = 0; i < config_n_options; i++) {
		const struct config_option *o = &config_options[i];

		if (slice_eq(config_option_section(o), section))
			out[n++] = value_grammar(config_option_key(o), config_is_list(o), config_on_option);
	}
	out[n] = end;
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

	*out++ = value_grammar(CONFIG_LINE, false, config_on_line);
	*out++ = value_grammar("class", false, config_on_route_text);
	*out++ = value_grammar("module", false, config_on_route_text);
	*out++ = value_grammar("public", false, config_on_route_public);
	*out++ = value_grammar("rate_reason", false, config_on_route_rate_reason);
	*out++ = value_grammar("allow", true, config_on_route_allow);
	*out++ = value_grammar("authorize_url", false, config_on_route_authorize_url);
	*out++ = value_grammar("options", true, config_on_route_pair);
	for (unsigned i = 0; i < config_n_settings; i++)
		*out++ = value_grammar(config_settings[i].name, config_settings[i].type == CONFIG_LIST,
		    config_on_route_setting);
	*out++ = section_grammar("rate", rate, true, config_on_rate_end);
	*out = end;
}

/* All sections of the table, in out[config_n_options]. Returns how many. */
static unsigned
sections_grammar(cfg_opt_t *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < config_n_options; i++) {
		struct slice section = config_option_section(&config_options[i]);
		cfg_opt_t   *options;

		if (!begins_section(i))
			continue;
		options = xcalloc(config_n_options + 1, sizeof(*options));
		options_grammar(section, options);
		out[n++] = section_grammar(xstrndup(section.p, section.n), options, false, config_on_section_end);
	}
	return n;
}

cfg_t *
config_grammar_new(void)
{
	cfg_opt_t	    rate[] = { value_grammar("value", false, config_on_rate_value), CFG_END() };
	cfg_opt_t	    key[] = { value_grammar(CONFIG_LINE, false, config_on_line),
				value_grammar("file", false, config_on_key_file),
				value_grammar("alg", false, config_on_key_alg), CFG_END() };
	autofree cfg_opt_t *route = xcalloc(config_n_settings + 10, sizeof(*route));
	autofree cfg_opt_t *root = xcalloc(2 * config_n_options + 4, sizeof(*root));
	unsigned	    n_sections = sections_grammar(root), n = n_sections;
	cfg_t		   *cfg;

	route_grammar(route, rate);
	root[n++] = section_grammar("rate", rate, true, config_on_rate_end);
	root[n++] = section_grammar("key", key, true, config_on_key_end);
	root[n++] = section_grammar("route", route, true, config_on_route_end);
	options_grammar(SLICE(""), root + n);
	/* It makes a copy of everything. */
	cfg = cfg_init(root, CFGF_NONE);
	assert(cfg != NULL);
	for (unsigned i = 0; i < n_sections; i++) {
		free((char *)root[i].name);
		free(root[i].subopts);
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
void
config_on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char unknown[] = "no such option '";
	static const char twice[] = "found duplicate title ";
	autofree char	 *text = NULL, *better = NULL;
	unsigned	  line = (unsigned)cfg->line;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	if (strncmp(text, unknown, strlen(unknown)) == 0) {
		text[strlen(text) - 1] = '\0';
		better = unknown_text(cfg, text + strlen(unknown));
		config_complain(line, "%s", better);
	} else if (strncmp(text, twice, strlen(twice)) == 0)
		config_complain(line, "%s is already there: a pattern, kid or event stands once", text + strlen(twice));
	else
		config_complain(line, "%s", text);
}
