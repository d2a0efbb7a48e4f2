-- Shared by the scripts that store, end and move jobs: what the features of a job have done in the same script.
--
-- An effect is: owner, verb, K, then K indexes into KEYS, A, then A arguments. The owner says which job it is of,
-- as the script counts or names its jobs; effects of a job that is not there any more are passed over.
-- Each verb is in a file of its own, `_effect_<feature>.lua`, which puts into VERBS a table of functions:
--   check(e)    reads each key as what it must be, and returns what else is wrong, as an error's text
--   refuses(e)  only where jobs are admitted or begin: returns a text if the job must not, else nil
--   apply(e)    does it; safe to repeat
-- e.keys and e.args are what came with the effect.

local VERBS = {}
local MOST_TOLD = 100 -- effects that were given up of which a script says so

-- Reads a key by a command of its type; a key of another type is somebody else's, and the error names it.
local function read_as(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not string.find(answer.err, 'WRONGTYPE', 1, true) then error(answer.err, 0) end
  error('WRONGTYPE ' .. key .. ' is a ' .. redis.call('TYPE', key).ok .. ' of another program', 0)
end

-- Returns what a check, which reads by `read_as`, finds wrong; nil if nothing is.
local function wrong_with(check, what)
  local _, wrong = pcall(check, what)
  return wrong
end

-- Returns the effects that stand in ARGV from `from` to its end; `wrong` of one says why it cannot be done.
local function looked_at(from)
  local found, i = {}, from
  while i <= #ARGV do
    local e = { owner = ARGV[i], verb = ARGV[i + 1], keys = {}, args = {} }
    local K = tonumber(ARGV[i + 2])
    for k = 1, K do e.keys[k] = KEYS[tonumber(ARGV[i + 2 + k])] end
    i = i + 3 + K
    local A = tonumber(ARGV[i])
    for a = 1, A do e.args[a] = ARGV[i + a] end
    i = i + 1 + A
    found[#found + 1] = e
    e.wrong = not VERBS[e.verb] and 'ERR there is no effect ' .. e.verb or wrong_with(VERBS[e.verb].check, e)
  end
  return found
end

-- Returns the effects that stand in ARGV from `from` to its end, or nil and an error reply; all are checked.
local function effects(from)
  local list = looked_at(from)
  for _, e in ipairs(list) do
    if e.wrong then return nil, redis.error_reply(e.wrong) end
  end
  return list
end

-- The same for a job that has run, or will run whatever they say: those whose keys are somebody else's are given up.
-- Returns also what was given up: owner, verb and why of each.
local function possible_effects(from)
  local list, given_up = {}, {}
  for _, e in ipairs(looked_at(from)) do
    local is_foreign = e.wrong and string.match(e.wrong, '^WRONGTYPE') and not VERBS[e.verb].refuses
    if e.wrong and not is_foreign then return nil, redis.error_reply(e.wrong) end
    if not e.wrong then list[#list + 1] = e end
    local why = e.wrong or e.astray
    if why and #given_up < 3 * MOST_TOLD then
      for _, part in ipairs({ e.owner, e.verb, why }) do given_up[#given_up + 1] = part end
    end
  end
  return list, nil, given_up
end

-- Does the effects whose owners are there.
local function apply_effects(list, is_there)
  for _, e in ipairs(list) do
    if is_there[e.owner] then VERBS[e.verb].apply(e) end
  end
end
