/*
 * The map of one topic's presences, and the diff of a window: what changed twice within it has not changed.
 */
#include "presence/presence_view.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/json.h"

static struct slice
key_name(const void *item)
{
	const struct presence_key *k = item;

	return k->name;
}

static struct slice
presence_name(const void *item)
{
	return presence_ref_text(item);
}

void
presence_view_init(struct presence_view *v)
{
	*v = (struct presence_view){ .n_shown = 0 };
	map_init(&v->keys, key_name);
	map_init(&v->refs, presence_name);
	list_init(&v->in_order);
	list_init(&v->touched);
}

void
presence_view_done(struct presence_view *v)
{
	list_each(l, &v->in_order) {
		struct presence_key *k = list_entry(l, struct presence_key, in_keys);

		list_each(m, &k->metas)
			free(list_entry(m, struct presence, in_key));
		free(k);
	}
	map_done(&v->keys);
	map_done(&v->refs);
}

struct presence_key *
presence_view_key(const struct presence_view *v, struct slice name)
{
	return map_get(&v->keys, name);
}

struct presence *
presence_view_get(const struct presence_view *v, struct slice ref)
{
	return map_get(&v->refs, ref);
}

static struct presence_key *
key_new(struct presence_view *v, struct slice name)
{
	const size_t	     token_len = json_quoted_len(name);
	const bool	     plain = token_len == name.n + 2;
	struct presence_key *k = xmalloc(sizeof(*k) + token_len + (plain ? 0 : name.n));

	/* The token of a name without escapes holds the name. */
	*k = (struct presence_key){
		.token = { k->text, token_len }, .name = { k->text + (plain ? 1 : token_len), name.n },
	};
	if (!plain)
		memcpy(k->text + token_len, name.p, name.n);
	json_quote_to(k->text, name);
	list_init(&k->metas);
	list_append(&v->in_order, &k->in_keys);
	map_put(&v->keys, k);
	return k;
}

static void
key_reap(struct presence_view *v, struct presence_key *k)
{
	if (!list_empty(&k->metas) || !list_empty(&k->in_touched))
		return;
	map_del(&v->keys, k->name);
	list_remove(&k->in_keys);
	free(k);
}

static void
key_touch(struct presence_view *v, struct presence_key *k)
{
	if (list_empty(&k->in_touched))
		list_append(&v->touched, &k->in_touched);
}

struct presence *
presence_view_add(struct presence_view *v, struct slice key, struct slice ref, struct slice meta)
{
	struct presence_key *k = presence_view_key(v, key);
	struct presence	    *p = xmalloc(sizeof(*p) + ref.n + meta.n);

	assert(ref.n <= UINT8_MAX && meta.n <= UINT32_MAX);
	if (k == NULL)
		k = key_new(v, key);
	*p = (struct presence){ .key = k, .refs = 1, .ref_len = (uint8_t)ref.n, .meta_len = (uint32_t)meta.n };
	memcpy(p->text, ref.p, ref.n);
	memcpy(p->text + ref.n, meta.p, meta.n);
	list_append(&k->metas, &p->in_key);
	map_put(&v->refs, p);
	return p;
}

struct presence *
presence_ref(struct presence *p)
{
	p->refs++;
	return p;
}

struct presence *
presence_unref(struct presence_view *v, struct presence *p)
{
	struct presence_key *k;

	if (p == NULL || --p->refs > 0)
		return NULL;
	assert(p->holders == 0 && !p->shown);
	k = p->key;
	map_del(&v->refs, presence_ref_text(p));
	list_remove(&p->in_key);
	free(p);
	key_reap(v, k);
	return NULL;
}

/* So many more or less of the replicas hold it, or have it linger. */
static void
presence_count(struct presence_view *v, struct presence *p, int holders, int lingering)
{
	const bool was_here = p->holders > p->lingering;

	p->holders = (uint16_t)(p->holders + holders);
	p->lingering = (uint16_t)(p->lingering + lingering);
	v->n_here += (p->holders > p->lingering) - was_here;
}

void
presence_hold(struct presence_view *v, struct presence *p, bool lingers)
{
	presence_count(v, p, 1, lingers);
	if (p->holders > 1)
		return;
	p->key->n++;
	key_touch(v, p->key);
}

void
presence_release(struct presence_view *v, struct presence *p, bool lingers)
{
	assert(p->holders > 0 && p->lingering >= lingers);
	presence_count(v, p, -1, -lingers);
	if (p->holders > 0)
		return;
	p->key->n--;
	key_touch(v, p->key);
}

void
presence_set_lingering(struct presence_view *v, struct presence *p, bool lingers)
{
	presence_count(v, p, 0, lingers ? 1 : -1);
}

struct presence *
presence_lingering(const struct presence_key *k)
{
	list_each(l, &k->metas) {
		struct presence *p = list_entry(l, struct presence, in_key);

		if (p->holders > 0 && p->lingering == p->holders)
			return p;
	}
	return NULL;
}

/* Adds {"metas":[…]} of a key, one meta at a time. */
struct metas {
	struct buf	*out;		/* NULL = nobody reads it */
	unsigned	 n;		/* of this key so far */
};

static void
metas_add(struct metas *m, const struct presence *p)
{
	if (m->out == NULL)
		return;
	if (m->n++ > 0) {
		buf_add_char(m->out, ',');
	} else {
		if (m->out->n > 0 && m->out->p[m->out->n - 1] != '{')
			buf_add_char(m->out, ',');
		buf_add_slice(m->out, p->key->token);
		buf_add_str(m->out, ":{\"metas\":[");
	}
	buf_add_slice(m->out, presence_meta(p));
}

static void
metas_end(struct metas *m)
{
	if (m->n > 0)
		buf_add_str(m->out, "]}");
}

