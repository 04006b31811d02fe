/*
 * The node: built from the ground up, in the order of the floors.
 */
#include "server/node.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/dev.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "channels/builtin.h"
#include "api/api.h"
#include "auth/authorizer.h"
#include "backplane/backplane.h"
#include "server/drain.h"
#include "server/endpoint.h"
#include "backplane/kick.h"
#include "backplane/longpoll_relay.h"
#include "server/master.h"
#include "server/parts.h"
#include "server/watch.h"
#include "session/classes.h"

#define HTTP_MAX_BODY		INT64_MAX	/* who may send one, and how large, is decided by the head */
#define API_SLACK_MS		1000	/* beyond redis.timeout, until a call of the API is given up */
#define LEAVE_MS		1000	/* for the last words to Redis */
#define SPARE_DESCRIPTORS	64	/* beyond the clients': logs, listeners, the reserve */

struct node {
	struct config_set	*config;
	struct parts		*parts;		/* what the configuration names: replaced as a whole by a reload */
	struct loop		*loop;
	struct session_env	 env;
	struct authorizer	*authorizer;
	struct backplane	 backplane;
	struct websockets	 websockets;
	struct longpolls	 longpolls;
	struct longpoll_relay	 relay;
	struct inquiries	 inquiries;
	struct kicks		 kicks;
	struct headcounts	 headcounts;
	struct api		 api;
	struct endpoint		 endpoint;
	struct deflate		*deflate;
	struct drain		 drain;
	struct watch		 watch;
	struct event		*signals[5];
	char			 name[CLUSTER_MAX_NODE + 1];	/* our id among the nodes */
	char			 listen[ADDR_LISTEN_LEN];	/* where clients reach us */
	int			 code;		/* what node_run() returns */
};

static int
node_verify(void *arg, struct slice token, struct identity **who, const char **why)
{
	struct node *n = arg;

	return parts_verify(n->parts, token, who, why);
}

static void
node_metrics(struct buf *out, void *arg)
{
	struct stats sum;

	master_sum(&sum);
	stats_expose(&sum, out);
}

static const char *
node_fault(void *arg)
{
	struct node *n = arg;

	return backplane_fault(&n->backplane);
}

/* There is no use in going on, and the reason is for whoever started us. */
static void
node_on_hopeless(void *arg, int code, const char *why)
{
	struct node *n = arg;

	/* Both connections may be refused. */
	if (n->code != 0)
		return;
	log_error("%s", why);
	n->code = code;
	loop_stop(n->loop);
}

static void
node_on_message(void *arg, struct slice node, struct slice type, struct slice message)
{
	struct node *n = arg;

	if (slice_is(type, "kick"))
		kicks_on_message(&n->kicks, node, message);
	else if (slice_is(type, "count"))
		headcounts_on_message(&n->headcounts, message);
	else
		inquiries_on_message(&n->inquiries, node, message);
}

static const struct backplane_user node_user = { .on_hopeless = node_on_hopeless, .on_message = node_on_message };

/* As many clients as descriptors allow, unless the configuration says fewer; 0 with *why if it says more. */
static uint64_t
max_connections(const struct config *c, char **why)
{
	struct rlimit r = { 0 };

	getrlimit(RLIMIT_NOFILE, &r);
	if (c->max_connections == 0)
		return r.rlim_cur > 2 * SPARE_DESCRIPTORS ? r.rlim_cur - SPARE_DESCRIPTORS : r.rlim_cur / 2;
	if (c->max_connections + SPARE_DESCRIPTORS <= r.rlim_cur)
		return c->max_connections;
	*why = xasprintf("limits.max_connections = %llu needs %llu descriptors, and this process may have %llu",
	    (unsigned long long)c->max_connections, (unsigned long long)c->max_connections + SPARE_DESCRIPTORS,
	    (unsigned long long)r.rlim_cur);
	return 0;
}

