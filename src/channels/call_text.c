/*
 * A call's state as text, and the messages that carry it.
 */
#include "channels/call.h"

#include <errno.h>

static const char *const phase_names[] = {
	[CALL_IDLE] = "idle", [CALL_RINGING] = "ringing", [CALL_ANSWERED] = "answered", [CALL_ACTIVE] = "active",
};

static const char *const event_names[] = {
	[CALL_INITIATE] = "call_initiate", [CALL_OFFER] = "call_offer", [CALL_ANSWER] = "call_answer",
	[CALL_CANDIDATE] = "ice_candidate", [CALL_END] = "call_end", [CALL_LEAVE] = "call_end", [CALL_BUSY] = "call_end",
	[CALL_MISSED] = "call_end", [CALL_DISCONNECTED] = "call_end",
	[CALL_OPEN] = "open", [CALL_LOST] = "lost", [CALL_BACK] = "back",
};

/* Of members that both parties have. */
static const char *const party_names[] = { "a", "b" };

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

const char *
call_event_name(enum call_event event)
{
	return event_names[event];
}

bool
call_is_name(struct slice token, struct slice name)
{
	char	     scratch[CALL_MAX_USER];
	struct slice text;

	return channel_json_string(token, scratch, sizeof(scratch), &text) == 0 && slice_eq(text, name);
}

/* Reading. */

/* The index of a text in a table of n, -1 if it is none of them. */
static int
name_index(struct slice token, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (call_is_name(token, slice_str(names[i])))
			return (int)i;
	return -1;
}

/* A user's name, as its token. */
static int
read_user(struct slice token, struct slice *out)
{
	char	     scratch[CALL_MAX_USER];
	struct slice text;

	if (token.p == NULL || channel_json_string(token, scratch, sizeof(scratch), &text) < 0 || text.n == 0)
		return -EINVAL;
	*out = token;
	return 0;
}

/* A name without escapes; missing is empty. */
static int
read_name(struct slice token, struct slice *out)
{
	*out = SLICE("");
	if (token.p == NULL)
		return 0;
	if (token.n < 2 || token.n > CALL_MAX_NAME + 2 || token.p[0] != '"' || memchr(token.p, '\\', token.n) != NULL)
		return -EINVAL;
	*out = slice(token.p + 1, token.n - 2);
	return 0;
}

/* A number without sign, and so small that sums of it are safe. */
static int
read_number(struct slice token, uint64_t *out)
{
	*out = 0;
	if (token.n == 0 || token.n > 17)
		return -EINVAL;
	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] < '0' || token.p[i] > '9')
			return -EINVAL;
		*out = *out * 10 + (uint64_t)(token.p[i] - '0');
	}
	return 0;
}

/* The same, and 0 where it is missing. */
static int
read_number_of(struct slice object, const char *name, uint64_t *out)
{
	struct slice token = channel_json_member(object, name);

	*out = 0;
	return token.p != NULL ? read_number(token, out) : 0;
}

static int
read_party(struct call_party *p, struct slice object)
{
	if (object.p == NULL || read_user(channel_json_member(object, "user"), &p->user) < 0)
		return -EINVAL;
	p->device = channel_json_member(object, "device");
	if (p->device.p != NULL && read_user(p->device, &p->device) < 0)
		return -EINVAL;
	if (read_name(channel_json_member(object, "channel"), &p->channel) < 0 ||
	    read_name(channel_json_member(object, "node"), &p->node) < 0 ||
	    read_name(channel_json_member(object, "heard"), &p->heard) < 0)
		return -EINVAL;
	p->lost = slice_is(channel_json_member(object, "lost"), "true");
	return read_number_of(object, "epoch", &p->epoch);
}

/* {"SLOT":BYTES,…}, the newest first. */
static int
read_kept(struct call *c, struct slice object)
{
	struct slice name, value;
	uint64_t     slot, bytes;
	size_t	     at = 0;

	if (object.p == NULL)
		return 0;
	for (unsigned n = 0; channel_json_next(object, &at, &name, &value) > 0; n++) {
		struct slice text;

		if (read_name(name, &text) < 0 || read_number(text, &slot) < 0 || read_number(value, &bytes) < 0)
			return -EINVAL;
		if (n == 0)
			c->slot = (int64_t)slot;
		if ((int64_t)slot > c->slot || c->slot - (int64_t)slot >= CALL_SLOTS)
			return -EINVAL;
		c->kept[c->slot - (int64_t)slot] = bytes;
	}
	return 0;
}

/* Who is called by that member: "a" or "b"; -1 if it is missing, -EINVAL if it is something else. */
static int
read_who(struct slice object, const char *name)
{
	struct slice token = channel_json_member(object, name);
	int	     i;

	if (token.p == NULL)
		return CALL_NOBODY;
	i = name_index(token, party_names, COUNT(party_names));
	return i >= 0 ? i : -EINVAL;
}

/* Does each of its parties take part as the phase wants it? */
static bool
is_sound(const struct call *c)
{
	const struct call_party *caller = &c->party[c->caller], *callee = &c->party[!c->caller];

	if (slice_eq(caller->user, callee->user) || (c->offer != CALL_NOBODY && !c->offered))
		return false;
	switch (c->phase) {
	case CALL_IDLE:
		return caller->channel.n == 0 && callee->channel.n == 0 && !c->offered;
	case CALL_RINGING:
		return caller->channel.n > 0 && callee->channel.n == 0 && c->offer != !c->caller;
	case CALL_ANSWERED:
	case CALL_ACTIVE:
		return caller->channel.n > 0 && callee->channel.n > 0 && c->offered;
	}
	return false;
}

