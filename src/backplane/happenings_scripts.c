/*
 * The scripts of the stream of happenings. KEYS[1] is the stream; KEYS[2] a node's hash: its clients by id, and their channels
 * as "ID TOPIC", each with the user, and #run, #epoch and #seq: whose it is, and the last happening that was taken. KEYS[3],
 * where it is given, is the set of the nodes that have such a hash.
 */
#include "backplane/happenings_scripts.h"

/*
 * All of a node at once could take Redis too long: `sweep` tells whether more is left. From then on the hash is nobody's: its
 * node, should it come back, is to know that some of its clients were told as lost.
 */
#define SWEEP \
	"local function tell(max, node, cause, field, user)\n" \
	"	local time = redis.call('TIME')\n" \
	"	local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))\n" \
	"	local client, topic = string.match(field, '^(%S+) (.*)$')\n" \
	"	if topic then\n" \
	"		local word = string.match(topic, '^(%l+)%-')\n" \
	"		local types = { public = true, private = true, presence = true }\n" \
	"		redis.call('XADD', KEYS[1], 'MAXLEN', '~', max, '*', 'event', 'channel.left', 'at', at,\n" \
	"		    'node', node, 'clientId', client, 'userId', user, 'channel', topic,\n" \
	"		    'type', word and types[word] and word or 'topic', 'cause', cause)\n" \
	"	else\n" \
	"		redis.call('XADD', KEYS[1], 'MAXLEN', '~', max, '*', 'event', 'client.disconnected', 'at', at,\n" \
	"		    'node', node, 'clientId', field, 'userId', user, 'cause', cause)\n" \
	"	end\n" \
	"	redis.call('HDEL', KEYS[2], field)\n" \
	"end\n" \
	"local function sweep(max, node, cause)\n" \
	"	local cursor, n = '0', 0\n" \
	"	repeat\n" \
	"		local got = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 500)\n" \
	"		cursor = got[1]\n" \
	"		for pass = 1, 2 do\n" \
	"			for i = 1, #got[2], 2 do\n" \
	"				local field = got[2][i]\n" \
	"				local is_channel = string.find(field, ' ', 1, true) ~= nil\n" \
	"				if string.sub(field, 1, 1) ~= '#' and is_channel == (pass == 1)\n" \
	"				    and redis.call('HEXISTS', KEYS[2], field) == 1 then\n" \
	"					tell(max, node, cause, field, got[2][i + 1])\n" \
	"					n = n + 1\n" \
	"				end\n" \
	"			end\n" \
	"		end\n" \
	"	until cursor == '0' or n >= 1000\n" \
	"	if cursor ~= '0' then\n" \
	"		redis.call('HSET', KEYS[2], '#run', '')\n" \
	"		return true\n" \
	"	end\n" \
	"	redis.call('DEL', KEYS[2])\n" \
	"	redis.call('SREM', KEYS[3], node)\n" \
	"	return false\n" \
	"end\n"

/*
 * A dead node's clients are lost. KEYS[4]: the registry. ARGV: max length, node, cause, epoch up to which it is dead, or
 * nothing: if the registry does not know it. 1 = there is more.
 */
struct redis_script happenings_sweep_script = { .name = "events_sweep", .text =
	SWEEP
	"local epoch = redis.call('HGET', KEYS[2], '#epoch')\n"
	"if ARGV[4] == '' and redis.call('ZSCORE', KEYS[4], ARGV[2]) then return 0 end\n"
	"if ARGV[4] ~= '' and (not epoch or tonumber(epoch) > tonumber(ARGV[4])) then return 0 end\n"
	"return sweep(ARGV[1], ARGV[2], ARGV[3]) and 1 or 0\n"
};

/*
 * The hash becomes ours. ARGV: max length, node, cause for those whom another process of our id has left, run, epoch, the
 * last seq that was answered. 0 = what it held is still known, 1 = nothing is known of us, 2 = ask again, 3 = what is known
 * is older than that answer: Redis came back with an earlier state.
 */
struct redis_script happenings_place_script = { .name = "events_place", .text =
	SWEEP
	"local was = redis.call('HMGET', KEYS[2], '#run', '#seq')\n"
	"local run, answer = was[1], 0\n"
	"if run and run ~= ARGV[4] and sweep(ARGV[1], ARGV[2], ARGV[3]) then return 2 end\n"
	"if run ~= ARGV[4] then\n"
	"	answer = 1\n"
	"elseif tonumber(was[2] or 0) < tonumber(ARGV[6]) then\n"
	"	answer = 3\n"
	"end\n"
	"if answer ~= 0 then redis.call('HSET', KEYS[2], '#run', ARGV[4], '#seq', ARGV[6]) end\n"
	"redis.call('HSET', KEYS[2], '#epoch', ARGV[5])\n"
	"redis.call('PEXPIRE', KEYS[2], " HAPPENINGS_KEEP_MS ")\n"
	"redis.call('SADD', KEYS[3], ARGV[2])\n"
	"return answer\n"
};

/*
 * One happening. ARGV: run, seq, max length, '+', '-' or '=', field, user, then the entry. Told only if it is news. -1 = the
 * hash is not ours, or one before it is missing.
 */
struct redis_script happenings_tell_script = { .name = "events_tell", .text =
	"local was = redis.call('HMGET', KEYS[2], '#run', '#seq')\n"
	"if was[1] ~= ARGV[1] or not was[2] then return -1 end\n"
	"local seq, last = tonumber(ARGV[2]), tonumber(was[2])\n"
	"if seq <= last then return 0 end\n"
	"if seq > last + 1 then return -1 end\n"
	"local here = redis.call('HEXISTS', KEYS[2], ARGV[5]) == 1\n"
	"local news = ARGV[4] == '=' or here == (ARGV[4] == '-')\n"
	"if news then redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 7)) end\n"
	"if ARGV[4] == '+' then redis.call('HSET', KEYS[2], ARGV[5], ARGV[6]) end\n"
	"if ARGV[4] == '-' then redis.call('HDEL', KEYS[2], ARGV[5]) end\n"
	"redis.call('HSET', KEYS[2], '#seq', ARGV[2])\n"
	"redis.call('PEXPIRE', KEYS[2], " HAPPENINGS_KEEP_MS ")\n"
	"return news and 1 or 0\n"
};

/*
 * Nodes that nobody will sweep any more: who was to do it has died, too. Reads only. KEYS: the set of nodes, the registry.
 * A list of nodes.
 */
struct redis_script happenings_orphans_script = { .name = "events_orphans", .text =
	"local orphans = {}\n"
	"for _, node in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
	"	if not redis.call('ZSCORE', KEYS[2], node) then orphans[#orphans + 1] = node end\n"
	"end\n"
	"return orphans\n"
};
