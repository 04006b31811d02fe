/*
 * Arrays of presences, and their refs.
 */
#include "presence/items.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "wire/json.h"

void
presence_items_done(struct presence_items *a)
{
	free(a->items);
	*a = (struct presence_items){ 0 };
}

void
presence_items_add(struct presence_items *a, const struct presence_item *item)
{
	if (item->meta.n > PRESENCE_MAX_META || a->n == PRESENCE_MAX_ITEMS) {
		a->dropped++;
		return;
	}
	if (a->n == a->cap) {
		a->cap = a->cap == 0 ? 16 : 2 * a->cap;
		a->items = xrealloc(a->items, a->cap * sizeof(*a->items));
	}
	a->items[a->n++] = *item;
}

static struct slice
item_ref(const void *item)
{
	const struct presence_item *i = item;

	return i->ref;
}

void
presence_items_linger(struct presence_items *a, const struct presence_items *refs)
{
	struct map by_ref;

	if (refs->n == 0)
		return;
	map_init(&by_ref, item_ref);
	for (unsigned i = 0; i < refs->n; i++)
		if (map_get(&by_ref, refs->items[i].ref) == NULL)
			map_put(&by_ref, &refs->items[i]);
	for (unsigned i = 0; i < a->n; i++)
		a->items[i].lingers = map_get(&by_ref, a->items[i].ref) != NULL;
	map_done(&by_ref);
}

static int
compare_items(const void *a, const void *b)
{
	const struct presence_item *x = a, *y = b;
	int			    r = slice_compare(x->key, y->key);

	return r != 0 ? r : slice_compare(x->ref, y->ref);
}

void
presence_items_sort(struct presence_items *a)
{
	if (a->n > 0)
		qsort(a->items, a->n, sizeof(*a->items), compare_items);
}

int
presence_number(struct slice text, uint64_t *number)
{
	uint64_t n = 0;

	if (text.n == 0 || text.n > 16)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EINVAL;
		n = 10 * n + (uint64_t)(text.p[i] - '0');
	}
	if (n > PRESENCE_MAX_NUMBER)
		return -EINVAL;
	*number = n;
	return 0;
}

bool
presence_ref_is_valid(struct slice ref)
{
	return ref.n > 0 && ref.n <= PRESENCE_MAX_REF && memchr(ref.p, '/', ref.n) == NULL;
}

int
presence_find_ref(struct slice meta, char *scratch, size_t size, struct slice *ref)
{
	struct slice token = json_member(meta, "phx_ref");

	if (token.p == NULL || *token.p != '"' || json_text(token, scratch, size, ref) < 0)
		return -EINVAL;
	return presence_ref_is_valid(*ref) ? 0 : -EINVAL;
}
