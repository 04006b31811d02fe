/*
 * Query strings and paths: the two ways to look for a parameter must agree, and what is decoded is valid UTF-8.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "net/url.h"
#include "net/utf8.h"

/* Looks for each parameter by the name that the walk gives it. */
static void
fuzz_query(struct slice query)
{
	autobuf struct buf name = { 0 }, value = { 0 }, found = { 0 };
	size_t		   at = 0, before = 0;
	unsigned	   pairs = 0;
	int		   r;

	while ((r = url_next_param(query, &at, &name, &value)) != 0 && pairs++ < 16) {
		assert(at > before && at <= query.n);
		before = at;
		if (r < 0)
			continue;
		assert(utf8_valid(buf_slice(&name)) && utf8_valid(buf_slice(&value)));
		if (memchr(buf_slice(&name).p, '\0', name.n) != NULL)
			continue;
		buf_add_char(&name, '\0');
		r = url_param(query, name.p, &found);
		assert(r != 0);
		/* The last pair of all is the last one of its name. */
		if (at == query.n)
			assert(r == 1 && slice_eq(buf_slice(&found), buf_slice(&value)));
	}
}

static void
fuzz_path(struct slice path)
{
	autobuf struct buf out = { 0 };
	size_t		   slashes = 0;

	url_path_is(path, "/socket/websocket");
	if (url_decode_segment(path, &out) == 0)
		assert(out.n <= path.n && utf8_valid(buf_slice(&out)));
	if (url_decode_path(path, &out) < 0)
		return;
	assert(out.n <= path.n);
	for (size_t i = 0; i < path.n; i++)
		slashes += path.p[i] == '/';
	for (size_t i = 0; i < out.n; i++) {
		assert(out.p[i] != '\0' && out.p[i] != '\\');
		slashes -= out.p[i] == '/';
	}
	assert(slashes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice(size > 0 ? (const char *)data : "", size);

	fuzz_query(in);
	fuzz_path(in);
	return 0;
}
