/*
 * Base64: three octets as four digits of six bits.
 */
#include "base/b64.h"

#include <errno.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t
encode(const char *digits, const uint8_t *p, size_t n, char *out)
{
	char	*at = out;
	uint32_t bits = 0;
	unsigned have = 0;	/* bits that wait for their digit */

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			*at++ = digits[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*at++ = digits[bits << (6 - have) & 63];
	return (size_t)(at - out);
}

size_t
b64_encode(const void *p, size_t n, char *out)
{
	size_t len = encode(standard, p, n, out);

	while (len % 4 != 0)
		out[len++] = '=';
	return len;
}

size_t
b64url_encode(const void *p, size_t n, char *out)
{
	return encode(url_safe, p, n, out);
}

/* The digit's value, or -1. */
static int
digit(enum b64_kind kind, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (kind != B64_URL && (c == '+' || c == '/'))
		return c == '+' ? 62 : 63;
	if (kind != B64_STRICT && (c == '-' || c == '_'))
		return c == '-' ? 62 : 63;
	return -1;
}

/* Takes the padding off; false if it is wrong, or missing where it must be. */
static bool
unpad(enum b64_kind kind, struct slice *in)
{
	size_t pad = 0;

	while (pad < 2 && pad < in->n && in->p[in->n - 1 - pad] == '=')
		pad++;
	if (kind == B64_URL && pad > 0)
		return false;
	if ((kind == B64_STRICT || pad > 0) && in->n % 4 != 0)
		return false;
	in->n -= pad;
	return in->n % 4 != 1;
}

ssize_t
b64_decode(enum b64_kind kind, struct slice in, uint8_t *out)
{
	uint8_t *at = out;
	uint32_t bits = 0;
	unsigned have = 0;

	if (!unpad(kind, &in))
		return -EINVAL;
	for (size_t i = 0; i < in.n; i++) {
		int value = digit(kind, in.p[i]);

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*at++ = (uint8_t)(bits >> have);
		}
	}
	/* Two texts for the same bytes would be a way around comparisons. */
	if ((bits & ((UINT32_C(1) << have) - 1)) != 0)
		return -EINVAL;
	return at - out;
}
