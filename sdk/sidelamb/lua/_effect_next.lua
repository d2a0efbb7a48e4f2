-- The effect of a workflow's step: the one after it is pushed in the script that settles it.
--
-- next   keys: 1 queues (set)   2 a queue (list)   3 dead (zset)   args: 1 the queue's name   2 a payload   3 now
--        it is a job, and so is never given up: where its queue is none, it goes to dead

VERBS.next = {
  check = function(e)
    local has_dead = e.keys[3] ~= nil -- else it comes from a worker one release older
    if has_dead then read_as('ZCARD', e.keys[3]) end
    if has_dead and not finite(tonumber(e.args[3])) then return 'ERR a time of a step is not a finite number' end
    local is_queue, why = pcall(function()
      read_as('SCARD', e.keys[1])
      read_as('LLEN', e.keys[2])
    end)
    if not is_queue then
      if not (has_dead and string.match(why, '^WRONGTYPE')) then return 'ERR ' .. why end
      e.astray = why
    end
  end,
  apply = function(e)
    if e.astray then
      redis.call('ZADD', e.keys[3], e.args[3], e.args[2])
      return
    end
    redis.call('SADD', e.keys[1], e.args[1])
    redis.call('LPUSH', e.keys[2], e.args[2])
  end,
}
