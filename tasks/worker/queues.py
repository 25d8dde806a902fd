"""How workers take jobs from queues: in one atomic step with the end of the previous job.

RQ's worker pops a job, reads it, and updates half a dozen keys, in 20 round trips. Here one
script does what RQ's pages, registries and commands need: the job that ended goes to the finished
ones with its result, the next one is marked as started by this worker, with a lease on its run.
What leaves a queue is registered as started in the same step, so no job is lost on the way,
however many queues a worker listens to.
"""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
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
# KEYS: the worker, what it took last. ARGV: this step's id, now (as text, and in seconds), the
# worker's name, for how long a job counts as started and for how long its lease holds (seconds);
# then of the job that finished: its id ("" for none), execution, queue, the lifetime of its result
# (seconds), its payload ("" for none), when it started and ended (seconds), "1" if it took long
# enough to be recorded as an execution; then "1" if the worker has listened to the queues and lets
# another one do so once it has a job; the kind of job to take ("" for any); then the queues to take
# a job from.
# Returns whether the finished job has dependents and is left to RQ; the id, queue and fields of the
# job that was taken; the templates found on the queues, which are never executed; and Redis's time.
STEP = with_key_names(f"""
local worker, taken, step, text, now, name = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl, lease, kind, lane = ARGV[5], ARGV[6], ARGV[16], ''
local last = redis.call('HMGET', taken, 'step', 'left', 'job', 'queue')
if last[1] == step then
  -- The same step once more: its answer was lost on the way.
  local fields = {{}}
  if last[3] ~= '' then fields = redis.call('HGETALL', JOB .. last[3]) end
  return {{tonumber(last[2]), last[3], last[4], fields, {{}}, redis.call('TIME')}}
end
{PARTS}
{HAND_OVER}
local left, templates = 0, {{}}
if ARGV[7] ~= '' then
  left = finish(ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10]), ARGV[11], ARGV[12], ARGV[13],
    tonumber(ARGV[14]))
end

local id, queue, fields = '', '', {{}}
for i = 17, #ARGV do
  while id == '' do
    local popped = take_off(ARGV[i], 1)[1]
    if not popped then break end
    if is_template(popped) then
      templates[#templates+1] = popped
    elseif take_place(popped) then
      local found = start(popped, ARGV[i], step)
      if found then id, queue, fields = popped, ARGV[i], found end
    end
  end
end
if ARGV[15] == '1' and id ~= '' then
  for i = 17, #ARGV do hand_over(ARGV[i]) end
end
if id ~= '' then redis.call('HSET', worker, 'state', 'busy') end
redis.call('HSET', taken, 'step', step, 'left', left, 'job', id, 'queue', queue)
redis.call('EXPIRE', taken, 3600)
return {{left, id, queue, fields, templates, redis.call('TIME')}}
""")
# What both scripts below begin with. KEYS: the worker. ARGV: a job that it took, its queue and
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

    `payload` is its serialized result, None if it has none or if its row keeps it.
    """

    job_id: str
    execution_id: str
    queue: str
    result_ttl: int
    payload: bytes | None
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a step did: `is_left_to_rq` is about the finished job, which then has dependents."""

    taken: Taken | None
    is_left_to_rq: bool
    templates: list[str]


@dataclass
class Steps:
    """The steps by which a worker's child takes jobs: what those of each kind have in common.

    `step_id` identifies the next step. `kind` is the kind of job that it takes, "" for any.
    """

    SCRIPT: ClassVar[str]

    redis: Redis
    worker_key: str
    worker_name: str
    started_ttl: int
    kind: str = ""
    step_id: str = field(init=False)

    def __post_init__(self) -> None:
        self._sha = hashlib.sha1(self.SCRIPT.encode()).hexdigest()
        self._prefix, self._number = secrets.token_hex(8), 0
        self.step_id = f"{self._prefix}{self._number}"
        self._sent: float | None = None  # When this step was first sent: only then does it lease.
        self._connection: Any = None

    def _count_step(self) -> None:
        """Have the next step be another one: this one's answer has come."""
        self._number, self._sent = self._number + 1, None
        self.step_id = f"{self._prefix}{self._number}"

    def return_to_queue(self, taken: Taken) -> bool:
        """Put a job that was taken, but not started, back on its queue; return whether it was."""
        args = [self.worker_key, taken.job_id, taken.queue, taken.execution_id]
        return bool(self.redis.eval(RETURN_TO_QUEUE, 1, *args))

    def put_off(self, taken: Taken, until: float, fields: Mapping[str, str]) -> None:
        """Put a job that was taken back for later, with a note in these fields of its hash.

        `until` is in seconds since the Unix epoch. A job that is no longer with this worker is left
        alone.
        """
        note = chain.from_iterable(fields.items())
        args: list[Any] = [self.worker_key, taken.job_id, taken.queue, taken.execution_id]
        args += [until, *note]
        self.redis.eval(PUT_OFF, 1, *args)

    def _args(self, step_id: str) -> list[Any]:
        """Return the keys and arguments with which each step begins."""
        now = clock.now()
        keys = [self.worker_key, self._taken_key]
        of_time = [utcformat(now), now.timestamp()]
        return [*keys, step_id, *of_time, self.worker_name, self.started_ttl, LEASE_SECONDS]

    @property
    def _taken_key(self) -> str:
        return taken_key(self.worker_name)

    def _taken(self, job_id: bytes, queue: bytes, execution_id: str, flat: list[bytes]) -> Taken:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        name = job_id.decode(errors="backslashreplace")
        return Taken(name, queue.decode(), execution_id, fields, self._sent or elapsed_clock())

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
                connection.send_command("EVAL", self.SCRIPT, 2, *args)
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


class Queues(Steps):
    """The queues of one worker, for the child that runs one job after the other."""

    SCRIPT: ClassVar[str] = STEP

    def step(
        self, finished: Finished | None, queue_names: Sequence[str], *, hand_over: bool = False
    ) -> Answer:
        """Report the job that finished, and take the next one from the first queue that has one.

        `hand_over`: if there is one, this worker no longer listens to the queues, but another one.
        Raises RedisError; the same step can then be tried again, and takes effect once.
        """
        self._sent = self._sent or elapsed_clock()
        answer = self._step(self.step_id, finished, queue_names, hand_over)
        self._count_step()
        return answer

    def taken_by(self, step_id: str) -> Taken | None:
        """Return the job that the last step of a process that died took, None if it took none.

        If Redis has not executed that step yet, the step will no longer take a job.
        """
        taken = self._step(step_id, None, ()).taken
        self.rest()
        return taken

    def _step(
        self,
        step_id: str,
        finished: Finished | None,
        queue_names: Sequence[str],
        hand_over: bool = False,
    ) -> Answer:
        args = self._args(step_id)
        args += [""] * 8 if finished is None else described(finished)
        answer = self._call([*args, int(hand_over), self.kind, *queue_names])
        is_left_to_rq, job_id, queue, flat, templates = answer
        taken = self._taken(job_id, queue, step_id, flat) if job_id else None
        return Answer(taken, bool(is_left_to_rq), [template.decode() for template in templates])


def described(finished: Finished) -> list[Any]:
    """Return a job that finished as the script reads it."""
    payload = "" if finished.payload is None else b64encode(finished.payload).decode()
    return [
        finished.job_id,
        finished.execution_id,
        finished.queue,
        finished.result_ttl,
        payload,
        finished.started,
        finished.ended,
        int(finished.ended - finished.started > LONG_RUN_SECONDS),
    ]


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
