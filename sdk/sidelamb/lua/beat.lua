-- beat: a poller's heartbeat as one Sidekiq process: its hash, its work, its signals.
--
-- KEYS  1 processes (set)   2 identity (hash)   3 identity-signals (list)
--       4 identity:work (hash)   5 identity:workers (hash): the same for the Web UI of 6.4 and older
-- ARGV  1 identity   2 seconds to live   3 F, then F field, value pairs of the hash; then pairs of the work
-- RETURNS { signals, oldest first }
--
-- KEEPS the work is replaced as a whole; all hashes die by themselves when the poller does.

local F = tonumber(ARGV[3])
redis.call('SCARD', KEYS[1])
redis.call('HLEN', KEYS[2])
local signals = {}
while #signals < 10 do
  local signal = redis.call('RPOP', KEYS[3])
  if not signal then break end
  signals[#signals + 1] = signal
end
redis.call('UNLINK', KEYS[4], KEYS[5])
redis.call('SADD', KEYS[1], ARGV[1])
call_in_chunks('HSET', KEYS[2], ARGV, 4, 3 + 2 * F)
redis.call('EXPIRE', KEYS[2], ARGV[2])
if #ARGV > 3 + 2 * F then
  for k = 4, 5 do
    call_in_chunks('HSET', KEYS[k], ARGV, 4 + 2 * F, #ARGV)
    redis.call('EXPIRE', KEYS[k], ARGV[2])
  end
end
return signals
