/*
 * Pages of what a topic keeps: as newcomers are given them, and as clients ask for them.
 */
#include <errno.h>

#include "channels/common.h"

#define ENTRY_BYTES	160	/* of a message's text, besides event, payload and user */

/* A page that is asked for: {"before":ID} or {"after":ID}, and {"limit":n}. */
struct asked_page {
	bool		forward;
	struct slice	id;		/* p == NULL: none */
	unsigned	limit;
	char		text[64];	/* of the id */
};

void
common_add_message(struct buf *out, const struct history_message *m)
{
	struct slice object = m->payload;

	/* Blanks may stand behind the last brace, and before it. */
	while (object.n > 1 && object.p[object.n - 1] != '}')
		object.n--;
	do
		object.n--;
	while (object.n > 1 && strchr(" \t\r\n", object.p[object.n - 1]) != NULL);
	buf_add_slice(out, object);
	buf_addf(out, "%s\"id\":\"%.*s\"}", object.n > 1 ? "," : "", SLICE_ARG(m->id));
}

static bool
is_missing(struct slice token)
{
	return token.p == NULL || slice_is(token, "null");
}

/* A plain number from 1 to COMMON_MAX_LOAD; COMMON_NEWEST where it is missing. */
static int
page_limit(struct slice object, unsigned *limit)
{
	struct slice token = channel_json_member(object, "limit");

	*limit = COMMON_NEWEST;
	if (is_missing(token))
		return 0;
	*limit = 0;
	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] < '0' || token.p[i] > '9' || *limit > COMMON_MAX_LOAD)
			return -EINVAL;
		*limit = *limit * 10 + (unsigned)(token.p[i] - '0');
	}
	return *limit >= 1 && *limit <= COMMON_MAX_LOAD ? 0 : -EINVAL;
}

/* NULL, or the name of the member that is wrong. */
static const char *
page_read(struct asked_page *page, const struct channel_message *m)
{
	struct slice object = m->payload.bytes;
	int	     before, after;

	*page = (struct asked_page){ 0 };
	if (m->payload.binary)
		return "payload";
	before = common_text(object, "before", page->text, sizeof(page->text), &page->id);
	if (before < 0)
		return "before";
	if (page_limit(object, &page->limit) < 0)
		return "limit";
	if (before > 0)
		return is_missing(channel_json_member(object, "after")) ? NULL : "after";
	after = common_text(object, "after", page->text, sizeof(page->text), &page->id);
	page->forward = after > 0;
	return after < 0 ? "after" : NULL;
}

bool
common_page_fit(const struct history_page *page, bool forward, unsigned *from, unsigned *to)
{
	size_t	 bytes = 0;
	unsigned n = 0;

	while (n < page->n) {
		const struct history_message *m = &page->messages[forward ? n : page->n - 1 - n];

		bytes += ENTRY_BYTES + m->event.n + m->payload.n + m->user.n;
		if (n > 0 && bytes > COMMON_PAGE_BYTES)
			break;
		n++;
	}
	*from = forward ? 0 : page->n - n;
	*to = *from + n;
	return n < page->n;
}

bool
common_add_list(struct buf *out, const struct common_list *list, const struct history_page *page, bool forward)
{
	unsigned from, to;
	bool	 cut = common_page_fit(page, forward, &from, &to);

	buf_addf(out, "\"%s\":[", list->name);
	for (unsigned i = from; i < to; i++) {
		if (i > from)
			buf_add_char(out, ',');
		list->add(out, &page->messages[i]);
	}
	buf_add_char(out, ']');
	return cut || page->more;
}

/* An object that is still open. */
static void
add_page(struct buf *out, const struct common_list *list, const struct history_page *page, bool forward)
{
	bool more;

	buf_add_char(out, '{');
	more = common_add_list(out, list, page, forward);
	buf_addf(out, ",\"has_more\":%s", more ? "true" : "false");
}

int
common_catch_up(struct channel *ch, struct slice params, common_caught_fn *newest, common_caught_fn *since)
{
	char	     scratch[64];
	struct slice last_seen;
	int	     given = common_text(params, "last_seen_id", scratch, sizeof(scratch), &last_seen);

	/* What is no id at all is one that is not known. */
	if (given < 0)
		last_seen = SLICE("");
	return channel_catch_up(ch, last_seen, COMMON_NEWEST, given == 0 ? newest : since);
}

void
common_accept(struct channel *ch, const struct common_list *list, const struct history_page *page, bool since)
{
	autobuf struct buf b = { 0 };

	add_page(&b, list, page, since && page->recovered);
	if (since || page->error != 0)
		buf_addf(&b, ",\"recovered\":%s", page->recovered ? "true" : "false");
	buf_add_char(&b, '}');
	channel_accept(ch, channel_json(buf_slice(&b)));
}

int
common_load(struct channel *ch, const struct channel_message *m, common_loaded_fn *before, common_loaded_fn *after)
{
	struct asked_page page;
	const char	 *wrong = page_read(&page, m);

	if (wrong != NULL) {
		common_invalid(ch, slice_str(wrong));
		return 0;
	}
	return channel_load(ch, page.forward, page.id, page.limit, page.forward ? after : before);
}

void
common_answer_page(struct channel_ref *ref, const struct common_list *list, const struct history_page *page, bool forward)
{
	autobuf struct buf b = { 0 };

	if (page->error != 0) {
		channel_ref_reply(ref, false, channel_json(SLICE("{\"reason\":\"unavailable\"}")));
		return;
	}
	add_page(&b, list, page, forward);
	/* Who reads on from a message that is gone has missed something. */
	if (forward && !page->recovered)
		buf_add_str(&b, ",\"recovered\":false");
	buf_add_char(&b, '}');
	channel_ref_reply(ref, true, channel_json(buf_slice(&b)));
}
