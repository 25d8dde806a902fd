"""Pauses, resumes, cancels and runs several schedules at once, in a fixed number of queries.

Each is done, or refused, as `SchedulerService` does with one: one that can't be doesn't keep the
others from it.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock, history, registry
from tasks.broker.connection import redis_obstacle
from tasks.broker.enqueue import enqueue_run
from tasks.broker.ownership import RedisRefused, connect_as_owner
from tasks.changes.projecting import project_many
from tasks.changes.requests import cancel_backfill, without_redis
from tasks.changes.schedules import ACTIONS, refuse_status, refuse_while_held
from tasks.database import CHUNK, atomic, on_commit
from tasks.exceptions import NotPossible, TasksError
from tasks.ledger import holds as ledger_holds
from tasks.ledger.periods import Closing, close_periods
from tasks.models import RunRequest, ScheduledTask
from tasks.reasons import Code, reason
from tasks.registry import Kind
from tasks.runs import holds
from tasks.timing.instants import from_milliseconds, to_milliseconds

logger = logging.getLogger(__name__)

Status = ScheduledTask.Status
# When the present period of a schedule began, through when it is settled, and when it was changed.
TIMES = ("period_start", "settled_through", "updated", "next_check_at")
# Why it was refused, by primary key.
Refused = dict[int, TasksError]


def pause(schedules: Sequence[ScheduledTask], note: str = "") -> Refused:
    """Pause live schedules; return why others can't be."""
    changes: dict[str, Any] = {"paused_at": clock.now()} | ({"note": note} if note else {})
    return _change_statuses(schedules, Status.PAUSED, ScheduledTask.LIVE, note, changes)


def resume(schedules: Sequence[ScheduledTask], note: str = "") -> Refused:
    """Dispatch paused or ended schedules again; return why others can't be."""
    allowed = [Status.PAUSED, Status.DEATH]
    return _change_statuses(schedules, Status.RUNNING, allowed, note, {"paused_at": None})


def cancel(schedules: Sequence[ScheduledTask], note: str = "") -> Refused:
    """End schedules; return why others can't be: they have ended already."""
    allowed = [status for status in Status if status != Status.DEATH]
    return _change_statuses(schedules, Status.DEATH, allowed, note, {"paused_at": None})


def _change_statuses(
    schedules: Sequence[ScheduledTask],
    status: Status,
    allowed: Sequence[str],
    note: str,
    changes: Mapping[str, Any],
) -> Refused:
    with atomic():
        ledger_holds.lock(shared=True)  # Before any row, as a hold of everything does.
        known, refused = _locked(schedules)
        hold = holds.of_everything() if status == Status.RUNNING else None
        for pk, row in known.items():
            try:
                refuse_status(row, allowed)
                refuse_while_held(row, hold)
            except NotPossible as error:
                refused[pk] = error
        rows = [row for pk, row in known.items() if pk not in refused]
        now, why = clock.now(), reason(Code.SCHEDULE_STOPPED)
        history.record_statuses(rows, ACTIONS[status], note)
        close_periods([Closing(row, now, why) for row in rows])
        values: dict[str, Any] = {"status": status, **changes}
        values |= dict.fromkeys(TIMES, now)
        pks = [row.pk for row in rows]
        for begin in range(0, len(pks), CHUNK):
            ScheduledTask.objects.filter(pk__in=pks[begin : begin + CHUNK]).update(**values)
        if status not in ScheduledTask.LIVE:
            _cancel_backfill(rows)
        done = [schedule for schedule in schedules if schedule.pk not in refused]
        for schedule in done:
            for field, value in values.items():
                setattr(schedule, field, value)
            schedule.projected = None
        on_commit(partial(project_many, done))
    return refused


def _locked(schedules: Sequence[ScheduledTask]) -> tuple[dict[int, ScheduledTask], Refused]:
    """Return the rows as they are stored, locked, by primary key; and which are gone."""
    pks = [schedule.pk for schedule in schedules]
    rows = ScheduledTask.objects.select_related("calendar").select_for_update(of=("self",))
    known = {row.pk: row for row in rows.filter(pk__in=pks).order_by("pk")}
    gone: Refused = {
        one.pk: NotPossible(_("“%(name)s” has been deleted meanwhile.") % {"name": one.name})
        for one in schedules
        if one.pk not in known
    }
    return known, gone


def _cancel_backfill(rows: Sequence[ScheduledTask]) -> None:
    """Cancel the backfill of those that have some: few ever do."""
    requests = RunRequest.objects.filter(parent__in=rows, due__isnull=False).order_by()
    with_some = set(requests.values_list("parent", flat=True).distinct())
    for row in rows:
        if row.pk in with_some:
            cancel_backfill(row)


def run_now(schedules: Sequence[ScheduledTask], note: str = "") -> Refused:
    """Request a run of each; return why one can't be."""
    if obstacle := redis_obstacle():
        return {one.pk: without_redis(one, obstacle) for one in schedules}
    try:
        redis = connect_as_owner()
    except RedisRefused as error:
        return dict.fromkeys([one.pk for one in schedules], error)
    requested, by = from_milliseconds(to_milliseconds(clock.now())), history.author()
    with atomic():
        known, refused = _locked(schedules)
        for pk, row in known.items():
            try:
                registry.resolve(row.function, Kind.SCHEDULED)
            except TasksError as error:
                refused[pk] = error
        rows = [row for pk, row in known.items() if pk not in refused]
        requests = [RunRequest(parent=row, requested=requested, requested_by=by) for row in rows]
        # Somebody may have requested one in the same millisecond: it is the same run then.
        RunRequest.objects.bulk_create(requests, batch_size=CHUNK, ignore_conflicts=True)
        history.record_all(rows, history.Action.RUN_REQUESTED, note)
        on_commit(partial(_enqueue, requests, redis, refused))
    return refused


def _enqueue(requests: Sequence[RunRequest], redis: Redis, refused: Refused) -> None:
    """Put the jobs on their queues; note which can't be built."""
    try:
        for request in requests:
            try:
                enqueue_run(request.parent, request.run_id, redis)
            except TasksError as error:
                refused[request.parent_id] = error
    except RedisError as error:
        logger.warning("Requested runs start once Redis is back (%s).", error)
