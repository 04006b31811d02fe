/*
 * /api/channels: which topics somebody hears, anywhere, and who is present there.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/redis_words.h"
#include "net/utf8.h"
#include "presence/tracker.h"
#include "api/api_call.h"
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

static void
add_channel(struct buf *out, struct slice name, uint64_t members, unsigned nodes)
{
	buf_add_str(out, "{\"name\":");
	json_quote(out, name);
	buf_addf(out, ",\"type\":\"%s\",\"memberCount\":%llu,\"nodes\":%u", topic_types[topic_type(name)],
	    (unsigned long long)members, nodes);
}

/* The list. */

/* Behind the cursor, of the type that is asked for, and a name that a client could have joined. */
static bool
list_wants(const struct api_call *call, struct slice name)
{
	struct slice cursor = buf_slice(&call->cursor);

	return api_is_name(name) && utf8_valid(name) && compare_names(&name, &cursor) > 0 &&
	    (call->type.n == 0 || slice_is(buf_slice(&call->type), topic_types[topic_type(name)]));
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

/* Those where somebody is, or may be. */
static void
list_counted(void *arg, const struct headcount *counts, unsigned silent)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 };
	struct slice	   left = buf_slice(&call->names), name = SLICE("");
	bool		   first = true;

	if (!api_call_resume(call) || api_unanswered(call, silent))
		return;
	buf_add_str(&b, "{\"channels\":[");
	for (unsigned i = 0; left.n > 0; i++) {
		name = slice_str(left.p);
		left = slice_from(left, name.n + 1);
		if (counts[i].clients == 0 && silent == 0)
			continue;
		buf_add_str(&b, first ? "" : ",");
		add_channel(&b, name, counts[i].clients, counts[i].nodes);
		buf_add_char(&b, '}');
		first = false;
	}
	buf_add_str(&b, "],\"next\":");
	if (call->more)
		json_quote(&b, name);
	else
		buf_add_str(&b, "null");
	api_add_silent(&b, silent);
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

/* Takes the names. */
static void
list_count(struct api_call *call, struct names *names)
{
	list_cut(call, names);
	for (size_t i = 0; i < names->n; i++) {
		buf_add_slice(&call->names, names->items[i]);
		buf_add_char(&call->names, '\0');
	}
	if (!api_headcount(call, names->items, (unsigned)names->n, list_counted))
		api_unavailable(call, "Redis is away");
	free(names->items);
}

static void
list_here(struct api_call *call, struct slice prefix)
{
	struct names  names = { 0 };
	struct topic *t;
	size_t	      at = 0;

	while ((t = map_next(&call->api->env->pubsub.hub.topics, &at)) != NULL)
		if (slice_starts(t->name, prefix) && list_wants(call, t->name))
			names_add(&names, t->name);
	list_count(call, &names);
}

struct slice
api_topic(const struct api *api, const struct redisReply *reply)
{
	struct slice channel = redis_text(reply);
	size_t	     before = strlen(cluster_prefix(api->backplane->cluster)) + strlen("t:{");

	if (channel.n <= before + 1 || channel.p[channel.n - 1] != '}')
		return SLICE("");
	return slice(channel.p + before, channel.n - before - 1);
}

void
api_ask_redis(struct api_call *call, redis_reply_fn *fn, const struct slice *argv, unsigned argc)
{
	api_call_ask(call);
	/* Before the others are known, what Redis has of them is not all of it. */
	if (cluster_count_asked(call->api->backplane->cluster) > 0 &&
	    redis_command(call->api->backplane->redis, fn, call, argv, argc) == 0)
		return;
	api_call_unask(call);
	api_unavailable(call, "Redis is away");
}

