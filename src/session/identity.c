/*
 * An identity is one block of memory: the struct, and behind it user, name and claims.
 */
#include "session/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Copies `text` to *at, moves *at behind it and returns the copy. */
static struct slice
identity_keep(char **at, struct slice text)
{
	struct slice kept = { *at, text.n };

	if (text.n > 0)
		memcpy(*at, text.p, text.n);
	*at += text.n;
	return kept;
}

struct identity *
identity_new(struct slice user, struct slice name, struct slice claims, int64_t expires)
{
	struct identity *who = xmalloc(sizeof(*who) + user.n + name.n + claims.n);
	char *at = (char *)(who + 1);

	who->refs = 1;
	who->expires = expires;
	who->user = identity_keep(&at, user);
	who->name = identity_keep(&at, name);
	who->claims = identity_keep(&at, claims);
	return who;
}

struct identity *
identity_ref(struct identity *who)
{
	who->refs++;
	return who;
}

struct identity *
identity_unref(struct identity *who)
{
	if (who != NULL && --who->refs == 0)
		free(who);
	return NULL;
}
