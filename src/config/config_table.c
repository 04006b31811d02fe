/*
 * The table of options. The file's grammar, variables, -o, flags, --dump and the usage text come from it;
 * tests hold the sample file and the manual page against it.
 */
#include <ctype.h>

#include "config/config_internal.h"
#include "net/http.h"

#ifndef PKGDATADIR
#define PKGDATADIR "/usr/local/share/roost"
#endif

#define AT(field)	.offset = offsetof(struct config, field), .size = sizeof(((struct config *)NULL)->field)
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

#define KIB	((uint64_t)1 << 10)
#define MIB	((uint64_t)1 << 20)
#define GIB	((uint64_t)1 << 30)
#define MILLION	UINT64_C(1000000)
#define BILLION	UINT64_C(1000000000)
#define SECOND	UINT64_C(1000)
#define MINUTE	(60 * SECOND)
#define HOUR	(60 * MINUTE)
#define DAY	(24 * HOUR)

#define MAX_NODE_ID	64
#define MAX_PREFIX	64

static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const log_formats[] = { "text", "json", NULL };
const char *const config_algorithms[] = {
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", NULL
};

static const char *
check_network(const char *text)
{
	struct addr_net net;

	if (addr_net_parse(&net, slice_str(text)) == 0)
		return NULL;
	return "expected a network such as 10.0.0.0/8, an address, or unix";
}

static const char *
check_path(const char *text)
{
	return text[0] == '\0' || text[0] == '/' ? NULL : "expected a path that begins with /";
}

static const char *
check_prefix(const char *text)
{
	size_t n = 0;

	while (isalnum((unsigned char)text[n]) || (text[n] != '\0' && strchr("._:-/", text[n]) != NULL))
		n++;
	if (n <= MAX_PREFIX && text[n] == '\0')
		return NULL;
	return "expected at most 64 letters, digits and . _ : - /";
}

static const char *
check_node_id(const char *text)
{
	size_t n = 0;

	while (isalnum((unsigned char)text[n]) || (text[n] != '\0' && strchr("._:@-", text[n]) != NULL))
		n++;
	if (n <= MAX_NODE_ID && text[n] == '\0')
		return NULL;
	return "expected at most 64 letters, digits and . _ : @ -";
}

