/*
 * The configuration as the file would have it, with the place that each value comes from.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_internal.h"

static void
dump_secret(const char *value, struct buf *out)
{
	buf_add_str(out, value[0] != '\0' ? "(set)" : "\"\"");
}

/* Without the password that it may hold. */
static void
dump_url(const char *url, struct buf *out)
{
	const char     *at = strrchr(url, '@'), *host = strstr(url, "://");
	const char     *password = at != NULL && host != NULL ? strchr(host + 3, ':') : NULL;
	autofree char  *hidden = NULL;

	if (password == NULL || password > at) {
		config_quote(out, url);
		return;
	}
	hidden = xasprintf("%.*s:(set)%s", (int)(password - url), url, at);
	config_quote(out, hidden);
}

static void
dump_option(const struct config_set *set, const struct config_option *o, struct buf *out)
{
	const struct config_origin *origin = config_origin(set, o);

	buf_addf(out, "%s = ", o->name);
	if (o->type == CONFIG_SECRET)
		dump_secret(*(char *const *)(const void *)((const char *)&set->config + o->offset), out);
	else if (strcmp(o->name, "redis.url") == 0)
		dump_url(set->config.redis_url, out);
	else
		config_value_text(&set->config, o, out);
	buf_addf(out, "   # %s\n", origin->where != NULL ? origin->where : "default");
}

static void
dump_assignment(struct buf *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_addf(out, "\t%s = ", name);
	config_quote(out, value);
	buf_add_char(out, '\n');
}

static void
dump_opening(struct buf *out, const char *what, const char *title)
{
	buf_addf(out, "%s ", what);
	config_quote(out, title);
	buf_add_str(out, " {\n");
}

static void
dump_key(const struct config_key *k, struct buf *out)
{
	dump_opening(out, "key", k->kid);
	dump_assignment(out, "file", k->file);
	dump_assignment(out, "alg", k->alg);
	buf_add_str(out, "}\n");
}

static void
dump_rate(const struct config_rate *r, const char *indent, struct buf *out)
{
	char period[32];

	buf_addf(out, "%srate ", indent);
	config_quote(out, r->event);
	buf_addf(out, " = %u/%s\n", r->rate.count, units_duration_text(r->rate.period_ms, period, sizeof(period)));
}

/* Elements have no commas. */
static void
dump_list(const struct config_pair *p, struct buf *out)
{
	buf_addf(out, "\t%s = {", p->name);
	for (const char *at = p->value;; at++) {
		autofree char *element = xstrndup(at, strcspn(at, ","));

		buf_add_char(out, ' ');
		config_quote(out, element);
		at += strlen(element);
		if (*at == '\0')
			break;
		buf_add_char(out, ',');
	}
	buf_add_str(out, " }\n");
}

static void
dump_known_options(const struct config_route *r, struct buf *out)
{
	for (unsigned i = 0; i < r->n_options; i++) {
		const struct config_pair    *p = &r->options[i];
		const struct config_setting *setting = config_setting_find(p->name);

		if (setting != NULL && setting->type == CONFIG_LIST)
			dump_list(p, out);
		else if (setting != NULL)
			dump_assignment(out, p->name, p->value);
	}
}

static void
dump_other_options(const struct config_route *r, struct buf *out)
{
	const char *before = "\toptions = { ";

	for (unsigned i = 0; i < r->n_options; i++) {
		autofree char *pair = xasprintf("%s=%s", r->options[i].name, r->options[i].value);

		if (config_setting_find(r->options[i].name) != NULL)
			continue;
		buf_add_str(out, before);
		config_quote(out, pair);
		before = ", ";
	}
	if (before[0] == ',')
		buf_add_str(out, " }\n");
}

static void
dump_allow(const struct config_list *allow, struct buf *out)
{
	for (unsigned i = 0; i < allow->n; i++) {
		buf_add_str(out, i == 0 ? "\tallow = { " : ", ");
		config_quote(out, allow->items[i]);
	}
	if (allow->n > 0)
		buf_add_str(out, " }\n");
}

static void
dump_route(const struct config_set *set, const struct config_route *r, struct buf *out)
{
	buf_addf(out, "# %s:%u\n", set->file != NULL ? set->file : "", r->line);
	dump_opening(out, "route", r->pattern);
	dump_assignment(out, "class", r->class);
	dump_assignment(out, "module", r->module);
	if (r->public)
		buf_add_str(out, "\tpublic = yes\n");
	dump_assignment(out, "rate_reason", r->rate_reason);
	dump_allow(&r->allow, out);
	dump_assignment(out, "authorize_url", r->authorize_url);
	dump_known_options(r, out);
	dump_other_options(r, out);
	for (unsigned i = 0; i < r->n_rates; i++)
		dump_rate(&r->rates[i], "\t", out);
	buf_add_str(out, "}\n");
}

void
config_dump(const struct config_set *set, FILE *file)
{
	const struct config *c = &set->config;
	autobuf struct buf out = { 0 };

	for (unsigned i = 0; i < config_n_options; i++)
		dump_option(set, &config_options[i], &out);
	for (unsigned i = 0; i < c->n_keys; i++)
		dump_key(&c->keys[i], &out);
	for (unsigned i = 0; i < c->n_rates; i++)
		dump_rate(&c->rates[i], "", &out);
	for (unsigned i = 0; i < c->n_routes; i++)
		dump_route(set, &c->routes[i], &out);
	fwrite(out.p, 1, out.n, file);
}
