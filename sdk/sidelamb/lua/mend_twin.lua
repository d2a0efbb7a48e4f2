-- mend_twin: removes one of two copies of a job, if the other is still where it was.
--
-- KEYS  1 where the copy to keep is   2 where the other one is (list, zset or hash, each)
-- ARGV  1 the copy to keep: its bytes, or its field in a hash   2 the same of the other   3 lease id of the other, or ''
-- RETURNS 1 if the other was removed
--
-- KEEPS the last copy of a job is never removed. A job in a claimed lease is never the other. REPEAT safe.

local function kind(key) return redis.call('TYPE', key).ok end
local function times(key, item)
  local t = kind(key)
  if t == 'list' then return #redis.call('LPOS', key, item, 'COUNT', 2) end
  if t == 'zset' then return redis.call('ZSCORE', key, item) and 1 or 0 end
  if t == 'hash' then return redis.call('HEXISTS', key, item) end
  return 0
end
local needed = (KEYS[1] == KEYS[2] and ARGV[1] == ARGV[2]) and 2 or 1
if times(KEYS[1], ARGV[1]) < needed or times(KEYS[2], ARGV[2]) == 0 then return 0 end
local t = kind(KEYS[2])
if t == 'list' then return redis.call('LREM', KEYS[2], 1, ARGV[2]) end
if t == 'zset' then return redis.call('ZREM', KEYS[2], ARGV[2]) end
if redis.call('HEXISTS', KEYS[2], 'claim') == 1 then return 0 end
return redis.call('HDEL', KEYS[2], ARGV[2])
