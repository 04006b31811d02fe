/*
 * Request targets: paths and query strings (RFC 3986; form decoding as browsers and the phoenix client write it).
 */
#ifndef NET_URL_H
#define NET_URL_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Finds the LAST parameter called `name` in a query string (without "?"). Names and values are
 * percent-decoded, "+" is a space, empty pairs are skipped, an invalid escape is taken literally
 * (protocol/phoenix.md 1.1). Appends the decoded value to *out, replacing what was there. Returns 1 if found,
 * 0 if not, -EILSEQ if the value is not valid UTF-8.
 */
int url_param(struct slice query, const char *name, struct buf *out);
/*
 * Walks the pairs: decoded name and value; *at starts at 0. 1, 0 at the end, -EILSEQ. For `token` parameters
 * in order.
 */
int url_next_param(struct slice query, size_t *at, struct buf *name, struct buf *value);
/* The octet that an escape (%41) at the start of `s` stands for; -1 if there is no valid one. */
int url_escape(struct slice s);
/*
 * Percent-decodes a path strictly: -EINVAL for a bad escape or an escaped NUL, "/" or "\". Replaces what was
 * in *out.
 */
int url_decode_path(struct slice path, struct buf *out);
/*
 * Percent-decodes one segment of a path, in which any octet may stand: -EINVAL for a bad escape, or what is no UTF-8.
 * Replaces what was in *out.
 */
int url_decode_segment(struct slice segment, struct buf *out);
/*
 * True if the path, empty segments ignored, has exactly the segments of `pattern`: "/socket//websocket/"
 * matches "/socket/websocket".
 */
bool url_path_is(struct slice path, const char *pattern);

#endif
