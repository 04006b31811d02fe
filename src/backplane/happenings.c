/*
 * The stream of happenings. Redis keeps, in a hash of each node, whom the node has told to be here; the entry and that
 * knowledge are written in one step. So nothing is told twice, however often it is sent, and whoever cleans up behind a
 * dead node knows whom to tell as lost.
 */
#include "backplane/happenings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/stats.h"
#include "backplane/happenings_scripts.h"
#include "wire/topic_type.h"

#define MAX_FLYING	1000	/* sent, without an answer */
#define RETRY_MS	1000
#define REFRESH_MS	((uint64_t)10 * 60 * 1000)
#define SCAN_COUNT	"500"	/* fields of the hash that are looked at together */

enum step { BEGINS, ENDS, LOST };

/* One that waits, or is on its way. */
struct happening {
	struct list	   in_list;
	struct happenings *all;
	uint64_t	   seq;		/* given when it is sent first */
	int64_t		   at;
	uint64_t	   lost;	/* how many, of LOST */
	enum step	   step;
	bool		   counted;	/* in n_waiting */
	bool		   again;	/* begun before: Redis does not know it */
	struct slice	   field, user, cause;	/* in `text` */
	char		   text[];
};

/* A client or one of its channels, as we know it: what Redis should know, too. */
struct presentee {
	struct slice	field, user;	/* in `text` */
	bool		past;		/* that it began waits no more: it was told, or dropped */
	bool		known;		/* found in Redis, while that is compared */
	char		text[];
};

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

struct happenings {
	struct loop	*loop;
	struct redis	*redis;
	char		*stream, *prefix, *node, *key;
	char		*nodes, *registry;	/* keys: those that have such a hash; those that live */
	char		 run[9];
	char		 max_length[24];
	uint64_t	 max_queue;
	uint64_t	 epoch;		/* 0 = we never had a place */
	uint64_t	 seq;		/* the last that was given */
	uint64_t	 answered;	/* the last of which Redis has told */
	struct map	 here;
	struct list	 waiting;
	struct list	 flying;
	struct list	 again;		/* came back: before all others */
	struct list	 restated;	/* those that are told again: before those in `waiting` */
	struct list	 sweeps;
	uint64_t	 n_waiting;	/* of what has happened, until it is told */
	unsigned	 n_flying;
	unsigned	 asking;	/* place_script's answers to come */
	uint64_t	 lost;		/* dropped, and not yet told */
	bool		 telling_lost;	/* such an entry waits, or is on its way */
	bool		 placed;
	bool		 comparing;	/* what Redis knows is looked at: nothing is sent meanwhile */
	bool		 said_trouble;	/* the log knows */
	struct timer	 retry;
	struct timer	 refresh;
};

struct number {
	char text[24];
};

static struct slice
number_text(struct number *n, uint64_t value)
{
	snprintf(n->text, sizeof(n->text), "%" PRIu64, value);
	return slice_str(n->text);
}

static struct slice
add_text(char **at, struct slice text)
{
	struct slice copy = slice(*at, text.n);

	memcpy(*at, text.p, text.n);
	*at += text.n;
	return copy;
}

static struct slice
presentee_key(const void *item)
{
	return ((const struct presentee *)item)->field;
}

static void
happening_free(struct happening *e)
{
	list_remove(&e->in_list);
	free(e);
}

/* "ID TOPIC": an id has no blank. */
static bool
is_of_channel(struct slice field)
{
	return memchr(field.p, ' ', field.n) != NULL;
}

