-- rebind.lua: a shard that lost nothing goes on under a new epoch, as it is. Its keys take the new epoch's
-- names (free, where no key has that name) and numbers begin again at 1.
--
-- KEYS  1 head  2 to 4 meta, left, holders of the old epoch  5 to 7 the same of the new one
-- ARGV  1 term of the steward's lease  2 new epoch  3 incarnation the steward saw  4 old epoch  5 its last number
--       6 where the epochs before the new one ended (hotstore/load.py, Ends)
-- REPLY {'ok', now_ms}, {'lease', now_ms}, {'changed', now_ms}
-- include fence.lua

local head, term = KEYS[1], ARGV[1]
local now = store_time_ms()
if lease_lost(head, term) then return {'lease', whole(now)} end
if incarnation() ~= ARGV[3] or redis.call('HGET', head, 'epoch') ~= ARGV[4]
    or redis.call('HGET', KEYS[2], 'last') ~= ARGV[5] or redis.call('EXISTS', KEYS[3], KEYS[4]) ~= 2
    or redis.call('EXISTS', KEYS[5], KEYS[6], KEYS[7]) ~= 0 then
  return {'changed', whole(now)}
end
for place = 2, 4 do redis.call('RENAME', KEYS[place], KEYS[place + 3]) end
redis.call('HSET', KEYS[5], 'last', '0')
redis.call('HSET', head, 'epoch', ARGV[2], 'incarnation', ARGV[3], 'lease', term, 'settled', '0', 'ends', ARGV[6])
return {'ok', whole(now)}
