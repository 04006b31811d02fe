/*
 * The scripts by which nodes share one registry: each decides and writes in one step, by Redis' clock. Keys and
 * arguments stand at each text.
 */
#ifndef CLUSTER_CLUSTER_SCRIPTS_H
#define CLUSTER_CLUSTER_SCRIPTS_H

#include "net/redis.h"

extern struct redis_script cluster_register_script;
extern struct redis_script cluster_beat_script;
extern struct redis_script cluster_leave_script;
extern struct redis_script cluster_claim_script;
extern struct redis_script cluster_nodes_script;

#endif
