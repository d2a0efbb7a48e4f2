-- recount: counts the jobs of a lease for the cap of their queue, which was not counted when they were reserved.
--
-- KEYS  1 leases (zset)   2 the lease (hash)   3 what is in flight of the queue (hash: lease id -> jobs)
-- ARGV  1 lease id   2 the queue
-- RETURNS how many jobs were counted; 0 if the lease is counted already, or gone
--
-- REPEAT changes nothing. OOM: refused.

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return 0 end
local n = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if is_job(field) and string.match(field, '^%d+[:!](.*)$') == ARGV[2] then n = n + 1 end
end
if n > 0 then redis.call('HSET', KEYS[3], ARGV[1], n) end
return n