const struct config_option config_options[] = {
	{ .name = "listen", .type = CONFIG_LISTEN, AT(listen), .value = "127.0.0.1:4000", .flag = 'l',
	  .long_flag = "listen", .arg = "ADDRESS",
	  .help = "listen on HOST:PORT, [V6]:PORT or unix:PATH, with ,proxy or ,tls" },
	{ .name = "origins", .type = CONFIG_LIST, AT(origins), .value = "", .reload = true,
	  .help = "web origins that may connect; empty: all" },
	{ .name = "default_routes", .type = CONFIG_BOOL, AT(default_routes), .value = "yes",
	  .reload = true,
	  .help = "the built-in routes stand behind those of this file" },

	{ .name = "node.id", .type = CONFIG_STRING, AT(node_id), .value = "", .check = check_node_id,
	  .flag = 'n', .long_flag = "node-id", .arg = "NODE-ID",
	  .help = "this node's name; empty: made from the host's name" },

	{ .name = "redis.url", .type = CONFIG_STRING, AT(redis_url), .value = "", .flag = 'r',
	  .long_flag = "redis", .arg = "REDIS-URL",
	  .help = "where nodes meet; empty: this node is alone" },
	{ .name = "redis.user", .type = CONFIG_STRING, AT(redis_user), .value = "",
	  .help = "user of Redis' access list, instead of the URL's" },
	{ .name = "redis.password", .type = CONFIG_SECRET, AT(redis_password), .value = "",
	  .help = "password of Redis, instead of the URL's; never a flag" },
	{ .name = "redis.prefix", .type = CONFIG_STRING, AT(redis_prefix), .value = "roost:",
	  .check = check_prefix,
	  .help = "before all keys and channels" },
	{ .name = "redis.timeout", .type = CONFIG_DURATION, AT(redis_timeout_ms), .value = "2s",
	  .min = 10, .max = HOUR,
	  .help = "a connection to Redis that owes an answer for so long is given up" },
	{ .name = "redis.max_queue", .type = CONFIG_SIZE, AT(redis_max_queue), .value = "16m",
	  .min = 64 * KIB, .max = GIB,
	  .help = "bytes that may wait for Redis" },
	{ .name = "redis.linger", .type = CONFIG_DURATION, AT(redis_linger_ms), .value = "5s",
	  .max = HOUR,
	  .help = "a topic stays subscribed so long after its last client" },

	{ .name = "cluster.heartbeat", .type = CONFIG_DURATION, AT(heartbeat_ms), .value = "1s",
	  .min = 10, .max = HOUR,
	  .help = "how often a node tells the others that it lives" },
	{ .name = "cluster.timeout", .type = CONFIG_DURATION, AT(node_timeout_ms), .value = "5s",
	  .min = 50, .max = HOUR,
	  .help = "a node unheard for so long is down" },
	{ .name = "cluster.ready_grace", .type = CONFIG_DURATION, AT(ready_grace_ms), .value = "5s",
	  .max = HOUR,
	  .help = "so long without Redis before /readyz says 503" },

	{ .name = "events.stream", .type = CONFIG_STRING, AT(events_stream), .value = "",
	  .help = "Redis stream that is told who comes and goes; empty: none" },
	{ .name = "events.max_length", .type = CONFIG_NUMBER, AT(events_max_length), .value = "100000",
	  .min = 1, .max = BILLION,
	  .help = "entries that this stream keeps, about" },
	{ .name = "events.max_queue", .type = CONFIG_NUMBER, AT(events_max_queue), .value = "10000",
	  .min = 1, .max = MILLION,
	  .help = "events that may wait for Redis; the oldest go" },

	{ .name = "presence.window", .type = CONFIG_DURATION, AT(presence_window_ms), .value = "50ms",
	  .min = 1, .max = MINUTE, .reload = true,
	  .help = "changes of presence are told to clients so often" },
	{ .name = "presence.load_timeout", .type = CONFIG_DURATION, AT(presence_load_ms), .value = "1s",
	  .max = MINUTE, .reload = true,
	  .help = "a first presence_state waits so long for the other nodes" },
	{ .name = "presence.max_metas", .type = CONFIG_NUMBER, AT(presence_max_metas), .value = "100",
	  .min = 1, .max = MILLION, .reload = true,
	  .help = "most metas of one key in one topic" },
	{ .name = "presence.max_meta", .type = CONFIG_SIZE, AT(presence_max_meta), .value = "4k",
	  .min = 64, .max = 64 * KIB, .reload = true,
	  .help = "largest meta" },

	{ .name = "history.memory", .type = CONFIG_SIZE, AT(history_memory), .value = "64m",
	  .min = KIB, .max = KIB * GIB,
	  .help = "bytes of all histories together, on a node alone" },
	{ .name = "history.check", .type = CONFIG_DURATION, AT(history_check_ms), .value = "4s",
	  .min = 10, .max = HOUR,
	  .help = "how often a topic's position is compared with Redis" },

	{ .name = "server.workers", .type = CONFIG_NUMBER, AT(workers), .value = "1", .min = 1,
	  .max = 256, .flag = 'w', .long_flag = "workers", .arg = "WORKERS",
	  .help = "processes; more than one meet in Redis" },
	{ .name = "server.supervise", .type = CONFIG_BOOL, AT(supervise), .value = "no",
	  .help = "a master restarts even a single worker" },
	{ .name = "server.user", .type = CONFIG_STRING, AT(user), .value = "", .flag = 'u',
	  .long_flag = "user", .arg = "USER",
	  .help = "become this user once the addresses are bound; empty: stay" },
	{ .name = "server.pid_file", .type = CONFIG_STRING, AT(pid_file), .value = "",
	  .long_flag = "pid-file", .arg = "FILE",
	  .help = "write the process id there; empty: nowhere" },
	{ .name = "server.dev", .type = CONFIG_BOOL, AT(dev), .value = "no", .long_flag = "dev",
	  .help = "development: well-known secret, demo pages; loopback only" },

	{ .name = "log.level", .type = CONFIG_ENUM, AT(log_level), .value = "info",
	  .choices = log_levels, .reload = true,
	  .help = "what is logged: error, warn, info or debug" },
	{ .name = "log.format", .type = CONFIG_ENUM, AT(log_json), .value = "text",
	  .choices = log_formats, .reload = true, .long_flag = "log-format", .arg = "text|json",
	  .help = "lines of text or of JSON" },
	{ .name = "log.file", .type = CONFIG_STRING, AT(log_file), .value = "", .reload = true,
	  .help = "append the log to this file; empty: standard error" },

	{ .name = "http.require_origin", .type = CONFIG_BOOL, AT(require_origin), .value = "no",
	  .reload = true,
	  .help = "refuse clients that send no Origin, as programs do" },
	{ .name = "http.trusted_proxies", .type = CONFIG_LIST, AT(trusted_proxies), .value = "",
	  .reload = true, .check = check_network,
	  .help = "networks whose X-Forwarded-For is believed" },
	{ .name = "http.max_head", .type = CONFIG_SIZE, AT(http_max_head), .value = "16k", .min = KIB,
	  .max = MIB, .reload = true,
	  .help = "largest request head" },
	{ .name = "http.max_target", .type = CONFIG_SIZE, AT(http_max_target), .value = "8k", .min = 64,
	  .max = MIB, .reload = true,
	  .help = "longest request target: path and query" },
	{ .name = "http.max_fields", .type = CONFIG_NUMBER, AT(http_max_fields), .value = "100",
	  .min = 8, .max = HTTP_MAX_FIELDS, .reload = true,
	  .help = "most header fields in a request" },

	{ .name = "tls.cert", .type = CONFIG_STRING, AT(tls_cert), .value = "", .reload = true,
	  .long_flag = "tls-cert", .arg = "FILE",
	  .help = "certificate chain, PEM; read again on SIGHUP" },
	{ .name = "tls.key", .type = CONFIG_STRING, AT(tls_key), .value = "", .reload = true,
	  .long_flag = "tls-key", .arg = "FILE",
	  .help = "its private key, PEM; read again on SIGHUP" },

	{ .name = "auth.key_file", .type = CONFIG_STRING, AT(auth_key_file), .value = "",
	  .reload = true, .flag = 'k', .long_flag = "jwt-key-file", .arg = "JWT-KEY-FILE",
	  .help = "key of the tokens: PEM public key, or an HMAC secret" },
	{ .name = "auth.secret", .type = CONFIG_SECRET, AT(auth_secret), .value = "", .reload = true,
	  .help = "HMAC secret of the tokens, instead of a file; never a flag" },
	{ .name = "auth.alg", .type = CONFIG_STRING, AT(auth_alg), .value = "",
	  .choices = config_algorithms, .reload = true,
	  .help = "algorithm of that key; empty: by its kind" },
	{ .name = "auth.anonymous", .type = CONFIG_BOOL, AT(auth_anonymous), .value = "no",
	  .reload = true,
	  .help = "take clients without a token, for public routes alone" },
	{ .name = "auth.issuer", .type = CONFIG_STRING, AT(auth_issuer), .value = "", .reload = true,
	  .help = "demanded claim iss; empty: any" },
	{ .name = "auth.audience", .type = CONFIG_STRING, AT(auth_audience), .value = "",
	  .reload = true,
	  .help = "demanded in claim aud; empty: any" },
	{ .name = "auth.leeway", .type = CONFIG_DURATION, AT(auth_leeway_ms), .value = "30s",
	  .max = HOUR, .reload = true,
	  .help = "how far clocks may differ" },
	{ .name = "auth.max_age", .type = CONFIG_DURATION, AT(auth_max_age_ms), .value = "0",
	  .max = 3650 * DAY, .reload = true,
	  .help = "refuse tokens issued longer ago, or without iat; 0: off" },
	{ .name = "auth.expiry_warning", .type = CONFIG_DURATION, AT(auth_expiry_warning_ms),
	  .value = "60s", .max = DAY, .reload = true,
	  .help = "tell clients so long before their token expires; 0: not" },
	{ .name = "auth.cache", .type = CONFIG_NUMBER, AT(auth_cache), .value = "1024", .max = MILLION,
	  .reload = true,
	  .help = "verified tokens that are remembered; 0: none" },

	{ .name = "authorize.secret_file", .type = CONFIG_STRING, AT(authorize_secret_file), .value = "",
	  .reload = true,
	  .help = "file with the secret that calls of an authorize_url are signed with" },
	{ .name = "authorize.secret", .type = CONFIG_SECRET, AT(authorize_secret), .value = "", .reload = true,
	  .help = "that secret, instead of a file; never a flag" },
	{ .name = "authorize.ca_file", .type = CONFIG_STRING, AT(authorize_ca_file), .value = "", .reload = true,
	  .help = "certificates that an https authorize_url is known by; empty: the system's" },
	{ .name = "authorize.timeout", .type = CONFIG_DURATION, AT(authorize_timeout_ms), .value = "2s",
	  .min = 10, .max = MINUTE, .reload = true,
	  .help = "a join that is not authorized within it is refused" },
	{ .name = "authorize.cache", .type = CONFIG_DURATION, AT(authorize_cache_ms), .value = "5s",
	  .max = HOUR, .reload = true,
	  .help = "how long an answer holds for the same question; 0: ask for each join" },
	{ .name = "authorize.parallel", .type = CONFIG_NUMBER, AT(authorize_parallel), .value = "64", .min = 1,
	  .max = 1000, .reload = true,
	  .help = "most calls of one authorize_url at a time" },

	{ .name = "limits.max_message", .type = CONFIG_SIZE, AT(max_message), .value = "1m", .min = 64,
	  .max = GIB, .reload = true,
	  .help = "largest message of a client, inflated" },
	{ .name = "limits.max_fragments", .type = CONFIG_NUMBER, AT(max_fragments), .value = "16384",
	  .min = 1, .max = MILLION, .reload = true,
	  .help = "most frames of one message" },
	{ .name = "limits.max_topic", .type = CONFIG_NUMBER, AT(max_topic), .value = "256", .min = 1,
	  .max = 256, .reload = true,
	  .help = "longest topic, in bytes" },
	{ .name = "limits.max_channels", .type = CONFIG_NUMBER, AT(max_channels), .value = "100",
	  .min = 1, .max = MILLION, .reload = true,
	  .help = "most topics joined by one connection" },
	{ .name = "limits.max_topics", .type = CONFIG_NUMBER, AT(max_topics), .value = "0", .max = BILLION,
	  .reload = true,
	  .help = "most topics of this node; 0: no limit" },
	{ .name = "limits.max_connections", .type = CONFIG_NUMBER, AT(max_connections), .value = "0",
	  .max = BILLION, .reload = true,
	  .help = "most connections; 0: as descriptors allow" },
	{ .name = "limits.connections_per_user", .type = CONFIG_NUMBER, AT(max_per_user), .value = "0",
	  .max = BILLION, .reload = true,
	  .help = "most connections of one user; 0: no limit" },
	{ .name = "limits.connections_per_address", .type = CONFIG_NUMBER, AT(max_per_address),
	  .value = "0", .max = BILLION, .reload = true,
	  .help = "most connections from one address; 0: no limit" },
	{ .name = "limits.message_rate", .type = CONFIG_NUMBER, AT(message_rate), .value = "100",
	  .max = MILLION, .reload = true,
	  .help = "messages a second that a connection may send; 0: any" },
	{ .name = "limits.message_burst", .type = CONFIG_NUMBER, AT(message_burst), .value = "200",
	  .min = 1, .max = MILLION, .reload = true,
	  .help = "how many of them at once" },
	{ .name = "limits.max_queue", .type = CONFIG_SIZE, AT(max_queue), .value = "1m", .min = KIB,
	  .max = GIB, .reload = true,
	  .help = "bytes that wait for a client before it is closed with 1013" },
	{ .name = "limits.stall_timeout", .type = CONFIG_DURATION, AT(stall_ms), .value = "10s",
	  .min = 10, .max = DAY, .reload = true,
	  .help = "a client that has read nothing for so long is closed" },
	{ .name = "limits.handshake_timeout", .type = CONFIG_DURATION, AT(handshake_ms), .value = "10s",
	  .min = 10, .max = HOUR, .reload = true,
	  .help = "time for TLS and the request head" },
	{ .name = "limits.idle_timeout", .type = CONFIG_DURATION, AT(idle_ms), .value = "60s",
	  .min = 10, .max = DAY, .reload = true,
	  .help = "a client that sends nothing, not even a pong, is closed after it" },
	{ .name = "limits.close_timeout", .type = CONFIG_DURATION, AT(close_ms), .value = "5s",
	  .min = 10, .max = HOUR, .reload = true,
	  .help = "time for the peer's part of a closing handshake" },
	{ .name = "limits.join_timeout", .type = CONFIG_DURATION, AT(join_ms), .value = "10s",
	  .min = 10, .max = HOUR, .reload = true,
	  .help = "time for a class that answers a join later" },
	{ .name = "limits.join_queue", .type = CONFIG_NUMBER, AT(join_queue), .value = "64", .max = MILLION,
	  .reload = true,
	  .help = "messages kept while a join is pending" },
	{ .name = "limits.tls_handshakes", .type = CONFIG_NUMBER, AT(tls_handshakes), .value = "0",
	  .max = MILLION, .reload = true,
	  .help = "TLS handshakes a second; 0: no limit" },
	{ .name = "limits.memory_high", .type = CONFIG_SIZE, AT(memory_high), .value = "0",
	  .max = KIB * GIB, .reload = true,
	  .help = "above it new connections get 503; 0: off" },

	{ .name = "websocket.compression", .type = CONFIG_BOOL, AT(compression), .value = "yes",
	  .reload = true,
	  .help = "offer permessage-deflate" },
	{ .name = "websocket.compression_level", .type = CONFIG_NUMBER, AT(compression_level),
	  .value = "1", .min = 1, .max = 9,
	  .help = "1 is fast, 9 is small" },
	{ .name = "websocket.compression_min", .type = CONFIG_SIZE, AT(compression_min), .value = "512",
	  .max = GIB, .reload = true,
	  .help = "shorter messages are sent as they are" },
	{ .name = "websocket.ping_interval", .type = CONFIG_DURATION, AT(ping_interval_ms),
	  .value = "25s", .max = DAY, .reload = true,
	  .help = "ping a silent client so often; 0: never" },
	{ .name = "websocket.pong_timeout", .type = CONFIG_DURATION, AT(pong_timeout_ms),
	  .value = "20s", .min = 10, .max = HOUR, .reload = true,
	  .help = "time for the answer to a ping" },

	{ .name = "longpoll.window", .type = CONFIG_DURATION, AT(longpoll_window_ms), .value = "10s",
	  .min = 100, .max = MINUTE, .reload = true,
	  .help = "a long poll waits so long for a message" },

	{ .name = "drain.time", .type = CONFIG_DURATION, AT(drain_ms), .value = "30s", .max = HOUR,
	  .reload = true,
	  .help = "SIGTERM spreads the closing of clients over it" },
	{ .name = "drain.delay", .type = CONFIG_DURATION, AT(drain_delay_ms), .value = "2s",
	  .max = HOUR, .reload = true,
	  .help = "its first part: listeners answer 503, and clients stay" },

	{ .name = "admin.listen", .type = CONFIG_LISTEN, AT(admin_listen), .value = "127.0.0.1:4001",
	  .long_flag = "admin-listen", .arg = "ADDRESS",
	  .help = "where metrics and the API are served; none: nowhere" },
	{ .name = "admin.api_key_file", .type = CONFIG_STRING, AT(admin_key_file), .value = "",
	  .reload = true,
	  .help = "file with the key of the HTTP API" },
	{ .name = "admin.claim", .type = CONFIG_STRING, AT(admin_claim), .value = "",
	  .reload = true,
	  .help = "claim of tokens that are as good as this key: role = admin" },
	{ .name = "admin.max_rate", .type = CONFIG_NUMBER, AT(admin_max_rate), .value = "0",
	  .max = MILLION, .reload = true,
	  .help = "calls of the HTTP API that are taken a second; 0: any number" },

	{ .name = "debug.echo_path", .type = CONFIG_STRING, AT(echo_path), .value = "",
	  .check = check_path, .reload = true,
	  .help = "echo WebSocket messages there, on loopback; empty: off" },

	{ .name = "dev.pages", .type = CONFIG_STRING, AT(dev_pages), .value = PKGDATADIR "/demo",
	  .reload = true,
	  .help = "folder of the demo pages" },
};
const unsigned config_n_options = COUNT(config_options);

