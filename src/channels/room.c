/*
 * The generic class: whatever a client pushes goes to everyone in the room, which may show who is there and keep what was
 * said.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/common.h"

#define MAX_STATUS	1024	/* bytes of a status, as JSON */

/* Read once per route. */
struct room_route {
	bool	 echo;		/* the sender hears itself */
	bool	 presence;
	bool	 history;
	char	*events;	/* those that clients may send: ",a,b,"; NULL = all */
	uint64_t leave_grace;	/* ms */
	struct history_limits kept;
};

/* Of each channel. */
struct room {
	char	*status;	/* what its presence will show, as JSON, until it has joined; NULL = none */
};

static const struct channel_option room_options[] = {
	{ "echo", "yes", "the sender gets its own messages, too" },
	{ "events", "", "events that clients may send; empty = all" },
	{ "presence", "no", "who is there is shown" },
	{ "leave_grace", "0", "time for a lost client to come back before it leaves" },
	{ "history", "no", "messages are kept" },
	{ "history_max", "1000", "most messages that are kept" },
	{ "history_age", "7d", "how long they are kept; 0 = for ever" },
	{ 0 }
};

/* The list with a comma before and behind each element, and no blanks. */
static char *
room_event_list(const char *text)
{
	size_t n = strlen(text), at = 0;
	char  *list = n > 0 ? calloc(1, n + 3) : NULL;

	if (list == NULL)
		return NULL;
	list[at++] = ',';
	for (size_t i = 0; i < n; i++)
		if (text[i] != ' ')
			list[at++] = text[i];
	list[at] = ',';
	return list;
}

static void
room_unconfigure(void *data)
{
	struct room_route *r = data;

	if (r == NULL)
		return;
	free(r->events);
	free(r);
}

/* What is wrong with the options; NULL if nothing is. */
static const char *
room_options_fault(const struct channel_route *route, struct room_route *r)
{
	if (channel_route_bool(route, "echo", &r->echo) < 0)
		return "echo: expected yes or no";
	if (channel_route_bool(route, "presence", &r->presence) < 0)
		return "presence: expected yes or no";
	if (channel_route_duration(route, "leave_grace", &r->leave_grace) < 0)
		return "leave_grace: expected a time such as 10s";
	if (channel_route_bool(route, "history", &r->history) < 0)
		return "history: expected yes or no";
	return common_limits_read(route, &r->kept);
}

static int
room_configure(const struct channel_route *route, void **data, const char **why)
{
	const char	  *events = channel_route_option(route, "events");
	struct room_route *r = calloc(1, sizeof(*r));

	*data = r;
	if (r == NULL || (events[0] != '\0' && (r->events = room_event_list(events)) == NULL))
		*why = "out of memory";
	else
		*why = room_options_fault(route, r);
	if (*why == NULL)
		return 0;
	room_unconfigure(r);
	*data = NULL;
	return -1;
}

static bool
room_history(const void *data, struct history_limits *limits)
{
	const struct room_route *r = data;

	*limits = r->kept;
	return r->history;
}

static bool
room_may_send(const struct room_route *r, struct slice event)
{
	const char *at = r->events;

	if (at == NULL)
		return true;
	/* Two elements of the list are no event. */
	if (memchr(event.p, ',', event.n) != NULL)
		return false;
	while ((at = strchr(at, ',')) != NULL) {
		at++;
		if (strncmp(at, event.p, event.n) == 0 && at[event.n] == ',')
			return true;
	}
	return false;
}

static void
room_add_message(struct buf *out, const struct history_message *m)
{
	buf_addf(out, "{\"id\":\"%.*s\",\"event\":", SLICE_ARG(m->id));
	channel_json_add(out, m->event);
	buf_add_str(out, ",\"payload\":");
	buf_add_slice(out, m->payload);
	buf_add_str(out, ",\"user_id\":");
	if (m->user.n > 0)
		channel_json_add(out, m->user);
	else
		buf_add_str(out, "null");
	buf_add_str(out, ",\"timestamp\":");
	common_add_time(out, m->at);
	buf_add_char(out, '}');
}

static const struct common_list room_messages = { .name = "messages", .add = room_add_message };

static void
room_accept_newest(struct channel *ch, const struct history_page *page)
{
	common_accept(ch, &room_messages, page, false);
}

static void
room_accept_since(struct channel *ch, const struct history_page *page)
{
	common_accept(ch, &room_messages, page, true);
}

static int
room_join(struct channel *ch, const struct channel_message *params)
{
	const struct room_route *r = channel_route_data(ch);
	struct room		*room = channel_state(ch);
	struct slice		 fields = common_fields(params), status = channel_json_member(fields, "status");

	if (r->presence && status.p != NULL && status.p[0] == '"') {
		if (status.n > MAX_STATUS) {
			common_invalid(ch, SLICE("status"));
			return CHANNEL_REFUSED;
		}
		room->status = strndup(status.p, status.n);
		if (room->status == NULL)
			return -ENOMEM;
	}
	if (!r->history)
		return CHANNEL_OK;
	channel_keep_history(ch, &r->kept);
	return common_catch_up(ch, fields, room_accept_newest, room_accept_since);
}

static int
room_joined(struct channel *ch)
{
	const struct room_route *r = channel_route_data(ch);
	struct room		*room = channel_state(ch);

	if (!r->presence)
		return 0;
	channel_set_leave_grace(ch, r->leave_grace);
	common_appear(ch, room->status);
	free(room->status);
	room->status = NULL;
	return 0;
}

static void
room_loaded_before(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	common_answer_page(ref, &room_messages, page, false);
}

static void
room_loaded_after(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	common_answer_page(ref, &room_messages, page, true);
}

static int
room_post(struct channel *ch, const struct channel_message *m, bool echo)
{
	if (!m->payload.binary)
		return channel_post(ch, m->event, m->payload.bytes, SLICE("{}"), echo);
	common_invalid(ch, SLICE("payload"));
	return 0;
}

static int
room_handle_in(struct channel *ch, const struct channel_message *m)
{
	const struct room_route *r = channel_route_data(ch);

	if (r->history && slice_is(m->event, "load_history"))
		return common_load(ch, m, room_loaded_before, room_loaded_after);
	if (!room_may_send(r, m->event)) {
		channel_reply_reason(ch, "unauthorized");
		return 0;
	}
	if (r->history)
		return room_post(ch, m, r->echo);
	if (r->echo)
		channel_broadcast(ch, m->event, m->payload);
	else
		channel_broadcast_from(ch, m->event, m->payload);
	channel_reply_ok(ch, channel_empty());
	return 0;
}

static void
room_leave(struct channel *ch, const char *why)
{
	struct room *room = channel_state(ch);

	free(room->status);
}

const struct channel_class room_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "room",
	.state_size = sizeof(struct room),
	.options = room_options,
	.configure = room_configure,
	.unconfigure = room_unconfigure,
	.join = room_join,
	.joined = room_joined,
	.handle_in = room_handle_in,
	.leave = room_leave,
	.history = room_history,
};
