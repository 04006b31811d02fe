/*
 * Hexadecimal digits.
 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/slice.h"

/* What a digit of either case stands for; -1 if it is none. */
static inline int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