const struct config_setting config_settings[] = {
	{ "echo", CONFIG_BOOL },	/* room */
	{ "events", CONFIG_LIST },
	{ "presence", CONFIG_BOOL },
	{ "history", CONFIG_BOOL },
	{ "history_max", CONFIG_NUMBER },	/* room, chat, comments */
	{ "history_age", CONFIG_DURATION },
	{ "leave_grace", CONFIG_DURATION },	/* room, chat, presence */
	{ "max_length", CONFIG_NUMBER },	/* chat, comments */
	{ "typing_timeout", CONFIG_DURATION },	/* chat */
	{ "device_limit", CONFIG_NUMBER },	/* devices */
	{ "evict_oldest", CONFIG_BOOL },
	{ "ring_timeout", CONFIG_DURATION },	/* signaling */
	{ "grace", CONFIG_DURATION },
	{ "keep", CONFIG_DURATION },
	{ "max_event", CONFIG_NUMBER },
	{ "max_kept", CONFIG_NUMBER },
};
const unsigned config_n_settings = COUNT(config_settings);

const struct config_option *
config_option_find(const char *name)
{
	for (unsigned i = 0; i < config_n_options; i++)
		if (strcmp(config_options[i].name, name) == 0)
			return &config_options[i];
	return NULL;
}

const struct config_setting *
config_setting_find(const char *name)
{
	for (unsigned i = 0; i < config_n_settings; i++)
		if (strcmp(config_settings[i].name, name) == 0)
			return &config_settings[i];
	return NULL;
}

struct slice
config_option_section(const struct config_option *o)
{
	const char *dot = strchr(o->name, '.');

	return dot != NULL ? slice(o->name, (size_t)(dot - o->name)) : SLICE("");
}

const char *
config_option_key(const struct config_option *o)
{
	const char *dot = strchr(o->name, '.');

	return dot != NULL ? dot + 1 : o->name;
}

char *
config_env_name(const struct config_option *o, char *out)
{
	snprintf(out, CONFIG_ENV_LEN, "ROOST_%s", o->name);
	for (char *p = out; *p != '\0'; p++)
		*p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
	return out;
}
