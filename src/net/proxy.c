/*
 * The PROXY protocol. Whoever sends it has been told to, so nothing is guessed: what is not exactly a header ends
 * the connection.
 */
#include "net/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>

#define V1_MAX		107	/* bytes, CR LF included */
#define V2_HEAD		16	/* signature, version and command, family, length */
#define V2_LOCAL	0x20
#define V2_PROXY	0x21
#define TLV_CRC32C	3

static const struct slice v1_start = { "PROXY ", 6 };
static const struct slice v2_start = { "\r\n\r\n\0\r\nQUIT\n", 12 };

/* True if all bytes that came so far are those of `start`. */
static bool
may_start(struct slice in, struct slice start)
{
	return memcmp(in.p, start.p, in.n < start.n ? in.n : start.n) == 0;
}

/* Takes the next word and the single blank behind it, if there is one, off the line. */
static struct slice
take_word(struct slice *line)
{
	const char  *blank = line->n > 0 ? memchr(line->p, ' ', line->n) : NULL;
	struct slice word = slice(line->p, blank != NULL ? (size_t)(blank - line->p) : line->n);

	*line = slice_from(*line, blank != NULL ? word.n + 1 : word.n);
	return word;
}

static int
parse_port(struct slice s, uint16_t *port)
{
	unsigned n = 0;

	if (s.n == 0 || s.n > 5 || (s.p[0] == '0' && s.n > 1))
		return -EPROTO;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EPROTO;
		n = n * 10 + (unsigned)(s.p[i] - '0');
	}
	if (n > UINT16_MAX)
		return -EPROTO;
	*port = (uint16_t)n;
	return 0;
}

/* An address as its family writes it: an IPv4-mapped IPv6 address is an IPv6 address here. */
static int
parse_ip(struct slice s, bool v6, struct addr *addr)
{
	if (s.n == 0 || (memchr(s.p, ':', s.n) != NULL) != v6)
		return -EPROTO;
	return addr_parse_ip(addr, s) < 0 ? -EPROTO : 0;
}

/* What follows "PROXY TCP4 " or "PROXY TCP6 ": source, destination and their ports, parted by one blank each. */
static int
parse_v1_addresses(struct slice line, bool v6, struct addr *src)
{
	struct slice source = take_word(&line), destination = take_word(&line);
	struct slice source_port = take_word(&line);
	struct addr  from = { 0 }, to = { 0 };

	if (parse_ip(source, v6, &from) < 0 || parse_ip(destination, v6, &to) < 0)
		return -EPROTO;
	if (parse_port(source_port, &from.port) < 0 || parse_port(line, &to.port) < 0)
		return -EPROTO;
	*src = from;
	return 0;
}

static int
parse_v1_line(struct slice line, struct addr *src)
{
	struct slice family = take_word(&line);

	if (slice_is(family, "UNKNOWN"))
		return 0;
	if (slice_is(family, "TCP4"))
		return parse_v1_addresses(line, false, src);
	if (slice_is(family, "TCP6"))
		return parse_v1_addresses(line, true, src);
	return -EPROTO;
}

static ssize_t
parse_v1(struct slice in, struct addr *src)
{
	size_t max = in.n < V1_MAX ? in.n : V1_MAX, cr = v1_start.n;

	while (cr < max && in.p[cr] != '\r' && in.p[cr] != '\n')
		cr++;
	if (cr + 1 >= V1_MAX || (cr < in.n && in.p[cr] != '\r') || (cr + 1 < in.n && in.p[cr + 1] != '\n'))
		return -EPROTO;
	if (cr + 1 >= in.n)
		return 0;
	if (parse_v1_line(slice(in.p + v1_start.n, cr - v1_start.n), src) < 0)
		return -EPROTO;
	return (ssize_t)cr + 2;
}

static unsigned
octet(struct slice s, size_t i)
{
	return (uint8_t)s.p[i];
}

static unsigned
pair(struct slice s, size_t i)
{
	return octet(s, i) << 8 | octet(s, i + 1);
}

/* CRC-32C (Castagnoli) of the header, the checksum's own four octets taken as zero. */
static uint32_t
crc32c(struct slice s, size_t checksum_at)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < s.n; i++) {
		crc ^= i >= checksum_at && i < checksum_at + 4 ? 0 : octet(s, i);
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static bool
is_checksum(struct slice header, size_t at, size_t len)
{
	return len == 4 && crc32c(header, at) == (pair(header, at) << 16 | pair(header, at + 2));
}

/* Walks the TLVs from `at` to the header's end; they must fill it. */
static int
check_tlvs(struct slice header, size_t at)
{
	while (at < header.n) {
		size_t len;

		if (header.n - at < 3)
			return -EPROTO;
		len = pair(header, at + 1);
		if (header.n - at - 3 < len)
			return -EPROTO;
		if (octet(header, at) == TLV_CRC32C && !is_checksum(header, at + 3, len))
			return -EPROTO;
		at += 3 + len;
	}
	return 0;
}

/* The octets of both addresses with their ports, by family; 0 = not a family that we know. */
static size_t
v2_addresses_len(unsigned family)
{
	switch (family) {
	case 0x11:	/* TCP over IPv4, UDP over IPv4 */
	case 0x12:
		return 2 * (4 + 2);
	case 0x21:	/* TCP over IPv6, UDP over IPv6 */
	case 0x22:
		return 2 * (16 + 2);
	case 0x31:	/* unix stream, unix datagram */
	case 0x32:
		return 2 * 108;
	default:
		return 0;
	}
}

static void
take_v2_source(struct slice header, struct addr *src)
{
	const char	   *p = header.p + V2_HEAD;
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	*src = (struct addr){ .family = AF_UNIX };
	if (octet(header, 13) >> 4 == 1) {
		src->family = AF_INET;
		src->port = (uint16_t)pair(header, V2_HEAD + 8);
		memcpy(src->ip, p, 4);
	} else if (octet(header, 13) >> 4 == 2) {
		memcpy(&v6.sin6_addr, p, 16);
		memcpy(&v6.sin6_port, p + 32, 2);
		addr_from_sockaddr(src, (const struct sockaddr *)&v6);
	}
}

/* What the proxy says of someone else's connection. */
static int
parse_v2_proxied(struct slice header, struct addr *src)
{
	size_t len = v2_addresses_len(octet(header, 13));

	if (octet(header, 13) == 0)
		return 0;
	if (len == 0 || header.n - V2_HEAD < len || check_tlvs(header, V2_HEAD + len) < 0)
		return -EPROTO;
	take_v2_source(header, src);
	return 0;
}

/* A LOCAL command is the proxy's own connection: what it says of addresses is to be skipped unread. */
static ssize_t
parse_v2(struct slice in, struct addr *src)
{
	unsigned command;
	size_t	 len;

	if (in.n <= v2_start.n)
		return 0;
	command = octet(in, 12);
	if (command != V2_LOCAL && command != V2_PROXY)
		return -EPROTO;
	if (in.n < V2_HEAD)
		return 0;
	len = V2_HEAD + pair(in, 14);
	if (len > PROXY_MAX)
		return -EPROTO;
	if (in.n < len)
		return 0;
	if (command == V2_PROXY && parse_v2_proxied(slice(in.p, len), src) < 0)
		return -EPROTO;
	return (ssize_t)len;
}

ssize_t
proxy_parse(struct slice in, struct addr *src)
{
	if (in.n == 0)
		return 0;
	if (may_start(in, v2_start))
		return parse_v2(in, src);
	if (!may_start(in, v1_start))
		return -EPROTO;
	return in.n < v1_start.n ? 0 : parse_v1(in, src);
}
