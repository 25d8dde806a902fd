"""The rows' image in Redis: a template job and a moment per schedule, a job per run.

Everything here can be made again from the rows (R1). A template is never executed: dispatch
copies it to the occurrence's own id, and only if that id isn't there yet (R2), in one atomic
step with moving the schedule forward (R3).
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast

import django_rq
from django.utils import timezone
from redis import Redis
from rq.exceptions import DuplicateJobError
from rq.job import JobStatus
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from tasks import registry, spec
from tasks.catchup import CatchUp
from tasks.job import FAILURE_TTL, RESULT_TTL, Job, RunId, to_milliseconds
from tasks.models import ScheduledTask, Task, spec_from_json

logger = logging.getLogger(__name__)

SCHEDULES_KEY = "rq:scheduler:scheduled_jobs"
# What dispatch needs to know of each schedule: a hash of texts by job id, read for many at once.
# A text is its version, which changes with anything that the row says, a space, and JSON.
TEXTS_KEY = "tasks:dispatch"
VERSION_LENGTH = 32
MARKER_KEY = "tasks:projected"
WAKE_KEY = "tasks:wake"
# What a text says besides the spec.
POLICIES = {"queue", "catch_up", "start_deadline"}
SPEC_DEFAULTS = {field.name: field.default for field in fields(spec.Spec)}

# KEYS: the sorted set, the texts. ARGV: since and until which score, how many to leave out, how
# many at most. Returns the members with their scores, in one list, and their texts in another.
READ = """
local due = redis.call(
  'ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', ARGV[3], ARGV[4])
if #due == 0 then return {due, {}} end
local members = {}
for i = 1, #due, 2 do members[#members + 1] = due[i] end
return {due, redis.call('HMGET', KEYS[2], unpack(members))}
"""

# KEYS: the sorted set, the texts. ARGV: now, and as JSON a list of steps, each a list: job id,
# the score and the version that the caller has seen, queue, next due in ms (-1: none), and the
# job ids of its occurrences. A schedule that has changed meanwhile, or that another scheduler was
# quicker with, is left alone. One whose template or queue can't be used isn't moved, and the
# others go on. Returns three texts, each of ids parted by spaces: the jobs put on their queues,
# the schedules without a template, those without a queue.
DISPATCH = """
local now, steps = ARGV[1], cjson.decode(ARGV[2])
local ids = {}
for n, step in ipairs(steps) do ids[n] = step[1] end
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ids))
local texts = redis.call('HMGET', KEYS[2], unpack(ids))
local queues, moved, broken, stuck, pushed = {}, {}, {}, {}, {}

