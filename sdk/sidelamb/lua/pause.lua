-- pause: a person stops or lets go a queue.
--
-- KEYS  1 paused (set)
-- ARGV  1 name of the queue   2 '1' to pause it, '0' to resume it
-- RETURNS 1 if that was a change
--
-- REPEAT safe.

return redis.call(ARGV[2] == '1' and 'SADD' or 'SREM', KEYS[1], ARGV[1])
