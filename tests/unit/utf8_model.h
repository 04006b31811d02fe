/*
 * UTF-8 told once more, by the numbers: which code points can still come of these bytes? What utf8.c is
 * compared with.
 */
#ifndef UTF8_MODEL_H
#define UTF8_MODEL_H

#include <stddef.h>
#include <stdint.h>

enum utf8_model { MODEL_OK, MODEL_CUT, MODEL_BAD };

/* Bytes that a lead byte announces, itself included; 0 = none such. */
static inline unsigned
model_length(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if ((lead & 0xe0) == 0xc0)
		return 2;
	if ((lead & 0xf0) == 0xe0)
		return 3;
	return (lead & 0xf8) == 0xf0 ? 4 : 0;
}

/* Length of the character that p[0..n) begins with; 0 = more bytes could make one; -1 = none could. */
static inline int
model_character(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	static const uint8_t  bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	unsigned	      length = model_length(p[0]), have = n < length ? (unsigned)n : length;
	unsigned	      missing = length - have;
	uint32_t	      low = p[0] & bits[length], high;

	if (length == 0)
		return -1;
	for (unsigned i = 1; i < have; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		low = low << 6 | (p[i] & 0x3f);
	}
	low <<= 6 * missing;
	high = low | ((1u << (6 * missing)) - 1);
	if (high < least[length] || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff))
		return -1;
	return missing > 0 ? 0 : (int)length;
}

static inline enum utf8_model
model_text(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		int length = model_character(p + i, n - i);

		if (length <= 0)
			return length == 0 ? MODEL_CUT : MODEL_BAD;
		i += (unsigned)length;
	}
	return MODEL_OK;
}

#endif
