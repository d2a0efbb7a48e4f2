-- include _effects
-- include _admit
-- batch_go: makes batches, one in the other, with all their jobs, or adds such to a batch that is there.
--
-- KEYS  1 queues (set)   2 schedule (zset)   3.. Q queues (list) of the jobs that come along (see _admit), then
--       sidelamb:batches, sidelamb:cancelled (zsets), staged queues' names (set), staged for the schedule (zset), then
--       what the places below say, and the keys of the effects; the last: sidelamb:stages (zset)
-- ARGV  1 now, epoch s   2 what closes a callback's payload   3 how many jobs are staged   4 Q   5 the stage's name
--       6 S, then for each queue that jobs are staged for: its name, the place of its list in KEYS, of its staged list
--       then C, then for each queue of callbacks: its name, the place of its list
--       then B, then for each batch, parents before those in them:
--         kind   new: to be made   old: it must be there and not be over   up: the parent of an old one
--         id, the number of its parent in this list or 0, the place of the first of its eight keys, which follow each
--         other: six as in _effect_batch, then children (set), jobs to be its members (set)
--         seal: 1 if no more jobs come, or 0; ms to live; F, then F fields and values
--       then the jobs that come along, as _admit has them
-- RETURNS { '' if it is done; 'done' if it was done before; or why not: 'gone', 'over', 'cancelled', or 'lost': what was
--         staged is not there any more;
--         then for each job that came along what `admit` returns for it }
--
-- KEEPS all jobs are there at once, with all batches, before anything is fired.
-- REPEAT safe, by the ids of the batches it makes, or else by the stage's name. OOM: refused.

local refused = not_times(1)
if refused then return refused end
local now, i, base = math.floor(tonumber(ARGV[1]) * 1000), 6, 2 + tonumber(ARGV[4])
local index, cancelled, names, schedule = KEYS[base + 1], KEYS[base + 2], KEYS[base + 3], KEYS[base + 4]
local function next_arg()
  i = i + 1
  return ARGV[i - 1]
end

local moves = {}
local world = { queues = KEYS[1], index = index, cancelled = cancelled, lists = {}, now = string.format('%d', now),
  stamp = ARGV[2] }
