/*
 * What a client is told of the calls of its topic, and what is looked after meanwhile: rings that end, parties that are gone,
 * and newcomers that take a place.
 */
#include <errno.h>
#include <stdlib.h>

#include "channels/signaling.h"

#define TIMER		1
#define TICK_MS		1000
#define WAIT_MS		1000	/* what a lost channel leaves behind may come after the one that replaces it */

/* What is kept for a newcomer. */
struct signaling_held {
	struct signaling_held *next;
	enum call_event	event;
	struct slice	id, data;
	char		text[];
};

static int64_t
now_call(const struct signaling *s)
{
	return call_is_live(&s->call) ? s->call.since : 0;
}

static struct call_party *
my_place(struct signaling *s)
{
	return &s->call.party[s->mine];
}

static bool
is_mine(const struct signaling *s, struct slice channel)
{
	return slice_is(channel, s->id);
}

/* The state that a message carries; false if it is none, or of two others. */
static bool
take_state(struct signaling *s, struct slice state)
{
	struct call c;
	int	    mine;

	if (call_read(&c, state) < 0)
		return false;
	mine = call_party_of(&c, s->me);
	if (mine < 0 || !call_is_name(c.party[!mine].user, s->other))
		return false;
	s->mine = (unsigned)mine;
	s->text.n = 0;
	buf_add_slice(&s->text, state);
	call_read(&s->call, buf_slice(&s->text));
	return true;
}

/* What is held. */

void
signaling_drop_held(struct signaling *s)
{
	struct signaling_held *h;

	while ((h = s->held) != NULL) {
		s->held = h->next;
		free(h);
	}
	s->held_end = &s->held;
}

static void
hold(struct signaling *s, enum call_event event, struct slice id, struct slice data)
{
	struct signaling_held *h = malloc(sizeof(*h) + id.n + data.n);

	if (h == NULL)
		return;
	*h = (struct signaling_held){ .event = event, .id = slice(h->text, id.n), .data = slice(h->text + id.n, data.n) };
	memcpy(h->text, id.p, id.n);
	memcpy(h->text + id.n, data.p, data.n);
	*s->held_end = h;
	s->held_end = &h->next;
}

/* Telling. */

static void
set_heard(struct signaling *s, struct slice id)
{
	size_t n = id.n <= CHANNEL_ID_LEN ? id.n : 0;

	memcpy(s->heard, id.p, n);
	s->heard[n] = '\0';
}

static void
pass_on(struct signaling *s, enum call_event event, struct slice id, struct slice data)
{
	channel_push(s->channel, slice_str(call_event_name(event)), channel_json(data));
	set_heard(s, id);
}

/* Its call is over, in the client's eyes. */
static void
tell_end(struct signaling *s, struct slice data)
{
	channel_push(s->channel, slice_str(call_event_name(CALL_END)), channel_json(data));
	s->in = 0;
}

/* It has the place that it waited for, or will not have it. */
static void
end_wait(struct signaling *s)
{
	s->waits = 0;
	signaling_drop_held(s);
	signaling_go_on(s);
}

/* It takes part from here on: what it has not heard of the call follows. */
static void
take_up(struct signaling *s)
{
	struct slice	       heard = my_place(s)->heard;
	struct signaling_held *h, *from = s->held;

	s->in = s->call.since;
	set_heard(s, heard);
	for (h = s->held; h != NULL && heard.n > 0; h = h->next)
		if (slice_eq(h->id, heard))
			from = h->next;
	for (h = from; h != NULL; h = h->next)
		pass_on(s, h->event, h->id, h->data);
	end_wait(s);
}

static void
say_busy(struct signaling *s)
{
	s->over = s->call.since;
	signaling_drop_held(s);
	signaling_mind(s, CALL_BUSY, slice_str(s->id));
}

