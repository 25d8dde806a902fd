"""The books: what each schedule owes, period by period, and what came of it.

Only the specs and the rows count here; Redis is never asked.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from tasks.database import CHUNK, chunks
from tasks.exceptions import SpecError
from tasks.models import ScheduledTask, ScheduledTaskInstance, SchedulePeriod
from tasks.timing import spec

# An occurrence that was due less long ago is still under way, and not looked for.
SETTLING = timedelta(seconds=30)
# How many due instants of one schedule are looked at in one go.
DUES_AT_ONCE = 10_000


# Writing


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a schedule's present period at `end`.

    Due instants up to there without a row are missed for this reason, all but `still_expected`.
    """

    schedule: ScheduledTask
    end: datetime
    reason: str
    still_expected: datetime | None = None


def close_period(
    schedule: ScheduledTask, now: datetime, reason: str, still_expected: datetime | None = None
) -> None:
    """End the present period of a schedule at `now`, before its spec or its status changes.

    If it is live its books are settled up to `now`: due instants without a row are recorded as
    missed for this reason, all but `still_expected`. The caller has locked the row, changes it and
    saves it; `period_start` and `settled_through` are set for a next period that begins now.
    """
    close_periods([Closing(schedule, now, reason, still_expected)])


def close_periods(closings: Sequence[Closing]) -> None:
    """End the present periods of many schedules as `close_period` does, in few queries."""
    _settle([closing for closing in closings if closing.schedule.is_live])
    periods = [
        _period(one.schedule, one.end) for one in closings if one.schedule.period_start < one.end
    ]
    SchedulePeriod.objects.bulk_create(periods, batch_size=CHUNK)
    for closing in closings:
        closing.schedule.period_start = closing.end


def _period(schedule: ScheduledTask, end: datetime) -> SchedulePeriod:
    return SchedulePeriod(
        parent=schedule,
        kind=_kind(schedule),
        spec=schedule.spec_json() if schedule.is_live else None,
        note=schedule.note if schedule.status == ScheduledTask.Status.PAUSED else "",
        start=schedule.period_start,
        end=end,
    )


def _kind(schedule: ScheduledTask) -> str:
    if schedule.is_live:
        return SchedulePeriod.Kind.ACTIVE
    if schedule.status == ScheduledTask.Status.PAUSED:
        return SchedulePeriod.Kind.PAUSED
    return SchedulePeriod.Kind.DEATH


def _settle(closings: Sequence[Closing]) -> None:
    """Close schedules' books up to the ends of their periods, before what they owe changes.

    A job that still waits on its queue finds the row and doesn't run, whatever Redis holds.
    """
    for chunk in chunks(_expected_and_unsettled(closings), CHUNK):
        pks, dues = ({one.schedule.pk for one, _ in chunk}, {due for _, due in chunk})
        rows = ScheduledTaskInstance.objects.filter(parent__in=pks, due__in=dues)
        recorded = set(rows.values_list("parent_id", "due"))
        open_dues = [(one, due) for one, due in chunk if (one.schedule.pk, due) not in recorded]
        write(
            [run for one, due in open_dues for run in missed_runs(one.schedule, {due: one.reason})]
        )
    for closing in closings:
        closing.schedule.settled_through = max(closing.schedule.settled_through, closing.end)


def _expected_and_unsettled(closings: Iterable[Closing]) -> Iterator[tuple[Closing, datetime]]:
    """Yield what was due and isn't accounted for, but for what stays owed."""
    for closing in closings:
        schedule = closing.schedule
        with suppress(SpecError):  # then nothing was owed
            for due in spec.dues(schedule.spec(), schedule.settled_through, closing.end):
                if due != closing.still_expected:
                    yield closing, due


def unrecorded(schedule: ScheduledTask, dues: Sequence[datetime]) -> list[datetime]:
    """Return those of a schedule's due instants, given in order, that have no row."""
    if not dues:
        return []
    recorded = set(
        schedule.runs.filter(due__gte=dues[0], due__lte=dues[-1]).values_list("due", flat=True)
    )
    return [due for due in dues if due not in recorded]


def write_missed(schedule: ScheduledTask, reasons: dict[datetime, str]) -> None:
    """Record occurrences as missed, each for its reason; rows that are there stay as they are."""
    write(missed_runs(schedule, reasons))


def missed_runs(
    schedule: ScheduledTask, reasons: dict[datetime, str]
) -> list[ScheduledTaskInstance]:
    """Return rows that say of occurrences that they were missed, each for its reason."""
    now = timezone.now()
    return [
        ScheduledTaskInstance(
            parent=schedule,
            name=schedule.name,
            due=due,
            status=ScheduledTaskInstance.Status.MISSED,
            reason=reason,
            ended=now,
        )
        for due, reason in reasons.items()
    ]


def write(runs: Sequence[ScheduledTaskInstance]) -> None:
    """Insert rows of occurrences; those that have a row already keep it."""
    ScheduledTaskInstance.objects.bulk_create(runs, batch_size=CHUNK, ignore_conflicts=True)
