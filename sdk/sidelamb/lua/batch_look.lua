-- batch_look: reads what is known of batches.
--
-- KEYS  for each: the batch (hash), pending, unrun, failed, dead, children (sets)
-- RETURNS for each { fields and values, how many jobs are pending, unrun, failed; how many members are unrun or failed;
--         ids of the dead, ids of the batches in it }
--
-- REPEAT safe: it reads.

local found = {}
for k = 1, #KEYS, 6 do
  local children, hidden = redis.call('SMEMBERS', KEYS[k + 5]), {}
  for _, bid in ipairs(children) do
    for _, ends in ipairs({ '', '-success', '-complete', '-death' }) do hidden[#hidden + 1] = bid .. ends end
  end
  local function jobs(set)
    local n = redis.call('SCARD', set)
    for i = 1, #hidden, CHUNK do
      local part = redis.call('SMISMEMBER', set, unpack(hidden, i, math.min(i + CHUNK - 1, #hidden)))
      for _, is in ipairs(part) do n = n - is end
    end
    return n
  end
  found[#found + 1] = {
    redis.call('HGETALL', KEYS[k]), jobs(KEYS[k + 1]), jobs(KEYS[k + 2]), jobs(KEYS[k + 3]),
    redis.call('SCARD', KEYS[k + 2]) + redis.call('SCARD', KEYS[k + 3]), redis.call('SMEMBERS', KEYS[k + 4]), children,
  }
end
return found
