/*
 * A call between two users: what state it is in, and what becomes of it by what they do. Text in, text out: no channel
 * here, no clock and no store.
 */
#ifndef CHANNELS_CALL_H
#define CHANNELS_CALL_H

#include <roost/channel.h>

#define CALL_MAX_USER	512	/* bytes of a user's or a device's name */
#define CALL_MAX_NAME	128	/* bytes of other names */
#define CALL_MAX_EVENTS	400	/* that are kept of one call at a time: one page of history holds them, and some more */
#define CALL_NOBODY	(-1)	/* neither party */
#define CALL_SLOTS	7	/* of time, in which is counted what is kept: six that make up the whole, and the current one */

enum call_phase {
	CALL_IDLE,		/* there is none; the topic's two users stand */
	CALL_RINGING,
	CALL_ANSWERED,
	CALL_ACTIVE		/* something was said since the answer */
};

/* What is done to a call. */
enum call_event {
	/* By clients: */
	CALL_INITIATE,
	CALL_OFFER,
	CALL_ANSWER,
	CALL_CANDIDATE,
	CALL_END,
	/* For them: */
	CALL_LEAVE,		/* the channel that takes part leaves */
	CALL_BUSY,		/* the callee takes part in another one */
	CALL_MISSED,
	CALL_DISCONNECTED,
	/* What they do not hear of: */
	CALL_OPEN,		/* the topic's two users are fixed */
	CALL_LOST,		/* the channel that takes part is gone, without a word */
	CALL_BACK		/* a channel takes the place of one that is gone, or of its own device */
};

enum call_verdict {
	CALL_DONE,
	CALL_NOTHING,		/* and nothing is wrong */
	CALL_WRONG_STATE,
	CALL_WRONG_PARTY,
	CALL_TOO_MUCH
};

/* One of the two. Texts are borrowed: from what was read, or from who acted. */
struct call_party {
	struct slice	user;		/* as a JSON token */
	struct slice	channel;	/* that takes part; n == 0: none does yet, or any */
	struct slice	device;		/* what that calls itself, as a JSON token; n == 0: nothing */
	struct slice	node;		/* where that is */
	uint64_t	epoch;		/* of the node */
	struct slice	heard;		/* id of the last message that was relayed to a channel which was lost; n == 0: none */
	bool		lost;
};

struct call {
	struct call_party party[2];
	enum call_phase	phase;
	int64_t		since;		/* ms since 1970: when it began; no two calls of a topic have the same */
	uint8_t		caller;		/* index */
	int8_t		offer;		/* whose is not answered: index, or CALL_NOBODY */
	bool		offered;	/* there was one */
	int64_t		slot;		/* the newest one's number */
	uint64_t	kept[CALL_SLOTS];	/* bytes, the newest slot first */
};

struct call_limits {
	uint64_t	keep_ms;	/* > 0 */
	uint64_t	max_kept;	/* bytes within keep_ms */
};

struct call_act {
	enum call_event	event;
	unsigned	by;		/* index of the party */
	struct slice	channel;	/* that acts */
	struct slice	device;		/* JSON token; may be empty */
	struct slice	node;
	uint64_t	epoch;
	int64_t		call;		/* busy, missed, disconnected: which one */
	int64_t		now;		/* ms since 1970 */
	size_t		bytes;		/* of what is relayed */
	struct slice	heard;		/* lost */
	bool		gone;		/* disconnected: a party's channel is; back: that of the party is */
};

/* call.c: what becomes of it */

/* The two users, as JSON tokens. */
void call_open(struct call *, struct slice one, struct slice other);
/* Changes nothing unless it is done. *retry_ms is set with CALL_TOO_MUCH: it could be done then. */
enum call_verdict call_apply(struct call *, const struct call_act *, const struct call_limits *, uint64_t *retry_ms);

static inline bool
call_is_live(const struct call *c)
{
	return c->phase != CALL_IDLE;
}

/* Would that device be back in the party's place? */
bool call_is_device(const struct call_party *, struct slice device);
/* Index of the party; CALL_NOBODY for who is none. */
int call_party_of(const struct call *, struct slice user);
/* The reason that is given for an end of this call, where who ends it gives none; NULL for what ends nothing. */
const char *call_reason(const struct call *, const struct call_act *);
/* Is it passed on from one party to the other? */
bool call_is_relayed(enum call_event);

/* call_text.c: how it is written down */

/* The state's text, which must be JSON. 0, or -EINVAL; what is read is sound. The call borrows the text. */
int call_read(struct call *, struct slice text);
void call_write(const struct call *, struct buf *);
/* Is that token the text `name`? */
bool call_is_name(struct slice token, struct slice name);
/* The event's name on the wire. */
const char *call_event_name(enum call_event);

/* A message of the topic's stream: what happened, and the state behind it. Tokens and texts are borrowed. */
struct call_message {
	struct slice	state;
	enum call_event	event;		/* whatever ends a call is CALL_END */
	struct slice	from;		/* JSON token of the user; p == NULL: nobody */
	struct slice	channel;	/* that acted; n == 0: none */
	struct slice	data;		/* what clients are told: an object */
	struct slice	id;		/* n == 0 where the payload was not delivered */
};
/* 0, or -EINVAL. */
int call_message_read(struct call_message *, struct slice payload);
void call_message_write(const struct call_message *, const struct call *, struct buf *);

#endif
