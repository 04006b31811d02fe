/*
 * Counts by name.
 */
#include "server/census.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct head {
	struct slice	name;
	uint64_t	n;
	char		text[];
};

static struct slice
head_key(const void *item)
{
	const struct head *h = item;

	return h->name;
}

void
census_init(struct census *c)
{
	map_init(&c->heads, head_key);
}

void
census_done(struct census *c)
{
	struct head *h;
	size_t	     at = 0;

	while ((h = map_next(&c->heads, &at)) != NULL)
		free(h);
	map_done(&c->heads);
}

bool
census_enter(struct census *c, struct slice name, uint64_t limit)
{
	struct head *h = map_get(&c->heads, name);

	if (h == NULL) {
		h = xmalloc(sizeof(*h) + name.n);
		*h = (struct head){ .name = slice(h->text, name.n) };
		memcpy(h->text, name.p, name.n);
		map_put(&c->heads, h);
	}
	if (limit > 0 && h->n >= limit)
		return false;
	h->n++;
	return true;
}

void
census_leave(struct census *c, struct slice name)
{
	struct head *h = map_get(&c->heads, name);

	assert(h != NULL && h->n > 0);
	if (--h->n > 0)
		return;
	map_del(&c->heads, name);
	free(h);
}