static void
happening_entry(const struct happening *e, struct slice *words, unsigned *n, struct number numbers[2])
{
	static const char *const names[][2] = {
		[BEGINS] = { "client.connected", "channel.joined" }, [ENDS] = { "client.disconnected", "channel.left" },
		[LOST] = { "events.lost", "events.lost" },
	};
	bool	     of_channel = is_of_channel(e->field);
	size_t	     id = of_channel ? (size_t)((const char *)memchr(e->field.p, ' ', e->field.n) - e->field.p) : e->field.n;
	struct slice topic = of_channel ? slice_from(e->field, id + 1) : SLICE("");
	struct slice pairs[][2] = {
		{ SLICE("event"), slice_str(names[e->step][of_channel]) },
		{ SLICE("at"), number_text(&numbers[0], (uint64_t)e->at) },
		{ SLICE("node"), slice_str(e->all->node) },
		{ SLICE("clientId"), slice(e->field.p, id) },
		{ SLICE("userId"), e->user },
		{ SLICE("channel"), topic },
		{ SLICE("type"), of_channel ? slice_str(topic_types[topic_type(topic)]) : SLICE("") },
		{ SLICE("cause"), e->cause },
		{ SLICE("again"), e->again ? SLICE("1") : SLICE("") },
		{ SLICE("n"), e->step == LOST ? number_text(&numbers[1], e->lost) : SLICE("") },
	};

	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		bool is_user = i == 4 && e->step != LOST;

		/* Nobody is a user, too. */
		if (pairs[i][1].n == 0 && !is_user)
			continue;
		words[(*n)++] = pairs[i][0];
		words[(*n)++] = pairs[i][1];
	}
}

static void
happening_pass(const struct happening *e)
{
	struct presentee *p = e->step == BEGINS ? map_get(&e->all->here, e->field) : NULL;

	if (p != NULL)
		p->past = true;
}

static void happenings_compare(struct happenings *);
static void happenings_flush(struct happenings *);
static void happenings_trouble(struct happenings *, const struct redisReply *, const char *what);

static void
on_told(void *arg, const struct redisReply *r)
{
	struct happening  *e = arg;
	struct happenings *h = e->all;

	list_remove(&e->in_list);
	h->n_flying--;
	if (r == NULL || r->type != REDIS_REPLY_INTEGER || r->integer < 0) {
		list_append(&h->again, &e->in_list);
		happenings_trouble(h, r, "take an event");
		return;
	}
	h->answered = e->seq;
	stats->events_total += r->integer == 1;
	h->said_trouble = false;
	h->n_waiting -= e->counted;
	happening_pass(e);
	if (e->step == LOST) {
		h->telling_lost = false;
		happenings_compare(h);
	}
	happening_free(e);
	happenings_flush(h);
}

static int
happening_send(struct happening *e)
{
	static const char *const steps[] = { [BEGINS] = "+", [ENDS] = "-", [LOST] = "=" };
	struct happenings	*h = e->all;
	struct number		 seq, numbers[2];
	struct slice		 keys[] = { slice_str(h->stream), slice_str(h->key) };
	struct slice		 args[6 + 20];
	unsigned		 n = 6;
	int			 r;

	args[0] = slice_str(h->run);
	args[1] = number_text(&seq, e->seq != 0 ? e->seq : h->seq + 1);
	args[2] = slice_str(h->max_length);
	args[3] = slice_str(steps[e->step]);
	args[4] = e->field;
	args[5] = e->user;
	happening_entry(e, args, &n, numbers);
	r = redis_eval(h->redis, &happenings_tell_script, on_told, e, keys, 2, args, n);
	if (r < 0)
		return r;
	if (e->seq == 0)
		e->seq = ++h->seq;
	list_remove(&e->in_list);
	list_append(&h->flying, &e->in_list);
	h->n_flying++;
	return 0;
}

static struct happening *
happening_new(struct happenings *h, enum step step, struct slice field, struct slice user, struct slice cause)
{
	struct happening *e = xmalloc(sizeof(*e) + field.n + user.n + cause.n);
	char		 *at = e->text;

	*e = (struct happening){ .all = h, .step = step, .at = wall_ms() };
	e->field = add_text(&at, field);
	e->user = add_text(&at, user);
	e->cause = add_text(&at, cause);
	return e;
}

/* Stands before all that was not dropped; what it leaves unknown is found out behind it. */
static void
happenings_tell_lost(struct happenings *h)
{
	struct happening *e = happening_new(h, LOST, SLICE(""), SLICE(""), SLICE(""));

	e->lost = h->lost;
	h->lost = 0;
	h->telling_lost = true;
	list_append(&h->again, &e->in_list);
}

static bool
happenings_wait(const struct happenings *h)
{
	return !list_empty(&h->again) || !list_empty(&h->restated) || !list_empty(&h->waiting);
}

static void
happenings_send(struct happenings *h, unsigned max)
{
	struct list *lists[] = { &h->again, &h->restated, &h->waiting };

	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		while (!list_empty(lists[i])) {
			struct happening *e = list_entry(lists[i]->next, struct happening, in_list);

			if (h->n_flying >= max || happening_send(e) < 0)
				return;
		}
}

