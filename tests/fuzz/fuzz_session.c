/*
 * A node's sessions as a program of random steps: clients speak, the class does whatever it may (from within any callback),
 * time passes, tokens end, connections go. Whatever happens, each client hears a conversation that makes sense: one live
 * instance of a channel at a time, nothing of it before its join was answered and nothing behind its end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "history/history.h"
#include "net/outq.h"
#include "presence/tracker.h"
#include "session/channel.h"
#include "session/classes.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_CLIENTS	4
#define MAX_KNOWN	32
#define MAX_NESTED	4	/* acts within acts */
#define N_TOPICS	4

static const char *const topics[N_TOPICS] = { "room:a", "room:b", "room:c", "a:b" };

/* What a client knows by what it heard: the join_ref of the live instance, 0 = none. */
struct client {
	struct session	session;
	struct outq	out;
	struct addr	peer;
	bool		gone;
	unsigned	live[N_TOPICS];
};

/* The program: what is left of it, and what it works on. */
static struct slice program;
static struct client *clients[MAX_CLIENTS];
static unsigned n_clients;
static struct channel *known[MAX_KNOWN];	/* let in by the class, and not over */
static unsigned n_known;
static struct channel_ref *refs[MAX_KNOWN];
static unsigned n_refs;
static unsigned nested;
static unsigned next_ref;
static struct session_env env;

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* 0 to n - 1, as the program says. */
static unsigned
choose(unsigned n)
{
	unsigned char c;

	if (program.n == 0)
		return 0;
	c = (unsigned char)*program.p;
	program = slice_from(program, 1);
	return c % n;
}

/* What the class learnt last is asked for by large bytes, so that the other ones mean what they always meant. */
static bool
choose_more(void)
{
	if (program.n == 0 || (unsigned char)*program.p < 0xe0)
		return false;
	program = slice_from(program, 1);
	return true;
}

/* The class. */

static void
act_on_refs(struct channel *ch)
{
	struct channel_ref *ref;

	if (choose(2) == 0 && n_refs > 0)
		channel_ref_reply(refs[--n_refs], choose(2) == 0, channel_empty());
	else if (n_refs < MAX_KNOWN && (ref = channel_defer(ch)) != NULL)
		refs[n_refs++] = ref;
}

static void
act_on_presence(struct channel *ch)
{
	static const char *const keys[] = { "u", "v" }, *const metas[] = { "{}", "{\"a\":1}" };
	struct slice key = slice_str(keys[choose(2)]);

	switch (choose(5)) {
	case 0:
		channel_watch(ch);
		break;
	case 1:
		channel_track(ch, key, slice_str(metas[choose(2)]));
		break;
	case 2:
		channel_update(ch, key, slice_str(metas[choose(2)]));
		break;
	case 3:
		channel_untrack(ch, key);
		break;
	default:
		channel_set_leave_grace(ch, choose(200));
	}
}

static void act(struct channel *);

static void
on_loaded(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	act(ch);
	channel_ref_reply(ref, page->error == 0, channel_empty());
}

static void
act_on_history(struct channel *ch)
{
	if (choose(3) == 0)
		channel_load(ch, choose(2) == 0, slice(NULL, 0), choose(4), on_loaded);
	else
		channel_post(ch, slice_str(choose(2) == 0 ? "said" : "shouted"), SLICE("{}"), SLICE("{}"), choose(2) == 0);
}

/* Anything that a class may do with a channel. */
static void
act_on(struct channel *ch)
{
	if (choose_more()) {
		if (choose(2) == 0)
			act_on_presence(ch);
		else
			act_on_history(ch);
		return;
	}
	switch (choose(14)) {
	case 0:
		channel_push(ch, SLICE("pushed"), channel_empty());
		break;
	case 1:
		channel_broadcast(ch, SLICE("said"), channel_empty());
		break;
	case 2:
		channel_broadcast(ch, SLICE("shouted"), channel_empty());
		break;
	case 3:
		channel_broadcast_from(ch, SLICE("shouted"), channel_binary(SLICE("\x01")));
		break;
	case 4:
		channel_stop(ch);
		break;
	case 5:
		channel_fail(ch, "why not");
		break;
	case 6:
		channel_accept(ch, channel_empty());
		break;
	case 7:
		channel_refuse(ch, channel_empty());
		break;
	case 8:
		channel_set_timer(ch, (int)choose(3), choose(200));
		break;
	case 9:
		channel_stop_timer(ch, (int)choose(3));
		break;
	case 10:
		channel_reply_ok(ch, channel_empty());
		break;
	case 11:
		channel_reply_reason(ch, "no");
		break;
	default:
		act_on_refs(ch);
	}
}

