-- progress: a running job says how far it is.
--
-- KEYS  1 its status (hash)
-- ARGV  1 what it says, as JSON
-- RETURNS 1 if it was written, 0 if nobody keeps the status of this job any more
--
-- REPEAT safe. OOM: refused; the job goes on.

if redis.call('HEXISTS', KEYS[1], 'state') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'progress', ARGV[1])
return 1
