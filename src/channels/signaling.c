/*
 * Calls between two users, who reach each other by pushing offers, answers and candidates to the other party. A call's state
 * is that of call.h, in the topic's newest message; here clients are read, and those of this node known.
 */
#include "channels/signaling.h"

#include <errno.h>
#include <stdlib.h>

#include "channels/common.h"

#define MAX_USER	128	/* characters */
#define MAX_TEXT	(1 << 30)	/* what the size of the payload bounds */
#define TABLE_SIZE	1024

static const struct channel_option signaling_options[] = {
	{ "ring_timeout", "30s", "a call that nobody answers is missed" },
	{ "grace", "10s", "a party that is gone for so long has ended the call" },
	{ "keep", "60s", "what was said is told to a party that comes late, if it is no older" },
	{ "max_event", "65536", "bytes of an event" },
	{ "max_kept", "262144", "bytes of what is said in the time of keep" },
	{ 0 }
};

/* What is wrong with the options; NULL if nothing is. */
static const char *
signaling_options_fault(const struct channel_route *route, struct signaling_route *r)
{
	if (channel_route_duration(route, "ring_timeout", &r->ring_ms) < 0 || r->ring_ms == 0)
		return "ring_timeout: expected a time such as 30s";
	if (channel_route_duration(route, "grace", &r->grace_ms) < 0)
		return "grace: expected a time such as 10s";
	if (channel_route_duration(route, "keep", &r->kept.keep_ms) < 0 || r->kept.keep_ms < 1000 ||
	    r->kept.keep_ms > SIGNALING_LIVE_MS)
		return "keep: expected a time from 1s to 24h";
	if (channel_route_number(route, "max_event", &r->max_event) < 0 || r->max_event < 1024 || r->max_event > 1 << 20)
		return "max_event: expected a number from 1024 to 1048576";
	if (channel_route_number(route, "max_kept", &r->kept.max_kept) < 0 || r->kept.max_kept < r->max_event ||
	    r->kept.max_kept > 1 << 24)
		return "max_kept: expected a number from max_event to 16777216";
	return NULL;
}

static int
signaling_configure(const struct channel_route *route, void **data, const char **why)
{
	struct signaling_route *r = calloc(1, sizeof(*r));

	*data = r;
	*why = r != NULL ? signaling_options_fault(route, r) : "out of memory";
	if (*why == NULL)
		return 0;
	free(r);
	*data = NULL;
	return -1;
}

/* Those of this node, by user. */

static struct signaling *table[TABLE_SIZE];

static struct signaling **
table_place(struct slice user)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < user.n; i++)
		hash = (hash ^ (unsigned char)user.p[i]) * 16777619u;
	return &table[hash % TABLE_SIZE];
}

static void
table_add(struct signaling *s)
{
	struct signaling **place = table_place(s->me);

	s->next = *place;
	*place = s;
}

