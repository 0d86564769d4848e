-- brief.lua (included in claim.lua): what deciding needs of a wave and of the campaign's rules, in a form that is read
-- fast.

-- Out of their JSON; nil where there is no such wave. `act` is the number of the last act: until there is another, it
-- holds. Offers are lines `offer:total:terms:value`, a newline before each; limits are `max per`, one behind the other.
local function in_brief(act, wave, rules)
  if not wave then return nil end
  wave, rules = cjson.decode(wave), cjson.decode(rules)
  local offers, limits, cap = {''}, {}, rules.cap
  for offer_no, offer in pairs(wave.offers) do
    offers[#offers + 1] = table.concat({offer_no, whole(offer.total), whole(offer.terms), whole(offer.value)}, ':')
  end
  for place, limit in ipairs(rules.limits) do limits[place] = whole(limit.max) .. ' ' .. limit.per end
  return cmsgpack.pack(
    act, wave.state, wave.reason, wave.opens_ms, wave.closes_ms, wave.closed_ms, wave.round, wave.day,
    table.concat(offers, '\n'), rules.stopped, table.concat(limits, ' '),
    cap.claims ~= cjson.null and cap.claims, cap.value ~= cjson.null and cap.value)
end

-- Each by its name; a cap that the rules do not have is infinite.
local function of_brief(brief)
  local act, state, reason, opens_ms, closes_ms, closed_ms, round, day, offers, stopped, limits, cap_claims, cap_value =
    cmsgpack.unpack(brief)
  return {
    act = act, state = state, reason = reason, opens_ms = opens_ms, closes_ms = closes_ms, closed_ms = closed_ms,
    round = round, day = day, offers = offers, stopped = stopped, limits = limits,
    cap_claims = cap_claims or math.huge, cap_value = cap_value or math.huge, is_open = false,
  }
end