for _ = 1, tonumber(next_arg()) do
  moves[#moves + 1] = { name = next_arg(), list = KEYS[tonumber(next_arg())], staged = KEYS[tonumber(next_arg())] }
end
for _ = 1, tonumber(next_arg()) do
  local name = next_arg()
  world.lists[name] = KEYS[tonumber(next_arg())]
end
local batches = {}
for n = 1, tonumber(next_arg()) do
  local kind, bid, up, first = next_arg(), next_arg(), tonumber(next_arg()), tonumber(next_arg())
  local b = batch.level(bid, KEYS, first)
  b.kind, b.up, b.children, b.marks = kind, batches[up], KEYS[first + batch.KEYS], KEYS[first + batch.KEYS + 1]
  b.seal, b.ttl, b.fields = next_arg() == '1', tonumber(next_arg()), {}
  if not finite(b.ttl) then return redis.error_reply('ERR a time to live is not a finite number') end
  for f = 1, tonumber(next_arg()) * 2 do b.fields[f] = next_arg() end
  batches[n] = b
end

redis.call('SCARD', KEYS[1])
for _, key in ipairs({ KEYS[2], index, cancelled, schedule }) do redis.call('ZCARD', key) end
redis.call('ZCARD', KEYS[#KEYS])
redis.call('SCARD', names)
for _, move in ipairs(moves) do
  redis.call('LLEN', move.list)
  redis.call('LLEN', move.staged)
end
for _, list in pairs(world.lists) do redis.call('LLEN', list) end
for _, b in ipairs(batches) do
  local wrong = wrong_with(batch.check, b)
  refused = refused or wrong and redis.error_reply(wrong)
  redis.call('SCARD', b.children)
  redis.call('SCARD', b.marks)
end
if refused then return refused end
local along
along, refused = admission.check(i)
if refused then return refused end

local function drop_staged()
  redis.call('DEL', names, schedule)
  redis.call('ZREM', KEYS[#KEYS], ARGV[5])
  for _, move in ipairs(moves) do redis.call('DEL', move.staged) end
  for _, b in ipairs(batches) do redis.call('DEL', b.marks) end
end
local done, answer, staged = false, '', redis.call('ZCARD', schedule)
for _, b in ipairs(batches) do
  if b.kind == 'new' then
    done = done or batch.is_there(b)
  elseif b.kind == 'old' then
    done = done or redis.call('HGET', b.hash, 'went') == ARGV[5]
    if answer == '' then answer = batch.closed(b) or '' end
  end
end
if done then
  drop_staged()
  return { 'done' }
end
for _, move in ipairs(moves) do staged = staged + redis.call('LLEN', move.staged) end
if answer == '' and staged ~= tonumber(ARGV[3]) then answer = 'lost' end
if answer ~= '' then return { answer } end

redis.call('ZREMRANGEBYSCORE', index, '-inf', world.now)
for _, b in ipairs(batches) do
  if b.kind == 'new' then
    local expires = now + b.ttl
    if b.up then -- what it waits for is known as long as it is itself
      expires = math.max(expires, tonumber(redis.call('HGET', b.up.hash, 'expires') or 0))
    end
    redis.call('HSET', b.hash, 'created', ARGV[1], 'expires', string.format('%d', expires), unpack(b.fields))
    redis.call('PEXPIREAT', b.hash, string.format('%d', expires))
    redis.call('ZADD', index, expires, b.bid)
    if b.up then
      batch.add(b.up, 'pending', b.bid)
      batch.add(b.up, 'unrun', b.bid)
      redis.call('SADD', b.up.children, b.bid)
      redis.call('PEXPIREAT', b.up.children, redis.call('HGET', b.up.hash, 'expires'))
    end
  end
  local n = redis.call('SCARD', b.marks)
  if n > 0 then
    redis.call('SUNIONSTORE', b.pending, b.pending, b.marks)
    redis.call('SUNIONSTORE', b.unrun, b.unrun, b.marks)
    batch.keep(b, 'pending')
    batch.keep(b, 'unrun')
    redis.call('HINCRBY', b.hash, 'total', n)
  end
  if b.kind == 'old' then redis.call('HSET', b.hash, 'went', ARGV[5]) end
  if b.seal then redis.call('HSETNX', b.hash, 'sealed', world.now) end
end

for _, move in ipairs(moves) do
  local length = redis.call('LLEN', move.staged)
  if length > 0 then
    redis.call('SADD', KEYS[1], move.name)
    if redis.call('EXISTS', move.list) == 0 then
      redis.call('RENAME', move.staged, move.list)
      redis.call('PERSIST', move.list)
    else
      for from = 0, length - 1, CHUNK do -- from the oldest, at the right end
        local part, turned = redis.call('LRANGE', move.staged, -from - CHUNK, -from - 1), {}
        for n = #part, 1, -1 do turned[#turned + 1] = part[n] end
        redis.call('LPUSH', move.list, unpack(turned))
      end
    end
  end
end
for from = 0, redis.call('ZCARD', schedule) - 1, CHUNK / 2 do
  local part, turned = redis.call('ZRANGE', schedule, from, from + CHUNK / 2 - 1, 'WITHSCORES'), {}
  for n = 1, #part, 2 do
    turned[n], turned[n + 1] = part[n + 1], part[n]
  end
  redis.call('ZADD', KEYS[2], unpack(turned))
end
drop_staged()
local answers = admission.store(along)
for n = #batches, 1, -1 do
  if batches[n].kind ~= 'up' then batch.evaluate(batches[n], world) end
end
return { '', unpack(answers) }
