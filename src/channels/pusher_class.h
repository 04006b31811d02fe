/*
 * What the files of the class pusher share: pusher_class.c (who joins, and what is said), pusher_members.c (who is there).
 */
#ifndef CHANNELS_PUSHER_CLASS_H
#define CHANNELS_PUSHER_CLASS_H

#include "channels/common.h"

/* What a topic is, by its name. */
enum pusher_topic {
	PUSHER_NONE,
	PUSHER_PUBLIC,
	PUSHER_PRIVATE,
	PUSHER_PRESENCE
};

/* Read once per route. */
struct pusher_route {
	uint64_t leave_grace;	/* ms */
};

/* Of each channel. */
struct pusher {
	enum pusher_topic topic;
	struct buf	  meta;		/* of a presence topic, until it has joined: what will be shown of its client */
	uint64_t	  listed;	/* when it joined anew where many are, last: ms; 0 = never */
};

/* The object "userInfo" of a payload; p == NULL where it is left out, if it may be. False with an answer. */
bool pusher_read_info(struct channel *, const struct channel_message *, bool required, struct slice *info);

/*
 * Members: a presence under the user's id, {"clientId",…what it tells of itself…,"joinedAt","updatedAt"}, is told as a
 * member {"id",…the same}.
 */

/* At the join: composes what will be shown. False with an answer. */
bool pusher_introduce(struct channel *, struct slice info);
/* The members are known: the join is accepted. */
void pusher_accept(struct channel *);
/* It has joined: from now on it is shown. */
int pusher_appear(struct channel *);
/* It has joined before: answered as the join was, with the members as they are now. */
void pusher_answer_again(struct channel *);
/* channel:update */
int pusher_update(struct channel *, const struct channel_message *);
/* handle_presence */
int pusher_tell_members(struct channel *, const struct channel_presence *);

#endif
