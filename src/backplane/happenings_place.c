/*
 * Our own place: only while we have it is anything sent. Behind a break, what Redis knows of us is held against what is
 * true, and the difference is told.
 */
#include "base/log.h"
#include "backplane/happenings_internal.h"
#include "backplane/happenings_scripts.h"

#define RETRY_MS	1000
#define REFRESH_MS	((uint64_t)10 * 60 * 1000)
#define SCAN_COUNT	"500"	/* fields of the hash that are looked at together */

static void happenings_scan(struct happenings *, struct slice cursor);
static void happenings_ask(struct happenings *);

void
happenings_retry_later(struct happenings *h)
{
	loop_timer(h->loop, &h->retry, h->loop->now + RETRY_MS);
}

void
happenings_trouble(struct happenings *h, const struct redisReply *r, const char *what)
{
	h->placed = false;
	if (r != NULL && r->type == REDIS_REPLY_ERROR && !h->said_trouble) {
		h->said_trouble = true;
		log_error("events: Redis does not %s: %s; trying on", what, r->str);
	}
	happenings_retry_later(h);
}

/* Whose beginning waits is told by that. */
static void
happenings_restate_kind(struct happenings *h, bool of_channel)
{
	const struct presentee *p;
	size_t			at = 0;

	while ((p = map_next(&h->here, &at)) != NULL) {
		struct happening *e;

		if (!p->past || p->known || happening_is_of_channel(p->field) != of_channel)
			continue;
		e = happening_new(h, BEGINS, p->field, p->user, SLICE(""));
		e->again = true;
		list_append(&h->restated, &e->in_list);
	}
}

/* Clients come before their channels. */
static void
happenings_restate(struct happenings *h)
{
	list_each(link, &h->restated)
		happening_free(list_entry(link, struct happening, in_list));
	happenings_restate_kind(h, false);
	happenings_restate_kind(h, true);
}

/* Where its end waits to be told that comes first, and this is no news. */
static void
happenings_compare_field(struct happenings *h, struct slice field, struct slice user)
{
	struct presentee *p = map_get(&h->here, field);
	struct happening *e;

	if (p != NULL)
		p->known = true;
	if (p != NULL || slice_starts(field, SLICE("#")))
		return;
	e = happening_new(h, ENDS, field, user, SLICE("unknown"));
	list_append(&h->waiting, &e->in_list);
}

static void
on_scanned(void *arg, const struct redisReply *r)
{
	struct happenings	*h = arg;
	const struct redisReply *fields;

	/* Another walk, begun behind it, may have seen all. */
	if (!h->comparing)
		return;
	if (!redis_is_array(r) || r->elements != 2) {
		happenings_trouble(h, r, "show our clients");
		return;
	}
	fields = r->element[1];
	for (size_t i = 0; i + 1 < fields->elements; i += 2)
		happenings_compare_field(h, redis_text(fields->element[i]), redis_text(fields->element[i + 1]));
	if (!slice_is(redis_text(r->element[0]), "0")) {
		happenings_scan(h, redis_text(r->element[0]));
		return;
	}
	h->comparing = false;
	happenings_restate(h);
	happenings_flush(h);
}

static void
happenings_scan(struct happenings *h, struct slice cursor)
{
	struct slice argv[] = { SLICE("HSCAN"), slice_str(h->key), cursor, SLICE("COUNT"), SLICE(SCAN_COUNT) };

	if (redis_command(h->redis, on_scanned, h, argv, sizeof(argv) / sizeof(argv[0])) < 0)
		happenings_trouble(h, NULL, "");
}

void
happenings_compare(struct happenings *h)
{
	struct presentee *p;
	size_t		  at = 0;

	while ((p = map_next(&h->here, &at)) != NULL)
		p->known = false;
	list_each(link, &h->waiting)
		if (!list_entry(link, struct happening, in_list)->counted)
			happening_free(list_entry(link, struct happening, in_list));
	h->comparing = true;
	happenings_scan(h, SLICE("0"));
}

/* `answer`: see the script. */
static void
happenings_placed(struct happenings *h, long long answer)
{
	h->placed = true;
	if (answer == 3)
		log_warn("events: Redis has forgotten the last it was told: it is told again who is here");
	if (answer != 0 || h->comparing)
		happenings_compare(h);
	happenings_resume_sweeps(h);
	happenings_flush(h);
}

static void
on_placed(void *arg, const struct redisReply *r)
{
	struct happenings *h = arg;

	/* A later question stands behind it. */
	if (--h->asking > 0)
		return;
	if (r == NULL || r->type != REDIS_REPLY_INTEGER) {
		happenings_trouble(h, r, "keep our clients");
		return;
	}
	if (r->integer == 2) {
		happenings_ask(h);
		return;
	}
	/* Something sent before is still to be answered: a script was missing. */
	if (h->n_flying > 0) {
		happenings_trouble(h, NULL, "");
		return;
	}
	happenings_placed(h, r->integer);
}

static void
happenings_ask(struct happenings *h)
{
	struct redis_number epoch, seq;
	struct slice  keys[] = { slice_str(h->stream), slice_str(h->key), slice_str(h->nodes) };
	struct slice  args[] = {
		slice_str(h->max_length), slice_str(h->node), SLICE("node_lost"), slice_str(h->run),
		redis_number(&epoch, h->epoch), redis_number(&seq, h->answered),
	};

	if (redis_eval(h->redis, &happenings_place_script, on_placed, h, keys, 3, args, 6) == 0)
		h->asking++;
	else
		happenings_retry_later(h);
}

void
happenings_retry(struct timer *t, uint64_t now)
{
	struct happenings *h = container_of(t, struct happenings, retry);

	if (!redis_is_up(h->redis) || h->epoch == 0 || h->asking > 0)
		return;
	if (h->placed)
		happenings_flush(h);
	else
		happenings_ask(h);
}

void
happenings_on_place(struct happenings *h, uint64_t epoch)
{
	h->epoch = epoch;
	h->placed = false;
	happenings_ask(h);
}

void
happenings_refresh(struct timer *t, uint64_t now)
{
	struct happenings *h = container_of(t, struct happenings, refresh);
	struct slice	   argv[] = { SLICE("PEXPIRE"), slice_str(h->key), SLICE(HAPPENINGS_KEEP_MS) };

	/* Where it fails, the next one will do. */
	if (h->placed)
		redis_command(h->redis, NULL, NULL, argv, 3);
	loop_timer(h->loop, t, now + REFRESH_MS);
}
