/*
 * The Origin policy.
 */
#include "server/origin.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

/* Empty parts match anything. */
struct origin {
	struct slice	scheme;
	struct slice	host;		/* without "*." */
	struct slice	port;
	bool		subdomains;
	bool		any;
	bool		self;
	char	       *text;		/* what the slices point into */
};

struct origins {
	unsigned	n;
	struct origin	items[];
};

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Letters, digits and these. */
static bool
is_made_of(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && strchr(others, s.p[i]) == NULL))
			return false;
	return true;
}

static bool
scheme_is_valid(struct slice s)
{
	return s.n > 0 && is_alpha(s.p[0]) && is_made_of(s, "+-.");
}

static bool
host_is_valid(struct slice h)
{
	if (h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		return strspn(h.p + 1, "0123456789abcdefABCDEF:.") >= h.n - 2;
	return h.n > 0 && is_made_of(h, "-._~");
}

/* As browsers write it: two texts of one port would not be equal. */
static bool
port_is_valid(struct slice p)
{
	unsigned n = 0;

	if (p.n == 0 || p.n > 5 || (p.p[0] == '0' && p.n > 1))
		return false;
	for (size_t i = 0; i < p.n; i++) {
		if (!is_digit(p.p[i]))
			return false;
		n = n * 10 + (unsigned)(p.p[i] - '0');
	}
	return n <= UINT16_MAX;
}

/* HOST[:PORT] into its parts. */
static bool
authority_split(struct slice a, struct slice *host, struct slice *port)
{
	size_t end = a.n;

	*port = slice("", 0);
	while (end > 0 && a.p[end - 1] != ':' && a.p[end - 1] != ']')
		end--;
	if (end > 0 && a.p[end - 1] == ':') {
		*port = slice_from(a, end);
		a.n = end - 1;
		if (!port_is_valid(*port))
			return false;
	}
	*host = a;
	return host_is_valid(a);
}

/* [SCHEME:]//HOST[:PORT] into its parts; false if it has no "//" or anything behind. */
static bool
origin_split(struct slice text, struct slice *scheme, struct slice *host, struct slice *port)
{
	size_t at = 0;

	while (at + 1 < text.n && !(text.p[at] == '/' && text.p[at + 1] == '/'))
		at++;
	if (at + 1 >= text.n)
		return false;
	*scheme = slice(text.p, at > 0 ? at - 1 : 0);
	if (at > 0 && (text.p[at - 1] != ':' || !scheme_is_valid(*scheme)))
		return false;
	return authority_split(slice_from(text, at + 2), host, port);
}

/* Where a scheme says which port is meant. */
static struct slice
default_port(struct slice scheme)
{
	if (slice_eq_nocase(scheme, SLICE("http")) || slice_eq_nocase(scheme, SLICE("ws")))
		return SLICE("80");
	if (slice_eq_nocase(scheme, SLICE("https")) || slice_eq_nocase(scheme, SLICE("wss")))
		return SLICE("443");
	return SLICE("");
}

static bool
origin_parse(struct origin *o, const char *pattern)
{
	struct slice text;

	*o = (struct origin){ .text = xstrdup(pattern) };
	text = slice_str(o->text);
	if (slice_is(text, "*"))
		return o->any = true;
	if (slice_is(text, "self"))
		return o->self = true;
	if (strstr(o->text, "//") == NULL) {
		o->subdomains = slice_starts(text, SLICE("*."));
		return authority_split(slice_from(text, o->subdomains ? 2 : 0), &o->host, &o->port);
	}
	text.p = strstr(o->text, "//*.");
	if (text.p != NULL) {
		o->subdomains = true;
		/* The pattern without its star is an origin. */
		memmove((char *)(uintptr_t)text.p + 2, text.p + 4, strlen(text.p + 4) + 1);
	}
	if (!origin_split(slice_str(o->text), &o->scheme, &o->host, &o->port))
		return false;
	if (o->port.n == 0)
		o->port = default_port(o->scheme);
	return true;
}

struct origins *
origins_new(const char *const *patterns, unsigned n, char **why)
{
	struct origins *set = xcalloc(1, sizeof(*set) + n * sizeof(set->items[0]));

	for (set->n = 0; set->n < n; set->n++) {
		if (origin_parse(&set->items[set->n], patterns[set->n]))
			continue;
		*why = xasprintf("origins: expected [SCHEME:]//HOST[:PORT], \"self\" or \"*\", got '%s'", patterns[set->n]);
		set->n++;
		return origins_free(set);
	}
	return set;
}

struct origins *
origins_free(struct origins *set)
{
	if (set == NULL)
		return NULL;
	for (unsigned i = 0; i < set->n; i++)
		free(set->items[i].text);
	free(set);
	return NULL;
}

static bool
host_matches(const struct origin *o, struct slice host)
{
	size_t more;

	if (slice_eq_nocase(o->host, host))
		return true;
	if (!o->subdomains || host.n <= o->host.n + 1)
		return false;
	more = host.n - o->host.n;
	return host.p[more - 1] == '.' && slice_eq_nocase(slice_from(host, more), o->host);
}

static bool
origin_matches_self(struct slice scheme, struct slice host, struct slice port, struct slice request)
{
	struct slice own_host, own_port, fallback = default_port(scheme);

	if (!authority_split(request, &own_host, &own_port) || !slice_eq_nocase(host, own_host))
		return false;
	return slice_eq(port.n > 0 ? port : fallback, own_port.n > 0 ? own_port : fallback);
}

bool
origins_allow(const struct origins *set, struct slice origin, struct slice request)
{
	struct slice scheme, host, port;
	bool	     whole = origin_split(origin, &scheme, &host, &port);

	for (unsigned i = 0; i < set->n; i++) {
		const struct origin *o = &set->items[i];
		struct slice	     meant;

		if (o->any)
			return true;
		if (!whole)
			continue;
		if (o->self && origin_matches_self(scheme, host, port, request))
			return true;
		if (o->self || !host_matches(o, host))
			continue;
		meant = port.n > 0 ? port : default_port(scheme);
		if ((o->scheme.n == 0 || slice_eq_nocase(o->scheme, scheme)) && (o->port.n == 0 || slice_eq(o->port, meant)))
			return true;
	}
	return false;
}
