-- unqueue: a person deletes jobs that wait in a queue.
--
-- KEYS  1 the queue, or its alone list (list)
-- ARGV  payloads, each to be deleted once
-- RETURNS how many were there
--
-- KEEPS of two who delete one job at once one does. REPEAT deletes the same bytes once more, if they stand twice.

local n = 0
for _, payload in ipairs(ARGV) do n = n + redis.call('LREM', KEYS[1], 1, payload) end
return n
