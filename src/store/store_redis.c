/*
 * History in Redis: a stream for each topic, written and read by scripts (store_scripts.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/utf8.h"
#include "store/store_redis.h"
#include "store/store_scripts.h"
#include "wire/json.h"
#include "wire/message.h"

#define ENTRY_FIELDS	10	/* of an appended entry, at most: names and values */

bool
asked_end(struct asked *a)
{
	list_remove(&a->in_store);
	return a->store != NULL;
}

void
log_refused(const char *what, const struct redisReply *r)
{
	if (r == NULL)
		return;
	if (r->type == REDIS_REPLY_ERROR)
		log_peer(LOG_ERROR_, NULL, "history: Redis did not %s: %s", what, r->str);
	else
		log_peer(LOG_ERROR_, NULL, "history: Redis' answer to %s makes no sense", what);
}

void
key_write(struct buf *out, const struct store_redis *s, const char *kind, struct slice topic)
{
	buf_add_str(out, s->prefix);
	buf_add_str(out, kind);
	buf_add_char(out, '{');
	buf_add_slice(out, topic);
	buf_add_char(out, '}');
}

/* ---- append ---- */

static void
on_appended(void *arg, const struct redisReply *r)
{
	struct asked	 *a = arg;
	store_appended_fn *fn = a->on_appended;
	struct position	  at = { 0 };
	int		  error = -EHOSTUNREACH;
	uint64_t	  retry = 0;

	if (r != NULL && r->type == REDIS_REPLY_INTEGER) {
		error = r->integer == -2 ? -ENOENT : r->integer < 0 ? -ESTALE : -EAGAIN;
		retry = r->integer > 0 ? (uint64_t)r->integer : 0;
	} else if (r != NULL && is_text(r)) {
		error = position_parse(&at, redis_text(r)) < 0 ? -EHOSTUNREACH : 0;
	}
	if (error == -EHOSTUNREACH)
		log_refused("append", r);
	if (asked_end(a))
		fn(a->arg, error, at, error == 0 ? a->tail : 0, retry);
	free(a);
}

/* The part of the published text between the new id and the one before it, and from there to the payload. */
static void
write_foot(struct buf *out, const struct store_append *a, struct slice tail)
{
	buf_add_str(out, "\",\"tail\":\"");
	buf_add_slice(out, tail);
	if (a->tag != 0)
		buf_addf(out, "\",\"tag\":\"%" PRIu64, a->tag);
	buf_add_str(out, "\",\"event\":");
	json_quote(out, a->event);
	buf_add_str(out, ",\"payload\":");
}

/* Name and value of each field, as they are to be read in redis-cli. Returns how many slices that are. */
static unsigned
entry_fields(struct slice out[ENTRY_FIELDS], const struct store_append *a, const char *node, struct slice tail)
{
	const struct slice fields[ENTRY_FIELDS] = {
		SLICE("event"), a->event, SLICE("payload"), a->payload, SLICE("node"), slice_str(node),
		SLICE("tail"), tail, SLICE("user"), a->user,
	};

	memcpy(out, fields, sizeof(fields));
	return a->user.n > 0 ? ENTRY_FIELDS : ENTRY_FIELDS - 2;
}

