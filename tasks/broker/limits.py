"""Limits: of some runs only so many go on at a time, in all workers together.

A job says in its hash how many, and by which name it shares them (`limit`, such as “5 feeds.poll:
example.org”), on a line for each. The step that takes it gives it its places: leases, renewed with
that of the run, so whoever dies frees them. A job that finds no place leaves its queue and waits in
a list, so that it is not looked at again and again; whoever frees a place brings the first of them
back to the head of its queue. The runs of a schedule that wait for each other (overlap `wait`)
share one place.
"""

from collections.abc import Mapping
from typing import Any

from redis import Redis

from tasks import clock
from tasks.broker.keys import PARKED_KEY, lease_key, parked_key, places_key, with_key_names
from tasks.broker.leases import LEASE_SECONDS
from tasks.job import Job

# How the name of the place begins that the runs of one schedule share, with overlap `wait`.
PLACE_OF_SCHEDULE = "wait:"
# For scripts: brings waiting jobs back to their queues; frees a job's place, if it has one.
FREE_PLACE = """
local function unpark(name, number)
  while number > 0 do
    local id = redis.call('LPOP', PARKED .. name)
    if not id then
      redis.call('SREM', PARKED_KEYS, name)
      return
    end
    if redis.call('HDEL', JOB .. id, 'parked') == 1 then
      redis.call('LPUSH', QUEUE .. redis.call('HGET', JOB .. id, 'origin'), id)
      number = number - 1
    end
  end
end

local function limits_of(limit) return string.gmatch(limit or '', '(%d+) ([^\\n]+)') end

local function free_place(id)
  for _, name in limits_of(redis.call('HGET', JOB .. id, 'limit')) do
    if redis.call('ZREM', PLACES .. name, id) == 1 then unpark(name, 1) end
  end
end
"""
# For scripts that define `now` and `lease`, too: gives a job its place, or has it wait for one.
TAKE_PLACE = """
local function take_place(id)
  local limit = redis.pcall('HGET', JOB .. id, 'limit')
  if type(limit) ~= 'string' then return true end
  for most, name in limits_of(limit) do
    local places = PLACES .. name
    redis.call('ZREMRANGEBYSCORE', places, '-inf', now)
    if redis.call('ZCARD', places) >= tonumber(most) and not redis.call('ZSCORE', places, id) then
      redis.call('HSET', JOB .. id, 'parked', name)
      redis.call('RPUSH', PARKED .. name, id)
      redis.call('SADD', PARKED_KEYS, name)
      return false
    end
  end
  for _, name in limits_of(limit) do redis.call('ZADD', PLACES .. name, now + lease, id) end
  return true
end
"""
# ARGV: a job that has ended or has not started.
RELEASE = with_key_names(f"""{FREE_PLACE}
redis.call('DEL', LEASE .. ARGV[1])
free_place(ARGV[1])
""")
# ARGV: now, in seconds. Brings back as many waiting jobs as there are places that were freed by
# nobody: their holders have died.
BRING_BACK = with_key_names(f"""{FREE_PLACE}
for _, name in ipairs(redis.call('SMEMBERS', PARKED_KEYS)) do
  local places, first = PLACES .. name, redis.call('LINDEX', PARKED .. name, 0)
  redis.call('ZREMRANGEBYSCORE', places, '-inf', ARGV[1])
  local most = 1
  for number, of in limits_of(first and redis.call('HGET', JOB .. first, 'limit')) do
    if of == name then most = tonumber(number) end
  end
  unpark(name, math.max(most - redis.call('ZCARD', places), 0))
end
""")


def places_of(limit: bytes | None) -> str:
    """Return by which names a job shares its places, on a line each, by its field `limit`."""
    lines = (limit or b"").decode(errors="replace").splitlines()
    return "\n".join(line.partition(" ")[2] for line in lines)


def release(job_id: str, redis: Redis) -> None:
    """Drop the lease on a job's run and free its place: it has ended, or doesn't start."""
    redis.eval(RELEASE, 0, job_id)


def renew(places: Mapping[str, str], worker_name: str, redis: Redis) -> None:
    """Renew the leases on the runs of these jobs, and the places that they have, if any."""
    until = clock.timestamp() + LEASE_SECONDS
    with redis.pipeline(transaction=False) as pipe:
        for job_id, names in places.items():
            pipe.set(lease_key(job_id), worker_name, ex=LEASE_SECONDS)
            for name in names.splitlines():
                pipe.zadd(places_key(name), {job_id: until}, xx=True)
        pipe.execute()


def bring_back(redis: Redis) -> None:
    """Have jobs that wait for a place go on where a holder has died; raises RedisError."""
    if redis.exists(PARKED_KEY):
        redis.eval(BRING_BACK, 0, clock.timestamp())


def unpark(job_id: str, redis: Redis) -> None:
    """Take a job out of the list in which it waits for a place, if it does."""
    name: Any = redis.hget(Job.key_for(job_id), "parked")
    if name is not None:
        redis.lrem(parked_key(name.decode()), 1, job_id)
