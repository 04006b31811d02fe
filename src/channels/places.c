/*
 * Who holds a place, as text and taken apart.
 */
#include "channels/places.h"

#include <string.h>

void
places_done(struct places *p)
{
	buf_done(&p->holders);
	buf_done(&p->text);
}

unsigned
places_n(const struct places *p)
{
	return (unsigned)(p->holders.n / sizeof(struct holder));
}

struct holder *
places_at(const struct places *p, unsigned i)
{
	return (struct holder *)(void *)p->holders.p + i;
}

void
places_drop(struct places *p, unsigned i)
{
	struct holder *h = places_at(p, i);

	memmove(h, h + 1, (places_n(p) - i - 1) * sizeof(*h));
	p->holders.n -= sizeof(*h);
}

/* False if it is no text. */
static bool
places_text(struct places *p, struct slice token, struct slice *text)
{
	char *to = p->text.p + p->text.n;

	if (token.p == NULL || channel_json_string(token, to, p->text.cap - p->text.n, text) < 0)
		return false;
	if (text->p == to)
		p->text.n += text->n;
	return true;
}

/* Digits; what is more, or something else, is not ours. */
static uint64_t
read_number(struct slice token)
{
	uint64_t n = 0;

	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] < '0' || token.p[i] > '9' || n > (UINT64_MAX - 9) / 10)
			return 0;
		n = n * 10 + (uint64_t)(token.p[i] - '0');
	}
	return n;
}

static void
places_read_one(struct places *p, struct slice channel, struct slice entry)
{
	struct holder h = {
		.epoch = read_number(channel_json_member(entry, "epoch")),
		.at = (int64_t)read_number(channel_json_member(entry, "at")),
		.seen = (int64_t)read_number(channel_json_member(entry, "seen")),
	};

	if (places_text(p, channel, &h.channel) && places_text(p, channel_json_member(entry, "id"), &h.id) &&
	    places_text(p, channel_json_member(entry, "node"), &h.node))
		buf_add(&p->holders, &h, sizeof(h));
}

void
places_read(struct places *p, struct slice payload)
{
	struct slice state = channel_json_member(payload, "devices"), channel, entry;

	if (state.p == NULL)
		return;
	/* At once: what was decoded is not to move. */
	buf_room(&p->text, state.n);
	for (size_t at = 0; channel_json_next(state, &at, &channel, &entry) > 0;)
		places_read_one(p, channel, entry);
}

bool
places_are_held_by(struct slice payload, const char *channel)
{
	struct slice state = channel_json_member(payload, "devices");

	return state.p != NULL && channel_json_member(state, channel).p != NULL;
}

bool
places_find_channel(const struct places *p, const char *channel, unsigned *at)
{
	for (*at = 0; *at < places_n(p); ++*at)
		if (slice_is(places_at(p, *at)->channel, channel))
			return true;
	return false;
}

bool
places_find_device(const struct places *p, const char *id, unsigned *at)
{
	for (*at = 0; *at < places_n(p); ++*at)
		if (slice_is(places_at(p, *at)->id, id))
			return true;
	return false;
}

void
places_drop_dead(struct places *p, const struct channel *ch, int64_t since)
{
	for (unsigned i = places_n(p); i-- > 0;) {
		const struct holder *h = places_at(p, i);

		if (h->seen < since || !channel_node_is_up(ch, h->node, h->epoch))
			places_drop(p, i);
	}
}

void
places_drop_oldest(struct places *p)
{
	unsigned oldest = 0;

	for (unsigned i = 1; i < places_n(p); i++)
		if (places_at(p, i)->at < places_at(p, oldest)->at)
			oldest = i;
	places_drop(p, oldest);
}

void
places_add(struct places *p, const struct holder *h)
{
	buf_add(&p->holders, h, sizeof(*h));
}

static void
holder_write(const struct holder *h, struct buf *out)
{
	channel_json_add(out, h->channel);
	buf_add_str(out, ":{\"id\":");
	channel_json_add(out, h->id);
	buf_add_str(out, ",\"node\":");
	channel_json_add(out, h->node);
	buf_addf(out, ",\"epoch\":%llu,\"at\":%lld,\"seen\":%lld}", (unsigned long long)h->epoch, (long long)h->at,
	    (long long)h->seen);
}

void
places_write(const struct places *p, struct buf *out)
{
	buf_add_str(out, "{\"devices\":{");
	for (unsigned i = 0; i < places_n(p); i++) {
		if (i > 0)
			buf_add_char(out, ',');
		holder_write(places_at(p, i), out);
	}
	buf_add_str(out, "}}");
}
