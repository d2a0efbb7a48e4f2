-- deploy: notes a deploy for the graphs of Sidekiq's Metrics page.
--
-- KEYS  1 deploylock-<label> (string)   2 YYYYMMDD-marks of the UTC day (hash)
-- ARGV  1 the minute, ISO-8601 in UTC   2 label   3 the lock lives so many s   4 the marks live so many s
-- RETURNS 1 noted, now or by the same call before; 0 if the label was noted in the last minute, or another
--         label in the same minute
--
-- KEEPS the first label of a minute. However many machines deploy at once, there is one mark.
-- REPEAT safe: changes nothing. OOM: refused; nothing is stored then.

redis.call('HLEN', KEYS[2])
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[3]) then
  redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2])
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
return redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[2] and 1 or 0
