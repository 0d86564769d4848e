-- claim.lua: one claim of a baseline. One per user, exact stock, first come; what was given is written to a stream.
--
-- KEYS  1 holders (hash: user -> code)  2 log (stream)
-- ARGV  1 user  2 code to issue  3 stock
-- REPLY a status line: "new <number>", "held <code>" or "sold_out"
--
-- The holders are the count: a counter of its own would be one more write, and writes are most of what this costs. Who
-- comes too late costs two reads and no write, so that a storm of losers makes no fsync.

local given = redis.call('HLEN', KEYS[1])
if given >= tonumber(ARGV[3]) then
  local code = redis.call('HGET', KEYS[1], ARGV[1])
  return {ok = code and 'held ' .. code or 'sold_out'}
end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return {ok = 'held ' .. redis.call('HGET', KEYS[1], ARGV[1])}
end
redis.call('XADD', KEYS[2], '*', ARGV[1], ARGV[2])
return {ok = 'new ' .. given + 1}
