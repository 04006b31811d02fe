/*
 * Subscriptions. Of one channel one thing is said at a time: while an acknowledgement is due, wishes may change
 * as often as they like. (hiredis counts wrongly where one command has channels with and without one.)
 */
#include "net/redis_bus.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "net/redis_resp.h"

#define BATCH	512	/* channels in one command */

/* In its bus' map. Unwanted (on_message == NULL) it stays until the server has let it go. */
struct redis_sub {
	struct redis_bus	*bus;
	redis_message_fn	*on_message;
	redis_subscribed_fn	*on_subscribed;
	void			*arg;
	struct list		 in_changed;
	bool			 due;		/* an acknowledgement is to come */
	bool			 told;		/* we said SUBSCRIBE last, on this connection */
	bool			 holds;		/* and it is acknowledged, and its owner knows */
	size_t			 n;
	char			 name[];
};

static struct slice
sub_name(const void *item)
{
	const struct redis_sub *s = item;

	return slice(s->name, s->n);
}

static void
sub_changed(struct redis_sub *s)
{
	if (list_empty(&s->in_changed))
		list_append(&s->bus->changed, &s->in_changed);
	loop_at_end(s->bus->link.loop, &s->bus->task);
}

struct redis_sub *
redis_bus_subscribe(struct redis_bus *b, struct slice channel, redis_message_fn *on_message,
    redis_subscribed_fn *on_subscribed, void *arg)
{
	struct redis_sub *s = map_get(&b->subs, channel);

	if (s == NULL) {
		s = xcalloc(1, sizeof(*s) + channel.n + 1);
		s->bus = b;
		s->n = channel.n;
		memcpy(s->name, channel.p, channel.n);
		map_put(&b->subs, s);
	}
	assert(s->on_message == NULL);
	s->on_message = on_message;
	s->on_subscribed = on_subscribed;
	s->arg = arg;
	sub_changed(s);
	return s;
}

bool
redis_is_subscribed(const struct redis_sub *s)
{
	return s->holds;
}

void
redis_unsubscribe(struct redis_sub *s)
{
	if (s == NULL)
		return;
	s->on_message = NULL;
	s->holds = false;
	sub_changed(s);
}

static void
sub_free(struct redis_sub *s)
{
	list_remove(&s->in_changed);
	map_del(&s->bus->subs, sub_name(s));
	free(s);
}

static bool
sub_is_told(const struct redis_sub *s)
{
	return s->told == (s->on_message != NULL);
}

/* Nothing is due, and the server knows what we want. */
static void
sub_settle(struct redis_sub *s)
{
	if (s->on_message == NULL) {
		sub_free(s);
		return;
	}
	if (s->holds)
		return;
	s->holds = true;
	if (s->on_subscribed != NULL)
		s->on_subscribed(s->arg);
}

static bool
is_kind(const struct redisReply *r, const char *kind)
{
	return r->element[0]->type == REDIS_REPLY_STRING && strcasecmp(r->element[0]->str, kind) == 0;
}

static void
bus_up(struct redis_bus *b)
{
	redis_link_up(&b->link);
	b->on_up(b);
}

static void
bus_acknowledged(struct redis_bus *b, struct redis_sub *s)
{
	if (!s->due) {
		redis_link_doom(&b->link, "an acknowledgement that nobody expects");
		return;
	}
	b->heard_at = b->link.loop->now;
	b->due--;
	s->due = false;
	if (sub_is_told(s))
		sub_settle(s);
	else
		sub_changed(s);
	if (b->due_first == 0)
		return;
	b->due_first--;
	if (b->due_first == 0)
		bus_up(b);
}

static void
on_push(redisAsyncContext *context, void *reply, void *arg)
{
	struct redis_bus	*b = arg;
	const struct redisReply *r = reply;
	struct redis_sub	*s;

	if (!redis_link_hears(&b->link, reply))
		return;
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 3 || r->element[1]->type != REDIS_REPLY_STRING) {
		redis_link_doom_by(&b->link, "SUBSCRIBE", r);
		return;
	}
	s = map_get(&b->subs, slice(r->element[1]->str, r->element[1]->len));
	if (s == NULL)
		return;
	if (!is_kind(r, "message"))
		bus_acknowledged(b, s);
	else if (s->holds && r->element[2]->type == REDIS_REPLY_STRING)
		s->on_message(s->arg, slice(r->element[2]->str, r->element[2]->len));
}

/* Names of one command, as they gather. */
struct batch_of_names {
	const char	*verb;
	struct buf	 names;
	size_t		 n;
};

static void
batch_say(struct redis_bus *b, struct batch_of_names *batch)
{
	autobuf struct buf resp = { 0 };

	if (batch->n == 0)
		return;
	resp_begin(&resp, batch->n + 1);
	resp_word(&resp, slice_str(batch->verb));
	buf_add_slice(&resp, buf_slice(&batch->names));
	redis_link_say(&b->link, &resp, on_push, b);
	batch->names.n = 0;
	batch->n = 0;
}