/* With the channel whose turn it is, or any other. */
static void
act(struct channel *ch)
{
	unsigned whom = choose(2 * (n_known + 1));

	if (nested == MAX_NESTED)
		return;
	nested++;
	act_on(whom < n_known ? known[whom] : ch);
	nested--;
}

/* Mostly fine. */
static int
outcome(void)
{
	return choose(12) == 11 ? -1 : 0;
}

/* Decides, mostly. */
static void
on_page(struct channel *ch, const struct history_page *page)
{
	unsigned what = choose(4);

	act(ch);
	if (what < 2)
		channel_accept(ch, channel_empty());
	else if (what == 2)
		channel_refuse(ch, channel_empty());
}

static int
on_join(struct channel *ch, const struct channel_message *params)
{
	static const int results[] = { CHANNEL_OK, CHANNEL_OK, CHANNEL_LATER, CHANNEL_LATER, CHANNEL_REFUSED, -1 };
	const struct history_limits limits = { .max = 3 };
	int		 result;

	act(ch);
	if (choose_more())
		channel_keep_history(ch, &limits);
	result = n_known < MAX_KNOWN ? results[choose(6)] : CHANNEL_REFUSED;
	if (result == CHANNEL_LATER && choose_more())
		result = channel_catch_up(ch, choose(2) == 0 ? SLICE("nonsense") : slice(NULL, 0), choose(4), on_page);
	if (result == CHANNEL_OK || result == CHANNEL_LATER)
		known[n_known++] = ch;
	return result;
}

static int
on_joined(struct channel *ch)
{
	act(ch);
	return outcome();
}

static int
on_message(struct channel *ch, const struct channel_message *m)
{
	act(ch);
	return outcome();
}

static int
on_intercepted(struct channel *ch, const struct channel_message *m)
{
	channel_push(ch, m->event, m->payload);
	act(ch);
	return outcome();
}

static int
on_timer(struct channel *ch, int timer)
{
	act(ch);
	return outcome();
}

/* Once for each channel that was let in, and for no other. */
static void
on_leave(struct channel *ch, const char *why)
{
	unsigned i = 0;

	while (i < n_known && known[i] != ch)
		i++;
	must(i < n_known);
	known[i] = known[--n_known];
	act(ch);
}

static const char *const intercepts[] = { "shouted", NULL };
static const struct channel_class wild = {
	.abi = ROOST_CHANNEL_ABI, .name = "wild", .state_size = 8, .intercepts = intercepts, .join = on_join, .joined = on_joined,
	.handle_in = on_message, .handle_out = on_intercepted, .handle_info = on_timer, .leave = on_leave,
};

/* What clients hear. Refs are numbers in quotes; those of joins are even. */

static unsigned
ref_of(struct slice token)
{
	return token.p[0] == '"' ? (unsigned)strtoul(token.p + 1, NULL, 10) : 0;
}

static unsigned
topic_of(struct slice topic)
{
	unsigned i = 0;

	while (i < N_TOPICS && !slice_is(topic, topics[i]))
		i++;
	must(i < N_TOPICS);
	return i;
}

static void
hear_reply(unsigned *live, unsigned join_ref, unsigned ref, bool ok)
{
	bool joined = ok && ref != 0 && ref % 2 == 0;

	if (joined) {
		must(*live == 0 && (join_ref == 0 || join_ref == ref));
		*live = ref;
	}
}

