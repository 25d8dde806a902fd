"""How workers take jobs from queues: in one atomic step with the ends of those before.

RQ's worker pops a job, reads it, and updates half a dozen keys, in 20 round trips. Here one
script does what RQ's pages, registries and commands need: jobs that ended go to the finished ones
with their results, the next ones are marked as started by this worker, with leases on their runs.
What leaves a queue is registered as started in the same step, so no job is lost on the way,
however many queues a worker listens to.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any, ClassVar

from redis import Redis
from redis.exceptions import NoScriptError
from rq.executions import Execution
from rq.utils import utcformat

from tasks import clock
from tasks.broker.keys import executions_key, taken_key, with_key_names
from tasks.broker.leases import LEASE_SECONDS
from tasks.broker.limits import FREE_PLACE, TAKE_PLACE
from tasks.clock import elapsed_clock
from tasks.worker.doorbell import HAND_OVER

# How far into a queue a step looks for a job of its kind.
LOOK = 1_000
# For scripts that define `worker`, `name`, `text`, `now`, `ttl`, `lease`, `step` and `kind`: ends a
# job that finished, and returns whether it has dependents and is left to RQ; marks a job as started
# and returns its fields, nil if it isn't there; takes jobs of the step's kind off a queue.
PARTS = (
    """FREE_PLACE
local function finish(id, execution, queue, result_ttl, payload, started, ended, is_long)
  local key = JOB .. id
  if redis.call('EXISTS', key .. ':dependents') == 1 then return 1 end
  local member = id .. ':' .. execution
  redis.call('ZREM', STARTED .. queue, member)
  redis.call('DEL', LEASE .. id)
  free_place(id)
  if is_long == 1 then
    redis.call('DEL', EXECUTION .. member)
    redis.call('ZREM', EXECUTIONS .. id, execution)
    redis.call('SREM', worker .. ':executions', member)
  end
  redis.call('HINCRBY', worker, 'successful_job_count', 1)
  redis.call('HINCRBYFLOAT', worker, 'total_working_time', ended - started)
  if result_ttl == 0 then
    redis.call('DEL', key)
  elseif redis.call('EXISTS', key) == 1 then
    redis.call('HSET', key, 'status', 'finished', 'ended_at', text, 'last_heartbeat', text)
    if result_ttl > 0 then
      redis.call('EXPIRE', key, result_ttl)
      redis.call('ZADD', FINISHED .. queue, now + result_ttl, id)
    else
      redis.call('ZADD', FINISHED .. queue, '+inf', id)
    end
    if payload ~= '' then
      local results = RESULTS .. id
      redis.call('XADD', results, 'MAXLEN', '10', '*', 'type', '1', 'worker_name', name,
        'execution_id', execution, 'execution_started_at', started,
        'execution_ended_at', ended, 'return_value', payload)
      if result_ttl > 0 then redis.call('EXPIRE', results, result_ttl) end
    end
  end
  return 0
end

local function start(id, queue, execution)
  local key = JOB .. id
  local found = redis.pcall('HGETALL', key)
  if found.err then return {} end
  if #found == 0 then return nil end
  redis.call('HSET', key, 'status', 'started', 'started_at', text, 'last_heartbeat', text,
    'worker_name', name)
  redis.call('PERSIST', key)
  redis.call('ZADD', STARTED .. queue, now + ttl, id .. ':' .. execution)
  redis.call('SET', LEASE .. id, name, 'EX', lease)
  return found
end

TAKE_PLACE
local function is_template(id) return string.match(id, '^schedule%-%x+$') end

