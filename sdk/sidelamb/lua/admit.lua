-- include _effects
-- admit: stores jobs that use features, each with its effects: pushed onto queues, or into the schedule.
--
-- KEYS  1 queues (set)   2 schedule (zset)   3.. Q queues (list), then the keys of the effects
-- ARGV  1 Q, then Q queue names
--       then N, then for each job: where to (0 the schedule, q the queue of that number), score, payload
--       then effects (see _effects), owned by the number of their job, from 1
-- RETURNS for each job '' if it was stored, or what an effect refused it with: the id of who holds its lock
--
-- KEEPS a job is stored with all its effects, or it is refused and has none. In order: the second of two that
--       want the same finds what the first has taken.
-- REPEAT not safe: a second call pushes second copies. OOM: the first write is refused; nothing is stored then.

local Q = tonumber(ARGV[1])
redis.call('SCARD', KEYS[1])
redis.call('ZCARD', KEYS[2])
for q = 1, Q do redis.call('LLEN', KEYS[2 + q]) end
local N, first = tonumber(ARGV[2 + Q]), 3 + Q
for n = 1, N do
  local at = first + (n - 1) * 3
  if tonumber(ARGV[at]) == 0 and not finite(tonumber(ARGV[at + 1])) then
    return redis.error_reply('ERR a time is not a finite number')
  end
end
local list, refused = effects(first + N * 3)
if refused then return refused end
local own = {}
for _, e in ipairs(list) do
  own[e.owner] = own[e.owner] or {}
  table.insert(own[e.owner], e)
end

local answers, pushed, names, entries = {}, {}, {}, {}
for n = 1, N do
  local mine, answer = own[tostring(n)] or {}, ''
  for _, e in ipairs(mine) do
    if answer == '' and VERBS[e.verb].refuses then answer = VERBS[e.verb].refuses(e) or '' end
  end
  answers[n] = answer
  if answer == '' then
    for _, e in ipairs(mine) do VERBS[e.verb].apply(e) end
    local at = first + (n - 1) * 3
    local q = tonumber(ARGV[at])
    if q == 0 then
      entries[#entries + 1] = ARGV[at + 1]
      entries[#entries + 1] = ARGV[at + 2]
    else
      if not pushed[q] then
        pushed[q] = {}
        names[#names + 1] = ARGV[1 + q]
      end
      table.insert(pushed[q], ARGV[at + 2])
    end
  end
end
call_in_chunks('SADD', KEYS[1], names, 1, #names)
for q, payloads in pairs(pushed) do call_in_chunks('LPUSH', KEYS[2 + q], payloads, 1, #payloads) end
call_in_chunks('ZADD', KEYS[2], entries, 1, #entries)
return answers
