/*
 * What becomes of a call by what its parties do.
 */
#include "channels/call.h"

bool
call_is_relayed(enum call_event event)
{
	return event == CALL_INITIATE || event == CALL_OFFER || event == CALL_ANSWER || event == CALL_CANDIDATE;
}

bool
call_is_device(const struct call_party *p, struct slice device)
{
	return device.n > 0 && slice_eq(p->device, device);
}

int
call_party_of(const struct call *c, struct slice user)
{
	for (int i = 0; i < 2; i++)
		if (call_is_name(c->party[i].user, user))
			return i;
	return CALL_NOBODY;
}

void
call_open(struct call *c, struct slice one, struct slice other)
{
	*c = (struct call){
		.party = { { .user = one }, { .user = other } }, .offer = CALL_NOBODY,
	};
}

static void
take_place(struct call *c, const struct call_act *a)
{
	struct call_party *p = &c->party[a->by];

	p->channel = a->channel;
	p->device = a->device;
	p->node = a->node;
	p->epoch = a->epoch;
	p->lost = false;
}

/* Is it in its party's place, or may it still come to be? */
static bool
has_place(const struct call *c, const struct call_act *a)
{
	struct slice channel = c->party[a->by].channel;

	return channel.n == 0 || slice_eq(channel, a->channel);
}

static void
finish(struct call *c)
{
	c->phase = CALL_IDLE;
	c->offered = false;
	c->offer = CALL_NOBODY;
	for (int i = 0; i < 2; i++)
		c->party[i] = (struct call_party){ .user = c->party[i].user };
}

static enum call_verdict
on_initiate(struct call *c, const struct call_act *a)
{
	if (call_is_live(c))
		return CALL_WRONG_STATE;
	c->phase = CALL_RINGING;
	c->since = a->now > c->since ? a->now : c->since + 1;
	c->caller = (uint8_t)a->by;
	take_place(c, a);
	return CALL_DONE;
}

static enum call_verdict
on_offer(struct call *c, const struct call_act *a)
{
	if (c->phase == CALL_RINGING && a->by != c->caller)
		return CALL_WRONG_PARTY;
	/* Theirs is to be answered first. */
	if (!call_is_live(c) || !has_place(c, a) || c->offer == !a->by)
		return CALL_WRONG_STATE;
	if (c->phase == CALL_ANSWERED)
		c->phase = CALL_ACTIVE;
	c->offered = true;
	c->offer = (int8_t)a->by;
	return CALL_DONE;
}

static enum call_verdict
on_answer(struct call *c, const struct call_act *a)
{
	bool by_caller = c->phase == CALL_RINGING && a->by == c->caller;

	if (by_caller || (call_is_live(c) && has_place(c, a) && c->offer == (int)a->by))
		return CALL_WRONG_PARTY;
	if (!call_is_live(c) || !has_place(c, a) || c->offer == CALL_NOBODY)
		return CALL_WRONG_STATE;
	if (c->phase == CALL_RINGING) {
		c->phase = CALL_ANSWERED;
		take_place(c, a);
	} else {
		c->phase = CALL_ACTIVE;
	}
	c->offer = CALL_NOBODY;
	return CALL_DONE;
}

static enum call_verdict
on_candidate(struct call *c, const struct call_act *a)
{
	if (!c->offered || !has_place(c, a))
		return CALL_WRONG_STATE;
	if (c->phase == CALL_ANSWERED)
		c->phase = CALL_ACTIVE;
	return CALL_DONE;
}

static enum call_verdict
on_end(struct call *c, const struct call_act *a)
{
	if (!call_is_live(c) || !has_place(c, a))
		return CALL_WRONG_STATE;
	finish(c);
	return CALL_DONE;
}

static enum call_verdict
on_leave(struct call *c, const struct call_act *a)
{
	if (!call_is_live(c) || !slice_eq(c->party[a->by].channel, a->channel))
		return CALL_NOTHING;
	finish(c);
	return CALL_DONE;
}

static enum call_verdict
on_busy(struct call *c, const struct call_act *a)
{
	if (c->phase != CALL_RINGING || c->since != a->call || a->by == c->caller)
		return CALL_NOTHING;
	finish(c);
	return CALL_DONE;
}

