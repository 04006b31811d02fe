/*
 * HTTP/1.1 heads and responses. One table says where each octet may stand; nothing is repaired, since whatever
 * stands before us might have repaired it differently.
 */
#include "net/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

#define MAX_METHOD	32
#define MAX_PORT_DIGITS	5

/* Where an octet may stand. */
enum {
	IN_TOKEN = 1,
	IN_PATH = 2,
	IN_QUERY = 4,
	IN_HOST = 8,
	IN_ALL = IN_TOKEN | IN_PATH | IN_QUERY | IN_HOST
};

static const uint8_t places[256] = {
	['0' ... '9'] = IN_ALL,
	['A' ... 'Z'] = IN_ALL,
	['a' ... 'z'] = IN_ALL,
	['-'] = IN_ALL,
	['.'] = IN_ALL,
	['_'] = IN_ALL,
	['~'] = IN_TOKEN | IN_PATH | IN_QUERY,
	['!'] = IN_TOKEN | IN_PATH | IN_QUERY,
	['$'] = IN_TOKEN | IN_PATH | IN_QUERY,
	['%'] = IN_TOKEN | IN_PATH | IN_QUERY,
	['&'] = IN_TOKEN | IN_PATH | IN_QUERY,
	['\''] = IN_TOKEN | IN_PATH | IN_QUERY,
	['*'] = IN_TOKEN | IN_PATH | IN_QUERY,
	['+'] = IN_TOKEN | IN_PATH | IN_QUERY,
	['#'] = IN_TOKEN,
	['^'] = IN_TOKEN,
	['`'] = IN_TOKEN,
	['|'] = IN_TOKEN,
	['('] = IN_PATH | IN_QUERY,
	[')'] = IN_PATH | IN_QUERY,
	[','] = IN_PATH | IN_QUERY,
	[';'] = IN_PATH | IN_QUERY,
	['='] = IN_PATH | IN_QUERY,
	[':'] = IN_PATH | IN_QUERY,
	['@'] = IN_PATH | IN_QUERY,
	['/'] = IN_PATH | IN_QUERY,
	['?'] = IN_QUERY,
	['['] = IN_QUERY,
	[']'] = IN_QUERY,
};

static bool
all_in(struct slice s, unsigned place)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(places[(uint8_t)s.p[i]] & place))
			return false;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice
