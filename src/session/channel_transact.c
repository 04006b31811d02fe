/*
 * The transactions of <roost/channel.h>: changes of a topic that are decided once for all nodes.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "history/history.h"
#include "session/channel.h"
#include "wire/json.h"

/* In env->changes until it is done. */
struct change {
	struct list	    in_env;
	struct list	    in_channel;
	struct channel	   *channel;	/* NULL: it was leaving when this began */
	struct routes	   *table;	/* our reference: what the class has of its route may be needed */
	struct transaction *under_way;
	struct channel_transaction what;
	bool		    nonsense;	/* what was decided cannot be posted */
};

static void
change_free(struct change *c)
{
	list_remove(&c->in_channel);
	list_remove(&c->in_env);
	routes_unref(c->table);
	free(c);
}

/* Nobody will decide it any more. */
static void
change_give_up(struct change *c)
{
	c->what.done(NULL, c->what.arg, -EHOSTUNREACH, slice(NULL, 0));
	change_free(c);
}

/* Could the message be read again? What is put together of sound parts may be too deep, or have too many members. */
static bool
change_is_sound(const struct history_change *change)
{
	struct slice   payload = buf_slice(&change->payload);
	enum json_kind kind;

	return change->event.n > 0 && change->limits.max > 0 && json_scan(payload, &kind) == (ssize_t)payload.n &&
	    kind == JSON_OBJECT;
}

static bool
change_decide(void *arg, struct history_change *change)
{
	struct change  *c = arg;
	struct channel *ch = c->channel;
	bool		post;

	if (ch != NULL)
		ch->depth++;
	post = c->what.decide(ch, c->what.arg, change);
	if (ch != NULL) {
		ch->depth--;
		channel_settle(ch, 0);
		/* The channel ended in it, and this with it. */
		if (ch->phase == CHANNEL_OVER)
			return false;
	}
	c->nonsense = post && !change_is_sound(change);
	return post && !c->nonsense;
}

static void
change_done(void *arg, int error, struct slice id)
{
	struct change  *c = arg;
	struct channel *ch = c->channel;

	list_remove(&c->in_channel);
	if (c->nonsense)
		error = -EINVAL;
	if (ch != NULL)
		ch->depth++;
	c->what.done(ch, c->what.arg, error, id);
	if (ch != NULL) {
		ch->depth--;
		channel_settle(ch, 0);
	}
	change_free(c);
}

static const struct transaction_user change_user = { .decide = change_decide, .done = change_done };

int
channel_transact(struct channel *ch, const struct channel_transaction *what)
{
	struct channel_history *h = ch->history;
	struct transaction_user user = change_user;
	struct change	       *c;

	if (h == NULL)
		return -EINVAL;
	c = xmalloc(sizeof(*c));
	*c = (struct change){ .table = ch->route->table, .what = *what };
	routes_ref(c->table);
	list_append(&ch->session->env->changes, &c->in_env);
	if (ch->phase != CHANNEL_OVER) {
		c->channel = ch;
		list_append(&h->changes, &c->in_channel);
	}
	user.arg = c;
	c->under_way = history_transact(h->feed, &user, channel_user(ch), what->insist);
	return 0;
}

void
channel_changes_end(struct channel_history *h)
{
	struct list *link;

	while ((link = list_take_link(&h->changes)) != NULL) {
		struct change *c = list_entry(link, struct change, in_channel);

		transaction_cancel(c->under_way);
		change_give_up(c);
	}
}

void
channel_changes_drop(struct list *changes)
{
	struct list *link;

	while ((link = list_take_link(changes)) != NULL)
		change_give_up(list_entry(link, struct change, in_env));
}
