/*
 * A replica as it stands in a hash of Redis, roost:presence:{TOPIC}:NODE:
 *
 *	KEY/REF		META
 *	@linger/REF	1: it lingers (no KEY is @linger)
 *	@epoch, @version
 */
#ifndef PRESENCE_HASH_FIELDS_H
#define PRESENCE_HASH_FIELDS_H

#include "base/buf.h"
#include "presence/items.h"

/* Bytes of the longer of an item's two names, at most. */
#define FIELD_ROOM(item)	((item)->key.n + (item)->ref.n + sizeof("@linger/"))

void field_write(struct buf *, const struct presence_item *);
void field_write_linger(struct buf *, const struct presence_item *);

/* One that is being read, field by field. All zero at first; borrows the texts. */
struct hash_fields {
	uint64_t		epoch;
	uint64_t		version;
	struct presence_items	items;
	struct presence_items	linger;
};

/* What is no field of ours is dropped, and counted in items.dropped. */
void hash_fields_add(struct hash_fields *, struct slice field, struct slice value);
/* After the last field. False if that is no replica: it has no epoch or no version. */
bool hash_fields_end(struct hash_fields *);
void hash_fields_done(struct hash_fields *);

#endif
