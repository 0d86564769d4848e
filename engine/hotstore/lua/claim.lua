-- claim.lua: decides a batch of claims of one shard, in order.
--
-- KEYS  1 head  2 log  3 meta  4 left  5 holders                      (keys.py; 3 to 5 of the epoch in ARGV 1)
-- ARGV  1 epoch      the caller believes to be live
--       2 batch      MessagePack of {not_after, lag_max, asks, runs, claimants, codes}, at most 512 claims:
--         not_after  store time (ms) past which nothing new is decided; replays still answer
--         lag_max    unsettled decisions past which nothing new is granted; 0: nothing at all is written
--         asks       {wave, request_no, broken rule or '', {offer, …}}: each different one once, offers in order of
--                    choice, every number as a text
--         runs       place of an ask in asks, how many claims one behind the other are of it; and so on
--         claimants  for each claim, whom the limits count
--         codes      for each claim the voucher code to issue, sent again unchanged when a reply was lost; and behind
--                    it ',<account>' where somebody else than the claimant asks
-- REPLY MessagePack of {now_ms, first, last, kinds, runs, units}:
--         kinds      each different answer once, tab-separated:
--           new <offer> <nth> <terms> <claimed_at_ms>    granted; numbers count from first to last in the order of the
--                                                        claims, units within a run from the next of units
--           held <nth> <base> <line of the holder record>       the same claim was granted before
--           already_claimed|limit_reached [<nth> <base> <line>] the line where it belongs to the asking account
--           unknown_wave, unknown_offer, not_eligible <rule>, cancelled <reason>, closed <ms>, not_open <ms>,
--           stopped <reason>, paused <reason>, cap_reached, sold_out <ms>, busy (log too long), late (past not_after)
--         runs       place of an answer in kinds, how many claims one behind the other got it; and so on
--       {'fenced', now_ms, why}                nothing decided: the steward has to look at this server first
--       {'epoch', now_ms, epoch}               nothing decided: another epoch is live
--
-- The log entry is the first write, under an explicit id: XADD refuses an id that is not above the last
-- one before anything else was written, and a Lua error after a write would not be rolled back.
--
-- What is the same for many claims is worked out once: a wave, an ask, an offer within an ask, an answer. And those who
-- hold nothing yet and ask for the same, one behind the other, are granted it in one go (`grant`): in the first second
-- of a drop that is nearly everybody. Why, and what each thing costs: docs/decisions/0018, 0022 and 0034.
-- include fence.lua
-- include holders.lua
-- include brief.lua
-- include held.lua

local MARKER = '\t'  -- a field of every hash of a shard (keys.py): without it the key is missing
local FIELDS_READ_MAX = 4000  -- at once: Lua's unpack ends at 7,999 values; 512 claims may name 16,384 different offers
local CLOCK_STEP_MAX_MS = 60000  -- an opened wave stays open through a clock that steps back by up to this

local epoch = ARGV[1]
local now = store_time_ms()
local stop, settled = fence(KEYS[1], epoch, now)
if stop then return stop end

-- What is read: everything that no claim's outcome changes, at once ----------------------------------------

local not_after, lag_max, asks, runs_of_asks, claimants, codes = unpack(cmsgpack.unpack(ARGV[2]))
local count, meta = #claimants, KEYS[3]
local likely_wave = asks[1][1]  -- most batches are of one wave: it is read with the numbers
local known = redis.call('HMGET', meta, 'last', 'claims', 'value', 'act', 'base',
  'brief:' .. likely_wave, 'latch:' .. likely_wave)
claimants[count + 1] = MARKER
local records = redis.call('HMGET', KEYS[5], unpack(claimants))  -- false: holds nothing

