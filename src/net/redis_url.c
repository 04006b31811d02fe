/*
 * Where a Redis server is, as text.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/units.h"
#include "net/addr.h"
#include "net/redis.h"
#include "net/redis_tls.h"
#include "net/url.h"

#define PORT	6379
#define MAX_DB	INT32_MAX

/* Undoes percent-encoding into out[size], with a NUL. */
static int
decode(struct slice text, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++, n++) {
		int c = (unsigned char)text.p[i];

		if (c == '%') {
			c = url_escape(slice_from(text, i));
			i += 2;
		}
		if (c <= 0 || n + 1 >= size)
			return -EINVAL;
		out[n] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

static int
number(struct slice text, uint64_t max, uint64_t *out)
{
	char digits[16];

	if (text.n == 0 || text.n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text.p, text.n);
	digits[text.n] = '\0';
	if (units_number(digits, out) < 0 || *out > max)
		return -EINVAL;
	return 0;
}

/* What is before the first `c`; *rest is what is behind it, with p == NULL if there is none. */
static struct slice
cut(struct slice text, char c, struct slice *rest)
{
	const char *at = text.n > 0 ? memchr(text.p, c, text.n) : NULL;

	*rest = (struct slice){ 0 };
	if (at == NULL)
		return text;
	*rest = slice_from(text, (size_t)(at - text.p) + 1);
	return slice(text.p, (size_t)(at - text.p));
}

static int
parse_db(struct redis_url *u, struct slice text, const char **why)
{
	uint64_t db;

	if (number(text, MAX_DB, &db) < 0) {
		*why = "the database is not a number";
		return -EINVAL;
	}
	u->db = (unsigned)db;
	return 0;
}

static int
parse_user(struct redis_url *u, struct slice text, const char **why)
{
	struct slice password;
	struct slice user = cut(text, ':', &password);

	*why = "before the @ stands USER:PASSWORD or :PASSWORD";
	if (password.p == NULL || password.n == 0)
		return -EINVAL;
	*why = "the user or the password is too long, or a % in it is not followed by two hexadecimal digits";
	if (decode(user, u->user, sizeof(u->user)) < 0)
		return -EINVAL;
	return decode(password, u->password, sizeof(u->password));
}

static bool
is_host_name(struct slice host)
{
	for (size_t i = 0; i < host.n; i++) {
		char c = ascii_lower(host.p[i]);

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_')
			return false;
	}
	return host.n > 0;
}

static bool
is_ipv6(struct slice text)
{
	struct addr ip;

	return memchr(text.p, ':', text.n) != NULL && addr_parse_ip(&ip, text) == 0;
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT */
static int
parse_host(struct redis_url *u, struct slice text, const char **why)
{
	struct slice port, host;
	uint64_t     n = PORT;
	bool	     brackets = text.n > 0 && text.p[0] == '[';

	*why = "the host is neither a name nor an address ([V6] in brackets)";
	if (brackets) {
		host = cut(slice_from(text, 1), ']', &port);
		if (port.p == NULL || !is_ipv6(host) || (port.n > 0 && port.p[0] != ':'))
			return -EINVAL;
		port = port.n > 0 ? slice_from(port, 1) : (struct slice){ 0 };
	} else {
		host = cut(text, ':', &port);
		if (!is_host_name(host))
			return -EINVAL;
	}
	if (host.n >= sizeof(u->host))
		return -EINVAL;
	memcpy(u->host, host.p, host.n);
	*why = "the port is not a number from 1 to 65535";
	if (port.p != NULL && (number(port, UINT16_MAX, &n) < 0 || n == 0))
		return -EINVAL;
	u->port = (uint16_t)n;
	return 0;
}

/* A password may hold what it should have encoded: the last @ counts. */
static int
parse_inet(struct redis_url *u, struct slice text, const char **why)
{
	struct slice path;
	struct slice authority = cut(text, '/', &path);
	const char  *at = authority.n > 0 ? memrchr(authority.p, '@', authority.n) : NULL;
	int	     r;

	if (at != NULL) {
		r = parse_user(u, slice(authority.p, (size_t)(at - authority.p)), why);
		if (r < 0)
			return r;
		authority = slice_from(authority, (size_t)(at - authority.p) + 1);
	}
	r = parse_host(u, authority, why);
	if (r < 0 || path.n == 0)
		return r;
	return parse_db(u, path, why);
}

static int
parse_unix(struct redis_url *u, struct slice text, const char **why)
{
	struct slice query;
	struct slice path = cut(text, '?', &query);

	u->is_unix = true;
	*why = "the path of a unix socket begins with / and is not longer than 107 bytes";
	if (path.n == 0 || path.p[0] != '/' || path.n >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -EINVAL;
	memcpy(u->host, path.p, path.n);
	if (query.p == NULL)
		return 0;
	*why = "behind the path of a unix socket stands ?db=NUMBER or nothing";
	if (!slice_starts(query, SLICE("db=")))
		return -EINVAL;
	return parse_db(u, slice_from(query, 3), why);
}

/* Neither a log line nor a path has those. */
static bool
has_control(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return true;
	return false;
}

int
redis_url_parse(struct redis_url *u, const char *text, const char **why)
{
	struct slice s = slice_str(text);

	*u = (struct redis_url){ .port = PORT };
	*why = "it is too long, or has control characters";
	if (s.n >= REDIS_URL_TEXT || has_control(s))
		return -EINVAL;
	if (slice_starts(s, SLICE("unix:")))
		return parse_unix(u, slice_from(s, 5), why);
	if (slice_starts(s, SLICE("redis://")))
		return parse_inet(u, slice_from(s, 8), why);
	*why = "expected redis://HOST, rediss://HOST or unix:/PATH";
	if (!slice_starts(s, SLICE("rediss://")))
		return -EINVAL;
	*why = "rediss:// needs hiredis 1.0 or later with TLS, which this roostd was built without";
	if (!redis_tls_works())
		return -EINVAL;
	u->tls = true;
	return parse_inet(u, slice_from(s, 9), why);
}

static size_t
encode(const char *text, char *out)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		char c = *text;

		if (is_host_name(slice(&c, 1)))
			out[n++] = c;
		else
			n += (size_t)snprintf(out + n, 4, "%%%02X", (unsigned char)c);
	}
	out[n] = '\0';
	return n;
}

char *
redis_url_text(const struct redis_url *u, char *out)
{
	char   user[3 * sizeof(u->user) + 1], db[24] = "";
	bool   v6 = strchr(u->host, ':') != NULL;
	size_t n = encode(u->user, user);

	if (u->db > 0)
		snprintf(db, sizeof(db), "%s%u", u->is_unix ? "?db=" : "/", u->db);
	if (u->is_unix)
		snprintf(out, REDIS_URL_TEXT, "unix:%s%s", u->host, db);
	else
		snprintf(out, REDIS_URL_TEXT, "redis%s://%s%s%s%s%s:%u%s", u->tls ? "s" : "", user, n > 0 ? "@" : "",
		    v6 ? "[" : "", u->host, v6 ? "]" : "", u->port, db);
	return out;
}
