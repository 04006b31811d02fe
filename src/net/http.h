/*
 * HTTP/1.1 requests (RFC 9110, 9112), read strictly and without I/O: what two parsers might read differently
 * is refused.
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
	uint8_t		minor;		/* of the version: HTTP/1.0 or HTTP/1.1 */
	bool		has_body;	/* a Content-Length above 0, or any Transfer-Encoding that was legal (content_length is 0 then) */
	bool		has_length;	/* a Content-Length or Transfer-Encoding field is there at all */
	bool		keep_alive;	/* HTTP/1.1 and no "Connection: close" */
	unsigned	n_fields;
	struct http_field fields[HTTP_MAX_FIELDS];
};

/*
 * Looks for the end of a head in bytes that arrive in pieces. `scanned` is the state: bytes looked at before,
 * 0 at first. Returns the head's length (its empty line included) once it is there; 0 = wants more; or a
 * negative HTTP status: -431 when it is longer than limits->head (-414 if not even its first line ends
 * there), -400 for what can never become a head (a bare LF or CR, NUL, a first byte that begins no method:
 * TLS, an empty line, garbage). The answer does not depend on how the bytes were cut.
 */
ssize_t http_head_end(struct slice have, size_t *scanned, const struct http_limits *);
/*
 * Parses one complete head. Returns 0, or the negative status to answer with: -400 bad syntax (obs-fold,
 * blank before the colon, bare CR, NUL, bad field name, no colon, a method longer than 32, two Hosts, none
 * with HTTP/1.1, one that is not a name of letters, digits, "-", "_" and ".", an IPv4 address or a bracketed
 * IPv6 address, with or without a port; two Content-Length or one that is not digits, Content-Length with
 * Transfer-Encoding, a Transfer-Encoding other than "chunked" or in HTTP/1.0, a target that is not
 * origin-form or holds characters that RFC 3986 does not allow there: only "[" and "]" are taken in a query,
 * since browsers send them bare), -413, -414, -431, -505 (version other than 1.0 or 1.1; HTTP/2's preface).
 * HTTP/1.0 parses, with keep_alive false. *req may be half filled when it fails.
 */
int http_parse_head(struct slice head, const struct http_limits *, struct http_request *);
/*
 * The first field of that name: its value, or p == NULL if there is none. *twice (may be NULL) tells whether
 * there are more. Names compare without case.
 */
struct slice http_field(const struct http_request *, const char *name, bool *twice);
/* True if the comma-separated list of that field, over repeated fields, has the token; without case. */
bool http_has_token(const struct http_request *, const char *name, const char *token);
/*
 * Walks a comma-separated list over repeated fields: *at = 0 at first; false at the end. Elements trimmed,
 * empty ones skipped; a comma within a quoted string does not separate.
 */
bool http_next_token(const struct http_request *, const char *name, size_t *at, struct slice *element);

/* Without the spaces and tabs around it (OWS of RFC 9110 section 5.6.3). */
struct slice http_trim(struct slice);

/* "Bad Request" and so on; "Unknown" for a status we never send. */
const char *http_reason(unsigned status);
/*
 * Composes a response: status line, Server (without version), Date, Connection, Content-Length, Content-Type,
 * then `extra` (complete lines ending in CR LF, may be NULL), the empty line and the body (left out for HEAD,
 * while Content-Length stays). `type` NULL = no body and no Content-Type. A 1xx, 204 or 304 has no
 * Content-Length.
 */
void http_response(struct buf *out, unsigned status, bool keep_alive, const char *extra, const char *type, struct slice body, bool head_only);

#endif
