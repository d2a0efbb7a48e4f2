-- checkpoint: writes down how far an iterable job has come, and says whether it was cancelled meanwhile.
--
-- KEYS  1 it-<jid> (hash)
-- ARGV  1 executions, this one included   2 cursor, JSON text   3 seconds it has run, over all executions
--       4 executions in a row that did not move the cursor   5 seconds to live
-- RETURNS 1 cancelled; 0 not
--
-- KEEPS Sidekiq's fields ex, c, rt; our own, st, is there only while it says something.
-- REPEAT safe: writes the same.
-- OOM   the first write is a removal, so a full Redis does not make a running job forget its place.

redis.call('HDEL', KEYS[1], 'c', 'st')
redis.call('HSET', KEYS[1], 'ex', ARGV[1], 'c', ARGV[2], 'rt', ARGV[3])
if ARGV[4] ~= '0' then redis.call('HSET', KEYS[1], 'st', ARGV[4]) end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return redis.call('HEXISTS', KEYS[1], 'cancelled')
