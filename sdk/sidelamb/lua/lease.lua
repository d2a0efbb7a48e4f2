-- lease: reads all of a lease. Writes nothing.
--
-- KEYS  1 the lease (hash)   RETURNS field, value, …

return redis.call('HGETALL', KEYS[1])
