/*
 * Rooms in which people write to each other: what they say is kept, and they see who comes and goes, who types, and up to
 * where the others have read. Whom a user blocks, it does not hear.
 */
#include "channels/chat.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_LENGTH	65536	/* characters of a message */
#define MAX_USER	128	/* characters of a user's id */

static const struct channel_option chat_options[] = {
	{ "history_max", "1000", "most messages that are kept" },
	{ "history_age", "7d", "how long they are kept; 0 = for ever" },
	{ "leave_grace", "0", "time for a lost client to come back before its user leaves" },
	{ "typing_timeout", "3s", "who typed last so long ago has stopped" },
	{ "max_length", "4096", "most characters of a message" },
	{ 0 }
};

static const char *const chat_intercepts[] = {
	"new_message", "user_typing", "user_joined", "user_left", "message_read", NULL
};

/* What is wrong with the options; NULL if nothing is. */
static const char *
chat_options_fault(const struct channel_route *route, struct chat_route *r)
{
	if (channel_route_duration(route, "leave_grace", &r->leave_grace) < 0)
		return "leave_grace: expected a time such as 10s";
	if (channel_route_duration(route, "typing_timeout", &r->typing_timeout) < 0 || r->typing_timeout == 0)
		return "typing_timeout: expected a time such as 3s";
	if (channel_route_number(route, "max_length", &r->max_length) < 0 || r->max_length < 1 ||
	    r->max_length > MAX_LENGTH)
		return "max_length: expected a number from 1 to 65536";
	return common_limits_read(route, &r->kept);
}

static int
chat_configure(const struct channel_route *route, void **data, const char **why)
{
	struct chat_route *r = calloc(1, sizeof(*r));

	*data = r;
	*why = r != NULL ? chat_options_fault(route, r) : "out of memory";
	if (*why == NULL)
		return 0;
	free(r);
	*data = NULL;
	return -1;
}

static bool
chat_history(const void *data, struct history_limits *limits)
{
	const struct chat_route *r = data;

	*limits = r->kept;
	return true;
}

/* Its life. */

static void
chat_blocks_known(struct channel *ch, int error)
{
	struct chat *chat = channel_state(ch);

	chat->blind = error != 0;
	if (chat_catch_up(ch) < 0)
		channel_refuse(ch, channel_json(SLICE("{\"reason\":\"unavailable\"}")));
}

static int
chat_join(struct channel *ch, const struct channel_message *params)
{
	const struct chat_route *r = channel_route_data(ch);
	struct chat		*chat = channel_state(ch);
	int			 error;

	if (channel_user(ch).n == 0)
		return CHANNEL_REFUSED;
	if (params->payload.binary) {
		common_invalid(ch, SLICE("payload"));
		return CHANNEL_REFUSED;
	}
	error = chat_remember(chat, params->payload.bytes);
	if (error < 0)
		return error;
	channel_keep_history(ch, &r->kept);
	error = channel_open_list(ch, "blocks", chat_blocks_known);
	if (error == 0)
		return CHANNEL_LATER;
	free(chat->last_seen);
	return error;
}

/* A client whose user blocks nobody needs no look at each message. */
static int
chat_blocks_changed(struct channel *ch)
{
	const struct chat *chat = channel_state(ch);

	channel_set_intercepting(ch, chat->blind || channel_list_count(ch) > 0);
	return 0;
}

static int
chat_joined(struct channel *ch)
{
	chat_greet(ch);
	chat_appear(ch);
	return chat_blocks_changed(ch);
}

static void
chat_leave(struct channel *ch, const char *why)
{
	struct chat *chat = channel_state(ch);

	free(chat->last_seen);
}

/*
 * Of somebody who is blocked nothing is heard. A client that joined while the store was away can be told what its user
 * wants to hear only when it joins anew: when messages come, the store is back.
 */
static int
chat_handle_out(struct channel *ch, const struct channel_message *m)
{
	const struct chat *chat = channel_state(ch);

	chat_greet(ch);
	if (chat->blind && slice_is(m->event, "new_message"))
		channel_fail(ch, "unavailable");
	else if (!chat_is_blocked(ch, common_fields(m)))
		channel_push(ch, m->event, m->payload);
	return 0;
}

/* What clients push. */

static int
chat_say(struct channel *ch, const struct channel_message *m)
{
	const struct chat_route	  *r = channel_route_data(ch);
	const struct channel_field fields[] = { { "content", CHANNEL_TEXT, true, 1, (int64_t)r->max_length } };
	struct channel_value	   content;
	autobuf struct buf	   scratch = { 0 }, b = { 0 };
	int64_t			   now = channel_wall(ch);

	if (!channel_read(ch, m, fields, 1, &content, &scratch))
		return 0;
	chat_set_typing(ch, false);
	buf_add_str(&b, "{\"content\":");
	buf_add_slice(&b, content.token);
	chat_add_user(&b, channel_user(ch));
	buf_add_str(&b, ",\"username\":");
	channel_json_add(&b, channel_user_name(ch));
	buf_add_str(&b, ",\"room_id\":");
	channel_json_add(&b, chat_room_id(ch));
	buf_add_str(&b, ",\"sender_type\":\"user\",\"timestamp\":");
	common_add_time(&b, now);
	buf_add_str(&b, ",\"created_at\":");
	common_add_time(&b, now);
	buf_add_char(&b, '}');
	return channel_post(ch, SLICE("new_message"), buf_slice(&b), slice(NULL, 0), true);
}