/* Copies the configuration to those who work by it. */
static void
node_configure(struct node *n, uint64_t connections)
{
	const struct config *c = config_get(n->config);
	struct parts	    *p = n->parts;

	n->env.limits = (struct session_limits){
		.max_channels = (uint32_t)c->max_channels, .max_topics = (uint32_t)c->max_topics,
		.max_topic = (uint32_t)c->max_topic, .message_rate = (uint32_t)c->message_rate,
		.message_burst = (uint32_t)c->message_burst, .join_queue = (uint32_t)c->join_queue, .join_ms = c->join_ms,
		.leeway_ms = c->auth_leeway_ms, .expiry_warning_ms = c->auth_expiry_warning_ms,
	};
	n->env.event_rates = p->event_rates;
	n->env.n_event_rates = p->n_event_rates;
	routes_unref(n->env.routes);
	n->env.routes = routes_ref(p->routes);
	n->env.pubsub.hub.options = (struct hub_options){
		.deflate = n->deflate, .deflate_min = (uint32_t)c->compression_min,
	};
	n->websockets.options = (struct websocket_options){
		.limits = { .max_message = c->max_message, .max_fragments = (uint32_t)c->max_fragments },
		.max_queue = c->max_queue, .stall_ms = c->stall_ms, .idle_ms = c->idle_ms,
		.ping_ms = c->ping_interval_ms, .pong_ms = c->pong_timeout_ms, .close_ms = c->close_ms,
	};
	n->longpolls.options = (struct longpoll_options){
		.window_ms = c->longpoll_window_ms, .max_queue = c->max_queue, .max_message = c->max_message,
	};
	n->endpoint.http.options = (struct http_server_options){
		.limits = { .head = c->http_max_head, .target = c->http_max_target, .fields = (unsigned)c->http_max_fields,
			.body = HTTP_MAX_BODY },
		.handshake_ms = c->handshake_ms, .linger_ms = c->close_ms,
	};
	n->endpoint.options = (struct endpoint_options){
		.dev = c->dev, .anonymous = c->auth_anonymous, .require_origin = c->require_origin,
		.compression = c->compression, .echo_path = c->echo_path, .max_connections = connections,
		.max_per_user = c->max_per_user, .max_per_address = c->max_per_address, .tls_handshakes = c->tls_handshakes,
		.auth = p->auth, .origins = p->origins, .tls = p->tls, .trusted = p->trusted, .n_trusted = p->n_trusted,
		.pages = p->pages, .dev_secret = parts_key_kind(c) == PARTS_DEV_KEY ? SLICE(DEV_SECRET) : SLICE(""),
	};
	n->api.options = (struct api_options){
		.key = &p->api_key, .guard = p->admin, .max_body = c->max_message,
		.timeout_ms = c->redis_timeout_ms + API_SLACK_MS, .rate = (uint32_t)c->admin_max_rate,
	};
	n->drain.options = (struct drain_options){
		.time_ms = c->drain_ms, .delay_ms = c->drain_delay_ms, .close_ms = c->close_ms,
	};
	n->watch.memory_high = c->memory_high;
	backplane_configure(&n->backplane, c);
	authorizer_configure(n->authorizer, &(struct authorizer_options){
		.secret = p->authorize_secret, .authorities = buf_slice(&p->authorities),
		.timeout_ms = c->authorize_timeout_ms, .cache_ms = c->authorize_cache_ms,
		.parallel = (unsigned)c->authorize_parallel, .known = AUTHORIZER_MAX_KNOWN,
	});
}

/* libconfuse does not survive a failed allocation: it gets half of what we hold back. */
static int
node_read_config(struct node *n, struct config_set **fresh, char **why)
{
	int r;

	if (mem_is_short()) {
		*why = xstrdup("memory is short");
		return -ENOMEM;
	}
	mem_reserve(MEM_RESERVE / 2);
	r = config_reload(n->config, fresh, why);
	mem_reserve(MEM_RESERVE);
	return r;
}

static void
node_reload(struct node *n)
{
	autobuf struct buf stale = { 0 };
	autofree char	  *why = NULL;
	struct config_set *fresh;
	struct parts	  *parts = NULL, *old_parts = n->parts;
	struct config_set *old = n->config;
	uint64_t	   connections = 0;
	int		   r = node_read_config(n, &fresh, &why);

	if (r == 0) {
		parts = parts_new(config_get(fresh), &why);
		connections = parts != NULL ? max_connections(config_get(fresh), &why) : 0;
		if (connections > 0 && parts_log_open(config_get(fresh)) < 0) {
			why = xstrdup("the log cannot be written");
			connections = 0;
		}
	}
	if (connections == 0) {
		stats->reload_failed_total++;
		log_error("reload refused, nothing was changed: %s", why);
		parts_free(parts);
		if (r == 0)
			config_free(fresh);
		return;
	}
	n->config = fresh;
	n->parts = parts;
	node_configure(n, connections);
	config_restart_needed(old, fresh, &stale);
	parts_free(old_parts);
	config_free(old);
	stats->reloads_total++;
	log_info("configuration reloaded");
	if (stale.n > 0)
		log_warn("these changes need a restart: %.*s", SLICE_ARG(buf_slice(&stale)));
}

