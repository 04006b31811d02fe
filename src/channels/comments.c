/*
 * Comments on a stream or a video: each is kept, and everyone who looks on hears it; who comes is given the newest.
 */
#include <stdlib.h>

#include "channels/common.h"

#define MAX_LENGTH	65536			/* characters of a comment, at most */
#define MAX_STAMP	INT64_C(9007199254740991)	/* integers that every client can read */

/* Read once per route. */
struct comments_route {
	uint64_t max_length;	/* characters */
	struct history_limits kept;
};

static const struct channel_option comments_options[] = {
	{ "history_max", "1000", "most comments that are kept" },
	{ "history_age", "7d", "how long they are kept; 0 = for ever" },
	{ "max_length", "1024", "characters of a comment" },
	{ 0 }
};

/* What is wrong with the options; NULL if nothing is. */
static const char *
comments_options_fault(const struct channel_route *route, struct comments_route *r)
{
	if (channel_route_number(route, "max_length", &r->max_length) < 0 || r->max_length < 1 || r->max_length > MAX_LENGTH)
		return "max_length: expected a number from 1 to 65536";
	return common_limits_read(route, &r->kept);
}

static int
comments_configure(const struct channel_route *route, void **data, const char **why)
{
	struct comments_route *r = calloc(1, sizeof(*r));

	*data = r;
	*why = r != NULL ? comments_options_fault(route, r) : "out of memory";
	if (*why == NULL)
		return 0;
	free(r);
	*data = NULL;
	return -1;
}

static bool
comments_history(const void *data, struct history_limits *limits)
{
	const struct comments_route *r = data;

	*limits = r->kept;
	return true;
}

/* What was deleted is not there; that it was is no comment. */
static bool
comments_wants(const struct channel *ch, const struct history_message *m)
{
	return !slice_is(m->event, "message_deleted");
}

static const struct common_list comments_kept = { .name = "comments", .add = common_add_message };

static void
comments_accept_newest(struct channel *ch, const struct history_page *page)
{
	common_accept(ch, &comments_kept, page, false);
}

static void
comments_accept_since(struct channel *ch, const struct history_page *page)
{
	common_accept(ch, &comments_kept, page, true);
}

static int
comments_join(struct channel *ch, const struct channel_message *params)
{
	const struct comments_route *r = channel_route_data(ch);

	if (channel_user(ch).n == 0)
		return CHANNEL_REFUSED;
	if (params->payload.binary) {
		common_invalid(ch, SLICE("payload"));
		return CHANNEL_REFUSED;
	}
	channel_keep_history(ch, &r->kept);
	return common_catch_up(ch, params->payload.bytes, comments_accept_newest, comments_accept_since);
}

/* ,"stream_id":"5": as the route calls what stands in the topic. */
static void
comments_add_place(struct buf *out, const struct channel *ch)
{
	static const char *const names[] = { "stream_id", "video_id" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct slice place = channel_capture(ch, names[i]);

		if (place.p == NULL)
			continue;
		buf_addf(out, ",\"%s\":", names[i]);
		channel_json_add(out, place);
	}
}

/* A comment in the client's own words. */
static void
comments_compose(struct buf *out, const struct channel *ch, const struct channel_value *content,
    const struct channel_value *stamp)
{
	buf_add_str(out, "{\"content\":");
	buf_add_slice(out, content->token);
	buf_add_str(out, ",\"user_id\":");
	channel_json_add(out, channel_user(ch));
	comments_add_place(out, ch);
	buf_add_str(out, ",\"timestamp\":");
	if (stamp->given)
		buf_add_slice(out, stamp->token);
	else
		buf_addf(out, "%lld", (long long)channel_wall(ch));
	buf_add_char(out, '}');
}

static int
comments_post(struct channel *ch, const struct channel_message *m)
{
	enum { CONTENT, TIMESTAMP, N };
	const struct comments_route *r = channel_route_data(ch);
	const struct channel_field   fields[N] = {
		[CONTENT] = { "content", CHANNEL_TEXT, true, 1, (int64_t)r->max_length },
		[TIMESTAMP] = { "timestamp", CHANNEL_INTEGER, false, -MAX_STAMP, MAX_STAMP },
	};
	autobuf struct buf	     scratch = { 0 }, comment = { 0 };
	struct channel_value	     values[N];

	if (!channel_read(ch, m, fields, N, values, &scratch))
		return 0;
	comments_compose(&comment, ch, &values[CONTENT], &values[TIMESTAMP]);
	return channel_post(ch, m->event, buf_slice(&comment), slice(NULL, 0), true);
}

static void
comments_loaded_before(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	common_answer_page(ref, &comments_kept, page, false);
}

static void
comments_loaded_after(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	common_answer_page(ref, &comments_kept, page, true);
}

static int
comments_handle_in(struct channel *ch, const struct channel_message *m)
{
	if (slice_is(m->event, "new_comment"))
		return comments_post(ch, m);
	if (slice_is(m->event, "load_comments"))
		return common_load(ch, m, comments_loaded_before, comments_loaded_after);
	channel_reply_reason(ch, "unknown_event");
	return 0;
}

const struct channel_class comments_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "comments",
	.options = comments_options,
	.configure = comments_configure,
	.unconfigure = free,
	.join = comments_join,
	.handle_in = comments_handle_in,
	.history = comments_history,
	.wants = comments_wants,
};
