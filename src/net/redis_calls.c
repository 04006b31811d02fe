/*
 * Calls: queued, pipelined, answered.
 */
#include "net/redis_calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/redis_resp.h"

/* What is behind `rest` in the text is the same for EVALSHA and EVAL. */
struct call {
	struct redis_calls	  *calls;
	struct list		   in_calls;
	redis_reply_fn		  *fn;		/* may be NULL */
	void			  *arg;
	const struct redis_script *script;	/* NULL = no EVALSHA */
	struct buf		   text;	/* kept only while it may be needed again */
	size_t			   rest;
	size_t			   words;
	size_t			   bytes;	/* that count for max_queue; 0 = our own */
	uint64_t		   sent_at;
};

static void on_answer(redisAsyncContext *, void *reply, void *arg);

static struct call *
call_new(struct redis_calls *c, redis_reply_fn *fn, void *arg)
{
	struct call *call = xmalloc(sizeof(*call));

	*call = (struct call){ .calls = c, .fn = fn, .arg = arg };
	return call;
}

static void
call_free(struct call *call)
{
	call->calls->bytes -= call->bytes;
	list_remove(&call->in_calls);
	buf_done(&call->text);
	free(call);
}

static void
call_tell(struct call *call, const struct redisReply *r)
{
	redis_reply_fn *fn = call->fn;
	void	       *arg = call->arg;

	call_free(call);
	if (fn != NULL)
		fn(arg, r);
}

/* Looks again in so many ms, or earlier. */
static void
calls_watch(struct redis_calls *c, uint64_t due)
{
	loop_timer(c->link.loop, &c->watch, due);
}

static void
call_send(struct call *call)
{
	struct redis_calls *c = call->calls;

	call->sent_at = c->link.loop->now;
	if (list_empty(&c->sent))
		calls_watch(c, call->sent_at + c->link.options->answer_ms);
	list_append(&c->sent, &call->in_calls);
	redis_link_say(&c->link, &call->text, on_answer, call);
	if (call->script == NULL)
		buf_done(&call->text);
}

static int
call_queue(struct call *call)
{
	struct redis_calls *c = call->calls;
	size_t		    n = call->text.n;

	if (c->bytes + n > c->link.options->max_queue) {
		call_free(call);
		return -ENOBUFS;
	}
	call->bytes = n;
	c->bytes += n;
	if (list_empty(&c->again) && list_empty(&c->held))
		call_send(call);
	else
		list_append(&c->held, &call->in_calls);
	return 0;
}

bool
redis_calls_are_taken(const struct redis_calls *c)
{
	return c->link.state == REDIS_UP && redis_link_takes(&c->link);
}

int
redis_calls_command(struct redis_calls *c, redis_reply_fn *fn, void *arg, const struct slice *argv, unsigned argc)
{
	struct call *call;

	if (!redis_calls_are_taken(c))
		return -ENOTCONN;
	call = call_new(c, fn, arg);
	resp_begin(&call->text, argc);
	for (unsigned i = 0; i < argc; i++)
		resp_word(&call->text, argv[i]);
	return call_queue(call);
}

int
redis_calls_eval(struct redis_calls *c, const struct redis_script *script, redis_reply_fn *fn, void *arg,
    const struct slice *keys, unsigned n_keys, const struct slice *args, unsigned n_args)
{
	struct call *call;
	char	     number[16];

	if (!redis_calls_are_taken(c))
		return -ENOTCONN;
	call = call_new(c, fn, arg);
	call->script = script;
	call->words = (size_t)3 + n_keys + n_args;
	resp_begin(&call->text, call->words);
	resp_word(&call->text, SLICE("EVALSHA"));
	resp_word(&call->text, slice_str(script->sha));
	call->rest = call->text.n;
	snprintf(number, sizeof(number), "%u", n_keys);
	resp_word(&call->text, slice_str(number));
	for (unsigned i = 0; i < n_keys; i++)
		resp_word(&call->text, keys[i]);
	for (unsigned i = 0; i < n_args; i++)
		resp_word(&call->text, args[i]);
	return call_queue(call);
}

/* The server does not know the script any more. */
static void
call_retry(struct call *call)
{
	struct redis_calls *c = call->calls;
	struct buf	    text = { 0 };

	log_debug("redis: the server has lost the script %s", call->script->name);
	resp_begin(&text, call->words);
	resp_word(&text, SLICE("EVAL"));
	resp_word(&text, slice_str(call->script->text));
	buf_add_slice(&text, slice_from(buf_slice(&call->text), call->rest));
	buf_done(&call->text);
	call->text = text;
	call->script = NULL;
	c->bytes += text.n - call->bytes;
	call->bytes = text.n;
	list_remove(&call->in_calls);
	list_append(&c->again, &call->in_calls);
}

static void
calls_send_all(struct list *calls)
{
	struct list *link;

	while ((link = list_take_link(calls)) != NULL)
		call_send(list_entry(link, struct call, in_calls));
}