static void
happenings_flush(struct happenings *h)
{
	if (!redis_is_up(h->redis))
		h->placed = false;
	if (!h->placed || h->comparing)
		return;
	if (h->lost > 0 && !h->telling_lost && list_empty(&h->again))
		happenings_tell_lost(h);
	happenings_send(h, MAX_FLYING);
	/* Redis' own queue is full, and nothing of ours is in it that would bring us back. */
	if (h->n_flying == 0 && happenings_wait(h) && !timer_is_set(&h->retry))
		loop_timer(h->loop, &h->retry, h->loop->now + RETRY_MS);
}

/* What Redis knows of us is held against what is true. */

/* Clients come before their channels. Whose beginning waits is told by that. */
static void
happenings_restate(struct happenings *h)
{
	list_each(link, &h->restated)
		happening_free(list_entry(link, struct happening, in_list));
	for (int pass = 0; pass < 2; pass++) {
		const struct presentee *p;
		size_t			at = 0;

		while ((p = map_next(&h->here, &at)) != NULL) {
			struct happening *e;

			if (!p->past || p->known || is_of_channel(p->field) != (pass == 1))
				continue;
			e = happening_new(h, BEGINS, p->field, p->user, SLICE(""));
			e->again = true;
			list_append(&h->restated, &e->in_list);
		}
	}
}

/* Where its end waits to be told that comes first, and this is no news. */
static void
happenings_compare_field(struct happenings *h, struct slice field, struct slice user)
{
	struct presentee *p = map_get(&h->here, field);
	struct happening *e;

	if (p != NULL)
		p->known = true;
	if (p != NULL || slice_starts(field, SLICE("#")))
		return;
	e = happening_new(h, ENDS, field, user, SLICE("unknown"));
	list_append(&h->waiting, &e->in_list);
}

static struct slice
reply_text(const struct redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? slice(r->str, r->len) : SLICE("");
}

static void happenings_scan(struct happenings *, struct slice cursor);

static void
on_scanned(void *arg, const struct redisReply *r)
{
	struct happenings	*h = arg;
	const struct redisReply *fields;

	/* Another walk, begun behind it, may have seen all. */
	if (!h->comparing)
		return;
	if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 2) {
		happenings_trouble(h, r, "show our clients");
		return;
	}
	fields = r->element[1];
	for (size_t i = 0; i + 1 < fields->elements; i += 2)
		happenings_compare_field(h, reply_text(fields->element[i]), reply_text(fields->element[i + 1]));
	if (!slice_is(reply_text(r->element[0]), "0")) {
		happenings_scan(h, reply_text(r->element[0]));
		return;
	}
	h->comparing = false;
	happenings_restate(h);
	happenings_flush(h);
}

static void
happenings_scan(struct happenings *h, struct slice cursor)
{
	struct slice argv[] = { SLICE("HSCAN"), slice_str(h->key), cursor, SLICE("COUNT"), SLICE(SCAN_COUNT) };

	if (redis_command(h->redis, on_scanned, h, argv, sizeof(argv) / sizeof(argv[0])) < 0)
		happenings_trouble(h, NULL, "");
}

/* Who is missing there is told again; who is there and has gone, as gone. What an earlier walk has found is found anew. */
static void
happenings_compare(struct happenings *h)
{
	struct presentee *p;
	size_t		  at = 0;

	while ((p = map_next(&h->here, &at)) != NULL)
		p->known = false;
	list_each(link, &h->waiting)
		if (!list_entry(link, struct happening, in_list)->counted)
			happening_free(list_entry(link, struct happening, in_list));
	h->comparing = true;
	happenings_scan(h, SLICE("0"));
}

/* Another node's clients are lost. */

static void sweep_ask(struct sweep *);
static void happenings_ask_orphans(struct happenings *);

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
	struct number	   epoch;
	struct slice	   keys[] = { slice_str(h->stream), slice_str(key), slice_str(h->nodes), slice_str(h->registry) };
	struct slice	   args[] = {
		slice_str(h->max_length), slice_str(s->node), slice_str(s->cause),
		s->orphan ? SLICE("") : number_text(&epoch, s->epoch),
	};

	s->asked = redis_eval(h->redis, &happenings_sweep_script, on_swept, s, keys, 4, args, 4) == 0;
}

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

