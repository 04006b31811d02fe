/*
 * What is done to a call: each change is a transaction on the topic's newest message, whose state it carries on. So all
 * nodes hear all changes in one order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "channels/signaling.h"

#define MAX_QUEUED	64		/* pushes of a client that wait for their turn */
#define MAX_QUEUED_BYTES (1024 * 1024)
#define FULL_RETRY_MS	1000
#define IDLE_MS		(3600 * 1000)	/* the two users stay fixed for so long */

/* It may outlive its channel, so it has all that it needs. */
struct signaling_change {
	struct signaling_change *next;
	struct channel_ref *ref;	/* of the push; NULL: nobody asked */
	struct call_act	    act;
	struct call_limits  kept;
	struct slice	    me, other;
	struct slice	    data;
	bool		    has_from, has_reason;
	enum call_verdict   verdict;
	uint64_t	    retry_ms;
	char		    text[];
};

/* Copies a text behind the others. */
static struct slice
put(char **at, struct slice text)
{
	struct slice copy = slice(*at, text.n);

	if (text.n > 0)
		memcpy(*at, text.p, text.n);
	*at += text.n;
	return copy;
}

static struct signaling_change *
change_new(const struct signaling *s, const struct signaling_words *w, struct slice channel)
{
	const struct signaling_route *r = channel_route_data(s->channel);
	struct slice		 heard = slice_str(s->heard), node;
	struct signaling_change *g;
	uint64_t		 epoch;
	char			*at;

	node = channel_node(s->channel, &epoch);
	g = malloc(sizeof(*g) + s->names.n + channel.n + node.n + heard.n + w->data.n);
	if (g == NULL)
		return NULL;
	at = g->text;
	*g = (struct signaling_change){
		.kept = r->kept, .me = put(&at, s->me), .other = put(&at, s->other), .data = put(&at, w->data),
		.has_from = w->has_from, .has_reason = w->has_reason, .verdict = CALL_NOTHING,
	};
	g->act = (struct call_act){
		.event = w->event, .channel = put(&at, channel), .device = put(&at, s->device), .node = put(&at, node), .epoch = epoch,
		.call = s->call.since, .now = channel_wall(s->channel), .bytes = w->data.n, .heard = put(&at, heard),
	};
	return g;
}

static void
change_free(struct signaling_change *g)
{
	/* The channel is over, or this would have been answered. */
	if (g->ref != NULL)
		channel_ref_reply(g->ref, false, channel_empty());
	free(g);
}

/* Deciding. */

/* The state that the newest message carries; false if it carries none. */
static bool
read_newest(struct call *c, const struct history_message *newest)
{
	struct call_message m;

	if (newest == NULL || !slice_is(newest->event, SIGNALING_EVENT) || call_message_read(&m, newest->payload) < 0)
		return false;
	return call_read(c, m.state) == 0;
}

/* What was kept is gone: as the channel remembers it, or anew; its tokens are in `text` then. */
static void
recall(struct call *c, struct channel *ch, const struct signaling_change *g, struct buf *text)
{
	const struct signaling *s = ch != NULL ? channel_state(ch) : NULL;
	size_t			n;

	if (s != NULL && s->text.n > 0) {
		*c = s->call;
		return;
	}
	channel_json_add(text, g->me);
	n = text->n;
	channel_json_add(text, g->other);
	call_open(c, slice(text->p, n), slice_from(buf_slice(text), n));
}

/* Is somebody gone whom that change says to be? Who has left the node has no say. */
static bool
find_gone(struct channel *ch, const struct call *c, const struct call_act *a)
{
	const struct signaling *s = ch != NULL ? channel_state(ch) : NULL;

	if (s == NULL)
		return false;
	if (a->event == CALL_BACK)
		return signaling_is_gone(s, &c->party[a->by]);
	for (int i = 0; i < 2 && a->event == CALL_DISCONNECTED; i++)
		if (slice_eq(c->party[i].channel, a->channel))
			return signaling_is_gone(s, &c->party[i]);
	return false;
}

