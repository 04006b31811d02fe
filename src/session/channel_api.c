/*
 * <roost/channel.h> as classes call it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "session/channel.h"
#include "wire/message.h"

_Static_assert(CHANNEL_ID_LEN == UUID_LEN, "a message's id is a UUID");

void *
channel_state(struct channel *ch)
{
	return ch->state;
}

void *
channel_route_data(const struct channel *ch)
{
	return ch->route->data;
}

struct dispatch *
channel_current(const struct channel *ch)
{
	struct dispatch *d = ch->session->current;

	return d != NULL && d->channel == ch ? d : NULL;
}

struct slice
channel_topic(const struct channel *ch)
{
	const struct dispatch *d = channel_current(ch);

	if (ch->sub.topic != NULL)
		return ch->sub.topic->name;
	if (ch->extra != NULL && ch->extra->topic != NULL)
		return slice_str(ch->extra->topic);
	return d != NULL ? d->in->topic : SLICE("");
}

struct slice
channel_capture(const struct channel *ch, const char *name)
{
	struct slice capture;

	route_match(ch->route->pattern, channel_topic(ch), name, &capture);
	return capture;
}

struct slice
channel_user(const struct channel *ch)
{
	return channel_identity(ch)->user;
}

struct slice
channel_client(const struct channel *ch)
{
	return slice_str(ch->session->id);
}

struct slice
channel_user_name(const struct channel *ch)
{
	return channel_identity(ch)->name;
}

struct slice
channel_claims(const struct channel *ch)
{
	return channel_identity(ch)->claims;
}

/* The dispatch that this channel may answer now, or NULL. */
static struct dispatch *
channel_turn(const struct channel *ch)
{
	struct dispatch *d = channel_current(ch);

	return d != NULL && !d->answered && ch->phase != CHANNEL_OVER ? d : NULL;
}

bool
payload_is_object(struct channel_payload p)
{
	return p.binary || (p.bytes.n >= 2 && p.bytes.p[0] == '{' && p.bytes.p[p.bytes.n - 1] == '}');
}

static void
channel_answer(struct channel *ch, bool ok, struct channel_payload response)
{
	struct dispatch *d = channel_turn(ch);

	if (d == NULL)
		return;
	d->answered = true;
	d->ok = ok;
	if (!payload_is_object(response))
		response = channel_empty();
	/* A join's answer waits for what the class returns. */
	if (ch->phase == CHANNEL_JOINING) {
		d->binary = response.binary;
		buf_add_slice(&d->response, response.bytes);
		return;
	}
	session_reply(ch->session, ch->join_ref, d->in->ref, ch->sub.topic->token, ok, response);
}

void
channel_reply_ok(struct channel *ch, struct channel_payload response)
{
	channel_answer(ch, true, response);
}

void
channel_reply_error(struct channel *ch, struct channel_payload response)
{
	channel_answer(ch, false, response);
}

void
channel_reply_reason(struct channel *ch, const char *reason)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "{\"reason\":");
	json_quote(&b, slice_str(reason));
	buf_add_char(&b, '}');
	channel_answer(ch, false, channel_json(buf_slice(&b)));
}

struct channel_ref *
channel_defer(struct channel *ch)
{
	struct dispatch	   *d = channel_turn(ch);
	struct channel_ref *ref;

	if (d == NULL || ch->phase != CHANNEL_JOINED)
		return NULL;
	d->answered = true;
	ref = xmalloc(sizeof(*ref) + d->in->ref.n);
	*ref = (struct channel_ref){ .channel = ch, .ref = slice(ref->text, d->in->ref.n) };
	memcpy(ref->text, d->in->ref.p, d->in->ref.n);
	list_append(&channel_extra(ch)->refs, &ref->in_channel);
	return ref;
}

void
channel_ref_reply(struct channel_ref *ref, bool ok, struct channel_payload response)
{
	struct channel *ch = ref->channel;

	if (ch != NULL && ch->phase == CHANNEL_JOINED)
		session_reply(ch->session, ch->join_ref, ref->ref, ch->sub.topic->token, ok,
		    payload_is_object(response) ? response : channel_empty());
	list_remove(&ref->in_channel);
	free(ref);
}

bool
channel_within_rate(struct channel *ch, struct slice event)
{
	const struct rate *rate = dispatch_rate(ch, event);
	struct rates	  *rates = &ch->session->env->rates;
	char		   host[ADDR_LEN], text[RATE_LIMIT_LEN];
	struct slice	   owner;
	uint64_t	   wait;

	if (rate == NULL)
		return true;
	owner = dispatch_rate_owner(ch, host);
	wait = rates_wait(rates, owner, channel_topic(ch), event, rate);
	if (wait == 0)
		rates_count(rates, owner, channel_topic(ch), event, rate);
	else
		channel_reply_error(ch, dispatch_rate_limit(ch->route, text, wait));
	return wait == 0;
}

