-- include _effects
-- unqueue: a person deletes jobs that wait in a queue.
--
-- KEYS  1 the queue, or its alone list (list), then the keys of effects
-- ARGV  1 N, then N payloads, each to be deleted once, then effects (see _effects), owned by the number of their
--       payload, from 1
-- RETURNS how many were there
--
-- KEEPS of two who delete one job at once one does. REPEAT deletes the same bytes once more, if they stand twice.

local N = tonumber(ARGV[1])
redis.call('LLEN', KEYS[1])
local list, refused = effects(2 + N)
if refused then return refused end
local n, is_there = 0, {}
for i = 1, N do
  local there = redis.call('LREM', KEYS[1], 1, ARGV[1 + i])
  n = n + there
  is_there[tostring(i)] = there > 0
end
apply_effects(list, is_there)
return n
