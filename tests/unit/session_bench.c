/*
 * The bench: one node's environment, its clients, and the class "probe".
 */
#include "session_bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define MAX_CLIENTS	8

struct session_env bench;
struct channel_class probe;
struct channel *probe_channel;
struct channel_ref *probe_ref;

static struct client *clients[MAX_CLIENTS];
static unsigned n_clients;
static char journal[1024];

void
note(const char *fmt, ...)
{
	size_t	n = strlen(journal);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(journal + n, sizeof(journal) - n, fmt, ap);
	va_end(ap);
}

void
noted_at(const char *text, int line)
{
	ck_assert_msg(strcmp(journal, text) == 0, "line %d: the journal is \"%s\", not \"%s\"", line, journal, text);
	journal[0] = '\0';
}

static int
probe_join(struct channel *ch, const struct channel_message *params)
{
	probe_channel = ch;
	note("join %.*s;", SLICE_ARG(channel_topic(ch)));
	return CHANNEL_OK;
}

int
probe_join_later(struct channel *ch, const struct channel_message *params)
{
	probe_channel = ch;
	return CHANNEL_LATER;
}

static int
probe_joined(struct channel *ch)
{
	note("joined;");
	return 0;
}

static int
probe_in(struct channel *ch, const struct channel_message *m)
{
	if (slice_is(m->event, "echo"))
		channel_reply_ok(ch, m->payload);
	else if (slice_is(m->event, "err"))
		channel_reply_error(ch, m->payload);
	else if (slice_is(m->event, "push"))
		channel_push(ch, SLICE("pushed"), m->payload);
	else if (slice_is(m->event, "bcast"))
		channel_broadcast(ch, SLICE("bcast"), m->payload);
	else if (slice_is(m->event, "shout"))
		channel_broadcast(ch, SLICE("shouted"), m->payload);
	else if (slice_is(m->event, "defer"))
		probe_ref = channel_defer(ch);
	else if (slice_is(m->event, "boom"))
		return -EIO;
	return 0;
}

static int
probe_out(struct channel *ch, const struct channel_message *m)
{
	return channel_push(ch, m->event, m->payload);
}

static int
probe_info(struct channel *ch, int timer)
{
	note("info %d;", timer);
	return 0;
}

static void
probe_leave(struct channel *ch, const char *why)
{
	note("leave %s;", why);
}

static const char *const probe_intercepts[] = { "shouted", NULL };

static void
probe_reset(void)
{
	const char *why;

	probe = (struct channel_class){
		.abi = ROOST_CHANNEL_ABI, .name = "probe", .state_size = 24, .intercepts = probe_intercepts,
		.join = probe_join, .joined = probe_joined, .handle_in = probe_in, .handle_out = probe_out,
		.handle_info = probe_info, .leave = probe_leave,
	};
	/* Without forks it is there from the test before. */
	if (class_find("probe") == NULL)
		ck_assert_int_eq(class_add(&probe, &why), 0);
	probe_channel = NULL;
	probe_ref = NULL;
}

static struct identity *
identity_of(struct slice user, int64_t seconds)
{
	return identity_new(user, user, SLICE("{}"), seconds != 0 ? wall_ms() / 1000 + seconds : INT64_MAX);
}

/* "USER/SECONDS", a token that ends in so many seconds; "bad" is none. */
static int
verify(void *arg, struct slice token, struct identity **who, const char **why)
{
	const char *slash = memchr(token.p, '/', token.n);

	if (slash == NULL) {
		*why = "it is bad";
		return -EACCES;
	}
	*who = identity_of(slice(token.p, (size_t)(slash - token.p)), strtol(slash + 1, NULL, 10));
	return 0;
}

static void
add_route(const struct route_options *o)
{
	char *why;

	ck_assert_int_eq(routes_add(bench.routes, o, &why), 0);
}

void
bench_route(const char *pattern, const struct rate *rate)
{
	struct route_rate rates[] = { { "echo", rate != NULL ? *rate : (struct rate){ 0 } } };

	add_route(&(struct route_options){ .pattern = pattern, .class = "probe", .rates = rates, .n_rates = rate != NULL });
}