static void
list_told(void *arg, const struct redisReply *reply)
{
	struct api_call *call = arg;
	struct names	 names = { 0 };

	if (!api_call_resume(call))
		return;
	if (!redis_is_array(reply)) {
		api_unavailable(call, "Redis cannot be asked for the topics");
		return;
	}
	for (size_t i = 0; i < reply->elements; i++) {
		struct slice name = api_topic(call->api, reply->element[i]);

		if (list_wants(call, name))
			names_add(&names, name);
	}
	list_count(call, &names);
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

void
api_list(struct api_call *call, struct slice query, struct slice body)
{
	autobuf struct buf prefix = { 0 };

	if (!api_text(call, query, "prefix", &prefix) || !api_text(call, query, "cursor", &call->cursor) ||
	    !api_text(call, query, "type", &call->type) || !api_limit(call, query, LIST_DEFAULT, LIST_MAX))
		return;
	if (call->type.n > 0 && !topic_is_type(buf_slice(&call->type)))
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

/* Takes {"metas":[ off; the list's elements follow. */
static bool
take_entry(struct slice *in, struct slice *key)
{
	struct slice   name;
	enum json_kind kind;

	return json_take_value(in, key, &kind) == 0 && json_take(in, ':') && json_take(in, '{') &&
	    json_take_value(in, &name, &kind) == 0 && json_take(in, ':') && json_take(in, '[');
}

/*
 * The presences, as we have composed them, as a flat list: one member for each meta. Returns how many there are. Taken apart
 * piece by piece: each meta is within the limits of a client's value, all of a user's together need not be.
 */
static unsigned
add_members(struct buf *out, struct slice presences)
{
	struct slice   key, meta;
	enum json_kind kind;
	unsigned       n = 0;

	buf_add_str(out, "\"members\":[");
	for (json_take(&presences, '{'); take_entry(&presences, &key); json_take(&presences, ',')) {
		for (; json_take_value(&presences, &meta, &kind) == 0; json_take(&presences, ',')) {
			buf_add_str(out, n++ > 0 ? "," : "");
			add_member(out, key, meta);
		}
		json_take(&presences, ']');
		json_take(&presences, '}');
	}
	buf_add_char(out, ']');
	return n;
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

/* Since when there have been clients. */
static void
add_created(struct buf *out, int64_t since)
{
	char time[CLOCK_ISO_LEN];

	if (since > 0)
		buf_addf(out, ",\"createdAt\":\"%s\",", clock_iso(since, time));
	else
		buf_add_str(out, ",\"createdAt\":null,");
}

static void
channel_told(void *arg, int error, struct slice presences)
{
	struct api_call	  *call = arg;
	autobuf struct buf b = { 0 }, members = { 0 };
	unsigned	   n;

	if (!presences_told(call, error))
		return;
	n = add_members(&members, presences);
	if (n == 0 && call->count.clients == 0 && call->silent == 0) {
		api_error(call, 404, "NOT_FOUND", "nobody is in this topic");
		return;
	}
	add_channel(&b, api_name(call), n > 0 ? n : call->count.clients, call->count.nodes);
	add_created(&b, call->count.since);
	buf_add_slice(&b, buf_slice(&members));
	api_add_silent(&b, call->silent);
	buf_add_char(&b, '}');
	api_answer(call, buf_slice(&b));
}

static void
channel_counted(void *arg, const struct headcount *counts, unsigned silent)
{
	struct api_call *call = arg;

	if (!api_call_resume(call) || api_unanswered(call, silent))
		return;
	call->count = counts[0];
	call->silent = silent;
	ask_presences(call, channel_told);
}

static void
channel_count(struct api_call *call)
{
	if (!api_headcount(call, (struct slice[]){ api_name(call) }, 1, channel_counted))
		api_unavailable(call, "Redis is away");
}

/* Where no node hears it, none has to be asked: one that is silent need not be waited for. */
static void
channel_heard(void *arg, const struct redisReply *reply)
{
	struct api_call *call = arg;

	if (!api_call_resume(call))
		return;
	if (!redis_is_array(reply) || reply->elements != 2)
		api_unavailable(call, "Redis cannot be asked for the topic");
	else if (reply->element[1]->integer > 0)
		channel_count(call);
	else
		ask_presences(call, channel_told);
}

void
api_channel(struct api_call *call, struct slice query, struct slice body)
{
	autobuf struct buf channel = { 0 };

	if (call->api->backplane->cluster == NULL) {
		channel_count(call);
		return;
	}
	api_add_channel(call->api, &channel, api_name(call));
	api_ask_redis(call, channel_heard, (struct slice[]){ SLICE("PUBSUB"), SLICE("NUMSUB"), buf_slice(&channel) }, 3);
}
