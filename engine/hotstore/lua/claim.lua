-- claim.lua: decides a batch of claims of one shard, in order.
--
-- KEYS  1 head  2 log  3 meta  4 left  5 holders                      (keys.py; 3 to 5 of the epoch in ARGV 1)
-- ARGV  1 epoch      the caller believes to be live
--       2 not_after  store time (ms) past which nothing new is decided; replays still answer
--       3 lag_max    unsettled decisions past which nothing new is granted; 0: nothing at all is written
--       4 batch      MessagePack of {asks, which, claimants, codes}, at most 512 claims:
--         asks       {wave, request_no, broken rule or '', {offer, …}}: each different one once, offers in order of choice
--         which      for each claim, the place of its ask in asks
--         claimants  for each claim, whom the limits count
--         codes      for each claim '<code>,<account>': the voucher code to issue, sent again unchanged when a reply was
--                    lost; and who asks, empty where it is the claimant
-- REPLY {'ok', now_ms, first, last, answers}   answers: MessagePack of {kinds, which, units}:
--         kinds      each different answer once, tab-separated:
--           new <offer> <nth> <terms> <claimed_at_ms>    granted; its unit is the next of units, and numbers count from
--                                                        first to last in the order of the claims
--           held <nth> <line of the holder record>       the same claim was granted before
--           already_claimed|limit_reached [<nth> <line>] the line where it belongs to the asking account
--           unknown_wave, unknown_offer, not_eligible <rule>, cancelled <reason>, closed <ms>, not_open <ms>,
--           stopped <reason>, paused <reason>, cap_reached, sold_out <ms>, busy (log too long), late (past not_after)
--         which      for each claim, the place of its answer in kinds
--       {'fenced', now_ms, why}                nothing decided: the steward has to look at this server first
--       {'epoch', now_ms, epoch}               nothing decided: another epoch is live
--
-- The log entry is the first write, under an explicit id: XADD refuses an id that is not above the last
-- one before anything else was written, and a Lua error after a write would not be rolled back.
--
-- What is the same for many claims is worked out once: a wave, an ask, an offer within an ask, an answer. And those who
-- hold nothing yet and ask for the same, one behind the other, are granted it in one go (`grant`): in the first second
-- of a drop that is nearly everybody. Why, and what each thing costs: docs/decisions/0018.
-- include fence.lua

local head, log, meta, left_key, holders_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, not_after, lag_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local CLAIMS_PER_CLAIMANT_MAX = 32
local CLOCK_STEP_MAX_MS = 60000  -- an opened wave stays open through a clock that steps back by up to this

local now = store_time_ms()
local stop, settled = fence(head, epoch, now)
if stop then return stop end
if redis.call('EXISTS', meta, left_key, holders_key) ~= 3 then
  return {'fenced', whole(now), 'keys of the shard are missing'}
end

local counters = redis.call('HMGET', meta, 'last', 'claims', 'value', 'rules')
local last, claims, value = tonumber(counters[1]), tonumber(counters[2]), tonumber(counters[3])
local rules = cjson.decode(counters[4])
local cap_claims, cap_value = rules.cap.claims, rules.cap.value
if cap_claims == cjson.null then cap_claims = math.huge end
if cap_value == cjson.null then cap_value = math.huge end
local first = last + 1
local lag_room = lag_max - (last - tonumber(settled or '0'))
local late = now > not_after

local batch = cmsgpack.unpack(ARGV[4])
local asks, places, claimants, codes = batch[1], batch[2], batch[3], batch[4]
-- places: which ask a claim is of and, once it is decided, which answer it gets.

-- What the batch has read and what it will write -------------------------------------------------------

local waves, stocks, options, records = {}, {}, {}, {}
local changed_records, changed_stocks, changed_meta, log_lines, log_head = {}, {}, {}, {}, nil
local kinds, kind_places, units = {}, {}, {}

-- The place of this answer in the reply.
local function answer(text)
  local place = kind_places[text]
  if not place then
    place = #kinds + 1
    kinds[place], kind_places[text] = text, place
  end
  return place
end

