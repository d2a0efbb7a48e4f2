-- Effects of unique jobs. A lock is a string: the id of the job that holds it.
--
-- lock      keys: 1 the lock   2 all locks (zset by epoch s when each ends by itself)
--           args: 1 jid   2 it is held for so many ms at most   3 the lock's name   4 until, epoch s   5 now
-- relock    the same, where nobody is refused: takes the lock if no other job holds it
-- unlock    keys: the same   args: 1 jid   2 the lock's name   does nothing to the lock of another job

local FORGOTTEN = 10 -- names of locks that have ended by themselves go with each new lock, so many at most

local function checked_lock(e)
  read_as('GET', e.keys[1])
  read_as('ZCARD', e.keys[2])
  if not (finite(tonumber(e.args[2])) and finite(tonumber(e.args[4])) and finite(tonumber(e.args[5]))) then
    return 'ERR a time of a lock is not a finite number'
  end
end

local function take_lock(e)
  local ended = redis.call('ZRANGEBYSCORE', e.keys[2], '-inf', e.args[5], 'LIMIT', 0, FORGOTTEN)
  if #ended > 0 then redis.call('ZREM', e.keys[2], unpack(ended)) end
  redis.call('SET', e.keys[1], e.args[1], 'PX', e.args[2])
  redis.call('ZADD', e.keys[2], e.args[4], e.args[3])
end

VERBS.lock = {
  check = checked_lock,
  refuses = function(e)
    local holder = redis.call('GET', e.keys[1])
    if holder and holder ~= e.args[1] then return holder end
  end,
  apply = take_lock,
}

VERBS.relock = {
  check = checked_lock,
  apply = function(e)
    local holder = redis.call('GET', e.keys[1])
    if not holder or holder == e.args[1] then take_lock(e) end
  end,
}

VERBS.unlock = {
  check = function(e)
    read_as('GET', e.keys[1])
    read_as('ZCARD', e.keys[2])
  end,
  apply = function(e)
    if redis.call('GET', e.keys[1]) ~= e.args[1] then return end
    redis.call('DEL', e.keys[1])
    redis.call('ZREM', e.keys[2], e.args[2])
  end,
}
