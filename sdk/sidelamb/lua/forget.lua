-- forget: removes what jobs that are done have left between their executions, and their marks.
--
-- KEYS  1 sidelamb:cancelled (zset)   2.. it-<jid> (hashes)
-- ARGV  their jids
-- RETURNS how many hashes there were
--
-- REPEAT changes nothing.

redis.call('ZCARD', KEYS[1])
local there = 0
for i = 2, #KEYS, CHUNK do
  there = there + redis.call('UNLINK', unpack(KEYS, i, math.min(i + CHUNK - 1, #KEYS)))
end
call_in_chunks('ZREM', KEYS[1], ARGV, 1, #ARGV)
return there
