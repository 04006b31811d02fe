/*
 * The class pusher: who is in a channel that shows it. Each connection is a presence, so a user with several tabs is several
 * members of one id; Phoenix' clients see these as any presences, the others are told of members.
 */
#include "channels/merge.h"
#include "channels/pusher_class.h"

#include <errno.h>
#include <string.h>

#define MAX_NAME	256	/* bytes of a member's name */

/* What the server alone says of a member. */
static bool
name_is_ours(struct slice name)
{
	return slice_is(name, "id") || slice_is(name, "clientId") || slice_is(name, "joinedAt") ||
	    slice_is(name, "updatedAt") || slice_starts(name, SLICE("phx_"));
}

/* Adds what a client says of itself, each with a comma behind it. False if a name cannot be read. */
static bool
add_info(struct buf *out, struct slice info)
{
	char	     scratch[MAX_NAME];
	struct slice name, value, text;

	for (size_t at = 0; channel_json_next(info, &at, &name, &value) > 0;) {
		if (channel_json_string(name, scratch, sizeof(scratch), &text) < 0)
			return false;
		if (name_is_ours(text))
			continue;
		buf_add_slice(out, name);
		buf_add_char(out, ':');
		buf_add_slice(out, value);
		buf_add_char(out, ',');
	}
	return true;
}

static void
add_client(struct buf *out, const struct channel *ch)
{
	buf_add_str(out, "{\"clientId\":");
	channel_json_add(out, channel_client(ch));
}

bool
pusher_introduce(struct channel *ch, struct slice info)
{
	autobuf struct buf first = { 0 };
	struct pusher	  *p = channel_state(ch);
	bool		   fine;

	if (!channel_is_key(channel_user(ch))) {
		channel_reply_error(ch,
		    channel_json(SLICE("{\"reason\":\"join_failed\",\"message\":\"This user cannot be shown\"}")));
		return false;
	}
	add_client(&first, ch);
	buf_add_char(&first, ',');
	fine = add_info(&first, info);
	buf_add_str(&first, "\"joinedAt\":");
	common_add_time(&first, channel_wall(ch));
	buf_add_char(&first, '}');
	if (fine && first.n <= COMMON_MAX_META) {
		merge_objects(&p->meta, buf_slice(&first), SLICE("{}"));
		return true;
	}
	common_invalid(ch, SLICE("userInfo"));
	return false;
}

/* {"id":USER,…the meta's members, but for phx_*} */
static void
add_member(struct buf *out, struct slice user, struct slice meta)
{
	struct slice name, value;

	buf_add_str(out, "{\"id\":");
	channel_json_add(out, user);
	for (size_t at = 0; channel_json_next(meta, &at, &name, &value) > 0;) {
		/* The server writes these without escapes, and nobody else can. */
		if (slice_starts(name, SLICE("\"phx_")))
			continue;
		buf_add_char(out, ',');
		buf_add_slice(out, name);
		buf_add_char(out, ':');
		buf_add_slice(out, value);
	}
	buf_add_char(out, '}');
}

/* Whose meta is it? A token, which is the meta's first member. */
static struct slice
client_of(struct slice meta)
{
	struct slice name, value;
	size_t	     at = 0;

	while (channel_json_next(meta, &at, &name, &value) > 0)
		if (slice_is(name, "\"clientId\""))
			return value;
	return SLICE("");
}

/* Members, one behind the other, but for one client's. */
struct listing {
	struct buf	*out;
	struct slice	 except;
};

static bool
list_member(void *arg, struct slice user, struct slice meta)
{
	struct listing *l = arg;

	if (slice_eq(client_of(meta), l->except))
		return true;
	add_member(l->out, user, meta);
	buf_add_char(l->out, ',');
	return true;
}

/* The others as they are known, and the client itself as it is. */
static void
add_members(struct buf *out, const struct channel *ch, struct slice meta)
{
	autobuf struct buf me = { 0 };
	struct listing	   others = { .out = out, .except = client_of(meta) };

	add_member(&me, channel_user(ch), meta);
	buf_add_str(out, ",\"members\":[");
	channel_presences(ch, list_member, &others);
	buf_add_slice(out, buf_slice(&me));
	buf_add_str(out, "],\"me\":");
	buf_add_slice(out, buf_slice(&me));
}

