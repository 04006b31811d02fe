/*
 * Sec-WebSocket-Extensions, a field a line: what is agreed on must be possible, and an answer sent back as
 * an offer must be agreed on again.
 */
#include <assert.h>
#include <stdint.h>

#include "net/ws.h"

#define NAME	"Sec-WebSocket-Extensions"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
add_fields(struct http_request *req, struct slice in)
{
	while (in.n > 0 && req->n_fields < HTTP_MAX_FIELDS) {
		const char *lf = memchr(in.p, '\n', in.n);
		size_t	    n = lf != NULL ? (size_t)(lf - in.p) : in.n;

		req->fields[req->n_fields++] = (struct http_field){ .name = SLICE(NAME), .value = slice(in.p, n) };
		in = slice_from(in, lf != NULL ? n + 1 : n);
	}
}

static void
check_again(struct slice offer, struct ws_deflate was)
{
	autobuf struct buf  answer = { 0 };
	struct http_request req = { 0 };
	struct ws_deflate   got;

	add_fields(&req, offer);
	got = ws_negotiate(&req, &answer);
	assert(got.server_bits == was.server_bits && slice_eq(buf_slice(&answer), offer));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autobuf struct buf  answer = { 0 };
	struct http_request req = { 0 };
	struct ws_deflate   got;

	add_fields(&req, slice((const char *)data, size));
	got = ws_negotiate(&req, &answer);
	if (got.server_bits == 0) {
		assert(got.client_bits == 0 && answer.n == 0);
		return 0;
	}
	assert(got.server_bits >= 9 && got.server_bits <= 15);
	assert(got.client_bits >= 8 && got.client_bits <= 15);
	check_again(buf_slice(&answer), got);
	return 0;
}
