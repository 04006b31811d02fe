/*
 * What concerns a whole node: it came, came back, or died; its heartbeats and what they tell.
 *
 * A node that came (back), or some of whose heartbeats were lost, may hold presences in topics where nobody
 * here knows of it. It has a set of the topics where it does, node:NODE:topics, which mentions each hash for
 * as long as that is there: it is walked, and the topics that are watched here are read, of that node alone.
 * So the cost goes with what the node holds, not with what is watched. The same set tells what a dead one left
 * behind.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "presence/sync_internal.h"
#include "wire/json.h"

#define MAX_LOST	2	/* heartbeats that may be missing before the node is read again */

/* A node whose heartbeats are counted. */
struct peer {
	uint64_t	 epoch;
	uint64_t	 seq;		/* of the last one in that epoch; 0 = none */
	struct slice	 node;
	char		 text[];
};

/* A walk over a node's set of topics, SSCAN by SSCAN. Begins again when it was broken off. */
struct job {
	struct list	 in_jobs;
	struct presence_sync *sync;
	bool		 clean;		/* or else: read */
	bool		 running;
	bool		 broken;	/* something of it was not answered */
	bool		 again;		/* asked for once more */
	uint64_t	 epoch;		/* to clean up to this one */
	unsigned	 pending;	/* commands in flight */
	char		 cursor[24];
	struct slice	 node;
	char		 text[];
};

static struct slice
peer_node(const void *item)
{
	const struct peer *p = item;

	return p->node;
}

static struct peer *
peer_get(struct presence_sync *s, struct slice node)
{
	struct peer *p = map_get(&s->peers, node);

	if (p != NULL)
		return p;
	p = xmalloc(sizeof(*p) + node.n);
	*p = (struct peer){ .node = { p->text, node.n } };
	memcpy(p->text, node.p, node.n);
	map_put(&s->peers, p);
	return p;
}

static void
peer_renew(struct peer *p, uint64_t epoch)
{
	if (p->epoch != epoch)
		p->seq = 0;
	p->epoch = epoch;
}

bool
sync_is_past(const struct presence_sync *s, struct slice node, uint64_t epoch)
{
	const struct peer *p = map_get(&s->peers, node);

	return p != NULL && epoch < p->epoch;
}

static void job_run(struct job *);

static struct job *
job_get(struct presence_sync *s, struct slice node, bool clean)
{
	struct job *j;

	list_each (l, &s->jobs) {
		j = list_entry(l, struct job, in_jobs);
		if (j->clean == clean && slice_eq(j->node, node))
			return j;
	}
	j = xmalloc(sizeof(*j) + node.n);
	*j = (struct job){ .sync = s, .clean = clean, .node = { j->text, node.n } };
	memcpy(j->text, node.p, node.n);
	list_append(&s->jobs, &j->in_jobs);
	return j;
}

static void
job_free(struct job *j)
{
	list_remove(&j->in_jobs);
	free(j);
}

static void
job_begin(struct job *j)
{
	if (j->running) {
		j->again = true;
		return;
	}
	if (!redis_is_up(j->sync->redis))
		return;
	j->running = true;
	j->again = j->broken = false;
	memcpy(j->cursor, "0", 2);
	job_run(j);
}

/* Nothing of it is in flight: it goes on, ends, begins again, or waits for the next place. */
static void
job_settle(struct job *j)
{
	if (j->pending > 0)
		return;
	if (!j->broken && strcmp(j->cursor, "0") != 0) {
		job_run(j);
		return;
	}
	j->running = false;
	if (j->again && !j->broken)
		job_begin(j);
	else if (!j->broken)
		job_free(j);
}

static void
job_cleaned(struct ask *a, const struct redisReply *reply)
{
	struct job *j = a->item;

	j->pending--;
	if (reply == NULL)
		j->broken = true;
	sync_log_error("cleaning the presences", a->topic, reply);
	job_settle(j);
}

static void
job_clean(struct job *j, struct slice topic)
{
	struct presence_sync *s = j->sync;
	struct ask	     *a = ask_new(s, job_cleaned, topic, j->node);
	autobuf struct buf    hash = { 0 }, set = { 0 }, topics = { 0 };
	char		      epoch[24];

	a->item = j;
	key_hash(s, &hash, topic, j->node);
	key_set(s, &set, topic);
	key_topics(s, &topics, j->node);
	snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)j->epoch);
	if (ask_eval(s, a, &presence_clean_script,
		(struct slice[]){ buf_slice(&hash), buf_slice(&set), buf_slice(&topics) }, 3,
		(struct slice[]){ j->node, topic, slice_str(epoch) }, 3) < 0)
		j->broken = true;
	else
		j->pending++;
}

static void
job_topic(struct job *j, struct slice topic)
{
	if (topic.n == 0)
		return;
	if (j->clean)
		job_clean(j, topic);
	else if (sync_watches(j->sync, topic))
		sync_read(j->sync, topic, j->node);
}

