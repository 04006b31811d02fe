/*
 * Reading the clocks.
 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define YEAR_0000	(-INT64_C(62167219200000))
#define YEAR_10000	INT64_C(253402300800000)

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t
clock_ms(void)
{
	return (uint64_t)read_ms(CLOCK_MONOTONIC);
}

int64_t
wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

char *
clock_iso(int64_t wall, char *out)
{
	time_t	  seconds;
	unsigned  ms;
	struct tm tm;

	/* Four digits hold no other year. */
	if (wall < YEAR_0000)
		wall = YEAR_0000;
	if (wall >= YEAR_10000)
		wall = YEAR_10000 - 1;
	ms = (unsigned)((wall - YEAR_0000) % 1000);
	seconds = (wall - ms) / 1000;
	gmtime_r(&seconds, &tm);
	snprintf(out, CLOCK_ISO_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)(tm.tm_year + 1900) % 10000,
	    (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
	    (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, ms);
	return out;
}
