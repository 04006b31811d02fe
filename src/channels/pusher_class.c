/*
 * The channels of the Pusher-style protocol, for clients of both protocols: public ones, private ones, and those that show
 * who is there. What is said reaches all others; roost-protocol(7) has it in full.
 */
#include "channels/pusher_class.h"

#include <stdlib.h>

#define MAX_TOPIC	164	/* bytes of a name */
#define MAX_EVENT	128	/* bytes, and so characters */
#define MANY		100	/* members: to list more of them is work */
#define RELIST_MS	1000

static const struct channel_option pusher_options[] = {
	{ "leave_grace", "0", "time for a lost client to come back before it leaves" },
	{ 0 }
};

static int
pusher_configure(const struct channel_route *route, void **data, const char **why)
{
	struct pusher_route *r = calloc(1, sizeof(*r));

	*data = r;
	*why = "out of memory";
	if (r == NULL)
		return -1;
	*why = "leave_grace: expected a time such as 10s";
	if (channel_route_duration(route, "leave_grace", &r->leave_grace) == 0)
		return 0;
	free(r);
	*data = NULL;
	return -1;
}

/* Joining. */

static enum pusher_topic
topic_of(struct slice name)
{
	if (slice_starts(name, SLICE("public-")))
		return PUSHER_PUBLIC;
	if (slice_starts(name, SLICE("private-")))
		return PUSHER_PRIVATE;
	return slice_starts(name, SLICE("presence-")) ? PUSHER_PRESENCE : PUSHER_NONE;
}

static bool
is_topic_char(char c)
{
	const char lower = ascii_lower(c);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("_-=@,.;:", c) != NULL);
}

/* As a client of that protocol could ask for it. */
static bool
is_topic_name(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_topic_char(name.p[i]))
			return false;
	return name.n <= MAX_TOPIC;
}

bool
pusher_read_info(struct channel *ch, const struct channel_message *m, bool required, struct slice *info)
{
	const struct channel_field fields[] = { { "userInfo", CHANNEL_OBJECT, required, 0, 0 } };
	autobuf struct buf	   scratch = { 0 };
	struct channel_value	   value;

	if (!channel_read(ch, m, fields, 1, &value, &scratch))
		return false;
	*info = value.token;
	if (info->n <= COMMON_MAX_META)
		return true;
	common_invalid(ch, SLICE("userInfo"));
	return false;
}

static int
pusher_join(struct channel *ch, const struct channel_message *params)
{
	struct pusher *p = channel_state(ch);
	struct slice   info;

	p->topic = topic_of(channel_topic(ch));
	if (p->topic == PUSHER_NONE || !is_topic_name(channel_topic(ch))) {
		common_invalid(ch, SLICE("channel"));
		return CHANNEL_REFUSED;
	}
	/* Nobody's connection may hear public ones alone. */
	if (p->topic != PUSHER_PUBLIC && channel_user(ch).n == 0)
		return CHANNEL_REFUSED;
	if (!pusher_read_info(ch, params, false, &info))
		return CHANNEL_REFUSED;
	if (p->topic == PUSHER_PRESENCE)
		return pusher_introduce(ch, info) ? channel_await_presence(ch, pusher_accept) : CHANNEL_REFUSED;
	pusher_answer_again(ch);
	return CHANNEL_OK;
}

/* All members, for a few bytes: where they are many, not for whoever asks again and again. 0, or the ms to wait. */
static uint64_t
rejoin_wait(struct channel *ch)
{
	struct pusher *p = channel_state(ch);
	const uint64_t now = channel_now(ch);

	if (p->topic != PUSHER_PRESENCE || channel_count_present(ch) <= MANY)
		return 0;
	if (p->listed != 0 && now - p->listed < RELIST_MS)
		return RELIST_MS - (now - p->listed);
	p->listed = now;
	return 0;
}

