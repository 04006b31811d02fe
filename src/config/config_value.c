/*
 * Values of options: from text into struct config, each by its type, and back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/mem.h"
#include "config/config_internal.h"

#define MAX_SHOWN	80	/* bytes of somebody's text in a message */

static void *
field(const struct config *c, const struct config_option *o)
{
	return (char *)c + o->offset;
}

static bool
is_text(const struct config_option *o)
{
	return o->type == CONFIG_STRING || o->type == CONFIG_SECRET;
}

static uint64_t
number_get(const struct config *c, const struct config_option *o)
{
	const void *p = field(c, o);

	if (o->size == sizeof(uint8_t))
		return *(const uint8_t *)p;
	return o->size == sizeof(uint32_t) ? *(const uint32_t *)p : *(const uint64_t *)p;
}

static void
number_set(struct config *c, const struct config_option *o, uint64_t n)
{
	void *p = field(c, o);

	if (o->size == sizeof(uint8_t))
		*(uint8_t *)p = (uint8_t)n;
	else if (o->size == sizeof(uint32_t))
		*(uint32_t *)p = (uint32_t)n;
	else
		*(uint64_t *)p = n;
}

char *
config_shown(const char *text, size_t n)
{
	size_t shown = n > MAX_SHOWN ? MAX_SHOWN : n;
	char  *out = xasprintf("%.*s%s", (int)shown, text, shown < n ? "..." : "");

	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return out;
}

/* Says who was wrong: the file's line and the option, the variable or the flag. */
static int
refuse(const struct config_option *o, struct config_place at, const char *expected, const char *text,
    char **why)
{
	bool	       in_file = at.source == CONFIG_FILE;
	autofree char *subject = xasprintf("%s%s%s", at.where, in_file ? ": " : "", in_file ? o->name : "");
	autofree char *shown = config_shown(text, strlen(text));

	if (o->type == CONFIG_SECRET)
		*why = xasprintf("%s: %s", subject, expected);
	else
		*why = xasprintf("%s: %s, got '%s'", subject, expected, shown);
	return EX_CONFIG;
}

static void
originate(struct config_set *set, const struct config_option *o, struct config_place at)
{
	struct config_origin *origin = config_origin(set, o);

	free(origin->where);
	*origin = (struct config_origin){ at.source, at.where != NULL ? xstrdup(at.where) : NULL };
}

void
config_list_add(struct config_list *l, const char *item, size_t n)
{
	l->items = xrealloc(l->items, (l->n + 1) * sizeof(*l->items));
	l->items[l->n++] = xstrndup(item, n);
}

void
config_list_free(struct config_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct config_list){ 0 };
}

/* NULL, or what was expected of a string. */
static const char *
string_fault(const struct config_option *o, const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return "expected no control characters";
	return o->check != NULL ? o->check(text) : NULL;
}

/* The place of a word among those allowed, or -EINVAL. */
static int
choice_find(const char *const *choices, const char *text)
{
	for (int i = 0; choices[i] != NULL; i++)
		if (strcmp(choices[i], text) == 0)
			return i;
	return -EINVAL;
}

static int
refuse_choice(const struct config_option *o, const char *text, struct config_place at, char **why)
{
	autobuf struct buf expected = { 0 };

	buf_add_str(&expected, "expected");
	for (unsigned i = 0; o->choices[i] != NULL; i++)
		buf_addf(&expected, "%s %s", i == 0 ? "" : o->choices[i + 1] == NULL ? " or" : ",", o->choices[i]);
	buf_add_char(&expected, '\0');
	return refuse(o, at, expected.p, text, why);
}

static void
text_copy(char **to, const char *from)
{
	free(*to);
	*to = xstrdup(from);
}

static int
put_string(struct config_set *set, const struct config_option *o, const char *text, struct config_place at,
    char **why)
{
	const char *fault = string_fault(o, text);

	if (fault != NULL)
		return refuse(o, at, fault, text, why);
	if (o->choices != NULL && text[0] != '\0' && choice_find(o->choices, text) < 0)
		return refuse_choice(o, text, at, why);
	text_copy(field(&set->config, o), text);
	originate(set, o, at);
	return 0;
}

