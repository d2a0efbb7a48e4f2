-- include nothing
-- push: pushes one job onto its queue and makes the queue known. What `enqueue` does, for the commonest call of all.
--
-- KEYS  1 queues (set)   2 the queue (list)
-- ARGV  1 its name   2 the payload
-- RETURNS how many jobs were pushed
--
-- KEEPS all or nothing. Not safe to repeat: a second call pushes a second copy.
-- OOM   the first write is refused by a full Redis; nothing is stored then.

redis.call('LLEN', KEYS[2])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
