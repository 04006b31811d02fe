/*
 * The fields of a replica's hash. Anybody with access to Redis may have written them.
 */
#include "presence/hash_fields.h"

#include "net/utf8.h"
#include "wire/json.h"

#define LINGER	"@linger"	/* no presence's key */

void
field_write(struct buf *out, const struct presence_item *item)
{
	buf_add_slice(out, item->key);
	buf_add_char(out, '/');
	buf_add_slice(out, item->ref);
}

void
field_write_linger(struct buf *out, const struct presence_item *item)
{
	buf_add_str(out, LINGER "/");
	buf_add_slice(out, item->ref);
}

static bool
is_key(struct slice key)
{
	return key.n > 0 && key.n <= PRESENCE_MAX_KEY && utf8_valid(key);
}

/* Splits KEY/REF; a key may have slashes, a ref has none. */
static bool
split_field(struct slice field, struct presence_item *item)
{
	const char *slash = memrchr(field.p, '/', field.n);

	if (slash == NULL)
		return false;
	item->key = slice(field.p, (size_t)(slash - field.p));
	item->ref = slice_from(field, item->key.n + 1);
	return is_key(item->key) && presence_ref_is_valid(item->ref);
}

/* The meta is whole, and says the ref that its field says. */
static bool
fits(const struct presence_item *item)
{
	char		scratch[PRESENCE_MAX_REF];
	struct slice	ref;
	enum json_kind	type;

	if (item->meta.n > PRESENCE_MAX_META || !utf8_valid(item->meta))
		return false;
	if (json_scan(item->meta, &type) != (ssize_t)item->meta.n || type != JSON_OBJECT)
		return false;
	return presence_find_ref(item->meta, scratch, sizeof(scratch), &ref) == 0 && slice_eq(ref, item->ref);
}

void
hash_fields_add(struct hash_fields *h, struct slice field, struct slice value)
{
	struct presence_item item = { .meta = value };

	if (slice_is(field, "@epoch"))
		presence_number(value, &h->epoch);
	else if (slice_is(field, "@version"))
		presence_number(value, &h->version);
	else if (!split_field(field, &item))
		h->items.dropped++;
	else if (slice_is(item.key, LINGER))
		presence_items_add(&h->linger, &item);
	else if (fits(&item))
		presence_items_add(&h->items, &item);
	else
		h->items.dropped++;
}

bool
hash_fields_end(struct hash_fields *h)
{
	presence_items_linger(&h->items, &h->linger);
	return h->epoch > 0 && h->version > 0;
}

void
hash_fields_done(struct hash_fields *h)
{
	presence_items_done(&h->items);
	presence_items_done(&h->linger);
}
