-- include _effects
-- include _admit
-- batch_stage: keeps jobs of a batch where nobody runs them, until batch_go or their time is over.
--
-- KEYS  1 staged queues' names (set)   2 staged for the schedule (zset)   3.. Q staged lists, then keys of effects
-- ARGV  1 they live so many ms, then as _admit has it
-- RETURNS as admit
--
-- KEEPS nothing of what is staged can be reserved, and nothing of it is a member of its batch yet. If nobody comes
--       for it, it goes by itself.
-- REPEAT not safe: a second call stages second copies. OOM: refused.

local answers = admit(2)
if answers.err then return answers end
for k = 1, 2 + tonumber(ARGV[2]) do redis.call('PEXPIRE', KEYS[k], ARGV[1]) end
return answers
