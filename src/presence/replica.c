/*
 * Replicas hold references to the view's presences: equal refs in two of them are one presence.
 */
#include "presence/replica.h"

static struct slice
item_ref(const void *item)
{
	return presence_ref_text(item);
}

void
replica_init(struct replica *r, struct presence_view *v, bool visible)
{
	*r = (struct replica){ .view = v, .visible = visible };
	map_init(&r->items, item_ref);
	map_init(&r->lingering, item_ref);
}

void
replica_clear(struct replica *r)
{
	struct map	 items = r->items;
	struct presence *p;
	size_t		 at = 0;

	map_init(&r->items, item_ref);
	while ((p = map_next(&items, &at)) != NULL) {
		if (r->visible)
			presence_release(r->view, p, replica_lingers(r, p));
		map_del(&r->lingering, presence_ref_text(p));
		presence_unref(r->view, p);
	}
	map_done(&items);
}

void
replica_done(struct replica *r)
{
	replica_clear(r);
	map_done(&r->items);
	map_done(&r->lingering);
}

static bool
replica_set_lingers(struct replica *r, struct presence *p, bool lingers)
{
	if (replica_lingers(r, p) == lingers)
		return false;
	if (lingers)
		map_put(&r->lingering, p);
	else
		map_del(&r->lingering, presence_ref_text(p));
	if (r->visible)
		presence_set_lingering(r->view, p, lingers);
	return true;
}

bool
replica_put(struct replica *r, struct presence *p, bool lingers)
{
	if (replica_has(r, p))
		return replica_set_lingers(r, p, lingers);
	map_put(&r->items, presence_ref(p));
	if (r->visible)
		presence_hold(r->view, p, false);
	replica_set_lingers(r, p, lingers);
	return true;
}

bool
replica_del(struct replica *r, struct presence *p)
{
	bool lingers = replica_lingers(r, p);

	if (map_del(&r->items, presence_ref_text(p)) == NULL)
		return false;
	map_del(&r->lingering, presence_ref_text(p));
	if (r->visible)
		presence_release(r->view, p, lingers);
	presence_unref(r->view, p);
	return true;
}

void
replica_show(struct replica *r, bool visible)
{
	struct presence *p;
	size_t		 at = 0;

	if (r->visible == visible)
		return;
	r->visible = visible;
	while ((p = map_next(&r->items, &at)) != NULL)
		if (visible)
			presence_hold(r->view, p, replica_lingers(r, p));
		else
			presence_release(r->view, p, replica_lingers(r, p));
}
