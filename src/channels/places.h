/*
 * The places of a user's devices, as the class devices keeps them in a message's payload:
 * {"devices":{CHANNEL:{"id":DEVICE,"node":NODE,"epoch":N,"at":MS,"seen":MS}}}.
 */
#ifndef CHANNELS_PLACES_H
#define CHANNELS_PLACES_H

#include <roost/channel.h>

/* One who holds a place; borrowed. */
struct holder {
	struct slice channel;	/* the place's name */
	struct slice id;	/* of the device */
	struct slice node;
	uint64_t     epoch;
	int64_t	     at;	/* ms since 1970: it joined */
	int64_t	     seen;	/* and said so last */
};

/* Taken apart; all zero at first. */
struct places {
	struct buf holders;
	struct buf text;	/* what had to be decoded */
};

#define autoplaces __attribute__((cleanup(places_done)))

void places_done(struct places *);
unsigned places_n(const struct places *);
struct holder *places_at(const struct places *, unsigned i);
/* Into places that hold nothing yet. What makes no sense there holds no place. Borrows the payload. */
void places_read(struct places *, struct slice payload);
void places_write(const struct places *, struct buf *);
/* Without taking it apart: does that channel hold one? */
bool places_are_held_by(struct slice payload, const char *channel);
/* True with *at, its index. */
bool places_find_channel(const struct places *, const char *channel, unsigned *at);
bool places_find_device(const struct places *, const char *id, unsigned *at);
/* Borrows the texts. */
void places_add(struct places *, const struct holder *);
void places_drop(struct places *, unsigned i);
/* Whoever was on a node that is no more, or has not said since then that it is there. */
void places_drop_dead(struct places *, const struct channel *, int64_t since);
/* Who joined first. There must be one. */
void places_drop_oldest(struct places *);

#endif
