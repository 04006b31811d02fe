/*
 * What stands on roostctl's command line, brought into the form that is sent.
 */
#ifndef CTL_WORDS_H
#define CTL_WORDS_H

#include "base/buf.h"

/* Adds what every name that matches the shell pattern begins with. */
void words_add_prefix(struct buf *out, const char *pattern);
/* Adds a segment of a path, or a value in a query: all but letters, digits and "-._~" percent-encoded. */
void words_add_escaped(struct buf *out, struct slice text);
/*
 * Adds "K=V" to the members of an object, with a comma before all but the first: "K":V where V is JSON, else "K":"V".
 * False where there is no K, or no UTF-8.
 */
bool words_add_claim(struct buf *members, const char *text);
/* Is it one JSON object, and nothing else? */
bool words_are_object(const char *text);
/* {"event":EVENT,"data":DATA}; the data is JSON. */
void words_add_message(struct buf *out, const char *event, const char *data);
/* Adds a text for a terminal: control characters, and bytes that are no UTF-8, as \xNN. */
void words_add_visible(struct buf *out, struct slice text);

#endif
