/*
 * The backplane: Redis tells what came and went, and each room is told in its turn. The order in which they are told is
 * the contract between them, and stands here alone.
 */
#include "backplane/backplane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "wire/json.h"

#define TICK_MS		1000
#define BACKOFF_MAX_MS	2000				/* between two tries to reach Redis */
#define RESYNC_MS	(BACKOFF_MAX_MS + 500)		/* by then, everyone is back who comes back at all */

/* Who we had been is told first: what is written next is written under that name. */
static void
on_up(void *arg)
{
	struct backplane *b = arg;

	cluster_on_up(b->cluster);
}

/* Once, until it is back. */
static void
say_away(struct backplane *b, const char *why)
{
	if (!b->said_away)
		log_warn("%s at %s: %s; trying on", b->was_up ? "lost Redis" : "waiting for Redis", b->place, why);
	b->said_away = true;
}

static void
on_down(void *arg, const char *why)
{
	struct backplane *b = arg;

	say_away(b, why);
	presence_sync_on_down(b->sync);
	cluster_on_down(b->cluster);
}

/* Presences are read anew in any case; messages were only missed if the bus had worked before. */
static void
on_bus_up(void *arg)
{
	struct backplane *b = arg;
	bool		  missed = b->missed;

	b->missed = false;
	cluster_on_bus_up(b->cluster);
	presence_sync_on_bus_up(b->sync);
	history_resync(b->history);
	userlists_resync(b->userlists);
	if (!missed)
		return;
	/* Others come back in their own time, and say what they could not say meanwhile: one word for all of it. */
	b->env->pubsub.resync_due = true;
	if (!timer_is_set(&b->resync))
		loop_timer(b->loop, &b->resync, b->loop->now + RESYNC_MS);
}

static void
backplane_resync(struct timer *t, uint64_t now)
{
	struct backplane *b = container_of(t, struct backplane, resync);

	stats->resyncs_total++;
	pubsub_resync(&b->env->pubsub);
}

static void
on_bus_down(void *arg, const char *why)
{
	struct backplane *b = arg;

	log_debug("the subscriptions are lost: %s", why);
	b->missed = true;
	cluster_on_bus_down(b->cluster);
}

static void
on_refused(void *arg, const char *why)
{
	struct backplane *b = arg;
	autofree char	 *text = xasprintf("Redis at %s refuses us: %s", b->place, why);

	if (b->was_up)
		log_error("%s; trying on", text);
	else
		b->user->on_hopeless(b->arg, EX_UNAVAILABLE, text);
}

static const struct redis_user redis_events = {
	.on_up = on_up,
	.on_down = on_down,
	.on_bus_up = on_bus_up,
	.on_bus_down = on_bus_down,
	.on_refused = on_refused,
};

/* Lists. */

/* Whoever looks at it is to read it again. */
static void
on_list_changed(void *arg, struct slice user, struct slice list)
{
	struct backplane  *b = arg;
	autobuf struct buf members = { 0 };

	buf_add_str(&members, ",\"user\":");
	json_quote(&members, user);
	buf_add_str(&members, ",\"list\":");
	json_quote(&members, list);
	cluster_say(b->cluster, "list", buf_slice(&members));
	b->said_list = true;
}

/* What was said last may have been lost with the connection. */
static void
say_lists_again(struct backplane *b)
{
	if (b->said_list)
		cluster_say(b->cluster, "list", SLICE(""));
}

static void
on_list_said(struct backplane *b, struct slice message)
{
	autobuf struct buf for_user = { 0 }, for_list = { 0 };
	const size_t	   n = message.n;
	struct slice	   user, list;

	if (json_member_text(message, "user", buf_room(&for_user, n), n, &user) == 0 &&
	    json_member_text(message, "list", buf_room(&for_list, n), n, &list) == 0)
		userlists_on_changed(b->userlists, user, list);
	else
		userlists_resync(b->userlists);
}

/* Other nodes. */

