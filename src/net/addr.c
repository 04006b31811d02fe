/*
 * Addresses, to and from text. Everything that looks at an address' family, apart from the listener's socket
 * options, is here.
 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

char *
addr_host(const struct addr *a, char *out)
{
	if (a->family == AF_INET || a->family == AF_INET6)
		inet_ntop(a->family, a->ip, out, ADDR_LEN);
	else
		snprintf(out, ADDR_LEN, "%s", a->family == AF_UNIX ? "unix" : "unknown");
	return out;
}

char *
addr_text(const struct addr *a, char *out)
{
	char ip[INET6_ADDRSTRLEN];

	if (a->family != AF_INET && a->family != AF_INET6)
		return addr_host(a, out);
	inet_ntop(a->family, a->ip, ip, sizeof(ip));
	snprintf(out, ADDR_LEN, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, a->port);
	return out;
}

/* Takes 16 bytes of an IPv6 address, and makes IPv4 of a mapped one. */
static void
addr_set_ip6(struct addr *a, const uint8_t *ip, uint16_t port)
{
	bool mapped = memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;

	*a = (struct addr){ .family = mapped ? AF_INET : AF_INET6, .port = port };
	if (mapped)
		memcpy(a->ip, ip + sizeof(mapped_prefix), 4);
	else
		memcpy(a->ip, ip, 16);
}

void
addr_from_sockaddr(struct addr *a, const struct sockaddr *sa)
{
	const struct sockaddr_in  *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	*a = (struct addr){ .family = sa->sa_family == AF_UNIX ? AF_UNIX : 0 };
	if (sa->sa_family == AF_INET6)
		addr_set_ip6(a, in6->sin6_addr.s6_addr, ntohs(in6->sin6_port));
	if (sa->sa_family != AF_INET)
		return;
	*a = (struct addr){ .family = AF_INET, .port = ntohs(in->sin_port) };
	memcpy(a->ip, &in->sin_addr, 4);
}

int
addr_parse_ip(struct addr *a, struct slice text)
{
	char	z[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n) != NULL)
		return -EINVAL;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, ip) == 1) {
		*a = (struct addr){ .family = AF_INET };
		memcpy(a->ip, ip, 4);
		return 0;
	}
	if (inet_pton(AF_INET6, z, ip) != 1)
		return -EINVAL;
	addr_set_ip6(a, ip, 0);
	return 0;
}

bool
addr_is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	switch (a->family) {
	case AF_INET:
		return a->ip[0] == 127;
	case AF_INET6:
		return memcmp(a->ip, one, sizeof(one)) == 0;
	default:
		return a->family == AF_UNIX;
	}
}

/* Decimal digits alone, up to `max`. */
static int
addr_parse_number(struct slice text, unsigned max, unsigned *number)
{
	unsigned v = 0;

	if (text.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned)(text.p[i] - '0');
		if (v > max)
			return -EINVAL;
	}
	*number = v;
	return 0;
}

/* The place of the last `c`, or the length when there is none. */
static size_t
addr_find_last(struct slice text, char c)
{
	const char *p = text.n > 0 ? memrchr(text.p, c, text.n) : NULL;

	return p != NULL ? (size_t)(p - text.p) : text.n;
}

int
addr_net_parse(struct addr_net *net, struct slice text)
{
	size_t	     at = addr_find_last(text, '/');
	struct slice ip = slice(text.p, at);
	unsigned     bits, width;
	struct addr  a;

	if (slice_is(text, "unix")) {
		*net = (struct addr_net){ .addr.family = AF_UNIX };
		return 0;
	}
	if (addr_parse_ip(&a, ip) < 0)
		return -EINVAL;
	bits = width = memchr(ip.p, ':', ip.n) != NULL ? 128 : 32;
	if (at < text.n && addr_parse_number(slice_from(text, at + 1), width, &bits) < 0)
		return -EINVAL;
	/* An IPv4 address written as IPv6: its prefix counts the 96 bits in front, which must all be part of it. */
	if (width == 128 && a.family == AF_INET) {
		if (bits < 96)
			return -EINVAL;
		bits -= 96;
	}
	*net = (struct addr_net){ .addr = a, .bits = bits };
	return 0;
}

bool
addr_net_has(const struct addr_net *net, const struct addr *a)
{
	unsigned bytes = net->bits / 8, rest = net->bits % 8;

	if (a->family != net->addr.family || a->family == 0)
		return false;
	if (memcmp(a->ip, net->addr.ip, bytes) != 0)
		return false;
	return rest == 0 || ((a->ip[bytes] ^ net->addr.ip[bytes]) & (0xff00 >> rest) & 0xff) == 0;
}

