/*
 * Lua for Redis 6.2 and later. Redis' own clock is the only one: nodes may disagree about the time.
 */
#include "store/store_scripts.h"

/*
 * What it guarantees:
 * - One order: the id is given, and the message published, in the same step; its predecessor's id goes with it, so
 *   that whoever missed that one knows.
 * - The payload's bytes are those that came: nothing is parsed, only put together.
 * - A refusal writes nothing, and nothing but reads stands before XADD: so XADD is where Redis says that it is out of
 *   memory, or that the key holds something else, and everything behind it succeeds.
 * - Rates: the count-th newest of the window tells whether there is room. Times in the future (Redis' clock was set
 *   back) count for nothing. A member is the id of its message.
 * - The last entry's id is the cheap way to the last id; it takes XINFO when no entry is left.
 * - Times are cut at 30,000 years, as PEXPIRE would refuse longer ones when all is done.
 * - Ids that do not fit a UUID (a clock far in the future, an id made by hand) are refused before, not after.
 * - A stream ends a minute after its last message went over age, lest a topic's position be forgotten sooner than
 *   those who wait there can notice that it is quiet.
 */
static const char append_text[] =
	"local time = redis.call('TIME')\n"
	"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
	"local age = math.min(tonumber(ARGV[2]), 1e15)\n"
	"local count, period = tonumber(ARGV[7]), math.min(tonumber(ARGV[8]), 1e15)\n"
	"local function ms(n) return string.format('%.0f', n) end\n"
	"if KEYS[2] then\n"
	"	local nth = redis.call('ZREVRANGE', KEYS[2], count - 1, count - 1, 'WITHSCORES')\n"
	"	local free = nth[2] and tonumber(nth[2]) + period - now or 0\n"
	"	if free > 0 and free <= period then return free end\n"
	"end\n"
	"local last = '0-0'\n"
	"local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]\n"
	"if newest then\n"
	"	last = newest[1]\n"
	"elseif redis.call('EXISTS', KEYS[1]) == 1 then\n"
	"	local info = redis.call('XINFO', 'STREAM', KEYS[1])\n"
	"	for i = 1, #info, 2 do\n"
	"		if info[i] == 'last-generated-id' then last = info[i + 1] end\n"
	"	end\n"
	"end\n"
	"if #last > 16 then\n"
	"	local at, seq = string.match(last, '(%d+)-(%d+)')\n"
	"	at, seq = tonumber(at), tonumber(seq)\n"
	"	if at > 281474976710655 or (at >= now and seq >= 4294967295) then\n"
	"		return redis.error_reply('ERR the stream is at ' .. last .. ': no id behind it fits a UUID')\n"
	"	end\n"
	"end\n"
	"local id = redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '*', unpack(ARGV, 9))\n"
	"if age > 0 then\n"
	"	redis.call('XTRIM', KEYS[1], 'MINID', '=', ms(math.max(now - age, 0)))\n"
	"	redis.call('PEXPIRE', KEYS[1], ms(age + 60000))\n"
	"else\n"
	"	redis.call('PERSIST', KEYS[1])\n"
	"end\n"
	"if KEYS[2] then\n"
	"	redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms(now - period))\n"
	"	redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. ms(now), '+inf')\n"
	"	redis.call('ZADD', KEYS[2], ms(now), id)\n"
	"	redis.call('PEXPIRE', KEYS[2], ms(period))\n"
	"end\n"
	"redis.call('PUBLISH', ARGV[3], ARGV[4] .. id .. ARGV[5] .. last .. ARGV[6] .. ARGV[12] .. '}')\n"
	"return id\n";

struct redis_script store_append_script = { .name = "append", .text = append_text };

/*
 * What it guarantees: a message over age is neither shown nor found, though it may not be trimmed yet. The tip is
 * the last id ever given, also where nothing is left. An entry without a tail has tail 0.
 */
static const char read_text[] =
	"local command, from, count, age, tail = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]\n"
	"local floor = 0\n"
	"if age > 0 then\n"
	"	local time = redis.call('TIME')\n"
	"	floor = math.max(time[1] * 1000 + math.floor(time[2] / 1000) - age, 0)\n"
	"end\n"
	"local oldest = string.format('%.0f-0', floor)\n"
	"local from_ms = tonumber(string.match(from, '^%d+'))\n"
	"local page\n"
	"if command == 'XRANGE' then\n"
	"	if from ~= '0-0' and from_ms >= floor then oldest = '(' .. from end\n"
	"	page = redis.call('XRANGE', KEYS[1], oldest, '+', 'COUNT', count)\n"
	"else\n"
	"	local newest = from == '0-0' and '+' or '(' .. from\n"
	"	page = redis.call('XREVRANGE', KEYS[1], newest, oldest, 'COUNT', count)\n"
	"end\n"
	"local found = 0\n"
	"if tail ~= '' and from_ms >= floor then\n"
	"	local entry = redis.call('XRANGE', KEYS[1], from, from)[1]\n"
	"	local its = '0'\n"
	"	for i = 1, entry and #entry[2] or 0, 2 do\n"
	"		if entry[2][i] == 'tail' then its = entry[2][i + 1] end\n"
	"	end\n"
	"	if entry and its == tail then found = 1 end\n"
	"end\n"
	"local tip = '0-0'\n"
	"if redis.call('EXISTS', KEYS[1]) == 1 then\n"
	"	local info = redis.call('XINFO', 'STREAM', KEYS[1])\n"
	"	for i = 1, #info, 2 do\n"
	"		if info[i] == 'last-generated-id' then tip = info[i + 1] end\n"
	"	end\n"
	"end\n"
	"return { found, tip, page }\n";

struct redis_script store_read_script = { .name = "read", .text = read_text };
