-- unbind.lua: step 0 of a recovery. From here on nobody decides in this shard until it is bound again.
--
-- KEYS  1 head
-- ARGV  1 term of the steward's lease
-- REPLY {'ok', now_ms, epoch or '0', incarnation of this server, ends}, {'lease', now_ms}, {'replica', now_ms}
-- include fence.lua

local now = store_time_ms()
local here = incarnation()
if not here then return {'replica', whole(now)} end
if lease_lost(KEYS[1], ARGV[1]) then return {'lease', whole(now)} end
redis.call('HSET', KEYS[1], 'incarnation', '', 'lease', ARGV[1])
local seen = redis.call('HMGET', KEYS[1], 'epoch', 'ends')
return {'ok', whole(now), seen[1] or '0', here, seen[2] or ''}