static int
append_ask(const struct store_redis *s, const struct store_append *a, struct asked *asked)
{
	static const struct rate any;
	const struct rate *rate = a->rate != NULL ? &a->rate->rate : &any;
	autobuf struct buf stream = { 0 }, window = { 0 }, channel = { 0 }, foot = { 0 };
	struct redis_number	   tail, max, age, count, period, last, removed;
	char		   after[POSITION_LEN], removes[POSITION_LEN];
	struct slice	   keys[2], args[APPEND_FIELDS + ENTRY_FIELDS];
	unsigned	   n;

	redis_number(&tail, asked->tail);
	key_write(&stream, s, "history:", a->topic);
	key_write(&channel, s, "t:", a->topic);
	write_foot(&foot, a, slice_str(tail.text));
	keys[0] = buf_slice(&stream);
	if (rate->count > 0) {
		key_write(&window, s, "rate:", a->topic);
		buf_add_char(&window, ':');
		buf_add_slice(&window, a->rate->key);
		keys[1] = buf_slice(&window);
	}
	args[APPEND_MAX] = redis_number(&max, a->limits.max);
	args[APPEND_AGE] = redis_number(&age, a->limits.age_ms);
	args[APPEND_CHANNEL] = buf_slice(&channel);
	args[APPEND_HEAD] = buf_slice(&s->head);
	args[APPEND_MIDDLE] = SLICE("\",\"prev\":\"");
	args[APPEND_FOOT] = buf_slice(&foot);
	args[APPEND_RATE] = redis_number(&count, rate->count);
	args[APPEND_PERIOD] = redis_number(&period, rate->period_ms);
	args[APPEND_LAST] = redis_number(&last, a->limits.last_ms);
	args[APPEND_AFTER] = a->after != NULL ? slice_str(position_text(*a->after, after)) : SLICE("");
	args[APPEND_REMOVES] = a->removes != NULL ? slice_str(position_text(a->removes->at, removes)) : SLICE("");
	args[APPEND_TAIL] = a->removes != NULL ? redis_number(&removed, a->removes->tail) : SLICE("");
	n = entry_fields(args + APPEND_FIELDS, a, s->node, slice_str(tail.text));
	return redis_eval(s->redis, &store_append_script, on_appended, asked, keys, rate->count > 0 ? 2 : 1, args,
	    APPEND_FIELDS + n);
}

static int
redis_append(struct store *store, const struct store_append *a, store_appended_fn *fn, void *arg)
{
	struct store_redis *s = container_of(store, struct store_redis, store);
	struct asked	   *asked = xmalloc(sizeof(*asked));
	int		    r;

	*asked = (struct asked){ .store = s, .on_appended = fn, .arg = arg, .tail = uuid_tail() };
	r = append_ask(s, a, asked);
	if (r < 0) {
		free(asked);
		return r;
	}
	list_append(&s->asked, &asked->in_store);
	return 0;
}

/* ---- read ---- */

static bool
is_object(struct slice text)
{
	enum json_kind type;
	ssize_t	       n;

	if (!utf8_valid(text))
		return false;
	json_take_blanks(&text);
	n = json_scan(text, &type);
	return n > 0 && type == JSON_OBJECT && json_blanks(slice_from(text, (size_t)n)) == text.n - (size_t)n;
}

/* As a message on the bus has to have one: phx_close, say, would end a client's channel. */
static bool
is_event(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return false;
	return text.n > 0 && text.n <= WIRE_MAX_EVENT && utf8_valid(text) && !slice_starts(text, SLICE("phx_"));
}

/* Decimal, of UUID_TAIL_BITS; anything else, by hand, is 0 as where there is none. */
static uint64_t
tail_of(struct slice text)
{
	uint64_t tail = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || tail >> UUID_TAIL_BITS != 0)
			return 0;
		tail = tail * 10 + (uint64_t)(text.p[i] - '0');
	}
	return tail >> UUID_TAIL_BITS == 0 ? tail : 0;
}

static void
entry_field(struct store_entry *e, struct slice name, struct slice value)
{
	if (slice_is(name, "event"))
		e->event = value;
	else if (slice_is(name, "payload"))
		e->payload = value;
	else if (slice_is(name, "node"))
		e->node = value;
	else if (slice_is(name, "user"))
		e->user = value;
	else if (slice_is(name, "tail"))
		e->tail = tail_of(value);
}

