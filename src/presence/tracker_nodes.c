/*
 * What the other nodes hold: their deltas, what is read of them, and whether they are up.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "presence/tracker_internal.h"

static struct presence_node *
node_find(const struct tracker *tr, struct slice name)
{
	return map_get(&tr->nodes_by_name, name);
}

/* Names come and go with processes: one that is not up and holds nothing is forgotten, the oldest first. */
static void
nodes_make_room(struct tracker *tr)
{
	list_each(l, &tr->nodes) {
		struct presence_node *n = list_entry(l, struct presence_node, in_tracker);

		if (n->state == NODE_UP || n->n_remotes > 0)
			continue;
		map_del(&tr->nodes_by_name, n->name);
		list_remove(&n->in_tracker);
		free(n);
		return;
	}
}

static struct presence_node *
node_get(struct tracker *tr, struct slice name)
{
	struct presence_node *n = node_find(tr, name);

	if (n != NULL)
		return n;
	if (tr->nodes_by_name.n >= PRESENCE_MAX_NODES)
		nodes_make_room(tr);
	n = xmalloc(sizeof(*n) + name.n);
	*n = (struct presence_node){ .name = { n->text, name.n } };
	memcpy(n->text, name.p, name.n);
	map_put(&tr->nodes_by_name, n);
	list_append(&tr->nodes, &n->in_tracker);
	return n;
}

/* Of a node that is down, all that is not newer than its death is of no interest. */
static bool
node_is_dead(const struct presence_node *n, uint64_t epoch)
{
	return n->state == NODE_DOWN && epoch <= n->epoch;
}

/* What others hold may begin a window of our own. */
static void
topic_touch_if_changed(struct presence_topic *t)
{
	if (!list_empty(&t->view.touched) || t->n_dirty > 0)
		topic_touch(t);
}

void
tracker_delta(struct tracker *tr, struct slice topic, struct slice node, uint64_t epoch,
    const struct presence_delta *d)
{
	struct presence_topic *t = tracker_topic(tr, topic);
	struct presence_node  *n;
	struct remote	      *r;

	if (t == NULL || slice_eq(node, tr->node))
		return;
	n = node_get(tr, node);
	if (node_is_dead(n, epoch))
		return;
	r = remote_get(t, n);
	if (!replica_is_older(&r->replica, epoch, d->to))
		return;
	if (d->from == 0 || d->empty)
		remote_replace(r, epoch, d->to, d->put, d->n_put);
	else if (epoch == r->replica.epoch && d->from == r->replica.version)
		remote_change(r, d);
	else {
		remote_heard(r, epoch, d->to);
		return;
	}
	remote_is_there(r);
	topic_touch_if_changed(t);
}

void
tracker_read(struct tracker *tr, struct slice topic, struct slice node, uint64_t epoch, uint64_t version,
    const struct presence_item *items, unsigned n_items)
{
	struct presence_topic *t = tracker_topic(tr, topic);
	struct presence_node  *n;
	struct remote	      *r;
	const bool	       missing = version == 0 && n_items == 0;

	if (t == NULL || slice_eq(node, tr->node))
		return;
	n = node_get(tr, node);
	r = missing ? remote_find(t, n) : remote_get(t, n);
	if (r == NULL || (!missing && node_is_dead(n, epoch)))
		return;
	r->asked = false;
	if (missing) {
		remote_is_missing(r);
	} else if (!replica_is_newer(&r->replica, epoch, version) || remote_is_less(r)) {
		remote_replace(r, epoch, version, items, n_items);
		remote_is_there(r);
	}
	remote_check_heard(r);
	topic_touch_if_changed(t);
}

static bool
is_named(struct slice name, const struct slice *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (slice_eq(names[i], name))
			return true;
	return false;
}

void
tracker_loaded(struct tracker *tr, struct slice topic, const struct slice *nodes, unsigned n)
{
	struct presence_topic *t = tracker_topic(tr, topic);

	if (t == NULL)
		return;
	list_each(l, &t->remotes) {
		struct remote *r = list_entry(l, struct remote, in_topic);

		if (!is_named(r->node->name, nodes, n))
			remote_is_missing(r);
	}
	topic_touch_if_changed(t);
	if (!t->loading)
		return;
	t->loading = false;
	timer_stop(&t->load);
	if (!timer_is_set(&t->window))
		topic_hurry(t);
}

