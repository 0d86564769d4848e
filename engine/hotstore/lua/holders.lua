-- holders.lua (included): how numbers stand in the lines of holder records (hotstore/records.py).

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
