-- Effects of jobs in batches. Who is a member stands in sets, so that each event counts once for a job, however often
-- it is told. A batch is five sets and hashes beside its own hash; its members are jobs, the batches in it by their
-- ids, and those batches' callbacks.
--
-- batch    what has become of a member
--          keys: 1 queues (set)   2 sidelamb:batches (zset)   3 sidelamb:cancelled (zset), then six of each level, the
--                member's own batch first, then its parents: the batch (hash), pending, unrun, failed, dead (sets),
--                results (hash); then lists of callbacks' queues
--          args: 1 event: succeeded, failed, died, dropped, gone; or cancelled, for the batch itself   2 jid
--                3 now, epoch ms   4 what closes a callback's payload   5 its result, '' for none   6 L   7 F
--                then L batch ids, F ids of members that only run after this one, then the names of the queues
-- join     makes jobs members   keys: 1 the batch, 2 pending, 3 unrun   args: jids
-- enter    the same, and refuses them with `closed …` if the batch takes none
-- mark     notes jobs to be made members   keys: 1 a set   args: 1 it lives so many ms, then jids

local batch = { KEYS = 6 }

function batch.level(bid, keys, at)
  return { bid = bid, hash = keys[at], pending = keys[at + 1], unrun = keys[at + 2], failed = keys[at + 3],
    dead = keys[at + 4], results = keys[at + 5] }
end

local function no_batch(hash) return 'WRONGTYPE ' .. hash .. ' is no batch' end

-- Returns what is wrong, if something is.
function batch.check(level)
  read_as('HLEN', level.results)
  for _, name in ipairs({ 'pending', 'unrun', 'failed', 'dead' }) do read_as('SCARD', level[name]) end
  for _, number in ipairs(read_as('HMGET', level.hash, 'total', 'discarded', 'lost', 'expires', 'linger')) do
    if number and not string.match(number, '^%d+$') then return no_batch(level.hash) end
  end
end

function batch.is_there(level) return redis.call('EXISTS', level.hash) == 1 end
function batch.has(level, field) return redis.call('HEXISTS', level.hash, field) == 1 end

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

-- The callbacks of the batches in it are members that are not counted: they are none of its jobs.
function batch.join(level, member, is_counted)
  if batch.add(level, 'pending', member) == 0 then return end
  batch.add(level, 'unrun', member)
  if is_counted then redis.call('HINCRBY', level.hash, 'total', 1) end
end

function batch.drop(level, member)
  local was = redis.call('SREM', level.pending, member)
  if was == 1 then
    for _, name in ipairs({ 'unrun', 'failed', 'dead' }) do redis.call('SREM', level[name], member) end
  end
  return was == 1
end

function batch.is_cancelled(level)
  while level do
    if batch.has(level, 'cancelled') then return true end
    level = level.up
  end
  return false
end

-- Pushes the callback of an event, once. It is a member of the parent, which so waits for it, and so are those jobs
-- that only run after it.
function batch.fire(level, event, world)
  if redis.call('HSETNX', level.hash, 'fired:' .. event, world.now) == 0 then return end
  local call = redis.call('HMGET', level.hash, 'call:' .. event, 'queue:' .. event, 'members:' .. event)
  local list = call[2] and world.lists[call[2]]
  if not call[1] or not list then return end
  local up = level.up
  if up and batch.is_there(up) and not batch.has(up, 'over') then
    for member in string.gmatch(call[3] or '', '%S+') do
      batch.join(up, member, member ~= level.bid .. '-' .. event)
    end
  end
  redis.call('SADD', world.queues, call[2])
  redis.call('LPUSH', list, call[1] .. world.stamp)
end

function batch.linger(level, world)
  local now = tonumber(world.now)
  local expires = string.format('%d', now + tonumber(redis.call('HGET', level.hash, 'linger') or 0))
  redis.call('HSET', level.hash, 'expires', expires)
  for _, name in ipairs({ 'hash', 'pending', 'unrun', 'failed', 'dead', 'results' }) do
    redis.call('PEXPIREAT', level[name], expires)
  end
  redis.call('ZADD', world.index, 'XX', expires, level.bid)
  redis.call('ZREM', world.cancelled, level.bid)
end

-- Fires what has come true, here and then in the parents.
function batch.evaluate(level, world)
  while level and batch.has(level, 'sealed') do
    local is, changed, up = redis.call('HMGET', level.hash, 'fired:complete', 'over', 'waits'), false, level.up
    local complete = is[1] or redis.call('SCARD', level.unrun) == 0
    if complete and not is[1] then
      changed = true
      batch.fire(level, 'complete', world)
    end
    if not is[2] and redis.call('SCARD', level.pending) == 0 then
      changed = true
      redis.call('HSET', level.hash, 'over', world.now)
      local lost = batch.has(level, 'lost')
      if not lost and not batch.is_cancelled(level) then batch.fire(level, 'success', world) end
      if up and batch.drop(up, level.bid) and lost and batch.is_there(up) then redis.call('HINCRBY', up.hash, 'lost', 0) end
      batch.linger(level, world)
    elseif up and complete and (not is[3] or batch.has(level, 'fired:death')) then
      -- one whose success goes on with its parent's work is not through for it before, if that may still come
      changed = redis.call('SREM', up.unrun, level.bid) == 1 or changed
    end
    if not changed then return end
    level = up
  end
