/*
 * What users keep in Redis: marks, up to where they have read, and lists of names.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/store_redis.h"
#include "store/store_scripts.h"

/* What redis_eval() or redis_command() said: the answer is waited for, or it is over. */
static int
asked_begin(struct store_redis *s, struct asked *a, int r)
{
	if (r < 0)
		free(a);
	else
		list_append(&s->asked, &a->in_store);
	return r;
}

/* 0 for the answer 1, `refused` for 0; else -EHOSTUNREACH, and it is logged. */
static int
error_of(const struct redisReply *r, const char *what, int refused)
{
	if (r != NULL && r->type == REDIS_REPLY_INTEGER)
		return r->integer == 1 ? 0 : refused;
	log_refused(what, r);
	return -EHOSTUNREACH;
}

/* ---- marks ---- */

static void
on_marked(void *arg, const struct redisReply *r)
{
	struct asked *a = arg;
	int	      error = error_of(r, "mark", -ENOENT);

	if (asked_end(a))
		a->on_marked(a->arg, error);
	free(a);
}

int
store_redis_mark(struct store *store, const struct store_mark *mark, store_marked_fn *fn, void *arg)
{
	struct store_redis *s = container_of(store, struct store_redis, store);
	autobuf struct buf  marks = { 0 }, stream = { 0 };
	struct redis_number	    number_of_tail, age, last;
	char		    id[UUID_LEN + 1], at_text[POSITION_LEN];
	struct slice	    keys[2], args[MARK_ARGS];
	struct position	    at;
	struct asked	   *a;
	uint64_t	    tail;

	if (uuid_to_position(mark->id, &at, &tail) < 0)
		return -EINVAL;
	key_write(&marks, s, "read:", mark->topic);
	key_write(&stream, s, "history:", mark->topic);
	keys[0] = buf_slice(&marks);
	keys[1] = buf_slice(&stream);
	args[MARK_USER] = mark->user;
	args[MARK_ID] = slice_str(uuid_from_position(at, tail, id));
	args[MARK_AT] = slice_str(position_text(at, at_text));
	args[MARK_TAIL] = redis_number(&number_of_tail, tail);
	args[MARK_AGE] = redis_number(&age, mark->limits.age_ms);
	args[MARK_LAST] = redis_number(&last, mark->limits.last_ms);
	a = xmalloc(sizeof(*a));
	*a = (struct asked){ .store = s, .on_marked = fn, .arg = arg };
	return asked_begin(s, a, redis_eval(s->redis, &store_mark_script, on_marked, a, keys, 2, args, MARK_ARGS));
}

/* ---- lists ---- */

static void
list_key(struct buf *out, const struct store_redis *s, struct slice user, struct slice list)
{
	key_write(out, s, "list:", user);
	buf_add_char(out, ':');
	buf_add_slice(out, list);
}

static bool
is_list(const struct redisReply *r)
{
	if (r == NULL || r->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i < r->elements; i++)
		if (!is_text(r->element[i]))
			return false;
	return true;
}

static void
list_tell(struct asked *a, const struct redisReply *r)
{
	autofree struct slice *names = xcalloc(r->elements + 1, sizeof(*names));

	for (size_t i = 0; i < r->elements; i++)
		names[i] = redis_text(r->element[i]);
	a->on_list(a->arg, 0, names, (unsigned)r->elements);
}

static void
on_list(void *arg, const struct redisReply *r)
{
	struct asked *a = arg;
	bool	      wanted = asked_end(a);

	if (!is_list(r))
		log_refused("list", r);
	if (wanted && is_list(r))
		list_tell(a, r);
	else if (wanted)
		a->on_list(a->arg, -EHOSTUNREACH, NULL, 0);
	free(a);
}

int
store_redis_list(struct store *store, struct slice user, struct slice list, store_list_fn *fn, void *arg)
{
	struct store_redis *s = container_of(store, struct store_redis, store);
	autobuf struct buf  key = { 0 };
	struct slice	    argv[2];
	struct asked	   *a = xmalloc(sizeof(*a));

	*a = (struct asked){ .store = s, .on_list = fn, .arg = arg };
	list_key(&key, s, user, list);
	argv[0] = SLICE("SMEMBERS");
	argv[1] = buf_slice(&key);
	return asked_begin(s, a, redis_command(s->redis, on_list, a, argv, 2));
}

static void
on_listed(void *arg, const struct redisReply *r)
{
	struct asked *a = arg;
	int	      error = error_of(r, "enlist", -ENOSPC);

	if (asked_end(a))
		a->on_listed(a->arg, error);
	free(a);
}

int
store_redis_enlist(struct store *store, struct slice user, struct slice list, struct slice name, bool listed,
    store_listed_fn *fn, void *arg)
{
	struct store_redis *s = container_of(store, struct store_redis, store);
	autobuf struct buf  text = { 0 };
	struct redis_number	    max;
	struct slice	    key, args[ENLIST_ARGS];
	struct asked	   *a = xmalloc(sizeof(*a));

	*a = (struct asked){ .store = s, .on_listed = fn, .arg = arg };
	list_key(&text, s, user, list);
	key = buf_slice(&text);
	args[ENLIST_NAME] = name;
	args[ENLIST_LISTED] = listed ? SLICE("1") : SLICE("0");
	args[ENLIST_MAX] = redis_number(&max, STORE_MAX_LIST);
	return asked_begin(s, a, redis_eval(s->redis, &store_enlist_script, on_listed, a, &key, 1, args, ENLIST_ARGS));
}
