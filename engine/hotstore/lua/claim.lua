-- claim.lua: decides a batch of claims of one shard, in order.
--
-- KEYS  1 head  2 log  3 meta  4 left  5 holders                      (keys.py; 3 to 5 of the epoch in ARGV 1)
-- ARGV  1 epoch      the caller believes to be live
--       2 not_after  store time (ms) past which nothing new is decided; replays still answer
--       3 lag_max    unsettled decisions past which nothing new is granted; 0: nothing at all is written
--       4 batch      MessagePack of {asks, runs, claimants, codes}, at most 512 claims:
--         asks       {wave, request_no, broken rule or '', {offer, …}}: each different one once, offers in order of
--                    choice, every number as a text
--         runs       place of an ask in asks, how many claims one behind the other are of it; and so on
--         claimants  for each claim, whom the limits count
--         codes      for each claim the voucher code to issue, sent again unchanged when a reply was lost; and behind
--                    it ',<account>' where somebody else than the claimant asks
-- REPLY {'ok', now_ms, first, last, answers}   answers: MessagePack of {kinds, runs, units}:
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
-- of a drop that is nearly everybody. Why, and what each thing costs: docs/decisions/0018 and 0022.
-- include fence.lua
-- include holders.lua

local meta, left_key, holders_key = KEYS[3], KEYS[4], KEYS[5]
local epoch, lag_max = ARGV[1], tonumber(ARGV[3])
local CLAIMS_PER_CLAIMANT_MAX = 32
local CLOCK_STEP_MAX_MS = 60000  -- an opened wave stays open through a clock that steps back by up to this

local now = store_time_ms()
local stop, settled = fence(KEYS[1], epoch, now)
if stop then return stop end
if redis.call('EXISTS', meta, left_key, holders_key) ~= 3 then
  return {'fenced', whole(now), 'keys of the shard are missing'}
end

local batch = cmsgpack.unpack(ARGV[4])
local asks, runs_of_asks, claimants, codes = batch[1], batch[2], batch[3], batch[4]
local likely_wave = asks[1][1]  -- most batches are of one wave: it is read with the numbers
local known = redis.call('HMGET', meta, 'last', 'claims', 'value', 'rules', 'base',
  'wave:' .. likely_wave, 'latch:' .. likely_wave)
local last, claims, value, rules = tonumber(known[1]), tonumber(known[2]), tonumber(known[3]), cjson.decode(known[4])
local base = tonumber(known[5] or epoch)
local cap_claims, cap_value = rules.cap.claims, rules.cap.value
if cap_claims == cjson.null then cap_claims = math.huge end
if cap_value == cjson.null then cap_value = math.huge end
local first = last + 1
local lag_room = lag_max - (last - tonumber(settled or '0'))
local late = now > tonumber(ARGV[2])

-- What the batch has read and what it will write -------------------------------------------------------

local waves, stocks = {}, {}
local records = redis.call('HMGET', holders_key, unpack(claimants))  -- false: holds nothing
local place_of, twin_of = {}, {}  -- last place of a claimant so far; place of the same claimant before this one
for place, claimant in ipairs(claimants) do
  local before = place_of[claimant]
  if before then records[place], twin_of[place] = true, before end  -- true: what it holds once that one is decided
  place_of[claimant] = place
end
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

local function wave_of(no)
  local wave = waves[no]
  if wave == nil then
    local text, latch = known[6], known[7]
    if no ~= likely_wave then text, latch = unpack(redis.call('HMGET', meta, 'wave:' .. no, 'latch:' .. no)) end
    wave = text and cjson.decode(text)
    if wave then
      local opened = now >= wave.opens_ms
      -- lag_max 0: asked again because Redis takes no writes; this one would cost replays their answers
      if opened and not latch and lag_max > 0 then change_meta('latch:' .. no, '1') end
      wave.is_open = opened or (latch and now >= wave.opens_ms - CLOCK_STEP_MAX_MS)
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
    stock = {field = field, left = tonumber(redis.call('HGET', left_key, field)), taken = false, sold_out_ms = false}
    stocks[field] = stock
  end
  return stock
end

local function sold_out_since(stock)
  stock.sold_out_ms = stock.sold_out_ms or tonumber(redis.call('HGET', meta, 'sold_out:' .. stock.field) or '0')
  return stock.sold_out_ms
end

-- Asks ---------------------------------------------------------------------------------------------------

for place, ask in ipairs(asks) do
  asks[place] = {
    wave_no = ask[1], request_no = ask[2], rule = ask[3], offers = ask[4],
    line_start = '\n' .. ask[1] .. ':' .. ask[2] .. ':',
    is_checked = false, refusal = false, wave = false, options = false, refused = false, refused_at = false,
  }
end

-- One offer as an ask can be granted it.
local function option_of(ask, wave, offer_no)
  local offer, claimed_at = wave.offers[offer_no], math.max(now, wave.opens_ms)
  local terms = whole(offer.terms)
  return {
    stock = stock_of(ask.wave_no, offer_no), total = offer.total, value = offer.value,
    line_start = ask.line_start .. offer_no .. ':' .. epoch_in_line(tonumber(epoch), base) .. ':',
    line_end = ':' .. terms .. ':' .. in_36(claimed_at - base) .. ':',
    offer_no = offer_no, terms = terms, claimed_at = claimed_at, nth = false, log_head = false, kind = false,
  }
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

-- Why nobody can be granted this ask whatever they hold, else nil; then its wave and options are known.
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
  return nil
end

-- Whoever holds something ---------------------------------------------------------------------------------

