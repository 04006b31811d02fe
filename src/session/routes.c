/*
 * The route table and its patterns.
 */
#include "session/routes.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/classes.h"
#include "session/guard.h"

#define MAX_DURATION	(UINT64_C(1) << 50)	/* ms: no sum with a clock overflows */

/* Does the pattern name that capture again, from `p` on? */
static bool
pattern_repeats(const char *p, struct slice name)
{
	while ((p = strchr(p, '{')) != NULL) {
		const char *end = strchr(p, '}');

		if (end != NULL && slice_eq(slice(p + 1, (size_t)(end - p) - 1), name))
			return true;
		p++;
	}
	return false;
}

const char *
route_pattern_fault(const char *pattern)
{
	bool after_capture = false;

	if (*pattern == '\0')
		return "is empty";
	for (const char *p = pattern; *p != '\0'; p++) {
		const char *end;

		if (*p == '*' && p[1] != '\0')
			return "has a \"*\" before its end";
		if (*p == '}')
			return "has a \"}\" that nothing opened";
		if (*p != '{') {
			after_capture = false;
			continue;
		}
		end = strchr(p, '}');
		if (end == NULL || end == p + 1)
			return "has a \"{\" without name and \"}\"";
		if (after_capture)
			return "has two captures with nothing between them";
		if (pattern_repeats(end, slice(p + 1, (size_t)(end - p) - 1)))
			return "names a capture twice";
		after_capture = true;
		p = end;
	}
	return NULL;
}

/*
 * A capture takes as little as lets the rest match. Patterns come from the operator and topics are short, so
 * trying is cheap.
 */
static bool
match_from(const char *p, struct slice topic, size_t at, const char *name, struct slice *capture)
{
	const char  *end;
	struct slice called;

	for (; *p != '{' && *p != '*'; p++, at++) {
		if (*p == '\0')
			return at == topic.n;
		if (at >= topic.n || topic.p[at] != *p)
			return false;
	}
	if (*p == '*') {
		if (name != NULL && strcmp(name, "*") == 0)
			*capture = slice(topic.p + at, topic.n - at);
		return true;
	}
	end = strchr(p, '}');
	called = slice(p + 1, (size_t)(end - p) - 1);
	for (size_t len = 1; at + len <= topic.n && topic.p[at + len - 1] != ':'; len++) {
		if (!match_from(end + 1, topic, at + len, name, capture))
			continue;
		if (name != NULL && slice_is(called, name))
			*capture = slice(topic.p + at, len);
		return true;
	}
	return false;
}

bool
route_match(const char *pattern, struct slice topic, const char *name, struct slice *capture)
{
	if (capture != NULL)
		*capture = slice(NULL, 0);
	return match_from(pattern, topic, 0, name, capture);
}

struct routes *
routes_new(void)
{
	struct routes *t = xmalloc(sizeof(*t));

	*t = (struct routes){ .refs = 1 };
	return t;
}

struct routes *
routes_ref(struct routes *t)
{
	t->refs++;
	return t;
}

static void
route_free(struct channel_route *r)
{
	if (r->class->unconfigure != NULL)
		r->class->unconfigure(r->data);
	for (unsigned i = 0; i < r->n_settings; i++) {
		free((void *)(uintptr_t)r->settings[i].name);
		free((void *)(uintptr_t)r->settings[i].value);
	}
	for (unsigned i = 0; i < r->n_rates; i++)
		free((void *)(uintptr_t)r->rates[i].event);
	free(r->settings);
	free(r->rates);
	free(r->rate_reason);
	free(r->authorize_url);
	guard_free(r->guard);
	free(r->pattern);
	free(r);
}

struct routes *
routes_unref(struct routes *t)
{
	if (t == NULL || --t->refs > 0)
		return NULL;
	for (unsigned i = 0; i < t->n; i++)
		route_free(t->items[i]);
	free(t->items);
	free(t);
	return NULL;
}

