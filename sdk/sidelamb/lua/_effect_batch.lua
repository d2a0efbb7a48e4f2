-- Effects of jobs in batches. Who is a member stands in sets, so that each event counts once for a job, however often
-- it is told. A batch is five sets and hashes beside its own hash; its members are jobs, the batches in it by their
-- ids, and those batches' callbacks.
--
-- batch    what has become of a member
--          keys: 1 queues (set), then six of each level, the member's own batch first, then its parents: the batch
--                (hash), pending, unrun, failed, dead (sets), results (hash); then lists of callbacks' queues
--          args: 1 event: succeeded, failed, died or gone   2 jid   3 now, epoch ms   4 what closes a callback's
--                payload   5 its result, '' for none   6 L, then L batch ids, then the names of the queues
-- join     makes a job a member   keys: 1 the batch, 2 pending, 3 unrun   args: 1 jid
-- mark     notes a job to be made a member   keys: 1 a set   args: 1 jid   2 it lives so many ms

local batch = { KEYS = 6 }

function batch.level(bid, keys, at)
  return { bid = bid, hash = keys[at], pending = keys[at + 1], unrun = keys[at + 2], failed = keys[at + 3],
    dead = keys[at + 4], results = keys[at + 5] }
end

-- Returns an error reply if something is wrong.
function batch.check(level)
  redis.call('HLEN', level.results)
  for _, name in ipairs({ 'pending', 'unrun', 'failed', 'dead' }) do redis.call('SCARD', level[name]) end
  for _, number in ipairs(redis.call('HMGET', level.hash, 'total', 'discarded', 'expires', 'linger')) do
    if number and not string.match(number, '^%d+$') then return redis.error_reply('ERR ' .. level.hash .. ' is no batch') end
  end
end

-- What is added lives as long as its batch.
function batch.keep(level, name)
  local expires = redis.call('HGET', level.hash, 'expires')
  if expires then redis.call('PEXPIREAT', level[name], expires) end
end

function batch.add(level, name, member)
  local new = redis.call('SADD', level[name], member)
  if new == 1 then batch.keep(level, name) end
  return new
end

function batch.drop(level, member)
  local was = redis.call('SREM', level.pending, member)
  if was == 1 then
    for _, name in ipairs({ 'unrun', 'failed', 'dead' }) do redis.call('SREM', level[name], member) end
  end
  return was == 1
end

-- Pushes the callback of an event, once. It is a member of the parent, which so waits for it.
function batch.fire(level, event, world)
  if redis.call('HSETNX', level.hash, 'fired:' .. event, world.now) == 0 then return end
  local call = redis.call('HMGET', level.hash, 'call:' .. event, 'queue:' .. event)
  local list = call[2] and world.lists[call[2]]
  if not call[1] or not list then return end
  local up = level.up
  if up and redis.call('EXISTS', up.hash) == 1 and redis.call('HEXISTS', up.hash, 'over') == 0 then
    batch.add(up, 'pending', level.bid .. '-' .. event)
    batch.add(up, 'unrun', level.bid .. '-' .. event)
  end
  redis.call('SADD', world.queues, call[2])
  redis.call('LPUSH', list, call[1] .. world.stamp)
end

function batch.linger(level, now)
  local expires = string.format('%d', now + tonumber(redis.call('HGET', level.hash, 'linger') or 0))
  redis.call('HSET', level.hash, 'expires', expires)
  for _, name in ipairs({ 'hash', 'pending', 'unrun', 'failed', 'dead', 'results' }) do
    redis.call('PEXPIREAT', level[name], expires)
  end
end

-- Fires what has come true, here and then in the parents.
function batch.evaluate(level, world)
  while level do
    local is = redis.call('HMGET', level.hash, 'sealed', 'fired:complete', 'over', 'cancelled')
    if not is[1] then return end
    local changed, up = false, level.up
    if not is[2] and redis.call('SCARD', level.unrun) == 0 then
      changed = true
      batch.fire(level, 'complete', world)
      if up then redis.call('SREM', up.unrun, level.bid) end
    end
    if not is[3] and redis.call('SCARD', level.pending) == 0 then
      changed = true
      redis.call('HSET', level.hash, 'over', world.now)
      if not is[4] then batch.fire(level, 'success', world) end
      if up then batch.drop(up, level.bid) end
      batch.linger(level, tonumber(world.now))
    end
    if not changed then return end
    level = up
  end
