-- claim: a worker takes a lease as its own before it runs the first job of it.
--
-- KEYS  1 leases (zset)   2 the lease (hash)   3 sidelamb:cancelled (zset; only looked whether it is there)
-- ARGV  1 lease id   2 request id of the invocation   3 now, epoch s
--       4 deadline: epoch s after which that invocation cannot be alive any more
-- RETURNS 1 claimed, now or by the same request before; 2 the same, and some jobs are cancelled, perhaps of these;
--         0 not there, or claimed by another
--
-- KEEPS a lease is claimed once. From here on it expires at its deadline.
-- REPEAT by request id: says so again and changes nothing.
-- OOM   the first write is a removal, so a full Redis lets jobs run.

if not finite(tonumber(ARGV[4])) then return redis.error_reply('ERR deadline is not a finite number') end
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local yes = 1 + redis.call('EXISTS', KEYS[3])
local claim = redis.call('HGET', KEYS[2], 'claim')
if claim then return string.match(claim, '^%S+') == ARGV[2] and yes or 0 end
local jobs = redis.call('HGET', KEYS[2], 'open')
if not jobs then return 0 end
redis.call('HDEL', KEYS[2], 'open')
redis.call('HSET', KEYS[2], 'claim', ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. jobs)
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
return yes