static int
chat_typing_start(struct channel *ch, const struct channel_message *m)
{
	chat_set_typing(ch, true);
	channel_reply_ok(ch, channel_empty());
	return 0;
}

static int
chat_typing_stop(struct channel *ch, const struct channel_message *m)
{
	chat_set_typing(ch, false);
	channel_reply_ok(ch, channel_empty());
	return 0;
}

static int
chat_typing(struct channel *ch, const struct channel_message *m)
{
	static const struct channel_field fields[] = { { "is_typing", CHANNEL_BOOL, true, 0, 0 } };
	struct channel_value		  typing;
	autobuf struct buf		  scratch = { 0 };

	if (!channel_read(ch, m, fields, 1, &typing, &scratch))
		return 0;
	return typing.number != 0 ? chat_typing_start(ch, m) : chat_typing_stop(ch, m);
}

static void
chat_marked(struct channel *ch, struct channel_ref *ref, int error, struct slice id)
{
	autobuf struct buf b = { 0 };

	if (error < 0) {
		channel_ref_reply(ref, false, channel_json(error == -ENOENT ? SLICE("{\"reason\":\"not_found\"}") :
		    SLICE("{\"reason\":\"unavailable\"}")));
		return;
	}
	channel_ref_reply(ref, true, channel_empty());
	buf_add_str(&b, "{\"message_id\":");
	channel_json_add(&b, id);
	chat_add_user(&b, channel_user(ch));
	buf_add_str(&b, ",\"timestamp\":");
	common_add_time(&b, channel_wall(ch));
	buf_add_char(&b, '}');
	channel_broadcast(ch, SLICE("message_read"), channel_json(buf_slice(&b)));
}

static int
chat_mark_read(struct channel *ch, const struct channel_message *m)
{
	static const struct channel_field fields[] = { { "message_id", CHANNEL_TEXT, true, 0, INT64_MAX } };
	struct channel_value		  id;
	autobuf struct buf		  scratch = { 0 };

	if (!channel_read(ch, m, fields, 1, &id, &scratch))
		return 0;
	return channel_mark(ch, id.text, chat_marked);
}

static int
chat_set_blocked(struct channel *ch, const struct channel_message *m, bool blocked)
{
	static const struct channel_field fields[] = { { "user_id", CHANNEL_TEXT, true, 1, MAX_USER } };
	struct channel_value		  user;
	autobuf struct buf		  scratch = { 0 };

	if (!channel_read(ch, m, fields, 1, &user, &scratch))
		return 0;
	if (slice_eq(user.text, channel_user(ch)) || channel_list_set(ch, user.text, blocked) < 0)
		common_invalid(ch, SLICE("user_id"));
	return 0;
}

static int
chat_block(struct channel *ch, const struct channel_message *m)
{
	return chat_set_blocked(ch, m, true);
}

static int
chat_unblock(struct channel *ch, const struct channel_message *m)
{
	return chat_set_blocked(ch, m, false);
}

static const struct {
	const char *event;
	int	  (*handle)(struct channel *, const struct channel_message *);
} chat_events[] = {
	{ "new_message", chat_say },
	{ "message", chat_say },
	{ "typing_start", chat_typing_start },
	{ "typing_stop", chat_typing_stop },
	{ "typing", chat_typing },
	{ "mark_read", chat_mark_read },
	{ "load_history", chat_load },
	{ "block_user", chat_block },
	{ "unblock_user", chat_unblock },
};

static int
chat_handle_in(struct channel *ch, const struct channel_message *m)
{
	for (size_t i = 0; i < sizeof(chat_events) / sizeof(chat_events[0]); i++) {
		if (!slice_is(m->event, chat_events[i].event))
			continue;
		if (!m->payload.binary)
			return chat_events[i].handle(ch, m);
		common_invalid(ch, SLICE("payload"));
		return 0;
	}
	channel_reply_reason(ch, "unknown_event");
	return 0;
}

const struct channel_class chat_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "chat",
	.state_size = sizeof(struct chat),
	.options = chat_options,
	.intercepts = chat_intercepts,
	.configure = chat_configure,
	.unconfigure = free,
	.join = chat_join,
	.joined = chat_joined,
	.handle_in = chat_handle_in,
	.handle_out = chat_handle_out,
	.handle_presence = chat_tell_people,
	.handle_list = chat_blocks_changed,
	.leave = chat_leave,
	.history = chat_history,
	.wants = chat_wants,
};
