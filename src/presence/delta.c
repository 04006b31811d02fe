/*
 * Composing and reading presence deltas. The outer object is taken apart by hand, as a scan of the whole
 * would count the members of all metas against the limits of one value.
 */
#include "presence/delta.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cluster/cluster.h"
#include "cluster/cluster_message.h"
#include "net/utf8.h"
#include "wire/json.h"

static int
compare_keys(const void *a, const void *b)
{
	const struct presence_item *x = *(const struct presence_item *const *)a;
	const struct presence_item *y = *(const struct presence_item *const *)b;
	int			    r = slice_compare(x->key, y->key);

	/* They lie in one array: those of one key stay in order. */
	return r != 0 ? r : (x > y) - (x < y);
}

typedef void write_item_fn(struct buf *, const struct presence_item *);

static void
write_meta(struct buf *out, const struct presence_item *item)
{
	buf_add_slice(out, item->meta);
}

static void
write_ref(struct buf *out, const struct presence_item *item)
{
	json_quote(out, item->ref);
}

/* How the presences of one member are written: {KEY:OPEN item,item CLOSE,…} */
struct shape {
	const char	*name;
	const char	*open;
	const char	*close;
	write_item_fn	*write;
};

static void
write_keys(struct buf *out, const struct shape *shape, const struct presence_item **items, unsigned n)
{
	qsort(items, n, sizeof(const struct presence_item *), compare_keys);
	buf_addf(out, ",\"%s\":{", shape->name);
	for (unsigned i = 0; i < n; i++) {
		bool same = i > 0 && slice_eq(items[i]->key, items[i - 1]->key);

		if (i > 0)
			buf_add_str(out, same ? "," : shape->close);
		if (i > 0 && !same)
			buf_add_char(out, ',');
		if (!same) {
			json_quote(out, items[i]->key);
			buf_add_str(out, shape->open);
		}
		shape->write(out, items[i]);
	}
	buf_add_str(out, shape->close);
	buf_add_char(out, '}');
}

static void
write_items(struct buf *out, const struct shape *shape, const struct presence_item *items, unsigned n,
    bool lingering)
{
	autofree const struct presence_item **sorted = xmalloc((n + 1) * sizeof(const struct presence_item *));
	unsigned m = 0;

	for (unsigned i = 0; i < n; i++)
		if (!lingering || items[i].lingers)
			sorted[m++] = &items[i];
	if (m > 0)
		write_keys(out, shape, sorted, m);
}

void
delta_write(struct buf *out, struct slice node, uint64_t epoch, const struct presence_delta *d)
{
	static const struct shape joins = { "joins", ":{\"metas\":[", "]}", write_meta };
	static const struct shape leaves = { "leaves", ":[", "]", write_ref };
	static const struct shape linger = { "linger", ":[", "]", write_ref };

	buf_addf(out, "{\"v\":%d,\"node\":", DELTA_VERSION);
	json_quote(out, node);
	buf_addf(out, ",\"epoch\":%" PRIu64 ",\"from\":%" PRIu64 ",\"to\":%" PRIu64, epoch, d->from, d->to);
	write_items(out, &joins, d->put, d->n_put, false);
	write_items(out, &leaves, d->gone, d->n_gone, false);
	write_items(out, &linger, d->put, d->n_put, true);
	buf_add_str(out, d->empty ? ",\"empty\":true}" : "}");
}

/* Takes a value of that kind. */
static int
take(struct slice *in, enum json_kind want, struct slice *token)
{
	enum json_kind type = JSON_NULL;

	*token = SLICE("");
	return json_take_value(in, token, &type) < 0 || type != want ? -EBADMSG : 0;
}

/* Takes a member's name, and the colon. */
static int
take_name(struct slice *in, struct slice *token)
{
	return take(in, JSON_STRING, token) < 0 || !json_take(in, ':') ? -EBADMSG : 0;
}

static int
skip(struct slice *in)
{
	struct slice	value;
	enum json_kind	type;

	return json_take_value(in, &value, &type) < 0 ? -EBADMSG : 0;
}

