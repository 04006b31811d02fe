/*
 * What several of the built-in classes read and say alike.
 */
#include "channels/common.h"

#include <errno.h>
#include <time.h>

#define MAX_KEPT	1000000	/* messages of a topic */

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
