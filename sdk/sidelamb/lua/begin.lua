-- include _effects
-- begin: what the features of one job have done before it runs: a slot taken, a lock given back, a status written.
--
-- KEYS  1 the lease (hash), then the keys of the effects
-- ARGV  1 the job's field in its lease   2 request id that must hold the claim, then effects (see _effects)
-- RETURNS '' if the job may run, or what an effect refuses it with; 'gone' if it is not this worker's any more
--
-- KEEPS a job that is refused has none of its effects. What might refuse it and cannot be asked is an error; anything
--       else whose keys are somebody else's is given up, which its end says.
-- REPEAT safe, by job. OOM: refused; the job does not run then.

local claim, list, refused = redis.call('HGET', KEYS[1], 'claim'), possible_effects(3)
if refused then return refused end
if not claim or string.match(claim, '^%S+') ~= ARGV[2] then return 'gone' end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 'gone' end
for _, e in ipairs(list) do
  local answer = VERBS[e.verb].refuses and VERBS[e.verb].refuses(e)
  if answer then return answer end
end
for _, e in ipairs(list) do VERBS[e.verb].apply(e) end
return ''
