/*
 * Addresses as people write them: what is read must be written so that it reads the same again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/addr.h"

static void
fuzz_listen(struct slice in)
{
	autofree char	  *text = xstrndup(in.p, in.n);
	struct addr_listen l, again;
	char		   out[ADDR_LISTEN_LEN], out_again[ADDR_LISTEN_LEN];
	const char	  *why = NULL;

	if (addr_listen_parse(&l, text, &why) < 0) {
		assert(why != NULL);
		return;
	}
	assert(addr_listen_parse(&again, addr_listen_text(&l, out), &why) == 0);
	assert(strcmp(out, addr_listen_text(&again, out_again)) == 0);
	assert(memcmp(&l.sa, &again.sa, sizeof(l.sa)) == 0 && l.sa_len == again.sa_len);
	assert(l.tls == again.tls && l.proxy == again.proxy && l.any == again.any);
	addr_listen_is_loopback(&l);
}

static void
fuzz_ip(struct slice in)
{
	struct addr a, again;
	char	    host[ADDR_LEN], text[ADDR_LEN];

	if (addr_parse_ip(&a, in) < 0)
		return;
	assert(addr_parse_ip(&again, slice_str(addr_host(&a, host))) == 0);
	assert(a.family == again.family && memcmp(a.ip, again.ip, sizeof(a.ip)) == 0);
	assert(strlen(addr_text(&a, text)) > strlen(host));
}

static void
fuzz_net(struct slice in)
{
	struct addr_net net;

	if (addr_net_parse(&net, in) < 0)
		return;
	assert(net.bits <= (net.addr.family == AF_INET6 ? 128 : 32));
	assert(addr_net_has(&net, &net.addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice((const char *)data, size);

	fuzz_listen(in);
	fuzz_ip(in);
	fuzz_net(in);
	return 0;
}