/* Takes a string and gives its text, which borrows the input or the scratch. */
static int
take_text(struct delta *d, struct slice *in, size_t max, struct slice *text)
{
	struct slice token;
	struct buf  *b = &d->scratch;

	if (take(in, JSON_STRING, &token) < 0)
		return -EBADMSG;
	/* The scratch is as long as all that is read: it never moves. */
	if (json_text(token, b->p + b->n, b->cap - b->n, text) < 0 || text->n == 0 || text->n > max)
		return -EBADMSG;
	if (text->p == b->p + b->n)
		b->n += text->n;
	return 0;
}

static int
take_number(struct slice *in, uint64_t *number)
{
	struct slice token;

	if (take(in, JSON_NUMBER, &token) < 0)
		return -EBADMSG;
	return presence_number(token, number) < 0 ? -EBADMSG : 0;
}

static int
read_v(struct delta *d, struct slice *in)
{
	uint64_t v;
	int	 r;

	r = take_number(in, &v);
	if (r < 0 || v == 0)
		return -EBADMSG;
	return v > DELTA_VERSION ? -EPROTONOSUPPORT : 0;
}

static int
read_node(struct delta *d, struct slice *in)
{
	return take_text(d, in, CLUSTER_MAX_NODE, &d->node);
}

static int
read_epoch(struct delta *d, struct slice *in)
{
	return take_number(in, &d->epoch);
}

static int
read_from(struct delta *d, struct slice *in)
{
	return take_number(in, &d->change.from);
}

static int
read_to(struct delta *d, struct slice *in)
{
	return take_number(in, &d->change.to);
}

static int
read_empty(struct delta *d, struct slice *in)
{
	struct slice token;

	if (take(in, JSON_BOOL, &token) < 0)
		return -EBADMSG;
	d->change.empty = slice_is(token, "true");
	return 0;
}

static int
take_meta(struct delta *d, struct slice key, struct slice *in)
{
	struct presence_item item = { .key = key };
	struct buf	    *b = &d->scratch;

	if (take(in, JSON_OBJECT, &item.meta) < 0)
		return -EBADMSG;
	if (presence_find_ref(item.meta, b->p + b->n, b->cap - b->n, &item.ref) < 0)
		return -EBADMSG;
	if (item.ref.p == b->p + b->n)
		b->n += item.ref.n;
	presence_items_add(&d->put, &item);
	return 0;
}

static int
take_ref(struct delta *d, struct presence_items *to, struct slice key, struct slice *in)
{
	struct presence_item item = { .key = key };
	int		     r;

	r = take_text(d, in, PRESENCE_MAX_REF, &item.ref);
	if (r < 0 || !presence_ref_is_valid(item.ref))
		return -EBADMSG;
	presence_items_add(to, &item);
	return 0;
}

/* An array of metas (to NULL) or of refs. */
static int
take_array(struct delta *d, struct presence_items *to, struct slice key, struct slice *in)
{
	int r;

	if (!json_take(in, '['))
		return -EBADMSG;
	if (json_take(in, ']'))
		return 0;
	do {
		r = to == NULL ? take_meta(d, key, in) : take_ref(d, to, key, in);
		if (r < 0)
			return r;
	} while (json_take(in, ','));
	return json_take(in, ']') ? 0 : -EBADMSG;
}

/* {"metas":[META…]}, and whatever else there is. */
static int
take_entry(struct delta *d, struct slice key, struct slice *in)
{
	struct slice name;
	int	     r;

	if (!json_take(in, '{'))
		return -EBADMSG;
	if (json_take(in, '}'))
		return 0;
	do {
		if (take_name(in, &name) < 0)
			return -EBADMSG;
		r = slice_is(name, "\"metas\"") ? take_array(d, NULL, key, in) : skip(in);
		if (r < 0)
			return r;
	} while (json_take(in, ','));
	return json_take(in, '}') ? 0 : -EBADMSG;
}