local function take_off(queue, number)
  local key, found, passed, from, chunk = QUEUE .. queue, {}, 0, 0, number
  if kind == '' then return redis.call('LPOP', key, number) or {} end
  while #found < number and from < LOOK do
    local ids = redis.call('LRANGE', key, from, from + chunk - 1)
    for _, id in ipairs(ids) do
      local its = redis.pcall('HGET', JOB .. id, 'kind')
      if #found == number then break end
      if (its == 'coroutine') == (kind == 'coroutine') then
        found[#found + 1] = id
      elseif #found < number then
        passed = passed + 1
      end
    end
    if #ids < chunk then break end
    from = from + chunk
    chunk = math.min(100, LOOK - from)
  end
  if #found > 0 and passed == 0 then
    redis.call('LPOP', key, #found)
  else
    for _, id in ipairs(found) do redis.call('LREM', key, 1, id) end
  end
  return found
end
""".replace("LOOK", str(LOOK))
    .replace("FREE_PLACE", FREE_PLACE)
    .replace("TAKE_PLACE", TAKE_PLACE)
)
# KEYS: the worker, what its child took last. ARGV: this step's id, now (as text, and in seconds),
# the worker's name, for how long a job counts as started and for how long its lease holds
# (seconds); then the kind of job to take ("" for any), the lane, how many at most, "1" if the
# worker has listened to the queues and lets another one do so once it has a job; how many jobs the
# child has that go on, and the field of the worker's hash for that ("" for none); as JSON the jobs
# that finished, each a list: id, execution, queue, the lifetime of its result (seconds), its
# payload ("" for none), when it started and ended (seconds), 1 if it took long enough to be
# recorded as an execution; then the queues to take jobs from.
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
if ARGV[12] ~= '' then redis.call('HSET', worker, ARGV[12], ARGV[11] + #jobs) end
if #jobs > 0 then redis.call('HSET', worker, 'state', 'busy') end
redis.call('HSET', taken, 'step', step, 'left', cjson.encode(left), 'jobs', cjson.encode(notes),
  'job', jobs[1] and jobs[1][1] or '')
redis.call('EXPIRE', taken, 3600)
return {{left, jobs, templates, redis.call('TIME')}}
""")
# KEYS: the worker. ARGV: now (as text, and in seconds), the worker's name, and as JSON the jobs
# that finished, as a step has them. Returns those that have dependents and are left to RQ.
REPORT = with_key_names(f"""
local worker, text, now, name, left = KEYS[1], ARGV[1], ARGV[2], ARGV[3], {{}}
{PARTS}
for _, job in ipairs(cjson.decode(ARGV[4])) do
  if finish(unpack(job)) == 1 then left[#left + 1] = job[1] end
end
return left
""")
# KEYS: what a child took last. ARGV: the step that took it, a job. Notes that this job runs, unless
# there has been another step.
NOTE_RUNNING = """
local taken, step, id = KEYS[1], ARGV[1], ARGV[2]
if redis.call('HGET', taken, 'step') == step then redis.call('HSET', taken, 'job', id) end
"""
# What the scripts below begin with. KEYS: the worker. ARGV: a job that it took, its queue and
# execution. They return 0 if the job has ended, or is no longer with this worker.
UNTAKE = f"""{FREE_PLACE}
local worker, id, queue, execution = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local key, member = JOB .. id, id .. ':' .. execution
local function is_taken()
  return redis.call('ZSCORE', STARTED .. queue, member)
    and redis.call('HGET', key, 'status') == 'started'
end
local function untake(status)
  redis.call('ZREM', STARTED .. queue, member)
  redis.call('DEL', LEASE .. id, EXECUTION .. member)
  free_place(id)
  redis.call('ZREM', EXECUTIONS .. id, execution)
  redis.call('SREM', worker .. ':executions', member)
  redis.call('HDEL', key, 'started_at', 'worker_name')
  redis.call('HSET', key, 'status', status)
end
"""
# Puts a job back on its queue, at once. It is never put back like this a second time: this job may
# be what kills its process.
RETURN_TO_QUEUE = with_key_names(f"""{UNTAKE}
if not is_taken() or redis.call('HSETNX', key, 'put_back', execution) == 0 then return 0 end
untake('queued')
redis.call('LPUSH', QUEUE .. queue, id)
return 1
""")
# Puts a job that was taken ahead back on its queue, as if it had not been taken.
GIVE_BACK = with_key_names(f"""{UNTAKE}
if not is_taken() then return 0 end
untake('queued')
redis.call('LPUSH', QUEUE .. queue, id)
return 1
""")
# Puts a job back for later. ARGV also: when it is to be on its queue again (seconds), and fields of
# its hash with their values, if any.
PUT_OFF = with_key_names(f"""{UNTAKE}
if not is_taken() then return 0 end
untake('scheduled')
if ARGV[5] then redis.call('HSET', key, unpack(ARGV, 5)) end
redis.call('ZADD', SCHEDULED .. queue, ARGV[4], id)
return 1
""")
# The end of a job whose hash has one of these fields is left to RQ.
LEFT_TO_RQ = (b"success_callback_name", b"webhooks", b"repeats_left", b"rate_limit_key")
# The worker may have recorded a job that took longer than this as an execution.
LONG_RUN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Taken:
    """A job taken from its queue, with the fields of its hash as Redis has them.

    `leased` is when the step that took it was first sent, by `elapsed_clock`.
    """

    job_id: str
    queue: str
    execution_id: str
    fields: dict[bytes, bytes]
    leased: float = field(default_factory=elapsed_clock)


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that returned; its times are in seconds since the Unix epoch.

    `payload` is its serialized result in base64, "" if it has none or if its row keeps it.
    """

    job_id: str
    execution_id: str
    queue: str
    result_ttl: int
    payload: str
    started: float
    ended: float


all_of = attrgetter(*Finished.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step did; `left_to_rq` are the finished jobs that have dependents."""

    taken: list[Taken]
    left_to_rq: list[str]
    templates: list[str]


@dataclass
class Queues:
    """The queues of one worker, for the child that runs one job after the other.

    `step_id` identifies the next step. `kind` is the kind of job that it takes, "" for any.
    """

    redis: Redis
    worker_key: str
    worker_name: str
    started_ttl: int
    kind: str = ""
    step_id: str = field(init=False)

    # What tells those who listen for jobs of one kind from the others, by the worker's name.
    LANE: ClassVar[str] = ""

    def __post_init__(self) -> None:
        self._sha = hashlib.sha1(STEP.encode()).hexdigest()
        self._prefix, self._number = secrets.token_hex(8), 0
        self.step_id = f"{self._prefix}{self._number}"
        self._sent: float | None = None  # When this step was first sent: only then does it lease.
        self._connection: Any = None

    def step(
        self,
        finished: Sequence[Finished],
        queue_names: Sequence[str],
        number: int = 1,
        *,
        going_on: int = 0,
        hand_over: bool = False,
    ) -> Batch:
        """Report the jobs that finished, and take up to `number` from the queues, in their order.

        `hand_over`: if there is one, this worker no longer listens to the queues, but another one.
        `going_on` others have been taken and have not finished: the worker's hash has how many.
        Raises RedisError; the same step can then be tried again, and takes effect once.
        """
        self._sent = self._sent or elapsed_clock()
        batch = self._step(self.step_id, finished, queue_names, number, going_on, hand_over)
        # The next step is another one: this one's answer has come.
        self._number, self._sent = self._number + 1, None
        self.step_id = f"{self._prefix}{self._number}"
        return batch

    def repeat(self, step_id: str, finished: Sequence[Finished] = ()) -> Batch:
        """Return what the last step of a process that died did, which reported these jobs.

        If Redis has not executed that step yet, it reports them now, and no longer takes a job.
        """
        batch = self._step(step_id, finished, (), 0)
        self.rest()
        return batch

    def report(self, finished: Sequence[Finished]) -> list[str]:
        """Report jobs that finished; return those that have dependents and are left to RQ."""
        now = clock.now()
        of_time = utcformat(now), now.timestamp()
        left: Any = self.redis.eval(
            REPORT, 1, self.worker_key, *of_time, self.worker_name, _as_json(finished)
        )
        return [one.decode() for one in left]

    def return_to_queue(self, taken: Taken) -> bool:
        """Put a job that was taken, but not started, back on its queue; return whether it was."""
        args = [self.worker_key, taken.job_id, taken.queue, taken.execution_id]
        return bool(self.redis.eval(RETURN_TO_QUEUE, 1, *args))

    def note_running(self, job_id: str, execution_id: str) -> None:
        """Note which of the jobs that the last step took runs: at first it is the first of them."""
        step_id, _, _ = execution_id.rpartition("-")
        self.redis.eval(NOTE_RUNNING, 1, self._taken_key, step_id, job_id)

    def give_back(self, taken: Taken) -> bool:
        """Put a job that was taken ahead back on its queue, as if it had not been taken.

        Returns whether it was still with this worker.
        """
        args = [self.worker_key, taken.job_id, taken.queue, taken.execution_id]
        return bool(self.redis.eval(GIVE_BACK, 1, *args))

    def put_off(self, taken: Taken, until: float, fields: Mapping[str, str]) -> None:
        """Put a job that was taken back for later, with a note in these fields of its hash.

        `until` is in seconds since the Unix epoch. A job that is no longer with this worker is left
        alone.
        """
        note = chain.from_iterable(fields.items())
        args: list[Any] = [self.worker_key, taken.job_id, taken.queue, taken.execution_id]
        args += [until, *note]
        self.redis.eval(PUT_OFF, 1, *args)

    def _step(
        self,
        step_id: str,
        finished: Sequence[Finished],
        queue_names: Sequence[str],
        number: int,
        going_on: int = 0,
        hand_over: bool = False,
    ) -> Batch:
        now = clock.now()
        args = [self.worker_key, self._taken_key, step_id, utcformat(now), now.timestamp()]
        args += [self.worker_name, self.started_ttl, LEASE_SECONDS, self.kind, self.LANE, number]
        args += [int(hand_over), going_on, self.going_on_field]
        args += [_as_json(finished), *queue_names]
        left, jobs, templates = self._call(args)
        taken = [self._taken(*job) for job in jobs]
        return Batch(taken, [one.decode() for one in left], [one.decode() for one in templates])

    @property
    def going_on_field(self) -> str:
        """The field of the worker's hash that says how many jobs go on, "" for none."""
        return ""

    @property
    def _taken_key(self) -> str:
        return taken_key(self.worker_name)

    def _taken(self, job_id: bytes, queue: bytes, run: bytes, flat: list[bytes]) -> Taken:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        name, leased = job_id.decode(errors="backslashreplace"), self._sent or elapsed_clock()
        return Taken(name, queue.decode(), run.decode(), fields, leased)

    def _call(self, args: list[Any]) -> list[Any]:
        """Execute the script, and take over what it says at last: Redis's time."""
        sent = elapsed_clock()
        *answer, (seconds, microseconds) = self._execute(args)
        clock.observe(int(seconds) + int(microseconds) / 1e6, sent, elapsed_clock())
        return answer

    def _execute(self, args: list[Any]) -> Any:
        """Execute the script without redis-py's retries: the caller repeats a step.

        The connection is kept until `rest`: looking whether it still holds takes a while.
        """
        connection = self._connection or self.redis.connection_pool.get_connection()
        self._connection = connection
        try:
            try:
                connection.send_command("EVALSHA", self._sha, 2, *args)
                return connection.read_response()
            except NoScriptError:
                connection.send_command("EVAL", STEP, 2, *args)
                return connection.read_response()
        except BaseException:
            connection.disconnect()
            self.rest()
            raise

    def rest(self) -> None:
        """Give back the connection, before a while without steps."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.redis.connection_pool.release(connection)


def _as_json(finished: Sequence[Finished]) -> str:
    """Return jobs that finished as the scripts read them."""
    return json.dumps([_described(one) for one in finished])


def _described(finished: Finished) -> list[Any]:
    is_long = int(finished.ended - finished.started > LONG_RUN_SECONDS)
    return [*all_of(finished), is_long]


def record_executions(redis: Redis, executions: Sequence[Execution], ttl: int) -> None:
    """Record jobs that take longer in RQ's registries, so that RQ's pages show and can stop them.

    Jobs of less than a second are not recorded. `ttl` is in seconds.
    """
    with redis.pipeline() as pipe:
        for one in executions:
            one.save(ttl, pipeline=pipe)
            pipe.zadd(executions_key(one.job_id), {one.id: clock.timestamp() + ttl + 60})
            pipe.expire(executions_key(one.job_id), ttl + 60)
            pipe.sadd(one.worker_executions_key, one.composite_key)
            pipe.expire(one.worker_executions_key, ttl + 60)
        pipe.execute()