static void
table_remove(struct signaling *s)
{
	struct signaling **at = table_place(s->me);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

struct signaling *
signaling_find(struct slice user, struct slice id)
{
	struct signaling *s = *table_place(user);

	while (s != NULL && !(slice_is(id, s->id) && slice_eq(s->me, user)))
		s = s->next;
	return s;
}

static bool
is_talking(const struct signaling *s)
{
	return s->call.phase >= CALL_ANSWERED && slice_is(s->call.party[s->mine].channel, s->id);
}

bool
signaling_is_busy(const struct signaling *s)
{
	const struct signaling *i = *table_place(s->me);

	for (; i != NULL; i = i->next)
		if (slice_eq(i->me, s->me) && is_talking(i) && !slice_eq(channel_topic(i->channel), channel_topic(s->channel)))
			return true;
	return false;
}

bool
signaling_is_gone(const struct signaling *s, const struct call_party *p)
{
	uint64_t epoch;

	if (p->lost)
		return true;
	/* Of our own we know it at once, whatever place this node has in the cluster now. */
	if (slice_eq(p->node, channel_node(s->channel, &epoch)))
		return signaling_find(call_is_name(p->user, s->me) ? s->me : s->other, p->channel) == NULL;
	return !channel_node_is_up(s->channel, p->node, p->epoch);
}

/* Joining. */

static void
set_names(struct signaling *s, struct slice me, struct slice other, const struct channel_value *device)
{
	buf_add_slice(&s->names, me);
	buf_add_slice(&s->names, other);
	if (device->given)
		channel_json_add(&s->names, device->text);
	s->me = slice(s->names.p, me.n);
	s->other = slice(s->names.p + me.n, other.n);
	s->device = slice_from(buf_slice(&s->names), me.n + other.n);
}

/* Is it somebody else whom that member names? */
static bool
is_another(struct channel *ch, struct slice object, const char *name)
{
	struct slice token = channel_json_member(object, name);

	return token.p != NULL && !slice_is(token, "null") && !call_is_name(token, channel_user(ch));
}

static int
refuse(struct channel *ch, const char *reason)
{
	channel_reply_reason(ch, reason);
	return CHANNEL_REFUSED;
}

static int
signaling_join(struct channel *ch, const struct channel_message *params)
{
	static const struct channel_field fields[] = {
		{ "caller_id", CHANNEL_TEXT, true, 1, MAX_USER },
		{ "callee_id", CHANNEL_TEXT, true, 1, MAX_USER },
		{ "device_id", CHANNEL_TEXT, false, 1, MAX_USER },
	};
	const struct signaling_route *r = channel_route_data(ch);
	struct signaling	     *s = channel_state(ch);
	autobuf struct buf	      scratch = { 0 };
	struct channel_value	      v[3];
	struct slice		      me = channel_user(ch), caller, callee;

	if (!channel_read(ch, params, fields, 3, v, &scratch))
		return CHANNEL_REFUSED;
	caller = v[0].text;
	callee = v[1].text;
	if ((!slice_eq(me, caller) && !slice_eq(me, callee)) || is_another(ch, params->payload.bytes, "user_id"))
		return refuse(ch, "unauthorized");
	if (slice_eq(caller, callee)) {
		common_invalid(ch, SLICE("callee_id"));
		return CHANNEL_REFUSED;
	}
	channel_keep_history(ch, &(struct history_limits){
		.max = SIGNALING_PAGE, .age_ms = r->kept.keep_ms, .last_ms = SIGNALING_LIVE_MS,
	});
	s->channel = ch;
	s->queue_end = &s->queue;
	s->held_end = &s->held;
	channel_new_id(ch, s->id);
	set_names(s, me, slice_eq(me, caller) ? callee : caller, &v[2]);
	if (signaling_open(s) < 0) {
		buf_done(&s->names);
		return -EIO;
	}
	table_add(s);
	return CHANNEL_LATER;
}

static int
signaling_joined(struct channel *ch)
{
	signaling_begin(channel_state(ch));
	return 0;
}

static int
signaling_handle_out(struct channel *ch, const struct channel_message *m)
{
	if (!m->payload.binary)
		signaling_hear(channel_state(ch), m->payload.bytes);
	return 0;
}

static int
signaling_handle_info(struct channel *ch, int timer)
{
	signaling_look(channel_state(ch));
	return 0;
}

static void
signaling_leave(struct channel *ch, const char *why)
{
	struct signaling *s = channel_state(ch);

	table_remove(s);
	if (s->begun)
		signaling_part(s, strcmp(why, "leave") == 0);
	signaling_drop_queue(s);
	signaling_drop_held(s);
	buf_done(&s->text);
	buf_done(&s->names);
}

/* What clients push. */

static const struct channel_field initiate_fields[] = {
	{ "callee_id", CHANNEL_TEXT, true, 1, MAX_USER },
	{ "call_type", CHANNEL_TEXT, true, 1, MAX_TEXT },
};

static const struct channel_field sdp_fields[] = {
	{ "sdp", CHANNEL_TEXT, true, 1, MAX_TEXT },
	{ "type", CHANNEL_TEXT, true, 1, MAX_TEXT },
};

static const struct channel_field candidate_fields[] = {
	{ "candidate", CHANNEL_TEXT, true, 0, MAX_TEXT },
	{ "sdp_mid", CHANNEL_TEXT, false, 0, 256 },
	{ "sdp_m_line_index", CHANNEL_INTEGER, false, 0, 65535 },
};

static const struct channel_field end_fields[] = {
	{ "reason", CHANNEL_TEXT, false, 0, 256 },
};

#define MAX_FIELDS	3
#define FIELDS(table)	table, sizeof(table) / sizeof((table)[0])

static const struct push {
	enum call_event		    event;
	const struct channel_field *fields;
	unsigned		    n;
	const char *const	    one_of[2];	/* what the second field must be; NULL = anything */
} pushes[] = {
	{ CALL_INITIATE, FIELDS(initiate_fields), { "video", "voice" } },
	{ CALL_OFFER, FIELDS(sdp_fields), { "offer" } },
	{ CALL_ANSWER, FIELDS(sdp_fields), { "answer" } },
	{ CALL_CANDIDATE, FIELDS(candidate_fields), { NULL } },
	{ CALL_END, FIELDS(end_fields), { NULL } },
};

static const struct push *
find_push(struct slice event)
{
	for (size_t i = 0; i < sizeof(pushes) / sizeof(pushes[0]); i++)
		if (slice_is(event, call_event_name(pushes[i].event)))
			return &pushes[i];
	return NULL;
}

/* Does it say what it may say? Else that is answered. */
static bool
read_push(struct channel *ch, const struct push *p, const struct channel_message *m, struct channel_value v[MAX_FIELDS],
    struct buf *scratch)
{
	const struct signaling_route *r = channel_route_data(ch);
	const char *const	     *want = p->one_of;

	if (!m->payload.binary && m->payload.bytes.n > r->max_event) {
		common_invalid(ch, SLICE("payload"));
		return false;
	}
	if (!channel_read(ch, m, p->fields, p->n, v, scratch))
		return false;
	if (want[0] == NULL || slice_is(v[1].text, want[0]) || (want[1] != NULL && slice_is(v[1].text, want[1])))
		return true;
	common_invalid(ch, slice_str(p->fields[1].name));
	return false;
}

/* Does it speak for another, or to another? */
static bool
is_foreign(struct channel *ch, const struct push *p, struct slice payload, const struct channel_value *v)
{
	const struct signaling *s = channel_state(ch);

	if (is_another(ch, payload, "from") || is_another(ch, payload, "user_id"))
		return true;
	return p->event == CALL_INITIATE && (is_another(ch, payload, "caller_id") || !slice_eq(v[0].text, s->other));
}

static int
signaling_handle_in(struct channel *ch, const struct channel_message *m)
{
	const struct push   *p = find_push(m->event);
	autobuf struct buf   scratch = { 0 };
	struct channel_value v[MAX_FIELDS];
	struct slice	     from;

	if (p == NULL) {
		channel_reply_reason(ch, "unknown_event");
		return 0;
	}
	if (!read_push(ch, p, m, v, &scratch))
		return 0;
	if (is_foreign(ch, p, m->payload.bytes, v)) {
		channel_reply_reason(ch, "unauthorized");
		return 0;
	}
	from = channel_json_member(m->payload.bytes, "from");
	signaling_push(channel_state(ch), &(struct signaling_words){
		.event = p->event, .data = m->payload.bytes, .has_from = from.p != NULL && from.p[0] == '"',
		.has_reason = p->event == CALL_END && v[0].given && v[0].text.n > 0,
	});
	return 0;
}

static const char *const signaling_intercepts[] = { SIGNALING_EVENT, NULL };

const struct channel_class signaling_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "signaling",
	.state_size = sizeof(struct signaling),
	.options = signaling_options,
	.intercepts = signaling_intercepts,
	.configure = signaling_configure,
	.unconfigure = free,
	.join = signaling_join,
	.joined = signaling_joined,
	.handle_in = signaling_handle_in,
	.handle_out = signaling_handle_out,
	.handle_info = signaling_handle_info,
	.leave = signaling_leave,
};