/* SSCAN: [cursor, [topic, ...]] */
static bool
job_take(struct job *j, const struct redisReply *reply)
{
	struct slice cursor;

	if (!redis_is_array(reply) || reply->elements != 2 || !redis_is_array(reply->element[1]))
		return false;
	cursor = redis_text(reply->element[0]);
	if (cursor.n == 0 || cursor.n >= sizeof(j->cursor))
		return false;
	memcpy(j->cursor, cursor.p, cursor.n);
	j->cursor[cursor.n] = '\0';
	for (size_t i = 0; i < reply->element[1]->elements; i++)
		job_topic(j, redis_text(reply->element[1]->element[i]));
	return true;
}

static void
job_scanned(struct ask *a, const struct redisReply *reply)
{
	struct job *j = a->item;

	j->pending--;
	sync_log_error("walking the topics of a node", j->node, reply);
	if (!job_take(j, reply))
		j->broken = true;
	job_settle(j);
}

static void
job_run(struct job *j)
{
	struct presence_sync *s = j->sync;
	struct ask	     *a = ask_new(s, job_scanned, SLICE(""), j->node);
	autobuf struct buf    key = { 0 };

	a->item = j;
	key_topics(s, &key, j->node);
	if (ask_command(s, a, (struct slice[]){ SLICE("SSCAN"), buf_slice(&key), slice_str(j->cursor), SLICE("COUNT"),
		SLICE("100") }, 5) == 0) {
		j->pending++;
		return;
	}
	j->broken = true;
	j->running = false;
}

void
sync_jobs_resume(struct presence_sync *s)
{
	list_each (l, &s->jobs) {
		struct job *j = list_entry(l, struct job, in_jobs);

		if (!j->running)
			job_begin(j);
	}
}

void
sync_clean(struct presence_sync *s, struct slice node, uint64_t epoch)
{
	struct job *j = job_get(s, node, true);

	if (epoch > j->epoch)
		j->epoch = epoch;
	job_begin(j);
}

/* All that this node holds, where it is looked at here. */
static void
node_read(struct presence_sync *s, struct slice node)
{
	job_begin(job_get(s, node, false));
}

void
presence_sync_on_change(struct presence_sync *s, struct slice node, uint64_t epoch, enum cluster_change change)
{
	tracker_node(s->tracker, node, epoch, change != CLUSTER_DOWN);
	if (change == CLUSTER_DOWN) {
		free(map_del(&s->peers, node));
		return;
	}
	peer_renew(peer_get(s, node), epoch);
	node_read(s, node);
}

void
presence_sync_on_clean(struct presence_sync *s, struct slice node, uint64_t epoch)
{
	sync_clean(s, node, epoch);
}

/* ["TOPIC",version] */
static bool
take_topic(struct slice *in, struct slice *topic, uint64_t *version, char *scratch, size_t size)
{
	struct slice	token, number;
	enum json_kind	type;

	if (!json_take(in, '[') || json_take_value(in, &token, &type) < 0 || type != JSON_STRING)
		return false;
	if (!json_take(in, ','))
		return false;
	if (json_take_value(in, &number, &type) < 0 || type != JSON_NUMBER || !json_take(in, ']'))
		return false;
	return presence_number(number, version) == 0 && json_text(token, scratch, size, topic) == 0;
}

static void
beat_topics(struct presence_sync *s, struct slice node, uint64_t epoch, struct slice topics)
{
	char	     scratch[WIRE_MAX_TOPIC];
	struct slice topic;
	uint64_t     version;

	if (!json_take(&topics, '['))
		return;
	do {
		if (!take_topic(&topics, &topic, &version, scratch, sizeof(scratch)))
			return;
		if (sync_watches(s, topic))
			tracker_heard(s->tracker, topic, node, epoch, version);
	} while (json_take(&topics, ','));
}

/* False if so many heartbeats are missing that what they told may be missing, too. */
static bool
beat_is_next(struct peer *p, uint64_t epoch, uint64_t seq)
{
	bool next;

	peer_renew(p, epoch);
	next = p->seq == 0 || seq <= p->seq + 1 + MAX_LOST;
	p->seq = seq;
	return next;
}

void
presence_sync_on_beat(struct presence_sync *s, struct slice node, uint64_t epoch, struct slice beat)
{
	struct slice topics = json_member(beat, "topics");
	uint64_t     seq;

	if (topics.p != NULL)
		beat_topics(s, node, epoch, topics);
	if (presence_number(json_member(beat, "seq"), &seq) < 0)
		return;
	if (beat_is_next(peer_get(s, node), epoch, seq))
		return;
	log_debug("heartbeats of node %.*s are missing: its presences are read again", SLICE_ARG(node));
	node_read(s, node);
}

void
sync_nodes_init(struct presence_sync *s)
{
	map_init(&s->peers, peer_node);
	list_init(&s->jobs);
}

void
sync_nodes_done(struct presence_sync *s)
{
	struct peer *p;
	size_t	     at;

	while (at = 0, (p = map_next(&s->peers, &at)) != NULL)
		free(map_del(&s->peers, p->node));
	map_done(&s->peers);
	list_each (l, &s->jobs)
		job_free(list_entry(l, struct job, in_jobs));
}
