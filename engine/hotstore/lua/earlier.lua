-- earlier.lua (included, behind holders.lua): holder records as earlier versions wrote them (hotstore/records.py).

-- A record in the form of today; before there was a base, its first line was a count, and numbers stood in full.
local function in_short(record, base)
  if string.byte(record) == 10 then return record end
  local LONG_LINE = '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),([^,]*),(.*)$'
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
