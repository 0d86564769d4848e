-- forget.lua: takes a voided claim out of a holder record, so that its claimant may claim again.
--
-- Its unit stays used up, and its line stays as `-`: the claims behind it keep their numbers. What the line said is
-- kept in `voided`, for a ledger that goes back to before it. Decides nothing, and needs no line in the log: the ledger
-- knows of it first, and every load leaves the claim out.
--
-- KEYS  1 head  2 meta  3 holders  4 voided
-- ARGV  1 epoch the caller believes to be live  2 claimant  3 epoch and  4 sequence of the claim  5 its code
--       6 its worth for the cap  7 its line, every number in full
-- REPLY {'ok', now_ms, 1 or 0}   it was there, or was not (any more)
--       {'fenced', …}, {'epoch', …}  as in claim.lua
-- include fence.lua
-- include holders.lua
-- include earlier.lua

local head, meta, holders, voided = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, claimant, given_in, sequence, code, value = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local GIVEN = '^%d+:%d+:%d+:([^:]*):(%w+):%w+:%d+:[^:]*:([^,]*)'

local now = store_time_ms()
local stop = fence(head, epoch, now)
if stop then return stop end
if redis.call('EXISTS', meta, holders) ~= 2 then
  return {'fenced', whole(now), 'keys of the shard are missing'}
end

local base = tonumber(redis.call('HGET', meta, 'base') or epoch)
local epoch_text, sequence_text = epoch_in_line(tonumber(given_in), base), in_36(tonumber(sequence))
local lines, found, kept = {''}, 0, ''
for line in string.gmatch(in_short(redis.call('HGET', holders, claimant) or '\n', base), '[^\n]+') do
  local line_epoch, line_sequence, line_code = string.match(line, GIVEN)
  if line_epoch == epoch_text and line_sequence == sequence_text and line_code == code then
    kept = whole(#lines) .. '\n' .. ARGV[7] .. '\n' .. claimant  -- its place among the lines is nth
    line, found = '-', 1
  end
  lines[#lines + 1] = line
end
if found == 1 then
  redis.call('HSET', voided, given_in .. '-' .. sequence, kept)
  redis.call('HSET', holders, claimant, table.concat(lines, '\n'))
  redis.call('HSETNX', meta, 'base', epoch)
  redis.call('HINCRBY', meta, 'claims', -1)
  redis.call('HINCRBY', meta, 'value', whole(-value))
end
return {'ok', whole(now), found}