static int
take_keys(struct delta *d, struct presence_items *to, struct slice *in)
{
	struct slice	key;
	int		r;

	if (!json_take(in, '{'))
		return -EBADMSG;
	if (json_take(in, '}'))
		return 0;
	do {
		r = take_text(d, in, PRESENCE_MAX_KEY, &key);
		if (r < 0 || !json_take(in, ':'))
			return -EBADMSG;
		r = to == NULL ? take_entry(d, key, in) : take_array(d, to, key, in);
		if (r < 0)
			return r;
	} while (json_take(in, ','));
	return json_take(in, '}') ? 0 : -EBADMSG;
}

static int
read_joins(struct delta *d, struct slice *in)
{
	return take_keys(d, NULL, in);
}

static int
read_leaves(struct delta *d, struct slice *in)
{
	return take_keys(d, &d->gone, in);
}

static int
read_linger(struct delta *d, struct slice *in)
{
	return take_keys(d, &d->linger, in);
}

static const struct member {
	const char	*name;		/* as a token */
	int	       (*read)(struct delta *, struct slice *in);
	bool		 needed;
} members[] = {
	{ "\"v\"", read_v, true },
	{ "\"node\"", read_node, true },
	{ "\"epoch\"", read_epoch, true },
	{ "\"from\"", read_from, true },
	{ "\"to\"", read_to, true },
	{ "\"joins\"", read_joins, false },
	{ "\"leaves\"", read_leaves, false },
	{ "\"linger\"", read_linger, false },
	{ "\"empty\"", read_empty, false },
};

#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

/* The value of the member of that name; `seen` has a bit for each known one, which may come once. */
static int
read_member(struct delta *d, struct slice name, unsigned *seen, struct slice *in)
{
	for (unsigned i = 0; i < N_MEMBERS; i++) {
		if (!slice_is(name, members[i].name))
			continue;
		if ((*seen & 1u << i) != 0)
			return -EBADMSG;
		*seen |= 1u << i;
		return members[i].read(d, in);
	}
	return skip(in);
}

static int
read_members(struct delta *d, unsigned *seen, struct slice *in)
{
	struct slice name;
	int	     r;

	if (!json_take(in, '{'))
		return -EBADMSG;
	do {
		if (take_name(in, &name) < 0)
			return -EBADMSG;
		r = read_member(d, name, seen, in);
		if (r < 0)
			return r;
	} while (json_take(in, ','));
	return json_take(in, '}') && in->n == 0 ? 0 : -EBADMSG;
}

/* NULL, or what is wrong with the whole. */
static const char *
delta_fault(const struct delta *d, unsigned seen)
{
	for (unsigned i = 0; i < N_MEMBERS; i++)
		if (members[i].needed && (seen & 1u << i) == 0)
			return "a member is missing";
	if (!cluster_is_id(d->node))
		return "no node id";
	if (d->epoch == 0)
		return "no epoch";
	if (d->change.from >= d->change.to)
		return "its versions do not ascend";
	if (d->change.empty && d->put.n > 0)
		return "empty, yet with joins";
	return NULL;
}

int
delta_read(struct delta *d, struct slice text, const char **why)
{
	unsigned seen = 0;
	int	 r;

	*d = (struct delta){ 0 };
	*why = "too long";
	if (text.n > DELTA_MAX_TEXT)
		return -EMSGSIZE;
	*why = "no UTF-8";
	if (!utf8_valid(text))
		return -EBADMSG;
	*why = "no presence delta";
	buf_room(&d->scratch, text.n + 1);
	json_take_blanks(&text);
	r = read_members(d, &seen, &text);
	if (r == -EPROTONOSUPPORT)
		*why = "of a newer version";
	if (r < 0)
		return r;
	*why = delta_fault(d, seen);
	if (*why != NULL)
		return -EBADMSG;
	presence_items_linger(&d->put, &d->linger);
	d->change.put = d->put.items;
	d->change.n_put = d->put.n;
	d->change.gone = d->gone.items;
	d->change.n_gone = d->gone.n;
	return 0;
}

void
delta_done(struct delta *d)
{
	presence_items_done(&d->put);
	presence_items_done(&d->gone);
	presence_items_done(&d->linger);
	buf_done(&d->scratch);
}
