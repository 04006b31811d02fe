/*
 * Allocation that does not fail, and the reserve behind it.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"

static void *reserve;
static bool	short_of_memory;

/* Gives up the reserve; false if there was none left. */
static bool
mem_give_up_reserve(void)
{
	short_of_memory = true;
	if (reserve == NULL)
		return false;
	free(reserve);
	reserve = NULL;
	return true;
}

static void *
mem_or_die(void *p, size_t n)
{
	if (p != NULL)
		return p;
	log_error("out of memory (%zu bytes)", n);
	exit(EX_OSERR);
}

void *
xmalloc(size_t n)
{
	void *p = malloc(n > 0 ? n : 1);

	if (p == NULL && mem_give_up_reserve())
		p = malloc(n > 0 ? n : 1);
	return mem_or_die(p, n);
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

	if (p == NULL && mem_give_up_reserve())
		p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);
	return mem_or_die(p, n * size);
}

void *
xrealloc(void *old, size_t n)
{
	void *p = realloc(old, n > 0 ? n : 1);

	if (p == NULL && mem_give_up_reserve())
		p = realloc(old, n > 0 ? n : 1);
	return mem_or_die(p, n);
}

char *
xstrndup(const char *s, size_t n)
{
	char *p = xmalloc(n + 1);

	if (n > 0)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap, again;
	char   *p;
	int	n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	/* Zeroed: an empty string, should the formatting fail (n = -1). */
	p = xcalloc((size_t)n + 1, 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

void
mem_reserve(size_t bytes)
{
	free(reserve);
	reserve = bytes > 0 ? malloc(bytes) : NULL;
	/* Touched, so that it is memory and not a promise. */
	if (reserve != NULL)
		memset(reserve, 0x5a, bytes);
	short_of_memory = bytes > 0 && reserve == NULL;
}

bool
mem_is_short(void)
{
	return short_of_memory;
}

void
mem_autofree(void *p)
{
	free(*(void **)p);
}
