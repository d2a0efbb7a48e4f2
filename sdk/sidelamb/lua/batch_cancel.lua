-- batch_cancel: no more jobs come into a batch, and it will not succeed.
--
-- KEYS  1 the batch (hash)   2 pending   3 children (sets)
-- ARGV  1 now, epoch s
-- RETURNS { whether there is such a batch, its members that are not through, the batches in it }
--
-- KEEPS what is over stays as it is.
-- REPEAT safe: the time of the first stays. OOM: refused.

local refused = not_times(1)
if refused then return refused end
local members, children = redis.call('SMEMBERS', KEYS[2]), redis.call('SMEMBERS', KEYS[3])
local is = redis.call('HMGET', KEYS[1], 'created', 'over')
if not is[1] then return { 0, {}, {} } end
if not is[2] then redis.call('HSETNX', KEYS[1], 'cancelled', ARGV[1]) end
return { 1, members, children }
