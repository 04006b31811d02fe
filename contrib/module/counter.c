/*
 * A sample module: a shared counter per topic. Build and load it:
 *
 *   cc -O2 -fPIC -shared -Iinclude -o counter.so contrib/module/counter.c
 *   route "counter:{name}" { module = "/path/to/counter.so"  options = { "step=1" } }
 *
 * (in the source folder; once roost is installed, -I is the include folder of its prefix).
 *
 * Clients push `add {"by":2}` and get {"value":N}; everyone in the topic hears `changed {"value":N,"name":NAME}`.
 * Who says nothing for a minute is asked with `still_there`. `whisper` is intercepted: it reaches only clients that
 * joined with {"ears":true}.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roost/channel.h>

#define SILENCE_TIMER	1
#define SILENCE_MS	60000

/* The values by topic: a module has the process to itself while it runs, so a plain list will do. */
struct counter {
	struct counter	*next;
	long		 value;
	unsigned	 members;
	size_t		 n;
	char		 topic[];
};

static struct counter *counters;

/* What each channel remembers: zero at first. */
struct member {
	struct counter	*counter;
	bool		 ears;
};

static const struct channel_option counter_options[] = {
	{ "step", "1", "what add adds when it does not say" },
	{ 0 }
};

static int
counter_configure(const struct channel_route *route, void **data, const char **why)
{
	char *end;
	long  step = strtol(channel_route_option(route, "step"), &end, 10);

	*why = "step: expected a number";
	*data = (void *)step;
	return *end == '\0' ? 0 : -1;
}

static struct counter *
counter_of(struct slice topic)
{
	struct counter *c = counters;

	while (c != NULL && !slice_eq(topic, slice(c->topic, c->n)))
		c = c->next;
	if (c != NULL || (c = calloc(1, sizeof(*c) + topic.n)) == NULL)
		return c;
	memcpy(c->topic, topic.p, topic.n);
	c->n = topic.n;
	c->next = counters;
	return counters = c;
}

static void
counter_drop(struct counter *c)
{
	struct counter **at = &counters;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	free(c);
}

static struct slice
counter_text(const struct member *m, char *out, size_t size)
{
	int n = snprintf(out, size, "{\"value\":%ld}", m->counter->value);

	return slice(out, (size_t)n);
}

static int
counter_join(struct channel *ch, const struct channel_message *params)
{
	struct member *m = channel_state(ch);
	char	       text[64];

	m->counter = counter_of(channel_topic(ch));
	if (m->counter == NULL)
		return -ENOMEM;
	m->counter->members++;
	m->ears = !params->payload.binary && slice_is(channel_json_member(params->payload.bytes, "ears"), "true");
	channel_reply_ok(ch, channel_json(counter_text(m, text, sizeof(text))));
	return CHANNEL_OK;
}

static int
counter_joined(struct channel *ch)
{
	channel_set_timer(ch, SILENCE_TIMER, SILENCE_MS);
	return 0;
}

static void
counter_changed(struct channel *ch)
{
	struct member *m = channel_state(ch);
	char	       name[512], text[640];
	int	       n = channel_json_quote(channel_capture(ch, "name"), name, sizeof(name));

	if (n < 0)
		return;
	n = snprintf(text, sizeof(text), "{\"value\":%ld,\"name\":%.*s}", m->counter->value, n, name);
	channel_broadcast(ch, SLICE("changed"), channel_json(slice(text, (size_t)n)));
}

/* Whole numbers of up to 18 characters: no fraction, no exponent. The token was checked as JSON before we see it. */
static bool
parse_integer(struct slice token, long *out)
{
	char  text[20], *end;

	if (token.n > 18)
		return false;
	memcpy(text, token.p, token.n);
	text[token.n] = '\0';
	*out = strtol(text, &end, 10);
	return end > text && *end == '\0';
}

static int
counter_add(struct channel *ch, struct slice by)
{
	struct member *m = channel_state(ch);
	char	       text[64];
	long	       step = (long)channel_route_data(ch);

	if ((by.p != NULL && !parse_integer(by, &step)) || __builtin_add_overflow(m->counter->value, step, &m->counter->value)) {
		channel_reply_error(ch, channel_json(SLICE("{\"reason\":\"invalid_payload\",\"field\":\"by\"}")));
		return 0;
	}
	counter_changed(ch);
	channel_reply_ok(ch, channel_json(counter_text(m, text, sizeof(text))));
	return 0;
}

static int
counter_handle_in(struct channel *ch, const struct channel_message *m)
{
	channel_set_timer(ch, SILENCE_TIMER, SILENCE_MS);
	if (slice_is(m->event, "add") && !m->payload.binary)
		return counter_add(ch, channel_json_member(m->payload.bytes, "by"));
	if (slice_is(m->event, "whisper")) {
		channel_broadcast_from(ch, m->event, m->payload);
		channel_reply_ok(ch, channel_empty());
		return 0;
	}
	channel_reply_reason(ch, "unknown_event");
	return 0;
}

static int
counter_handle_out(struct channel *ch, const struct channel_message *m)
{
	struct member *member = channel_state(ch);

	return member->ears ? channel_push(ch, m->event, m->payload) : 0;
}

static int
counter_handle_info(struct channel *ch, int timer)
{
	channel_set_timer(ch, SILENCE_TIMER, SILENCE_MS);
	return channel_push(ch, SLICE("still_there"), channel_empty());
}

static void
counter_leave(struct channel *ch, const char *why)
{
	struct member *m = channel_state(ch);

	if (--m->counter->members == 0)
		counter_drop(m->counter);
}

static const char *const counter_intercepts[] = { "whisper", NULL };

static const struct channel_class counter_class = {
	.abi = ROOST_CHANNEL_ABI,
	.name = "counter",
	.state_size = sizeof(struct member),
	.options = counter_options,
	.intercepts = counter_intercepts,
	.configure = counter_configure,
	.join = counter_join,
	.joined = counter_joined,
	.handle_in = counter_handle_in,
	.handle_out = counter_handle_out,
	.handle_info = counter_handle_info,
	.leave = counter_leave,
};

ROOST_API const struct channel_class *const roost_module_classes[] = { &counter_class, NULL };
