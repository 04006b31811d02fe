/*
 * Who is present in one topic: key -> metas, each with the number of replicas that hold it. What clients were told lags
 * behind that by a window, at whose end the difference is the diff. Text in, text out.
 */
#ifndef PRESENCE_PRESENCE_VIEW_H
#define PRESENCE_PRESENCE_VIEW_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

struct presence_linger;
struct presence_member;

#define PRESENCE_REF	16	/* characters of a ref that we make */

/* All metas of one key. Exists while it has any, or is in `touched`. */
struct presence_key {
	struct slice	name;
	struct slice	token;		/* the name as a JSON string */
	struct list	in_keys;	/* in order of arrival */
	struct list	in_touched;	/* something changed in this window */
	struct list	metas;		/* struct presence, in order of arrival */
	uint32_t	n;		/* metas that replicas hold */
	uint32_t	n_shown;	/* metas that clients were told of */
	char		text[];
};

/*
 * One meta, under its ref: that never changes. It lives while anybody has a reference: each replica that holds it, the
 * clients that were told of it, and the list of what is to be written.
 */
struct presence {
	struct presence_key *key;
	struct list	in_key;
	uint32_t	refs;
	uint32_t	meta_len;
	uint16_t	holders;	/* visible replicas that hold it */
	uint16_t	lingering;	/* those of them in which it lingers */
	uint8_t		ref_len;
	bool		shown : 1;
	bool		own : 1;	/* in our own replica */
	bool		dirty : 1;	/* there it came, went or changed since the last write */
	bool		written : 1;	/* there it was at the last write */
	bool		silent : 1;	/* another node had it before we looked: that it is there is no change */
	struct presence_member *owner;	/* who tracks it; own alone */
	struct list	in_owned;
	struct presence_linger *linger;	/* own, and nobody's: how long yet */
	char		text[];		/* ref and meta */
};

struct presence_view {
	struct map	keys;
	struct map	refs;
	struct list	in_order;	/* keys */
	struct list	touched;
	uint32_t	n_shown;	/* keys that clients were told of */
	uint32_t	n_here;		/* metas that replicas hold, and that do not linger in all of them */
	bool		seen;		/* somebody knows what there was: nothing is silent any more */
};

void presence_view_init(struct presence_view *);
/* Whoever has references: they are void. */
void presence_view_done(struct presence_view *);

static inline struct slice
presence_ref_text(const struct presence *p)
{
	return slice(p->text, p->ref_len);
}

static inline struct slice
presence_meta(const struct presence *p)
{
	return slice(p->text + p->ref_len, p->meta_len);
}

struct presence_key *presence_view_key(const struct presence_view *, struct slice name);
struct presence *presence_view_get(const struct presence_view *, struct slice ref);
/* A new meta, which nobody holds; the ref must not be there. Returns a reference. */
struct presence *presence_view_add(struct presence_view *, struct slice key, struct slice ref, struct slice meta);
struct presence *presence_ref(struct presence *);
struct presence *presence_unref(struct presence_view *, struct presence *);
/* One more visible replica holds it, or one less. */
void presence_hold(struct presence_view *, struct presence *, bool lingers);
void presence_release(struct presence_view *, struct presence *, bool lingers);
/* It lingers in one more of them, or one less. */
void presence_set_lingering(struct presence_view *, struct presence *, bool lingers);
/* The oldest meta of that key whose client is gone everywhere; NULL = none. */
struct presence *presence_lingering(const struct presence_key *);

/*
 * The window ends: clients know now what replicas hold. True if that is a change; then its net effect was added to
 * `diff` as presence_diff's payload. diff NULL = nobody wants to know.
 */
bool presence_view_settle(struct presence_view *, struct buf *diff);
/* What a window made of one key; by order of arrival. Borrowed. */
struct presence_change {
	struct presence	    **now;	/* all that are there; the last n_new of them are new */
	unsigned	      n, n_new;
	struct presence	    **gone;
	unsigned	      n_gone;
};
typedef void presence_change_fn(void *arg, const struct presence_key *, const struct presence_change *);
/*
 * The same, also told key by key; of the silent ones nobody is told. fn may change the view: what that does to keys which it was
 * told of is for the next window.
 */
bool presence_view_settle_each(struct presence_view *, struct buf *diff, presence_change_fn *fn, void *arg);
/* Whatever is not shown yet will be new when it is. */
static inline void
presence_view_seen(struct presence_view *v)
{
	v->seen = true;
}
/* What clients know, as presence_state's payload. */
void presence_view_state(const struct presence_view *, struct buf *);

#endif
