-- mend_lease: makes the three places that know a lease agree: its hash, the set of leases, its capsule's slots.
--
-- KEYS  1 leases (zset)   2 the lease (hash)   3 slots of its capsule (set)
-- ARGV  1 lease id   2 now, epoch s
-- RETURNS 1 if something was changed
--
-- A lease with jobs that `leases` does not know expires now, so that the next pass of the scheduler reaps it.
-- KEEPS no job is removed: only a hash without jobs goes. REPEAT safe.

local refused = not_times(2)
if refused then return refused end
local jobs, changed = 0, 0
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if is_job(field) then jobs = jobs + 1 end
end
local known, slot = redis.call('ZSCORE', KEYS[1], ARGV[1]), redis.call('SISMEMBER', KEYS[3], ARGV[1])
if jobs == 0 then
  return math.min(1, redis.call('DEL', KEYS[2]) + redis.call('ZREM', KEYS[1], ARGV[1]) + redis.call('SREM', KEYS[3], ARGV[1]))
end
if not known or not finite(tonumber(known)) then changed = 1; redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
if slot == 0 then changed = 1; redis.call('SADD', KEYS[3], ARGV[1]) end
return changed