static int
addr_refuse(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static void
addr_listen_set(struct addr_listen *l, const struct addr *a)
{
	struct sockaddr_in  in = { .sin_family = AF_INET, .sin_port = htons(a->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };

	if (a->family == AF_INET) {
		memcpy(&in.sin_addr, a->ip, 4);
		memcpy(&l->sa, &in, sizeof(in));
		l->sa_len = sizeof(in);
	} else {
		memcpy(&in6.sin6_addr, a->ip, 16);
		memcpy(&l->sa, &in6, sizeof(in6));
		l->sa_len = sizeof(in6);
	}
}

static int
addr_listen_parse_path(struct addr_listen *l, struct slice path, const char **why)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (path.n == 0 || path.n >= sizeof(un.sun_path))
		return addr_refuse(why, "expected a path of 1 to 107 characters behind unix:");
	memcpy(l->path, path.p, path.n);
	memcpy(un.sun_path, path.p, path.n);
	memcpy(&l->sa, &un, sizeof(un));
	l->sa_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
	return 0;
}

/* "[V6]", an IPv4 literal, "localhost" or "*". */
static int
addr_parse_host(struct addr *a, struct slice host, const char **why)
{
	bool brackets = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	bool colons = host.n > 0 && memchr(host.p, ':', host.n) != NULL;

	if (slice_is(host, "*"))
		host = SLICE("::");
	else if (slice_is(host, "localhost"))
		host = SLICE("127.0.0.1");
	else if (brackets && colons)
		host = slice(host.p + 1, host.n - 2);
	else if (colons)
		return addr_refuse(why, "expected brackets around an IPv6 address: [V6]:PORT");
	if (addr_parse_ip(a, host) < 0)
		return addr_refuse(why, "expected an IP address, localhost or * as the host");
	return 0;
}

static int
addr_listen_parse_inet(struct addr_listen *l, struct slice text, const char **why)
{
	size_t	     at = addr_find_last(text, ':');
	struct slice host = slice(text.p, at);
	struct addr  a;
	unsigned     port;
	int	     r;

	if (at == 0 || at == text.n || text.p[text.n - 1] == ']')
		return addr_refuse(why, "expected HOST:PORT, [V6]:PORT or unix:PATH");
	r = addr_parse_host(&a, host, why);
	if (r < 0)
		return r;
	if (addr_parse_number(slice_from(text, at + 1), UINT16_MAX, &port) < 0)
		return addr_refuse(why, "expected a port from 0 to 65535");
	a.port = (uint16_t)port;
	l->any = slice_is(host, "*");
	addr_listen_set(l, &a);
	return 0;
}

/* What stands behind the address: nothing, or flags, each with its comma. */
static int
addr_listen_parse_flags(struct addr_listen *l, struct slice flags, const char **why)
{
	while (flags.n > 0) {
		const char  *end = memchr(flags.p + 1, ',', flags.n - 1);
		struct slice flag = slice_from(flags, 1);

		if (end != NULL)
			flag.n = (size_t)(end - flag.p);
		if (slice_is(flag, "proxy"))
			l->proxy = true;
		else if (slice_is(flag, "tls"))
			l->tls = true;
		else
			return addr_refuse(why, "expected nothing but ,proxy and ,tls behind the address");
		flags = slice_from(flags, flag.n + 1);
	}
	return 0;
}

int
addr_listen_parse(struct addr_listen *l, const char *text, const char **why)
{
	struct addr_listen parsed = { 0 };
	struct slice	   all = slice_str(text), where = slice(all.p, strcspn(all.p, ","));
	int		   r;

	if (slice_starts(where, SLICE("unix:")))
		r = addr_listen_parse_path(&parsed, slice_from(where, sizeof("unix:") - 1), why);
	else
		r = addr_listen_parse_inet(&parsed, where, why);
	if (r < 0)
		return r;
	r = addr_listen_parse_flags(&parsed, slice_from(all, where.n), why);
	if (r < 0)
		return r;
	*l = parsed;
	return 0;
}

bool
addr_listen_is_loopback(const struct addr_listen *l)
{
	struct addr a;

	addr_from_sockaddr(&a, (const struct sockaddr *)&l->sa);
	return addr_is_loopback(&a);
}

char *
addr_listen_text(const struct addr_listen *l, char *out)
{
	char	    where[ADDR_LEN];
	struct addr a;
	bool	    unix_path = l->path[0] != '\0';

	addr_from_sockaddr(&a, (const struct sockaddr *)&l->sa);
	if (l->any)
		snprintf(where, sizeof(where), "*:%u", a.port);
	else
		addr_text(&a, where);
	snprintf(out, ADDR_LISTEN_LEN, "%s%s%s%s", unix_path ? "unix:" : "", unix_path ? l->path : where,
	    l->proxy ? ",proxy" : "", l->tls ? ",tls" : "");
	return out;
}

unsigned
addr_listen_port(const struct addr_listen *a)
{
	struct addr addr;

	if (a->path[0] != '\0')
		return 0;
	addr_from_sockaddr(&addr, (const struct sockaddr *)&a->sa);
	return addr.port;
}
