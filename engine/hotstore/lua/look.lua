-- look.lua: what these claimants hold. Answers only where "nothing" would be the truth.
--
-- KEYS  1 head  2 holders  3 meta
-- ARGV  1 epoch, then the claimants (at most 512)
-- REPLY {'ok', now_ms, {record or false, …}, base of the records}, {'fenced', …}, {'epoch', …}
-- include fence.lua

local now = store_time_ms()
local stop = fence(KEYS[1], ARGV[1], now)
if stop then return stop end
if redis.call('EXISTS', KEYS[2], KEYS[3]) ~= 2 then
  return {'fenced', whole(now), 'keys of the shard are missing'}
end
return {'ok', whole(now), redis.call('HMGET', KEYS[2], unpack(ARGV, 2)), redis.call('HGET', KEYS[3], 'base') or ARGV[1]}
