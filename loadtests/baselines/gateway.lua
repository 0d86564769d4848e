-- gateway.lua: the nginx baseline. POST is a claim and one EVALSHA; GET is a status page that is a second old at most.
--
-- Hand-tuned: one send and one receive a request on a pooled connection, requests to Redis put together from pieces that
-- are made once a wave, no library in between, no table built for JSON. The user comes in a header; no login is checked.

local REDIS_HOST, REDIS_PORT = '127.0.0.1', @REDIS_PORT@
local AUTH = '*2\r\n$4\r\nAUTH\r\n$@PASSWORD_LENGTH@\r\n@PASSWORD@\r\n'
local POOL_MS, POOL_SIZE = 60000, 1024
local STATUS_AGE_MAX_S = 1
local LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'

local byte, find, sub = string.byte, string.find, string.sub
local random, tcp, now = math.random, ngx.socket.tcp, ngx.now
local read_body, body_of = ngx.req.read_body, ngx.req.get_body_data

local gateway = {}
local waves = {}

local function bulk(text)
  return '$' .. #text .. '\r\n' .. text .. '\r\n'
end

local function connection()
  local socket = tcp()
  socket:settimeouts(2000, 5000, 5000)
  local connected, err = socket:connect(REDIS_HOST, REDIS_PORT, {pool_size = POOL_SIZE})
  if not connected then return nil, err end
  if socket:getreusedtimes() == 0 then
    socket:send(AUTH)
    local line = socket:receive()
    if line ~= '+OK' then return nil, line end
  end
  return socket
end

-- One request, one line of an answer; a bulk answer's text.
local function call(request)
  local socket, err = connection()
  if not socket then return nil, err end
  local sent, failed = socket:send(request)
  if not sent then return nil, failed end
  local line, broken = socket:receive()
  if line and byte(line, 1) == 36 and line ~= '$-1' then line, broken = socket:receive() end
  if not line then return nil, broken end
  socket:setkeepalive(POOL_MS, POOL_SIZE)
  return line
end

-- What is asked of Redis for a wave, made once; the path names the wave. Its opening is a second of Unix time.
local function wave_of(uri)
  local wave = waves[uri]
  if wave then return wave end
  local name = string.match(uri, '^/v1/waves/([%w-]+)')
  if not name then return nil end
  local tag = '{' .. name .. '}'
  local opens = call('*2\r\n$3\r\nGET\r\n' .. bulk(tag .. ':opens'))
  local stock = call('*2\r\n$3\r\nGET\r\n' .. bulk(tag .. ':stock'))
  if not opens or not stock or opens == '$-1' or stock == '$-1' then return nil end
  wave = {
    opens_s = tonumber(opens), stock = tonumber(stock),
    count = '*2\r\n$4\r\nHLEN\r\n' .. bulk(tag .. ':holders'),
    claim = '*8\r\n$7\r\nEVALSHA\r\n$40\r\n@SHA@\r\n$1\r\n2\r\n'
      .. bulk(tag .. ':holders') .. bulk(tag .. ':log') .. '$',
    claim_end = '\r\n' .. bulk(stock),
    status = '', status_at_s = 0,
  }
  waves[uri] = wave
  return wave
end

-- Ten letters that nobody guesses by counting.
local function new_code()
  local a, b = random(0, 0x1ffffff), random(0, 0x1ffffff)
  local code = ''
  for _ = 1, 5 do
    local x, y = a % 32 + 1, b % 32 + 1
    a, b = (a - x + 1) / 32, (b - y + 1) / 32
    code = code .. sub(LETTERS, x, x) .. sub(LETTERS, y, y)
  end
  return code
end

local function answer(status, body)
  ngx.status = status
  local header = ngx.header
  header['Content-Type'] = 'application/json'
  header['Content-Length'] = #body
  ngx.print(body)
end

function gateway.claim()
  local wave = wave_of(ngx.var.uri)
  if not wave then return answer(404, '{"code":"unknown_wave"}') end
  read_body()
  local body = body_of()
  if not body or not find(body, '"offer"%s*:%s*"@OFFER_PATTERN@"') then return answer(400, '{"code":"unknown_offer"}') end
  local user = ngx.var.http_x_user
  if not user then return answer(401, '{"code":"unauthenticated"}') end
  if now() < wave.opens_s then return answer(409, '{"code":"not_open"}') end
  local code = new_code()
  local line = call({wave.claim, #user, '\r\n', user, '\r\n$10\r\n', code, wave.claim_end})
  if not line then return answer(503, '{"code":"outcome_unknown"}') end
  if sub(line, 1, 5) == '+new ' then
    return answer(201, '{"status":"claimed","claim":{"offer":"@OFFER@","code":"' .. code .. '","sequence":' .. sub(line, 6) .. '}}')
  end
  if sub(line, 1, 6) == '+held ' then
    return answer(200, '{"status":"claimed","claim":{"offer":"@OFFER@","code":"' .. sub(line, 7) .. '"}}')
  end
  if line == '+sold_out' then return answer(409, '{"code":"sold_out"}') end
  ngx.log(ngx.ERR, line)
  return answer(500, '{"code":"internal"}')
end

function gateway.status()
  local wave = wave_of(ngx.var.uri)
  if not wave then return answer(404, '{"code":"unknown_wave"}') end
  local at_s = now()
  if at_s - wave.status_at_s > STATUS_AGE_MAX_S then
    wave.status_at_s = at_s
    local given = call(wave.count)
    wave.status = '{"state":"open","left":{"@OFFER@":' .. (given and wave.stock - tonumber(sub(given, 2)) or 'null') .. '}}'
  end
  return answer(200, wave.status)
end

math.randomseed(ngx.worker.pid() * 7919 + ngx.time())
return gateway
