/*
 * UUIDv7 and stream positions. The order of the ids' text is the order of the positions, since ms and seq fill the
 * bits from the highest on, and version and variant are the same in all.
 */
#include "base/uuid.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/hex.h"
#include "base/id.h"

#define MS_BITS		48
#define SEQ_LOW_BITS	20	/* of seq's 32, those that stand behind the variant */
#define LOW_BITS(n)	((UINT64_C(1) << (n)) - 1)

#define VERSION		UINT64_C(7)
#define VARIANT		UINT64_C(2)

int
position_compare(struct position a, struct position b)
{
	if (a.ms != b.ms)
		return a.ms < b.ms ? -1 : 1;
	return (a.seq > b.seq) - (a.seq < b.seq);
}

char *
position_text(struct position at, char out[POSITION_LEN])
{
	snprintf(out, POSITION_LEN, "%" PRIu64 "-%" PRIu32, at.ms, at.seq);
	return out;
}

/* Takes a number without needless zeros from the front. */
static int
take_number(struct slice *in, uint64_t max, uint64_t *value)
{
	const char *begin = in->p;
	uint64_t    v = 0;

	for (; in->n > 0 && *in->p >= '0' && *in->p <= '9'; *in = slice_from(*in, 1)) {
		v = v * 10 + (uint64_t)(*in->p - '0');
		if (v > max)
			return -EINVAL;
	}
	if (in->p == begin || (*begin == '0' && in->p > begin + 1))
		return -EINVAL;
	*value = v;
	return 0;
}

int
position_parse(struct position *at, struct slice text)
{
	uint64_t ms, seq;

	if (take_number(&text, LOW_BITS(MS_BITS), &ms) < 0)
		return -EINVAL;
	if (text.n == 0 || *text.p != '-')
		return -EINVAL;
	text = slice_from(text, 1);
	if (take_number(&text, UINT32_MAX, &seq) < 0 || text.n > 0)
		return -EINVAL;
	*at = (struct position){ .ms = ms, .seq = (uint32_t)seq };
	return 0;
}

char *
uuid_from_position(struct position at, uint64_t tail, char out[UUID_LEN + 1])
{
	const uint64_t high = at.ms << 16 | VERSION << 12 | at.seq >> SEQ_LOW_BITS;
	const uint64_t low = VARIANT << 62 | (at.seq & LOW_BITS(SEQ_LOW_BITS)) << UUID_TAIL_BITS |
	    (tail & LOW_BITS(UUID_TAIL_BITS));

	snprintf(out, UUID_LEN + 1, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
	    high >> 16 & LOW_BITS(16), high & LOW_BITS(16), low >> 48, low & LOW_BITS(48));
	return out;
}

static bool
is_hyphen_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

/* The 128 bits of a UUID of any version. */
static int
uuid_bits(struct slice text, uint64_t bits[2])
{
	unsigned n = 0;

	if (text.n != UUID_LEN)
		return -EINVAL;
	bits[0] = bits[1] = 0;
	for (size_t i = 0; i < UUID_LEN; i++) {
		int digit = hex_digit(text.p[i]);

		if (is_hyphen_place(i) ? text.p[i] != '-' : digit < 0)
			return -EINVAL;
		if (is_hyphen_place(i))
			continue;
		bits[n / 16] = bits[n / 16] << 4 | (uint64_t)digit;
		n++;
	}
	return 0;
}

int
uuid_to_position(struct slice text, struct position *at, uint64_t *tail)
{
	uint64_t bits[2];

	if (uuid_bits(text, bits) < 0)
		return -EINVAL;
	if ((bits[0] >> 12 & 15) != VERSION || bits[1] >> 62 != VARIANT)
		return -EINVAL;
	*at = (struct position){
		.ms = bits[0] >> 16,
		.seq = (uint32_t)((bits[0] & LOW_BITS(12)) << SEQ_LOW_BITS |
		    (bits[1] >> UUID_TAIL_BITS & LOW_BITS(SEQ_LOW_BITS))),
	};
	*tail = bits[1] & LOW_BITS(UUID_TAIL_BITS);
	return 0;
}

uint64_t
uuid_tail(void)
{
	uint64_t random;

	id_random(&random, sizeof(random));
	return random & LOW_BITS(UUID_TAIL_BITS);
}
