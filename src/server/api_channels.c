/*
 * /api/channels: which topics somebody hears, anywhere, and who is present there.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/utf8.h"
#include "presence/tracker.h"
#include "server/api_call.h"
#include "wire/json.h"

#define LIST_DEFAULT	100
#define LIST_MAX	1000	/* topics of one page */

/* Names borrowed from a reply, or from the hub. */
struct names {
	struct slice *items;
	size_t	      n;
	size_t	      cap;
};

static void
names_add(struct names *names, struct slice name)
{
	if (names->n == names->cap) {
		names->cap = names->cap > 0 ? names->cap * 2 : 64;
		names->items = xrealloc(names->items, names->cap * sizeof(*names->items));
	}
	names->items[names->n++] = name;
}

static int
compare_names(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return slice_compare(*x, *y);
}

const char *const api_types[API_TYPES] = { "topic", "public", "private", "presence" };

unsigned
api_type(struct slice name)
{
	for (unsigned i = 1; i < API_TYPES; i++) {
		const size_t n = strlen(api_types[i]);

		if (slice_starts(name, slice(api_types[i], n)) && name.n > n && name.p[n] == '-')
			return i;
	}
	return 0;
}

/* Presences as known here, else this node's subscribers. */
static unsigned
count_members(const struct api *api, struct slice name)
{
	const struct topic *t = hub_topic(&api->env->pubsub.hub, name);
	unsigned	    present = tracker_count(api->env->tracker, name);

	return present > 0 ? present : t != NULL ? t->n : 0;
}

static void
add_channel(struct buf *out, struct slice name, unsigned members, unsigned long long nodes)
{
	buf_add_str(out, "{\"name\":");
	json_quote(out, name);
	buf_addf(out, ",\"type\":\"%s\",\"memberCount\":%u,\"nodes\":%llu", api_types[api_type(name)], members, nodes);
}

/* The list. */

/* Behind the cursor, of the type that is asked for, and a name that a client could have joined. */
static bool
list_wants(const struct api_call *call, struct slice name)
{
	struct slice cursor = buf_slice(&call->cursor);

	return api_is_name(name) && utf8_valid(name) && compare_names(&name, &cursor) > 0 &&
	    (call->type.n == 0 || slice_is(buf_slice(&call->type), api_types[api_type(name)]));
}

/* Sorts them and cuts the page off. */
static void
list_cut(struct api_call *call, struct names *names)
{
	if (names->n > 0)
		qsort(names->items, names->n, sizeof(*names->items), compare_names);
	call->more = names->n > call->limit;
	if (call->more)
		names->n = call->limit;
}

static void
list_answer(struct api_call *call, struct buf *b, struct slice last)
{
	buf_add_str(b, "],\"next\":");
	if (call->more)
		json_quote(b, last);
	else
		buf_add_str(b, "null");
	buf_add_char(b, '}');
	api_answer(call, buf_slice(b));
}

static void
list_here(struct api_call *call, struct slice prefix)
{
	struct hub	  *hub = &call->api->env->pubsub.hub;
	autobuf struct buf b = { 0 };
	struct names	   names = { 0 };
	struct topic	  *t;
	size_t		   at = 0;

	while ((t = map_next(&hub->topics, &at)) != NULL)
		if (slice_starts(t->name, prefix) && list_wants(call, t->name))
			names_add(&names, t->name);
	list_cut(call, &names);
	buf_add_str(&b, "{\"channels\":[");
	for (size_t i = 0; i < names.n; i++) {
		buf_add_str(&b, i > 0 ? "," : "");
		add_channel(&b, names.items[i], count_members(call->api, names.items[i]), 1);
		buf_add_char(&b, '}');
	}
	list_answer(call, &b, names.n > 0 ? names.items[names.n - 1] : SLICE(""));
	free(names.items);
}

static struct slice
reply_text(const struct redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? slice(r->str, r->len) : SLICE("");
}

struct slice
api_topic(const struct api *api, const struct redisReply *reply)
{
	struct slice channel = reply_text(reply);
	size_t	     before = strlen(cluster_prefix(api->backplane->cluster)) + strlen("t:{");

	if (channel.n <= before + 1 || channel.p[channel.n - 1] != '}')
		return SLICE("");
	return slice(channel.p + before, channel.n - before - 1);
}

static bool
is_array(const struct redisReply *r)
{
	return r != NULL && r->type == REDIS_REPLY_ARRAY;
}

