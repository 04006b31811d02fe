/*
 * Guards: three lines, an entry, a topic and claims, for each of a few patterns. Nobody without a claim gets in by one, and an
 * entry more never shuts anybody out.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/utf8.h"
#include "session/guard.h"
#include "session/routes.h"
#include "wire/json.h"

static const char *const patterns[] = { "*", "room:*", "{kind}-{name}", "user:{user}", NULL };

static struct slice
take_line(struct slice *in)
{
	const char  *end = in->n > 0 ? memchr(in->p, '\n', in->n) : NULL;
	struct slice line = { in->p, end != NULL ? (size_t)(end - in->p) : in->n };

	*in = slice_from(*in, line.n + (end != NULL));
	return line;
}

static void
fuzz_verdict(const char *pattern, const char *entry, const struct guard *g, struct guard_case c)
{
	const char *both[] = { "claim no.such.claim = x", entry, NULL };
	const bool  yes = guard_allows(g, &c);
	char	   *why = NULL;
	struct guard *more = guard_new(pattern, both, &why);

	assert(more != NULL && guard_allows(more, &c) >= yes);
	guard_free(more);
	c.claims = SLICE("{}");
	c.user = SLICE("");
	assert(!guard_allows(g, &c) || strstr(entry, "anyone") != NULL);
}

static void
fuzz_pattern(const char *pattern, const char *entry, struct slice topic, struct slice claims)
{
	const char   *list[] = { entry, NULL };
	char	     *why = NULL;
	struct guard *g = guard_new(pattern, list, &why);

	assert((g == NULL) == (why != NULL));
	if (g != NULL && route_match(pattern, topic, NULL, NULL))
		fuzz_verdict(pattern, entry, g,
		    (struct guard_case){ .pattern = pattern, .topic = topic, .user = SLICE("u1"), .claims = claims });
	guard_free(g);
	free(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice   in = slice((const char *)data, size), line = take_line(&in), topic = take_line(&in);
	enum json_kind kind = JSON_NULL;
	char	      *entry;

	if (!utf8_valid(in) || in.n == 0 || json_scan(in, &kind) != (ssize_t)in.n || kind != JSON_OBJECT)
		in = SLICE("{\"a\":\"b\",\"c\":{\"d\":[\"e\",1]}}");
	entry = xstrndup(line.p, line.n);
	for (unsigned i = 0; patterns[i] != NULL; i++)
		fuzz_pattern(patterns[i], entry, topic, in);
	free(entry);
	return 0;
}