-- The line held under the wave and request_no of this ask by this account: nth, line, whether its offer is asked for.
local function held_line(record, ask, account)
  local from = 1
  while true do
    local start = string.find(record, ask.line_start, from, true)
    if not start then return nil end
    local line = string.match(record, '[^\n]+', start)
    local _, held_offer, holder = string.match(line, LINE)
    if holder == account then
      local _, nth = string.gsub(string.sub(record, 1, start), '\n', '')
      for _, offer_no in ipairs(ask.offers) do
        if offer_no == held_offer then return nth, line, true end
      end
      return nth, line, false
    end
    from = start + 1
  end
end

-- Claims of a record in the same round, wave or day as this wave: how many, and the first one of the account.
local function held_within(record, wave_no, wave, per, account)
  local count, nth, own_nth, own_line = 0, 0, nil, nil
  for line in string.gmatch(record, '[^\n]+') do
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

local function answer_with(word, nth, line)
  return answer(line and word .. '\t' .. nth .. '\t' .. whole(base) .. '\t' .. line or word)
end

local function limit_answer(max, nth, line)
  return answer_with(max == 1 and 'already_claimed' or 'limit_reached', nth, line)
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

-- What claims of this option that are the nth of their claimants have in common in the log, and their answer.
local function common(ask, option, nth)
  if option.nth ~= nth then
    option.nth = nth
    option.log_head = '+' .. ask.wave_no .. '\t' .. ask.request_no .. '\t' .. option.offer_no .. '\t' .. nth .. '\t'
      .. option.terms .. '\t' .. option.claimed_at - now .. '\t'
    option.kind = answer(
      'new\t' .. option.offer_no .. '\t' .. nth .. '\t' .. option.terms .. '\t' .. whole(option.claimed_at))
  end
  return option.log_head, option.kind
end

-- Puts the claims from place to till into the log: units are told where they do not go on from the claims before.
local function tell_log(head_line, unit, place, till)
  if log_head ~= head_line or log_unit ~= unit then log_lines[#log_lines + 1] = head_line .. whole(unit) end
  log_lines[#log_lines + 1] = table.concat(codes, '\t', place, till)
  log_lines[#log_lines + 1] = table.concat(claimants, '\t', place, till)
  log_head, log_unit = head_line, unit + till - place + 1
end

-- Grants the claim at this place, and those behind it up to till while their claimants hold nothing either, and there
-- is room: what was chosen for the first is what would be chosen for them. The place behind them.
--
-- Numbers and units come in a row: they are put together from all but the last digit, and that one.
local function grant(place, till, ask, option, held)
  local stock, from, before, after = option.stock, place, option.line_start, option.line_end
  local head_line, kind = common(ask, option, held + 1)
  if held > 0 then
    before, till = records[place] .. before, place
  else
    till = math.min(till, place + room_of(option) - 1)
  end
  local number, unit, changed = last + 1, option.total - stock.left + 1, #changed_records
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
  local count = place - from
  tell_log(head_line, unit, from, place - 1)
  runs[#runs + 1] = kind
  runs[#runs + 1] = count
  last, claims, value, lag_room = last + count, claims + count, value + count * option.value, lag_room - count
  stock.left, stock.taken = stock.left - count, true
  if stock.left == 0 then
    stock.sold_out_ms = now
    change_meta('sold_out:' .. stock.field, whole(now))
  end
  return place
end

-- Why the claim at this place is not granted (the place of that answer); or nil, its option, and how many its claimant
-- holds.
local function refusal_of(place, ask)
  local record, held, other_nth, other_line, account = records[place], 0, nil, nil, nil
  if record then
    record = in_short(record, base)
    records[place] = record
    account = string.match(codes[place], ',(.*)') or ''
    local nth, line, is_wanted = held_line(record, ask, account)
    if is_wanted then return answer_with('held', nth, line) end
    other_nth, other_line = nth, line
    held = select(2, string.gsub(record, '\n', ''))
  end
  if late then return answer('late') end
  if not ask.is_checked then
    local refusal = ask_refusal(ask)
    ask.is_checked, ask.refusal = true, refusal and answer(refusal)
  end
  if ask.refusal then return ask.refusal end
  if held > 0 then
    local refusal = limit_reached(record, held, ask, account)
    if refusal then return refusal end
    -- A request_no names one claim of a wave. Under it another offer cannot be meant as a second claim.
    if other_line then return limit_answer(0, other_nth, other_line) end
  end
  local option, refusal = choose(ask)
  if not option then return refusal end
  if lag_room <= 0 then return answer('busy') end
  return nil, option, held
end

local place = 1
for run = 1, #runs_of_asks, 2 do
  local ask, till = asks[runs_of_asks[run]], place + runs_of_asks[run + 1] - 1
  while place <= till do
    if records[place] == true then records[place] = records[twin_of[place]] end
    local refusal, option, held = refusal_of(place, ask)
    if not refusal then
      place = grant(place, till, ask, option, held)
    else
      if runs[#runs - 1] == refusal then
        runs[#runs] = runs[#runs] + 1
      else
        runs[#runs + 1] = refusal
        runs[#runs + 1] = 1
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
  redis.call('HSET', holders_key, unpack(changed_records))
  for field, stock in pairs(stocks) do
    if stock.taken then
      changed_left[#changed_left + 1] = field
      changed_left[#changed_left + 1] = whole(stock.left)
    end
  end
  redis.call('HSET', left_key, unpack(changed_left))
  if not known[5] then change_meta('base', epoch) end
  redis.call('HSET', meta, 'last', last_text, 'claims', whole(claims), 'value', whole(value), unpack(changed_meta))
elseif #changed_meta > 0 then
  redis.call('HSET', meta, unpack(changed_meta))
end
return {'ok', now, first, last, cmsgpack.pack({kinds, runs, units})}