-- Of an offer in a wave: what is left, and what its wave says of it; whoever takes a unit changes it here.
local stock_fields, stocks = {MARKER}, {[MARKER] = {}}
for _, ask in ipairs(asks) do
  for _, offer_no in ipairs(ask[4]) do
    local field = ask[1] .. ':' .. offer_no
    if not stocks[field] then
      stock_fields[#stock_fields + 1] = field
      stocks[field] = {field = field, left = 0, total = false, terms = '', taken = false, sold_out_ms = false}
    end
  end
end
for from = 1, #stock_fields, FIELDS_READ_MAX do
  local till = math.min(from + FIELDS_READ_MAX - 1, #stock_fields)
  for place, left in ipairs(redis.call('HMGET', KEYS[4], unpack(stock_fields, from, till))) do
    stocks[stock_fields[from + place - 1]].left = tonumber(left)  -- nil: unknown offer
  end
end
if not (known[1] and records[count + 1] and stocks[MARKER].left) then
  return {'fenced', whole(now), 'keys of the shard are missing'}
end

local last, claims, value = tonumber(known[1]), tonumber(known[2]), tonumber(known[3])
local base, first = tonumber(known[5] or epoch), last + 1
local lag_room = lag_max - (last - tonumber(settled or '0'))

local place_of, twin_of = {}, {}  -- last place of a claimant so far; place of the same claimant before this one
for place = 1, count do
  local claimant = claimants[place]
  local before = place_of[claimant]
  if before then records[place], twin_of[place] = true, before end  -- true: what it holds once that one is decided
  place_of[claimant] = place
end

-- What is written and answered in the end -------------------------------------------------------------------

local changed_records, changed_meta, log_lines, log_head, log_unit = {}, {}, {}, nil, nil
local kinds, kind_places, runs, units = {}, {}, {}, {}

-- The place of this answer in the reply.
local function answer(text)
  local place = kind_places[text]
  if not place then
    place = #kinds + 1
    kinds[place], kind_places[text] = text, place
  end
  return place
end

local function change_meta(field, text)
  changed_meta[#changed_meta + 1] = field
  changed_meta[#changed_meta + 1] = text
end

local function answered(kind, times)
  runs[#runs + 1] = kind
  runs[#runs + 1] = times
end

-- Waves and asks --------------------------------------------------------------------------------------------

local waves, rules = {}, {limits = ''}  -- rules: of the campaign, as each wave has them beside it

-- A wave with the campaign's rules (brief.lua); nil where there is no such wave. Both are JSON, which is read slowly:
-- what was made of them is kept with the number of the last act, and holds until another act is the last.
local function wave_of(no)
  local wave = waves[no]
  if wave ~= nil then return wave end
  local brief, latch = known[6], known[7]
  if no ~= likely_wave then brief, latch = unpack(redis.call('HMGET', meta, 'brief:' .. no, 'latch:' .. no)) end
  wave = brief and of_brief(brief)
  if not wave or wave.act ~= known[4] then
    brief = in_brief(known[4], unpack(redis.call('HMGET', meta, 'wave:' .. no, 'rules')))
    wave = brief and of_brief(brief)
    -- lag_max 0: asked again because Redis takes no writes; this one would cost replays their answers
    if wave and lag_max > 0 then change_meta('brief:' .. no, brief) end
  end
  if wave then
    local opened = now >= wave.opens_ms
    if opened and not latch and lag_max > 0 then change_meta('latch:' .. no, '1') end
    wave.is_open = opened or (latch and now >= wave.opens_ms - CLOCK_STEP_MAX_MS)
    rules = wave
  end
  waves[no] = wave
  return wave
end

-- Why nobody can be granted this ask, whatever they hold; else nil, and its options are known.
local function refusal_of(ask)
  local wave = wave_of(ask.wave_no)
  if not wave then return 'unknown_wave' end
  local claimed_at = math.max(now, wave.opens_ms)
  for place, offer_no in ipairs(ask.offers) do
    local stock = stocks[ask.wave_no .. ':' .. offer_no]
    if not stock.total then
      local total, terms, worth = string.match(wave.offers, '\n' .. offer_no .. ':(%d+):(%d+):(%d+)')
      if not total then return 'unknown_offer' end
      stock.total, stock.terms, stock.value = tonumber(total), terms, tonumber(worth)
    end
    ask.options[place] = {
      stock = stock, total = stock.total, value = stock.value,
      line_start = ask.line_start .. offer_no .. ':' .. epoch_in_line(tonumber(epoch), base) .. ':',
      line_end = ':' .. stock.terms .. ':' .. in_36(claimed_at - base) .. ':',
      offer_no = offer_no, terms = stock.terms, claimed_at = claimed_at, nth = false, log_head = false, kind = false,
    }
  end
  if ask.rule ~= '' then return 'not_eligible\t' .. ask.rule end
  if wave.state == 'cancelled' then return 'cancelled\t' .. wave.reason end
  if wave.state == 'closed' then return 'closed\t' .. whole(wave.closed_ms) end
  if now >= wave.closes_ms then return 'closed\t' .. whole(wave.closes_ms) end
  if not wave.is_open then return 'not_open\t' .. whole(wave.opens_ms) end
  if rules.stopped ~= '' then return 'stopped\t' .. rules.stopped end
  if wave.state == 'paused' then return 'paused\t' .. wave.reason end
  return nil
end

for place, told in ipairs(asks) do
  local ask = {
    wave_no = told[1], request_no = told[2], rule = told[3], offers = told[4], options = {},
    line_start = '\n' .. told[1] .. ':' .. told[2] .. ':', refusal = false, refused = false, refused_at = false,
  }
  ask.refusal = refusal_of(ask)
  asks[place] = ask
end
local cap_claims, cap_value = rules.cap_claims, rules.cap_value  -- nil: no ask is of a wave that there is

-- The decision ----------------------------------------------------------------------------------------------

-- The option to give; or nil and the answer, which stays the same until something else is granted.
local function choose(ask)
  if ask.refused_at == last then return nil, ask.refused end
  local within_cap, since = false, 0
  if claims < cap_claims then
    for _, option in ipairs(ask.options) do
      if value + option.value <= cap_value then
        within_cap = true
        local stock = option.stock
        if stock.left > 0 then return option end
        stock.sold_out_ms = stock.sold_out_ms or tonumber(redis.call('HGET', meta, 'sold_out:' .. stock.field) or '0')
        since = math.max(since, stock.sold_out_ms)  -- all of them: since the last one was
      end
    end
  end
  ask.refused_at, ask.refused = last, answer(within_cap and 'sold_out\t' .. whole(since) or 'cap_reached')
  return nil, ask.refused
end

-- Grants the claim at this place, and those behind it up to till while their claimants hold nothing either, and there
-- is room: what was chosen for the first is what would be chosen for them. The place behind them.
--
-- Numbers and units come in a row: they are put together from all but the last digit, and that one.
local function grant(place, till, ask, option, held)
  local stock, from, before, after = option.stock, place, option.line_start, option.line_end
  if option.nth ~= held + 1 then  -- what such claims have in common in the log, and their answer
    option.nth = held + 1
    local shared = option.offer_no .. '\t' .. option.nth .. '\t' .. option.terms .. '\t'
    option.log_head = '+' .. ask.wave_no .. '\t' .. ask.request_no .. '\t' .. shared .. option.claimed_at - now .. '\t'
    option.kind = answer('new\t' .. shared .. whole(option.claimed_at))
  end
  if held > 0 then
    before, till = records[place] .. before, place
  else
    local affordable = option.value > 0 and math.floor((cap_value - value) / option.value) or math.huge
    till = math.min(till, place - 1 + math.min(stock.left, lag_room, cap_claims - claims, affordable))
  end
  local number, unit, changed = last + 1, option.total - stock.left + 1, #changed_records
  if log_head ~= option.log_head or log_unit ~= unit then log_lines[#log_lines + 1] = option.log_head .. whole(unit) end
  units[#units + 1] = unit
  local number_digit, unit_digit = number % 36, unit % 36
  local number_start = number < 36 and '' or in_36((number - number_digit) / 36)
  local unit_start = unit < 36 and '' or in_36((unit - unit_digit) / 36)
  repeat
    local record = before .. number_start .. DIGITS[number_digit] .. ':' .. unit_start .. DIGITS[unit_digit] .. after
      .. codes[place]
    changed_records[changed + 1], changed_records[changed + 2] = claimants[place], record
    records[place] = record
    place, changed = place + 1, changed + 2
    number_digit, unit_digit = number_digit + 1, unit_digit + 1
    if number_digit == 36 then number_digit, number_start = 0, in_36((number + place - from) / 36) end
    if unit_digit == 36 then unit_digit, unit_start = 0, in_36((unit + place - from) / 36) end
  until place > till or records[place]
  local granted = place - from
  log_lines[#log_lines + 1] = table.concat(codes, '\t', from, place - 1)
  log_lines[#log_lines + 1] = table.concat(claimants, '\t', from, place - 1)
  log_head, log_unit = option.log_head, unit + granted
  answered(option.kind, granted)
  last, claims, value, lag_room = last + granted, claims + granted, value + granted * option.value, lag_room - granted
  stock.left, stock.taken = stock.left - granted, true
  if stock.left == 0 then
    stock.sold_out_ms = now
    change_meta('sold_out:' .. stock.field, whole(now))
  end
  return place
end

local granted_before, limit_reached

local place = 1
for run = 1, #runs_of_asks, 2 do
  local ask, till = asks[runs_of_asks[run]], place + runs_of_asks[run + 1] - 1
  while place <= till do
    if records[place] == true then records[place] = records[twin_of[place]] end
    local held, account, kind, option = 0, nil, nil, nil
    if records[place] then
      if not granted_before then granted_before, limit_reached = judgements(base, rules, wave_of, answer) end
      account = string.match(codes[place], ',(.*)') or ''
      records[place], held, kind = granted_before(records[place], ask, account)
    end
    if not kind and now > not_after then kind = answer('late') end
    if not kind and ask.refusal then kind = answer(ask.refusal) end
    if not kind and held > 0 then kind = limit_reached(records[place], held, ask, account) end
    if not kind then option, kind = choose(ask) end
    if not kind and lag_room <= 0 then kind = answer('busy') end
    if not kind then
      place = grant(place, till, ask, option, held)
    else
      if runs[#runs - 1] == kind then
        runs[#runs] = runs[#runs] + 1
      else
        answered(kind, 1)
      end
      place = place + 1
    end
  end
end

-- Writing -----------------------------------------------------------------------------------------------

if last >= first then
  local last_text, changed_left = whole(last), {}
  redis.call('XADD', KEYS[2], epoch .. '-' .. last_text,
    'v', '3', 'first', whole(first), 'at', whole(now), 'claims', table.concat(log_lines, '\n'))
  redis.call('HSET', KEYS[5], unpack(changed_records))
  for field, stock in pairs(stocks) do
    if stock.taken then
      changed_left[#changed_left + 1] = field
      changed_left[#changed_left + 1] = whole(stock.left)
    end
  end
  redis.call('HSET', KEYS[4], unpack(changed_left))
  if not known[5] then change_meta('base', epoch) end
  redis.call('HSET', meta, 'last', last_text, 'claims', whole(claims), 'value', whole(value), unpack(changed_meta))
elseif #changed_meta > 0 then
  redis.call('HSET', meta, unpack(changed_meta))
end
return cmsgpack.pack({now, first, last, kinds, runs, units})
