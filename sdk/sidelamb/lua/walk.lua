-- walk: reads the entries of a sorted set that come after a place, in the set's own order: by score, then by bytes.
--
-- KEYS  1 the set (zset)
-- ARGV  1, 2 score and bytes of the entry that the place is behind, whether it is still there or not
--       3 how many entries at most   4 after so many bytes it is enough
-- RETURNS { entry, score, … }
--
-- KEEPS changes nothing. Who goes on from the last entry that was read meets each that is there all the while once,
--       whatever comes and goes meanwhile.
-- REPEAT safe.

local key, score, bytes = KEYS[1], ARGV[1], ARGV[2]
local STEP = 10

-- Whether a comes before b, byte by byte as Redis orders them: Lua's own order follows a locale.
local function before(a, b)
  for at = 1, #a + 1, 256 do
    local p, q = string.sub(a, at, at + 255), string.sub(b, at, at + 255)
    if p ~= q then
      for i = 1, 256 do
        local x, y = string.byte(p, i) or -1, string.byte(q, i) or -1
        if x ~= y then return x < y end
      end
    end
  end
  return false
end

local here = redis.call('ZSCORE', key, bytes)
local first
if here and tonumber(here) == tonumber(score) then
  first = redis.call('ZRANK', key, bytes) + 1
else
  first = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local last = redis.call('ZCOUNT', key, '-inf', score)
  while first < last do
    local middle = math.floor((first + last) / 2)
    if before(bytes, redis.call('ZRANGE', key, middle, middle)[1]) then last = middle else first = middle + 1 end
  end
end

local found, left, size = {}, tonumber(ARGV[3]), 0
while left > 0 and size <= tonumber(ARGV[4]) do
  local part = redis.call('ZRANGE', key, first, first + math.min(STEP, left) - 1, 'WITHSCORES')
  for i = 1, #part do found[#found + 1] = part[i] end
  for i = 1, #part, 2 do size = size + #part[i] end
  if #part < 2 * math.min(STEP, left) then break end
  first, left = first + STEP, left - STEP
end
return found