static int
parse_number(const struct config_option *o, const char *text, uint64_t *n)
{
	bool yes;
	int  r;

	switch (o->type) {
	case CONFIG_BOOL:
		r = units_bool(text, &yes);
		if (r == 0)
			*n = yes;
		return r;
	case CONFIG_SIZE:
		return units_size(text, n);
	case CONFIG_DURATION:
		return units_duration(text, n);
	case CONFIG_ENUM:
		r = choice_find(o->choices, text);
		if (r >= 0)
			*n = (uint64_t)r;
		return r < 0 ? r : 0;
	default:
		return units_number(text, n);
	}
}

/* A number as it is written for its type. */
static char *
number_text(const struct config_option *o, uint64_t n, char *out, size_t size)
{
	if (o->type == CONFIG_SIZE)
		return units_size_text(n, out, size);
	if (o->type == CONFIG_DURATION)
		return units_duration_text(n, out, size);
	if (o->type == CONFIG_BOOL)
		snprintf(out, size, "%s", n != 0 ? "yes" : "no");
	else if (o->type == CONFIG_ENUM)
		snprintf(out, size, "%s", o->choices[n]);
	else
		snprintf(out, size, "%" PRIu64, n);
	return out;
}

static int
refuse_number(const struct config_option *o, const char *text, struct config_place at, char **why)
{
	switch (o->type) {
	case CONFIG_BOOL:
		return refuse(o, at, "expected yes or no", text, why);
	case CONFIG_SIZE:
		return refuse(o, at, "expected a size such as 64k or 1m", text, why);
	case CONFIG_DURATION:
		return refuse(o, at, "expected a duration such as 500ms, 10s or 5m", text, why);
	case CONFIG_ENUM:
		return refuse_choice(o, text, at, why);
	default:
		return refuse(o, at, "expected a whole number", text, why);
	}
}

static int
refuse_range(const struct config_option *o, const char *text, struct config_place at, char **why)
{
	char	       min[32], max[32];
	autofree char *expected = xasprintf("expected %s to %s", number_text(o, o->min, min, sizeof(min)),
	    number_text(o, o->max, max, sizeof(max)));

	return refuse(o, at, expected, text, why);
}

static int
put_number(struct config_set *set, const struct config_option *o, const char *text, struct config_place at,
    char **why)
{
	uint64_t n = 0;
	int	 r;

	r = parse_number(o, text, &n);
	if (r == -EINVAL)
		return refuse_number(o, text, at, why);
	if (r == -ERANGE || (o->max > 0 && (n < o->min || n > o->max)))
		return refuse_range(o, text, at, why);
	number_set(&set->config, o, n);
	originate(set, o, at);
	return 0;
}

void
config_put_empty(struct config_set *set, const struct config_option *o, struct config_place at)
{
	config_list_free(field(&set->config, o));
	originate(set, o, at);
}

/* NULL, or what was expected of an element. */
static const char *
item_fault(const struct config_option *o, const struct config_list *list, const char *item)
{
	struct addr_listen address;
	const char	  *fault = NULL;

	if (item[0] == '\0')
		return "expected no empty element";
	if (list->n >= CONFIG_MAX_ITEMS)
		return "expected at most 256 elements";
	fault = string_fault(o, item);
	if (fault != NULL || o->type != CONFIG_LISTEN)
		return fault;
	if (list->n >= CONFIG_MAX_LISTEN)
		return "expected at most 16 addresses";
	if (strcmp(item, "none") == 0)
		return NULL;
	return addr_listen_parse(&address, item, &fault) < 0 ? fault : NULL;
}

int
config_put_item(struct config_set *set, const struct config_option *o, const char *item, struct config_place at,
    char **why)
{
	struct config_list *list = field(&set->config, o);
	const char	   *fault = item_fault(o, list, item);

	if (fault != NULL)
		return refuse(o, at, fault, item, why);
	config_list_add(list, item, strlen(item));
	originate(set, o, at);
	return 0;
}

/* The length of the first element. A comma divides, but for the flags behind an address. */
static size_t
item_length(const struct config_option *o, const char *text)
{
	size_t n = strcspn(text, ",");

	while (o->type == CONFIG_LISTEN && text[n] == ',') {
		struct slice flag = slice(text + n + 1, strcspn(text + n + 1, ","));

		if (!slice_is(flag, "proxy") && !slice_is(flag, "tls"))
			break;
		n += 1 + flag.n;
	}
	return n;
}

