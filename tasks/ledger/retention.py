"""Deletes what isn't kept: runs and lines of history of a schedule, and background calls.

Looking costs as much as has changed, not as much as is kept: a schedule is looked at when it has a
tenth more runs than it keeps, when it was changed, and for `keep_days` once an hour.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet

from tasks import clock
from tasks.clock import elapsed_clock
from tasks.database import CHUNK, chunks
from tasks.ledger.summaries import delete_pruned
from tasks.models import MAX_KEEP_DAYS, ScheduleChange, ScheduledTask, ScheduledTaskInstance, Task

# How many lines of each schedule's history are kept.
CHANGES_KEPT = 500
# How often a schedule with `keep_days` is looked at that has no new runs, in seconds.
BY_AGE_EVERY = 3600.0
# A schedule is looked at when it has got this part of the runs that it keeps.
TOLERANCE = 10
# A row may become visible after rows with higher ids: what may have been under way at the last
# look, in rows, is looked at again.
OVERLAP = 10_000
# The same for changes of schedules, which are stamped before they become visible.
CHANGES_OVERLAP = timedelta(minutes=10)
MAX_CALLS = 2**31 - 1
ENDED = (Task.Status.FINISHED, Task.Status.FAILED, Task.Status.CANCELED)


@dataclass(frozen=True, slots=True)
class Keep:
    """How long something is kept, and how many of it; None keeps all."""

    days: int | None = None
    number: int | None = None


def keep_calls() -> Keep:
    """Return what TASKS_KEEP_CALLS says; raises ValueError if it makes no sense."""
    return keep_setting("TASKS_KEEP_CALLS")


def keep_setting(name: str, default: Mapping[str, int] | None = None) -> Keep:
    """Return what a setting says, such as {"days": 30}; raises ValueError if it makes no sense."""
    value = getattr(settings, name, default)
    if value is not None and not isinstance(value, Mapping):
        raise ValueError
    limits = dict(value or {})
    keep = Keep(limits.pop("days", None), limits.pop("number", None))
    fits = [
        limit is None or (type(limit) is int and 1 <= limit <= most)
        for limit, most in ((keep.days, MAX_KEEP_DAYS), (keep.number, MAX_CALLS))
    ]
    if limits or not all(fits):
        raise ValueError
    return keep


def prune() -> None:
    """Delete the ended runs that their schedule no longer keeps, and old calls."""
    for _step in Retention().steps():
        pass


class Retention:
    """Deletes what isn't kept, and remembers what it has looked at."""

    def __init__(self) -> None:
        self._seen_id = 0
        self._seen_change: datetime | None = None
        self._next_by_age = 0.0
        # How many runs each schedule has got since it was looked at, or a few more.
        self._new: Counter[int] = Counter()

    def steps(self) -> Iterator[None]:
        """Do what is due, and yield wherever it can be interrupted.

        The newest occurrences by due are kept, without gaps, and the newest manual runs. The first
        time all schedules are looked at.
        """
        now, by_age = clock.now(), elapsed_clock() >= self._next_by_age
        for chunk in chunks(self._to_look_at(by_age), CHUNK):
            kept = ScheduledTask.objects.exclude(keep_runs=None, keep_days=None)
            kept = kept.only("keep_runs", "keep_days", "settled_through", "pruned_until")
            for schedule in kept.filter(pk__in=chunk):
                yield from _prune_occurrences(schedule)
                yield from _prune_manual(schedule)
                self._new.pop(schedule.pk, None)
                yield
        if by_age:
            self._next_by_age = elapsed_clock() + BY_AGE_EVERY
        self._seen_change = now
        yield from _prune_calls(keep_calls())

    def _to_look_at(self, by_age: bool) -> list[int]:
        """Return the schedules that may have runs to delete."""
        schedules = ScheduledTask.objects.order_by("pk")
        self._count_new()
        if self._seen_change is None:
            return list(schedules.values_list("pk", flat=True))
        found = schedules.filter(updated__gte=self._seen_change - CHANGES_OVERLAP)
        if by_age:
            found |= schedules.exclude(keep_days=None)
        return sorted({*found.values_list("pk", flat=True), *self._grown()})

    def _count_new(self) -> None:
        """Count the runs that have come since the last time."""
        runs = ScheduledTaskInstance.objects.order_by()
        newest: int = runs.aggregate(newest=Max("id"))["newest"] or 0
        if self._seen_change is not None:
            rows = runs.filter(id__gt=self._seen_id - OVERLAP).values_list("parent")
            self._new.update(dict(rows.annotate(Count("id"))))
        self._seen_id = newest

    def _grown(self) -> Iterator[int]:
        """Yield the schedules that have a tenth more runs than they keep, or more."""
        for chunk in chunks(self._new, CHUNK):
            rows = ScheduledTask.objects.filter(pk__in=chunk, keep_runs__isnull=False)
            for pk, keep_runs in rows.values_list("pk", "keep_runs"):
                if self._new[pk] * TOLERANCE >= (keep_runs or 0):
                    yield pk


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


def _prune_calls(keep: Keep) -> Iterator[None]:
    """Delete the calls that ended too long ago, and all but the last that ended."""
    ended = Task.objects.filter(status__in=ENDED)
    if keep.days is not None:
        oldest_kept = clock.now() - timedelta(days=keep.days)
        yield from _delete_calls(ended.filter(ended__lt=oldest_kept))
    if keep.number is not None:
        last = ended.order_by("-ended", "-id").values_list("ended", "id")
        for at, pk in last[keep.number : keep.number + 1]:
            yield from _delete_calls(ended.filter(Q(ended__lt=at) | Q(ended=at, id__lte=pk)))


def _delete_calls(calls: QuerySet[Task]) -> Iterator[None]:
    while pks := list(calls.order_by("ended").values_list("id", flat=True)[:CHUNK]):
        Task.objects.filter(pk__in=pks).delete()
        yield


def pruning_history() -> Iterator[None]:
    """Delete all but the newest lines of each schedule's history; yield as `steps` does."""
    counted = ScheduleChange.objects.order_by().values("schedule").annotate(lines=Count("pk"))
    too_many = counted.filter(lines__gt=CHANGES_KEPT).values_list("schedule", flat=True)
    for pk in list(too_many):
        lines = ScheduleChange.objects.filter(schedule=pk)
        newest = lines.order_by("-id").values_list("id", flat=True)
        for last in newest[CHANGES_KEPT : CHANGES_KEPT + 1]:
            lines.filter(id__lte=last).delete()
        yield
