/*
 * Configuration: one table of options, filled from defaults, then the file, then ROOST_… variables, then
 * flags; the later ones win. There is no global configuration: each module gets its own part of struct
 * config.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/units.h"
#include "net/addr.h"

#define CONFIG_MAX_LISTEN 16
#define CONFIG_MAX_RATE	10000	/* events in a period of a rate: a window remembers the time of each */

struct config_list {
	char	**items;
	unsigned  n;
};

/* key "KID" { file = "…" alg = "…" } */
struct config_key {
	char	*kid;
	char	*file;
	char	*alg;
};

/* rate "EVENT" = N/PERIOD, for all routes or inside one. */
struct config_rate {
	char	   *event;
	struct rate rate;
};

/* One value handed to a channel class, as text. */
struct config_pair {
	char	*name;
	char	*value;
};

/* route "PATTERN" { class = "…" … } */
struct config_route {
	char		  *pattern;
	char		  *class;
	char		  *module;	/* path of a .so, or NULL */
	bool		   public;	/* anonymous sockets may join */
	char		  *rate_reason;	/* what who is over a rate is told; NULL = rate_limit */
	struct config_list allow;	/* guards; any one suffices; none = no guard */
	char		  *authorize_url;	/* who else is asked; NULL = nobody */
	struct config_pair *options;	/* every other setting, in the file's order */
	unsigned	   n_options;
	struct config_rate *rates;
	unsigned	   n_rates;
	unsigned	   line;	/* in the file, for messages */
};

struct config {
	/* server */
	struct config_list listen;		/* "listen" (-l): default 127.0.0.1:4000 */
	struct config_list admin_listen;	/* "admin.listen": default 127.0.0.1:4001; "none" = no admin listener */
	char		*node_id;		/* "node.id" (-n): default HOSTNAME-PORT style, made at start when empty */
	/* redis */
	char		*redis_url;		/* "redis.url" (-r): empty = alone */
	char		*redis_user;		/* "redis.user": instead of the URL's */
	char		*redis_password;	/* "redis.password": variable or file only; instead of the URL's */
	char		*redis_prefix;		/* "redis.prefix" roost: */
	uint64_t	 redis_timeout_ms;	/* "redis.timeout" 2s */
	uint64_t	 redis_max_queue;	/* "redis.max_queue" 16m */
	uint64_t	 redis_linger_ms;	/* "redis.linger" 5s */
	/* cluster */
	uint64_t	 heartbeat_ms;		/* "cluster.heartbeat" 1s */
	uint64_t	 node_timeout_ms;	/* "cluster.timeout" 5s */
	uint64_t	 ready_grace_ms;	/* "cluster.ready_grace" 5s without Redis until /readyz says so */
	/* events */
	char		*events_stream;		/* "events.stream": empty = none */
	uint64_t	 events_max_length;	/* "events.max_length" 100000 entries, about */
	uint64_t	 events_max_queue;	/* "events.max_queue" 10000 that wait for Redis */
	/* presence */
	uint64_t	 presence_window_ms;	/* "presence.window" 50ms */
	uint64_t	 presence_load_ms;	/* "presence.load_timeout" 1s */
	uint64_t	 presence_max_metas;	/* "presence.max_metas" 100 of one key */
	uint64_t	 presence_max_meta;	/* "presence.max_meta" 4k */
	/* history */
	uint64_t	 history_memory;	/* "history.memory" 64m, of a node alone */
	uint64_t	 history_check_ms;	/* "history.check" 4s */
	/* server */
	unsigned	 workers;		/* "server.workers" (-w) */
	bool		 supervise;		/* "server.supervise": a master even for one worker */
	char		*user;			/* "server.user" (-u) */
	char		*pid_file;		/* "server.pid_file" */
	bool		 dev;			/* "server.dev" (--dev) */
	/* log */
	enum log_level	 log_level;		/* "log.level": error warn info debug; -v raises it */
	bool		 log_json;		/* "log.format": text json */
	char		*log_file;		/* "log.file" */
	/* http */
	struct config_list origins;		/* "origins" */
	bool		 require_origin;	/* "http.require_origin" */
	struct config_list trusted_proxies;	/* "http.trusted_proxies": networks */
	uint64_t	 http_max_head;		/* "http.max_head" 16k */
	uint64_t	 http_max_target;	/* "http.max_target" 8k */
	uint64_t	 http_max_fields;	/* "http.max_fields" 100 */
	/* tls */
	char		*tls_cert;		/* "tls.cert" (--tls-cert) */
	char		*tls_key;		/* "tls.key" (--tls-key) */
	/* auth */
	char		*auth_key_file;		/* "auth.key_file" (-k) */
	char		*auth_secret;		/* "auth.secret": variable or file only, never a flag */
	char		*auth_alg;		/* "auth.alg": of that key; empty = by its kind */
	bool		 auth_anonymous;	/* "auth.anonymous" */
	char		*auth_issuer;		/* "auth.issuer" */
	char		*auth_audience;		/* "auth.audience" */
	uint64_t	 auth_leeway_ms;	/* "auth.leeway" 30s */
	uint64_t	 auth_max_age_ms;	/* "auth.max_age" 0 = off */
	uint64_t	 auth_expiry_warning_ms; /* "auth.expiry_warning" 60s */
	uint64_t	 auth_cache;		/* "auth.cache" 1024 tokens */
	struct config_key *keys;
	unsigned	 n_keys;
	/* authorize */
	char		*authorize_secret_file;	/* "authorize.secret_file" */
	char		*authorize_secret;	/* "authorize.secret": variable or file only; instead of that file */
	char		*authorize_ca_file;	/* "authorize.ca_file": empty = whom the system believes */
	uint64_t	 authorize_timeout_ms;	/* "authorize.timeout" 2s */
	uint64_t	 authorize_cache_ms;	/* "authorize.cache" 5s; 0 = off */
	uint64_t	 authorize_parallel;	/* "authorize.parallel" 16 calls of one URL */
	/* limits */
	uint64_t	 max_message;		/* "limits.max_message" 1m */
	uint64_t	 max_fragments;		/* "limits.max_fragments" 16384 */
	uint64_t	 max_topic;		/* "limits.max_topic" 256, at most 256 */
	uint64_t	 max_channels;		/* "limits.max_channels" 100 per connection */
	uint64_t	 max_topics;		/* "limits.max_topics" 0 = unlimited, topics of a node */
	uint64_t	 max_connections;	/* "limits.max_connections" 0 = RLIMIT_NOFILE - 64 */
	uint64_t	 max_per_user;		/* "limits.connections_per_user" 0 = unlimited */
	uint64_t	 max_per_address;	/* "limits.connections_per_address" 0 = unlimited */
	uint64_t	 message_rate;		/* "limits.message_rate" 100 a second; 0 = off */
	uint64_t	 message_burst;		/* "limits.message_burst" 200 */
	uint64_t	 max_queue;		/* "limits.max_queue" 1m */
	uint64_t	 stall_ms;		/* "limits.stall_timeout" 10s without progress of a full client */
	uint64_t	 handshake_ms;		/* "limits.handshake_timeout" 10s */
	uint64_t	 idle_ms;		/* "limits.idle_timeout" 60s */
	uint64_t	 close_ms;		/* "limits.close_timeout" 5s */
	uint64_t	 join_ms;		/* "limits.join_timeout" 10s for a class that joins later */
	uint64_t	 join_queue;		/* "limits.join_queue" 64 messages kept while a join is pending */
	uint64_t	 tls_handshakes;	/* "limits.tls_handshakes" a second; 0 = unlimited */
	uint64_t	 memory_high;		/* "limits.memory_high" 0 = off; above it new connections get 503 */
	/* websocket */
	bool		 compression;		/* "websocket.compression" yes */
	uint64_t	 compression_level;	/* "websocket.compression_level" 1..9, default 1 */
	uint64_t	 compression_min;	/* "websocket.compression_min" 512 bytes */
	uint64_t	 ping_interval_ms;	/* "websocket.ping_interval" 25s; 0 = off */
	uint64_t	 pong_timeout_ms;	/* "websocket.pong_timeout" 20s */
	/* longpoll */
	uint64_t	 longpoll_window_ms;	/* "longpoll.window" 10s */
	/* drain */
	uint64_t	 drain_ms;		/* "drain.time" 30s */
	uint64_t	 drain_delay_ms;	/* "drain.delay" 2s: so long listeners stay, answering 503 */
	/* admin */
	char		*admin_key_file;	/* "admin.api_key_file" */
	char		*admin_claim;		/* "admin.claim": as behind "claim" of a guard's entry */
	uint64_t	 admin_max_rate;	/* "admin.max_rate" 0: calls of the API a second; 0 = any number */
	/* debug */
	char		*echo_path;		/* "debug.echo_path": loopback listeners only */
	/* dev */
	char		*dev_pages;		/* "dev.pages": folder of the demo pages; default PKGDATADIR/demo */
	/* routes */
	bool		 default_routes;	/* "default_routes" yes */
	struct config_route *routes;
	unsigned	 n_routes;
	struct config_rate *rates;
	unsigned	 n_rates;
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENV, CONFIG_FLAG };

