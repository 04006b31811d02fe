/*
 * The rolling audit: replica after replica is compared with what stands in Redis, so that what was lost
 * without a word is found though nothing else happens. It also keeps our hashes from expiring.
 */
#include "base/log.h"
#include "presence/sync_internal.h"

#define AUDIT_MIN	64	/* replicas a second */
#define AUDIT_MAX	4096
#define AUDIT_ROUND	240	/* seconds in which all are to be seen: hashes live for 600 */

static bool
answer_numbers(const struct redisReply *reply, uint64_t *epoch, uint64_t *version)
{
	if (reply->elements != 2 || presence_number(redis_text(reply->element[0]), epoch) < 0)
		return false;
	return presence_number(redis_text(reply->element[1]), version) == 0;
}

static void
own_audited(struct ask *a, const struct redisReply *reply)
{
	uint64_t epoch = 0, version = 0;

	a->sync->auditing--;
	sync_log_error("auditing our presences", a->topic, reply);
	if (!redis_is_array(reply) || a->epoch != a->sync->epoch)
		return;
	if (answer_numbers(reply, &epoch, &version) && epoch == a->epoch && version == a->version)
		return;
	log_debug("our presences in %.*s are not what Redis has: written again", SLICE_ARG(a->topic));
	sync_repair(a->sync, a->topic, a->version, epoch == a->epoch ? version : 0);
}

/* Commands are executed in order: the answer is to be what was written last before. */
static void
audit_own(struct presence_sync *s, struct slice topic)
{
	const uint64_t	   version = sync_held(s, topic);
	autobuf struct buf hash = { 0 }, set = { 0 }, topics = { 0 };
	struct ask	  *a;

	if (version == 0)
		return;
	key_hash(s, &hash, topic, s->self);
	key_set(s, &set, topic);
	key_topics(s, &topics, s->self);
	a = ask_new(s, own_audited, topic, SLICE(""));
	a->epoch = s->epoch;
	a->version = version;
	if (ask_eval(s, a, &presence_refresh_script,
		(struct slice[]){ buf_slice(&hash), buf_slice(&set), buf_slice(&topics) }, 3,
		(struct slice[]){ s->self, topic, SLICE(SYNC_TTL) }, 3) == 0)
		s->auditing++;
}

/*
 * More than we know: the tracker looks whether it still knows less. Less, or anything where we know of nothing
 * that is left: Redis went back, or a stranger was there.
 */
static void
other_audited(struct ask *a, const struct redisReply *reply)
{
	struct presence_sync *s = a->sync;
	uint64_t	      epoch = 0, version = 0;
	bool		      there;

	s->auditing--;
	if (!redis_is_array(reply) || !sync_watches(s, a->topic))
		return;
	there = answer_numbers(reply, &epoch, &version);
	if (!there && a->version == 0)
		return;
	if (!there || a->version == 0 || epoch < a->epoch || (epoch == a->epoch && version < a->version))
		sync_read(s, a->topic, a->node);
	else if (epoch != a->epoch || version != a->version)
		tracker_heard(s->tracker, a->topic, a->node, epoch, version);
}

static void
audit_one(void *arg, struct slice topic, struct slice node, uint64_t epoch, uint64_t version)
{
	struct presence_sync *s = arg;
	autobuf struct buf    hash = { 0 };
	struct ask	     *a;

	if (node.n == 0) {
		audit_own(s, topic);
		return;
	}
	a = ask_new(s, other_audited, topic, node);
	a->epoch = epoch;
	a->version = version;
	key_hash(s, &hash, topic, node);
	if (ask_command(s, a, (struct slice[]){ SLICE("HMGET"), buf_slice(&hash), SLICE("@epoch"), SLICE("@version") },
		4) == 0)
		s->auditing++;
}

/* How many there are at most is known: enough for a round in time. */
static unsigned
audit_number(const struct presence_sync *s)
{
	size_t n = (s->own.n + s->watched.n * cluster_count(s->cluster)) / AUDIT_ROUND;

	return n < AUDIT_MIN ? AUDIT_MIN : n > AUDIT_MAX ? AUDIT_MAX : (unsigned)n;
}

/* Once a second, if the last one has been answered. */
void
sync_audit_fire(struct timer *t, uint64_t now)
{
	struct presence_sync *s = container_of(t, struct presence_sync, audit_timer);

	loop_timer(s->loop, t, now + SYNC_AUDIT_MS);
	if (s->epoch == 0 || s->left || s->auditing > 0)
		return;
	sync_jobs_resume(s);
	tracker_audit(s->tracker, audit_number(s), audit_one, s);
	sync_read_pump(s);
	sync_load_missed(s);
}
