/*
 * What several of the built-in classes read and say alike.
 */
#include "channels/common.h"

#include <errno.h>
#include <time.h>

#define MAX_KEPT	1000000	/* messages of a topic */
#define ENTRY_BYTES	160	/* of a message's text, besides event, payload and user */

void
common_invalid(struct channel *ch, struct slice field)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "{\"reason\":\"invalid_payload\",\"field\":");
	channel_json_add(&b, field);
	buf_add_char(&b, '}');
	channel_reply_error(ch, channel_json(buf_slice(&b)));
}

struct slice
common_fields(const struct channel_message *m)
{
	return m->payload.binary ? SLICE("{}") : m->payload.bytes;
}

int
common_text(struct slice object, const char *name, char *scratch, size_t size, struct slice *text)
{
	struct slice token = channel_json_member(object, name);
	int	     r;

	*text = slice(NULL, 0);
	if (token.p == NULL || slice_is(token, "null"))
		return 0;
	r = channel_json_string(token, scratch, size, text);
	return r < 0 ? r : 1;
}

void
common_add_time(struct buf *out, int64_t ms)
{
	time_t	  seconds = (time_t)(ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	buf_addf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, (int)(ms % 1000));
}

void
common_track(struct channel *ch, struct slice key, struct slice meta)
{
	int r;

	channel_watch(ch);
	r = channel_track(ch, key, meta);
	/* A name that no client could take, or too many of it: nothing that a rejoin would mend. */
	if (r < 0)
		channel_log(ch, 1, "\"%.*s\" is not shown in %.*s: %s", SLICE_ARG(key), SLICE_ARG(channel_topic(ch)),
		    strerror(-r));
}

void
common_appear(struct channel *ch, const char *status)
{
	autobuf struct buf meta = { 0 };

	if (channel_user(ch).n == 0) {
		channel_watch(ch);
		return;
	}
	buf_addf(&meta, "{\"online_at\":%lld", (long long)(channel_wall(ch) / 1000));
	if (status != NULL)
		buf_addf(&meta, ",\"status\":%s", status);
	buf_add_char(&meta, '}');
	common_track(ch, channel_user(ch), buf_slice(&meta));
}

const char *
common_limits_read(const struct channel_route *route, struct history_limits *limits)
{
	uint64_t max;

	if (channel_route_number(route, "history_max", &max) < 0 || max < 1 || max > MAX_KEPT)
		return "history_max: expected a number from 1 to 1000000";
	if (channel_route_duration(route, "history_age", &limits->age_ms) < 0)
		return "history_age: expected a time such as 7d";
	limits->max = (uint32_t)max;
	return NULL;
}

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

/* A plain number from 1 to COMMON_MAX_LOAD; `fallback` where it is missing. */
static int
page_limit(struct slice object, unsigned *limit)
{
	struct slice token = channel_json_member(object, "limit");

	*limit = COMMON_NEWEST;
	if (token.p == NULL || slice_is(token, "null"))
		return 0;
	*limit = 0;
	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] < '0' || token.p[i] > '9' || *limit > COMMON_MAX_LOAD)
			return -EINVAL;
		*limit = *limit * 10 + (unsigned)(token.p[i] - '0');
	}
	return *limit >= 1 && *limit <= COMMON_MAX_LOAD ? 0 : -EINVAL;
}

const char *
common_page_read(struct common_page *page, const struct channel_message *m)
{
	struct slice object = m->payload.bytes;
	int	     before, after;

	*page = (struct common_page){ 0 };
	if (m->payload.binary)
		return "payload";
	before = common_text(object, "before", page->text, sizeof(page->text), &page->id);
	if (before < 0)
		return "before";
	if (page_limit(object, &page->limit) < 0)
		return "limit";
	if (before > 0)
		return channel_json_member(object, "after").p != NULL ? "after" : NULL;
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
