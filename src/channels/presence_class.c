/*
 * Who is in a room, and how: clients are present under their user's id, with a status and whatever else they tell of
 * themselves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/common.h"

#define MAX_USER	128	/* bytes of a user's id */
#define MAX_NAME	256	/* bytes of a field's name */

/* Read once per route. */
struct presence_route {
	uint64_t leave_grace;	/* ms */
};

/* Of each channel. */
struct presence {
	char	*status;	/* as JSON, until it has joined; NULL = the default */
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

static int
presence_join(struct channel *ch, const struct channel_message *params)
{
	struct presence *p = channel_state(ch);
	struct slice	 fields = common_fields(params), status = channel_json_member(fields, "status");
	int		 claim;

	if (channel_user(ch).n == 0)
		return CHANNEL_REFUSED;
	claim = presence_claim(ch, fields);
	if (params->payload.binary)
		common_invalid(ch, SLICE("payload"));
	else if (claim < 0)
		common_invalid(ch, SLICE("user_id"));
	else if (claim > 0 && status.p != NULL && (status.p[0] != '"' || status.n > COMMON_MAX_META / 2))
		common_invalid(ch, SLICE("status"));
	else if (claim > 0) {
		p->status = status.p != NULL ? strndup(status.p, status.n) : NULL;
		return status.p == NULL || p->status != NULL ? CHANNEL_OK : -ENOMEM;
	}
	return CHANNEL_REFUSED;
}

static int
presence_joined(struct channel *ch)
{
	const struct presence_route *r = channel_route_data(ch);
	struct presence		    *p = channel_state(ch);

	channel_set_leave_grace(ch, r->leave_grace);
	common_appear(ch, p->status != NULL ? p->status : "\"online\"");
	free(p->status);
	p->status = NULL;
	return 0;
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

/* A member that may go into the meta. */
struct field {
	struct slice	name;	/* decoded */
	struct slice	token;	/* the name as it was written */
	struct slice	value;	/* p == NULL: it does not */
	size_t		place;
};

/* Adds the object's members to an array of fields; `names` has room for what is decoded. */
static void
fields_add(struct buf *fields, struct buf *names, struct slice object)
{
	struct field f = { .place = fields->n / sizeof(f) };

	for (size_t at = 0; channel_json_next(object, &at, &f.token, &f.value) > 0; f.place++) {
		char *to = names->p + names->n;

		if (channel_json_string(f.token, to, names->cap - names->n, &f.name) < 0)
			f.name = f.token;
		if (f.name.p == to)
			names->n += f.name.n;
		buf_add(fields, &f, sizeof(f));
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct field *x = *(const struct field *const *)a, *y = *(const struct field *const *)b;
	int		    r = slice_compare(x->name, y->name);

	return r != 0 ? r : (x->place > y->place) - (x->place < y->place);
}

/* Of several of one name the last value counts: in the place of the meta's own (those before n_meta), else in its own. */
static void
fields_unite(struct field *fields, size_t n_meta, size_t n)
{
	autobuf struct buf sorted = { 0 };
	struct field	 **by = (void *)buf_room(&sorted, n * sizeof(*by));

	for (size_t i = 0; i < n; i++)
		by[i] = &fields[i];
	qsort(by, n, sizeof(*by), by_name);
	for (size_t i = 1; i < n; i++) {
		if (!slice_eq(by[i - 1]->name, by[i]->name))
			continue;
		if (by[i - 1]->place < n_meta) {
			by[i - 1]->value = by[i]->value;
			by[i]->value.p = NULL;
			by[i] = by[i - 1];
		} else
			by[i - 1]->value.p = NULL;
	}
}

/*
 * The meta without what the server added, with the fields in the place of those of their names, or behind. Of a client's
 * making, and up to thousands: so nothing here looks through all of them for each.
 */
static void
merge(struct buf *out, struct slice meta, struct slice object)
{
	autobuf struct buf all = { 0 }, names = { 0 };
	struct field	  *fields;
	size_t		   n_meta, n;

	buf_room(&names, meta.n + object.n);
	fields_add(&all, &names, meta);
	n_meta = all.n / sizeof(*fields);
	fields_add(&all, &names, object);
	fields = (void *)all.p;
	n = all.n / sizeof(*fields);
	fields_unite(fields, n_meta, n);
	buf_add_char(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (fields[i].value.p == NULL || slice_starts(fields[i].name, SLICE("phx_")))
			continue;
		if (out->n > 1)
			buf_add_char(out, ',');
		buf_add_slice(out, fields[i].token);
		buf_add_char(out, ':');
		buf_add_slice(out, fields[i].value);
	}
	buf_add_char(out, '}');
}

static int
presence_update(struct channel *ch, const struct channel_message *m)
{
	autobuf struct buf meta = { 0 };
	struct slice	   old = channel_meta(ch, channel_user(ch));
	int		   r = -E2BIG;

	if (m->payload.binary || m->payload.bytes.n > COMMON_MAX_META) {
		common_invalid(ch, SLICE("payload"));
		return 0;
	}
	if (!fields_are_fine(ch, m->payload.bytes))
		return 0;
	if (old.p == NULL) {
		channel_reply_reason(ch, "invalid_state");
		return 0;
	}
	merge(&meta, old, m->payload.bytes);
	if (meta.n <= COMMON_MAX_META)
		r = channel_update(ch, channel_user(ch), buf_slice(&meta));
	if (r < 0)
		common_invalid(ch, SLICE("payload"));
	else
		channel_reply_ok(ch, channel_empty());
	return 0;
}

static int
presence_handle_in(struct channel *ch, const struct channel_message *m)
{
	if (slice_is(m->event, "update_status"))
		return presence_update(ch, m);
	channel_reply_reason(ch, "unknown_event");
	return 0;
}

static void
presence_leave(struct channel *ch, const char *why)
{
	struct presence *p = channel_state(ch);

	free(p->status);
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
