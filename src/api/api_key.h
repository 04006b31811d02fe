/*
 * The key of the HTTP API. Only its digest is kept, so a comparison takes the same time whatever is presented.
 */
#ifndef API_API_KEY_H
#define API_API_KEY_H

#include <stdint.h>

#include "base/slice.h"

struct api_key {
	bool	set;		/* false: nothing is let in */
	uint8_t	digest[32];
};

void api_key_set(struct api_key *, struct slice key);
/*
 * From a file that nobody else may read: one line of 16 to 1,024 visible ASCII characters. 0, or -EINVAL with *why (caller
 * frees).
 */
int api_key_read(struct api_key *, const char *file, char **why);
bool api_key_is(const struct api_key *, struct slice presented);

#endif
