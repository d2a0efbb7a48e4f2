-- Shared by timetable and register: writes down one periodic job.
--
-- What is new or changed has a score below zero, the time since when; the scheduler finds its next time. One whose
-- time has come already keeps it, and so does one that is being looked for: a change loses no tick.

local function put(records, due, name, record, now)
  local score = tonumber(redis.call('ZSCORE', due, name) or '')
  if not score or (score > now and redis.call('HGET', records, name) ~= record) then
    redis.call('ZADD', due, -now, name)
  end
  redis.call('HSET', records, name, record)
end