void
tracker_heard(struct tracker *tr, struct slice topic, struct slice node, uint64_t epoch, uint64_t version)
{
	struct presence_topic *t = tracker_topic(tr, topic);
	struct presence_node  *n;

	if (t == NULL || slice_eq(node, tr->node))
		return;
	n = node_get(tr, node);
	if (!node_is_dead(n, epoch))
		remote_heard(remote_get(t, n), epoch, version);
}

/* `back`: it was down. What it wrote since then we may have, or not. */
static void
topic_node_up(struct presence_topic *t, struct presence_node *n, bool back)
{
	struct remote *r = remote_find(t, n);

	if (r != NULL)
		remote_show(r);
	if (r != NULL && r->replica.epoch < n->epoch)
		remote_ask(r);
	else if (r == NULL && back)
		tracker_ask(t->tracker, t, n);
}

static void
topic_node_down(struct presence_topic *t, struct presence_node *n)
{
	struct remote *r = remote_find(t, n);

	if (r == NULL)
		return;
	if (node_is_dead(n, r->replica.epoch))
		remote_free(r);
	else
		replica_show(&r->replica, false);
}

void
tracker_node(struct tracker *tr, struct slice node, uint64_t epoch, bool up)
{
	struct presence_node *n;
	bool		      back;

	if (slice_eq(node, tr->node))
		return;
	n = node_get(tr, node);
	/* News of an older life, after those of a younger one. */
	if (epoch < n->epoch)
		return;
	back = n->state == NODE_DOWN;
	n->state = up ? NODE_UP : NODE_DOWN;
	n->epoch = epoch;
	list_each(l, &tr->in_turn) {
		struct presence_topic *t = list_entry(l, struct presence_topic, in_tracker);

		if (up)
			topic_node_up(t, n, back);
		else
			topic_node_down(t, n);
		topic_touch_if_changed(t);
	}
}

void
tracker_rewrite(struct tracker *tr, uint64_t epoch)
{
	tr->epoch = epoch;
	list_each(l, &tr->in_turn) {
		struct presence_topic *t = list_entry(l, struct presence_topic, in_tracker);

		if (t->own.items.n > 0 || !t->whole)
			topic_write_whole(t);
	}
}

void
tracker_rewrite_topic(struct tracker *tr, struct slice topic)
{
	struct presence_topic *t = tracker_topic(tr, topic);
	struct presence_delta  nothing = { .empty = true };

	if (t != NULL) {
		topic_write_whole(t);
		return;
	}
	nothing.to = ++tr->version;
	if (tr->sync != NULL && tr->sync->write != NULL)
		tr->sync->write(tr->arg, topic, &nothing);
}

static void
topic_resync(struct presence_topic *t)
{
	list_each(l, &t->tracker->nodes) {
		struct presence_node *n = list_entry(l, struct presence_node, in_tracker);
		struct remote	     *r = n->state != NODE_DOWN ? remote_find(t, n) : NULL;

		if (r != NULL)
			remote_ask(r);
		else if (n->state == NODE_UP)
			tracker_ask(t->tracker, t, n);
	}
}

void
tracker_resync(struct tracker *tr)
{
	list_each(l, &tr->in_turn)
		topic_resync(list_entry(l, struct presence_topic, in_tracker));
}

/* What of it there is to be found in Redis. */
static uint64_t
replica_stored(const struct replica *r)
{
	return r->items.n > 0 ? r->version : 0;
}

static unsigned
topic_audit(struct presence_topic *t, tracker_audit_fn *fn, void *arg)
{
	unsigned n = 1;

	fn(arg, t->name, SLICE(""), t->tracker->epoch, replica_stored(&t->own));
	list_each(l, &t->remotes) {
		const struct remote *r = list_entry(l, const struct remote, in_topic);

		fn(arg, t->name, r->node->name, r->replica.epoch, replica_stored(&r->replica));
		n++;
	}
	return n;
}

void
tracker_audit(struct tracker *tr, unsigned n, tracker_audit_fn *fn, void *arg)
{
	for (size_t left = tr->topics.n, done = 0; left > 0 && done < n; left--) {
		struct list *l = list_take_link(&tr->in_turn);

		list_append(&tr->in_turn, l);
		done += topic_audit(list_entry(l, struct presence_topic, in_tracker), fn, arg);
	}
}
