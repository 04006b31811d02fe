/*
 * How many connections each user and each address has, so that one cannot take them all.
 */
#ifndef SERVER_CENSUS_H
#define SERVER_CENSUS_H

#include <stdint.h>

#include "base/map.h"

/* Names with a count above 0. */
struct census {
	struct map	heads;
};

void census_init(struct census *);
void census_done(struct census *);
/* Counts one more under `name` unless there are `limit` already (0 = no limit). False if there are. */
bool census_enter(struct census *, struct slice name, uint64_t limit);
/* Takes one back; it must have entered. */
void census_leave(struct census *, struct slice name);

#endif
