/*
 * The bench: one node's environment, its clients, and the class "probe".
 */
#include "session_bench.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define MAX_CLIENTS	24

struct session_env bench;
struct channel_class probe;
struct channel *probe_channel;
struct channel_ref *probe_ref;

static struct client *clients[MAX_CLIENTS];
static unsigned n_clients;
static char journal[1024];

/* A store that may fail, before the one that keeps. */
struct failing_store {
	struct store	store;
	struct store   *real;
	int		error;
	bool		later;
	bool		loses;
	struct list	failed;		/* struct failed: still to be told */
	bool		holds;
	unsigned	n_held;
	struct list	held;		/* struct held_read */
};

static struct failing_store *failing;
int64_t bench_wall;

#define MAX_DOWN	4

uint64_t bench_epoch;
static const char *down[MAX_DOWN];
static unsigned n_down;

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

/* The anonymous claim nothing, others that they are their `sub`. */
static struct identity *
identity_of(struct slice user, int64_t seconds)
{
	autobuf struct buf claims = { 0 };

	buf_add_str(&claims, user.n > 0 ? "{\"sub\":" : "{");
	if (user.n > 0)
		json_quote(&claims, user);
	buf_add_char(&claims, '}');
	return identity_new(user, user, buf_slice(&claims), seconds != 0 ? wall_ms() / 1000 + seconds : INT64_MAX);
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
bench_serve(const char *pattern, const struct channel_class *class, struct route_setting *settings, unsigned n,
    const struct rate *rate)
{
	struct route_rate rates[] = { { "say", rate != NULL ? *rate : (struct rate){ 0 } } };
	const char	 *why;

	if (class_find(class->name) == NULL)
		ck_assert_int_eq(class_add(class, &why), 0);
	add_route(&(struct route_options){
		.pattern = pattern, .class = class->name, .public = true, .settings = settings, .n_settings = n,
		.rates = rates, .n_rates = rate != NULL,
	});
}

void
bench_refuses(const struct channel_class *class, struct route_setting setting, const char *why)
{
	autofree char *said = NULL;
	const char    *fault;

	if (class_find(class->name) == NULL)
		ck_assert_int_eq(class_add(class, &fault), 0);
	ck_assert_int_eq(routes_add(bench.routes, &(struct route_options){
		.pattern = "s:*", .class = class->name, .settings = &setting, .n_settings = 1,
	}, &said), -EINVAL);
	ck_assert_msg(strstr(said, why) != NULL, "%s", said);
}

static int64_t
bench_clock(void)
{
	return bench_wall;
}

/* What was asked is told as the real store tells, but for its result. */
struct failed {
	struct list	   in_store;
	store_appended_fn *appended;
	store_page_fn	  *page;
	store_marked_fn	  *marked;	/* of lists, too */
	store_list_fn	  *list;
	void		  *arg;
	int		   error;
};

static struct failed
failed_take(struct failed *told)
{
	struct failed f = *told;

	list_remove(&told->in_store);
	free(told);
	return f;
}

static void
tell_failed_append(void *arg, int error, struct position at, uint64_t tail, uint64_t retry_ms)
{
	struct failed f = failed_take(arg);

	f.appended(f.arg, f.error, (struct position){ 0 }, 0, 0);
}

static void
tell_failed_page(void *arg, int error, const struct store_page *page)
{
	struct failed f = failed_take(arg);

	if (f.page != NULL)
		f.page(f.arg, f.error, NULL);
	else if (f.list != NULL)
		f.list(f.arg, f.error, NULL, 0);
	else
		f.marked(f.arg, f.error);
}

static struct failed *
failed_new(const struct failed *f)
{
	struct failed *copy = xmalloc(sizeof(*copy));

	*copy = *f;
	list_append(&failing->failed, &copy->in_store);
	return copy;
}

static int
failing_append(struct store *s, const struct store_append *a, store_appended_fn *fn, void *arg)
{
	struct failing_store *f = container_of(s, struct failing_store, store);
	struct store_append   nowhere = *a;

	f->real->user = s->user;
	f->real->arg = s->arg;
	if (f->loses)
		return f->real->ops->append(f->real, a, tell_failed_append,
		    failed_new(&(struct failed){ .appended = fn, .arg = arg, .error = -EHOSTUNREACH }));
	if (f->error == 0)
		return f->real->ops->append(f->real, a, fn, arg);
	if (!f->later)
		return f->error;
	nowhere.topic = SLICE("nowhere");
	return f->real->ops->append(f->real, &nowhere, tell_failed_append,
	    failed_new(&(struct failed){ .appended = fn, .arg = arg, .error = f->error }));
}

/* A read that is kept back. */
struct held_read {
	struct list	  in_store;
	struct store_read read;		/* its topic and reader live as long as it */
	store_page_fn	 *fn;
	void		 *arg;
};

static int
hold_read(struct failing_store *f, const struct store_read *r, store_page_fn *fn, void *arg)
{
	struct held_read *held = xmalloc(sizeof(*held));

	*held = (struct held_read){ .read = *r, .fn = fn, .arg = arg };
	list_append(&f->held, &held->in_store);
	f->n_held++;
	return 0;
}

static int
failing_read(struct store *s, const struct store_read *r, store_page_fn *fn, void *arg)
{
	struct failing_store *f = container_of(s, struct failing_store, store);

	if (f->error == 0 && f->holds)
		return hold_read(f, r, fn, arg);
	if (f->error == 0)
		return f->real->ops->read(f->real, r, fn, arg);
	if (!f->later)
		return f->error;
	return f->real->ops->read(f->real, r, tell_failed_page,
	    failed_new(&(struct failed){ .page = fn, .arg = arg, .error = f->error }));
}

/* Whatever else is asked fails as it does: at once, or by way of a read. */
static int
failing_fail(const struct failing_store *f, const struct failed *told)
{
	const struct store_read nowhere = { .topic = SLICE("nowhere"), .limit = 1, .limits = { .max = 1 } };

	if (!f->later)
		return f->error;
	return f->real->ops->read(f->real, &nowhere, tell_failed_page, failed_new(told));
}

static int
failing_mark(struct store *s, const struct store_mark *mark, store_marked_fn *fn, void *arg)
{
	struct failing_store *f = container_of(s, struct failing_store, store);

	if (f->error == 0)
		return f->real->ops->mark(f->real, mark, fn, arg);
	return failing_fail(f, &(struct failed){ .marked = fn, .arg = arg, .error = f->error });
}

static int
failing_list(struct store *s, struct slice user, struct slice list, store_list_fn *fn, void *arg)
{
	struct failing_store *f = container_of(s, struct failing_store, store);

	if (f->error == 0)
		return f->real->ops->list(f->real, user, list, fn, arg);
	return failing_fail(f, &(struct failed){ .list = fn, .arg = arg, .error = f->error });
}

static int
failing_enlist(struct store *s, struct slice user, struct slice list, struct slice name, bool listed, store_listed_fn *fn,
    void *arg)
{
	struct failing_store *f = container_of(s, struct failing_store, store);

	if (f->error == 0)
		return f->real->ops->enlist(f->real, user, list, name, listed, fn, arg);
	return failing_fail(f, &(struct failed){ .marked = fn, .arg = arg, .error = f->error });
}

static void
failing_free(struct store *s)
{
	struct failing_store *f = container_of(s, struct failing_store, store);

	f->real->ops->free(f->real);
	list_each(link, &f->failed)
		free(list_entry(link, struct failed, in_store));
	list_each(link, &f->held)
		free(list_entry(link, struct held_read, in_store));
	free(f);
}

static struct store *
failing_new(struct store *real)
{
	static const struct store_ops ops = {
		.name = "failing", .append = failing_append, .read = failing_read, .mark = failing_mark,
		.list = failing_list, .enlist = failing_enlist, .free = failing_free,
	};

	failing = xcalloc(1, sizeof(*failing));
	failing->store.ops = &ops;
	failing->real = real;
	list_init(&failing->failed);
	list_init(&failing->held);
	return &failing->store;
}

void
bench_store_fails(int error, bool later)
{
	failing->error = error;
	failing->later = later;
}

void
bench_store_holds(void)
{
	failing->holds = true;
}

unsigned
bench_store_held(void)
{
	return failing->n_held;
}

bool
bench_store_reads(void)
{
	struct list	 *link = list_take_link(&failing->held);
	struct held_read *held;

	if (link == NULL)
		return false;
	held = list_entry(link, struct held_read, in_store);
	failing->n_held--;
	ck_assert_int_eq(failing->real->ops->read(failing->real, &held->read, held->fn, held->arg), 0);
	free(held);
	pass(10);
	return true;
}

static void
other_said(void *arg, int error, struct slice id, uint64_t retry_ms)
{
}

void
bench_other_says(const char *topic, const char *event, const char *payload)
{
	ck_assert_int_eq(history_say_to(bench.history, slice_str(topic), &(struct history_limits){ .max = 1000 },
	    slice_str(event), slice_str(payload), other_said, NULL), 0);
}

static void
other_listed(void *arg, int error)
{
	ck_assert_int_eq(error, 0);
}

void
bench_other_lists(const char *user, const char *list, const char *name, bool listed)
{
	ck_assert_int_eq(failing->real->ops->enlist(failing->real, slice_str(user), slice_str(list), slice_str(name), listed,
	    other_listed, NULL), 0);
	userlists_on_changed(bench.userlists, slice_str(user), slice_str(list));
}

static struct slice
peers_self(void *arg, uint64_t *epoch)
{
	*epoch = bench_epoch;
	return SLICE(BENCH_NODE);
}

static bool
peers_is_up(void *arg, struct slice node, uint64_t epoch)
{
	if (slice_is(node, BENCH_NODE))
		return epoch != 0 && epoch == bench_epoch;
	for (unsigned i = 0; i < n_down; i++)
		if (slice_is(node, down[i]))
			return false;
	return epoch != 0;
}

static const struct session_peers bench_peers = { .self = peers_self, .is_up = peers_is_up };

void
bench_node_is_down(const char *node)
{
	ck_assert_uint_lt(n_down, MAX_DOWN);
	down[n_down++] = node;
}

void
bench_store_loses_answers(bool loses)
{
	failing->loses = loses;
}

static void
bench_keeps(void)
{
	const struct tracker_options presence = {
		.window_ms = BENCH_WINDOW, .load_ms = 1000, .max_metas = 100, .max_meta = 4096,
	};
	struct store *store = failing_new(store_memory_new(bench.loop, 1 << 20, bench_clock));

	bench_wall = INT64_C(1800000000123);
	session_env_set_tracker(&bench, tracker_new(bench.loop, &bench.pubsub, "n1", &presence, NULL, NULL));
	bench.history = history_new(bench.loop, &bench.pubsub, store, &(struct history_options){ .max_held = 1 << 20 });
	bench.userlists = userlists_new(bench.loop, store, NULL, NULL);
	bench.peers = &bench_peers;
	bench_epoch = 1;
	n_down = 0;
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
	bench_keeps();
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
	bench.tracker = tracker_free(bench.tracker);
	bench.history = history_free(bench.history);
	bench.userlists = userlists_free(bench.userlists);
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

/* Is it that text, in which a star stands for an id, a ref or a number? */
static bool
is_like(struct slice got, const char *text)
{
	size_t at = 0;

	for (; *text != '\0'; text++) {
		if (*text != '*') {
			if (at == got.n || got.p[at++] != *text)
				return false;
			continue;
		}
		while (at < got.n && (isalnum((unsigned char)got.p[at]) || got.p[at] == '-' || got.p[at] == '_'))
			at++;
	}
	return at == got.n;
}

void
client_hears_like_at(struct client *c, const char *text, int line)
{
	struct frame *f = c->out.n > 0 ? outq_at(&c->out, 0) : NULL;
	struct slice  got = f != NULL ? slice(frame_body(f), frame_body_len(f)) : SLICE("nothing");

	ck_assert_msg(f != NULL && is_like(got, text), "line %d: heard %.*s, not %s", line, SLICE_ARG(got), text);
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
