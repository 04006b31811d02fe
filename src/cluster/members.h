/*
 * The other nodes, as far as they were heard: who is up, whose silence has lasted long enough to be claimed, and what
 * became of the claim. Time is a parameter; nothing here talks to anyone.
 */
#ifndef CLUSTER_MEMBERS_H
#define CLUSTER_MEMBERS_H

#include <stdint.h>

#include "base/map.h"

#define MEMBERS_MAX	1024	/* remembered at once; the dead make room */
#define MEMBERS_GAP	2	/* a beat's number may be so far beyond the last one's */

enum member_state {
	MEMBER_EXPECTED,	/* stands in the registry, was not heard yet */
	MEMBER_UP,
	MEMBER_LEFT,		/* said so; its place should be gone, too */
	MEMBER_DOWN		/* kept for its epoch alone */
};

/* Watched (its silence leads to a claim) unless it is down. */
struct member {
	enum member_state state;
	uint64_t	 epoch;		/* 0 = not known */
	uint64_t	 since;		/* its first one, as it says; 0 = not known */
	uint64_t	 seq;		/* of its last beat; 0 = none since the bus is up */
	unsigned	 stale;		/* beats of an older epoch in a row */
	uint64_t	 heard;		/* ms */
	struct slice	 node;
	char		 text[];	/* what node points to */
};

struct members {
	struct map	 by_node;
	unsigned	 n_up;
	unsigned	 n_expected;	/* not heard yet */
	uint64_t	 timeout_ms;
	bool		 bus;		/* we hear the others */
	uint64_t	 since;		/* ms: the bus has been well since then; nobody's silence begins earlier */
	uint64_t	 echo;		/* ms: we heard ourselves */
	struct member	*claimed;	/* whose claim is under way, or NULL */
	uint64_t	 claimed_epoch;	/* when it began */
	uint64_t	 claimed_at;
};

enum members_news {
	MEMBERS_SAME,
	MEMBERS_UP,
	MEMBERS_RENEWED,	/* a newer epoch; or the same, and beats of it were lost */
	MEMBERS_STALE,		/* of an older epoch: to be ignored */
	MEMBERS_BEHIND,		/* the same, and not the first: it lives, but nobody believes it under that epoch */
	MEMBERS_FULL		/* one more than can be remembered: to be ignored */
};

/* What Redis said of a claim. */
enum members_answer {
	MEMBERS_OURS,		/* it had been silent there, too, and we have taken its place out */
	MEMBERS_GONE,		/* it had no place */
	MEMBERS_ALIVE,		/* its place is fresh */
	MEMBERS_REFUSED		/* an error, or nothing: to be tried again */
};

struct members_verdict {
	bool	 down;		/* it is now, and was not */
	bool	 clean;		/* we are to clean what it left */
	uint64_t epoch;		/* of what died */
};

void members_init(struct members *, uint64_t timeout_ms);
void members_done(struct members *);
/* NULL if it is not known. */
struct member *members_get(const struct members *, struct slice node);

/* The bus came or went: all silences begin anew. */
void members_bus(struct members *, bool up, uint64_t now);
/* Our own beat came back. After a pause of that, silences begin anew as well: nobody could have been heard. */
void members_echo(struct members *, uint64_t now);
/* Another node's beat. */
enum members_news members_beat(struct members *, struct slice node, uint64_t epoch, uint64_t seq, uint64_t now);
/*
 * It stands in the registry, under that epoch (0 = not known): expected to be heard. False if there is no room for it.
 */
bool members_expect(struct members *, struct slice node, uint64_t epoch, uint64_t now);
/* It says that it left, or another one that it is dead (all up to that epoch). True if it was not down before. */
bool members_left(struct members *, struct slice node, uint64_t epoch, uint64_t now);
bool members_dead(struct members *, struct slice node, uint64_t epoch);

/* Who has been silent for too long, the longest first; claimed from here on. NULL = nobody, or one is already. */
struct member *members_claim(struct members *, uint64_t now);
/* The answer to that claim; `epoch` as told with MEMBERS_OURS. *who is borrowed from the member. */
struct members_verdict members_answered(struct members *, enum members_answer, uint64_t epoch, uint64_t now,
    struct slice *who);

#endif
