-- bind.lua: makes a loaded epoch the live one, on the server that the steward has looked at.
--
-- KEYS  1 head  2 meta  3 left  4 holders of the new epoch  5 to 7 the same of the one that was live: freed with the
--       flip, so that a steward that dies behind it leaves nothing that nobody would come back for
-- ARGV  1 term of the steward's lease  2 epoch  3 incarnation the steward saw  4 claimants that were loaded
--       5 where the epochs before it ended (hotstore/load.py, Ends)
-- REPLY {'ok', now_ms}, {'lease', now_ms}, {'live', now_ms}
--       {'changed', now_ms}   another server answers, or keys are missing: begin again
-- include fence.lua

local head, term, epoch = KEYS[1], ARGV[1], ARGV[2]
local now = store_time_ms()
if lease_lost(head, term) then return {'lease', whole(now)} end
if tonumber(epoch) <= tonumber(redis.call('HGET', head, 'epoch') or '0') then return {'live', whole(now)} end
if incarnation() ~= ARGV[3] or redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) ~= 3
    or redis.call('HLEN', KEYS[4]) ~= tonumber(ARGV[4]) + 1 then  -- one more: the marker
  return {'changed', whole(now)}
end
redis.call('HSET', head, 'epoch', epoch, 'incarnation', ARGV[3], 'lease', term, 'settled', '0', 'ends', ARGV[5])
redis.call('UNLINK', KEYS[5], KEYS[6], KEYS[7])
return {'ok', whole(now)}
