-- metrics: adds counts and times of job classes to the hashes and histograms that Sidekiq's Metrics page reads.
--
-- KEYS  H hashes, then B histograms (strings of counters)
-- ARGV  1 H   2 F, then F field, amount pairs that go into every hash; then for each hash its seconds to live;
--       then for each histogram: its seconds to live, a counter's type (u16), N, and N bucket, amount pairs
-- RETURNS nothing
--
-- KEEPS no promise but this: a key of another type is passed over, and stops nothing. Figures, not jobs.

local H, F = tonumber(ARGV[1]), tonumber(ARGV[2])
local at = 3 + 2 * F
for h = 1, H do
  if type(redis.pcall('HLEN', KEYS[h])) == 'number' then
    for i = 3, 2 + 2 * F, 2 do redis.pcall('HINCRBY', KEYS[h], ARGV[i], ARGV[i + 1]) end
    redis.call('EXPIRE', KEYS[h], ARGV[at])
  end
  at = at + 1
end
for b = H + 1, #KEYS do
  local ttl, counter, n = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local words = {}
  for i = at + 3, at + 2 + 2 * n, 2 do
    for _, word in ipairs({ 'INCRBY', counter, '#' .. ARGV[i], ARGV[i + 1] }) do words[#words + 1] = word end
  end
  if type(redis.pcall('STRLEN', KEYS[b])) == 'number' then
    redis.pcall('BITFIELD', KEYS[b], 'OVERFLOW', 'SAT', unpack(words))
    redis.call('EXPIRE', KEYS[b], ttl)
  end
  at = at + 3 + 2 * n
end
