-- include _effects
-- include _moves
-- settle: writes down the outcomes of jobs of a lease; closes the lease with its last one.
--
-- KEYS  see _moves
-- ARGV  1 lease id   2 request id that must hold the claim, or '' for whoever holds it
--       3 day counters live so many s   4 dead entries older than this epoch s go   5 most dead entries
--       6 D, then D fields of jobs that simply succeeded, then moves and effects (see _moves)
-- RETURNS { jobs moved, jobs left in the lease }, then of each effect that was given up: field, verb, why;
--         { -1, 0 } if another request holds the claim
--
-- KEEPS a field that is not there any more is passed over: who comes second changes nothing.
-- REPEAT safe, by field.

local claim = redis.call('HGET', KEYS[2], 'claim')
if ARGV[2] ~= '' and claim and string.match(claim, '^%S+') ~= ARGV[2] then return { -1, 0 } end
redis.call('ZCARD', KEYS[1])
redis.call('SCARD', KEYS[3])
redis.call('ZCARD', KEYS[8])
local D = tonumber(ARGV[6])
local refused, list, given_up = not_times(4)
if not refused then refused, list, given_up = check(7 + D) end
if refused then return refused end
local done = {}
for i = 1, D do done[i] = ARGV[6 + i] end
local moved = apply(done, 7 + D, list, ARGV[3], ARGV[4], tonumber(ARGV[5]))
return { moved, close_if_empty(KEYS[2], KEYS[1], KEYS[3], ARGV[1]), unpack(given_up) }
