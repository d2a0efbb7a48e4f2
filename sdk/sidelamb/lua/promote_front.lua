-- promote_front: moves the first entries of a set to their queues, if they are still those that were looked at.
-- What `promote` does, where all of them are well and need nothing but the time: then nobody sends their bytes.
--
-- KEYS  1 schedule or retry (zset)   2 queues (set)   3.. queues' lists
-- ARGV  1 now, epoch s   2 how many   3 their bytes, joined by newlines, of which they have none
--       4 what stands in the place of their last byte, a brace, when they are pushed
--       5 Q, then Q queue names in the order of their lists
--       then runs: how many entries, and the index of their list in KEYS
-- RETURNS how many were promoted: all, or 0 if one is not there, not due, or its queue is no list
--
-- KEEPS an entry moves only if its old bytes are still there and due; two passes at once move it once.
--       None is decoded: that they are JSON objects which may be added to is known of exactly these bytes.
-- REPEAT safe, by bytes. OOM: the first write is a removal.

local refused = not_times(1)
if refused then return refused end
local count, Q = tonumber(ARGV[2]), tonumber(ARGV[5])
redis.call('SCARD', KEYS[2])
for q = 1, Q do
  if not length_of(KEYS[2 + q]) then return 0 end
end
local front = redis.call('ZRANGE', KEYS[1], 0, count - 1)
if #front < count or tonumber(redis.call('ZSCORE', KEYS[1], front[count])) > tonumber(ARGV[1]) then return 0 end
local seen, ending, at, find, byte, sub = ARGV[3], ARGV[4], 1, string.find, string.byte, string.sub
for i = 1, count do
  local member = front[i]
  if find(seen, member, at, true) ~= at then return 0 end
  at = at + #member + 1
  if byte(seen, at - 1) ~= (i < count and 10 or nil) then return 0 end
  front[i] = sub(member, 1, -2) .. ending
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, count - 1)
call_in_chunks('SADD', KEYS[2], ARGV, 6, 5 + Q)
local from = 1
for i = 6 + Q, #ARGV, 2 do
  local last = from + tonumber(ARGV[i]) - 1
  call_in_chunks('LPUSH', KEYS[tonumber(ARGV[i + 1])], front, from, last)
  from = last + 1
end
return count