static bool
says(const struct redisReply *r, const char *start)
{
	return r->type == REDIS_REPLY_ERROR && strncmp(r->str, start, strlen(start)) == 0;
}

/* Such a server cannot serve us; the call is answered NULL when the connection ends. */
static bool
is_useless(const struct redisReply *r)
{
	return says(r, "READONLY") || says(r, "LOADING") || says(r, "MASTERDOWN");
}

static void
on_answer(redisAsyncContext *context, void *reply, void *arg)
{
	struct call		*call = arg;
	const struct redisReply *r = reply;
	struct redis_calls	*c;

	/* Without a reply the call may be gone. */
	if (r == NULL)
		return;
	c = call->calls;
	if (!redis_link_hears(&c->link, r))
		return;
	c->heard_at = c->link.loop->now;
	if (is_useless(r)) {
		redis_link_doom_by(&c->link, "an answer", r);
		return;
	}
	if (call->script != NULL && says(r, "NOSCRIPT"))
		call_retry(call);
	else
		call_tell(call, r);
	if (!list_empty(&c->sent))
		return;
	calls_watch(c, c->heard_at + c->link.options->ping_ms);
	calls_send_all(&c->again);
	calls_send_all(&c->held);
}

static void
on_pong(void *arg, const struct redisReply *r)
{
	struct redis_calls *c = arg;

	if (r != NULL && r->type != REDIS_REPLY_STATUS)
		redis_link_doom_by(&c->link, "PING", r);
}

static void
calls_ping(struct redis_calls *c)
{
	struct call *call = call_new(c, on_pong, c);

	resp_begin(&call->text, 1);
	resp_word(&call->text, SLICE("PING"));
	call_send(call);
}

static void
on_watch(struct timer *t, uint64_t now)
{
	struct redis_calls	   *c = container_of(t, struct redis_calls, watch);
	const struct redis_options *o = c->link.options;
	const struct call	   *oldest;

	if (!redis_link_takes(&c->link))
		return;
	if (list_empty(&c->sent)) {
		calls_ping(c);
		return;
	}
	oldest = list_entry(c->sent.next, struct call, in_calls);
	if (now >= oldest->sent_at + o->answer_ms)
		redis_link_doom(&c->link, "no answer in time");
	else
		calls_watch(c, oldest->sent_at + o->answer_ms);
}

static void
calls_up(struct redis_calls *c)
{
	redis_link_up(&c->link);
	c->heard_at = c->link.loop->now;
	calls_watch(c, c->heard_at + c->link.options->ping_ms);
	c->on_up(c);
}

static void
on_loaded(void *arg, const struct redisReply *r)
{
	struct redis_calls *c = arg;

	if (r == NULL)
		return;
	if (r->type != REDIS_REPLY_STRING) {
		redis_link_doom_by(&c->link, "SCRIPT LOAD", r);
		return;
	}
	c->loading--;
	if (c->loading == 0)
		calls_up(c);
}

static void
on_login(struct redis_link *l)
{
	struct redis_calls *c = container_of(l, struct redis_calls, link);

	c->loading = 0;
	for (const struct redis_script *s = c->scripts; s != NULL; s = s->next) {
		struct call *call = call_new(c, on_loaded, c);

		resp_begin(&call->text, 3);
		resp_word(&call->text, SLICE("SCRIPT"));
		resp_word(&call->text, SLICE("LOAD"));
		resp_word(&call->text, slice_str(s->text));
		c->loading++;
		call_send(call);
	}
	if (c->loading == 0)
		calls_up(c);
}

static void
calls_lose(struct redis_calls *c)
{
	struct list lost;
	struct list *link;

	timer_stop(&c->watch);
	list_init(&lost);
	list_append_all(&lost, &c->again);
	list_append_all(&lost, &c->sent);
	list_append_all(&lost, &c->held);
	while ((link = list_take_link(&lost)) != NULL)
		call_tell(list_entry(link, struct call, in_calls), NULL);
}

static void
on_end(struct redis_link *l, const char *why)
{
	struct redis_calls *c = container_of(l, struct redis_calls, link);

	calls_lose(c);
	c->on_down(c, why);
}

static void
on_refused(struct redis_link *l, const char *why)
{
	struct redis_calls *c = container_of(l, struct redis_calls, link);

	c->on_refused(c, why);
}

void
redis_calls_init(struct redis_calls *c, struct loop *loop, const struct redis_options *options)
{
	static const struct redis_link_owner owner = {
		.on_login = on_login, .on_end = on_end, .on_refused = on_refused
	};

	*c = (struct redis_calls){ .watch.fire = on_watch };
	list_init(&c->again);
	list_init(&c->sent);
	list_init(&c->held);
	redis_link_init(&c->link, loop, options, &owner);
}

void
redis_calls_done(struct redis_calls *c)
{
	redis_link_done(&c->link);
	calls_lose(c);
}
