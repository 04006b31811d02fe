/*
 * /api/stats: the cluster in a few numbers. Who is in topics is counted now, as long as these are few; what stands in the
 * registry is as of each node's last heartbeat.
 */
#include "base/stats.h"
#include "cluster/cluster_message.h"
#include "net/redis_words.h"
#include "net/utf8.h"
#include "api/api_call.h"
#include "wire/json.h"

#define COUNTED_MAX	1000	/* topics; of more, how many are heard has to do */

static void
count_topic(struct api_call *call, struct slice name)
{
	if (api_is_name(name) && utf8_valid(name))
		call->totals.types[topic_type(name)]++;
}

static void
answer_stats(struct api_call *call)
{
	autobuf struct buf    b = { 0 };
	const struct totals  *t = &call->totals;
	unsigned	      topics = 0;

	for (unsigned i = 0; i < TOPIC_TYPES; i++)
		topics += t->types[i];
	buf_addf(&b, "{\"channels\":%u,\"totalMembers\":%llu,\"byType\":{", topics, (unsigned long long)t->members);
	for (unsigned i = 0; i < TOPIC_TYPES; i++)
		buf_addf(&b, "%s\"%s\":%u", i > 0 ? "," : "", topic_types[i], t->types[i]);
	buf_addf(&b, "},\"clients\":%llu,\"nodes\":%u", (unsigned long long)t->clients, t->nodes);
	api_add_silent(&b, call->silent);
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

/* 0 where there is none: an operator may have written it by hand. */
static uint64_t
member_number(struct slice object, const char *name)
{
	uint64_t n;

	return cluster_number(json_member(object, name), &n) == 0 ? n : 0;
}

static void
nodes_told(void *arg, int error, struct slice json)
{
	struct api_call *call = arg;
	struct totals	*t = &call->totals;
	struct slice	 node;
	enum json_kind	 kind;

	if (!api_call_resume(call))
		return;
	if (error < 0) {
		api_unavailable(call, "Redis cannot be asked for the nodes");
		return;
	}
	for (json_take(&json, '['); json_take_value(&json, &node, &kind) == 0; json_take(&json, ',')) {
		if (!slice_is(json_member(node, "up"), "true"))
			continue;
		t->nodes++;
		t->clients += member_number(node, "clients");
		if (!t->counted)
			t->members += member_number(node, "channels");
	}
	answer_stats(call);
}

static void
ask_nodes(struct api_call *call)
{
	api_call_ask(call);
	if (cluster_nodes(call->api->backplane->cluster, nodes_told, call) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
}

static void
topics_counted(void *arg, const struct headcount *counts, unsigned silent)
{
	struct api_call *call = arg;
	struct slice	 left = buf_slice(&call->names);

	if (!api_call_resume(call) || api_unanswered(call, silent))
		return;
	call->silent = silent;
	call->totals.counted = true;
	for (unsigned i = 0; left.n > 0; i++) {
		struct slice name = slice_str(left.p);

		left = slice_from(left, name.n + 1);
		call->totals.members += counts[i].clients;
		if (counts[i].clients > 0 || silent > 0)
			count_topic(call, name);
	}
	ask_nodes(call);
}

/* Topics that were left a moment ago are still heard, but not to be counted. */
static void
count_exactly(struct api_call *call, const struct redisReply *reply)
{
	struct slice topics[COUNTED_MAX];
	unsigned     n = 0;

	for (size_t i = 0; i < reply->elements; i++) {
		struct slice name = api_topic(call->api, reply->element[i]);

		if (!api_is_name(name))
			continue;
		topics[n++] = name;
		buf_add_slice(&call->names, name);
		buf_add_char(&call->names, '\0');
	}
	if (!api_headcount(call, topics, n, topics_counted))
		api_unavailable(call, "Redis is away");
}

static void
topics_told(void *arg, const struct redisReply *reply)
{
	struct api_call *call = arg;

	if (!api_call_resume(call))
		return;
	if (!redis_is_array(reply)) {
		api_unavailable(call, "Redis cannot be asked for the topics");
		return;
	}
	if (reply->elements <= COUNTED_MAX) {
		count_exactly(call, reply);
		return;
	}
	for (size_t i = 0; i < reply->elements; i++)
		count_topic(call, api_topic(call->api, reply->element[i]));
	ask_nodes(call);
}

void
api_stats(struct api_call *call, struct slice query, struct slice body)
{
	struct hub   *hub = &call->api->env->pubsub.hub;
	struct topic *t;
	size_t	      at = 0;

	if (call->api->backplane->cluster != NULL) {
		api_ask_topics(call, SLICE(""), topics_told);
		return;
	}
	while ((t = map_next(&hub->topics, &at)) != NULL)
		count_topic(call, t->name);
	call->totals.members = stats->channels;
	call->totals.clients = stats->websockets + stats->longpolls;
	call->totals.nodes = 1;
	answer_stats(call);
}
