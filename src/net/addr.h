/*
 * Addresses: where we listen, who a peer is, and which peers are trusted.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/slice.h"

/* A peer, small enough to keep per connection. An IPv4-mapped IPv6 address is stored as IPv4. */
struct addr {
	uint8_t		family;		/* AF_INET, AF_INET6, AF_UNIX, 0 = unknown */
	uint16_t	port;		/* host order */
	uint8_t		ip[16];		/* network order; 4 bytes for AF_INET */
};

#define ADDR_LEN	64
/* "127.0.0.1:80", "[::1]:80", "unix", "unknown" into out[ADDR_LEN]; returns out. */
char *addr_text(const struct addr *, char *out);
/* The same without the port (and without brackets): the identity of a machine, for limits. */
char *addr_host(const struct addr *, char *out);
void addr_from_sockaddr(struct addr *, const struct sockaddr *);
/* A literal "1.2.3.4" or "2001:db8::1" (no port). 0 or -EINVAL. */
int addr_parse_ip(struct addr *, struct slice);
/* A unix peer is on this machine too. */
bool addr_is_loopback(const struct addr *);

/* A network: "10.0.0.0/8", "::1", "unix". */
struct addr_net {
	struct addr	addr;
	unsigned	bits;
};
/* Without "/BITS", the address alone; bits behind the prefix are ignored. 0 or -EINVAL. */
int addr_net_parse(struct addr_net *, struct slice);
bool addr_net_has(const struct addr_net *, const struct addr *);

/* Where to listen: "HOST:PORT", "[V6]:PORT", "unix:PATH", each with ",proxy" and ",tls" behind it in any order. */
struct addr_listen {
	char		path[108];	/* unix, else "" */
	struct sockaddr_storage sa;
	socklen_t	sa_len;
	bool		any;		/* "*": `sa` is [::] for IPv4 too; once bound, 0.0.0.0 where there is no IPv6 */
	bool		proxy;		/* the PROXY protocol is demanded */
	bool		tls;
};
/*
 * HOST: an IP literal, "localhost", or "*" (all, IPv6 and IPv4). Returns 0 or -EINVAL with *why (static text)
 * saying what was expected.
 */
int addr_listen_parse(struct addr_listen *, const char *, const char **why);
bool addr_listen_is_loopback(const struct addr_listen *);
#define ADDR_LISTEN_LEN	192
/* The port; 0 for a unix socket. */
unsigned addr_listen_port(const struct addr_listen *);
/* As it would be written again, flags included, into out[ADDR_LISTEN_LEN]; returns out. */
char *addr_listen_text(const struct addr_listen *, char *out);

#endif