-- The digits of a number are all_but_last[number - number % 10] .. LAST[number % 10]: '%d' would cost a sixth of a claim
-- for each, and numbers and units come in a row.
local LAST = {[0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'}
local all_but_last = setmetatable({[0] = ''}, {__index = function(known, number)
  local text = whole(number / 10)
  known[number] = text
  return text
end})

local function wave_of(no)
  local wave = waves[no]
  if wave == nil then
    local fields = redis.call('HMGET', meta, 'wave:' .. no, 'latch:' .. no)
    wave = fields[1] and cjson.decode(fields[1]) or false
    if wave then
      local opened = now >= wave.opens_ms
      -- lag_max 0: asked again because Redis takes no writes; this one would cost replays their answers
      if opened and not fields[2] and lag_max > 0 then changed_meta['latch:' .. no] = '1' end
      wave.is_open = opened or (fields[2] and now >= wave.opens_ms - CLOCK_STEP_MAX_MS)
    end
    waves[no] = wave
  end
  return wave
end

-- What is left of an offer in a wave; whoever takes a unit changes it here.
local function stock_of(wave_no, offer_no)
  local field = wave_no .. ':' .. offer_no
  local stock = stocks[field]
  if not stock then
    stock = {field = field, left = tonumber(redis.call('HGET', left_key, field))}
    stocks[field] = stock
  end
  return stock
end

local function sold_out_since(stock)
  stock.sold_out_ms = stock.sold_out_ms or tonumber(redis.call('HGET', meta, 'sold_out:' .. stock.field) or '0')
  return stock.sold_out_ms
end

-- Asks ---------------------------------------------------------------------------------------------------

for _, ask in ipairs(asks) do
  ask.wave_no, ask.rule, ask.offers, ask.wanted = whole(ask[1]), ask[3], {}, {}
  ask.line_start = ask.wave_no .. ',' .. whole(ask[2]) .. ','
  ask.needle = '\n' .. ask.line_start
  for place, offer_no in ipairs(ask[4]) do
    ask.offers[place] = whole(offer_no)
    ask.wanted[ask.offers[place]] = true
  end
end

-- One offer as an ask can be granted it: shared by all asks for the same wave and request_no.
local function option_of(ask, wave, offer_no)
  local line_start = ask.line_start .. offer_no .. ',' .. epoch .. ','
  local option = options[line_start]
  if not option then
    local offer = wave.offers[offer_no]
    local claimed_at = math.max(now, wave.opens_ms)
    option = {
      stock = stock_of(ask.wave_no, offer_no), total = offer.total, value = offer.value,
      line_start = line_start, line_end = ',' .. whole(offer.terms) .. ',' .. whole(claimed_at) .. ',',
      offer_no = offer_no, terms = offer.terms, claimed_at = claimed_at, log_heads = {}, answers = {},
    }
    options[line_start] = option
  end
  return option
end

-- Why nobody can claim in this wave now, else nil.
local function wave_refusal(wave)
  if wave.state == 'cancelled' then return 'cancelled\t' .. wave.reason end
  if wave.state == 'closed' then return 'closed\t' .. whole(wave.closed_ms) end
  if now >= wave.closes_ms then return 'closed\t' .. whole(wave.closes_ms) end
  if not wave.is_open then return 'not_open\t' .. whole(wave.opens_ms) end
  if rules.stopped ~= '' then return 'stopped\t' .. rules.stopped end
  if wave.state == 'paused' then return 'paused\t' .. wave.reason end
  return nil
end

-- Why nobody can be granted this ask whatever they hold, else false; then its wave and options are known.
local function ask_refusal(ask)
  local wave = wave_of(ask.wave_no)
  if not wave then return 'unknown_wave' end
  for _, offer_no in ipairs(ask.offers) do
    if not wave.offers[offer_no] then return 'unknown_offer' end
  end
  if ask.rule ~= '' then return 'not_eligible\t' .. ask.rule end
  local refusal = wave_refusal(wave)
  if refusal then return refusal end
  ask.wave, ask.options = wave, {}
  for place, offer_no in ipairs(ask.offers) do ask.options[place] = option_of(ask, wave, offer_no) end
  return false
end

-- Holder records (hotstore/records.py) ------------------------------------------------------------------

local LINE = '^(%d+),%d+,(%d+),%d+,%d+,%d+,%d+,%d+,[^,]*,(.*)$'

-- The line held under the wave and request_no of this ask by this account: nth, line, offer.
local function held_line(record, ask, account)
  local from = 1
  while true do
    local start = string.find(record, ask.needle, from, true)
    if not start then return nil end
    local line = string.match(record, '[^\n]+', start + 1)
    local _, offer, holder = string.match(line, LINE)
    if holder == account then
      local _, nth = string.gsub(string.sub(record, 1, start), '\n', '')
      return nth, line, offer
    end
    from = start + 1
  end
end

-- Claims of a record in the same round, wave or day as this wave: how many, and the first one of the account.
local function held_within(record, wave_no, wave, per, account)
  local count, nth, own_nth, own_line = 0, 0, nil, nil
  for line in string.gmatch(string.sub(record, string.find(record, '\n', 1, true) + 1), '[^\n]+') do
    nth = nth + 1
    local held_wave_no, _, holder = string.match(line, LINE)  -- nil: a claim that was voided
    local held_wave = held_wave_no and wave_of(held_wave_no)
    local within = held_wave_no and (per == 'campaign' or held_wave_no == wave_no
      or (per ~= 'wave' and held_wave and held_wave[per] == wave[per]))
    if within then
      count = count + 1
      if not own_line and holder == account then own_nth, own_line = nth, line end
    end
  end
  return count, own_nth, own_line
end

local function limit_answer(max, nth, line)
  local word = max == 1 and 'already_claimed' or 'limit_reached'
  return answer(line and word .. '\t' .. nth .. '\t' .. line or word)
end

-- The answer where a limit forbids another claim, else nil.
local function limit_reached(record, held, ask, account)
  for _, limit in ipairs(rules.limits) do
    if limit.per ~= 'campaign' or held >= limit.max then
      local count, nth, line = held_within(record, ask.wave_no, ask.wave, limit.per, account)
      if count >= limit.max then return limit_answer(limit.max, nth, line) end
    end
  end
  if held >= CLAIMS_PER_CLAIMANT_MAX then
    local _, nth, line = held_within(record, ask.wave_no, ask.wave, 'campaign', account)
    return limit_answer(CLAIMS_PER_CLAIMANT_MAX, nth, line)
  end
  return nil
end

-- The decision ------------------------------------------------------------------------------------------

-- The option to give; or nil and the answer, which stays the same until something else is granted.
local function choose(ask)
  if ask.refused_at == last then return nil, ask.refused end
  local within_cap, since = false, 0
  if claims < cap_claims then
    for _, option in ipairs(ask.options) do
      if value + option.value <= cap_value then
        within_cap = true
        if option.stock.left > 0 then return option end
        since = math.max(since, sold_out_since(option.stock))  -- all of them: since the last one was
      end
    end
  end
  ask.refused_at, ask.refused = last, answer(within_cap and 'sold_out\t' .. whole(since) or 'cap_reached')
  return nil, ask.refused
end

-- How often an option can be granted before something runs out.
local function room_of(option)
  local affordable = option.value > 0 and math.floor((cap_value - value) / option.value) or math.huge
  return math.min(option.stock.left, lag_room, cap_claims - claims, affordable)
end

-- What claims of this option that are the nth of their claimants have in common: the line before them in the log, and
-- their answer.
local function common(ask, option, nth)
  if not option.answers[nth] then
    option.log_heads[nth] = string.format('+%s\t%d\t%s\t%d\t%d\t%d',
      ask.wave_no, ask[2], option.offer_no, nth, option.terms, option.claimed_at - now)
    option.answers[nth] = answer(
      string.format('new\t%s\t%d\t%d\t%d', option.offer_no, nth, option.terms, option.claimed_at))
  end
  return option.log_heads[nth], option.answers[nth]
end

-- Grants the claim at this place, and those behind it while they are of the same ask, their claimants hold nothing
-- either, and there is room: what was chosen for the first is what would be chosen for them. The place behind them.
local function grant(place, ask, option, held)
  local which, stock, room = places[place], option.stock, held > 0 and 1 or room_of(option)
  local head_line, kind = common(ask, option, held + 1)
  local before = '1\n' .. option.line_start
  if held > 0 then
    local record = records[claimants[place]]
    before = held + 1 .. string.sub(record, string.find(record, '\n', 1, true), -1) .. option.line_start
  end
  if log_head ~= head_line then
    log_head = head_line
    log_lines[#log_lines + 1] = head_line
  end
  local line_end, unit, from = option.line_end, option.total - stock.left, place
  local lines, changed, granted, number = #log_lines, #changed_records, #units, last
  repeat
    local claimant, code = claimants[place], codes[place]
    number, unit = number + 1, unit + 1
    local number_end, unit_end = number % 10, unit % 10
    local unit_start = all_but_last[unit - unit_end]
    number_end, unit_end = all_but_last[number - number_end] .. LAST[number_end], LAST[unit_end]
    local record = before .. number_end .. ',' .. unit_start .. unit_end .. line_end .. code .. '\n'
    lines, changed, granted = lines + 1, changed + 2, granted + 1
    log_lines[lines] = unit_start .. unit_end .. '\t' .. code .. '\t' .. claimant
    changed_records[changed - 1], changed_records[changed] = claimant, record
    records[claimant], units[granted], places[place] = record, unit, kind
    place = place + 1
  until place - from >= room or places[place] ~= which or records[claimants[place]]
  local count = place - from
  last, claims, value, lag_room = number, claims + count, value + count * option.value, lag_room - count
  stock.left = stock.left - count
  changed_stocks[stock] = true
  if stock.left == 0 then
    stock.sold_out_ms = now
    changed_meta['sold_out:' .. stock.field] = whole(now)
  end
  return place
end

-- Why the claim at this place is not granted (the place of that answer); or false, its option, and how many its
-- claimant holds.
local function refusal_of(place, ask)
  local record, held, other_offer, account = records[claimants[place]], 0, nil, nil
  if record then
    account = string.match(codes[place], ',(.*)')
    local nth, line, offer_no = held_line(record, ask, account)
    if line and ask.wanted[offer_no] then return answer('held\t' .. nth .. '\t' .. line) end
    if line then other_offer = {nth, line} end
    held = tonumber(string.match(record, '^%d+'))
  end
  if late then return answer('late') end
  if ask.refusal == nil then
    local refusal = ask_refusal(ask)
    ask.refusal = refusal and answer(refusal)
  end
  if ask.refusal then return ask.refusal end
  if held > 0 then
    local refusal = limit_reached(record, held, ask, account)
    if refusal then return refusal end
    -- A request_no names one claim of a wave. Under it another offer cannot be meant as a second claim.
    if other_offer then return limit_answer(0, other_offer[1], other_offer[2]) end
  end
  local option, refusal = choose(ask)
  if not option then return refusal end
  if lag_room <= 0 then return answer('busy') end
  return false, option, held
end

local found = redis.call('HMGET', holders_key, unpack(claimants))
for place = 1, #claimants do
  if found[place] then records[claimants[place]] = found[place] end
end
local place, count = 1, #claimants
while place <= count do
  local ask = asks[places[place]]
  local refusal, option, held = refusal_of(place, ask)
  if refusal then
    places[place] = refusal
    place = place + 1
  else
    place = grant(place, ask, option, held)
  end
end

-- Writing -----------------------------------------------------------------------------------------------

if last >= first then
  redis.call('XADD', log, epoch .. '-' .. whole(last),
    'v', '2', 'first', whole(first), 'at', whole(now), 'claims', table.concat(log_lines, '\n'))
  redis.call('HSET', holders_key, unpack(changed_records))
  local pairs_of_left = {}
  for stock in pairs(changed_stocks) do
    pairs_of_left[#pairs_of_left + 1] = stock.field
    pairs_of_left[#pairs_of_left + 1] = whole(stock.left)
  end
  redis.call('HSET', left_key, unpack(pairs_of_left))
  changed_meta.last, changed_meta.claims, changed_meta.value = whole(last), whole(claims), whole(value)
end
if next(changed_meta) then
  local pairs_of_meta = {}
  for field, text in pairs(changed_meta) do
    pairs_of_meta[#pairs_of_meta + 1] = field
    pairs_of_meta[#pairs_of_meta + 1] = text
  end
  redis.call('HSET', meta, unpack(pairs_of_meta))
end
return {'ok', whole(now), whole(first), whole(last), cmsgpack.pack({kinds, places, units})}
