-- The effect of a workflow's step: the one after it is pushed in the script that settles it.
--
-- next   keys: 1 queues (set)   2 a queue (list)   args: 1 the queue's name   2 a payload

VERBS.next = {
  check = function(e)
    redis.call('SCARD', e.keys[1])
    redis.call('LLEN', e.keys[2])
  end,
  apply = function(e)
    redis.call('SADD', e.keys[1], e.args[1])
    redis.call('LPUSH', e.keys[2], e.args[2])
  end,
}