/* The other party said something. */
static void
relay(struct signaling *s, const struct call_message *m)
{
	struct slice channel = my_place(s)->channel;

	if (s->waits != 0) {
		hold(s, m->event, m->id, m->data);
		return;
	}
	if (m->event == CALL_INITIATE) {
		if (signaling_is_busy(s)) {
			say_busy(s);
			return;
		}
		s->in = s->call.since;
	}
	if (s->in == s->call.since && (channel.n == 0 || is_mine(s, channel)))
		pass_on(s, m->event, m->id, m->data);
}

/* What the state says of calls that the client knows. */
static void
hear_end(struct signaling *s, const struct call_message *m)
{
	bool told = is_mine(s, m->channel) || s->over == s->call.since;

	if (m->event == CALL_END && !told)
		tell_end(s, m->data);
	if (m->event == CALL_END) {
		s->over = s->call.since;
		s->in = 0;
	}
}

static void
hear_state(struct signaling *s, const struct call_message *m)
{
	struct slice channel = my_place(s)->channel;
	int64_t	     call = now_call(s);

	if (call == 0)
		hear_end(s, m);
	/* How it ended was not heard. */
	if (s->in != 0 && s->in != call)
		tell_end(s, SLICE("{\"reason\":\"disconnected\"}"));
	if (s->waits != 0 && s->waits != call)
		end_wait(s);
	if (s->in != 0 && channel.n > 0 && !is_mine(s, channel)) {
		tell_end(s, SLICE("{\"reason\":\"answered_elsewhere\"}"));
		s->over = call;
	}
}

static void
hear_event(struct signaling *s, const struct call_message *m)
{
	bool mine = is_mine(s, m->channel);

	if (mine && m->event == CALL_BACK && s->waits != 0)
		take_up(s);
	else if (mine && call_is_relayed(m->event))
		s->in = s->call.since;
	else if (call_is_relayed(m->event) && !call_is_name(m->from, s->me))
		relay(s, m);
}

void
signaling_hear(struct signaling *s, struct slice payload)
{
	struct call_message m;

	signaling_begin(s);
	if (call_message_read(&m, payload) < 0 || !take_state(s, m.state))
		return;
	hear_state(s, &m);
	if (call_is_live(&s->call))
		hear_event(s, &m);
	signaling_look(s);
}

/* Joining. */

static void
refuse_unavailable(struct channel *ch)
{
	channel_refuse(ch, channel_json(SLICE("{\"reason\":\"unavailable\"}")));
}

static void
refuse_unauthorized(struct channel *ch)
{
	channel_refuse(ch, channel_json(SLICE("{\"reason\":\"unauthorized\"}")));
}

/* Of calls that have ended nothing is kept: this is of the one that is under way. */
static void
find(struct signaling *s, const struct history_message *kept)
{
	struct call_message m;

	if (call_message_read(&m, kept->payload) < 0)
		return;
	if (call_is_relayed(m.event) && !call_is_name(m.from, s->me))
		hold(s, m.event, kept->id, m.data);
}

/* The newest is kept for its state. Where it is alone, it may be older than what is told. */
static bool
is_old(const struct signaling *s, const struct history_page *page)
{
	const struct signaling_route *r = channel_route_data(s->channel);

	return page->n == 1 && page->messages[0].at + (int64_t)r->kept.keep_ms < channel_wall(s->channel);
}

static void
caught_up(struct channel *ch, const struct history_page *page)
{
	struct signaling   *s = channel_state(ch);
	struct call_message m;

	if (page->error != 0) {
		refuse_unavailable(ch);
		return;
	}
	for (unsigned i = 0; i < page->n && !is_old(s, page); i++)
		find(s, &page->messages[i]);
	if (page->n > 0 && call_message_read(&m, page->messages[page->n - 1].payload) == 0 && !take_state(s, m.state)) {
		refuse_unauthorized(ch);
		return;
	}
	channel_accept(ch, channel_empty());
}

void
signaling_opened(struct channel *ch, int error, enum call_verdict verdict)
{
	if (error < 0)
		refuse_unavailable(ch);
	else if (verdict == CALL_WRONG_PARTY)
		refuse_unauthorized(ch);
	else if (channel_catch_up(ch, slice(NULL, 0), SIGNALING_PAGE, caught_up) < 0)
		refuse_unavailable(ch);
}

