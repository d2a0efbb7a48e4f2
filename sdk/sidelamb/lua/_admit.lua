-- Shared by the scripts that store jobs which use features, each with its effects.
--
-- KEYS  1 a set of names of queues   2 scheduled jobs (zset)   3.. Q lists, then the keys of the effects
-- ARGV  from `at`: Q, then Q queue names
--       then N, then for each job: where to (0: scheduled, q: the list of that number), score, payload
--       then effects (see _effects), owned by the number of their job, from 1
-- Returns for each job '' if it was stored, or what an effect refused it with; or an error reply.

local admission = {}

-- Returns what `store` takes, or nil and an error reply.
function admission.check(at)
  local Q = tonumber(ARGV[at])
  redis.call('SCARD', KEYS[1])
  redis.call('ZCARD', KEYS[2])
  for q = 1, Q do redis.call('LLEN', KEYS[2 + q]) end
  local N, first = tonumber(ARGV[at + 1 + Q]), at + 2 + Q
  for n = 1, N do
    local job = first + (n - 1) * 3
    if tonumber(ARGV[job]) == 0 and not finite(tonumber(ARGV[job + 1])) then
      return nil, redis.error_reply('ERR a time is not a finite number')
    end
  end
  local list, refused = effects(first + N * 3)
  if refused then return nil, refused end
  local own = {}
  for _, e in ipairs(list) do
    own[e.owner] = own[e.owner] or {}
    table.insert(own[e.owner], e)
  end
  return { N = N, first = first, at = at, own = own }
end

function admission.store(checked)
  local answers, pushed, names, entries = {}, {}, {}, {}
  for n = 1, checked.N do
    local mine, answer = checked.own[tostring(n)] or {}, ''
    for _, e in ipairs(mine) do
      if answer == '' and VERBS[e.verb].refuses then answer = VERBS[e.verb].refuses(e) or '' end
    end
    answers[n] = answer
    if answer == '' then
      for _, e in ipairs(mine) do VERBS[e.verb].apply(e) end
      local job = checked.first + (n - 1) * 3
      local q = tonumber(ARGV[job])
      if q == 0 then
        entries[#entries + 1] = ARGV[job + 1]
        entries[#entries + 1] = ARGV[job + 2]
      else
        if not pushed[q] then
          pushed[q] = {}
          names[#names + 1] = ARGV[checked.at + q]
        end
        table.insert(pushed[q], ARGV[job + 2])
      end
    end
  end
  call_in_chunks('SADD', KEYS[1], names, 1, #names)
  for q, payloads in pairs(pushed) do call_in_chunks('LPUSH', KEYS[2 + q], payloads, 1, #payloads) end
  call_in_chunks('ZADD', KEYS[2], entries, 1, #entries)
  return answers
end

local function admit(at)
  local checked, refused = admission.check(at)
  return refused or admission.store(checked)
end