end

local function levels_of(e)
  local L, levels, lists = tonumber(e.args[6]), {}, {}
  for n = 1, L do
    levels[n] = batch.level(e.args[6 + n], e.keys, 2 + (n - 1) * batch.KEYS)
    if n > 1 then levels[n - 1].up = levels[n] end
  end
  for q = 7 + L, #e.args do lists[e.args[q]] = e.keys[1 + L * batch.KEYS + q - 6 - L] end
  return levels, lists
end

local BECOMES = {
  succeeded = function(level, e)
    if not batch.drop(level, e.args[2]) then return false end
    if e.args[5] ~= '' then
      redis.call('HSET', level.results, e.args[2], e.args[5])
      batch.keep(level, 'results')
    end
    return true
  end,
  gone = function(level, e)
    if not batch.drop(level, e.args[2]) then return false end
    redis.call('HINCRBY', level.hash, 'discarded', 1)
    return true
  end,
  failed = function(level, e)
    if redis.call('SISMEMBER', level.pending, e.args[2]) == 0 then return false end
    redis.call('SREM', level.unrun, e.args[2])
    batch.add(level, 'failed', e.args[2])
    return true
  end,
  died = function(level, e, world)
    if redis.call('SISMEMBER', level.pending, e.args[2]) == 0 then return false end
    redis.call('SREM', level.unrun, e.args[2])
    redis.call('SREM', level.failed, e.args[2])
    batch.add(level, 'dead', e.args[2])
    local at = level
    while at do
      if redis.call('EXISTS', at.hash) == 1 then batch.fire(at, 'death', world) end
      at = at.up
    end
    return true
  end,
}

VERBS.batch = {
  check = function(e)
    redis.call('SCARD', e.keys[1])
    local levels, lists = levels_of(e)
    for _, level in ipairs(levels) do
      local wrong = batch.check(level)
      if wrong then return wrong end
    end
    for _, list in pairs(lists) do redis.call('LLEN', list) end
    if not BECOMES[e.args[1]] then return redis.error_reply('ERR a batch knows no event ' .. e.args[1]) end
    if not finite(tonumber(e.args[3])) then return redis.error_reply('ERR a time of a batch is not a finite number') end
  end,
  apply = function(e)
    local levels, lists = levels_of(e)
    local world = { queues = e.keys[1], lists = lists, now = e.args[3], stamp = e.args[4] }
    if redis.call('EXISTS', levels[1].hash) == 0 then return end
    if BECOMES[e.args[1]](levels[1], e, world) then batch.evaluate(levels[1], world) end
  end,
}

VERBS.join = {
  check = function(e)
    redis.call('HLEN', e.keys[1])
    redis.call('SCARD', e.keys[2])
    redis.call('SCARD', e.keys[3])
    for _, number in ipairs(redis.call('HMGET', e.keys[1], 'total', 'expires')) do
      if number and not string.match(number, '^%d+$') then return redis.error_reply('ERR ' .. e.keys[1] .. ' is no batch') end
    end
  end,
  apply = function(e)
    local level = { hash = e.keys[1], pending = e.keys[2], unrun = e.keys[3] }
    if redis.call('EXISTS', level.hash) == 0 or redis.call('HEXISTS', level.hash, 'over') == 1 then return end
    if batch.add(level, 'pending', e.args[1]) == 1 then
      batch.add(level, 'unrun', e.args[1])
      redis.call('HINCRBY', level.hash, 'total', 1)
    end
  end,
}

VERBS.mark = {
  check = function(e) redis.call('SCARD', e.keys[1]) end,
  apply = function(e)
    redis.call('SADD', e.keys[1], e.args[1])
    redis.call('PEXPIRE', e.keys[1], e.args[2])
  end,
}
