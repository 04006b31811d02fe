/*
 * The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt), read without I/O.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include <sys/types.h>

#include "net/addr.h"

#define PROXY_MAX	(16 + 2048)	/* longest header taken: v1 is at most 107, v2 16 + addresses and TLVs */

/*
 * Reads the header at the start of `in`. Returns its length; 0 = wants more; -EPROTO if this is not one, or a
 * malformed one (v1 unknown family words, leading zeros, ports over 65535, missing CR LF within 107 bytes; v2
 * wrong version, command or lengths; a bad CRC32c TLV). *src is the client; unchanged for v1 UNKNOWN, v2
 * LOCAL and AF_UNSPEC.
 */
ssize_t proxy_parse(struct slice in, struct addr *src);

#endif