static void
list_counted(void *arg, const struct redisReply *reply)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 };
	struct slice	   name = SLICE("");

	if (!api_call_resume(call))
		return;
	if (!is_array(reply)) {
		api_unavailable(call, "Redis cannot be asked for the topics");
		return;
	}
	buf_add_str(&b, "{\"channels\":[");
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		name = api_topic(call->api, reply->element[i]);
		buf_add_str(&b, i > 0 ? "," : "");
		add_channel(&b, name, count_members(call->api, name), (unsigned long long)reply->element[i + 1]->integer);
		buf_add_char(&b, '}');
	}
	list_answer(call, &b, name);
}

void
api_ask_redis(struct api_call *call, redis_reply_fn *fn, const struct slice *argv, unsigned argc)
{
	api_call_ask(call);
	if (redis_command(call->api->backplane->redis, fn, call, argv, argc) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
}

/* How many nodes hear each of them. */
static void
list_count(struct api_call *call, const struct names *names)
{
	autofree struct slice *argv = xmalloc((names->n + 2) * sizeof(*argv));
	autobuf struct buf     texts = { 0 };

	argv[0] = SLICE("PUBSUB");
	argv[1] = SLICE("NUMSUB");
	for (size_t i = 0; i < names->n; i++) {
		size_t from = texts.n;

		api_add_channel(call->api, &texts, names->items[i]);
		argv[i + 2] = slice(NULL, texts.n - from);
	}
	for (size_t i = 0, at = 0; i < names->n; at += argv[i + 2].n, i++)
		argv[i + 2].p = texts.p + at;
	api_ask_redis(call, list_counted, argv, (unsigned)names->n + 2);
}

static void
list_told(void *arg, const struct redisReply *reply)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 };
	struct names	   names = { 0 };

	if (!api_call_resume(call))
		return;
	if (!is_array(reply)) {
		api_unavailable(call, "Redis cannot be asked for the topics");
		return;
	}
	for (size_t i = 0; i < reply->elements; i++) {
		struct slice name = api_topic(call->api, reply->element[i]);

		if (list_wants(call, name))
			names_add(&names, name);
	}
	list_cut(call, &names);
	if (names.n > 0)
		list_count(call, &names);
	else {
		buf_add_str(&b, "{\"channels\":[");
		list_answer(call, &b, SLICE(""));
	}
	free(names.items);
}

/* What PUBSUB CHANNELS would take for a pattern stands for itself. */
static void
add_literally(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (memchr("*?[]^-\\", text.p[i], 7) != NULL)
			buf_add_char(out, '\\');
		buf_add_char(out, text.p[i]);
	}
}

void
api_ask_topics(struct api_call *call, struct slice prefix, redis_reply_fn *fn)
{
	autobuf struct buf pattern = { 0 };

	add_literally(&pattern, slice_str(cluster_prefix(call->api->backplane->cluster)));
	buf_add_str(&pattern, "t:{");
	add_literally(&pattern, prefix);
	buf_add_char(&pattern, '*');
	api_ask_redis(call, fn, (struct slice[]){ SLICE("PUBSUB"), SLICE("CHANNELS"), buf_slice(&pattern) }, 3);
}

static bool
is_type(struct slice type)
{
	for (unsigned i = 0; i < API_TYPES; i++)
		if (slice_is(type, api_types[i]))
			return true;
	return type.n == 0;
}

void
api_list(struct api_call *call, struct slice query, struct slice body)
{
	autobuf struct buf prefix = { 0 };

	if (!api_text(call, query, "prefix", &prefix) || !api_text(call, query, "cursor", &call->cursor) ||
	    !api_text(call, query, "type", &call->type) || !api_limit(call, query, LIST_DEFAULT, LIST_MAX))
		return;
	if (!is_type(buf_slice(&call->type)))
		api_invalid(call, "type: expected public, private, presence or topic");
	else if (call->api->backplane->cluster == NULL)
		list_here(call, buf_slice(&prefix));
	else
		api_ask_topics(call, buf_slice(&prefix), list_told);
}

/* Who is present. */

/* What programs tell presences apart by, and what would stand for the key, however it is spelt. */
static bool
member_hides(struct slice name)
{
	static const char *const hidden[] = { "id", "phx_ref", "phx_ref_prev" };
	char			 scratch[sizeof("phx_ref_prev")];
	struct slice		 text;

	if (json_text(name, scratch, sizeof(scratch), &text) < 0)
		return false;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (slice_is(text, hidden[i]))
			return true;
	return false;
}

