/*
 * Base64 (RFC 4648), standard and URL-safe.
 */
#ifndef BASE_B64_H
#define BASE_B64_H

#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

#define B64_LEN(n)	(((n) + 2) / 3 * 4)	/* characters for n bytes, padded */

/* Standard alphabet with padding; writes B64_LEN(n) characters, no NUL. Returns their number. */
size_t b64_encode(const void *, size_t n, char *out);
/* URL-safe, unpadded. Returns the number of characters (at most B64_LEN(n)). */
size_t b64url_encode(const void *, size_t n, char *out);

enum b64_kind {
	B64_STRICT,	/* standard alphabet, padding required */
	B64_URL,	/* URL-safe alphabet, no padding */
	B64_EITHER	/* both alphabets, padding optional but if there, right */
};
/*
 * Decodes into out (room for in.n / 4 * 3 + 3 bytes). Refuses blanks, stray bits and anything else. Returns
 * the number of bytes or -EINVAL.
 */
ssize_t b64_decode(enum b64_kind, struct slice in, uint8_t *out);

#endif
