/*
 * PROXY headers: the answer must not depend on how the bytes were cut, and only a whole header may change the address.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/proxy.h"

static ssize_t
parse(struct slice in, struct addr *src)
{
	static const struct addr before = { .family = AF_INET, .port = 9, .ip = { 9, 9, 9, 9 } };
	autofree char		*copy = xmalloc(in.n);
	ssize_t			 n;

	if (in.n > 0)
		memcpy(copy, in.p, in.n);
	*src = before;
	n = proxy_parse(slice(copy, in.n), src);
	assert(n > 0 || memcmp(src, &before, sizeof(before)) == 0);
	assert(n <= (ssize_t)in.n && n <= PROXY_MAX);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice((const char *)data, size);
	struct addr  src, again;
	ssize_t	     whole = parse(in, &src), pieces = 0;

	for (size_t n = 0; n <= size && pieces == 0; n++)
		pieces = parse(slice(in.p, n), &again);
	assert(pieces == whole);
	assert(src.family == again.family && src.port == again.port && memcmp(src.ip, again.ip, sizeof(src.ip)) == 0);
	return 0;
}