local function copy(step, queue)
  local template = 'rq:job:' .. step[1]
  for k = 6, #step do
    local key = 'rq:job:' .. step[k]
    if redis.call('COPY', template, key) == 1 then
      local done = redis.pcall(
        'HSET', key, 'status', 'queued', 'created_at', now, 'enqueued_at', now)
      if type(done) == 'table' then
        redis.call('DEL', key)
        return false
      end
      queue[#queue + 1] = step[k]
    elseif redis.call('EXISTS', template) == 0 then
      return false
    end
  end
  return true
end

for n, step in ipairs(steps) do
  if scores[n] and tonumber(scores[n]) == step[2]
     and texts[n] and string.sub(texts[n], 1, VERSION_LENGTH) == step[3] then
    local queue = queues[step[4]] or {}
    queues[step[4]] = queue
    if copy(step, queue) then moved[#moved + 1] = step else broken[#broken + 1] = step[1] end
  end
end

local unusable = {}
for name, queue in pairs(queues) do
  for from = 1, #queue, 1000 do
    local till = math.min(from + 999, #queue)
    local done = redis.pcall('RPUSH', 'rq:queue:' .. name, unpack(queue, from, till))
    if type(done) == 'table' then
      unusable[name] = true
      for k = from, till do redis.call('DEL', 'rq:job:' .. queue[k]) end
    else
      pushed[#pushed + 1] = table.concat(queue, ' ', from, till)
    end
  end
  if #queue > 0 and not unusable[name] then redis.call('SADD', 'rq:queues', 'rq:queue:' .. name) end
end

local forward, gone = {}, {}
for _, step in ipairs(moved) do
  if unusable[step[4]] then
    stuck[#stuck + 1] = step[1]
  elseif step[5] < 0 then
    gone[#gone + 1] = step[1]
  else
    forward[#forward + 1] = string.format('%.3f', step[5] / 1000)
    forward[#forward + 1] = step[1]
  end
end
if #forward > 0 then redis.call('ZADD', KEYS[1], unpack(forward)) end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return {table.concat(pushed, ' '), table.concat(broken, ' '), table.concat(stuck, ' ')}
""".replace("VERSION_LENGTH", str(VERSION_LENGTH))

# KEYS: the sorted set, the texts. ARGV: as JSON a list of images, each a list: job id, text,
# next due in ms (-1: none), and the template's fields and values. What Redis knows already keeps
# its moment, unless what the moment follows from has changed: dispatch is ahead of the rows.
PUT = """
for _, image in ipairs(cjson.decode(ARGV[1])) do
  local id, text, due, template = image[1], image[2], image[3], image[4]
  local known = redis.call('HGET', KEYS[2], id)
  local key = 'rq:job:' .. id
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(template))
  redis.call('HSET', KEYS[2], id, text)
  if due < 0 then
    redis.call('ZREM', KEYS[1], id)
  elseif not known or string.sub(known, AFTER_VERSION) ~= string.sub(text, AFTER_VERSION)
         or not redis.call('ZSCORE', KEYS[1], id) then
    redis.call('ZADD', KEYS[1], string.format('%.3f', due / 1000), id)
  end
end
""".replace("AFTER_VERSION", str(VERSION_LENGTH + 2))

# KEYS: the sorted set of RQ's own scheduled jobs of a queue. ARGV: now, the queue's name, its
# ids that are due. Each goes on the queue in the step that removes it, so once only.
MOVE_SCHEDULED = """
local moved = 0
for i = 3, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    local key = 'rq:job:' .. ARGV[i]
    if redis.call('EXISTS', key) == 1 then
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', ARGV[1])
      redis.call('SADD', 'rq:queues', 'rq:queue:' .. ARGV[2])
      redis.call('RPUSH', 'rq:queue:' .. ARGV[2], ARGV[i])
      moved = moved + 1
    end
  end
end
return moved
"""


class Template(NamedTuple):
    """A schedule as dispatch sees it: read from Redis, without the database."""

    version: str
    queue: str
    catch_up: CatchUp
    start_deadline: int | None
    # In milliseconds, if it is a plain interval, as most are.
    grid: spec.Grid | None
    text: str

    def spec(self) -> spec.Spec:
        """Return when it is due; raises SpecError or TypeError if the text is bad."""
        if self.grid is not None:
            return self.grid.spec()
        return _read_spec(self.text)


# A schedule in Redis: job id, text, next due in ms or -1, the template's fields and values.
Image = tuple[str, str, int, list[str]]


@cache
def connect() -> Redis:
    """Return this process's connection to the Redis of the queues.

    There is only one: RQ keeps every connection that a job was enqueued with.
    """
    return django_rq.get_connection()


def scheduled_key(queue: str) -> str:
    """Return the key of RQ's own scheduled jobs of a queue."""
    return f"rq:scheduled:{queue}"


def to_score(moment: datetime) -> float:
    """Return a moment as a score: seconds from 1970, in whole milliseconds."""
    return to_milliseconds(moment) / 1000


def from_score(score: float) -> datetime:
    """Return the moment of a score, to the millisecond."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=round(score * 1000))


def build_job(record: ScheduledTask | Task, job_id: str, connection: Redis) -> Job:
    """Build the job that calls a row's function, without saving it."""
    timeout = timeout_of(record)
    return cast(
        Job,
        Job.create(
            record.function,
            args=record.args,
            kwargs=record.kwargs,
            id=job_id,
            connection=connection,
            origin=record.queue,
            description=record.name,
            timeout=timeout,
            result_ttl=RESULT_TTL,
            failure_ttl=FAILURE_TTL,
            status=JobStatus.SCHEDULED,
        ),
    )


def timeout_of(record: ScheduledTask | Task) -> int:
    """Return after how many seconds a row's function is stopped.

    Raises UnknownTaskFunction if there is no such function.
    """
    function = registry.get(record.function)
    return record.timeout or function.timeout or _queue_timeout(record.queue)


@cache
def _queue_timeout(queue: str) -> int:
    return int(django_rq.get_queue(queue)._default_timeout or Queue.DEFAULT_TIMEOUT)


def dispatch_text(task: ScheduledTask) -> str:
    """Return what dispatch needs to know of a row: the same row gives the same text.

    Its version tells more apart than its JSON: all that the schedule's jobs are made from.
    """
    said = {
        field: value for field, value in task.spec_values().items() if value != SPEC_DEFAULTS[field]
    }
    grid = spec.grid(said)
    values: dict[str, Any] = {"grid": list(grid)} if grid is not None else {}
    if grid is None:
        values = {field: value for field, value in task.spec_json().items() if field in said}
    values |= {"catch_up": task.catch_up, "queue": task.queue}
    if task.start_deadline is not None:
        values["start_deadline"] = task.start_deadline
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    content = [text, task.name, task.function, task.args, task.kwargs, task.timeout]
    version = hashlib.sha256(registry.canonical_json(content).encode()).hexdigest()
    return f"{version[:VERSION_LENGTH]} {text}"


def read_text(text: bytes) -> Template:
    """Decode a schedule's text; raises ValueError, KeyError, TypeError or SpecError if bad."""
    decoded = text.decode()
    values = json.loads(decoded[VERSION_LENGTH:])
    queue, catch_up = values["queue"], values["catch_up"]
    start_deadline, grid = values.get("start_deadline"), None
    if "grid" in values:
        grid = spec.Grid(*values["grid"])
        grid.check()
    version, rest = decoded[:VERSION_LENGTH], decoded[VERSION_LENGTH:]
    return Template(version, queue, catch_up, start_deadline, grid, rest)


@lru_cache(maxsize=2_000)
def _read_spec(text: str) -> spec.Spec:
    """Decode what a text without its version says of the spec: many schedules say the same."""
    return spec_from_json({k: v for k, v in json.loads(text).items() if k not in POLICIES})


def image(task: ScheduledTask) -> Image:
    """Return what Redis has to hold of a live schedule.

    Raises SpecError or UnknownTaskFunction if the row can't be scheduled.
    """
    next_due = spec.next_due(task.spec(), task.accounted_until)
    due = -1 if next_due is None else to_milliseconds(next_due)
    return task.job_id, dispatch_text(task), due, _template(task)


def _template(task: ScheduledTask) -> list[str]:
    """Return the fields and values of a schedule's own job, as RQ writes them.

    With what rq-scheduler's and django-rq's pages show of it, and without what is empty: the
    less it holds, the faster it is copied.
    """
    meta = {"cron_string": task.cron, "interval": task.interval, "repeat": task.repeat}
    call = (task.function, None, task.args, task.kwargs)
    values = {
        "created_at": utcformat(timezone.now()),
        "data": JSONSerializer.dumps(call).decode(),
        "origin": task.queue,
        "description": task.name,
        "timeout": str(timeout_of(task)),
        "result_ttl": str(RESULT_TTL),
        "failure_ttl": str(FAILURE_TTL),
        "status": JobStatus.SCHEDULED.value,
        "meta": json.dumps({key: value for key, value in meta.items() if value}),
    }
    return [text for pair in values.items() for text in pair]


def put(tasks: Iterable[ScheduledTask], connection: Redis) -> None:
    """Make Redis say what live schedules' rows say: template, and when it is next due.

    What Redis knows already keeps its moment: dispatch is ahead of the rows. Otherwise the next
    due is the first one not yet accounted for. Raises SpecError or UnknownTaskFunction if a row
    can't be scheduled.
    """
    put_images([image(task) for task in tasks], connection)


def put_images(images: Sequence[Image], connection: Redis) -> None:
    """Write many schedules' images, each as a whole."""
    if images:
        connection.eval(PUT, 2, SCHEDULES_KEY, TEXTS_KEY, json.dumps(images))
        wake(connection)


def remove(job_ids: Iterable[str], connection: Redis) -> None:
    """Take schedules out of Redis: nothing of them is dispatched after this returns."""
    ids = list(job_ids)
    if ids:
        with connection.pipeline() as pipe:
            pipe.zrem(SCHEDULES_KEY, *ids)
            pipe.hdel(TEXTS_KEY, *ids)
            pipe.delete(*(Job.key_for(job_id) for job_id in ids))
            pipe.execute()


def enqueue_run(
    task: ScheduledTask, run_id: RunId, connection: Redis, *, at: datetime | None = None
) -> None:
    """Put a run's job on its queue, now or at a later moment; known ids are left alone."""
    _enqueue(build_job(task, run_id.job_id, connection), connection, at)


def enqueue_task(task: Task, connection: Redis) -> None:
    """Put a background call's job on its queue, or reserve it for later."""
    _enqueue(build_job(task, task.job_id, connection), connection, task.reserved_for)


def withdraw(job_id: str, queue: str, connection: Redis) -> None:
    """Take a waiting job off its queue."""
    with connection.pipeline() as pipe:
        pipe.lrem(f"rq:queue:{queue}", 1, job_id)
        pipe.zrem(scheduled_key(queue), job_id)
        pipe.delete(Job.key_for(job_id))
        pipe.execute()


def _enqueue(job: Job, connection: Redis, at: datetime | None) -> None:
    queue = Queue(job.origin, connection=connection, job_class=Job, serializer=job.serializer)
    try:
        if at is None or at <= timezone.now():
            queue.enqueue_job(job, unique=True)
        else:
            # RQ keeps whole seconds: first the one after, then the very moment.
            queue.schedule_job(job, at + timedelta(seconds=1), unique=True)
            connection.zadd(scheduled_key(queue.name), {job.id: to_score(at)}, xx=True)
            wake(connection)
    except DuplicateJobError:
        logger.debug("Job %s is there already.", job.id)


def wake(connection: Redis) -> None:
    """Have the scheduler look at once instead of at its next due moment."""
    with connection.pipeline() as pipe:
        pipe.lpush(WAKE_KEY, 1)
        pipe.ltrim(WAKE_KEY, 0, 0)
        pipe.execute()