static void
batch_add(struct redis_bus *b, struct batch_of_names *batch, struct redis_sub *s)
{
	resp_word(&batch->names, sub_name(s));
	s->told = !s->told;
	s->due = true;
	b->due++;
	batch->n++;
	if (batch->n == BATCH)
		batch_say(b, batch);
}

static void
bus_tell_changes(struct redis_bus *b)
{
	struct batch_of_names wanted = { .verb = "SUBSCRIBE" };
	struct batch_of_names unwanted = { .verb = "UNSUBSCRIBE" };
	bool		      quiet = b->due == 0;
	struct list	     *link;

	while ((link = list_take_link(&b->changed)) != NULL) {
		struct redis_sub *s = list_entry(link, struct redis_sub, in_changed);

		if (s->due)
			continue;
		if (sub_is_told(s))
			sub_settle(s);
		else
			batch_add(b, s->told ? &unwanted : &wanted, s);
	}
	batch_say(b, &wanted);
	batch_say(b, &unwanted);
	buf_done(&wanted.names);
	buf_done(&unwanted.names);
	if (!quiet || b->due == 0)
		return;
	b->heard_at = b->link.loop->now;
	loop_timer(b->link.loop, &b->watch, b->heard_at + b->link.options->answer_ms);
}

/* Without a connection there is nobody to be told: those that are wanted are told on the next one. */
static void
bus_forget_changes(struct redis_bus *b)
{
	struct list *link;

	while ((link = list_take_link(&b->changed)) != NULL) {
		struct redis_sub *s = list_entry(link, struct redis_sub, in_changed);

		if (s->on_message == NULL)
			sub_free(s);
	}
}

static void
on_task(struct loop_task *t)
{
	struct redis_bus *b = container_of(t, struct redis_bus, task);

	if (!redis_link_takes(&b->link)) {
		if (b->link.context == NULL)
			bus_forget_changes(b);
		return;
	}
	if (b->link.state >= REDIS_SETTLING)
		bus_tell_changes(b);
}

static void
on_watch(struct timer *t, uint64_t now)
{
	struct redis_bus *b = container_of(t, struct redis_bus, watch);
	uint64_t	  deadline = b->heard_at + b->link.options->answer_ms;

	if (b->due == 0)
		return;
	if (now >= deadline)
		redis_link_doom(&b->link, "no acknowledgement in time");
	else
		loop_timer(b->link.loop, &b->watch, deadline);
}

static void
on_login(struct redis_link *l)
{
	struct redis_bus *b = container_of(l, struct redis_bus, link);
	size_t		  at = 0;
	struct redis_sub *s;

	while ((s = map_next(&b->subs, &at)) != NULL)
		if (list_empty(&s->in_changed))
			list_append(&b->changed, &s->in_changed);
	/* However many there are: from here on on_watch() looks whether it goes on. */
	timer_stop(&l->timer);
	bus_tell_changes(b);
	b->due_first = b->due;
	if (b->due_first == 0)
		bus_up(b);
}

/* The server has forgotten all of it. */
static void
on_end(struct redis_link *l, const char *why)
{
	struct redis_bus *b = container_of(l, struct redis_bus, link);
	size_t		  at = 0;
	struct redis_sub *s;

	timer_stop(&b->watch);
	b->due = b->due_first = 0;
	while ((s = map_next(&b->subs, &at)) != NULL) {
		s->told = s->holds = s->due = false;
		if (s->on_message == NULL && list_empty(&s->in_changed))
			list_append(&b->changed, &s->in_changed);
	}
	bus_forget_changes(b);
	b->on_down(b, why);
}

static void
on_refused(struct redis_link *l, const char *why)
{
	struct redis_bus *b = container_of(l, struct redis_bus, link);

	b->on_refused(b, why);
}

void
redis_bus_init(struct redis_bus *b, struct loop *loop, const struct redis_options *options)
{
	static const struct redis_link_owner owner = {
		.on_login = on_login, .on_end = on_end, .on_refused = on_refused
	};

	*b = (struct redis_bus){ .task.run = on_task, .watch.fire = on_watch };
	list_init(&b->changed);
	map_init(&b->subs, sub_name);
	redis_link_init(&b->link, loop, options, &owner);
}

void
redis_bus_done(struct redis_bus *b)
{
	size_t		  at = 0;
	struct redis_sub *s;

	redis_link_done(&b->link);
	timer_stop(&b->watch);
	loop_forget_task(&b->task);
	while ((s = map_next(&b->subs, &at)) != NULL)
		free(s);
	map_done(&b->subs);
}