static void
node_stop(struct node *n)
{
	log_info("stopping with %u clients", n->websockets.n + n->longpolls.n);
	/* Whoever can still hear us learns that we are coming back. */
	websockets_close_some(&n->websockets, UINT32_MAX, WS_RESTART, "stopping");
	longpolls_close_some(&n->longpolls, UINT32_MAX, WS_RESTART, "stopping");
	loop_stop(n->loop);
}

static void
node_reopen_log(void)
{
	int r = log_reopen();

	if (r < 0)
		log_error("cannot open the log again: %s", strerror(-r));
}

static void
node_on_signal(evutil_socket_t signum, short what, void *arg)
{
	struct node *n = arg;

	loop_awake(n->loop);
	if (signum == SIGHUP)
		node_reload(n);
	else if (signum == SIGUSR1)
		node_reopen_log();
	else if (signum == SIGTERM && !n->endpoint.draining)
		drain_begin(&n->drain);
	else
		node_stop(n);
}

static bool
node_catch_signals(struct node *n)
{
	static const int signals[] = { SIGHUP, SIGUSR1, SIGTERM, SIGINT, SIGQUIT };

	for (unsigned i = 0; i < 5; i++) {
		n->signals[i] = evsignal_new(n->loop->base, signals[i], node_on_signal, n);
		if (n->signals[i] == NULL || event_add(n->signals[i], NULL) < 0)
			return false;
	}
	return true;
}

/* A host's name may hold what an id may not. */
static void
node_host(char *out, size_t size)
{
	if (gethostname(out, size - 1) < 0 || out[0] == '\0')
		snprintf(out, size, "localhost");
	out[size - 1] = '\0';
	for (char *p = out; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '.' && *p != '-')
			*p = '-';
}

/*
 * The configured name, else HOST:PORT, or HOST:PID where there is no port; of several workers with the number of this
 * one.
 */
static void
node_name(struct node *n, const struct sockets *sockets, int worker)
{
	const struct config *c = config_get(n->config);
	char		     host[48] = "", number[16] = "";
	unsigned	     port = sockets != NULL && sockets->n > 0 ? addr_listen_port(&sockets->items[0].addr) : 0;

	if (worker >= 0 && c->workers > 1)
		snprintf(number, sizeof(number), ".%d", worker + 1);
	node_host(host, sizeof(host));
	if (c->node_id[0] != '\0')
		snprintf(n->name, sizeof(n->name), "%s%s", c->node_id, number);
	else
		snprintf(n->name, sizeof(n->name), "%s:%u%s", host, port != 0 ? port : (unsigned)getpid(), number);
}

static void
node_listen(struct node *n, struct sockets *sockets)
{
	log_info("roostd %s, node %s, process %ld", PACKAGE_VERSION, n->name, (long)getpid());
	n->endpoint.keep_files = sockets->shared;
	for (unsigned i = 0; i < sockets->n; i++) {
		endpoint_listen(&n->endpoint, sockets->items[i].fd, &sockets->items[i].addr, sockets->items[i].admin);
		sockets->items[i].fd = -1;
	}
	sockets->n = 0;
}

static void
node_add_classes(void)
{
	static const struct channel_class *const classes[] = {
		&chat_class, &comments_class, &devices_class, &presence_class, &pusher_class, &room_class, &signaling_class,
	};
	const char *why;

	for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (class_find(classes[i]->name) == NULL)
			class_add(classes[i], &why);
}

