/*
 * Types of topics, by the words that their names begin with.
 */
#include "wire/topic_type.h"

const char *const topic_types[TOPIC_TYPES] = { "topic", "public", "private", "presence" };

unsigned
topic_type(struct slice topic)
{
	for (unsigned i = 1; i < TOPIC_TYPES; i++) {
		const struct slice word = slice_str(topic_types[i]);

		if (slice_starts(topic, word) && topic.n > word.n && topic.p[word.n] == '-')
			return i;
	}
	return 0;
}

bool
topic_is_type(struct slice name)
{
	for (unsigned i = 0; i < TOPIC_TYPES; i++)
		if (slice_is(name, topic_types[i]))
			return true;
	return false;
}
