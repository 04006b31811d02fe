/*
 * Messages that a topic keeps, as channel classes see them.
 */
#ifndef ROOST_HISTORY_H
#define ROOST_HISTORY_H

#include <stdint.h>

#include <roost/buf.h>
#include <roost/slice.h>

/* How much of a topic is kept. */
struct history_limits {
	uint32_t	max;	/* messages; > 0 */
	uint64_t	age_ms;	/* 0 = for ever */
	uint64_t	last_ms;	/* the newest message lives so long, where that is longer; 0 = no longer than others */
};

/* Borrowed for the length of the call. */
struct history_message {
	struct slice	id;	/* UUIDv7: it gives the message's place in the topic */
	struct slice	event;
	struct slice	payload;	/* JSON object's text, as it was said: without the id */
	struct slice	user;	/* who said it; may be empty */
	int64_t		at;	/* ms since 1970 */
};

struct history_page {
	int		error;		/* -errno: the store cannot be read now; all else is zero then */
	const struct history_message *messages;	/* oldest first */
	unsigned	n;
	bool		more;		/* further ones lie beyond, in the direction of reading */
	bool		recovered;	/* the id that was asked from is kept: nothing is missing behind it */
	struct slice	mark;		/* at channel_catch_up(): the id that the user marked last; p == NULL: none */
};

/* What a transaction decides: see channel_transact(). */
struct history_change {
	const struct history_message *newest;	/* NULL: none is kept */
	struct buf	event;		/* out: of the message that is posted; empty before; freed by who asks */
	struct buf	payload;	/* out: JSON object */
	struct history_limits limits;	/* in and out: what is kept when it is posted */
};

#endif
