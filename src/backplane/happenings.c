/*
 * The stream of happenings. Redis keeps, in a hash of each node, whom the node has told to be here; the entry and that
 * knowledge are written in one step. So nothing is told twice, however often it is sent, and whoever cleans up behind a
 * dead node knows whom to tell as lost.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "backplane/happenings_internal.h"
#include "backplane/happenings_scripts.h"
#include "wire/topic_type.h"

#define MAX_FLYING	1000	/* sent, without an answer */

static struct slice
add_text(char **at, struct slice text)
{
	struct slice copy = slice(*at, text.n);

	memcpy(*at, text.p, text.n);
	*at += text.n;
	return copy;
}

struct happening *
happening_new(struct happenings *h, enum happening_step step, struct slice field, struct slice user, struct slice cause)
{
	struct happening *e = xmalloc(sizeof(*e) + field.n + user.n + cause.n);
	char		 *at = e->text;

	*e = (struct happening){ .all = h, .step = step, .at = wall_ms() };
	e->field = add_text(&at, field);
	e->user = add_text(&at, user);
	e->cause = add_text(&at, cause);
	return e;
}

void
happening_free(struct happening *e)
{
	list_remove(&e->in_list);
	free(e);
}

bool
happening_is_of_channel(struct slice field)
{
	return memchr(field.p, ' ', field.n) != NULL;
}

static void
happening_entry(const struct happening *e, struct slice *words, unsigned *n, struct redis_number numbers[2])
{
	static const char *const names[][2] = {
		[BEGINS] = { "client.connected", "channel.joined" }, [ENDS] = { "client.disconnected", "channel.left" },
		[LOST] = { "events.lost", "events.lost" },
	};
	bool	     of_channel = happening_is_of_channel(e->field);
	size_t	     id = of_channel ? (size_t)((const char *)memchr(e->field.p, ' ', e->field.n) - e->field.p) : e->field.n;
	struct slice topic = of_channel ? slice_from(e->field, id + 1) : SLICE("");
	struct slice pairs[][2] = {
		{ SLICE("event"), slice_str(names[e->step][of_channel]) },
		{ SLICE("at"), redis_number(&numbers[0], (uint64_t)e->at) },
		{ SLICE("node"), slice_str(e->all->node) },
		{ SLICE("clientId"), slice(e->field.p, id) },
		{ SLICE("userId"), e->user },
		{ SLICE("channel"), topic },
		{ SLICE("type"), of_channel ? slice_str(topic_types[topic_type(topic)]) : SLICE("") },
		{ SLICE("cause"), e->cause },
		{ SLICE("again"), e->again ? SLICE("1") : SLICE("") },
		{ SLICE("n"), e->step == LOST ? redis_number(&numbers[1], e->lost) : SLICE("") },
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
	struct redis_number		 seq, numbers[2];
	struct slice		 keys[] = { slice_str(h->stream), slice_str(h->key) };
	struct slice		 args[6 + 20];
	unsigned		 n = 6;
	int			 r;

	args[0] = slice_str(h->run);
	args[1] = redis_number(&seq, e->seq != 0 ? e->seq : h->seq + 1);
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

void
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
		happenings_retry_later(h);
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

static struct slice
presentee_key(const void *item)
{
	return ((const struct presentee *)item)->field;
}

static void
happenings_remember(struct happenings *h, enum happening_step step, struct slice field, struct slice user)
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
happenings_add(struct happenings *h, enum happening_step step, struct slice field, struct slice user, const char *why)
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
	happenings_refresh(&h->refresh, loop->now);
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
	happenings_free_sweeps(h);
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
