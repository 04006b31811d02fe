/*
 * One JSON object changed by another.
 */
#ifndef CHANNELS_MERGE_H
#define CHANNELS_MERGE_H

#include <roost/channel.h>

/*
 * Adds the object with the members of `changes` in the place of those of their names, or behind; of several of one name the
 * last counts. Members whose names begin with phx_ are the server's, and left out. Both texts are JSON that has been read.
 */
void merge_objects(struct buf *out, struct slice object, struct slice changes);

#endif
