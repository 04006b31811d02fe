/*
 * UTF-8 without tables: between two bytes, the state says how many more belong to the character and in
 * which range the next one must lie. That range is where overlong forms, surrogates and what is beyond
 * U+10FFFF are refused, all in the second byte.
 */
#include "net/utf8.h"

/* `more` bytes are missing, of which the next one must be lo..hi. Greater than UTF8_BAD. */
#define WANT(more, lo, hi)	((uint32_t)(more) << 16 | (uint32_t)(lo) << 8 | (uint32_t)(hi))
#define TAIL(more)		WANT(more, 0x80, 0xbf)

#ifdef __SSE2__
#include <emmintrin.h>

/* How many of the first bytes are ASCII, as far as 16 can be looked at together. */
static size_t
ascii_sixteens(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i + 16 <= n; i += 16) {
		int high = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i)));

		if (high != 0)
			return i + (size_t)__builtin_ctz((unsigned)high);
	}
	return i;
}
#else
static size_t
ascii_sixteens(const char *p, size_t n)
{
	return 0;
}
#endif

/* How many ASCII bytes p begins with. */
static size_t
ascii_run(const char *p, size_t n)
{
	size_t	 i = ascii_sixteens(p, n);
	uint64_t eight;

	for (; i + sizeof(eight) <= n; i += sizeof(eight)) {
		memcpy(&eight, p + i, sizeof(eight));
		if ((eight & 0x8080808080808080u) != 0)
			break;
	}
	while (i < n && (uint8_t)p[i] < 0x80)
		i++;
	return i;
}

/* The state behind a character's first byte, if it is not ASCII. */
static uint32_t
utf8_begin(uint8_t c)
{
	if (c < 0xc2 || c > 0xf4)
		return UTF8_BAD;
	if (c < 0xe0)
		return TAIL(1);
	if (c < 0xf0)
		return c == 0xe0 ? WANT(2, 0xa0, 0xbf) : c == 0xed ? WANT(2, 0x80, 0x9f) : TAIL(2);
	return c == 0xf0 ? WANT(3, 0x90, 0xbf) : c == 0xf4 ? WANT(3, 0x80, 0x8f) : TAIL(3);
}

/* The state behind a further byte. */
static uint32_t
utf8_go_on(uint32_t state, uint8_t c)
{
	uint8_t lo = (uint8_t)(state >> 8), hi = (uint8_t)state;

	if (c < lo || c > hi)
		return UTF8_BAD;
	return state >= WANT(2, 0, 0) ? TAIL((state >> 16) - 1) : UTF8_OK;
}

uint32_t
utf8_feed(uint32_t state, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && state != UTF8_BAD) {
		if (state != UTF8_OK)
			state = utf8_go_on(state, (uint8_t)p[i++]);
		else if ((uint8_t)p[i] >= 0x80)
			state = utf8_begin((uint8_t)p[i++]);
		else
			i += ascii_run(p + i, n - i);
	}
	return state;
}

bool
utf8_valid(struct slice s)
{
	return utf8_feed(UTF8_OK, s.p, s.n) == UTF8_OK;
}
