-- Effect of jobs whose queue has a cap, and that share their lease: each makes room when it leaves.
--
-- leave   keys: 1 what is in flight of the queue (hash: lease id -> jobs)   args: 1 lease id

VERBS.leave = {
  check = function(e)
    local n = read_as('HGET', e.keys[1], e.args[1])
    if n and not string.match(n, '^%d+$') then
      return 'WRONGTYPE ' .. e.keys[1] .. ' holds something else than numbers of jobs'
    end
  end,
  apply = function(e)
    if redis.call('HEXISTS', e.keys[1], e.args[1]) == 0 then return end
    if redis.call('HINCRBY', e.keys[1], e.args[1], -1) < 1 then redis.call('HDEL', e.keys[1], e.args[1]) end
  end,
}
