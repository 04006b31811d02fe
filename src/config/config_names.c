/*
 * "Did you mean …?": the known name that is nearest to an unknown one.
 */
#include <limits.h>

#include "base/mem.h"
#include "config/config_internal.h"

#define MAX_NAME	64

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

unsigned
config_distance(struct slice a, struct slice b)
{
	unsigned rows[3][MAX_NAME + 1] = { 0 };
	unsigned *before = rows[0], *last = rows[1], *row = rows[2], *spare;

	if (a.n > MAX_NAME || b.n > MAX_NAME)
		return UINT_MAX;
	for (unsigned j = 0; j <= b.n; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		row[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			bool same = a.p[i - 1] == b.p[j - 1];
			bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];

			row[j] = min3(row[j - 1] + 1, last[j] + 1, last[j - 1] + !same);
			if (swapped && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[b.n];
}

/* Behind the last dot. */
static struct slice
name_key(struct slice name)
{
	const char *dot = memrchr(name.p, '.', name.n);

	return dot != NULL ? slice_from(name, (size_t)(dot - name.p) + 1) : name;
}

void
config_nearest_init(struct config_nearest *n, const char *wanted)
{
	*n = (struct config_nearest){
		.wanted = slice_str(wanted),
		.best = SLICE(""),
		/* A third of the letters may be wrong: more of them, and any short name is like any other. */
		.distance = (unsigned)name_key(slice_str(wanted)).n / 3 + 2,
	};
}

void
config_nearest_offer(struct config_nearest *n, struct slice candidate)
{
	unsigned d = config_distance(n->wanted, candidate);

	if (d >= n->distance)
		return;
	n->distance = d;
	n->best = candidate;
}

void
config_nearest_offer_options(struct config_nearest *n)
{
	for (unsigned i = 0; i < config_n_options; i++) {
		struct slice name = slice_str(config_options[i].name);

		config_nearest_offer(n, name);
		if (n->distance > 1 && slice_eq(name_key(n->wanted), name_key(name))) {
			n->distance = 1;
			n->best = name;
		}
	}
}

char *
config_nearest_text(const struct config_nearest *n, const char *what)
{
	autofree char *wanted = config_shown(n->wanted.p, n->wanted.n);

	if (n->best.n == 0)
		return xasprintf("unknown %s '%s'", what, wanted);
	return xasprintf("unknown %s '%s', did you mean '%.*s'?", what, wanted, SLICE_ARG(n->best));
}
