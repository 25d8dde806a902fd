"""Backfill: which occurrences of a past range never ran, and how their jobs are enqueued.

Each is a `RunRequest`; when its run starts, `claim` deletes the request.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock, registry
from tasks.broker.enqueue import enqueue_run
from tasks.broker.ownership import connect_as_owner
from tasks.database import atomic, on_commit
from tasks.exceptions import NotPossible
from tasks.job_ids import RunId
from tasks.models import RunRequest, ScheduledTask, ScheduledTaskInstance
from tasks.registry import Kind
from tasks.runs.retries import awaits_retry
from tasks.storable import instant_text
from tasks.timing import spec

logger = logging.getLogger(__name__)

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
# How many dues a range may have, run or not: each is checked.
MAX_DUES = 100_000
CHUNK = 5_000
Status = ScheduledTaskInstance.Status
NEVER_RAN = (Status.MISSED, Status.SKIPPED)
# How many requested occurrences of a schedule that allows overlap wait on its queue at a time.
RUNS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Open:
    """A due that backfill would run, and which attempt that would be."""

    due: datetime
    attempt: int = 1


def request(
    schedule: ScheduledTask,
    start: datetime,
    end: datetime,
    limit: int,
    *,
    failed: bool = False,
    by: str,
) -> list[RunId]:
    """Request what never ran in a range; see `SchedulerService.backfill`."""
    registry.resolve(schedule.function, Kind.SCHEDULED)
    with atomic():
        schedule = ScheduledTask.objects.select_for_update().get(pk=schedule.pk)
        now = clock.now()
        requests = [
            RunRequest(
                parent=schedule, due=one.due, attempt=one.attempt, requested=now, requested_by=by
            )
            for one in to_run(schedule, start, end, limit, failed=failed)
        ]
        RunRequest.objects.bulk_create(requests, batch_size=CHUNK)
        if requests:
            on_commit(partial(_feed_requested, schedule))
    return [one.run_id for one in requests]


def to_run(
    schedule: ScheduledTask,
    start: datetime,
    end: datetime,
    limit: int = DEFAULT_LIMIT,
    *,
    failed: bool = False,
) -> list[Open]:
    """Return the dues after `start` and up to `end` that backfill would run, in order.

    These are the dues of the present spec that have no row, or are recorded as missed or skipped,
    and with `failed` also those whose run has failed and isn't tried again; not those already
    requested or still in flight. Raises NotPossible if there are more than `limit`, or if the range
    is invalid.
    """
    _check(schedule, start, end, limit)
    dues = list(islice(spec.dues(schedule.spec(), start, end), MAX_DUES + 1))
    if len(dues) > MAX_DUES:
        raise NotPossible(
            _("More than %(number)s occurrences are due in that range: choose a shorter one.")
            % {"number": f"{MAX_DUES:,}"}
        )
    found = list(islice(_open(schedule, dues, failed), limit + 1))
    if len(found) > limit:
        raise NotPossible(
            _(
                "More than %(limit)d occurrences in that range have not run: choose a shorter "
                "range or a higher limit."
            )
            % {"limit": limit}
        )
    return found


def _check(schedule: ScheduledTask, start: datetime, end: datetime, limit: int) -> None:
    if timezone.is_naive(start) or timezone.is_naive(end):
        raise NotPossible(_("The bounds of the range need a time zone: give aware datetimes."))
    if not 1 <= limit <= MAX_LIMIT:
        raise NotPossible(_("Give a limit between 1 and %(most)d.") % {"most": MAX_LIMIT})
    if start >= end:
        raise NotPossible(_("The range is empty: it must begin before it ends."))
    if end > clock.now():
        raise NotPossible(_("The range ends in the future: backfill runs only what is past."))
    if schedule.pruned_until is not None and start < schedule.pruned_until:
        raise NotPossible(
            _(
                "Runs due up to %(due)s may have run: they have been deleted by retention, or the "
                "schedule was loaded from another database then. Begin after it."
            )
            % {"due": instant_text(schedule.pruned_until)}
        )


def _open(schedule: ScheduledTask, dues: Sequence[datetime], with_failed: bool) -> Iterator[Open]:
    """Yield the dues that have not run, and aren't about to; also failed ones if that is wanted."""
    for begin in range(0, len(dues), CHUNK):
        chunk = dues[begin : begin + CHUNK]
        bounds = {"due__gte": chunk[0], "due__lte": chunk[-1]}
        runs = schedule.runs.filter(**bounds)
        statuses = dict(runs.values_list("due", "status"))
        failed = _failed(runs) if with_failed else {}
        requested = set(schedule.requests.filter(**bounds).values_list("due", flat=True))
        for due in chunk:
            status, run = statuses.get(due), failed.get(due)
            if due in requested or (status is None and _is_in_flight(schedule, due)):
                continue
            if status is None or status in NEVER_RAN:
                yield Open(due)
            elif run is not None:
                run.parent = schedule
                if not awaits_retry(run):
                    yield Open(due, run.attempt + 1)


def _failed(
    runs: "QuerySet[ScheduledTaskInstance]",
) -> dict[datetime | None, ScheduledTaskInstance]:
    """Return those of some runs that have failed, with what says whether they are tried again."""
    columns = ("parent", "due", "status", "attempt", "requested", "ended", "reason_code")
    return {run.due: run for run in runs.filter(status=Status.FAILED).only(*columns)}


def _is_in_flight(schedule: ScheduledTask, due: datetime) -> bool:
    return schedule.is_live and due > schedule.settled_through


def next_requests(schedule: ScheduledTask) -> list[RunRequest]:
    """Return the requested occurrences of a schedule whose jobs belong in Redis now.

    They run one after another, the oldest first; where overlap is allowed, some at a time.
    """
    allows = schedule.overlap == ScheduledTask.Overlap.ALLOW
    occurrences = schedule.requests.filter(due__isnull=False).order_by("due")
    return list(occurrences[: RUNS_AT_ONCE if allows else 1])


def feed(schedule: ScheduledTask, redis: Redis) -> None:
    """Enqueue a schedule's next requested occurrences, unless they are already enqueued."""
    for request in next_requests(schedule):
        request.parent = schedule
        enqueue_run(schedule, request.run_id, redis)


def _feed_requested(schedule: ScheduledTask) -> None:
    try:
        redis = connect_as_owner()
    except RedisError as error:
        logger.warning("The backfill of “%s” waits for Redis: %s", schedule.name, error)
    else:
        feed_if_possible(schedule, redis)


def feed_if_possible(schedule: ScheduledTask, redis: Redis) -> None:
    """Do what `feed` does; if it fails, the ledger does it later."""
    try:
        feed(schedule, redis)
    except RedisError as error:
        logger.warning("The backfill of “%s” waits for Redis: %s", schedule.name, error)
    except Exception:
        logger.exception("The backfill of “%s” can't continue yet.", schedule.name)
