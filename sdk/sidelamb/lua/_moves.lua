-- Shared by settle and reap: takes jobs out of a lease and puts them where they go.
--
-- KEYS of both   1 leases (zset)   2 the lease (hash)   3 slots of its capsule (set)
--                4 stat:processed   5 the same of the day   6 stat:failed   7 the same of the day (strings)
--                8 dead (zset)   9.. destinations (zset or list)
-- The moves are a number M, then M times six arguments: field, verb, index of its destination in KEYS, score,
-- payload, count. After the last come effects, owned by the fields of their jobs (see _effects).
--   verb     z: into a zset with that score   r: to the right end of a list, next to run   l: to its left end
--            x: nowhere, the job is finished
--   payload  new bytes, or '' for those in the lease
--   count    p: one attempt   f: one attempt that failed   -: none
-- All is checked before the first write; the first write is a removal, so that a full Redis does it too.

local MOVE = 6

-- Returns an error reply, or nil if every move can be made, and then the effects and what is given up of them. `at`
-- is where M stands in ARGV.
local function check(at)
  local seen, behind = {}, at + 1 + tonumber(ARGV[at]) * MOVE
  for i = at + 1, behind - 1, MOVE do
    local verb, k = ARGV[i + 1], tonumber(ARGV[i + 2])
    if verb == 'z' and not finite(tonumber(ARGV[i + 3])) then
      return redis.error_reply('ERR a score is not a finite number')
    end
    if verb ~= 'x' and not seen[k] then
      seen[k] = true
      redis.call(verb == 'z' and 'ZCARD' or 'LLEN', KEYS[k])
    end
  end
  for k = 4, 7 do
    local refused = check_counter(KEYS[k])
    if refused then return refused end
  end
  local list, refused, given_up = possible_effects(behind)
  return refused, list, given_up
end

-- Returns the number of jobs moved. `at` is where M stands in ARGV; done = { fields of plain successes }.
local function apply(done, at, list, day_ttl, dead_since, dead_most)
  local fields, first, is_there = {}, at + 1, {}
  for i = first, at + tonumber(ARGV[at]) * MOVE, MOVE do fields[#fields + 1] = ARGV[i] end
  local stored = {}
  for i = 1, #fields, CHUNK do
    local part = redis.call('HMGET', KEYS[2], unpack(fields, i, math.min(i + CHUNK - 1, #fields)))
    for _, value in ipairs(part) do stored[#stored + 1] = value end
  end
  local moved, processed, failed, died = 0, 0, 0, false
  for i = 1, #done, CHUNK do
    processed = processed + redis.call('HDEL', KEYS[2], unpack(done, i, math.min(i + CHUNK - 1, #done)))
  end
  moved = processed
  call_in_chunks('HDEL', KEYS[2], fields, 1, #fields)
  for n, value in ipairs(stored) do
    local i = first + (n - 1) * MOVE
    if value then
      is_there[fields[n]] = true
      local verb, k, payload, counted = ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 4], ARGV[i + 5]
      if payload == '' then payload = value end
      if verb == 'z' then
        redis.call('ZADD', KEYS[k], ARGV[i + 3], payload)
        died = died or k == 8
      elseif verb == 'r' then
        redis.call('RPUSH', KEYS[k], payload)
      elseif verb == 'l' then
        redis.call('LPUSH', KEYS[k], payload)
      end
      moved = moved + 1
      if counted ~= '-' then processed = processed + 1 end
      if counted == 'f' then failed = failed + 1 end
    end
  end
  if died then
    redis.call('ZREMRANGEBYSCORE', KEYS[8], '-inf', dead_since)
    redis.call('ZREMRANGEBYRANK', KEYS[8], 0, -(dead_most + 1))
  end
  count(KEYS[4], KEYS[5], processed, day_ttl)
  count(KEYS[6], KEYS[7], failed, day_ttl)
  apply_effects(list, is_there)
  return moved
end
