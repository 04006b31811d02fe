/*
 * Randomness from the kernel, and ids made of it.
 */
#include "base/id.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <sys/random.h>

#include "base/b64.h"

void
id_random(void *p, size_t n)
{
	uint8_t *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got >= 0) {
			at += got;
			n -= (size_t)got;
		} else if (errno != EINTR) {
			fprintf(stderr, "roost: no randomness: %s\n", strerror(errno));
			exit(EX_OSERR);
		}
	}
}

char *
id_new(char *out)
{
	uint8_t random[16];

	id_random(random, sizeof(random));
	out[b64url_encode(random, sizeof(random), out)] = '\0';
	return out;
}