/* What the command line asked for besides options. */
enum config_action { CONFIG_RUN, CONFIG_CHECK, CONFIG_DUMP, CONFIG_VERSION, CONFIG_HELP };

/*
 * A configuration and where each value came from; also remembers flags and variables, so that a reload
 * reads the file alone again.
 */
struct config_set;

/*
 * Reads the command line, the environment and the file. Returns 0 with *set (NULL for CONFIG_VERSION and
 * CONFIG_HELP, which look at nothing else); or an exit code: 2 (usage: unknown flag, missing argument, -o
 * without "=" or with an unknown name) or 78 (configuration), with the message in *why (caller frees):
 * "FILE:LINE: unknown option 'limits.max_mesage', did you mean 'limits.max_message'?", "FILE:LINE:
 * limits.max_message: expected a size such as 64k or 1m, got 'big'", "-o …:", "ROOST_LIMITS_MAX_MESSAGE:".
 */
int config_load(int argc, char **argv, char **envp, struct config_set **set, enum config_action *action,
    char **why);
/*
 * Reads the file again under the same flags and variables: a new set, or an exit code and *why. The old
 * one is untouched. What only a restart can change has its old value in the new set, too.
 */
int config_reload(const struct config_set *old, struct config_set **set, char **why);
struct config_set *config_free(struct config_set *);
/* Borrowed until config_free(). */
const struct config *config_get(const struct config_set *);
/*
 * Prints "section.option = value   # where it comes from" for every option, secrets as "(set)", then keys,
 * rates and routes.
 */
void config_dump(const struct config_set *, FILE *out);
/*
 * Names of options that config_reload() found changed, and that need a restart, comma-separated; empty if
 * none.
 */
void config_restart_needed(const struct config_set *old, const struct config_set *reloaded,
    struct buf *names);
void config_usage(FILE *out);

#endif
