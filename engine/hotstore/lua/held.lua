-- held.lua (included in claim.lua): what those are told who hold something.

-- The two judgements about them. Functions cost each call of a script whether it comes to use them or not, and for most
-- calls of a drop nobody holds anything: so these are made once somebody does.
local function judgements(base, rules, wave_of, answer)
-- include earlier.lua
  -- Wave, offer and account of a line; nothing of the line of a claim that was voided.
  local LINE = '^(%d+):%d+:(%d+):[^:]*:%w+:%w+:%d+:[^:]*:[^,]*,?(.*)$'
  local CLAIMS_PER_CLAIMANT_MAX = 32
  local limits = {}
  for max, per in string.gmatch(rules.limits, '(%d+) (%a+)') do
    limits[#limits + 1] = {max = tonumber(max), per = per}
  end

  local function answer_with(word, nth, line)
    return answer(line and word .. '\t' .. nth .. '\t' .. whole(base) .. '\t' .. line or word)
  end

  local function limit_answer(max, nth, line)
    return answer_with(max == 1 and 'already_claimed' or 'limit_reached', nth, line)
  end

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
  local function held_within(record, wave_no, per, account)
    local count, nth, own_nth, own_line = 0, 0, nil, nil
    for line in string.gmatch(record, '[^\n]+') do
      nth = nth + 1
      local held_wave_no, _, holder = string.match(line, LINE)  -- nil: a claim that was voided
      local held_wave = held_wave_no and wave_of(held_wave_no)
      local within = held_wave_no and (per == 'campaign' or held_wave_no == wave_no
        or (per ~= 'wave' and held_wave and held_wave[per] == wave_of(wave_no)[per]))
      if within then
        count = count + 1
        if not own_line and holder == account then own_nth, own_line = nth, line end
      end
    end
    return count, own_nth, own_line
  end

  -- A record as it counts; and how many it holds, or the answer to an ask that was granted before.
  local function granted_before(record, ask, account)
    record = in_short(record, base)
    local nth, line, is_wanted = held_line(record, ask, account)
    if is_wanted then return record, nil, answer_with('held', nth, line) end
    return record, select(2, string.gsub(record, '\n', '')), nil
  end

  -- The answer where a limit forbids another claim, else nil.
  local function limit_reached(record, held, ask, account)
    for _, limit in ipairs(limits) do
      if limit.per ~= 'campaign' or held >= limit.max then
        local count, nth, line = held_within(record, ask.wave_no, limit.per, account)
        if count >= limit.max then return limit_answer(limit.max, nth, line) end
      end
    end
    if held >= CLAIMS_PER_CLAIMANT_MAX then
      local _, nth, line = held_within(record, ask.wave_no, 'campaign', account)
      return limit_answer(CLAIMS_PER_CLAIMANT_MAX, nth, line)
    end
    -- A request_no names one claim of a wave. Under it another offer cannot be meant as a second claim.
    local nth, line = held_line(record, ask, account)
    return line and limit_answer(0, nth, line) or nil
  end

  return granted_before, limit_reached
end