void
bench_begin(void)
{
	/* Only what the floor itself cannot go on with: clients' faults are part of the tests. */
	log_open(&(struct log_options){ .level = LOG_ERROR_ });
	probe_reset();
	session_env_init(&bench, loop_new(), broker_local_new());
	bench.verify = verify;
	bench.limits = (struct session_limits){
		.max_channels = 10, .max_topic = 256, .join_queue = 8, .join_ms = 10000, .leeway_ms = 30000,
		.expiry_warning_ms = 60000,
	};
	bench.routes = routes_new();
	add_route(&(struct route_options){ .pattern = "room:*", .class = "probe" });
	add_route(&(struct route_options){ .pattern = "{kind}:{name}:x", .class = "probe" });
	add_route(&(struct route_options){ .pattern = "public:*", .class = "probe", .public = true });
	journal[0] = '\0';
}

void
bench_end(void)
{
	struct loop *loop = bench.loop;

	for (; n_clients > 0; n_clients--) {
		struct client *c = clients[n_clients - 1];

		client_gone(c);
		outq_done(&c->out);
	}
	loop_end_turn(loop);
	for (unsigned i = 0; i < MAX_CLIENTS; i++) {
		free(clients[i]);
		clients[i] = NULL;
	}
	session_env_done(&bench);
	loop_free(loop);
}

static void
client_flush(struct outq *q)
{
}

static struct client *
client_of(struct session *s)
{
	return container_of(s, struct client, session);
}

static void
client_close(struct session *s, unsigned code, const char *why)
{
	client_of(s)->closed = code;
	session_done(s);
}

static void
client_pause(struct session *s, uint64_t ms)
{
	client_of(s)->paused = ms;
}

static void
client_wake(struct session *s)
{
	client_of(s)->wakes++;
}

static const struct transport bench_transport = {
	.name = "bench", .close = client_close, .pause = client_pause, .wake = client_wake,
};

struct client *
client_new(const struct codec *codec, const char *user, int64_t seconds)
{
	struct client *c = xcalloc(1, sizeof(*c));

	ck_assert_uint_lt(n_clients, MAX_CLIENTS);
	clients[n_clients++] = c;
	outq_init(&c->out, bench.loop, client_flush);
	session_init(&c->session, &bench, &bench_transport, codec, &c->out, &c->peer, identity_of(slice_str(user), seconds));
	return c;
}

struct client *
client_v2(void)
{
	return client_new(&codec_phoenix_v2, "u1", 0);
}

void
client_gone(struct client *c)
{
	if (c->session.who != NULL)
		session_done(&c->session);
}

void
client_says(struct client *c, const char *text)
{
	session_receive(&c->session, false, slice_str(text));
}

void
client_joins(struct client *c, const char *ref, const char *topic)
{
	autofree char *text = xasprintf("[\"%s\",\"%s\",\"%s\",\"phx_join\",{}]", ref, ref, topic);
	autofree char *reply = xasprintf(REPLY("\"%s\"", "\"%s\"", "%s", OK), ref, ref, topic);

	client_says(c, text);
	client_hears(c, reply);
}

void
client_hears_at(struct client *c, const char *text, int line)
{
	struct frame *f = c->out.n > 0 ? outq_at(&c->out, 0) : NULL;
	struct slice  got = f != NULL ? slice(frame_body(f), frame_body_len(f)) : SLICE("nothing");

	if (text == NULL)
		ck_assert_msg(f == NULL, "line %d: heard %.*s", line, SLICE_ARG(got));
	else
		ck_assert_msg(f != NULL && slice_is(got, text), "line %d: heard %.*s, not %s", line, SLICE_ARG(got), text);
	if (f != NULL)
		outq_drop(&c->out, f->len);
}

void
client_forgets(struct client *c)
{
	outq_clear_unsent(&c->out);
}

void
pass(uint64_t ms)
{
	bench.loop->now += ms;
	loop_end_turn(bench.loop);
}
