-- mend_queue: lists a queue that holds jobs and is not among the known ones.
--
-- KEYS  1 queues (set)   2 the queue (list)   3 its alone list (list)
-- ARGV  1 its name
-- RETURNS 1 if it was added
--
-- REPEAT safe.

if redis.call('LLEN', KEYS[2]) + redis.call('LLEN', KEYS[3]) == 0 then return 0 end
return redis.call('SADD', KEYS[1], ARGV[1])
