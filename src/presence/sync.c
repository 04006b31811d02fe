/*
 * The sync's centre: which topics are looked at here, their channels on the bus, and the first read of all
 * that the nodes hold there. A topic is read when its subscription is acknowledged, the first time and after
 * every loss of the bus: so nothing that came before the subscription is missing, and nothing behind it.
 */
#include "presence/sync.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "presence/delta.h"
#include "presence/sync_internal.h"

#define LINGER_MS	5000	/* a topic stays subscribed so long after the last look */
#define MAX_LOADING	64	/* reads of whole topics in flight */

/* A topic that somebody here looks at, or did lately. */
struct watched {
	struct presence_sync	*sync;
	struct redis_sub	*sub;
	struct list		 in_load;	/* of sync->to_load, or none */
	struct timer		 linger;
	bool			 wanted;	/* false: it lingers */
	bool			 known;		/* the tracker was told that all is known */
	bool			 again;		/* is to be read once more, since it was asked for meanwhile */
	bool			 missed;	/* could not be read: sync_load_missed() */
	uint64_t		 load;		/* number of the read in flight; 0 = none */
	struct slice		 topic;
	char			 text[];
};

struct ask *
ask_new(struct presence_sync *s, ask_fn *answered, struct slice topic, struct slice node)
{
	struct ask *a = xmalloc(sizeof(*a) + topic.n + node.n);

	*a = (struct ask){
		.sync = s, .answered = answered, .topic = { a->text, topic.n }, .node = { a->text + topic.n, node.n },
	};
	if (topic.n > 0)
		memcpy(a->text, topic.p, topic.n);
	if (node.n > 0)
		memcpy(a->text + topic.n, node.p, node.n);
	list_append(&s->asks, &a->in_asks);
	return a;
}

static void
ask_free(struct ask *a)
{
	if (a == NULL)
		return;
	list_remove(&a->in_asks);
	free(a);
}

static void
ask_answered(void *arg, const struct redisReply *reply)
{
	struct ask *a = arg;

	if (a->sync != NULL)
		a->answered(a, reply);
	ask_free(a);
}

int
ask_command(struct presence_sync *s, struct ask *a, const struct slice *argv, unsigned argc)
{
	int r;

	r = redis_command(s->redis, a != NULL ? ask_answered : NULL, a, argv, argc);
	if (r < 0)
		ask_free(a);
	return r;
}

int
ask_eval(struct presence_sync *s, struct ask *a, const struct redis_script *script, const struct slice *keys,
    unsigned n_keys, const struct slice *args, unsigned n_args)
{
	int r;

	r = redis_eval(s->redis, script, a != NULL ? ask_answered : NULL, a, keys, n_keys, args, n_args);
	if (r < 0)
		ask_free(a);
	return r;
}

static void
add_of_topic(const struct presence_sync *s, struct buf *b, const char *kind, struct slice topic)
{
	buf_add_str(b, s->prefix);
	buf_add_str(b, kind);
	buf_add_str(b, ":{");
	buf_add_slice(b, topic);
	buf_add_char(b, '}');
}

void
key_set(const struct presence_sync *s, struct buf *b, struct slice topic)
{
	add_of_topic(s, b, "presence", topic);
}

void
key_hash(const struct presence_sync *s, struct buf *b, struct slice topic, struct slice node)
{
	key_set(s, b, topic);
	buf_add_char(b, ':');
	buf_add_slice(b, node);
}

void
key_topics(const struct presence_sync *s, struct buf *b, struct slice node)
{
	buf_add_str(b, s->prefix);
	buf_add_str(b, "node:");
	buf_add_slice(b, node);
	buf_add_str(b, ":topics");
}

void
key_channel(const struct presence_sync *s, struct buf *b, struct slice topic)
{
	add_of_topic(s, b, "p", topic);
}

void
sync_log_error(const char *what, struct slice topic, const struct redisReply *r)
{
	if (r != NULL && r->type == REDIS_REPLY_ERROR)
		log_peer(LOG_WARN_, NULL, "%s of %.*s: %s", what, SLICE_ARG(topic), r->str);
}

/* The names of watched topics. */
static struct slice
watched_topic(const void *item)
{
	const struct watched *w = item;

	return w->topic;
}

bool
sync_watches(const struct presence_sync *s, struct slice topic)
{
	const struct watched *w = map_get(&s->watched, topic);

	return w != NULL && w->wanted;
}

/*
 * The states of those who wait go out with what we know. What was known once is kept until it can be read
 * again.
 */
static void
load_failed(struct watched *w)
{
	w->missed = w->sync->missed = true;
	if (w->known)
		return;
	w->known = true;
	tracker_loaded(w->sync->tracker, w->topic, NULL, 0);
}

