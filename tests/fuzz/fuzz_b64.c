/*
 * Base64: whatever is accepted is what we would write for the same bytes.
 */
#include <assert.h>
#include <stdint.h>

#include "base/b64.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As text without padding and of the URL-safe alphabet: the same for all kinds. */
static size_t
normalise(struct slice in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n && in.p[i] != '='; i++)
		out[n++] = in.p[i] == '+' ? '-' : in.p[i] == '/' ? '_' : in.p[i];
	return n;
}

static void
check(enum b64_kind kind, struct slice in)
{
	autofree uint8_t *bytes = xmalloc(in.n / 4 * 3 + 3);
	autofree char	 *want = xmalloc(in.n);
	ssize_t		  n = b64_decode(kind, in, bytes);
	autofree char	 *text = xmalloc(n < 0 ? 0 : B64_LEN((size_t)n));

	if (n < 0)
		return;
	if (kind == B64_STRICT)
		assert(slice_eq(slice(text, b64_encode(bytes, (size_t)n, text)), in));
	assert(slice_eq(slice(text, b64url_encode(bytes, (size_t)n, text)), slice(want, normalise(in, want))));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice((const char *)data, size);

	check(B64_STRICT, in);
	check(B64_URL, in);
	check(B64_EITHER, in);
	return 0;
}
