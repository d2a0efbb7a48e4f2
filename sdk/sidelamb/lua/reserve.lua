-- reserve: moves jobs from queues into leases, one lease for each free slot.
--
-- KEYS  1 leases (zset)   2 slots of the capsule (set)   3 paused (set)
--       4.. Q queues (list), in the order to look at them; then Q alone lists (list); then S leases (hash);
--       then for each queue with a cap what is in flight of it (hash: lease id -> jobs)
-- ARGV  1 expires: epoch s after which an unclaimed lease may be reaped
--       2 cap: how many leases the capsule may have at once, over all pollers
--       3 most jobs a lease   4 most payload bytes a lease   5 bytes that each job adds to its payload's
--       6 capsule   7 poller   8 Q   9 S   10.. Q queue names; then S lease ids; then for each queue with a cap
--       its number among the queues and its cap: how many of its jobs may be in flight, over all pollers
-- RETURNS { waiting, { names of queues held back }, leases in use, { id, field, payload, field, payload, … }, … }
--       Held back are those with jobs that are paused, or have reached their cap. `waiting` counts the jobs left
--       behind in the others.
--
-- Spread, then pack: with fewer jobs than slots one job a lease, else ceil(jobs / slots) up to the limits.
-- Of packed jobs one call takes no more than MOST_JOBS, or one lease: then `waiting` jobs are left, and slots too.
-- A payload that is over the limit of bytes gets a lease of its own; the caller decides about it.
-- Jobs under suspicion (alone) come first, one a lease.
-- A queue that is no list, because another program uses its key, counts as empty: the others are served.
-- In flight are the jobs of leases that live: an entry of a lease that is gone, however it went, counts for nothing.
-- KEEPS a job is in exactly one place; the capsule never has more leases than its cap, a queue no more jobs in them.
-- REPEAT by lease id: if any of the leases exists, what they hold is returned and nothing is taken.
-- OOM   the first write is a pop, which Redis allows when full; what follows it is then allowed too.

local MOST_JOBS = 10000 -- Redis does nothing else meanwhile
local expires, cap, most, most_bytes, extra =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local capsule, poller, Q, S = ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local first_alone, first_lease, first_name, first_id = 3 + Q, 3 + 2 * Q, 9, 9 + Q
if not finite(expires) then return redis.error_reply('ERR expires is not a finite number') end

redis.call('ZCARD', KEYS[1])
local in_use = redis.call('SCARD', KEYS[2])

