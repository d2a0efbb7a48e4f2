-- due: reads members whose time has come, earliest first. Writes nothing.
--
-- KEYS  1 a zset scored in epoch s   ARGV  1 now   2 at most   3 how many to pass over   RETURNS members
-- A poller asks this first, and so it is a command that every server has, also one that is too old and is told so.

return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', ARGV[3], ARGV[2])
