/*
 * The scripts of presence; their keys and arguments are told with their texts.
 */
#ifndef PRESENCE_SYNC_SCRIPTS_H
#define PRESENCE_SYNC_SCRIPTS_H

#include "net/redis.h"

extern struct redis_script presence_write_script;
extern struct redis_script presence_read_script;
extern struct redis_script presence_refresh_script;
extern struct redis_script presence_clean_script;

#endif
