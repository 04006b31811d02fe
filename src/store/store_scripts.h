/*
 * The Lua scripts of the history in Redis. Each runs as one step: nobody sees half of it.
 */
#ifndef STORE_STORE_SCRIPTS_H
#define STORE_STORE_SCRIPTS_H

#include "net/redis.h"

/*
 * Appends one message to a topic's stream and publishes it, or does neither: a refusal, by the rate or by an error,
 * has written nothing.
 *
 * KEYS: the stream; the window of the rate, if there is one.
 * ARGV: those below, and then the fields of the entry: event, EVENT, payload, PAYLOAD, and others.
 * Answers the new id (text), or the ms to wait (number).
 */
extern struct redis_script store_append_script;

enum store_append_arg {
	APPEND_MAX,		/* messages that are kept */
	APPEND_AGE,		/* ms that they are kept; 0 = for ever */
	APPEND_CHANNEL,		/* where it is published */
	APPEND_HEAD,		/* what is published: HEAD id MIDDLE previous-id FOOT PAYLOAD } */
	APPEND_MIDDLE,
	APPEND_FOOT,
	APPEND_RATE,		/* so many ... */
	APPEND_PERIOD,		/* ... in so many ms */
	APPEND_FIELDS
};

/*
 * Reads a page. Page, tip and the answer to the check are of one moment.
 *
 * KEYS: the stream. ARGV: those below.
 * Answers [found (0 or 1), tip, [[id, [field, value, ...]], ...]], in the order of reading; whoever is over age is not
 * among them, and was not found.
 */
extern struct redis_script store_read_script;

enum store_read_arg {
	READ_COMMAND,		/* XRANGE or XREVRANGE */
	READ_FROM,		/* an id that is not among them, or 0-0 */
	READ_COUNT,
	READ_AGE,		/* ms; 0 = any */
	READ_TAIL,		/* that the entry at READ_FROM is to have; "" = no check */
	READ_ARGS
};

#endif
