-- drop.lua: frees keys of a shard that nobody needs any more; a steward that slept too long frees nothing.
-- The term alone does not tell: where the ledger went back in time, two stewards may have been given the same one.
-- They are freed in the background: a hash of a million holders takes a while.
--
-- KEYS  1 head  2 … the keys to free; the head may be among them
-- ARGV  1 term of the steward's lease  2 epoch of the head as the steward saw it ('0': none)
-- REPLY {'ok', now_ms}, {'lease', now_ms}, {'live', now_ms}: another epoch was bound since
-- include fence.lua

local now = store_time_ms()
if lease_lost(KEYS[1], ARGV[1]) then return {'lease', whole(now)} end
if (redis.call('HGET', KEYS[1], 'epoch') or '0') ~= ARGV[2] then return {'live', whole(now)} end
redis.call('UNLINK', unpack(KEYS, 2))
return {'ok', whole(now)}
