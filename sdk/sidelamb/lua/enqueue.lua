-- enqueue: pushes jobs onto their queues and makes the queues known.
--
-- KEYS  1 queues (set)   2.. Q queues (list)
-- ARGV  1 Q, then for each queue: name, how many, the payloads
-- RETURNS how many jobs were pushed
--
-- KEEPS all or nothing. Not safe to repeat: a second call pushes second copies.
-- OOM   the first write is refused by a full Redis; nothing is stored then.

local Q = tonumber(ARGV[1])
for q = 1, Q do redis.call('LLEN', KEYS[1 + q]) end
local names, at = {}, 2
for q = 1, Q do
  names[q] = ARGV[at]
  at = at + 2 + tonumber(ARGV[at + 1])
end
call_in_chunks('SADD', KEYS[1], names, 1, #names)
at = 2
local pushed = 0
for q = 1, Q do
  local n = tonumber(ARGV[at + 1])
  call_in_chunks('LPUSH', KEYS[1 + q], ARGV, at + 2, at + 1 + n)
  pushed = pushed + n
  at = at + 2 + n
end
return pushed
