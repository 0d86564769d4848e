-- unbind.lua: step 0 of a recovery. From here on nobody decides in this shard until it is bound again.
--
-- KEYS  1 head
-- ARGV  1 term of the steward's lease
-- REPLY {'ok', now_ms, epoch or '0', incarnation of this server}, {'lease', now_ms}, {'replica', now_ms}
-- include fence.lua

local now = store_time_ms()
local here = incarnation()
if not here then return {'replica', whole(now)} end
if lease_lost(KEYS[1], ARGV[1]) then return {'lease', whole(now)} end
redis.call('HSET', KEYS[1], 'incarnation', '', 'lease', ARGV[1])
return {'ok', whole(now), redis.call('HGET', KEYS[1], 'epoch') or '0', here}