int
call_read(struct call *c, struct slice text)
{
	int	 phase = name_index(channel_json_member(text, "phase"), phase_names, COUNT(phase_names));
	int	 caller = read_who(text, "caller"), offer = read_who(text, "offer");
	uint64_t since;

	*c = (struct call){ .phase = phase < 0 ? CALL_IDLE : (enum call_phase)phase };
	if (phase < 0 || caller == -EINVAL || offer == -EINVAL || (caller == CALL_NOBODY && call_is_live(c)))
		return -EINVAL;
	if (read_number_of(text, "since", &since) < 0 || read_kept(c, channel_json_member(text, "kept")) < 0)
		return -EINVAL;
	for (int i = 0; i < 2; i++)
		if (read_party(&c->party[i], channel_json_member(text, party_names[i])) < 0)
			return -EINVAL;
	c->since = (int64_t)since;
	c->caller = caller == 1;
	c->offer = (int8_t)offer;
	c->offered = slice_is(channel_json_member(text, "offered"), "true");
	return is_sound(c) ? 0 : -EINVAL;
}

/* Writing. */

static void
add_name(struct buf *out, const char *name, struct slice text)
{
	if (text.n == 0)
		return;
	buf_addf(out, ",\"%s\":", name);
	channel_json_add(out, text);
}

static void
add_token(struct buf *out, const char *name, struct slice token)
{
	if (token.n == 0)
		return;
	buf_addf(out, ",\"%s\":", name);
	buf_add_slice(out, token);
}

static void
add_party(struct buf *out, const char *name, const struct call_party *p)
{
	buf_addf(out, ",\"%s\":{\"user\":", name);
	buf_add_slice(out, p->user);
	add_name(out, "channel", p->channel);
	add_token(out, "device", p->device);
	add_name(out, "node", p->node);
	if (p->epoch > 0)
		buf_addf(out, ",\"epoch\":%llu", (unsigned long long)p->epoch);
	add_name(out, "heard", p->heard);
	if (p->lost)
		buf_add_str(out, ",\"lost\":true");
	buf_add_char(out, '}');
}

static void
add_kept(struct buf *out, const struct call *c)
{
	const char *comma = "";

	buf_add_str(out, ",\"kept\":{");
	for (int i = 0; i < CALL_SLOTS; i++) {
		if (c->kept[i] == 0)
			continue;
		buf_addf(out, "%s\"%lld\":%llu", comma, (long long)(c->slot - i), (unsigned long long)c->kept[i]);
		comma = ",";
	}
	buf_add_char(out, '}');
}

void
call_write(const struct call *c, struct buf *out)
{
	buf_addf(out, "{\"phase\":\"%s\",\"since\":%lld", phase_names[c->phase], (long long)c->since);
	if (call_is_live(c))
		buf_addf(out, ",\"caller\":\"%s\"", party_names[c->caller]);
	if (c->offered)
		buf_add_str(out, ",\"offered\":true");
	if (c->offer != CALL_NOBODY)
		buf_addf(out, ",\"offer\":\"%s\"", party_names[c->offer]);
	for (int i = 0; i < 2; i++)
		add_party(out, party_names[i], &c->party[i]);
	add_kept(out, c);
	buf_add_char(out, '}');
}

/* Messages. */

static int
read_event(struct slice token, enum call_event *event)
{
	/* The first one of that name: all that end a call have the same. */
	int i = name_index(token, event_names, COUNT(event_names));

	*event = i < 0 ? CALL_OPEN : (enum call_event)i;
	return i < 0 ? -EINVAL : 0;
}

static int
read_member(struct call_message *m, struct slice name, struct slice value)
{
	if (slice_is(name, "\"state\""))
		m->state = value;
	else if (slice_is(name, "\"event\""))
		return read_event(value, &m->event);
	else if (slice_is(name, "\"from\""))
		return read_user(value, &m->from);
	else if (slice_is(name, "\"channel\""))
		return read_name(value, &m->channel);
	else if (slice_is(name, "\"data\""))
		m->data = value;
	else if (slice_is(name, "\"id\""))
		return read_name(value, &m->id);
	return 0;
}

int
call_message_read(struct call_message *m, struct slice payload)
{
	struct slice name, value;
	size_t	     at = 0;

	*m = (struct call_message){ .event = CALL_OPEN, .channel = SLICE(""), .id = SLICE("") };
	while (channel_json_next(payload, &at, &name, &value) > 0)
		if (read_member(m, name, value) < 0)
			return -EINVAL;
	if (m->state.n < 2 || m->state.p[0] != '{' || m->data.n < 2 || m->data.p[0] != '{')
		return -EINVAL;
	return call_is_relayed(m->event) && m->from.p == NULL ? -EINVAL : 0;
}

void
call_message_write(const struct call_message *m, const struct call *c, struct buf *out)
{
	buf_add_str(out, "{\"state\":");
	call_write(c, out);
	buf_addf(out, ",\"event\":\"%s\"", call_event_name(m->event));
	add_token(out, "from", m->from);
	add_name(out, "channel", m->channel);
	buf_add_str(out, ",\"data\":");
	buf_add_slice(out, m->data);
	buf_add_char(out, '}');
}
