/*
 * Kicks: ours, and those of others.
 */
#include "backplane/kick.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "cluster/cluster_message.h"
#include "net/ws.h"
#include "wire/json.h"

#define MAX_NAME	1024	/* bytes of a user's id in a message */

static const char *const whom_names[] = { [KICK_USER] = "user", [KICK_CONNECTION] = "connection" };

/* One that is asked for. */
struct kick {
	enum kick_whom	 whom;
	unsigned	 disconnected;
	kick_fn		*fn;
	void		*arg;
};

void
kicks_init(struct kicks *ks, struct inquiries *inquiries, struct websockets *websockets, struct longpolls *longpolls)
{
	*ks = (struct kicks){ .inquiries = inquiries, .websockets = websockets, .longpolls = longpolls };
}

static unsigned
kick_here(struct kicks *ks, enum kick_whom whom, struct slice name)
{
	static const char why[] = "disconnected by the operator";

	if (whom == KICK_CONNECTION)
		return websockets_close_id(ks->websockets, name, WS_AWAY, why) ||
		    longpolls_close_id(ks->longpolls, name, WS_AWAY, why);
	return websockets_close_user(ks->websockets, name, WS_AWAY, why) +
	    longpolls_close_user(ks->longpolls, name, WS_AWAY, why);
}

static bool
kick_answered(void *arg, struct slice message)
{
	struct kick *k = arg;
	uint64_t     n;

	if (cluster_number(json_member(message, "n"), &n) < 0 || n > UINT32_MAX - k->disconnected)
		return false;
	k->disconnected += (unsigned)n;
	return k->whom == KICK_CONNECTION && n > 0;
}

static void
kick_end(void *arg, unsigned silent)
{
	struct kick *k = arg;

	k->fn(k->arg, k->disconnected, silent);
	free(k);
}

static const struct inquiry_user kick_inquiry = {
	.question = "kick", .wait_ms = KICK_MS, .on_answer = kick_answered, .on_end = kick_end, .on_drop = free,
};

int
kick(struct kicks *ks, enum kick_whom whom, struct slice name, kick_fn *fn, void *arg)
{
	autobuf struct buf members = { 0 };
	struct kick	  *k;
	int		   r;

	if (ks->inquiries->cluster == NULL) {
		fn(arg, kick_here(ks, whom, name), 0);
		return 0;
	}
	buf_addf(&members, ",\"%s\":", whom_names[whom]);
	json_quote(&members, name);
	k = xmalloc(sizeof(*k));
	*k = (struct kick){ .whom = whom, .fn = fn, .arg = arg };
	r = inquiry(ks->inquiries, &kick_inquiry, buf_slice(&members), k);
	if (r < 0)
		free(k);
	return r;
}

void
kicks_on_message(struct kicks *ks, struct slice node, struct slice message)
{
	char		   text[MAX_NAME];
	enum kick_whom	   whom = json_member(message, "user").p != NULL ? KICK_USER : KICK_CONNECTION;
	struct slice	   name;
	autobuf struct buf members = { 0 };
	unsigned	   n;

	if (json_member_text(message, whom_names[whom], text, sizeof(text), &name) < 0)
		return;
	n = kick_here(ks, whom, name);
	if (n > 0)
		log_info("disconnected %u of %s \"%.*s\" for node %.*s", n, whom_names[whom], SLICE_ARG(name), SLICE_ARG(node));
	buf_addf(&members, ",\"n\":%u", n);
	inquiry_answer(ks->inquiries, "kicked", message, buf_slice(&members));
}