/* [id, [name, value, ...]] as XRANGE gives it. */
static bool
is_entry(const struct redisReply *r)
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || !is_text(r->element[0]))
		return false;
	r = r->element[1];
	for (size_t i = 0; i < (r->type == REDIS_REPLY_ARRAY ? r->elements : 0); i++)
		if (!is_text(r->element[i]))
			return false;
	return r->type == REDIS_REPLY_ARRAY;
}

/* False for what was put there by hand, and is no message. */
static bool
entry_read(struct store_entry *e, const struct redisReply *r)
{
	const struct redisReply *fields;

	*e = (struct store_entry){ .node = SLICE(""), .event = SLICE(""), .payload = SLICE(""), .user = SLICE("") };
	if (!is_entry(r) || position_parse(&e->at, redis_text(r->element[0])) < 0)
		return false;
	fields = r->element[1];
	for (size_t i = 0; i + 1 < fields->elements; i += 2)
		entry_field(e, redis_text(fields->element[i]), redis_text(fields->element[i + 1]));
	return is_event(e->event) && is_object(e->payload);
}

/* The entries that are messages, oldest first, of the first `n` in the order of reading. */
static unsigned
page_entries(struct store_entry *out, const struct redisReply *r, unsigned n, const struct store_read *read)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < n; i++) {
		if (entry_read(&out[taken], r->element[read->forward ? i : n - 1 - i]))
			taken++;
		else
			log_peer(LOG_WARN_, NULL, "history of %.*s: skipped an entry that is no message", SLICE_ARG(read->topic));
	}
	return taken;
}

/* Whether it is an answer to a read; gives its tip. */
static bool
is_page(const struct redisReply *r, struct position *tip)
{
	if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 6 || r->element[0]->type != REDIS_REPLY_INTEGER)
		return false;
	if (!is_text(r->element[1]) || r->element[2]->type != REDIS_REPLY_ARRAY || r->element[3]->type != REDIS_REPLY_INTEGER)
		return false;
	return r->element[5]->type == REDIS_REPLY_INTEGER && position_parse(tip, redis_text(r->element[1])) == 0;
}

static int read_ask(struct asked *);

/* Nothing but entries that are no messages: the page is what lies beyond them. False if there is no way on. */
static bool
read_on(struct asked *a, const struct redisReply *entries, unsigned n)
{
	if (n == 0 || !is_entry(entries->element[n - 1]))
		return false;
	if (position_parse(&a->read.from, redis_text(entries->element[n - 1]->element[0])) < 0)
		return false;
	a->read.check = false;
	return read_ask(a) == 0;
}

/* What was put there by hand, and is no id, is no mark. */
static struct slice
mark_of(const struct redisReply *r)
{
	struct position at;
	uint64_t	tail;

	if (!is_text(r) || uuid_to_position(redis_text(r), &at, &tail) < 0)
		return (struct slice){ 0 };
	return redis_text(r);
}

/* Returns whether it was told; else another read follows. */
static bool
read_tell(struct asked *a, const struct redisReply *r, struct position tip)
{
	const struct redisReply	    *list = r->element[2];
	unsigned		     n = list->elements > a->read.limit ? a->read.limit : (unsigned)list->elements;
	autofree struct store_entry *entries = xcalloc(n + 1, sizeof(*entries));
	struct store_page	     page = { .entries = entries, .tip = tip };

	a->found |= r->element[0]->integer == 1;
	page.found = a->found;
	page.more = list->elements > n || r->element[5]->integer == 1;
	page.ends_ms = r->element[3]->integer > 0 ? (uint64_t)r->element[3]->integer : 0;
	page.mark = mark_of(r->element[4]);
	page.n = page_entries(entries, list, n, &a->read);
	if (page.n == 0 && page.more && read_on(a, list, n))
		return false;
	list_remove(&a->in_store);
	a->on_page(a->arg, 0, &page);
	return true;
}

