/*
 * How messages are written down: one implementation per wire format.
 */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include <stdbool.h>

#include "base/slice.h"

struct inbound;
struct message;

enum codec_id { CODEC_PHOENIX_V1, CODEC_PHOENIX_V2, CODEC_PHOENIX_V2_TEXT, CODEC_PUSHER };

struct codec {
	const char	*name;		/* "phoenix 1.0.0" */
	unsigned	 id;		/* a codec_id: its place in message.frames[] */
	/*
	 * Fills *in from one WebSocket message. A text message must be valid UTF-8; a binary one is checked here.
	 * 0, or -EBADMSG for what is no message at all: the connection ends with 1011 (protocol/phoenix.md 2.7).
	 */
	int		(*decode)(struct inbound *in, bool binary, struct slice data);
	/* Returns a new reference, or NULL if this format cannot carry it. */
	struct frame   *(*encode)(const struct message *);
	/* Who is in a channel and joins it again is answered by the class (rejoin), and stays in. */
	bool		joins_once;
	/* The server speaks first: see session_greet(). */
	bool		greets;
	/* What is no raw bytes is written as that codec writes it, and once for both; NULL = all is its own. */
	const struct codec *text;
};

extern const struct codec codec_phoenix_v1;	/* protocol/phoenix.md 2.2 */
extern const struct codec codec_phoenix_v2;	/* 2.3 and 2.4 */
extern const struct codec codec_phoenix_v2_text; /* the same, without binary messages to the client */

extern const struct codec codec_pusher;		/* roost-protocol(7), PUSHER-STYLE CLIENTS */

/* All of them, ending with NULL. */
extern const struct codec *const codecs[];

/*
 * The codec for a "vsn" parameter (protocol/phoenix.md 1.2): V1 for ~> 1.0.0, V2 for ~> 2.0.0, NULL if
 * refused. Absent (p == NULL) is V1.
 */
const struct codec *codec_for_vsn(struct slice vsn);
/* The same for a transport that carries nothing but text to the client: long poll. */
const struct codec *codec_text_only(const struct codec *);

#endif
