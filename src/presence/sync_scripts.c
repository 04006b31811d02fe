/*
 * Lua texts. Each touches the keys of one topic alone, and its mention in the set of a node's topics: hash and mention
 * come and go in one step, so that each hash is found by who cleans up behind its node, whatever Redis has lost.
 */
#include "presence/sync_scripts.h"

/*
 * KEYS: our hash of the topic, the topic's set of nodes, our set of topics. ARGV: channel, delta's text, node,
 * topic, epoch, from, to, ms to live, "1" if nothing is left, number of words to set, those (field, value, …),
 * then the fields to delete.
 *
 * Hash and delta never disagree: either both are there, or neither. A delta is written only on top of the
 * very version that it starts from ({"again", what is there}: the caller writes the whole), a whole in place
 * of anything but a later epoch's ("newer": our place is another's by now). An epoch in the future is no
 * node's, and does not count.
 */
struct redis_script presence_write_script = {
	.name = "presence write",
	.text =
	"local hash, set, topics = KEYS[1], KEYS[2], KEYS[3]\n"
	"local node, topic, epoch, from, to, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]\n"
	"local at = redis.pcall('HMGET', hash, '@epoch', '@version')\n"
	"if at.err then at = {} end\n"
	"local theirs = tonumber(at[1] or 0) or 0\n"
	"if theirs > tonumber(epoch) then\n"
	"	local now = redis.call('TIME')\n"
	"	if theirs <= now[1] * 1000 + now[2] / 1000 then return 'newer' end\n"
	"end\n"
	"if from == '0' then\n"
	"	redis.call('DEL', hash)\n"
	"elseif at[1] ~= epoch or at[2] ~= from then\n"
	"	return { 'again', at[1] == epoch and at[2] or '0' }\n"
	"end\n"
	"if ARGV[9] == '1' then\n"
	"	redis.call('DEL', hash)\n"
	"	redis.call('SREM', set, node)\n"
	"	redis.pcall('SREM', topics, topic)\n"
	"else\n"
	/* In slices, as the number of results that unpack() may give is bounded. */
	"	local function each(command, first, last)\n"
	"		for i = first, last, 1000 do\n"
	"			redis.call(command, hash, unpack(ARGV, i, math.min(i + 999, last)))\n"
	"		end\n"
	"	end\n"
	"	local sets = tonumber(ARGV[10])\n"
	"	each('HSET', 11, 10 + sets)\n"
	"	each('HDEL', 11 + sets, #ARGV)\n"
	"	redis.call('HSET', hash, '@epoch', epoch, '@version', to)\n"
	"	redis.call('PEXPIRE', hash, ttl)\n"
	"	redis.call('SADD', set, node)\n"
	"	redis.call('PEXPIRE', set, ttl)\n"
	"	redis.pcall('SADD', topics, topic)\n"
	"	redis.call('PEXPIRE', topics, ttl)\n"
	"end\n"
	"redis.call('PUBLISH', ARGV[1], ARGV[2])\n"
	"return 'ok'\n",
};

/*
 * KEYS: the topic's set. Answers node, {field, value, …}, node, …: all replicas as of one moment. A node in
 * the set without a hash is taken out of it: its hash has expired, and if it lives, it writes both again.
 */
struct redis_script presence_read_script = {
	.name = "presence read",
	.text =
	"local out = {}\n"
	"for _, node in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
	"	local fields = redis.pcall('HGETALL', KEYS[1] .. ':' .. node)\n"
	"	if not fields.err and #fields == 0 then\n"
	"		redis.call('SREM', KEYS[1], node)\n"
	"	elseif not fields.err then\n"
	"		out[#out + 1] = node\n"
	"		out[#out + 1] = fields\n"
	"	end\n"
	"end\n"
	"return out\n",
};

/*
 * KEYS: our hash, the topic's set, our set of topics. ARGV: node, topic, ms to live. Answers {epoch, version} of
 * what is there; if it is there, it and its mentions in the sets live on.
 */
struct redis_script presence_refresh_script = {
	.name = "presence refresh",
	.text =
	"local at = redis.pcall('HMGET', KEYS[1], '@epoch', '@version')\n"
	"if at.err then return { false, false } end\n"
	"if redis.call('PEXPIRE', KEYS[1], ARGV[3]) == 1 then\n"
	"	redis.call('SADD', KEYS[2], ARGV[1])\n"
	"	redis.call('PEXPIRE', KEYS[2], ARGV[3])\n"
	"	redis.pcall('SADD', KEYS[3], ARGV[2])\n"
	"	redis.call('PEXPIRE', KEYS[3], ARGV[3])\n"
	"end\n"
	"return at\n",
};

/*
 * KEYS: a dead node's hash, the topic's set, the node's set of topics. ARGV: node, topic, its epoch. "ok": nothing
 * of that epoch or an earlier one is left there; "newer": the node is back, and what is there is not touched.
 */
struct redis_script presence_clean_script = {
	.name = "presence clean",
	.text =
	"local at = redis.pcall('HGET', KEYS[1], '@epoch')\n"
	"local theirs = type(at) == 'string' and tonumber(at) or 0\n"
	"if theirs > tonumber(ARGV[3]) then return 'newer' end\n"
	"redis.call('DEL', KEYS[1])\n"
	"redis.call('SREM', KEYS[2], ARGV[1])\n"
	"redis.call('SREM', KEYS[3], ARGV[2])\n"
	"return 'ok'\n",
};
