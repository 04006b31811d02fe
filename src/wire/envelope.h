/*
 * What travels on the bus of a topic: roost's own broadcasts with the node that sent them, and bare messages that
 * anybody publishes. JSON, documented in roost-redis(7).
 */
#ifndef WIRE_ENVELOPE_H
#define WIRE_ENVELOPE_H

#include "base/uuid.h"
#include "wire/message.h"

#define ENVELOPE_VERSION 1

/*
 * {"v":1,"node":"N","event":"e","payload":{…}}; raw bytes travel as "binary":"BASE64" in the payload's place. A message
 * from the stream has "at" and "prev" (stream ids) and "tail", and "tag" where its sender does not hear it. A bare
 * message has event and payload alone. Members that are not known are skipped.
 */
struct envelope {
	struct slice	node;		/* empty: bare */
	struct slice	event;
	struct slice	payload;	/* JSON text of an object, or raw bytes when binary */
	bool		binary;
	bool		stored;		/* it stands in the topic's stream: the members below are set */
	struct position	at;
	struct position	prev;		/* of the stream's message before it; 0-0 = it was the first */
	uint64_t	tail;
	uint64_t	tag;		/* the sending node's own, 0 = none */
};

/* Adds the text of a live broadcast (stored ones are composed by the script that stores them). */
void envelope_write(struct buf *out, const struct envelope *);
/*
 * Reads a message of any origin. Slices borrow `text` or `scratch`. 0; -EBADMSG for what is no such object, has no
 * valid event or payload, or no valid UTF-8; -EPROTONOSUPPORT for a newer version. `*why` = static text for the log.
 */
int envelope_read(struct envelope *, struct slice text, struct buf *scratch, const char **why);

#endif
