/*
 * Numbers with units, as people write them in configuration: "10s", "1m", "64k", "30/60s".
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * All return 0, -EINVAL (not of that form) or -ERANGE; the result is untouched then. The whole string must
 * match, in either case; no sign, no fraction.
 */
int units_bool(const char *, bool *);			/* yes no true false on off 1 0 */
int units_number(const char *, uint64_t *);		/* decimal digits */
int units_size(const char *, uint64_t *bytes);		/* "512", "64k", "1m", "2g", also "KiB" "MiB" "GiB" "kb" "mb"; powers of 1024 */
int units_duration(const char *, uint64_t *ms);		/* "500ms", "10s", "5m", "2h", "7d"; "0"; a bare number is seconds */
struct rate {
	uint32_t	count;
	uint64_t	period_ms;
};
int units_rate(const char *, struct rate *);		/* "30/60s", "1/s", "100/s"; count 0 = no limit */

/* The shortest text that parses to the same value, e.g. "1m", "90s"; into out[n], returns out. */
char *units_size_text(uint64_t bytes, char *out, unsigned long n);
char *units_duration_text(uint64_t ms, char *out, unsigned long n);

#endif