-- a repeated call
local lease_keys = {}
for s = 1, S do lease_keys[s] = KEYS[first_lease + s] end
if redis.call('EXISTS', unpack(lease_keys)) > 0 then
  local reply = { 0, {}, in_use }
  for s = 1, S do
    local held = { ARGV[first_id + s] }
    local all = redis.call('HGETALL', lease_keys[s])
    for i = 1, #all, 2 do
      if is_job(all[i]) then held[#held + 1] = all[i]; held[#held + 1] = all[i + 1] end
    end
    if #held > 1 then reply[#reply + 1] = held end
  end
  return reply
end

-- what waits
local paused = {}
if redis.call('SCARD', KEYS[3]) > 0 then
  for q = 1, Q do paused[q] = redis.call('SISMEMBER', KEYS[3], ARGV[first_name + q]) == 1 end
end
local length, suspects, waiting, waiting_alone, held_back = {}, {}, 0, 0, {}
for q = 1, Q do
  length[q] = length_of(KEYS[3 + q]) or 0
  suspects[q] = length_of(KEYS[first_alone + q]) or 0
  if paused[q] then
    if length[q] + suspects[q] > 0 then held_back[#held_back + 1] = ARGV[first_name + q] end
    length[q], suspects[q] = 0, 0
  end
  waiting = waiting + length[q]
  waiting_alone = waiting_alone + suspects[q]
end
-- what queues with a cap have in flight, and how much more they may have
local flying = {}
for i = first_id + S + 1, #ARGV, 2 do
  local q, key = tonumber(ARGV[i]), KEYS[first_lease + S + (i - first_id - S + 1) / 2]
  if length[q] + suspects[q] > 0 then
    local ids, counts, gone, n, all = {}, {}, {}, 0, redis.call('HGETALL', key)
    for j = 1, #all, 2 do
      ids[#ids + 1] = all[j]
      counts[#ids] = tonumber(all[j + 1]) or 0
    end
    for j = 1, #ids, CHUNK do
      local last = math.min(j + CHUNK - 1, #ids)
      local live = redis.call('ZMSCORE', KEYS[1], unpack(ids, j, last))
      for k = j, last do
        if live[k - j + 1] then n = n + counts[k] else gone[#gone + 1] = ids[k] end
      end
    end
    flying[q] = { key = key, gone = gone }
    local room = math.max(0, tonumber(ARGV[i + 1]) - n)
    if length[q] + suspects[q] > room then
      held_back[#held_back + 1] = ARGV[first_name + q]
      waiting, waiting_alone = waiting - length[q], waiting_alone - suspects[q]
      suspects[q] = math.min(suspects[q], room)
      length[q] = math.min(length[q], room - suspects[q])
      waiting, waiting_alone = waiting + length[q], waiting_alone + suspects[q]
    end
  end
end
local slots = math.min(S, cap - in_use)
if slots <= 0 or waiting + waiting_alone == 0 then return { waiting + waiting_alone, held_back, in_use } end

for _, at in pairs(flying) do call_in_chunks('HDEL', at.key, at.gone, 1, #at.gone) end
local reply, scores, ids, used = { 0, held_back, 0 }, {}, {}, 0
local function count_in(id, fields)
  for q, at in pairs(flying) do
    local n = 0
    for i = 1, #fields, 2 do
      if string.match(fields[i], '^%d+[:!](.*)$') == ARGV[first_name + q] then n = n + 1 end
    end
    if n > 0 then redis.call('HSET', at.key, id, n) end
  end
end
local function open(fields)
  used = used + 1
  local id = ARGV[first_id + used]
  redis.call('HSET', lease_keys[used], 'capsule', capsule, 'poller', poller, 'open', #fields / 2)
  call_in_chunks('HSET', lease_keys[used], fields, 1, #fields)
  scores[#scores + 1] = ARGV[1]; scores[#scores + 1] = id
  ids[used] = id
  if next(flying) then count_in(id, fields) end
  table.insert(fields, 1, id)
  reply[#reply + 1] = fields
end

for q = 1, Q do
  while suspects[q] > 0 and used < slots do
    local payload = redis.call('RPOP', KEYS[first_alone + q])
    open({ '0!' .. ARGV[first_name + q], payload })
    suspects[q] = suspects[q] - 1
    waiting_alone = waiting_alone - 1
  end
end

-- popped payloads not yet placed, all of queue `from`
local buffer, at, from, wanted = {}, 1, 0, 0
local function peek()
  if at <= #buffer then return buffer[at] end
  for q = 1, Q do
    if length[q] > 0 then
      buffer = redis.call('RPOP', KEYS[3 + q], math.min(length[q], wanted, 1000))
      at, from = 1, q
      length[q] = length[q] - #buffer
      return buffer[1]
    end
  end
end

local free = slots - used
local size = waiting <= free and 1 or math.min(most, math.ceil(waiting / math.max(free, 1)))
slots = math.min(slots, used + math.max(1, math.floor(MOST_JOBS / size)))
wanted = size * (slots - used)
while used < slots do
  local fields, n, bytes = {}, 0, 0
  while n < size do
    local payload = peek()
    if not payload then break end
    local cost = #payload + extra
    if n > 0 and bytes + cost > most_bytes then break end
    fields[#fields + 1] = n .. ':' .. ARGV[first_name + from]
    fields[#fields + 1] = payload
    n, bytes, at, wanted, waiting = n + 1, bytes + cost, at + 1, wanted - 1, waiting - 1
    if bytes > most_bytes then break end
  end
  if n == 0 then break end
  open(fields)
end

local rest = {}
for i = #buffer, at, -1 do rest[#rest + 1] = buffer[i] end
if #rest > 0 then call_in_chunks('RPUSH', KEYS[3 + from], rest, 1, #rest) end
if used > 0 then
  call_in_chunks('ZADD', KEYS[1], scores, 1, #scores)
  call_in_chunks('SADD', KEYS[2], ids, 1, #ids)
end
reply[1] = waiting + waiting_alone
reply[3] = in_use + used
return reply
