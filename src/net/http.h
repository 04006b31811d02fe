/*
 * HTTP/1.1 requests (RFC 9110, 9112), read strictly and without I/O: what two parsers might read differently is refused.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

#define HTTP_MAX_FIELDS	100

struct http_limits {
	size_t		head;		/* bytes of request line and fields: 16 KiB; more: 431 */
	size_t		target;		/* bytes of the target: 8 KiB; more: 414 */
	unsigned	fields;		/* at most HTTP_MAX_FIELDS; more: 431 */
	size_t		body;		/* bytes of Content-Length: more: 413 */
};

struct http_field {
	struct slice	name;		/* as sent */
	struct slice	value;		/* blanks around it removed */
};

/* All slices borrow the head. */
struct http_request {
	struct slice	method;
	struct slice	target;		/* origin-form as sent: path["?"query] */
	struct slice	path;
	struct slice	query;		/* without "?" */
	struct slice	host;
	uint64_t	content_length;	/* 0 when there is none */
	bool		has_body;	/* a Content-Length above 0, or any Transfer-Encoding that was legal */
	bool		has_length;	/* a Content-Length or Transfer-Encoding field is there at all */
	bool		keep_alive;	/* HTTP/1.1 and no "Connection: close" */
	unsigned	n_fields;
	struct http_field fields[HTTP_MAX_FIELDS];
};

/*
 * Looks for the end of a head in bytes that arrive in pieces. `scanned` is the state: bytes looked at before, 0 at first.
 * Returns the head's length (its empty line included) once it is there; 0 = wants more; or a negative HTTP status: -431 when it is longer than limits->head, -400 for what can
 * never become a head (a bare LF or CR, NUL, a first byte that begins no method: TLS, HTTP/2's preface, garbage), -505 for an HTTP/2 preface.
 */
ssize_t http_head_end(struct slice have, size_t *scanned, const struct http_limits *);
/*
 * Parses one complete head. Returns 0, or the negative status to answer with: -400 bad syntax (RELIABILITY.md 2.1: obs-fold, blank before the colon, bare CR, NUL, bad field name, no colon,
 * no Host or two, illegal Host, two Content-Length or one that is not digits, Content-Length with Transfer-Encoding, a Transfer-Encoding other than "chunked", a target that is not origin-form or holds
 * characters that RFC 3986 does not allow), -413, -414, -431, -501 (method token longer than 32), -505 (version other than 1.0 or 1.1). HTTP/1.0 parses, with keep_alive false.
 */
int http_parse_head(struct slice head, const struct http_limits *, struct http_request *);
/* The field's value if it is there exactly once, an empty slice with p == NULL if it is not, and *twice = true (may be NULL) if repeated: the first one then. Names compare without case. */
struct slice http_field(const struct http_request *, const char *name, bool *twice);
/* True if the comma-separated list of that field, over repeated fields, has the token; without case. */
bool http_has_token(const struct http_request *, const char *name, const char *token);
/* Walks a comma-separated list over repeated fields: *at = 0 at first; false at the end. Elements trimmed, empty ones skipped. */
bool http_next_token(const struct http_request *, const char *name, size_t *at, struct slice *element);

/* "Bad Request" and so on; "Unknown" for a status we never send. */
const char *http_reason(unsigned status);
/*
 * Composes a response: status line, Server (without version), Date, Connection, Content-Length, Content-Type, then `extra` (complete lines ending in CR LF, may be NULL), the empty line and the body
 * (left out for HEAD, while Content-Length stays). `type` NULL = no body and no Content-Type.
 */
void http_response(struct buf *out, unsigned status, bool keep_alive, const char *extra, const char *type, struct slice body, bool head_only);

#endif
