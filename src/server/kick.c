/*
 * Kicks: ours, and those of others.
 */
#include "server/kick.h"

#include <errno.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "net/ws.h"
#include "wire/json.h"

#define MAX_NAME	1024	/* bytes of a user's id in a message */

static const char *const whom_names[] = { [KICK_USER] = "user", [KICK_CONNECTION] = "connection" };

struct kick {
	struct list	 in_kicks;
	struct timer	 deadline;
	char		 id[ID_LEN + 1];
	enum kick_whom	 whom;
	unsigned	 disconnected;
	unsigned	 silent;	/* nodes that have not answered */
	kick_fn		*fn;
	void		*arg;
};

static void
kick_free(struct kick *k)
{
	list_remove(&k->in_kicks);
	timer_stop(&k->deadline);
	free(k);
}

static void
kick_tell(struct kick *k)
{
	struct kick told = *k;

	kick_free(k);
	told.fn(told.arg, told.disconnected, told.silent);
}

static void
kick_expire(struct timer *t, uint64_t now)
{
	kick_tell(container_of(t, struct kick, deadline));
}

void
kicks_init(struct kicks *ks, struct loop *loop, struct websockets *websockets, struct longpolls *longpolls)
{
	*ks = (struct kicks){ .loop = loop, .websockets = websockets, .longpolls = longpolls };
	list_init(&ks->asked);
}

void
kicks_done(struct kicks *ks)
{
	list_each(link, &ks->asked)
		kick_free(list_entry(link, struct kick, in_kicks));
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

static int
kick_say(struct kicks *ks, enum kick_whom whom, struct slice name, const char *id)
{
	autobuf struct buf members = { 0 };

	buf_addf(&members, ",\"%s\":", whom_names[whom]);
	json_quote(&members, name);
	buf_addf(&members, ",\"id\":\"%s\"", id);
	return cluster_say(ks->cluster, "kick", buf_slice(&members));
}

int
kick(struct kicks *ks, enum kick_whom whom, struct slice name, kick_fn *fn, void *arg)
{
	struct kick *k;
	char	     id[ID_LEN + 1];
	int	     r;

	if (ks->cluster == NULL) {
		fn(arg, kick_here(ks, whom, name), 0);
		return 0;
	}
	r = kick_say(ks, whom, name, id_new(id));
	if (r < 0)
		return r;
	k = xmalloc(sizeof(*k));
	*k = (struct kick){
		.deadline.fire = kick_expire, .whom = whom, .silent = cluster_count(ks->cluster), .fn = fn, .arg = arg,
	};
	memcpy(k->id, id, sizeof(id));
	list_append(&ks->asked, &k->in_kicks);
	loop_timer(ks->loop, &k->deadline, ks->loop->now + KICK_MS);
	return 0;
}

static void
kicks_on_kick(struct kicks *ks, struct slice node, struct slice message)
{
	char		   name_text[MAX_NAME], id_text[ID_LEN];
	enum kick_whom	   whom = json_member(message, "user").p != NULL ? KICK_USER : KICK_CONNECTION;
	struct slice	   name, id;
	autobuf struct buf members = { 0 };
	unsigned	   n;

	if (json_member_text(message, whom_names[whom], name_text, sizeof(name_text), &name) < 0)
		return;
	json_member_text(message, "id", id_text, sizeof(id_text), &id);
	n = kick_here(ks, whom, name);
	if (n > 0)
		log_info("disconnected %u of %s \"%.*s\" for node %.*s", n, whom_names[whom], SLICE_ARG(name), SLICE_ARG(node));
	buf_add_str(&members, ",\"re\":");
	json_quote(&members, id);
	buf_addf(&members, ",\"n\":%u", n);
	cluster_say(ks->cluster, "kicked", buf_slice(&members));
}

static struct kick *
kick_find(struct kicks *ks, struct slice id)
{
	list_each(link, &ks->asked) {
		struct kick *k = list_entry(link, struct kick, in_kicks);

		if (slice_is(id, k->id))
			return k;
	}
	return NULL;
}

static void
kicks_on_kicked(struct kicks *ks, struct slice message)
{
	char	      id_text[ID_LEN], number[24] = "";
	struct slice  token = json_member(message, "n"), id;
	struct kick  *k;
	uint64_t      n;

	json_member_text(message, "re", id_text, sizeof(id_text), &id);
	k = kick_find(ks, id);
	if (k == NULL || token.p == NULL || token.n >= sizeof(number))
		return;
	memcpy(number, token.p, token.n);
	if (units_number(number, &n) < 0 || n > UINT32_MAX - k->disconnected)
		return;
	k->disconnected += (unsigned)n;
	k->silent--;
	if (k->whom == KICK_CONNECTION && n > 0)
		k->silent = 0;
	if (k->silent == 0)
		kick_tell(k);
}

void
kicks_on_message(struct kicks *ks, struct slice node, struct slice type, struct slice message)
{
	if (slice_is(type, "kick"))
		kicks_on_kick(ks, node, message);
	else if (slice_is(type, "kicked"))
		kicks_on_kicked(ks, message);
}
