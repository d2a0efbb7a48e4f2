-- include _effects
-- shift: a person moves entries of a set: to their queues, to dead, to another time, or away.
--
-- KEYS  1 schedule, retry or dead (zset)   2 queues (set)   3 dead (zset)   4.. Q queues' lists, then the keys
--       of effects
-- ARGV  1 now, epoch s   2 dead entries before this epoch s go   3 dead entries kept at most
--       4 Q, then Q queue names in the order of their lists
--       then N, then for each entry: the bytes in the set, the bytes to store ('' for the same), where to, a score
--         where to   0: away   1: the same set, with that score   3: dead, with that score   4..: that list of KEYS
--       then effects (see _effects), owned by the number of their entry, from 1
-- RETURNS for each entry 1 if it moved, 0 if it was not there any more
--
-- KEEPS an entry moves only if its bytes are still there: of two people who move it at once one does.
-- REPEAT safe, by bytes. OOM: the first write is a removal.

local refused = not_times(1, 2)
if refused then return refused end
local Q = tonumber(ARGV[4])
local first, seen, members, ats = 6 + Q, {}, {}, {}
local behind = first + tonumber(ARGV[5 + Q]) * 4
redis.call('ZCARD', KEYS[1])
redis.call('SCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
for q = 1, Q do redis.call('LLEN', KEYS[3 + q]) end
for i = first, behind - 1, 4 do
  local place = tonumber(ARGV[i + 2])
  if (place == 1 or place == 3) and not finite(tonumber(ARGV[i + 3])) then
    return redis.error_reply('ERR a score is not a finite number')
  end
  members[#members + 1] = ARGV[i]
  ats[#ats + 1] = i
end
local list, wrong = effects(behind)
if wrong then return wrong end
local moved, gone, lists, names, died, is_there = {}, {}, {}, {}, false, {}
for i = 1, #members, CHUNK do
  local last = math.min(i + CHUNK - 1, #members)
  local scores = redis.call('ZMSCORE', KEYS[1], unpack(members, i, last))
  for j = i, last do
    local here = scores[j - i + 1] and not seen[members[j]]
    seen[members[j]] = true
    moved[j] = here and 1 or 0
    is_there[tostring(j)] = here
    if here then gone[#gone + 1] = members[j] end
  end
end
call_in_chunks('ZREM', KEYS[1], gone, 1, #gone)
for j, at in ipairs(ats) do
  local place, bytes = tonumber(ARGV[at + 2]), ARGV[at + 1]
  if bytes == '' then bytes = ARGV[at] end
  if moved[j] == 0 or place == 0 then -- nothing to add
  elseif place == 1 or place == 3 then
    redis.call('ZADD', KEYS[place], ARGV[at + 3], bytes)
    died = died or place == 3
  else
    if not lists[place] then
      lists[place] = {}
      names[#names + 1] = ARGV[4 + place - 3]
    end
    table.insert(lists[place], bytes)
  end
end
call_in_chunks('SADD', KEYS[2], names, 1, #names)
for list, payloads in pairs(lists) do call_in_chunks('LPUSH', KEYS[list], payloads, 1, #payloads) end
if died then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[2])
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -(tonumber(ARGV[3]) + 1))
end
apply_effects(list, is_there)
return moved
