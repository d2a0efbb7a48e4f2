-- narrow: splits the lease of a dead invocation into two unclaimed ones, to find the job that killed it.
--
-- KEYS  1 leases (zset)   2 slots of the capsule (set)   3 the lease   4, 5 the two new leases (hashes)
--       6.. for each queue with a cap what is in flight of it (hash)
-- ARGV  1 its id   2, 3 the new ids   4 request id that holds the claim   5 expires, epoch s
--       6 capsule   7 poller   8 C, then the C queues with a cap
--       then A, then A fields for the first; the other fields go to the second
-- RETURNS { { id, field, payload, … }, { id, field, payload, … } }; {} if the lease is gone, is not claimed
--         by that request, or holds another set of jobs
--
-- KEEPS each job is in one lease. Blames nobody.
-- REPEAT by id: what the new leases hold is returned. OOM: the first write is a removal.

local C = tonumber(ARGV[8])
local A, first = tonumber(ARGV[9 + C]), 10 + C
if not finite(tonumber(ARGV[5])) then return redis.error_reply('ERR expires is not a finite number') end
redis.call('ZCARD', KEYS[1])
redis.call('SCARD', KEYS[2])
for c = 1, C do redis.call('HLEN', KEYS[5 + c]) end

local function held(key, id)
  local out, all = { id }, redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if is_job(all[i]) then out[#out + 1] = all[i]; out[#out + 1] = all[i + 1] end
  end
  return out
end

if redis.call('EXISTS', KEYS[4], KEYS[5]) > 0 then return { held(KEYS[4], ARGV[2]), held(KEYS[5], ARGV[3]) } end
local claim = redis.call('HGET', KEYS[3], 'claim')
if not claim or string.match(claim, '^%S+') ~= ARGV[4] then return {} end

local fields, parts = {}, { { 4, ARGV[2], {} }, { 5, ARGV[3], {} } }
for i = first, #ARGV do fields[#fields + 1] = ARGV[i] end
if redis.call('HLEN', KEYS[3]) - OTHER_FIELDS ~= #fields then return {} end
for i = 1, #fields do
  local payload = redis.call('HGET', KEYS[3], fields[i])
  if not payload then return {} end
  local pairs_of = parts[i <= A and 1 or 2][3]
  pairs_of[#pairs_of + 1] = fields[i]
  pairs_of[#pairs_of + 1] = payload
end

-- how many jobs of a queue are in a part
local function of_queue(part, queue)
  local n = 0
  for i = 1, #part, 2 do
    if string.match(part[i], '^%d+[:!](.*)$') == queue then n = n + 1 end
  end
  return n
end
local counts = {}
for c = 1, C do counts[c] = { of_queue(parts[1][3], ARGV[8 + c]), of_queue(parts[2][3], ARGV[8 + c]) } end

redis.call('DEL', KEYS[3])
for c = 1, C do redis.call('HDEL', KEYS[5 + c], ARGV[1]) end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[2], ARGV[1])
local reply = {}
for n, part in ipairs(parts) do
  if #part[3] > 0 then
    redis.call('HSET', KEYS[part[1]], 'capsule', ARGV[6], 'poller', ARGV[7], 'open', #part[3] / 2)
    call_in_chunks('HSET', KEYS[part[1]], part[3], 1, #part[3])
    redis.call('ZADD', KEYS[1], ARGV[5], part[2])
    redis.call('SADD', KEYS[2], part[2])
    for c = 1, C do
      if counts[c][n] > 0 then redis.call('HSET', KEYS[5 + c], part[2], counts[c][n]) end
    end
  end
  table.insert(part[3], 1, part[2])
  reply[n] = part[3]
end
return reply
