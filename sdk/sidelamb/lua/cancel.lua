-- cancel: marks a job as cancelled, wherever it is; who runs it, or would, sees the mark.
--
-- KEYS  1 it-<jid> (hash)   2 sidelamb:cancelled (zset)
-- ARGV  1 jid   2 now, whole epoch s   3 seconds to live   4 marks older than this epoch s go
-- RETURNS 1 if it was not cancelled before, 0 if it was
--
-- KEEPS what the job has written of itself. Ruby's reader wants ex, c and rt beside the mark, also for a job that
--       never ran.
-- REPEAT safe: the time of the first mark stays, and it lives longer.
-- OOM   the first write is a removal, so that a full Redis can be relieved of jobs.

if not finite(tonumber(ARGV[2])) then return redis.error_reply('ERR a time is not a finite number') end
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[4])
local new = redis.call('HSETNX', KEYS[1], 'cancelled', ARGV[2])
redis.call('HSETNX', KEYS[1], 'ex', '0')
redis.call('HSETNX', KEYS[1], 'c', 'null')
redis.call('HSETNX', KEYS[1], 'rt', '0')
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return new
