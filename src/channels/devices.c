/*
 * The devices of a user: so many hold a place at a time, which is decided once for all nodes. Who does stands in the
 * topic's newest message. A channel that cannot find itself there asks for its place anew, and is out if there is none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/common.h"
#include "channels/places.h"

#define MAX_ID		128	/* characters of a device's id */
#define MAX_LIMIT	1000	/* devices */
#define AGAIN_MS	200	/* who finds no place looks again: somebody may be about to leave */
#define LATER_MS	10000	/* until a place is asked for again where our node had none among the others */
#define RENEW_MS	(UINT64_C(24) * 3600 * 1000)	/* so often who has a place says so again */
#define KEEP_MS		(3 * RENEW_MS)	/* who does not has lost it: a leave may be lost with a Redis */
#define EMPTY_MS	60000	/* so would what says that nobody is there */

#define EVENT		"devices"

enum { TIMER_AGAIN, TIMER_LATER, TIMER_RENEW };

/* Why a device has no place. */
static const char limit_reached[] = "device_limit_reached";
static const char replaced[] = "replaced";
static const char unavailable[] = "unavailable";

/* Read once per route. */
struct devices_route {
	uint64_t limit;
	bool	 evict_oldest;
};

/* Of each channel. */
struct device {
	char	*id;
	char	 channel[CHANNEL_ID_LEN + 1];	/* the name of its place */
	int64_t	 at;		/* ms since 1970: it joined */
	const char *out;	/* what was decided: why there is no place; NULL = there is */
	bool	 entered;	/* its place may stand in the topic's state */
	bool	 waited;	/* it has looked again */
	bool	 unsure;	/* it was not in what the join read */
	bool	 asking;	/* for its place: a transaction is under way */
	bool	 again;		/* it will ask behind that */
	bool	 later;		/* not now: our node has no place itself */
	bool	 renewing;	/* it says so even if it has its place */
};

static const struct channel_option devices_options[] = {
	{ "device_limit", "1", "devices of a user at a time" },
	{ "evict_oldest", "no", "the newest device comes in, and the oldest goes" },
	{ 0 }
};

static const char *const devices_intercepts[] = { EVENT, "system", NULL };

/* What is wrong with the options; NULL if nothing is. */
static const char *
devices_options_fault(const struct channel_route *route, struct devices_route *r)
{
	if (channel_route_number(route, "device_limit", &r->limit) < 0 || r->limit < 1 || r->limit > MAX_LIMIT)
		return "device_limit: expected a number from 1 to 1000";
	if (channel_route_bool(route, "evict_oldest", &r->evict_oldest) < 0)
		return "evict_oldest: expected yes or no";
	return NULL;
}

static int
devices_configure(const struct channel_route *route, void **data, const char **why)
{
	struct devices_route *r = calloc(1, sizeof(*r));

	*data = r;
	*why = r != NULL ? devices_options_fault(route, r) : "out of memory";
	if (*why == NULL)
		return 0;
	free(r);
	*data = NULL;
	return -1;
}

/* The topic's state. */

static void
devices_read(struct places *p, const struct history_message *newest)
{
	if (newest != NULL && slice_is(newest->event, EVENT))
		places_read(p, newest->payload);
}

static void
devices_drop_dead(struct places *p, const struct channel *ch)
{
	places_drop_dead(p, ch, channel_wall(ch) - (int64_t)KEEP_MS);
}

/* False where our node has no place among the others: nobody would believe us. */
static bool
devices_take_place(struct places *p, struct channel *ch)
{
	const struct device *d = channel_state(ch);
	struct holder	     h = {
		.channel = slice_str(d->channel), .id = slice_str(d->id), .at = d->at, .seen = channel_wall(ch),
	};

	h.node = channel_node(ch, &h.epoch);
	if (h.epoch == 0)
		return false;
	places_add(p, &h);
	return true;
}

static bool
devices_post(const struct places *p, struct history_change *change)
{
	buf_add_str(&change->event, EVENT);
	places_write(p, &change->payload);
	if (places_n(p) == 0)
		change->limits.last_ms = EMPTY_MS;
	return true;
}

/* Having a place. */

static void devices_ask(struct channel *);

