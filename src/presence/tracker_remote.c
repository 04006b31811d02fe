/*
 * Another node's replica of a topic: what is heard of it, applied or read.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "presence/tracker_internal.h"

#define RETRY_MS	2500	/* two heartbeats and a half: by then a node that lives has written its hash again */

void
tracker_ask(const struct tracker *tr, const struct presence_topic *t, const struct presence_node *n)
{
	if (tr->sync != NULL && tr->sync->read != NULL)
		tr->sync->read(tr->arg, t->name, n->name);
}

void
remote_ask(struct remote *r)
{
	r->asked = true;
	tracker_ask(r->topic->tracker, r->topic, r->node);
}

/* There is something newer than what we know: it is read, if that is not under way. */
void
remote_heard(struct remote *r, uint64_t epoch, uint64_t version)
{
	if (!replica_is_older(&r->replica, epoch, version))
		return;
	if (epoch > r->heard_epoch || (epoch == r->heard_epoch && version > r->heard_version)) {
		r->heard_epoch = epoch;
		r->heard_version = version;
		r->again = false;
	}
	if (!r->asked)
		remote_ask(r);
}

static void
remote_on_retry(struct timer *timer, uint64_t now_ms)
{
	remote_ask(container_of(timer, struct remote, retry));
}

struct remote *
remote_find(const struct presence_topic *t, const struct presence_node *n)
{
	list_each(l, &t->remotes) {
		struct remote *r = list_entry(l, struct remote, in_topic);

		if (r->node == n)
			return r;
	}
	return NULL;
}

struct remote *
remote_get(struct presence_topic *t, struct presence_node *n)
{
	struct remote *r = remote_find(t, n);

	if (r != NULL)
		return r;
	r = xmalloc(sizeof(*r));
	*r = (struct remote){ .topic = t, .node = n, .retry.fire = remote_on_retry };
	replica_init(&r->replica, &t->view, n->state == NODE_UP);
	list_append(&t->remotes, &r->in_topic);
	n->n_remotes++;
	return r;
}

void
remote_free(struct remote *r)
{
	timer_stop(&r->retry);
	replica_done(&r->replica);
	list_remove(&r->in_topic);
	r->node->n_remotes--;
	free(r);
}

void
remote_is_there(struct remote *r)
{
	r->missing = r->less = false;
	timer_stop(&r->retry);
}

/*
 * A node that is up holds this presence: it may have taken it over from us. Where both have a client for it, as both
 * took it over from a third at once, one of them gives way.
 */
static void
remote_took(struct remote *r, struct presence *p)
{
	struct presence_topic *t = r->topic;
	struct presence	      *prev;

	if (p->linger != NULL)
		own_del(t, p);
	else if (p->owner != NULL && slice_compare(t->tracker->node, r->node->name) > 0)
		own_rename(t, p);
	if (t->own.lingering.n == 0)
		return;
	prev = presence_view_get(&t->view, presence_meta_prev(presence_meta(p)));
	if (prev != NULL && prev->linger != NULL)
		own_del(t, prev);
}

static void
remote_put(struct remote *r, const struct presence_item *item)
{
	struct presence_view *v = &r->topic->view;
	struct presence	     *p = presence_view_get(v, item->ref);

	if (item->key.n == 0 || item->ref.n == 0 || item->ref.n > UINT8_MAX)
		return;
	if (p == NULL) {
		p = presence_view_add(v, item->key, item->ref, item->meta);
		p->silent = r->topic->loading;
	} else if (slice_eq(p->key->name, item->key)) {
		presence_ref(p);
	} else {
		return;
	}
	replica_put(&r->replica, p, item->lingers);
	if (r->replica.visible && !item->lingers)
		remote_took(r, p);
	presence_unref(v, p);
}

void
remote_change(struct remote *r, const struct presence_delta *d)
{
	for (unsigned i = 0; i < d->n_put; i++)
		remote_put(r, &d->put[i]);
	for (unsigned i = 0; i < d->n_gone; i++) {
		struct presence *p = presence_view_get(&r->topic->view, d->gone[i].ref);

		if (p != NULL)
			replica_del(&r->replica, p);
	}
	r->replica.version = d->to;
}

/* All that it holds. What it held before goes last: so what is in both never went. */
void
remote_replace(struct remote *r, uint64_t epoch, uint64_t version, const struct presence_item *items, unsigned n)
{
	struct replica old = r->replica;

	replica_init(&r->replica, old.view, old.visible);
	r->replica.epoch = epoch;
	r->replica.version = version;
	for (unsigned i = 0; i < n; i++)
		remote_put(r, &items[i]);
	replica_done(&old);
}

/*
 * There is no hash. If the node lives, under the epoch of what we have, then Redis may have been emptied: its owner will
 * know soon.
 */
void
remote_is_missing(struct remote *r)
{
	const bool lives = r->node->state == NODE_UP && r->node->epoch <= r->replica.epoch;

	if (r->replica.items.n == 0 || timer_is_set(&r->retry))
		return;
	if (lives && !r->missing) {
		r->missing = true;
		loop_timer(r->topic->tracker->loop, &r->retry, r->topic->tracker->loop->now + RETRY_MS);
		return;
	}
	r->missing = false;
	replica_clear(&r->replica);
	/* Should it be there again after all, then it is news. */
	r->replica.version = 0;
}

/*
 * Redis tells changes as it takes them, so that an answer that falls behind them is overtaken soon. If nothing comes,
 * we were told what nobody wrote. True if that is to be believed.
 */
bool
remote_is_less(struct remote *r)
{
	if (timer_is_set(&r->retry))
		return false;
	if (r->less)
		return true;
	r->less = true;
	loop_timer(r->topic->tracker->loop, &r->retry, r->topic->tracker->loop->now + RETRY_MS);
	return false;
}

/* Less than what was heard of: it is read once more, then believed. */
void
remote_check_heard(struct remote *r)
{
	if (!replica_is_older(&r->replica, r->heard_epoch, r->heard_version) || timer_is_set(&r->retry))
		return;
	if (r->again) {
		r->heard_epoch = r->replica.epoch;
		r->heard_version = r->replica.version;
	} else {
		r->again = true;
		remote_ask(r);
	}
}

void
remote_show(struct remote *r)
{
	struct presence *p;
	size_t		 at = 0;

	if (r->replica.visible)
		return;
	replica_show(&r->replica, true);
	while ((p = map_next(&r->replica.items, &at)) != NULL)
		if (!replica_lingers(&r->replica, p))
			remote_took(r, p);
}
