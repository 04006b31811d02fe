/*
 * Who is in a room, and how: clients are present under their user's id, with a status and whatever else they tell of
 * themselves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/common.h"
#include "channels/merge.h"

#define MAX_USER	128	/* bytes of a user's id */
#define MAX_NAME	256	/* bytes of a field's name */
#define MAX_SERVERS	96	/* of a meta, for what the server adds at first */

/* Read once per route. */
struct presence_route {
	uint64_t leave_grace;	/* ms */
};

/* Of each channel. */
struct presence {
	char	*fields;	/* what it will tell of itself: an object, until it has joined */
};

static const struct channel_option presence_options[] = {
	{ "leave_grace", "0", "time for a lost client to come back before it leaves" },
	{ 0 }
};

static int
presence_configure(const struct channel_route *route, void **data, const char **why)
{
	struct presence_route *r = calloc(1, sizeof(*r));

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

/* Who the client says that it is, compared as text: 1 the user, 0 another one, -EINVAL no user at all. */
static int
presence_claim(struct channel *ch, struct slice fields)
{
	char	     scratch[MAX_USER];
	struct slice token = channel_json_member(fields, "user_id"), text = token;

	if (token.p == NULL || slice_is(token, "null"))
		return 1;
	if (token.p[0] == '"') {
		/* What does not fit, or has a NUL, is nobody's. */
		if (channel_json_string(token, scratch, sizeof(scratch), &text) < 0)
			return 0;
	} else if (token.p[0] != '-' && (token.p[0] < '0' || token.p[0] > '9'))
		return -EINVAL;
	return slice_eq(text, channel_user(ch));
}

/* A name that the server alone gives, or that is none. */
static bool
name_is_reserved(struct slice name)
{
	return name.n == 0 || slice_starts(name, SLICE("phx_")) || slice_is(name, "online_at");
}

static bool
field_has_type(struct slice name, struct slice value)
{
	if (slice_is(name, "status"))
		return value.p[0] == '"';
	if (slice_is(name, "typing"))
		return value.p[0] == 't' || value.p[0] == 'f';
	return true;
}

/* The names are text that ends; false with an answer if a field is not to be had. */
static bool
fields_are_fine(struct channel *ch, struct slice fields)
{
	char	     scratch[MAX_NAME];
	struct slice name, value, text;

	for (size_t at = 0; channel_json_next(fields, &at, &name, &value) > 0;) {
		if (channel_json_string(name, scratch, sizeof(scratch), &text) < 0) {
			common_invalid(ch, SLICE("payload"));
			return false;
		}
		if (name_is_reserved(text) || !field_has_type(text, value)) {
			common_invalid(ch, text);
			return false;
		}
	}
	return true;
}

/* What belongs to the join itself, and is not shown. */
static bool
name_is_of_join(struct slice token)
{
	char	     scratch[MAX_NAME];
	struct slice name;

	if (channel_json_string(token, scratch, sizeof(scratch), &name) < 0)
		return false;
	return slice_is(name, "user_id") || slice_is(name, "token");
}

/* The others, as an object. */
static void
add_own_fields(struct buf *out, struct slice params)
{
	struct slice name, value;

	buf_add_char(out, '{');
	for (size_t at = 0; channel_json_next(params, &at, &name, &value) > 0;) {
		if (name_is_of_join(name))
			continue;
		if (out->n > 1)
			buf_add_char(out, ',');
		buf_add_slice(out, name);
		buf_add_char(out, ':');
		buf_add_slice(out, value);
	}
	buf_add_char(out, '}');
}

/* False with an answer if they are not to be had. */
static bool
join_fields_are_fine(struct channel *ch, struct slice fields)
{
	if (fields.n <= COMMON_MAX_META - MAX_SERVERS)
		return fields_are_fine(ch, fields);
	common_invalid(ch, SLICE("payload"));
	return false;
}

static int
presence_join(struct channel *ch, const struct channel_message *params)
{
	autobuf struct buf fields = { 0 };
	struct presence	  *p = channel_state(ch);
	int		   claim;

	if (channel_user(ch).n == 0)
		return CHANNEL_REFUSED;
	claim = presence_claim(ch, common_fields(params));
	if (params->payload.binary)
		common_invalid(ch, SLICE("payload"));
	else if (claim < 0)
		common_invalid(ch, SLICE("user_id"));
	if (params->payload.binary || claim <= 0)
		return CHANNEL_REFUSED;
	add_own_fields(&fields, params->payload.bytes);
	if (!join_fields_are_fine(ch, buf_slice(&fields)))
		return CHANNEL_REFUSED;
	p->fields = strndup(fields.p, fields.n);
	return p->fields != NULL ? CHANNEL_OK : -ENOMEM;
}

static int
presence_joined(struct channel *ch)
{
	const struct presence_route *r = channel_route_data(ch);
	autobuf struct buf	     first = { 0 }, meta = { 0 };
	struct presence		    *p = channel_state(ch);

	channel_set_leave_grace(ch, r->leave_grace);
	buf_addf(&first, "{\"online_at\":%lld,\"status\":\"online\"}", (long long)(channel_wall(ch) / 1000));
	merge_objects(&meta, buf_slice(&first), slice_str(p->fields));
	common_track(ch, channel_user(ch), buf_slice(&meta));
	free(p->fields);
	p->fields = NULL;
	return 0;
}

/* Puts fields that are fine into the meta, and answers. */
static void
presence_change(struct channel *ch, struct slice fields)
{
	autobuf struct buf meta = { 0 };
	struct slice	   old = channel_meta(ch, channel_user(ch));
	int		   r = -E2BIG;

	if (old.p == NULL) {
		channel_reply_reason(ch, "invalid_state");
		return;
	}
	merge_objects(&meta, old, fields);
	if (meta.n <= COMMON_MAX_META)
		r = channel_update(ch, channel_user(ch), buf_slice(&meta));
	if (r < 0)
		common_invalid(ch, SLICE("payload"));
	else
		channel_reply_ok(ch, channel_empty());
}

static void
presence_update_status(struct channel *ch, const struct channel_message *m)
{
	if (m->payload.binary || m->payload.bytes.n > COMMON_MAX_META)
		common_invalid(ch, SLICE("payload"));
	else if (fields_are_fine(ch, m->payload.bytes))
		presence_change(ch, m->payload.bytes);
}

static void
presence_typing(struct channel *ch, const struct channel_message *m)
{
	static const struct channel_field fields[] = { { "typing", CHANNEL_BOOL, true, 0, 0 } };
	autobuf struct buf		  scratch = { 0 };
	struct channel_value		  typing;

	if (channel_read(ch, m, fields, 1, &typing, &scratch))
		presence_change(ch, typing.number ? SLICE("{\"typing\":true}") : SLICE("{\"typing\":false}"));
}

static int
presence_handle_in(struct channel *ch, const struct channel_message *m)
{
	if (slice_is(m->event, "update_status"))
		presence_update_status(ch, m);
	else if (slice_is(m->event, "typing"))
		presence_typing(ch, m);
	else
		channel_reply_reason(ch, "unknown_event");
	return 0;
}

static void
presence_leave(struct channel *ch, const char *why)
{
	struct presence *p = channel_state(ch);

	free(p->fields);
}

const struct channel_class presence_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "presence",
	.state_size = sizeof(struct presence),
	.options = presence_options,
	.configure = presence_configure,
	.unconfigure = free,
	.join = presence_join,
	.joined = presence_joined,
	.handle_in = presence_handle_in,
	.leave = presence_leave,
};
