-- mend_lease: makes those agree that know a lease: its hash, the set of leases, its capsule's slots.
--
-- KEYS  1 leases (zset)   2 the lease (hash)   3 slots of a capsule (set)
-- ARGV  1 lease id   2 now, epoch s   3 that capsule   4 how many seconds after its claim an invocation may live
-- RETURNS 1 if something was changed
--
-- Of a capsule that is not the lease's own, only the slot is freed. A lease without jobs goes. Else: fields that are
-- none of a lease's go; capsule and poller are added. A lease without a claim that can be read, and not open, counts
-- as claimed by nobody who could name it: nobody claims it again, nobody is charged. One that is both is claimed.
-- One without a time expires: open, now; claimed, when its invocation can no longer be alive.
-- KEEPS no job is removed; none runs while its invocation may be alive. REPEAT safe. OOM: removals first.

local refused = not_times(2)
if refused then return refused end
local key, id = KEYS[2], ARGV[1]
local changed = 0
local known, slot = redis.call('ZSCORE', KEYS[1], id), redis.call('SISMEMBER', KEYS[3], id)
if ARGV[3] ~= (string.match(id, '^(.*):[^:]*$') or '') then return redis.call('SREM', KEYS[3], id) end

local jobs, has, strange = 0, {}, {}
local own = { capsule = true, poller = true, open = true, claim = true }
for _, field in ipairs(redis.call('HKEYS', key)) do
  if is_job(field) then jobs = jobs + 1 elseif own[field] then has[field] = true else strange[#strange + 1] = field end
end
if jobs == 0 then
  return math.min(1, redis.call('DEL', key) + redis.call('ZREM', KEYS[1], id) + redis.call('SREM', KEYS[3], id))
end

local claim = redis.call('HGET', key, 'claim')
local since = claim and tonumber(string.match(claim, '^[!-~]+ ([%d.]+) ?%d*$'))
if has.claim and has.open then
  strange[#strange + 1] = 'open'
  has.open = nil
end
if #strange > 0 then changed = 1; call_in_chunks('HDEL', key, strange, 1, #strange) end
if redis.call('HGET', key, 'capsule') ~= ARGV[3] then changed = 1; redis.call('HSET', key, 'capsule', ARGV[3]) end
if not has.poller then changed = 1; redis.call('HSET', key, 'poller', '') end
if not since and not has.open then
  changed, since = 1, ARGV[2]
  redis.call('HSET', key, 'claim', 'mended/0 ' .. ARGV[2] .. ' 0')
end
if not known or not finite(tonumber(known)) then
  changed = 1
  redis.call('ZADD', KEYS[1], has.open and ARGV[2] or math.max(tonumber(ARGV[2]), since + ARGV[4]), id)
end
if slot == 0 then changed = 1; redis.call('SADD', KEYS[3], id) end
return changed
