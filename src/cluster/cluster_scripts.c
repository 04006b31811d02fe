/*
 * The scripts of the registry. KEYS[1] is the set of nodes; KEYS[2], where it is given, the hash of the node that is
 * ARGV[1].
 */
#include "cluster/cluster_scripts.h"

/* Redis' clock in ms; as decimal text, since Lua would write it as 1.7e+12. */
#define NOW \
	"local time = redis.call('TIME')\n" \
	"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
#define TEXT(n)	"string.format('%.0f', " n ")"

/*
 * Never two owners of an id: a place that was fresh within the timeout is another boot's until it is given up; unless
 * the caller names that boot and the very score at which it knows it to be dead. A place that is still ours is kept
 * with its epoch; a new one has an epoch greater than any that was seen under this id, but for
 * those that no node can have (CLUSTER_MAX_EPOCH).
 * ARGV: node, boot, last epoch, timeout, boot to displace, its score, the hash's life, host, pid, version, listen,
 * ms since the start.
 * {'placed', epoch} or {'taken', boot, score, host, pid}.
 */
struct redis_script cluster_register_script = { .name = "register", .text =
	NOW
	"local was = redis.call('HMGET', KEYS[2], 'epoch', 'boot', 'host', 'pid')\n"
	"local epoch, boot = was[1], was[2]\n"
	"local score = redis.call('ZSCORE', KEYS[1], ARGV[1])\n"
	"if boot and boot ~= ARGV[2] and score and math.abs(now - score) < tonumber(ARGV[4])\n"
	"    and not (boot == ARGV[5] and score == ARGV[6]) then\n"
	"	return {'taken', boot, score, was[3] or '', was[4] or ''}\n"
	"end\n"
	"if not (boot == ARGV[2] and score and epoch == ARGV[3]) then\n"
	"	local seen = tonumber(epoch) or 0\n"
	"	if seen + 1 >= 2 ^ 52 then seen = 0 end\n"
	"	epoch = " TEXT("math.max(now, seen + 1, ARGV[3] + 1)") "\n"
	"	redis.call('DEL', KEYS[2])\n"
	"end\n"
	"redis.call('HSET', KEYS[2], 'epoch', epoch, 'boot', ARGV[2], 'host', ARGV[8], 'pid', ARGV[9],\n"
	"    'version', ARGV[10], 'listen', ARGV[11], 'started', " TEXT("now - ARGV[12]") ")\n"
	"redis.call('PEXPIRE', KEYS[2], ARGV[7])\n"
	"redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
	"return {'placed', epoch}\n"
};

/*
 * Only who still has its place is heard: a heartbeat under an epoch that was lost, given up or taken over changes
 * nothing and reaches nobody.
 * ARGV: node, epoch, boot, number, the hash's life, channel, message, connections, clients, channels, topics,
 * messages_in, frames_out.
 * The heartbeat's number, or 0: lost.
 */
struct redis_script cluster_beat_script = { .name = "beat", .text =
	NOW
	"local was = redis.call('HMGET', KEYS[2], 'epoch', 'boot')\n"
	"if was[1] ~= ARGV[2] or was[2] ~= ARGV[3] or not redis.call('ZSCORE', KEYS[1], ARGV[1]) then\n"
	"	return 0\n"
	"end\n"
	"redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
	"redis.call('HSET', KEYS[2], 'connections', ARGV[8], 'clients', ARGV[9], 'channels', ARGV[10],\n"
	"    'topics', ARGV[11], 'messages_in', ARGV[12], 'frames_out', ARGV[13])\n"
	"redis.call('PEXPIRE', KEYS[2], ARGV[5])\n"
	"redis.call('PUBLISH', ARGV[6], ARGV[7])\n"
	"return tonumber(ARGV[4])\n"
};

/*
 * Gives up our own place, never that of who took it over, and says so.
 * ARGV: node, boot, channel, the message up to the epoch.
 * 1, or 0: it was not ours.
 */
struct redis_script cluster_leave_script = { .name = "leave", .text =
	"local was = redis.call('HMGET', KEYS[2], 'epoch', 'boot')\n"
	"if was[2] ~= ARGV[2] then\n"
	"	return 0\n"
	"end\n"
	"redis.call('DEL', KEYS[2])\n"
	"redis.call('ZREM', KEYS[1], ARGV[1])\n"
	"redis.call('PUBLISH', ARGV[3], ARGV[4] .. was[1] .. '}')\n"
	"return 1\n"
};

/*
 * Of all survivors exactly one takes a silent node's place out, and all hear of it. A score from the future counts as
 * silent: the clock went back, and the node has not been there since.
 * ARGV: the silent node, timeout, its epoch as far as known, channel, the message up to the epoch.
 * {'ours', epoch}, {'gone'} or {'alive'}.
 */
struct redis_script cluster_claim_script = { .name = "claim", .text =
	NOW
	"local score = redis.call('ZSCORE', KEYS[1], ARGV[1])\n"
	"if not score then\n"
	"	return {'gone'}\n"
	"end\n"
	"if math.abs(now - score) < tonumber(ARGV[2]) then\n"
	"	return {'alive'}\n"
	"end\n"
	"local epoch = math.max(tonumber(ARGV[3]), tonumber(redis.call('HGET', KEYS[2], 'epoch') or 0))\n"
	/* Nobody knows it any more; but it was registered before its last beat. */
	"if epoch == 0 then\n"
	"	epoch = tonumber(score)\n"
	"end\n"
	"epoch = " TEXT("epoch") "\n"
	"redis.call('ZREM', KEYS[1], ARGV[1])\n"
	"redis.call('DEL', KEYS[2])\n"
	"redis.call('PUBLISH', ARGV[4], ARGV[5] .. epoch .. '}')\n"
	"return {'ours', epoch}\n"
};

/*
 * The registry as it is at one moment. Reads only.
 * ARGV: what stands before a node's id in the name of its hash.
 * {{node, ms since its last beat, field, value, ...}, ...}
 */
struct redis_script cluster_nodes_script = { .name = "nodes", .text =
	NOW
	"local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')\n"
	"local rows = {}\n"
	"for i = 1, #all, 2 do\n"
	"	local row = redis.call('HGETALL', ARGV[1] .. all[i])\n"
	"	table.insert(row, 1, " TEXT("math.max(0, now - all[i + 1])") ")\n"
	"	table.insert(row, 1, all[i])\n"
	"	rows[#rows + 1] = row\n"
	"end\n"
	"return rows\n"
};
