-- release: puts the jobs of unclaimed leases back where they came from, next to run, in their old order.
--
-- KEYS  1 leases (zset)   2 slots of the capsule (set)   3.. L leases (hash), oldest first; then lists
-- ARGV  1 L, then for each lease: id, how many, and field, index of its list in KEYS, for each job in order
-- RETURNS for each lease how many jobs went back; 0 for one that is claimed or gone, or has a job whose queue is no list
--
-- KEEPS a claimed lease is left alone: its jobs may be running. One that cannot go back waits for the reaper, and holds
--       up no other.
-- REPEAT safe: a released lease is gone. OOM: the first write is a removal.

local L = tonumber(ARGV[1])
redis.call('ZCARD', KEYS[1])
redis.call('SCARD', KEYS[2])
local usable = {}
for k = 3 + L, #KEYS do usable[k] = length_of(KEYS[k]) ~= nil end

local starts, at = {}, 2
for n = 1, L do
  starts[n] = at
  at = at + 2 + 2 * tonumber(ARGV[at + 1])
end

-- all is read before the first write
local released, pushes, ids, gone = {}, {}, {}, {}
for n = L, 1, -1 do
  local key, from, jobs = KEYS[2 + n], starts[n] + 2, tonumber(ARGV[starts[n] + 1])
  local can_go = true
  for i = 0, jobs - 1 do can_go = can_go and usable[tonumber(ARGV[from + 2 * i + 1])] end
  released[n] = 0
  if can_go and redis.call('HEXISTS', key, 'open') == 1 then
    local fields = {}
    for i = 0, jobs - 1 do fields[i + 1] = ARGV[from + 2 * i] end
    local payloads, present = {}, 0
    for i = 1, jobs, CHUNK do
      local last = math.min(i + CHUNK - 1, jobs)
      local part = redis.call('HMGET', key, unpack(fields, i, last))
      for j = 1, last - i + 1 do
        payloads[i + j - 1] = part[j]
        if part[j] then present = present + 1 end
      end
    end
    if present == redis.call('HLEN', key) - OTHER_FIELDS then
      gone[#gone + 1] = key
      ids[#ids + 1] = ARGV[starts[n]]
      released[n] = present
      for i = jobs, 1, -1 do
        if payloads[i] then
          local list = tonumber(ARGV[from + 2 * (i - 1) + 1])
          pushes[list] = pushes[list] or {}
          table.insert(pushes[list], payloads[i])
        end
      end
    end
  end
end
if #ids == 0 then return released end

for i = 1, #gone, CHUNK do redis.call('DEL', unpack(gone, i, math.min(i + CHUNK - 1, #gone))) end
call_in_chunks('ZREM', KEYS[1], ids, 1, #ids)
call_in_chunks('SREM', KEYS[2], ids, 1, #ids)
for list, payloads in pairs(pushes) do call_in_chunks('RPUSH', KEYS[list], payloads, 1, #payloads) end
return released
