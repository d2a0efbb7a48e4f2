-- include _effects
-- take: one effect outside of jobs: a limit is held, or given back.
--
-- KEYS  those of the effect
-- ARGV  the effect (see _effects)
-- RETURNS '' if it was done, or what it refuses with
--
-- REPEAT as the effect is. OOM: refused.

local list, refused = effects(1)
if refused then return refused end
for _, e in ipairs(list) do
  local answer = VERBS[e.verb].refuses and VERBS[e.verb].refuses(e)
  if answer then return answer end
  VERBS[e.verb].apply(e)
end
return ''