end

local function levels_of(e)
  local L, F, levels, lists = tonumber(e.args[6]), tonumber(e.args[7]), {}, {}
  for n = 1, L do
    levels[n] = batch.level(e.args[7 + n], e.keys, 4 + (n - 1) * batch.KEYS)
    if n > 1 then levels[n - 1].up = levels[n] end
  end
  local first = 8 + L + F
  for q = first, #e.args do lists[e.args[q]] = e.keys[3 + L * batch.KEYS + q - first + 1] end
  return levels, lists
end

local function followers(e)
  local found, L = {}, tonumber(e.args[6])
  for n = 1, tonumber(e.args[7]) do found[n] = e.args[7 + L + n] end
  return found
end

local function leave(level, member)
  if not batch.drop(level, member) then return false end
  redis.call('HINCRBY', level.hash, 'discarded', 1)
  return true
end

local function fire_death(level, world)
  while level do
    if batch.is_there(level) then batch.fire(level, 'death', world) end
    level = level.up
  end
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
    if not leave(level, e.args[2]) then return false end
    for _, member in ipairs(followers(e)) do leave(level, member) end
    return true
  end,
  failed = function(level, e)
    if redis.call('SISMEMBER', level.pending, e.args[2]) == 0 then return false end
    redis.call('SREM', level.unrun, e.args[2])
    redis.call('SREM', level.dead, e.args[2])
    batch.add(level, 'failed', e.args[2])
    return true
  end,
  died = function(level, e, world)
    if redis.call('SISMEMBER', level.pending, e.args[2]) == 0 then return false end
    redis.call('SREM', level.unrun, e.args[2])
    redis.call('SREM', level.failed, e.args[2])
    batch.add(level, 'dead', e.args[2])
    for _, member in ipairs(followers(e)) do redis.call('SREM', level.unrun, member) end
    if batch.is_cancelled(level) then
      for _, member in ipairs({ e.args[2], unpack(followers(e)) }) do redis.call('SREM', level.pending, member) end
    end
    fire_death(level, world)
    return true
  end,
  dropped = function(level, e, world) -- it has died and is nowhere: its batch ends, and cannot succeed any more
    if not batch.drop(level, e.args[2]) then return false end
    redis.call('HINCRBY', level.hash, 'lost', 1)
    for _, member in ipairs(followers(e)) do leave(level, member) end
    fire_death(level, world)
    return true
  end,
  cancelled = function(level, _, world)
    if batch.has(level, 'over') then return false end
    redis.call('HSETNX', level.hash, 'cancelled', world.now)
    redis.call('ZADD', world.cancelled, math.floor(tonumber(world.now) / 1000), level.bid)
    redis.call('SDIFFSTORE', level.pending, level.pending, level.dead)
    batch.keep(level, 'pending')
    return true
  end,
}

VERBS.batch = {
  check = function(e)
    read_as('SCARD', e.keys[1])
    read_as('ZCARD', e.keys[2])
    read_as('ZCARD', e.keys[3])
    local levels, lists = levels_of(e)
    for _, level in ipairs(levels) do
      local wrong = batch.check(level)
      if wrong then return wrong end
    end
    for _, list in pairs(lists) do read_as('LLEN', list) end
    if not BECOMES[e.args[1]] then return 'ERR a batch knows no event ' .. e.args[1] end
    if not finite(tonumber(e.args[3])) then return 'ERR a time of a batch is not a finite number' end
  end,
  apply = function(e)
    local levels, lists = levels_of(e)
    local world = { queues = e.keys[1], index = e.keys[2], cancelled = e.keys[3], lists = lists, now = e.args[3],
      stamp = e.args[4] }
    if not batch.is_there(levels[1]) then return end
    if BECOMES[e.args[1]](levels[1], e, world) then batch.evaluate(levels[1], world) end
  end,
}

-- Returns why a batch takes no jobs, or nil.
function batch.closed(level)
  local is = redis.call('HMGET', level.hash, 'created', 'over', 'cancelled')
  return not is[1] and 'gone' or is[2] and 'over' or is[3] and 'cancelled' or nil
end

local function joining(e) return { hash = e.keys[1], pending = e.keys[2], unrun = e.keys[3] } end

VERBS.join = {
  check = function(e)
    read_as('SCARD', e.keys[2])
    read_as('SCARD', e.keys[3])
    for _, number in ipairs(read_as('HMGET', e.keys[1], 'total', 'expires')) do
      if number and not string.match(number, '^%d+$') then return no_batch(e.keys[1]) end
    end
  end,
  apply = function(e)
    local level = joining(e)
    if not batch.is_there(level) or batch.has(level, 'over') then return end
    for _, member in ipairs(e.args) do batch.join(level, member, true) end
  end,
}

VERBS.enter = {
  check = VERBS.join.check,
  refuses = function(e)
    local why = batch.closed(joining(e))
    return why and 'closed ' .. why
  end,
  apply = VERBS.join.apply,
}

VERBS.mark = {
  check = function(e) read_as('SCARD', e.keys[1]) end,
  apply = function(e)
    redis.call('SADD', e.keys[1], unpack(e.args, 2))
    redis.call('PEXPIRE', e.keys[1], e.args[1])
  end,
}
