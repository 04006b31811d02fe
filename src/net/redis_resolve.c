/*
 * Looks names up by libevent's resolver, made anew for each: what changed in /etc/resolv.conf counts at once.
 */
#include "net/redis_resolve.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <stdlib.h>

#include "base/mem.h"

/* Freed at the end of a turn, since neither a resolver nor a request may go while its callback is due or runs. */
struct redis_lookup {
	struct loop			*loop;
	struct evdns_base		*resolver;
	struct evdns_getaddrinfo_request *request;	/* NULL: the answer is here */
	unsigned			 turn;
	redis_resolved_fn		*fn;	/* NULL: nobody wants to know any more */
	void				*arg;
	bool				 pending;
	struct grave			 grave;
};

static void
lookup_bury(struct grave *g)
{
	struct redis_lookup *l = container_of(g, struct redis_lookup, grave);

	if (l->resolver != NULL)
		evdns_base_free(l->resolver, 0);
	free(l);
}

struct redis_lookup *
redis_lookup_free(struct redis_lookup *l)
{
	if (l == NULL)
		return NULL;
	l->fn = NULL;
	if (l->pending)
		evdns_getaddrinfo_cancel(l->request);
	else
		loop_bury(l->loop, &l->grave);
	return NULL;
}

static bool
address_text(const struct evutil_addrinfo *a, char *out)
{
	const struct sockaddr_in  *in = (const struct sockaddr_in *)(const void *)a->ai_addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)a->ai_addr;

	if (a->ai_family == AF_INET)
		return inet_ntop(AF_INET, &in->sin_addr, out, INET6_ADDRSTRLEN) != NULL;
	if (a->ai_family == AF_INET6)
		return inet_ntop(AF_INET6, &in6->sin6_addr, out, INET6_ADDRSTRLEN) != NULL;
	return false;
}

static const struct evutil_addrinfo *
pick(const struct evutil_addrinfo *all, unsigned turn)
{
	const struct evutil_addrinfo *a = all;
	unsigned		      n = 0;

	for (const struct evutil_addrinfo *i = all; i != NULL; i = i->ai_next)
		n++;
	for (turn = n > 0 ? turn % n : 0; turn > 0; turn--)
		a = a->ai_next;
	return a;
}

static void
on_resolved(int error, struct evutil_addrinfo *all, void *arg)
{
	struct redis_lookup	     *l = arg;
	redis_resolved_fn	     *fn = l->fn;
	const struct evutil_addrinfo *a = pick(all, l->turn);
	char			      text[INET6_ADDRSTRLEN];
	bool			      found = a != NULL && address_text(a, text);

	loop_awake(l->loop);
	l->pending = false;
	l->request = NULL;
	if (all != NULL)
		evutil_freeaddrinfo(all);
	if (fn == NULL) {
		loop_bury(l->loop, &l->grave);
		return;
	}
	fn(l->arg, found ? text : NULL, found ? NULL : error != 0 ? evutil_gai_strerror(error) : "no address");
}

struct redis_lookup *
redis_lookup_new(struct loop *loop, const char *host, unsigned turn, redis_resolved_fn *fn, void *arg)
{
	struct evutil_addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP };
	struct redis_lookup   *l = xmalloc(sizeof(*l));

	*l = (struct redis_lookup){
		.loop = loop, .turn = turn, .fn = fn, .arg = arg, .pending = true, .grave.bury = lookup_bury
	};
	l->resolver = evdns_base_new(loop->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (l->resolver == NULL) {
		on_resolved(EVUTIL_EAI_MEMORY, NULL, l);
		return l;
	}
	/* Without the file it asks this machine, and /etc/hosts it has read by then. */
	evdns_base_resolv_conf_parse(l->resolver, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	l->request = evdns_getaddrinfo(l->resolver, host, NULL, &hints, on_resolved, l);
	return l;
}
