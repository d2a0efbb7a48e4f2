-- state: reads what a job has left between its executions. Writes nothing.
--
-- KEYS  1 it-<jid> (hash)   RETURNS field, value, …

return redis.call('HGETALL', KEYS[1])
