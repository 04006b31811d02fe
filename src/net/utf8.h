/*
 * UTF-8 (RFC 3629), checked as it arrives: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 */
#ifndef NET_UTF8_H
#define NET_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define UTF8_OK		0	/* between characters: the state to start from and to end in */
#define UTF8_BAD	1	/* invalid; stays so */

/* Feeds bytes; returns the new state. ASCII runs are skipped 8 or 16 bytes at a time. */
uint32_t utf8_feed(uint32_t state, const char *p, size_t n);
/* True if the whole text is valid. */
bool utf8_valid(struct slice);

#endif
