-- include _effects
-- drop: a person deletes the jobs at the right end of a list, of which some use features.
--
-- KEYS  1 the list   2 the other list of its queue   3 queues (set), then the keys of effects
-- ARGV  1 the queue's name   2 N, then N payloads as they stand at the right end, then effects (see _effects), owned
--       by the number of their payload, from 1
-- RETURNS N; 0 if something else stands there
--
-- KEEPS only jobs that were looked at go. A queue that is empty then is none any more. REPEAT safe. OOM: as unqueue.

local N = tonumber(ARGV[2])
redis.call('LLEN', KEYS[2])
redis.call('SCARD', KEYS[3])
local here = redis.call('LRANGE', KEYS[1], -N, -1)
local list, refused = effects(3 + N)
if refused then return refused end
local is_there = {}
for i = 1, N do
  if here[i] ~= ARGV[2 + i] then return 0 end
  is_there[tostring(i)] = true
end
redis.call('LTRIM', KEYS[1], 0, -(N + 1))
if redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]) == 0 then redis.call('SREM', KEYS[3], ARGV[1]) end
apply_effects(list, is_there)
return N
