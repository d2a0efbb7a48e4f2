-- include _periodic
-- register: code writes down one periodic job, which stays until somebody drops it.
--
-- KEYS  1 records (hash)   2 due (zset)   3 owners (hash)   ARGV  1 name   2 record   3 now
-- RETURNS the source that declares it, and nothing was written; '' if it was
--
-- KEEPS what a source declares is changed there. REPEAT safe. OOM: refused before anything is written.

local wrong = not_times(3)
if wrong then return wrong end
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
local owner = redis.call('HGET', KEYS[3], ARGV[1])
if owner then return owner end
put(KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]))
return ''
