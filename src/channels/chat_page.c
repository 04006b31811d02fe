/*
 * The class chat: what was said before, for who comes and for who asks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/chat.h"

#define MAX_NAME	128	/* bytes of a name in a list */

int
chat_remember(struct chat *chat, struct slice params)
{
	char	     scratch[CHANNEL_ID_LEN];
	struct slice id;
	int	     r = common_text(params, "last_seen_id", scratch, sizeof(scratch), &id);

	if (r == 0)
		return 0;
	/* What is no id at all is one that is not known. */
	chat->last_seen = r > 0 && id.n <= CHANNEL_ID_LEN ? strndup(id.p, id.n) : strdup("");
	return chat->last_seen != NULL ? 0 : -ENOMEM;
}

bool
chat_is_blocked(const struct channel *ch, struct slice payload)
{
	char	     scratch[MAX_NAME];
	struct slice user;

	if (channel_list_count(ch) == 0)
		return false;
	return common_text(payload, "user_id", scratch, sizeof(scratch), &user) > 0 && channel_list_has(ch, user);
}

/* Whose it is need not be looked for in what channels posted: who blocks a whole room has all of it looked at. */
bool
chat_wants(const struct channel *ch, const struct history_message *m)
{
	if (!slice_is(m->event, "new_message"))
		return false;
	return m->user.n > 0 ? !channel_list_has(ch, m->user) : !chat_is_blocked(ch, m->payload);
}

static const struct common_list chat_messages = { .name = "messages", .add = common_add_message };

/* The newcomer is in even where the store cannot be read: it may ask again. */
static void
chat_accept(struct channel *ch, const struct history_page *page)
{
	struct chat	  *chat = channel_state(ch);
	bool		   since = chat->last_seen != NULL;
	autobuf struct buf greeting = { 0 }, reply = { 0 };
	bool		   more;

	buf_add_char(&greeting, '{');
	more = common_add_list(&greeting, &chat_messages, page, since && page->recovered);
	buf_add_slice(&reply, buf_slice(&greeting));
	buf_add_char(&greeting, '}');
	buf_addf(&reply, ",\"has_more\":%s", more ? "true" : "false");
	if (since || page->error != 0)
		buf_addf(&reply, ",\"recovered\":%s", page->recovered ? "true" : "false");
	buf_add_str(&reply, ",\"last_read_id\":");
	if (page->mark.p != NULL)
		channel_json_add(&reply, page->mark);
	else
		buf_add_str(&reply, "null");
	buf_add_char(&reply, '}');
	free(chat->last_seen);
	chat->last_seen = NULL;
	/* It is to be said before what came meanwhile, whoever is blocked now. */
	channel_set_intercepting(ch, true);
	chat->greeting = &greeting;
	channel_accept(ch, channel_json(buf_slice(&reply)));
	chat->greeting = NULL;
}

void
chat_greet(struct channel *ch)
{
	struct chat	 *chat = channel_state(ch);
	const struct buf *greeting = chat->greeting;

	if (greeting == NULL)
		return;
	chat->greeting = NULL;
	channel_push(ch, SLICE("messages_history"), channel_json(buf_slice(greeting)));
}

int
chat_catch_up(struct channel *ch)
{
	const struct chat *chat = channel_state(ch);
	struct slice	   last_seen = chat->last_seen != NULL ? slice_str(chat->last_seen) : slice(NULL, 0);

	return channel_catch_up(ch, last_seen, COMMON_NEWEST, chat_accept);
}

static void
chat_loaded_before(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	common_answer_page(ref, &chat_messages, page, false);
}

static void
chat_loaded_after(struct channel *ch, struct channel_ref *ref, const struct history_page *page)
{
	common_answer_page(ref, &chat_messages, page, true);
}

int
chat_load(struct channel *ch, const struct channel_message *m)
{
	return common_load(ch, m, chat_loaded_before, chat_loaded_after);
}
