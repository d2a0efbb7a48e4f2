-- Effects of jobs under a limit. Each refuses with the seconds until it is worth another try, and why.
-- Those that take note the limit, so that it can be listed; their keys and last arguments are:
--         keys: 2 all limits (zset by epoch s when nothing more is known of one)   3 their numbers (hash)
--         args: behind the limit's name <kind>:<name>, then its numbers, as text
--
-- hold    keys: 1 who holds a slot (zset by epoch s when it ends by itself)
--         args: 1 holder   2 now   3 until   4 most holders   5 seconds to wait   6 the limit's name
--               9.. holders whose runs are over, though nobody has written that down yet: their slots are free
-- free    keys: 1 the same   args: 1 holder   gives the slot back
-- pass    keys: 1 who passed when (zset by epoch s)
--         args: 1 passer   2 now   3 most in the window   4 the window, s   5 the limit's name
-- fill    keys: 1 when the bucket is empty again, epoch s (string)
--         args: 1 now   2 seconds that one takes   3 most at once   4 the limit's name
-- reset   keys: 1 any of them   2, 3 as above   args: 1 <kind>:<name>   forgets all of it

local UNUSED = 10 -- limits that nobody uses any more are forgotten by who takes of another, so many at most

local function checked(e, command, ...)
  read_as(command, e.keys[1])
  read_as('ZCARD', e.keys[2])
  read_as('HLEN', e.keys[3])
  for _, a in ipairs({ ... }) do
    if not finite(tonumber(e.args[a])) then return 'ERR a time of a limit is not a finite number' end
  end
end

local function precise(n) return string.format('%.6f', n) end

local function note(e, at, now, until_s)
  local gone = redis.call('ZRANGEBYSCORE', e.keys[2], '-inf', now, 'LIMIT', 0, UNUSED)
  if #gone > 0 then
    redis.call('ZREM', e.keys[2], unpack(gone))
    redis.call('HDEL', e.keys[3], unpack(gone))
  end
  redis.call('ZADD', e.keys[2], precise(until_s), e.args[at])
  redis.call('HSET', e.keys[3], e.args[at], e.args[at + 1])
end

VERBS.hold = {
  check = function(e) return checked(e, 'ZCARD', 2, 3, 4) end,
  refuses = function(e)
    local key = e.keys[1]
    redis.call('ZREMRANGEBYSCORE', key, '-inf', e.args[2])
    if #e.args > 8 then redis.call('ZREM', key, unpack(e.args, 9)) end
    if redis.call('ZSCORE', key, e.args[1]) then return end
    if redis.call('ZCARD', key) >= tonumber(e.args[4]) then return e.args[5] .. ' over the limit ' .. e.args[6] end
  end,
  apply = function(e)
    redis.call('ZADD', e.keys[1], e.args[3], e.args[1])
    local last = math.ceil(tonumber(redis.call('ZRANGE', e.keys[1], -1, -1, 'WITHSCORES')[2])) + 1
    redis.call('EXPIREAT', e.keys[1], last)
    note(e, 7, e.args[2], last)
  end,
}

VERBS.free = {
  check = function(e) read_as('ZCARD', e.keys[1]) end,
  apply = function(e) redis.call('ZREM', e.keys[1], e.args[1]) end,
}

VERBS.pass = {
  check = function(e) return checked(e, 'ZCARD', 2, 3, 4) end,
  refuses = function(e)
    local key, now, most, window = e.keys[1], tonumber(e.args[2]), tonumber(e.args[3]), tonumber(e.args[4])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', precise(now - window))
    if redis.call('ZSCORE', key, e.args[1]) then return end
    local over = redis.call('ZCARD', key) - most
    if over < 0 then return end
    local oldest = redis.call('ZRANGE', key, over, over, 'WITHSCORES')[2]
    return string.format('%.3f over the limit %s', math.max(0.001, tonumber(oldest) + window - now), e.args[5])
  end,
  apply = function(e)
    redis.call('ZADD', e.keys[1], e.args[2], e.args[1])
    redis.call('PEXPIRE', e.keys[1], math.ceil(tonumber(e.args[4]) * 1000))
    note(e, 6, e.args[2], e.args[2] + e.args[4])
  end,
}

VERBS.fill = {
  check = function(e) return checked(e, 'STRLEN', 1, 2, 3) end,
  refuses = function(e)
    local now, takes, most = tonumber(e.args[1]), tonumber(e.args[2]), tonumber(e.args[3])
    local empty = tonumber(redis.call('GET', e.keys[1]) or now) or now
    local wait = empty + takes - now - most * takes
    if wait > 0.0005 then return string.format('%.3f over the limit %s', wait, e.args[4]) end
  end,
  apply = function(e)
    local now, takes = tonumber(e.args[1]), tonumber(e.args[2])
    local empty = math.max(now, tonumber(redis.call('GET', e.keys[1]) or now) or now) + takes
    redis.call('SET', e.keys[1], precise(empty), 'PX', math.ceil((empty - now) * 1000) + 1000)
    note(e, 5, e.args[1], empty)
  end,
}

VERBS.reset = {
  check = function(e)
    read_as('ZCARD', e.keys[2])
    read_as('HLEN', e.keys[3])
  end,
  apply = function(e)
    redis.call('DEL', e.keys[1])
    redis.call('ZREM', e.keys[2], e.args[1])
    redis.call('HDEL', e.keys[3], e.args[1])
  end,
}
