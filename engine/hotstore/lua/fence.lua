-- fence.lua (included): may this server decide for this epoch?
--
-- A Redis that restarted or was promoted has another master_replid than the one the steward bound the
-- shard to. It may lack acknowledged claims, so it decides nothing, and answers nothing that could mean
-- "no claim", until the steward has looked at it. Numbers alone could not tell: a stale copy soon
-- reaches the same ones.

local function store_time_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)  -- `..` would keep 14 digits
  return string.format('%d', number)
end

-- The incarnation of this server, or nil where it is not a master.
local function incarnation()
  local info = redis.call('INFO', 'replication')
  if not string.find(info, 'role:master', 1, true) then return nil end
  return string.match(info, 'master_replid:(%x+)')
end

-- nil where it may, and the last number that is told to be settled (a text, or false); else the reply that says why not.
local function fence(head, epoch, now)
  local bound = redis.call('HMGET', head, 'epoch', 'incarnation', 'settled')
  if not bound[1] or not bound[2] or bound[2] == '' then
    return {'fenced', whole(now), 'unbound'}
  end
  local info = redis.call('INFO', 'replication')  -- as `incarnation`, for half of its price
  if not string.find(info, 'role:master', 1, true)
      or not string.find(info, 'master_replid:' .. bound[2] .. '\r', 1, true) then
    return {'fenced', whole(now), 'not the incarnation it was bound to'}
  end
  if bound[1] ~= epoch then
    return {'epoch', whole(now), bound[1]}
  end
  return nil, bound[3]
end

-- Whether a later steward than the one with this term was here already.
local function lease_lost(head, term)
  local seen = redis.call('HGET', head, 'lease')
  return seen and tonumber(seen) > tonumber(term)
end
