-- cancelled: says which of some jobs are cancelled. Writes nothing.
--
-- KEYS  1 sidelamb:cancelled (zset)   ARGV  jids   RETURNS for each its time, false for one that is not

local out = {}
for i = 1, #ARGV, CHUNK do
  local last = math.min(i + CHUNK - 1, #ARGV)
  local part = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, i, last))
  for j = 1, last - i + 1 do out[i + j - 1] = part[j] end
end
return out