/* One presence as an object with the key as its id. */
static void
add_member(struct buf *out, struct slice key, struct slice meta)
{
	struct slice name, value;
	size_t	     at = 0;

	buf_add_str(out, "{\"id\":");
	buf_add_slice(out, key);
	while (json_next_member(meta, &at, &name, &value) == 1) {
		if (member_hides(name))
			continue;
		buf_add_char(out, ',');
		buf_add_slice(out, name);
		buf_add_char(out, ':');
		buf_add_slice(out, value);
	}
	buf_add_char(out, '}');
}

/* The presences as a flat list, one member for each meta. Returns how many keys there are. */
static unsigned
add_members(struct buf *out, struct slice presences)
{
	struct slice   key, entry, metas, meta;
	enum json_kind kind;
	size_t	       at = 0;
	unsigned       keys = 0;
	bool	       first = true;

	buf_add_str(out, "\"members\":[");
	for (; json_next_member(presences, &at, &key, &entry) == 1; keys++) {
		metas = json_member(entry, "metas");
		for (json_take(&metas, '['); json_take_value(&metas, &meta, &kind) == 0; json_take(&metas, ',')) {
			buf_add_str(out, first ? "" : ",");
			add_member(out, key, meta);
			first = false;
		}
	}
	buf_add_char(out, ']');
	return keys;
}

/* Tells `fn` the topic's presences: at once where it is looked at, or where there is nobody else to ask. */
static void
ask_presences(struct api_call *call, presence_list_fn *fn)
{
	struct api	  *api = call->api;
	autobuf struct buf b = { 0 };

	api_call_ask(call);
	if (tracker_list(api->env->tracker, api_name(call), &b))
		fn(call, 0, buf_slice(&b));
	else if (api->backplane->sync == NULL)
		fn(call, 0, SLICE("{}"));
	else if (presence_sync_list(api->backplane->sync, api_name(call), fn, call) < 0) {
		api_call_unask(call);
		api_unavailable(call, "Redis is away");
	}
}

/* False: the call is over. */
static bool
presences_told(struct api_call *call, int error)
{
	if (!api_call_resume(call))
		return false;
	if (error == 0)
		return true;
	api_unavailable(call, "Redis cannot be asked for the presences");
	return false;
}

static void
members_told(void *arg, int error, struct slice presences)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 };

	if (!presences_told(call, error))
		return;
	buf_add_char(&b, '{');
	add_members(&b, presences);
	buf_add_str(&b, ",\"presences\":");
	buf_add_slice(&b, presences);
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

void
api_members(struct api_call *call, struct slice query, struct slice body)
{
	ask_presences(call, members_told);
}

/* Since when this node has had clients there. */
static void
add_created(struct buf *out, const struct topic *t)
{
	char time[CLOCK_ISO_LEN];

	if (t != NULL)
		buf_addf(out, ",\"createdAt\":\"%s\",", clock_iso(t->since, time));
	else
		buf_add_str(out, ",\"createdAt\":null,");
}

static void
channel_told(void *arg, int error, struct slice presences)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 }, members = { 0 };
	unsigned	   keys;

	if (!presences_told(call, error))
		return;
	keys = add_members(&members, presences);
	if (keys == 0 && call->nodes == 0) {
		api_error(call, 404, "NOT_FOUND", "nobody is in this topic");
		return;
	}
	add_channel(&b, api_name(call), keys > 0 ? keys : count_members(call->api, api_name(call)), call->nodes);
	add_created(&b, hub_topic(&call->api->env->pubsub.hub, api_name(call)));
	buf_add_slice(&b, buf_slice(&members));
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

static void
channel_counted(void *arg, const struct redisReply *reply)
{
	struct api_call *call = arg;

	if (!api_call_resume(call))
		return;
	if (!is_array(reply) || reply->elements != 2) {
		api_unavailable(call, "Redis cannot be asked for the topic");
		return;
	}
	call->nodes = (unsigned)reply->element[1]->integer;
	ask_presences(call, channel_told);
}

void
api_channel(struct api_call *call, struct slice query, struct slice body)
{
	autobuf struct buf channel = { 0 };

	if (call->api->backplane->cluster == NULL) {
		call->nodes = hub_topic(&call->api->env->pubsub.hub, api_name(call)) != NULL;
		ask_presences(call, channel_told);
		return;
	}
	api_add_channel(call->api, &channel, api_name(call));
	api_ask_redis(call, channel_counted, (struct slice[]){ SLICE("PUBSUB"), SLICE("NUMSUB"), buf_slice(&channel) }, 3);
}
