/*
 * A class for tests, as a loadable module: its topics and events do each thing that a channel can, one at a time. Tests and
 * protocol references call it "Fixture F".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roost/channel.h>

#define SLOW_MAX	8	/* answers of one channel that may wait; their timers have the numbers below it */
#define JOIN_TIMER	100
#define TICK_TIMER	101
#define BOOM_TIMER	102
#define LATE_MAX	64

/* Of each route. */
struct fixture_route {
	uint64_t slow_ms;	/* how long `slow` takes */
	uint64_t join_ms;	/* and a join of :slow, :slowno */
	bool	 tell;		/* the others hear `left` when a channel ends */
};

/* Of each channel. */
struct fixture {
	struct channel_ref *slow[SLOW_MAX];	/* by the number of its timer */
	unsigned	    ticks;		/* `tick`s still to be pushed */
	char		   *key;		/* of :pres*, until it has joined: as whom it is present */
	char		   *meta;
};

/* Answers that wait for anyone's `settle`: they may outlive their channels, their connections even. */
static struct channel_ref *late[LATE_MAX];
static unsigned n_late;

static const struct channel_option fixture_options[] = {
	{ "slow", "1000", "ms that the event slow takes" },
	{ "join", "500", "ms that a join takes which is decided later" },
	{ "tell", "no", "others hear when a channel ends, and why" },
	{ 0 }
};

static const char *const fixture_intercepts[] = { "shouted", NULL };

static int
option_ms(const struct channel_route *route, const char *name, uint64_t *ms)
{
	char *end;

	*ms = strtoul(channel_route_option(route, name), &end, 10);
	return *end == '\0' ? 0 : -1;
}

static int
fixture_configure(const struct channel_route *route, void **data, const char **why)
{
	struct fixture_route *r = calloc(1, sizeof(*r));

	*why = "out of memory";
	*data = r;
	if (r == NULL)
		return -1;
	*why = "slow, join: expected ms; tell: expected yes or no";
	if (option_ms(route, "slow", &r->slow_ms) == 0 && option_ms(route, "join", &r->join_ms) == 0 &&
	    channel_route_bool(route, "tell", &r->tell) == 0)
		return 0;
	free(r);
	*data = NULL;
	return -1;
}

static bool
topic_is(struct channel *ch, const char *name)
{
	return slice_is(channel_capture(ch, "*"), name);
}

static bool
topic_shows_presence(struct channel *ch)
{
	return slice_starts(channel_capture(ch, "*"), SLICE("pres"));
}

/* {"key":K,"name":N}: the caller frees both; NULL where there is no key. */
static int
presence_read(struct slice fields, char **key, char **meta)
{
	struct slice token = channel_json_member(fields, "key"), name = channel_json_member(fields, "name"), text;
	char	     scratch[512];

	*key = *meta = NULL;
	if (token.p == NULL || channel_json_string(token, scratch, sizeof(scratch), &text) < 0)
		return 0;
	*key = strndup(text.p, text.n);
	if (name.p == NULL)
		*meta = strdup("{}");
	else if (asprintf(meta, "{\"name\":%.*s}", SLICE_ARG(name)) < 0)
		*meta = NULL;
	return *key != NULL && *meta != NULL ? 0 : -ENOMEM;
}

static void
presence_forget(struct fixture *f)
{
	free(f->key);
	free(f->meta);
	f->key = f->meta = NULL;
}

static int
fixture_join(struct channel *ch, const struct channel_message *params)
{
	const struct fixture_route *r = channel_route_data(ch);
	struct fixture		   *f = channel_state(ch);

	if (topic_shows_presence(ch))
		return presence_read(params->payload.bytes, &f->key, &f->meta);
	if (topic_is(ch, "denied"))
		return CHANNEL_REFUSED;
	if (topic_is(ch, "crashjoin"))
		return -EIO;
	if (topic_is(ch, "slow") || topic_is(ch, "slowno"))
		channel_set_timer(ch, JOIN_TIMER, r->join_ms);
	if (topic_is(ch, "slow") || topic_is(ch, "slowno") || topic_is(ch, "never"))
		return CHANNEL_LATER;
	if (topic_is(ch, "reply"))
		channel_reply_ok(ch, channel_json(SLICE("{\"hello\":\"world\"}")));
	if (topic_is(ch, "params"))
		channel_reply_ok(ch, params->payload);
	if (topic_is(ch, "because"))
		channel_reply_reason(ch, "I \"say\" so");
	return topic_is(ch, "because") ? CHANNEL_REFUSED : CHANNEL_OK;
}

