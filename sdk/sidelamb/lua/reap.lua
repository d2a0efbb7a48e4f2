-- include _effects
-- include _moves
-- reap: takes the jobs of a lease whose time is over and puts them where they go.
--
-- KEYS  see _moves
-- ARGV  1 lease id   2 now, epoch s   3 the claim as the caller read it, '' for unclaimed
--       4 day counters live so many s   5 dead entries older than this epoch s go   6 most dead entries
--       7.. moves and effects (see _moves)
-- RETURNS as settle; { -1, 0 } if the lease is not over, or was claimed or settled since it was read
--
-- KEEPS nothing is reaped whose invocation may be alive: unclaimed, it can never be claimed after this;
--       claimed, its deadline has passed. A lease without a hash is swept away.
-- REPEAT safe: the second call finds no lease.

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[2]) then return { -1, 0 } end
if (redis.call('HGET', KEYS[2], 'claim') or '') ~= ARGV[3] then return { -1, 0 } end
redis.call('SCARD', KEYS[3])
redis.call('ZCARD', KEYS[8])
local refused, list, given_up = not_times(2, 5)
if not refused then refused, list, given_up = check(7) end
if refused then return refused end
local moved = apply({}, 7, list, ARGV[4], ARGV[5], tonumber(ARGV[6]))
return { moved, close_if_empty(KEYS[2], KEYS[1], KEYS[3], ARGV[1]), unpack(given_up) }
