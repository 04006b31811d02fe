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
 * Answers the new id (text), or the ms to wait (number), or -1: the last id is another than APPEND_AFTER; or -2: what it
 * removes is not kept.
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
	APPEND_LAST,		/* ms that the newest is kept, if that is longer */
	APPEND_AFTER,		/* what the last id is to be; "" = any */
	APPEND_REMOVES,		/* the id of an entry that goes; "" = none */
	APPEND_TAIL,		/* that it is to have */
	APPEND_FIELDS
};

/*
 * Reads a page. Page, tip and the answer to the check are of one moment.
 *
 * KEYS: the stream; the marks, if somebody's is asked for. ARGV: those below.
 * Answers [found (0 or 1), tip, [[id, [field, value, ...]], ...], PTTL, mark (nil = none), cut (0 or 1)], in the order of
 * reading; whoever is over age is not among them, and was not found. It is cut where the next one would be too many bytes.
 */
extern struct redis_script store_read_script;

enum store_read_arg {
	READ_COMMAND,		/* XRANGE or XREVRANGE */
	READ_FROM,		/* an id that is not among them, or 0-0 */
	READ_COUNT,
	READ_AGE,		/* ms; 0 = any */
	READ_TAIL,		/* that the entry at READ_FROM is to have; "" = no check */
	READ_LAST,		/* ms that the newest is kept, if that is longer */
	READ_USER,		/* whose mark is asked for */
	READ_BYTES,		/* of what they say, in all; one entry at least */
	READ_ARGS
};

/*
 * Sets a user's mark where the message is kept, unless it stands further on already.
 *
 * KEYS: the marks; the stream. ARGV: those below. Answers 1, or 0: no such message is kept.
 */
extern struct redis_script store_mark_script;

enum store_mark_arg {
	MARK_USER,
	MARK_ID,		/* lower case */
	MARK_AT,		/* what it says: the message's id in the stream, and its tail */
	MARK_TAIL,
	MARK_AGE,		/* ms; 0 = any */
	MARK_LAST,		/* ms that the newest is kept, if that is longer */
	MARK_ARGS
};

/*
 * Puts a name into a set, or takes it out.
 *
 * KEYS: the set. ARGV: those below. Answers 1, or 0: it is full.
 */
extern struct redis_script store_enlist_script;

enum store_enlist_arg {
	ENLIST_NAME,
	ENLIST_LISTED,		/* 1, or 0: it is taken out */
	ENLIST_MAX,
	ENLIST_ARGS
};

#endif
