-- drop.lua: frees keys of a shard that nobody needs any more; a steward that slept too long frees nothing.
-- They are freed in the background: a hash of a million holders takes a while.
--
-- KEYS  1 head  2 … the keys to free; the head may be among them
-- ARGV  1 term of the steward's lease
-- REPLY {'ok', now_ms}, {'lease', now_ms}
-- include fence.lua

local now = store_time_ms()
if lease_lost(KEYS[1], ARGV[1]) then return {'lease', whole(now)} end
redis.call('UNLINK', unpack(KEYS, 2))
return {'ok', whole(now)}