static void
on_place(void *arg, uint64_t epoch)
{
	struct backplane *b = arg;

	if (b->said_away || !b->was_up)
		log_info("in the cluster as %s, epoch %llu, by Redis at %s", cluster_node(b->cluster), (unsigned long long)epoch,
		    b->place);
	b->was_up = true;
	b->said_away = false;
	presence_sync_on_place(b->sync, epoch);
	say_lists_again(b);
	if (b->happenings != NULL)
		happenings_on_place(b->happenings, epoch);
	/* What could not be read while commands failed. */
	history_resync(b->history);
	b->env->pubsub.broker->ops->own_up(b->env->pubsub.broker);
}

static void
on_change(void *arg, struct slice node, uint64_t epoch, enum cluster_change change)
{
	static const char *const names[] = { [CLUSTER_UP] = "up", [CLUSTER_RENEWED] = "renewed", [CLUSTER_DOWN] = "down" };
	struct backplane	*b = arg;

	log_info("node %.*s is %s", SLICE_ARG(node), names[change]);
	stats->nodes = cluster_count(b->cluster);
	presence_sync_on_change(b->sync, node, epoch, change);
	if (change != CLUSTER_UP)
		audience_forget(&b->env->pubsub.audience, node, change == CLUSTER_RENEWED);
}

static void
on_clean(void *arg, struct slice node, uint64_t epoch)
{
	struct backplane *b = arg;

	log_info("cleaning up behind node %.*s", SLICE_ARG(node));
	presence_sync_on_clean(b->sync, node, epoch);
	if (b->happenings != NULL)
		happenings_on_clean(b->happenings, node, epoch);
}

static void
write_beat(void *arg, struct buf *out)
{
	struct backplane *b = arg;

	presence_sync_write_beat(b->sync, out);
}

static void
on_beat(void *arg, struct slice node, uint64_t epoch, struct slice beat)
{
	struct backplane *b = arg;

	presence_sync_on_beat(b->sync, node, epoch, beat);
}

static void
on_message(void *arg, struct slice node, struct slice type, struct slice message)
{
	struct backplane *b = arg;

	if (!slice_is(type, "list"))
		b->user->on_message(b->arg, node, type, message);
	else if (!slice_is(node, b->node))
		on_list_said(b, message);
}

static void
on_taken(void *arg, const char *why)
{
	struct backplane *b = arg;

	b->user->on_hopeless(b->arg, EX_UNAVAILABLE, why);
}

static const struct cluster_user cluster_events = {
	.on_place = on_place,
	.on_change = on_change,
	.on_clean = on_clean,
	.write_beat = write_beat,
	.on_beat = on_beat,
	.on_message = on_message,
	.on_taken = on_taken,
};

/* The gauges that the registry shows, and the rates since the last tick. */
static void
backplane_tell_load(struct backplane *b)
{
	struct cluster_load load = {
		.connections = stats->connections, .clients = stats->websockets + stats->longpolls,
		.channels = stats->channels, .topics = stats->topics,
		.messages_in = stats->messages_in_total - b->messages_in, .frames_out = stats->frames_out_total - b->frames_out,
	};

	b->messages_in = stats->messages_in_total;
	b->frames_out = stats->frames_out_total;
	stats->nodes = cluster_count(b->cluster);
	stats->redis_up = cluster_is_well(b->cluster);
	cluster_set_load(b->cluster, &load);
}

static void
backplane_tick(struct timer *t, uint64_t now)
{
	struct backplane *b = container_of(t, struct backplane, tick);

	backplane_tell_load(b);
	b->env->pubsub.broker->ops->own_up(b->env->pubsub.broker);
	if (!redis_is_up(b->redis) && redis_trouble(b->redis)[0] != '\0')
		say_away(b, redis_trouble(b->redis));
	loop_timer(b->loop, t, now + TICK_MS);
}

/* After the turn in which it was noticed: nothing is torn down under an event that is being handled. */
static void
backplane_stood(struct timer *t, uint64_t now)
{
	struct backplane *b = container_of(t, struct backplane, stood_timer);
	uint64_t	  ms = b->loop->stood - b->stood;

	b->stood = b->loop->stood;
	log_warn("this process stood still for %llu ms", (unsigned long long)ms);
	cluster_on_stood(b->cluster, ms);
}

