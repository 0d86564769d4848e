-- settled.lua: tells the shard how far its log is in the ledger. Only ever raises the number.
-- The claim script measures the log's lag by it; nothing is promised on its strength.
--
-- KEYS  1 head
-- ARGV  1 epoch  2 number of the last settled decision
-- REPLY {'ok'}
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1]
    and tonumber(redis.call('HGET', KEYS[1], 'settled') or '0') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'settled', ARGV[2])
end
return {'ok'}
