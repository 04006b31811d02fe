/*
 * What the files of the class chat share.
 */
#ifndef CHANNELS_CHAT_H
#define CHANNELS_CHAT_H

#include "channels/common.h"

/* Read once per route. */
struct chat_route {
	struct history_limits kept;
	uint64_t leave_grace;		/* ms */
	uint64_t typing_timeout;	/* ms */
	uint64_t max_length;		/* characters of a message */
};

/* Of each channel. */
struct chat {
	char	*last_seen;	/* the join's last_seen_id, until it has joined; NULL = none */
	const struct buf *greeting;	/* what messages_history will say, while it has not; borrowed */
	bool	 blind;		/* whom the user blocks could not be read */
};

/* chat_page.c: messages that were kept */

/* Keeps the join's last_seen_id. 0 or -ENOMEM. */
int chat_remember(struct chat *, struct slice params);
/* Goes on with a join whose blocks are known: it is accepted with what was said before. */
int chat_catch_up(struct channel *);
/* Pushes messages_history, once: before all that the channel hears. */
void chat_greet(struct channel *);
int chat_load(struct channel *, const struct channel_message *);
/* Is the event of somebody whom this user blocks? */
bool chat_is_blocked(const struct channel *, struct slice payload);
/* wants: what is a message, and of nobody who is blocked */
bool chat_wants(const struct channel *, const struct history_message *);

/* chat_people.c: who is there, and who types */

/* The user comes, or is there already. */
void chat_appear(struct channel *);
/* For so long as the route says, or until it is said again. */
void chat_set_typing(struct channel *, bool typing);
/* handle_presence */
int chat_tell_people(struct channel *, const struct channel_presence *);
/* ,"user_id":ID */
void chat_add_user(struct buf *, struct slice user);
/* What the route's pattern has for {room_id}; else for its star; else the topic. */
struct slice chat_room_id(const struct channel *);

#endif