/* "system" comes where history has lost what was not read yet. */
static bool
is_broadcast(struct slice event)
{
	return slice_is(event, "said") || slice_is(event, "presence_diff") || slice_is(event, "system");
}

static void
hear(struct client *c, const struct inbound *in)
{
	unsigned *live = &c->live[topic_of(in->topic)], join_ref = ref_of(in->join_ref), ref = ref_of(in->ref);
	bool	  close = slice_is(in->event, "phx_close"), error = slice_is(in->event, "phx_error");

	if (slice_is(in->event, "phx_reply")) {
		hear_reply(live, join_ref, ref, slice_starts(in->payload, SLICE("{\"status\":\"ok\"")));
		return;
	}
	must(*live != 0);
	must(ref == 0 || close || error);
	must(join_ref == *live || (join_ref == 0 && is_broadcast(in->event)));
	if (close || error) {
		must(ref == *live);
		*live = 0;
	}
}

/* A binary push: its join_ref, topic and event lie behind their lengths. */
static void
hear_binary(struct client *c, struct slice data)
{
	unsigned join_ref_n = (unsigned char)data.p[1], topic_n = (unsigned char)data.p[2];
	struct slice topic = slice(data.p + 4 + join_ref_n, topic_n);

	must(data.p[0] == 0);
	must(c->live[topic_of(topic)] == (unsigned)strtoul(data.p + 4, NULL, 10));
}

static void
hear_all(struct client *c)
{
	while (c->out.n > 0) {
		struct frame  *f = outq_at(&c->out, 0);
		struct slice   data = slice(frame_body(f), frame_body_len(f));
		struct inbound in;

		if (f->opcode == 2) {
			hear_binary(c, data);
		} else {
			must(codec_phoenix_v2.decode(&in, false, data) == 0);
			hear(c, &in);
		}
		outq_drop(&c->out, f->len);
	}
}

/* What must be true of a session between two steps. */
static unsigned
check_session(const struct session *s)
{
	unsigned n = 0, joined = 0;

	for (const struct channel *ch = s->channels; ch != NULL; ch = ch->next, n++) {
		must(ch->phase != CHANNEL_OVER && ch->depth == 0 && !ch->stopping);
		must((ch->phase == CHANNEL_JOINED) == (ch->sub.topic != NULL) && !ch->sub.deaf);
		for (const struct channel *other = ch->next; other != NULL; other = other->next)
			must(!slice_eq(channel_topic(ch), channel_topic(other)));
		joined += ch->phase == CHANNEL_JOINED;
	}
	must(n == s->n_channels && s->current == NULL);
	return joined;
}

static void
check(void)
{
	unsigned joined = 0;

	for (unsigned i = 0; i < n_clients; i++) {
		hear_all(clients[i]);
		joined += check_session(&clients[i]->session);
	}
	must(joined == stats->channels);
}

/* The clients. */

static int
verify(void *arg, struct slice token, struct identity **who, const char **why)
{
	*who = identity_new(SLICE("u"), SLICE("u"), SLICE("{}"), wall_ms() / 1000 + 100000);
	return 0;
}

static void
flush(struct outq *q)
{
}

static void
on_close(struct session *s, unsigned code, const char *why)
{
	abort();
}

static void
on_pause(struct session *s, uint64_t ms)
{
}

static void
on_wake(struct session *s)
{
}

static const struct transport transport = { .name = "fuzz", .close = on_close, .pause = on_pause, .wake = on_wake };

static void
step_open(void)
{
	struct client *c;

	if (n_clients == MAX_CLIENTS)
		return;
	c = clients[n_clients++] = xcalloc(1, sizeof(*c));
	outq_init(&c->out, env.loop, flush);
	session_init(&c->session, &env, &transport, &codec_phoenix_v2, &c->out, &c->peer,
	    identity_new(SLICE("u"), SLICE("u"), SLICE("{}"), wall_ms() / 1000 + 100000));
}

