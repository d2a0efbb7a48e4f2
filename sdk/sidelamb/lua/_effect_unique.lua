-- Effects of unique jobs. A lock is a string: the id of the job that holds it.
--
-- lock      keys: 1 the lock   args: 1 jid   2 it is held for so many ms at most
-- unlock    keys: 1 the lock   args: 1 jid   does nothing to the lock of another job

VERBS.lock = {
  check = function(e) redis.call('GET', e.keys[1]) end,
  refuses = function(e)
    local holder = redis.call('GET', e.keys[1])
    if holder and holder ~= e.args[1] then return holder end
  end,
  apply = function(e) redis.call('SET', e.keys[1], e.args[1], 'PX', e.args[2]) end,
}

VERBS.unlock = {
  check = function(e) redis.call('GET', e.keys[1]) end,
  apply = function(e)
    if redis.call('GET', e.keys[1]) == e.args[1] then redis.call('DEL', e.keys[1]) end
  end,
}