static enum call_verdict
on_missed(struct call *c, const struct call_act *a)
{
	if (c->phase != CALL_RINGING || c->since != a->call)
		return CALL_NOTHING;
	finish(c);
	return CALL_DONE;
}

static enum call_verdict
on_disconnected(struct call *c, const struct call_act *a)
{
	if (!call_is_live(c) || c->since != a->call || !a->gone)
		return CALL_NOTHING;
	finish(c);
	return CALL_DONE;
}

static enum call_verdict
on_lost(struct call *c, const struct call_act *a)
{
	struct call_party *p = &c->party[a->by];

	if (!call_is_live(c) || p->lost || !slice_eq(p->channel, a->channel))
		return CALL_NOTHING;
	p->lost = true;
	p->heard = a->heard;
	return CALL_DONE;
}

/* Another channel, or the same one whose node got another epoch. */
static enum call_verdict
on_back(struct call *c, const struct call_act *a)
{
	const struct call_party *p = &c->party[a->by];
	bool			 same = slice_eq(p->channel, a->channel), gone = a->gone || call_is_device(p, a->device);

	if (!call_is_live(c) || p->channel.n == 0 || (!same && !gone))
		return CALL_NOTHING;
	if (same && !p->lost && p->epoch == a->epoch && slice_eq(p->node, a->node))
		return CALL_NOTHING;
	take_place(c, a);
	return CALL_DONE;
}

static enum call_verdict
on_open(struct call *c, const struct call_act *a)
{
	return CALL_DONE;
}

static enum call_verdict (*const steps[])(struct call *, const struct call_act *) = {
	[CALL_INITIATE] = on_initiate, [CALL_OFFER] = on_offer, [CALL_ANSWER] = on_answer, [CALL_CANDIDATE] = on_candidate,
	[CALL_END] = on_end, [CALL_LEAVE] = on_leave, [CALL_BUSY] = on_busy, [CALL_MISSED] = on_missed,
	[CALL_DISCONNECTED] = on_disconnected, [CALL_OPEN] = on_open, [CALL_LOST] = on_lost, [CALL_BACK] = on_back,
};

/* The newest slot is the one of that number, unless a clock is a little behind. */
static void
turn_slots(struct call *c, int64_t slot)
{
	int64_t by = slot - c->slot;

	if (by <= 0 && by > -CALL_SLOTS)
		return;
	for (int i = CALL_SLOTS - 1; i >= 0; i--)
		c->kept[i] = by > 0 && i >= by ? c->kept[i - by] : 0;
	c->slot = slot;
}

/* Counts what is kept; else says when enough of it will be gone. */
static enum call_verdict
count_kept(struct call *c, const struct call_act *a, const struct call_limits *l, uint64_t *retry_ms)
{
	int64_t	 width = (int64_t)l->keep_ms / (CALL_SLOTS - 1) + 1;
	uint64_t least = l->max_kept / CALL_MAX_EVENTS, bytes = a->bytes > least ? a->bytes : least, sum = bytes;
	int	 i;

	turn_slots(c, a->now / width);
	for (i = 0; i < CALL_SLOTS; i++)
		sum += c->kept[i];
	if (sum <= l->max_kept) {
		c->kept[0] += bytes;
		return CALL_DONE;
	}
	for (i = CALL_SLOTS - 1; i > 0; i--) {
		sum -= c->kept[i];
		if (sum <= l->max_kept)
			break;
	}
	*retry_ms = (uint64_t)((c->slot - i + CALL_SLOTS) * width - a->now);
	return CALL_TOO_MUCH;
}

enum call_verdict
call_apply(struct call *c, const struct call_act *a, const struct call_limits *l, uint64_t *retry_ms)
{
	struct call	  next = *c;
	enum call_verdict v = steps[a->event](&next, a);

	if (v == CALL_DONE && call_is_relayed(a->event))
		v = count_kept(&next, a, l, retry_ms);
	if (v == CALL_DONE)
		*c = next;
	return v;
}

const char *
call_reason(const struct call *c, const struct call_act *a)
{
	switch (a->event) {
	case CALL_END:
		return c->phase == CALL_RINGING && a->by != c->caller ? "declined" : "user_hangup";
	case CALL_LEAVE:
		return "user_hangup";
	case CALL_BUSY:
		return "busy";
	case CALL_MISSED:
		return "missed";
	case CALL_DISCONNECTED:
		return "disconnected";
	default:
		return NULL;
	}
}
