/*
 * A message to clients is encoded once for each wire format, when the first receiver asks.
 */
#include "wire/message.h"

#include <assert.h>

bool
message_is_reserved(struct slice event)
{
	/* Each push asks: mostly the lengths differ. */
	static const struct slice names[] = {
		{ "presence_state", 14 }, { "presence_diff", 13 }, { "token_expiring", 14 }, { "system", 6 }, { "message_deleted", 15 },
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_eq(event, names[i]))
			return true;
	return slice_starts(event, SLICE("phx_")) || slice_starts(event, SLICE("pusher_internal:"));
}

struct frame *
message_frame(struct message *m, const struct codec *codec)
{
	assert(codec->id < MESSAGE_CODECS);
	if (!message_is_for(m, codec))
		return NULL;
	if (codec->text != NULL && !m->binary)
		codec = codec->text;
	if (!m->tried[codec->id]) {
		m->tried[codec->id] = true;
		m->frames[codec->id] = codec->encode(m);
	}
	return m->frames[codec->id];
}

void
message_done(struct message *m)
{
	for (unsigned i = 0; i < MESSAGE_CODECS; i++) {
		m->frames[i] = frame_unref(m->frames[i]);
		m->tried[i] = false;
	}
}
