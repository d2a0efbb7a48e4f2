-- batch_look: reads what is known of a batch.
--
-- KEYS  1 the batch (hash)   2 pending   3 unrun   4 failed   5 dead   6 children (sets)
-- RETURNS { fields and values, how many pending, unrun, failed, ids of the dead, ids of the batches in it }
--
-- REPEAT safe: it reads.

return {
  redis.call('HGETALL', KEYS[1]), redis.call('SCARD', KEYS[2]), redis.call('SCARD', KEYS[3]),
  redis.call('SCARD', KEYS[4]), redis.call('SMEMBERS', KEYS[5]), redis.call('SMEMBERS', KEYS[6]),
}
