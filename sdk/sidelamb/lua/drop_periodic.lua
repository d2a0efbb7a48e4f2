-- drop_periodic: a person takes a periodic job out.
--
-- KEYS  1 records (hash)   2 due (zset)   3 paused (set)   4 last ticks (hash)   5 owners (hash)   6 its history (list)
-- ARGV  1 name
-- RETURNS 1 if it was there, else 0
--
-- KEEPS it is gone whole. REPEAT safe. OOM: goes through, for it only removes.

local name = ARGV[1]
local there = redis.call('HEXISTS', KEYS[1], name)
redis.call('ZCARD', KEYS[2])
redis.call('SCARD', KEYS[3])
redis.call('HLEN', KEYS[4])
redis.call('HLEN', KEYS[5])
redis.call('LLEN', KEYS[6])
redis.call('HDEL', KEYS[1], name)
redis.call('ZREM', KEYS[2], name)
redis.call('SREM', KEYS[3], name)
redis.call('HDEL', KEYS[4], name)
redis.call('HDEL', KEYS[5], name)
redis.call('DEL', KEYS[6])
return there
