/*
 * The two clocks: intervals are monotonic, wall time is for tokens and stamps alone.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in ms. */
uint64_t clock_ms(void);
/* CLOCK_REALTIME in ms since 1970. */
int64_t wall_ms(void);

#define CLOCK_ISO_LEN	sizeof("2026-01-02T03:04:05.678Z")
/* ISO 8601 UTC with milliseconds into out[CLOCK_ISO_LEN]; returns out. */
char *clock_iso(int64_t wall, char *out);

#endif