void
channel_accept(struct channel *ch, struct channel_payload response)
{
	struct channel_extra *x = ch->extra;

	if (ch->phase != CHANNEL_JOINING || x == NULL || x->ref == NULL)
		return;
	channel_enter(ch, slice_str(x->join_ref), slice_str(x->ref),
	    payload_is_object(response) ? response : channel_empty());
	channel_trim(ch);
}

void
channel_refuse(struct channel *ch, struct channel_payload response)
{
	struct channel_payload said = payload_is_object(response) && !response.binary ? response : channel_empty();

	if (ch->depth == 0 || ch->extra == NULL) {
		channel_refuse_join(ch, said, "refused");
		return;
	}
	ch->extra->refusal.n = 0;
	buf_add_slice(&ch->extra->refusal, said.bytes);
	ch->stopping = true;
}

void
channel_set_intercepting(struct channel *ch, bool on)
{
	hub_set_intercepts(&ch->session->env->pubsub.hub, &ch->sub, on ? ch->route->class->intercepts : NULL);
}

void
channel_stop(struct channel *ch)
{
	ch->stopping = true;
	channel_settle(ch, 0);
}

void
channel_fail(struct channel *ch, const char *reason)
{
	channel_set_failing(ch, reason);
	ch->stopping = true;
	channel_settle(ch, 0);
}

static void
channel_timer_fire(struct timer *timer, uint64_t now)
{
	struct channel_timer *t = container_of(timer, struct channel_timer, timer);
	struct channel	     *ch = t->channel;
	int		      number = t->number, r = 0;

	list_remove(&t->in_channel);
	free(t);
	if (ch->phase != CHANNEL_JOINED && ch->phase != CHANNEL_JOINING)
		return;
	ch->depth++;
	if (ch->route->class->handle_info != NULL)
		r = ch->route->class->handle_info(ch, number);
	ch->depth--;
	channel_settle(ch, r);
}

static struct channel_timer *
channel_timer_find(struct channel *ch, int number)
{
	if (ch->extra == NULL)
		return NULL;
	list_each(link, &ch->extra->timers) {
		struct channel_timer *t = list_entry(link, struct channel_timer, in_channel);

		if (t->number == number)
			return t;
	}
	return NULL;
}

void
channel_set_timer(struct channel *ch, int number, uint64_t ms)
{
	struct loop	     *loop = ch->session->env->loop;
	struct channel_timer *t = channel_timer_find(ch, number);

	if (ch->phase == CHANNEL_OVER)
		return;
	if (t == NULL) {
		t = xmalloc(sizeof(*t));
		*t = (struct channel_timer){ .channel = ch, .number = number, .timer.fire = channel_timer_fire };
		list_append(&channel_extra(ch)->timers, &t->in_channel);
	}
	loop_timer(loop, &t->timer, loop->now + ms);
}

void
channel_stop_timer(struct channel *ch, int number)
{
	struct channel_timer *t = channel_timer_find(ch, number);

	if (t == NULL)
		return;
	timer_stop(&t->timer);
	list_remove(&t->in_channel);
	free(t);
}

uint64_t
channel_now(const struct channel *ch)
{
	return ch->session->env->loop->now;
}

int64_t
channel_wall(const struct channel *ch)
{
	return wall_ms();
}

struct slice
channel_node(const struct channel *ch, uint64_t *epoch)
{
	const struct session_env *env = ch->session->env;

	return env->peers->self(env->peers_arg, epoch);
}

bool
channel_node_is_up(const struct channel *ch, struct slice node, uint64_t epoch)
{
	const struct session_env *env = ch->session->env;

	return env->peers->is_up(env->peers_arg, node, epoch);
}

char *
channel_new_id(const struct channel *ch, char out[CHANNEL_ID_LEN + 1])
{
	struct position at = { .ms = (uint64_t)channel_wall(ch) };

	id_random(&at.seq, sizeof(at.seq));
	return uuid_from_position(at, uuid_tail(), out);
}

void
channel_log(const struct channel *ch, int level, const char *fmt, ...)
{
	char	peer[ADDR_LEN], text[512];
	va_list ap;

	if (!log_wants((enum log_level)level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_peer((enum log_level)level, addr_text(ch->session->peer, peer), "%s", text);
}

struct slice
channel_json_member(struct slice object, const char *name)
{
	return json_member(object, name);
}

int
channel_json_string(struct slice token, char *scratch, size_t size, struct slice *text)
{
	if (token.n < 2 || token.p[0] != '"')
		return -EINVAL;
	return json_text(token, scratch, size, text);
}

int
channel_json_quote(struct slice text, char *out, size_t size)
{
	size_t n = json_quoted_len(text);

	if (n > size)
		return -ENAMETOOLONG;
	json_quote_to(out, text);
	return (int)n;
}

void
channel_json_add(struct buf *out, struct slice text)
{
	json_quote(out, text);
}

int
channel_json_next(struct slice object, size_t *at, struct slice *name, struct slice *value)
{
	return json_next_member(object, at, name, value);
}