/* The object without its end, ready for another member. */
static void
open_object(struct buf *out, struct slice object)
{
	struct slice name, value;
	size_t	     at = 0;

	buf_add(out, object.p, object.n - 1);
	if (channel_json_next(object, &at, &name, &value) > 0)
		buf_add_char(out, ',');
}

/* What clients will be told: what was pushed, as it was pushed, and what is missing in it. */
static void
add_data(struct buf *out, const struct signaling_change *g, const char *reason, struct slice from)
{
	bool with_reason = reason != NULL && !g->has_reason, with_from = from.p != NULL && !g->has_from;

	if (!with_reason && !with_from) {
		buf_add_slice(out, g->data);
		return;
	}
	open_object(out, g->data);
	if (with_reason)
		buf_addf(out, "\"reason\":\"%s\"%s", reason, with_from ? "," : "");
	if (with_from) {
		buf_add_str(out, "\"from\":");
		buf_add_slice(out, from);
	}
	buf_add_char(out, '}');
}

/* Is it what a client does, and not what is done for it? */
static bool
is_signed(enum call_event event)
{
	return call_is_relayed(event) || event == CALL_END || event == CALL_LEAVE;
}

static void
compose(const struct signaling_change *g, const struct call *c, const char *reason, struct history_change *change)
{
	const struct call_act *a = &g->act;
	autobuf struct buf     data = { 0 };
	struct call_message    m = { .event = a->event };

	if (is_signed(a->event))
		m.from = c->party[a->by].user;
	/* Those two are nobody's: all are to hear of them. */
	if (a->event != CALL_MISSED && a->event != CALL_DISCONNECTED)
		m.channel = a->channel;
	add_data(&data, g, reason, m.from);
	m.data = buf_slice(&data);
	buf_add_str(&change->event, SIGNALING_EVENT);
	call_message_write(&m, c, &change->payload);
	change->limits = (struct history_limits){
		.max = call_is_live(c) ? SIGNALING_PAGE : 1, .age_ms = g->kept.keep_ms,
		.last_ms = call_is_live(c) ? SIGNALING_LIVE_MS : IDLE_MS,
	};
}

static bool
change_decide(struct channel *ch, void *arg, struct history_change *change)
{
	struct signaling_change *g = arg;
	autobuf struct buf	 text = { 0 };
	struct call		 c;
	const char		*reason;
	bool			 kept = read_newest(&c, change->newest);
	int			 by;

	if (!kept)
		recall(&c, ch, g, &text);
	by = call_party_of(&c, g->me);
	if (by < 0 || !call_is_name(c.party[!by].user, g->other)) {
		g->verdict = CALL_WRONG_PARTY;
		return false;
	}
	g->verdict = CALL_NOTHING;
	if (g->act.event == CALL_OPEN && kept)
		return false;
	g->act.by = (unsigned)by;
	g->act.gone = find_gone(ch, &c, &g->act);
	reason = call_reason(&c, &g->act);
	g->verdict = call_apply(&c, &g->act, &g->kept, &g->retry_ms);
	if (g->verdict != CALL_DONE)
		return false;
	compose(g, &c, reason, change);
	return true;
}

/* Telling. */

/* -EINVAL: with what is said of the call, what was pushed is too deep, or has too many members. */
static const char *
refusal_of(const struct signaling_change *g, int error)
{
	if (error == -EINVAL)
		return "{\"reason\":\"invalid_payload\",\"field\":\"payload\"}";
	if (error < 0)
		return "{\"reason\":\"unavailable\"}";
	if (g->verdict == CALL_WRONG_PARTY)
		return "{\"reason\":\"unauthorized\"}";
	return "{\"reason\":\"invalid_state\"}";
}

static void
reply(struct signaling_change *g, int error)
{
	struct channel_ref *ref = g->ref;
	char		    text[64];
	int		    n;

	g->ref = NULL;
	if (error == 0 && g->verdict == CALL_DONE) {
		channel_ref_reply(ref, true, channel_empty());
	} else if (error == 0 && g->verdict == CALL_TOO_MUCH) {
		n = snprintf(text, sizeof(text), "{\"reason\":\"rate_limit\",\"retry_after_ms\":%llu}", (unsigned long long)g->retry_ms);
		channel_ref_reply(ref, false, channel_json(slice(text, (size_t)n)));
	} else {
		channel_ref_reply(ref, false, channel_json(slice_str(refusal_of(g, error))));
	}
}

