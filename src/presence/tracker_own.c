/*
 * Our own replica of a topic: what members track, and what lingers when they are gone.
 */
#include <stdlib.h>

#include "base/b64.h"
#include "base/id.h"
#include "base/mem.h"
#include "presence/tracker_internal.h"

void
linger_stop(struct presence *p)
{
	if (p->linger == NULL)
		return;
	timer_stop(&p->linger->timer);
	free(p->linger);
	p->linger = NULL;
}

static void
topic_mark_dirty(struct presence_topic *t, struct presence *p)
{
	topic_touch(t);
	if (p->dirty)
		return;
	p->dirty = true;
	if (t->n_dirty == t->cap_dirty) {
		t->cap_dirty = t->cap_dirty > 0 ? t->cap_dirty * 2 : 4;
		t->dirty = xrealloc(t->dirty, t->cap_dirty * sizeof(struct presence *));
	}
	t->dirty[t->n_dirty++] = presence_ref(p);
}

void
own_put(struct presence_topic *t, struct presence *p, bool lingers)
{
	if (!replica_put(&t->own, p, lingers))
		return;
	p->own = true;
	topic_mark_dirty(t, p);
}

void
own_del(struct presence_topic *t, struct presence *p)
{
	topic_mark_dirty(t, p);
	linger_stop(p);
	p->owner = NULL;
	list_remove(&p->in_owned);
	p->own = false;
	replica_del(&t->own, p);
}

void
member_own(struct presence_member *m, struct presence *p)
{
	p->owner = m;
	list_append(&m->owned, &p->in_owned);
}

/* A new presence of that member: `members` is the meta's inside, without the server's own. */
void
member_add(struct presence_member *m, struct slice key, struct slice members, struct slice prev)
{
	struct presence_topic *t = m->topic;
	autobuf struct buf     meta = { 0 };
	uint8_t		       random[PRESENCE_REF / 4 * 3];
	char		       ref[B64_LEN(sizeof(random))];
	struct presence	      *p;

	id_random(random, sizeof(random));
	b64url_encode(random, sizeof(random), ref);
	presence_meta_write(&meta, members, slice(ref, sizeof(ref)), prev);
	p = presence_view_add(&t->view, key, slice(ref, sizeof(ref)), buf_slice(&meta));
	member_own(m, p);
	own_put(t, p, false);
	presence_unref(&t->view, p);
}

/* A new presence in an old one's place, which is ours, or lingers anywhere. */
void
member_replace(struct presence_member *m, struct presence *old, struct slice members)
{
	struct presence_topic *t = m->topic;
	const bool	       elsewhere = old->holders > old->own;
	struct slice	       prev = presence_ref_text(old);

	/* Nobody has seen a ref that is of this very window. */
	if (!old->shown && !elsewhere)
		prev = presence_meta_prev(presence_meta(old));
	presence_ref(old);
	member_add(m, old->key->name, members, prev);
	if (old->own)
		own_del(t, old);
	/* Its node lets it go when it reads phx_ref_prev: our clients need not wait for that. */
	list_each(l, &t->remotes) {
		struct remote *r = list_entry(l, struct remote, in_topic);

		if (replica_lingers(&r->replica, old))
			replica_del(&r->replica, old);
	}
	presence_unref(&t->view, old);
}

void
own_rename(struct presence_topic *t, struct presence *p)
{
	autobuf struct buf members = { 0 };

	presence_meta_members(presence_meta(p), &members);
	member_add(p->owner, p->key->name, buf_slice(&members), SLICE(""));
	own_del(t, p);
}

static void
linger_end(struct timer *timer, uint64_t now_ms)
{
	struct presence_linger *l = container_of(timer, struct presence_linger, timer);

	own_del(l->topic, l->presence);
}

void
linger_start(struct presence_topic *t, struct presence *p, uint64_t grace_ms)
{
	struct presence_linger *l = xmalloc(sizeof(*l));

	*l = (struct presence_linger){ .timer.fire = linger_end, .topic = t, .presence = p };
	loop_timer(t->tracker->loop, &l->timer, t->tracker->loop->now + grace_ms);
	p->linger = l;
	p->owner = NULL;
	list_remove(&p->in_owned);
	own_put(t, p, true);
}