static void
happenings_sweep(struct happenings *h, struct slice node, uint64_t epoch, const char *cause)
{
	struct sweep *s = sweep_new(h, node, cause);

	s->epoch = epoch;
	sweep_ask(s);
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

	for (size_t i = 0; r != NULL && r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
		struct slice  node = reply_text(r->element[i]);
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

void
happenings_on_clean(struct happenings *h, struct slice node, uint64_t epoch)
{
	happenings_sweep(h, node, epoch, "node_lost");
}

/* Our own place. */

static void happenings_ask(struct happenings *);

static void
on_placed(void *arg, const struct redisReply *r)
{
	struct happenings *h = arg;

	/* A later question stands behind it. */
	if (--h->asking > 0)
		return;
	if (r == NULL || r->type != REDIS_REPLY_INTEGER) {
		happenings_trouble(h, r, "keep our clients");
		return;
	}
	if (r->integer == 2) {
		happenings_ask(h);
		return;
	}
	/* Something sent before is still to be answered: a script was missing. */
	if (h->n_flying > 0) {
		happenings_trouble(h, NULL, "");
		return;
	}
	h->placed = true;
	if (r->integer == 3)
		log_warn("events: Redis has forgotten the last it was told: it is told again who is here");
	if (r->integer != 0 || h->comparing)
		happenings_compare(h);
	list_each(link, &h->sweeps) {
		struct sweep *s = list_entry(link, struct sweep, in_sweeps);

		if (!s->asked)
			sweep_ask(s);
	}
	happenings_ask_orphans(h);
	happenings_flush(h);
}

static void
happenings_ask(struct happenings *h)
{
	struct number epoch, seq;
	struct slice  keys[] = { slice_str(h->stream), slice_str(h->key), slice_str(h->nodes) };
	struct slice  args[] = {
		slice_str(h->max_length), slice_str(h->node), SLICE("node_lost"), slice_str(h->run),
		number_text(&epoch, h->epoch), number_text(&seq, h->answered),
	};

	if (redis_eval(h->redis, &happenings_place_script, on_placed, h, keys, 3, args, 6) == 0)
		h->asking++;
	else
		loop_timer(h->loop, &h->retry, h->loop->now + RETRY_MS);
}

/* All that is on its way comes back, in its order; then the place is asked for again. */
static void
happenings_trouble(struct happenings *h, const struct redisReply *r, const char *what)
{
	h->placed = false;
	if (r != NULL && r->type == REDIS_REPLY_ERROR && !h->said_trouble) {
		h->said_trouble = true;
		log_error("events: Redis does not %s: %s; trying on", what, r->str);
	}
	loop_timer(h->loop, &h->retry, h->loop->now + RETRY_MS);
}

/* Without a connection there is nothing to try: a place follows when it is back. */
static void
happenings_retry(struct timer *t, uint64_t now)
{
	struct happenings *h = container_of(t, struct happenings, retry);

	if (!redis_is_up(h->redis) || h->epoch == 0 || h->asking > 0)
		return;
	if (h->placed)
		happenings_flush(h);
	else
		happenings_ask(h);
}

void
happenings_on_place(struct happenings *h, uint64_t epoch)
{
	h->epoch = epoch;
	h->placed = false;
	happenings_ask(h);
}

static void
happenings_refresh(struct timer *t, uint64_t now)
{
	struct happenings *h = container_of(t, struct happenings, refresh);
	struct slice	   argv[] = { SLICE("PEXPIRE"), slice_str(h->key), SLICE(HAPPENINGS_KEEP_MS) };

	/* Where it fails, the next one will do. */
	if (h->placed)
		redis_command(h->redis, NULL, NULL, argv, 3);
	loop_timer(h->loop, t, now + REFRESH_MS);
}

/* What happens. */

static void
happenings_drop_oldest(struct happenings *h)
{
	list_each(link, &h->waiting) {
		struct happening *e = list_entry(link, struct happening, in_list);

		if (!e->counted)
			continue;
		happening_pass(e);
		happening_free(e);
		h->n_waiting--;
		stats->events_dropped_total++;
		if (h->lost++ == 0)
			log_warn("events: more than %" PRIu64 " wait for Redis: the oldest are dropped", h->max_queue);
		return;
	}
}

static void
happenings_remember(struct happenings *h, enum step step, struct slice field, struct slice user)
{
	struct presentee *p;
	char		 *at;

	free(map_del(&h->here, field));
	if (step == ENDS)
		return;
	p = xmalloc(sizeof(*p) + field.n + user.n);
	*p = (struct presentee){ .past = false };
	at = p->text;
	p->field = add_text(&at, field);
	p->user = add_text(&at, user);
	map_put(&h->here, p);
}

static void
happenings_add(struct happenings *h, enum step step, struct slice field, struct slice user, const char *why)
{
	struct happening *e = happening_new(h, step, field, user, slice_str(why));

	e->counted = true;
	happenings_remember(h, step, field, user);
	list_append(&h->waiting, &e->in_list);
	if (++h->n_waiting > h->max_queue)
		happenings_drop_oldest(h);
	happenings_flush(h);
}

static void
watch_client(void *arg, const struct session *s, bool connected, const char *why)
{
	happenings_add(arg, connected ? BEGINS : ENDS, slice_str(s->id), session_user(s), why);
}

static void
watch_channel(void *arg, const struct session *s, struct slice topic, struct slice user, bool joined, const char *why)
{
	autobuf struct buf field = { 0 };

	buf_addf(&field, "%s ", s->id);
	buf_add_slice(&field, topic);
	happenings_add(arg, joined ? BEGINS : ENDS, buf_slice(&field), user, why);
}

const struct session_watcher happenings_watcher = { .client = watch_client, .channel = watch_channel };

void
happenings_leave(struct happenings *h)
{
	if (h->placed)
		happenings_send(h, UINT32_MAX);
	/* Nobody should be left; if somebody is, his end was dropped. */
	happenings_sweep(h, slice_str(h->node), h->epoch, "closed");
}

bool
happenings_are_sweeping(const struct happenings *h)
{
	list_each(link, &h->sweeps)
		if (list_entry(link, const struct sweep, in_sweeps)->asked)
			return true;
	return false;
}

struct happenings *
happenings_new(struct loop *loop, struct redis *redis, const struct happenings_options *o)
{
	struct happenings *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	h->redis = redis;
	h->stream = xstrdup(o->stream);
	h->prefix = xstrdup(o->prefix);
	h->node = xstrdup(o->node);
	h->key = xasprintf("%snode:%s:clients", o->prefix, o->node);
	h->nodes = xasprintf("%snodes:clients", o->prefix);
	h->registry = xasprintf("%snodes", o->prefix);
	h->max_queue = o->max_queue;
	snprintf(h->run, sizeof(h->run), "%08" PRIx32, o->run);
	snprintf(h->max_length, sizeof(h->max_length), "%" PRIu64, o->max_length);
	map_init(&h->here, presentee_key);
	list_init(&h->waiting);
	list_init(&h->flying);
	list_init(&h->again);
	list_init(&h->restated);
	list_init(&h->sweeps);
	h->retry.fire = happenings_retry;
	h->refresh.fire = happenings_refresh;
	redis_add_script(redis, &happenings_tell_script);
	redis_add_script(redis, &happenings_place_script);
	redis_add_script(redis, &happenings_sweep_script);
	redis_add_script(redis, &happenings_orphans_script);
	loop_timer(loop, &h->refresh, loop->now + REFRESH_MS);
	return h;
}

static void
happenings_free_list(struct list *l)
{
	list_each(link, l)
		happening_free(list_entry(link, struct happening, in_list));
}

struct happenings *
happenings_free(struct happenings *h)
{
	struct presentee *p;
	size_t		  at = 0;

	if (h == NULL)
		return NULL;
	timer_stop(&h->retry);
	timer_stop(&h->refresh);
	if (h->n_waiting > 0)
		log_warn("events: %" PRIu64 " were not taken by Redis", h->n_waiting);
	happenings_free_list(&h->waiting);
	happenings_free_list(&h->flying);
	happenings_free_list(&h->again);
	happenings_free_list(&h->restated);
	list_each(link, &h->sweeps)
		free(list_entry(link, struct sweep, in_sweeps));
	while ((p = map_next(&h->here, &at)) != NULL)
		free(p);
	map_done(&h->here);
	free(h->stream);
	free(h->prefix);
	free(h->node);
	free(h->key);
	free(h->nodes);
	free(h->registry);
	free(h);
	return NULL;
}