/* It is told why, and closed for good. */
static void
devices_evict(struct channel *ch)
{
	autobuf struct buf b = { 0 };
	struct device	  *d = channel_state(ch);

	d->entered = false;
	buf_addf(&b, "{\"reason\":\"%s\",\"device_id\":", d->out);
	channel_json_add(&b, slice_str(d->id));
	buf_add_char(&b, '}');
	channel_push(ch, SLICE("device_evicted"), channel_json(buf_slice(&b)));
	channel_stop(ch);
}

static bool
devices_decide_stay(struct channel *ch, void *arg, struct history_change *change)
{
	const struct devices_route *r = channel_route_data(ch);
	autoplaces struct places    p = { 0 };
	struct device		   *d = channel_state(ch);
	unsigned		    at;

	d->out = NULL;
	d->later = false;
	devices_read(&p, change->newest);
	if (places_find_channel(&p, d->channel, &at)) {
		places_at(&p, at)->seen = channel_wall(ch);
		return d->renewing && devices_post(&p, change);
	}
	devices_drop_dead(&p, ch);
	if (places_find_device(&p, d->id, &at))
		d->out = replaced;
	else if (places_n(&p) >= r->limit)
		d->out = limit_reached;
	if (d->out != NULL)
		return false;
	d->later = !devices_take_place(&p, ch);
	return !d->later && devices_post(&p, change);
}

static void
devices_asked(struct channel *ch, void *arg, int error, struct slice id)
{
	struct device *d = ch != NULL ? channel_state(ch) : NULL;

	if (d == NULL)
		return;
	d->asking = false;
	d->later |= error < 0;
	if (d->later)
		channel_set_timer(ch, TIMER_LATER, LATER_MS);
	else if (d->out != NULL)
		devices_evict(ch);
	else if (d->again)
		devices_ask(ch);
	else
		d->renewing = false;
}

/* Is it in its place? If it is not, and there is room, it is now. */
static void
devices_ask(struct channel *ch)
{
	const struct channel_transaction stay = { .decide = devices_decide_stay, .done = devices_asked, .insist = true };
	struct device			*d = channel_state(ch);

	d->again = d->asking;
	if (!d->asking)
		d->asking = channel_transact(ch, &stay) == 0;
}

static int
devices_renew(struct channel *ch)
{
	struct device *d = channel_state(ch);

	d->renewing = true;
	devices_ask(ch);
	channel_set_timer(ch, TIMER_RENEW, RENEW_MS);
	return 0;
}

static int
devices_handle_out(struct channel *ch, const struct channel_message *m)
{
	const struct device *d = channel_state(ch);

	/* Messages may be lost, and with them the state. */
	if (slice_is(m->event, "system"))
		channel_push(ch, m->event, m->payload);
	if (slice_is(m->event, "system") || !places_are_held_by(common_fields(m), d->channel))
		devices_ask(ch);
	return 0;
}

/* Joining. */

static void
devices_refuse(struct channel *ch, const char *reason)
{
	autobuf struct buf b = { 0 };

	buf_addf(&b, "{\"reason\":\"%s\"}", reason);
	channel_refuse(ch, channel_json(buf_slice(&b)));
}

static bool
devices_decide_join(struct channel *ch, void *arg, struct history_change *change)
{
	const struct devices_route *r = channel_route_data(ch);
	autoplaces struct places    p = { 0 };
	struct device		   *d = channel_state(ch);
	unsigned		    at;

	d->out = NULL;
	devices_read(&p, change->newest);
	devices_drop_dead(&p, ch);
	if (places_find_device(&p, d->id, &at))
		places_drop(&p, at);
	else if (places_n(&p) >= r->limit && !r->evict_oldest)
		d->out = limit_reached;
	else
		while (places_n(&p) >= r->limit)
			places_drop_oldest(&p);
	if (d->out == NULL && !devices_take_place(&p, ch))
		d->out = unavailable;
	if (d->out != NULL)
		return false;
	d->entered = true;
	return devices_post(&p, change);
}

static void
devices_caught_up(struct channel *ch, const struct history_page *page)
{
	struct device *d = channel_state(ch);

	if (page->error != 0) {
		devices_refuse(ch, unavailable);
		return;
	}
	/* What followed may have put it out again. */
	d->unsure = page->n > 0 ? !places_are_held_by(page->messages[page->n - 1].payload, d->channel) : !page->recovered;
	channel_accept(ch, channel_empty());
}