http_trim(struct slice s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = slice_from(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Looks at byte i of a head whose bytes before were fine: 1 = it is the last one, 0 = more must follow, or -400. */
static int
head_byte(const char *p, size_t i)
{
	bool after_cr = i > 0 && p[i - 1] == '\r';

	if (i == 0)
		return places[(uint8_t)p[0]] & IN_TOKEN ? 0 : -400;
	if (p[i] != '\n')
		return after_cr || p[i] == '\0' ? -400 : 0;
	if (!after_cr)
		return -400;
	return p[i - 2] == '\n';
}

ssize_t
http_head_end(struct slice have, size_t *scanned, const struct http_limits *limits)
{
	size_t end = have.n < limits->head ? have.n : limits->head;
	int    r;

	for (size_t i = *scanned; i < end; i++) {
		r = head_byte(have.p, i);
		if (r < 0)
			return r;
		if (r > 0)
			return (ssize_t)i + 1;
	}
	*scanned = end;
	if (have.n < limits->head)
		return 0;
	return end == 0 || memchr(have.p, '\n', end) != NULL ? -431 : -414;
}

/* Takes the next line off the head, without its CR LF. */
static bool
take_line(struct slice *head, struct slice *line)
{
	const char *lf = head->n > 0 ? memchr(head->p, '\n', head->n) : NULL;

	if (lf == NULL || lf == head->p || lf[-1] != '\r')
		return false;
	*line = slice(head->p, (size_t)(lf - head->p) - 1);
	*head = slice_from(*head, line->n + 2);
	return true;
}

/* Takes what stands before the next single blank, and the blank. */
static bool
take_word(struct slice *line, struct slice *word)
{
	const char *blank = line->n > 0 ? memchr(line->p, ' ', line->n) : NULL;

	if (blank == NULL)
		return false;
	*word = slice(line->p, (size_t)(blank - line->p));
	*line = slice_from(*line, word->n + 1);
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
parse_version(struct slice s, struct http_request *req)
{
	if (s.n != 8 || !slice_starts(s, SLICE("HTTP/")) || !is_digit(s.p[5]) || s.p[6] != '.' || !is_digit(s.p[7]))
		return -400;
	if (s.p[5] != '1' || s.p[7] > '1')
		return -505;
	req->minor = (uint8_t)(s.p[7] - '0');
	return 0;
}

static int
parse_target(struct slice s, size_t max, struct http_request *req)
{
	const char *mark;

	if (s.n > max)
		return -414;
	if (s.n == 0 || s.p[0] != '/')
		return -400;
	mark = memchr(s.p, '?', s.n);
	req->target = s;
	req->path = slice(s.p, mark != NULL ? (size_t)(mark - s.p) : s.n);
	req->query = mark != NULL ? slice_from(s, req->path.n + 1) : slice_from(s, s.n);
	return all_in(req->path, IN_PATH) && all_in(req->query, IN_QUERY) ? 0 : -400;
}

/* The version comes first, so that another protocol is told so and not that its target is bad. */
static int
parse_request_line(struct slice line, const struct http_limits *limits, struct http_request *req)
{
	struct slice target;
	int	     r;

	if (!take_word(&line, &req->method) || !take_word(&line, &target))
		return -400;
	r = parse_version(line, req);
	if (r < 0)
		return r;
	if (req->method.n == 0 || req->method.n > MAX_METHOD || !all_in(req->method, IN_TOKEN))
		return -400;
	return parse_target(target, limits->target, req);
}

static bool
is_field_value(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((uint8_t)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

/* A folded line begins with a blank, which is in no name. */
static int
parse_field(struct slice line, struct http_field *field)
{
	const char *colon = memchr(line.p, ':', line.n);

	if (colon == NULL || colon == line.p)
		return -400;
	field->name = slice(line.p, (size_t)(colon - line.p));
	field->value = http_trim(slice_from(line, field->name.n + 1));
	return all_in(field->name, IN_TOKEN) && is_field_value(field->value) ? 0 : -400;
}

/* Reads the fields and the empty line, behind which nothing may be. */
static int
parse_fields(struct slice head, const struct http_limits *limits, struct http_request *req)
{
	unsigned     max = limits->fields < HTTP_MAX_FIELDS ? limits->fields : HTTP_MAX_FIELDS;
	struct slice line;
	int	     r;

	while (take_line(&head, &line)) {
		if (line.n == 0)
			return head.n == 0 ? 0 : -400;
		if (req->n_fields == max)
			return -431;
		r = parse_field(line, &req->fields[req->n_fields]);
		if (r < 0)
			return r;
		req->n_fields++;
	}
	return -400;
}

/* Digits only, at most `max`. */
static int
parse_number(struct slice s, uint64_t max, uint64_t *number)
{
	uint64_t n = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		uint64_t digit = (uint64_t)(s.p[i] - '0');

		if (!is_digit(s.p[i]) || n > (max - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*number = n;
	return 0;
}

static bool
is_port(struct slice s)
{
	uint64_t port;

	return s.n <= MAX_PORT_DIGITS && parse_number(s, UINT16_MAX, &port) == 0;
}

/* The address within brackets. */
static bool
is_ipv6(struct slice s)
{
	char		text[INET6_ADDRSTRLEN];
	struct in6_addr ignored;

	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(AF_INET6, text, &ignored) == 1;
}

static bool
is_host(struct slice s)
{
	bool	     bracket = s.n > 0 && s.p[0] == '[';
	const char  *end = s.n > 0 ? memchr(s.p, bracket ? ']' : ':', s.n) : NULL;
	struct slice name = slice(s.p, end != NULL ? (size_t)(end - s.p) : s.n);
	struct slice port = slice_from(s, name.n);

	if (bracket) {
		if (end == NULL || !is_ipv6(slice_from(name, 1)))
			return false;
		port = slice_from(port, 1);
	} else if (name.n == 0 || !all_in(name, IN_HOST))
		return false;
	return port.n == 0 || (port.p[0] == ':' && is_port(slice_from(port, 1)));
}

static int
find_host(struct http_request *req)
{
	bool twice;

	req->host = http_field(req, "Host", &twice);
	if (req->host.p == NULL)
		return req->minor == 0 ? 0 : -400;
	return !twice && is_host(req->host) ? 0 : -400;
}

static int
find_body(struct http_request *req, size_t max)
{
	bool	     two_lengths, two_codings;
	struct slice length = http_field(req, "Content-Length", &two_lengths);
	struct slice coding = http_field(req, "Transfer-Encoding", &two_codings);

	req->has_length = length.p != NULL || coding.p != NULL;
	if (coding.p != NULL) {
		req->has_body = true;
		if (length.p != NULL || two_codings || req->minor == 0)
			return -400;
		return slice_eq_nocase(coding, SLICE("chunked")) ? 0 : -400;
	}
	if (length.p == NULL)
		return 0;
	if (two_lengths || parse_number(length, UINT64_MAX, &req->content_length) < 0)
		return -400;
	req->has_body = req->content_length > 0;
	return req->content_length <= max ? 0 : -413;
}

int
http_parse_head(struct slice head, const struct http_limits *limits, struct http_request *req)
{
	struct slice line;
	int	     r;

	*req = (struct http_request){ 0 };
	if (head.n > limits->head)
		return -431;
	if (!take_line(&head, &line))
		return -400;
	r = parse_request_line(line, limits, req);
	if (r < 0)
		return r;
	r = parse_fields(head, limits, req);
	if (r < 0)
		return r;
	r = find_host(req);
	if (r < 0)
		return r;
	req->keep_alive = req->minor == 1 && !http_has_token(req, "Connection", "close");
	return find_body(req, limits->body);
}

struct slice
http_field(const struct http_request *req, const char *name, bool *twice)
{
	struct slice wanted = slice_str(name), found = { 0 };
	unsigned     n = 0;

	for (unsigned i = 0; i < req->n_fields; i++)
		if (slice_eq_nocase(req->fields[i].name, wanted) && n++ == 0)
			found = req->fields[i].value;
	if (twice != NULL)
		*twice = n > 1;
	return found;
}

/* The length of a list's first element: up to a comma outside of quotes. */
static size_t
element_len(struct slice list)
{
	bool   quoted = false;
	size_t i;

	for (i = 0; i < list.n && (quoted || list.p[i] != ','); i++) {
		if (list.p[i] == '"')
			quoted = !quoted;
		else if (quoted && list.p[i] == '\\' && i + 1 < list.n)
			i++;
	}
	return i;
}

/* *at tells the field and the offset in its value: offset * HTTP_MAX_FIELDS + field. */
bool
http_next_token(const struct http_request *req, const char *name, size_t *at, struct slice *element)
{
	struct slice wanted = slice_str(name);
	size_t	     offset = *at / HTTP_MAX_FIELDS;

	for (size_t i = *at % HTTP_MAX_FIELDS; i < req->n_fields; i++, offset = 0) {
		struct slice value = req->fields[i].value;

		if (!slice_eq_nocase(req->fields[i].name, wanted))
			continue;
		while (offset < value.n) {
			size_t n = element_len(slice_from(value, offset));

			*element = http_trim(slice(value.p + offset, n));
			offset += n + 1;
			*at = offset * HTTP_MAX_FIELDS + i;
			if (element->n > 0)
				return true;
		}
	}
	return false;
}

bool
http_has_token(const struct http_request *req, const char *name, const char *token)
{
	struct slice element;
	size_t	     at = 0;

	while (http_next_token(req, name, &at, &element))
		if (slice_eq_nocase(element, slice_str(token)))
			return true;
	return false;
}

const char *
http_reason(unsigned status)
{
	static const struct {
		unsigned    status;
		const char *text;
	} reasons[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Unknown";
}

/* The time as the Date field wants it, in English whatever the locale; composed once a second. */
static const char *
date_now(void)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static char	  text[64];
	static time_t	  composed = -1;
	time_t		  now = (time_t)(wall_ms() / 1000);
	struct tm	  tm;

	if (now == composed || gmtime_r(&now, &tm) == NULL)
		return text;
	snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
	    months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	composed = now;
	return text;
}

static bool
may_have_body(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

void
http_response(struct buf *out, unsigned status, bool keep_alive, const char *extra, const char *type,
    struct slice body, bool head_only)
{
	bool has_body = type != NULL && may_have_body(status);

	buf_addf(out, "HTTP/1.1 %u %s\r\nServer: roost\r\nDate: %s\r\nConnection: %s\r\n", status,
	    http_reason(status), date_now(), keep_alive ? "keep-alive" : "close");
	if (may_have_body(status))
		buf_addf(out, "Content-Length: %zu\r\n", has_body ? body.n : 0);
	if (has_body)
		buf_addf(out, "Content-Type: %s\r\n", type);
	if (extra != NULL)
		buf_add_str(out, extra);
	buf_add_str(out, "\r\n");
	if (has_body && !head_only)
		buf_add_slice(out, body);
}
