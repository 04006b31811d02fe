/*
 * The presences of a topic for somebody who does not look on: read from Redis and merged as clients would see
 * them.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "presence/sync_internal.h"
#include "wire/json.h"

static void
list_gather(struct presence_sync *s, struct presence_items *all, struct slice node,
    const struct redisReply *fields)
{
	struct hash_fields h;

	if (!slice_eq(node, s->self) && !cluster_is_up(s->cluster, node))
		return;
	sync_fields(&h, fields);
	if (hash_fields_end(&h) && !sync_is_past(s, node, h.epoch))
		for (unsigned i = 0; i < h.items.n; i++)
			presence_items_add(all, &h.items.items[i]);
	hash_fields_done(&h);
}

/* They are sorted: what several nodes hold stands side by side. */
static void
list_write(struct buf *out, const struct presence_items *all)
{
	const struct presence_item *before = NULL;

	buf_add_char(out, '{');
	for (unsigned i = 0; i < all->n; i++) {
		const struct presence_item *item = &all->items[i];
		bool			    same = before != NULL && slice_eq(item->key, before->key);

		if (same && slice_eq(item->ref, before->ref))
			continue;
		if (same) {
			buf_add_char(out, ',');
		} else {
			buf_add_str(out, before != NULL ? "]}," : "");
			json_quote(out, item->key);
			buf_add_str(out, ":{\"metas\":[");
		}
		buf_add_slice(out, item->meta);
		before = item;
	}
	buf_add_str(out, before != NULL ? "]}}" : "}");
}

static void
list_answered(struct ask *a, const struct redisReply *reply)
{
	struct presence_items all = { 0 };
	autobuf struct buf    text = { 0 };

	if (!redis_is_array(reply)) {
		sync_log_error("listing the presences", a->topic, reply);
		a->list(a->arg, reply == NULL ? -ENOTCONN : -EIO, SLICE(""));
		return;
	}
	for (size_t i = 0; i + 1 < reply->elements; i += 2)
		list_gather(a->sync, &all, redis_text(reply->element[i]), reply->element[i + 1]);
	presence_items_sort(&all);
	list_write(&text, &all);
	presence_items_done(&all);
	a->list(a->arg, 0, buf_slice(&text));
}

int
presence_sync_list(struct presence_sync *s, struct slice topic, presence_list_fn *fn, void *arg)
{
	struct ask	  *a = ask_new(s, list_answered, topic, SLICE(""));
	autobuf struct buf set = { 0 };

	a->list = fn;
	a->arg = arg;
	key_set(s, &set, topic);
	return ask_eval(s, a, &presence_read_script, (struct slice[]){ buf_slice(&set) }, 1, NULL, 0);
}
