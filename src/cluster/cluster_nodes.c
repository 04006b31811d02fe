/*
 * The registry for the operator: what Redis has of each node, as JSON.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cluster/cluster_internal.h"
#include "cluster/cluster_message.h"
#include "cluster/cluster_scripts.h"
#include "net/utf8.h"
#include "wire/json.h"

/* The fields that are shown; "boot" concerns nodes alone. */
static const struct {
	const char	*name;
	bool		 is_number;
} fields[] = {
	{ "epoch", true },
	{ "host", false },
	{ "pid", true },
	{ "version", false },
	{ "listen", false },
	{ "started", true },
	{ "connections", true },
	{ "clients", true },
	{ "channels", true },
	{ "topics", true },
	{ "messages_in", true },
	{ "frames_out", true },
};

#define N_FIELDS	(sizeof(fields) / sizeof(fields[0]))

/* Who asked. */
struct nodes_call {
	struct cluster		*cluster;
	cluster_nodes_fn	*fn;
	void			*arg;
};

/* What is not what it should be is left out: anybody can write there. */
static void
add_field(struct buf *out, struct slice name, struct slice value)
{
	uint64_t n;

	for (size_t i = 0; i < N_FIELDS; i++) {
		if (!slice_is(name, fields[i].name))
			continue;
		if (fields[i].is_number && cluster_number(value, &n) == 0)
			buf_addf(out, ",\"%s\":%llu", fields[i].name, (unsigned long long)n);
		if (fields[i].is_number || !utf8_valid(value))
			return;
		buf_addf(out, ",\"%s\":", fields[i].name);
		json_quote(out, value);
		return;
	}
}

static void
add_node(struct buf *out, const struct cluster *c, const struct redisReply *row)
{
	struct slice node = cluster_reply_text(row, 0);
	uint64_t     age;

	if (!cluster_is_id(node))
		return;
	if (out->n > 1)
		buf_add_char(out, ',');
	buf_addf(out, "{\"node\":\"%.*s\",\"up\":%s", SLICE_ARG(node), cluster_is_up(c, node) ? "true" : "false");
	if (cluster_number(cluster_reply_text(row, 1), &age) == 0)
		buf_addf(out, ",\"beat_ms\":%llu", (unsigned long long)age);
	for (size_t i = 2; i + 1 < row->elements; i += 2)
		add_field(out, cluster_reply_text(row, i), cluster_reply_text(row, i + 1));
	buf_add_char(out, '}');
}

static int
compose_nodes(struct buf *out, const struct cluster *c, const struct redisReply *reply)
{
	if (reply == NULL)
		return -ENOTCONN;
	if (reply->type != REDIS_REPLY_ARRAY)
		return -EIO;
	buf_add_char(out, '[');
	for (size_t i = 0; i < reply->elements; i++)
		add_node(out, c, reply->element[i]);
	buf_add_char(out, ']');
	return 0;
}

static void
on_nodes(void *arg, const struct redisReply *reply)
{
	struct nodes_call  call = *(struct nodes_call *)arg;
	autobuf struct buf json = { 0 };
	int		   r;

	free(arg);
	if (!cluster_answered(call.cluster))
		return;
	r = compose_nodes(&json, call.cluster, reply);
	if (r < 0)
		cluster_reply_fault(reply, "show us the nodes");
	call.fn(call.arg, r, buf_slice(&json));
}

int
cluster_nodes(struct cluster *c, cluster_nodes_fn *fn, void *arg)
{
	struct nodes_call *call = xmalloc(sizeof(*call));
	int		   r;

	*call = (struct nodes_call){ .cluster = c, .fn = fn, .arg = arg };
	r = cluster_ask_nodes(c, on_nodes, call);
	if (r < 0)
		free(call);
	return r;
}
