/*
 * Counters and gauges: one list, from which the struct, the /metrics text and the manual come.
 */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stdint.h>

#include "base/buf.h"

/* name, kind, help. Several workers' counters and gauges are added up; of a level, the highest counts. */
#define STATS(X) \
	X(connections, gauge, "open client connections") \
	X(websockets, gauge, "open WebSockets") \
	X(longpolls, gauge, "open long-poll sessions") \
	X(channels, gauge, "joined channels") \
	X(topics, gauge, "topics with a local subscriber") \
	X(nodes, level, "nodes of the cluster that are up, this one included") \
	X(redis_up, gauge, "workers that have their place in the cluster") \
	X(resyncs_total, counter, "times that messages of other nodes may have been missed") \
	X(accepted_total, counter, "connections accepted") \
	X(refused_total, counter, "connections refused: limits, memory or descriptors") \
	X(handshakes_total, counter, "WebSocket upgrades completed") \
	X(http_requests_total, counter, "HTTP requests read") \
	X(http_errors_total, counter, "HTTP requests answered with 4xx or 5xx") \
	X(auth_failures_total, counter, "tokens refused") \
	X(authorizer_calls_total, counter, "calls of an authorize_url") \
	X(authorizer_failures_total, counter, "joins refused as an authorize_url gave no answer, or was not asked") \
	X(joins_total, counter, "channel joins accepted") \
	X(join_errors_total, counter, "channel joins refused") \
	X(messages_in_total, counter, "messages received from clients") \
	X(broadcasts_total, counter, "messages broadcast to a topic") \
	X(bus_in_total, counter, "messages received from the bus, our own included") \
	X(bus_out_total, counter, "messages published on the bus") \
	X(bus_malformed_total, counter, "messages of the bus dropped: malformed, or of a newer version") \
	X(presence_deltas_in_total, counter, "presence changes received from other nodes") \
	X(presence_deltas_out_total, counter, "presence changes written to Redis") \
	X(presence_reads_total, counter, "presences of one node in one topic read from Redis") \
	X(frames_out_total, counter, "frames queued for clients") \
	X(bytes_in_total, counter, "bytes read from clients") \
	X(bytes_out_total, counter, "bytes written to clients") \
	X(writes_total, counter, "write calls") \
	X(rate_limited_total, counter, "messages refused by a rate limit") \
	X(protocol_errors_total, counter, "connections closed for a protocol error") \
	X(slow_consumer_total, counter, "connections closed for reading too slowly") \
	X(longpolls_forwarded_total, counter, "requests of long-poll clients passed on to the node of their session") \
	X(timeouts_total, counter, "connections closed by a deadline") \
	X(accept_rests_total, counter, "times accepting paused for want of descriptors") \
	X(events_total, counter, "events written to events.stream") \
	X(events_dropped_total, counter, "events dropped as too many waited for Redis") \
	X(log_dropped_total, counter, "log lines that could not be written") \
	X(reloads_total, counter, "configuration reloads taken") \
	X(reload_failed_total, counter, "configuration reloads refused") \
	X(loop_lag_ms, level, "longest turn of the event loop within the last 10 to 20 seconds") \
	X(loop_turns_total, counter, "turns of the event loop")

struct stats {
#define X(name, type, help) uint64_t name;
	STATS(X)
#undef X
};

/* This process' counters: a static one, or a slot of a page shared with the master. One writer each. */
extern struct stats *stats;

/* Adds another worker's. */
void stats_merge(struct stats *sum, const struct stats *);
/* Adds the Prometheus text exposition (format 0.0.4) of `s`, each name prefixed "roost_". */
void stats_expose(const struct stats *s, struct buf *out);

#endif
