"""Brings what has been committed to Redis; the scheduler does it later if Redis is unavailable."""

from collections.abc import Sequence
from functools import partial

from django.db import Error
from redis.exceptions import RedisError

from tasks.broker import projection
from tasks.broker.ownership import connect_as_owner
from tasks.database import CHUNK, chunks, on_commit
from tasks.models import Calendar, ScheduledTask
from tasks.outages import database_outage, redis_outage


def project_on_commit(schedule: ScheduledTask) -> None:
    """Bring a schedule to Redis after the commit; until then, its `projected` is None."""
    schedule.projected = None
    on_commit(partial(_project, schedule))


def _project(schedule: ScheduledTask) -> None:
    """Bring a committed row to Redis; `schedule.projected` tells the caller whether it worked."""
    try:
        row = ScheduledTask.objects.filter(pk=schedule.pk).first()
        if row is not None:
            schedule.problem = projection.project(row, connect_as_owner())
        schedule.projected = row is not None and not schedule.problem
    except (RedisError, Error) as error:
        schedule.projected = False
        _report_unprojected(error)


def project_many(schedules: Sequence[ScheduledTask]) -> None:
    """Bring many committed rows to Redis; the `projected` of each tells the caller if it worked."""
    try:
        redis = connect_as_owner()
        for chunk in chunks(schedules, CHUNK):
            rows = ScheduledTask.objects.select_related("calendar")
            problems = projection.project_all(rows.filter(pk__in=[one.pk for one in chunk]), redis)
            for one in chunk:
                one.problem = problems.get(one.pk, "")
                one.projected = one.pk in problems and not one.problem
    except (RedisError, Error) as error:
        for one in schedules:
            one.projected = bool(one.projected)
        _report_unprojected(error)


def project_calendar(calendar: Calendar) -> None:
    """Bring the schedules of a committed calendar to Redis."""
    try:
        redis = connect_as_owner()
        users = ScheduledTask.objects.live().filter(calendar=calendar)
        pks = list(users.values_list("pk", flat=True))
        for begin in range(0, len(pks), CHUNK):
            projection.project_all(users.filter(pk__in=pks[begin : begin + CHUNK]), redis)
    except (RedisError, Error) as error:
        _report_unprojected(error)


def _report_unprojected(error: Exception) -> None:
    """Report why Redis doesn't have what is saved: the scheduler brings it there."""
    outage = redis_outage if isinstance(error, RedisError) else database_outage
    outage.report(error)


def unschedule(job_id: str) -> None:
    """Remove a deleted schedule from Redis, later by the scheduler if Redis is unavailable."""
    try:
        projection.remove([job_id], connect_as_owner())
    except RedisError as error:
        redis_outage.report(error)
