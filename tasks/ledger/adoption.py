"""Makes the keys in Redis this database's own, and settles what was due before (R16)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Literal, cast

from django.conf import settings
from django.db import models
from redis import Redis

from tasks import clock
from tasks.broker import clock as redis_clock
from tasks.broker.enqueue import wake
from tasks.broker.keys import (
    DISPATCH_RECORDS_KEY,
    MARKER_KEY,
    SCHEDULES_KEY,
    lease_key,
    queue_key,
    scheduled_key,
    with_key_names,
)
from tasks.broker.ownership import Mark, Ownership
from tasks.broker.reconcile import reconcile
from tasks.database import CHUNK, atomic, chunks
from tasks.exceptions import SpecError
from tasks.ledger.periods import missed_runs, write
from tasks.models import RunRecord, RunRequest, ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import Code, reason
from tasks.runs.retries import RETRY_MEMORY, awaits_retry
from tasks.timing import catch_up, spec

Status = ScheduledTaskInstance.Status
# What becomes of what was due before: it runs as far as the policies say so, or it is missed.
Choice = Literal["run", "missed"]

# KEYS: the sorted set, the dispatch records, the marker, and of each queue its list and RQ's
# scheduled jobs. Removes what the rows of any database have put there, and what waits for a place;
# they put it there again.
# Returns how many jobs waited.
FORGET = with_key_names("""
local function is_recorded(id)
  return string.match(id, '^schedule%-%x+') or string.match(id, '^task%-%x+$')
end
local removed = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.match(id, '^schedule%-%x+$') then
    redis.call('ZREM', KEYS[1], id)
    redis.call('DEL', JOB .. id)
  end
end
redis.call('DEL', KEYS[2], KEYS[3])
for _, name in ipairs(redis.call('SMEMBERS', PARKED_KEYS)) do
  for _, id in ipairs(redis.call('LRANGE', PARKED .. name, 0, -1)) do
    removed = removed + redis.call('DEL', JOB .. id)
  end
  redis.call('DEL', PARKED .. name)
end
redis.call('DEL', PARKED_KEYS)
for n = 4, #KEYS, 2 do
  local waiting = redis.call('LRANGE', KEYS[n], 0, -1)
  redis.call('DEL', KEYS[n])
  for _, id in ipairs(waiting) do
    if is_recorded(id) then
      redis.call('DEL', JOB .. id)
      removed = removed + 1
    else
      redis.call('RPUSH', KEYS[n], id)
    end
  end
  for _, id in ipairs(redis.call('ZRANGE', KEYS[n + 1], 0, -1)) do
    if is_recorded(id) then
      redis.call('ZREM', KEYS[n + 1], id)
      redis.call('DEL', JOB .. id)
      removed = removed + 1
    end
  end
end
return removed
""")


@dataclass(slots=True)
class Outcome:
    """What adoption has found and done.

    Of the occurrences that were due and have no row, `to_run` will run and `missed` won't. The
    others were waiting, or running without a lease: they continue, or have been called off.
    """

    former: Mark | None = None
    own: Mark | None = None
    jobs_removed: int = 0
    to_run: int = 0
    missed: int = 0
    calls: int = 0
    requests: int = 0
    retries: int = 0
    unleased: int = 0


def adopt(redis: Redis, choice: Choice) -> Outcome:
    """Make the keys in Redis this database's own; say what becomes of what was due before.

    It can be killed at any line and called again. What it calls off is called off in the rows
    before any process of this database may take a job. Raises RedisError if Redis is unavailable.
    """
    ownership = Ownership(redis)
    ownership.refuse_cluster()
    redis_clock.read(redis)
    outcome, now = Outcome(), clock.now()
    settle = _call_off if choice == "missed" else _count
    pks = list(ScheduledTask.objects.live().order_by("pk").values_list("pk", flat=True))
    for chunk in chunks(pks, CHUNK):
        for schedule in ScheduledTask.objects.live().filter(pk__in=chunk):
            settle(schedule, now, outcome)
    _settle_records(redis, choice, now, outcome)
    outcome.former, outcome.own = ownership.adopt(), ownership.mark
    outcome.jobs_removed = _forget(redis)
    reconcile(redis)
    wake(redis)
    return outcome


def _forget(redis: Redis) -> int:
    """Remove the schedules and the waiting jobs of any database; return how many jobs."""
    of_queues = [key(name) for name in settings.RQ_QUEUES for key in (queue_key, scheduled_key)]
    keys = [SCHEDULES_KEY, DISPATCH_RECORDS_KEY, MARKER_KEY, *of_queues]
    return cast(int, redis.eval(FORGET, len(keys), *keys))


# Occurrences


def _count(schedule: ScheduledTask, now: datetime, outcome: Outcome) -> None:
    """Count what the schedule's policies make of what was due and has no row."""
    policy = cast(catch_up.CatchUp, schedule.catch_up)
    plan = catch_up.plan(_open(schedule, now), now, policy, schedule.start_deadline)
    outcome.to_run += len(plan.run)
    outcome.missed += len(plan.missed) + len(plan.late)


