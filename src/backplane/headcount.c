/*
 * Headcounts: ours that are under way, and our answers to others.
 */
#include "backplane/headcount.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cluster/cluster_message.h"
#include "wire/json.h"
#include "wire/message.h"

struct asked {
	headcount_fn	*fn;
	void		*arg;
	unsigned	 n;
	struct headcount counts[];
};

void
headcounts_init(struct headcounts *hs, struct inquiries *inquiries, struct hub *hub)
{
	*hs = (struct headcounts){ .inquiries = inquiries, .hub = hub };
}

/* What one node has. */
static void
headcount_add(struct headcount *c, uint64_t clients, uint64_t since)
{
	if (clients == 0)
		return;
	c->clients += clients;
	c->nodes++;
	if (c->since == 0 || (int64_t)since < c->since)
		c->since = (int64_t)since;
}

/* What this node has. */
static struct headcount
headcount_here(const struct headcounts *hs, struct slice topic)
{
	const struct topic *t = hub_topic(hs->hub, topic);
	struct headcount    c = { 0 };

	if (t != NULL)
		headcount_add(&c, t->n, (uint64_t)t->since);
	return c;
}

/* The next number of a list; false at its end, and where something else stands. */
static bool
take_number(struct slice *list, uint64_t *n)
{
	struct slice   token;
	enum json_kind kind;

	if (json_take_value(list, &token, &kind) < 0 || cluster_number(token, n) < 0)
		return false;
	json_take(list, ',');
	return true;
}

static bool
headcount_answered(void *arg, struct slice message)
{
	struct asked *a = arg;
	struct slice  counts = json_member(message, "counts"), since = json_member(message, "since");
	uint64_t      clients, ms;

	if (!json_take(&counts, '[') || !json_take(&since, '['))
		return false;
	for (unsigned i = 0; i < a->n && take_number(&counts, &clients) && take_number(&since, &ms); i++)
		headcount_add(&a->counts[i], clients, ms);
	return false;
}

static void
headcount_end(void *arg, unsigned silent)
{
	struct asked *a = arg;

	a->fn(a->arg, a->counts, silent);
	free(a);
}

static const struct inquiry_user headcount_inquiry = {
	.question = "count", .wait_ms = HEADCOUNT_MS, .on_answer = headcount_answered, .on_end = headcount_end, .on_drop = free,
};

static int
ask_all(struct headcounts *hs, const struct slice *topics, unsigned n, struct asked *a)
{
	autobuf struct buf members = { 0 };

	buf_add_str(&members, ",\"topics\":[");
	for (unsigned i = 0; i < n; i++) {
		buf_add_str(&members, i > 0 ? "," : "");
		json_quote(&members, topics[i]);
	}
	buf_add_char(&members, ']');
	return inquiry(hs->inquiries, &headcount_inquiry, buf_slice(&members), a);
}

int
headcount(struct headcounts *hs, const struct slice *topics, unsigned n, headcount_fn *fn, void *arg)
{
	struct asked *a = xcalloc(1, sizeof(*a) + n * sizeof(a->counts[0]));
	int	      r;

	*a = (struct asked){ .fn = fn, .arg = arg, .n = n };
	if (n == 0 || hs->inquiries->cluster == NULL) {
		for (unsigned i = 0; i < n; i++)
			a->counts[i] = headcount_here(hs, topics[i]);
		headcount_end(a, 0);
		return 0;
	}
	r = ask_all(hs, topics, n, a);
	if (r < 0)
		free(a);
	return r;
}

void
headcounts_on_message(struct headcounts *hs, struct slice message)
{
	autobuf struct buf members = { 0 }, since = { 0 };
	struct slice	   list = json_member(message, "topics"), token, topic;
	enum json_kind	   kind;
	char		   scratch[WIRE_MAX_TOPIC];

	if (!json_take(&list, '['))
		return;
	buf_add_str(&members, ",\"counts\":[");
	while (json_take_value(&list, &token, &kind) == 0) {
		struct headcount c = { 0 };

		if (kind == JSON_STRING && json_text(token, scratch, sizeof(scratch), &topic) == 0)
			c = headcount_here(hs, topic);
		buf_addf(&members, "%s%llu", since.n > 0 ? "," : "", (unsigned long long)c.clients);
		buf_addf(&since, "%s%lld", since.n > 0 ? "," : "", (long long)c.since);
		json_take(&list, ',');
	}
	buf_add_str(&members, "],\"since\":[");
	buf_add_slice(&members, buf_slice(&since));
	buf_add_char(&members, ']');
	inquiry_answer(hs->inquiries, "counted", message, buf_slice(&members));
}
