"""Deletes runs that a schedule doesn't keep."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min
from django.utils import timezone

from tasks.database import CHUNK
from tasks.models import ScheduledTask, ScheduledTaskInstance


def prune() -> None:
    """Delete the ended runs that their schedule doesn't keep any more."""
    for _step in pruning():
        pass


def pruning() -> Iterator[None]:
    """Do what `prune` says, and yield wherever that can be interrupted.

    Of occurrences the newest by due instant are kept, without gaps; of runs by hand the newest.
    """
    kept = ScheduledTask.objects.exclude(keep_runs=None, keep_days=None).order_by("pk")
    kept = kept.only("keep_runs", "keep_days", "settled_through", "pruned_until")
    last = 0
    while schedules := list(kept.filter(pk__gt=last)[:CHUNK]):
        last = schedules[-1].pk
        for schedule in _with_too_many(schedules):
            yield from _prune_occurrences(schedule)
            yield from _prune_requested(schedule)
        yield


def _with_too_many(schedules: list[ScheduledTask]) -> list[ScheduledTask]:
    """Return those that may have runs to delete, by counting the runs of all at once."""
    now = timezone.now()
    rows = ScheduledTaskInstance.objects.filter(
        parent__in=[schedule.pk for schedule in schedules]
    ).order_by()
    counts = rows.values_list("parent").annotate(Count("pk"), Count("due"), Min("due"))
    found = {pk: values for pk, *values in counts}
    too_many = []
    for schedule in schedules:
        number, occurrences, oldest = found.get(schedule.pk, (0, 0, None))
        manual = number - occurrences
        has_more = schedule.keep_runs is not None and max(occurrences, manual) > schedule.keep_runs
        has_older = schedule.keep_days is not None and (
            manual > 0 or (oldest and oldest < now - timedelta(days=schedule.keep_days))
        )
        if has_more or has_older:
            too_many.append(schedule)
    return too_many


def _prune_occurrences(schedule: ScheduledTask) -> Iterator[None]:
    """Delete the occurrences up to the newest one that isn't kept; first the books say so."""
    occurrences = schedule.runs.filter(due__lte=schedule.settled_through)
    until = _newest_not_kept(schedule, schedule.runs.filter(due__isnull=False), "due")
    until = until and min(until, schedule.settled_through)
    if until is None:
        return
    if schedule.pruned_until is None or schedule.pruned_until < until:
        ScheduledTask.objects.filter(pk=schedule.pk).update(pruned_until=until)
        schedule.periods.filter(end__lte=until).delete()
    yield from _delete_in_chunks(occurrences.ended().filter(due__lte=until))


def _prune_requested(schedule: ScheduledTask) -> Iterator[None]:
    manual = schedule.runs.filter(due=None)
    until = _newest_not_kept(schedule, manual, "requested")
    if until is not None:
        yield from _delete_in_chunks(manual.ended().filter(requested__lte=until))


def _newest_not_kept(schedule: ScheduledTask, rows: Any, moment: str) -> datetime | None:
    newest_first = rows.order_by(f"-{moment}").values_list(moment, flat=True)
    found = []
    if schedule.keep_runs is not None:
        found += newest_first[schedule.keep_runs : schedule.keep_runs + 1]
    if schedule.keep_days is not None:
        cutoff = timezone.now() - timedelta(days=schedule.keep_days)
        found += newest_first.filter(**{f"{moment}__lt": cutoff})[:1]
    return max(found, default=None)


def _delete_in_chunks(rows: Any) -> Iterator[None]:
    while ids := list(rows.order_by().values_list("id", flat=True)[:CHUNK]):
        ScheduledTaskInstance.objects.filter(id__in=ids).delete()
        yield
