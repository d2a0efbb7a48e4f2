-- overdue: what a scheduler's pass begins with. Writes nothing.
--
-- KEYS  1 leases (zset)   2 due periodic jobs (zset)   ARGV  1 now   2 leases at most   3 how many to pass over
-- RETURNS { ids of leases whose time is over, next periodic job (epoch s or ''; 0 if that key is somebody else's:
--         who looks there is told) }

local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', ARGV[3], ARGV[2])
local first = redis.pcall('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return { expired, first.err and '0' or first[2] or '' }