def _call_off(seen: ScheduledTask, now: datetime, outcome: Outcome) -> None:
    """Record as missed what was due and has no row."""
    with atomic():
        live = ScheduledTask.objects.live().filter(pk=seen.pk)
        schedule = live.select_for_update(of=("self",)).first()
        if schedule is None:
            return
        dues = _open(schedule, now)
        outcome.missed += len(dues)
        write(missed_runs(schedule, dict.fromkeys(dues, reason(Code.ADOPTED))))
        schedule.settled_through = max(schedule.settled_through, now)
        schedule.next_check_at = now
        schedule.save(update_fields=["settled_through", "next_check_at", "updated"])


def _open(schedule: ScheduledTask, now: datetime) -> list[datetime]:
    """Return what was due by now, isn't settled and has no row; an invalid spec expects nothing."""
    try:
        dues = list(spec.dues(schedule.spec(), schedule.settled_through, now))
    except SpecError:
        return []
    rows = schedule.runs.filter(due__gt=schedule.settled_through, due__lte=now)
    recorded = set(rows.values_list("due", flat=True))
    return [due for due in dues if due not in recorded]


# Everything else that waits, or seems to run


def _settle_records(redis: Redis, choice: Choice, now: datetime, outcome: Outcome) -> None:
    """Count the calls, requests, retries and runs; call them off if that was chosen."""
    is_due = models.Q(status=Task.Status.QUEUED) | models.Q(reserved_for__lte=now)
    calls = Task.objects.filter(is_due, status__in=Task.WAITING)
    requests = RunRequest.objects.filter(requested__lte=now)
    retries = [run.pk for run in _awaiting_retry(now)]
    unleased = list(_unleased(redis))
    outcome.calls, outcome.requests = calls.count(), requests.count()
    outcome.retries, outcome.unleased = len(retries), len(unleased)
    if choice == "run":
        return
    why = reason(Code.ADOPTED).fields
    calls.update(status=Task.Status.CANCELED, ended=now, **why)
    # A failed run keeps what it failed for.
    ScheduledTaskInstance.objects.filter(pk__in=retries).update(**why)
    for record in unleased:
        record.update_attempt(status=Status.FAILED, ended=now, **why)
    _call_off_requests(requests, now)


def _call_off_requests(requests: models.QuerySet[RunRequest], now: datetime) -> None:
    """Replace the requests of manual runs by rows; occurrences of backfill stay as they are."""
    with atomic():
        found = list(requests.select_related("parent"))
        ScheduledTaskInstance.objects.bulk_create(
            [
                ScheduledTaskInstance(
                    parent=request.parent,
                    name=request.parent.name,
                    requested=request.requested,
                    requested_by=request.requested_by,
                    arguments=request.arguments,
                    status=Status.MISSED,
                    ended=now,
                    **reason(Code.ADOPTED).fields,
                )
                for request in found
                if request.due is None
            ],
            ignore_conflicts=True,
        )
        RunRequest.objects.filter(pk__in=[request.pk for request in found]).delete()


def _awaiting_retry(now: datetime) -> Iterator[ScheduledTaskInstance]:
    """Yield the failed runs that are to be tried again."""
    failed = ScheduledTaskInstance.objects.filter(
        status=Status.FAILED, attempt__lte=models.F("parent__retries")
    )
    of_run = ("status", "attempt", "requested", "ended", "reason_code")
    of_parent = ("parent__status", "parent__retries", "parent__retry_delay")
    longest = failed.aggregate(longest=models.Max("parent__retry_delay"))["longest"] or 0
    since = now.timestamp() - RETRY_MEMORY.total_seconds() - longest
    recent = failed.filter(ended__gt=datetime.fromtimestamp(since, now.tzinfo))
    yield from filter(awaits_retry, recent.select_related("parent").only(*of_run, *of_parent))


def _unleased(redis: Redis) -> Iterator[RunRecord]:
    """Yield the runs and calls that are running by their rows, but whose lease nobody renews."""
    runs = ScheduledTaskInstance.objects.running().select_related("parent")
    calls = Task.objects.filter(status=Task.Status.RUNNING)
    for record in chain(runs, calls):
        if not redis.exists(lease_key(record.run_job_id)):
            yield record
