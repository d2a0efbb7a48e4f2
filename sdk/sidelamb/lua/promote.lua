-- promote: moves entries whose time has come from a set to their queues.
--
-- KEYS  1 schedule or retry (zset)   2 queues (set)   3 dead (zset)   4.. queues' lists
-- ARGV  1 now, epoch s   2 Q, then Q queue names in the order of their lists
--       then for each entry: the bytes in the set, the bytes to push ('' for the same),
--       and the index of its list in KEYS, or 3 for one that cannot be read and goes to dead
-- RETURNS { promoted, sent to dead }
--
-- KEEPS an entry moves only if its old bytes are still there and due; two passes at once move it once.
--       An entry whose queue is no list stays where it is.
-- REPEAT safe, by bytes. OOM: the first write is a removal.

local refused = not_times(1)
if refused then return refused end
local now, Q = tonumber(ARGV[1]), tonumber(ARGV[2])
local first, usable = 3 + Q, { [3] = true }
redis.call('SCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
for q = 1, Q do usable[3 + q] = length_of(KEYS[3 + q]) ~= nil end

local members, entries, movable = {}, {}, true
for i = first, #ARGV, 3 do
  members[#members + 1] = ARGV[i]
  movable = movable and usable[tonumber(ARGV[i + 2])]
end

-- mostly they are the first of the set, all due, and all go: then none of them is searched for
local function are_first()
  if not movable or #members == 0 then return false end
  local front = redis.call('ZRANGE', KEYS[1], 0, #members - 1)
  for i = 1, #members do
    if front[i] ~= members[i] then return false end
  end
  return tonumber(redis.call('ZSCORE', KEYS[1], members[#members])) <= now
end
local all = are_first()
for i = 1, all and #members or 0 do entries[i] = first + 3 * (i - 1) end
for i = 1, all and 0 or #members, CHUNK do
  local last = math.min(i + CHUNK - 1, #members)
  local scores = redis.call('ZMSCORE', KEYS[1], unpack(members, i, last))
  for j = 1, last - i + 1 do
    local at = first + 3 * (i + j - 2)
    local list = tonumber(ARGV[at + 2])
    if scores[j] and tonumber(scores[j]) <= now and usable[list] then entries[#entries + 1] = at end
  end
end
if #entries == 0 then return { 0, 0 } end

local gone, lists, died, names = {}, {}, {}, {}
for n, at in ipairs(entries) do
  local list, bytes = tonumber(ARGV[at + 2]), ARGV[at + 1]
  gone[n] = ARGV[at]
  if bytes == '' then bytes = ARGV[at] end
  if list == 3 then
    died[#died + 1] = ARGV[1]
    died[#died + 1] = bytes
  else
    if not lists[list] then
      lists[list] = {}
      names[#names + 1] = ARGV[2 + list - 3]
    end
    table.insert(lists[list], bytes)
  end
end
if all then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #gone - 1)
else
  call_in_chunks('ZREM', KEYS[1], gone, 1, #gone)
end
call_in_chunks('SADD', KEYS[2], names, 1, #names)
for list, payloads in pairs(lists) do call_in_chunks('LPUSH', KEYS[list], payloads, 1, #payloads) end
call_in_chunks('ZADD', KEYS[3], died, 1, #died)
return { #entries - #died / 2, #died / 2 }
