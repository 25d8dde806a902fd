"""What is due next, of all schedules."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from redis import Redis

from tasks import clock
from tasks.broker.connection import once_a_page
from tasks.broker.keys import SCHEDULES_KEY
from tasks.job_ids import is_template
from tasks.models import ScheduledTask
from tasks.reports.any_of import AnyOf
from tasks.reports.scope import Schedules, is_everything
from tasks.timing.instants import from_score, to_score

NUMBER = 20
# How many dues of all schedules are read to find those of the ones that the reader may see.
READ_AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next due of a schedule."""

    due: datetime
    schedule: ScheduledTask


def upcoming(redis: Redis, schedules: Schedules, number: int = NUMBER) -> list[Upcoming]:
    """Return the next due of each of the schedules that are due next, soonest first.

    It takes one call of Redis, which has the next due of each live schedule, and two queries; all
    but one query only once for a page. Raises RedisError if Redis is unavailable. If a reader may
    see only some schedules, those among the next 500 of all are shown.
    """
    by_due = _next_dues(redis, schedules, number)
    rows = ScheduledTask.objects.filter(pk__in=[pk for _due, _name, pk in by_due])
    found = rows.select_related("calendar").defer("args", "kwargs", "description", "note")
    by_pk = {schedule.pk: schedule for schedule in found}
    return [Upcoming(from_score(due), by_pk[pk]) for due, _name, pk in by_due if pk in by_pk]


def next_due(redis: Redis, schedules: Schedules) -> datetime | None:
    """Return when the next of these schedules is due, as `upcoming` has it, without its row."""
    dues = _next_dues(redis, schedules, 1)
    return from_score(dues[0][0]) if dues else None


def _next_dues(redis: Redis, schedules: Schedules, number: int) -> list[tuple[float, str, int]]:
    """Return the first `number` of what `_by_due` finds, which is read once for a page."""
    # External jobs are among them, which aren't shown here.
    read = 3 * number if is_everything(schedules) else READ_AT_MOST
    return once_a_page(f"{read} dues", lambda: _by_due(redis, schedules, read))[:number]


def _by_due(redis: Redis, schedules: Schedules, read: int) -> list[tuple[float, str, int]]:
    """Return the scores, names and keys of those schedules that are among the next to be due."""
    entries = cast(
        list[tuple[bytes, float]],
        redis.zrangebyscore(SCHEDULES_KEY, to_score(clock.now()), "+inf", 0, read, withscores=True),
    )
    scores = {member.decode(errors="replace"): score for member, score in entries}
    job_ids = [job_id for job_id in scores if is_template(job_id)]
    listed = schedules.filter(AnyOf("job_id", job_ids), status__in=ScheduledTask.LIVE).order_by()
    rows = listed.values_list("job_id", "name", "pk")
    return sorted((scores[job_id], name, pk) for job_id, name, pk in rows)