static void
queue_next(struct signaling *s)
{
	struct signaling_change *g = s->queue;

	s->queue = g->next;
	if (s->queue == NULL)
		s->queue_end = &s->queue;
	s->n_queued--;
	s->queued_bytes -= g->data.n;
	s->deciding = false;
	signaling_go_on(s);
}

static void
change_done(struct channel *ch, void *arg, int error, struct slice id)
{
	struct signaling_change *g = arg;
	struct signaling	*s = ch != NULL ? channel_state(ch) : NULL;

	if (s == NULL) {
		change_free(g);
		return;
	}
	if (g->act.event == CALL_OPEN) {
		signaling_opened(ch, error, g->verdict);
	} else if (g->ref != NULL) {
		reply(g, error);
		queue_next(s);
	} else {
		s->minding = false;
	}
	change_free(g);
}

static int
begin(struct signaling *s, struct signaling_change *g, bool insist)
{
	return channel_transact(s->channel, &(struct channel_transaction){
		.decide = change_decide, .done = change_done, .arg = g, .insist = insist,
	});
}

void
signaling_go_on(struct signaling *s)
{
	struct signaling_change *g = s->queue;

	if (g == NULL || s->deciding || s->waits != 0)
		return;
	s->deciding = true;
	if (begin(s, g, false) < 0)
		change_done(s->channel, g, -EINVAL, slice(NULL, 0));
}

/* What others ask for. */

static const struct signaling_words nothing_said = { .data = { "{}", 2 } };

/* Of what nobody said, and nobody waits for: there is no harm in one that is not begun. */
static int
begin_unasked(struct signaling *s, enum call_event event, struct slice channel, bool insist)
{
	struct signaling_words	 w = nothing_said;
	struct signaling_change *g;
	int			 r;

	w.event = event;
	g = change_new(s, &w, channel);
	r = g != NULL ? begin(s, g, insist) : -ENOMEM;
	if (r < 0)
		free(g);
	return r;
}

int
signaling_open(struct signaling *s)
{
	return begin_unasked(s, CALL_OPEN, slice_str(s->id), false);
}

void
signaling_push(struct signaling *s, const struct signaling_words *w)
{
	struct signaling_change *g;
	char			 text[64];
	int			 n;

	if (s->n_queued >= MAX_QUEUED || s->queued_bytes + w->data.n > MAX_QUEUED_BYTES) {
		n = snprintf(text, sizeof(text), "{\"reason\":\"rate_limit\",\"retry_after_ms\":%d}", FULL_RETRY_MS);
		channel_reply_error(s->channel, channel_json(slice(text, (size_t)n)));
		return;
	}
	g = change_new(s, w, slice_str(s->id));
	if (g == NULL) {
		channel_reply_reason(s->channel, "unavailable");
		return;
	}
	g->ref = channel_defer(s->channel);
	*s->queue_end = g;
	s->queue_end = &g->next;
	s->queued_bytes += g->data.n;
	s->n_queued++;
	signaling_go_on(s);
}

void
signaling_mind(struct signaling *s, enum call_event event, struct slice channel)
{
	if (!s->minding)
		s->minding = begin_unasked(s, event, channel, false) == 0;
}

void
signaling_part(struct signaling *s, bool left)
{
	/* What is under way may turn out to have been done. */
	if (call_is_live(&s->call) || s->minding || s->queue != NULL)
		begin_unasked(s, left ? CALL_LEAVE : CALL_LOST, slice_str(s->id), true);
}

void
signaling_drop_queue(struct signaling *s)
{
	struct signaling_change *g, *next;

	/* What is under way is told of its end. */
	for (g = s->deciding ? s->queue->next : s->queue; g != NULL; g = next) {
		next = g->next;
		change_free(g);
	}
	s->queue = NULL;
	s->queue_end = &s->queue;
}
