-- due: reads members whose time has come, earliest first. Writes nothing.
--
-- KEYS  1 a zset scored in epoch s   ARGV  1 now   2 at most   3 how many to pass over   RETURNS members

return redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', ARGV[3], ARGV[2])
