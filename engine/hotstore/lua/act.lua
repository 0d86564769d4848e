-- act.lua: puts one absolute state in place, with a number and a line in the log.
--
-- An act carries what shall be, never a difference, so doing it twice is doing it once. Its number must
-- be above the last act's: of two operators who looked at the same state, one is told.
--
-- KEYS  1 head  2 log  3 meta  4 left
-- ARGV  1 epoch       the caller believes to be live
--       2 term        of the steward's lease; '' for an operator's act, which needs none
--       3 number      one above the last act's
--       4 id          of this act: the same id again is answered like the first time, also when others came since
--       5 not_before  store time (ms) before which it is refused; 0: at once
--       6 not_after   store time (ms) from which on it is refused, and once the wave was seen open; 0: never
--       7 line        ActLine as JSON, for the log
--       8 wave        number; '' for an act on the campaign
--       9 state       WaveState as JSON; on the campaign: Rules as JSON
--      10 catalogue   Catalogue as JSON, for the act that puts a revision; else ''
-- REPLY {'ok', now_ms, sequence}   done
--       {'done', now_ms}           was done before, under this id
--       {'older', now_ms, number}  refused: that act was last
--       {'early', now_ms}          refused: not_before is still to come
--       {'late', now_ms}           refused: not_after has come, or the clock stepped back behind it
--       {'below', now_ms, offer, claimed}  refused: that many units are claimed already
--       {'lease', now_ms}          refused: a later steward was here
--       {'fenced', …}, {'epoch', …}  as in claim.lua
-- include fence.lua

local IDS_MAX = 16  -- acts that may come between a lost reply and its repetition; far more than ever do
local head, log, meta, left_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, term, number, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local not_before, not_after = tonumber(ARGV[5]), tonumber(ARGV[6])
local line, wave_no, state, catalogue = ARGV[7], ARGV[8], ARGV[9], ARGV[10]

local now = store_time_ms()
local stop = fence(head, epoch, now)
if stop then return stop end
if redis.call('EXISTS', meta, left_key) ~= 2 then
  return {'fenced', whole(now), 'keys of the shard are missing'}
end
if term ~= '' and lease_lost(head, term) then return {'lease', whole(now)} end

local known = redis.call('HMGET', meta, 'last', 'act', 'act_id')
-- The ids of the last acts, not only of the last one: where a reply was lost and somebody else's act came before
-- the repetition, this act would be worked out anew and undo the other's.
local ids, ids_kept = {id}, 1
for done_id in string.gmatch(known[3], '%S+') do
  if done_id == id then return {'done', whole(now)} end
  if ids_kept < IDS_MAX then
    ids_kept = ids_kept + 1
    ids[ids_kept] = done_id
  end
end
if tonumber(number) <= tonumber(known[2]) then return {'older', whole(now), known[2]} end
if now < not_before then return {'early', whole(now)} end
if not_after > 0 and (now >= not_after or redis.call('HEXISTS', meta, 'latch:' .. wave_no) == 1) then
  return {'late', whole(now)}
end

-- Stock moves by the difference of the totals, in the same step in which nobody can claim. An offer that is no
-- longer in the wave leaves no units behind: they would be there twice once it comes back.
local new_left, dropped_left, sold_out, not_sold_out = {}, {}, {}, {}
if wave_no ~= '' then
  local before = redis.call('HGET', meta, 'wave:' .. wave_no)
  local offers_before, offers = before and cjson.decode(before).offers or {}, cjson.decode(state).offers
  for offer_no, offer in pairs(offers) do
    local field = wave_no .. ':' .. offer_no
    local total_before = offers_before[offer_no] and offers_before[offer_no].total or 0
    local left_before = tonumber(redis.call('HGET', left_key, field) or '0')
    local left_after = left_before + offer.total - total_before
    if left_after < 0 then return {'below', whole(now), offer_no, whole(total_before - left_before)} end
    new_left[#new_left + 1] = field
    new_left[#new_left + 1] = whole(left_after)
    if left_after > 0 then
      not_sold_out[#not_sold_out + 1] = 'sold_out:' .. field
    elseif left_before > 0 then
      sold_out[#sold_out + 1] = 'sold_out:' .. field
      sold_out[#sold_out + 1] = whole(now)
    end
  end
  for offer_no, offer in pairs(offers_before) do
    if not offers[offer_no] then
      local field = wave_no .. ':' .. offer_no
      local claimed = offer.total - tonumber(redis.call('HGET', left_key, field))
      if claimed > 0 then return {'below', whole(now), offer_no, whole(claimed)} end
      dropped_left[#dropped_left + 1] = field
      not_sold_out[#not_sold_out + 1] = 'sold_out:' .. field
    end
  end
end

local sequence = tonumber(known[1]) + 1
redis.call('XADD', log, epoch .. '-' .. whole(sequence),
  'v', '3', 'first', whole(sequence), 'at', whole(now), 'act', line)
redis.call('HSET', meta, 'last', whole(sequence), 'act', number, 'act_id', table.concat(ids, ' '))
if wave_no ~= '' then
  redis.call('HSET', meta, 'wave:' .. wave_no, state)
  if #new_left > 0 then redis.call('HSET', left_key, unpack(new_left)) end
  if #dropped_left > 0 then redis.call('HDEL', left_key, unpack(dropped_left)) end
  if #sold_out > 0 then redis.call('HSET', meta, unpack(sold_out)) end
  if #not_sold_out > 0 then redis.call('HDEL', meta, unpack(not_sold_out)) end
else
  redis.call('HSET', meta, 'rules', state)
  if catalogue ~= '' then redis.call('HSET', meta, 'catalogue', catalogue) end
end
if term ~= '' then redis.call('HSET', head, 'lease', term) end
return {'ok', whole(now), whole(sequence)}
