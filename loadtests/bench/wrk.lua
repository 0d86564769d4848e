-- wrk.lua: every request another user. Arguments (after wrk's own `--`):
--   1 file of users: a header line each, such as "Authorization: Ticket …", all of one length and with random letters at
--     their end
--   2 path of the claims   3 body ('' for none)   4 how often each user asks in a row
--   5 path of the status page   6 how many polls of it come before each claim (0: none)
-- Prints one line of JSON at the end. There is no `response` function: it would cost more than the request does.

local threads = {}
function setup(thread)
  threads[#threads + 1] = thread
end

local users, count = {}, 0
local before, after, poll = '', '', ''
local repeats, polls = 1, 0
sent = 0 -- claims; read from outside by its name

local function agent(length)
  return 'User-Agent: ' .. string.rep('w', length) .. '\r\n'
end

-- LuaJIT hashes a long string by a few of its letters: four at the start, at a quarter, in the middle and at the end.
-- Requests differ only in their user, and where none of the four lies there, all of them fall on one chain, which makes wrk
-- ten times slower. So the user's line is put where its end is the middle: what stands around it is filled up.
local function arrange(path, body)
  local post = 'POST ' .. path .. ' HTTP/1.1\r\n'
  local headers = '\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n'
    .. (body ~= '' and 'Content-Type: application/json\r\n' or '') .. 'Content-Length: ' .. #body .. '\r\n'
  local too_long = #headers + 2 + #body - (#post + #users[1] - 4)
  local fixed = #agent(0)
  if too_long >= 0 then
    before, after = post .. agent(math.max(0, too_long - fixed)), headers .. '\r\n' .. body
  else
    before, after = post, headers .. agent(math.max(0, -too_long - fixed)) .. '\r\n' .. body
  end
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    count = count + 1
    users[count] = line
  end
  arrange(arguments[2], arguments[3])
  repeats = tonumber(arguments[4])
  poll = 'GET ' .. arguments[5] .. ' HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n'
  polls = tonumber(arguments[6])
end

local floor = math.floor
local turn = 0

function request()
  if polls > 0 then
    turn = turn + 1
    if turn % (polls + 1) ~= 0 then return poll end
  end
  local user = floor(sent / repeats) % count + 1
  sent = sent + 1
  return before .. users[user] .. after
end

function done(summary, latency, _)
  local claims = 0
  for _, thread in ipairs(threads) do claims = claims + thread:get('sent') end
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"bytes":%d,"claims_sent":%d,"other_status":%d,"broken":%d,' ..
    '"p50_us":%d,"p99_us":%d,"p999_us":%d,"longest_us":%d}\n',
    summary.requests, summary.duration, summary.bytes, claims, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