static int
fixture_joined(struct channel *ch)
{
	struct fixture *f = channel_state(ch);

	if (topic_shows_presence(ch))
		channel_watch(ch);
	if (f->key != NULL)
		channel_track(ch, slice_str(f->key), slice_str(f->meta));
	presence_forget(f);
	if (topic_is(ch, "greeting")) {
		channel_push(ch, SLICE("after_push"), channel_json(SLICE("{\"n\":1}")));
		channel_broadcast(ch, SLICE("after_bcast"), channel_json(SLICE("{\"n\":2}")));
	}
	return topic_is(ch, "crashjoined") ? -EIO : 0;
}

static int
on_echo(struct channel *ch, const struct channel_message *m)
{
	channel_reply_ok(ch, m->payload);
	return 0;
}

static int
on_err(struct channel *ch, const struct channel_message *m)
{
	channel_reply_error(ch, m->payload);
	return 0;
}

static int
on_noreply(struct channel *ch, const struct channel_message *m)
{
	return 0;
}

/* One answer counts: the second one, and the one for later, come to nothing. */
static int
on_twice(struct channel *ch, const struct channel_message *m)
{
	channel_reply_ok(ch, m->payload);
	channel_reply_error(ch, channel_empty());
	return channel_defer(ch) == NULL ? 0 : -EIO;
}

static int
on_push(struct channel *ch, const struct channel_message *m)
{
	channel_push(ch, SLICE("pushed"), m->payload);
	return 0;
}

static int
on_bcast(struct channel *ch, const struct channel_message *m)
{
	channel_broadcast(ch, m->event, m->payload);
	channel_reply_ok(ch, channel_empty());
	return 0;
}

static int
on_bcast_from(struct channel *ch, const struct channel_message *m)
{
	channel_broadcast_from(ch, m->event, m->payload);
	channel_reply_ok(ch, channel_empty());
	return 0;
}

static int
on_shout(struct channel *ch, const struct channel_message *m)
{
	channel_broadcast(ch, SLICE("shouted"), m->payload);
	return 0;
}

static int
on_boom(struct channel *ch, const struct channel_message *m)
{
	return -EIO;
}

static int
on_boom_later(struct channel *ch, const struct channel_message *m)
{
	channel_set_timer(ch, BOOM_TIMER, 10);
	return 0;
}

static int
on_fail(struct channel *ch, const struct channel_message *m)
{
	channel_fail(ch, "told \"so\"");
	return 0;
}

static int
on_stop(struct channel *ch, const struct channel_message *m)
{
	channel_stop(ch);
	return 0;
}

static int
on_stopreply(struct channel *ch, const struct channel_message *m)
{
	channel_reply_ok(ch, m->payload);
	channel_stop(ch);
	return 0;
}

static int
on_slow(struct channel *ch, const struct channel_message *m)
{
	const struct fixture_route *r = channel_route_data(ch);
	struct fixture		   *f = channel_state(ch);
	int			    place = 0;

	while (place < SLOW_MAX && f->slow[place] != NULL)
		place++;
	if (place == SLOW_MAX) {
		channel_reply_reason(ch, "busy");
		return 0;
	}
	f->slow[place] = channel_defer(ch);
	channel_set_timer(ch, place, r->slow_ms);
	return 0;
}

static int
on_late(struct channel *ch, const struct channel_message *m)
{
	if (n_late == LATE_MAX) {
		channel_reply_reason(ch, "busy");
		return 0;
	}
	late[n_late++] = channel_defer(ch);
	return 0;
}

/* Answers what waited, then itself with how many those were. */
static int
on_settle(struct channel *ch, const struct channel_message *m)
{
	char	 text[32];
	unsigned n = n_late;

	while (n_late > 0)
		channel_ref_reply(late[--n_late], true, m->payload);
	snprintf(text, sizeof(text), "{\"settled\":%u}", n);
	channel_reply_ok(ch, channel_json(slice_str(text)));
	return 0;
}

