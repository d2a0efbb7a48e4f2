-- read: answers several reading commands at one instant, for the API and its pages.
--
-- KEYS  one for each command, in order; a key may stand several times
-- ARGV  for each command: its name, the number N of its further arguments, then those N
-- RETURNS the answers, in order
--
-- KEEPS changes nothing: a command that writes is refused before any is run.
-- REPEAT safe.

local READS = {}
for name in string.gmatch('EXISTS GET HGET HGETALL HKEYS HLEN HMGET HSCAN LINDEX LLEN LPOS LRANGE SCARD SISMEMBER SMEMBERS SSCAN TYPE ZCARD ZCOUNT ZRANDMEMBER ZRANGE ZSCAN ZSCORE', '%u+') do
  READS[name] = true
end
local at, reply, commands = 1, {}, {}
for k = 1, #KEYS do
  local name, n = ARGV[at], tonumber(ARGV[at + 1])
  if not READS[name] then return redis.error_reply('ERR read does not do ' .. tostring(name)) end
  commands[k] = { name, KEYS[k], unpack(ARGV, at + 2, at + 1 + n) }
  at = at + 2 + n
end
for k, command in ipairs(commands) do reply[k] = redis.call(unpack(command)) end
return reply