static int
pusher_rejoin(struct channel *ch, const struct channel_message *params)
{
	autobuf struct buf refusal = { 0 };
	const uint64_t	   wait = rejoin_wait(ch);

	if (wait == 0) {
		pusher_answer_again(ch);
		return 0;
	}
	buf_addf(&refusal, "{\"reason\":\"rate_limit\",\"retry_after_ms\":%u}", (unsigned)wait);
	channel_reply_error(ch, channel_json(buf_slice(&refusal)));
	return 0;
}

static int
pusher_joined(struct channel *ch)
{
	const struct pusher *p = channel_state(ch);

	if (p->topic == PUSHER_PRESENCE)
		return pusher_appear(ch);
	channel_watch_audience(ch);
	return 0;
}

/* Messages. */

/* Would it pass for a word of the server's, or tell all a secret that is meant for it? */
static bool
event_is_reserved(struct slice event)
{
	static const char *const starts[] = { "phx_", "presence_", "presence:", "channel:", "pusher_internal:" };
	static const char *const names[] = { "system", "token_expiring", "access_token", "message_deleted" };

	for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (slice_starts(event, slice_str(starts[i])))
			return true;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_is(event, names[i]))
			return true;
	return false;
}

static bool
event_is_fine(struct slice event)
{
	for (size_t i = 0; i < event.n; i++)
		if ((unsigned char)event.p[i] < ' ' || event.p[i] == 0x7f)
			return false;
	return event.n <= MAX_EVENT && !event_is_reserved(event);
}

/* How many will hear it but the sender: all that are known to be there. */
static unsigned
pusher_others(struct channel *ch)
{
	const struct pusher *p = channel_state(ch);
	unsigned	     n = p->topic == PUSHER_PRESENCE ? channel_count_present(ch) : channel_count_audience(ch);

	return n > 0 ? n - 1 : 0;
}

static int
pusher_say(struct channel *ch, struct slice event, struct slice data)
{
	autobuf struct buf response = { 0 };
	int		   r;

	buf_addf(&response, "{\"delivered\":%u}", pusher_others(ch));
	r = channel_broadcast_data_from(ch, event, data);
	if (r == 0)
		channel_reply_ok(ch, channel_json(buf_slice(&response)));
	return r;
}

static int
pusher_message(struct channel *ch, const struct channel_message *m)
{
	static const struct channel_field fields[] = {
		{ "event", CHANNEL_TEXT, false, 1, MAX_EVENT },
		{ "data", CHANNEL_ANY, false, 0, INT64_MAX },
	};
	autobuf struct buf   scratch = { 0 };
	struct channel_value values[2];
	struct slice	     event = SLICE("message");

	if (!channel_read(ch, m, fields, 2, values, &scratch))
		return 0;
	if (values[0].given)
		event = values[0].text;
	if (!event_is_fine(event)) {
		common_invalid(ch, SLICE("event"));
		return 0;
	}
	/* The same event is counted the same, however it is said. */
	if (!channel_within_rate(ch, event))
		return 0;
	return pusher_say(ch, event, values[1].given ? values[1].token : SLICE("null"));
}

static int
pusher_handle_in(struct channel *ch, const struct channel_message *m)
{
	if (slice_is(m->event, "channel:message"))
		return pusher_message(ch, m);
	else if (slice_is(m->event, "channel:update"))
		return pusher_update(ch, m);
	else if (event_is_reserved(m->event))
		channel_reply_reason(ch, "unknown_event");
	else if (m->payload.binary)
		common_invalid(ch, SLICE("payload"));
	else
		return pusher_say(ch, m->event, m->payload.bytes);
	return 0;
}

static void
pusher_leave(struct channel *ch, const char *why)
{
	struct pusher *p = channel_state(ch);

	buf_done(&p->meta);
}

const struct channel_class pusher_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "pusher",
	.state_size = sizeof(struct pusher),
	.options = pusher_options,
	.configure = pusher_configure,
	.unconfigure = free,
	.join = pusher_join,
	.joined = pusher_joined,
	.rejoin = pusher_rejoin,
	.handle_in = pusher_handle_in,
	.handle_presence = pusher_tell_members,
	.shows_presence = true,
	.names_senders = true,
	.leave = pusher_leave,
};
