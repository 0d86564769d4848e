-- claim.lua: decides a batch of claims of one shard, in order.
--
-- KEYS  1 head  2 log  3 meta  4 left  5 holders                      (keys.py; 3 to 5 of the epoch in ARGV 1)
-- ARGV  1 epoch      the caller believes to be live
--       2 not_after  store time (ms) past which nothing new is decided; replays still answer
--       3 lag_max    unsettled decisions past which nothing new is granted; 0: nothing at all is written
--       then four for each claim, at most 512 claims:
--         ask        "<wave> <request_no> <broken rule or -> <offer> [<offer> …]", offers in order of choice
--         claimant   whom the limits count
--         account    who asks; '' where it is the claimant
--         code       voucher code to issue; sent again unchanged when a reply was lost
-- REPLY {'ok', now_ms, last, {answer, …}}      an answer for each claim, tab-separated:
--         new <offer> <sequence> <unit> <nth> <terms> <claimed_at_ms>
--         held <nth> <line of the holder record>       the same claim was granted before
--         already_claimed|limit_reached [<nth> <line>] the line where it belongs to the asking account
--         unknown_wave, unknown_offer, not_eligible <rule>, cancelled <reason>, closed <ms>, not_open <ms>,
--         stopped <reason>, paused <reason>, cap_reached, sold_out <ms>, busy (log too long), late (past not_after)
--       {'fenced', now_ms, why}                nothing decided: the steward has to look at this server first
--       {'epoch', now_ms, epoch}               nothing decided: another epoch is live
--
-- The log entry is the first write, under an explicit id: XADD refuses an id that is not above the last
-- one before anything else was written, and a Lua error after a write would not be rolled back.
-- include fence.lua

local head, log, meta, left_key, holders_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, not_after, lag_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local FIRST, STRIDE = 4, 4
local CLAIMS_PER_CLAIMANT_MAX = 32
local CLOCK_STEP_MAX_MS = 60000  -- an opened wave stays open through a clock that steps back by up to this

local now = store_time_ms()
local stop = fence(head, epoch, now)
if stop then return stop end
if redis.call('EXISTS', meta, left_key, holders_key) ~= 3 then
  return {'fenced', whole(now), 'keys of the shard are missing'}
end

local counters = redis.call('HMGET', meta, 'last', 'claims', 'value', 'rules')
local last, claims, value = tonumber(counters[1]), tonumber(counters[2]), tonumber(counters[3])
local rules = cjson.decode(counters[4])
local cap_claims, cap_value = rules.cap.claims, rules.cap.value
if cap_claims == cjson.null then cap_claims = nil end
if cap_value == cjson.null then cap_value = nil end
local first = last + 1
local lag_room = lag_max - (last - tonumber(redis.call('HGET', head, 'settled') or '0'))
local late = now > not_after

-- What the batch has read and what it will write -------------------------------------------------------

local waves, asks, records, left = {}, {}, {}, {}
local changed_records, changed_left, changed_meta, log_lines = {}, {}, {}, {}

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

