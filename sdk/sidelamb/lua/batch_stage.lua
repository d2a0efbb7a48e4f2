-- include _effects
-- include _admit
-- batch_stage: keeps jobs of a batch where nobody runs them, until batch_go or their time is over.
--
-- KEYS  1 staged queues' names (set)   2 staged for the schedule (zset)   3.. Q staged lists, then keys of effects;
--       the last: sidelamb:stages (zset by epoch s until when each is kept)
-- ARGV  1 they live so many ms   2 until, epoch s   3 the stage's name, then as _admit has it
-- RETURNS as admit
--
-- KEEPS nothing of what is staged can be reserved, and nothing of it is a member of its batch yet. If nobody comes
--       for it, it goes by itself.
-- REPEAT not safe: a second call stages second copies. OOM: refused.

local stages, refused = KEYS[#KEYS], not_times(2)
if refused then return refused end
redis.call('ZCARD', stages)
local answers = admit(4)
if answers.err then return answers end
for k = 1, 2 + tonumber(ARGV[4]) do redis.call('PEXPIRE', KEYS[k], ARGV[1]) end
redis.call('ZREMRANGEBYSCORE', stages, '-inf', '(' .. string.format('%.3f', ARGV[2] - ARGV[1] / 1000))
redis.call('ZADD', stages, ARGV[2], ARGV[3])
return answers
