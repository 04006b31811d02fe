/*
 * Lists of names, each a map; they stand in a map by user and list.
 */
#include "store/name_lists.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/store.h"

struct name {
	struct slice	text;	/* in bytes */
	char		bytes[];
};

struct name_list {
	struct slice	key;	/* in bytes */
	struct map	names;
	size_t		size;	/* bytes of all names */
	char		bytes[];
};

static struct slice
name_text(const void *item)
{
	const struct name *name = item;

	return name->text;
}

static struct slice
name_list_key(const void *item)
{
	const struct name_list *list = item;

	return list->key;
}

/* Both may be any bytes: the length of the first tells where the second begins. */
static struct buf
key_of(struct slice user, struct slice list)
{
	struct buf key = { 0 };

	buf_addf(&key, "%zu:", user.n);
	buf_add_slice(&key, user);
	buf_add_slice(&key, list);
	return key;
}

void
name_lists_init(struct name_lists *all)
{
	*all = (struct name_lists){ 0 };
	map_init(&all->lists, name_list_key);
}

static struct name_list *
name_list_open(struct name_lists *all, struct slice key)
{
	struct name_list *list = map_get(&all->lists, key);

	if (list != NULL)
		return list;
	list = xmalloc(sizeof(*list) + key.n);
	*list = (struct name_list){ .key = { list->bytes, key.n } };
	memcpy(list->bytes, key.p, key.n);
	map_init(&list->names, name_text);
	map_put(&all->lists, list);
	return list;
}

static void
name_list_drop(struct name_lists *all, struct name_list *list, struct slice text)
{
	struct name *name = map_del(&list->names, text);

	if (name == NULL)
		return;
	all->names--;
	list->size -= name->text.n;
	free(name);
}

static void
name_list_add(struct name_lists *all, struct name_list *list, struct slice text)
{
	struct name *name = xmalloc(sizeof(*name) + text.n);

	name->text = slice(name->bytes, text.n);
	if (text.n > 0)
		memcpy(name->bytes, text.p, text.n);
	map_put(&list->names, name);
	all->names++;
	list->size += text.n;
}

static void
name_list_free(struct name_list *list)
{
	struct name *name;

	for (size_t at = 0; (name = map_next(&list->names, &at)) != NULL;)
		free(name);
	map_done(&list->names);
	free(list);
}

void
name_lists_done(struct name_lists *all)
{
	struct name_list *list;

	for (size_t at = 0; (list = map_next(&all->lists, &at)) != NULL;)
		name_list_free(list);
	map_done(&all->lists);
	all->names = 0;
}

static int
name_lists_put(struct name_lists *all, struct slice key, struct slice name)
{
	struct name_list *list = map_get(&all->lists, key);

	if (list != NULL && map_get(&list->names, name) != NULL)
		return 0;
	if (all->names >= NAME_LISTS_MAX || (list != NULL && list->names.n >= STORE_MAX_LIST))
		return -ENOSPC;
	name_list_add(all, name_list_open(all, key), name);
	return 0;
}

static void
name_lists_take(struct name_lists *all, struct slice key, struct slice name)
{
	struct name_list *list = map_get(&all->lists, key);

	if (list == NULL)
		return;
	name_list_drop(all, list, name);
	if (list->names.n > 0)
		return;
	map_del(&all->lists, key);
	name_list_free(list);
}

int
name_lists_set(struct name_lists *all, struct slice user, struct slice list, struct slice name, bool listed)
{
	autobuf struct buf key = key_of(user, list);

	if (listed)
		return name_lists_put(all, buf_slice(&key), name);
	name_lists_take(all, buf_slice(&key), name);
	return 0;
}

struct slice *
name_lists_copy(const struct name_lists *all, struct slice user, struct slice list, unsigned *n)
{
	autobuf struct buf	key = key_of(user, list);
	const struct name_list *found = map_get(&all->lists, buf_slice(&key));
	const struct name      *name;
	struct slice	       *out;
	char		       *to;

	*n = found != NULL ? (unsigned)found->names.n : 0;
	out = xmalloc((*n + 1) * sizeof(*out) + (found != NULL ? found->size : 0));
	to = (char *)(out + *n + 1);
	for (size_t at = 0, i = 0; found != NULL && (name = map_next(&found->names, &at)) != NULL; i++) {
		out[i] = slice(to, name->text.n);
		memcpy(to, name->text.p, name->text.n);
		to += name->text.n;
	}
	return out;
}
