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

void
stats_expose(const struct stats *s, struct buf *out)
{
#define X(name, type, help) expose(out, #name, #type, help, s->name);
	STATS(X)
#undef X
}
