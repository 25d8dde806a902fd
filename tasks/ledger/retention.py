"""Deletes the runs that a schedule doesn't keep, and the oldest lines of its history."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Min

from tasks import clock
from tasks.database import CHUNK
from tasks.ledger.summaries import delete_pruned
from tasks.models import ScheduleChange, ScheduledTask, ScheduledTaskInstance

# How many lines of each schedule's history are kept.
CHANGES_KEPT = 500


def prune() -> None:
    """Delete the ended runs that their schedule no longer keeps."""
    for _step in pruning():
        pass


def pruning() -> Iterator[None]:
    """Do what `prune` does, and yield wherever it can be interrupted.

    The newest occurrences by due are kept, without gaps, and the newest manual runs.
    """
    kept = ScheduledTask.objects.exclude(keep_runs=None, keep_days=None).order_by("pk")
    kept = kept.only("keep_runs", "keep_days", "settled_through", "pruned_until")
    last = 0
    while schedules := list(kept.filter(pk__gt=last)[:CHUNK]):
        last = schedules[-1].pk
        for schedule in _with_too_many(schedules):
            yield from _prune_occurrences(schedule)
            yield from _prune_manual(schedule)
        yield


class _Counts(NamedTuple):
    """How many runs a schedule has, how many of them are occurrences, and the first due."""

    parent_id: int
    runs: int
    occurrences: int
    first_due: datetime | None


def _with_too_many(schedules: list[ScheduledTask]) -> list[ScheduledTask]:
    """Return those that may have runs to delete; one query counts the runs of all."""
    now = clock.now()
    rows = ScheduledTaskInstance.objects.filter(parent__in=schedules).order_by()
    counts = rows.values_list("parent").annotate(Count("pk"), Count("due"), Min("due"))
    found = {one.parent_id: one for one in map(_Counts._make, counts)}
    return [
        schedule
        for schedule in schedules
        if schedule.pk in found and _has_too_many(schedule, found[schedule.pk], now)
    ]


def _has_too_many(schedule: ScheduledTask, counts: _Counts, now: datetime) -> bool:
    manual = counts.runs - counts.occurrences
    if schedule.keep_runs is not None and max(counts.occurrences, manual) > schedule.keep_runs:
        return True
    if schedule.keep_days is None:
        return False
    oldest_kept = now - timedelta(days=schedule.keep_days)
    return manual > 0 or (counts.first_due is not None and counts.first_due < oldest_kept)


def _prune_occurrences(schedule: ScheduledTask) -> Iterator[None]:
    """Delete the occurrences up to the newest one that isn't kept.

    `pruned_until` is written first, so that no deleted row is ever missing from the ledger.
    """
    until = _newest_not_kept(schedule, schedule.runs.filter(due__isnull=False), "due")
    if until is None:
        return
    until = min(until, schedule.settled_through)
    if schedule.pruned_until is None or schedule.pruned_until < until:
        ScheduledTask.objects.filter(pk=schedule.pk).update(pruned_until=until)
        schedule.periods.filter(end__lte=until).delete()
    yield from _delete_in_chunks(schedule.runs.ended().filter(due__lte=until))


def _prune_manual(schedule: ScheduledTask) -> Iterator[None]:
    manual = schedule.runs.filter(due=None)
    until = _newest_not_kept(schedule, manual, "requested")
    if until is not None:
        yield from _delete_in_chunks(manual.ended().filter(requested__lte=until))


def _newest_not_kept(schedule: ScheduledTask, rows: Any, field: str) -> datetime | None:
    newest_first = rows.order_by(f"-{field}").values_list(field, flat=True)
    found = []
    if schedule.keep_runs is not None:
        found += newest_first[schedule.keep_runs : schedule.keep_runs + 1]
    if schedule.keep_days is not None:
        cutoff = clock.now() - timedelta(days=schedule.keep_days)
        found += newest_first.filter(**{f"{field}__lt": cutoff})[:1]
    return max(found, default=None)


def _delete_in_chunks(rows: Any) -> Iterator[None]:
    while ids := list(rows.order_by().values_list("id", flat=True)[:CHUNK]):
        delete_pruned(ScheduledTaskInstance.objects.filter(id__in=ids))
        yield


def pruning_history() -> Iterator[None]:
    """Delete all but the newest lines of each schedule's history; yield as `pruning` does."""
    counted = ScheduleChange.objects.order_by().values("schedule").annotate(lines=Count("pk"))
    too_many = counted.filter(lines__gt=CHANGES_KEPT).values_list("schedule", flat=True)
    for pk in list(too_many):
        lines = ScheduleChange.objects.filter(schedule=pk)
        newest = lines.order_by("-id").values_list("id", flat=True)
        for last in newest[CHANGES_KEPT : CHANGES_KEPT + 1]:
            lines.filter(id__lte=last).delete()
        yield