static void
on_page(void *arg, const struct redisReply *r)
{
	struct asked   *a = arg;
	struct position tip;

	if (a->store != NULL && is_page(r, &tip)) {
		if (!read_tell(a, r, tip))
			return;
	} else if (asked_end(a)) {
		log_refused("read", r);
		a->on_page(a->arg, -EHOSTUNREACH, NULL);
	}
	free(a);
}

static int
read_ask(struct asked *a)
{
	const struct store_read *read = &a->read;
	autobuf struct buf	 stream = { 0 }, marks = { 0 };
	char			 from[POSITION_LEN];
	struct redis_number		 count, age, tail, last, bytes;
	struct slice		 keys[2], args[READ_ARGS];

	key_write(&stream, a->store, "history:", read->topic);
	key_write(&marks, a->store, "read:", read->topic);
	keys[0] = buf_slice(&stream);
	keys[1] = buf_slice(&marks);
	args[READ_COMMAND] = read->forward ? SLICE("XRANGE") : SLICE("XREVRANGE");
	args[READ_FROM] = slice_str(position_text(read->from, from));
	args[READ_COUNT] = redis_number(&count, (uint64_t)read->limit + 1);
	args[READ_AGE] = redis_number(&age, read->limits.age_ms);
	args[READ_TAIL] = read->check ? redis_number(&tail, read->tail) : SLICE("");
	args[READ_LAST] = redis_number(&last, read->limits.last_ms);
	args[READ_USER] = read->reader;
	args[READ_BYTES] = redis_number(&bytes, read->max_bytes > 0 ? read->max_bytes : STORE_PAGE_BYTES);
	return redis_eval(a->store->redis, &store_read_script, on_page, a, keys, read->reader.n > 0 ? 2 : 1, args,
	    READ_ARGS);
}

static int
redis_read(struct store *store, const struct store_read *read, store_page_fn *fn, void *arg)
{
	struct store_redis *s = container_of(store, struct store_redis, store);
	struct asked	   *a = xmalloc(sizeof(*a) + read->topic.n + read->reader.n);
	int		    r;

	*a = (struct asked){ .store = s, .on_page = fn, .arg = arg, .read = *read };
	memcpy(a->text, read->topic.p, read->topic.n);
	a->read.topic.p = a->text;
	if (read->reader.n > 0)
		memcpy(a->text + read->topic.n, read->reader.p, read->reader.n);
	a->read.reader.p = a->text + read->topic.n;
	r = read_ask(a);
	if (r < 0) {
		free(a);
		return r;
	}
	list_append(&s->asked, &a->in_store);
	return 0;
}

/* What is asked will be answered, but nobody is left to hear it. */
static void
redis_free_store(struct store *store)
{
	struct store_redis *s = container_of(store, struct store_redis, store);
	struct list	   *link;

	while ((link = list_take_link(&s->asked)) != NULL)
		list_entry(link, struct asked, in_store)->store = NULL;
	buf_done(&s->head);
	free(s->prefix);
	free(s->node);
	free(s);
}

static const struct store_ops store_redis = {
	.name = "redis",
	.append = redis_append,
	.read = redis_read,
	.mark = store_redis_mark,
	.list = store_redis_list,
	.enlist = store_redis_enlist,
	.free = redis_free_store,
};

struct store *
store_redis_new(struct redis *redis, const char *prefix, const char *node)
{
	struct store_redis *s = xmalloc(sizeof(*s));

	*s = (struct store_redis){
		.store.ops = &store_redis, .redis = redis, .prefix = xstrdup(prefix), .node = xstrdup(node)
	};
	list_init(&s->asked);
	buf_add_str(&s->head, "{\"v\":1,\"node\":");
	json_quote(&s->head, slice_str(node));
	buf_add_str(&s->head, ",\"at\":\"");
	redis_add_script(redis, &store_append_script);
	redis_add_script(redis, &store_read_script);
	redis_add_script(redis, &store_mark_script);
	redis_add_script(redis, &store_enlist_script);
	return &s->store;
}
