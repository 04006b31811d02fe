/*
 * Clients that are told as lost: those of a dead node, those of an orphan (nobody knows the node, and yet Redis keeps
 * clients of it), and what is left of ours when we go. Redis does it step by step.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "backplane/happenings_internal.h"
#include "backplane/happenings_scripts.h"

/* A node whose clients are lost, until Redis has said so. */
struct sweep {
	struct list	   in_sweeps;
	struct happenings *all;
	uint64_t	   epoch;	/* of an orphan 0: nobody knows it */
	bool		   orphan;
	bool		   asked;
	const char	  *cause;
	char		   node[];
};

static void sweep_ask(struct sweep *);

static struct sweep *
sweep_new(struct happenings *h, struct slice node, const char *cause)
{
	struct sweep *s = xmalloc(sizeof(*s) + node.n + 1);

	*s = (struct sweep){ .all = h, .cause = cause };
	memcpy(s->node, node.p, node.n);
	s->node[node.n] = '\0';
	list_append(&h->sweeps, &s->in_sweeps);
	return s;
}

static bool
happenings_has_sweep(const struct happenings *h, struct slice node)
{
	list_each(link, &h->sweeps)
		if (slice_is(node, list_entry(link, struct sweep, in_sweeps)->node))
			return true;
	return false;
}

/* Where that cannot be known, the next place, or death, asks again. */
static void
on_orphans(void *arg, const struct redisReply *r)
{
	struct happenings *h = arg;

	for (size_t i = 0; redis_is_array(r) && i < r->elements; i++) {
		struct slice  node = redis_text(r->element[i]);
		struct sweep *s;

		if (slice_is(node, h->node) || happenings_has_sweep(h, node))
			continue;
		s = sweep_new(h, node, "node_lost");
		s->orphan = true;
		sweep_ask(s);
	}
}

static void
happenings_ask_orphans(struct happenings *h)
{
	struct slice keys[] = { slice_str(h->nodes), slice_str(h->registry) };

	redis_eval(h->redis, &happenings_orphans_script, on_orphans, h, keys, 2, NULL, 0);
}

static void
sweep_done(struct sweep *s)
{
	struct happenings *h = s->all;
	const bool	   orphan = s->orphan;

	list_remove(&s->in_sweeps);
	free(s);
	if (!orphan)
		happenings_ask_orphans(h);
}

static void
on_swept(void *arg, const struct redisReply *r)
{
	struct sweep *s = arg;

	s->asked = false;
	if (r == NULL || r->type != REDIS_REPLY_INTEGER)
		happenings_trouble(s->all, r, "tell what a node has lost");
	else if (r->integer != 0)
		sweep_ask(s);
	else
		sweep_done(s);
}

static void
sweep_ask(struct sweep *s)
{
	struct happenings *h = s->all;
	autofree char	  *key = xasprintf("%snode:%s:clients", h->prefix, s->node);
	struct redis_number	   epoch;
	struct slice	   keys[] = { slice_str(h->stream), slice_str(key), slice_str(h->nodes), slice_str(h->registry) };
	struct slice	   args[] = {
		slice_str(h->max_length), slice_str(s->node), slice_str(s->cause),
		s->orphan ? SLICE("") : redis_number(&epoch, s->epoch),
	};

	s->asked = redis_eval(h->redis, &happenings_sweep_script, on_swept, s, keys, 4, args, 4) == 0;
}

void
happenings_sweep(struct happenings *h, struct slice node, uint64_t epoch, const char *cause)
{
	struct sweep *s = sweep_new(h, node, cause);

	s->epoch = epoch;
	sweep_ask(s);
}

void
happenings_on_clean(struct happenings *h, struct slice node, uint64_t epoch)
{
	happenings_sweep(h, node, epoch, "node_lost");
}

void
happenings_resume_sweeps(struct happenings *h)
{
	list_each(link, &h->sweeps) {
		struct sweep *s = list_entry(link, struct sweep, in_sweeps);

		if (!s->asked)
			sweep_ask(s);
	}
	happenings_ask_orphans(h);
}

bool
happenings_are_sweeping(const struct happenings *h)
{
	list_each(link, &h->sweeps)
		if (list_entry(link, const struct sweep, in_sweeps)->asked)
			return true;
	return false;
}

void
happenings_free_sweeps(struct happenings *h)
{
	list_each(link, &h->sweeps)
		free(list_entry(link, struct sweep, in_sweeps));
}
