-- include _effects
-- include _admit
-- admit: stores jobs that use features, each with its effects: pushed onto queues, or into the schedule.
--
-- KEYS  1 queues (set)   2 schedule (zset)   3.. Q queues (list), then the keys of the effects
-- ARGV  1 Q, then Q queue names
--       then N, then for each job: where to (0 the schedule, q the queue of that number), score, payload
--       then effects (see _effects), owned by the number of their job, from 1
-- RETURNS for each job '' if it was stored, or what an effect refused it with: the id of who holds its lock
--
-- KEEPS a job is stored with all its effects, or it is refused and has none. In order: the second of two that
--       want the same finds what the first has taken.
-- REPEAT not safe: a second call pushes second copies. OOM: the first write is refused; nothing is stored then.

return admit(1)
