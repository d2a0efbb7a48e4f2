-- Shared by all scripts: put before each when it is loaded. Touches no key by itself.

-- Arguments that are too many for one command come as one.
local ARGV = ARGV
if ARGV[1] == 'cmsgpack\0' then ARGV = cmsgpack.unpack(ARGV[2]) end

local CHUNK = 2000 -- arguments a command: ElastiCache Serverless takes 3,999, Lua's unpack about 8,000

local function finite(n) return n ~= nil and n == n and n ~= math.huge and n ~= -math.huge end

-- Returns an error reply if any of these arguments is no finite number.
local function not_times(...)
  for _, i in ipairs({ ... }) do
    if not finite(tonumber(ARGV[i])) then return redis.error_reply('ERR argument ' .. i .. ' is not a finite time') end
  end
end

-- Returns how many are in a list; nil for a key that is no list, because another program uses it.
local function length_of(key)
  local n = redis.pcall('LLEN', key)
  return type(n) == 'number' and n or nil
end

-- A lease's job fields begin with their index; its others (capsule, poller, open, claim) do not.
local function is_job(field)
  local b = string.byte(field, 1)
  return b >= 48 and b <= 57
end

local function call_in_chunks(command, key, list, from, to)
  while from <= to do
    local last = math.min(from + CHUNK - 1, to)
    redis.call(command, key, unpack(list, from, last))
    from = last + 1
  end
end

-- Returns an error reply if a counter is none.
local function check_counter(key)
  local value = redis.call('GET', key)
  if value and not string.match(value, '^%-?%d+$') then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is not a counter')
  end
end

-- Adds to a counter and to the same of the day, which lives so many seconds.
local function count(key, day_key, n, day_ttl)
  if n == 0 then return end
  redis.call('INCRBY', key, n)
  if redis.call('INCRBY', day_key, n) == n then redis.call('EXPIRE', day_key, day_ttl) end
end

-- Removes a lease that holds no job any more, and with it its slot.
local OTHER_FIELDS = 3 -- capsule, poller, and one of open and claim
local function close_if_empty(lease, leases, slots, id)
  local left = redis.call('HLEN', lease) - OTHER_FIELDS
  if left > 0 then return left end
  redis.call('DEL', lease)
  redis.call('ZREM', leases, id)
  redis.call('SREM', slots, id)
  return 0
end
