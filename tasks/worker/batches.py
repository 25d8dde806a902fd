"""How coroutine children take jobs from queues: as many in one step as can start at once.

The same step ends the jobs that have finished meanwhile. Otherwise it does what the step of a plain
child does, see `queues`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.broker.keys import COROUTINES_FIELDS, taken_key, with_key_names
from tasks.clock import elapsed_clock
from tasks.worker.doorbell import HAND_OVER
from tasks.worker.queues import PARTS, UNTAKE, Finished, Steps, Taken, described

# What tells the coroutine children apart from the plain ones where both have a key by their
# worker's name. Only one of a worker's coroutine children takes jobs and listens for them.
LANE = "coroutines:"
# KEYS: the worker, what its coroutine child took last. ARGV: this step's id, now (as text, and in
# seconds), the worker's name, for how long a job counts as started and for how long its lease holds
# (seconds); then the kind of job to take, the lane, how many at most, "1" if the worker has
# listened to the queues and lets another one do so once it has a job; how many jobs it has that go
# on, and the field of the worker's hash for that; as JSON the jobs that finished, each a list: id,
# execution, queue, the lifetime of its result (seconds), its payload ("" for none), when it started
# and ended (seconds), 1 if it took long enough to be recorded as an execution; then the queues to
# take jobs from.
# Returns the finished jobs that have dependents and are left to RQ; the jobs that were taken, each
# with its id, queue, execution and fields; the templates found on the queues, which are never
# executed; and Redis's time.
STEP = with_key_names(f"""
local worker, taken, step, text, now, name = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl, lease, kind, lane, free = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
{PARTS}
{HAND_OVER}
local last = redis.call('HMGET', taken, 'step', 'left', 'jobs')
if last[1] == step then
  -- The same step once more: its answer was lost on the way.
  local jobs = cjson.decode(last[3])
  for _, job in ipairs(jobs) do job[4] = redis.call('HGETALL', JOB .. job[1]) end
  return {{cjson.decode(last[2]), jobs, {{}}, redis.call('TIME')}}
end

local left, jobs, notes, templates = {{}}, {{}}, {{}}, {{}}
for _, job in ipairs(cjson.decode(ARGV[13])) do
  if finish(unpack(job)) == 1 then left[#left + 1] = job[1] end
end
for i = 14, #ARGV do
  while free > 0 do
    local ids = take_off(ARGV[i], free)
    if #ids == 0 then break end
    for _, id in ipairs(ids) do
      local execution = step .. '-' .. #jobs
      if is_template(id) then
        templates[#templates + 1] = id
      elseif take_place(id) then
        local found = start(id, ARGV[i], execution)
        if found then
          jobs[#jobs + 1] = {{id, ARGV[i], execution, found}}
          notes[#notes + 1] = {{id, ARGV[i], execution}}
          free = free - 1
        end
      end
    end
  end
end
if ARGV[10] == '1' and #jobs > 0 then
  for i = 14, #ARGV do hand_over(ARGV[i]) end
end
redis.call('HSET', worker, ARGV[12], ARGV[11] + #jobs)
if #jobs > 0 then redis.call('HSET', worker, 'state', 'busy') end
redis.call('HSET', taken, 'step', step, 'left', cjson.encode(left), 'jobs', cjson.encode(notes))
redis.call('EXPIRE', taken, 3600)
return {{left, jobs, templates, redis.call('TIME')}}
""")
# Puts a job back on its queue, at once, for the plain children.
LEAVE_TO_PLAIN = with_key_names(f"""{UNTAKE}
if not is_taken() then return 0 end
untake('queued')
redis.call('HDEL', key, 'kind')
redis.call('LPUSH', QUEUE .. queue, id)
return 1
""")


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step did; `left_to_rq` are the finished jobs that have dependents."""

    taken: list[Taken]
    left_to_rq: list[str]
    templates: list[str]


@dataclass
class Batches(Steps):
    """The queues of one worker, for the coroutine child of it that has this number.

    Each child has a key of its own for what it took last: two of a worker take steps at the same
    time while one replaces the other.
    """

    SCRIPT: ClassVar[str] = STEP

    number: int = 0

    def step_many(
        self,
        finished: Sequence[Finished],
        queue_names: Sequence[str],
        free: int,
        *,
        going_on: int = 0,
        hand_over: bool = False,
    ) -> Batch:
        """Report the jobs that finished, and take up to `free` new ones; else as `Queues.step`.

        `going_on` others have been taken and have not finished: the worker's hash has how many.
        """
        self._sent = self._sent or elapsed_clock()
        batch = self._step_many(self.step_id, finished, queue_names, free, going_on, hand_over)
        self._count_step()
        return batch

    def all_taken_by(self, step_id: str) -> list[Taken]:
        """Return the jobs that the last step of a process that died took; as `Queues.taken_by`."""
        return self._step_many(step_id, (), (), 0).taken

    def leave_to_plain(self, taken: Taken) -> None:
        """Put a job that was taken, but not started, back for a child that runs one at a time."""
        args = [self.worker_key, taken.job_id, taken.queue, taken.execution_id]
        self.redis.eval(LEAVE_TO_PLAIN, 1, *args)

    def _step_many(
        self,
        step_id: str,
        finished: Sequence[Finished],
        queue_names: Sequence[str],
        free: int,
        going_on: int = 0,
        hand_over: bool = False,
    ) -> Batch:
        args = [*self._args(step_id), self.kind, LANE, free, int(hand_over)]
        args += [going_on, COROUTINES_FIELDS[self.number]]
        ends = json.dumps([described(one) for one in finished])
        left, jobs, templates = self._call([*args, ends, *queue_names])
        self.rest()
        taken = [self._taken(id_, queue, run.decode(), flat) for id_, queue, run, flat in jobs]
        return Batch(taken, [one.decode() for one in left], [one.decode() for one in templates])

    @property
    def _taken_key(self) -> str:
        return taken_key(f"{LANE}{self.number}:{self.worker_name}")
