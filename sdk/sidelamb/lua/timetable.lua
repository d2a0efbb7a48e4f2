-- include _periodic
-- timetable: writes down what one source (an app's modules and its file) declares as periodic.
--
-- KEYS  1 records (hash)   2 due (zset)   3 owners (hash: name, its source)
--       4 sources (hash: a source, the digest of what it declares; '<source>\n<digest>', when that was replaced)
-- ARGV  1 source   2 digest of all it declares   3 now   4 seconds in which a replaced digest does not come back
--       5 N, then for each: name, record   last: the mark of who asks for this
-- RETURNS 1 if it was written, 0 if it stands there already, -1 if it was replaced by another just now
--
-- KEEPS what a source does not declare any more is gone, and a sandbox of the old code does not bring it back.
-- REPEAT safe. OOM: refused before anything is written, or done whole.

local source, digest, now, N = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local wrong = not_times(3, 4)
if wrong then return wrong end
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
local owners, sources = redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4])
local behind, current, forgotten, replaced_at = source .. '\n', nil, {}, nil
for i = 1, #sources, 2 do
  local field, value = sources[i], sources[i + 1]
  if field == source then
    current = value
  elseif string.sub(field, 1, #behind) == behind then
    local was_at = tonumber(value) or 0
    if field == behind .. digest then replaced_at = was_at end
    if field == behind .. digest or now - was_at > tonumber(ARGV[4]) then forgotten[#forgotten + 1] = field end
  end
end
local mark = ARGV[6 + 2 * N]
if current == digest or (replaced_at and now - replaced_at < tonumber(ARGV[4])) then
  redis.call('ZREM', KEYS[2], mark)
  return current == digest and 0 or -1
end

local gone = {}
for i = 1, #owners, 2 do
  if owners[i + 1] == source then gone[owners[i]] = true end
end
for n = 1, N do gone[ARGV[4 + 2 * n]] = nil end
redis.call('ZREM', KEYS[2], mark)
for name in pairs(gone) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[3], name)
end
call_in_chunks('HDEL', KEYS[4], forgotten, 1, #forgotten)
redis.call('HSET', KEYS[4], source, digest)
if current then redis.call('HSET', KEYS[4], behind .. current, ARGV[3]) end
for n = 1, N do
  local name, record = ARGV[4 + 2 * n], ARGV[5 + 2 * n]
  put(KEYS[1], KEYS[2], name, record, now)
  redis.call('HSET', KEYS[3], name, source)
end
return 1
