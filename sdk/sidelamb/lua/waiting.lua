-- waiting: how much waits in each of some queues, for listings.
--
-- KEYS  Q queues (list); then Q alone lists
-- RETURNS for each queue: how many jobs wait, the next one to run ('' if there is none), and its key that is no list,
--         because another program uses it ('' if there is none)
--
-- KEEPS changes nothing. What is no list counts as empty, and keeps no other queue from being listed.
-- REPEAT safe.

local Q, reply = #KEYS / 2, {}
for q = 1, Q do
  local size, head, foreign = 0, '', ''
  for _, key in ipairs({ KEYS[q], KEYS[Q + q] }) do
    local n = length_of(key)
    if n then
      size = size + n
      head = redis.call('LINDEX', key, -1) or head
    elseif foreign == '' then
      foreign = key
    end
  end
  for _, answer in ipairs({ size, head, foreign }) do reply[#reply + 1] = answer end
end
return reply
