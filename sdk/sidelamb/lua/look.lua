-- look: what a poller must know once a second, in one round trip. Writes nothing.
--
-- KEYS  1 schedule   2 retry   3 leases (zsets)   4 paused (set)   5 due periodic jobs (zset)
--       6.. Q queues (list); then Q alone lists
-- ARGV  1 Q   2.. Q queue names
-- RETURNS { next due in schedule, next due in retry, next lease to expire, next periodic job (epoch s
--         or '', also if its key is somebody else's), then for each queue how many jobs wait, -1 if it is paused,
--         -2 if it is no list, because another program uses its key }

local function head(key)
  return redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or ''
end

local Q = tonumber(ARGV[1])
local reply = { head(KEYS[1]), head(KEYS[2]), head(KEYS[3]), '' }
local tick = redis.pcall('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
if not tick.err then reply[4] = tick[2] or '' end
local any_paused = redis.call('SCARD', KEYS[4]) > 0
for q = 1, Q do
  local waiting, alone = length_of(KEYS[5 + q]), length_of(KEYS[5 + Q + q]) or 0
  local n = waiting and waiting + alone or -2
  if any_paused and redis.call('SISMEMBER', KEYS[4], ARGV[1 + q]) == 1 then n = -1 end
  reply[4 + q] = n
end
return reply
