-- clear: a person deletes a queue with all its jobs. It comes back with the next push.
--
-- KEYS  1 the queue (list)   2 its alone list (list)   3 queues (set)
-- ARGV  1 its name
-- RETURNS how many jobs there were
--
-- REPEAT safe.

local n = redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2])
redis.call('SCARD', KEYS[3])
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('SREM', KEYS[3], ARGV[1])
return n