local function parse_ask(text)
  local words = {}
  for word in string.gmatch(text, '%S+') do words[#words + 1] = word end
  local ask = {wave_no = words[1], rule = words[3], offers = {}, wanted = {}}
  ask.needle = '\n' .. words[1] .. ',' .. words[2] .. ','
  ask.line_start = words[1] .. ',' .. words[2] .. ','
  ask.log_start = words[1] .. '\t' .. words[2] .. '\t'
  for place = 4, #words do
    ask.offers[place - 3] = words[place]
    ask.wanted[words[place]] = true
  end
  asks[text] = ask
  return ask
end

local function left_of(field)
  local units = left[field]
  if units == nil then
    units = tonumber(redis.call('HGET', left_key, field))
    left[field] = units
  end
  return units
end

local function sold_out_since(field)
  return tonumber(changed_meta['sold_out:' .. field] or redis.call('HGET', meta, 'sold_out:' .. field) or '0')
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
  local answer = max == 1 and 'already_claimed' or 'limit_reached'
  if line then return answer .. '\t' .. nth .. '\t' .. line end
  return answer
end

-- The answer where a limit forbids another claim, else nil.
local function limit_reached(record, held, ask, wave, account)
  for _, limit in ipairs(rules.limits) do
    if limit.per ~= 'campaign' or held >= limit.max then
      local count, nth, line = held_within(record, ask.wave_no, wave, limit.per, account)
      if count >= limit.max then return limit_answer(limit.max, nth, line) end
    end
  end
  if held >= CLAIMS_PER_CLAIMANT_MAX then
    local _, nth, line = held_within(record, ask.wave_no, wave, 'campaign', account)
    return limit_answer(CLAIMS_PER_CLAIMANT_MAX, nth, line)
  end
  return nil
end

-- The decision ------------------------------------------------------------------------------------------

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

-- The offer to give: number, its state, its field in `left`; or nil and the refusal.
local function choose(ask, wave)
  if cap_claims and claims >= cap_claims then return nil, 'cap_reached' end
  local within_cap, since = false, 0
  for _, offer_no in ipairs(ask.offers) do
    local offer = wave.offers[offer_no]
    if not cap_value or value + offer.value <= cap_value then
      within_cap = true
      local field = ask.wave_no .. ':' .. offer_no
      if left_of(field) > 0 then return offer_no, offer, field end
      since = math.max(since, sold_out_since(field))  -- all of them: since the last one was
    end
  end
  return nil, within_cap and 'sold_out\t' .. whole(since) or 'cap_reached'
end

local function grant(ask, wave, offer_no, offer, field, claimant, account, code, record, held)
  last, claims, value, lag_room = last + 1, claims + 1, value + offer.value, lag_room - 1
  local unit = offer.total - left[field] + 1
  left[field] = left[field] - 1
  changed_left[field] = true
  if left[field] == 0 then changed_meta['sold_out:' .. field] = whole(now) end
  local claimed_at = math.max(now, wave.opens_ms)
  local nth = held + 1
  local line = string.format('%s%s,%s,%d,%d,%d,%d,%s,%s\n',
    ask.line_start, offer_no, epoch, last, unit, offer.terms, claimed_at, code, account)
  if record then
    records[claimant] = nth .. string.sub(record, string.find(record, '\n', 1, true), -1) .. line
  else
    records[claimant] = '1\n' .. line
  end
  changed_records[claimant] = true
  log_lines[#log_lines + 1] = string.format('%s%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s',
    ask.log_start, offer_no, unit, nth, offer.terms, claimed_at - now, code, claimant, account)
  return string.format('new\t%s\t%d\t%d\t%d\t%d\t%d', offer_no, last, unit, nth, offer.terms, claimed_at)
end

local function decide(ask, claimant, account, code)
  local record, held, other_offer = records[claimant], 0, nil
  if record then
    local nth, line, offer_no = held_line(record, ask, account)
    if line and ask.wanted[offer_no] then return 'held\t' .. nth .. '\t' .. line end
    if line then other_offer = {nth, line} end
    held = tonumber(string.match(record, '^%d+'))
  end
  if late then return 'late' end
  local wave = wave_of(ask.wave_no)
  if not wave then return 'unknown_wave' end
  for _, offer_no in ipairs(ask.offers) do
    if not wave.offers[offer_no] then return 'unknown_offer' end
  end
  if ask.rule ~= '-' then return 'not_eligible\t' .. ask.rule end
  local refusal = wave_refusal(wave)
  if refusal then return refusal end
  if held > 0 then
    refusal = limit_reached(record, held, ask, wave, account)
    if refusal then return refusal end
    -- A request_no names one claim of a wave. Under it another offer cannot be meant as a second claim.
    if other_offer then return limit_answer(0, other_offer[1], other_offer[2]) end
  end
  local offer_no, offer, field = choose(ask, wave)
  if not offer_no then return offer end
  if lag_room <= 0 then return 'busy' end
  return grant(ask, wave, offer_no, offer, field, claimant, account, code, record, held)
end

local claimants = {}
for place = FIRST, #ARGV, STRIDE do claimants[#claimants + 1] = ARGV[place + 1] end
local found = redis.call('HMGET', holders_key, unpack(claimants))
for place, claimant in ipairs(claimants) do records[claimant] = found[place] end

local answers = {}
for place = FIRST, #ARGV, STRIDE do
  local ask = asks[ARGV[place]] or parse_ask(ARGV[place])
  answers[#answers + 1] = decide(ask, ARGV[place + 1], ARGV[place + 2], ARGV[place + 3])
end

-- Writing -----------------------------------------------------------------------------------------------

if last >= first then
  redis.call('XADD', log, epoch .. '-' .. whole(last),
    'v', '1', 'first', whole(first), 'at', whole(now), 'claims', table.concat(log_lines, '\n'))
  local pairs_of_records, pairs_of_left = {}, {}
  for claimant in pairs(changed_records) do
    pairs_of_records[#pairs_of_records + 1] = claimant
    pairs_of_records[#pairs_of_records + 1] = records[claimant]
  end
  redis.call('HSET', holders_key, unpack(pairs_of_records))
  for field in pairs(changed_left) do
    pairs_of_left[#pairs_of_left + 1] = field
    pairs_of_left[#pairs_of_left + 1] = whole(left[field])
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
return {'ok', whole(now), whole(last), answers}
