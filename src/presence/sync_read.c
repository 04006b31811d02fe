/*
 * Reading what another node holds in one topic, after a gap or on suspicion. At most one such read is in
 * flight, and one more is remembered if it is asked for meanwhile: what came in between may not be in the
 * answer.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "presence/sync_internal.h"

#define MAX_READING	256	/* in flight */

/* One (topic, node) that is to be read, or being read. */
struct replica_read {
	struct list	 in_to_read;	/* none while in flight */
	bool		 in_flight;
	bool		 again;
	struct slice	 topic;
	struct slice	 node;
	struct slice	 name;		/* both, for the map */
	char		 text[];
};

static struct slice
read_name(const void *item)
{
	const struct replica_read *r = item;

	return r->name;
}

/* TOPIC NUL NODE: neither can hold a NUL. */
static struct replica_read *
read_get(struct presence_sync *s, struct slice topic, struct slice node)
{
	struct replica_read *r = xmalloc(sizeof(*r) + topic.n + 1 + node.n), *there;

	*r = (struct replica_read){
		.topic = { r->text, topic.n }, .node = { r->text + topic.n + 1, node.n },
		.name = { r->text, topic.n + 1 + node.n },
	};
	memcpy(r->text, topic.p, topic.n);
	r->text[topic.n] = '\0';
	memcpy(r->text + topic.n + 1, node.p, node.n);
	there = map_get(&s->reads, r->name);
	if (there != NULL) {
		free(r);
		return there;
	}
	map_put(&s->reads, r);
	return r;
}

static void
read_free(struct presence_sync *s, struct replica_read *r)
{
	map_del(&s->reads, r->name);
	list_remove(&r->in_to_read);
	free(r);
}

static struct slice
element_text(const struct redisReply *reply, size_t i)
{
	return redis_text(reply->element[i]);
}

void
sync_fields(struct hash_fields *h, const struct redisReply *reply)
{
	*h = (struct hash_fields){ 0 };
	if (!redis_is_array(reply))
		return;
	for (size_t i = 0; i + 1 < reply->elements; i += 2)
		hash_fields_add(h, element_text(reply, i), element_text(reply, i + 1));
}

/* What has no epoch or no version, or is of an earlier life, is as good as not there. */
void
sync_tell(struct presence_sync *s, struct slice topic, struct slice node, const struct redisReply *reply)
{
	struct hash_fields h;

	stats->presence_reads_total++;
	sync_fields(&h, reply);
	if (h.items.dropped > 0)
		log_peer(LOG_WARN_, NULL, "%u fields in the hash of node %.*s in %.*s are no presences: dropped",
		    h.items.dropped, SLICE_ARG(node), SLICE_ARG(topic));
	if (hash_fields_end(&h) && !sync_is_past(s, node, h.epoch))
		tracker_read(s->tracker, topic, node, h.epoch, h.version, h.items.items, h.items.n);
	else
		tracker_read(s->tracker, topic, node, 0, 0, NULL, 0);
	hash_fields_done(&h);
}

/* Without an answer it waits for the next connection. */
static void
read_answered(struct ask *a, const struct redisReply *reply)
{
	struct presence_sync *s = a->sync;
	struct replica_read  *r = a->item;

	s->reading--;
	r->in_flight = false;
	if (reply == NULL || r->again) {
		r->again = false;
		list_append(&s->to_read, &r->in_to_read);
	} else {
		read_free(s, r);
		sync_log_error("reading a node's presences", a->topic, reply);
		if (sync_watches(s, a->topic))
			sync_tell(s, a->topic, a->node, reply);
	}
	if (reply != NULL)
		sync_read_pump(s);
}

static int
read_send(struct presence_sync *s, struct replica_read *r)
{
	struct ask	  *a = ask_new(s, read_answered, r->topic, r->node);
	autobuf struct buf key = { 0 };
	int		   error;

	a->item = r;
	key_hash(s, &key, r->topic, r->node);
	error = ask_command(s, a, (struct slice[]){ SLICE("HGETALL"), buf_slice(&key) }, 2);
	if (error < 0)
		return error;
	list_remove(&r->in_to_read);
	r->in_flight = true;
	s->reading++;
	return 0;
}

void
sync_read_pump(struct presence_sync *s)
{
	while (s->reading < MAX_READING && !list_empty(&s->to_read) && redis_is_up(s->redis)) {
		struct replica_read *r = list_entry(s->to_read.next, struct replica_read, in_to_read);

		if (!sync_watches(s, r->topic))
			read_free(s, r);
		else if (read_send(s, r) < 0)
			return;
	}
}

void
sync_read(struct presence_sync *s, struct slice topic, struct slice node)
{
	struct replica_read *r = read_get(s, topic, node);

	if (r->in_flight)
		r->again = true;
	else if (list_empty(&r->in_to_read))
		list_append(&s->to_read, &r->in_to_read);
	sync_read_pump(s);
}

void
sync_read_init(struct presence_sync *s)
{
	map_init(&s->reads, read_name);
	list_init(&s->to_read);
}

void
sync_read_done(struct presence_sync *s)
{
	struct replica_read *r;
	size_t		     at;

	while (at = 0, (r = map_next(&s->reads, &at)) != NULL)
		read_free(s, r);
	map_done(&s->reads);
}