static void
load_wanted(struct watched *w)
{
	w->again = w->load != 0;
	if (w->again || !list_empty(&w->in_load))
		return;
	list_append(&w->sync->to_load, &w->in_load);
	loop_at_end(w->sync->loop, &w->sync->load_task);
}

/* The answer to presence_read_script: node, fields, node, fields, ... */
static void
load_told(struct watched *w, const struct redisReply *reply)
{
	struct presence_sync   *s = w->sync;
	autofree struct slice *nodes = xmalloc((reply->elements / 2 + 1) * sizeof(struct slice));
	unsigned		n = 0;

	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		struct slice node = redis_text(reply->element[i]);

		if (node.n == 0 || node.n > CLUSTER_MAX_NODE || slice_eq(node, s->self))
			continue;
		nodes[n++] = node;
		sync_tell(s, w->topic, node, reply->element[i + 1]);
	}
	w->known = true;
	w->missed = false;
	tracker_loaded(s->tracker, w->topic, nodes, n);
}

static void
load_answered(struct ask *a, const struct redisReply *reply)
{
	struct presence_sync *s = a->sync;
	struct watched	     *w = map_get(&s->watched, a->topic);

	s->loading--;
	if (!list_empty(&s->to_load))
		loop_at_end(s->loop, &s->load_task);
	/* It may have been dropped meanwhile, and be another one now. */
	if (w == NULL || w->load != a->version)
		return;
	w->load = 0;
	if (!w->wanted)
		return;
	sync_log_error("reading the presences", w->topic, reply);
	if (w->again)
		load_wanted(w);
	else if (redis_is_array(reply))
		load_told(w, reply);
	else
		load_failed(w);
}

static void
load_send(struct watched *w)
{
	struct presence_sync *s = w->sync;
	struct ask	     *a = ask_new(s, load_answered, w->topic, SLICE(""));
	autobuf struct buf    set = { 0 };
	struct slice	      key;

	a->version = ++s->loads;
	key_set(s, &set, w->topic);
	key = buf_slice(&set);
	if (ask_eval(s, a, &presence_read_script, &key, 1, NULL, 0) < 0) {
		load_failed(w);
		return;
	}
	w->again = false;
	w->load = s->loads;
	s->loading++;
}

/* Whoever is not subscribed yet is read when that is acknowledged. */
static void
load_or_wait(struct watched *w)
{
	struct presence_sync *s = w->sync;

	if (!w->wanted)
		return;
	if (redis_is_up(s->redis) && redis_is_subscribed(w->sub))
		load_send(w);
	else if (!redis_is_up(s->redis) || !redis_bus_is_up(s->redis))
		load_failed(w);
}

/* At the end of a turn: as many as may be in flight. */
static void
load_run(struct loop_task *t)
{
	struct presence_sync *s = container_of(t, struct presence_sync, load_task);
	struct list	     *l;

	while (s->loading < MAX_LOADING && (l = list_take_link(&s->to_load)) != NULL)
		load_or_wait(list_entry(l, struct watched, in_load));
}

static void
on_subscribed(void *arg)
{
	struct watched *w = arg;

	if (w->wanted)
		load_wanted(w);
}

static void
delta_apply(struct watched *w, struct delta *d)
{
	struct presence_sync *s = w->sync;
	const unsigned	      dropped = d->put.dropped + d->gone.dropped;

	if (slice_eq(d->node, s->self))
		return;
	stats->presence_deltas_in_total++;
	if (dropped > 0)
		log_peer(LOG_WARN_, NULL, "%u presences of %.*s in %.*s are too long, or too many: dropped", dropped,
		    SLICE_ARG(d->node), SLICE_ARG(w->topic));
	tracker_delta(s->tracker, w->topic, d->node, d->epoch, &d->change);
}

static void
on_delta(void *arg, struct slice message)
{
	struct watched *w = arg;
	struct delta	d;
	const char     *why;

	if (!w->wanted)
		return;
	if (delta_read(&d, message, &why) == 0) {
		delta_apply(w, &d);
	} else {
		stats->bus_malformed_total++;
		log_peer(LOG_WARN_, NULL, "a message on the presence channel of %.*s is dropped: %s",
		    SLICE_ARG(w->topic), why);
	}
	delta_done(&d);
}

static void
watched_free(struct watched *w)
{
	redis_unsubscribe(w->sub);
	timer_stop(&w->linger);
	list_remove(&w->in_load);
	map_del(&w->sync->watched, w->topic);
	free(w);
}

static void
linger_fire(struct timer *t, uint64_t now)
{
	watched_free(container_of(t, struct watched, linger));
}

