/*
 * What a topic is by its name, for those who look on from outside: "public", "private" or "presence" for names of the
 * Pusher-style protocol, else "topic".
 */
#ifndef WIRE_TOPIC_TYPE_H
#define WIRE_TOPIC_TYPE_H

#include "base/slice.h"

#define TOPIC_TYPES	4

extern const char *const topic_types[TOPIC_TYPES];

/* The index of its type's name. */
unsigned topic_type(struct slice topic);
/* Is it the name of a type? */
bool topic_is_type(struct slice);

#endif
