-- resume: a person has a paused periodic job's ticks count again.
--
-- KEYS  1 paused (set)   2 due (zset)   ARGV  1 name   2 now   RETURNS 1 if it was paused, else 0
--
-- KEEPS ticks that came while it was paused are gone, also those that no scheduler has seen: its next is looked for
--       from now on. REPEAT safe. OOM: goes through, for it removes first.

local wrong = not_times(2)
if wrong then return wrong end
redis.call('SCARD', KEYS[1])
local score = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '')
if redis.call('SREM', KEYS[1], ARGV[1]) == 0 then return 0 end
local now = tonumber(ARGV[2])
if score and score <= now then redis.call('ZADD', KEYS[2], -now, ARGV[1]) end
return 1
