-- schedule: puts jobs into the schedule, to be promoted when their time has come.
--
-- KEYS  1 schedule (zset)
-- ARGV  score (epoch s), payload; and so on
-- RETURNS how many entries are new
--
-- KEEPS all or nothing. A repeated call stores nothing twice: the bytes are the member.
-- OOM   refused; nothing is stored then.

for i = 1, #ARGV, 2 do
  if not finite(tonumber(ARGV[i])) then return redis.error_reply('ERR a time is not a finite number') end
end
local before = redis.call('ZCARD', KEYS[1])
call_in_chunks('ZADD', KEYS[1], ARGV, 1, #ARGV)
return redis.call('ZCARD', KEYS[1]) - before
