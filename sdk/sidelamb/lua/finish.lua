-- finish: closes a lease all of whose jobs simply succeeded, whichever they are: what settle does, without a name.
--
-- KEYS  1 leases (zset)   2 the lease (hash)   3 slots of its capsule (set)
--       4 stat:processed   5 the same of the day (strings)
-- ARGV  1 lease id   2 request id that must hold the claim   3 day counters live so many s
--       4 how many jobs the lease must hold
-- RETURNS 1 done; 0 it holds another number of jobs, is gone, or is claimed by another: settle tells, field by field
--
-- KEEPS only who holds the claim takes jobs out of a claimed lease before its deadline, so the number says which.
-- REPEAT the second finds the lease gone and changes nothing. OOM: the first write is a removal.

redis.call('ZCARD', KEYS[1])
redis.call('SCARD', KEYS[3])
local refused = check_counter(KEYS[4]) or check_counter(KEYS[5])
if refused then return refused end
local claim, jobs = redis.call('HGET', KEYS[2], 'claim'), tonumber(ARGV[4])
if not claim or string.match(claim, '^%S+') ~= ARGV[2] then return 0 end
if redis.call('HLEN', KEYS[2]) - OTHER_FIELDS ~= jobs then return 0 end
redis.call('UNLINK', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
count(KEYS[4], KEYS[5], jobs, ARGV[3])
return 1
