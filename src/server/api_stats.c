/*
 * /api/stats: the cluster in a few numbers. Topics are counted now; what stands in the registry is as of each node's
 * last heartbeat.
 */
#include "base/stats.h"
#include "base/units.h"
#include "net/utf8.h"
#include "server/api_call.h"
#include "wire/json.h"

struct totals {
	uint64_t	members;
	uint64_t	clients;
	unsigned	nodes;
};

static void
count_topic(struct api_call *call, struct slice name)
{
	if (api_is_name(name) && utf8_valid(name))
		call->types[topic_type(name)]++;
}

static void
answer_stats(struct api_call *call, const struct totals *t)
{
	autobuf struct buf b = { 0 };
	unsigned	   topics = 0;

	for (unsigned i = 0; i < TOPIC_TYPES; i++)
		topics += call->types[i];
	buf_addf(&b, "{\"channels\":%u,\"totalMembers\":%llu,\"byType\":{", topics, (unsigned long long)t->members);
	for (unsigned i = 0; i < TOPIC_TYPES; i++)
		buf_addf(&b, "%s\"%s\":%u", i > 0 ? "," : "", topic_types[i], call->types[i]);
	buf_addf(&b, "},\"clients\":%llu,\"nodes\":%u}", (unsigned long long)t->clients, t->nodes);
	api_answer(call, buf_slice(&b));
}

/* 0 where there is none: an operator may have written it by hand. */
static uint64_t
member_number(struct slice object, const char *name)
{
	struct slice token = json_member(object, name);
	char	     text[24] = "";
	uint64_t     n;

	if (token.p == NULL || token.n >= sizeof(text))
		return 0;
	memcpy(text, token.p, token.n);
	return units_number(text, &n) == 0 ? n : 0;
}

static void
nodes_told(void *arg, int error, struct slice json)
{
	struct api_call	*call = arg;
	struct totals	 t = { 0 };
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
		t.nodes++;
		t.members += member_number(node, "channels");
		t.clients += member_number(node, "connections");
	}
	answer_stats(call, &t);
}

static void
topics_told(void *arg, const struct redisReply *reply)
{
	struct api_call *call = arg;

	if (!api_call_resume(call))
		return;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		api_unavailable(call, "Redis cannot be asked for the topics");
		return;
	}
	for (size_t i = 0; i < reply->elements; i++)
		count_topic(call, api_topic(call->api, reply->element[i]));
	api_call_ask(call);
	if (cluster_nodes(call->api->backplane->cluster, nodes_told, call) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
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
	answer_stats(call, &(struct totals){
		.members = stats->channels, .clients = stats->websockets + stats->longpolls, .nodes = 1,
	});
}