/* The answer to a join; `meta` of the client itself. */
static void
add_answer(struct buf *out, struct channel *ch, struct slice meta)
{
	static const char *const names[] = {
		[PUSHER_PUBLIC] = "public", [PUSHER_PRIVATE] = "private", [PUSHER_PRESENCE] = "presence",
	};
	const struct pusher *p = channel_state(ch);

	buf_addf(out, "{\"channelType\":\"%s\"", names[p->topic]);
	if (p->topic == PUSHER_PRESENCE)
		add_members(out, ch, meta);
	buf_add_char(out, '}');
}

void
pusher_accept(struct channel *ch)
{
	const struct pusher *p = channel_state(ch);
	autobuf struct buf   b = { 0 };

	add_answer(&b, ch, buf_slice(&p->meta));
	channel_accept(ch, channel_json(buf_slice(&b)));
}

void
pusher_answer_again(struct channel *ch)
{
	autobuf struct buf b = { 0 };

	add_answer(&b, ch, channel_meta(ch, channel_user(ch)));
	channel_reply_ok(ch, channel_json(buf_slice(&b)));
}

int
pusher_appear(struct channel *ch)
{
	const struct pusher_route *route = channel_route_data(ch);
	struct pusher		  *p = channel_state(ch);
	int			   r;

	channel_set_leave_grace(ch, route->leave_grace);
	r = channel_track(ch, channel_user(ch), buf_slice(&p->meta));
	buf_done(&p->meta);
	if (r == 0)
		return 0;
	/* Too many members of that user, or what is told is too much for this node: who is not shown is not in. */
	channel_log(ch, 1, "\"%.*s\" cannot be shown in %.*s: %s", SLICE_ARG(channel_user(ch)), SLICE_ARG(channel_topic(ch)),
	    strerror(-r));
	channel_fail(ch, r == -ENOSPC ? "too_many_members" : "join_failed");
	return 0;
}

/* Updates. */

/* Puts what the client says of itself into its meta: 0, or a negative value if that is not to be had. */
static int
meta_change(struct channel *ch, struct slice info)
{
	autobuf struct buf changes = { 0 }, meta = { 0 };

	buf_add_char(&changes, '{');
	if (!add_info(&changes, info))
		return -EINVAL;
	buf_add_str(&changes, "\"updatedAt\":");
	common_add_time(&changes, channel_wall(ch));
	buf_add_char(&changes, '}');
	merge_objects(&meta, channel_meta(ch, channel_user(ch)), buf_slice(&changes));
	return meta.n <= COMMON_MAX_META ? channel_update(ch, channel_user(ch), buf_slice(&meta)) : -E2BIG;
}

static void
reply_member(struct channel *ch)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "{\"member\":");
	add_member(&b, channel_user(ch), channel_meta(ch, channel_user(ch)));
	buf_add_char(&b, '}');
	channel_reply_ok(ch, channel_json(buf_slice(&b)));
}

int
pusher_update(struct channel *ch, const struct channel_message *m)
{
	const struct pusher *p = channel_state(ch);
	struct slice	     info;

	if (p->topic != PUSHER_PRESENCE)
		channel_reply_error(ch,
		    channel_json(SLICE("{\"reason\":\"update_failed\",\"message\":\"Not a presence channel\"}")));
	else if (!pusher_read_info(ch, m, true, &info))
		return 0;
	else if (meta_change(ch, info) < 0)
		common_invalid(ch, SLICE("userInfo"));
	else
		reply_member(ch);
	return 0;
}

/* What became of them. */

static void
tell_member(struct channel *ch, struct slice type, struct slice user, struct slice meta, const struct channel *except)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "{\"member\":");
	add_member(&b, user, meta);
	buf_add_str(&b, ",\"timestamp\":");
	common_add_time(&b, channel_wall(ch));
	buf_add_char(&b, '}');
	channel_tell_typed_here(ch, type, buf_slice(&b), except);
}

/* Had that client another meta before? */
static bool
is_update(const struct channel_presence *news, struct slice meta)
{
	for (unsigned i = 0; i < news->n_gone; i++)
		if (slice_eq(client_of(news->gone[i]), client_of(meta)))
			return true;
	return false;
}

int
pusher_tell_members(struct channel *ch, const struct channel_presence *news)
{
	const struct slice *metas = news->metas + (news->n - news->n_new);

	for (unsigned i = 0; i < news->n_new; i++)
		tell_member(ch, is_update(news, metas[i]) ? SLICE("presence:member_updated") : SLICE("presence:member_joined"),
		    news->key, metas[i], news->owners[i]);
	/* Of several connections of a user, the last. */
	if (news->n == 0)
		tell_member(ch, SLICE("presence:member_left"), news->key, news->gone[news->n_gone - 1], NULL);
	return 0;
}
