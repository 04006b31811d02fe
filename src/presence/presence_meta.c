/*
 * Keys and metas: what may be one, and how the server's members get into it.
 */
#include <errno.h>

#include "net/utf8.h"
#include "presence/tracker_internal.h"
#include "wire/json.h"

#define MAX_KEY	256

/* JavaScript clients keep presences in a plain object, which has these without being told. */
static const char *const object_members[] = {
	"__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "constructor",
	"hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf",
	/* And this stands in the hashes for something else. */
	"@linger",
};

int
presence_check_key(struct slice key)
{
	if (key.n == 0 || key.n > MAX_KEY || !utf8_valid(key))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(object_members) / sizeof(object_members[0]); i++)
		if (slice_is(key, object_members[i]))
			return -EINVAL;
	return 0;
}

bool
tracker_takes_key(struct slice key)
{
	return presence_check_key(key) == 0;
}

static bool
is_ours(struct slice name)
{
	return slice_is(name, "phx_ref") || slice_is(name, "phx_ref_prev");
}

/* And since when somebody is there, which a return does not change. */
static bool
is_ours_or_time(struct slice name)
{
	return is_ours(name) || slice_is(name, "online_at");
}

static void
add_members(struct buf *out, struct slice object, bool (*leave_out)(struct slice name))
{
	struct slice name, value, text;
	const size_t start = out->n;
	char	     scratch[sizeof("phx_ref_prev")];
	size_t	     at = 0;

	while (json_next_member(object, &at, &name, &value)) {
		if (json_text(name, scratch, sizeof(scratch), &text) == 0 && leave_out(text))
			continue;
		if (out->n > start)
			buf_add_char(out, ',');
		buf_add_slice(out, name);
		buf_add_char(out, ':');
		buf_add_slice(out, value);
	}
}

int
presence_meta_members(struct slice meta, struct buf *out)
{
	struct slice   object;
	enum json_kind type;
	int	       r;

	json_take_blanks(&meta);
	r = json_take_value(&meta, &object, &type);
	if (r < 0)
		return r == -E2BIG ? r : -EINVAL;
	if (type != JSON_OBJECT || meta.n > 0)
		return -EINVAL;
	add_members(out, object, is_ours);
	return 0;
}

bool
presence_meta_is_return(struct slice was, struct slice is)
{
	autobuf struct buf a = { 0 }, b = { 0 };

	add_members(&a, was, is_ours_or_time);
	add_members(&b, is, is_ours_or_time);
	return slice_eq(buf_slice(&a), buf_slice(&b));
}

void
presence_meta_write(struct buf *out, struct slice members, struct slice ref, struct slice prev)
{
	buf_add_char(out, '{');
	buf_add_slice(out, members);
	if (members.n > 0)
		buf_add_char(out, ',');
	buf_add_str(out, "\"phx_ref\":\"");
	buf_add_slice(out, ref);
	if (prev.n > 0) {
		buf_add_str(out, "\",\"phx_ref_prev\":\"");
		buf_add_slice(out, prev);
	}
	buf_add_str(out, "\"}");
}

struct slice
presence_meta_prev(struct slice meta)
{
	struct slice token = json_member(meta, "phx_ref_prev");

	/* A ref has no escapes. */
	return token.n > 2 && token.p[0] == '"' ? slice(token.p + 1, token.n - 2) : SLICE("");
}
