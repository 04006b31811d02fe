/*
 * The scripts of the stream of happenings: an entry and what is known of its client are written in one step. Keys and arguments
 * stand at each text.
 */
#ifndef BACKPLANE_HAPPENINGS_SCRIPTS_H
#define BACKPLANE_HAPPENINGS_SCRIPTS_H

#include "net/redis.h"

#define HAPPENINGS_KEEP_MS	"3600000"	/* what is known of a node outlives its last word: all may be down for a while */

extern struct redis_script happenings_sweep_script;
extern struct redis_script happenings_place_script;
extern struct redis_script happenings_tell_script;
extern struct redis_script happenings_orphans_script;

#endif
