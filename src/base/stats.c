/*
 * The counters' home until they get a slot of the shared page, and their exposition.
 */
#include "base/stats.h"

#include <inttypes.h>

static struct stats own;
struct stats	   *stats = &own;

static void
expose(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	buf_addf(out, "# HELP roost_%s %s\n", name, help);
	buf_addf(out, "# TYPE roost_%s %s\n", name, type);
	buf_addf(out, "roost_%s %" PRIu64 "\n", name, value);
}

static uint64_t
higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void
stats_merge(struct stats *sum, const struct stats *s)
{
	enum { counter, gauge, level };

#define X(name, kind, help) sum->name = kind == level ? higher(sum->name, s->name) : sum->name + s->name;
	STATS(X)
#undef X
}

void
stats_expose(const struct stats *s, struct buf *out)
{
	static const char counter[] = "counter", gauge[] = "gauge", level[] = "gauge";

#define X(name, kind, help) expose(out, #name, kind, help, s->name);
	STATS(X)
#undef X
}
