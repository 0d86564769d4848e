-- load.lua: puts a chunk into a hash of an epoch that is not live yet.
--
-- KEYS  1 head  2 the hash (meta, left or holders of the new epoch)
-- ARGV  1 term of the steward's lease  2 epoch  then field, value, … (at most 7,000 values)
-- REPLY {'ok', now_ms, fields in the hash}, {'lease', now_ms}, {'live', now_ms}: that epoch is not above the live one
--       {'gone', now_ms}  the campaign was taken out of the hot store since it was unbound for this: what was put now
--                         would stay for ever
-- include fence.lua

local now = store_time_ms()
if lease_lost(KEYS[1], ARGV[1]) then return {'lease', whole(now)} end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone', whole(now)} end
if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') then return {'live', whole(now)} end
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
return {'ok', whole(now), whole(redis.call('HLEN', KEYS[2]))}
