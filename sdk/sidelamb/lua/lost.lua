-- lost: which of these jobs are nowhere: in no queue, not in the schedule, not in retry, in no lease.
--
-- KEYS  1 leases (zset)   2 queues (set)   3 schedule   4 retry (zsets)   5.. Q queues' lists; then Q alone lists;
--       then L leases (hash), then sidelamb:stages (zset)
-- ARGV  1 jobs in lists and sets that are looked at, at most   2 their bytes at most
--       3 Q, then Q queue names; then L, then L lease ids; then now, epoch s; then ids of jobs
-- RETURNS { { ids of those that are nowhere }, { ids of leases that were not among the given } }; nothing if there is
--         too much to look at, a queue more than was given, or jobs of a batch are being staged
--
-- An id is looked for as the JSON field "jid", at any depth: what only looks like the job counts as the job.
-- KEEPS changes nothing. All is one instant, so a job that moves is seen where it was or where it is.

local Q = tonumber(ARGV[3])
local L, first_id = tonumber(ARGV[4 + Q]), 5 + Q
local now = 5 + Q + L
if redis.call('ZCOUNT', KEYS[#KEYS], ARGV[now], '+inf') > 0 then return nil end
local known_queues, known, missing = {}, {}, {}
for q = 1, Q do known_queues[ARGV[3 + q]] = true end
for l = 1, L do known[ARGV[first_id + l - 1]] = true end
for i = now + 1, #ARGV do missing[ARGV[i]] = true end

local total = redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4])
local is_set_or_list = { [3] = true, [4] = true }
for k = 5, 4 + 2 * Q do
  local n = length_of(KEYS[k])
  is_set_or_list[k] = n ~= nil -- in what another program keeps there is no job of ours
  total = total + (n or 0)
end
if total > tonumber(ARGV[1]) then return nil end
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if not known_queues[queue] then return nil end
end

local left = tonumber(ARGV[2])
local function seen(payloads)
  for _, payload in ipairs(payloads) do
    left = left - #payload
    for jid in string.gmatch(payload, '"jid"%s*:%s*"([^"]*)"') do missing[jid] = nil end
  end
  return #payloads > 0 and left > 0
end
local STEP = 50
for k = 3, 4 + 2 * Q do
  local read, at = k > 4 and 'LRANGE' or 'ZRANGE', 0
  while is_set_or_list[k] and seen(redis.call(read, KEYS[k], at, at + STEP - 1)) do at = at + STEP end
  if left <= 0 then return nil end
end
for l = 1, L do
  if redis.call('HLEN', KEYS[4 + 2 * Q + l]) > CHUNK then return nil end
  seen(redis.call('HVALS', KEYS[4 + 2 * Q + l]))
  if left <= 0 then return nil end
end
local unseen = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if not known[id] then unseen[#unseen + 1] = id end
end
local lost = {}
for i = now + 1, #ARGV do
  if missing[ARGV[i]] then lost[#lost + 1] = ARGV[i] end
end
return { lost, unseen }
