"""The rows' image in Redis: a template job and a moment per schedule, a job per run.

Everything here can be made again from the rows (R1). A template is never executed: dispatch
copies it to the occurrence's own id, and only if that id isn't there yet (R2), in one atomic
step with moving the schedule forward (R3).
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, cast

import django_rq
from django.utils import timezone
from redis import Redis
from rq.exceptions import DuplicateJobError
from rq.job import JobStatus
from rq.queue import Queue

from tasks import registry, spec
from tasks.catchup import CatchUp
from tasks.job import FAILURE_TTL, RESULT_TTL, Job, RunId, to_milliseconds
from tasks.models import ScheduledTask, Task, spec_from_json

logger = logging.getLogger(__name__)

SCHEDULES_KEY = "rq:scheduler:scheduled_jobs"
MARKER_KEY = "tasks:projected"
WAKE_KEY = "tasks:wake"
# The template's fields of ours: what dispatch needs to know (spec and policies, as JSON), and a
# digest of all else that the job was made from.
DISPATCH_FIELD = "dispatch"
CONTENT_FIELD = "content"

# KEYS: the sorted set. ARGV: now, then for each schedule: its job id, the score and the dispatch
# field that the caller has seen, the next score ("" for none), the number of occurrences, their
# job ids. A schedule that has changed meanwhile, or that another scheduler was quicker with, is
# left alone. Returns the ids of the jobs put on their queues.
DISPATCH = """
local now, pushed, i = ARGV[1], {}, 2
while i <= #ARGV do
  local id, score, seen, nxt, count = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3], tonumber(ARGV[i+4])
  local template = 'rq:job:' .. id
  local current = redis.call('ZSCORE', KEYS[1], id)
  if current and tonumber(current) == tonumber(score)
     and redis.call('HGET', template, 'dispatch') == seen then
    local queue = redis.call('HGET', template, 'origin') or 'default'
    for k = i + 5, i + 4 + count do
      local key = 'rq:job:' .. ARGV[k]
      if redis.call('COPY', template, key) == 1 then
        redis.call('HSET', key, 'status', 'queued', 'created_at', now, 'enqueued_at', now)
        redis.call('SADD', 'rq:queues', 'rq:queue:' .. queue)
        redis.call('RPUSH', 'rq:queue:' .. queue, ARGV[k])
        pushed[#pushed+1] = ARGV[k]
      end
    end
    if nxt == '' then redis.call('ZREM', KEYS[1], id) else redis.call('ZADD', KEYS[1], nxt, id) end
  end
  i = i + 5 + count
end
return pushed
"""

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


@dataclass(frozen=True, slots=True)
class Template:
    """A schedule as dispatch sees it: read from Redis, without the database."""

    job_id: str
    spec: spec.Spec
    catch_up: CatchUp
    start_deadline: int | None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One schedule's step: these runs go on the queue, then it is due at `next_due`."""

    job_id: str
    score: float
    seen: bytes
    runs: Sequence[RunId]
    next_due: datetime | None


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


def template_job(task: ScheduledTask, connection: Redis) -> Job:
    """Build a schedule's own job, with what rq-scheduler's and django-rq's pages show of it."""
    meta: dict[str, Any] = {}
    if task.cron:
        meta["cron_string"] = task.cron
    elif task.interval:
        meta["interval"] = task.interval
    if task.repeat:
        meta["repeat"] = task.repeat
    job = build_job(task, task.job_id, connection)
    job.meta = meta
    return job


def build_job(record: ScheduledTask | Task, job_id: str, connection: Redis) -> Job:
    """Build the job that calls a row's function, without saving it."""
    function = registry.get(record.function)
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
            timeout=record.timeout or function.timeout or _queue_timeout(record.queue),
            result_ttl=RESULT_TTL,
            failure_ttl=FAILURE_TTL,
            status=JobStatus.SCHEDULED,
        ),
    )


def _queue_timeout(queue: str) -> int:
    return int(django_rq.get_queue(queue)._default_timeout or Queue.DEFAULT_TIMEOUT)


def dispatch_field(task: ScheduledTask) -> str:
    """Return what dispatch needs of a row as JSON text: the same row gives the same text."""
    values = task.spec_json() | {"catch_up": task.catch_up, "start_deadline": task.start_deadline}
    return json.dumps(values, sort_keys=True)


def content_digest(task: ScheduledTask) -> str:
    """Return a digest of what a schedule's jobs are made from, to see whether it changed."""
    content = [task.name, task.function, task.args, task.kwargs, task.queue, task.timeout]
    return hashlib.sha256(registry.canonical_json(content).encode()).hexdigest()


def read_template(job_id: str, field: bytes) -> Template:
    """Decode a template's dispatch field; raises ValueError, KeyError or TypeError if bad."""
    values = json.loads(field)
    catch_up, start_deadline = values.pop("catch_up"), values.pop("start_deadline")
    return Template(job_id, spec_from_json(values), catch_up, start_deadline)


def put(task: ScheduledTask, connection: Redis) -> None:
    """Make Redis say what a live schedule's row says: template, and when it is next due.

    What Redis knows already keeps its moment: dispatch is ahead of the rows. Otherwise the next
    due is the first one not yet accounted for. Raises SpecError or UnknownTaskFunction if the
    row can't be scheduled.
    """
    job = template_job(task, connection)
    field = dispatch_field(task)
    next_due = spec.next_due(task.spec(), task.accounted_until)
    with connection.pipeline() as pipe:
        pipe.hget(job.key, DISPATCH_FIELD)
        pipe.zscore(SCHEDULES_KEY, task.job_id)
        known_field, moment = pipe.execute(raise_on_error=False)
        pipe.delete(job.key)
        job.save(pipeline=pipe)
        pipe.hset(job.key, mapping={DISPATCH_FIELD: field, CONTENT_FIELD: content_digest(task)})
        if next_due is None:
            pipe.zrem(SCHEDULES_KEY, task.job_id)
        elif moment is None or known_field != field.encode():
            pipe.zadd(SCHEDULES_KEY, {task.job_id: to_score(next_due)})
        pipe.execute()
    wake(connection)


def remove(job_ids: Iterable[str], connection: Redis) -> None:
    """Take schedules out of Redis: nothing of them is dispatched after this returns."""
    ids = list(job_ids)
    if ids:
        with connection.pipeline() as pipe:
            pipe.zrem(SCHEDULES_KEY, *ids)
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
