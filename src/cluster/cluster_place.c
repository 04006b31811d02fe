/*
 * How we come by a place: registered under an epoch, unless another process has our id. Who that is, and whether it
 * lives, is found out before anything is taken from it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cluster/cluster_internal.h"
#include "cluster/cluster_message.h"
#include "cluster/cluster_scripts.h"

/* What the registry says of a rival. */
struct holder {
	struct slice	boot, score, host, pid;
};

static void cluster_ask(struct cluster *, bool displace);

static bool
copy_text(char *out, size_t size, struct slice text)
{
	if (text.n >= size)
		return false;
	memcpy(out, text.p, text.n);
	out[text.n] = '\0';
	return true;
}

/* True only if that process was on this machine, and is no more. */
static bool
holder_is_dead(const struct cluster *c, const struct holder *h)
{
	uint64_t pid;

	if (!slice_is(h->host, c->host) || cluster_number(h->pid, &pid) < 0 || pid == 0 || pid > INT32_MAX)
		return false;
	return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Somebody else with our id, and it beats: one of us is wrong, and it is not for us to say that it is the other. */
static void
cluster_give_way(struct cluster *c, const struct holder *h)
{
	autofree char *why = xasprintf("node id %s is taken by process %.*s on %.*s", c->node, SLICE_ARG(h->pid),
	    SLICE_ARG(h->host));

	c->closed = true;
	c->user->on_taken(c->arg, why);
}

/* Whose place it is, as of now. False: it is not who it was, or its score has moved. */
static bool
rival_is_still(struct rival *r, const struct holder *h, uint64_t now)
{
	if (r->boot[0] != '\0')
		return slice_is(h->boot, r->boot) && slice_is(h->score, r->score);
	if (!copy_text(r->boot, sizeof(r->boot), h->boot) || !copy_text(r->score, sizeof(r->score), h->score))
		return false;
	r->since = now;
	return true;
}

static void
cluster_taken(struct cluster *c, const struct redisReply *reply)
{
	struct holder h = {
		.boot = cluster_reply_text(reply, 1), .score = cluster_reply_text(reply, 2),
		.host = cluster_reply_text(reply, 3), .pid = cluster_reply_text(reply, 4),
	};
	bool new = c->rival.boot[0] == '\0';

	cluster_lose_place(c);
	if (!rival_is_still(&c->rival, &h, c->loop->now))
		return cluster_give_way(c, &h);
	if (holder_is_dead(c, &h) || c->loop->now - c->rival.since >= c->timeout_ms)
		return cluster_ask(c, true);
	/* The tick asks again. */
	if (new)
		log_warn("process %.*s on %.*s has our node id: waiting whether it lives", SLICE_ARG(h.pid),
		    SLICE_ARG(h.host));
}

/* The presences are written from inside on_place, and the beat goes behind them. */
static void
cluster_placed(struct cluster *c, uint64_t epoch)
{
	c->rival = (struct rival){ .boot = "" };
	c->epoch = c->last_epoch = epoch;
	if (c->since == 0)
		c->since = epoch;
	cluster_count_well(c);
	c->user->on_place(c->arg, epoch);
	cluster_beat(c);
	loop_timer(c->loop, &c->tick, c->loop->now + c->beat_ms);
	cluster_look(c);
}

static void
on_registered(void *arg, const struct redisReply *reply)
{
	struct cluster *c = arg;
	uint64_t	epoch;

	if (!cluster_answered(c))
		return;
	/* Something has happened since this was asked; the same question comes behind it. */
	if (--c->registering > 0 || c->closed)
		return;
	if (slice_is(cluster_reply_text(reply, 0), "taken"))
		return cluster_taken(c, reply);
	if (cluster_number(cluster_reply_text(reply, 1), &epoch) == 0)
		return cluster_placed(c, epoch);
	/* The tick tries again; where the connection is lost, the place may still be ours. */
	cluster_reply_fault(reply, "register us");
	if (reply != NULL)
		cluster_lose_place(c);
}

/* Displacing holds for the very state in which the rival was seen. */
static void
cluster_ask(struct cluster *c, bool displace)
{
	struct slice  keys[] = { slice_str(c->nodes_key), slice_str(c->node_key) };
	struct redis_number n[5];
	struct slice  args[] = {
		slice_str(c->node), slice_str(c->boot), redis_number(&n[0], c->last_epoch),
		redis_number(&n[1], c->timeout_ms), slice_str(displace ? c->rival.boot : ""),
		slice_str(displace ? c->rival.score : ""),
		redis_number(&n[2], 2 * c->timeout_ms), slice_str(c->host), redis_number(&n[3], (uint64_t)getpid()),
		slice_str(c->version), slice_str(c->listen), redis_number(&n[4], c->loop->now + c->loop->stood - c->started),
	};

	if (cluster_eval(c, &cluster_register_script, on_registered, keys, args, sizeof(args) / sizeof(args[0])) == 0)
		c->registering++;
}

void
cluster_register(struct cluster *c)
{
	if (!c->closed && redis_is_up(c->redis))
		cluster_ask(c, false);
}