static bool
presence_settle(struct presence_view *v, struct presence *p, struct metas *joins, struct metas *leaves)
{
	if (p->shown == (p->holders > 0))
		return false;
	p->shown = !p->shown;
	p->silent = false;
	if (p->shown) {
		presence_ref(p);
		p->key->n_shown++;
		metas_add(joins, p);
	} else {
		p->key->n_shown--;
		metas_add(leaves, p);
		presence_unref(v, p);
	}
	return true;
}

static bool
key_settle(struct presence_view *v, struct presence_key *k, struct buf *joins, struct buf *leaves)
{
	const bool   was_shown = k->n_shown > 0;
	struct metas j = { .out = joins }, l = { .out = leaves };
	bool	     changed = false;

	list_each(m, &k->metas)
		changed |= presence_settle(v, list_entry(m, struct presence, in_key), &j, &l);
	metas_end(&j);
	metas_end(&l);
	v->n_shown += (k->n_shown > 0) - was_shown;
	return changed;
}

static void
diff_begin(struct buf *diff)
{
	if (diff != NULL)
		buf_add_str(diff, "{\"joins\":{");
}

static void
diff_end(struct buf *diff, const struct buf *leaves)
{
	if (diff == NULL)
		return;
	buf_add_str(diff, "},\"leaves\":{");
	buf_add_slice(diff, buf_slice(leaves));
	buf_add_str(diff, "}}");
}

bool
presence_view_settle(struct presence_view *v, struct buf *diff)
{
	autobuf struct buf leaves = { 0 };
	struct list	  *l;
	bool		   changed = false;

	diff_begin(diff);
	while (!list_empty(&v->touched)) {
		struct presence_key *k;

		/* In the list until it is done: so it is not freed with its last meta. */
		l = v->touched.next;
		k = list_entry(l, struct presence_key, in_touched);
		changed |= key_settle(v, k, diff, diff != NULL ? &leaves : NULL);
		list_remove(l);
		key_reap(v, k);
	}
	diff_end(diff, &leaves);
	return changed;
}

static void
presence_show(struct presence *p)
{
	presence_ref(p);
	p->shown = true;
	p->silent = false;
	p->key->n_shown++;
}

/* Those that were there stand before the new ones. What is gone keeps the reference that it had as shown. */
static void
key_change(struct presence_key *k, bool silence, struct presence_change *c)
{
	list_each(l, &k->metas) {
		struct presence *p = list_entry(l, struct presence, in_key);

		if (p->shown && p->holders == 0) {
			p->shown = false;
			k->n_shown--;
			c->gone[c->n_gone++] = p;
			continue;
		}
		if (!p->shown && silence && p->silent && p->holders > 0)
			presence_show(p);
		if (p->shown)
			c->now[c->n++] = p;
	}
	list_each(l, &k->metas) {
		struct presence *p = list_entry(l, struct presence, in_key);

		if (p->shown || p->holders == 0)
			continue;
		presence_show(p);
		c->now[c->n++] = p;
		c->n_new++;
	}
}

static void
change_write(const struct presence_change *c, struct buf *joins, struct buf *leaves)
{
	struct metas j = { .out = joins }, l = { .out = leaves };

	for (unsigned i = c->n - c->n_new; i < c->n; i++)
		metas_add(&j, c->now[i]);
	for (unsigned i = 0; i < c->n_gone; i++)
		metas_add(&l, c->gone[i]);
	metas_end(&j);
	metas_end(&l);
}

/* What of the turn's keys is told. */
struct telling {
	struct buf	   *joins, *leaves;	/* NULL = nobody reads them */
	presence_change_fn *fn;
	void		   *arg;
	bool		    changed;
};

/* A key that changes lives while fn is at work: by what is shown, or by what is gone. */
static void
key_settle_alone(struct presence_view *v, struct presence_key *k, struct telling *told)
{
	const bool		   was_shown = k->n_shown > 0;
	autofree struct presence **presences = xmalloc((k->n + k->n_shown + 1) * sizeof(struct presence *));
	struct presence_change	   c = { .now = presences, .gone = presences + k->n };

	key_change(k, !v->seen, &c);
	v->n_shown += (k->n_shown > 0) - was_shown;
	if (c.n_new + c.n_gone > 0) {
		told->changed = true;
		change_write(&c, told->joins, told->leaves);
		told->fn(told->arg, k, &c);
	}
	if (c.n_gone == 0)
		key_reap(v, k);
	for (unsigned i = 0; i < c.n_gone; i++)
		presence_unref(v, c.gone[i]);
}

bool
presence_view_settle_each(struct presence_view *v, struct buf *diff, presence_change_fn *fn, void *arg)
{
	autobuf struct buf leaves = { 0 };
	struct telling	   told = { .joins = diff, .leaves = diff != NULL ? &leaves : NULL, .fn = fn, .arg = arg };
	struct list	  *l, turn;

	list_init(&turn);
	list_append_all(&turn, &v->touched);
	diff_begin(diff);
	while ((l = list_take_link(&turn)) != NULL)
		key_settle_alone(v, list_entry(l, struct presence_key, in_touched), &told);
	diff_end(diff, &leaves);
	return told.changed;
}

void
presence_view_state(const struct presence_view *v, struct buf *out)
{
	buf_add_char(out, '{');
	list_each(l, &v->in_order) {
		const struct presence_key *k = list_entry(l, const struct presence_key, in_keys);
		struct metas		   metas = { .out = out };

		if (k->n_shown == 0)
			continue;
		list_each(m, &k->metas) {
			const struct presence *p = list_entry(m, const struct presence, in_key);

			if (p->shown)
				metas_add(&metas, p);
		}
		metas_end(&metas);
	}
	buf_add_char(out, '}');
}
