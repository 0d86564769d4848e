-- voided.lua: what a shard remembers of claims that were taken back, as the ledger has them.
--
-- KEYS  1 head  2 voided
-- ARGV  1 term of the steward's lease  2 '1': in the place of what is there  then field, value, … (at most 7,000 values)
-- REPLY {'ok', now_ms}, {'lease', now_ms}, {'gone', now_ms}: as in load.lua
-- include fence.lua

local now = store_time_ms()
if lease_lost(KEYS[1], ARGV[1]) then return {'lease', whole(now)} end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone', whole(now)} end
if ARGV[2] == '1' then redis.call('UNLINK', KEYS[2]) end
if #ARGV > 2 then redis.call('HSET', KEYS[2], unpack(ARGV, 3)) end
return {'ok', whole(now)}
