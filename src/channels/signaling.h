/*
 * The inside of the class signaling: one client's part in the calls of a topic.
 */
#ifndef CHANNELS_SIGNALING_H
#define CHANNELS_SIGNALING_H

#include "channels/call.h"

#define SIGNALING_EVENT	"call"	/* of all messages of the topic's stream; clients are told what is in them */
#define SIGNALING_PAGE	500	/* messages that are kept of a call */
#define SIGNALING_LIVE_MS (24 * 3600 * 1000)	/* a call's state outlives its last message by so much */

/* Read once per route. */
struct signaling_route {
	uint64_t	   ring_ms;
	uint64_t	   grace_ms;
	uint64_t	   max_event;	/* bytes */
	struct call_limits kept;
};

struct signaling_change;
struct signaling_held;

/* Of each channel. */
struct signaling {
	struct channel	 *channel;
	struct signaling *next;		/* of this node, in one place of the table */
	struct buf	  names;	/* the texts of these: */
	struct slice	  me, other;	/* the two users */
	struct slice	  device;	/* what the client calls its own, as a JSON token; empty: nothing */
	char		  id[CHANNEL_ID_LEN + 1];	/* our channel's */

	/* The topic's state as we heard it last. */
	struct call	  call;		/* borrows text; idle while that is empty */
	struct buf	  text;
	unsigned	  mine;		/* index of our party */

	/* What the client knows. Calls go by the time at which they began; 0 = none. */
	int64_t		  in;		/* it was told of that one, or began it, and takes part */
	int64_t		  over;		/* the last one of which it knows that it is over */
	char		  heard[CHANNEL_ID_LEN + 1];	/* the last message that it was told */

	/* A newcomer to a call in which another channel has its party's place. */
	int64_t		  waits;	/* to take the place, should that turn out to be gone; 0 = it does not */
	uint64_t	  wait_until;
	struct signaling_held *held;	/* what it would be told then, oldest first */
	struct signaling_held **held_end;

	/* What has to be looked after while there is a call. ms of the channel's clock. */
	int64_t		  watched;	/* the call that these hold for */
	uint64_t	  ring_until;
	uint64_t	  gone_since[2];	/* of each party; 0 = it is there */
	bool		  minding;	/* a change of our own is under way */
	bool		  begun;	/* the client was told what it found */

	/* What the client pushed, to be decided one after the other; but not while it waits for its place. */
	struct signaling_change *queue;
	struct signaling_change **queue_end;
	unsigned	  n_queued;
	size_t		  queued_bytes;
	bool		  deciding;	/* the first one is under way */
};

/* signaling.c: those of this node. */
/* The channel of that id and user; NULL if there is none. */
struct signaling *signaling_find(struct slice user, struct slice id);
/* Does that user take part in an answered call of another topic? */
bool signaling_is_busy(const struct signaling *);
/* Is the channel gone which has that party's place? */
bool signaling_is_gone(const struct signaling *, const struct call_party *);

/* signaling_change.c: what is done to a call, decided once for all nodes. */
/* In join: fixes the two users, or sees whether they are; signaling_opened() follows. 0 or -errno. */
int signaling_open(struct signaling *);
/* What the client pushes in its turn; the push is answered when it is decided. */
struct signaling_words {
	enum call_event	event;
	struct slice	data;		/* an object */
	bool		has_from;	/* the members are there already */
	bool		has_reason;
};
void signaling_push(struct signaling *, const struct signaling_words *);
/* Its turn may have come: nothing is waited for. */
void signaling_go_on(struct signaling *);
/* What is done for it: at most one at a time, others are not begun. `channel` is the one concerned. */
void signaling_mind(struct signaling *, enum call_event, struct slice channel);
/* In leave: its part in a call, if it has one, is given up, or waits for it to come back. */
void signaling_part(struct signaling *, bool left);
/* Frees what is not under way. */
void signaling_drop_queue(struct signaling *);

/* signaling_hear.c: what is told to the client. */
/* The join goes on, or does not. */
void signaling_opened(struct channel *, int error, enum call_verdict);
/* Before all else that is told: what it missed. */
void signaling_begin(struct signaling *);
void signaling_hear(struct signaling *, struct slice payload);
/* Looks after what takes its time: rings that nobody answers, parties that are gone. */
void signaling_look(struct signaling *);
void signaling_drop_held(struct signaling *);

#endif
