/*
 * What travels on the bus of a topic: roost's own broadcasts with the node that sent them, and bare messages that
 * anybody publishes. JSON, documented in roost-redis(7).
 */
#ifndef WIRE_ENVELOPE_H
#define WIRE_ENVELOPE_H

#include "base/uuid.h"
#include "wire/message.h"

#define ENVELOPE_VERSION	1
#define ENVELOPE_MAX		(16 * 1024 * 1024)	/* bytes of a message; more are refused */
#define ENVELOPE_MAX_NODE	128			/* bytes of a node's id */
#define ENVELOPE_MAX_COUNT	(4 * 1024 * 1024)	/* subscribers that a node may say it has; more are refused */

/*
 * {"v":1,"node":"N","event":"e","payload":{…}}; raw bytes travel as "binary":"BASE64" (padded) in the payload's place. A
 * message of a class that names its senders has "from" (an object) and "said" (a number, up to the year 9999); and
 * "value":true where the payload is {"data":V}, and nothing else, for V's sake. A
 * message from the stream has "at" and "prev" (strings "MS-SEQ") and "tail", and "tag" where its sender does not hear
 * it: decimal digits in a string, which is the form to write; a number is read, too, up to 2^53. A bare message has
 * event and payload alone; "v" may be missing anywhere. Members that are not known are skipped, of doubles the last
 * one counts. Names of events have 1 to WIRE_MAX_EVENT bytes, no control characters, and do not begin with "phx_",
 * which would tell clients of joins and ends that never were.
 *
 * Without an event, {"v":1,"node":"N","count":n}: so many subscribers has that node; with "ask":true the others are to say
 * theirs.
 */
struct envelope {
	struct slice	node;		/* empty: bare */
	struct slice	event;
	struct slice	payload;	/* JSON text of an object (to write: empty means {}), or raw bytes when binary */
	bool		binary;
	struct slice	from;		/* as in struct message; empty = nobody's */
	int64_t		said;		/* "said": ms since 1970, of a live broadcast with `from`; 0 = not told */
	bool		value;		/* as in struct message */
	bool		stored;		/* it stands in the topic's stream: the members below are set */
	struct position	at;
	struct position	prev;		/* of the stream's message before it; 0-0 = it was the first */
	uint64_t	tail;
	uint64_t	tag;		/* the sending node's own, 0 = none */
	bool		counts;		/* no broadcast, but a number: node, count and ask are set, and nothing else */
	uint32_t	count;
	bool		ask;
};

/* Adds the text of a live broadcast, or of a number (stored ones are composed by the script that stores them). */
void envelope_write(struct buf *out, const struct envelope *);
/*
 * Reads a message of any origin. Slices borrow `text` or `scratch`, which is emptied first. 0; -EBADMSG for what is no
 * such object, has no valid event or payload, or no valid UTF-8; -EPROTONOSUPPORT for a newer version. `*why` = static
 * text for the log.
 */
int envelope_read(struct envelope *, struct slice text, struct buf *scratch, const char **why);

#endif
