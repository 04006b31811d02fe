/*
 * The generic class: whatever a client pushes goes to everyone in the room.
 */
#include <stdlib.h>
#include <string.h>

#include <roost/channel.h>

/* Read once per route. */
struct room_route {
	bool	 echo;		/* the sender hears itself */
	char	*events;	/* those that clients may send: ",a,b,"; NULL = all */
};

static const struct channel_option room_options[] = {
	{ "echo", "yes", "the sender gets its own messages, too" },
	{ "events", "", "events that clients may send; empty = all" },
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

static int
room_configure(const struct channel_route *route, void **data, const char **why)
{
	const char	  *events = channel_route_option(route, "events");
	struct room_route *r = calloc(1, sizeof(*r));

	*data = r;
	if (r == NULL || (events[0] != '\0' && (r->events = room_event_list(events)) == NULL)) {
		*why = "out of memory";
	} else if (channel_route_bool(route, "echo", &r->echo) < 0) {
		*why = "echo: expected yes or no";
	} else
		return 0;
	room_unconfigure(r);
	*data = NULL;
	return -1;
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

static int
room_join(struct channel *ch, const struct channel_message *params)
{
	return CHANNEL_OK;
}

static int
room_handle_in(struct channel *ch, const struct channel_message *m)
{
	const struct room_route *r = channel_route_data(ch);

	if (!room_may_send(r, m->event)) {
		channel_reply_reason(ch, "unauthorized");
		return 0;
	}
	if (r->echo)
		channel_broadcast(ch, m->event, m->payload);
	else
		channel_broadcast_from(ch, m->event, m->payload);
	channel_reply_ok(ch, channel_empty());
	return 0;
}

const struct channel_class room_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "room",
	.options = room_options,
	.configure = room_configure,
	.unconfigure = room_unconfigure,
	.join = room_join,
	.handle_in = room_handle_in,
};