static const struct channel_option *
class_option(const struct channel_class *class, const char *name)
{
	for (const struct channel_option *o = class->options; o != NULL && o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

/* A copy of what was asked for, owned by the table. */
static struct channel_route *
route_new(struct routes *t, const struct route_options *o, const struct channel_class *class)
{
	struct channel_route *r = xmalloc(sizeof(*r));

	*r = (struct channel_route){
		.table = t, .pattern = xstrdup(o->pattern), .class = class, .public = o->public,
		.settings = xcalloc(o->n_settings, sizeof(*o->settings)), .n_settings = o->n_settings,
		.rates = xcalloc(o->n_rates, sizeof(*o->rates)), .n_rates = o->n_rates,
		.rate_reason = xstrdup(o->rate_reason != NULL ? o->rate_reason : "rate_limit"),
		.authorize_url = o->authorize_url != NULL ? xstrdup(o->authorize_url) : NULL,
	};
	for (unsigned i = 0; i < o->n_settings; i++)
		r->settings[i] = (struct route_setting){ xstrdup(o->settings[i].name), xstrdup(o->settings[i].value) };
	for (unsigned i = 0; i < o->n_rates; i++)
		r->rates[i] = (struct route_rate){ xstrdup(o->rates[i].event), o->rates[i].rate };
	return r;
}

static int
route_guard(const struct route_options *o, struct guard **guard, char **why)
{
	autofree char *fault = NULL;

	if (o->allow == NULL)
		return 0;
	*guard = guard_new(o->pattern, o->allow, &fault);
	if (*guard != NULL)
		return 0;
	*why = xasprintf("route \"%s\": %s", o->pattern, fault);
	return -EINVAL;
}

int
routes_add(struct routes *t, const struct route_options *o, char **why)
{
	const struct channel_class *class = class_find(o->class);
	const char		   *fault = route_pattern_fault(o->pattern);
	struct guard		   *guard = NULL;
	struct channel_route	   *r;

	if (fault != NULL) {
		*why = xasprintf("route \"%s\": the pattern %s", o->pattern, fault);
		return -EINVAL;
	}
	if (class == NULL) {
		*why = xasprintf("route \"%s\": there is no class \"%s\"", o->pattern, o->class);
		return -EINVAL;
	}
	for (unsigned i = 0; i < o->n_settings; i++) {
		if (class_option(class, o->settings[i].name) != NULL)
			continue;
		*why = xasprintf("route \"%s\": the class %s has no option \"%s\"", o->pattern, class->name,
		    o->settings[i].name);
		return -EINVAL;
	}
	if (route_guard(o, &guard, why) < 0)
		return -EINVAL;
	r = route_new(t, o, class);
	r->guard = guard;
	fault = "the class refused the options";
	if (class->configure != NULL && class->configure(r, &r->data, &fault) < 0) {
		*why = xasprintf("route \"%s\": %s", o->pattern, fault);
		r->data = NULL;
		route_free(r);
		return -EINVAL;
	}
	t->items = xrealloc(t->items, (t->n + 1) * sizeof(*t->items));
	t->items[t->n++] = r;
	return 0;
}

const struct channel_route *
routes_match(const struct routes *t, struct slice topic)
{
	for (unsigned i = 0; i < t->n; i++)
		if (route_match(t->items[i]->pattern, topic, NULL, NULL))
			return t->items[i];
	return NULL;
}

bool
route_history(const struct channel_route *r, struct history_limits *limits)
{
	return r->class->history != NULL && r->class->history(r->data, limits);
}

const struct rate *
route_rate(const struct channel_route *r, struct slice event)
{
	for (unsigned i = 0; i < r->n_rates; i++)
		if (slice_is(event, r->rates[i].event))
			return &r->rates[i].rate;
	return NULL;
}

const char *
channel_route_option(const struct channel_route *r, const char *name)
{
	const struct channel_option *o = class_option(r->class, name);

	for (unsigned i = 0; i < r->n_settings; i++)
		if (strcmp(r->settings[i].name, name) == 0)
			return r->settings[i].value;
	return o != NULL ? o->fallback : NULL;
}

int
channel_route_bool(const struct channel_route *r, const char *name, bool *value)
{
	const char *text = channel_route_option(r, name);

	return text != NULL && units_bool(text, value) == 0 ? 0 : -1;
}

int
channel_route_number(const struct channel_route *r, const char *name, uint64_t *value)
{
	const char *text = channel_route_option(r, name);

	return text != NULL && units_number(text, value) == 0 ? 0 : -1;
}

int
channel_route_duration(const struct channel_route *r, const char *name, uint64_t *ms)
{
	const char *text = channel_route_option(r, name);

	return text != NULL && units_duration(text, ms) == 0 && *ms <= MAX_DURATION ? 0 : -1;
}
