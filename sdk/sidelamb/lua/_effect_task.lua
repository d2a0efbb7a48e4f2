-- Effects of Django's tasks. The status they write into is opened, and given its time to live, by the effects of
-- `_effect_status`, which come with them.
--
-- note   keys: 1 the status (hash)   args: fields and values

VERBS.note = {
  check = function(e) read_as('HLEN', e.keys[1]) end,
  apply = function(e) redis.call('HSET', e.keys[1], unpack(e.args)) end,
}