static void
on_stood(void *arg)
{
	struct backplane *b = arg;

	loop_timer(b->loop, &b->stood_timer, b->loop->now);
}

static void
backplane_options(struct tracker_options *o, const struct config *c)
{
	*o = (struct tracker_options){
		.window_ms = c->presence_window_ms, .load_ms = c->presence_load_ms,
		.max_metas = (unsigned)c->presence_max_metas, .max_meta = c->presence_max_meta,
	};
}

void
backplane_configure(struct backplane *b, const struct config *c)
{
	struct tracker_options o;

	backplane_options(&o, c);
	tracker_set_options(b->tracker, &o);
}

/* Who is here, for channels: a node alone has been the same all its life. */
static struct slice
peers_self(void *arg, uint64_t *epoch)
{
	const struct backplane *b = arg;

	*epoch = 1;
	if (b->cluster != NULL)
		*epoch = cluster_epoch(b->cluster) != 0 ? cluster_since(b->cluster) : 0;
	return slice_str(b->node);
}

static bool
peers_is_up(void *arg, struct slice node, uint64_t epoch)
{
	const struct backplane *b = arg;

	if (b->cluster != NULL)
		return cluster_is_up_since(b->cluster, node, epoch);
	return epoch == 1 && slice_is(node, b->node);
}

static const struct session_peers backplane_peers = { .self = peers_self, .is_up = peers_is_up };

/* History has the store from here on; the lists look into it as long. */
static void
backplane_keep(struct backplane *b, struct store *store, const struct history_options *o)
{
	b->userlists = userlists_new(b->loop, store, b->cluster != NULL ? on_list_changed : NULL, b);
	b->history = history_new(b->loop, &b->env->pubsub, store, o);
}

/* The rooms of a node alone. */
static void
backplane_alone(struct backplane *b, const struct config *c, const char *node)
{
	struct tracker_options o;

	backplane_options(&o, c);
	session_env_init(b->env, b->loop, broker_local_new());
	b->tracker = tracker_new(b->loop, &b->env->pubsub, node, &o, NULL, NULL);
	backplane_keep(b, store_memory_new(b->loop, c->history_memory, wall_ms),
	    &(struct history_options){ .max_held = c->max_message });
}

static int
backplane_url(const struct config *c, struct redis_url *url, char **why)
{
	const char *fault;

	if (redis_url_parse(url, c->redis_url, &fault) < 0) {
		*why = xasprintf("redis.url: %s", fault);
		return -EINVAL;
	}
	if (strlen(c->redis_user) >= sizeof(url->user) || strlen(c->redis_password) >= sizeof(url->password)) {
		*why = xstrdup("redis.user or redis.password is too long");
		return -EINVAL;
	}
	if (c->redis_user[0] != '\0')
		memcpy(url->user, c->redis_user, strlen(c->redis_user) + 1);
	if (c->redis_password[0] != '\0')
		memcpy(url->password, c->redis_password, strlen(c->redis_password) + 1);
	return 0;
}

static void
backplane_watch(struct backplane *b, const struct config *c)
{
	if (c->events_stream[0] == '\0')
		return;
	b->happenings = happenings_new(b->loop, b->redis, &(struct happenings_options){
		.stream = c->events_stream, .prefix = c->redis_prefix, .node = b->node, .run = b->env->run,
		.max_length = c->events_max_length, .max_queue = c->events_max_queue,
	});
	b->env->watcher = &happenings_watcher;
	b->env->watcher_arg = b->happenings;
}