static int
put_list(struct config_set *set, const struct config_option *o, const char *text, struct config_place at,
    char **why)
{
	size_t n, len;
	int    r;

	config_put_empty(set, o, at);
	for (; text[0] != '\0'; text += n + (text[n] == ',')) {
		autofree char *item = NULL;

		/* Blanks around a comma are its own. */
		text += strspn(text, " ");
		len = n = item_length(o, text);
		while (len > 0 && text[len - 1] == ' ')
			len--;
		item = xstrndup(text, len);
		r = config_put_item(set, o, item, at, why);
		if (r != 0)
			return r;
	}
	return 0;
}

int
config_put(struct config_set *set, const struct config_option *o, const char *text, struct config_place at,
    char **why)
{
	switch (o->type) {
	case CONFIG_STRING:
	case CONFIG_SECRET:
		return put_string(set, o, text, at, why);
	case CONFIG_LIST:
	case CONFIG_LISTEN:
		return put_list(set, o, text, at, why);
	default:
		return put_number(set, o, text, at, why);
	}
}

static void
list_copy(struct config_list *to, const struct config_list *from)
{
	config_list_free(to);
	for (unsigned i = 0; i < from->n; i++)
		config_list_add(to, from->items[i], strlen(from->items[i]));
}

void
config_copy(struct config_set *to, const struct config_set *from, const struct config_option *o)
{
	const struct config_origin *origin = config_origin(from, o);

	if (config_is_list(o))
		list_copy(field(&to->config, o), field(&from->config, o));
	else if (is_text(o))
		text_copy(field(&to->config, o), *(char **)field(&from->config, o));
	else
		number_set(&to->config, o, number_get(&from->config, o));
	originate(to, o, (struct config_place){ origin->source, origin->where });
}

void
config_quote(struct buf *out, const char *text)
{
	buf_add_char(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, *text);
	}
	buf_add_char(out, '"');
}

static void
list_text(const struct config_list *list, struct buf *out)
{
	buf_add_str(out, "{");
	for (unsigned i = 0; i < list->n; i++) {
		buf_add_str(out, i > 0 ? ", " : " ");
		config_quote(out, list->items[i]);
	}
	buf_add_str(out, list->n > 0 ? " }" : "}");
}

void
config_value_text(const struct config *c, const struct config_option *o, struct buf *out)
{
	char number[32];

	switch (o->type) {
	case CONFIG_STRING:
	case CONFIG_SECRET:
		config_quote(out, *(char **)field(c, o));
		break;
	case CONFIG_LIST:
	case CONFIG_LISTEN:
		list_text(field(c, o), out);
		break;
	default:
		buf_add_str(out, number_text(o, number_get(c, o), number, sizeof(number)));
	}
}

void
config_key_free(struct config_key *k)
{
	free(k->kid);
	free(k->file);
	free(k->alg);
	*k = (struct config_key){ 0 };
}

void
config_rate_free(struct config_rate *r)
{
	free(r->event);
	*r = (struct config_rate){ 0 };
}

static void
pair_free(struct config_pair *p)
{
	free(p->name);
	free(p->value);
}

void
config_route_free(struct config_route *r)
{
	for (unsigned i = 0; i < r->n_options; i++)
		pair_free(&r->options[i]);
	for (unsigned i = 0; i < r->n_rates; i++)
		config_rate_free(&r->rates[i]);
	free(r->options);
	free(r->rates);
	free(r->pattern);
	free(r->class);
	free(r->module);
	free(r->rate_reason);
	free(r->authorize_url);
	config_list_free(&r->allow);
	*r = (struct config_route){ 0 };
}

static void
option_free(struct config *c, const struct config_option *o)
{
	if (is_text(o))
		free(*(char **)field(c, o));
	else if (config_is_list(o))
		config_list_free(field(c, o));
}

void
config_values_free(struct config *c)
{
	for (unsigned i = 0; i < config_n_options; i++)
		option_free(c, &config_options[i]);
	for (unsigned i = 0; i < c->n_keys; i++)
		config_key_free(&c->keys[i]);
	for (unsigned i = 0; i < c->n_rates; i++)
		config_rate_free(&c->rates[i]);
	for (unsigned i = 0; i < c->n_routes; i++)
		config_route_free(&c->routes[i]);
	free(c->keys);
	free(c->rates);
	free(c->routes);
	*c = (struct config){ 0 };
}
