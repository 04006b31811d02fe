/*
 * Message ids: UUIDv7 (RFC 9562 section 5.7) that give a message's position in its topic's stream, so that no index
 * is needed to find it again.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* A stream id of Redis, "MS-SEQ"; {0, 0} stands before all. */
struct position {
	uint64_t	ms;	/* since 1970, of Redis' clock */
	uint32_t	seq;	/* within that ms */
};

#define POSITION_LEN	32	/* bytes of the longest text and its NUL */
#define UUID_LEN	36
#define UUID_TAIL_BITS	42	/* random bits: what tells a message from one of another topic at the same position */

/* <0, 0 or >0, as a stands before, at or behind b. */
int position_compare(struct position a, struct position b);
/* "MS-SEQ"; returns out. */
char *position_text(struct position, char out[POSITION_LEN]);
/* 0, or -EINVAL for another form (needless zeros, too), more than 48 bits of ms or 32 of seq. */
int position_parse(struct position *, struct slice);

/* 48 bits of ms, version, 12 and 20 bits of seq, and the tail: into out[UUID_LEN + 1], lower case; returns out. */
char *uuid_from_position(struct position, uint64_t tail, char out[UUID_LEN + 1]);
/* The way back; either case. 0, or -EINVAL for what is no UUIDv7. */
int uuid_to_position(struct slice, struct position *, uint64_t *tail);
/* UUID_TAIL_BITS fresh random bits. */
uint64_t uuid_tail(void);

#endif