/* The floors, from the ground up. */
static bool
node_build(struct node *n, const struct config *c, const struct sockets *sockets, int *code, char **why)
{
	n->loop = loop_new();
	if (n->loop == NULL) {
		*why = xstrdup("the event loop does not work here");
		return false;
	}
	n->deflate = deflate_new((int)c->compression_level);
	sockets_public_address(sockets, n->listen);
	websockets_init(&n->websockets, &n->env, n->deflate);
	longpolls_init(&n->longpolls, &n->env, slice_str(n->name));
	longpoll_relay_init(&n->relay, n->loop, &n->longpolls);
	inquiries_init(&n->inquiries, n->loop);
	kicks_init(&n->kicks, &n->inquiries, &n->websockets, &n->longpolls);
	headcounts_init(&n->headcounts, &n->inquiries, &n->env.pubsub.hub);
	api_init(&n->api, n->loop, &n->env, &n->backplane, &n->kicks, &n->headcounts, n->name, n->listen);
	endpoint_init(&n->endpoint, n->loop, &n->websockets, &n->longpolls, &n->relay);
	n->endpoint.api = &n->api;
	n->endpoint.metrics = node_metrics;
	n->endpoint.fault = node_fault;
	n->endpoint.arg = n;
	drain_init(&n->drain, &n->endpoint);
	watch_init(&n->watch, &n->endpoint);
	/* What may fail comes last: all that node_free() ends has begun. */
	if (backplane_init(&n->backplane, n->loop, &n->env, c, n->name, n->listen, &node_user, n, why) < 0) {
		*code = EX_CONFIG;
		return false;
	}
	n->authorizer = authorizer_new(n->loop);
	if (n->authorizer == NULL) {
		*why = xstrdup("libcurl does not work here, or cannot look up names in the background");
		return false;
	}
	n->env.authorizer = &authorizer_ops;
	n->env.authorizer_arg = n->authorizer;
	n->inquiries.cluster = n->backplane.cluster;
	if (n->backplane.redis != NULL)
		longpoll_relay_join(&n->relay, n->backplane.redis, cluster_prefix(n->backplane.cluster));
	n->env.verify = node_verify;
	n->env.arg = n;
	if (node_catch_signals(n))
		return true;
	*why = xstrdup("signals cannot be caught here");
	return false;
}

struct node *
node_new(struct config_set *config, struct sockets *sockets, int worker, int *code, char **why)
{
	struct node *n = xcalloc(1, sizeof(*n));
	uint64_t     connections;

	n->config = config;
	node_add_classes();
	n->parts = parts_new(config_get(config), why);
	*code = EX_CONFIG;
	if (n->parts == NULL)
		return node_free(n);
	connections = max_connections(config_get(config), why);
	*code = EX_OSERR;
	if (connections == 0)
		return node_free(n);
	node_name(n, sockets, worker);
	if (!node_build(n, config_get(config), sockets, code, why))
		return node_free(n);
	node_configure(n, connections);
	if (sockets != NULL)
		node_listen(n, sockets);
	return n;
}

struct node *
node_free(struct node *n)
{
	if (n->loop != NULL) {
		watch_done(&n->watch);
		drain_done(&n->drain);
		endpoint_close_doors(&n->endpoint, true);
		websockets_done(&n->websockets);
		longpolls_done(&n->longpolls);
		endpoint_done(&n->endpoint);
		loop_end_turn(n->loop);
		longpoll_relay_done(&n->relay);
		backplane_done(&n->backplane);
		authorizer_free(n->authorizer);
		inquiries_done(&n->inquiries);
		api_done(&n->api);
		deflate_free(n->deflate);
		for (unsigned i = 0; i < 5; i++)
			if (n->signals[i] != NULL)
				event_free(n->signals[i]);
		loop_free(n->loop);
	}
	parts_free(n->parts);
	config_free(n->config);
	free(n);
	return NULL;
}

/* The others are told that we go, if they can be reached. */
static void
node_leave(struct node *n)
{
	uint64_t end = clock_ms() + LEAVE_MS;

	backplane_leave(&n->backplane);
	while (!backplane_has_left(&n->backplane) && clock_ms() < end)
		loop_turn(n->loop, true);
}

int
node_run(struct node *n)
{
	watch_ready(&n->watch);
	loop_run(n->loop);
	/* Once more, for what was said last. */
	loop_end_turn(n->loop);
	node_leave(n);
	return n->code;
}
