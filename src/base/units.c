/*
 * Reading and writing numbers with units.
 */
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/slice.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* In descending order; the first with a size is the one that we write. */
static const struct unit {
	const char *name;
	uint64_t    value;
} sizes[] = {
	{ "g", 1 << 30 }, { "gb", 1 << 30 }, { "gib", 1 << 30 },
	{ "m", 1 << 20 }, { "mb", 1 << 20 }, { "mib", 1 << 20 },
	{ "k", 1 << 10 }, { "kb", 1 << 10 }, { "kib", 1 << 10 },
	{ "", 1 },
}, durations[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
	{ "", 1000 },
};

int
units_bool(const char *s, bool *out)
{
	static const char *const words[][2] = { { "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" } };

	for (size_t i = 0; i < COUNT(words); i++) {
		for (int value = 0; value < 2; value++) {
			if (!slice_eq_nocase(slice_str(s), slice_str(words[i][value])))
				continue;
			*out = value != 0;
			return 0;
		}
	}
	return -EINVAL;
}

/* Takes the digits off the front of `s`, one at least: all of them, even if the number is too large. */
static int
take_digits(const char **s, uint64_t *out)
{
	const char *start = *s;
	uint64_t    n = 0;
	bool	    overflow = false;

	for (; **s >= '0' && **s <= '9'; (*s)++) {
		overflow |= __builtin_mul_overflow(n, 10, &n);
		overflow |= __builtin_add_overflow(n, (uint64_t)(**s - '0'), &n);
	}
	if (*s == start)
		return -EINVAL;
	*out = n;
	return overflow ? -ERANGE : 0;
}

static const struct unit *
unit_find(const struct unit *units, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_nocase(slice_str(units[i].name), slice_str(name)))
			return &units[i];
	return NULL;
}

static int
parse(const char *s, const struct unit *units, size_t n_units, uint64_t *out)
{
	const struct unit *unit;
	uint64_t	   n, product;
	int		   r;

	r = take_digits(&s, &n);
	if (r == -EINVAL)
		return r;
	unit = unit_find(units, n_units, s);
	if (unit == NULL)
		return -EINVAL;
	if (r < 0 || __builtin_mul_overflow(n, unit->value, &product))
		return -ERANGE;
	*out = product;
	return 0;
}

int
units_number(const char *s, uint64_t *out)
{
	static const struct unit plain = { "", 1 };

	return parse(s, &plain, 1, out);
}

int
units_size(const char *s, uint64_t *bytes)
{
	return parse(s, sizes, COUNT(sizes), bytes);
}

int
units_duration(const char *s, uint64_t *ms)
{
	return parse(s, durations, COUNT(durations), ms);
}

/* "60s", or a unit alone: "s". */
static int
parse_period(const char *s, uint64_t *ms)
{
	const struct unit *unit;
	int		   r;

	unit = s[0] != '\0' ? unit_find(durations, COUNT(durations), s) : NULL;
	if (unit != NULL) {
		*ms = unit->value;
		return 0;
	}
	r = units_duration(s, ms);
	if (r < 0)
		return r;
	return *ms > 0 ? 0 : -EINVAL;
}

int
units_rate(const char *s, struct rate *out)
{
	uint64_t count, period;
	int	 r, r_count;

	r_count = take_digits(&s, &count);
	if (r_count == -EINVAL || *s != '/')
		return -EINVAL;
	r = parse_period(s + 1, &period);
	if (r < 0)
		return r;
	if (r_count < 0 || count > UINT32_MAX)
		return -ERANGE;
	*out = (struct rate){ (uint32_t)count, period };
	return 0;
}

/* The largest unit that divides it gives the shortest text. */
static char *
format(uint64_t value, const struct unit *units, char *out, size_t n)
{
	const struct unit *unit = units;

	while (value % unit->value != 0)
		unit++;
	if (value == 0)
		snprintf(out, n, "0");
	else
		snprintf(out, n, "%" PRIu64 "%s", value / unit->value, unit->name);
	return out;
}

char *
units_size_text(uint64_t bytes, char *out, unsigned long n)
{
	return format(bytes, sizes, out, n);
}

char *
units_duration_text(uint64_t ms, char *out, unsigned long n)
{
	return format(ms, durations, out, n);
}
