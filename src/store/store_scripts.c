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
 * - The last entry's id is the cheap way to the last id; it takes XINFO when no entry is left. Where the last entry was
 *   deleted by hand, the next message names the one before it, and those who had heard it ask the stream once. A
 *   condition is about the last id itself: XINFO, whatever it costs.
 * - What is removed goes behind its successor, in the same step: so there always is a newest entry that names the last
 *   id, and feeds that have passed the removed one miss nothing. It makes its own room: nothing else is pushed out.
 * - Times are cut at 30,000 years, as PEXPIRE would refuse longer ones when all is done.
 * - Ids that do not fit a UUID (a clock far in the future, an id made by hand) are refused before, not after.
 * - A stream ends a minute after its last message went over age, lest a topic's position be forgotten sooner than
 *   those who wait there can notice that it is quiet. The message that is appended is the newest: whoever is over age
 *   now is trimmed, the one that may live longer until now with them.
 */
static const char append_text[] =
	"local time = redis.call('TIME')\n"
	"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
	"local age = math.min(tonumber(ARGV[2]), 1e15)\n"
	"local lives = math.max(age, math.min(tonumber(ARGV[9]), 1e15))\n"
	"local count, period = tonumber(ARGV[7]), math.min(tonumber(ARGV[8]), 1e15)\n"
	"local function ms(n) return string.format('%.0f', n) end\n"
	"if KEYS[2] then\n"
	"	local nth = redis.call('ZREVRANGE', KEYS[2], count - 1, count - 1, 'WITHSCORES')\n"
	"	local free = nth[2] and tonumber(nth[2]) + period - now or 0\n"
	"	if free > 0 and free <= period then return free end\n"
	"end\n"
	"local last = '0-0'\n"
	"local after = ARGV[10]\n"
	"local newest = after == '' and redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]\n"
	"if newest then\n"
	"	last = newest[1]\n"
	"elseif redis.call('EXISTS', KEYS[1]) == 1 then\n"
	"	local info = redis.call('XINFO', 'STREAM', KEYS[1])\n"
	"	for i = 1, #info, 2 do\n"
	"		if info[i] == 'last-generated-id' then last = info[i + 1] end\n"
	"	end\n"
	"end\n"
	"if after ~= '' and after ~= last then return -1 end\n"
	"local gone, most = ARGV[11], tonumber(ARGV[1])\n"
	"if gone ~= '' then\n"
	"	local entry, its = redis.call('XRANGE', KEYS[1], gone, gone)[1], '0'\n"
	"	for i = 1, entry and #entry[2] or 0, 2 do\n"
	"		local name, value = entry[2][i], entry[2][i + 1]\n"
	"		if name == 'tail' then its = value end\n"
	"		if name == 'event' and value == ARGV[14] then return -2 end\n"
	"	end\n"
	"	if not entry or its ~= ARGV[12] then return -2 end\n"
	"	if age > 0 and tonumber(string.match(gone, '%d+')) < now - lives then return -2 end\n"
	"	most = most + 1\n"
	"end\n"
	"if #last > 16 then\n"
	"	local at, seq = string.match(last, '(%d+)-(%d+)')\n"
	"	at, seq = tonumber(at), tonumber(seq)\n"
	"	if at > 281474976710655 or (at >= now and seq >= 4294967295) then\n"
	"		return redis.error_reply('ERR the stream is at ' .. last .. ': no id behind it fits a UUID')\n"
	"	end\n"
	"end\n"
	"local id = redis.call('XADD', KEYS[1], 'MAXLEN', '=', ms(most), '*', unpack(ARGV, 13))\n"
	"if gone ~= '' then redis.call('XDEL', KEYS[1], gone) end\n"
	"if age > 0 then\n"
	"	redis.call('XTRIM', KEYS[1], 'MINID', '=', ms(math.max(now - age, 0)))\n"
	"	redis.call('PEXPIRE', KEYS[1], ms(lives + 60000))\n"
	"else\n"
	"	redis.call('PERSIST', KEYS[1])\n"
	"end\n"
	"if KEYS[2] then\n"
	"	redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms(now - period))\n"
	"	redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. ms(now), '+inf')\n"
	"	redis.call('ZADD', KEYS[2], ms(now), id)\n"
	"	redis.call('PEXPIRE', KEYS[2], ms(period))\n"
	"end\n"
	"redis.call('PUBLISH', ARGV[3], ARGV[4] .. id .. ARGV[5] .. last .. ARGV[6] .. ARGV[16] .. '}')\n"
	"return id\n";

struct redis_script store_append_script = { .name = "append", .text = append_text };

/*
 * Where that begins which is kept: the id `floor`, floor_ms and floor_seq. That is the age, or the newest message where it
 * is over age but may live longer. And is_kept(): whether the message at an id is, which is at ms and seq, and has that
 * tail; one without a tail has tail 0. For scripts that have `stream`, `age` and `lives`.
 */