/* Pushes `tick` three times; asked again, it begins anew. */
static int
on_tick(struct channel *ch, const struct channel_message *m)
{
	struct fixture *f = channel_state(ch);

	f->ticks = 3;
	channel_set_timer(ch, TICK_TIMER, 20);
	return 0;
}

static int
on_untick(struct channel *ch, const struct channel_message *m)
{
	channel_stop_timer(ch, TICK_TIMER);
	channel_reply_ok(ch, channel_empty());
	return 0;
}

/* The channel as the class sees it. */
static int
on_whoami(struct channel *ch, const struct channel_message *m)
{
	char  user[1024], name[1024], topic[2048], *text;
	int   user_n = channel_json_quote(channel_user(ch), user, sizeof(user));
	int   name_n = channel_json_quote(channel_user_name(ch), name, sizeof(name));
	int   topic_n = channel_json_quote(channel_topic(ch), topic, sizeof(topic));
	int   n = -1;

	if (user_n >= 0 && name_n >= 0 && topic_n >= 0)
		n = asprintf(&text, "{\"user\":%.*s,\"name\":%.*s,\"topic\":%.*s,\"claims\":%.*s}", user_n, user, name_n,
		    name, topic_n, topic, SLICE_ARG(channel_claims(ch)));
	if (n < 0)
		return -ENOMEM;
	channel_reply_ok(ch, channel_json(slice(text, (size_t)n)));
	free(text);
	return 0;
}

/* `before`, the data, `behind`: the caller frees it. */
static char *
wrapped(struct slice before, struct slice data, struct slice behind, struct slice *all)
{
	size_t n = before.n + data.n + behind.n;
	char  *p = malloc(n > 0 ? n : 1);

	if (p == NULL)
		return NULL;
	memcpy(p, before.p, before.n);
	memcpy(p + before.n, data.p, data.n);
	memcpy(p + before.n + data.n, behind.p, behind.n);
	*all = slice(p, n);
	return p;
}

static int
on_bin(struct channel *ch, const struct channel_message *m)
{
	struct slice pushed, reply;
	char	    *p = wrapped(SLICE("\x09"), m->payload.bytes, SLICE(""), &pushed);
	char	    *r = wrapped(SLICE(""), m->payload.bytes, SLICE("\x07"), &reply);

	if (p != NULL && r != NULL) {
		channel_push(ch, SLICE("binpush"), channel_binary(pushed));
		channel_reply_ok(ch, channel_binary(reply));
	}
	free(p);
	free(r);
	return p != NULL && r != NULL ? 0 : -ENOMEM;
}

static int
on_binb(struct channel *ch, const struct channel_message *m)
{
	channel_broadcast(ch, m->event, channel_binary(m->payload.bytes));
	return 0;
}

/* What the three make of {key, name}: {}, or their errno's name as an error. */
static int
presence_change(struct channel *ch, const struct channel_message *m,
    int (*change)(struct channel *, struct slice key, struct slice meta))
{
	char *key, *meta;
	int   r = presence_read(m->payload.bytes, &key, &meta);

	if (r == 0)
		r = key != NULL ? change(ch, slice_str(key), slice_str(meta)) : -EINVAL;
	free(key);
	free(meta);
	if (r < 0)
		channel_reply_reason(ch, strerrorname_np(-r));
	else
		channel_reply_ok(ch, channel_empty());
	return 0;
}

static int
on_ptrack(struct channel *ch, const struct channel_message *m)
{
	return presence_change(ch, m, channel_track);
}

static int
on_pupdate(struct channel *ch, const struct channel_message *m)
{
	return presence_change(ch, m, channel_update);
}

static int
untrack(struct channel *ch, struct slice key, struct slice meta)
{
	return channel_untrack(ch, key);
}

static int
on_puntrack(struct channel *ch, const struct channel_message *m)
{
	return presence_change(ch, m, untrack);
}

static bool
plist_add(void *arg, struct slice key, struct slice meta)
{
	struct buf *b = arg;

	buf_add_str(b, b->n > sizeof("{\"list\":[") - 1 ? ",[" : "[");
	channel_json_add(b, key);
	buf_add_char(b, ',');
	buf_add_slice(b, meta);
	buf_add_char(b, ']');
	return true;
}

