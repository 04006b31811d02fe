/*
 * The class chat: who is in a room, and who types. Each tab of a user is a presence; every node finds out for itself what
 * became of the user, and tells its own clients.
 */
#include "channels/chat.h"

struct slice
chat_room_id(const struct channel *ch)
{
	struct slice id = channel_capture(ch, "room_id");

	if (id.p == NULL)
		id = channel_capture(ch, "*");
	return id.p != NULL ? id : channel_topic(ch);
}

void
chat_add_user(struct buf *out, struct slice user)
{
	buf_add_str(out, ",\"user_id\":");
	channel_json_add(out, user);
}

static void
chat_add_meta(struct buf *out, const struct channel *ch, bool typing)
{
	buf_add_str(out, "{\"username\":");
	channel_json_add(out, channel_user_name(ch));
	buf_add_str(out, typing ? ",\"typing\":true}" : "}");
}

void
chat_appear(struct channel *ch)
{
	const struct chat_route *r = channel_route_data(ch);
	autobuf struct buf	 meta = { 0 };

	channel_set_leave_grace(ch, r->leave_grace);
	chat_add_meta(&meta, ch, false);
	common_track(ch, channel_user(ch), buf_slice(&meta));
}

void
chat_set_typing(struct channel *ch, bool typing)
{
	const struct chat_route *r = channel_route_data(ch);
	autobuf struct buf	 meta = { 0 };

	chat_add_meta(&meta, ch, typing);
	/* Who is not seen is not seen typing either. */
	if (typing)
		channel_update_for(ch, channel_user(ch), buf_slice(&meta), r->typing_timeout);
	else
		channel_update(ch, channel_user(ch), buf_slice(&meta));
}

static bool
any_types(const struct slice *metas, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (slice_is(channel_json_member(metas[i], "typing"), "true"))
			return true;
	return false;
}

/* {"user_id":…,"username":… */
static void
chat_add_person(struct buf *out, const struct channel_presence *news)
{
	struct slice meta = news->n > 0 ? news->metas[news->n - 1] : news->gone[news->n_gone - 1];
	struct slice name = channel_json_member(meta, "username");

	buf_add_str(out, "{\"user_id\":");
	channel_json_add(out, news->key);
	buf_add_str(out, ",\"username\":");
	if (name.p != NULL)
		buf_add_slice(out, name);
	else
		channel_json_add(out, news->key);
}

/* user_joined or user_left */
static void
chat_tell_there(struct channel *ch, const struct channel_presence *news, struct slice event,
    const struct channel *except)
{
	autobuf struct buf b = { 0 };

	chat_add_person(&b, news);
	buf_add_str(&b, ",\"timestamp\":");
	common_add_time(&b, channel_wall(ch));
	buf_add_char(&b, '}');
	channel_tell_here(ch, event, channel_json(buf_slice(&b)), except);
}

static void
chat_tell_typing(struct channel *ch, const struct channel_presence *news, bool typing,
    const struct channel *except)
{
	autobuf struct buf b = { 0 };

	chat_add_person(&b, news);
	buf_add_str(&b, ",\"room_id\":");
	channel_json_add(&b, chat_room_id(ch));
	buf_addf(&b, ",\"is_typing\":%s}", typing ? "true" : "false");
	channel_tell_here(ch, SLICE("user_typing"), channel_json(buf_slice(&b)), except);
}

int
chat_tell_people(struct channel *ch, const struct channel_presence *news)
{
	unsigned n_stayed = news->n - news->n_new;
	bool	 was_here = n_stayed + news->n_gone > 0, is_here = news->n > 0;
	bool	 was_typing = any_types(news->metas, n_stayed) || any_types(news->gone, news->n_gone);
	bool	 is_typing = any_types(news->metas, news->n);

	if (!was_here && is_here)
		chat_tell_there(ch, news, SLICE("user_joined"), news->by);
	if (was_typing != is_typing)
		chat_tell_typing(ch, news, is_typing, news->by);
	if (was_here && !is_here)
		chat_tell_there(ch, news, SLICE("user_left"), NULL);
	return 0;
}
