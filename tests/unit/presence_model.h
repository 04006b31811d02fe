/*
 * What a stock JavaScript client makes of presence frames (protocol/phoenix.md 5.4): syncState and syncDiff. It is
 * stricter than the original: a leave of what is not there, or a join of what is, fails the test.
 */
#ifndef PRESENCE_MODEL_H
#define PRESENCE_MODEL_H

#include <check.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "presence/tracker.h"

struct model_meta {
	char	*key;	/* tokens */
	char	*ref;
	char	*meta;
};

struct model {
	struct model_meta *metas;
	unsigned	   n;
	unsigned	   states;	/* received */
	unsigned	   diffs;
	unsigned	   joins, leaves;
};

static inline void
model_clear(struct model *m)
{
	for (unsigned i = 0; i < m->n; i++) {
		free(m->metas[i].key);
		free(m->metas[i].ref);
		free(m->metas[i].meta);
	}
	free(m->metas);
	m->metas = NULL;
	m->n = 0;
}

static inline int
model_find(const struct model *m, struct slice ref)
{
	for (unsigned i = 0; i < m->n; i++)
		if (slice_is(ref, m->metas[i].ref))
			return (int)i;
	return -1;
}

static inline void
model_add(struct model *m, struct slice key, struct slice meta)
{
	struct slice ref = json_member(meta, "phx_ref");

	ck_assert_uint_gt(ref.n, 2);
	ck_assert_msg(model_find(m, ref) < 0, "%.*s joins twice", SLICE_ARG(ref));
	m->metas = xrealloc(m->metas, (m->n + 1) * sizeof(*m->metas));
	m->metas[m->n++] = (struct model_meta){
		.key = xstrndup(key.p, key.n), .ref = xstrndup(ref.p, ref.n), .meta = xstrndup(meta.p, meta.n),
	};
	m->joins++;
}

static inline void
model_del(struct model *m, struct slice key, struct slice meta)
{
	struct slice ref = json_member(meta, "phx_ref");
	int	     i = model_find(m, ref);

	ck_assert_msg(i >= 0, "%.*s leaves before it joins", SLICE_ARG(ref));
	ck_assert(slice_is(key, m->metas[i].key));
	ck_assert(slice_is(meta, m->metas[i].meta));
	free(m->metas[i].key);
	free(m->metas[i].ref);
	free(m->metas[i].meta);
	m->metas[i] = m->metas[--m->n];
	m->leaves++;
}

/* Each meta of {KEY:{"metas":[…]}}. */
static inline void
model_each(struct model *m, struct slice map, void (*fn)(struct model *, struct slice, struct slice))
{
	struct slice   key, value, metas, meta;
	enum json_kind type;
	size_t	       at = 0;

	ck_assert_int_eq(json_scan(map, &type), (ssize_t)map.n);
	ck_assert_int_eq(type, JSON_OBJECT);
	while (json_next_member(map, &at, &key, &value)) {
		metas = json_member(value, "metas");
		ck_assert(json_take(&metas, '['));
		ck_assert_msg(metas.p[0] != ']', "no metas");
		do {
			ck_assert_int_eq(json_take_value(&metas, &meta, &type), 0);
			fn(m, key, meta);
		} while (json_take(&metas, ','));
	}
}

static inline void
model_state(struct model *m, struct slice payload)
{
	model_clear(m);
	model_each(m, payload, model_add);
	m->states++;
}

static inline void
model_diff(struct model *m, struct slice payload)
{
	ck_assert_msg(m->states > 0, "a diff before the state");
	model_each(m, json_member(payload, "joins"), model_add);
	model_each(m, json_member(payload, "leaves"), model_del);
	m->diffs++;
}

/* One V2 frame: the model takes what is about presence. */
static inline void
model_frame(struct model *m, struct slice text)
{
	struct slice   field[5];
	enum json_kind type;

	ck_assert(json_take(&text, '['));
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(json_take_value(&text, &field[i], &type), 0);
		ck_assert(json_take(&text, i < 4 ? ',' : ']'));
	}
	if (slice_is(field[3], "\"presence_state\""))
		model_state(m, field[4]);
	else if (slice_is(field[3], "\"presence_diff\""))
		model_diff(m, field[4]);
}

static inline bool
model_same(const struct model *a, const struct model *b)
{
	for (unsigned i = 0; i < a->n; i++) {
		int j = model_find(b, slice_str(a->metas[i].ref));

		if (j < 0 || strcmp(a->metas[i].key, b->metas[j].key) != 0 ||
		    strcmp(a->metas[i].meta, b->metas[j].meta) != 0)
			return false;
	}
	return a->n == b->n;
}

/* Does it show what that presence_state says, no more and no less? */
static inline bool
model_equals(const struct model *m, struct slice state)
{
	struct model other = { 0 };
	bool	     same;

	model_state(&other, state);
	same = model_same(m, &other);
	model_clear(&other);
	return same;
}

/* A client whose frames nobody takes but the model. */
struct viewer {
	struct outq		out;
	struct subscriber	sub;
	struct presence_member *member;
	struct model		model;
};

static inline void
viewer_flush(struct outq *q)
{
}

static inline void
viewer_init(struct viewer *v, struct loop *loop)
{
	*v = (struct viewer){ .sub = { .out = &v->out, .codec = &codec_phoenix_v2 } };
	outq_init(&v->out, loop, viewer_flush);
}

static inline struct presence_member *
viewer_enter_as(struct viewer *v, struct tracker *tr, struct pubsub *ps, const char *topic, const char *join_ref,
    enum presence_ways ways)
{
	model_clear(&v->model);
	v->model = (struct model){ .n = 0 };
	hub_subscribe(&ps->hub, &v->sub, slice_str(topic));
	v->member = tracker_enter(tr, &v->sub, slice_str(join_ref), ways);
	return v->member;
}

static inline struct presence_member *
viewer_enter(struct viewer *v, struct tracker *tr, struct pubsub *ps, const char *topic, const char *join_ref)
{
	return viewer_enter_as(v, tr, ps, topic, join_ref, PRESENCE_SHOWN);
}

/* The model reads what has come. */
static inline void
viewer_reads(struct viewer *v)
{
	for (unsigned i = 0; i < v->out.n; i++) {
		struct frame *f = outq_at(&v->out, i);

		model_frame(&v->model, slice(frame_body(f), frame_body_len(f)));
	}
	outq_clear_unsent(&v->out);
}

static inline void
viewer_leave(struct viewer *v, struct pubsub *ps, uint64_t grace)
{
	viewer_reads(v);
	tracker_leave(v->member, grace);
	hub_unsubscribe(&ps->hub, &v->sub);
	v->member = NULL;
}

static inline void
viewer_done(struct viewer *v, struct pubsub *ps)
{
	if (v->member != NULL)
		viewer_leave(v, ps, 0);
	outq_done(&v->out);
	model_clear(&v->model);
}

#endif
