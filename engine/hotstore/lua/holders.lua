-- holders.lua (included): the lines of holder records in Lua (hotstore/records.py).

-- Wave, offer and account of a line; nothing of the line of a claim that was voided.
local LINE = '^(%d+):%d+:(%d+):[^:]*:%w+:%w+:%d+:[^:]*:[^,]*,?(.*)$'
local LONG_LINE = '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),([^,]*),(.*)$'

local DIGITS = {
  [0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l',
  'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
}

local function in_36(number)
  if number < 0 then return '-' .. in_36(-number) end
  local text = ''
  repeat
    local digit = number % 36
    text, number = DIGITS[digit] .. text, (number - digit) / 36
  until number == 0
  return text
end

-- The epoch as a line tells it.
local function epoch_in_line(epoch, base)
  return epoch == base and '' or in_36(epoch - base)
end

-- A record in the form of today; before there was a base, its first line was a count, and numbers stood in full.
local function in_short(record, base)
  if string.byte(record) == 10 then return record end
  local lines = {''}
  for line in string.gmatch(record, '\n([^\n]+)') do
    local wave, request, offer, epoch, sequence, unit, terms, claimed_at, code, account = string.match(line, LONG_LINE)
    if wave then
      line = table.concat({wave, request, offer, epoch_in_line(tonumber(epoch), base), in_36(tonumber(sequence)),
        in_36(tonumber(unit)), terms, in_36(claimed_at - base), account == '' and code or code .. ',' .. account}, ':')
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, '\n')
end