/* What is watched begins anew with each call; it has lasted so long already. */
static void
watch(struct signaling *s, int64_t elapsed)
{
	const struct signaling_route *r = channel_route_data(s->channel);
	uint64_t		      past = elapsed > 0 ? (uint64_t)elapsed : 0;

	s->watched = s->call.since;
	s->ring_until = channel_now(s->channel) + r->ring_ms - (past < r->ring_ms ? past : r->ring_ms);
	s->gone_since[0] = s->gone_since[1] = 0;
}

void
signaling_begin(struct signaling *s)
{
	if (s->begun)
		return;
	s->begun = true;
	if (!call_is_live(&s->call)) {
		signaling_drop_held(s);
		return;
	}
	/* For a caller who comes back it has rung for some time; of others none is sooner done with it. */
	watch(s, s->mine == s->call.caller ? channel_wall(s->channel) - s->call.since : 0);
	if (my_place(s)->channel.n > 0) {
		s->waits = s->call.since;
		s->wait_until = channel_now(s->channel) + WAIT_MS;
	} else if (signaling_is_busy(s)) {
		say_busy(s);
	} else {
		take_up(s);
	}
	signaling_look(s);
}

/* What takes its time. Each returns when to look again; UINT64_MAX: not for its sake. */

/* A newcomer takes the place if that turns out to be free; what is ours is to be known by our node's present epoch. */
static uint64_t
look_place(struct signaling *s, uint64_t now)
{
	const struct call_party *p = my_place(s);
	uint64_t		 epoch;

	channel_node(s->channel, &epoch);
	if (is_mine(s, p->channel) && epoch != 0 && epoch != p->epoch)
		signaling_mind(s, CALL_BACK, slice_str(s->id));
	if (s->waits == 0)
		return UINT64_MAX;
	if (signaling_is_gone(s, p) || call_is_device(p, s->device)) {
		signaling_mind(s, CALL_BACK, slice_str(s->id));
		return UINT64_MAX;
	}
	if (now < s->wait_until)
		return s->wait_until;
	end_wait(s);
	if (s->call.phase != CALL_RINGING) {
		tell_end(s, SLICE("{\"reason\":\"answered_elsewhere\"}"));
		s->over = s->call.since;
	}
	return UINT64_MAX;
}

static uint64_t
look_ring(struct signaling *s, uint64_t now)
{
	if (s->call.phase != CALL_RINGING)
		return UINT64_MAX;
	if (now < s->ring_until)
		return s->ring_until;
	signaling_mind(s, CALL_MISSED, SLICE(""));
	return UINT64_MAX;
}

static uint64_t
look_party(struct signaling *s, int i, uint64_t now)
{
	const struct signaling_route *r = channel_route_data(s->channel);
	const struct call_party	     *p = &s->call.party[i];
	uint64_t		      epoch;

	channel_node(s->channel, &epoch);
	/* Who is cut off does not judge others. */
	if (p->channel.n == 0 || epoch == 0 || !signaling_is_gone(s, p)) {
		s->gone_since[i] = 0;
		return UINT64_MAX;
	}
	if (s->gone_since[i] == 0)
		s->gone_since[i] = now;
	if (now < s->gone_since[i] + r->grace_ms)
		return s->gone_since[i] + r->grace_ms;
	signaling_mind(s, CALL_DISCONNECTED, p->channel);
	return UINT64_MAX;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void
signaling_look(struct signaling *s)
{
	uint64_t now = channel_now(s->channel), next = now + TICK_MS;

	if (!call_is_live(&s->call)) {
		channel_stop_timer(s->channel, TIMER);
		return;
	}
	if (s->watched != s->call.since)
		watch(s, 0);
	next = earlier(next, look_place(s, now));
	next = earlier(next, look_ring(s, now));
	for (int i = 0; i < 2; i++)
		next = earlier(next, look_party(s, i, now));
	channel_set_timer(s->channel, TIMER, next - now);
}
