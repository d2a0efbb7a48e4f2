-- payloads: reads the stored bytes of some jobs of a lease. Writes nothing.
--
-- KEYS  1 the lease (hash)   ARGV  fields   RETURNS the bytes of each, false for one that is gone

local out = {}
for i = 1, #ARGV, CHUNK do
  local last = math.min(i + CHUNK - 1, #ARGV)
  local part = redis.call('HMGET', KEYS[1], unpack(ARGV, i, last))
  for j = 1, last - i + 1 do out[i + j - 1] = part[j] end
end
return out
