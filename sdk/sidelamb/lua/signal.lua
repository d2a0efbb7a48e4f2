-- signal: a person tells a process to be quiet or to stop.
--
-- KEYS  1 processes (set)   2 <identity>-signals (list)
-- ARGV  1 identity   2 TSTP or TERM   3 seconds after which an unread signal is forgotten
-- RETURNS 1 if there is such a process
--
-- REPEAT harmless: a process obeys a signal twice as once.

if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
