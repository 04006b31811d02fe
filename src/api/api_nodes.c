/*
 * /api/nodes, and who is disconnected: /api/users/ID/connections, /api/connections/ID.
 */
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stats.h"
#include "api/api_call.h"
#include "wire/json.h"

static void
nodes_told(void *arg, int error, struct slice json)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 };

	if (!api_call_resume(call))
		return;
	if (error < 0) {
		api_unavailable(call, "Redis cannot be asked for the nodes");
		return;
	}
	buf_addf(&b, "{\"nodes\":%.*s}", SLICE_ARG(json));
	api_answer(call, buf_slice(&b));
}

/* A node alone, with what the registry would have of it. */
static void
answer_alone(struct api_call *call)
{
	autobuf struct buf b = { 0 };
	char		   host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	buf_add_str(&b, "{\"nodes\":[{\"node\":");
	json_quote(&b, slice_str(call->api->node));
	buf_add_str(&b, ",\"up\":true,\"host\":");
	json_quote(&b, slice_str(host));
	buf_addf(&b, ",\"pid\":%ld,\"version\":\"" PACKAGE_VERSION "\",\"listen\":", (long)getpid());
	json_quote(&b, slice_str(call->api->listen));
	buf_addf(&b, ",\"connections\":%llu,\"clients\":%llu,\"channels\":%llu,\"topics\":%llu}]}", (unsigned long long)stats->connections,
	    (unsigned long long)(stats->websockets + stats->longpolls), (unsigned long long)stats->channels, (unsigned long long)stats->topics);
	api_answer(call, buf_slice(&b));
}

void
api_nodes(struct api_call *call, struct slice query, struct slice body)
{
	struct cluster *cluster = call->api->backplane->cluster;

	if (cluster == NULL) {
		answer_alone(call);
		return;
	}
	api_call_ask(call);
	if (cluster_nodes(cluster, nodes_told, call) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
}

static void
kick_told(void *arg, unsigned disconnected, unsigned silent)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 };

	if (!api_call_resume(call) || api_unanswered(call, silent))
		return;
	buf_addf(&b, "{\"disconnected\":%u", disconnected);
	api_add_silent(&b, silent);
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

static void
call_kick(struct api_call *call, enum kick_whom whom)
{
	api_call_ask(call);
	if (kick(call->api->kicks, whom, api_name(call), kick_told, call) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
}

void
api_kick(struct api_call *call, struct slice query, struct slice body)
{
	call_kick(call, KICK_USER);
}

void
api_kick_connection(struct api_call *call, struct slice query, struct slice body)
{
	call_kick(call, KICK_CONNECTION);
}
