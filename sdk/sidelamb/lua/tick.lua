-- include _effects
-- tick: one periodic job's time has come: its jobs are pushed, and its next time is set.
--
-- KEYS  1 due (zset)   2 records (hash)   3 paused (set)   4 last ticks (hash)   5 its history (list)
--       6 queues (set)   7 queue (list)   then the keys of the effects
-- ARGV  1 name   2 the score it was read with, '' for none   3 the record it was read with
--       4 1 if it was paused, else 0   5 its next score, '' for none   6 the last tick that has passed, '' for none
--       7 entries of history to keep   8 seconds to keep them   9 queue   10 N
--       then for each job: what history says of it, payload
--       then effects (see _effects), owned by the number of their job, from 1
-- RETURNS { 0 } if it is not as it was read, and nothing was done; else { 1 }, then for each job '' if it was
--         pushed, or what an effect refused it with
--
-- KEEPS a tick is enqueued once, whoever comes how often: the score moves on in the same script. A job has all
--       its effects, or is refused and has none.
-- REPEAT safe: the second finds another score. OOM: the first write is refused; the tick is made up for later.

local name, N = ARGV[1], tonumber(ARGV[10])
for i = 2, 6 do
  if i ~= 3 and ARGV[i] ~= '' and not finite(tonumber(ARGV[i])) then return not_times(i) end
end
local score = tonumber(redis.call('ZSCORE', KEYS[1], name) or '')
local same = (redis.call('HGET', KEYS[2], name) or '') == ARGV[3]
local paused = redis.call('SISMEMBER', KEYS[3], name)
redis.call('HLEN', KEYS[4])
redis.call('LLEN', KEYS[5])
redis.call('SCARD', KEYS[6])
redis.call('LLEN', KEYS[7])
local list, refused = effects(11 + 2 * N)
if refused then return refused end
if score ~= tonumber(ARGV[2]) or not same or paused ~= tonumber(ARGV[4]) then return { 0 } end

if ARGV[5] == '' then
  redis.call('ZREM', KEYS[1], name)
else
  redis.call('ZADD', KEYS[1], ARGV[5], name)
end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[4], name, ARGV[6]) end
local own = {}
for _, e in ipairs(list) do
  own[e.owner] = own[e.owner] or {}
  table.insert(own[e.owner], e)
end
local answers, payloads, history = { 1 }, {}, {}
for n = 1, N do
  local mine, answer = own[tostring(n)] or {}, ''
  for _, e in ipairs(mine) do
    if answer == '' and VERBS[e.verb].refuses then answer = VERBS[e.verb].refuses(e) or '' end
  end
  answers[1 + n] = answer
  history[n] = ARGV[9 + 2 * n]
  if answer == '' then
    for _, e in ipairs(mine) do VERBS[e.verb].apply(e) end
    payloads[#payloads + 1] = ARGV[10 + 2 * n]
  else
    history[n] = history[n] .. ' ' .. answer
  end
end
if #payloads > 0 then
  redis.call('SADD', KEYS[6], ARGV[9])
  call_in_chunks('LPUSH', KEYS[7], payloads, 1, #payloads)
end
if N > 0 then
  call_in_chunks('LPUSH', KEYS[5], history, 1, N)
  redis.call('LTRIM', KEYS[5], 0, tonumber(ARGV[7]) - 1)
  redis.call('EXPIRE', KEYS[5], ARGV[8])
end
return answers