static void
backplane_joined(struct backplane *b, const struct config *c, const struct redis_url *url, const char *node,
    const char *listen)
{
	struct tracker_options o;
	char		       host[256] = "localhost";

	backplane_options(&o, c);
	gethostname(host, sizeof(host) - 1);
	redis_url_text(url, b->place);
	b->redis = redis_new(b->loop, &(struct redis_options){
		.url = *url, .name = node, .connect_ms = c->redis_timeout_ms, .ping_ms = c->heartbeat_ms,
		.answer_ms = c->redis_timeout_ms, .backoff_ms = 100, .backoff_max_ms = BACKOFF_MAX_MS, .max_queue = c->redis_max_queue,
	}, &redis_events, b);
	session_env_init(b->env, b->loop, broker_redis_new(b->loop, b->redis, c->redis_prefix, node, c->redis_linger_ms));
	b->cluster = cluster_new(b->loop, b->redis, &(struct cluster_options){
		.node = node, .prefix = c->redis_prefix, .host = host, .listen = listen, .version = PACKAGE_VERSION,
		.beat_ms = c->heartbeat_ms, .timeout_ms = c->node_timeout_ms,
	}, &cluster_events, b);
	b->sync = presence_sync_new(b->loop, b->redis, c->redis_prefix, node);
	b->tracker = tracker_new(b->loop, &b->env->pubsub, node, &o, &presence_sync_ops, b->sync);
	presence_sync_set(b->sync, b->tracker, b->cluster);
	backplane_keep(b, store_redis_new(b->redis, c->redis_prefix, node),
	    &(struct history_options){ .check_ms = c->history_check_ms, .max_held = c->max_message });
	backplane_watch(b, c);
	b->loop->on_stood = on_stood;
	b->loop->stood_arg = b;
	loop_timer(b->loop, &b->tick, b->loop->now);
}

int
backplane_init(struct backplane *b, struct loop *loop, struct session_env *env, const struct config *c, const char *node,
    const char *listen, const struct backplane_user *user, void *arg, char **why)
{
	struct redis_url url;

	*b = (struct backplane){
		.loop = loop, .env = env, .node = node, .user = user, .arg = arg, .grace_ms = c->ready_grace_ms, .stood = loop->stood,
		.tick.fire = backplane_tick, .stood_timer.fire = backplane_stood,
		.resync.fire = backplane_resync,
	};
	if (c->redis_url[0] == '\0')
		backplane_alone(b, c, node);
	else if (backplane_url(c, &url, why) < 0)
		return -EINVAL;
	else
		backplane_joined(b, c, &url, node, listen);
	session_env_set_tracker(env, b->tracker);
	env->history = b->history;
	env->userlists = b->userlists;
	env->peers = &backplane_peers;
	env->peers_arg = b;
	return 0;
}

void
backplane_done(struct backplane *b)
{
	if (b->tracker == NULL)
		return;
	timer_stop(&b->tick);
	timer_stop(&b->stood_timer);
	timer_stop(&b->resync);
	b->loop->on_stood = NULL;
	tracker_free(b->tracker);
	history_free(b->history);
	userlists_free(b->userlists);
	presence_sync_free(b->sync);
	cluster_free(b->cluster);
	session_env_done(b->env);
	redis_free(b->redis);
	happenings_free(b->happenings);
	b->tracker = NULL;
}

static void
backplane_left(void *arg)
{
	struct backplane *b = arg;

	b->left = true;
}

void
backplane_leave(struct backplane *b)
{
	if (b->cluster == NULL || cluster_epoch(b->cluster) == 0) {
		b->left = true;
		return;
	}
	presence_sync_leave(b->sync);
	if (b->happenings != NULL)
		happenings_leave(b->happenings);
	cluster_leave(b->cluster, backplane_left, b);
}

bool
backplane_has_left(const struct backplane *b)
{
	bool is_storing = b->redis != NULL && redis_is_up(b->redis) && history_is_transacting(b->history);
	bool is_telling = b->happenings != NULL && happenings_are_sweeping(b->happenings);

	return b->left && !is_storing && !is_telling;
}

const char *
backplane_fault(const struct backplane *b)
{
	if (b->cluster == NULL || cluster_is_well(b->cluster))
		return NULL;
	if (!b->was_up)
		return "waiting for Redis";
	return cluster_unwell_ms(b->cluster) > b->grace_ms ? "Redis is away" : NULL;
}
