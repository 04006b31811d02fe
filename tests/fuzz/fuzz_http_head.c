/*
 * HTTP heads: the answer must not depend on how the bytes were cut, what is accepted lies within the head, and
 * written down again it reads the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/http.h"

static const struct http_limits limits = { .head = 1024, .target = 256, .fields = 16, .body = 65536 };

static ssize_t
head_end_in_pieces(struct slice in, size_t piece)
{
	size_t	scanned = 0;
	ssize_t r = 0;

	for (size_t n = 0; n < in.n && r == 0;) {
		autofree char *copy = NULL;

		n = in.n - n > piece ? n + piece : in.n;
		copy = xmalloc(n);
		memcpy(copy, in.p, n);
		r = http_head_end(slice(copy, n), &scanned, &limits);
	}
	return r;
}

static void
check_text(struct slice text, struct slice head)
{
	assert(text.p >= head.p && text.p + text.n <= head.p + head.n);
	assert(text.n == 0 || memchr(text.p, '\r', text.n) == NULL);
	assert(text.n == 0 || memchr(text.p, '\n', text.n) == NULL);
	assert(text.n == 0 || memchr(text.p, '\0', text.n) == NULL);
}

static void
check_request(const struct http_request *req, struct slice head)
{
	check_text(req->method, head);
	check_text(req->target, head);
	check_text(req->path, head);
	check_text(req->query, head);
	if (req->host.p != NULL)
		check_text(req->host, head);
	assert(req->n_fields <= limits.fields && req->content_length <= limits.body && req->path.n > 0);
	assert(req->host.n > 0 || req->minor == 0);
	assert(!req->has_body || req->has_length);
	assert(!memchr(req->target.p, ' ', req->target.n));
	for (unsigned i = 0; i < req->n_fields; i++) {
		check_text(req->fields[i].name, head);
		check_text(req->fields[i].value, head);
		assert(req->fields[i].name.n > 0);
	}
}

static void
check_lists(const struct http_request *req, struct slice head)
{
	static const char *const names[] = { "Connection", "Sec-WebSocket-Extensions", "a" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct slice element;
		size_t	     at = 0, last = 0;

		for (; http_next_token(req, names[i], &at, &element); last = at) {
			check_text(element, head);
			assert(element.n > 0 && at != last);
		}
	}
}

/* As we would send it: one blank where one or more may be. */
static void
check_written_again(const struct http_request *req)
{
	autobuf struct buf  out = { 0 };
	struct http_request again;

	buf_addf(&out, "%.*s %.*s HTTP/1.%u\r\n", SLICE_ARG(req->method), SLICE_ARG(req->target), req->minor);
	for (unsigned i = 0; i < req->n_fields; i++)
		buf_addf(&out, "%.*s: %.*s\r\n", SLICE_ARG(req->fields[i].name), SLICE_ARG(req->fields[i].value));
	buf_add_str(&out, "\r\n");
	if (out.n > limits.head)
		return;
	assert(http_parse_head(buf_slice(&out), &limits, &again) == 0);
	assert(slice_eq(req->target, again.target) && slice_eq(req->host, again.host));
	assert(req->content_length == again.content_length && req->has_body == again.has_body);
	assert(req->keep_alive == again.keep_alive && req->n_fields == again.n_fields);
	for (unsigned i = 0; i < req->n_fields; i++)
		assert(slice_eq(req->fields[i].value, again.fields[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice	    in = slice((const char *)data, size);
	ssize_t		    n = head_end_in_pieces(in, size + 1);
	struct http_request req;
	int		    r;

	assert(n == head_end_in_pieces(in, 1 + size % 61));
	assert(n <= (ssize_t)limits.head && n <= (ssize_t)size);
	r = http_parse_head(n > 0 ? slice(in.p, (size_t)n) : in, &limits, &req);
	assert(r <= 0);
	if (r < 0)
		return 0;
	/* Only what has an end is a head. */
	assert(n > 0);
	check_request(&req, slice(in.p, (size_t)n));
	check_lists(&req, slice(in.p, (size_t)n));
	check_written_again(&req);
	return 0;
}
