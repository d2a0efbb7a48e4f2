-- Effects of jobs whose status and result are kept.
--
-- status   keys: 1 the status (hash)  2 the bell (list)   args: 1 it lives so many ms, then fields and values
-- result   the same, and rings the bell: who waits for the job's end waits for an element of that list

local function check(e)
  read_as('HLEN', e.keys[1])
  read_as('LLEN', e.keys[2])
end

local function write(e)
  redis.call('DEL', e.keys[2])
  redis.call('HSET', e.keys[1], unpack(e.args, 2))
  redis.call('PEXPIRE', e.keys[1], e.args[1])
end

VERBS.status = { check = check, apply = write }

VERBS.result = {
  check = check,
  apply = function(e)
    write(e)
    redis.call('RPUSH', e.keys[2], 1)
    redis.call('PEXPIRE', e.keys[2], e.args[1])
  end,
}
