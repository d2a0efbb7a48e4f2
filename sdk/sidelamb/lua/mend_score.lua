-- mend_score: gives an entry without a usable time the present one.
--
-- KEYS  1 schedule, retry or dead (zset)
-- ARGV  1 the entry   2 now, epoch s
-- RETURNS 1 if it was there, and without a finite score
--
-- REPEAT safe.

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or finite(tonumber(score)) or not finite(tonumber(ARGV[2])) then return 0 end
redis.call('ZADD', KEYS[1], 'XX', ARGV[2], ARGV[1])
return 1