static void
step_say(struct client *c)
{
	static const char *const events[] = { "phx_join", "phx_join", "phx_leave", "say", "say", "access_token" };
	static const char *const payloads[] = { "{}", "{\"token\":\"t\",\"access_token\":\"t\"}", "7" };
	unsigned	 event = choose(6), join_ref = choose(2), topic = choose(N_TOPICS);
	autofree char	*text = NULL;

	next_ref += 2;
	join_ref = event <= 1 ? join_ref * next_ref : join_ref * c->live[topic];
	text = xasprintf("[%s%.0u%s,\"%u\",\"%s\",\"%s\",%s]", join_ref != 0 ? "\"" : "null", join_ref, join_ref != 0 ? "\"" : "",
	    next_ref + (event > 1), topics[topic], events[event], payloads[choose(3)]);
	session_receive(&c->session, false, slice_str(text));
}

/* Tokens of one kind end, the connection's or its channels' own. */
static void
step_age(struct client *c)
{
	int64_t seconds = choose(2) == 0 ? 100000 - 30 : 100000;

	if (c->gone)
		return;
	if (choose(2) == 0)
		c->session.who->expires -= seconds;
	for (struct channel *ch = c->session.channels; ch != NULL; ch = ch->next)
		if (ch->who != NULL && choose(2) == 0)
			ch->who->expires -= seconds;
	session_tick(&c->session, env.loop->now);
}

static void
step_go(struct client *c)
{
	if (!c->gone)
		session_done(&c->session);
	c->gone = true;
}

static void
step_pass(uint64_t ms)
{
	env.loop->now += ms;
	loop_end_turn(env.loop);
}

static void
step(void)
{
	struct client *c = clients[choose(n_clients)];
	unsigned       what = choose(16);

	if (what < 9)
		step_say(c);
	else if (what < 12)
		step_pass(choose(250));
	else if (what == 12)
		step_age(c);
	else if (what == 13)
		step_open();
	else if (what == 14)
		step_go(c);
	else if (n_known > 0)
		act(known[choose(n_known)]);
}

static int64_t
wall(void)
{
	return (int64_t)env.loop->now;
}

static void
begin(void)
{
	static const struct route_rate rate = { "say", { 3, 100 } };
	const struct tracker_options presence = { .window_ms = 50, .load_ms = 100, .max_metas = 3, .max_meta = 64 };
	const struct history_options keeping = { .max_held = 64 };
	const char *why_not;
	char	   *why;

	if (class_find("wild") == NULL) {
		log_open(&(struct log_options){ .level = LOG_ERROR_ });
		must(class_add(&wild, &why_not) == 0);
	}
	session_env_init(&env, loop_new(), broker_local_new());
	env.tracker = tracker_new(env.loop, &env.pubsub, "n", &presence, NULL, NULL);
	env.history = history_new(env.loop, &env.pubsub, store_memory_new(env.loop, 1024, wall), &keeping);
	env.event_rates = &rate;
	env.n_event_rates = 1;
	env.verify = verify;
	env.routes = routes_new();
	env.limits = (struct session_limits){
		.max_channels = 3, .max_topic = 256, .join_queue = 4, .join_ms = 300, .expiry_warning_ms = 60000,
	};
	must(routes_add(env.routes, &(struct route_options){ .pattern = "*", .class = "wild" }, &why) == 0);
	stats->channels = 0;
	next_ref = 0;
	step_open();
	step_open();
}

static void
end(void)
{
	struct loop *loop = env.loop;

	for (unsigned i = 0; i < n_clients; i++)
		step_go(clients[i]);
	must(n_known == 0 && stats->channels == 0);
	loop_end_turn(loop);
	while (n_refs > 0)
		channel_ref_reply(refs[--n_refs], true, channel_empty());
	for (; n_clients > 0; n_clients--) {
		outq_done(&clients[n_clients - 1]->out);
		free(clients[n_clients - 1]);
	}
	tracker_free(env.tracker);
	history_free(env.history);
	session_env_done(&env);
	loop_free(loop);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	program = slice((const char *)data, size);
	begin();
	while (program.n > 0) {
		step();
		check();
	}
	end();
	return 0;
}