static void
devices_decided(struct channel *ch, void *arg, int error, struct slice id)
{
	struct device *d = ch != NULL ? channel_state(ch) : NULL;

	if (d == NULL)
		return;
	if (error < 0)
		devices_refuse(ch, unavailable);
	else if (d->out == limit_reached && !d->waited) {
		d->waited = true;
		channel_set_timer(ch, TIMER_AGAIN, AGAIN_MS);
	} else if (d->out != NULL)
		devices_refuse(ch, d->out);
	else if (channel_catch_up(ch, id, 1, devices_caught_up) < 0)
		devices_refuse(ch, unavailable);
}

static int
devices_ask_in(struct channel *ch)
{
	return channel_transact(ch, &(struct channel_transaction){ .decide = devices_decide_join, .done = devices_decided });
}

/* In its own topic, with an id that can be shown. */
static bool
devices_may_join(struct channel *ch, const struct channel_message *params)
{
	static const struct channel_field fields[] = { { "device_id", CHANNEL_TEXT, true, 1, MAX_ID } };
	autobuf struct buf		  scratch = { 0 };
	struct device			 *d = channel_state(ch);
	struct channel_value		  id;

	if (channel_user(ch).n == 0 || !slice_eq(channel_capture(ch, "user_id"), channel_user(ch)) ||
	    !channel_read(ch, params, fields, 1, &id, &scratch))
		return false;
	if (!channel_is_key(id.text))
		common_invalid(ch, SLICE("device_id"));
	else
		d->id = strndup(id.text.p, id.text.n);
	return d->id != NULL;
}

static int
devices_join(struct channel *ch, const struct channel_message *params)
{
	static const struct history_limits kept = { .max = 1, .age_ms = EMPTY_MS, .last_ms = KEEP_MS };
	struct device			  *d = channel_state(ch);
	int				   r;

	if (!devices_may_join(ch, params))
		return CHANNEL_REFUSED;
	channel_new_id(ch, d->channel);
	d->at = channel_wall(ch);
	channel_keep_history(ch, &kept);
	r = devices_ask_in(ch);
	if (r == 0)
		return CHANNEL_LATER;
	free(d->id);
	return r;
}

static int
devices_joined(struct channel *ch)
{
	autobuf struct buf meta = { 0 };
	struct device	  *d = channel_state(ch);

	buf_addf(&meta, "{\"online_at\":%lld}", (long long)(channel_wall(ch) / 1000));
	common_track(ch, slice_str(d->id), buf_slice(&meta));
	channel_set_timer(ch, TIMER_RENEW, RENEW_MS);
	if (d->unsure)
		devices_ask(ch);
	return 0;
}

static int
devices_handle_info(struct channel *ch, int timer)
{
	if (timer == TIMER_AGAIN)
		return devices_ask_in(ch);
	if (timer == TIMER_RENEW)
		return devices_renew(ch);
	devices_ask(ch);
	return 0;
}

static int
devices_handle_in(struct channel *ch, const struct channel_message *m)
{
	channel_reply_reason(ch, "unknown_event");
	return 0;
}

/* Leaving. */

/* `channel` is the place's name. */
static bool
devices_decide_gone(struct channel *ch, void *channel, struct history_change *change)
{
	autoplaces struct places p = { 0 };
	unsigned		 at;

	devices_read(&p, change->newest);
	if (!places_find_channel(&p, channel, &at))
		return false;
	places_drop(&p, at);
	return devices_post(&p, change);
}

static void
devices_gone(struct channel *ch, void *channel, int error, struct slice id)
{
	free(channel);
}

static void
devices_leave(struct channel *ch, const char *why)
{
	struct device		  *d = channel_state(ch);
	struct channel_transaction go = { .decide = devices_decide_gone, .done = devices_gone, .insist = true };

	if (d->entered)
		go.arg = strdup(d->channel);
	free(d->id);
	if (go.arg != NULL && channel_transact(ch, &go) < 0)
		free(go.arg);
}

const struct channel_class devices_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "devices",
	.state_size = sizeof(struct device),
	.options = devices_options,
	.intercepts = devices_intercepts,
	.configure = devices_configure,
	.unconfigure = free,
	.join = devices_join,
	.joined = devices_joined,
	.handle_in = devices_handle_in,
	.handle_out = devices_handle_out,
	.handle_info = devices_handle_info,
	.leave = devices_leave,
};