static struct watched *
watched_new(struct presence_sync *s, struct slice topic)
{
	struct watched	  *w = xmalloc(sizeof(*w) + topic.n);
	autobuf struct buf channel = { 0 };

	*w = (struct watched){ .sync = s, .linger.fire = linger_fire, .topic = { w->text, topic.n } };
	memcpy(w->text, topic.p, topic.n);
	map_put(&s->watched, w);
	key_channel(s, &channel, topic);
	w->sub = redis_subscribe(s->redis, buf_slice(&channel), on_delta, on_subscribed, w);
	return w;
}

static void
sync_watch(void *arg, struct slice topic, bool on)
{
	struct presence_sync *s = arg;
	struct watched	     *w = map_get(&s->watched, topic);

	if (!on) {
		if (w == NULL)
			return;
		w->wanted = w->known = w->again = false;
		loop_timer(s->loop, &w->linger, s->loop->now + LINGER_MS);
		return;
	}
	if (w == NULL)
		w = watched_new(s, topic);
	timer_stop(&w->linger);
	w->wanted = true;
	load_wanted(w);
}

static void
sync_write_op(void *arg, struct slice topic, const struct presence_delta *d)
{
	sync_write(arg, topic, d);
}

static void
sync_read_op(void *arg, struct slice topic, struct slice node)
{
	sync_read(arg, topic, node);
}

const struct tracker_sync presence_sync_ops = {
	.watch = sync_watch,
	.write = sync_write_op,
	.read = sync_read_op,
};

struct presence_sync *
presence_sync_new(struct loop *loop, struct redis *redis, const char *prefix, const char *node)
{
	struct presence_sync *s = xmalloc(sizeof(*s));

	*s = (struct presence_sync){
		.loop = loop, .redis = redis, .prefix = xstrdup(prefix), .node = xstrdup(node),
		.load_task.run = load_run, .audit_timer.fire = sync_audit_fire,
	};
	s->self = slice_str(s->node);
	list_init(&s->asks);
	list_init(&s->to_load);
	map_init(&s->watched, watched_topic);
	sync_write_init(s);
	sync_read_init(s);
	sync_nodes_init(s);
	redis_add_script(redis, &presence_write_script);
	redis_add_script(redis, &presence_read_script);
	redis_add_script(redis, &presence_refresh_script);
	redis_add_script(redis, &presence_clean_script);
	return s;
}

void
presence_sync_set(struct presence_sync *s, struct tracker *tracker, struct cluster *cluster)
{
	s->tracker = tracker;
	s->cluster = cluster;
	loop_timer(s->loop, &s->audit_timer, s->loop->now + SYNC_AUDIT_MS);
}

/* Answers that are still to come are nobody's. */
static void
asks_orphan(struct presence_sync *s)
{
	struct list *l;

	while ((l = list_take_link(&s->asks)) != NULL) {
		struct ask *a = list_entry(l, struct ask, in_asks);

		a->sync = NULL;
		if (a->list != NULL)
			a->list(a->arg, -ECANCELED, SLICE(""));
	}
}

struct presence_sync *
presence_sync_free(struct presence_sync *s)
{
	struct watched *w;
	size_t		at;

	if (s == NULL)
		return NULL;
	asks_orphan(s);
	loop_forget_task(&s->load_task);
	timer_stop(&s->audit_timer);
	while (at = 0, (w = map_next(&s->watched, &at)) != NULL)
		watched_free(w);
	map_done(&s->watched);
	sync_write_done(s);
	sync_read_done(s);
	sync_nodes_done(s);
	free(s->prefix);
	free(s->node);
	free(s);
	return NULL;
}

void
sync_load_missed(struct presence_sync *s)
{
	struct watched *w;
	size_t		at = 0;

	if (!s->missed || !redis_is_up(s->redis))
		return;
	s->missed = false;
	while ((w = map_next(&s->watched, &at)) != NULL)
		if (w->wanted && w->missed)
			load_wanted(w);
}

void
presence_sync_on_place(struct presence_sync *s, uint64_t epoch)
{
	s->epoch = epoch;
	sync_write_all(s);
	sync_clean(s, s->self, epoch - 1);
	sync_jobs_resume(s);
	sync_load_missed(s);
	sync_read_pump(s);
}

void
presence_sync_on_down(struct presence_sync *s)
{
	s->epoch = 0;
}

/*
 * Each subscription's acknowledgement has its topic read; here are those that still had none when they were
 * asked for.
 */
void
presence_sync_on_bus_up(struct presence_sync *s)
{
	sync_load_missed(s);
}

/*
 * Our presences are gone from the tracker by now, and so are their hashes; what is left in spite of that is
 * cleaned as if we were dead.
 */
void
presence_sync_leave(struct presence_sync *s)
{
	if (s->epoch == 0 || s->left)
		return;
	sync_write_nothing(s);
	sync_clean(s, s->self, s->epoch);
	s->left = true;
}
