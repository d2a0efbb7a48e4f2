-- Shared by the scripts that store, end and move jobs: what the features of a job have done in the same script.
--
-- An effect is: owner, verb, K, then K indexes into KEYS, A, then A arguments. The owner says which job it is of,
-- as the script counts or names its jobs; effects of a job that is not there any more are passed over.
-- Each verb is in a file of its own, `_effect_<feature>.lua`, which puts into VERBS a table of functions:
--   check(e)    touches each key with a reading command of its type, and returns an error reply if something is wrong
--   refuses(e)  only where jobs are admitted or begin: returns a text if the job must not, else nil
--   apply(e)    does it; safe to repeat
-- e.keys and e.args are what came with the effect.

local VERBS = {}

-- Returns the effects that stand in ARGV from `from` to its end, or nil and an error reply; all are checked.
local function effects(from)
  local found, i = {}, from
  while i <= #ARGV do
    local e = { owner = ARGV[i], verb = ARGV[i + 1], keys = {}, args = {} }
    local K = tonumber(ARGV[i + 2])
    for k = 1, K do e.keys[k] = KEYS[tonumber(ARGV[i + 2 + k])] end
    i = i + 3 + K
    local A = tonumber(ARGV[i])
    for a = 1, A do e.args[a] = ARGV[i + a] end
    i = i + 1 + A
    if not VERBS[e.verb] then return nil, redis.error_reply('ERR there is no effect ' .. e.verb) end
    local refused = VERBS[e.verb].check(e)
    if refused then return nil, refused end
    found[#found + 1] = e
  end
  return found
end

-- Does the effects whose owners are there.
local function apply_effects(list, is_there)
  for _, e in ipairs(list) do
    if is_there[e.owner] then VERBS[e.verb].apply(e) end
  end
end