/* The presences as the class sees them. */
static int
on_plist(struct channel *ch, const struct channel_message *m)
{
	autobuf struct buf b = { 0 };

	buf_add_str(&b, "{\"list\":[");
	channel_presences(ch, plist_add, &b);
	buf_addf(&b, "],\"count\":%u}", channel_presence_count(ch));
	channel_reply_ok(ch, channel_json(buf_slice(&b)));
	return 0;
}

static const struct event {
	const char	*name;
	int	       (*handle)(struct channel *, const struct channel_message *);
} events[] = {
	{ "echo", on_echo },
	{ "err", on_err },
	{ "noreply", on_noreply },
	{ "twice", on_twice },
	{ "push", on_push },
	{ "bcast", on_bcast },
	{ "bcast_from", on_bcast_from },
	{ "shout", on_shout },
	{ "boom", on_boom },
	{ "boom_later", on_boom_later },
	{ "fail", on_fail },
	{ "stop", on_stop },
	{ "stopreply", on_stopreply },
	{ "slow", on_slow },
	{ "late", on_late },
	{ "settle", on_settle },
	{ "tick", on_tick },
	{ "untick", on_untick },
	{ "whoami", on_whoami },
	{ "bin", on_bin },
	{ "binb", on_binb },
	{ "ptrack", on_ptrack },
	{ "pupdate", on_pupdate },
	{ "puntrack", on_puntrack },
	{ "plist", on_plist },
};

static int
fixture_handle_in(struct channel *ch, const struct channel_message *m)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (slice_is(m->event, events[i].name))
			return events[i].handle(ch, m);
	channel_reply_reason(ch, "unknown_event");
	return 0;
}

/* {"m":3} becomes {"m":3,"seen_by":null}. */
static int
fixture_handle_out(struct channel *ch, const struct channel_message *m)
{
	struct slice object = m->payload.bytes, all;
	struct slice more = SLICE(",\"seen_by\":null}");
	bool	     empty = slice_is(object, "{}");
	char	    *text;

	if (m->payload.binary)
		return channel_push(ch, m->event, m->payload);
	object.n--;
	text = wrapped(object, SLICE(""), empty ? slice_from(more, 1) : more, &all);
	if (text == NULL)
		return -ENOMEM;
	channel_push(ch, m->event, channel_json(all));
	free(text);
	return 0;
}

static void
fixture_tick(struct channel *ch, struct fixture *f)
{
	channel_push(ch, SLICE("tick"), channel_empty());
	if (--f->ticks > 0)
		channel_set_timer(ch, TICK_TIMER, 20);
}

static int
fixture_handle_info(struct channel *ch, int timer)
{
	struct fixture *f = channel_state(ch);

	if (timer == BOOM_TIMER)
		return -EIO;
	if (timer == TICK_TIMER)
		fixture_tick(ch, f);
	else if (timer == JOIN_TIMER && topic_is(ch, "slow"))
		channel_accept(ch, channel_empty());
	else if (timer == JOIN_TIMER)
		channel_refuse(ch, channel_json(SLICE("{\"reason\":\"no\"}")));
	else if (timer >= 0 && timer < SLOW_MAX) {
		channel_ref_reply(f->slow[timer], true, channel_json(SLICE("{\"slow\":true}")));
		f->slow[timer] = NULL;
	}
	return 0;
}

static void
fixture_leave(struct channel *ch, const char *why)
{
	const struct fixture_route *r = channel_route_data(ch);
	struct fixture		   *f = channel_state(ch);
	char			    text[64];

	for (unsigned i = 0; i < SLOW_MAX; i++)
		if (f->slow[i] != NULL)
			channel_ref_reply(f->slow[i], false, channel_empty());
	presence_forget(f);
	snprintf(text, sizeof(text), "{\"why\":\"%s\"}", why);
	if (r->tell)
		channel_broadcast(ch, SLICE("left"), channel_json(slice_str(text)));
}

static const struct channel_class fixture_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "fixture",
	.state_size = sizeof(struct fixture),
	.options = fixture_options,
	.intercepts = fixture_intercepts,
	.configure = fixture_configure,
	.unconfigure = free,
	.join = fixture_join,
	.joined = fixture_joined,
	.handle_in = fixture_handle_in,
	.handle_out = fixture_handle_out,
	.handle_info = fixture_handle_info,
	.leave = fixture_leave,
};

const struct channel_class *const roost_module_classes[] = { &fixture_class, NULL };