#define KEPT \
	"local time = redis.call('TIME')\n" \
	"local now = time[1] * 1000 + math.floor(time[2] / 1000)\n" \
	"local floor_ms, floor_seq = age > 0 and math.max(now - age, 0) or 0, 0\n" \
	"local floor = string.format('%.0f-0', floor_ms)\n" \
	"local function place(id)\n" \
	"	local ms, seq = string.match(id, '^(%d+)-(%d+)$')\n" \
	"	return tonumber(ms), tonumber(seq)\n" \
	"end\n" \
	"local function is_behind_floor(ms, seq)\n" \
	"	return ms > floor_ms or (ms == floor_ms and seq >= floor_seq)\n" \
	"end\n" \
	"if age > 0 and lives > age then\n" \
	"	local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]\n" \
	"	local ms, seq = place(newest and newest[1] or '0-0')\n" \
	"	if newest and ms < floor_ms and ms >= now - lives then floor, floor_ms, floor_seq = newest[1], ms, seq end\n" \
	"end\n" \
	"local function is_kept(id, ms, seq, tail)\n" \
	"	if not is_behind_floor(ms, seq) then return false end\n" \
	"	local entry = redis.call('XRANGE', stream, id, id)[1]\n" \
	"	local its = '0'\n" \
	"	for i = 1, entry and #entry[2] or 0, 2 do\n" \
	"		if entry[2][i] == 'tail' then its = entry[2][i + 1] end\n" \
	"	end\n" \
	"	return entry and its == tail\n" \
	"end\n"

/*
 * What it guarantees: a message over age is neither shown nor found, though it may not be trimmed yet. The tip is
 * the last id ever given, also where nothing is left.
 *
 * Redis does nothing else meanwhile: so it reads in steps, and no more of large messages than there is room for, but for
 * the rest of one step. How large they are is known when they are read: a step is as long as what was seen so far lets
 * expect, and at most twice as long as the last one, since who posts may want to be read in vain.
 */
static const char read_text[] =
	"local stream = KEYS[1]\n"
	"local command, from, count, age, tail, lives = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])\n"
	KEPT
	"local oldest = floor\n"
	"local ms, seq = place(from)\n"
	"local begin, finish = oldest, '+'\n"
	"if command == 'XREVRANGE' then\n"
	"	begin, finish = from == '0-0' and '+' or '(' .. from, oldest\n"
	"elseif from ~= '0-0' and is_behind_floor(ms, seq) then\n"
	"	begin = '(' .. from\n"
	"end\n"
	"local page, n, bytes, room, cut, step = {}, 0, 0, tonumber(ARGV[8]), 0, 16\n"
	"while cut == 0 and n < count do\n"
	"	step = math.min(step, count - n)\n"
	"	local part = redis.call(command, stream, begin, finish, 'COUNT', step)\n"
	"	for at = 1, #part do\n"
	"		local fields = part[at][2]\n"
	"		for i = 2, #fields, 2 do\n"
	"			local name = fields[i - 1]\n"
	"			if name ~= 'tail' and name ~= 'node' then bytes = bytes + #fields[i] end\n"
	"		end\n"
	"		if n > 0 and bytes > room then\n"
	"			cut = 1\n"
	"			break\n"
	"		end\n"
	"		n = n + 1\n"
	"		page[n] = part[at]\n"
	"	end\n"
	"	if #part < step then break end\n"
	"	begin = '(' .. page[n][1]\n"
	"	step = math.min(2 * step, math.ceil(n * (room - bytes) / math.max(bytes, 1)) + 1)\n"
	"end\n"
	"local found = tail ~= '' and is_kept(from, ms, seq, tail) and 1 or 0\n"
	"local tip = '0-0'\n"
	"if redis.call('EXISTS', stream) == 1 then\n"
	"	local info = redis.call('XINFO', 'STREAM', stream)\n"
	"	for i = 1, #info, 2 do\n"
	"		if info[i] == 'last-generated-id' then tip = info[i + 1] end\n"
	"	end\n"
	"end\n"
	"return { found, tip, page, redis.call('PTTL', stream), KEYS[2] and redis.call('HGET', KEYS[2], ARGV[7]) or false, cut }\n";

struct redis_script store_read_script = { .name = "read", .text = read_text };

/*
 * What it guarantees: a refusal writes nothing, and HSET is the first to write. Ids are compared as numbers, by ms and by
 * seq (with two bits of the tail), since the order of texts is that of the server's locale; what stands there by hand,
 * and is no id, stands before all.
 */
static const char mark_text[] =
	"local marks, stream = KEYS[1], KEYS[2]\n"
	"local user, id, at, tail, age, lives = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])\n"
	KEPT
	"local ms, seq = place(at)\n"
	"if not is_kept(at, ms, seq, tail) then return 0 end\n"
	"local function when(text)\n"
	"	local a, b, c, d, e = string.match(text, '^(%x+)-(%x+)-7(%x%x%x)-(%x%x%x%x)-(%x%x)%x+$')\n"
	"	if not a or #text ~= 36 then return 0, 0 end\n"
	"	return tonumber(a .. b, 16), tonumber(c .. d .. e, 16)\n"
	"end\n"
	"local old_ms, old_seq = when(redis.call('HGET', marks, user) or '')\n"
	"local new_ms, new_seq = when(id)\n"
	"if new_ms > old_ms or (new_ms == old_ms and new_seq > old_seq) then redis.call('HSET', marks, user, id) end\n"
	"if age > 0 then\n"
	"	local ttl = math.min(math.max(age, lives), 1e15) + 60000\n"
	"	redis.call('PEXPIRE', marks, string.format('%.0f', ttl))\n"
	"else\n"
	"	redis.call('PERSIST', marks)\n"
	"end\n"
	"return 1\n";

struct redis_script store_mark_script = { .name = "mark", .text = mark_text };

/* What is in the set already needs no room. */
static const char enlist_text[] =
	"local list, name, listed, max = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])\n"
	"if listed == '0' then\n"
	"	redis.call('SREM', list, name)\n"
	"	return 1\n"
	"end\n"
	"if redis.call('SCARD', list) >= max and redis.call('SISMEMBER', list, name) == 0 then return 0 end\n"
	"redis.call('SADD', list, name)\n"
	"return 1\n";

struct redis_script store_enlist_script = { .name = "enlist", .text = enlist_text };
